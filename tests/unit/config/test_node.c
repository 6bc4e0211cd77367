/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "parse.h"

static struct diag *diag;
static struct document *doc;
static char text[64 * 1024];

static int set_up(void **state)
{
	(void)state;
	doc = NULL;
	return diag__new(&diag, "f");
}

static int tear_down(void **state)
{
	(void)state;
	document__free(doc);
	diag__free(diag);
	return 0;
}

static const struct node *parse_all(const char *yaml, size_t len)
{
	int err = document__parse(&doc, yaml, len, test_env, NULL, diag);

	messages(diag, text, sizeof(text));
	assert_int_equal(err, diag__errors(diag) ? -EINVAL : 0);
	return err ? NULL : document__root(doc);
}

static const struct node *parse(const char *yaml)
{
	const struct node *root = parse_all(yaml, strlen(yaml));

	if (!root)
		print_message("%s", text);
	assert_non_null(root);
	return root;
}

static void refused(const char *yaml, const char *expected)
{
	assert_null(parse_all(yaml, strlen(yaml)));
	assert_string_equal(text, expected);
	diag__free(diag);
	assert_int_equal(diag__new(&diag, "f"), 0);
}

static const char *value(const struct node *mapping, const char *key)
{
	const struct node *n = node__get(mapping, key);

	return n && n->kind == NODE_SCALAR ? n->text : NULL;
}

static void places_and_kinds(void **state)
{
	const struct node *root = parse("# c\na: 1\nb:\n  - x\n  - 'y'\nc: {d: ~, e: \"\"}\n"), *n;

	(void)state;
	assert_int_equal(root->kind, NODE_MAPPING);
	assert_int_equal(root->n_items, 3);
	n = node__get(root, "a");
	assert_int_equal(n->line, 2);
	assert_int_equal(n->column, 4);
	assert_int_equal(n->key_node->column, 1);
	assert_false(n->quoted);
	assert_ptr_equal(n->parent, root);
	n = node__get(root, "b");
	assert_int_equal(n->kind, NODE_SEQUENCE);
	assert_string_equal(n->items[1]->text, "y");
	assert_true(n->items[1]->quoted);
	assert_int_equal(n->items[1]->index, 1);
	assert_int_equal(n->items[1]->line, 5);
	assert_int_equal(n->items[1]->column, 5);
	n = node__get(root, "c");
	assert_int_equal(node__get(n, "d")->kind, NODE_NULL);
	assert_string_equal(value(n, "e"), "");
	assert_null(node__get(n, "f"));
	assert_null(node__get(node__get(root, "a"), "f"));
	assert_null(node__get(NULL, "f"));
}

static void nothing(void **state)
{
	(void)state;
	assert_int_equal(parse("")->kind, NODE_NULL);
	document__free(doc);
	assert_int_equal(parse("# only this\n")->kind, NODE_NULL);
	document__free(doc);
	assert_int_equal(parse("---\n...\n")->kind, NODE_NULL);
}

static void marks_of_encoding(void **state)
{
	const struct node *root = parse("\xef\xbb\xbf"
					"a: b\r\nc: d\r\n");

	(void)state;
	assert_string_equal(value(root, "c"), "d");
	assert_int_equal(node__get(root, "a")->key_node->column, 1);
	assert_null(parse_all("\xff\xfe"
			      "a\0",
			      4));
	assert_string_equal(text, "f:1:1: UTF-16, expected UTF-8\n");
}

static void no_yaml(void **state)
{
	(void)state;
	refused("a:\n\tb: c\n", "f:2:1: a tab, expected spaces to indent with\n");
	refused("a:\n  \tb: c\n  d: e\n", "f:2:3: a tab, expected spaces to indent with\n");
	refused("a: b\nc: \xff\n", "f:2:4: a byte that is no UTF-8, expected text in UTF-8\n");
	refused("a: \"\\0\"\n", "f:1:4: a: a NUL character, expected text\n");
	refused("a: b: c\n", "f:1:5: no YAML: mapping values are not allowed in this context, "
			     "expected another form or quotes here\n");
	refused("a: b\n---\nc: d\n", "f:2:1: a second document, expected one\n");
	refused("a: !!binary x\n",
		"f:1:4: a: unknown tag tag:yaml.org,2002:binary, expected none\n");
	refused("[a]: b\n", "f:1:1: a key that is no name, expected a string (quotes around {{ }} "
			    "or [ ] make one)\n");
}

