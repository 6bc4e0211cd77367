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
#include "base/buf.h"

/* One stream; what comes out is `line(pid comm) ` for each line. */
struct world {
	struct assembler *assembler;
	struct attribute *a;
	struct buf out;
	uint64_t offset;
};

static void on_line(void *ctx, const struct line *line)
{
	struct world *w = ctx;

	assert_int_equal(buf__printf(&w->out, "%.*s(%u %s) ", (int)line->len, line->bytes,
				     line->pid, line->comm),
			 0);
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
	char big[ATTRIBUTE_MAX_BYTES / 2];
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
		TEST(free_of_nothing),
#undef TEST
	};

	return cmocka_run_group_tests_name("attribute", tests, NULL, NULL);
}
