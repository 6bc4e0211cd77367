/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "assemble/attribute.h"
#include "assemble/match.h"
#include "base/buf.h"

/* One stream; what comes out is `line(pid comm) ` for each line, `line(pid comm tid trace) ` where
 * it has a thread. */
struct world {
	struct assembler *assembler;
	struct attribute *a;
	struct buf out;
	uint64_t offset;
	uint64_t counted; /* by notes */
};

static void on_line(void *ctx, const struct line *line)
{
	struct world *w = ctx;

	assert_int_equal(buf__printf(&w->out, "%.*s(%u %s", (int)line->len, line->bytes, line->pid,
				     line->comm),
			 0);
	if (line->tid || line->trace.trace_id[0])
		assert_int_equal(buf__printf(&w->out, " %u %s", line->tid,
					     (const char *)line->trace.trace_id),
				 0);
	assert_int_equal(buf__append_str(&w->out, ") "), 0);
}

static int set_up(void **state)
{
	const struct assemble_opts opts = {0};
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	assert_int_equal(assembler__new(&w->assembler, &opts, 1, LINE_STDOUT, on_line, w), 0);
	assert_int_equal(attribute__new(&w->a, w->assembler), 0);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	attribute__free(w->a);
	assembler__free(w->assembler);
	buf__free(&w->out);
	free(w);
	return 0;
}

static void feed(struct world *w, const char *text, uint64_t time_ns, enum nt_known known,
		 uint64_t from)
{
	size_t len = strlen(text);
	/* Of its own size, so that ASAN sees a read beyond it, or after it. */
	char *copy = malloc(len), comm[LINE_COMM_LEN] = "sh";
	struct chunk chunk = {.bytes = copy, .len = len, .time_ns = time_ns};
	const struct attribute_note note = {.offset = w->offset, .from = from, .known = known};

	assert_non_null(copy);
	memcpy(copy, text, len);
	if (known == NT_KNOWN) {
		chunk.pid = 7;
		chunk.comm = comm;
	}
	assert_int_equal(attribute__feed(w->a, &chunk, &note), 0);
	memset(comm, 'x', sizeof(comm) - 1);
	free(copy);
	w->offset += len;
}

static void expect(struct world *w, const char *text)
{
	assert_int_equal(w->out.len, strlen(text));
	assert_memory_equal(w->out.data, text, w->out.len);
}

static void nothing_waits_without_reason(void **state)
{
	struct world *w = *state;

	feed(w, "a\n", 10, NT_KNOWN, 0);
	feed(w, "b\n", 20, NT_KNOWN_NOT, 0);
	expect(w, "a(7 sh) b(0 ) ");
	assert_int_equal(attribute__due_ns(w->a), UINT64_MAX);
}

static void name_reaches_back(void **state)
{
	struct world *w = *state;

	feed(w, "a\n", 10, NT_KNOWN_LATER, 0);
	feed(w, "b\n", 20, NT_KNOWN_LATER, 0);
	expect(w, "");
	assert_int_equal(attribute__due_ns(w->a), 10 + ATTRIBUTE_WAIT_NS);
	feed(w, "c\n", 30, NT_KNOWN, 0);
	expect(w, "a(7 sh) b(7 sh) c(7 sh) ");
	assert_int_equal(attribute__due_ns(w->a), UINT64_MAX);
}

static void name_reaches_no_further_than_it_says(void **state)
{
	struct world *w = *state;

	feed(w, "a\n", 10, NT_KNOWN_LATER, 0);
	feed(w, "b\n", 20, NT_KNOWN_LATER, 0);
	feed(w, "c\n", 30, NT_KNOWN, 2);
	expect(w, "a(0 ) b(7 sh) c(7 sh) ");
}

/* A record's name is all of the record's. */
static void name_from_within_a_record_is_not_its(void **state)
{
	struct world *w = *state;

	feed(w, "a\n", 10, NT_KNOWN_LATER, 0);
	feed(w, "b\n", 20, NT_KNOWN, 1);
	expect(w, "a(0 ) b(7 sh) ");
}

