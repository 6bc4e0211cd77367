/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What makes a run one that another goes on from: marks of the ring, and what was decided, in
 * memory that outlives the process. Where there is no such memory none of it does anything. The
 * capture thread's.
 */
#ifndef NOTAIL_DURABLE_H
#define NOTAIL_DURABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/marks.h"
#include "capture/capture.h"
#include "status/counters.h"
#include "streams/streams.h"

struct durable;

int durable__new(struct durable **ret, struct counters *counters);
/* After the streams. NULL is fine. */
void durable__free(struct durable *d);
/* For struct streams_opts. */
const struct marks *durable__marks(const struct durable *d);
/*
 * Before anything is read: goes on where the run before ended. The clock's steps of then are
 * anchor's. 0, also where nothing outlives this process; -errno.
 */
int durable__start(struct durable *d, struct capture *c, struct streams *s,
		   struct clock_anchor *anchor);
/* Another run follows. NULL: none does. */
bool durable__is_on(const struct durable *d);

/* For the others it is on. */

/* At most so much is to be read at once. */
size_t durable__read_bytes(const struct durable *d);
void durable__before_read(struct durable *d);
void durable__after_read(struct durable *d, uint64_t position);
void durable__clock_stepped(struct durable *d, const struct clock_anchor *anchor);
/* As commit__round. */
uint64_t durable__round(struct durable *d, uint64_t read, uint64_t held, uint64_t now_ns);
uint64_t durable__due_ns(const struct durable *d);

#endif
