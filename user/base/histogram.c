/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The count is the sum of the buckets, so that a reader in between never sees one that is less than
 * the largest bucket.
 */
#include "base/histogram.h"

#include "base/util.h"

#define MS 1000000ull
#define SECONDS (1000 * MS)
#define KIB 1024ull

const struct histogram_shape histogram_durations = {
	.ns = true,
	.n = 13,
	.bounds = {5 * MS, 10 * MS, 25 * MS, 50 * MS, 100 * MS, 250 * MS, 500 * MS, SECONDS,
		   2500 * MS, 5 * SECONDS, 10 * SECONDS, 30 * SECONDS, 60 * SECONDS},
};

const struct histogram_shape histogram_sizes = {
	.n = 8,
	.bounds = {KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, 1024 * KIB, 4096 * KIB,
		   16384 * KIB},
};

const struct histogram_shape histogram_ages = {
	.ns = true,
	.n = 16,
	.bounds = {5 * MS, 25 * MS, 100 * MS, 250 * MS, 500 * MS, SECONDS, 1500 * MS, 2500 * MS,
		   5 * SECONDS, 10 * SECONDS, 30 * SECONDS, 60 * SECONDS, 300 * SECONDS,
		   1800 * SECONDS, 3600 * SECONDS, 86400 * SECONDS},
};

static void add(_Atomic uint64_t *to, uint64_t n)
{
	atomic_fetch_add_explicit(to, n, memory_order_relaxed);
}

void histogram__add(struct histogram *h, uint64_t value)
{
	size_t i = 0;

	while (i < h->shape->n && value > h->shape->bounds[i])
		i++;
	add(&h->counts[i], 1);
	add(&h->sum, value);
}

void histogram__add_range(struct histogram *h, uint64_t least, uint64_t most, uint64_t n)
{
	uint64_t below = 0, upto;

	if (!n)
		return;
	most = MAX(least, most);
	for (size_t i = 0; i < h->shape->n; i++) {
		uint64_t bound = h->shape->bounds[i];

		if (bound >= most)
			upto = n;
		else if (bound < least)
			upto = 0;
		else
			upto = (uint64_t)((double)(bound - least) / (double)(most - least) *
					  (double)n);
		add(&h->counts[i], upto - below);
		below = upto;
	}
	add(&h->counts[h->shape->n], n - below);
	add(&h->sum, n * (least + (most - least) / 2));
}

uint64_t histogram__count(const struct histogram *h)
{
	uint64_t sum = 0;

	for (size_t i = 0; i <= h->shape->n; i++)
		sum += atomic_load_explicit(&h->counts[i], memory_order_relaxed);
	return sum;
}
