/* SPDX-License-Identifier: Apache-2.0 */
/* Records in memory that outlives who wrote them: wherever the writer died, whatever lies there. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/util.h"
#include "state/journal.h"

#define HALF 1024u

struct world {
	unsigned char *memory; /* both halves */
	struct journal *journal;
	struct buf text; /* `type:bytes|` of each record */
};

static void open_journal(struct world *w, unsigned char *memory)
{
	void *halves[2] = {memory, memory + HALF};

	journal__free(w->journal);
	w->journal = NULL;
	assert_int_equal(journal__new(&w->journal, halves, HALF), 0);
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->memory = calloc(2, HALF);
	open_journal(w, w->memory);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	journal__free(w->journal);
	buf__free(&w->text);
	free(w->memory);
	free(w);
	return 0;
}

static void tell(void *ctx, const struct journal_record *r)
{
	struct world *w = ctx;

	assert_int_equal((uintptr_t)r->bytes % 8, 0);
	buf__printf(&w->text, "%u:%.*s|", r->type, (int)r->len, (const char *)r->bytes);
}

static const char *records(struct world *w)
{
	w->text.len = 0;
	journal__each(w->journal, tell, w);
	buf__append(&w->text, "", 1);
	return w->text.data;
}

static int append(struct world *w, uint16_t type, const char *text)
{
	return journal__append(w->journal, type, text, strlen(text), NULL);
}

static struct journal_stats stats(const struct world *w)
{
	struct journal_stats s;

	journal__stats(w->journal, &s);
	return s;
}

static void what_was_written_is_read(void **state)
{
	struct world *w = *state;
	const void *bytes;

	assert_string_equal(records(w), "");
	append(w, 1, "one");
	append(w, 2, "");
	assert_int_equal(journal__append(w->journal, 3, "three", 5, &bytes), 0);
	assert_memory_equal(bytes, "three", 5);
	assert_string_equal(records(w), "1:one|2:|3:three|");
	open_journal(w, w->memory);
	assert_string_equal(records(w), "1:one|2:|3:three|");
	append(w, 4, "four");
	open_journal(w, w->memory);
	assert_string_equal(records(w), "1:one|2:|3:three|4:four|");
	assert_int_equal(stats(w).damaged + stats(w).abandoned, 0);
}

static void a_full_half_says_so(void **state)
{
	struct world *w = *state;
	size_t n = 0;

	while (append(w, 1, "something of forty bytes, more or less...") == 0)
		n++;
	assert_int_equal(n, journal__room(w->journal) / journal__cost(41));
	assert_int_equal(append(w, 1, "something of forty bytes, more or less..."), -ENOSPC);
	open_journal(w, w->memory);
	assert_true(stats(w).used + journal__cost(41) > HALF);
}

static void the_other_half_takes_over(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 5; i++) {
		append(w, 1, "old");
		journal__begin(w->journal);
		append(w, 2, "kept");
		journal__end(w->journal);
		append(w, 3, "new");
		open_journal(w, w->memory);
		assert_string_equal(records(w), "2:kept|3:new|");
	}
}

/* `after` up to `cut`, `before` from there on, or the other way round. */
static void expect_one_of(struct world *w, const unsigned char *before, const unsigned char *after,
			  const char *text_before, const char *text_after)
{
	_free_ unsigned char *torn = malloc(2 * HALF);
	bool seen_before = false, seen_after = false;

	for (size_t i = 0; i < 4 * HALF; i++) {
		size_t cut = i / 2;

		memcpy(torn, i % 2 ? before : after, cut);
		memcpy(torn + cut, (i % 2 ? after : before) + cut, 2 * HALF - cut);
		open_journal(w, torn);
		records(w);
		if (strcmp(w->text.data, text_before) && strcmp(w->text.data, text_after))
			fail_msg("cut at %zu: %s", cut, w->text.data);
		seen_before |= !strcmp(w->text.data, text_before);
		seen_after |= !strcmp(w->text.data, text_after);
		/* What follows is behind it, not in it. */
		assert_int_equal(append(w, 9, "next"), 0);
		open_journal(w, torn);
		records(w);
		assert_non_null(strstr(w->text.data, "9:next|"));
	}
	assert_true(seen_before && seen_after);
	journal__free(TAKE_PTR(w->journal));
}

