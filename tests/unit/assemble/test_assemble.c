/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "assemble/assemble.h"
#include "base/util.h"

/* Lets an allocation fail: over a mebibyte there is no memory. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1:max_allocation_size_mb=1";
}

#define CGROUP 4711
#define MAX_SEEN 512

struct seen {
	struct line line; /* bytes: a copy */
	const char *borrowed;
};

struct world {
	struct assembler *a;
	struct seen seen[MAX_SEEN];
	size_t n;
};

static void on_line(void *ctx, const struct line *line)
{
	struct world *w = ctx;
	struct seen *s = &w->seen[w->n++];
	char *copy;

	assert_true(w->n <= MAX_SEEN);
	assert_int_equal(line->cgroup_id, CGROUP);
	assert_int_equal(line->stream, LINE_STDERR);
	copy = malloc(line->len + 1);
	assert_non_null(copy);
	memcpy(copy, line->bytes, line->len);
	copy[line->len] = '\0';
	s->line = *line;
	s->borrowed = line->bytes;
	s->line.bytes = copy;
	if (w->n > 1)
		assert_true(line->time_ns > s[-1].line.time_ns);
}

static void setup(struct world *w, size_t max_line_size)
{
	struct assemble_opts opts = {.max_line_size = max_line_size};

	memset(w, 0, sizeof(*w));
	assert_int_equal(assembler__new(&w->a, &opts, CGROUP, LINE_STDERR, on_line, w), 0);
}

static void teardown(struct world *w)
{
	assembler__free(w->a);
	for (size_t i = 0; i < w->n; i++)
		free((char *)w->seen[i].line.bytes);
}

static void feed_at(struct world *w, const char *bytes, size_t len, uint64_t time_ns, uint64_t pos)
{
	/* Of its own size, so that ASAN sees a read beyond it. */
	char *copy = malloc(len ? len : 1);
	struct chunk chunk = {copy, len, time_ns, pos, 71, "nginx", 0, NULL, 0};

	memcpy(copy, bytes, len);
	assert_int_equal(assembler__feed(w->a, &chunk), 0);
	free(copy);
}

static void feed(struct world *w, const char *text, uint64_t time_ns)
{
	feed_at(w, text, strlen(text), time_ns, time_ns);
}

static void assert_line(const struct world *w, size_t i, const char *text)
{
	assert_true(i < w->n);
	assert_int_equal(w->seen[i].line.len, strlen(text));
	assert_string_equal(w->seen[i].line.bytes, text);
}

static void test_lines_of_one_chunk(void **state _unused_)
{
	struct world w;

	setup(&w, 0);
	feed(&w, "one\ntwo\nthree\n", 1000);
	assert_int_equal(w.n, 3);
	assert_line(&w, 0, "one");
	assert_line(&w, 1, "two");
	assert_line(&w, 2, "three");
	assert_int_equal(w.seen[0].line.pid, 71);
	assert_string_equal(w.seen[0].line.comm, "nginx");
	assert_false(w.seen[0].line.truncated);
	assert_null(w.seen[0].line.gap);
	assert_int_equal(assembler__stats(w.a)->lines, 3);
	assert_int_equal(assembler__stats(w.a)->bytes, 11);
	teardown(&w);
}

static void test_empty_lines(void **state _unused_)
{
	struct world w;

	setup(&w, 0);
	feed(&w, "\n\n\r\n", 1000);
	feed(&w, "", 2000);
	feed(&w, "\n", 3000);
	assert_int_equal(w.n, 4);
	assert_line(&w, 0, "");
	assert_line(&w, 1, "");
	assert_line(&w, 2, "\r");
	assert_line(&w, 3, "");
	teardown(&w);
}

