/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The random part takes away, never adds: max_ns is a promise. splitmix64 is enough to spread
 * clients; it is seeded by the caller, so that a test knows what comes.
 */
#include "io/backoff.h"

static uint64_t backoff__random(struct backoff *b)
{
	uint64_t z = b->seed += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

void backoff__init(struct backoff *b, uint64_t min_ns, uint64_t max_ns, uint64_t seed)
{
	*b = (struct backoff){.min_ns = min_ns, .max_ns = max_ns, .seed = seed};
}

uint64_t backoff__next(struct backoff *b)
{
	uint64_t delay_ns = b->min_ns;

	for (unsigned i = 0; i < b->tries && delay_ns < b->max_ns; i++)
		delay_ns = delay_ns > UINT64_MAX / 2 ? UINT64_MAX : delay_ns * 2;
	if (delay_ns >= b->max_ns)
		delay_ns = b->max_ns;
	else
		b->tries++;
	return delay_ns - backoff__random(b) % (delay_ns / 2 + 1);
}

void backoff__reset(struct backoff *b)
{
	b->tries = 0;
}