static void duplicate_keys(void **state)
{
	(void)state;
	refused("a: 1\nb:\n  c: 1\n  d: 2\n  'c': 3\na: 4\na: 5\n",
		"f:5:3: b.c: duplicate key, expected it once: it stands at line 3 already\n"
		"f:6:1: a: duplicate key, expected it once: it stands at line 1 already\n"
		"f:7:1: a: duplicate key, expected it once: it stands at line 1 already\n");
}

static void aliases(void **state)
{
	const struct node *root = parse("a: &x {k: [1, 2]}\nb: *x\nc: [*x, &y z, *y]\n&q d: *q\n"
					"e: &x 7\nf: *x\n");
	const struct node *copy = node__get(root, "b");

	(void)state;
	assert_ptr_not_equal(copy, node__get(root, "a"));
	assert_ptr_equal(copy->parent, root);
	assert_string_equal(copy->key, "b");
	assert_int_equal(copy->line, 1);
	assert_int_equal(node__get(copy, "k")->n_items, 2);
	assert_ptr_equal(node__get(copy, "k")->items[1]->parent, node__get(copy, "k"));
	assert_string_equal(node__get(root, "c")->items[2]->text, "z");
	assert_string_equal(value(root, "d"), "d");
	assert_string_equal(value(root, "f"), "7");
	document__free(doc);
	doc = NULL;
	refused("a: &x [*x]\n", "f:1:8: *x stands within what it names, expected no circle\n");
	refused("a: *x\n", "f:1:4: *x: no such anchor, expected &x before it\n");
}