static void no_name_will_come(void **state)
{
	struct world *w = *state;

	feed(w, "a\n", 10, NT_KNOWN_LATER, 0);
	feed(w, "b\n", 20, NT_KNOWN_NOT, 0);
	feed(w, "c\n", 30, NT_KNOWN, 0);
	expect(w, "a(0 ) b(0 ) c(7 sh) ");
}

static void waits_no_longer_than_it_may(void **state)
{
	struct world *w = *state;

	feed(w, "a\n", 10, NT_KNOWN_LATER, 0);
	feed(w, "b\n", 9 + ATTRIBUTE_WAIT_NS, NT_KNOWN_LATER, 0);
	expect(w, "");
	feed(w, "c\n", 10 + ATTRIBUTE_WAIT_NS, NT_KNOWN, 0);
	expect(w, "a(0 ) b(0 ) c(7 sh) ");
}

static void waits_with_no_more_than_it_may(void **state)
{
	static char big[ATTRIBUTE_MAX_BYTES / 2 + 2];
	struct world *w = *state;

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 2] = '\n';
	big[sizeof(big) - 1] = '\0';
	feed(w, big, 10, NT_KNOWN_LATER, 0);
	assert_int_equal(w->out.len, 0);
	feed(w, big, 20, NT_KNOWN_LATER, 0);
	assert_true(w->out.len > 0);
	attribute__flush(w->a);
	assert_int_equal(w->out.len, 2 * (sizeof(big) - 2 + strlen("(0 ) ")));
}

static void proof_at_the_end(void **state)
{
	struct world *w = *state;

	feed(w, "a\n", 10, NT_KNOWN_LATER, 0);
	attribute__prove(w->a, 0, 7, "sh");
	expect(w, "a(7 sh) ");
	feed(w, "b\n", 20, NT_KNOWN_LATER, 0);
	attribute__prove(w->a, 0, 0, "");
	expect(w, "a(7 sh) b(0 ) ");
}

/* Lines go on where records end. */
static void line_over_two_records(void **state)
{
	struct world *w = *state;

	feed(w, "a", 10, NT_KNOWN, 0);
	feed(w, "b", 20, NT_KNOWN_LATER, 0);
	feed(w, "c\n", 30, NT_KNOWN, 1);
	expect(w, "abc(7 sh) ");
}

/* ---- by line ---- */

#define MS 1000000ull

/* What the reader got; `settled`: offset, or UINT64_MAX. */
static void got(struct world *w, const char *text, uint64_t time_ns, uint64_t settled)
{
	size_t len = strlen(text);
	char *copy = malloc(len);
	const struct chunk chunk = {.bytes = copy, .len = len, .time_ns = time_ns};
	const struct attribute_note note = {
		.offset = w->offset, .from = settled, .known = NT_KNOWN_NOTES, .tap = NT_TAP_READ};

	assert_non_null(copy);
	memcpy(copy, text, len);
	assert_int_equal(attribute__feed(w->a, &chunk, &note), 0);
	free(copy);
	w->offset += len;
}

static void got_all(struct world *w, const char *text, uint64_t time_ns)
{
	got(w, text, time_ns, w->offset + strlen(text));
}

static struct nt_note make_note(struct world *w, const char *text, uint32_t pid, uint32_t tid)
{
	struct nt_note note = {.at = w->counted,
			       .count = strlen(text),
			       .hash = match__hash(text, strlen(text)),
			       .pid = pid,
			       .tid = tid,
			       .comm = "sh",
			       .hashed = 1};

	w->counted += note.count;
	return note;
}

static void wrote(struct world *w, const char *text, uint32_t pid)
{
	struct nt_note note = make_note(w, text, pid, pid);

	attribute__note(w->a, &note);
}

static void wrote_unhashed(struct world *w, uint64_t count, uint32_t pid)
{
	struct nt_note note = {
		.at = w->counted, .count = count, .pid = pid, .tid = pid, .comm = "sh"};

	w->counted += count;
	attribute__note(w->a, &note);
}

