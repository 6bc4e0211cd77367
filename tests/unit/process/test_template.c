/* SPDX-License-Identifier: Apache-2.0 */
/* Templates: what Promtail's documentation and tests say of them, Go's rules, and what is refused.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/util.h"
#include "process/template.h"

struct pair {
	const char *name, *text;
};

#define FIELDS_MAX 12
#define FIELDS(...)           \
	(const struct pair[]) \
	{                     \
		__VA_ARGS__,  \
		{             \
			0     \
		}             \
	}

static const struct pair no_fields[] = {{0}};

struct rig {
	struct slots *slots;
	struct template *t;
	struct arena arena;
	struct value values[FIELDS_MAX];
	struct template_data data;
	struct syntax_error error;
};

static void rig__free(struct rig *rig)
{
	template__free(rig->t);
	slots__free(rig->slots);
	arena__free(&rig->arena);
}

/* The template's result or its error. "Value" among the fields is `.Value`, "Entry" the line. */
static int rig__run(struct rig *rig, const char *template, const struct pair *fields,
		    const char **ret, size_t *ret_len)
{
	int err;

	assert_int_equal(slots__new(&rig->slots), 0);
	err = template__new(&rig->t, template, rig->slots, &rig->error);
	if (err)
		fail_msg("%s: at %zu: %s", template, rig->error.offset, rig->error.text);
	for (; fields->name; fields++) {
		size_t slot;

		assert_int_equal(slots__get(rig->slots, fields->name, &slot), 0);
		assert_true(slot < FIELDS_MAX);
		rig->values[slot] = (struct value){
			.kind = VALUE_STRING, .text = fields->text, .len = strlen(fields->text)};
		if (strcmp(fields->name, "Value") == 0)
			rig->data.value = rig->values[slot];
		if (strcmp(fields->name, "Entry") == 0) {
			rig->data.entry = fields->text;
			rig->data.entry_len = strlen(fields->text);
		}
	}
	rig->data.values = rig->values;
	rig->data.n_values = slots__count(rig->slots);
	return template__run(rig->t, &rig->data, &rig->arena, ret, ret_len);
}

static void gives_with(const char *template, const struct pair *fields, const char *expected)
{
	_cleanup_(rig__free) struct rig rig = {0};
	const char *text;
	size_t len;
	int err = rig__run(&rig, template, fields, &text, &len);

	if (err)
		fail_msg("%s: %d: %s", template, err, template__why(rig.t));
	if (strcmp(text, expected) != 0)
		fail_msg("%s: '%s', not '%s'", template, text, expected);
	assert_int_equal(len, strlen(text));
}

static void gives(const char *template, const char *expected)
{
	gives_with(template, no_fields, expected);
}

static void value_gives(const char *value, const char *template, const char *expected)
{
	gives_with(template, FIELDS({"Value", value}), expected);
}

static void fails_with(const char *template, const struct pair *fields)
{
	_cleanup_(rig__free) struct rig rig = {0};
	const char *text = "untouched";
	size_t len;

	if (rig__run(&rig, template, fields, &text, &len) != -EINVAL)
		fail_msg("%s did not fail", template);
	assert_string_equal(text, "untouched");
	assert_true(*template__why(rig.t));
}

static void fails(const char *template)
{
	fails_with(template, no_fields);
}

static void refused(const char *template, size_t offset, const char *text)
{
	_cleanup_(rig__free) struct rig rig = {0};

	assert_int_equal(slots__new(&rig.slots), 0);
	if (template__new(&rig.t, template, rig.slots, &rig.error) != -EINVAL)
		fail_msg("%s was not refused", template);
	if (rig.error.offset != offset || !strstr(rig.error.text, text))
		fail_msg("%s: at %zu: %s", template, rig.error.offset, rig.error.text);
}

