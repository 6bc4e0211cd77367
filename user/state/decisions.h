/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was decided about lines and is no function of the ring, journalled before a line goes by it:
 * the metadata that each (container, file) had, from a line's time on; labels that the guard took;
 * steps of the wall clock. A successor that reads the same records decides the same.
 *
 * Bounded by the journal's half. What is not needed any more goes first, then what is needed least,
 * which is counted: after a kill those lines may come twice. One thread.
 */
#ifndef NOTAIL_STATE_DECISIONS_H
#define NOTAIL_STATE_DECISIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/line.h"
#include "containers/meta.h"
#include "state/journal.h"
#include "status/counters.h"

#define DECISIONS_ALL_FILES ((enum line_stream)0)

struct decisions;

/* The halves as for journal__new; what is in them is taken over. `counters` is borrowed. 0,
 * -EINVAL, -ENOMEM. */
int decisions__new(struct decisions **ret, void *const halves[2], size_t half_bytes,
		   struct counters *counters);
void decisions__free(struct decisions *d); /* NULL is fine */
/* What is safe, up to a position of the ring: what only records before it need may go. Cheap. */
void decisions__committed(struct decisions *d, uint64_t pos);

/* Metadata */

struct decision {
	uint64_t cgroup_id;
	enum line_stream file; /* DECISIONS_ALL_FILES: whatever it is */
	bool excluded;	       /* its lines are dropped */
	uint64_t from_ns;      /* time of the first line that it holds for */
	uint64_t pos;	       /* of the ring's record that was looked at */
};

/* From that line on, this metadata, and the guard as it is now. Nothing is written when that was so
 * before. False: there was no room, or no memory; it is counted. */
bool decisions__add(struct decisions *d, const struct decision *decision, const struct meta *m);

struct decided {
	struct meta *meta; /* borrowed while `d` lives; its version is none of the registry's */
	uint64_t guard;	   /* for decisions__guarded */
	bool excluded;
};

/* What held for a line. False: nothing was decided about the (container, file). */
bool decisions__find(struct decisions *d, uint64_t cgroup_id, enum line_stream file,
		     uint64_t time_ns, struct decided *ret);
/* Were the container's records at `pos` dropped? *ret_since, if wanted: or had they begun to be
 * behind `from`? */
bool decisions__excluded_at(const struct decisions *d, uint64_t cgroup_id, uint64_t from,
			    uint64_t pos, bool *ret_since);
/* The record after which the (container, file) had its first line sent, as far as that is known.
 * UINT64_MAX: it had none. */
uint64_t decisions__first_pos(const struct decisions *d, uint64_t cgroup_id, enum line_stream file);
/* Something was decided about the container. */
bool decisions__knows(const struct decisions *d, uint64_t cgroup_id);
/* The container is gone, and nothing of it comes behind `pos`: what stages held of it goes out now.
 * Returns the guard's state for that, of when it was first told. */
uint64_t decisions__gone(struct decisions *d, uint64_t cgroup_id, uint64_t pos);
/* Each container that is not gone, with its newest metadata. */
void decisions__each(struct decisions *d,
		     void (*fn)(void *ctx, uint64_t cgroup_id, const struct meta *m), void *ctx);
/* No lines of before are to come: gives metadata in memory back. Voids what decisions__find
 * returned. */
void decisions__settle(struct decisions *d);

/* The guard: its state has a number, which moves when it takes a label or gives one back. */

uint64_t decisions__guard(const struct decisions *d);
void decisions__guard_take(struct decisions *d, const char *name, uint64_t since_ns);
void decisions__guard_give(struct decisions *d, const char *name);
/* Gives all back. */
void decisions__guard_reset(struct decisions *d);
/* Was it guarded in that state? */
bool decisions__guarded(const struct decisions *d, const char *name, uint64_t guard);
/* Those that are guarded now. */
void decisions__each_guarded(const struct decisions *d,
			     void (*fn)(void *ctx, const char *name, uint64_t since_ns), void *ctx);

/* What stages held went out between the record at `pos` and the next. */
struct decided_flush {
	uint64_t pos;
	uint64_t guard; /* its state then */
	/* What is of records before that; UINT64_MAX: all, and rules and stages were read anew. */
	uint64_t before;
};
/* By the guard as it is now. */
void decisions__add_flush(struct decisions *d, uint64_t pos, uint64_t before);
/* The first from `pos` on. False: there is none. */
bool decisions__next_flush(const struct decisions *d, uint64_t pos, struct decided_flush *ret);

/* The wall clock */

/* -ENOENT: none is journalled. */
int decisions__clock(const struct decisions *d, struct clock_anchor *ret);
/* Its newest step, or all of it when there was none. */
void decisions__add_clock(struct decisions *d, const struct clock_anchor *anchor);

void decisions__stats(const struct decisions *d, struct journal_stats *ret);

#endif