static void race_is_named_by_content(void **state)
{
	struct world *w = *state;

	wrote(w, "b\n", 8);
	wrote(w, "a\n", 7);
	got_all(w, "a\nb\n", 10);
	expect(w, "a(7 sh 7 ) b(8 sh 8 ) ");
	assert_int_equal(attribute__due_ns(w->a), UINT64_MAX);
}

static void notes_come_after_the_bytes(void **state)
{
	struct world *w = *state;
	struct nt_note first = make_note(w, "b\n", 8, 8), second = make_note(w, "a\n", 7, 7);

	got_all(w, "a\nb\n", 10);
	expect(w, "");
	attribute__note(w->a, &second);
	expect(w, "");
	assert_int_equal(attribute__due_ns(w->a), 10 + ATTRIBUTE_WAIT_NS);
	attribute__note(w->a, &first);
	expect(w, "a(7 sh 7 ) b(8 sh 8 ) ");
}

static void bytes_come_after_the_end_of_their_window(void **state)
{
	struct world *w = *state;

	wrote(w, "bb\n", 8);
	wrote(w, "aa\n", 7);
	got(w, "a", 10, 6);
	got(w, "a\nb", 20, UINT64_MAX);
	expect(w, "");
	wrote(w, "c\n", 9);
	got(w, "b\nc\n", 30, UINT64_MAX);
	expect(w, "aa(7 sh 7 ) bb(8 sh 8 ) ");
	attribute__settle(w->a, 8);
	expect(w, "aa(7 sh 7 ) bb(8 sh 8 ) c(9 sh 9 ) ");
}

/* Without it another write's bytes may be there whose note is not. */
static void nothing_is_named_unsettled(void **state)
{
	struct world *w = *state;

	wrote(w, "a\n", 7);
	got(w, "a\n", 10, UINT64_MAX);
	expect(w, "");
	attribute__expire(w->a, 9 + ATTRIBUTE_WAIT_NS);
	expect(w, "");
	attribute__expire(w->a, 10 + ATTRIBUTE_WAIT_NS);
	expect(w, "a(0 ) ");
	wrote(w, "b\n", 7);
	got_all(w, "b\n", 100 * MS); /* from here on */
	wrote(w, "c\n", 8);
	got_all(w, "c\n", 101 * MS);
	expect(w, "a(0 ) b(0 ) c(8 sh 8 ) ");
}

static void equal_lines(void **state)
{
	struct world *w = *state;

	wrote(w, "x\n", 7);
	wrote(w, "y\n", 9);
	wrote(w, "x\n", 8);
	got_all(w, "x\nx\ny\n", 10);
	expect(w, "x(0 ) x(0 ) y(9 sh 9 ) ");
	w->out.len = 0;
	wrote(w, "x\n", 7);
	wrote(w, "y\n", 8);
	wrote(w, "x\n", 7);
	got_all(w, "x\nx\ny\n", 20);
	expect(w, "x(7 sh 7 ) x(7 sh 7 ) y(8 sh 8 ) ");
}

/* The hash is no proof: these have the same one. */
static void lines_that_the_hash_cannot_tell_apart(void **state)
{
	char a[201], b[201], expected[1000];
	struct world *w = *state;

	memset(a, '-', 200);
	a[199] = '\n';
	a[200] = '\0';
	memcpy(b, a, sizeof(b));
	memcpy(a + 50, "seven", 5);
	memcpy(b + 50, "eight", 5);
	assert_true(match__hash(a, 200) == match__hash(b, 200));
	wrote(w, a, 7);
	wrote(w, b, 8);
	got(w, b, 10, UINT64_MAX);
	got_all(w, a, 20);
	snprintf(expected, sizeof(expected), "%.199s(0 ) %.199s(0 ) ", b, a);
	expect(w, expected);
	w->out.len = 0;
	memcpy(b + 50, "-----", 5);
	memcpy(b + 98, "eight", 5); /* the middle counts */
	wrote(w, a, 7);
	wrote(w, b, 8);
	got(w, b, 30, UINT64_MAX);
	got_all(w, a, 40);
	snprintf(expected, sizeof(expected), "%.199s(8 sh 8 ) %.199s(7 sh 7 ) ", b, a);
	expect(w, expected);
}

