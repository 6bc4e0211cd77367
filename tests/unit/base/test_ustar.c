/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/ustar.h"
#include "base/util.h"

static void blocks(void **state)
{
	_free_ char *text = NULL;
	unsigned sum = 0;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	assert_int_equal(ustar__add(out, "a/b", "hello", 5, 0644), 0);
	assert_int_equal(ustar__add(out, "empty", NULL, 0, 0), 0);
	assert_int_equal(ustar__end(out), 0);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(len, 512 + 512 + 512 + 1024);
	assert_string_equal(text, "a/b");
	assert_memory_equal(text + 100, "0000600", 8);
	assert_memory_equal(text + 124, "00000000005", 12);
	assert_memory_equal(text + 136, "00000000644", 12);
	assert_memory_equal(text + 257,
			    "ustar\0"
			    "00",
			    8);
	assert_memory_equal(text + 512, "hello\0", 6);
	for (size_t i = 0; i < 512; i++)
		sum += i >= 148 && i < 156 ? ' ' : (unsigned char)text[i];
	assert_int_equal(strtoul(text + 148, NULL, 8), sum);
	assert_int_equal(text[154], '\0');
	assert_string_equal(text + 1024, "empty");
	for (size_t i = 1536; i < len; i++)
		assert_int_equal(text[i], 0);
}

static void names(void **state)
{
	_free_ char *text = NULL;
	char longest[101];
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	memset(longest, 'x', sizeof(longest));
	longest[100] = '\0';
	assert_int_equal(ustar__add(out, "", "", 0, 0), -EINVAL);
	assert_int_equal(ustar__add(out, longest, "", 0, 0), -EINVAL);
	longest[99] = '\0';
	assert_int_equal(ustar__add(out, longest, "", 0, 0), 0);
	fclose(out);
	assert_int_equal(len, 512);
}

static void a_full_disk(void **state)
{
	FILE *out = fopen("/dev/full", "w");

	(void)state;
	if (!out)
		skip();
	setvbuf(out, NULL, _IONBF, 0);
	assert_int_equal(ustar__add(out, "a", "b", 1, 0), -EIO);
	assert_int_equal(ustar__end(out), -EIO);
	fclose(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks),
		cmocka_unit_test(names),
		cmocka_unit_test(a_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
