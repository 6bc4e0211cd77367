/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns mean what they mean in Go, or are refused with their place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "base/regex.h"
#include "base/util.h"

static struct regex *compile(const char *pattern, bool anchored)
{
	struct regex_error error;
	struct regex *re = NULL;

	if (regex__new(&re, pattern, anchored, &error) != 0)
		fail_msg("%s: at %zu: %s", pattern, error.offset, error.text);
	return re;
}

/* The match and its groups as text: `whole|group|group`, `-` for a group without part, NULL: no
 * match. */
static const char *found(struct regex *re, const char *subject, size_t len, size_t start)
{
	static char text[512];
	const struct regex_span *spans;
	size_t used = 0;
	int n = regex__match(re, subject, len, start, &spans);

	assert_in_range(n, 0, 1);
	if (n == 0)
		return NULL;
	for (size_t i = 0; i <= regex__groups(re); i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%.*s", i ? "|" : "",
					 spans[i].text ? (int)spans[i].len : 1,
					 spans[i].text ? spans[i].text : "-");
	return text;
}

static void check(const char *pattern, const char *subject, const char *expected)
{
	struct regex *re = compile(pattern, false);
	const char *got = found(re, subject, strlen(subject), 0);

	if (!expected != !got || (got && strcmp(got, expected) != 0))
		fail_msg("%s on %s: %s instead of %s", pattern, subject, got ? got : "nothing",
			 expected ? expected : "nothing");
	regex__free(re);
}