static void rows_that_differ(void **state)
{
	struct world *w = *state;

	wrote(w, "a\n", 7);
	wrote(w, "a\na\n", 8);
	wrote(w, "b\n", 9);
	got_all(w, "a\na\na\nb\n", 10);
	expect(w, "a(0 ) a(0 ) a(0 ) b(9 sh 9 ) ");
}

static void line_of_two_writers(void **state)
{
	struct world *w = *state;

	wrote(w, "half ", 7);
	wrote(w, "line\n", 8);
	wrote(w, "whole ", 9);
	wrote(w, "one\n", 9);
	got_all(w, "half line\nwhole one\n", 10);
	expect(w, "half line(0 ) whole one(9 sh 9 ) ");
}

static void bytes_that_are_not_the_notes(void **state)
{
	struct world *w = *state;

	wrote(w, "a\n", 7);
	wrote(w, "b\n", 8);
	got_all(w, "a\nc\n", 10);
	expect(w, "a(0 ) c(0 ) ");
}

/* A write without a hash may lie anywhere, in parts; with one process all is its. */
static void write_without_a_hash(void **state)
{
	struct world *w = *state;

	wrote(w, "a\n", 7);
	wrote_unhashed(w, 2, 8);
	got_all(w, "a\nb\n", 10);
	expect(w, "a(0 ) b(0 ) ");
	w->out.len = 0;
	wrote(w, "a\n", 7);
	wrote_unhashed(w, 2, 7);
	got_all(w, "b\na\n", 20);
	expect(w, "b(7 sh 7 ) a(7 sh 7 ) ");
}

static void threads_and_traces(void **state)
{
	struct world *w = *state;
	struct nt_note note;

	for (int i = 0; i < 3; i++) { /* of one thread: its order is the notes' */
		note = make_note(w, "x\n", 7, 70);
		note.trace_id[0] = (uint8_t)("tuv"[i]);
		note.hashed = 0;
		attribute__note(w->a, &note);
	}
	got_all(w, "x\nx\nx\n", 10);
	expect(w, "x(7 sh 70 t) x(7 sh 70 u) x(7 sh 70 v) ");
	w->out.len = 0;
	for (uint32_t i = 0; i < 3; i++) { /* of two */
		note = make_note(w, i == 2 ? "y\n" : "x\n", 7, 70 + i % 2);
		note.trace_id[0] = 't';
		attribute__note(w->a, &note);
	}
	got_all(w, "x\nx\ny\n", 20);
	expect(w, "x(7 sh 0 t) x(7 sh 0 t) y(7 sh 70 t) ");
}

static void lost_note_costs_its_window(void **state)
{
	struct world *w = *state;

	wrote(w, "a\n", 7);
	make_note(w, "b\n", 7, 7); /* lost */
	got(w, "a\nb\n", 10, 4);
	wrote(w, "c\n", 8);
	got_all(w, "c\n", 20);
	expect(w, "");
	attribute__expire(w->a, 10 + ATTRIBUTE_WAIT_NS);
	expect(w, "a(0 ) b(0 ) c(8 sh 8 ) ");
	assert_int_equal(attribute__due_ns(w->a), UINT64_MAX);
}

static void gap_costs_what_it_touches(void **state)
{
	struct world *w = *state;

	wrote(w, "a\n", 7);
	wrote(w, "lost\n", 7);
	wrote(w, "b\n", 7);
	got(w, "a\n", 10, UINT64_MAX);
	attribute__flush(w->a);
	w->offset += 5;
	got_all(w, "b\n", 20);
	expect(w, "a(0 ) b(0 ) ");
	wrote(w, "c\n", 7);
	got_all(w, "c\n", 30);
	expect(w, "a(0 ) b(0 ) c(7 sh 7 ) ");
}

