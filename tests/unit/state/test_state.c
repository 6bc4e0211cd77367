/* SPDX-License-Identifier: Apache-2.0 */
/* A block of memory that several "processes" have after each other. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "state/state.h"

static char *memory;
static struct state *s;
static enum state_found found;

static void again(void)
{
	state__free(s);
	assert_int_equal(state__new(&s, memory, STATE_BYTES, &found), 0);
}

static int set_up(void **arg)
{
	(void)arg;
	memory = calloc(1, STATE_BYTES);
	s = NULL;
	again();
	return 0;
}

static int tear_down(void **arg)
{
	(void)arg;
	state__free(s);
	free(memory);
	return 0;
}

static struct state_slot *slot(unsigned i)
{
	return (struct state_slot *)(memory + STATE_SLOTS + i * STATE_SLOT_BYTES);
}

static void expect(uint64_t position, const char *text)
{
	struct state_mark m;

	assert_int_equal(state__newest(s, &m), 0);
	assert_int_equal(m.position, position);
	assert_int_equal(m.len, strlen(text));
	assert_memory_equal(m.bytes, text, m.len);
}

static void save(uint64_t position, const char *text)
{
	assert_int_equal(state__save(s, position, text, strlen(text)), 0);
}

static void nothing_at_first(void **arg)
{
	struct state_mark m;

	(void)arg;
	assert_int_equal(found, STATE_EMPTY);
	assert_int_equal(state__newest(s, &m), -ENOENT);
	assert_int_equal(state__was_read(s), 0);
	assert_int_equal(state__new(&(struct state *){NULL}, memory, STATE_BYTES - 1, &found),
			 -EINVAL);
}

static void the_newest_counts(void **arg)
{
	(void)arg;
	for (unsigned i = 1; i < 10; i++) {
		save(i * 100, i % 2 ? "odd" : "");
		expect(i * 100, i % 2 ? "odd" : "");
		again();
		assert_int_equal(found, STATE_KEPT);
		expect(i * 100, i % 2 ? "odd" : "");
	}
}

static void how_far_it_was_read(void **arg)
{
	(void)arg;
	state__own(s, 4711, 99);
	state__read(s, 12345);
	assert_int_equal(state__was_read(s), 0);
	again();
	assert_int_equal(state__was_read(s), 12345);
	/* Who reads it again, and is killed meanwhile, has not made it unread. */
	state__read(s, 100);
	again();
	assert_int_equal(state__was_read(s), 12345);
	state__forget_read(s);
	state__read(s, 100);
	again();
	assert_int_equal(state__was_read(s), 100);
}

static void a_torn_one_costs_itself(void **arg)
{
	(void)arg;
	save(100, "first");
	save(200, "second");
	for (size_t at = 0; at < sizeof(struct state_slot) + 6; at++) {
		if (at >= offsetof(struct state_slot, pad) && at < sizeof(struct state_slot))
			continue;
		((char *)slot(1))[at] ^= 0x10;
		again();
		expect(100, "first");
		assert_int_equal(state__damaged(s), 1);
		((char *)slot(1))[at] ^= 0x10;
	}
	again();
	assert_int_equal(state__damaged(s), 0);
	expect(200, "second");
	slot(0)->len = UINT32_MAX;
	slot(1)->len = STATE_SLOT_BYTES;
	again();
	assert_int_equal(state__damaged(s), 2);
	assert_int_equal(state__newest(s, &(struct state_mark){0}), -ENOENT);
	save(300, "third");
	again();
	expect(300, "third");
}

static void killed_while_it_was_written(void **arg)
{
	(void)arg;
	save(100, "first");
	save(200, "second");
	slot(0)->generation = 0; /* what state__save does before all else */
	memcpy(slot(0) + 1, "thi", 3);
	again();
	expect(200, "second");
	save(300, "third");
	again();
	expect(300, "third");
	assert_int_equal(state__damaged(s), 0);
}

static void not_to_be_believed(void **arg)
{
	struct state_mark m;

	(void)arg;
	save(100, "first");
	save(200, "second");
	state__newest(s, &m);
	state__discard(s, &m);
	expect(100, "first");
	state__newest(s, &m);
	state__discard(s, &m);
	assert_int_equal(state__newest(s, &m), -ENOENT);
}

static void foreign(void **arg)
{
	struct state_header *h = (struct state_header *)memory;

	(void)arg;
	save(100, "first");
	memset(state__journal(s, 1), 7, STATE_JOURNAL_BYTES);
	h->version++;
	again();
	assert_int_equal(found, STATE_FOREIGN);
	assert_int_equal(state__newest(s, &(struct state_mark){0}), -ENOENT);
	assert_int_equal(((char *)state__journal(s, 1))[STATE_JOURNAL_BYTES - 1], 0);
	again();
	assert_int_equal(found, STATE_KEPT);
	h->magic = 1;
	again();
	assert_int_equal(found, STATE_FOREIGN);
	save(100, "first");
	slot(0)->version++; /* written by a later version that keeps the header */
	again();
	assert_int_equal(state__newest(s, &(struct state_mark){0}), -ENOENT);
}

static void too_long(void **arg)
{
	char *bytes = calloc(1, STATE_MARK_MAX + 1);

	(void)arg;
	save(100, "first");
	assert_int_equal(state__save(s, 200, bytes, STATE_MARK_MAX + 1), -ENOSPC);
	expect(100, "first");
	assert_int_equal(state__save(s, 200, bytes, STATE_MARK_MAX), 0);
	save(300, "third");
	again();
	expect(300, "third");
	free(bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_at_first),
		TEST(the_newest_counts),
		TEST(how_far_it_was_read),
		TEST(a_torn_one_costs_itself),
		TEST(killed_while_it_was_written),
		TEST(not_to_be_believed),
		TEST(foreign),
		TEST(too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
