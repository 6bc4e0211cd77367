/* SPDX-License-Identifier: Apache-2.0 */
/* What --inspect shows of stages: each kind of change, and what they held, sent on and dropped. */
#include "own_stages.h"
#include "process/inspect.h"

struct shown {
	struct world w;
	struct inspect *inspect;
	FILE *out;
	char *text;
	size_t size;
};

static void show_open(struct shown *s, bool color, const char *labels, const char *yaml)
{
	s->out = open_memstream(&s->text, &s->size);
	assert_non_null(s->out);
	assert_int_equal(inspect__new(&s->inspect, s->out, color), 0);
	s->w.opts.types = test_types;
	s->w.opts.inspect = s->inspect;
	world__open(&s->w, labels, yaml);
}

static void show_close(struct shown *s)
{
	world__close(&s->w);
	inspect__free(s->inspect);
	fclose(s->out);
	free(s->text);
}

#define _shown_ _cleanup_(show_close)

static void is(const char *labels, const char *yaml, const char *line, const char *expected)
{
	_shown_ struct shown s = {0};

	show_open(&s, false, labels, yaml);
	world__line(&s.w, line);
	assert_string_equal(s.text, expected);
}

static void values(void **state _unused_)
{
	is("app=x", "- extract: {s: text, n: =1.5, z: \"!\", e: \"\", app: y}", "l",
	   "[inspect: entry]: {app=\"x\"} l\n"
	   "[inspect: extract stage]: [0].extract\n"
	   "Extracted[\"s\"]:\n\t+: text\n"
	   "Extracted[\"n\"]:\n\t+: 1.5\n"
	   "Extracted[\"z\"]:\n\t+: null\n"
	   "Extracted[\"e\"]:\n\t+: \n"
	   "Extracted[\"app\"]:\n\t-: x\n\t+: y\n");
}

/* Labels are extracted values at first, which no change of a label changes. */
static void labels(void **state _unused_)
{
	is("app=x,gone=1,other=2",
	   "- static_labels: {app: y, new: z}\n- labeldrop: [gone, none]\n- labelallow: [app]", "l",
	   "[inspect: entry]: {app=\"x\", gone=\"1\", other=\"2\"} l\n"
	   "[inspect: static_labels stage]: [0].static_labels\n"
	   "Labels[\"app\"]:\n\t-: x\n\t+: y\n"
	   "Labels[\"new\"]:\n\t+: z\n"
	   "[inspect: labeldrop stage]: [1].labeldrop\n"
	   "Labels[\"gone\"]:\n\t-: 1\n"
	   "[inspect: labelallow stage]: [2].labelallow\n"
	   "Labels[\"new\"]:\n\t-: z\n"
	   "Labels[\"other\"]:\n\t-: 2\n");
}

static void metadata_and_tenant(void **state _unused_)
{
	is("app=x",
	   "- extract: {m: 1}\n- structured_metadata: {m: }\n- structured_metadata: {m: app}\n"
	   "- tenant: {value: t1}\n- tenant: {value: t2}",
	   "l",
	   "[inspect: entry]: {app=\"x\"} l\n"
	   "[inspect: extract stage]: [0].extract\nExtracted[\"m\"]:\n\t+: 1\n"
	   "[inspect: structured_metadata stage]: [1].structured_metadata\n"
	   "StructuredMetadata[\"m\"]:\n\t+: 1\n"
	   "[inspect: structured_metadata stage]: [2].structured_metadata\n"
	   "Labels[\"app\"]:\n\t-: x\nStructuredMetadata[\"m\"]:\n\t-: 1\n\t+: x\n"
	   "[inspect: tenant stage]: [3].tenant\nTenant:\n\t+: t1\n"
	   "[inspect: tenant stage]: [4].tenant\nTenant:\n\t-: t1\n\t+: t2\n");
}

static void line_and_time(void **state _unused_)
{
	is("app=x", "- output: {source: app}\n- set_time:", "l",
	   "[inspect: entry]: {app=\"x\"} l\n"
	   "[inspect: output stage]: [0].output\nLine:\n\t-: l\n\t+: x\n"
	   "[inspect: set_time stage]: [1].set_time\nTimestamp:\n"
	   "\t-: 2023-11-14T22:30:00.000000000Z\n\t+: 1970-01-01T00:00:42.000000000Z\n");
}

/* Stages that change nothing, and those that a match skips, are not named. */
static void match_and_drop(void **state _unused_)
{
	const char *yaml = "- match:\n"
			   "    selector: '{app=\"x\"}'\n"
			   "    stages:\n"
			   "    - output: {source: none}\n"
			   "    - drop: {expression: bad, drop_counter_reason: was_bad}\n"
			   "- match:\n"
			   "    selector: '{app=\"y\"}'\n"
			   "    stages:\n"
			   "    - static_labels: {a: b}\n";

	is("app=x", yaml, "bad line",
	   "[inspect: entry]: {app=\"x\"} bad line\n"
	   "[inspect: drop stage]: [0].match.stages[1].drop\nDropped: was_bad\n");
	is("app=x", yaml, "good line", "[inspect: entry]: {app=\"x\"} good line\n");
}