static void test_any_bytes(void **state _unused_)
{
	static const char bytes[] = "a\0b\xff\xfe\x80\33[1mx\r\n";
	struct world w;

	setup(&w, 0);
	feed_at(&w, bytes, sizeof(bytes) - 1, 1, 1);
	assert_int_equal(w.n, 1);
	assert_int_equal(w.seen[0].line.len, sizeof(bytes) - 2);
	assert_memory_equal(w.seen[0].line.bytes, bytes, sizeof(bytes) - 2);
	teardown(&w);
}

static void test_whole_lines_are_borrowed(void **state _unused_)
{
	static const char bytes[] = "whole\nhalf";
	struct chunk chunk = {bytes, sizeof(bytes) - 1, 1000, 1, 0, NULL, 0, NULL, 0};
	struct world w;

	setup(&w, 0);
	assert_int_equal(assembler__feed(w.a, &chunk), 0);
	assembler__flush(w.a, 0);
	assert_int_equal(w.n, 2);
	assert_ptr_equal(w.seen[0].borrowed, bytes);
	assert_ptr_not_equal(w.seen[1].borrowed, bytes + 6);
	assert_string_equal(w.seen[0].line.comm, "");
	teardown(&w);
}

static void test_half_line_over_chunks(void **state _unused_)
{
	struct world w;

	setup(&w, 0);
	feed_at(&w, "x\nab", 4, 1000, 500);
	assert_int_equal(assembler__oldest(w.a), 500);
	feed_at(&w, "cd", 2, 2000, 600);
	assert_int_equal(assembler__oldest(w.a), 500);
	feed_at(&w, "e\nf", 3, 3000, 700);
	assert_int_equal(w.n, 2);
	assert_line(&w, 1, "abcde");
	assert_int_equal(w.seen[0].line.ring_pos, 500);
	assert_int_equal(w.seen[1].line.ring_pos, 500);
	assert_int_equal(assembler__oldest(w.a), 700);
	feed_at(&w, "\n", 1, 4000, 800);
	assert_line(&w, 2, "f");
	assert_int_equal(w.seen[2].line.ring_pos, 700);
	assert_int_equal(assembler__oldest(w.a), UINT64_MAX);
	feed_at(&w, "g\n", 2, 5000, 900);
	assert_int_equal(w.seen[3].line.ring_pos, 900);
	teardown(&w);
}

static void assert_writer(const struct line *line, uint32_t pid, const char *comm, uint32_t tid,
			  const char *trace_id)
{
	assert_int_equal(line->pid, pid);
	assert_string_equal(line->comm, comm);
	assert_int_equal(line->tid, tid);
	assert_string_equal((const char *)line->trace.trace_id, trace_id);
}

static void test_writer_is_that_of_all_bytes(void **state _unused_)
{
	const struct line_trace trace = {.trace_id = "t", .span_id = "s"};
	const struct chunk chunks[] = {
		{"a", 1, 10, 1, 1, "first", 0, NULL, 0},
		{"b\nc", 3, 20, 2, 2, "second", 20, &trace, 0},
		{"d\ne", 3, 30, 3, 2, "second", 20, &trace, 0},
		{"f\ng", 3, 40, 4, 2, "second", 21, NULL, 0},
		{"h\ni", 3, 50, 5, 2, "renamed", 21, NULL, 0},
		{"", 0, 55, 5, 2, "renamed", 21, NULL, 0},
		{"j", 1, 60, 6, 0, "", 0, NULL, 0},
	};
	struct world w;

	setup(&w, 0);
	for (size_t i = 0; i < ARRAY_SIZE(chunks); i++)
		assert_int_equal(assembler__feed(w.a, &chunks[i]), 0);
	assembler__flush(w.a, 0);
	assert_int_equal(w.n, 5);
	assert_writer(&w.seen[0].line, 0, "", 0, "");
	assert_writer(&w.seen[1].line, 2, "second", 20, "t");
	assert_writer(&w.seen[2].line, 2, "second", 0, "");
	assert_writer(&w.seen[3].line, 0, "", 0, "");
	assert_writer(&w.seen[4].line, 0, "", 0, "");
	teardown(&w);
}

