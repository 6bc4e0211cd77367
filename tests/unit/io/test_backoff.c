/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "io/backoff.h"

#define TRIES 100

static void test_grows_within_bounds(void **state)
{
	struct backoff b;
	uint64_t ceiling = 1000;

	(void)state;
	backoff__init(&b, 1000, 300000, 1);
	for (int i = 0; i < TRIES; i++) {
		uint64_t delay = backoff__next(&b);

		assert_in_range(delay, ceiling / 2, ceiling);
		ceiling = ceiling * 2 > 300000 ? 300000 : ceiling * 2;
	}
	backoff__reset(&b);
	assert_in_range(backoff__next(&b), 500, 1000);
}

static void test_spreads(void **state)
{
	struct backoff a, b;
	int different = 0;

	(void)state;
	backoff__init(&a, 1000000, 300000000, 1);
	backoff__init(&b, 1000000, 300000000, 2);
	for (int i = 0; i < TRIES; i++)
		different += backoff__next(&a) != backoff__next(&b);
	assert_in_range(different, TRIES - 5, TRIES);
}

static void test_extremes(void **state)
{
	struct backoff b;

	(void)state;
	backoff__init(&b, UINT64_MAX / 3, UINT64_MAX, 7);
	for (int i = 0; i < TRIES; i++)
		assert_true(backoff__next(&b) >= UINT64_MAX / 6 - 1);
	backoff__init(&b, 10, 5, 7);
	assert_in_range(backoff__next(&b), 2, 5);
	backoff__init(&b, 0, 0, 7);
	assert_int_equal(backoff__next(&b), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grows_within_bounds),
		cmocka_unit_test(test_spreads),
		cmocka_unit_test(test_extremes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
