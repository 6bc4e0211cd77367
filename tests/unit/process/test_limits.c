/* SPDX-License-Identifier: Apache-2.0 */
/* Which labels stay labels, by the time of records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/util.h"
#include "process/limits.h"

#define MINUTE 60000000000ull
#define HOUR (60 * MINUTE)
#define START (500000 * HOUR)

struct world {
	struct limits *limits;
	struct label_set *set;
	size_t n_own;
};

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	log__level(LOG_ERROR);
	*state = w;
	return limits__new(&w->limits, &limits_defaults);
}

static int tear_down(void **state)
{
	struct world *w = *state;

	limits__free(w->limits);
	label_set__unref(w->set);
	free(w);
	return 0;
}

static void with(struct world *w, const struct limits_opts *opts)
{
	limits__free(w->limits);
	assert_int_equal(limits__new(&w->limits, opts), 0);
}

/* `a=1 b=2|c=3`: what stands before the bar is the preset's. */
static void make(struct world *w, const char *labels)
{
	_free_ char *copy = strdup(labels);
	char *bar = strchr(copy, '|'), *rest = copy;

	label_set__unref(w->set);
	w->set = label_set__new();
	w->n_own = 0;
	for (char *pair; (pair = strtok_r(NULL, " |", &rest));) {
		char *value = strchr(pair, '=');

		*value++ = '\0';
		assert_int_equal(label_set__add(w->set, pair, value), 0);
		w->n_own += bar && pair < bar;
	}
}

static void fit(struct world *w, uint64_t time_ns)
{
	assert_int_equal(limits__fit(w->limits, w->set, w->n_own, time_ns), 0);
}

/* As sealed; metadata behind it. */
static const char *result(struct world *w)
{
	static char text[4096];
	size_t used;

	assert_int_equal(label_set__seal(w->set), 0);
	used = (size_t)snprintf(text, sizeof(text), "%s", w->set->text);
	for (size_t i = 0; i < w->set->n_metadata; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, " %s=%s",
					 w->set->metadata[i].name, w->set->metadata[i].value);
	return text;
}

static const char *fitted(struct world *w, const char *labels, uint64_t time_ns)
{
	make(w, labels);
	fit(w, time_ns);
	return result(w);
}

/* `name=PREFIXn` for n of [from, to), a second apart. */
static void values(struct world *w, const char *format, size_t from, size_t to, uint64_t start_ns)
{
	char text[128];

	for (size_t i = from; i < to; i++) {
		snprintf(text, sizeof(text), format, i);
		make(w, text);
		fit(w, start_ns + (i - from) * 1000000000ull);
	}
}

static void a_hundred_values_are_fine(void **state)
{
	struct world *w = *state;

	values(w, "app=x|user=%zu", 0, 100, START);
	values(w, "app=x|user=%zu", 0, 100, START + 10 * MINUTE);
	assert_string_equal(result(w), "{app=\"x\", user=\"99\"}");
	assert_false(limits__guarded(w->limits, "user"));
	assert_int_equal(limits__version(w->limits), 0);
	assert_int_equal(limits__counters(w->limits)->guard_trips, 0);
}

static void one_more_is_guarded(void **state)
{
	struct world *w = *state;

	values(w, "app=x|user=%zu", 0, 200, START);
	assert_string_equal(result(w), "{app=\"x\"} user=199");
	assert_true(limits__guarded(w->limits, "user"));
	assert_int_equal(limits__version(w->limits), 1);
	assert_int_equal(limits__counters(w->limits)->guard_trips, 1);
	assert_int_equal(limits__counters(w->limits)->guarded_labels, 100);
	/* Old values too, and no other label. */
	assert_string_equal(fitted(w, "app=x|team=a user=1", START + 200),
			    "{app=\"x\", team=\"a\"} user=1");
	assert_false(limits__guarded(w->limits, "team"));
}

