/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sink/batches.h"
#include "sink/pending.h"

static void test_first_in_first_out(void **state)
{
	struct results results = {0};
	struct pending p = {0};

	(void)state;
	assert_null(pending__first(&p));
	assert_null(pending__pop(&p));
	for (uint64_t round = 0; round < 2; round++) {
		size_t bytes = 0;

		for (uint64_t i = 0; i < 3; i++) {
			struct batch *b = make_batch(i, "0123456789", 10);

			assert_int_equal(pending__push(&p, b), 0);
			bytes += sizeof(*b) + b->payload.size;
		}
		assert_int_equal(p.bytes, bytes);
		for (uint64_t i = 0; i < 3; i++) {
			assert_int_equal(pending__first(&p)->sequence, i);
			results__add(&results, pending__pop(&p), SINK_DELIVERED);
			assert_int_equal(results.sequence[round * 3 + i], i);
		}
		assert_null(pending__pop(&p));
		assert_int_equal(p.bytes, 0);
	}
}

/* The payload may change while the batch waits; what was added is taken off again. */
static void test_bytes_stay_balanced(void **state)
{
	struct results results = {0};
	struct pending p = {0};
	struct batch *b = make_batch(1, "x", 1);

	(void)state;
	assert_int_equal(pending__push(&p, b), 0);
	assert_int_equal(buf__reserve(&b->payload, 100000), 0);
	results__add(&results, pending__pop(&p), SINK_DELIVERED);
	assert_int_equal(p.bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_in_first_out),
		cmocka_unit_test(test_bytes_stay_balanced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