static void bombs(void **state)
{
	_free_ char *deep = malloc(300000);
	char bomb[2000] = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n";
	size_t len = strlen(bomb);

	(void)state;
	for (int i = 1; i < 12; i++)
		len += (size_t)snprintf(
			bomb + len, sizeof(bomb) - len,
			"a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1,
			i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
	refused(bomb, "f:6:14: too much, aliases included; expected at most 200000 values\n");

	memset(deep, '[', 299999);
	deep[299999] = '\0';
	refused(deep, "f:1:65: nested too deeply, expected at most 64 levels\n");

	/* Each level is shallow; together they are deep. */
	len = (size_t)snprintf(bomb, sizeof(bomb), "a0: &a0 x\n");
	for (int i = 1; i < 60; i++)
		len += (size_t)snprintf(bomb + len, sizeof(bomb) - len, "a%d: &a%d [[*a%d]]\n", i,
					i, i - 1);
	refused(bomb, "f:33:13: nested too deeply, expected at most 64 levels\n");
}

static void large(void **state)
{
	size_t size = 10 * 1000 * 1000;
	_free_ char *big = malloc(size + 1);

	(void)state;
	memset(big, 'a', size);
	big[size] = '\0';
	refused(big, "f: 10000000 bytes, expected at most 4194304\n");
	for (size_t i = 0; i < 4000000; i += 2)
		memcpy(big + i, "- ", 2);
	big[4000000] = '\0';
	refused(big, "f:1:129: nested too deeply, expected at most 64 levels\n");
	for (size_t i = 0; i + 16 <= 4000000; i += 16)
		memcpy(big + i, "aaaaaaaaaaaaaa:\n", 16);
	refused(big, "f:100000:16: too much, aliases included; expected at most 200000 values\n");
	for (size_t i = 0, n = 0; i < 90000 * 8; i += 8)
		snprintf(big + i, 9, "%06zu:\n", n++);
	assert_non_null(parse_all(big, 90000 * 8));
	assert_int_equal(document__root(doc)->n_items, 90000);
}

static void merge_keys(void **state)
{
	const struct node *root = parse("base: &b {a: 1, b: 2}\n"
					"more: &m {b: 3, c: 4}\n"
					"one: {b: own, <<: *b}\n"
					"two:\n  <<: [*b, *m]\n  d: 5\n"
					"inline: {<<: {x: 1}}\n"
					"quoted: {'<<': 1}\n");
	const struct node *two = node__get(root, "two");

	(void)state;
	assert_string_equal(value(node__get(root, "one"), "a"), "1");
	assert_string_equal(value(node__get(root, "one"), "b"), "own");
	assert_int_equal(node__get(root, "one")->n_items, 2);
	assert_string_equal(value(two, "b"), "2");
	assert_string_equal(value(two, "c"), "4");
	assert_string_equal(value(two, "d"), "5");
	assert_int_equal(two->n_items, 4);
	assert_ptr_equal(node__get(two, "c")->parent, two);
	assert_string_equal(value(node__get(root, "inline"), "x"), "1");
	assert_string_equal(value(node__get(root, "quoted"), "<<"), "1");
	document__free(doc);
	doc = NULL;
	refused("a: {<<: 1}\n",
		"f:1:9: a[\"<<\"]: expected a mapping to merge, or a list of them\n");
}

static void variables(void **state)
{
	const struct node *root = parse("a: ${HOST}:${PORT}\n"
					"b: ${NONE:-x}${EMPTY:-y}${HOST:-z}\n"
					"c: '${NONE:-${PORT}}'\n"
					"d: $${HOST} $1 ${1} $$ $\n"
					"e: ${TRICK}\n"
					"f: [ \"${EMPTY}\", '${PORT:?needed}' ]\n"
					"g: ${EMPTY}\n"
					"${HOST}: key\n");

	(void)state;
	assert_string_equal(value(root, "a"), "db-1:3100");
	assert_string_equal(value(root, "b"), "xydb-1");
	assert_string_equal(value(root, "c"), "3100");
	assert_string_equal(value(root, "d"), "${HOST} $1 ${1} $$ $");
	assert_string_equal(value(root, "e"), "a: [b");
	assert_string_equal(node__get(root, "f")->items[0]->text, "");
	assert_string_equal(node__get(root, "f")->items[1]->text, "3100");
	assert_int_equal(node__get(root, "g")->kind, NODE_NULL);
	assert_string_equal(value(root, "${HOST}"), "key");
	assert_string_equal(text, "");
}

static void variables_that_are_none(void **state)
{
	const struct node *root = parse("a: ${NONE}\n");

	(void)state;
	assert_int_equal(node__get(root, "a")->kind, NODE_NULL);
	assert_string_equal(text, "f:1:4: warning: a: the environment has no NONE, it is empty "
				  "here; expected it to be set, or ${NONE:-default}\n");
	document__free(doc);
	doc = NULL;
	tear_down(NULL);
	set_up(NULL);
	refused("a: ${NONE:?say where}\nb: ${NONE:?}\nc: ${HOST\nd: ${HOST?x}\n",
		"f:1:4: a: NONE: say where\n"
		"f:2:4: b: NONE is not set, expected a value in the environment\n"
		"f:3:4: c: ${HOST: malformed, expected ${NAME}, ${NAME:-default}, "
		"${NAME:?message} or $${ for a plain ${\n"
		"f:4:4: d: ${HOST: malformed, expected ${NAME}, ${NAME:-default}, "
		"${NAME:?message} or $${ for a plain ${\n");
}

/* Relabelling rules name their groups with the same words. */
static void variables_or_groups(void **state)
{
	const struct node *root = parse("- {replacement: '${app}-${other}-${HOST}', "
					"regex: '(?P<app>.*)/(?<other>.*)'}\n"
					"- {regex: '(.*)', replacement: '${app}-${other}-$1'}\n"
					"- {replacement: '${PORT}'}\n");

	(void)state;
	assert_string_equal(value(root->items[0], "replacement"), "${app}-${other}-db-1");
	assert_string_equal(value(root->items[1], "replacement"), "variable-${other}-$1");
	assert_string_equal(value(root->items[2], "replacement"), "3100");
	assert_string_equal(text, "");
}

static void no_environment(void **state)
{
	static const char yaml[] = "a: ${HOST}\n";

	(void)state;
	assert_int_equal(document__parse(&doc, yaml, strlen(yaml), NULL, NULL, diag), 0);
	assert_string_equal(value(document__root(doc), "a"), "${HOST}");
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(places_and_kinds),
		test(nothing),
		test(marks_of_encoding),
		test(no_yaml),
		test(duplicate_keys),
		test(aliases),
		test(bombs),
		test(large),
		test(merge_keys),
		test(variables),
		test(variables_that_are_none),
		test(variables_or_groups),
		test(no_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
