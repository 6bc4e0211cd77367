/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "parse.h"

static void sorted_by_place(void **state)
{
	struct diag *d;
	char text[1000];

	(void)state;
	assert_int_equal(diag__new(&d, "a.yaml"), 0);
	diag__error_at(d, 7, 2, "late");
	diag__error_at(d, 0, 0, "whole");
	diag__error_at(d, 7, 1, "first of line %d", 7);
	diag__error_at(d, 2, 9, "early\n\x1b[31m\xff");
	messages(d, text, sizeof(text));
	assert_string_equal(text, "a.yaml: whole\n"
				  "a.yaml:2:9: early??[31m?\n"
				  "a.yaml:7:1: first of line 7\n"
				  "a.yaml:7:2: late\n");
	assert_int_equal(diag__errors(d), 4);
	assert_int_equal(diag__warnings(d), 0);
	diag__free(d);
}

static void path_of_a_node(void **state)
{
	const struct node root = {.kind = NODE_MAPPING, .line = 1, .column = 1};
	const struct node list = {.parent = &root, .key = "clients", .line = 1, .column = 10};
	const struct node item = {.parent = &list, .index = 3, .line = 2, .column = 4};
	const struct node odd = {.parent = &item, .key = "a b", .line = 5, .column = 6};
	const struct node leaf = {.parent = &odd, .key = "url", .line = 6, .column = 7};
	struct diag *d;
	char text[1000];

	(void)state;
	assert_int_equal(diag__new(&d, "a.yaml"), 0);
	diag__warn(d, &leaf, "what");
	diag__error(d, &root, "where");
	diag__error(d, NULL, "all");
	messages(d, text, sizeof(text));
	assert_string_equal(text, "a.yaml: all\n"
				  "a.yaml:1:1: where\n"
				  "a.yaml:6:7: warning: clients[3][\"a b\"].url: what\n");
	assert_int_equal(diag__errors(d), 2);
	assert_int_equal(diag__warnings(d), 1);
	diag__free(d);
}

static void bounded(void **state)
{
	struct diag *d;
	char text[64 * 1024], *last;

	(void)state;
	assert_int_equal(diag__new(&d, "f"), 0);
	for (unsigned i = 0; i < DIAG_MAX * 2; i++)
		diag__warn(d, NULL, "w");
	for (unsigned i = 0; i < DIAG_MAX + 3; i++)
		diag__error_at(d, i + 1, 1, "e");
	messages(d, text, sizeof(text));
	assert_non_null(strstr(text, "f:200:1: e\n"));
	last = strstr(text, "f: 203 more\n");
	assert_non_null(last);
	assert_string_equal(last, "f: 203 more\n");
	assert_int_equal(diag__errors(d), DIAG_MAX + 3);
	diag__free(d);
	diag__free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sorted_by_place),
		cmocka_unit_test(path_of_a_node),
		cmocka_unit_test(bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
