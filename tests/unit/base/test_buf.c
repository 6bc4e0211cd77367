/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/buf.h"

/* Lets an allocation fail: over a mebibyte there is no memory. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1:max_allocation_size_mb=1";
}

static void assert_buf(const struct buf *b, const char *text)
{
	assert_int_equal(b->len, strlen(text));
	assert_memory_equal(b->data, text, b->len);
}

static void test_append_grows(void **state _unused_)
{
	_buf_ struct buf b = {0};

	for (int i = 0; i < 10000; i++)
		assert_int_equal(buf__append(&b, &i, sizeof(i)), 0);
	assert_int_equal(b.len, 10000 * sizeof(int));
	for (int i = 0; i < 10000; i++)
		assert_memory_equal(b.data + (size_t)i * sizeof(i), &i, sizeof(i));
}

static void test_append_nothing(void **state _unused_)
{
	_buf_ struct buf b = {0};

	assert_int_equal(buf__append(&b, NULL, 0), 0);
	assert_int_equal(buf__append_str(&b, ""), 0);
	assert_int_equal(buf__append_json(&b, "", 0), 0);
	assert_int_equal(buf__append_json_utf8(&b, NULL, 0), 0);
	assert_int_equal(buf__append_base64(&b, "", 0), 0);
	assert_int_equal(b.len, 0);
}

static void test_free_leaves_usable(void **state _unused_)
{
	struct buf b = {0};

	assert_int_equal(buf__append_str(&b, "one"), 0);
	buf__free(&b);
	assert_null(b.data);
	assert_int_equal(b.len, 0);
	assert_int_equal(buf__append_str(&b, "two"), 0);
	assert_buf(&b, "two");
	buf__free(&b);
	buf__free(&b);
}

static void test_reserve_keeps_bytes(void **state _unused_)
{
	_buf_ struct buf b = {0};

	assert_int_equal(buf__append_str(&b, "kept"), 0);
	assert_int_equal(buf__reserve(&b, 100000), 0);
	assert_true(b.size - b.len >= 100000);
	assert_buf(&b, "kept");
}

static void test_no_memory_changes_nothing(void **state _unused_)
{
	_buf_ struct buf b = {0};
	static char big[3 << 20];
	void *probe = malloc(sizeof(big));

	free(probe);
	if (probe) {
		print_message("SKIP no_memory: only with AddressSanitizer an allocation can be "
			      "refused\n");
		skip();
	}
	memset(big, '\n', sizeof(big));
	assert_int_equal(buf__append_str(&b, "kept"), 0);
	assert_int_equal(buf__reserve(&b, sizeof(big)), -ENOMEM);
	assert_int_equal(buf__reserve(&b, SIZE_MAX), -ENOMEM);
	assert_int_equal(buf__reserve(&b, SIZE_MAX / 2), -ENOMEM);
	assert_int_equal(buf__append(&b, big, sizeof(big)), -ENOMEM);
	assert_int_equal(buf__append_json(&b, big, sizeof(big)), -ENOMEM);
	/* Fits at first, and no more when escaped. */
	assert_int_equal(buf__append_json(&b, big, 700000), -ENOMEM);
	assert_int_equal(buf__append_base64(&b, big, sizeof(big)), -ENOMEM);
	assert_buf(&b, "kept");
}

static void test_printf(void **state _unused_)
{
	_buf_ struct buf b = {0};
	char wide[500];

	memset(wide, 'x', sizeof(wide) - 1);
	wide[sizeof(wide) - 1] = '\0';
	assert_int_equal(buf__printf(&b, "%d-%s", 7, "a"), 0);
	assert_int_equal(buf__printf(&b, "%s", ""), 0);
	assert_buf(&b, "7-a");
	assert_int_equal(buf__printf(&b, "%s", wide), 0);
	assert_int_equal(b.len, 3 + 499);
}

static void assert_json(const char *in, size_t len, const char *out)
{
	_buf_ struct buf b = {0};

	assert_int_equal(buf__append_json(&b, in, len), 0);
	assert_buf(&b, out);
}

static void test_json_escapes(void **state _unused_)
{
	assert_json("plain", 5, "plain");
	assert_json("a\"b", 3, "a\\\"b");
	assert_json("a\\b", 3, "a\\\\b");
	assert_json("\b\t\n\f\r", 5, "\\b\\t\\n\\f\\r");
	assert_json("\0\1\33\37", 4, "\\u0000\\u0001\\u001b\\u001f");
	assert_json("/\x7f'<>&", 6, "/\x7f'<>&");
	assert_json("\xc3\xa4\xff\x80", 4, "\xc3\xa4\xff\x80");
}

