/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stages that make values and times: template and timestamp, with the cases that Promtail's
 * documentation and tests show. What is extracted are the stream's labels, as at every start.
 */
#include "pipeline_world.h"

#include <errno.h>
#include <unistd.h>

#include "process/stages.h"

static void refused(const char *yaml, const char *expected)
{
	world__says(NULL, yaml, -EINVAL, expected);
}

static void warned(const char *yaml, const char *expected)
{
	world__says(NULL, yaml, 0, expected);
}

/* One line through the stages. */
static void is(const char *labels, const char *yaml, const char *line, const char *expected)
{
	_world_ struct world w = {.opts.whole_times = true};

	world__open(&w, labels, yaml);
	world__line(&w, line);
	program__flush(w.program);
	world__expect(&w, expected);
}

/* template: https://grafana.com/docs, the examples, each made the line by output. */
static void template_examples(void **state _unused_)
{
	is("a=1",
	   "- template: {source: new_key, template: hello world!}\n- output: {source: new_key}",
	   "l", "{a=\"1\"} hello world!\n");
	is("app=loki",
	   "- template: {source: app, template: '{{ .Value }}_some_suffix'}\n- output: {source: "
	   "app}",
	   "l", "{app=\"loki\"} loki_some_suffix\n");
	is("app=LOKI",
	   "- template: {source: app, template: '{{ ToLower .Value }}'}\n- labels: {app: }", "l",
	   "{app=\"loki\"} l\n");
	is("app=loki,level=warn",
	   "- template: {source: output_msg, template: '{{ .level }} for app {{ ToUpper .app }}'}\n"
	   "- output: {source: output_msg}",
	   "l", "{app=\"loki\", level=\"warn\"} warn for app LOKI\n");
	is("app=loki,level=warn,module=test",
	   "- template:\n    source: app\n"
	   "    template: '{{ .level }} for app {{ ToUpper .Value }} in module {{.module}}'\n"
	   "- output: {source: app}",
	   "l",
	   "{app=\"loki\", level=\"warn\", module=\"test\"} warn for app LOKI in module test\n");
	is("app=loki-loki",
	   "- template: {source: app, template: '{{ Replace .Value \"loki\" \"blokey\" 1 }}'}\n"
	   "- output: {source: app}",
	   "l", "{app=\"loki-loki\"} blokey-loki\n");
	is("app=loki",
	   "- template: {source: message, template: '{{.app }}: {{ .Entry }}'}\n"
	   "- output: {source: message}",
	   "the line", "{app=\"loki\"} loki: the line\n");
}

static void template_values(void **state _unused_)
{
	_world_ struct world w = {0};

	/* Nothing removes the value; so it is no label's source. */
	is("app=x", "- template: {source: app, template: ''}\n- labels: {new: app}", "l",
	   "{app=\"x\"} l\n");
	is("app=x", "- template: {source: app}\n- labels: {new: app}", "l", "{app=\"x\"} l\n");
	is("app=x", "- template: {source: new, template: 'in {{ .none }}'}\n- labels: {new: }", "l",
	   "{app=\"x\", new=\"in <no value>\"} l\n");
	is("app=x", "- template: {source: none, template: '{{ .Value }}'}\n- labels: {none: }", "l",
	   "{app=\"x\", none=\"<no value>\"} l\n");

	/* An empty line has no bytes to point to. */
	world__open(
		&w, "app=x",
		"- template: {source: app, template: '[{{ .Entry }}]'}\n- output: {source: app}");
	world__bytes(&w, NULL, 0);
	world__expect(&w, "{app=\"x\"} []\n");
	world__close(&w);

	/* What fails leaves the value, and is counted. */
	world__open(&w, "app=x",
		    "- template: {source: app, template: '{{ ToUpper .none }}'}\n"
		    "- output: {source: app}");
	world__line(&w, "l");
	world__expect(&w, "{app=\"x\"} x\n");
	assert_int_equal(program__counters(w.program)->failed, 1);
}

