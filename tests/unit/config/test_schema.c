/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "base/clock.h"
#include "config/schema.h"
#include "parse.h"

struct inner {
	const char *name;
	const struct node *node;
	int64_t weight;
};

static int short_inner(void *object, const struct node *node, struct arena *arena,
		       struct diag *diag)
{
	struct inner *i = object;

	(void)arena;
	if (node->kind == NODE_SCALAR)
		i->name = node->text;
	else
		diag__error(diag, node, "expected a name");
	return 0;
}

static void check_inner(const void *object, const struct node *node, struct diag *diag)
{
	const struct inner *i = object;

	if (!strcmp(i->name, "bad"))
		diag__error(diag, node, "bad");
}

static const struct field INNER_FIELDS[] = {
	FIELD(struct inner, name, FIELD_STRING, .flags = FIELD_REQUIRED),
	FIELD(struct inner, weight, FIELD_INT, .dflt = "7", .min = -1, .max = 10),
	{0},
};

static const struct schema INNER = {
	.name = "inner",
	.size = sizeof(struct inner),
	.fields = INNER_FIELDS,
	.node_offset = offsetof(struct inner, node),
	.short_form = short_inner,
	.check = check_inner,
};

static const char *const COLORS[] = {"red", "green", "", NULL};

struct outer {
	bool on;
	int64_t number;
	double real;
	const char *text, *password, *old;
	uint64_t wait;
	uint64_t size;
	int color;
	struct string_list words;
	struct string_map map;
	struct inner inner;
	struct object_list list;
	const struct node *rest;
};

static const struct field OUTER_FIELDS[] = {
	FIELD(struct outer, on, FIELD_BOOL, .dflt = "true"),
	FIELD(struct outer, number, FIELD_INT),
	FIELD(struct outer, real, FIELD_FLOAT, .dflt = "0.5"),
	FIELD(struct outer, text, FIELD_STRING, .dflt = "hello"),
	FIELD(struct outer, password, FIELD_STRING, .flags = FIELD_SECRET),
	FIELD(struct outer, old, FIELD_STRING, .flags = FIELD_IGNORED, .doc = "gone"),
	FIELD(struct outer, wait, FIELD_DURATION, .dflt = "1s", .min = NS_PER_MS,
	      .max = 300 * NS_PER_SEC),
	FIELD(struct outer, size, FIELD_SIZE, .dflt = "1MiB", .min = 1024, .max = 64 << 20),
	FIELD(struct outer, color, FIELD_ENUM, .dflt = "green", .names = COLORS),
	FIELD(struct outer, words, FIELD_STRINGS, .dflt = "[a, b]"),
	FIELD(struct outer, map, FIELD_MAP),
	FIELD(struct outer, inner, FIELD_OBJECT, .object = &INNER),
	FIELD(struct outer, list, FIELD_OBJECTS, .object = &INNER),
	FIELD(struct outer, rest, FIELD_NODE, .flags = FIELD_LATER),
	{0},
};

static const struct schema OUTER = {
	.name = "outer",
	.size = sizeof(struct outer),
	.fields = OUTER_FIELDS,
};

static struct diag *diag;
static struct document *doc;
static struct arena arena;
static char text[8192];

static int set_up(void **state)
{
	(void)state;
	doc = NULL;
	arena = (struct arena){0};
	return diag__new(&diag, "f");
}

static int tear_down(void **state)
{
	(void)state;
	document__free(doc);
	diag__free(diag);
	arena__free(&arena);
	return 0;
}

static int decode(const char *yaml, struct outer *o)
{
	int err;

	assert_int_equal(document__parse(&doc, yaml, strlen(yaml), NULL, NULL, diag), 0);
	err = schema__decode(&OUTER, document__root(doc), o, &arena, diag);
	messages(diag, text, sizeof(text));
	return err;
}

static void refused(const char *yaml, const char *expected)
{
	struct outer o;

	assert_int_equal(decode(yaml, &o), -EINVAL);
	assert_string_equal(text, expected);
	tear_down(NULL);
	assert_int_equal(set_up(NULL), 0);
}

static void defaults(void **state)
{
	struct outer o;

	(void)state;
	assert_int_equal(decode("", &o), 0);
	assert_true(o.on);
	assert_int_equal(o.number, 0);
	assert_true(o.real == 0.5);
	assert_string_equal(o.text, "hello");
	assert_null(o.password);
	assert_int_equal(o.wait, NS_PER_SEC);
	assert_int_equal(o.size, 1 << 20);
	assert_int_equal(o.color, 1);
	assert_int_equal(o.words.n, 2);
	assert_string_equal(o.words.items[1], "b");
	assert_int_equal(o.inner.weight, 7);
	assert_null(o.inner.node);
	assert_null(o.rest);
	assert_int_equal(schema__decode(&OUTER, NULL, &o, &arena, diag), 0);
	assert_string_equal(o.text, "hello");
}

