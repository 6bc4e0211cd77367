/* SPDX-License-Identifier: Apache-2.0 */
/* Where values end, and what they say. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "process/json_text.h"

/* The value in a block of its own, so that the sanitizer sees a byte too many. */
static const char *skip_value(const char *text, char **ret_block)
{
	size_t len = strlen(text);
	const char *behind;

	*ret_block = malloc(len ? len : 1);
	assert_non_null(*ret_block);
	memcpy(*ret_block, text, len);
	behind = json_text__skip(*ret_block, *ret_block + len);
	return behind ? text + (behind - *ret_block) : NULL;
}

static void whole_values(void **state)
{
	static const char *const rows[] = {
		"{}",
		" { } ",
		"[]",
		"[ ]",
		"[1,2 , 3]",
		"{\"a\":1}",
		"\t{ \"a\" : [ { } , [ ] , \"}]\" ] , \"a\" : null }\r\n",
		"true",
		"false",
		"null",
		"\"\"",
		"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\"",
		"\"\xff\xfe\"",
		"\"\\\\ then a\ttab\"",
		"0",
		"-0",
		"10",
		"-1.50",
		"0.5",
		"1e5",
		"1E+05",
		"12.5e-3",
		"[[[[{\"a\":[[]]}]]]]",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_free_ char *block = NULL;
		const char *end = rows[i] + strlen(rows[i]), *behind = skip_value(rows[i], &block);

		if (!behind || json_text__space(behind, end) != end)
			fail_msg("%s", rows[i]);
	}
}

static void malformed(void **state)
{
	static const char *const rows[] = {
		"",	    " ",	 "{",	       "[",	    "{\"a\"",	   "{\"a\":",
		"{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{a:1}",	    "{\"a\" 1}",   "{'a':1}",
		"[1",	    "[1,",	 "[1,]",       "[1 2]",	    "[1}",	   "{\"a\":1]",
		"{,}",	    "[,]",	 "tru",	       "nul",	    "True",	   "nan",
		"-",	    "+1",	 "01",	       "-01",	    ".5",	   "5.",
		"1.e5",	    "1e",	 "1e+",	       "--1",	    "Infinity",	   "\"",
		"\"a",	    "\"\\",	 "\"\\x\"",    "\"\\u12\"", "\"\\u12g4\"", "\"a\tb\"",
		"\"\\u123", "}",	 "]",	       ":",	    ",",	   "/**/1",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_free_ char *block = NULL;

		if (skip_value(rows[i], &block))
			fail_msg("%s", rows[i]);
	}
}

static void depth(void **state)
{
	char text[2 * JSON_TEXT_DEPTH + 3] = "";

	(void)state;
	memset(text, '[', JSON_TEXT_DEPTH);
	memset(text + JSON_TEXT_DEPTH, ']', JSON_TEXT_DEPTH);
	assert_ptr_equal(json_text__skip(text, text + 2 * JSON_TEXT_DEPTH),
			 text + 2 * JSON_TEXT_DEPTH);
	memset(text, '[', JSON_TEXT_DEPTH + 1);
	memset(text + JSON_TEXT_DEPTH + 1, ']', JSON_TEXT_DEPTH + 1);
	assert_null(json_text__skip(text, text + sizeof(text) - 1));
	/* Objects and arrays by turns, each closed as it was opened. */
	for (size_t i = 0; i < 64; i++)
		memcpy(text + 6 * i, "{\"a\":[", 6);
	for (size_t i = 0; i < 64; i++)
		memcpy(text + 384 + 2 * i, "]}", 2);
	assert_ptr_equal(json_text__skip(text, text + 512), text + 512);
	memcpy(text + 384 + 63, "]]", 2);
	assert_null(json_text__skip(text, text + 512));
}

static void strings(void **state)
{
	static const struct {
		const char *json, *text;
	} rows[] = {
		{"\"\"", ""},
		{"\"plain\"", "plain"},
		{"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
		{"\"a\\u0041\\u00e9\\u20AC\\ud83d\\ude80z\"", "aAé€🚀z"},
		{"\"\\ud83d\"", "\xef\xbf\xbd"},
		{"\"\\ud83dx\"", "\xef\xbf\xbdx"},
		{"\"\\ude80\\ud83d\"", "\xef\xbf\xbd\xef\xbf\xbd"},
		{"\"\\ud83d\\u0041\"", "\xef\xbf\xbd"
				       "A"},
		{"\"\xff\\n\xfe\"", "\xff\n\xfe"},
	};
	_arena_ struct arena a = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct value v;

		assert_int_equal(json_text__value(rows[i].json, strlen(rows[i].json), &a, &v), 0);
		assert_int_equal(v.kind, VALUE_STRING);
		assert_int_equal(v.len, strlen(rows[i].text));
		assert_memory_equal(v.text, rows[i].text, v.len);
	}
}

