/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clocks. The two clocks cannot be read at one instant: the wall clock is read between two reads of
 * the boot clock, and of several such triples the tightest is believed, for a preemption widens it.
 * The calendar is Howard Hinnant's days-to-civil arithmetic: years begin in March, so that the leap
 * day is the last of a year.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/util.h"

#define ANCHOR_TRIES 9
#define SECONDS_PER_DAY 86400
#define DAYS_TO_EPOCH 719468 /* from 0000-03-01 */
#define DAYS_PER_ERA 146097  /* 400 years */

static int read_ns(clockid_t id, uint64_t *ret_ns)
{
	struct timespec ts;

	if (clock_gettime(id, &ts) < 0)
		return -errno;
	*ret_ns = (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
	return 0;
}

uint64_t clock__boot_ns(void)
{
	uint64_t ns = 0;

	read_ns(CLOCK_BOOTTIME, &ns);
	return ns;
}

uint64_t clock__real_ns(void)
{
	uint64_t ns = 0;

	read_ns(CLOCK_REALTIME, &ns);
	return ns;
}

/* *ret_boot_ns is when the offset was measured. */
static int measure(uint64_t *ret_boot_ns, int64_t *ret_offset_ns)
{
	uint64_t before = 0, real = 0, after = 0, best = UINT64_MAX;
	int err;

	for (int i = 0; i < ANCHOR_TRIES; i++) {
		err = read_ns(CLOCK_BOOTTIME, &before);
		if (!err)
			err = read_ns(CLOCK_REALTIME, &real);
		if (!err)
			err = read_ns(CLOCK_BOOTTIME, &after);
		if (err)
			return err;
		if (after - before >= best)
			continue;
		best = after - before;
		*ret_offset_ns = (int64_t)(real - (before + best / 2));
	}
	*ret_boot_ns = after;
	return 0;
}

int clock__anchor(struct clock_anchor *ret_anchor)
{
	uint64_t boot_ns = 0;
	int64_t offset_ns = 0;
	int err = measure(&boot_ns, &offset_ns);

	if (!err)
		*ret_anchor = (struct clock_anchor){.offset_ns = offset_ns};
	return err;
}

bool clock__check(struct clock_anchor *anchor)
{
	uint64_t boot_ns = 0;
	int64_t offset_ns = 0;

	return measure(&boot_ns, &offset_ns) == 0 && clock__follow(anchor, boot_ns, offset_ns);
}

bool clock__follow(struct clock_anchor *anchor, uint64_t boot_ns, int64_t offset_ns)
{
	const struct clock_step step = {boot_ns + CLOCK_AHEAD_NS, offset_ns};
	int64_t moved = offset_ns - anchor->offset_ns;

	if (moved <= (int64_t)CLOCK_STEP_NS && moved >= -(int64_t)CLOCK_STEP_NS)
		return false;
	return clock__add_step(anchor, &step) == 0;
}

int clock__add_step(struct clock_anchor *anchor, const struct clock_step *step)
{
	if (step->from_ns <= anchor->from_ns)
		return -EINVAL;
	if (anchor->n_before == ARRAY_SIZE(anchor->before)) {
		anchor->n_before--;
		memmove(anchor->before, anchor->before + 1,
			anchor->n_before * sizeof(*anchor->before));
	}
	anchor->before[anchor->n_before++] =
		(struct clock_step){anchor->from_ns, anchor->offset_ns};
	anchor->from_ns = step->from_ns;
	anchor->offset_ns = step->offset_ns;
	return 0;
}

int64_t clock__offset_before(const struct clock_anchor *anchor, uint64_t boot_ns)
{
	size_t i = anchor->n_before;

	if (!i)
		return anchor->offset_ns;
	while (--i && boot_ns < anchor->before[i].from_ns)
		;
	return anchor->before[i].offset_ns;
}

static void put_digits(char *out, unsigned value, int digits)
{
	while (digits--) {
		out[digits] = (char)('0' + value % 10);
		value /= 10;
	}
}

static void put_fraction(char *out, unsigned ns)
{
	static const char pairs[] = "00010203040506070809101112131415161718192021222324"
				    "25262728293031323334353637383940414243444546474849"
				    "50515253545556575859606162636465666768697071727374"
				    "75767778798081828384858687888990919293949596979899";

	out[8] = (char)('0' + ns % 10);
	ns /= 10;
	for (int i = 6; i >= 0; i -= 2) {
		memcpy(out + i, pairs + ns % 100 * 2, 2);
		ns /= 100;
	}
}

void clock__rfc3339(uint64_t real_ns, char out[RFC3339_LEN])
{
	uint64_t seconds = real_ns / NS_PER_SEC;
	unsigned of_day = (unsigned)(seconds % SECONDS_PER_DAY);
	uint64_t days = seconds / SECONDS_PER_DAY + DAYS_TO_EPOCH;
	unsigned era = (unsigned)(days / DAYS_PER_ERA);
	unsigned of_era = (unsigned)(days % DAYS_PER_ERA);
	unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
	unsigned month = (5 * of_year + 2) / 153; /* 0: March */
	unsigned day = of_year - (153 * month + 2) / 5 + 1;

	year += era * 400 + (month >= 10);
	month = month < 10 ? month + 3 : month - 9;
	memcpy(out, "0000-00-00T00:00:00.000000000Z", RFC3339_LEN);
	put_digits(out, year, 4);
	put_digits(out + 5, month, 2);
	put_digits(out + 8, day, 2);
	put_digits(out + 11, of_day / 3600, 2);
	put_digits(out + 14, of_day / 60 % 60, 2);
	put_digits(out + 17, of_day % 60, 2);
	put_fraction(out + 20, (unsigned)(real_ns % NS_PER_SEC));
}

const char *rfc3339_cache__text(struct rfc3339_cache *cache, uint64_t real_ns)
{
	uint64_t second = real_ns / NS_PER_SEC;

	if (cache->second != second + 1) {
		clock__rfc3339(real_ns, cache->text);
		cache->second = second + 1;
	} else {
		put_fraction(cache->text + 20, (unsigned)(real_ns - second * NS_PER_SEC));
	}
	return cache->text;
}
