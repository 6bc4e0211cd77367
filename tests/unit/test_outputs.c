/* SPDX-License-Identifier: Apache-2.0 */
#include "batch/batch_world.h"
#include "batch/request.h"
#include "outputs.h"

#define LOKI PIPELINE_LOKI
#define RING (8u << 20)

struct fixture {
	struct outputs *o;
	struct counters counters;
	struct clock_anchor anchor;
	struct label_set *web, *db;
};

static int begin(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct outputs_opts opts = {
		.counters = &f->counters, .anchor = &f->anchor, .max_memory = 1 << 20};

	f->anchor.offset_ns = OFFSET_NS;
	opts.enabled[LOKI] = true;
	opts.batch[LOKI] = (struct batch_opts){.encoding = BATCH_LOKI};
	f->web = make_set("web", "stdout", NULL);
	f->db = make_set("db", "stdout", NULL);
	*state = f;
	return outputs__new(&f->o, &opts);
}

static int end(void **state)
{
	struct fixture *f = *state;

	outputs__free(f->o);
	label_set__unref(f->web);
	label_set__unref(f->db);
	free(f);
	return 0;
}

static void add_line(struct fixture *f, struct label_set *set, uint64_t pos)
{
	struct line line = make_line("x");

	line.ring_pos = pos;
	outputs__add(f->o, set, &line);
}

static void seal_at(struct fixture *f, uint64_t after_ns)
{
	outputs__seal(f->o, TIME_NS + after_ns, false);
}

static struct batch *next(struct fixture *f, size_t lines)
{
	struct batch *b = outputs__next(f->o, LOKI);

	assert_non_null(b);
	assert_int_equal(b->lines, lines);
	return b;
}

static void done(struct fixture *f, struct batch *b)
{
	outputs__done(f->o, b, SINK_DELIVERED);
	outputs__take_acknowledgements(f->o);
}

static uint64_t hash(const struct label_set *set)
{
	return request__labels_hash(set->text, strlen(set->text));
}

static struct backlog *backlog_of(const struct label_set *set)
{
	struct backlog *b = calloc(1, sizeof(*b) + sizeof(b->streams[0]));

	b->n = 1;
	b->streams[0] = hash(set);
	return b;
}

/* What an open batch, or one under way, needs of the ring. */
static void test_positions_are_held(void **state)
{
	struct fixture *f = *state;
	struct batch *a, *b;

	assert_int_equal(outputs__oldest(f->o), UINT64_MAX);
	add_line(f, f->web, 100);
	assert_int_equal(outputs__oldest(f->o), 100);
	seal_at(f, NS_PER_SEC);
	add_line(f, f->web, 200);
	seal_at(f, NS_PER_SEC);
	a = next(f, 1);
	b = next(f, 1);
	assert_int_equal(outputs__oldest(f->o), 100);
	done(f, b);
	assert_int_equal(outputs__oldest(f->o), 100);
	assert_true(outputs__memory(f->o) > 0);
	done(f, a);
	assert_int_equal(outputs__oldest(f->o), UINT64_MAX);
	assert_int_equal(outputs__memory(f->o), 0);
}

/* It is freed for the ring while another still has it. */
static void test_memory_is_counted_to_the_end(void **state)
{
	struct fixture *f = *state;
	static char big[800000];
	struct line line = make_line("");
	struct batch *b;

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * i >> 7 ^ i);
	line.bytes = big;
	line.len = sizeof(big);
	for (int i = 0; i < 64 && outputs__have_room(f->o); i++) {
		outputs__add(f->o, f->web, &line);
		seal_at(f, NS_PER_SEC);
	}
	assert_false(outputs__have_room(f->o));
	while ((b = outputs__next(f->o, LOKI))) {
		struct batch *kept = batch__ref(b);

		done(f, b);
		assert_true(outputs__memory(f->o) > 0);
		batch__free(kept);
	}
	assert_true(outputs__have_room(f->o));
	assert_int_equal(outputs__memory(f->o), 0);
}

/* Streams with older lines somewhere have batches of their own; what they had before is in front.
 */
