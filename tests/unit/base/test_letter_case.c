/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/letter_case.h"
#include "base/util.h"

static void letters(void **state)
{
	static const struct {
		const char *text, *lower, *upper;
	} rows[] = {
		{"", "", ""},
		{"bAr123_Foo", "bar123_foo", "BAR123_FOO"},
		{"Grüße ÉÀ", "grüße éà", "GRÜßE ÉÀ"},
		{"ΑΩ жЖ 日本 🚀", "αω жж 日本 🚀", "ΑΩ ЖЖ 日本 🚀"},
		{"a\xff"
		 "B\xc3",
		 "a\xff"
		 "b\xc3",
		 "A\xff"
		 "B\xc3"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (int upper = 0; upper < 2; upper++) {
			const char *expected = upper ? rows[i].upper : rows[i].lower;
			_buf_ struct buf out = {0};

			assert_int_equal(letter_case__append(&out, rows[i].text,
							     strlen(rows[i].text), upper),
					 0);
			assert_int_equal(out.len, strlen(expected));
			if (out.len)
				assert_memory_equal(out.data, expected, out.len);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(letters)};

	return cmocka_run_group_tests_name("letter_case", tests, NULL, NULL);
}
