/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions and what they find; the first ones are the examples of Promtail's documentation. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "process/json_path.h"

#define ROWS 16

/* `text` NULL: nothing is found; "<null>": null. */
struct row {
	const char *expression, *text;
};

static const char *show(const struct value *v, struct arena *arena)
{
	const char *text;
	size_t len;

	if (v->kind == VALUE_NULL)
		return "<null>";
	if (value__text(v, arena, &text, &len))
		return NULL;
	return arena__copy(arena, text, len);
}

static void compare(const struct row *row, const struct value *v, struct arena *arena)
{
	const char *text = show(v, arena);

	if (!text != !row->text || (text && strcmp(text, row->text) != 0))
		fail_msg("%s: %s, expected %s", row->expression, text ? text : "nothing",
			 row->text ? row->text : "nothing");
}

/* All rows as one set, and each as a set of its own. */
static void check(const char *line, const struct row *rows, size_t n)
{
	_arena_ struct arena a = {0};
	struct json_paths *all = NULL;
	struct value values[ROWS];
	struct syntax_error error;

	assert_true(n <= ROWS);
	assert_int_equal(json_paths__new(&all), 0);
	for (size_t i = 0; i < n; i++) {
		struct json_paths *one = NULL;
		struct value v;

		if (json_paths__add(all, rows[i].expression, &error))
			fail_msg("%s: %zu: %s", rows[i].expression, error.offset, error.text);
		assert_int_equal(json_paths__new(&one), 0);
		assert_int_equal(json_paths__add(one, rows[i].expression, &error), 0);
		assert_int_equal(json_paths__find(one, line, strlen(line), &a, &v), 0);
		compare(&rows[i], &v, &a);
		json_paths__free(one);
	}
	for (int again = 0; again < 2; again++) {
		assert_int_equal(json_paths__find(all, line, strlen(line), &a, values), 0);
		for (size_t i = 0; i < n; i++)
			compare(&rows[i], &values[i], &a);
	}
	json_paths__free(all);
}

#define CHECK(line, ...)                                      \
	do {                                                  \
		static const struct row rows[] = __VA_ARGS__; \
		check((line), rows, ARRAY_SIZE(rows));        \
	} while (0)

static void documented(void **state)
{
	(void)state;
	CHECK("{\"log\":\"log message\\n\",\"stream\":\"stderr\",\"time\":"
	      "\"2019-04-30T02:12:41.8443515Z\",\"extra\":\"{\\\"user\\\":\\\"marco\\\"}\"}",
	      {{"log", "log message\n"},
	       {"stream", "stderr"},
	       {"time", "2019-04-30T02:12:41.8443515Z"},
	       {"extra", "{\"user\":\"marco\"}"}});
	CHECK("{\"user\":\"marco\"}", {{"user", "marco"}});
	CHECK("{\"log\":\"log message\\n\",\"grpc.stream\":\"stderr\"}",
	      {{"\"grpc.stream\"", "stderr"}, {"grpc.stream", NULL}});
}

static void kinds(void **state)
{
	(void)state;
	CHECK("\n{\n\t\"time\":\"2012-11-01T22:08:41+00:00\", \"app\":\"loki\", \"component\": "
	      "[\"parser\",\"type\"], \"numeric\": { \"float\": 12.34, \"integer\": 123, "
	      "\"string\": \"123\" }, \"nested\" : {\"child\":\"value\"}, \"ok\":true, "
	      "\"none\":null, \"complex\" : { \"log\" : {\"array\":[{\"test1\":\"test2\"}, "
	      "{\"test3\":\"test4\"}],\"prop\":\"value\"} } }\n",
	      {{"time", "2012-11-01T22:08:41+00:00"},
	       {"component", "[\"parser\",\"type\"]"},
	       {"numeric.float", "12.34"},
	       {"numeric.integer", "123"},
	       {"numeric.string", "123"},
	       {"numeric", "{\"float\":12.34,\"integer\":123,\"string\":\"123\"}"},
	       {"nested", "{\"child\":\"value\"}"},
	       {"ok", "true"},
	       {"none", "<null>"},
	       {"unknown", NULL},
	       {"app.unknown", NULL},
	       {"nested[0]", NULL},
	       {"component.a", NULL},
	       {"complex.log.array[1].test3", "test4"},
	       {"complex.log.array[0].test3", NULL},
	       {"complex.log.array[2].test3", NULL}});
}

