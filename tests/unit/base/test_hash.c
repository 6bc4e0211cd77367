/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/hash.h"

/* FNV's own examples: what lies in a spool or is pinned was made by another notail. */
static void as_published(void **state)
{
	(void)state;
	assert_int_equal(hash__bytes(HASH_START, "", 0), 0xcbf29ce484222325);
	assert_int_equal(hash__bytes(HASH_START, "a", 1), 0xaf63dc4c8601ec8c);
	assert_int_equal(hash__bytes(HASH_START, "foobar", 6), 0x85944171f73967e8);
	assert_int_equal(hash__text(HASH_START, "foobar"), hash__bytes(HASH_START, "foobar", 7));
}

static void texts_do_not_run_together(void **state)
{
	(void)state;
	assert_int_not_equal(hash__text(hash__text(HASH_START, "a"), "bc"),
			     hash__text(hash__text(HASH_START, "ab"), "c"));
}

static void mixed_is_never_nothing(void **state)
{
	(void)state;
	assert_int_equal(hash__mix(0), 1);
	assert_int_not_equal(hash__mix(1), hash__mix(2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_published),
		cmocka_unit_test(texts_do_not_run_together),
		cmocka_unit_test(mixed_is_never_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
