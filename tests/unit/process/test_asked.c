/* SPDX-License-Identifier: Apache-2.0 */
/* Each thing that a container may ask for, by each way that there is, and what is not understood.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "containers/pod.h"
#include "process/asked.h"

#define TENANTS(...)                                                   \
	(&(struct string_list){.items = (const char *[]){__VA_ARGS__}, \
			       .n = sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)})

static const struct string_list nobody;

/* The container nginx of a pod with one annotation. */
static struct meta *annotated(const char *key, const char *value)
{
	struct meta *m = meta__new();

	assert_int_equal(meta__add_label(m, "io.kubernetes.container.name", "nginx"), 0);
	m->pod = pod__new();
	m->pod->uid = strdup("u");
	if (key)
		assert_int_equal(pod__add_annotation(m->pod, key, value), 0);
	return m;
}

static void annotate(struct meta *m, const char *key, const char *value)
{
	assert_int_equal(pod__add_annotation(m->pod, key, value), 0);
}

static void exclusions(void **state _unused_)
{
	static const struct {
		const char *key, *value, *of_stdout, *of_stderr;
	} rows[] = {
		{"notail.io/exclude", "true", "notail.io/exclude", "notail.io/exclude"},
		{"notail.io/exclude", "True", "notail.io/exclude", "notail.io/exclude"},
		{"notail.io/exclude", "yes", "notail.io/exclude", "notail.io/exclude"},
		{"notail.io/exclude", "false", NULL, NULL},
		{"notail.io/exclude", "", NULL, NULL},
		{"notail.io/exclude", "truely", NULL, NULL},
		{"notail.io/exclude-nginx", "true", "notail.io/exclude", "notail.io/exclude"},
		{"notail.io/exclude-nginx2", "true", NULL, NULL},
		{"notail.io/exclude-", "true", NULL, NULL},
		{"fluentbit.io/exclude", "true", "fluentbit.io/exclude", "fluentbit.io/exclude"},
		{"fluentbit.io/exclude", "on", "fluentbit.io/exclude", "fluentbit.io/exclude"},
		{"fluentbit.io/exclude_stdout", "true", "fluentbit.io/exclude", NULL},
		{"fluentbit.io/exclude_stderr", "true", NULL, "fluentbit.io/exclude"},
		{"fluentbit.io/exclude_stderr-nginx", "true", NULL, "fluentbit.io/exclude"},
		{"fluentbit.io/exclude_stderr-php", "true", NULL, NULL},
		{"fluentbit.io/exclude-nginx", "true", "fluentbit.io/exclude",
		 "fluentbit.io/exclude"},
		{"fluentbit.io/exclude-php", "true", NULL, NULL},
		{"vector.dev/exclude", "true", "vector.dev/exclude", "vector.dev/exclude"},
		{"vector.dev/exclude", "false", NULL, NULL},
		{"vector.dev/exclude-containers", "php, nginx", "vector.dev/exclude-containers",
		 "vector.dev/exclude-containers"},
		{"vector.dev/exclude-containers", "nginx", "vector.dev/exclude-containers",
		 "vector.dev/exclude-containers"},
		{"vector.dev/exclude-containers", ",php,,nginx2,", NULL, NULL},
		{"vector.dev/exclude-containers", "", NULL, NULL},
		{"other.io/exclude", "true", NULL, NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_meta_ struct meta *m = annotated(rows[i].key, rows[i].value);
		const char *out = asked__excluded(m, LINE_STDOUT);
		const char *err = asked__excluded(m, LINE_STDERR);

		if (!!out != !!rows[i].of_stdout || !!err != !!rows[i].of_stderr)
			fail_msg("%s: %s", rows[i].key, rows[i].value);
		if (out)
			assert_string_equal(out, rows[i].of_stdout);
		if (err)
			assert_string_equal(err, rows[i].of_stderr);
		assert_ptr_equal(asked__excluded(m, LINE_TTY), out);
	}
}

static void labels_exclude_too(void **state _unused_)
{
	_meta_ struct meta *m = annotated(NULL, NULL), *docker = meta__new();

	assert_int_equal(pod__add_label(m->pod, "notail.io/exclude", "true"), 0);
	assert_null(asked__excluded(m, LINE_STDOUT));
	assert_int_equal(pod__add_label(m->pod, "vector.dev/exclude", "true"), 0);
	assert_non_null(asked__excluded(m, LINE_STDOUT));
	assert_null(asked__excluded(docker, LINE_STDOUT));
	assert_int_equal(meta__add_label(docker, "fluentbit.io/exclude_stderr", "true"), 0);
	assert_null(asked__excluded(docker, LINE_STDOUT));
	assert_non_null(asked__excluded(docker, LINE_STDERR));
	assert_int_equal(meta__add_label(docker, "notail.io/exclude", "true"), 0);
	assert_string_equal(asked__excluded(docker, LINE_STDOUT), "notail.io/exclude");
}

static void the_container_before_the_pod(void **state _unused_)
{
	_meta_ struct meta *m = annotated("notail.io/exclude", "true");
	struct asked a;

	annotate(m, "notail.io/exclude-nginx", "false");
	assert_null(asked__excluded(m, LINE_STDOUT));
	annotate(m, "fluentbit.io/exclude", "true");
	annotate(m, "fluentbit.io/exclude_stdout-nginx", "false");
	assert_null(asked__excluded(m, LINE_STDOUT));
	assert_non_null(asked__excluded(m, LINE_STDERR));
	annotate(m, "notail.io/preset", "alloy");
	annotate(m, "notail.io/preset-nginx", "promtail");
	annotate(m, "notail.io/multiline-nginx", "^x");
	assert_int_equal(asked__read(m, &nobody, &a), 0);
	assert_int_equal(a.preset, PRESET_PROMTAIL);
	assert_string_equal(a.pattern, "^x");
}

static void presets(void **state _unused_)
{
	static const struct {
		const char *value;
		int preset;
		bool problem;
	} rows[] = {
		{"kubernetes", PRESET_KUBERNETES, false},
		{"promtail", PRESET_PROMTAIL, false},
		{"alloy", PRESET_ALLOY, false},
		{"docker", PRESET_DOCKER, false},
		{"strict", PRESET_STRICT, false},
		{"auto", PRESET_AUTO, false},
		{"none", -1, true},
		{"Strict", -1, true},
		{"", -1, true},
		{"\xff\x01", -1, true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_meta_ struct meta *m = annotated("notail.io/preset", rows[i].value);
		struct asked a;

		assert_int_equal(asked__read(m, &nobody, &a), 0);
		assert_int_equal(a.preset, rows[i].preset);
		assert_int_equal(a.n_problems, rows[i].problem);
	}
}

static void tenants(void **state _unused_)
{
	char longest[152];

	memset(longest, 'a', sizeof(longest));
	longest[151] = '\0';
	const struct {
		const char *value;
		const struct string_list *allowed;
		bool is;
	} rows[] = {
		{"team-a", &nobody, false},
		{"team-a", TENANTS("team-a"), true},
		{"team-a", TENANTS("x", "team-*"), true},
		{"ops", TENANTS("x", "team-*"), false},
		{"ops", TENANTS("*"), true},
		{"", TENANTS("*"), false},
		{".", TENANTS("*"), false},
		{"..", TENANTS("*"), false},
		{"a|b", TENANTS("*"), false},
		{"a b", TENANTS("*"), false},
		{"a\r\nX-Other: b", TENANTS("*"), false},
		{"\xc3\xa4", TENANTS("*"), false},
		{longest, TENANTS("*"), false},
		{longest + 1, TENANTS("*"), true},
		{"a/b", TENANTS("**"), false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_meta_ struct meta *m = annotated("notail.io/tenant", rows[i].value);
		struct asked a;

		assert_int_equal(asked__read(m, rows[i].allowed, &a), 0);
		if ((a.tenant != NULL) != rows[i].is || a.n_problems == rows[i].is)
			fail_msg("%s", rows[i].value);
	}
}

/* `lines`: of each, whether it is a block's first. */
static void expect_blocks(const char *pattern, const char *const *lines, const char *firsts)
{
	const struct regex_span *spans;
	struct regex *re = NULL;
	bool continues;
	const char *why;

	assert_int_equal(asked_multiline__new(&re, pattern, &continues, &why), 0);
	for (size_t i = 0; lines[i]; i++) {
		bool first =
			(regex__match(re, lines[i], strlen(lines[i]), 0, &spans) == 1) != continues;

		if (first != (firsts[i] == '1'))
			fail_msg("%s: %s", pattern, lines[i]);
	}
	assert_null(lines[strlen(firsts)]);
	regex__free(re);
}

static void named_multilines(void **state _unused_)
{
	static const char *const java[] = {
		"2026-11-22 ERROR it failed",
		"java.lang.IllegalStateException: no",
		"\tat com.example.Main.run(Main.java:7)",
		"\t... 12 common frames omitted",
		"Caused by: java.io.IOException: disk",
		"\tat com.example.Disk.read(Disk.java:9)",
		"... 3 more",
		"Suppressed: x",
		"2026-11-22 INFO goes on",
		NULL,
	};
	static const char *const python[] = {
		"ERROR:root:it failed",
		"Traceback (most recent call last):",
		"  File \"a.py\", line 1, in <module>",
		"    f()",
		"ValueError: no",
		"",
		"During handling of the above exception, another exception occurred:",
		"",
		"Traceback (most recent call last):",
		"  File \"a.py\", line 3, in <module>",
		"requests.exceptions.ReadTimeoutError: late",
		"KeyboardInterrupt",
		"INFO:root:goes on",
		NULL,
	};
	static const char *const go[] = {
		"2026/11/22 it goes",
		"panic: runtime error: index out of range [1] with length 1",
		"[signal SIGSEGV: segmentation violation code=0x1]",
		"",
		"goroutine 1 [running]:",
		"main.f(...)",
		"\t/src/main.go:6",
		"main.(*server).run(0xc000010000)",
		"\t/src/main.go:9 +0x1d",
		"created by net/http.(*Server).Serve in goroutine 1",
		"exit status 2",
		"2026/11/22 again",
		NULL,
	};
	static const char *const indented[] = {"Error: no", "    at f (a.js:1:2)", "\tx", "next",
					       NULL};

	expect_blocks("java", java, "110000001");
	expect_blocks("python", python, "1100000010001");
	expect_blocks("go", go, "110000000001");
	expect_blocks("indented", indented, "1001");
	expect_blocks("node", indented, "1001");
	expect_blocks("dotnet", indented, "1001");
	expect_blocks("ruby", indented, "1001");
}

static void firstline_patterns(void **state _unused_)
{
	static const char *const lines[] = {"2026-11-22 a", " 2026-11-22 a", "a", NULL};

	expect_blocks("^\\d{4}-", lines, "100");
	/* At the line's beginning, whatever it says. */
	expect_blocks("\\d{4}-", lines, "100");
	expect_blocks(" ?\\d{4}-|b", lines, "110");
}

static void wrong_patterns(void **state _unused_)
{
	char text[300], large[64];
	const char *const patterns[] = {
		"", "(", "a)|(b", "jva", "(?=a)", "\\1", "[", text, large,
	};

	memset(text, '.', sizeof(text));
	text[257] = '\0';
	snprintf(large, sizeof(large), "%s", "(?:\\pL{0,900}x){900}");
	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
		_meta_ struct meta *m = annotated("notail.io/multiline", patterns[i]);
		struct asked a;

		assert_int_equal(asked__read(m, &nobody, &a), 0);
		if (a.pattern || a.n_problems != 1)
			fail_msg("%s", patterns[i]);
		assert_string_equal(a.problems[0].key, "notail.io/multiline");
		assert_memory_equal(a.problems[0].why, "expected ", 9);
	}
}

static void an_evil_pattern_gives_up(void **state _unused_)
{
	const struct regex_span *spans;
	struct regex *re = NULL;
	char line[ASKED_MULTILINE_BYTES];
	bool continues;
	const char *why;

	memset(line, 'a', sizeof(line));
	assert_int_equal(asked_multiline__new(&re, "(?:(?:a+)+)+[bc]$", &continues, &why), 0);
	assert_int_equal(regex__match(re, line, sizeof(line), 0, &spans), -EOVERFLOW);
	regex__free(re);
}

static void each_problem_is_told_once(void **state _unused_)
{
	_meta_ struct meta *m = annotated("notail.io/preset", "x"), *other = annotated(NULL, NULL);
	const struct asked_problem p = {"notail.io/preset", "x", "why"},
				   q = {"notail.io/preset", "y", "why"};
	struct asked_told told = {0};

	other->pod->uid[0] = 'v';
	assert_true(asked_told__first(&told, m, &p));
	assert_false(asked_told__first(&told, m, &p));
	assert_true(asked_told__first(&told, m, &q));
	assert_true(asked_told__first(&told, other, &p));
	assert_false(asked_told__first(&told, other, &p));
}

static void nothing_is_asked_for(void **state _unused_)
{
	_meta_ struct meta *m = meta__new();
	struct asked a;

	assert_int_equal(asked__read(m, &nobody, &a), 0);
	assert_int_equal(a.preset, -1);
	assert_null(a.tenant);
	assert_null(a.pattern);
	assert_int_equal(a.n_problems, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exclusions),
		cmocka_unit_test(labels_exclude_too),
		cmocka_unit_test(the_container_before_the_pod),
		cmocka_unit_test(presets),
		cmocka_unit_test(tenants),
		cmocka_unit_test(named_multilines),
		cmocka_unit_test(firstline_patterns),
		cmocka_unit_test(wrong_patterns),
		cmocka_unit_test(an_evil_pattern_gives_up),
		cmocka_unit_test(each_problem_is_told_once),
		cmocka_unit_test(nothing_is_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