/* The slow and obvious form. */
static void escape_slowly(struct buf *b, const char *in, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		switch (in[i]) {
		case '"':
			buf__append_str(b, "\\\"");
			break;
		case '\\':
			buf__append_str(b, "\\\\");
			break;
		case '\b':
			buf__append_str(b, "\\b");
			break;
		case '\t':
			buf__append_str(b, "\\t");
			break;
		case '\n':
			buf__append_str(b, "\\n");
			break;
		case '\f':
			buf__append_str(b, "\\f");
			break;
		case '\r':
			buf__append_str(b, "\\r");
			break;
		default:
			if ((unsigned char)in[i] < 0x20)
				buf__printf(b, "\\u%04x", in[i]);
			else
				buf__append(b, in + i, 1);
		}
	}
}

/* Every byte value at every place of every block width. */
static void test_json_every_byte_at_every_place(void **state _unused_)
{
	static const char neighbours[] = {'a', ' ', '!', '#', '[', ']', '\x7f'};
	char in[48];

	for (unsigned value = 0; value < 256; value++) {
		for (size_t at = 0; at < sizeof(in); at++) {
			_buf_ struct buf fast = {0}, slow = {0};

			memset(in, neighbours[(value + at) % sizeof(neighbours)], sizeof(in));
			in[at] = (char)value;
			if (at)
				in[at - 1] = (char)(value - 1);
			assert_int_equal(buf__append_json(&fast, in, sizeof(in)), 0);
			escape_slowly(&slow, in, sizeof(in));
			assert_int_equal(fast.len, slow.len);
			assert_memory_equal(fast.data, slow.data, slow.len);
		}
	}
}

static void test_json_every_length(void **state _unused_)
{
	char in[80];
	uint32_t seed = 1;

	for (size_t round = 0; round < 2000; round++) {
		size_t len = round % (sizeof(in) + 1);
		_buf_ struct buf fast = {0}, slow = {0};

		for (size_t i = 0; i < len; i++) {
			seed = seed * 1664525 + 1013904223;
			in[i] = seed >> 29 ? (char)('a' + (seed >> 24) % 26) : (char)(seed >> 16);
		}
		assert_int_equal(buf__append_json(&fast, in, len), 0);
		escape_slowly(&slow, in, len);
		assert_int_equal(fast.len, slow.len);
		if (slow.len)
			assert_memory_equal(fast.data, slow.data, slow.len);
	}
}

static void test_json_only_escapes(void **state _unused_)
{
	_buf_ struct buf b = {0};
	char in[10000];

	memset(in, 1, sizeof(in));
	assert_int_equal(buf__append_json(&b, in, sizeof(in)), 0);
	assert_int_equal(b.len, 6 * sizeof(in));
	for (size_t i = 0; i < sizeof(in); i++)
		assert_memory_equal(b.data + 6 * i, "\\u0001", 6);
}

static const struct {
	const char *bytes;
	bool valid;
} utf8_table[] = {
	{"", true},
	{"ascii \x7f", true},
	{"\xc2\x80", true},
	{"\xdf\xbf", true},
	{"\xe0\xa0\x80", true},
	{"\xed\x9f\xbf", true},
	{"\xee\x80\x80", true},
	{"\xef\xbf\xbd", true},
	{"\xef\xbf\xbf", true},
	{"\xf0\x90\x80\x80", true},
	{"\xf4\x8f\xbf\xbf", true},
	{"\xc3\xa4\xe6\xbc\xa2\xf0\x9f\x98\x80", true},
	{"\x80", false},
	{"\xbf", false},
	{"\xc0\x80", false},
	{"\xc1\xbf", false},
	{"\xc2", false},
	{"\xc2\x41", false},
	{"\xc2\xc2", false},
	{"\xe0\x80\x80", false},
	{"\xe0\x9f\xbf", false},
	{"\xe1\x80", false},
	{"\xe1\x80\x41", false},
	{"\xe1\x41\x80", false},
	{"\xed\xa0\x80", false},
	{"\xed\xbf\xbf", false},
	{"\xf0\x80\x80\x80", false},
	{"\xf0\x8f\xbf\xbf", false},
	{"\xf0\x90\x80", false},
	{"\xf0\x90\x80\x41", false},
	{"\xf4\x90\x80\x80", false},
	{"\xf5\x80\x80\x80", false},
	{"\xff", false},
	{"\xfe\xbf\xbf\xbf", false},
	{"\xf8\x88\x80\x80\x80", false},
};

/* Each sequence at each distance from the start and the end of a longer text. */
static void test_utf8_table(void **state _unused_)
{
	char text[64];

	for (size_t i = 0; i < ARRAY_SIZE(utf8_table); i++) {
		const char *bytes = utf8_table[i].bytes;
		size_t len = strlen(bytes);

		assert_int_equal(utf8__valid(bytes, len), utf8_table[i].valid);
		for (size_t before = 0; before < 34; before++) {
			for (size_t after = 0; after < 20; after += 3) {
				_buf_ struct buf b = {0};
				size_t all = before + len + after;

				memset(text, 'x', sizeof(text));
				memcpy(text + before, bytes, len);
				assert_int_equal(utf8__valid(text, all), utf8_table[i].valid);
				assert_int_equal(buf__append_json_utf8(&b, text, all),
						 utf8_table[i].valid ? 0 : -EILSEQ);
				assert_int_equal(b.len, utf8_table[i].valid ? all : 0);
			}
		}
	}
}

