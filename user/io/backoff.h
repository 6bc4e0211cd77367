/* SPDX-License-Identifier: Apache-2.0 */
/* Jittered exponential backoff. No clock, no state but the struct. */
#ifndef NOTAIL_IO_BACKOFF_H
#define NOTAIL_IO_BACKOFF_H

#include <stdint.h>

struct backoff {
	uint64_t min_ns;
	uint64_t max_ns;
	unsigned tries;
	uint64_t seed;
};

void backoff__init(struct backoff *b, uint64_t min_ns, uint64_t max_ns, uint64_t seed);
/* The next delay: min * 2^tries, at most max, less up to half of it at random. */
uint64_t backoff__next(struct backoff *b);
void backoff__reset(struct backoff *b);

#endif
