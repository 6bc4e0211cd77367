/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stages that need no parser, with the cases that Promtail's documentation shows: what is
 * extracted there by a parser is extracted here by the tests' own stage.
 */
#include "own_stages.h"

#include <errno.h>

/* One line through the stages. */
static void is(const char *labels, const char *yaml, const char *line, const char *expected)
{
	_world_ struct world w = {0};

	open_with(&w, labels, yaml);
	world__line(&w, line);
	program__flush(w.program);
	world__expect(&w, expected);
}

/* labels: https://grafana.com/docs, "labels": stream from what json extracted. */
static void labels(void **state _unused_)
{
	is("app=x", "- extract: {stream: stderr}\n- labels: {stream: }", "l",
	   "{app=\"x\", stream=\"stderr\"} l\n");
	is("app=x", "- extract: {s: stderr}\n- labels: {stream: s, app: gone}", "l",
	   "{app=\"x\", stream=\"stderr\"} l\n");
	is("app=x", "- extract: {s: \"\\xff\"}\n- labels: {stream: s}", "l",
	   "{app=\"x\", stream=\"\303\277\"} l\n");
	world__says(
		test_types, "- labels:\n- static_labels: {}\n- structured_metadata: {}", 0,
		"t.yaml:1:10: warning: [0].labels: names no label: does nothing, expected `name: "
		"source` or `name:`\n"
		"t.yaml:2:18: warning: [1].static_labels: names no label: does nothing, expected "
		"`name: value`\n"
		"t.yaml:3:24: warning: [2].structured_metadata: names no label: does nothing, "
		"expected `name: source` or `name:`\n");
	is("app=x", "- labels:\n- static_labels:\n- structured_metadata:", "l", "{app=\"x\"} l\n");
	refused("- labels: [a]",
		"t.yaml:1:11: [0].labels: a list, expected a mapping of names to values\n");
}

/* A value that is not UTF-8 sets no label, and no metadata. */
static void labels_of_bytes(void **state _unused_)
{
	_world_ struct world w = {0};

	open_with(&w, "app=x",
		  "- extract: {l: line}\n- labels: {l: , k: l}\n- structured_metadata: {m: l}\n"
		  "- output: {source: app}\n");
	world__bytes(&w, "a\xff", 2);
	world__bytes(&w, "a\0b", 3);
	world__expect(&w, "{app=\"x\"} x\n{app=\"x\", k=\"a?b\"} x [m=a^b]\n");
}

static void labeldrop(void **state _unused_)
{
	is("filename=a,stream=stdout", "- labeldrop: [filename, none]", "l",
	   "{stream=\"stdout\"} l\n");
	is("filename=a,stream=stdout", "- labeldrop: filename", "l", "{stream=\"stdout\"} l\n");
	is("a=1", "- extract: {b: x}\n- labels: {b: }\n- labeldrop: [b]", "l", "{a=\"1\"} l\n");
	refused("- labeldrop: []", "t.yaml:1:14: [0].labeldrop: names no label, expected a list of "
				   "names\n");
}

static void labelallow(void **state _unused_)
{
	is("container=foo,pod=bar,x=1,y=2",
	   "- extract: {z: 1}\n- labels: {z: }\n- labelallow: [container, y]", "l",
	   "{container=\"foo\", y=\"2\"} l\n");
	is("container=foo,pod=bar", "- labelallow: [container]\n- static_labels: {pod: new}", "l",
	   "{container=\"foo\", pod=\"new\"} l\n");
	is("container=foo,pod=bar,b=1", "- labelallow: [container, b]\n- labelallow: [pod, b]", "l",
	   "{b=\"1\"} l\n");
}

static void static_labels(void **state _unused_)
{
	is("a=1", "- static_labels: {custom_key: custom_val, a: two, none: ''}", "l",
	   "{a=\"two\", custom_key=\"custom_val\"} l\n");
	/* What was extracted at the start stays as it was. */
	is("a=1", "- static_labels: {a: two}\n- output: {source: a}", "l", "{a=\"two\"} 1\n");
}