static void slowly_is_fine(void **state)
{
	struct world *w = *state;
	char text[64];

	for (size_t i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "app=x|day=%zu", i);
		make(w, text);
		fit(w, START + i * (HOUR / 99));
	}
	assert_false(limits__guarded(w->limits, "day"));
	assert_string_equal(result(w), "{app=\"x\", day=\"999\"}");
}

/* A value that is in use counts, however old. */
static void values_in_use_are_not_forgotten(void **state)
{
	struct world *w = *state;

	for (uint64_t t = 0; t < 3 * HOUR; t += LIMITS_RECHECK_NS)
		values(w, "|user=%zu", 0, 99, START + t);
	values(w, "|user=%zu", 1000, 1001, START + 3 * HOUR);
	assert_false(limits__guarded(w->limits, "user"));
	values(w, "|user=%zu", 1001, 1002, START + 3 * HOUR);
	assert_true(limits__guarded(w->limits, "user"));
}

static void given_back_after_a_day(void **state)
{
	struct world *w = *state;
	struct limits_opts opts = limits_defaults;

	values(w, "|user=%zu", 0, 101, START);
	assert_true(limits__guarded(w->limits, "user"));
	assert_string_equal(fitted(w, "a=1|user=7", START + 24 * HOUR), "{a=\"1\"} user=7");
	assert_string_equal(fitted(w, "a=1|user=7", START + 25 * HOUR), "{a=\"1\", user=\"7\"}");
	assert_int_equal(limits__version(w->limits), 2);
	values(w, "|user=%zu", 0, 101, START + 26 * HOUR);
	assert_true(limits__guarded(w->limits, "user"));
	assert_int_equal(limits__counters(w->limits)->guard_trips, 2);
	opts.guard_reset_ns = 0;
	with(w, &opts);
	values(w, "|user=%zu", 0, 101, START);
	assert_string_equal(fitted(w, "a=1|user=7", START + 10000 * HOUR), "{a=\"1\"} user=7");
	limits__reset(w->limits);
	assert_int_equal(limits__version(w->limits), 2);
	assert_string_equal(fitted(w, "a=1|user=7", START + 10000 * HOUR), "{a=\"1\", user=\"7\"}");
}

static void records_of_the_past(void **state)
{
	struct world *w = *state;

	values(w, "|user=%zu", 0, 60, START + HOUR);
	/* Parked, or of another stream: now is not set back. */
	values(w, "|user=%zu", 60, 101, START);
	assert_true(limits__guarded(w->limits, "user"));
}

/* A preset's own labels are not looked at. */
static void labels_of_presets(void **state)
{
	struct world *w = *state;

	values(w, "service_name=%zu stream=x|a=1", 0, 1000, START);
	assert_string_equal(result(w), "{a=\"1\", service_name=\"999\", stream=\"x\"}");
}

static void identity_labels_only_warn(void **state)
{
	struct world *w = *state;

	values(w, "container=%zu|a=1", 0, 1000, START);
	assert_int_equal(limits__counters(w->limits)->identity_over, 0);
	assert_string_equal(result(w), "{a=\"1\", container=\"999\"}");
	values(w, "container=%zu|a=1", 1000, 3000, START);
	assert_int_equal(limits__counters(w->limits)->identity_over, 1);
	assert_string_equal(result(w), "{a=\"1\", container=\"2999\"}");
	assert_false(limits__guarded(w->limits, "container"));
	/* By a rule too: a Promtail file has no others. */
	values(w, "|pod=%zu", 0, 1000, START);
	assert_string_equal(result(w), "{pod=\"999\"}");
}

static void fifteen_labels(void **state)
{
	struct world *w = *state;

	assert_string_equal(fitted(w,
				   "z=1 y=2|a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1 i=1 j=1 k=1 l=1 m=1 "
				   "n=1 o=1",
				   START),
			    "{a=\"1\", b=\"1\", c=\"1\", d=\"1\", e=\"1\", f=\"1\", g=\"1\", "
			    "h=\"1\", i=\"1\", j=\"1\", k=\"1\", l=\"1\", m=\"1\", y=\"2\", "
			    "z=\"1\"} n=1 o=1");
	assert_int_equal(limits__counters(w->limits)->too_many_labels, 2);
	make(w, "|a=1 b=1 service_name=x c=1 d=1 e=1 f=1 g=1 h=1 i=1 j=1 k=1 l=1 m=1 n=1 o=1 p=1");
	fit(w, START);
	assert_int_equal(w->set->n_labels, 16);
	assert_null(label_set__get(w->set, "p"));
}

