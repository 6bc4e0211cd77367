/* SPDX-License-Identifier: Apache-2.0 */
/* Programs: what is refused and where, how entries go through, label sets that are shared. */
#include "pipeline_world.h"

#include <errno.h>

#include "own_stages.h"
#include "process/limits.h"

static const char *const yaml_labels = "- extract: {level: warn, n: =1.50, none: '!', b: '=0'}\n"
				       "- labels: {level: , number: n, none: , missing: , b: }\n";

/* As refused, with notail's stages instead of the tests' own. */
static void rejected(const char *yaml, const char *expected)
{
	world__says(NULL, yaml, -EINVAL, expected);
}

static void no_stages(void **state _unused_)
{
	_world_ struct world w = {0};

	world__open(&w, "app=x", "");
	assert_true(program__is_empty(w.program));
	world__line(&w, "one");
	world__line(&w, "");
	world__expect(&w, "{app=\"x\"} one\n{app=\"x\"} \n");
}

static void no_ops(void **state _unused_)
{
	_world_ struct world w = {0};

	world__open(&w, "app=x", "- docker: {}\n- cri:\n- docker:\n");
	assert_true(program__is_empty(w.program));
	world__line(&w, "one");
	world__expect(&w, "{app=\"x\"} one\n");
}

static void what_is_refused(void **state _unused_)
{
	rejected("a: b", "t.yaml:1:1: not a list of stages, expected `- name:` lines\n");
	rejected("- docker", "t.yaml:1:3: [0]: not a stage, expected one name with its options\n");
	rejected("- {docker: , cri: }",
		 "t.yaml:1:3: [0]: not a stage, expected one name with its options\n");
	rejected("- labls: {a: b}", "t.yaml:1:3: [0].labls: unknown stage `labls`, expected "
				    "`labels`?\n");
	rejected("- xyzzy: {a: b}", "t.yaml:1:3: [0].xyzzy: unknown stage `xyzzy`\n");
	rejected("- geoip: {db: x}", "t.yaml:1:3: [0].geoip: geoip is not supported: notail has no "
				     "databases of addresses\n");
	rejected("- eventlogmessage: {}",
		 "t.yaml:1:3: [0].eventlogmessage: eventlogmessage is for Windows' event log, "
		 "which notail does not read\n");
}

static void all_errors_are_told(void **state _unused_)
{
	rejected("- labels: {9a: b}\n- output: {}\n- docker: {}\n- nope: {}\n",
		 "t.yaml:1:16: [0].labels.9a: `9a` is no label name, expected letters, digits and "
		 "_\n"
		 "t.yaml:2:11: [1].output: source is missing, expected a string\n"
		 "t.yaml:4:3: [3].nope: unknown stage `nope`\n");
}

static void values_become_labels(void **state _unused_)
{
	_world_ struct world w = {0};

	open_with(&w, "app=x,level=info", yaml_labels);
	world__line(&w, "hello");
	world__expect(&w, "{app=\"x\", b=\"0\", level=\"warn\", number=\"1.5\"} hello\n");
}

static void extracted_begin_with_labels(void **state _unused_)
{
	_world_ struct world w = {0};

	open_with(&w, "app=x",
		  "- labels: {copy: app}\n- output: {source: "
		  "app}");
	world__line(&w, "hello");
	world__expect(&w, "{app=\"x\", copy=\"x\"} x\n");
}

/* What a line came as goes with it; the time is the record's. */
static void record_goes_along(void **state _unused_)
{
	_world_ struct world w = {0};
	struct line line = {.bytes = "a",
			    .len = 1,
			    .time_ns = 5,
			    .real_ns = WORLD_WALL_NS + 5,
			    .pid = 71,
			    .comm = "nginx",
			    .ring_pos = 9,
			    .stream = LINE_STDERR,
			    .truncated = true};

	open_with(&w, "app=x", yaml_labels);
	program_stream__run(w.stream, w.set, &line);
	assert_int_equal(w.last.time_ns, 5);
	assert_int_equal(w.last.real_ns, WORLD_WALL_NS + 5);
	assert_int_equal(w.last.pid, 71);
	assert_string_equal(w.last.comm, "nginx");
	assert_int_equal(w.last.ring_pos, 9);
	assert_int_equal(w.last.stream, LINE_STDERR);
	assert_true(w.last.truncated);
}