static void template_refused(void **state _unused_)
{
	refused("- template: {template: x}",
		"t.yaml:1:13: [0].template: source is missing, expected a string\n");
	refused("- template: {source: '', template: x}",
		"t.yaml:1:22: [0].template.source: empty, expected a name\n");
	refused("- template: {source: a, template: '{{ .a }'}",
		"t.yaml:1:35: [0].template.template: invalid template at offset 6: unexpected "
		"character in an action\n");
	refused("- template:\n    source: a\n    template: '{{ regexReplaceAll \"(\" .a \"\" }}'",
		"t.yaml:3:15: [0].template.template: invalid template at offset 19: regular "
		"expression, at 0: missing closing )\n");
}

static void timestamp_formats(void **state _unused_)
{
	is("ts=2106-01-02T23:04:05-04:00", "- timestamp: {source: ts, format: RFC3339}", "l",
	   "{ts=\"2106-01-02T23:04:05-04:00\"} l @4291931045000000000\n");
	is("ts=1562708916.000000123", "- timestamp: {source: ts, format: Unix}", "l",
	   "{ts=\"1562708916.000000123\"} l @1562708916000000123\n");
	is("ts=1562708916414", "- timestamp: {source: ts, format: UnixMs}", "l",
	   "{ts=\"1562708916414\"} l @1562708916414000000\n");
	is("ts=2012-11-01T22:08:41-04:00",
	   "- timestamp:\n    source: ts\n    format: UnixMs\n    fallback_formats:\n"
	   "    - '2006-01-02 03:04:05.000000000 +0000 UTC'\n    - RFC3339",
	   "l", "{ts=\"2012-11-01T22:08:41-04:00\"} l @1351822121000000000\n");
	/* Without a year: the one of the record, 14 November 2023. */
	is("ts=Nov 14 01:02:03", "- timestamp: {source: ts, format: Jan _2 15:04:05}", "l",
	   "{ts=\"Nov 14 01:02:03\"} l @1699923723000000000\n");
	is("ts=nonsense", "- timestamp: {source: ts, format: RFC3339}", "l",
	   "{ts=\"nonsense\"} l\n");
	is("a=1", "- timestamp: {source: ts, format: RFC3339}", "l", "{a=\"1\"} l\n");
}

static void timestamp_location(void **state _unused_)
{
	if (access("/usr/share/zoneinfo/America/New_York", R_OK)) {
		print_message("SKIP no time zones here (Debian: tzdata)\n");
		skip();
	}
	is("ts=2019-07-22 20:29:32",
	   "- timestamp: {source: ts, format: '2006-01-02 15:04:05', location: America/New_York}",
	   "l", "{ts=\"2019-07-22 20:29:32\"} l @1563841772000000000\n");
	warned("- timestamp: {source: ts, format: ANSIC, location: America/New_York}",
	       "t.yaml:1:35: warning: [0].timestamp.format: the format \"ANSIC\" takes no notice "
	       "of "
	       "`location`, as in Promtail\n");
	refused("- timestamp: {source: ts, format: Unix, location: America/Canada}",
		"t.yaml:1:51: [0].timestamp.location: time zone \"America/Canada\" unknown, "
		"expected "
		"an IANA name like `Europe/Berlin`\n");
}

/* Below the time's last digit are the record's own: equal times of two lines stay two. */
static void timestamp_record_digits(void **state _unused_)
{
	static const char *const yaml = "- timestamp: {source: ts, format: RFC3339Nano}";
	_world_ struct world w = {0};

	world__open(&w, "ts=2019-10-01T01:02:03.400Z", yaml);
	w.now_ns += 7123456;
	world__line(&w, "a");
	w.now_ns++;
	world__line(&w, "b");
	world__expect(&w, "{ts=\"2019-10-01T01:02:03.400Z\"} a @1569891723400123456\n"
			  "{ts=\"2019-10-01T01:02:03.400Z\"} b @1569891723400123457\n");
	world__close(&w);

	world__open(&w, "ts=2019-10-01T01:02:03.400000000Z", yaml);
	w.now_ns += 7123456;
	world__line(&w, "a");
	world__expect(&w, "{ts=\"2019-10-01T01:02:03.400000000Z\"} a @1569891723400000000\n");
}

