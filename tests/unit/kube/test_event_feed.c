/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "kube/event_feed.h"

#define NOW_NS (1795239549 * NS_PER_SEC)

struct world {
	struct event_feed *feed;
	uint64_t sequence;
	struct buf got; /* eventRV of each line, with a space behind it */
};

static uint64_t now(void)
{
	return NOW_NS;
}

static void on_line(void *ctx, const struct event_line *line)
{
	struct world *w = ctx;
	const char *rv = memmem(line->text, line->len, "eventRV=", 8);

	assert_non_null(rv);
	assert_int_equal(line->sequence, w->sequence - 1);
	assert_string_equal(line->namespace, "demo");
	buf__append(&w->got, rv + 8, strcspn(rv + 8, " ") + 1);
}

static void begin_at(struct world *w, uint64_t revision, uint64_t time_ns, size_t max_bytes)
{
	const struct event_feed_opts opts = {
		.from = {revision, time_ns},
		.sequence = &w->sequence,
		.max_bytes = max_bytes,
		.real_ns = now,
		.line = on_line,
		.ctx = w,
	};

	*w = (struct world){.sequence = 1};
	assert_int_equal(event_feed__new(&w->feed, &opts), 0);
}

static void end(struct world *w)
{
	event_feed__free(w->feed);
	buf__free(&w->got);
}

static void event_at(struct world *w, enum kube_change change, const char *rv, const char *time)
{
	char json[512];

	snprintf(json, sizeof(json),
		 "{\"metadata\":{\"resourceVersion\":\"%s\"},\"regarding\":{\"name\":\"n\","
		 "\"namespace\":\"demo\"},\"eventTime\":\"%s\"}",
		 rv, time);
	event_feed__item(w->feed, change, json, strlen(json));
}

static void event(struct world *w, enum kube_change change, const char *rv)
{
	event_at(w, change, rv, "2026-11-21T05:00:00.5Z");
}

static void list(struct world *w, const char *const *rvs, const char *version)
{
	event_feed__list_begin(w->feed);
	for (; *rvs; rvs++)
		event(w, KUBE_LISTED, *rvs);
	event_feed__list_end(w->feed);
	event_feed__version(w->feed, version);
}

#define LIST(w, version, ...) list(w, (const char *const[]){__VA_ARGS__, NULL}, version)

static void assert_got(struct world *w, const char *expected)
{
	assert_int_equal(buf__append(&w->got, "", 1), 0);
	assert_string_equal(w->got.data, expected);
	w->got.len = 0;
}

static void assert_safe(struct world *w, uint64_t before, uint64_t revision)
{
	struct position at;

	assert_true(event_feed__safe(w->feed, before, &at));
	assert_int_equal(at.revision, revision);
	assert_false(event_feed__safe(w->feed, before, &at));
}

static void a_list_comes_in_the_servers_order(void **state _unused_)
{
	struct world w;

	begin_at(&w, 0, 0, 0);
	assert_null(event_feed__resume(w.feed));
	LIST(&w, "120", "30", "9", "101", "100");
	assert_got(&w, "9 30 100 101 ");
	assert_string_equal(event_feed__resume(w.feed), "120");
	end(&w);
}

static void a_change_is_a_line_and_a_deletion_none(void **state _unused_)
{
	struct world w;

	begin_at(&w, 0, 0, 0);
	LIST(&w, "10", "9");
	event(&w, KUBE_ADDED, "11");
	event(&w, KUBE_MODIFIED, "12");
	event(&w, KUBE_DELETED, "13");
	event_feed__version(w.feed, "13");
	assert_got(&w, "9 11 12 ");
	assert_string_equal(event_feed__resume(w.feed), "13");
	end(&w);
}