static void note_over_another_one(void **state)
{
	struct world *w = *state;
	struct nt_note over;

	wrote(w, "a\n", 7);
	w->counted = 1;
	over = make_note(w, "z\n", 9, 9);
	attribute__note(w->a, &over);
	w->counted = 2;
	wrote(w, "b\n", 8);
	got_all(w, "b\na\n", 10);
	expect(w, "b(8 sh 8 ) a(7 sh 7 ) ");
}

/* A thread's notes are put together when they get too many; others' are not. */
static void many_notes(void **state)
{
	struct world *w = *state;
	char text[ATTRIBUTE_MAX_NOTES * 3 + 1] = "";

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 2] = '\n';
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		wrote(w, i + 2 == sizeof(text) ? "\n" : "x", 7);
	got_all(w, text, 10);
	assert_memory_equal(w->out.data + w->out.len - 11, "x(7 sh 7 ) ", 11);
	w->out.len = 0;
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		wrote(w, i + 2 == sizeof(text) ? "\n" : "x", 7 + i % 2);
	got_all(w, text, 20);
	assert_memory_equal(w->out.data + w->out.len - 6, "x(0 ) ", 6);
	w->out.len = 0;
	wrote(w, "y\n", 7);
	got_all(w, "y\n", 30);
	expect(w, "y(7 sh 7 ) ");
}

static void settled_more_often_than_is_kept(void **state)
{
	struct world *w = *state;
	struct nt_note late = make_note(w, "a\n", 7, 7);

	got_all(w, "a\n", 10);
	for (int i = 0; i < 200; i++) {
		wrote(w, "b\n", 7);
		got_all(w, "b\n", 20);
	}
	expect(w, "");
	attribute__note(w->a, &late);
	assert_int_equal(w->out.len, 201 * strlen("a(7 sh 7 ) "));
}

static void write_tap_with_notes(void **state)
{
	struct world *w = *state;
	const struct chunk chunk = {
		.bytes = "a\n", .len = 2, .time_ns = 10, .pid = 7, .comm = "sh"};
	struct attribute_note says = {.known = NT_KNOWN_NOTES, .tap = NT_TAP_WRITE};
	struct nt_note note = make_note(w, "a\n", 7, 71);

	note.tap = NT_TAP_WRITE;
	note.trace_id[0] = 't';
	attribute__note(w->a, &note);
	assert_int_equal(attribute__feed(w->a, &chunk, &says), 0);
	says.offset = says.from = 2; /* its note was lost */
	assert_int_equal(attribute__feed(w->a, &chunk, &says), 0);
	expect(w, "a(7 sh 71 t) a(7 sh) ");
}

static void free_of_nothing(void **state)
{
	(void)state;
	attribute__free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
		TEST(nothing_waits_without_reason),
		TEST(name_reaches_back),
		TEST(name_reaches_no_further_than_it_says),
		TEST(name_from_within_a_record_is_not_its),
		TEST(no_name_will_come),
		TEST(waits_no_longer_than_it_may),
		TEST(waits_with_no_more_than_it_may),
		TEST(proof_at_the_end),
		TEST(line_over_two_records),
		TEST(race_is_named_by_content),
		TEST(notes_come_after_the_bytes),
		TEST(bytes_come_after_the_end_of_their_window),
		TEST(nothing_is_named_unsettled),
		TEST(equal_lines),
		TEST(lines_that_the_hash_cannot_tell_apart),
		TEST(rows_that_differ),
		TEST(line_of_two_writers),
		TEST(bytes_that_are_not_the_notes),
		TEST(write_without_a_hash),
		TEST(threads_and_traces),
		TEST(lost_note_costs_its_window),
		TEST(gap_costs_what_it_touches),
		TEST(note_over_another_one),
		TEST(many_notes),
		TEST(settled_more_often_than_is_kept),
		TEST(write_tap_with_notes),
		TEST(free_of_nothing),
#undef TEST
	};

	return cmocka_run_group_tests_name("attribute", tests, NULL, NULL);
}
