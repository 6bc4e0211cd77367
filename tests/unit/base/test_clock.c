/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/util.h"

static void assert_time(uint64_t real_ns, const char *text)
{
	char out[RFC3339_LEN + 1] = {0};

	clock__rfc3339(real_ns, out);
	assert_string_equal(out, text);
}

static void test_rfc3339(void **state _unused_)
{
	assert_time(0, "1970-01-01T00:00:00.000000000Z");
	assert_time(1, "1970-01-01T00:00:00.000000001Z");
	assert_time(999999999, "1970-01-01T00:00:00.999999999Z");
	assert_time(1795236008125461044ull, "2026-11-21T04:40:08.125461044Z");
	assert_time(1795236008000000000ull, "2026-11-21T04:40:08.000000000Z");
}

static void test_rfc3339_leap_years(void **state _unused_)
{
	assert_time(951782399 * NS_PER_SEC, "2000-02-28T23:59:59.000000000Z");
	assert_time(951782400 * NS_PER_SEC, "2000-02-29T00:00:00.000000000Z");
	assert_time(951868800 * NS_PER_SEC, "2000-03-01T00:00:00.000000000Z");
	assert_time(1709164800 * NS_PER_SEC, "2024-02-29T00:00:00.000000000Z");
	assert_time(1740787200 * NS_PER_SEC, "2025-03-01T00:00:00.000000000Z");
	assert_time(1740787199 * NS_PER_SEC, "2025-02-28T23:59:59.000000000Z");
	assert_time(4107542400 * NS_PER_SEC, "2100-03-01T00:00:00.000000000Z");
	assert_time(4107542399 * NS_PER_SEC, "2100-02-28T23:59:59.000000000Z");
	assert_time(978307199 * NS_PER_SEC, "2000-12-31T23:59:59.000000000Z");
	assert_time(978307200 * NS_PER_SEC, "2001-01-01T00:00:00.000000000Z");
}

/* The last nanosecond that fits. */
static void test_rfc3339_largest(void **state _unused_)
{
	assert_time(UINT64_MAX, "2554-07-21T23:34:33.709551615Z");
}

/* Each day of 400 years follows the one before. */
static void test_rfc3339_every_day(void **state _unused_)
{
	static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int year = 1970, month = 1, day = 1;
	char out[RFC3339_LEN + 1] = {0}, date[64];

	for (uint64_t n = 0; n < 146097; n++) {
		bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

		clock__rfc3339(n * 86400 * NS_PER_SEC, out);
		snprintf(date, sizeof(date), "%04d-%02d-%02dT", year, month, day);
		assert_memory_equal(out, date, 11);
		if (++day > lengths[month - 1] + (month == 2 && leap)) {
			day = 1;
			month++;
		}
		if (month > 12) {
			month = 1;
			year++;
		}
	}
}

static void test_rfc3339_cache(void **state _unused_)
{
	static const uint64_t times[] = {
		0,
		5,
		NS_PER_SEC - 1,
		NS_PER_SEC,
		1795236008125461044ull,
		1795236008125461045ull,
		1795236008999999999ull,
		1795236009000000000ull,
		1795236008125461044ull, /* back */
		UINT64_MAX,
		0,
	};
	struct rfc3339_cache cache = {0};
	char out[RFC3339_LEN];

	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		clock__rfc3339(times[i], out);
		assert_memory_equal(rfc3339_cache__text(&cache, times[i]), out, RFC3339_LEN);
	}
}

static void test_anchor_is_the_difference(void **state _unused_)
{
	struct clock_anchor anchor;
	uint64_t before, boot, after, real;

	assert_int_equal(clock__anchor(&anchor), 0);
	before = clock__real_ns();
	boot = clock__boot_ns();
	after = clock__real_ns();
	real = clock__to_real(&anchor, boot);
	assert_true(real + NS_PER_SEC > before);
	assert_true(real < after + NS_PER_SEC);
}

static void test_to_real_is_pure(void **state _unused_)
{
	const struct clock_anchor forward = {.offset_ns = 1000}, back = {.offset_ns = -1000};

	assert_int_equal(clock__to_real(&forward, 5), 1005);
	assert_int_equal(clock__to_real(&back, 1005), 5);
}

/* A wall clock that stands elsewhere than the anchor says has stepped. */
static void test_check_sees_a_step(void **state _unused_)
{
	static const int64_t steps[] = {3600 * (int64_t)NS_PER_SEC, -3600 * (int64_t)NS_PER_SEC,
					10 * (int64_t)NS_PER_SEC, -10 * (int64_t)NS_PER_SEC};
	struct clock_anchor anchor, stepped;

	assert_int_equal(clock__anchor(&anchor), 0);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		stepped = (struct clock_anchor){.offset_ns = anchor.offset_ns + steps[i]};
		assert_true(clock__check(&stepped));
		assert_true(stepped.offset_ns - anchor.offset_ns < (int64_t)NS_PER_SEC);
		assert_true(anchor.offset_ns - stepped.offset_ns < (int64_t)NS_PER_SEC);
	}
}

