/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random windows small enough to try every order of the notes: who may have written a byte is then
 * known for certain. A name that is given must be the only one possible.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "assemble/match.h"
#include "base/util.h"

#define WINDOWS 20000
#define MAX_NOTES 6
#define MAX_LEN 4

struct window {
	struct match_note notes[MAX_NOTES];
	char text[MAX_NOTES][MAX_LEN];
	size_t n;
	char bytes[MAX_NOTES * MAX_LEN];
	size_t len;
	uint32_t possible[MAX_NOTES * MAX_LEN]; /* bits: pids */
	size_t told;
	size_t named;
};

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 16;
}

static void make_window(struct window *w, uint32_t *seed)
{
	uint32_t order[MAX_NOTES], pids = 1 + next_random(seed) % 3;

	memset(w, 0, sizeof(*w));
	w->n = 1 + next_random(seed) % MAX_NOTES;
	for (uint32_t i = 0; i < w->n; i++) {
		struct match_note *n = &w->notes[i];
		size_t len = 1 + next_random(seed) % MAX_LEN;

		for (size_t c = 0; c < len; c++)
			w->text[i][c] = (char)('a' + next_random(seed) % 2);
		n->at = i ? w->notes[i - 1].at + w->notes[i - 1].count : 100;
		n->count = len;
		n->hash = match__hash(w->text[i], len);
		n->hashed = true;
		n->writer.pid = 1 + next_random(seed) % pids;
		n->writer.tid = 10 * (i + 1); /* threads of their own: no order is known */
		order[i] = i;
	}
	for (size_t i = 0; i < w->n; i++) {
		size_t k = i + next_random(seed) % (w->n - i);
		uint32_t taken = order[k];

		order[k] = order[i];
		memcpy(w->bytes + w->len, w->text[taken], w->notes[taken].count);
		w->len += w->notes[taken].count;
	}
}

/* All rows of the notes not in `used` that give the bytes from `at` on. */
static bool possible(struct window *w, uint32_t used, size_t at)
{
	bool any = at == w->len;

	for (uint32_t i = 0; i < w->n; i++) {
		size_t count = w->notes[i].count;

		if (used & 1u << i || at + count > w->len ||
		    memcmp(w->bytes + at, w->text[i], count) ||
		    !possible(w, used | 1u << i, at + count))
			continue;
		any = true;
		for (size_t c = at; c < at + count; c++)
			w->possible[c] |= 1u << w->notes[i].writer.pid;
	}
	return any;
}

static void on_range(void *ctx, size_t end, const struct match_writer *writer)
{
	struct window *w = ctx;

	assert_in_range(end, w->told + 1, w->len);
	for (; w->told < end; w->told++) {
		if (!writer->pid) {
			assert_int_equal(writer->tid, 0);
			continue;
		}
		assert_int_equal(w->possible[w->told], 1u << writer->pid);
		w->named++;
	}
}

static void names_are_certain(void **state)
{
	size_t named = 0, nameable = 0;
	struct window w;
	uint32_t seed = 1;

	(void)state;
	for (int i = 0; i < WINDOWS; i++) {
		make_window(&w, &seed);
		assert_true(possible(&w, 0, 0));
		match__ranges(w.bytes, w.len, w.notes, w.n, on_range, &w);
		assert_int_equal(w.told, w.len);
		named += w.named;
		for (size_t c = 0; c < w.len; c++)
			nameable += (w.possible[c] & (w.possible[c] - 1)) == 0;
	}
	print_message("%zu of %zu bytes that could have a name have it\n", named, nameable);
	assert_true(named > nameable / 2);
}

/* What would take too long is left alone. */
static void effort_is_bounded(void **state)
{
	static struct match_note notes[4096];
	static char bytes[4096 * 4097 / 2];
	struct window w = {0};
	size_t len = 0;

	(void)state;
	for (size_t i = 0; i < 700; i++) {
		notes[i] =
			(struct match_note){.at = len, .count = i + 1, .hash = i, .hashed = true};
		notes[i].writer.pid = 1 + i % 2;
		notes[i].writer.tid = 1 + i % 2;
		len += i + 1;
	}
	w.len = len;
	match__ranges(bytes, len, notes, 700, on_range, &w);
	assert_int_equal(w.told, len);
	for (size_t i = 0; i < 700; i++)
		notes[i].hash = match__hash(bytes, i + 1);
	w.told = 0;
	match__ranges(bytes, len, notes, 700, on_range, &w);
	assert_int_equal(w.told, len);
	assert_int_equal(w.named, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_certain),
		cmocka_unit_test(effort_is_bounded),
	};

	return cmocka_run_group_tests_name("match", tests, NULL, NULL);
}
