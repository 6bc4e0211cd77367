/* SPDX-License-Identifier: Apache-2.0 */
/* What is taken out and what stays; the expression itself is the judge of random text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/regex.h"
#include "process/decolorize.h"

static void check(const char *text, const char *expected)
{
	size_t len = strlen(text);
	_free_ char *block = malloc(len ? len : 1), *out = malloc(len ? len : 1);
	size_t n;

	assert_true(block && out);
	memcpy(block, text, len);
	n = decolorize__text(out, block, len);
	assert_int_equal(n, strlen(expected));
	assert_memory_equal(out, expected, n);
	assert_true(decolorize__wanted(block, len) || n == len);
}

static void sequences(void **state)
{
	(void)state;
	check("", "");
	check("sample text", "sample text");
	check("\033[0;32mgreen\033[0m \033[0;31mred\033[0m", "green red");
	check("[2022-11-04 22:17:57.811] \033[0;32mhttp\033[0m: GET /_health (0 ms) 204",
	      "[2022-11-04 22:17:57.811] http: GET /_health (0 ms) 204");
	check("\033[38;5;196mx\033[1;31;40my\033[m", "xy");
	check("\033[2K\033[1Gx\033[?25l", "x");
	check("\xc2\x9b"
	      "31mx\x9b"
	      "31m",
	      "x\x9b"
	      "31m");
	check("\033]0;title\ax", "x");
	check("\033(Bx", "x");
	check("\033", "\033");
	check("\033[", "\033[");
	check("\033[ x", "\033[ x");
	check("a\033[12", "a");
	check("\033[12;x", ";x");
	check("\033[12345mx", "mx");
	check("\xc2", "\xc2");
	check("größe", "größe");
}

static void as_the_expression(void **state)
{
	static const char *const pieces[] = {"\033", "\xc2\x9b", "[",	  "]", ";", "?",
					     "1",    "23",	 "45678", "m", "A", "S",
					     "x",    "\a",	 " ",	  "(", "=", "K"};
	const struct regex_span *spans;
	struct regex_error why;
	struct regex *re;

	(void)state;
	assert_int_equal(
		regex__new(&re,
			   "[\\x1B\\x{9B}][[\\]()#;?]*(?:(?:(?:[a-zA-Z\\d]*(?:;[a-zA-Z\\d]*)*)?"
			   "\\x07)|(?:(?:\\d{1,4}(?:;\\d{0,4})*)?[\\dA-PRZcf-ntqry=><~]))",
			   false, &why),
		0);
	srand(1);
	for (int i = 0; i < 50000; i++) {
		char text[64] = "", expected[64], out[64];
		size_t n = 0, len, at = 0;

		for (int j = rand() % 10; j >= 0; j--)
			strcat(text, pieces[rand() % (int)ARRAY_SIZE(pieces)]);
		len = strlen(text);
		while (regex__match(re, text, len, at, &spans) == 1) {
			size_t start = (size_t)(spans[0].text - text);

			memcpy(expected + n, text + at, start - at);
			n += start - at;
			at = start + spans[0].len;
		}
		memcpy(expected + n, text + at, len - at);
		n += len - at;
		if (decolorize__text(out, text, len) != n || memcmp(out, expected, n) != 0)
			fail_msg("%s", text);
	}
	regex__free(re);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sequences),
		cmocka_unit_test(as_the_expression),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
