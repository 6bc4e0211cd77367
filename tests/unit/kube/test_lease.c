/* SPDX-License-Identifier: Apache-2.0 */
/* A server of one Lease, and replicas with clocks of their own. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/clock.h"
#include "kube/lease.h"

#define S NS_PER_SEC
#define REAL_NS (1795239549 * S + 123456789)

/* The server */
static json_t *stored;
static int revision;
/* The replica's that has the word. */
static uint64_t real_ns = REAL_NS;

static long answer(enum lease_do asked, const struct buf *body, char **ret_text)
{
	json_t *sent = body->len ? json_loadb(body->data, body->len, 0, NULL) : NULL;
	const char *theirs, *ours;
	long status = 200;

	*ret_text = NULL;
	if (asked == LEASE_CREATE && stored)
		status = 409;
	else if (asked != LEASE_CREATE && !stored)
		status = 404;
	if (asked == LEASE_UPDATE && stored) {
		theirs = json_string_value(
			json_object_get(json_object_get(sent, "metadata"), "resourceVersion"));
		ours = json_string_value(
			json_object_get(json_object_get(stored, "metadata"), "resourceVersion"));
		assert_non_null(theirs);
		if (strcmp(theirs, ours))
			status = 409;
	}
	if (status == 200 && asked != LEASE_GET) {
		char text[16];

		snprintf(text, sizeof(text), "%d", ++revision);
		json_decref(stored);
		stored = json_incref(sent);
		json_object_set_new(json_object_get(stored, "metadata"), "resourceVersion",
				    json_string(text));
	}
	json_decref(sent);
	if (status == 200)
		*ret_text = json_dumps(stored, 0);
	return status;
}

/* One request of a replica, if it has one to make; its answer comes after `late_ns`. */
static enum lease_do step_late(struct lease *l, uint64_t now_ns, uint64_t late_ns)
{
	_buf_ struct buf body = {0};
	_free_ char *text = NULL;
	uint64_t due_ns = 0;
	enum lease_do what = lease__next(l, now_ns, &due_ns);
	long status;

	if (what == LEASE_WAIT) {
		assert_true(due_ns > now_ns);
		return what;
	}
	if (what != LEASE_GET)
		assert_int_equal(lease__body(l, real_ns, false, &body), 0);
	status = answer(what, &body, &text);
	lease__answer(l, what, now_ns, now_ns + late_ns, status, text, text ? strlen(text) : 0);
	return what;
}

static void run(struct lease *l, uint64_t now_ns)
{
	for (int i = 0; i < 5; i++)
		if (step_late(l, now_ns, 0) == LEASE_WAIT)
			return;
	fail_msg("it asks and asks");
}

static struct lease *replica(const char *identity)
{
	const struct lease_opts opts = {.namespace = "logging",
					.name = "notail-events",
					.identity = identity,
					.duration_ns = 15 * S};
	struct lease *l;

	assert_int_equal(lease__new(&l, &opts), 0);
	return l;
}

static const char *in_spec(const char *key)
{
	return json_string_value(json_object_get(json_object_get(stored, "spec"), key));
}

static json_int_t number_in_spec(const char *key)
{
	return json_integer_value(json_object_get(json_object_get(stored, "spec"), key));
}

static int clear(void **state _unused_)
{
	json_decref(stored);
	stored = NULL;
	revision = 0;
	return 0;
}

static void the_first_creates_it(void **state _unused_)
{
	struct lease *a = replica("a");

	assert_false(lease__leads(a, 100 * S));
	run(a, 100 * S);
	assert_true(lease__leads(a, 100 * S));
	assert_string_equal(in_spec("holderIdentity"), "a");
	assert_string_equal(in_spec("renewTime"), "2026-11-21T05:39:09.123456Z");
	assert_string_equal(in_spec("acquireTime"), "2026-11-21T05:39:09.123456Z");
	assert_int_equal(number_in_spec("leaseDurationSeconds"), 15);
	assert_int_equal(number_in_spec("leaseTransitions"), 0);
	lease__free(a);
}