static void test_documentation(void **state _unused_)
{
	gives("hello world!", "hello world!");
	value_gives("loki", "{{ .Value }}_some_suffix", "loki_some_suffix");
	value_gives("LOKI", "{{ ToLower .Value }}", "loki");
	gives_with("{{ .level }} for app {{ ToUpper .app }}",
		   FIELDS({"level", "warn"}, {"app", "loki"}), "warn for app LOKI");
	gives_with("{{ .level }} for app {{ ToUpper .Value }} in module {{.module}}",
		   FIELDS({"level", "warn"}, {"Value", "loki"}, {"module", "test"}),
		   "warn for app LOKI in module test");
	value_gives("loki loki", "{{ Replace .Value \"loki\" \"blokey\" 1 }}", "blokey loki");
	value_gives("loki loki loki", "{{ Replace .Value \"loki\" \"Loki\" 2 }}", "Loki Loki loki");
	gives_with("{{.app }}: {{ .Entry }}", FIELDS({"app", "loki"}, {"Entry", "the line"}),
		   "loki: the line");
	gives_with("{{ .app | ToUpper }}", FIELDS({"app", "loki"}), "LOKI");
	value_gives(",. hello ,.", "{{ Trim .Value \",. \" }}", "hello");
	value_gives(" \t hello \n", "{{ TrimSpace .Value }}", "hello");
	value_gives("--hello--", "{{ TrimPrefix .Value \"--\" }}", "hello--");
	value_gives("aabc bc", "{{ regexReplaceAll \"(a*)bc\" .Value \"${1}a\" }}", "aaa a");
	value_gives("ts=1 ts=2", "{{ regexReplaceAllLiteral \"(ts=)\" .Value \"timestamp=\" }}",
		    "timestamp=1 timestamp=2");
}

/* Without the spaces that the documentation's line continuations leave. */
static void test_documented_clock(void **state _unused_)
{
	static const char *const t =
		"{{ .date_local | substr 6 10 }}-{{ .date_local | substr 0 2 }}-"
		"{{ .date_local | substr 3 5 }}T{{ if eq (.time_local | substr 0 2) \"12\" }}"
		"{{ if eq .hour_period \"AM\" }}00{{ else }}12{{ end }}"
		"{{ .time_local | substr 2 10}}Z{{ else }}{{ if eq .hour_period \"AM\" }}"
		"{{ if or (eq (.time_local | substr 0 2) \"11\") "
		"(eq (.time_local | substr 0 2) \"10\") }}{{ .time_local }}Z"
		"{{ else }}0{{ .time_local }}Z{{ end }}{{ else }}"
		"{{ if eq (.time_local | substr 0 2) \"11\" }}23{{ .time_local | substr 2 10 }}Z{{ "
		"end }}"
		"{{ if and (le (.time_local | substr 0 1) \"7\") (eq (.time_local | substr 1 2) "
		"\":\") }}"
		"1{{ add (.time_local | substr 0 1) 2 }}{{ .time_local | substr 1 10 }}Z{{ end }}"
		"{{ end }}{{ end }}";

	gives_with(t,
		   FIELDS({"date_local", "11/08/2022"}, {"time_local", "12:53:24"},
			  {"hour_period", "PM"}),
		   "2022-11-08T12:53:24Z");
	gives_with(t,
		   FIELDS({"date_local", "11/08/2022"}, {"time_local", "12:53:24"},
			  {"hour_period", "AM"}),
		   "2022-11-08T00:53:24Z");
	gives_with(t,
		   FIELDS({"date_local", "11/08/2022"}, {"time_local", "9:53:24"},
			  {"hour_period", "AM"}),
		   "2022-11-08T09:53:24Z");
	gives_with(t,
		   FIELDS({"date_local", "11/08/2022"}, {"time_local", "11:53:24"},
			  {"hour_period", "PM"}),
		   "2022-11-08T23:53:24Z");
	gives_with(t,
		   FIELDS({"date_local", "11/08/2022"}, {"time_local", "3:53:24"},
			  {"hour_period", "PM"}),
		   "2022-11-08T15:53:24Z");
}

