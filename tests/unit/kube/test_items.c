/* SPDX-License-Identifier: Apache-2.0 */
/* Lists, cut at every byte, and what is none. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "kube/items.h"

#define TEXT                                                        \
	" {\"kind\":\"X\\\"List\",\"items\" : [ {\"a\":\"}\\\\\"} " \
	",{\"items\":[{}]},\n{}],\"n\":-1,"                         \
	"\"o\":[{\"items\":[1]},\"]\"],\"t\":null,"                 \
	"\"metadata\":{\"resourceVersion\":\"4\\u0037\",\"continue\":\"next\"} }\n"
#define ITEMS "{\"a\":\"}\\\\\"}|{\"items\":[{}]}|{}|"

static void collect(void *ctx, const char *json, size_t len)
{
	buf__append(ctx, json, len);
	buf__append_str(ctx, "|");
}

static void check(struct kube_items *l, struct buf *out)
{
	assert_int_equal(kube_items__end(l), 0);
	assert_int_equal(out->len, strlen(ITEMS));
	assert_memory_equal(out->data, ITEMS, out->len);
	assert_string_equal(l->version, "47");
	assert_string_equal(l->next_page, "next");
	out->len = 0;
}

static void cut_at_every_byte(void **state _unused_)
{
	struct kube_items l = {0};
	_buf_ struct buf out = {0};

	for (size_t at = 0; at <= strlen(TEXT); at++) {
		kube_items__begin(&l, 64);
		assert_int_equal(kube_items__feed(&l, TEXT, at, collect, &out), 0);
		/* What is behind the brace is white space alone. */
		assert_int_equal(kube_items__end(&l), at >= strlen(TEXT) - 1 ? 0 : -EBADMSG);
		assert_int_equal(kube_items__feed(&l, TEXT + at, strlen(TEXT) - at, collect, &out),
				 0);
		check(&l, &out);
	}
	kube_items__begin(&l, 64);
	for (size_t i = 0; i < strlen(TEXT); i++)
		assert_int_equal(kube_items__feed(&l, TEXT + i, 1, collect, &out), 0);
	check(&l, &out);
	kube_items__free(&l);
}

static int feed(const char *text, size_t max_item, struct buf *out)
{
	struct kube_items l = {0};
	int err;

	kube_items__begin(&l, max_item);
	err = kube_items__feed(&l, text, strlen(text), collect, out);
	if (!err)
		err = kube_items__end(&l);
	kube_items__free(&l);
	return err;
}

static void nothing_in_it(void **state _unused_)
{
	static const char *const texts[] = {
		"{\"items\":[]}", "{\"items\":null}", "{\"items\":null,\"kind\":\"L\"}",
		"{\"kind\":\"L\",\"items\":[],\"metadata\":{}}",
		"{\"metadata\":{\"resourceVersion\":7,\"continue\":[]},\"items\":[]}"};
	_buf_ struct buf out = {0};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_int_equal(feed(texts[i], 64, &out), 0);
	assert_int_equal(out.len, 0);
}

static void no_lists(void **state _unused_)
{
	static const char *const texts[] = {"",
					    "x",
					    "[]",
					    "<html>",
					    "{}",
					    "{\"kind\":\"Status\"}",
					    "{\"items\":{}}",
					    "{\"items\":[1]}",
					    "{\"items\":[[]]}",
					    "{\"items\":[]}}",
					    "{\"items\":[]",
					    "{\"items\":[}",
					    "{\"items\"[]}",
					    "{\"items\":[]}{}",
					    "{items:[]}",
					    "{\"it\\u0065ms\":[]}",
					    "\"items\"",
					    "{\"items\":\"a\"}"};
	_buf_ struct buf out = {0};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		if (feed(texts[i], 64, &out) != -EBADMSG)
			fail_msg("a list: %s", texts[i]);
	}
	assert_int_equal(out.len, 0);
}

static void too_large_is_left_out(void **state _unused_)
{
	_buf_ struct buf out = {0};
	struct kube_items l = {0};
	char some[4096];

	assert_int_equal(feed("{\"items\":[{\"a\":\"12345\"},{\"a\":1}]}", 10, &out), 0);
	assert_int_equal(out.len, 8);
	/* One that does not end. */
	memset(some, '[', sizeof(some));
	kube_items__begin(&l, 64);
	assert_int_equal(kube_items__feed(&l, "{\"items\":[{", 11, collect, &out), 0);
	for (size_t i = 0; i < KUBE_DROP_BYTES / sizeof(some) - 1; i++)
		assert_int_equal(kube_items__feed(&l, some, sizeof(some), collect, &out), 0);
	assert_true(l.item.object.size <= 64 * 2 + 4096);
	assert_int_equal(kube_items__feed(&l, some, sizeof(some), collect, &out), -EMSGSIZE);
	/* Metadata has a bound of its own. */
	kube_items__begin(&l, 64);
	assert_int_equal(kube_items__feed(&l, "{\"metadata\":{", 13, collect, &out), 0);
	for (size_t i = 0; i < 15; i++)
		assert_int_equal(kube_items__feed(&l, some, sizeof(some), collect, &out), 0);
	assert_int_equal(kube_items__feed(&l, some, sizeof(some), collect, &out), -EMSGSIZE);
	kube_items__free(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_at_every_byte),
		cmocka_unit_test(nothing_in_it),
		cmocka_unit_test(no_lists),
		cmocka_unit_test(too_large_is_left_out),
	};

	return cmocka_run_group_tests_name("items", tests, NULL, NULL);
}