static void who_has_it_renews_it(void **state _unused_)
{
	struct lease *a = replica("a");

	for (uint64_t t = 100; t < 160; t += 2) {
		run(a, t * S);
		assert_true(lease__leads(a, t * S));
		assert_int_equal(lease__until_ns(a), (t + 10) * S);
	}
	assert_int_equal(revision, 30);
	lease__free(a);
}

static void another_waits_for_as_long_as_it_is_renewed(void **state _unused_)
{
	struct lease *a = replica("a"), *b = replica("b");

	/* b's clock is another, as is what it thinks of the time that stands in the Lease. */
	for (uint64_t t = 100; t < 200; t += 2) {
		run(a, t * S);
		run(b, (7000 + t) * S);
		assert_false(lease__leads(b, (7000 + t) * S));
		assert_string_equal(lease__holder(b), "a");
	}
	/* a is dead. b saw its last change at 7198 */
	for (uint64_t t = 200; t < 212; t += 2) {
		run(b, (7000 + t) * S);
		assert_false(lease__leads(b, (7000 + t) * S));
	}
	for (uint64_t t = 212; t < 216; t += 2)
		run(b, (7000 + t) * S);
	assert_true(lease__leads(b, 7214 * S));
	assert_string_equal(in_spec("holderIdentity"), "b");
	assert_int_equal(number_in_spec("leaseTransitions"), 1);
	lease__free(a);
	lease__free(b);
}

/* Nobody goes by the times that stand in the Lease. */
static void clocks_that_differ_by_an_hour(void **state _unused_)
{
	static const int64_t hours[] = {-1, 1};

	for (size_t i = 0; i < 2; i++) {
		struct lease *a = replica("a"), *b = replica("b");

		clear(NULL);
		for (uint64_t t = 100; t < 160; t += 2) {
			real_ns = REAL_NS + (uint64_t)(hours[i] * 3600 * (int64_t)S);
			run(a, t * S);
			assert_true(lease__leads(a, t * S));
			real_ns = REAL_NS;
			run(b, t * S);
			assert_false(lease__leads(b, t * S));
		}
		/* a is dead, whatever it wrote. */
		for (uint64_t t = 160; t < 178; t += 2)
			run(b, t * S);
		assert_true(lease__leads(b, 176 * S));
		lease__free(a);
		lease__free(b);
	}
}

static void it_ends_in_time_without_an_answer(void **state _unused_)
{
	struct lease *a = replica("a");
	uint64_t due_ns;

	run(a, 100 * S);
	for (uint64_t t = 102; t < 110; t += 2) {
		enum lease_do what = lease__next(a, t * S, &due_ns);

		assert_int_not_equal(what, LEASE_WAIT);
		assert_true(lease__leads(a, t * S));
		lease__answer(a, what, t * S, t * S, t % 4 ? 0 : 500, NULL, 0);
	}
	assert_true(lease__leads(a, 110 * S - 1));
	assert_false(lease__leads(a, 110 * S));
	lease__free(a);
}

/* A request that is not answered takes 5 of the 10 seconds. */
static void one_that_is_not_answered_costs_no_lease(void **state _unused_)
{
	struct lease *a = replica("a");
	uint64_t due_ns;

	run(a, 100 * S);
	assert_int_equal(lease__next(a, 102 * S, &due_ns), LEASE_UPDATE);
	lease__answer(a, LEASE_UPDATE, 102 * S, 107 * S, 0, NULL, 0);
	assert_int_equal(step_late(a, 107 * S, S), LEASE_GET);
	assert_int_equal(step_late(a, 108 * S, S), LEASE_UPDATE);
	assert_int_equal(lease__until_ns(a), 118 * S);
	lease__free(a);
}