static void another_list_repeats_nothing(void **state _unused_)
{
	struct event_feed_stats stats;
	struct world w;

	begin_at(&w, 0, 0, 0);
	LIST(&w, "10", "8", "9");
	event(&w, KUBE_ADDED, "11");
	LIST(&w, "20", "14", "9", "11", "12");
	event(&w, KUBE_ADDED, "14");
	assert_got(&w, "8 9 11 12 14 ");
	event_feed__stats(w.feed, &stats);
	assert_int_equal(stats.lines, 5);
	assert_int_equal(stats.lists, 2);
	assert_int_equal(stats.repeats, 3);
	end(&w);
}

static void a_list_that_breaks_off_is_forgotten(void **state _unused_)
{
	struct world w;

	begin_at(&w, 0, 0, 0);
	event_feed__list_begin(w.feed);
	event(&w, KUBE_LISTED, "7");
	LIST(&w, "10", "7", "6");
	assert_got(&w, "6 7 ");
	end(&w);
}

/* For want of room, and the version is still good. */
static void a_watch_that_ends_in_a_list_goes_on_without(void **state _unused_)
{
	struct world w;

	begin_at(&w, 100, 1, 0);
	event_feed__list_begin(w.feed);
	event(&w, KUBE_LISTED, "102");
	event_feed__cut(w.feed);
	assert_string_equal(event_feed__resume(w.feed), "100");
	event(&w, KUBE_ADDED, "101");
	event_feed__version(w.feed, "101");
	event(&w, KUBE_ADDED, "102");
	assert_got(&w, "101 102 ");
	assert_safe(&w, UINT64_MAX, 102);
	end(&w);
}

static void a_restart_goes_on_from_the_position(void **state _unused_)
{
	struct world w;

	begin_at(&w, 100, 1, 0);
	assert_string_equal(event_feed__resume(w.feed), "100");
	event(&w, KUBE_ADDED, "101");
	LIST(&w, "110", "99", "100", "101", "102");
	assert_got(&w, "101 102 ");
	end(&w);
}

static void the_position_follows_what_is_delivered(void **state _unused_)
{
	struct position at;
	struct world w;

	begin_at(&w, 0, 0, 0);
	LIST(&w, "20", "5", "6", "7"); /* sequence 1, 2, 3 */
	assert_false(event_feed__safe(w.feed, 1, &at));
	assert_safe(&w, 2, 5);
	assert_safe(&w, 3, 6);
	assert_safe(&w, 4, 20); /* and nothing before it is under way */
	event(&w, KUBE_ADDED, "21");
	event_feed__version(w.feed, "21");
	assert_false(event_feed__safe(w.feed, 4, &at));
	event_feed__version(w.feed, "30"); /* a bookmark */
	assert_safe(&w, UINT64_MAX, 30);
	end(&w);
}

static void there_may_be_any_number_under_way(void **state _unused_)
{
	struct position at;
	struct world w;
	char rv[16];

	begin_at(&w, 0, 0, 0);
	for (int i = 1; i <= 5000; i++) {
		snprintf(rv, sizeof(rv), "%d", i);
		event(&w, KUBE_ADDED, rv);
	}
	assert_true(event_feed__safe(w.feed, 2500, &at));
	assert_in_range(at.revision, 2400, 2499);
	assert_safe(&w, UINT64_MAX, 5000);
	end(&w);
}

static void a_server_that_was_set_back(void **state _unused_)
{
	struct world w;

	begin_at(&w, 0, 0, 0);
	event_at(&w, KUBE_ADDED, "1000", "2026-11-21T05:00:00.5Z");
	assert_false(event_feed__restarted(w.feed));
	LIST(&w, "500", "490");
	assert_true(event_feed__restarted(w.feed));
	assert_false(event_feed__restarted(w.feed));
	assert_null(event_feed__resume(w.feed));
	event_feed__list_begin(w.feed);
	event_at(&w, KUBE_LISTED, "490", "2026-11-21T04:59:59Z");
	event_at(&w, KUBE_LISTED, "495", "2026-11-21T05:00:00Z");
	event_at(&w, KUBE_LISTED, "500", "2026-11-21T05:01:00.5Z");
	event_feed__list_end(w.feed);
	event_feed__version(w.feed, "500");
	event_at(&w, KUBE_ADDED, "501", "2026-11-21T04:58:00.5Z");
	assert_got(&w, "1000 495 500 501 ");
	assert_safe(&w, UINT64_MAX, 501);
	end(&w);
}