static void test_check_keeps_the_anchor(void **state _unused_)
{
	struct clock_anchor anchor;
	int64_t offset;

	assert_int_equal(clock__anchor(&anchor), 0);
	anchor.offset_ns += 1000;
	offset = anchor.offset_ns;
	assert_false(clock__check(&anchor));
	assert_int_equal(anchor.offset_ns, offset);
}

#define HOUR (3600 * NS_PER_SEC)

/* What a record's time is does not change when the clock steps later. */
static void test_a_step_holds_from_then_on(void **state _unused_)
{
	struct clock_anchor a = {.offset_ns = 1000000};
	const int64_t hour = (int64_t)HOUR;

	assert_true(clock__follow(&a, 10 * HOUR, 1000000 + hour));
	assert_true(clock__follow(&a, 20 * HOUR, 1000000 - hour));
	assert_int_equal(clock__to_real(&a, 0), 1000000);
	assert_int_equal(clock__to_real(&a, 10 * HOUR), 10 * HOUR + 1000000);
	assert_int_equal(clock__to_real(&a, 10 * HOUR + CLOCK_AHEAD_NS),
			 11 * HOUR + CLOCK_AHEAD_NS + 1000000);
	assert_int_equal(clock__to_real(&a, 20 * HOUR), 21 * HOUR + 1000000);
	assert_int_equal(clock__to_real(&a, 20 * HOUR + CLOCK_AHEAD_NS),
			 19 * HOUR + CLOCK_AHEAD_NS + 1000000);
	assert_int_equal(clock__to_real(&a, 30 * HOUR), 29 * HOUR + 1000000);
	assert_int_equal(a.n_before, 2);
}

/* The machine slept for eight hours: CLOCK_BOOTTIME did not, unlike CLOCK_MONOTONIC. */
static void test_suspend_is_no_step(void **state _unused_)
{
	struct clock_anchor a = {.offset_ns = 1000000};

	assert_false(clock__follow(&a, 10 * HOUR, 1000000));
	assert_false(clock__follow(&a, 18 * HOUR, 1000000 + (int64_t)CLOCK_STEP_NS));
	assert_false(clock__follow(&a, 18 * HOUR, 1000000 - (int64_t)CLOCK_STEP_NS));
	assert_int_equal(a.n_before, 0);
	assert_int_equal(clock__to_real(&a, 18 * HOUR), 18 * HOUR + 1000000);
}

static void test_the_oldest_steps_go(void **state _unused_)
{
	struct clock_anchor a = {0};

	for (int64_t i = 1; i <= 3 * CLOCK_STEPS_MAX; i++)
		assert_true(clock__follow(&a, (uint64_t)i * HOUR, i * (int64_t)NS_PER_SEC));
	assert_int_equal(a.n_before, CLOCK_STEPS_MAX - 1);
	assert_int_equal(clock__to_real(&a, 3 * CLOCK_STEPS_MAX * HOUR) -
				 3 * CLOCK_STEPS_MAX * HOUR,
			 (3 * CLOCK_STEPS_MAX - 1) * NS_PER_SEC);
	/* The oldest that is left, for all before. */
	assert_int_equal(clock__to_real(&a, 0), (2 * CLOCK_STEPS_MAX + 1) * NS_PER_SEC);
	assert_int_equal(clock__add_step(&a, &(struct clock_step){.from_ns = 5}), -EINVAL);
}

static void test_boot_moves_forward(void **state _unused_)
{
	uint64_t first = clock__boot_ns();

	assert_true(first > 0);
	assert_true(clock__boot_ns() >= first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_step_holds_from_then_on),
		cmocka_unit_test(test_suspend_is_no_step),
		cmocka_unit_test(test_the_oldest_steps_go),
		cmocka_unit_test(test_rfc3339),
		cmocka_unit_test(test_rfc3339_leap_years),
		cmocka_unit_test(test_rfc3339_largest),
		cmocka_unit_test(test_rfc3339_every_day),
		cmocka_unit_test(test_rfc3339_cache),
		cmocka_unit_test(test_anchor_is_the_difference),
		cmocka_unit_test(test_to_real_is_pure),
		cmocka_unit_test(test_check_sees_a_step),
		cmocka_unit_test(test_check_keeps_the_anchor),
		cmocka_unit_test(test_boot_moves_forward),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
