/* SPDX-License-Identifier: Apache-2.0 */
/* From a container to its labels, all of the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/util.h"
#include "process/labelling.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HOUR 3600000000000ull

struct world {
	struct labelling_opts opts;
	struct labelling *labelling;
	struct meta *meta;
	struct diag *diag;
};

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	log__level(LOG_ERROR);
	w->meta = meta__new();
	w->meta->engine = strdup("docker");
	w->meta->id = strdup(ID);
	w->meta->name = strdup("shop_web_1");
	*state = w;
	return diag__new(&w->diag, "f");
}

static int tear_down(void **state)
{
	struct world *w = *state;

	labelling__free(w->labelling);
	relabel__free(w->opts.rules);
	limits__free(w->opts.limits);
	meta__unref(w->meta);
	diag__free(w->diag);
	free(w);
	return 0;
}

static struct relabel_rule rule(enum relabel_action action, const char *const *source,
				const char *regex, const char *target, const char *replacement)
{
	return (struct relabel_rule){.source_labels = {(const char **)source, source ? 1 : 0},
				     .separator = ";",
				     .regex = regex,
				     .target_label = target,
				     .replacement = replacement,
				     .action = action};
}

static void with_rules(struct world *w, const struct relabel_rule *rules, size_t n)
{
	assert_int_equal(relabel__new(&w->opts.rules, rules, n, w->diag), 0);
}

static int make(struct world *w, struct labelling_result *ret, const char **ret_why)
{
	if (!w->labelling)
		assert_int_equal(labelling__new(&w->labelling, &w->opts), 0);
	return labelling__make(w->labelling, w->meta, LINE_STDERR, 1000 * HOUR, ret, ret_why);
}

static void expect(struct world *w, const char *text)
{
	struct labelling_result result;
	const char *why;

	assert_int_equal(make(w, &result, &why), 1);
	assert_string_equal(result.set->text, text);
	assert_int_not_equal(result.set->hash, 0);
	label_set__unref(result.set);
}

static void preset_alone(void **state)
{
	struct world *w = *state;

	w->opts.preset.preset = PRESET_DOCKER;
	w->opts.preset.host = "node1";
	expect(w, "{container=\"shop_web_1\", host=\"node1\", job=\"docker\", "
		  "service_name=\"shop_web_1\", stream=\"stderr\"}");
}

/* What Promtail's users have: rules alone, and labels of static_configs. */
static void rules_alone(void **state)
{
	static const struct label_pair fixed[] = {{"job", "containers"}};
	static const char *const name = "__meta_docker_container_name";
	static const char *const stream = "__meta_docker_container_log_stream";
	static const char *const id = "__meta_docker_container_id";
	const struct relabel_rule rules[] = {
		rule(RELABEL_REPLACE, &name, "/(.*)", "container", "$1"),
		rule(RELABEL_REPLACE, &stream, "(.*)", "logstream", "$1"),
		rule(RELABEL_REPLACE, &id, "(....).*", "__tenant_id__", "t-$1"),
	};
	struct labelling_result result;
	struct world *w = *state;
	const char *why;

	with_rules(w, rules, ARRAY_SIZE(rules));
	w->opts.preset.preset = PRESET_NONE;
	w->opts.static_labels = fixed;
	w->opts.n_static_labels = 1;
	assert_int_equal(make(w, &result, &why), 1);
	assert_string_equal(result.set->text, "{container=\"shop_web_1\", job=\"containers\", "
					      "logstream=\"stderr\"}");
	assert_string_equal(result.tenant, "t-0123");
	label_set__unref(result.set);
}

static void dropped_by_a_rule(void **state)
{
	static const char *const name = "__meta_docker_container_name";
	const struct relabel_rule rules[] = {
		rule(RELABEL_KEEP, &name, "/.*", NULL, "$1"),
		rule(RELABEL_DROP, &name, "/shop.*", NULL, "$1"),
	};
	struct labelling_result result;
	struct world *w = *state;
	const char *why;

	with_rules(w, rules, ARRAY_SIZE(rules));
	assert_int_equal(make(w, &result, &why), 0);
	assert_string_equal(why, "rule 2 of relabel_configs");
}

static void dropped_by_its_own_word(void **state)
{
	struct labelling_result result;
	struct world *w = *state;
	const char *why;

	w->opts.preset.preset = PRESET_ALLOY;
	assert_int_equal(meta__add_label(w->meta, "fluentbit.io/exclude", "false"), 0);
	assert_int_equal(make(w, &result, &why), 1);
	label_set__unref(result.set);
	assert_int_equal(meta__add_label(w->meta, "notail.io/exclude", "true"), 0);
	assert_int_equal(make(w, &result, &why), 0);
	assert_string_equal(why, "its label notail.io/exclude");
}

/* A random value of a user's rule; the containers' names stay. */
static void guarded(void **state)
{
	static const char *const id = "__meta_notail_container_id";
	const struct relabel_rule rules[] = {
		rule(RELABEL_REPLACE, &id, "(.*)", "random", "$1"),
	};
	struct labelling_result result;
	struct world *w = *state;
	const char *why;

	with_rules(w, rules, ARRAY_SIZE(rules));
	assert_int_equal(limits__new(&w->opts.limits, &limits_defaults), 0);
	w->opts.preset.preset = PRESET_DOCKER;
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(w->meta->id, 65, "%064x", i);
		snprintf(w->meta->name, 11, "web-%u", i);
		assert_int_equal(make(w, &result, &why), 1);
		if (i < 999)
			label_set__unref(result.set);
	}
	assert_string_equal(result.set->text, "{container=\"web-999\", job=\"docker\", "
					      "service_name=\"web-999\", stream=\"stderr\"}");
	assert_int_equal(limits__counters(w->opts.limits)->guard_trips, 1);
	assert_int_equal(limits__counters(w->opts.limits)->guarded_labels, 900);
	label_set__unref(result.set);
}

static void nothing_left(void **state)
{
	const struct relabel_rule rules[] = {
		rule(RELABEL_LABELDROP, NULL, ".*", NULL, "$1"),
	};
	struct world *w = *state;

	with_rules(w, rules, ARRAY_SIZE(rules));
	assert_int_equal(limits__new(&w->opts.limits, &limits_defaults), 0);
	w->opts.preset.preset = PRESET_DOCKER;
	expect(w, "{job=\"notail\"}");
	labelling__free(NULL);
}

/* Each rule doubles the labels. */
static void without_end(void **state)
{
	struct relabel_rule rules[40];
	struct labelling_result result;
	struct world *w = *state;
	char names[40][8];
	const char *why;

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		snprintf(names[i], sizeof(names[i]), "%c%zu$1", 'a' + (char)(i % 26), i);
		rules[i] = rule(RELABEL_LABELMAP, NULL, "(.*)", NULL, names[i]);
	}
	with_rules(w, rules, 11);
	assert_int_equal(limits__new(&w->opts.limits, &limits_defaults), 0);
	w->opts.preset.preset = PRESET_DOCKER;
	assert_int_equal(make(w, &result, &why), 1);
	assert_int_equal(result.set->n_labels, 16);
	label_set__unref(result.set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
		TEST(preset_alone),	 TEST(rules_alone),
		TEST(dropped_by_a_rule), TEST(dropped_by_its_own_word),
		TEST(guarded),		 TEST(nothing_left),
		TEST(without_end),
#undef TEST
	};

	return cmocka_run_group_tests_name("labelling", tests, NULL, NULL);
}