static void test_times_are_offsets_of_ends(void **state _unused_)
{
	struct world w;

	setup(&w, 0);
	feed(&w, "ab\n\ncd", 1000);
	feed(&w, "e\n", 2000);
	feed(&w, "end", 3000);
	assembler__flush(w.a, 0);
	assert_int_equal(w.n, 4);
	assert_int_equal(w.seen[0].line.time_ns, 1002);
	assert_int_equal(w.seen[1].line.time_ns, 1003);
	assert_int_equal(w.seen[2].line.time_ns, 2001);
	assert_int_equal(w.seen[3].line.time_ns, 3002);
	teardown(&w);
}

/* Chunks that touch: the next begins in the nanosecond after the last byte. */
static void test_times_increase_over_touching_chunks(void **state _unused_)
{
	struct world w;

	setup(&w, 4);
	feed(&w, "\n\nab\n", 1000);
	feed(&w, "\n\n", 1005);
	feed(&w, "abcdefgh\n", 1007);
	feed(&w, "\nab", 1016);
	assembler__flush(w.a, 0);
	feed(&w, "\n", 1019);
	assert_int_equal(w.n, 9); /* on_line compared the times */
	teardown(&w);
}

/* What a replay from any record on makes is what was made before. */
static void test_times_are_pure(void **state _unused_)
{
	static const char *const chunks[] = {"a\nb\n", "\nccc", "d\n\n", "e\n"};
	struct world all, tail;

	setup(&all, 0);
	setup(&tail, 0);
	for (size_t i = 0; i < ARRAY_SIZE(chunks); i++)
		feed(&all, chunks[i], 1000 + i * 100);
	for (size_t i = 1; i < ARRAY_SIZE(chunks); i++)
		feed(&tail, chunks[i], 1000 + i * 100);
	assert_int_equal(all.n, tail.n + 2);
	for (size_t i = 0; i < tail.n; i++) {
		assert_int_equal(tail.seen[i].line.time_ns, all.seen[i + 2].line.time_ns);
		assert_string_equal(tail.seen[i].line.bytes, all.seen[i + 2].line.bytes);
	}
	teardown(&all);
	teardown(&tail);
}

static void test_exactly_max_size(void **state _unused_)
{
	struct world w;

	setup(&w, 4);
	feed(&w, "abcd\n", 1000);
	feed(&w, "ab", 2000);
	feed(&w, "cd", 3000);
	feed(&w, "\n", 4000);
	feed(&w, "efgh", 5000);
	assembler__flush(w.a, 0);
	assert_int_equal(w.n, 3);
	for (size_t i = 0; i < w.n; i++) {
		assert_int_equal(w.seen[i].line.len, 4);
		assert_false(w.seen[i].line.truncated);
	}
	assert_int_equal(assembler__stats(w.a)->truncated, 0);
	teardown(&w);
}

static void test_over_max_size(void **state _unused_)
{
	struct world w;

	setup(&w, 4);
	feed(&w, "abcdefg\nnext\n", 1000);
	assert_int_equal(w.n, 2);
	assert_line(&w, 0, "abcd");
	assert_true(w.seen[0].line.truncated);
	assert_int_equal(w.seen[0].line.time_ns, 1004);
	assert_line(&w, 1, "next");
	assert_false(w.seen[1].line.truncated);
	assert_int_equal(assembler__stats(w.a)->truncated, 1);
	assert_int_equal(assembler__stats(w.a)->truncated_bytes, 3);
	assert_int_equal(assembler__stats(w.a)->lines, 2);
	assert_int_equal(assembler__stats(w.a)->bytes, 8);
	teardown(&w);
}

