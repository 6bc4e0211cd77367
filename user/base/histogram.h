/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often a number was how large, in fixed buckets: added to by one thread or several with
 * relaxed atomics, read by anyone. Zeroed memory with a shape is an empty one.
 */
#ifndef NOTAIL_BASE_HISTOGRAM_H
#define NOTAIL_BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_MAX 16

struct histogram_shape {
	bool ns; /* nanoseconds, to be shown as seconds */
	size_t n;
	uint64_t bounds[HISTOGRAM_MAX]; /* upper ones, inclusive, ascending */
};

struct histogram {
	const struct histogram_shape *shape;
	_Atomic uint64_t counts[HISTOGRAM_MAX + 1]; /* the last one: over all bounds */
	_Atomic uint64_t sum;
};

/* Of requests: 5 ms to 60 s; of bytes: 1 KiB to 16 MiB; of a line's age: 5 ms to 1 day. */
extern const struct histogram_shape histogram_durations, histogram_sizes, histogram_ages;

void histogram__add(struct histogram *h, uint64_t value);
/* n values that lie evenly between `least` and `most`. */
void histogram__add_range(struct histogram *h, uint64_t least, uint64_t most, uint64_t n);
uint64_t histogram__count(const struct histogram *h);

#endif