/* What a stage sends on goes through the ones behind it while that stage still runs. */
static void multiline(void **state _unused_)
{
	_shown_ struct shown s = {0};

	show_open(&s, false, "app=x",
		  "- multiline: {firstline: ^a}\n- static_labels: {l: v}\n- multiline: {firstline: "
		  "^b}");
	world__line(&s.w, "a1");
	world__line(&s.w, " 2");
	world__line(&s.w, "a3");
	program__flush(s.w.program);
	assert_string_equal(
		s.text,
		"[inspect: entry]: {app=\"x\"} a1\n"
		"[inspect: multiline stage]: [0].multiline\nHeld\n"
		"[inspect: entry]: {app=\"x\"}  2\n"
		"[inspect: multiline stage]: [0].multiline\nHeld\n"
		"[inspect: entry]: {app=\"x\"} a3\n"
		"[inspect: multiline stage]: [0].multiline\nHeld\n"
		"[inspect: multiline stage]: [0].multiline\nEmitted:\n\t+: a1\\n 2\n"
		"[inspect: static_labels stage]: [1].static_labels\nLabels[\"l\"]:\n\t+: v\n"
		"[inspect: multiline stage]: [0].multiline\nEmitted:\n\t+: a3\n"
		"[inspect: static_labels stage]: [1].static_labels\nLabels[\"l\"]:\n\t+: v\n");
	world__expect(&s.w, "{app=\"x\", l=\"v\"} a1\n 2\n{app=\"x\", l=\"v\"} a3\n");
}

/* Nothing that a terminal obeys; what is not UTF-8 byte by byte; no more than 8 KiB. */
static void hostile_text(void **state _unused_)
{
	_shown_ struct shown s = {0};
	char line[9000];

	show_open(&s, false, "app=x", "- drop: {expression: \"\\x1b\"}");
	world__bytes(&s.w, "\033[2J\t\r\x7f\xc2\x9b\xc3\xa9\xff\xc3\0", 14);
	assert_string_equal(s.text, "[inspect: entry]: {app=\"x\"} "
				    "\\x1b[2J\\t\\r\\x7f\\xc2\\x9b\xc3\xa9\\xff\\xc3\\x00\n"
				    "[inspect: drop stage]: [0].drop\nDropped: drop_stage\n");
	memset(line, 'l', sizeof(line));
	world__bytes(&s.w, line, sizeof(line));
	assert_true(strlen(s.text) < 8600);
	assert_non_null(strstr(s.text, "lll... (9000 bytes)\n"));
}

static void colors(void **state _unused_)
{
	_shown_ struct shown s = {0};

	show_open(&s, true, "app=x,b=1", "- static_labels: {app: y, n: z}\n- labeldrop: [b]");
	world__line(&s.w, "l");
	assert_string_equal(s.text,
			    "[inspect: \033[1mentry\033[0m]: {app=\"x\", b=\"1\"} l\n"
			    "[inspect: \033[1mstatic_labels\033[0m stage]: [0].static_labels\n"
			    "\033[33mLabels[\"app\"]\033[0m:\n"
			    "\033[33m\t-: x\033[0m\n\033[32m\t+: y\033[0m\n"
			    "\033[32mLabels[\"n\"]\033[0m:\n\033[32m\t+: z\033[0m\n"
			    "[inspect: \033[1mlabeldrop\033[0m stage]: [1].labeldrop\n"
			    "\033[31mLabels[\"b\"]\033[0m:\n\033[31m\t-: 1\033[0m\n");
}

/* What a stage could not do to the line. */
static void failures(void **state _unused_)
{
	is("app=x",
	   "- extract: {size: large}\n"
	   "- metrics: {total: {type: Counter, source: size, config: {action: add}}}",
	   "l",
	   "[inspect: entry]: {app=\"x\"} l\n"
	   "[inspect: extract stage]: [0].extract\nExtracted[\"size\"]:\n\t+: large\n"
	   "[inspect: metrics stage]: [1].metrics\nFailed\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values),
		cmocka_unit_test(labels),
		cmocka_unit_test(metadata_and_tenant),
		cmocka_unit_test(line_and_time),
		cmocka_unit_test(match_and_drop),
		cmocka_unit_test(multiline),
		cmocka_unit_test(hostile_text),
		cmocka_unit_test(colors),
		cmocka_unit_test(failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