static void lengths(void **state)
{
	struct limits_opts opts = limits_defaults;
	struct world *w = *state;

	opts.label_name_length = 4;
	opts.label_value_length = 5;
	with(w, &opts);
	assert_string_equal(fitted(w, "abcd=12345 abcdef=12 grün=a|x=ääää", START),
			    "{abcd=\"12345\", gr_n=\"a\", x=\"ää\"}");
	assert_int_equal(limits__counters(w->limits)->cut, 2);
	assert_int_equal(limits__counters(w->limits)->repaired, 1);
}

static void repairs_are_counted_once(void **state)
{
	struct world *w = *state;

	make(w, "a.b=1|c=2");
	assert_int_equal(label_set__add(w->set, "v", "\xff"), 0);
	assert_int_equal(label_set__add_metadata(w->set, "m", "\xff"), 0);
	fit(w, START);
	assert_int_equal(limits__counters(w->limits)->repaired, 3);
	fit(w, START);
	assert_int_equal(limits__counters(w->limits)->repaired, 3);
}

static void streams_are_bounded(void **state)
{
	struct limits_opts opts = limits_defaults;
	struct world *w = *state;

	opts.streams = 10;
	with(w, &opts);
	values(w, "app=x|user=%zu", 0, 10, START);
	assert_string_equal(result(w), "{app=\"x\", user=\"9\"}");
	assert_string_equal(fitted(w, "app=x|container=c user=10", START + MINUTE),
			    "{app=\"x\", container=\"c\"} user=10");
	assert_int_equal(limits__counters(w->limits)->too_many_streams, 1);
	/* Those that are there stay, in any order of their labels. */
	assert_string_equal(fitted(w, "|user=3 app=x", START + MINUTE), "{app=\"x\", user=\"3\"}");
	/* A preset's alone are never taken apart. */
	assert_string_equal(fitted(w, "app=y|", START + MINUTE), "{app=\"y\"}");
	/* The others are forgotten after an hour. */
	assert_string_equal(fitted(w, "app=x|user=10", START + HOUR + 30 * 1000000000ull),
			    "{app=\"x\", user=\"10\"}");
	assert_string_equal(fitted(w, "app=x|user=3", START + HOUR + MINUTE / 2),
			    "{app=\"x\", user=\"3\"}");
}

static void never_without_a_label(void **state)
{
	struct world *w = *state;

	assert_string_equal(fitted(w, "", START), "{job=\"notail\"}");
	values(w, "|user=%zu", 0, 101, START);
	assert_string_equal(result(w), "{job=\"notail\"} user=100");
	assert_int_equal(limits__counters(w->limits)->empty_sets, 2);
}

static void names_without_end(void **state)
{
	struct world *w = *state;

	values(w, "a=1|name_%zu=x", 0, 1000, START);
	assert_string_equal(result(w), "{a=\"1\"} name_999=x");
	assert_string_equal(fitted(w, "a=1|name_3=x container=c", START),
			    "{a=\"1\", container=\"c\", name_3=\"x\"}");
}

struct report {
	size_t n;
	struct limits_label user, container;
};

static void note(void *ctx, const struct limits_label *label)
{
	struct report *r = ctx;

	r->n++;
	if (strcmp(label->name, "user") == 0)
		r->user = *label;
	if (strcmp(label->name, "container") == 0)
		r->container = *label;
}

