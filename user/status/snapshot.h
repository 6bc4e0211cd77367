/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the capture thread knows, as it was at one moment: made by it when somebody asks, immutable
 * from then on, handed over whole. Bounded; what is over the bounds is counted, not there.
 */
#ifndef NOTAIL_STATUS_SNAPSHOT_H
#define NOTAIL_STATUS_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/line.h"
#include "containers/meta.h"
#include "process/labels.h"
#include "status/samples.h"

#define SNAPSHOT_MAX_STREAMS 10000
#define SNAPSHOT_MAX_TARGETS 10000
#define SNAPSHOT_MAX_LABELS 100

/* Counters are always there. */
enum snapshot_what { SNAPSHOT_COUNTERS = 1, SNAPSHOT_TARGETS = 2 };

struct snapshot_stream {
	size_t target; /* index */
	enum line_stream file;
	bool tap_write; /* which tap copies */
	bool session;	/* of docker exec */
	bool dropped;	/* by rules, or nobody selected it */
	bool counted;	/* `written` says something */
	bool incomplete;
	char why[48];		      /* it has this tap; empty: not known */
	uint64_t written, read, lost; /* bytes */
	uint64_t lines;
	struct label_set *set; /* NULL: no line came yet, or dropped */
};

struct snapshot_target {
	uint64_t cgroup_id;
	struct meta *meta; /* NULL: nothing is known */
	bool excluded;
	const char *opt_out; /* an annotation, label or setting; NULL: rules exclude it; static */
	bool waiting;	     /* for its metadata */
	size_t parked_bytes;
	size_t first, n; /* of its streams */
};

/* One that the guard moved to structured metadata. */
struct snapshot_label {
	char *name;
	uint64_t since_ns; /* wall clock */
};

struct snapshot {
	unsigned what;
	uint64_t real_ns, boot_ns; /* when */
	uint64_t took_ns;	   /* the capture thread's time for it */
	struct samples samples;
	struct snapshot_target *targets; /* by snapshot_target__order */
	size_t n_targets, size_targets;
	struct snapshot_stream *streams; /* of a target together, by file */
	size_t n_streams, size_streams;
	size_t left_out; /* streams and targets */
	struct snapshot_label *labels;
	size_t n_labels;
	uint64_t ring_bytes, ring_used_bytes;
	bool failed; /* there was no memory for some of it */
};

/* Room for so many, at most SNAPSHOT_MAX_...: the rest is left out. 0 or -ENOMEM. */
int snapshot__new(struct snapshot **ret, unsigned what, size_t targets, size_t streams);
/* NULL is fine. */
void snapshot__free(struct snapshot *s);
/* References are taken over. The index, for streams; SIZE_MAX: left out. */
size_t snapshot__add_target(struct snapshot *s, const struct snapshot_target *target);
void snapshot__add_stream(struct snapshot *s, const struct snapshot_stream *stream);
/* The name is copied. */
void snapshot__add_label(struct snapshot *s, const char *name, uint64_t since_ns);
/* Orders it; nothing is added afterwards. */
void snapshot__seal(struct snapshot *s);
/* What to call it: its name, else its id, else its cgroup; never NULL. */
const char *snapshot_target__name(const struct snapshot_target *t);
/* By namespace, pod (those of none come last), name (strverscmp) and cgroup: for qsort. */
int snapshot_target__order(const void *a, const void *b);
/* "stdout", "stderr", "tty". */
const char *snapshot_stream__file(const struct snapshot_stream *s);

#endif