static void test_promtail(void **state _unused_)
{
	value_gives("value", "{{ .Value }} appended", "value appended");
	value_gives("WARN",
		    "{{ if eq .Value \"WARN\" }}{{ Replace .Value \"WARN\" \"OK\" -1 }}{{ else }}"
		    "{{ .Value }}{{ end }}",
		    "OK");
	value_gives("info",
		    "{{ if eq .Value \"WARN\" }}{{ Replace .Value \"WARN\" \"OK\" -1 }}{{ else }}"
		    "{{ .Value }}{{ end }}",
		    "info");
	value_gives("warn for app loki", "{{.Value}} in module {{.module}}",
		    "warn for app loki in module <no value>");
	fails("{{ .Value | ToLower }}");
	value_gives("Some Silly Value With Lots Of Spaces",
		    "{{ Replace .Value \" \" \"_\" -1 | ToLower }}",
		    "some_silly_value_with_lots_of_spaces");
	value_gives("Some Silly Value", "{{ regexReplaceAll \"(Silly)\" .Value \"${1}foo\"  }}",
		    "Some Sillyfoo Value");
	value_gives("Some Silly Value", "{{ regexReplaceAll \"(Silly)\" .Value \"$1foo\"  }}",
		    "Some  Value");
	value_gives("Some Silly Value Of It", "{{ regexReplaceAll \"( |Of)\" .Value \"_\"  }}",
		    "Some_Silly_Value___It");
	value_gives("!!!!!WOOOOO!!!!!", "{{ Trim .Value \"!\" }}", "WOOOOO");
	value_gives("this is PII data", "{{ Sha2Hash .Value \"salt\" }}",
		    "5526fd6f8ad457279cf8ff06453c6cb61bf479fa826e3b099caa6c846f9376f2");
	value_gives("this is PII data", "{{ Hash .Value \"salt\" }}",
		    "0807ea24e992127128b38e4930f7155013786a4999c73a25910318a793847658");
	gives("{{ add 7 3 }}", "10");
	gives("", "");
}

static void test_blanks(void **state _unused_)
{
	gives("a  {{- 1 -}}  b", "a1b");
	gives("a {{-1}} b", "a -1 b");
	gives("a{{/* nothing */}}b", "ab");
	gives("a {{- /* nothing */ -}} b", "ab");
	gives("{{\n1\n}}", "1");
	gives("{{ if true -}} \n x \n {{- end }}", "x");
	gives("{ {{ `{{` }} }", "{ {{ }");
	gives("}}", "}}");
}

static void test_constants(void **state _unused_)
{
	gives("{{ \"a\\tb\\n\\\"\\\\ \\x41\\101\\u00e9\\U0001F600\" }}",
	      "a\tb\n\"\\ AA\xc3\xa9\xf0\x9f\x98\x80");
	gives("{{ `raw \\n \"x\"` }}", "raw \\n \"x\"");
	gives("{{ 'a' }} {{ '\\n' }} {{ '\xc3\xa9' }}", "97 10 233");
	gives("{{ 0x1F }} {{ 0b101 }} {{ 0o17 }} {{ 017 }} {{ 1_000 }} {{ -5 }} {{ +5 }}",
	      "31 5 15 15 1000 -5 5");
	gives("{{ 1.5 }} {{ .5 }} {{ 1e3 }} {{ 1e21 }} {{ 1e-7 }} {{ 123456789.0 }}",
	      "1.5 0.5 1000 1e+21 1e-07 1.23456789e+08");
	gives("{{ true }} {{ false }}", "true false");
	refused("{{ 1x }}", 3, "bad number syntax");
	refused("{{ 99999999999999999999 }}", 3, "bad number syntax");
	refused("{{ \"a }}", 3, "unterminated quoted string");
	refused("{{ \"a\n\" }}", 3, "unterminated quoted string");
	refused("{{ \"\\z\" }}", 4, "escape");
	refused("{{ \"\\ud800\" }}", 4, "escape");
	refused("{{ `a }}", 3, "unterminated raw");
	refused("{{ 'ab' }}", 3, "character constant");
}