static void structured_metadata(void **state _unused_)
{
	is("app=x", "- extract: {trace_id: 0242ac120002}\n- structured_metadata: {trace_id: }", "l",
	   "{app=\"x\"} l [trace_id=0242ac120002]\n");
	is("app=x,pod=p", "- structured_metadata: {p: pod}", "l", "{app=\"x\"} l [p=p]\n");
	/* A label that is no extracted value; one whose value is another stays. */
	is("app=x", "- static_labels: {c: d}\n- structured_metadata: {m: c}", "l",
	   "{app=\"x\"} l [m=d]\n");
	is("app=x", "- extract: {app: y}\n- structured_metadata: {app: }", "l",
	   "{app=\"x\"} l [app=y]\n");
	is("app=x", "- extract: {n: =5, e: ''}\n- structured_metadata: {n: , e: , none: }", "l",
	   "{app=\"x\"} l [n=5]\n");
}

static void tenant(void **state _unused_)
{
	is("app=x", "- tenant: {value: team-a}", "l", "{app=\"x\"} l tenant=team-a\n");
	is("app=x", "- extract: {customer_id: '1'}\n- tenant: {source: customer_id}", "l",
	   "{app=\"x\"} l tenant=1\n");
	is("app=x,namespace=team-b", "- tenant: {label: namespace}", "l",
	   "{app=\"x\", namespace=\"team-b\"} l tenant=team-b\n");
	is("app=x", "- tenant: {label: none}", "l", "{app=\"x\"} l\n");
	refused("- tenant: {}", "t.yaml:1:11: [0].tenant: no tenant, expected one of `label`, "
				"`source` and `value`\n");
	refused("- tenant: {value: a, source: b}",
		"t.yaml:1:11: [0].tenant: more than one, expected one of `label`, `source` and "
		"`value`\n");
}

static void output(void **state _unused_)
{
	is("app=x", "- extract: {message: hey there}\n- output: {source: message}", "l",
	   "{app=\"x\"} hey there\n");
	is("app=x", "- extract: {m: =12.50}\n- output: {source: m}", "l", "{app=\"x\"} 12.5\n");
	is("app=x", "- output: {source: none}", "l", "{app=\"x\"} l\n");
	refused("- output:",
		"t.yaml:1:10: [0].output: no source, expected the name of an extracted value\n");
}

/* The documentation's: labels go into the line. */
static void pack(void **state _unused_)
{
	is("container=myapp,pod=pod-3223f,env=dev", "- pack: {labels: [pod, container]}",
	   "original log message",
	   "{env=\"dev\"} {\"container\":\"myapp\",\"pod\":\"pod-3223f\",\"_entry\":\"original log "
	   "message\"}\n");
	is("a=1", "- extract: {n: =1.5, none: '!'}\n- pack: {labels: [n, none, missing, n]}", "l",
	   "{a=\"1\"} {\"n\":\"1.5\",\"_entry\":\"l\"}\n");
	is("a=1", "- pack: {labels: []}", "", "{a=\"1\"} {\"_entry\":\"\"}\n");
	is("a=1", "- pack:", "<a href=\"x\">\t\\&\001\xe2\x80\xa8\xe2\x80\xa9\xc3\xbc\xff",
	   "{a=\"1\"} {\"_entry\":\"\\u003ca href=\\\"x\\\"\\u003e\\t\\\\\\u0026\\u0001\\u2028"
	   "\\u2029\xc3\xbc\\ufffd\"}\n");
}

static void pack_and_time(void **state _unused_)
{
	is("a=1", "- set_time:\n- pack:", "l", "{a=\"1\"} {\"_entry\":\"l\"}\n");
	is("a=1", "- set_time:\n- pack: {ingest_timestamp: false}", "l",
	   "{a=\"1\"} {\"_entry\":\"l\"} @42000000000\n");
}

