/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/util.h"
#include "status/counters.h"

static void print(const struct counters *c, char **ret_text)
{
	size_t len;
	FILE *out = open_memstream(ret_text, &len);

	assert_non_null(out);
	counters__print(c, out);
	fclose(out);
}

static void test_zero_is_silent(void **state _unused_)
{
	struct counters c = {0};
	_free_ char *text = NULL;

	print(&c, &text);
	assert_string_equal(text, "");
}

static void test_print(void **state _unused_)
{
	struct counters c = {0};
	_free_ char *text = NULL;

	counters__add(&c, lines, 2);
	counters__add(&c, lines, 3);
	counters__add(&c, lost_ring_full, UINT64_MAX);
	assert_int_equal(counters__get(&c, lines), 5);
	print(&c, &text);
	assert_string_equal(text, "notail_lines_total 5\n"
				  "notail_lost_bytes_total{reason=\"ring_full\"} "
				  "18446744073709551615\n");
}

/* One line for each field, and no name twice. */
static void test_every_counter_is_printed(void **state _unused_)
{
	struct counters c = {0};
	_free_ char *text = NULL;
	size_t fields = sizeof(c) / sizeof(uint64_t), lines = 0;

	for (size_t i = 0; i < fields; i++)
		((_Atomic uint64_t *)&c)[i] = i + 1;
	print(&c, &text);
	for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
		char name[128];
		char *space = strchr(line, ' ');

		lines++;
		assert_true(space && space < end);
		snprintf(name, sizeof(name), "\n%.*s ", (int)(space - line), line);
		assert_null(strstr(end, name));
	}
	assert_int_equal(lines, fields);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zero_is_silent),
		cmocka_unit_test(test_print),
		cmocka_unit_test(test_every_counter_is_printed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