#define TIME_OF_LINE "- template: {source: ts, template: '{{ .Entry }}'}\n"

static void timestamp_fudge(void **state _unused_)
{
	_world_ struct world w = {0};
	struct program_stream *other, *first;

	world__open(&w, "a=1", TIME_OF_LINE "- timestamp: {source: ts, format: RFC3339Nano}");
	world__line(&w, "no time yet");
	world__line(&w, "2019-10-01T01:02:03.400000000Z");
	world__line(&w, "x");
	world__line(&w, "y");
	world__expect(&w, "{a=\"1\"} no time yet\n"
			  "{a=\"1\"} 2019-10-01T01:02:03.400000000Z @1569891723400000000\n"
			  "{a=\"1\"} x @1569891723400000001\n"
			  "{a=\"1\"} y @1569891723400000002\n");
	assert_int_equal(program__counters(w.program)->failed, 3);

	/* Another stream has a last time of its own. */
	first = w.stream;
	assert_int_equal(program_stream__new(&other, w.program), 0);
	w.stream = other;
	world__line(&w, "z");
	world__line(&w, "2019-10-01T01:02:03.800000000Z");
	world__line(&w, "z");
	w.stream = first;
	world__line(&w, "x");
	world__expect(&w, "{a=\"1\"} z\n"
			  "{a=\"1\"} 2019-10-01T01:02:03.800000000Z @1569891723800000000\n"
			  "{a=\"1\"} z @1569891723800000001\n"
			  "{a=\"1\"} x @1569891723400000003\n");
	program_stream__free(other);
}

/* As in Promtail: each set of labels has a last time, in whatever order they were made. */
static void timestamp_fudge_by_labels(void **state _unused_)
{
	_world_ struct world w = {0};
	char line[64];

	world__open(&w, "a=1",
		    "- logfmt: {mapping: {ts: , a: , b: , tenant: }}\n- tenant: {source: tenant}\n"
		    "- labels: {b: }\n- labels: {a: }\n"
		    "- timestamp: {source: ts, format: RFC3339Nano}\n");
	world__line(&w, "b=1 ts=2019-10-01T01:02:03.400000000Z");
	world__line(&w, "b=2");
	world__line(&w, "b=2 ts=2019-10-01T01:02:03.800000000Z");
	world__line(&w, "b=1");
	world__line(&w, "a=1 b=2");
	world__line(&w, "a=2 b=2");
	world__expect(&w, "{a=\"1\", b=\"1\"} b=1 ts=2019-10-01T01:02:03.400000000Z "
			  "@1569891723400000000\n"
			  "{a=\"1\", b=\"2\"} b=2\n"
			  "{a=\"1\", b=\"2\"} b=2 ts=2019-10-01T01:02:03.800000000Z "
			  "@1569891723800000000\n"
			  "{a=\"1\", b=\"1\"} b=1 @1569891723400000001\n"
			  "{a=\"1\", b=\"2\"} a=1 b=2 @1569891723800000001\n"
			  "{a=\"2\", b=\"2\"} a=2 b=2\n");

	/* A tenant's are its own. */
	world__line(&w, "b=1 tenant=x");
	world__expect(&w, "{a=\"1\", b=\"1\"} b=1 tenant=x tenant=x\n");

	/* 16 of them: the one that was not used for longest is forgotten. */
	for (int i = 3; i <= 17; i++) {
		snprintf(line, sizeof(line), "b=%d ts=2019-10-01T01:02:04.000000000Z", i);
		world__line(&w, line);
	}
	w.out.len = 0;
	world__line(&w, "b=1");
	world__line(&w, "b=2");
	world__line(&w, "b=3");
	world__expect(&w, "{a=\"1\", b=\"1\"} b=1\n"
			  "{a=\"1\", b=\"2\"} b=2 @1569891723800000002\n"
			  "{a=\"1\", b=\"3\"} b=3 @1569891724000000001\n");
}

