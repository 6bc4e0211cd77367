/* SPDX-License-Identifier: Apache-2.0 */
#include "batch_world.h"

static void test_nothing_open(void **state _unused_)
{
	struct world w;

	setup(&w, BATCH_TEXT);
	assert_int_equal(batcher__oldest(w.b), UINT64_MAX);
	assert_int_equal(batcher__tick(w.b, UINT64_MAX), UINT64_MAX);
	batcher__seal(w.b);
	assert_int_equal(w.n, 0);
	teardown(&w);
}

static void test_seal_when_asked(void **state _unused_)
{
	_label_set_ struct label_set *set = make_set("web", "stdout", NULL);
	struct world w;

	setup(&w, BATCH_RAW);
	add(&w, set, make_line("one"));
	add(&w, set, make_line(""));
	assert_int_equal(w.n, 0);
	batcher__seal(w.b);
	assert_int_equal(w.n, 1);
	assert_int_equal(w.sealed[0]->lines, 2);
	assert_int_equal(w.sealed[0]->log_bytes, 3);
	assert_true(w.sealed[0]->sealed_ns > 0);
	assert_payload(w.sealed[0], "one\n\n");
	batcher__seal(w.b);
	assert_int_equal(w.n, 1);
	add(&w, set, make_line("two"));
	batcher__seal(w.b);
	assert_payload(w.sealed[1], "two\n");
	teardown(&w);
}

static void test_seal_by_size(void **state _unused_)
{
	_label_set_ struct label_set *set = make_set("web", "stdout", NULL);
	struct world w;

	setup_opts(&w, (struct batch_opts){.encoding = BATCH_RAW, .max_bytes = 10});
	add(&w, set, make_line("12345678")); /* 9 bytes */
	assert_int_equal(w.n, 0);
	add(&w, set, make_line(""));
	assert_int_equal(w.n, 1);
	assert_int_equal(w.sealed[0]->raw_bytes, 10);
	add(&w, set, make_line("a line over the size of a batch"));
	assert_int_equal(w.n, 2);
	assert_int_equal(batcher__oldest(w.b), UINT64_MAX);
	teardown(&w);
}

static void test_default_sizes(void **state _unused_)
{
	_label_set_ struct label_set *set = make_set("web", "stdout", NULL);
	struct line line = make_line("");
	static char bytes[1000];
	struct world w;

	memset(bytes, 'x', sizeof(bytes));
	line.bytes = bytes;
	line.len = sizeof(bytes);
	setup(&w, BATCH_RAW);
	while (!w.n)
		add(&w, set, line);
	assert_in_range(w.sealed[0]->raw_bytes, 64 * 1024, 64 * 1024 + 1000);
	teardown(&w);
	setup(&w, BATCH_LOKI);
	while (!w.n)
		add(&w, set, line);
	assert_in_range(w.sealed[0]->raw_bytes, 1024 * 1024 - 1100, 1024 * 1024);
	teardown(&w);
}

static void test_seal_by_age(void **state _unused_)
{
	_label_set_ struct label_set *set = make_set("web", "stdout", NULL);
	struct line line = make_line("x");
	struct world w;

	setup_opts(&w, (struct batch_opts){.encoding = BATCH_LOKI, .max_wait_ns = 500});
	add(&w, set, line);
	line.time_ns += 400;
	add(&w, set, line);
	assert_int_equal(batcher__tick(w.b, TIME_NS), TIME_NS + 500);
	assert_int_equal(batcher__tick(w.b, TIME_NS + 499), TIME_NS + 500);
	assert_int_equal(w.n, 0);
	assert_int_equal(batcher__tick(w.b, TIME_NS + 500), UINT64_MAX);
	assert_int_equal(w.n, 1);
	assert_int_equal(w.sealed[0]->lines, 2);
	add(&w, set, line);
	assert_int_equal(batcher__tick(w.b, TIME_NS + 500), TIME_NS + 900);
	teardown(&w);
}

