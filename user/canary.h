/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line of notail's own at each interval, {job="notail_canary", host="..."}: it goes the way of
 * all lines from the batches on, and its age when a receiver has it is counted. Capture thread.
 */
#ifndef NOTAIL_CANARY_H
#define NOTAIL_CANARY_H

#include <stdint.h>

#include "base/line.h"
#include "process/labels.h"

struct canary;

/* Sends it on; borrowed. */
typedef void (*canary_fn)(void *ctx, struct label_set *set, const struct line *line);

/* `host` NULL: the host's name. *ret is NULL for an interval of 0. The first line comes within the
 * first interval. */
int canary__new(struct canary **ret, const char *host, uint64_t interval_ns);
void canary__free(struct canary *c); /* NULL is fine */
/* CLOCK_BOOTTIME ns when the next one is due; UINT64_MAX: never. `ring_pos`: it needs nothing
 * before. c may be NULL. */
uint64_t canary__tick(struct canary *c, uint64_t now_ns, uint64_t ring_pos, canary_fn fn,
		      void *ctx);

#endif