static void test_fields(void **state _unused_)
{
	gives_with("{{ .a }}{{ .b_1 }}{{ $.a }}", FIELDS({"a", "x"}, {"b_1", "y"}), "xyx");
	gives("{{ .a }}", "<no value>");
	gives("{{ .Value }} {{ .Entry }}", "<no value> <no value>");
	gives_with("{{ index . \"a-b\" }} {{ index $ \"c.d\" }} {{ index . \"none\" }}",
		   FIELDS({"a-b", "x"}, {"c.d", "y"}), "x y <no value>");
	gives_with("{{ hasKey . \"a\" }} {{ hasKey . \"b\" }} {{ get . \"a\" }}",
		   FIELDS({"a", "x"}), "true false x");
	gives_with("{{ .gr\xc3\xb6\xc3\x9f"
		   "e }}",
		   FIELDS({"gr\xc3\xb6\xc3\x9f"
			   "e",
			   "1"}),
		   "1");
	fails_with("{{ .a.b }}", FIELDS({"a", "x"}));
	gives("{{ .a.b }} {{ .a.b._1 }} {{ $x := .a }}{{ $x.b }}",
	      "<no value> <no value> <no value>");
	refused("{{ . }}", 3, "all fields");
	refused("{{ ToUpper . }}", 11, "all fields");
	refused("{{ index . .a }}", 3, "constant");
	refused("{{ .a \"x\" }}", 3, "arguments");
	refused("{{ \"x\".a }}", 6, "unexpected .");
}

static void test_values(void **state _unused_)
{
	_cleanup_(rig__free) struct rig rig = {0};
	const char *text;
	size_t len, slot;

	assert_int_equal(slots__new(&rig.slots), 0);
	assert_int_equal(template__new(&rig.t,
				       "{{ .n }} {{ .b }} {{ .z }} {{ .f }} {{ printf \"%s\" .n }}",
				       rig.slots, &rig.error),
			 0);
	assert_int_equal(slots__get(rig.slots, "n", &slot), 0);
	rig.values[slot] = (struct value){.kind = VALUE_NUMBER, .number = 12345678901.0};
	assert_int_equal(slots__get(rig.slots, "f", &slot), 0);
	rig.values[slot] = (struct value){.kind = VALUE_NUMBER, .number = 0.25};
	assert_int_equal(slots__get(rig.slots, "b", &slot), 0);
	rig.values[slot] = (struct value){.kind = VALUE_BOOL, .boolean = true};
	assert_int_equal(slots__get(rig.slots, "z", &slot), 0);
	rig.values[slot] = (struct value){.kind = VALUE_NULL};
	rig.data.values = rig.values;
	rig.data.n_values = slots__count(rig.slots);
	assert_int_equal(template__run(rig.t, &rig.data, &rig.arena, &text, &len), 0);
	assert_string_equal(text, "12345678901 true <no value> 0.25 12345678901");

	rig.data.n_values = 1; /* a slot behind the end is absent */
	assert_int_equal(template__run(rig.t, &rig.data, &rig.arena, &text, &len), 0);
	assert_string_equal(text, "12345678901 <no value> <no value> <no value> 12345678901");
}

static void test_control(void **state _unused_)
{
	static const char *const t = "{{ if eq .Value \"a\" }}1{{ else if eq .Value \"b\" }}2"
				     "{{ else }}3{{ end }}";

	value_gives("a", t, "1");
	value_gives("b", t, "2");
	value_gives("c", t, "3");
	gives("{{ if .a }}1{{ end }}x", "x");
	gives_with("{{ if .a }}1{{ else }}2{{ end }}", FIELDS({"a", ""}), "2");
	gives("{{ if 0 }}1{{ else if 0.0 }}2{{ else if \"\" }}3{{ else }}4{{ end }}", "4");
	gives_with("{{ with .a }}[{{ . }}{{ $.b }}]{{ else }}none{{ end }}",
		   FIELDS({"a", "x"}, {"b", "y"}), "[xy]");
	gives("{{ with .a }}[{{ . }}]{{ else }}none{{ end }}", "none");
	gives("{{ with 1 }}{{ with 2 }}{{ . }}{{ end }}{{ . }}{{ end }}", "21");
	refused("{{ if }}x{{ end }}", 6, "missing value");
	refused("{{ if true }}x", 3, "no {{end}}");
	refused("x{{ end }}", 8, "unexpected {{end}}");
	refused("x{{ else }}", 9, "unexpected {{else}}");
	refused("{{ if 1 }}{{ else }}{{ else }}{{ end }}", 28, "second else");
	refused("{{ range .a }}{{ end }}", 3, "range is not supported");
	refused("{{ define \"x\" }}{{ end }}", 3, "not supported");
}