static void each_type(void **state)
{
	struct outer o;
	const struct inner *items;

	(void)state;
	assert_int_equal(decode("on: no\nnumber: -12\nreal: 1e3\ntext: 42\npassword: true\n"
				"wait: 1m30s\nsize: 64KiB\ncolor: red\nwords: x\n"
				"map: {b: 1, a: ~, 'y': z}\ninner: {name: n, weight: 0x0a}\n"
				"list: [one, {name: two}]\n",
				&o),
			 0);
	assert_string_equal(text, "");
	assert_false(o.on);
	assert_int_equal(o.number, -12);
	assert_true(o.real == 1000);
	assert_string_equal(o.text, "42");
	assert_string_equal(o.password, "true");
	assert_int_equal(o.wait, 90 * NS_PER_SEC);
	assert_int_equal(o.size, 64 * 1024);
	assert_int_equal(o.color, 0);
	assert_int_equal(o.words.n, 1);
	assert_string_equal(o.words.items[0], "x");
	assert_int_equal(o.map.n, 3);
	assert_string_equal(o.map.items[0].name, "b");
	assert_string_equal(o.map.items[0].value, "1");
	assert_string_equal(o.map.items[1].value, "");
	assert_string_equal(o.inner.name, "n");
	assert_int_equal(o.inner.weight, 10);
	assert_int_equal(o.inner.node->line, 11);
	assert_int_equal(o.list.n, 2);
	items = o.list.items;
	assert_string_equal(items[0].name, "one");
	assert_string_equal(items[1].name, "two");
	assert_int_equal(items[1].weight, 7);
}

static void warnings(void **state)
{
	struct outer o;

	(void)state;
	assert_int_equal(decode("old: x\nrest: {a: b}\n", &o), 0);
	assert_string_equal(text, "f:1:1: warning: old: not needed here: gone\n"
				  "f:2:1: warning: rest: has no effect yet in this version\n");
	assert_string_equal(o.old, "x");
	assert_string_equal(node__get(o.rest, "a")->text, "b");
}

static void unknown_keys(void **state)
{
	(void)state;
	refused("siez: 1\nNumber: 2\nunlike: 3\ninner: {name: x, wight: 4, z: 5}\n",
		"f:1:1: siez: unknown key, expected size?\n"
		"f:2:1: Number: unknown key, expected number?\n"
		"f:3:1: unlike: unknown key, expected on, number, real, text, password, wait, "
		"size, color, words, map, inner, list or rest\n"
		"f:4:18: inner.wight: unknown key, expected weight?\n"
		"f:4:28: inner.z: unknown key, expected name or weight\n");
}

static void wrong_types(void **state)
{
	(void)state;
	refused("- a\n", "f:1:1: a list, expected a mapping\n");
	refused("on: maybe\nnumber: 1.5\nreal: x\ntext: [a]\npassword: {a: b}\nwait: 5\n"
		"size: big\ncolor: gren\nwords: {a: b}\nmap: [a]\nlist: {name: a}\n",
		"f:1:5: on: \"maybe\", expected true or false\n"
		"f:2:9: number: \"1.5\", expected a whole number\n"
		"f:3:7: real: \"x\", expected a number\n"
		"f:4:7: text: a list, expected a string\n"
		"f:5:11: password: a mapping, expected a string\n"
		"f:6:7: wait: \"5\", expected a duration like 500ms or 1h30m\n"
		"f:7:7: size: \"big\", expected a size in bytes like 64KiB\n"
		"f:8:8: color: \"gren\", expected red, green or nothing\n"
		"f:9:8: words: a mapping, expected a list of strings\n"
		"f:10:6: map: a list, expected a mapping of names to values\n"
		"f:11:7: list: a mapping, expected a list of mappings\n");
	refused("words: [a, [b]]\nmap: {a: [b]}\nlist: [~, [x]]\n",
		"f:1:12: words[1]: a list, expected a string\n"
		"f:2:10: map.a: a list, expected a string\n"
		"f:3:8: list[0]: empty, expected a mapping\n"
		"f:3:11: list[1]: expected a name\n");
}

static void ranges(void **state)
{
	(void)state;
	refused("wait: 1h\nsize: 1\ninner: {name: a, weight: 11}\n",
		"f:1:7: wait: 1h is out of range, expected 1ms to 5m\n"
		"f:2:7: size: 1 is out of range, expected 1KiB to 64MiB\n"
		"f:3:26: inner.weight: 11 is out of range, expected -1 to 10\n");
}

static void required_and_checked(void **state)
{
	struct outer o;

	(void)state;
	refused("inner: {weight: 1}\nlist: [{name: ~}, {name: bad}]\n",
		"f:1:8: inner: name is missing, expected a string\n"
		"f:2:15: list[0].name: empty, expected a string\n"
		"f:2:19: list[1]: bad\n");
	assert_int_equal(decode("inner: ~\n", &o), 0);
}