static void indexes(void **state)
{
	(void)state;
	CHECK("{\"a\":[10,[20,21],{\"b\":[30]}],\"e\":[],\"one\":[{\"x\":1}]}",
	      {{"a[0]", "10"},
	       {"a[-3]", "10"},
	       {"a[-4]", NULL},
	       {"a[3]", NULL},
	       {"a[1][-1]", "21"},
	       {"a[-2][0]", "20"},
	       {"a[-1].b[-1]", "30"},
	       {"a[ 2 ] . b [ 0 ]", "30"},
	       {"e[0]", NULL},
	       {"e[-1]", NULL},
	       {"one[0].x", "1"},
	       {"one[-1].x", "1"},
	       {"[0]", NULL}});
}

static void current_and_pipes(void **state)
{
	(void)state;
	CHECK("{ \"a\": {\"b\": [1, 2]} }", {{"@", "{\"a\":{\"b\":[1,2]}}"},
					     {"@.a.b[1]", "2"},
					     {"a | b | [1]", "2"},
					     {"a|@|b[0]", "1"},
					     {"a.b", "[1,2]"},
					     {"a | @", "{\"b\":[1,2]}"}});
}

static void alternatives(void **state)
{
	(void)state;
	CHECK("{\"no\":null,\"f\":false,\"e\":\"\",\"l\":[],\"o\":{ },\"z\":0,\"a\":\"x\"}",
	      {{"level || a", "x"},
	       {"no || f || e || l || o || a", "x"},
	       {"z || a", "0"},
	       {"a || z", "x"},
	       {"level || severity", NULL},
	       {"level||'info'", "info"},
	       {"level || 'it\\'s'", "it's"},
	       {"level || `7`", "7"},
	       {"level || `\"a\\`b\"`", "a`b"},
	       {"level || ` { \"a\" : 1 } `", "{\"a\":1}"},
	       {"level || `null`", "<null>"},
	       {"f || e", ""},
	       {"e || f", "false"},
	       {"'always'", "always"},
	       {"'' || `0` || a", "0"}});
}

static void names(void **state)
{
	(void)state;
	CHECK("{\"a-b\":1,\"\":2,\"\\u0061\\n\":3,\"_x9\":4,\"\xff\":5,\"k\":{\"\\u006b\":6},"
	      "\"a\\\"b\":7,\"@timestamp\":8}",
	      {{"\"a-b\"", "1"},
	       {"\"\"", "2"},
	       {"\"a\\n\"", "3"},
	       {"_x9", "4"},
	       {"\"\xff\"", "5"},
	       {"k.k", "6"},
	       {"k.\"k\"", "6"},
	       {"\"a\\\"b\"", "7"},
	       {"\"@timestamp\"", "8"}});
}

/* As in a map that is filled from the front. */
static void last_of_equal_names(void **state)
{
	(void)state;
	CHECK("{\"a\":1,\"b\":{\"c\":1,\"d\":[5,6]},\"a\":2,\"b\":{\"c\":2}}",
	      {{"a", "2"}, {"b.c", "2"}, {"b.d", NULL}, {"b.d[1]", NULL}, {"b", "{\"c\":2}"}});
	CHECK("{\"b\":{\"c\":{\"d\":1}},\"b\":7}", {{"b", "7"}, {"b.c", NULL}, {"b.c.d", NULL}});
}

static void not_an_object(void **state)
{
	static const char *const lines[] = {
		"",	      "   ",	 "ts=now log=notjson", "[1]",		"1",
		"\"a\"",      "true",	 "{\"a\":1",	       "{\"a\":1} x",	"{\"a\":1}{}",
		"{\"a\":1,}", "nothing", "{\"b\":[1,2",	       "{\"b\":[1 2]}", "{\"b\":{\"c\":}}",
	};
	_arena_ struct arena a = {0};
	struct json_paths *p = NULL;
	struct syntax_error error;
	struct value values[3];

	(void)state;
	assert_int_equal(json_paths__new(&p), 0);
	assert_int_equal(json_paths__add(p, "a", &error), 0);
	assert_int_equal(json_paths__add(p, "b[-1]", &error), 0);
	assert_int_equal(json_paths__add(p, "b.c || 'x'", &error), 0);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		if (json_paths__find(p, lines[i], strlen(lines[i]), &a, values) != -EINVAL)
			fail_msg("%s", lines[i]);
		for (size_t j = 0; j < 3; j++)
			assert_int_equal(values[j].kind, VALUE_ABSENT);
	}
	assert_int_equal(json_paths__find(p, " null ", 6, &a, values), 0);
	assert_int_equal(values[0].kind, VALUE_ABSENT);
	assert_int_equal(values[2].kind, VALUE_STRING);
	json_paths__free(p);
	json_paths__free(NULL);
}