static void as_in_go(void **state)
{
	static const struct {
		const char *pattern, *subject, *expected;
	} rows[] = {
		{"", "abc", ""},
		{"b", "abc", "b"},
		{"(a)|(b)", "b", "b|-|b"},
		{"a||b", "b", ""},
		{"(|a)", "a", "|"},
		{"(?P<year>\\d+)-(?<month>\\d+)", "on 2026-11", "2026-11|2026|11"},
		{"(?P<1_x>a)(?P<1_x>b)", "ab", "ab|a|b"},
		{"(?i)straSSE", "STRASSE", "STRASSE"},
		{"(?i)É", "é", "é"},
		{"a(?i)b|c", "C", "C"},
		{"(?i:a)b", "Ab", "Ab"},
		{"(?i:a)b", "AB", NULL},
		{"(?U)a+(b+)", "aabb", "aab|b"},
		{"(?U)a+?", "aab", "aa"},
		{"(?s)a.b", "a\nb", "a\nb"},
		{"a.b", "a\nb", NULL},
		{"a.b", "a\rb", "a\rb"},
		{"a$", "a\n", NULL},
		{"(?m)a$", "a\nb", "a"},
		{"(?m)^$", "a\n", ""},
		{"(?-m:a$)", "a\n", NULL},
		{"a\\z", "a", "a"},
		{"\\Aa", "ba", NULL},
		{"(?m)\\Ab", "a\nb", NULL},
		{"\\bfoo\\b", "a foo!", "foo"},
		{"\\bü", "aü", "ü"},
		{"\\s", "\v", NULL},
		{"[\\s]", "\v", NULL},
		{"\\S", "\v", "\v"},
		{"[\\S]", "\v", "\v"},
		{"[^\\S]", "\v", NULL},
		{"\\v", "\v", "\v"},
		{"\\v", "\f", NULL},
		{"[[:space:]]", "\v", "\v"},
		{"\\w+", "aß_1", "a"},
		{"[[:^alpha:]0]+", "a10", "10"},
		{"[[:word:]]+", "-ab_", "ab_"},
		{"\\d", "٣", NULL},
		{"\\pN", "٣", "٣"},
		{"\\p{Greek}+", "aαβ", "αβ"},
		{"\\p{^Greek}+", "αab", "ab"},
		{"\\P{Greek}+", "αab", "ab"},
		{"[\\p{Lu}\\d]+", "aÉ1", "É1"},
		{"[]a]+", "]a", "]a"},
		{"[^]a]", "]ab", "b"},
		{"[a-]+", "a-", "a-"},
		{"[-a]+", "a-", "a-"},
		{"[a\\-c]+", "b-", "-"},
		{"[[a]+", "[a", "[a"},
		{"[[:a]+", ":", ":"},
		{"[^a]", "\n", "\n"},
		{"[a&&b]+", "&", "&"},
		{"[#-%]+", "a$", "$"},
		{"[α-γ]+", "aβγ", "βγ"},
		{"\\x41\\x{e9}\\101\\0", "x", NULL},
		{"\\x41\\x{e9}\\101", "AéA", "AéA"},
		{"\\_\\-\\#\\ ", "_-# ", "_-# "},
		{"a # b", "a # b", "a # b"},
		{"\\Qa.b\\E+", "a.bb", "a.bb"},
		{"\\Qa*", "a*", "a*"},
		{"a{2,3}?", "aaa", "aa"},
		{"a{,3}", "a{,3}", "a{,3}"},
		{"a{,3", "a{,3", "a{,3"},
		{"a{x}", "a{x}", "a{x}"},
		{"{}", "{}", "{}"},
		{"a{01}", "a{01}", "a{01}"},
		{"a{2}", "aa", "aa"},
		{"(a{2,}){2}", "aaaaa", "aaaaa|aa"},
		{"^*a", "ba", "a"},
		{"\\b+a", "b a", "a"},
		{"(?:^)?a$+", "ba", "a"},
		{".", "日本", "日"},
		{"...", "日本", NULL},
		{"(.)é?(b)", "ab", "ab|a|b"},
		{"a]b}", "a]b}", "a]b}"},
		{"(?:(?:a)+)*", "aa", "aa"},
		{"()", "a", "|"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check(rows[i].pattern, rows[i].subject, rows[i].expected);
}

static void refused(void **state)
{
	static const struct {
		const char *pattern;
		size_t offset;
		const char *text;
	} rows[] = {
		{"a(b", 1, "missing closing )"},
		{"a(b(", 3, "missing closing )"},
		{"ab)", 2, "unexpected )"},
		{"a[b", 1, "missing closing ]"},
		{"a[", 1, "missing closing ]"},
		{"[]", 0, "missing closing ]"},
		{"[b-", 0, "missing closing ]"},
		{"x[z-a]", 2, "invalid character class range"},
		{"[[:foo:]]", 1, "invalid character class range"},
		{"[a-\\d]", 3, "invalid escape sequence"},
		{"a\\", 1, "trailing backslash at end of expression"},
		{"(a)\\1", 3, "backreferences are not supported"},
		{"(?P<n>a)(?P=n)", 8, "backreferences are not supported"},
		{"(?P<n>a)\\k<n>", 8, "invalid escape sequence"},
		{"a(?=b)", 1, "look-around is not supported"},
		{"a(?!b)", 1, "look-around is not supported"},
		{"(?<=a)b", 0, "look-around is not supported"},
		{"(?<!a)b", 0, "look-around is not supported"},
		{"(?>a)", 0, "invalid or unsupported Perl syntax"},
		{"(?#c)", 0, "invalid or unsupported Perl syntax"},
		{"(?x)a", 0, "invalid or unsupported Perl syntax"},
		{"(?i-)a", 0, "invalid or unsupported Perl syntax"},
		{"(?i", 0, "missing closing )"},
		{"(?P<a", 0, "invalid named capture"},
		{"(?P<>a)", 0, "invalid named capture"},
		{"(?P<a b>a)", 0, "invalid named capture"},
		{"(?P<né>a)", 0, "invalid named capture"},
		{"(?P'n'a)", 0, "invalid or unsupported Perl syntax"},
		{"*a", 0, "missing argument to repetition operator"},
		{"(*UTF)", 1, "missing argument to repetition operator"},
		{"a|+", 2, "missing argument to repetition operator"},
		{"(?i)?", 4, "missing argument to repetition operator"},
		{"\\Q\\E*", 4, "missing argument to repetition operator"},
		{"a**", 2, "invalid nested repetition operator"},
		{"a++", 2, "invalid nested repetition operator"},
		{"a??+", 3, "invalid nested repetition operator"},
		{"a{2}{3}", 4, "invalid nested repetition operator"},
		{"a{1001}", 1, "invalid repeat count"},
		{"a{99999999999}", 1, "invalid repeat count"},
		{"a{3,2}", 1, "invalid repeat count"},
		{"(a{100}){11}", 8, "invalid repeat count"},
		{"((a{100})b){11}", 11, "invalid repeat count"},
		{"\\C", 0, "invalid escape sequence"},
		{"\\Z", 0, "invalid escape sequence"},
		{"\\G", 0, "invalid escape sequence"},
		{"\\R", 0, "invalid escape sequence"},
		{"\\h", 0, "invalid escape sequence"},
		{"\\cA", 0, "invalid escape sequence"},
		{"\\é", 0, "invalid escape sequence"},
		{"\\8", 0, "backreferences are not supported"},
		{"\\x4", 0, "invalid escape sequence"},
		{"\\x{}", 0, "invalid escape sequence"},
		{"\\x{110000}", 0, "invalid escape sequence"},
		{"\\x{41", 0, "invalid escape sequence"},
		{"a\\p{Klingon}", 1, "invalid character class range"},
		{"\\p{Greek", 0, "invalid character class range"},
		{"\\pX", 0, "invalid character class range"},
		{"\\p", 0, "invalid character class range"},
		{"ab\xff", 2, "invalid UTF-8"},
		{"[\xc3]", 1, "invalid UTF-8"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct regex_error error;
		struct regex *re = NULL;

		if (regex__new(&re, rows[i].pattern, false, &error) != -EINVAL)
			fail_msg("%s is not refused", rows[i].pattern);
		if (error.offset != rows[i].offset || strcmp(error.text, rows[i].text) != 0)
			fail_msg("%s: %zu: %s", rows[i].pattern, error.offset, error.text);
		assert_null(re);
	}
}

static void too_deep_or_too_large(void **state)
{
	struct regex_error error;
	struct regex *re = NULL;
	char *pattern = calloc(1, 100001);

	(void)state;
	memset(pattern, '(', 1000);
	memset(pattern + 1000, ')', 1000);
	assert_int_equal(regex__new(&re, pattern, false, &error), -EINVAL);
	assert_string_equal(error.text, "expression nests too deeply");
	memset(pattern, 'a', 100000);
	assert_int_equal(regex__new(&re, pattern, false, &error), -EINVAL);
	assert_true(*error.text);
	free(pattern);
}

static void anchored(void **state)
{
	struct regex *re = compile("a|(b.*)", true);

	(void)state;
	assert_string_equal(found(re, "a", 1, 0), "a|-");
	assert_null(found(re, "ab", 2, 0));
	assert_null(found(re, "a\n", 2, 0));
	assert_string_equal(found(re, "b\nc", 3, 0), "b\nc|b\nc");
	assert_null(found(re, "xa", 2, 1));
	regex__free(re);
	re = compile("", true);
	assert_string_equal(found(re, NULL, 0, 0), "");
	assert_null(found(re, "a", 1, 0));
	regex__free(re);
}

static void names(void **state)
{
	struct regex *re = compile("(a)(?P<one>b)(?:c)(?<2_x>d)", false);

	(void)state;
	assert_int_equal(regex__groups(re), 3);
	assert_string_equal(regex__group_name(re, 0), "");
	assert_string_equal(regex__group_name(re, 1), "");
	assert_string_equal(regex__group_name(re, 2), "one");
	assert_string_equal(regex__group_name(re, 3), "2_x");
	assert_string_equal(regex__group_name(re, 4), "");
	regex__free(re);
	regex__free(NULL);
}

static void from_a_place_on(void **state)
{
	struct regex *re = compile("é|x", false);
	const struct regex_span *spans;
	const char *text = "éxé";

	(void)state;
	assert_int_equal(regex__match(re, text, 5, 0, &spans), 1);
	assert_ptr_equal(spans[0].text, text);
	assert_int_equal(regex__match(re, text, 5, 1, &spans), 1);
	assert_ptr_equal(spans[0].text, text + 2);
	assert_int_equal(regex__match(re, text, 5, 3, &spans), 1);
	assert_ptr_equal(spans[0].text, text + 3);
	assert_int_equal(regex__match(re, text, 5, 4, &spans), 0);
	assert_int_equal(regex__match(re, text, 5, 5, &spans), 0);
	assert_int_equal(regex__match(re, text, 5, 6, &spans), 0);
	regex__free(re);
	re = compile("^x|\\bx", false);
	assert_int_equal(regex__match(re, "ax", 2, 1, &spans), 0);
	regex__free(re);
}

/* Each byte that is no part of a character is one U+FFFD. */
static void invalid_utf8(void **state)
{
	static const char text[] = "a\xff\xc3(é\xe2\x82";
	static const struct {
		const char *pattern;
		size_t from, len;
	} rows[] = {
		{".*", 0, 8},
		{"a.", 0, 2},
		{"\\x{fffd}{2}", 1, 2},
		{"\\(.", 3, 3},
		{"[^a]", 1, 1},
		{"\xef\xbf\xbd$", 7, 1},
		{"é(.)(.)$", 4, 4},
		{".\\z", 7, 1},
		{"é", 4, 2},
		{"(?i)É.", 4, 3},
		{"[\\x{80}-\\x{ffff}]+", 1, 2},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct regex *re = compile(rows[i].pattern, false);
		const struct regex_span *spans;

		assert_int_equal(regex__match(re, text, 8, 0, &spans), 1);
		if (spans[0].text != text + rows[i].from || spans[0].len != rows[i].len)
			fail_msg("%s: %zu, %zu", rows[i].pattern, (size_t)(spans[0].text - text),
				 spans[0].len);
		regex__free(re);
	}
}

static void every_byte_of_an_invalid_subject(void **state)
{
	static const char text[] = "\xff\xff\xc3\xa9\xff";
	static const size_t places[] = {0, 1, 2, 4};
	struct regex *re = compile(".", false);
	const struct regex_span *spans;
	size_t start = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		assert_int_equal(regex__match(re, text, 5, start, &spans), 1);
		assert_ptr_equal(spans[0].text, text + places[i]);
		start = places[i] + spans[0].len;
	}
	assert_int_equal(regex__match(re, text, 5, start, &spans), 0);
	regex__free(re);
}

static void nul_and_newlines_are_bytes(void **state)
{
	struct regex *re = compile("a.(b)", false);

	(void)state;
	assert_non_null(found(re, "a\0b", 3, 0));
	assert_null(found(re, "a\nb", 3, 0));
	regex__free(re);
}

static void a_limit(void **state)
{
	struct regex *re = compile("(x+x+)+[yz]", false);
	const struct regex_span *spans;
	char *text = malloc(262144);

	(void)state;
	memset(text, 'x', 262144);
	assert_int_equal(regex__match(re, text, 200, 0, &spans), -EOVERFLOW);
	assert_int_equal(regex__match(re, text, 262144, 0, &spans), -EOVERFLOW);
	assert_int_equal(regex__limited(re), 2);
	text[20] = 'y';
	assert_int_equal(regex__match(re, text, 30, 0, &spans), 1);
	assert_int_equal(spans[0].len, 21);
	assert_int_equal(regex__limited(re), 2);
	free(text);
	regex__free(re);
}

/* More than the machine's stack holds. */
static void a_long_subject(void **state)
{
	struct regex *re = compile("^(?:[^,]*,)*(?:a|b|é)+$", false);
	const struct regex_span *spans;
	char *text = malloc(9000);

	(void)state;
	memset(text, 'a', 9000);
	for (size_t i = 0; i < 6000; i += 2)
		text[i] = ',';
	assert_int_equal(regex__match(re, text, 9000, 0, &spans), 1);
	assert_int_equal(spans[0].len, 9000);
	free(text);
	regex__free(re);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_in_go),
		cmocka_unit_test(refused),
		cmocka_unit_test(too_deep_or_too_large),
		cmocka_unit_test(anchored),
		cmocka_unit_test(names),
		cmocka_unit_test(from_a_place_on),
		cmocka_unit_test(invalid_utf8),
		cmocka_unit_test(every_byte_of_an_invalid_subject),
		cmocka_unit_test(nul_and_newlines_are_bytes),
		cmocka_unit_test(a_limit),
		cmocka_unit_test(a_long_subject),
	};

	return cmocka_run_group_tests_name("regex", tests, NULL, NULL);
}