static void test_over_max_size_across_chunks(void **state _unused_)
{
	struct world w;

	setup(&w, 4);
	feed_at(&w, "ab", 2, 1000, 10);
	feed_at(&w, "cdef", 4, 2000, 20);
	assert_int_equal(w.n, 1); /* before its newline, which may never come */
	assert_line(&w, 0, "abcd");
	assert_true(w.seen[0].line.truncated);
	assert_int_equal(w.seen[0].line.ring_pos, 10);
	assert_int_equal(assembler__oldest(w.a), UINT64_MAX);
	feed_at(&w, "ghi", 3, 3000, 30);
	feed_at(&w, "\nj\n", 3, 4000, 40);
	assert_int_equal(w.n, 2);
	assert_line(&w, 1, "j");
	assert_false(w.seen[1].line.truncated);
	assert_int_equal(assembler__stats(w.a)->truncated, 1);
	assert_int_equal(assembler__stats(w.a)->truncated_bytes, 5);
	teardown(&w);
}

/* The first byte too many is the first of its chunk. */
static void test_over_max_size_at_a_border(void **state _unused_)
{
	struct world w;

	setup(&w, 4);
	feed(&w, "abcd", 1000);
	assert_int_equal(w.n, 0);
	feed(&w, "e", 2000);
	assert_int_equal(w.n, 1);
	assert_line(&w, 0, "abcd");
	assert_true(w.seen[0].line.truncated);
	feed(&w, "\nab", 3000);
	assembler__flush(w.a, 0);
	assert_int_equal(w.n, 2);
	assert_line(&w, 1, "ab");
	assert_false(w.seen[1].line.truncated);
	teardown(&w);
}

static void test_default_max_size(void **state _unused_)
{
	static char bytes[ASSEMBLE_MAX_LINE_SIZE + 2];
	struct world w;

	memset(bytes, 'x', sizeof(bytes));
	bytes[ASSEMBLE_MAX_LINE_SIZE] = '\n';
	setup(&w, 0);
	feed_at(&w, bytes, ASSEMBLE_MAX_LINE_SIZE + 1, 1, 1);
	assert_int_equal(w.seen[0].line.len, ASSEMBLE_MAX_LINE_SIZE);
	assert_false(w.seen[0].line.truncated);
	bytes[ASSEMBLE_MAX_LINE_SIZE] = 'x';
	bytes[ASSEMBLE_MAX_LINE_SIZE + 1] = '\n';
	feed_at(&w, bytes, sizeof(bytes), 10000000, 1);
	assert_int_equal(w.seen[1].line.len, ASSEMBLE_MAX_LINE_SIZE);
	assert_true(w.seen[1].line.truncated);
	teardown(&w);
}

static void test_long_line_in_many_chunks(void **state _unused_)
{
	char piece[1000];
	struct world w;

	setup(&w, 0);
	for (int i = 0; i < 200; i++) {
		memset(piece, 'a' + i % 26, sizeof(piece));
		feed_at(&w, piece, sizeof(piece), (uint64_t)(i + 1) * 10000, (uint64_t)i + 1);
	}
	feed(&w, "\n", 300 * 10000);
	assert_int_equal(w.n, 1);
	assert_int_equal(w.seen[0].line.len, 200 * sizeof(piece));
	assert_int_equal(w.seen[0].line.ring_pos, 1);
	for (size_t i = 0; i < w.seen[0].line.len; i++)
		assert_int_equal(w.seen[0].line.bytes[i], 'a' + i / sizeof(piece) % 26);
	teardown(&w);
}

static void test_gap(void **state _unused_)
{
	struct world w;

	setup(&w, 0);
	feed(&w, "a\n", 1000);
	assembler__gap(w.a, 4096, 3, "ring_full", 2000, 77);
	feed(&w, "b\n", 2000);
	assert_int_equal(w.n, 3);
	assert_line(&w, 1, "notail: 4096 bytes in 3 writes lost here: ring full");
	assert_string_equal(w.seen[1].line.gap, "ring_full");
	assert_int_equal(w.seen[1].line.time_ns, 2000);
	assert_int_equal(w.seen[1].line.ring_pos, 77);
	assert_int_equal(w.seen[1].line.pid, 0);
	assert_line(&w, 2, "b");
	assert_null(w.seen[2].line.gap);
	assert_int_equal(assembler__stats(w.a)->gaps, 1);
	assert_int_equal(assembler__stats(w.a)->gap_bytes, 4096);
	assert_int_equal(assembler__stats(w.a)->lines, 2);
	teardown(&w);
}