/* The documentation's pipeline, its two jsons being the tests' own stage. */
static const char match_yaml[] = "- extract: {app: loki}\n"
				 "- labels: {app: }\n"
				 "- match:\n"
				 "    selector: '{app=\"loki\"}'\n"
				 "    stages:\n"
				 "      - extract: {msg: app1 log line}\n"
				 "- match:\n"
				 "    pipeline_name: app2\n"
				 "    selector: '{app=\"pokey\"}'\n"
				 "    action: keep\n"
				 "    stages:\n"
				 "      - extract: {msg: app2}\n"
				 "- match:\n"
				 "    selector: '{app=\"loki\"} |~ \".*noisy error.*\"'\n"
				 "    action: drop\n"
				 "    drop_counter_reason: promtail_noisy_error\n"
				 "- output: {source: msg}\n";

static void match(void **state _unused_)
{
	is("a=1", match_yaml, "l", "{a=\"1\", app=\"loki\"} app1 log line\n");
	is("a=1", match_yaml, "a noisy error here", "");
	is("app=x",
	   "- match:\n    selector: '{app=\"x\",b=\"\"}'\n    stages:\n"
	   "      - match:\n          selector: '{app=\"y\"}'\n          stages:\n"
	   "            - static_labels: {c: '1'}\n"
	   "      - static_labels: {d: '2'}\n"
	   "- static_labels: {e: '3'}\n",
	   "l", "{app=\"x\", d=\"2\", e=\"3\"} l\n");
}

/* What is held within goes on behind, within and then without. */
static void match_and_multiline(void **state _unused_)
{
	_world_ struct world w = {0};

	open_with(&w, "app=x",
		  "- match:\n    selector: '{app=\"x\"} !~ \"^skip\"'\n    stages:\n"
		  "      - multiline: {firstline: ^A}\n"
		  "      - static_labels: {in: y}\n"
		  "- static_labels: {out: y}\n");
	world__line(&w, "A");
	world__line(&w, "skip");
	world__line(&w, "b");
	program__flush(w.program);
	world__expect(&w, "{app=\"x\", out=\"y\"} skip\n"
			  "{app=\"x\", in=\"y\", out=\"y\"} A\nb\n");
}

static void match_is_refused(void **state _unused_)
{
	refused("- match: {selector: '{a=\"b\"}'}",
		"t.yaml:1:10: [0].match: no stages, expected at least one, or `action: drop`\n");
	refused("- match: {selector: '{a=\"b\"}', action: drop, stages: [cri: ]}",
		"t.yaml:1:54: [0].match.stages: stages for lines that are dropped, expected "
		"none\n");
	refused("- match: {selector: '{a=b}', action: drop}",
		"t.yaml:1:21: [0].match.selector: invalid selector at offset 3: expected a "
		"string, in double quotes or backquotes\n");
	refused("- match: {selector: '{a=\"b\"}', stages: [{labels: {'': }}, {nope: }]}",
		"t.yaml:1:55: [0].match.stages[0].labels[\"\"]: `` is no label name, expected "
		"letters, "
		"digits and _\n"
		"t.yaml:1:60: [0].match.stages[1].nope: unknown stage `nope`\n");
}

static void match_too_deep(void **state _unused_)
{
	_world_ struct world w = {.opts.types = test_types};
	_buf_ struct buf yaml = {0};

	for (int i = 0; i < 20; i++)
		assert_int_equal(
			buf__append_str(&yaml, "[{match: {selector: '{a=\"b\"}', stages: "), 0);
	assert_int_equal(buf__append_str(&yaml, "[{output: {source: x}}]"), 0);
	for (int i = 0; i < 20; i++)
		assert_int_equal(buf__append_str(&yaml, "}}]"), 0);
	assert_int_equal(buf__append(&yaml, "", 1), 0);
	assert_int_equal(world__try(&w, yaml.data), -EINVAL);
	assert_non_null(strstr(w.messages, "stages within stages, 17 deep, expected at most 16"));
}

/* Drops: yes; the line stays: no. */
static void drops(const char *yaml, const char *line, bool yes)
{
	_world_ struct world w = {0};

	open_with(&w, "app=x,empty=", yaml);
	world__line(&w, line);
	assert_int_equal(w.lines, yes ? 0 : 1);
}