static void a_late_answer_counts_from_when_it_was_asked_for(void **state _unused_)
{
	struct lease *a = replica("a");

	step_late(a, 100 * S, 3 * S);
	assert_int_equal(step_late(a, 103 * S, 4 * S), LEASE_CREATE);
	assert_int_equal(lease__until_ns(a), 113 * S);
	lease__free(a);
}

static void who_was_away_finds_it_taken(void **state _unused_)
{
	struct lease *a = replica("a"), *b = replica("b");

	run(a, 100 * S);
	for (uint64_t t = 100; t < 120; t += 2)
		run(b, t * S);
	assert_true(lease__leads(b, 118 * S));
	/* a was stopped, and goes on: its time is over whatever it hears. */
	assert_false(lease__leads(a, 120 * S));
	assert_int_equal(step_late(a, 120 * S, 0), LEASE_UPDATE); /* refused: 409 */
	assert_false(lease__leads(a, 120 * S));
	run(a, 122 * S);
	assert_false(lease__leads(a, 122 * S));
	assert_string_equal(lease__holder(a), "b");
	assert_string_equal(in_spec("holderIdentity"), "b");
	lease__free(a);
	lease__free(b);
}

static void one_wins_a_race(void **state _unused_)
{
	struct lease *a = replica("a"), *b = replica("b");

	assert_int_equal(step_late(a, 100 * S, 0), LEASE_GET);
	assert_int_equal(step_late(b, 100 * S, 0), LEASE_GET);
	assert_int_equal(step_late(a, 100 * S, 0), LEASE_CREATE);
	assert_int_equal(step_late(b, 100 * S, 0), LEASE_CREATE); /* refused: 409 */
	run(b, 102 * S);
	assert_true(lease__leads(a, 102 * S));
	assert_false(lease__leads(b, 102 * S));
	lease__free(a);
	lease__free(b);
}

static void what_another_took_is_lost_at_once(void **state _unused_)
{
	struct lease *a = replica("a");

	run(a, 100 * S);
	json_object_set_new(json_object_get(stored, "spec"), "holderIdentity", json_string("x"));
	json_object_set_new(json_object_get(stored, "metadata"), "resourceVersion",
			    json_string("77"));
	assert_int_equal(step_late(a, 102 * S, 0), LEASE_UPDATE);
	assert_true(lease__leads(a, 102 * S)); /* nobody may have it before 115 */
	assert_int_equal(step_late(a, 104 * S, 0), LEASE_GET);
	assert_false(lease__leads(a, 104 * S));
	lease__free(a);
}

static void a_deleted_one_is_made_again(void **state _unused_)
{
	struct lease *a = replica("a");

	run(a, 100 * S);
	json_decref(stored);
	stored = NULL;
	for (uint64_t t = 102; t < 120; t += 2) {
		run(a, t * S);
		assert_true(lease__leads(a, t * S));
	}
	assert_string_equal(in_spec("holderIdentity"), "a");
	lease__free(a);
}

static void released_it_is_free_at_once(void **state _unused_)
{
	struct lease *a = replica("a"), *b = replica("b");
	_buf_ struct buf body = {0};
	_free_ char *text = NULL;

	run(a, 100 * S);
	run(b, 100 * S);
	assert_int_equal(lease__set_note(a, "{\"position\":7}"), 0);
	assert_int_equal(lease__body(a, REAL_NS, true, &body), 0);
	assert_int_equal(answer(LEASE_UPDATE, &body, &text), 200);
	run(b, 102 * S);
	assert_true(lease__leads(b, 102 * S));
	assert_string_equal(lease__note(b), "{\"position\":7}");
	lease__free(a);
	lease__free(b);
}