static void test_gap_within_a_half_line(void **state _unused_)
{
	struct world w;

	setup(&w, 0);
	feed_at(&w, "ha", 2, 1000, 10);
	feed_at(&w, "lf", 2, 2000, 20);
	assembler__gap(w.a, 1, 1, "unreadable", 3000, 30);
	assert_int_equal(assembler__oldest(w.a), UINT64_MAX);
	feed_at(&w, "rest\n", 5, 3000, 30);
	assert_int_equal(w.n, 3);
	assert_line(&w, 0, "half");
	assert_int_equal(w.seen[0].line.time_ns, 2001);
	assert_int_equal(w.seen[0].line.ring_pos, 10);
	assert_int_equal(w.seen[0].line.pid, 71);
	assert_string_equal(w.seen[1].line.gap, "unreadable");
	assert_line(&w, 2, "rest");
	assert_int_equal(w.seen[2].line.ring_pos, 30);
	teardown(&w);
}

/* The cut line's newline may be among what is lost: what follows is shown. */
static void test_gap_within_a_cut_line(void **state _unused_)
{
	struct world w;

	setup(&w, 2);
	feed(&w, "abcd", 1000);
	assembler__gap(w.a, 9, 1, "too_long", 2000, 2);
	feed(&w, "e\n", 2000);
	assert_int_equal(w.n, 3);
	assert_line(&w, 0, "ab");
	assert_line(&w, 1, "notail: 9 bytes in 1 writes lost here: too long");
	assert_line(&w, 2, "e");
	teardown(&w);
}

/* Gap and line of one record, in the same nanosecond. */
static void test_gap_before_an_empty_line(void **state _unused_)
{
	struct world w;

	setup(&w, 0);
	assembler__gap(w.a, 9, 1, "ring_full", 2000, 2);
	feed(&w, "\nx\n", 2000);
	assert_int_equal(w.n, 3);
	assert_int_equal(w.seen[0].line.time_ns, 2000);
	assert_int_equal(w.seen[1].line.time_ns, 2001);
	assert_int_equal(w.seen[2].line.time_ns, 2002);
	teardown(&w);
}

static void test_gap_without_calls(void **state _unused_)
{
	struct world w;

	setup(&w, 0);
	assembler__gap(w.a, 12, 0, "missing", 1, UINT64_MAX);
	assert_line(&w, 0, "notail: 12 bytes lost here: missing");
	assert_int_equal(w.seen[0].line.ring_pos, UINT64_MAX);
	teardown(&w);
}

static void test_gap_with_a_long_reason(void **state _unused_)
{
	static const char reason[] =
		"a_reason_that_is_much_longer_than_any_reason_that_there_is_today_"
		"a_reason_that_is_much_longer_than_any_reason_that_there_is_today_"
		"a_reason_that_is_much_longer_than_any_reason_that_there_is_today_";
	struct world w;

	setup(&w, 0);
	assembler__gap(w.a, UINT64_MAX, UINT64_MAX, reason, 1, 1);
	assert_int_equal(w.n, 1);
	assert_null(strchr(w.seen[0].line.bytes, '_'));
	assert_string_equal(w.seen[0].line.gap, reason);
	teardown(&w);
}

