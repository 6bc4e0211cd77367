/* SPDX-License-Identifier: Apache-2.0 */
/* Selectors and filters, and where they are wrong. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "process/logql.h"

struct pair {
	const char *name, *value;
};

static bool matches(const char *text, const struct pair *labels, const char *line)
{
	struct syntax_error error;
	struct logql *q = NULL;
	bool result = true;

	if (logql__new(&q, text, &error))
		fail_msg("%s: %zu: %s", text, error.offset, error.text);
	for (size_t i = 0; i < logql__matchers(q) && result; i++) {
		const char *value = "";

		for (const struct pair *l = labels; l->name; l++)
			if (strcmp(l->name, logql__label(q, i)) == 0)
				value = l->value;
		result = logql__label_matches(q, i, value, strlen(value));
	}
	result = result && logql__line_matches(q, line, strlen(line));
	assert_int_equal(logql__limited(q), 0);
	logql__free(q);
	return result;
}

static const struct pair loki[] = {
	{"app", "loki"}, {"env", "prod"}, {"_x9", "a\"b\n"}, {NULL, NULL}};

static void documented(void **state)
{
	static const struct pair promtail[] = {{"app", "promtail"}, {NULL, NULL}};

	(void)state;
	assert_true(matches("{app=\"loki\"}", loki, "app1 log line"));
	assert_false(matches("{app=\"pokey\"}", loki, "app1 log line"));
	assert_true(
		matches("{app=\"promtail\"} |~ \".*noisy error.*\"", promtail, "foo noisy error"));
	assert_false(matches("{app=\"promtail\"} |~ \".*noisy error.*\"", promtail, "foo"));
	assert_false(matches("{app=\"promtail\"} |~ \".*noisy error.*\"", loki, "noisy error"));
}

static void selectors(void **state)
{
	static const struct {
		const char *text;
		bool matches;
	} rows[] = {
		{" {\n\tapp = \"loki\" ,\r\nenv != \"test\" } ", true},
		{"{app=\"loki\",env=\"test\"}", false},
		{"{app!=\"loki\"}", false},
		{"{app=~\"lo.*\"}", true},
		{"{app=~\"lo\"}", false},
		{"{app=~\"oki\"}", false},
		{"{app=~\"x|loki|y\"}", true},
		{"{app!~\"lo.*\"}", false},
		{"{app!~\"lo\"}", true},
		{"{other=\"\"}", true},
		{"{other!=\"x\"}", true},
		{"{other=~\".*\"}", true},
		{"{other=~\".+\"}", false},
		{"{other!~\".+\"}", true},
		{"{app=\"Loki\"}", false},
		{"{app=\"lok\"}", false},
		{"{app=\"lokii\"}", false},
		{"{app=~\"(?i)LOKI\"}", true},
		{"{_x9=\"a\\\"b\\n\"}", true},
		{"{_x9=~\"a.b.\"}", true},
		{"{app=`loki`}", true},
		{"{app=\"l\\x6f\\u006b\\U00000069\"}", true},
		{"{app=\"l\\157ki\"}", true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (matches(rows[i].text, loki, "") != rows[i].matches)
			fail_msg("%s", rows[i].text);
}

static void filters(void **state)
{
	static const struct {
		const char *text, *line;
		bool matches;
	} rows[] = {
		{"{app=\"loki\"} |= \"baz\"", "foo baz bar", true},
		{"{app=\"loki\"}|=\"baz\"", "foo Baz bar", false},
		{"{app=\"loki\"} != \"baz\"", "foo bar", true},
		{"{app=\"loki\"} != \"baz\"", "baz", false},
		{"{app=\"loki\"} |~ \"b.z$\"", "foo baz", true},
		{"{app=\"loki\"} |~ \"b.z$\"", "baz foo", false},
		{"{app=\"loki\"} !~ \"\\\\d+\"", "no digits", true},
		{"{app=\"loki\"} !~ `\\d+`", "a 1", false},
		{"{app=\"loki\"} |= \"a\" |~ \"b\" != \"c\" !~ \"d\"", "b a", true},
		{"{app=\"loki\"} |= \"a\" |~ \"b\" != \"c\" !~ \"d\"", "b a d", false},
		{"{app=\"loki\"} |= \"a\" |~ \"b\" != \"c\" !~ \"d\"", "b a c", false},
		{"{app=\"loki\"} |= \"a\" |~ \"b\" != \"c\" !~ \"d\"", "b", false},
		{"{app=\"loki\"} |= \"a\" |~ \"b\" != \"c\" !~ \"d\"", "a", false},
		{"{app=\"loki\"} |= \"\"", "", true},
		{"{app=\"loki\"} != \"\"", "x", false},
		{"{app=\"loki\"} |= `a\nb`", "a\nb", true},
		{"{app=\"loki\"} |= \"\\xff\"", "\xfe\xff", true},
		{"{app=\"loki\"} |= \"\\t\\\\\\a\"", "\t\\\a", true},
		{"{app=\"loki\"} |= \"ü\\u00fc\"", "üü", true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (matches(rows[i].text, loki, rows[i].line) != rows[i].matches)
			fail_msg("%s: %s", rows[i].text, rows[i].line);
}

static void wrong(void **state)
{
	static const struct {
		const char *text;
		size_t offset;
		const char *why;
	} rows[] = {
		{"", 0, "selector"},
		{"foo", 0, "selector"},
		{"{}", 1, "needs a matcher"},
		{"{foo=\"bar}", 5, "does not end"},
		{"{foo=\"bar\"", 10, "expected }"},
		{"{foo=\"bar\" x=\"y\"}", 11, "expected }"},
		{"{foo=\"bar\",}", 11, "label"},
		{"{foo}", 4, "expected =, !="},
		{"{foo=bar}", 5, "a string"},
		{"{foo='bar'}", 5, "a string"},
		{"{foo=}", 5, "a string"},
		{"{9foo=\"bar\"}", 1, "label"},
		{"{foo.bar=\"x\"}", 4, "expected =, !="},
		{"{foo==\"x\"}", 5, "a string"},
		{"{foo=\"bar\"} |~", 14, "a string"},
		{"{foo=\"bar\"} \"foo\"", 12, "expected |="},
		{"{foo=\"bar\"} foo", 12, "expected |="},
		{"{foo=\"bar\"} | json", 12, "only line filters"},
		{"{foo=\"bar\"} | level=\"x\"", 12, "only line filters"},
		{"{foo=\"bar\"} |> \"x\"", 12, "only line filters"},
		{"{foo=\"bar\"} |= \"a\" or \"b\"", 19, "expected |="},
		{"{foo=~\"a(\"}", 6, "regular expression"},
		{"{foo=\"bar\"} |~ \"a(\"", 15, "regular expression"},
		{"{foo=\"a\\d\"}", 7, "no such escape"},
		{"{foo=\"a\\'\"}", 7, "no such escape"},
		{"{foo=\"\\ud800\"}", 6, "no such escape"},
		{"{foo=\"\\U00110000\"}", 6, "no such escape"},
		{"{foo=\"\\x4\"}", 6, "no such escape"},
		{"{foo=\"\\400\"}", 6, "no such escape"},
		{"{foo=\"\\", 6, "no such escape"},
		{"{foo=\"a\nb\"}", 5, "does not end"},
		{"{foo=~\"a\\x00\"}", 8, "NUL"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct syntax_error error = {0};
		struct logql *q = NULL;

		if (logql__new(&q, rows[i].text, &error) != -EINVAL)
			fail_msg("%s", rows[i].text);
		assert_null(q);
		if (error.offset != rows[i].offset || !strstr(error.text, rows[i].why))
			fail_msg("%s: %zu: %s", rows[i].text, error.offset, error.text);
	}
	logql__free(NULL);
}

static void bounded(void **state)
{
	char text[2048] = "{a=\"b\"", *p = text + strlen(text);
	struct syntax_error error;
	struct logql *q;

	(void)state;
	for (int i = 0; i < 64; i++)
		p = stpcpy(p, ",a=\"b\"");
	stpcpy(p, "}");
	assert_int_equal(logql__new(&q, text, &error), -EINVAL);
	p = stpcpy(text, "{a=\"b\"}");
	for (int i = 0; i < 65; i++)
		p = stpcpy(p, "|=\"b\"");
	assert_int_equal(logql__new(&q, text, &error), -EINVAL);
}

/* A regular expression that gives up decides nothing, either way. */
static void match_limit(void **state)
{
	static const char *const ops[] = {"|~", "!~"};
	char line[201], text[64];
	struct syntax_error error;
	struct logql *q;

	(void)state;
	memset(line, 'x', sizeof(line));
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		stpcpy(stpcpy(stpcpy(text, "{a=\"b\"} "), ops[i]), " \"(x+x+)+[yz]\"");
		assert_int_equal(logql__new(&q, text, &error), 0);
		assert_false(logql__line_matches(q, line, sizeof(line)));
		assert_int_equal(logql__limited(q), 1);
		logql__free(q);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(documented), cmocka_unit_test(selectors),
		cmocka_unit_test(filters),    cmocka_unit_test(wrong),
		cmocka_unit_test(bounded),    cmocka_unit_test(match_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
