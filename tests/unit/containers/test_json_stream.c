/* SPDX-License-Identifier: Apache-2.0 */
/* Objects back to back, cut at every byte. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "containers/json_stream.h"

#define TEXT "{\"a\":\"}\\\"{\"}{\"b\":[{},[1]]}\n \r\n\t{\"c\":\"\\\\\"}"
#define SPLIT "{\"a\":\"}\\\"{\"}|{\"b\":[{},[1]]}|{\"c\":\"\\\\\"}|"

static void collect(void *ctx, const char *object, size_t len)
{
	buf__append(ctx, object, len);
	buf__append_str(ctx, "|");
}

static void cut_at_every_byte(void **state _unused_)
{
	for (size_t at = 0; at <= strlen(TEXT); at++) {
		struct json_stream s = {.max_bytes = 1024};
		_buf_ struct buf out = {0};

		assert_int_equal(json_stream__feed(&s, TEXT, at, collect, &out), 0);
		assert_int_equal(json_stream__feed(&s, TEXT + at, strlen(TEXT) - at, collect, &out),
				 0);
		assert_int_equal(out.len, strlen(SPLIT));
		assert_memory_equal(out.data, SPLIT, out.len);
		json_stream__reset(&s);
	}
}

static void byte_by_byte(void **state _unused_)
{
	struct json_stream s = {.max_bytes = 1024};
	_buf_ struct buf out = {0};

	for (size_t i = 0; i < strlen(TEXT); i++)
		assert_int_equal(json_stream__feed(&s, TEXT + i, 1, collect, &out), 0);
	assert_int_equal(out.len, strlen(SPLIT));
	assert_memory_equal(out.data, SPLIT, out.len);
	json_stream__reset(&s);
}

static void half_an_object_is_none(void **state _unused_)
{
	struct json_stream s = {.max_bytes = 1024};
	_buf_ struct buf out = {0};

	assert_int_equal(json_stream__feed(&s, "{\"a\":{}", 7, collect, &out), 0);
	assert_int_equal(out.len, 0);
	json_stream__reset(&s);
	assert_int_equal(json_stream__feed(&s, "{}", 2, collect, &out), 0);
	assert_int_equal(out.len, 3);
	json_stream__reset(&s);
}

static void something_else_between(void **state _unused_)
{
	static const char *const texts[] = {"x", "{}x", "[]", "{},{}", "\"a\"", "}", "{} 1"};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct json_stream s = {.max_bytes = 1024};
		_buf_ struct buf out = {0};

		assert_int_equal(json_stream__feed(&s, texts[i], strlen(texts[i]), collect, &out),
				 -EBADMSG);
		json_stream__reset(&s);
	}
}

static void bounded(void **state _unused_)
{
	struct json_stream s = {.max_bytes = 8};
	_buf_ struct buf out = {0};

	assert_int_equal(json_stream__feed(&s, "{\"abcd\"}", 8, collect, &out), 0);
	assert_int_equal(json_stream__feed(&s, "{\"ab", 4, collect, &out), 0);
	assert_int_equal(json_stream__feed(&s, "cde\"}", 5, collect, &out), -EMSGSIZE);
	assert_int_equal(out.len, 9);
	json_stream__reset(&s);
	/* One that never ends is refused as soon as it is too long. */
	assert_int_equal(json_stream__feed(&s, "{[[[[[[[[", 9, collect, &out), -EMSGSIZE);
	json_stream__reset(&s);
}

static void too_large_is_read_over(void **state _unused_)
{
	struct json_stream s = {.max_bytes = 8, .drop_bytes = 16};
	_buf_ struct buf out = {0};

	assert_int_equal(json_stream__feed(&s, "{\"a\":1}{\"abc\":", 14, collect, &out), 0);
	assert_int_equal(s.dropped, 0);
	assert_int_equal(json_stream__feed(&s, "{}}{\"b\":2}", 10, collect, &out), 0);
	assert_int_equal(s.dropped, 1);
	assert_int_equal(out.len, 16);
	assert_memory_equal(out.data, "{\"a\":1}|{\"b\":2}|", out.len);
	assert_int_equal(json_stream__feed(&s, "{\"a\":\"123456789", 15, collect, &out), 0);
	assert_int_equal(json_stream__feed(&s, "ab", 2, collect, &out), -EMSGSIZE);
	json_stream__reset(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_at_every_byte),
		cmocka_unit_test(byte_by_byte),
		cmocka_unit_test(half_an_object_is_none),
		cmocka_unit_test(something_else_between),
		cmocka_unit_test(bounded),
		cmocka_unit_test(too_large_is_read_over),
	};

	return cmocka_run_group_tests_name("json_stream", tests, NULL, NULL);
}