/* After the line before it as that one is sent: with the record's digits. */
static void timestamp_fudge_with_digits(void **state _unused_)
{
	_world_ struct world w = {0};

	world__open(&w, "a=1", TIME_OF_LINE "- timestamp: {source: ts, format: RFC3339}");
	w.now_ns += 900000000;
	world__line(&w, "2019-10-01T01:02:03Z");
	w.now_ns += 200000000; /* the record's second is over */
	world__line(&w, "at x.y");
	world__expect(&w, "{a=\"1\"} 2019-10-01T01:02:03Z @1569891723900000000\n"
			  "{a=\"1\"} at x.y @1569891723900000001\n");
}

static void timestamp_skip(void **state _unused_)
{
	_world_ struct world w = {0};

	world__open(&w, "a=1",
		    TIME_OF_LINE
		    "- timestamp: {source: ts, format: RFC3339Nano, action_on_failure: skip}");
	world__line(&w, "2019-10-01T01:02:03.400000000Z");
	world__line(&w, "x");
	world__expect(&w, "{a=\"1\"} 2019-10-01T01:02:03.400000000Z @1569891723400000000\n"
			  "{a=\"1\"} x\n");
}

static void timestamp_refused(void **state _unused_)
{
	refused("- timestamp: {source: ts}",
		"t.yaml:1:14: [0].timestamp: format is missing, expected a string\n");
	refused("- timestamp: {source: ts, format: '%Y-%m-%d'}",
		"t.yaml:1:35: [0].timestamp.format: \"%Y-%m-%d\" has nothing of Go's reference "
		"time, "
		"expected a name like `RFC3339` or a layout like `2006-01-02 15:04:05`\n");
	refused("- timestamp: {source: ts, format: Unix, fallback_formats: [RFC3339, yyyy]}",
		"t.yaml:1:69: [0].timestamp.fallback_formats[1]: \"yyyy\" has nothing of Go's "
		"reference time, expected a name like `RFC3339` or a layout like "
		"`2006-01-02 15:04:05`\n");
	refused("- timestamp: {source: ts, format: Unix, action_on_failure: foo}",
		"t.yaml:1:60: [0].timestamp.action_on_failure: \"foo\", expected fudge or skip\n");
	refused("- timestamp: {source: ts, format: Unix, location: ../passwd}",
		"t.yaml:1:51: [0].timestamp.location: time zone \"../passwd\" unknown, expected an "
		"IANA name like `Europe/Berlin`\n");
	warned("- timestamp: {source: ts, format: RFC5424}",
	       "t.yaml:1:35: warning: [0].timestamp.format: \"RFC5424\" is taken as a layout; of "
	       "named "
	       "formats there are `RFC3339`, `RFC3339Nano`, `Unix`, `UnixMs` and others\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(template_examples),
		cmocka_unit_test(template_values),
		cmocka_unit_test(template_refused),
		cmocka_unit_test(timestamp_formats),
		cmocka_unit_test(timestamp_location),
		cmocka_unit_test(timestamp_record_digits),
		cmocka_unit_test(timestamp_fudge),
		cmocka_unit_test(timestamp_fudge_by_labels),
		cmocka_unit_test(timestamp_fudge_with_digits),
		cmocka_unit_test(timestamp_skip),
		cmocka_unit_test(timestamp_refused),
	};

	return cmocka_run_group_tests_name("stages that make", tests, NULL, NULL);
}