static void drop_by_expression(void **state _unused_)
{
	drops("- drop: {expression: '.*debug.*'}", "level=debug msg", true);
	drops("- drop: {expression: '.*debug.*'}", "level=error msg", false);
	drops("- extract: {level: debug}\n- drop: {source: level, expression: '(error|debug)'}",
	      "l", true);
	drops("- extract: {level: info}\n- drop: {source: level, expression: '(error|debug)'}", "l",
	      false);
	/* Of a source that is not there the empty text is left. */
	drops("- drop: {source: level, expression: '^$'}", "l", true);
	drops("- extract: {level: '!'}\n- drop: {source: level, expression: '.*'}", "l", false);
}

static void drop_by_value(void **state _unused_)
{
	drops("- extract: {level: debug}\n- drop: {source: level, value: debug}", "l", true);
	drops("- extract: {level: debugx}\n- drop: {source: level, value: debug}", "l", false);
	drops("- extract: {level: a.c}\n- drop: {source: level, value: a.c}", "l", true);
	drops("- extract: {level: abc}\n- drop: {source: level, value: a.c}", "l", false);
	drops("- extract: {n: =5}\n- drop: {source: [n], value: 5}", "l", true);
	drops("- drop: {source: level, value: debug}", "l", false);
}

static void drop_by_sources(void **state _unused_)
{
	drops("- drop: {source: app}", "l", true);
	drops("- drop: {source: none}", "l", false);
	drops("- extract: {null: '!'}\n- drop: {source: 'null'}", "l", false);
	drops("- drop: {source: [app, none]}", "l", false);
	drops("- extract: {b: y}\n- drop: {source: [app, b], expression: '^x;y$'}", "l", true);
	drops("- extract: {b: y}\n- drop: {source: [app, b], separator: '#', value: 'x#y'}", "l",
	      true);
	drops("- extract: {b: ''}\n- drop: {source: [b, app], separator: '#', value: '#x'}", "l",
	      true);
	drops("- extract: {b: y}\n- drop: {source: [app, none, b], value: 'x;y'}", "l", true);
}

static void drop_by_length_and_age(void **state _unused_)
{
	drops("- drop: {longer_than: 4b}", "12345", true);
	drops("- drop: {longer_than: 4b}", "1234", false);
	drops("- drop: {longer_than: 8kb}", "1234", false);
	drops("- set_time:\n- drop: {older_than: 24h}", "l", true);
	drops("- drop: {older_than: 24h}", "l", false);
	drops("- drop: {older_than: 0s}", "l", false);
	/* All of the conditions. */
	drops("- set_time:\n- drop: {older_than: 24h, longer_than: 4}", "1234", false);
	drops("- set_time:\n- drop: {older_than: 24h, longer_than: 4, expression: '5'}", "12345",
	      true);
	drops("- set_time:\n- drop: {older_than: 24h, longer_than: 4, expression: '6'}", "12345",
	      false);
}

static void drop_by_preset(void **state _unused_)
{
	drops("- drop: {preset: health}", "\"GET /health HTTP/1.1\" 200 2", true);
	drops("- drop: {preset: health}", "\"GET /health HTTP/1.1\" 503 2", false);
	drops("- drop: {preset: health}", "\"GET /shop HTTP/1.1\" 200 2", false);
	drops("- drop: {preset: health, source: app, value: x}", "GET /ready", true);
	drops("- drop: {preset: health, source: app, value: y}", "GET /ready", false);
	refused("- drop: {preset: healt}",
		"t.yaml:1:18: [0].drop.preset: \"healt\", expected health\n");
}

static void drop_is_refused(void **state _unused_)
{
	refused("- drop: {}", "t.yaml:1:9: [0].drop: no condition, expected at least one of "
			      "`source`, `expression`, `older_than`, `longer_than` and `preset`\n");
	refused("- drop: {source: a, value: b, expression: c}",
		"t.yaml:1:28: [0].drop.value: `value` and `expression` together, expected one of "
		"them\n");
	refused("- drop: {longer_than: 3, value: b}",
		"t.yaml:1:33: [0].drop.value: a value of nothing, expected `source`\n");
	refused("- drop: {expression: 'a('}",
		"t.yaml:1:22: [0].drop.expression: invalid regex at offset 1: missing closing )\n");
}

