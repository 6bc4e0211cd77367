/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this room share: a stream is found by its key, a container by its cgroup's id.
 * A record goes from records.c through the stream's assembler to lines.c and out; what runs for
 * each one lies in these two files, or is inline here.
 */
#ifndef NOTAIL_STREAMS_INTERNAL_H
#define NOTAIL_STREAMS_INTERNAL_H

#include "streams/streams.h"

#include <string.h>

/* uthash calls this when there is no memory; the entry is then not in the map (hh.tbl NULL). */
#define HASH_NONFATAL_OOM 1
/* Keys are of 8 or 16 bytes, and looked for with each record: uthash's own takes as long as all
 * else that is done for one. */
#define HASH_FUNCTION(key, len, hash) ((hash) = hash_key(key, len))
#include <uthash.h>
/* Chains of up to ten: each entry on the way is a line of memory. */
#undef HASH_BKT_CAPACITY_THRESH
#define HASH_BKT_CAPACITY_THRESH 4u
#include <utlist.h>

#include "assemble/assemble.h"
#include "state/decisions.h"

struct container;

/* With many streams one is in none of the nearer caches: what each record needs lies together, from
 * the middle of hh on. */
struct stream {
	struct container *container;
	struct attribute *attribute; /* before the assembler */
	struct stream *prev, *next;
	UT_hash_handle hh;
	struct nt_stream_key key;
	uint64_t cgroup_id; /* the container's */
	struct streams *owner;
	struct assembler *assembler;
	uint64_t told;	   /* bytes that records were here for, gaps included */
	uint64_t last_ns;  /* end of the stream's newest record */
	uint64_t last_pos; /* its position; only while records are read again */
	/* What the last line was sent with, the container's, and the registry's version that it
	 * holds for; 0: none. */
	struct labelled *labelled; /* NULL: not wanted */
	uint64_t set_version;
	uint64_t lines; /* that were assembled */
	enum line_stream file;
	uint8_t tap;
	bool copied_at_write;			 /* now, or once */
	bool registered;			 /* so its first byte is the stream's first */
	bool session;				 /* docker exec's */
	bool waits;				 /* among those with records that wait for a name */
	char why[48];				 /* it has this tap */
	uint64_t first_misses[NT_TAP_WRITE + 1]; /* when it was registered, or before */
	uint64_t lost_bytes;
	uint64_t told_bytes; /* of the kernel's gap, at shutdown, before a record does */
	uint64_t over_pos; /* of the ring, when its end was found to be told of, or lost; 0: not */
};

struct parked {
	struct line line; /* its bytes are behind the struct */
	struct parked *next;
};

/* The labels of a (container, file): they outlive the stream while lines of it are parked. */
struct labelled {
	bool built, wanted;
	bool plain;	       /* its lines go as they are: no stages, no tenant */
	uint64_t version;      /* of the metadata that it was built from */
	struct label_set *set; /* NULL: not built yet, or dropped by rules */
	char *tenant;	       /* NULL: the client's */
	struct program *program;
	struct program_stream *stages; /* NULL: none */
	/* What was journalled last: the metadata's version, the guard's state, the labels' hash. */
	uint64_t told_version, told_guard, told_hash;
	uint64_t guard; /* the state of the guard that it was built in */
};

struct container_counts {
	uint64_t lines, bytes, lost_bytes;
};

/* For marks that are older than the end of a stream, or of a container. */
struct relic {
	struct nt_stream_key key; /* of a stream */
	uint64_t cgroup_id;
	enum line_stream file;
	uint8_t tap;
	bool session;
	struct crossings crossings;
	struct saved_state *stages; /* not NULL: of a (container, file) */
	struct relic *prev, *next;
};

/* What the stages of a (container, file) have to know, until there are some. */
struct stage_seed {
	uint64_t cgroup_id;
	enum line_stream file;
	struct stage_seed *next;
	size_t len;
	char bytes[];
};

struct container {
	uint64_t cgroup_id;
	struct meta *meta;
	uint64_t looked_up; /* the registry's version at the last look-up */
	struct labelled by_file[LINE_TTY + 1];
	bool pending;  /* an engine may still say more */
	bool waited;   /* for as long or as much as the bounds allow: never parked again */
	bool gone;     /* the cgroup was removed, and everything told before that is through */
	bool vanished; /* from the kernel side */
	uint64_t vanished_pos; /* of the ring, when that was seen */
	bool listed;	       /* among the parked */
	bool excluded;
	uint64_t decided; /* the metadata's version that `excluded` was decided with; 0: not yet */
	bool open;	  /* in the streams' list of that name */
	unsigned n_streams;
	size_t shown;		       /* index in the snapshot that is being made */
	struct container_counts ended; /* of streams that are gone */
	uint64_t parked_since_ns;
	struct parked *park_head, *park_tail;
	size_t parked_bytes;
	uint64_t parked_pos; /* the least that a parked line needs */
	struct container *prev, *next;
	struct container *open_prev, *open_next;
	UT_hash_handle hh;
};

