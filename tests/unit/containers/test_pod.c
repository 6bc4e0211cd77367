/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "containers/pod.h"

#define STRINGS(p)                                                                                \
	{                                                                                         \
		&(p)->uid, &(p)->namespace, &(p)->name, &(p)->config_hash, &(p)->node_name,       \
			&(p)->host_ip, &(p)->ip, &(p)->phase, &(p)->ready, &(p)->controller_kind, \
			&(p)->controller_name                                                     \
	}

static struct pod *full(void)
{
	struct pod *p = pod__new();
	char **strings[] = STRINGS(p);
	struct pod_container *c;

	for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
		*strings[i] = strdup("x");
	assert_int_equal(pod__add_label(p, "app", "web"), 0);
	assert_int_equal(pod__add_annotation(p, "note", "n"), 0);
	c = pod__add_container(p, "web");
	c->id = strdup("1");
	c->image = strdup("i");
	assert_int_equal(pod_container__add_port(c, "http", 80, "TCP"), 0);
	assert_non_null(pod__add_container(p, "other"));
	return p;
}

static void every_difference_counts(void **state)
{
	_pod_ struct pod *same = full();

	(void)state;
	for (unsigned i = 0; i < 17; i++) {
		_pod_ struct pod *p = full();
		char **strings[] = STRINGS(p);

		assert_true(pod__same(p, same));
		assert_true(pod__same_for(p, same, "web"));
		if (i < ARRAY_SIZE(strings))
			**strings[i] = 'y';
		else if (i == 11)
			p->from_bundle = true;
		else if (i == 12)
			*p->labels[0].value = 'y';
		else if (i == 13)
			*p->annotations[0].value = 'y';
		else if (i == 14)
			p->containers[0].kind = POD_CONTAINER_INIT;
		else if (i == 15)
			p->containers[0].ports[0].number++;
		else
			*p->containers[0].id = 'y';
		assert_false(pod__same(p, same));
		assert_false(pod__same_for(p, same, "web"));
		/* What another container is like is nothing to this one. */
		assert_int_equal(pod__same_for(p, same, "other"), i >= 14);
		assert_int_equal(pod__same_for(p, same, NULL), i >= 14);
	}
}

static void one_more_container(void **state)
{
	_pod_ struct pod *a = full(), *b = full();

	(void)state;
	assert_non_null(pod__add_container(b, "debug"));
	assert_false(pod__same(a, b));
	assert_true(pod__same_for(a, b, "web"));
	assert_false(pod__same_for(a, b, "debug"));
	assert_true(pod__same(NULL, NULL));
	assert_false(pod__same(a, NULL));
}

/* What a journal has room for. */
static void bounded(void **state)
{
	_pod_ struct pod *p = pod__new();
	char value[POD_VALUE_MAX + 2], name[16];

	(void)state;
	memset(value, 'x', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	assert_int_equal(pod__add_annotation(p, "large", value), 0);
	assert_int_equal(
		pod__add_annotation(p, "kubectl.kubernetes.io/last-applied-configuration", "{}"),
		0);
	assert_int_equal(p->n_annotations, 0);
	value[POD_VALUE_MAX] = '\0';
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "n%02d", i);
		assert_int_equal(pod__add_annotation(p, name, value), 0);
		assert_int_equal(pod__add_label(p, name, value), 0);
	}
	assert_int_equal(p->n_annotations, POD_BYTES_MAX / (POD_VALUE_MAX + 3));
	assert_int_equal(p->n_labels, p->n_annotations);
	/* A small one finds its place behind. */
	assert_int_equal(pod__add_annotation(p, "small", "s"), 0);
	assert_string_equal(pod__annotation(p, "small"), "s");
	assert_null(pod__label(p, "small"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_difference_counts),
		cmocka_unit_test(one_more_container),
		cmocka_unit_test(bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
