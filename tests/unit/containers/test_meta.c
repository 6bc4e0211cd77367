/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "containers/meta.h"

static void null_is_fine(void **state _unused_)
{
	meta__unref(NULL);
}

static void half_built_is_freed(void **state _unused_)
{
	struct meta *m = meta__new();

	assert_int_equal(m->refs, 1);
	assert_null(m->id);
	m->id = strdup("x");
	meta__unref(m);
}

static void lives_until_the_last_reference(void **state _unused_)
{
	struct meta *m = meta__new();

	assert_int_equal(meta__add_label(m, "a", "1"), 0);
	assert_ptr_equal(meta__ref(m), m);
	meta__unref(m);
	assert_string_equal(meta__label(m, "a"), "1");
	meta__unref(m);
}

static void labels(void **state _unused_)
{
	_meta_ struct meta *m = meta__new();
	char name[16];

	assert_null(meta__label(m, "n0"));
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		assert_int_equal(meta__add_label(m, name, name + 1), 0);
	}
	assert_int_equal(m->n_labels, 100);
	assert_string_equal(meta__label(m, "n0"), "0");
	assert_string_equal(meta__label(m, "n99"), "99");
	assert_null(meta__label(m, "n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(null_is_fine),
		cmocka_unit_test(half_built_is_freed),
		cmocka_unit_test(lives_until_the_last_reference),
		cmocka_unit_test(labels),
	};

	return cmocka_run_group_tests_name("meta", tests, NULL, NULL);
}