static void test_variables(void **state _unused_)
{
	gives_with("{{ $x := .a }}{{ $y := ToUpper $x }}{{ $x }}{{ $y }}", FIELDS({"a", "q"}),
		   "qQ");
	gives("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }}", "2");
	gives("{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ $x }}{{ end }}{{ $x }}", "21");
	gives("{{ if $x := \"v\" }}{{ $x }}{{ end }}", "v");
	gives("{{ if false }}{{ else }}{{ $x := 3 }}{{ $x }}{{ end }}", "3");
	refused("{{ $x }}", 3, "undefined variable \"$x\"");
	refused("{{ if true }}{{ $x := 1 }}{{ end }}{{ $x }}", 38, "undefined variable");
	refused("{{ $x := $x }}", 9, "undefined variable");
	refused("{{ $x = 1 }}", 3, "undefined variable");
}

static void test_pipes(void **state _unused_)
{
	value_gives("  Hello ", "{{ .Value | trim | lower | printf \"%s-%s\" \"x\" }}", "x-hello");
	value_gives("abc", "{{ (.Value | ToUpper) | printf \"%s %d\" `n` | len }}", "17");
	gives("{{ not true }} {{ not .a }} {{ and 1 0 2 }} {{ or 0 \"\" \"x\" \"y\" }} {{ or 0 "
	      "\"\" }}",
	      "false true 0 x ");
	gives("{{ and false (fail \"never\") }} {{ or true (fail \"never\") }}", "false true");
	gives("{{ .a | default \"d\" }} {{ default \"d\" .a }} {{ default 1 0 }}", "d d 1");
	refused("{{ 1 | 2 }}", 7, "non executable command");
	refused("{{ .a | .b }}", 8, "non executable command");
	refused("{{ | ToUpper }}", 3, "missing value");
	refused("{{ .a | }}", 8, "missing value");
	refused("{{ }}", 3, "missing value");
	refused("{{ (.a }}", 7, "unclosed (");
	refused("{{ .a) }}", 5, "");
	refused("{{ .a", 5, "unclosed action");
	refused("{{ ToUpper }}", 3, "wrong number of args for ToUpper: want 1 got 0");
	refused("{{ Replace .a \"x\" \"y\" }}", 3, "want 4 got 3");
	refused("{{ Replace .a \"x\" \"y\" \"1\" }}", 22, "expected integer");
	refused("{{ ToUpper 1 }}", 11, "expected string");
	refused("{{ nothing .a }}", 3, "function \"nothing\" not known");
	refused("{{ .a | env }}", 8, "not known");
	refused("{{ .a ! }}", 6, "unexpected character");
}

static void test_comparing(void **state _unused_)
{
	gives("{{ eq 1 1 }} {{ eq 1 2 }} {{ eq 1 2 1 }} {{ ne \"a\" \"b\" }} {{ eq true true }}",
	      "true false true true true");
	gives("{{ lt 1 2 }} {{ le \"b\" \"b\" }} {{ gt 1.5 2.5 }} {{ ge \"b\" \"a\" }} {{ lt \"a\" "
	      "\"ab\" }}",
	      "true true false true true");
	gives("{{ eq .a \"x\" }} {{ ne .a \"x\" }} {{ eq .a .b }}", "false true true");
	fails("{{ eq 1 \"1\" }}");
	fails("{{ lt .a 1 }}");
	fails("{{ lt true false }}");
	fails("{{ lt 1 1.5 }}");
	value_gives("500", "{{ if ge (int .Value) 400 }}error{{ else }}info{{ end }}", "error");
	value_gives("80", "{{ if ge (int .Value) 400 }}error{{ else }}info{{ end }}", "info");
}

