/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json_scan.h"
#include "base/util.h"

#define MOST 400

static void check_end(const char *text, size_t end)
{
	struct json_scan s = {0};

	assert_int_equal(json_scan__feed(&s, text, strlen(text)), end);
	assert_int_equal(s.depth, 0);
}

static void ends(void **state _unused_)
{
	check_end("{}", 2);
	check_end("{}}", 2);
	check_end("[[],{\"a\":[]}] ,", 13);
	check_end("{\"}\":\"\\\"}\"}{", 11);
	check_end("{\"\\\\\":\"]\"}", 10);
	/* Backslashes across 64 bytes. */
	check_end("{\"12345678901234567890123456789012345678901234567890123456789\\\\\":1}", 67);
	check_end("{\"1234567890123456789012345678901234567890123456789012345678901\\\"}\":1}", 70);
}

/* One byte after the other. */
static size_t plain(const char *text, size_t len, struct json_scan *s)
{
	for (size_t i = 0; i < len; i++) {
		char c = text[i];
		bool escaped = s->escaped;

		s->escaped = c == '\\' && !escaped;
		if (c == '"' && !escaped)
			s->in_string = !s->in_string;
		else if (!s->in_string && (c == '{' || c == '['))
			s->depth++;
		else if (!s->in_string && (c == '}' || c == ']') && --s->depth == 0)
			return i + 1;
	}
	return len;
}

static size_t random_text(char *text)
{
	static const char letters[] = "{}[]\"\"\\\\a,:;|\x01\xfb\xfd\xdb\xdd\xa2\xdc";
	size_t len = 1 + (size_t)rand() % MOST;
	/* What is rare makes long strings and deep ones. */
	size_t few = 1 + (size_t)rand() % 20;

	text[0] = rand() % 2 ? '{' : '[';
	for (size_t i = 1; i < len; i++)
		text[i] = (size_t)rand() % 20 < few ? letters[rand() % (sizeof(letters) - 1)] : 'x';
	return len;
}

static void as_byte_by_byte(void **state _unused_)
{
	char text[MOST];

	srand(1);
	for (int round = 0; round < 20000; round++) {
		size_t len = random_text(text), piece = 1 + (size_t)rand() % 130, at = 0, used;
		struct json_scan s = {0}, wanted = {0};
		size_t end = plain(text, len, &wanted);

		do {
			size_t most = MIN(piece, len - at);
			char *copy = malloc(most);

			assert_non_null(copy);
			memcpy(copy, text + at, most);
			used = json_scan__feed(&s, copy, most);
			free(copy);
			at += used;
			assert_true(s.depth == 0 || used == most);
		} while (at < len && s.depth);
		assert_int_equal(at, end);
		assert_int_equal(s.depth, wanted.depth);
		assert_int_equal(s.escaped, wanted.escaped);
		assert_int_equal(s.in_string, wanted.in_string);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends),
		cmocka_unit_test(as_byte_by_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