static void too_great_a_number_is_none(void **state)
{
	(void)state;
	CHECK("{\"a\":1e999,\"b\":1}", {{"a", NULL}, {"b", "1"}, {"a || b", "1"}});
}

static void refused(void **state)
{
	static const struct {
		const char *expression;
		size_t offset;
		const char *text;
	} rows[] = {
		{"", 0, "incomplete"},
		{"a.", 2, "incomplete"},
		{"a ||", 4, "incomplete"},
		{"3##@$#33", 0, "double quotes"},
		{"a-b", 1, "double quotes"},
		{"a b", 2, "double quotes"},
		{"@timestamp", 1, "double quotes"},
		{"a.b.größe", 6, "double quotes"},
		{"a[*]", 2, "wildcards"},
		{"a.*", 2, "wildcards"},
		{"*", 0, "wildcards"},
		{"a[]", 2, "wildcards"},
		{"a[0:1]", 3, "wildcards"},
		{"a[:1]", 2, "wildcards"},
		{"a[?b]", 2, "wildcards"},
		{"a[b]", 2, "an index"},
		{"a[0", 3, "expected ]"},
		{"a[1000000000000]", 9, "index"},
		{"length(a)", 6, "functions"},
		{"(a)", 0, "parentheses"},
		{"[a, b]", 1, "lists"},
		{"{a: b}", 0, "objects"},
		{"a.[b]", 2, "objects"},
		{"a.{b: c}", 2, "objects"},
		{"a == b", 2, "comparisons"},
		{"!a", 0, "comparisons"},
		{"a && b", 2, "comparisons"},
		{"\"a", 0, "quotes"},
		{"\"\\x\"", 0, "quotes"},
		{"'a", 2, "does not end"},
		{"a || `{`", 7, "JSON"},
		{"a || `b`", 7, "JSON"},
		{"a || b | c", 8, "pipe"},
		{"a | b || c", 8, "pipe"},
		{"'a' | b", 5, "pipe"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct syntax_error error = {0};
		struct json_paths *p = NULL;

		assert_int_equal(json_paths__new(&p), 0);
		if (json_paths__add(p, rows[i].expression, &error) != -EINVAL)
			fail_msg("%s", rows[i].expression);
		if (error.offset != rows[i].offset || !strstr(error.text, rows[i].text))
			fail_msg("%s: %zu: %s", rows[i].expression, error.offset, error.text);
		json_paths__free(p);
	}
}

static void bounds(void **state)
{
	char expression[4096] = "a", *p = expression + 1;
	struct syntax_error error;
	struct json_paths *paths = NULL;

	(void)state;
	assert_int_equal(json_paths__new(&paths), 0);
	for (int i = 1; i < JSON_PATH_STEPS; i++)
		p = stpcpy(p, ".a");
	assert_int_equal(json_paths__add(paths, expression, &error), 0);
	stpcpy(p, "[0]");
	assert_int_equal(json_paths__add(paths, expression, &error), -EINVAL);
	p = stpcpy(expression, "a");
	for (int i = 0; i < JSON_PATH_ALTERNATIVES; i++)
		p = stpcpy(p, "||a");
	assert_int_equal(json_paths__add(paths, expression, &error), -EINVAL);
	memset(expression, 'a', 300);
	expression[300] = '\0';
	assert_int_equal(json_paths__add(paths, expression, &error), -EINVAL);
	json_paths__free(paths);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(documented),
		cmocka_unit_test(kinds),
		cmocka_unit_test(indexes),
		cmocka_unit_test(current_and_pipes),
		cmocka_unit_test(alternatives),
		cmocka_unit_test(names),
		cmocka_unit_test(last_of_equal_names),
		cmocka_unit_test(not_an_object),
		cmocka_unit_test(too_great_a_number_is_none),
		cmocka_unit_test(refused),
		cmocka_unit_test(bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