static void what_else_is_in_it_stays(void **state _unused_)
{
	struct lease *a = replica("a");
	_free_ char *notes = NULL;

	revision = 5;
	stored = json_loads(
		"{\"metadata\":{\"name\":\"notail-events\",\"resourceVersion\":\"5\",\"labels\":"
		"{\"app\":\"notail\"},\"annotations\":{\"other\":\"1\",\"notail.io/position\":"
		"\"old\"}},\"spec\":{\"strategy\":\"x\"}}",
		0, NULL);
	run(a, 100 * S);
	assert_true(lease__leads(a, 100 * S));
	assert_string_equal(lease__note(a), "old");
	lease__set_note(a, "new");
	run(a, 102 * S);
	assert_string_equal(in_spec("strategy"), "x");
	notes = json_dumps(json_object_get(json_object_get(stored, "metadata"), "annotations"),
			   JSON_SORT_KEYS | JSON_COMPACT);
	assert_string_equal(notes, "{\"notail.io/position\":\"new\",\"other\":\"1\"}");
	lease__free(a);
}

static void made_by_hand(void **state _unused_)
{
	struct lease *a = replica("a");

	stored = json_loads("{\"metadata\":{\"resourceVersion\":\"5\"}}", 0, NULL);
	run(a, 100 * S);
	assert_true(lease__leads(a, 100 * S));
	assert_string_equal(in_spec("holderIdentity"), "a");
	lease__free(a);
}

static void garbage_is_no_answer(void **state _unused_)
{
	static const char *const texts[] = {
		"",
		"{",
		"[]",
		"{}",
		"null",
		"{\"metadata\":{\"resourceVersion\":1}}",
		"{\"metadata\":{\"resourceVersion\":\"1\"},\"spec\":[]}",
		"\xff"};
	struct lease *a = replica("a");
	uint64_t now_ns = 100 * S, due_ns;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(lease__next(a, now_ns, &due_ns), LEASE_GET);
		assert_int_equal(lease__answer(a, LEASE_GET, now_ns, now_ns, 200, texts[i],
					       strlen(texts[i])),
				 -EBADMSG);
		assert_false(lease__leads(a, now_ns));
		assert_int_equal(lease__next(a, now_ns, &due_ns), LEASE_WAIT);
		now_ns = due_ns;
	}
	lease__free(a);
}

static void a_refusal_is_asked_again_slowly(void **state _unused_)
{
	struct lease *a = replica("a");
	uint64_t now_ns = 100 * S, due_ns;
	unsigned asked = 0;

	while (now_ns < 200 * S) {
		enum lease_do what = lease__next(a, now_ns, &due_ns);

		if (what == LEASE_WAIT) {
			now_ns = due_ns;
			continue;
		}
		asked++;
		lease__answer(a, what, now_ns, now_ns, what == LEASE_GET ? 404 : 403, NULL, 0);
	}
	assert_in_range(asked, 90, 110);
	lease__free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_first_creates_it, clear),
		cmocka_unit_test_setup(who_has_it_renews_it, clear),
		cmocka_unit_test_setup(another_waits_for_as_long_as_it_is_renewed, clear),
		cmocka_unit_test_setup(clocks_that_differ_by_an_hour, clear),
		cmocka_unit_test_setup(it_ends_in_time_without_an_answer, clear),
		cmocka_unit_test_setup(one_that_is_not_answered_costs_no_lease, clear),
		cmocka_unit_test_setup(a_late_answer_counts_from_when_it_was_asked_for, clear),
		cmocka_unit_test_setup(who_was_away_finds_it_taken, clear),
		cmocka_unit_test_setup(one_wins_a_race, clear),
		cmocka_unit_test_setup(what_another_took_is_lost_at_once, clear),
		cmocka_unit_test_setup(a_deleted_one_is_made_again, clear),
		cmocka_unit_test_setup(released_it_is_free_at_once, clear),
		cmocka_unit_test_setup(what_else_is_in_it_stays, clear),
		cmocka_unit_test_setup(made_by_hand, clear),
		cmocka_unit_test_setup(garbage_is_no_answer, clear),
		cmocka_unit_test_setup(a_refusal_is_asked_again_slowly, clear),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	clear(NULL);
	return failed;
}
