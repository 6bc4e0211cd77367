/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Positions of the ring at which a successor may begin. Whoever keeps bytes over one of them notes
 * what the successor has to know. Written in one place, looked at in many. One thread.
 */
#ifndef NOTAIL_BASE_MARKS_H
#define NOTAIL_BASE_MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MARKS_MAX 128

struct marks {
	size_t n;
	uint64_t pos[MARKS_MAX]; /* rising, each between two records */
};

/* 0: there is none. */
static inline uint64_t marks__newest(const struct marks *m)
{
	return m->n ? m->pos[m->n - 1] : 0;
}

/* The newest one at or before pos; 0: there is none. */
static inline uint64_t marks__before(const struct marks *m, uint64_t pos)
{
	size_t low = 0, high = m->n;

	if (marks__newest(m) <= pos)
		return marks__newest(m);
	while (low < high) {
		size_t at = (low + high) / 2;

		if (m->pos[at] <= pos)
			low = at + 1;
		else
			high = at;
	}
	return low ? m->pos[low - 1] : 0;
}

/* There is one behind the record at `from` and not behind that at `to`. */
static inline bool marks__between(const struct marks *m, uint64_t from, uint64_t to)
{
	return marks__newest(m) > from && marks__before(m, to) > from;
}

#endif