static void nul_in_a_string(void **state)
{
	_arena_ struct arena a = {0};
	struct value v;

	(void)state;
	assert_int_equal(json_text__value("\"a\\u0000b\"", 10, &a, &v), 0);
	assert_int_equal(v.len, 3);
	assert_memory_equal(v.text, "a\0b", 3);
}

static void apostrophes(void **state)
{
	char out[8];

	(void)state;
	assert_int_equal(json_text__unescape(out, "\\'x", 3, true), 2);
	assert_memory_equal(out, "'x", 2);
	assert_true(json_text__unescape(out, "\\'x", 3, false) == SIZE_MAX);
	assert_true(json_text__unescape(out, "\\", 1, true) == SIZE_MAX);
	assert_true(json_text__unescape(out, "\\u00", 4, true) == SIZE_MAX);
}

static void numbers(void **state)
{
	static const struct {
		const char *json;
		double number;
	} rows[] = {
		{"0", 0},
		{"125", 125},
		{"-125", -125},
		{"12.34", 12.34},
		{"-0.1", -0.1},
		{"0.30000000000000", 0.3},
		{"999999999999999", 999999999999999},
		{"9007199254740993", 9007199254740992},
		{"12345678901234567890", 12345678901234567890.0},
		{"1e3", 1000},
		{"1.5E-7", 1.5e-7},
		{"1e-400", 0},
		{"3.14159265358979323846264338327950288419716939937510582097494459230781640628620",
		 3.14159265358979323846},
	};
	_arena_ struct arena a = {0};
	struct value v;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(json_text__value(rows[i].json, strlen(rows[i].json), &a, &v), 0);
		assert_int_equal(v.kind, VALUE_NUMBER);
		if (v.number != rows[i].number)
			fail_msg("%s: %.17g", rows[i].json, v.number);
	}
	assert_int_equal(json_text__value("-0", 2, &a, &v), 0);
	assert_true(signbit(v.number));
	assert_int_equal(json_text__value("1e400", 5, &a, &v), -ERANGE);
}

static void words(void **state)
{
	_arena_ struct arena a = {0};
	struct value v;

	(void)state;
	assert_int_equal(json_text__value("true", 4, &a, &v), 0);
	assert_true(v.kind == VALUE_BOOL && v.boolean);
	assert_int_equal(json_text__value("false", 5, &a, &v), 0);
	assert_true(v.kind == VALUE_BOOL && !v.boolean);
	assert_int_equal(json_text__value("null", 4, &a, &v), 0);
	assert_int_equal(v.kind, VALUE_NULL);
}

static void compact(void **state)
{
	static const struct {
		const char *json, *text;
	} rows[] = {
		{"{}", "{}"},
		{"[ ]", "[]"},
		{"{ \"a b\" : [ 1 , \"c \\\" d\" ] }", "{\"a b\":[1,\"c \\\" d\"]}"},
		{"{\"child\":\"value\"}", "{\"child\":\"value\"}"},
		{"[\"parser\",\t\"type\"]", "[\"parser\",\"type\"]"},
	};
	_arena_ struct arena a = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct value v;

		assert_int_equal(json_text__value(rows[i].json, strlen(rows[i].json), &a, &v), 0);
		assert_int_equal(v.kind, VALUE_STRING);
		assert_int_equal(v.len, strlen(rows[i].text));
		assert_memory_equal(v.text, rows[i].text, v.len);
		/* What is compact already is borrowed. */
		assert_int_equal(v.text == rows[i].json,
				 strpbrk(rows[i].json, " \t") == NULL ||
					 strcmp(rows[i].json, rows[i].text) == 0);
	}
}

static void no_memory(void **state)
{
	_arena_ struct arena a = {.max = 1};
	struct value v;

	(void)state;
	arena__alloc(&a, 1);
	assert_int_equal(json_text__value("\"\\n\"", 4, &a, &v), -ENOMEM);
	assert_int_equal(json_text__value("[ ]", 3, &a, &v), -ENOMEM);
	assert_int_equal(json_text__value("\"n\"", 3, &a, &v), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_values),	   cmocka_unit_test(malformed),
		cmocka_unit_test(depth),	   cmocka_unit_test(strings),
		cmocka_unit_test(nul_in_a_string), cmocka_unit_test(apostrophes),
		cmocka_unit_test(numbers),	   cmocka_unit_test(words),
		cmocka_unit_test(compact),	   cmocka_unit_test(no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