static void reported(void **state)
{
	struct world *w = *state;
	struct report r = {0};

	values(w, "container=%zu|user=1", 0, 5, START);
	limits__each(w->limits, note, &r);
	assert_int_equal(r.n, 2);
	assert_int_equal(r.user.values, 1);
	assert_false(r.user.guarded);
	assert_int_equal(r.container.values, 5);
	assert_true(r.container.identity);
	values(w, "container=1|user=%zu", 0, 101, START + HOUR);
	limits__each(w->limits, note, &r);
	assert_true(r.user.guarded);
	assert_int_equal(r.user.values, 101);
	/* "1" was there before. */
	assert_int_equal(r.user.since_ns, START + HOUR + 100 * 1000000000ull);
}

static void note_event(void *ctx, const struct limits_event *e)
{
	snprintf(ctx, 64, "%s %d %llu", e->name, e->taken, (unsigned long long)e->since_ns);
}

static bool only_old(void *ctx, const char *name, uint64_t state)
{
	(void)ctx;
	return state == 7 && !strcmp(name, "old");
}

static void what_it_does_is_told(void **state)
{
	struct world *w = *state;
	char text[64] = "", expected[64];

	limits__observe(w->limits, note_event, text);
	values(w, "app=x|user=%zu", 0, 101, START);
	snprintf(expected, sizeof(expected), "user 1 %llu",
		 (unsigned long long)(START + 100 * 1000000000ull));
	assert_string_equal(text, expected);
	fitted(w, "app=x|user=1", START + 25 * HOUR);
	assert_memory_equal(text, "user 0", 6);
}

static void taken_in_another_life(void **state)
{
	struct world *w = *state;

	assert_int_equal(limits__restore(w->limits, "user", START), 0);
	assert_true(limits__guarded(w->limits, "user"));
	assert_string_equal(fitted(w, "app=x|user=1", START + HOUR), "{app=\"x\"} user=1");
	assert_string_equal(fitted(w, "app=x|user=1", START + 24 * HOUR),
			    "{app=\"x\", user=\"1\"}");
}

static void held_at_what_it_was(void **state)
{
	struct world *w = *state;
	uint64_t version;

	limits__restore(w->limits, "user", START);
	version = limits__version(w->limits);
	limits__hold(w->limits, only_old, NULL, 7);
	assert_true(limits__version(w->limits) > version);
	assert_true(limits__guarded(w->limits, "old"));
	assert_false(limits__guarded(w->limits, "user"));
	assert_string_equal(fitted(w, "app=x|user=1 old=2", START),
			    "{app=\"x\", user=\"1\"} old=2");
	limits__hold(w->limits, only_old, NULL, 8);
	assert_string_equal(fitted(w, "app=x|old=2", START), "{app=\"x\", old=\"2\"}");
	/* Nothing is taken meanwhile, however many there are. */
	values(w, "app=x|path=%zu", 0, 300, START);
	assert_string_equal(result(w), "{app=\"x\", path=\"299\"}");
	limits__release(w->limits);
	assert_true(limits__guarded(w->limits, "user"));
	assert_false(limits__guarded(w->limits, "old"));
	assert_string_equal(fitted(w, "app=x|path=300", START), "{app=\"x\"} path=300");
	assert_int_equal(limits__counters(w->limits)->guard_trips, 1);
	/* As it is now: nothing moves. */
	version = limits__version(w->limits);
	limits__hold(w->limits, NULL, NULL, 0);
	limits__release(w->limits);
	assert_int_equal(limits__version(w->limits), version);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
		TEST(what_it_does_is_told),
		TEST(taken_in_another_life),
		TEST(held_at_what_it_was),
		TEST(a_hundred_values_are_fine),
		TEST(one_more_is_guarded),
		TEST(slowly_is_fine),
		TEST(values_in_use_are_not_forgotten),
		TEST(given_back_after_a_day),
		TEST(records_of_the_past),
		TEST(labels_of_presets),
		TEST(identity_labels_only_warn),
		TEST(fifteen_labels),
		TEST(lengths),
		TEST(repairs_are_counted_once),
		TEST(streams_are_bounded),
		TEST(never_without_a_label),
		TEST(names_without_end),
		TEST(reported),
#undef TEST
	};

	return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