static void test_printing(void **state _unused_)
{
	gives("{{ print \"a\" 1 2 \"b\" 3 }}{{ print 1 2 }}{{ println \"x\" 1 }}",
	      "a1 2b31 2x 1\n");
	gives("{{ printf \"%d|%5d|%-5d|%05d|%+d|%x|%X|%o|%b|%c\" 42 42 42 42 42 255 255 8 5 65 }}",
	      "42|   42|42   |00042|+42|ff|FF|10|101|A");
	gives("{{ printf \"%s|%q|%5s|%-5s|%.2s|%x|%v\" \"ab\" \"a\\\"b\" \"ab\" \"ab\" \"abc\" "
	      "\"ab\" \"v\" }}",
	      "ab|\"a\\\"b\"|   ab|ab   |ab|6162|v");
	gives("{{ printf \"%3s\" \"\" }}", "   ");
	gives("{{ printf \"%.2f|%8.3f|%e|%g|%v|%08.2f\" 3.14159 3.14159 1234.5 1e-9 2.5 -3.14159 "
	      "}}",
	      "3.14|   3.142|1.234500e+03|1e-09|2.5|-0003.14");
	gives("{{ printf \"%q|%q|%q|%q|%5q|%U|%U|%#b\" 65 39 34 10 233 233 128512 5 }}",
	      "'A'|'\\''|'\"'|'\\n'|  '\xc3\xa9'|U+00E9|U+1F600|0b101");
	gives("{{ printf \"[%.0d|%3.0d|%.0x]\" 0 0 0 }}", "[|   |]");
	gives("{{ printf \"%t %v %%\" true false }}", "true false %");
	gives("{{ printf \"%d %s\" \"x\" 1 }}", "%!d(string=x) %!s(int=1)");
	gives("{{ printf \"%s %d\" .a }}", "%!s(<nil>) %!d(MISSING)");
	gives("{{ printf \"a\" 1 \"b\" }}", "a%!(EXTRA int=1, string=b)");
	gives("{{ printf \"100%\" }}", "100%!(NOVERB)");
	gives("{{ html `<a href=\"x\">&'` }}", "&lt;a href=&#34;x&#34;&gt;&amp;&#39;");
	gives("{{ urlquery \"a b&c/\xc3\xa9\" }}", "a+b%26c%2F%C3%A9");
	gives("{{ html .a }}{{ urlquery 1 .a 2 }}", "&lt;no value&gt;1%3Cno+value%3E2");
	gives("{{ print .a }}", "<nil>");
}

static void test_texts(void **state _unused_)
{
	value_gives("\xc3\x84pfel STRASSE \xff", "{{ ToLower .Value }}",
		    "\xc3\xa4pfel strasse \xff");
	value_gives("\xc3\xa4pfel", "{{ ToUpper .Value }}", "\xc3\x84PFEL");
	value_gives("xxabxx", "{{ TrimLeft .Value \"x\" }}|{{ TrimRight .Value \"x\" }}",
		    "abxx|xxab");
	value_gives("\xc3\xa9"
		    "a\xc3\xa9",
		    "{{ Trim .Value \"\xc3\xa9\" }}", "a");
	value_gives("\xc2\xa0 a\xe3\x80\x80", "{{ TrimSpace .Value }}", "a");
	value_gives("a.log", "{{ TrimSuffix .Value \".log\" }}{{ TrimSuffix .Value \".txt\" }}",
		    "aa.log");
	value_gives("ab\xc3\xa9", "{{ Replace .Value \"\" \"-\" -1 }}", "-a-b-\xc3\xa9-");
	value_gives("ab", "{{ Replace .Value \"\" \"-\" 2 }}", "-a-b");
	value_gives("ab", "{{ Replace .Value \"a\" \"b\" 0 }}", "ab");
	value_gives("hello",
		    "{{ substr 1 3 .Value }}|{{ substr 1 -1 .Value }}|{{ substr -1 2 .Value }}|"
		    "{{ substr 2 99 .Value }}",
		    "el|ello|he|llo");
	fails_with("{{ substr 9 10 .Value }}", FIELDS({"Value", "hello"}));
	fails_with("{{ substr 3 2 .Value }}", FIELDS({"Value", "hello"}));
	value_gives("hello", "{{ trunc 2 .Value }}{{ trunc -2 .Value }}{{ trunc 9 .Value }}",
		    "helohello");
	value_gives("hello world", "{{ abbrev 8 .Value }}", "hello...");
	value_gives("ab",
		    "{{ repeat 3 .Value }}{{ contains \"b\" .Value }}{{ hasPrefix \"a\" .Value }}"
		    "{{ hasSuffix \"a\" .Value }}",
		    "abababtruetruefalse");
	value_gives("a b",
		    "{{ quote .Value }}{{ squote .Value 1 }}{{ cat .Value .none 2 }}{{ nospace "
		    ".Value }}",
		    "\"a b\"'a b' '1'a b 2ab");
	value_gives("a\nb", "{{ indent 2 .Value }}|{{ nindent 1 .Value }}", "  a\n  b|\n a\n b");
	value_gives("hello big world", "{{ title .Value }}", "Hello Big World");
	value_gives("$5.00$", "{{ trimAll \"$\" .Value }}{{ .Value | trimSuffix \"$\" }}",
		    "5.00$5.00");
	value_gives("I am", "{{ .Value | replace \"am\" \"was\" }}", "I was");
	value_gives("/a/b.txt", "{{ base .Value }} {{ ext .Value }}", "b.txt .txt");
	value_gives("hello", "{{ b64enc .Value }} {{ b64enc .Value | b64dec }}", "aGVsbG8= hello");
	fails("{{ b64dec \"a=b\" }}");
	value_gives("abc", "{{ sha1sum .Value }}", "a9993e364706816aba3e25717850c26c9cd0d89d");
	gives("{{ ternary \"a\" \"b\" true }}{{ ternary \"a\" \"b\" false }}{{ coalesce 0 \"\" .x "
	      "\"c\" }}",
	      "abc");
	fails("{{ fail \"on purpose\" }}");
}