static void a_torn_record_is_none(void **state)
{
	struct world *w = *state;
	_free_ unsigned char *before = malloc(2 * HALF);

	append(w, 1, "a first one");
	memcpy(before, w->memory, 2 * HALF);
	append(w, 2, "a second one, of many bytes");
	expect_one_of(w, before, w->memory, "1:a first one|",
		      "1:a first one|2:a second one, of many bytes|");
}

/* Over what an earlier use of the half left there: valid records, of another generation. */
static void a_torn_half_is_none(void **state)
{
	struct world *w = *state;
	_free_ unsigned char *before = malloc(2 * HALF), *begun = malloc(2 * HALF);

	append(w, 1, "before the first");
	append(w, 1, "before the first, too");
	append(w, 1, "before the first, three");
	journal__begin(w->journal);
	append(w, 2, "a");
	append(w, 2, "b");
	journal__end(w->journal);
	memcpy(before, w->memory, 2 * HALF);
	journal__begin(w->journal);
	append(w, 3, "c");
	append(w, 3, "d, which is longer");
	memcpy(begun, w->memory, 2 * HALF);
	/* Without its header it is not there, nor is it when the half has a header again. */
	open_journal(w, begun);
	assert_string_equal(records(w), "2:a|2:b|");
	journal__begin(w->journal);
	append(w, 3, "e");
	journal__end(w->journal);
	open_journal(w, begun);
	assert_string_equal(records(w), "3:e|");
	open_journal(w, w->memory);
	journal__begin(w->journal);
	append(w, 3, "c");
	append(w, 3, "d, which is longer");
	memcpy(begun, w->memory, 2 * HALF);
	journal__end(w->journal);
	expect_one_of(w, begun, w->memory, "2:a|2:b|", "3:c|3:d, which is longer|");
}

static void damage_costs_itself_only(void **state)
{
	struct world *w = *state;
	_free_ unsigned char *damaged = malloc(2 * HALF);
	size_t begin = stats(w).used, end;

	append(w, 1, "first");
	append(w, 2, "second, and longer");
	end = stats(w).used;
	append(w, 3, "third");
	for (size_t i = begin + journal__cost(5); i < end; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			memcpy(damaged, w->memory, 2 * HALF);
			damaged[HALF * (w->memory[0] == 0) + i] ^= (unsigned char)(1u << bit);
			open_journal(w, damaged);
			records(w);
			if (!strcmp(w->text.data, "1:first|3:third|"))
				assert_int_equal(stats(w).damaged, 1);
			else /* the padding belongs to nobody */
				assert_string_equal(w->text.data,
						    "1:first|2:second, and longer|3:third|");
		}
	}
	journal__free(TAKE_PTR(w->journal));
}

static void another_versions_half_is_none(void **state)
{
	struct world *w = *state;
	unsigned char *half;

	append(w, 1, "x");
	half = w->memory + (w->memory[0] ? 0 : HALF);
	half[24]++; /* version */
	open_journal(w, w->memory);
	assert_string_equal(records(w), "");
	assert_int_equal(stats(w).abandoned, 1);
	assert_int_equal(journal__room(w->journal), HALF - 32);
	append(w, 1, "y");
	open_journal(w, w->memory);
	assert_string_equal(records(w), "1:y|");
	assert_int_equal(stats(w).abandoned, 0);
}

static void anything_may_lie_there(void **state)
{
	struct world *w = *state;
	_free_ unsigned char *memory = malloc(2 * HALF);

	srand(1);
	for (int i = 0; i < 2000; i++) {
		for (size_t at = 0; at < 2 * HALF; at++)
			memory[at] = (unsigned char)rand();
		open_journal(w, memory);
		assert_string_equal(records(w), "");
		assert_int_equal(append(w, 1, "x"), 0);
		open_journal(w, memory);
		assert_string_equal(records(w), "1:x|");
	}
	journal__free(TAKE_PTR(w->journal));
}

static void too_small_is_said(void **state)
{
	struct world *w = *state;
	void *halves[2] = {w->memory, w->memory + HALF};
	struct journal *j;

	assert_int_equal(journal__new(&j, halves, JOURNAL_HALF_MIN - 1), -EINVAL);
	journal__free(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(what_was_written_is_read),
		TEST(a_full_half_says_so),
		TEST(the_other_half_takes_over),
		TEST(a_torn_record_is_none),
		TEST(a_torn_half_is_none),
		TEST(damage_costs_itself_only),
		TEST(another_versions_half_is_none),
		TEST(anything_may_lie_there),
		TEST(too_small_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