/* What opts.misses said, and when. */
struct misses {
	uint64_t time_ns;
	uint64_t by_tap[NT_TAP_WRITE + 1];
};

struct streams {
	struct streams_opts opts;
	struct assemble_opts assemble;
	struct stream *by_key;
	struct container *by_cgroup;
	struct container *parked;
	size_t parked_bytes;
	/* All that are not decided on or excluded: looked at whenever anything is known anew. */
	struct container *open;
	struct stream *waiting;	 /* with records that wait for a name */
	struct misses misses[2]; /* the newer ones first */
	uint64_t warned_ns;	 /* of a loss */
	uint64_t reconcile_ns;
	uint64_t events_lost;
	uint64_t orphans_pos; /* of the ring, when events_lost had moved; 0: it has not since */
	struct routing *routing;
	uint64_t routing_version;
	uint64_t decided_at; /* the registry's version that all containers were looked at with */
	struct relic *relics;
	struct stage_seed *stage_seeds;
	bool newly_excluded;	     /* streams of excluded containers are there */
	uint64_t pos;		     /* of the record that was handled last */
	uint64_t newest_ns;	     /* no line's time is later */
	struct decisions *decisions; /* NULL: nothing outlives this process */
	uint64_t decided_until;	     /* lines of records before it were decided on; 0: none */
	bool replaying;		     /* such records are still to come */
	struct decided_flush flush;  /* the next that is to be made again; .pos UINT64_MAX: none */
	uint64_t replayed_guard;     /* the newest state that such a line had */
	bool was_replayed;	     /* there was one */
	/* The line that goes through stages now, and whose it is; NULL: none. */
	const struct line *sent;
	struct container *sent_of;
};

/* What is said of a stream at its end. */
struct verdict {
	uint64_t written, seen, missing, uncounted;
	uint64_t before, unread, foreign; /* differences with a name */
	bool incomplete;		  /* hooks were skipped: no proof */
	bool open;
	uint64_t pos; /* of the record that tells it; UINT64_MAX: none does */
};

static inline unsigned hash_key(const void *key, size_t len)
{
	uint64_t hash = 0, word;

	for (size_t at = 0; at < len; at += sizeof(word)) {
		memcpy(&word, (const char *)key + at, sizeof(word));
		hash = (hash ^ word) * 0x9e3779b97f4a7c15;
		hash ^= hash >> 32;
	}
	return (unsigned)hash;
}

static inline struct stream *stream__find(struct streams *s, const struct nt_stream_key *key)
{
	struct stream *st;

	HASH_FIND(hh, s->by_key, key, sizeof(*key), st);
	return st;
}

static inline void stream__set_tap(struct stream *st, uint8_t tap)
{
	st->tap = tap;
	st->copied_at_write |= tap == NT_TAP_WRITE;
}

/* container.c */

/* NULL: not known. */
struct container *container__find(struct streams *s, uint64_t cgroup_id);
/* Made when it is not known; NULL: no memory. */
struct container *container__get(struct streams *s, uint64_t cgroup_id);
/* As container__get: the cgroup's record found no room in the ring, or it is no container's. */
struct container *container__untold(struct streams *s, uint64_t cgroup_id);
/* Asks the registry again when it has published since. */
void container__look_up(struct streams *s, struct container *c);
/* Whether anything of it is wanted, with what is known now. `line`: the one that it is about first;
 * NULL: none. */
void container__decide(struct streams *s, struct container *c, const struct line *line);
/* What was decided, or that nothing was, holds until more is known. */
void container__reopen(struct streams *s, struct container *c);
/* Copies the line. -ENOSPC: so much is parked already; -ENOMEM. */
int container__park(struct streams *s, struct container *c, const struct line *line);
/* All that is parked goes out with what is known now. */
void container__unpark(struct streams *s, struct container *c);
/* What is known now has to do from now on. */
void container__stop_waiting(struct streams *s, struct container *c);
void container__free(struct streams *s, struct container *c);
/* When nothing of it can come any more. */
void container__try_free(struct streams *s, struct container *c);

/* lines.c */

/* What its stages hold goes out. */
void labelled__leave(struct labelled *l);
void labelled__clear(struct labelled *l);
/* Borrowed until the container is freed. NULL: no memory, or nothing is known of the container. */
struct labelled *container__labels(struct streams *s, struct container *c, enum line_stream file,
				   uint64_t time_ns);
/* The same, with other metadata. */
struct labelled *container__labels_by(struct streams *s, struct container *c, enum line_stream file,
				      uint64_t time_ns, const struct meta *m);
/* To its stages, or out. It is wanted. */
void labelled__send(struct streams *s, struct container *c, struct labelled *l,
		    const struct line *line);
/* Returns what it was sent with, borrowed; NULL: it was dropped, no memory. */
struct labelled *container__send(struct streams *s, struct container *c, const struct line *line);
/* The assembler's callback, whose context is a struct stream. */
void stream__on_line(void *ctx, const struct line *line);