static void sampling(void **state _unused_)
{
	_world_ struct world w = {0}, again = {0}, none = {0}, all = {0};
	char text[32];

	open_with(&w, "app=x", "- sampling: {rate: 0.25}");
	open_with(&again, "app=x", "- sampling: {rate: 0.25}");
	open_with(&none, "app=x", "- sampling: {rate: 0}");
	open_with(&all, "app=x", "- sampling: {rate: 1}");
	for (int i = 0; i < 4000; i++) {
		snprintf(text, sizeof(text), "%d", i % 7);
		w.now_ns++;
		again.now_ns++;
		world__line(&w, text);
		world__line(&again, text);
		world__line(&none, text);
		world__line(&all, text);
	}
	assert_in_range(w.lines, 900, 1100);
	assert_int_equal(none.lines, 0);
	assert_int_equal(all.lines, 4000);
	/* The same records have the same fate. */
	assert_int_equal(w.out.len, again.out.len);
	assert_memory_equal(w.out.data, again.out.data, w.out.len);
	refused("- sampling: {rate: 1.5}",
		"t.yaml:1:20: [0].sampling.rate: no share, expected 0 to "
		"1\n");
}

static void limit_drops(void **state _unused_)
{
	_world_ struct world w = {0};

	open_with(&w, "app=x", "- limit: {rate: 10, burst: 3, drop: true}");
	for (int i = 0; i < 10; i++)
		world__line(&w, "l");
	assert_int_equal(w.lines, 3);
	world__wait(&w, NS_PER_SEC / 5);
	for (int i = 0; i < 10; i++)
		world__line(&w, "l");
	assert_int_equal(w.lines, 5);
	world__wait(&w, 100 * NS_PER_SEC);
	for (int i = 0; i < 10; i++)
		world__line(&w, "l");
	assert_int_equal(w.lines, 8);
}

static void limit_by_label(void **state _unused_)
{
	_world_ struct world w = {0};

	open_with(&w, "app=x",
		  "- extract: {l: line}\n- labels: {l: }\n"
		  "- limit: {rate: 1, burst: 2, drop: true, by_label_name: l}\n");
	for (int i = 0; i < 5; i++) {
		world__line(&w, "a");
		world__line(&w, "b");
		world__line(&w, ""); /* has no such label */
	}
	assert_int_equal(w.lines, 2 + 2 + 5);
}

/* More values than are remembered. */
static void limit_by_many_labels(void **state _unused_)
{
	_world_ struct world w = {0};
	char text[16];

	open_with(&w, "app=x",
		  "- extract: {l: line}\n- labels: {l: }\n"
		  "- limit: {rate: 1, burst: 1, drop: true, by_label_name: l}\n");
	for (int i = 0; i < 25000; i++) {
		snprintf(text, sizeof(text), "%d", i);
		world__line(&w, text);
	}
	assert_int_equal(w.lines, 25000);
	world__line(&w, "24999");
	assert_int_equal(w.lines, 25000);
}

static void limit_delays(void **state _unused_)
{
	_world_ struct world w = {0};
	struct program_stream *first, *second;

	open_with(&w, "app=x", "- limit: {rate: 2, burst: 2}\n- labels: {l: app}\n");
	first = w.stream;
	assert_int_equal(program_stream__new(&second, w.program), 0);
	world__line(&w, "1");
	world__line(&w, "2");
	world__line(&w, "3");
	world__line(&w, "4");
	world__line(&w, "5");
	w.stream = second; /* is not delayed by the first */
	world__line(&w, "other");
	world__expect(&w, "{app=\"x\", l=\"x\"} 1\n{app=\"x\", l=\"x\"} 2\n{app=\"x\", l=\"x\"} "
			  "other\n");
	world__wait(&w, NS_PER_SEC / 2 - 2);
	world__expect(&w, "");
	world__wait(&w, 4);
	world__expect(&w, "{app=\"x\", l=\"x\"} 3\n");
	w.stream = first;
	w.now_ns +=
		NS_PER_SEC / 2 + 1; /* without a tick: the next line sees it, and waits behind */
	world__line(&w, "6");
	world__expect(&w, "{app=\"x\", l=\"x\"} 4\n");
	program__flush(w.program);
	world__expect(&w, "{app=\"x\", l=\"x\"} 5\n{app=\"x\", l=\"x\"} 6\n");
	assert_int_equal(program__tick(w.program, w.now_ns), UINT64_MAX);
	program_stream__free(second);
}

