/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far the ring is done with, for a run that another one goes on from.
 *
 * Marks are positions between two records, made while the ring is read. The ring may be freed up to
 * one when nothing before it is needed any more; what is known there (streams__save) is written to
 * the state first. Whoever comes next reads from there and makes the same lines. The capture
 * thread's.
 */
#ifndef NOTAIL_COMMIT_H
#define NOTAIL_COMMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/marks.h"
#include "state/state.h"
#include "status/counters.h"
#include "streams/streams.h"

struct commit;

struct commit_opts {
	struct state *state;
	size_t ring_bytes;
	uint64_t consumer, producer; /* the ring's positions */
};

/* `counters` is borrowed. 0; -ENOMEM. */
int commit__new(struct commit **ret, struct counters *counters);
/* After the streams. NULL is fine. */
void commit__free(struct commit *c);
/* For struct streams_opts. There are none before commit__restore. */
const struct marks *commit__marks(const struct commit *c);

/* Before the first record: where the process before ended. The streams then know what they have to.
 * Everything in opts is borrowed. Returns the position to read from. */
uint64_t commit__restore(struct commit *c, struct streams *s, const struct commit_opts *opts);
/* Records before `pos` are, or may be, read by now: before anything that came of them leaves. */
void commit__reading(struct commit *c, uint64_t pos);
/* At most so much is to be read between two calls of commit__round. */
size_t commit__read_bytes(const struct commit *c);
/*
 * The ring was read up to `read`; batches need it from `held` on (UINT64_MAX: they need nothing).
 * Returns the position up to which it may be freed.
 */
uint64_t commit__round(struct commit *c, struct streams *s, uint64_t read, uint64_t held,
		       uint64_t now_ns);
/* CLOCK_BOOTTIME ns at which commit__round has something to do though nothing is read; UINT64_MAX:
 * never. */
uint64_t commit__due_ns(const struct commit *c);

#endif