/* decisions.c */

/* A line that was decided on before goes the same way. False: it was not. */
bool stream__send_again(struct stream *st, const struct line *line);
/* Journals what the line is about to be sent with, if that is new. */
void labelled__tell(struct streams *s, struct container *c, struct labelled *l,
		    const struct line *line);
/* It is, or is again wanted. */
void container__tell_excluded(struct streams *s, struct container *c, const struct line *line);
/* Nothing is decided anew about the container: its lines of before are still to come. */
bool container__is_decided(const struct streams *s, const struct container *c);
/* Before it is freed, and what stages hold of it goes out: the guard is held for that. */
void container__tell_gone(struct streams *s, const struct container *c);
/* While no line comes the guard takes nothing: what it takes is journalled with the line that made
 * it so. routing__release_guard ends it. */
void streams__hold_guard(struct streams *s);
/* There may be no record behind those that were read before. */
void streams__tick_replay(struct streams *s);
/* Of new rules and stages. */
void streams__follow_guard(struct streams *s);

/* The process before dropped the container's record at `pos`. Frees the stream when it did then, or
 * since its last record. */
bool stream__was_excluded(struct streams *s, struct stream **st, uint64_t cgroup_id, uint64_t pos);
/* The record at `pos` comes, and may have been read before. */
void streams__replay(struct streams *s, uint64_t pos);

/* streams.c */

/* The next line of each stream asks for its labels again. */
void streams__forget_labels(struct streams *s);

static inline void streams__at(struct streams *s, uint64_t pos)
{
	if (s->replaying)
		streams__replay(s, pos);
	s->pos = pos;
}

/* A process before this one read what the line is of, and may have sent it. */
static inline bool streams__was_read(const struct streams *s, const struct line *line)
{
	return line->ring_pos < s->decided_until || (s->replaying && line->ring_pos == UINT64_MAX);
}

/* stream.c */

const char *stream__tap_name(uint8_t tap);
const char *stream__file_name(enum line_stream file);
/* Of a container that may be unknown. NULL: no memory. */
struct stream *stream__new(struct streams *s, const struct nt_stream_key *key, uint64_t cgroup_id,
			   uint8_t file, uint8_t tap);
void stream__free(struct streams *s, struct stream *st);
/* A half line, and what waits for a name before it, as they are. `time_ns` as in assembler__flush.
 */
void stream__flush(struct stream *st, uint64_t time_ns);
/* Its container's, for people. NULL: nobody wants its lines. */
const char *stream__name(struct streams *s, struct stream *st);
/* The reason for the tap, for people. */
void stream__explain(struct stream *st, const struct nt_register *rec);

/* gaps.c */

/* Puts it among the lines, warns of it and counts it. `calls`: 0: not known. */
void stream__tell_gap(struct stream *st, uint64_t bytes, uint64_t calls, const char *reason,
		      uint64_t time_ns, uint64_t pos);
/* What a tap saw and the ring does not have; nothing when the gap is empty. */
void stream__gap(struct stream *st, const struct nt_gap *gap, uint64_t time_ns, uint64_t pos);
/* The gap that no record has told of yet; one still may, when the ring has room again. */
void stream__open_gap(struct stream *st);
/* `bytes` are behind the end of what records have told of: a record was skipped, or overwritten. */
void stream__skipped(struct stream *st, uint64_t bytes, uint64_t time_ns, uint64_t pos);

/* snapshot.c */

void container_counts__add(struct container_counts *to, const struct stream *st);

/* verdict.c */

void streams__read_misses(struct streams *s);
/* As they were at a time, or before: then a stream is called incomplete that need not be. */
const uint64_t *streams__misses_at(const struct streams *s, uint64_t time_ns);
/* Were hooks skipped while it lived? */
bool stream__incomplete(struct streams *s, struct stream *st);
void stream__print_stats(struct streams *s, struct stream *st, const struct verdict *v);
/* Compares the counts, tells what is missing, and flushes the stream. */
void stream__finish(struct streams *s, struct stream *st, const struct verdict *counts);

/* marks.c */

/* Before the stream is freed: what is noted of it for marks is kept. */
void stream__leave_relic(struct streams *s, struct stream *st);
void container__leave_relics(struct streams *s, struct container *c);
/* Stages that were just made go on where those of a process before were. */
void container__seed_stages(struct streams *s, const struct container *c, enum line_stream file,
			    struct labelled *l);
void streams__free_marks(struct streams *s);

/* reconcile.c */

/* Its end's record found no room in the ring. Frees the stream. */
void stream__end_untold(struct streams *s, struct stream *st);
/* Its cgroup is gone: its reader has more to read, or its end is told of behind this record. */
bool stream__goes_on(struct streams *s, const struct stream *st);
void streams__reconcile(struct streams *s, uint64_t now_ns);

#endif