static void test_default_ages(void **state _unused_)
{
	_label_set_ struct label_set *set = make_set("web", "stdout", NULL);
	struct world w;

	setup(&w, BATCH_LOKI);
	add(&w, set, make_line("x"));
	assert_int_equal(batcher__tick(w.b, TIME_NS), TIME_NS + NS_PER_SEC);
	teardown(&w);
	setup(&w, BATCH_JSON);
	add(&w, set, make_line("x"));
	assert_int_equal(batcher__tick(w.b, UINT64_MAX), UINT64_MAX);
	assert_int_equal(w.n, 0);
	teardown(&w);
}

/* Parked lines and half lines come late with old positions. */
static void test_positions(void **state _unused_)
{
	static const uint64_t positions[] = {500, 400, 900, 450};
	_label_set_ struct label_set *set = make_set("web", "stdout", NULL);
	struct line line = make_line("x");
	struct world w;

	setup(&w, BATCH_LOKI);
	for (size_t i = 0; i < ARRAY_SIZE(positions); i++) {
		line.ring_pos = positions[i];
		add(&w, set, line);
	}
	assert_int_equal(batcher__oldest(w.b), 400);
	batcher__seal(w.b);
	assert_int_equal(batcher__oldest(w.b), UINT64_MAX);
	assert_int_equal(w.sealed[0]->oldest_pos, 400);
	assert_int_equal(w.sealed[0]->end_pos, 901);
	line.ring_pos = 0;
	add(&w, set, line);
	assert_int_equal(batcher__oldest(w.b), 0);
	batcher__seal(w.b);
	assert_int_equal(w.sealed[1]->oldest_pos, 0);
	assert_int_equal(w.sealed[1]->end_pos, 1);
	line.ring_pos = UINT64_MAX; /* needs nothing of the ring */
	add(&w, set, line);
	assert_int_equal(batcher__oldest(w.b), UINT64_MAX);
	batcher__seal(w.b);
	assert_int_equal(w.sealed[2]->oldest_pos, UINT64_MAX);
	assert_int_equal(w.sealed[2]->end_pos, 0);
	teardown(&w);
}

/* The batcher's own references hold what it keeps, and end with it. */
static void test_references(void **state _unused_)
{
	struct label_set *set = make_set("web", "stdout", "0123");
	struct world w;
	unsigned refs;

	setup(&w, BATCH_JSON);
	add(&w, set, make_line("x"));
	refs = set->refs;
	assert_in_range(refs, 2, 3);
	add(&w, set, make_line("y"));
	assert_int_equal(set->refs, refs);
	label_set__unref(set);
	batcher__seal(w.b);
	assert_int_equal(w.n, 1);
	teardown(&w);
}

/* What has no lines any more is let go after some batches. */
static void test_unused_streams_go(void **state _unused_)
{
	_label_set_ struct label_set *gone = make_set("gone", "stdout", "0123");
	_label_set_ struct label_set *here = make_set("here", "stdout", "4567");
	struct world w;

	setup(&w, BATCH_LOKI);
	add(&w, gone, make_line("x"));
	for (int i = 0; i < 200; i++) {
		add(&w, here, make_line("x"));
		batcher__seal(w.b);
	}
	assert_int_equal(gone->refs, 1);
	assert_in_range(here->refs, 2, 3);
	add(&w, gone, make_line("again"));
	assert_in_range(gone->refs, 2, 3);
	teardown(&w);
}

/* Those that stay are found where they were put, however many went from around them. */
static void test_many_unused_streams_go(void **state _unused_)
{
	enum { N = 1000 };
	static struct label_set *sets[N];
	struct world w;
	char name[32];

	setup(&w, BATCH_LOKI);
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "c%d", i / 2);
		sets[i] = make_set(name, "stdout", NULL);
		add(&w, sets[i], make_line("x"));
	}
	for (int round = 0; round < 200; round++) {
		for (int i = 0; i < N; i += 3)
			add(&w, sets[i], make_line("x"));
		batcher__seal(w.b);
	}
	for (int i = 0; i < N; i++) {
		if (i % 3)
			assert_in_range(sets[i]->refs, 1, 2);
		else
			assert_in_range(sets[i]->refs, 2, 3);
	}
	teardown(&w);
	for (int i = 0; i < N; i++) {
		assert_int_equal(sets[i]->refs, 1);
		label_set__unref(sets[i]);
	}
}