static void of_too_long_a_list_the_newest_stay(void **state _unused_)
{
	struct event_feed_stats stats;
	struct world w;

	begin_at(&w, 0, 0, 400);
	LIST(&w, "99", "3", "4", "9", "1", "7", "2", "8", "5", "6");
	event_feed__stats(w.feed, &stats);
	assert_int_equal(stats.left_out + stats.lines, 9);
	assert_in_range(stats.lines, 2, 6);
	assert_non_null(memmem(w.got.data, w.got.len, "8 9 ", 4));
	end(&w);
}

static void what_is_no_event_is_counted(void **state _unused_)
{
	struct event_feed_stats stats;
	struct world w;

	begin_at(&w, 0, 0, 0);
	event_feed__item(w.feed, KUBE_ADDED, "{", 1);
	event_feed__version(w.feed, "x");
	event_feed__version(w.feed, "");
	event_feed__stats(w.feed, &stats);
	assert_int_equal(stats.invalid, 1);
	assert_null(event_feed__resume(w.feed));
	end(&w);
}

static void versions_that_are_no_numbers(void **state _unused_)
{
	struct world w;

	begin_at(&w, 0, 0, 0);
	event_feed__list_begin(w.feed);
	event_at(&w, KUBE_LISTED, "b", "2026-11-21T05:00:02.5Z");
	event_at(&w, KUBE_LISTED, "a", "2026-11-21T05:00:01.5Z");
	event_feed__list_end(w.feed);
	event_at(&w, KUBE_ADDED, "c", "2026-11-21T05:00:01.5Z");
	event_feed__list_begin(w.feed);
	event_at(&w, KUBE_LISTED, "b", "2026-11-21T05:00:02.5Z");
	event_at(&w, KUBE_LISTED, "d", "2026-11-21T05:00:03.5Z");
	event_feed__list_end(w.feed);
	assert_got(&w, "a b c d ");
	end(&w);
}

static uint64_t last_ns;

static void note_time(void *ctx _unused_, const struct event_line *line)
{
	last_ns = line->time_ns;
}

static void a_time_that_is_not_yet_is_now(void **state _unused_)
{
	const struct event_feed_opts opts = {
		.sequence = &(uint64_t){1}, .real_ns = now, .line = note_time};
	struct world w = {0};

	assert_int_equal(event_feed__new(&w.feed, &opts), 0);
	event_at(&w, KUBE_ADDED, "7", "2026-11-21T05:49:00.5Z");
	assert_int_equal(last_ns, NOW_NS);
	event_at(&w, KUBE_ADDED, "8", "2026-11-21T05:47:00.5Z");
	assert_int_equal(last_ns, NOW_NS + 471500000008); /* 05:39:09 is now */
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_comes_in_the_servers_order),
		cmocka_unit_test(a_change_is_a_line_and_a_deletion_none),
		cmocka_unit_test(another_list_repeats_nothing),
		cmocka_unit_test(a_list_that_breaks_off_is_forgotten),
		cmocka_unit_test(a_watch_that_ends_in_a_list_goes_on_without),
		cmocka_unit_test(a_restart_goes_on_from_the_position),
		cmocka_unit_test(the_position_follows_what_is_delivered),
		cmocka_unit_test(there_may_be_any_number_under_way),
		cmocka_unit_test(a_server_that_was_set_back),
		cmocka_unit_test(of_too_long_a_list_the_newest_stay),
		cmocka_unit_test(what_is_no_event_is_counted),
		cmocka_unit_test(versions_that_are_no_numbers),
		cmocka_unit_test(a_time_that_is_not_yet_is_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