/* What finds no room to wait is dropped; what waits at the end of a stream goes with it. */
static void limit_waits_within_bounds(void **state _unused_)
{
	_world_ struct world w = {.opts.max_held_bytes = 4096};

	open_with(&w, "app=x", "- limit: {rate: 1, burst: 1}");
	for (int i = 0; i < 1000; i++)
		world__line(&w, "a line");
	assert_int_equal(w.lines, 1);
	program__flush(w.program);
	assert_in_range(w.lines, 2, 64);
	for (int i = 0; i < 1000; i++)
		world__line(&w, "a line");
}

static void limit_is_refused(void **state _unused_)
{
	refused("- limit: {rate: 0, burst: 1}", "t.yaml:1:17: [0].limit.rate: no rate, expected "
						"more than 0\n");
	refused("- limit: {rate: 1, burst: 1, by_label_name: a}",
		"t.yaml:1:45: [0].limit.by_label_name: a limit by label delays nothing, expected "
		"`drop: true`\n");
}

/* The documentation's flask: tracebacks behind a line with a time. */
static void multiline(void **state _unused_)
{
	_world_ struct world w = {0};

	open_with(&w, "app=x",
		  "- multiline: {firstline: '^\\[\\d{4}-\\d{2}-\\d{2} ', "
		  "max_wait_time: 3s}");
	world__line(&w, "before");
	world__line(&w, "[2020-12-03 11:36:20] \"GET /hello\" 200 -");
	world__line(&w, "[2020-12-03 11:36:23] ERROR in app: Exception on /error [GET]");
	world__expect(&w, "{app=\"x\"} before\n"
			  "{app=\"x\"} [2020-12-03 11:36:20] \"GET /hello\" 200 -\n");
	world__line(&w, "Traceback (most recent call last):");
	world__line(&w, "");
	world__line(&w, "    raise Exception(\"Sorry\")");
	world__line(&w, "[2020-12-03 11:36:23] \"GET /error\" 500 -");
	world__expect(&w,
		      "{app=\"x\"} [2020-12-03 11:36:23] ERROR in app: Exception on /error [GET]"
		      "\nTraceback (most recent call last):\n\n    raise Exception(\"Sorry\")"
		      "\n");
	world__wait(&w, 3 * NS_PER_SEC);
	world__expect(&w, "");
	world__wait(&w, 1);
	world__expect(&w, "{app=\"x\"} [2020-12-03 11:36:23] \"GET /error\" 500 -\n");
}

/* A stream's own multiline, before the stages; of one that does not ask lines go through. */
static void multiline_that_a_container_asks_for(void **state _unused_)
{
	_world_ struct world w = {.opts.asked_multiline = true};

	world__open(&w, "app=x", "- replace: {expression: '(\\n)', replace: ' / '}");
	world__line(&w, "A");
	world__line(&w, "\tb");
	world__expect(&w, "{app=\"x\"} A\n{app=\"x\"} \tb\n");
	assert_null(program_stream__asks(w.stream));
	program_stream__free(w.stream);
	assert_int_equal(program_stream__new(&w.stream, w.program), 0);
	assert_int_equal(program_stream__ask(w.stream, "java"), 0);
	assert_string_equal(program_stream__asks(w.stream), "java");
	world__line(&w, "A");
	world__line(&w, "\tb");
	world__line(&w, "Caused by: c");
	world__expect(&w, "");
	world__line(&w, "D");
	world__expect(&w, "{app=\"x\"} A / \tb / Caused by: c\n");
	world__wait(&w, 3 * NS_PER_SEC + 1);
	world__expect(&w, "{app=\"x\"} D\n");
	program_stream__free(w.stream);
	assert_int_equal(program_stream__new(&w.stream, w.program), 0);
	assert_int_equal(program_stream__ask(w.stream, "^A"), 0);
	world__line(&w, "before");
	world__line(&w, "A");
	world__line(&w, "b");
	world__line(&w, "A");
	world__expect(&w, "{app=\"x\"} before\n{app=\"x\"} A / b\n");
}