static void test_regexes(void **state _unused_)
{
	value_gives("abc", "{{ regexReplaceAll \"x*\" .Value \"-\" }}", "-a-b-c-");
	value_gives("baaac", "{{ regexReplaceAll \"a*\" .Value \"x\" }}", "xbxcx");
	value_gives("john smith",
		    "{{ regexReplaceAll \"(?P<f>\\\\w+) (?P<l>\\\\w+)\" .Value \"$l, ${f} $$1 $ "
		    "${x}$9\" }}",
		    "smith, john $1 $ ");
	value_gives("a1b22", "{{ regexReplaceAllLiteral \"[0-9]+\" .Value \"$0\" }}", "a$0b$0");
	value_gives("a1b22",
		    "{{ regexFind \"[0-9]+\" .Value }}|{{ regexMatch \"^a\" .Value }}|"
		    "{{ regexMatch \"^b\" .Value }}|{{ regexFind \"z\" .Value }}",
		    "1|true|false|");
	value_gives("x", "{{ regexReplaceAll \"^x\" .Value \"yx\" }}", "yx");
	value_gives("xxx", "{{ regexReplaceAll \"^x\" .Value \"\" }}", "xx");
	gives("{{ regexQuoteMeta \"a.b*c\" }}", "a\\.b\\*c");
	refused("{{ regexReplaceAll \"(\" .Value \"x\" }}", 19, "regular expression, at");
	refused("{{ regexReplaceAll .re .Value \"x\" }}", 19, "must be a constant");
}

static void test_numbers(void **state _unused_)
{
	gives("{{ add 1 2 3 }} {{ sub 5 7 }} {{ mul 2 3 4 }} {{ div 7 2 }} {{ mod 7 3 }} {{ add1 4 "
	      "}}",
	      "6 -2 24 3 1 5");
	gives("{{ add \"7\" \"3.9\" }} {{ int \"x\" }} {{ int \"0x1f\" }} {{ int \"08\" }} {{ atoi "
	      "\"12\" }} {{ atoi \"1x\" }}",
	      "10 0 31 8 12 0");
	gives("{{ max 1 5 3 }} {{ min 4 2 }} {{ floor 1.7 }} {{ ceil 1.2 }} {{ round 3.14159 2 }}",
	      "5 2 1 2 3.14");
	gives("{{ addf 0.1 0.2 }} {{ mulf 1.1 3 }} {{ divf 1 4 }} {{ subf 1 0.9 }}",
	      "0.3 3.3 0.25 0.1");
	gives("{{ float64 \"1.5\" }} {{ int 2.9 }} {{ int64 true }}", "1.5 2 1");
	fails("{{ div 1 0 }}");
	fails("{{ mod 1 .none }}");
	gives("{{ div -9223372036854775807 -1 }}", "9223372036854775807");
	value_gives("1500", "{{ div .Value 1000 }}s", "1s");
}

