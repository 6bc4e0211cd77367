/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/histogram.h"
#include "base/util.h"

static const struct histogram_shape SHAPE = {.n = 3, .bounds = {10, 20, 40}};

static void expect(const struct histogram *h, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	assert_int_equal(h->counts[0], a);
	assert_int_equal(h->counts[1], b);
	assert_int_equal(h->counts[2], c);
	assert_int_equal(h->counts[3], d);
	assert_int_equal(histogram__count(h), a + b + c + d);
}

static void bounds_are_inclusive(void **state)
{
	struct histogram h = {.shape = &SHAPE};

	(void)state;
	histogram__add(&h, 0);
	histogram__add(&h, 10);
	histogram__add(&h, 11);
	histogram__add(&h, 40);
	histogram__add(&h, 41);
	expect(&h, 2, 1, 1, 1);
	assert_int_equal(h.sum, 102);
}

static void a_range_lies_evenly(void **state)
{
	struct histogram h = {.shape = &SHAPE};

	(void)state;
	histogram__add_range(&h, 0, 80, 8);
	expect(&h, 1, 1, 2, 4);
	assert_int_equal(h.sum, 320);
	histogram__add_range(&h, 15, 15, 3); /* all at once */
	expect(&h, 1, 4, 2, 4);
	histogram__add_range(&h, 30, 20, 1); /* the clock of one was late */
	histogram__add_range(&h, 100, 200, 5);
	histogram__add_range(&h, 0, 100, 0);
	expect(&h, 1, 4, 3, 9);
}

static void shapes_ascend(void **state)
{
	const struct histogram_shape *const all[] = {&histogram_durations, &histogram_sizes,
						     &histogram_ages};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		assert_in_range(all[i]->n, 1, HISTOGRAM_MAX);
		for (size_t j = 1; j < all[i]->n; j++)
			assert_true(all[i]->bounds[j - 1] < all[i]->bounds[j]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bounds_are_inclusive),
		cmocka_unit_test(a_range_lies_evenly),
		cmocka_unit_test(shapes_ascend),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