/* Those that take the place of others are new ones each time. */
static void test_replaced_streams_go(void **state _unused_)
{
	struct label_set *sets[2400];
	size_t kept = 0;
	struct world w;
	char name[16];

	setup(&w, BATCH_LOKI);
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		snprintf(name, sizeof(name), "c%zu", i);
		sets[i] = make_set("web", "stdout", name);
		add(&w, sets[i], make_line("x"));
		if (i % 40 == 39)
			batcher__seal(w.b);
	}
	assert_int_equal(w.n, 60);
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		kept += sets[i]->refs > 1;
		label_set__unref(sets[i]);
	}
	assert_in_range(kept, 40, 800);
	teardown(&w);
}

static void test_many_streams(void **state _unused_)
{
	enum { N = 1000 };
	static struct label_set *sets[N];
	char name[32], text[64];
	struct world w;
	size_t at = 0;

	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "c%d", i);
		sets[i] = make_set(name, "stdout", NULL);
	}
	setup_opts(&w, (struct batch_opts){.encoding = BATCH_TEXT, .max_bytes = 1 << 20});
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < N; i++)
			add(&w, sets[i], make_line("x"));
	batcher__seal(w.b);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < N; i++) {
			snprintf(text, sizeof(text), "c%d stdout | x\n", i);
			assert_memory_equal(w.sealed[0]->payload.data + at, text, strlen(text));
			at += strlen(text);
		}
	}
	assert_int_equal(at, w.sealed[0]->payload.len);
	teardown(&w);
	for (int i = 0; i < N; i++) {
		assert_int_equal(sets[i]->refs, 1);
		label_set__unref(sets[i]);
	}
}

static void test_free_with_an_open_batch(void **state _unused_)
{
	_label_set_ struct label_set *set = make_set("web", "stdout", NULL);
	struct world w;

	for (int encoding = BATCH_LOKI; encoding <= BATCH_RAW; encoding++) {
		setup(&w, (enum batch_encoding)encoding);
		add(&w, set, make_line("x"));
		teardown(&w);
		assert_int_equal(w.n, 0);
	}
	batcher__free(NULL);
	batch__free(NULL);
}

#define MINUTE_NS (60 * NS_PER_SEC)

/* By what a stage said of it. */
static struct line minutes_ago(const char *text, uint64_t minutes)
{
	struct line line = make_line(text);

	line.real_ns = OFFSET_NS + TIME_NS - minutes * MINUTE_NS;
	return line;
}

/* What is far behind its stream's newest goes alone, one stream in a batch. */
static void test_behind(void **state _unused_)
{
	_label_set_ struct label_set *web = make_set("web", "stdout", NULL);
	_label_set_ struct label_set *again = make_set("web", "stdout", "another");
	_label_set_ struct label_set *db = make_set("db", "stdout", NULL);
	_label_set_ struct label_set *old = make_set("old", "stdout", NULL);
	struct line line = minutes_ago("x", 31);
	struct world w;

	setup(&w, BATCH_LOKI);
	add(&w, web, minutes_ago("x", 0));
	add(&w, web, minutes_ago("x", 29));
	add(&w, old, minutes_ago("x", 40)); /* a stream's first line: alone */
	add(&w, old, minutes_ago("x", 41)); /* not behind that */
	add(&w, db, minutes_ago("x", 0));
	add(&w, db, minutes_ago("x", 31));
	line.ring_pos = 3;
	add(&w, again, line); /* one stream to Loki */
	add(&w, web, minutes_ago("x", 32));
	assert_int_equal(w.n, 0);
	assert_int_equal(batcher__oldest(w.b), 3);
	assert_int_equal(batcher__tick(w.b, TIME_NS), TIME_NS + NS_PER_SEC);
	assert_int_equal(batcher__tick(w.b, TIME_NS + NS_PER_SEC), UINT64_MAX);
	assert_int_equal(w.n, 4);
	/* In each stream's order: the one that began behind, what there was of all, what came
	 * behind that. */
	assert_int_equal(w.sealed[0]->lines, 1);
	assert_int_equal(w.sealed[0]->newest_ns, OFFSET_NS + TIME_NS - 40 * MINUTE_NS);
	assert_int_equal(w.sealed[1]->lines, 4);
	assert_int_equal(w.sealed[1]->n_streams, 3);
	assert_int_equal(w.sealed[1]->newest_ns, OFFSET_NS + TIME_NS);
	assert_int_equal(w.sealed[1]->oldest_ns, OFFSET_NS + TIME_NS - 41 * MINUTE_NS);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(w.sealed[i]->sequence, i);
		assert_int_equal(w.sealed[i]->n_streams, i == 1 ? 3 : 1);
	}
	assert_int_equal(w.sealed[2]->lines + w.sealed[3]->lines, 3);
	teardown(&w);
}

