/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Boot time to wall clock. Records carry CLOCK_BOOTTIME; what leaves notail carries CLOCK_REALTIME.
 * The difference is measured once (an anchor) and kept, so that the timestamp of a record is the
 * same whenever it is computed; a step of the wall clock over CLOCK_STEP_NS starts a new anchor for
 * later records.
 */
#ifndef NOTAIL_BASE_CLOCK_H
#define NOTAIL_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NS_PER_SEC 1000000000ull
#define NS_PER_MS 1000000ull
#define CLOCK_STEP_NS (100 * NS_PER_MS)

struct clock_anchor {
	int64_t offset_ns; /* realtime - boottime */
};

uint64_t clock__boot_ns(void);
uint64_t clock__real_ns(void);
int clock__anchor(struct clock_anchor *ret_anchor);
/* Looks again; true and a new offset when the wall clock stepped. */
bool clock__check(struct clock_anchor *anchor);
static inline uint64_t clock__to_real(const struct clock_anchor *anchor, uint64_t boot_ns)
{
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