/* Below a stage's resolution stand the record's digits, so that equal lines stay apart. */
static void digits_below_the_resolution(void **state _unused_)
{
	_world_ struct world w = {0};
	_world_ struct world whole = {.opts = {.types = test_types, .whole_times = true}};

	open_with(&w, "app=x", "- set_time: x");
	w.now_ns += 123456789;
	world__line(&w, "a");
	world__expect(&w, "{app=\"x\"} a @42123456789\n");
	world__open(&whole, "app=x", "- set_time: x");
	whole.now_ns += 123456789;
	world__line(&whole, "a");
	world__expect(&whole, "{app=\"x\"} a @42000000000\n");
}

static struct label_set *sets[64];
static size_t n_sets;

static void keep_set(void *ctx _unused_, struct label_set *set, const struct line *line _unused_)
{
	sets[n_sets++] = label_set__ref(set);
}

static void forget_sets(void)
{
	while (n_sets)
		label_set__unref(sets[--n_sets]);
}

static void open_sets(struct world *w, const char *yaml, size_t max)
{
	w->opts =
		(struct program_opts){.types = test_types, .max_label_sets = max, .line = keep_set};
	world__open(w, "app=x,zone=z", yaml);
}

static void equal_changes_share_a_set(void **state _unused_)
{
	_world_ struct world w = {0};
	struct label_set *other = world__set("app=y");
	struct label_set *own;

	open_sets(&w, "- extract: {l: line}\n- labels: {l: }", 0);
	own = w.set;
	world__line(&w, "a");
	world__line(&w, "b");
	world__line(&w, "a");
	w.set = other;
	world__line(&w, "a");
	w.set = own;
	world__line(&w, "a");
	world__line(&w, ""); /* an empty value is no label: nothing changed but a removal */
	assert_ptr_equal(sets[0], sets[2]);
	assert_ptr_equal(sets[0], sets[4]);
	assert_ptr_not_equal(sets[0], sets[1]);
	assert_string_equal(sets[3]->text, "{app=\"y\", l=\"a\"}");
	assert_string_equal(sets[5]->text, "{app=\"x\", zone=\"z\"}");
	forget_sets();
	label_set__unref(other);
}

/* Without changes it is the stream's own. */
static void no_change_is_the_same_set(void **state _unused_)
{
	_world_ struct world w = {0};

	open_sets(&w, "- labels: {nothing: }", 0);
	world__line(&w, "a");
	assert_ptr_equal(sets[0], w.set);
	forget_sets();
}

static void sets_are_bounded(void **state _unused_)
{
	_world_ struct world w = {0};
	char text[16];

	open_sets(&w, "- extract: {l: line}\n- labels: {l: }", 8);
	for (int i = 0; i < 40; i++) {
		snprintf(text, sizeof(text), "v%d", i);
		world__line(&w, text);
	}
	for (int i = 0; i < 40; i++) {
		snprintf(text, sizeof(text), "v%d", i);
		assert_string_equal(label_set__get(sets[i], "l"), text);
	}
	forget_sets();
	/* And swept when they are not used. */
	program__tick(w.program, WORLD_START_NS);
	program__tick(w.program, WORLD_START_NS + 3600 * NS_PER_SEC);
	program__tick(w.program, WORLD_START_NS + 7200 * NS_PER_SEC);
	world__line(&w, "v39");
	assert_string_equal(label_set__get(sets[0], "l"), "v39");
	forget_sets();
}

/* A label that stages give too many values goes to the metadata, and comes back. */
static void guard(void **state _unused_)
{
	struct limits_opts opts = limits_defaults;
	_world_ struct world w = {.opts = {.types = test_types}};
	struct limits *limits;

	opts.label_values = 2;
	assert_int_equal(limits__new(&limits, &opts), 0);
	w.opts.limits = limits;
	world__open(&w, "app=x",
		    "- extract: {user: line, n: '3'}\n"
		    "- labels: {n: , user: }\n"
		    "- structured_metadata: {m: n}\n");
	world__line(&w, "7");
	world__line(&w, "8");
	world__expect(&w, "{app=\"x\", user=\"7\"} 7 [m=3]\n"
			  "{app=\"x\", user=\"8\"} 8 [m=3]\n");
	world__line(&w, "9");
	assert_int_equal(limits__counters(limits)->guard_trips, 1);
	w.out.len = 0;
	world__line(&w, "9");
	world__line(&w, "7");
	world__expect(&w, "{app=\"x\"} 9 [m=3 user=9]\n"
			  "{app=\"x\"} 7 [m=3 user=7]\n");
	limits__reset(limits);
	world__line(&w, "9");
	world__expect(&w, "{app=\"x\", user=\"9\"} 9 [m=3]\n");
	program_stream__free(w.stream);
	program__free(w.program);
	w.stream = NULL;
	w.program = NULL;
	limits__free(limits);
}