/* However many streams are behind by turns: all is sent, and little is open. */
static void test_many_behind(void **state _unused_)
{
	struct label_set *sets[40];
	struct world w;
	size_t lines = 0;

	setup(&w, BATCH_LOKI);
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		char name[8];

		snprintf(name, sizeof(name), "c%zu", i);
		sets[i] = make_set(name, "stdout", NULL);
		add(&w, sets[i], minutes_ago("x", 0));
		add(&w, sets[i], minutes_ago("x", 35));
	}
	/* With what there was of them before. */
	assert_in_range(w.n, ARRAY_SIZE(sets) - 16 + 1, ARRAY_SIZE(sets) - 16 + 3);
	batcher__seal(w.b);
	assert_int_equal(batcher__open_bytes(w.b), 0);
	for (size_t i = 0; i < w.n; i++)
		lines += w.sealed[i]->lines;
	assert_int_equal(lines, 2 * ARRAY_SIZE(sets));
	teardown(&w);
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
		label_set__unref(sets[i]);
}

/* Never later than asked, and not all at once. */
static void test_jitter(void **state _unused_)
{
	_label_set_ struct label_set *set = make_set("web", "stdout", NULL);
	uint64_t first = 0, other = 0;
	struct world w;

	setup_opts(&w,
		   (struct batch_opts){.encoding = BATCH_LOKI, .max_wait_ns = 1000, .jitter = 42});
	for (size_t i = 0; i < 100; i++) {
		uint64_t due_ns;

		add(&w, set, make_line("x"));
		due_ns = batcher__tick(w.b, TIME_NS) - TIME_NS;
		assert_in_range(due_ns, 900, 1000);
		first = first ? first : due_ns;
		other = due_ns != first ? due_ns : other;
		batcher__seal(w.b);
	}
	assert_int_not_equal(other, 0);
	teardown(&w);
}

static void test_owners(void **state _unused_)
{
	_label_set_ struct label_set *set = make_set("web", "stdout", NULL);
	_Atomic size_t memory = 0;
	struct batch *b;
	struct world w;
	char tenant[] = "shop";

	setup_opts(&w, (struct batch_opts){.encoding = BATCH_LOKI, .tenant = tenant});
	add(&w, set, make_line("x"));
	batcher__seal(w.b);
	tenant[0] = '!';
	b = batch__ref(w.sealed[0]);
	assert_string_equal(b->tenant, "shop");
	batch__account(b, &memory);
	assert_true(memory > b->payload.len);
	teardown(&w);
	assert_true(memory > 0);
	batch__free(b);
	assert_int_equal(memory, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_open),
		cmocka_unit_test(test_seal_when_asked),
		cmocka_unit_test(test_seal_by_size),
		cmocka_unit_test(test_default_sizes),
		cmocka_unit_test(test_seal_by_age),
		cmocka_unit_test(test_default_ages),
		cmocka_unit_test(test_positions),
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_unused_streams_go),
		cmocka_unit_test(test_many_unused_streams_go),
		cmocka_unit_test(test_replaced_streams_go),
		cmocka_unit_test(test_many_streams),
		cmocka_unit_test(test_free_with_an_open_batch),
		cmocka_unit_test(test_behind),
		cmocka_unit_test(test_many_behind),
		cmocka_unit_test(test_jitter),
		cmocka_unit_test(test_owners),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