static void test_flush(void **state _unused_)
{
	struct world w;

	setup(&w, 0);
	assembler__flush(w.a, 0);
	assert_int_equal(w.n, 0);
	feed(&w, "a\nhalf", 1000);
	assembler__flush(w.a, 0);
	assembler__flush(w.a, 0);
	assert_int_equal(w.n, 2);
	assert_line(&w, 1, "half");
	assert_false(w.seen[0].line.unterminated);
	assert_true(w.seen[1].line.unterminated);
	assert_int_equal(assembler__oldest(w.a), UINT64_MAX);
	feed(&w, "b\n", 2000);
	assert_line(&w, 2, "b");
	assert_false(w.seen[2].line.unterminated);
	teardown(&w);
}

static void test_long_comm_is_cut(void **state _unused_)
{
	struct chunk chunk = {
		.bytes = "a\n", .len = 2, .pid = 1, .comm = "a name of more than sixteen bytes"};
	struct world w;

	setup(&w, 0);
	assert_int_equal(assembler__feed(w.a, &chunk), 0);
	assert_string_equal(w.seen[0].line.comm, "a name of more ");
	teardown(&w);
}

/* A half line that there is no memory for comes out in pieces, and nothing of it is lost. */
static void test_no_memory(void **state _unused_)
{
	static char bytes[700000];
	struct chunk chunk = {bytes, sizeof(bytes), 1000000, 10, 0, NULL, 0, NULL, 0};
	void *probe = malloc(2 << 20);
	struct world w;

	free(probe);
	if (probe) {
		print_message("SKIP no_memory: only with AddressSanitizer an allocation can be "
			      "refused\n");
		skip();
	}
	memset(bytes, 'x', sizeof(bytes));
	setup(&w, 8 << 20);
	assert_int_equal(assembler__feed(w.a, &chunk), 0);
	chunk.time_ns *= 2;
	chunk.ring_pos = 20;
	assert_int_equal(assembler__feed(w.a, &chunk), -ENOMEM);
	assert_int_equal(w.n, 2);
	assert_int_equal(assembler__oldest(w.a), UINT64_MAX);
	chunk.time_ns *= 2;
	chunk.ring_pos = 30;
	assert_int_equal(assembler__feed(w.a, &chunk), 0);
	bytes[sizeof(bytes) - 1] = '\n';
	chunk.time_ns *= 2;
	chunk.ring_pos = 40;
	assert_int_equal(assembler__feed(w.a, &chunk), -ENOMEM);
	assert_int_equal(w.n, 4);
	for (size_t i = 0; i < w.n; i++) {
		assert_int_equal(w.seen[i].line.ring_pos, 10 * (i + 1));
		assert_int_equal(w.seen[i].line.len, sizeof(bytes) - (i == 3));
	}
	teardown(&w);
}

static void test_free_null(void **state _unused_)
{
	assembler__free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_of_one_chunk),
		cmocka_unit_test(test_empty_lines),
		cmocka_unit_test(test_any_bytes),
		cmocka_unit_test(test_whole_lines_are_borrowed),
		cmocka_unit_test(test_half_line_over_chunks),
		cmocka_unit_test(test_writer_is_that_of_all_bytes),
		cmocka_unit_test(test_times_are_offsets_of_ends),
		cmocka_unit_test(test_times_increase_over_touching_chunks),
		cmocka_unit_test(test_times_are_pure),
		cmocka_unit_test(test_exactly_max_size),
		cmocka_unit_test(test_over_max_size),
		cmocka_unit_test(test_over_max_size_across_chunks),
		cmocka_unit_test(test_over_max_size_at_a_border),
		cmocka_unit_test(test_default_max_size),
		cmocka_unit_test(test_long_line_in_many_chunks),
		cmocka_unit_test(test_gap),
		cmocka_unit_test(test_gap_within_a_half_line),
		cmocka_unit_test(test_gap_within_a_cut_line),
		cmocka_unit_test(test_gap_before_an_empty_line),
		cmocka_unit_test(test_gap_without_calls),
		cmocka_unit_test(test_gap_with_a_long_reason),
		cmocka_unit_test(test_flush),
		cmocka_unit_test(test_long_comm_is_cut),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_free_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