/* As Promtail's stages, which are read as YAML 1.1 with keys of any type. */
static void boolean_names(void **state)
{
	struct outer o;

	(void)state;
	refused("rest: 1\npipeline_stages: 1\nmap: {n: x}\n",
		"f:1:1: warning: rest: has no effect yet in this version\n"
		"f:2:1: pipeline_stages: unknown key, expected on, number, real, text, password, "
		"wait, size, color, words, map, inner, list or rest\n");
	assert_int_equal(document__parse(&doc, "pipeline_stages: [{map: {n: x, 'y': z}}]", 40, NULL,
					 NULL, diag),
			 0);
	assert_int_equal(schema__decode(&OUTER,
					node__get(document__root(doc), "pipeline_stages")->items[0],
					&o, &arena, diag),
			 -EINVAL);
	messages(diag, text, sizeof(text));
	assert_string_equal(text, "f:1:26: pipeline_stages[0].map.n: a boolean in YAML 1.1, "
				  "expected a name: write \"n\"\n");
}

static void secrets_are_not_shown(void **state)
{
	static const struct field FIELDS[] = {
		{.name = "pin", .type = FIELD_INT, .flags = FIELD_SECRET},
		{0},
	};
	static const struct schema S = {.name = "s", .size = 8, .fields = FIELDS};
	int64_t pin;

	(void)state;
	assert_int_equal(document__parse(&doc, "pin: hunter2", 12, NULL, NULL, diag), 0);
	assert_int_equal(schema__decode(&S, document__root(doc), &pin, &arena, diag), -EINVAL);
	messages(diag, text, sizeof(text));
	assert_string_equal(text, "f:1:6: pin: malformed, expected a whole number\n");
}

static void durations(void **state)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} GOOD[] = {
		{"0", 0},
		{"0s", 0},
		{"500ms", 500 * NS_PER_MS},
		{"1h30m", 5400 * NS_PER_SEC},
		{"1.5h", 5400 * NS_PER_SEC},
		{".5s", NS_PER_SEC / 2},
		{"1d", 86400 * NS_PER_SEC},
		{"2w1d", 15 * 86400 * NS_PER_SEC},
		{"1y", 365 * 86400 * NS_PER_SEC},
		{"3us2ns", 3002},
		{"1\xc2\xb5s", 1000},
		{"1m0.5s", 60500 * NS_PER_MS},
	};
	static const char *const BAD[] = {"",	 "1",	   "s",	   "1 s",
					  "-1s", "1x",	   "1s1",  "1ss",
					  ".s",	 "1.2.3s", "300y", "99999999999999999999s"};
	uint64_t ns = 42;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(GOOD); i++) {
		assert_int_equal(schema__duration(GOOD[i].text, &ns), 0);
		assert_int_equal(ns, GOOD[i].ns);
	}
	ns = 42;
	for (size_t i = 0; i < ARRAY_SIZE(BAD); i++)
		assert_int_equal(schema__duration(BAD[i], &ns), -EINVAL);
	assert_int_equal(ns, 42);
}

static void sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} GOOD[] = {
		{"0", 0},	  {"4096", 4096},  {"1MiB", 1 << 20},
		{"1MB", 1 << 20}, {"1M", 1 << 20}, {"1m", 1 << 20},
		{"64k", 65536},	  {"64KB", 65536}, {"1.5GiB", 3ull << 29},
		{"7B", 7},	  {"1 KiB", 1024}, {"1T", 1ull << 40},
	};
	static const char *const BAD[] = {"",	 "x",  "1x",	"1KiBx",       "-1",
					  "1.5", "1i", "1Ki B", "99999999999T"};
	uint64_t bytes = 42;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(GOOD); i++) {
		assert_int_equal(schema__size(GOOD[i].text, &bytes), 0);
		assert_int_equal(bytes, GOOD[i].bytes);
	}
	bytes = 42;
	for (size_t i = 0; i < ARRAY_SIZE(BAD); i++)
		assert_int_equal(schema__size(BAD[i], &bytes), -EINVAL);
	assert_int_equal(bytes, 42);
}

static void nearest(void **state)
{
	static const char *const NAMES[] = {"replace", "regex", "labels", "labeldrop", NULL};

	(void)state;
	assert_string_equal(schema__nearest("rgeex", NAMES), "regex");
	assert_string_equal(schema__nearest("label", NAMES), "labels");
	assert_string_equal(schema__nearest("LabelDrop", NAMES), "labeldrop");
	assert_null(schema__nearest("multiline", NAMES));
	assert_null(schema__nearest("", NAMES));
	assert_null(schema__nearest("0123456789012345678901234567890123456789012345", NAMES));
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(defaults),
		test(each_type),
		test(warnings),
		test(unknown_keys),
		test(wrong_types),
		test(ranges),
		test(required_and_checked),
		test(boolean_names),
		test(secrets_are_not_shown),
		test(durations),
		test(sizes),
		test(nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