static void multiline_by_record_time(void **state _unused_)
{
	_world_ struct world w = {0};

	open_with(&w, "app=x", "- multiline: {firstline: ^A, max_wait_time: 2s}");
	world__line(&w, "A 1");
	w.now_ns += 2 * NS_PER_SEC;
	world__line(&w, "b");
	w.now_ns += 2 * NS_PER_SEC + 1; /* no tick came between */
	world__line(&w, "c");
	world__line(&w, "d");
	world__expect(&w, "{app=\"x\"} A 1\nb\n");
	program__flush(w.program);
	world__expect(&w, "{app=\"x\"} c\nd\n");
	assert_int_equal(w.last.time_ns, w.now_ns);
}

static void multiline_max_lines(void **state _unused_)
{
	_world_ struct world w = {0};

	open_with(&w, "app=x",
		  "- extract: {first: line}\n"
		  "- multiline: {firstline: ^A, max_lines: 2}\n"
		  "- output: {source: first}\n");
	world__line(&w, "A");
	world__line(&w, "b");
	world__line(&w, "c");
	world__line(&w, "d");
	world__line(&w, "e");
	/* Each goes on with what was extracted from the first line. */
	world__expect(&w, "{app=\"x\"} A\n{app=\"x\"} A\n");
	world__line(&w, "A2");
	world__expect(&w, "{app=\"x\"} A\n");
}

static void multiline_first_line_empty(void **state _unused_)
{
	_world_ struct world w = {0};

	open_with(&w, "app=x", "- multiline: {firstline: '^$'}");
	world__line(&w, "");
	world__line(&w, "b");
	world__line(&w, "");
	world__line(&w, "");
	program__flush(w.program);
	world__expect(&w, "{app=\"x\"} \nb\n{app=\"x\"} \n{app=\"x\"} \n");
	assert_non_null(w.last.bytes); /* whoever gets a line adds to it, were it empty */
}

static void multiline_by_labels(void **state _unused_)
{
	_world_ struct world w = {0};
	struct label_set *a, *b;

	open_with(&w, "app=a", "- multiline: {firstline: ^A}");
	a = w.set;
	b = world__set("app=b");
	world__line(&w, "A 1");
	w.set = b;
	world__line(&w, "A 2");
	world__line(&w, "two");
	w.set = a;
	world__line(&w, "one");
	program__flush(w.program);
	world__expect(&w, "{app=\"a\"} A 1\none\n{app=\"b\"} A 2\ntwo\n");
	label_set__unref(b);
}

/* Labels that differ from line to line: the oldest blocks go. */
static void multiline_many_labels(void **state _unused_)
{
	_world_ struct world w = {0};
	char text[16];

	open_with(&w, "app=a",
		  "- extract: {l: line}\n- labels: {l: }\n- multiline: {firstline: .}");
	for (int i = 0; i < 40; i++) {
		snprintf(text, sizeof(text), "%d", i);
		world__line(&w, text);
	}
	assert_int_equal(w.lines, 40 - 16);
	program__flush(w.program);
	assert_int_equal(w.lines, 40);
}

