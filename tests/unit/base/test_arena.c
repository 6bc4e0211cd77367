/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/arena.h"
#include "base/util.h"

static void test_aligned_and_apart(void **state _unused_)
{
	_arena_ struct arena a = {0};
	char *before = NULL, *p;

	for (size_t size = 0; size < 600; size += 7) {
		p = arena__alloc(&a, size);
		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 16, 0);
		memset(p, 0xa5, size);
		assert_ptr_not_equal(p, before);
		before = p;
	}
}

static void test_zeroed(void **state _unused_)
{
	_arena_ struct arena a = {0};
	static const char zeros[64];
	char *p = arena__alloc(&a, sizeof(zeros));

	memset(p, 0xa5, sizeof(zeros));
	arena__reset(&a);
	p = arena__zalloc(&a, sizeof(zeros));
	assert_memory_equal(p, zeros, sizeof(zeros));
}

static void test_copy(void **state _unused_)
{
	_arena_ struct arena a = {0};

	assert_string_equal(arena__copy(&a, "abcd", 3), "abc");
	assert_string_equal(arena__copy(&a, NULL, 0), "");
}

/* What one line needed, the next has without a malloc. */
static void test_chunks_are_kept(void **state _unused_)
{
	_arena_ struct arena a = {0};
	uint64_t n_mallocs;

	for (int i = 0; i < 100; i++)
		assert_non_null(arena__alloc(&a, 5000));
	assert_non_null(arena__alloc(&a, 1 << 20)); /* larger than any chunk */
	n_mallocs = a.n_mallocs;
	assert_true(n_mallocs > 1);
	for (int round = 0; round < 3; round++) {
		arena__reset(&a);
		for (int i = 0; i < 100; i++)
			assert_non_null(arena__alloc(&a, 5000));
		assert_non_null(arena__alloc(&a, 1 << 20));
	}
	assert_int_equal(a.n_mallocs, n_mallocs);
}

static void test_bound(void **state _unused_)
{
	_arena_ struct arena a = {.max = 100};

	assert_null(arena__alloc(&a, 101));
	assert_null(arena__alloc(&a, SIZE_MAX));
	assert_non_null(arena__alloc(&a, 80));
	assert_null(arena__alloc(&a, 48));
	arena__reset(&a);
	assert_non_null(arena__alloc(&a, 48));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_aligned_and_apart),
		cmocka_unit_test(test_zeroed),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_chunks_are_kept),
		cmocka_unit_test(test_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
