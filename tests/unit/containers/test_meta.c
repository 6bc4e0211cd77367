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

static struct meta *full(void)
{
	struct meta *m = meta__new();
	char **strings[] = {&m->engine,		 &m->id,	 &m->name,
			    &m->image,		 &m->image_id,	 &m->network_mode,
			    &m->network_name,	 &m->network_id, &m->network_ip,
			    &m->port.outside_ip, &m->network_of};

	for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
		*strings[i] = strdup("x");
	m->port.inside = 80;
	m->port.outside = 8080;
	m->detailed = true;
	assert_int_equal(meta__add_label(m, "a", "1"), 0);
	m->network = meta_network__new();
	m->network->scope = strdup("local");
	assert_int_equal(meta_network__add_label(m->network, "b", "2"), 0);
	return m;
}

static void copied(void **state _unused_)
{
	_meta_ struct meta *a = full();
	_meta_ struct meta *b = meta__new();

	assert_int_equal(meta__copy(b, a), 0);
	assert_true(meta__same(a, b));
	assert_ptr_equal(a->network, b->network);
	assert_int_equal(a->network->refs, 2);
}

static void every_difference_counts(void **state _unused_)
{
	_meta_ struct meta *a = full();

	for (size_t i = 0; i < 17; i++) {
		_meta_ struct meta *b = full();
		char **strings[] = {&b->engine,
				    &b->id,
				    &b->name,
				    &b->image,
				    &b->image_id,
				    &b->network_mode,
				    &b->network_of,
				    &b->network_name,
				    &b->network_id,
				    &b->network_ip,
				    &b->port.outside_ip,
				    &b->labels[0].value,
				    &b->network->scope,
				    &b->network->labels[0].value};

		assert_true(meta__same(a, b));
		if (i < ARRAY_SIZE(strings))
			**strings[i] = 'y';
		else if (i == 14)
			b->port.inside++;
		else if (i == 15)
			b->network->ingress = true;
		else
			b->detailed = false;
		assert_false(meta__same(a, b));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(null_is_fine),
		cmocka_unit_test(half_built_is_freed),
		cmocka_unit_test(lives_until_the_last_reference),
		cmocka_unit_test(labels),
		cmocka_unit_test(copied),
		cmocka_unit_test(every_difference_counts),
	};

	return cmocka_run_group_tests_name("meta", tests, NULL, NULL);
}