static void test_backlog(void **state)
{
	struct fixture *f = *state;
	struct batch *b;

	add_line(f, f->web, 1);
	add_line(f, f->db, 2);
	outputs__use_backlog(f->o, backlog_of(f->web));
	seal_at(f, 0);
	done(f, next(f, 2)); /* before its time */
	add_line(f, f->web, 3);
	add_line(f, f->db, 4);
	add_line(f, f->web, 5);
	assert_int_equal(outputs__oldest(f->o), 3);
	seal_at(f, NS_PER_SEC);
	b = next(f, 1);
	assert_int_equal(b->streams[0], hash(f->db));
	done(f, b);
	b = next(f, 2);
	assert_int_equal(b->n_streams, 1);
	assert_int_equal(b->streams[0], hash(f->web));
	done(f, b);
	add_line(f, f->web, 6);
	outputs__use_backlog(f->o, NULL);
	seal_at(f, 0);
	add_line(f, f->web, 7);
	add_line(f, f->db, 8);
	seal_at(f, NS_PER_SEC);
	b = next(f, 1);
	assert_int_equal(b->oldest_pos, 6);
	done(f, b);
	done(f, next(f, 2));
	seal_at(f, 120 * NS_PER_SEC);
	outputs__use_backlog(f->o, backlog_of(f->db)); /* not taken yet: freed at the end */
	outputs__use_backlog(f->o, backlog_of(f->web));
}

/* A ring that is half full wants its older half; an open batch is no reason to keep it. */
static void test_ring_is_wanted(void **state)
{
	struct fixture *f = *state;

	add_line(f, f->web, 1000);
	outputs__look(f->o, 1000 + RING / 2, RING);
	assert_int_equal(outputs__wanted(f->o), 0);
	assert_int_equal(outputs__pressed(f->o), 0);
	assert_null(outputs__next(f->o, LOKI));
	outputs__look(f->o, 1001 + RING / 2, RING);
	assert_int_equal(outputs__wanted(f->o), 1001 + RING / 2 - RING / 4);
	done(f, next(f, 1));
	outputs__look(f->o, 3 * RING, RING); /* nothing of it is needed */
	assert_int_equal(outputs__wanted(f->o), 1001 + RING / 2 - RING / 4);
	assert_int_equal(outputs__pressed(f->o), 0);
	add_line(f, f->web, 4 * RING);
	outputs__look(f->o, 4 * RING + RING / 8 * 5, RING);
	assert_int_equal(outputs__pressed(f->o), 0);
	done(f, next(f, 1));
	add_line(f, f->web, 5 * RING);
	outputs__look(f->o, 5 * RING + RING / 8 * 5 + 1, RING);
	assert_int_equal(outputs__pressed(f->o), 5 * RING + RING / 8 + 1);
	done(f, next(f, 1));
}

/* A tenant's batch outlives the tenant. */
static void test_tenants(void **state)
{
	struct fixture *f = *state;
	char tenant[] = "a\nb?";
	struct line line = make_line("x");
	struct batch *b;

	line.tenant = tenant;
	line.tenant_len = 3;
	outputs__add(f->o, f->web, &line);
	add_line(f, f->web, 5);
	seal_at(f, NS_PER_SEC);
	done(f, next(f, 1));
	seal_at(f, 62 * NS_PER_SEC);
	b = next(f, 1);
	assert_string_equal(b->tenant, "a_b");
	done(f, b);
	for (size_t i = 0; i < 600; i++) { /* no more than there may be, and each in its time */
		char name[8];

		if (i % 200 == 0)
			seal_at(f, (100 * (i / 200 + 1) - 1) * NS_PER_SEC);
		line.tenant = name;
		line.tenant_len = (size_t)snprintf(name, sizeof(name), "t%zu", i);
		line.time_ns = TIME_NS + 100 * NS_PER_SEC * (i / 200 + 1);
		outputs__add(f->o, f->web, &line);
		if (i % 200 == 199)
			seal_at(f, 100 * NS_PER_SEC * (i / 200 + 1) + NS_PER_SEC);
		while (i % 200 == 199 && (b = outputs__next(f->o, LOKI)))
			done(f, b);
	}
	assert_int_equal(f->counters.dropped_no_memory, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_positions_are_held, begin, end),
		cmocka_unit_test_setup_teardown(test_memory_is_counted_to_the_end, begin, end),
		cmocka_unit_test_setup_teardown(test_backlog, begin, end),
		cmocka_unit_test_setup_teardown(test_ring_is_wanted, begin, end),
		cmocka_unit_test_setup_teardown(test_tenants, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