/* Preset strict: other labels than its own are metadata, of the line. */
static void strict(void **state _unused_)
{
	_world_ struct world w = {.opts = {.types = test_types, .preset = PRESET_STRICT}};

	world__open(&w, "app=x",
		    "- extract: {level: warn, service: s}\n- labels: {level: , service: }");
	world__line(&w, "a");
	world__expect(&w, "{app=\"x\", service=\"s\"} a [level=warn]\n");
}

/* Gaps are told whatever stages do to lines; stages that look at labels alone apply. */
static void gaps_pass(void **state _unused_)
{
	_world_ struct world w = {0};
	struct line line = {.bytes = "lost",
			    .len = 4,
			    .time_ns = 5,
			    .real_ns = WORLD_WALL_NS + 5,
			    .gap = "ring_full"};

	open_with(&w, "app=x,a=1",
		  "- drop: {expression: .}\n- static_labels: {s: t}\n- labeldrop: [a]\n"
		  "- output: {source: app}\n- tenant: {value: me}\n");
	world__line(&w, "hello");
	program_stream__run(w.stream, w.set, &line);
	world__expect(&w, "{app=\"x\", s=\"t\"} lost tenant=me gap\n");
}

static size_t n_drops;

static void on_drop(void *ctx _unused_, const char *reason, uint64_t lines, uint64_t bytes)
{
	assert_string_equal(reason, n_drops ? "because" : "drop_stage");
	assert_int_equal(lines, n_drops ? 1 : 2);
	assert_int_equal(bytes, n_drops ? 1 : 4);
	n_drops++;
}

static void drops_are_counted(void **state _unused_)
{
	_world_ struct world w = {0};

	open_with(&w, "app=x",
		  "- drop: {expression: a}\n"
		  "- drop: {expression: b, drop_counter_reason: because}\n");
	world__line(&w, "aa");
	world__line(&w, "b");
	world__line(&w, "ab");
	world__line(&w, "c");
	world__expect(&w, "{app=\"x\"} c\n");
	program__drops(w.program, on_drop, NULL);
	assert_int_equal(n_drops, 2);
}

/* The labels of a stream may change between lines; what is held has the old ones. */
static void labels_change(void **state _unused_)
{
	_world_ struct world w = {0};
	struct label_set *old;

	open_with(&w, "app=x",
		  "- multiline: {firstline: '^\\S'}\n"
		  "- labels: {copy: app}\n");
	old = w.set;
	world__line(&w, "a");
	world__line(&w, " b");
	w.set = world__set("app=y");
	world__line(&w, "c");
	world__line(&w, " d");
	program__flush(w.program);
	world__expect(&w, "{app=\"x\", copy=\"x\"} a\n b\n{app=\"y\", copy=\"y\"} c\n d\n");
	label_set__unref(old);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_stages),
		cmocka_unit_test(no_ops),
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(all_errors_are_told),
		cmocka_unit_test(values_become_labels),
		cmocka_unit_test(extracted_begin_with_labels),
		cmocka_unit_test(record_goes_along),
		cmocka_unit_test(digits_below_the_resolution),
		cmocka_unit_test(equal_changes_share_a_set),
		cmocka_unit_test(no_change_is_the_same_set),
		cmocka_unit_test(sets_are_bounded),
		cmocka_unit_test(guard),
		cmocka_unit_test(strict),
		cmocka_unit_test(gaps_pass),
		cmocka_unit_test(drops_are_counted),
		cmocka_unit_test(labels_change),
	};

	return cmocka_run_group_tests_name("program", tests, NULL, NULL);
}