static bool valid_slowly(const uint8_t *s, size_t len)
{
	uint32_t point;
	size_t n;

	for (size_t i = 0; i < len; i += n) {
		n = s[i] < 0x80	      ? 1
		    : s[i] >> 5 == 6  ? 2
		    : s[i] >> 4 == 14 ? 3
		    : s[i] >> 3 == 30 ? 4
				      : 0;
		if (!n || i + n > len)
			return false;
		point = n == 1 ? s[i] : s[i] & (0xffu >> (n + 1));
		for (size_t j = 1; j < n; j++) {
			if (s[i + j] >> 6 != 2)
				return false;
			point = point << 6 | (s[i + j] & 63);
		}
		if ((n == 2 && point < 0x80) || (n == 3 && point < 0x800) ||
		    (n == 4 && point < 0x10000) || point > 0x10ffff ||
		    (point >= 0xd800 && point < 0xe000))
			return false;
	}
	return true;
}

/* Every pair of bytes, alone and as the middle of a longer sequence. */
static void test_utf8_every_pair(void **state _unused_)
{
	for (unsigned pair = 0; pair < 65536; pair++) {
		uint8_t text[4] = {(uint8_t)(pair >> 8), (uint8_t)pair, 0x80, 0xbf};

		for (size_t len = 1; len <= 4; len++)
			assert_int_equal(utf8__valid((char *)text, len), valid_slowly(text, len));
	}
}

static void test_json_utf8_failure_changes_nothing(void **state _unused_)
{
	_buf_ struct buf b = {0};

	assert_int_equal(buf__append_str(&b, "kept"), 0);
	assert_int_equal(buf__append_json_utf8(&b, "a \"quoted\" line, and then \xff", 27),
			 -EILSEQ);
	assert_buf(&b, "kept");
	assert_int_equal(buf__append_json_utf8(&b, "\"\xc3\xa4\n\xc3\xa4\"", 7), 0);
	assert_buf(&b, "kept\\\"\xc3\xa4\\n\xc3\xa4\\\"");
}

static void test_utf8_clean(void **state _unused_)
{
	char text[] = "a\xff\xc3\xa4\xe6\xbc[\xc0\x80z";

	utf8__clean(text, sizeof(text) - 1);
	assert_string_equal(text, "a?\xc3\xa4?\?[?\?z");
	utf8__clean(text, 0);
}

static void test_base64(void **state _unused_)
{
	static const struct {
		const char *in, *out;
	} table[] = {
		{"f", "Zg=="},
		{"fo", "Zm8="},
		{"foo", "Zm9v"},
		{"foob", "Zm9vYg=="},
		{"fooba", "Zm9vYmE="},
		{"foobar", "Zm9vYmFy"},
		{"\xff\xfe\xfd", "//79"},
		{"\xfb\xf0", "+/A="},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		_buf_ struct buf b = {0};

		assert_int_equal(buf__append_str(&b, "="), 0);
		assert_int_equal(buf__append_base64(&b, table[i].in, strlen(table[i].in)), 0);
		assert_int_equal(b.len, 1 + strlen(table[i].out));
		assert_memory_equal(b.data + 1, table[i].out, b.len - 1);
	}
}

static void test_utf8_encode(void **state)
{
	(void)state;
	for (uint32_t code = 0; code <= 0x10ffff; code++) {
		char text[4];
		size_t len = utf8__encode(code, text);
		uint32_t back = (uint8_t)text[0] & (len == 1 ? 0x7fu : 0x7fu >> len);

		for (size_t i = 1; i < len; i++)
			back = back << 6 | ((uint8_t)text[i] & 0x3fu);
		assert_int_equal(back, code);
		assert_int_equal(utf8__valid(text, len), code < 0xd800 || code > 0xdfff);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_append_grows),
		cmocka_unit_test(test_append_nothing),
		cmocka_unit_test(test_free_leaves_usable),
		cmocka_unit_test(test_reserve_keeps_bytes),
		cmocka_unit_test(test_no_memory_changes_nothing),
		cmocka_unit_test(test_printf),
		cmocka_unit_test(test_json_escapes),
		cmocka_unit_test(test_json_every_byte_at_every_place),
		cmocka_unit_test(test_json_every_length),
		cmocka_unit_test(test_json_only_escapes),
		cmocka_unit_test(test_utf8_table),
		cmocka_unit_test(test_utf8_every_pair),
		cmocka_unit_test(test_json_utf8_failure_changes_nothing),
		cmocka_unit_test(test_utf8_clean),
		cmocka_unit_test(test_utf8_encode),
		cmocka_unit_test(test_base64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