static void test_lists(void **state _unused_)
{
	value_gives("a/b/c",
		    "{{ index (splitList \"/\" .Value) 1 }} {{ splitList \"/\" .Value | last }} "
		    "{{ first (splitList \"/\" .Value) }} {{ splitList \"/\" .Value | len }}",
		    "b c a 3");
	value_gives("a/b/c", "{{ (split \"/\" .Value)._1 }}{{ (split \"/\" .Value)._7 }}",
		    "b<no value>");
	value_gives("a/b/c", "{{ $p := split \"/\" .Value }}{{ $p._0 }}{{ $p._2 }}", "ac");
	value_gives("a,b,c",
		    "{{ splitList \",\" .Value | reverse | join \"-\" }} {{ splitList \",\" .Value "
		    "| rest }} "
		    "{{ splitList \",\" .Value | initial }}",
		    "c-b-a [b c] [a b]");
	gives("{{ list 1 \"a\" true }} {{ join \",\" (list 1 2) }} {{ has 2 (list 1 2) }} {{ has 3 "
	      "(list 1 2) }}",
	      "[1 a true] 1,2 true false");
	value_gives("abc", "{{ splitList \"\" .Value }} {{ index .Value 0 }} {{ len .Value }}",
		    "[a b c] 97 3");
	fails("{{ index (list 1) 1 }}");
	fails("{{ index (list 1) -1 }}");
	fails("{{ len 1 }}");
}

static void test_bounds(void **state _unused_)
{
	_cleanup_(rig__free) struct rig rig = {0};
	_cleanup_(rig__free) struct rig deep = {0};
	char text[2048] = "{{ ";
	const char *out;
	size_t len;

	assert_int_equal(
		rig__run(&rig, "{{ repeat 100000000 \"0123456789\" }}", no_fields, &out, &len),
		-E2BIG);
	for (int i = 0; i < 100; i++)
		strcat(text, "(");
	assert_int_equal(slots__new(&deep.slots), 0);
	assert_int_equal(template__new(&deep.t, text, deep.slots, &deep.error), -EINVAL);
	assert_non_null(strstr(deep.error.text, "levels"));
	strcpy(text, "{{ 1");
	for (int i = 0; i < 100; i++)
		strcat(text, " | int");
	strcat(text, "}}");
	assert_int_equal(template__new(&deep.t, text, deep.slots, &deep.error), -EINVAL);
	assert_non_null(strstr(deep.error.text, "pipe"));
	text[0] = '\0';
	for (int i = 0; i < 100; i++)
		strcat(text, "{{ if 1 }}");
	assert_int_equal(template__new(&deep.t, text, deep.slots, &deep.error), -EINVAL);
	assert_non_null(strstr(deep.error.text, "levels"));
}

/* Once the longest result was seen, a run costs no malloc. */
static void test_arena(void **state _unused_)
{
	_cleanup_(rig__free) struct rig rig = {0};
	const char *text;
	size_t len;
	uint64_t before;

	assert_int_equal(
		rig__run(
			&rig,
			"{{ Hash .Value \"s\" | ToUpper }}{{ regexReplaceAll \"a\" .Value \"b\" }}",
			FIELDS({"Value", "banana"}), &text, &len),
		0);
	before = rig.arena.n_mallocs;
	for (int i = 0; i < 100; i++) {
		arena__reset(&rig.arena);
		assert_int_equal(template__run(rig.t, &rig.data, &rig.arena, &text, &len), 0);
	}
	assert_int_equal(rig.arena.n_mallocs, before);
	assert_string_equal(text + 64, "bbnbnb");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_documentation), cmocka_unit_test(test_documented_clock),
		cmocka_unit_test(test_promtail),      cmocka_unit_test(test_blanks),
		cmocka_unit_test(test_constants),     cmocka_unit_test(test_fields),
		cmocka_unit_test(test_values),	      cmocka_unit_test(test_control),
		cmocka_unit_test(test_variables),     cmocka_unit_test(test_pipes),
		cmocka_unit_test(test_comparing),     cmocka_unit_test(test_printing),
		cmocka_unit_test(test_texts),	      cmocka_unit_test(test_regexes),
		cmocka_unit_test(test_numbers),	      cmocka_unit_test(test_lists),
		cmocka_unit_test(test_bounds),	      cmocka_unit_test(test_arena),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
