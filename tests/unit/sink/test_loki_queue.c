/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/util.h"
#include "sink/loki_queue.h"

struct world {
	struct loki_queue q;
	uint64_t sequence;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->q.min_backoff_ns = 100;
	w->q.max_backoff_ns = 1000;
	*state = w;
	return 0;
}

static void end(struct loki_item *item)
{
	struct loki_origin origin;

	if (item->in_flight)
		loki_item__landed(item);
	batch__free(loki_item__end(item, &origin));
}

static int teardown(void **state)
{
	struct world *w = *state;

	while (w->q.lanes)
		end(w->q.lanes->items);
	assert_int_equal(w->q.bytes, 0);
	free(w);
	return 0;
}

/* "abc": streams a, b and c. */
static void push(struct world *w, const char *streams, const char *tenant)
{
	struct batch *b = calloc(1, sizeof(*b));

	b->sequence = w->sequence++;
	b->lines = 100;
	b->tenant = tenant ? strdup(tenant) : NULL;
	b->n_streams = strlen(streams);
	b->streams = calloc(b->n_streams + 1, sizeof(*b->streams));
	for (size_t i = 0; i < b->n_streams; i++)
		b->streams[i] = (uint64_t)streams[i];
	assert_int_equal(loki_queue__push(&w->q, b), 0);
}

static struct loki_item *next_at(struct world *w, uint64_t now_ns)
{
	const struct loki_item *behind;
	uint64_t until_ns;
	struct loki_item *item = loki_queue__next(&w->q, now_ns, &behind, &until_ns);

	assert_null(behind);
	if (item)
		loki_item__started(item, now_ns);
	return item;
}

static struct loki_item *assert_next(struct world *w, uint64_t now_ns, uint64_t sequence)
{
	struct loki_item *item = next_at(w, now_ns);

	assert_non_null(item);
	assert_int_equal(item->origin->batch->sequence, sequence);
	return item;
}

static void test_streams_are_in_order(void **state)
{
	struct world *w = *state;
	struct loki_item *zero, *two;

	push(w, "ab", NULL);
	push(w, "bc", NULL);
	push(w, "cd", NULL);
	push(w, "e", NULL);
	push(w, "", NULL); /* not known: all of them */
	push(w, "f", NULL);
	zero = assert_next(w, 1, 0);
	/* `cd` may not overtake `bc`, which waits for `ab`. */
	assert_next(w, 1, 3);
	assert_null(next_at(w, 1));
	assert_int_equal(w->q.in_flight, 2);
	end(zero);
	two = assert_next(w, 1, 1);
	assert_null(next_at(w, 1));
	end(two);
	assert_next(w, 1, 2);
	assert_null(next_at(w, 1));
}

static void test_tenants_are_apart(void **state)
{
	struct loki_item *item;
	struct world *w = *state;
	const struct loki_item *behind;
	uint64_t until_ns;

	push(w, "a", "x");
	push(w, "a", "x");
	push(w, "a", "y");
	push(w, "a", NULL);
	item = assert_next(w, 1, 0);
	assert_next(w, 1, 2);
	assert_next(w, 1, 3);
	assert_null(next_at(w, 1));
	/* Of one that fails one request at a time tries, when its pause is over. */
	loki_item__landed(item);
	loki_pause__fail(&item->lane->pause, 1, 2, -1);
	assert_null(loki_queue__next(&w->q, 2, &behind, &until_ns));
	assert_true(until_ns > 2 && until_ns <= 102);
	push(w, "b", "x");
	item->tries = 1;
	/* One that did not fail comes first then. */
	assert_next(w, until_ns, 4);
	assert_null(next_at(w, until_ns));
}

static void test_held_streams(void **state)
{
	struct world *w = *state;
	const struct loki_item *behind;
	struct loki_item *held, *item;
	uint64_t until_ns;

	push(w, "a", NULL);
	push(w, "ab", NULL);
	held = assert_next(w, 1, 0);
	loki_item__landed(held);
	held->held = true;
	held->pause.until_ns = 1000;
	item = loki_queue__next(&w->q, 1, &behind, &until_ns);
	assert_int_equal(item->origin->batch->sequence, 1);
	assert_ptr_equal(behind, held);
	/* As if all of it were of the held streams. */
	item->held = true;
	assert_null(next_at(w, 1));
	item = next_at(w, 1000);
	assert_ptr_equal(item, held);
	end(held);
	assert_next(w, 1000, 1);
}

static void test_parts(void **state)
{
	struct world *w = *state;
	struct loki_part first = {.sealed.lines = 40}, second = {.sealed.lines = 60};
	struct loki_origin origin;
	struct loki_item *item;
	size_t bytes;

	push(w, "ab", NULL);
	bytes = w->q.bytes;
	assert_true(bytes >= sizeof(struct batch));
	first.streams = calloc(1, sizeof(uint64_t));
	first.streams[0] = 'a';
	second.streams = calloc(1, sizeof(uint64_t));
	second.streams[0] = 'b';
	first.n_streams = second.n_streams = 1;
	assert_int_equal(buf__append(&first.sealed.payload, "xx", 2), 0);
	assert_int_equal(buf__append(&second.sealed.payload, "yy", 2), 0);
	item = w->q.lanes->items;
	assert_int_equal(loki_item__lines(item), 100);
	assert_int_equal(loki_item__divide(item, &first, &second), 0);
	assert_true(w->q.bytes > bytes);
	assert_int_equal(loki_item__lines(item), 40);
	assert_int_equal(loki_item__lines(item->next), 60);
	assert_ptr_equal(next_at(w, 1), item);
	assert_ptr_equal(next_at(w, 1), item->next);
	loki_item__landed(item);
	assert_null(loki_item__end(item, &origin));
	item = w->q.lanes->items;
	loki_item__landed(item);
	origin.batch = loki_item__end(item, &origin);
	assert_non_null(origin.batch);
	batch__free(origin.batch);
	assert_int_equal(w->q.bytes, 0);
	assert_null(w->q.lanes);
}

static void test_pauses(void **state _unused_)
{
	struct loki_pause p = {0};

	backoff__init(&p.backoff, 100, 1000, 1);
	loki_pause__fail(&p, 1, 10, -1);
	assert_true(p.until_ns >= 10 + 50 && p.until_ns <= 10 + 100);
	/* Sent before that: the same failure. */
	loki_pause__fail(&p, 5, 11, -1);
	assert_true(p.until_ns <= 10 + 100);
	assert_int_equal(p.failures, 2);
	loki_pause__fail(&p, 200, 210, 400);
	assert_int_equal(p.until_ns, 610);
	loki_pause__fail(&p, 700, 710, 5000);
	assert_int_equal(p.until_ns, 1710);
	loki_pause__end(&p);
	assert_int_equal(p.until_ns + p.failures, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_streams_are_in_order), TEST(test_tenants_are_apart),
		TEST(test_held_streams),	 TEST(test_parts),
		cmocka_unit_test(test_pauses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