static void multiline_is_bounded(void **state _unused_)
{
	_world_ struct world w = {.opts = {.max_line_size = 10}};
	_world_ struct world full = {.opts = {.max_held_bytes = 10}};

	open_with(&w, "app=x", "- multiline: {firstline: ^A}");
	world__line(&w, "A");
	world__line(&w, "12345678");
	world__line(&w, "b");
	world__line(&w, "a line that is longer");
	program__flush(w.program);
	world__expect(&w, "{app=\"x\"} A\n12345678\n{app=\"x\"} b\n{app=\"x\"} a line that is "
			  "longer\n");
	open_with(&full, "app=x", "- multiline: {firstline: ^A}");
	world__line(&full, "A");
	world__line(&full, "123456789");
	world__expect(&full, "{app=\"x\"} A\n123456789\n");
	world__line(&full, "b");
	world__line(&full, "c");
	program__flush(full.program);
	world__expect(&full, "{app=\"x\"} b\nc\n");
}

/* One behind the other, with a match of their own streams; nothing is lost at the end. */
static void multiline_twice(void **state _unused_)
{
	_world_ struct world w = {0};

	open_with(&w, "app=x",
		  "- multiline: {firstline: '^\\S', max_wait_time: 1s}\n"
		  "- multiline: {firstline: ^A, max_wait_time: 5s}\n"
		  "- limit: {rate: 1000, burst: 1000}\n");
	world__line(&w, "A");
	world__line(&w, " a");
	world__line(&w, "B");
	world__line(&w, " b");
	world__line(&w, "A2");
	world__wait(&w, 2 * NS_PER_SEC);
	world__expect(&w, "{app=\"x\"} A\n a\nB\n b\n");
	program__flush(w.program);
	world__expect(&w, "{app=\"x\"} A2\n");
	world__line(&w, "A3");
	world__line(&w, " lost with its stream");
}

static void multiline_and_gaps(void **state _unused_)
{
	_world_ struct world w = {0};
	struct line gap = {.bytes = "lost",
			   .len = 4,
			   .gap = "ring_full",
			   .time_ns = WORLD_START_NS,
			   .real_ns = WORLD_WALL_NS + WORLD_START_NS};

	open_with(&w, "app=x", "- multiline: {firstline: ^A}");
	program_stream__run(w.stream, w.set, &gap);
	world__line(&w, "A");
	world__line(&w, "b");
	program_stream__run(w.stream, w.set, &gap);
	world__line(&w, "c");
	program__flush(w.program);
	world__expect(&w, "{app=\"x\"} lost gap\n{app=\"x\"} A\nb\n{app=\"x\"} lost gap\n"
			  "{app=\"x\"} c\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(labels),
		cmocka_unit_test(labels_of_bytes),
		cmocka_unit_test(labeldrop),
		cmocka_unit_test(labelallow),
		cmocka_unit_test(static_labels),
		cmocka_unit_test(structured_metadata),
		cmocka_unit_test(tenant),
		cmocka_unit_test(output),
		cmocka_unit_test(pack),
		cmocka_unit_test(pack_and_time),
		cmocka_unit_test(match),
		cmocka_unit_test(match_and_multiline),
		cmocka_unit_test(match_is_refused),
		cmocka_unit_test(match_too_deep),
		cmocka_unit_test(drop_by_expression),
		cmocka_unit_test(drop_by_value),
		cmocka_unit_test(drop_by_sources),
		cmocka_unit_test(drop_by_length_and_age),
		cmocka_unit_test(drop_by_preset),
		cmocka_unit_test(drop_is_refused),
		cmocka_unit_test(sampling),
		cmocka_unit_test(limit_drops),
		cmocka_unit_test(limit_by_label),
		cmocka_unit_test(limit_by_many_labels),
		cmocka_unit_test(limit_delays),
		cmocka_unit_test(limit_waits_within_bounds),
		cmocka_unit_test(limit_is_refused),
		cmocka_unit_test(multiline),
		cmocka_unit_test(multiline_that_a_container_asks_for),
		cmocka_unit_test(multiline_by_record_time),
		cmocka_unit_test(multiline_max_lines),
		cmocka_unit_test(multiline_first_line_empty),
		cmocka_unit_test(multiline_by_labels),
		cmocka_unit_test(multiline_many_labels),
		cmocka_unit_test(multiline_is_bounded),
		cmocka_unit_test(multiline_twice),
		cmocka_unit_test(multiline_and_gaps),
	};

	return cmocka_run_group_tests_name("stages", tests, NULL, NULL);
}
