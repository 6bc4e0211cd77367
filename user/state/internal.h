/* SPDX-License-Identifier: Apache-2.0 */
/* What decisions.c, decisions_index.c and decisions_compact.c share. */
#ifndef NOTAIL_STATE_INTERNAL_H
#define NOTAIL_STATE_INTERNAL_H

/* uthash calls this when there is no memory; the entry is then not in the map (hh.tbl NULL). */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>

#include "base/buf.h"
#include "state/decisions.h"

#define FLUSHES_MAX 256
#define NAME_MAX_BYTES 4096

enum record_type {
	RECORD_CLOCK = 1,
	RECORD_META,
	RECORD_ENTRY,
	RECORD_GONE,
	RECORD_SPAN,
	RECORD_FLUSH,
};

struct meta_header { /* the metadata behind it */
	uint32_t id;
	uint32_t zero;
};

struct entry_record {
	uint64_t cgroup_id;
	uint64_t from_ns;
	uint64_t pos;
	uint64_t guard;
	uint32_t meta;
	uint8_t file;
	uint8_t excluded;
	uint16_t zero;
};

struct gone_record {
	uint64_t cgroup_id;
	uint64_t pos;
	uint64_t guard;
};

struct span_record { /* the name behind it */
	uint64_t since_ns;
	uint64_t from, until;
};

struct known_meta {
	uint32_t id;
	unsigned refs;
	const void *bytes; /* in the journal, without the header */
	size_t len;
	struct meta *meta; /* NULL: not looked at */
	bool bad;	   /* it is none */
	bool written;	   /* to the half that is in use */
	UT_hash_handle hh;
};

struct entry {
	struct known_meta *meta;
	uint64_t from_ns, pos, guard;
	enum line_stream file;
	bool excluded;
	struct entry *prev, *next;
};

struct known_container {
	uint64_t cgroup_id;
	struct entry *entries; /* oldest first */
	bool gone;
	uint64_t gone_pos, gone_guard;
	UT_hash_handle hh;
};

/* A label that is guarded in the states from `from` on, before `until`. */
struct span {
	char *name;
	uint64_t since_ns, from, until;
	struct span *prev, *next;
};

struct decisions {
	struct journal *journal;
	struct counters *counters;
	struct known_container *containers;
	struct known_meta *metas;
	uint32_t last_meta;
	struct span *spans; /* oldest first */
	unsigned n_spans;
	uint64_t guard;
	struct decided_flush flushes[FLUSHES_MAX]; /* oldest first */
	size_t n_flushes;
	struct clock_anchor clock;
	bool has_clock;
	uint64_t committed;
	bool said;
	unsigned unreadable;
	struct buf scratch;
};

/* decisions_index.c */
struct known_container *decisions__find_container(const struct decisions *d, uint64_t cgroup_id);
/* No references yet. NULL: no memory. */
struct known_meta *decisions__new_meta(struct decisions *d, uint32_t id, const void *bytes,
				       size_t len);
void decisions__put_meta(struct decisions *d, struct known_meta *m);
/* Borrowed. NULL: it cannot be read. */
struct meta *decisions__get_meta(struct decisions *d, struct known_meta *m);
/* Takes no reference when it fails. NULL: no memory. */
struct entry *decisions__append_entry(struct decisions *d, const struct entry_record *r,
				      struct known_meta *m);
void decisions__drop_entry(struct decisions *d, struct known_container *c, struct entry *e);
void decisions__drop_container(struct decisions *d, struct known_container *c);
/* NULL: no memory. */
struct span *decisions__add_span(struct decisions *d, const struct span_record *r, const char *name,
				 size_t len);
void decisions__drop_span(struct decisions *d, struct span *s);
void decisions__keep_flush(struct decisions *d, const struct decided_flush *r);

/* decisions_compact.c */
size_t decisions__entry_cost(void);
/* States of the guard that nothing needs are told from no other. */
void decisions__prune_spans(struct decisions *d);
void decisions__prune_flushes(struct decisions *d);
/* Counts `n` that were not written, or not kept. */
void decisions__say_full(struct decisions *d, size_t n);
/* With its metadata. -ENOSPC, -ENOMEM. */
int decisions__write_entry(struct decisions *d, uint64_t cgroup_id, const struct entry *e);
int decisions__write_span(struct decisions *d, const struct span *s);
/* Writes all anew, so that `need` bytes have room. 0; -ENOSPC: they never will; -ENOMEM. */
int decisions__compact(struct decisions *d, size_t need);
/* A record; what is there is written anew when there is no room. */
int decisions__append(struct decisions *d, enum record_type type, const void *bytes, size_t len);

#endif
