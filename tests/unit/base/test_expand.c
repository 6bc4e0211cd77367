/* SPDX-License-Identifier: Apache-2.0 */
/* Replacements as Go's regexp.Expand makes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/expand.h"
#include "base/util.h"

static void check(const char *pattern, const char *subject, const char *text, const char *expected,
		  bool constant)
{
	const struct regex_span *spans;
	struct regex_error error;
	_buf_ struct buf out = {0};
	struct expand *e = NULL;
	struct regex *re = NULL;

	assert_int_equal(regex__new(&re, pattern, false, &error), 0);
	assert_int_equal(expand__new(&e, text, re), 0);
	assert_int_equal(regex__match(re, subject, strlen(subject), 0, &spans), 1);
	assert_int_equal(expand__append(e, spans, &out), 0);
	if (out.len != strlen(expected) || memcmp(out.data ? out.data : "", expected, out.len) != 0)
		fail_msg("%s: %.*s instead of %s", text, (int)out.len, out.data, expected);
	assert_int_equal(expand__constant(e), constant);
	expand__free(e);
	regex__free(re);
}

static void texts(void **state)
{
	static const struct {
		const char *text, *expected;
		bool constant;
	} rows[] = {
		{"", "", true},
		{"plain", "plain", true},
		{"$1", "a", false},
		{"${1}", "a", false},
		{"$0", "abc", false},
		{"x$1-$n.y", "xa-b.y", false},
		{"$1_x", "b", false},
		{"${1}_x", "a_x", false},
		{"$1x", "", false},
		{"$9", "", false},
		{"$01", "", false},
		{"$n$n", "bb", false},
		{"${n}${n2}", "b", false},
		{"$né", "", false},
		{"${né}z", "z", false},
		{"$n日-", "-", false},
		{"$$1", "$1", true},
		{"$$$1", "$a", false},
		{"$", "$", true},
		{"a$", "a$", true},
		{"$ $-", "$ $-", true},
		{"${", "${", true},
		{"${}", "${}", true},
		{"${1", "${1", true},
		{"${1 }", "${1 }", true},
		{"${1-}$1", "${1-}a", false},
		{"$999999999999999999999", "", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("(a)(?P<n>(?P<1_x>b))c", "abc", rows[i].text, rows[i].expected,
		      rows[i].constant);
	expand__free(NULL);
}

/* Of groups with one name the first that took part. */
static void alternatives(void **state)
{
	(void)state;
	check("(?P<n>a)|(?P<n>b)", "b", "<$n$1>", "<b>", false);
	check("(?P<n>a)|(?P<n>b)", "a", "<$n$1>", "<aa>", false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts),
		cmocka_unit_test(alternatives),
	};

	return cmocka_run_group_tests_name("expand", tests, NULL, NULL);
}
