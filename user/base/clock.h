/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Boot time to wall clock. Records carry CLOCK_BOOTTIME; what leaves notail carries CLOCK_REALTIME.
 * The difference is measured once (an anchor) and kept, so that the timestamp of a record is the
 * same whenever it is computed; a step of the wall clock over CLOCK_STEP_NS adds a difference that
 * later records have. Boot time goes on while the machine is suspended: that is no step.
 */
#ifndef NOTAIL_BASE_CLOCK_H
#define NOTAIL_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NS_PER_SEC 1000000000ull
#define NS_PER_MS 1000000ull
#define CLOCK_STEP_NS (100 * NS_PER_MS)

/* No line that was read has a time so far ahead: a step holds from there on. */
#define CLOCK_AHEAD_NS NS_PER_MS
#define CLOCK_STEPS_MAX 64

struct clock_step {
	uint64_t from_ns;  /* boot time of the first record that it holds for */
	int64_t offset_ns; /* realtime - boottime */
};

/* The newest step, and those before it, oldest first; the oldest holds for all before it too. */
struct clock_anchor {
	uint64_t from_ns;
	int64_t offset_ns;
	struct clock_step before[CLOCK_STEPS_MAX - 1];
	size_t n_before;
};

uint64_t clock__boot_ns(void);
uint64_t clock__real_ns(void);
int clock__anchor(struct clock_anchor *ret_anchor);
/* Looks again; true and a new step when the wall clock stepped. */
bool clock__check(struct clock_anchor *anchor);
/* As clock__check, with what the clocks say. */
bool clock__follow(struct clock_anchor *anchor, uint64_t boot_ns, int64_t offset_ns);
/* Behind the others; the oldest goes when there are too many. -EINVAL: it is not later. */
int clock__add_step(struct clock_anchor *anchor, const struct clock_step *step);
/* For times before the newest step. */
int64_t clock__offset_before(const struct clock_anchor *anchor, uint64_t boot_ns);
static inline uint64_t clock__to_real(const struct clock_anchor *anchor, uint64_t boot_ns)
{
	if (__builtin_expect(boot_ns < anchor->from_ns, 0))
		return boot_ns + (uint64_t)clock__offset_before(anchor, boot_ns);
	return boot_ns + (uint64_t)anchor->offset_ns;
}

#define RFC3339_LEN 30 /* 2026-11-21T04:40:08.125461044Z */
/* Always nine digits of fraction, UTC; writes RFC3339_LEN bytes and no NUL. */
void clock__rfc3339(uint64_t real_ns, char out[RFC3339_LEN]);

/* For many times in a row: the last second's text is kept, only the fraction is written anew.
 * Zeroed at start. */
struct rfc3339_cache {
	uint64_t second; /* that `text` shows, + 1; 0: none */
	char text[RFC3339_LEN];
};
/* RFC3339_LEN bytes, valid until the next call. */
const char *rfc3339_cache__text(struct rfc3339_cache *cache, uint64_t real_ns);

#endif
