/* SPDX-License-Identifier: Apache-2.0 */
/* Names and values that Loki's label parser takes, whatever an engine says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "process/labels.h"

static int set_up(void **state)
{
	*state = label_set__new();
	return 0;
}

static int tear_down(void **state)
{
	label_set__unref(*state);
	return 0;
}

static void add(struct label_set *s, const char *name, const char *value)
{
	assert_int_equal(label_set__add(s, name, value), 0);
}

static const char *text(struct label_set *s)
{
	assert_int_equal(label_set__seal(s), 0);
	return s->text;
}

static struct label_set *made_of(const char *label, const char *metadata, const char *display)
{
	struct label_set *s = label_set__new();

	add(s, "a", label);
	assert_int_equal(label_set__add_metadata(s, "m", metadata), 0);
	assert_int_equal(label_set__display(s, display), 0);
	assert_int_equal(label_set__seal(s), 0);
	return s;
}

static void same_sets(void **state)
{
	static const char *const others[][3] = {
		{"2", "x", "d"}, {"1", "y", "d"}, {"1", "x", "e"}, {"1", "", "d"}};
	_label_set_ struct label_set *s = made_of("1", "x", "d"), *again = made_of("1", "x", "d");

	(void)state;
	assert_true(label_set__same(s, s));
	assert_true(label_set__same(s, again));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		_label_set_ struct label_set *other =
			made_of(others[i][0], others[i][1], others[i][2]);

		assert_false(label_set__same(s, other));
	}
}

static void empty_set(void **state)
{
	struct label_set *s = *state;

	assert_string_equal(text(s), "{}");
	assert_string_equal(s->display, "");
	assert_int_not_equal(s->hash, 0);
	assert_null(label_set__get(s, "a"));
	label_set__unref(NULL);
}

static void sorted_text(void **state)
{
	add(*state, "stream", "stdout");
	add(*state, "container", "web");
	add(*state, "Zone", "x");
	add(*state, "a_b", "1");
	add(*state, "a", "2");
	assert_string_equal(text(*state), "{Zone=\"x\", a=\"2\", a_b=\"1\", container=\"web\", "
					  "stream=\"stdout\"}");
	assert_string_equal(label_set__get(*state, "container"), "web");
	assert_null(label_set__get(*state, "contain"));
}

static void names(void **state)
{
	static const struct {
		const char *from;
		const char *to;
	} rows[] = {
		{"plain_9", "plain_9"},
		{"com.docker.compose.service", "com_docker_compose_service"},
		{"9lives", "_lives"},
		{"a-b/c d", "a_b_c_d"},
		{"größe", "gr__e"},
		{"\xff\xfe", "__"},
		{"\xbf", "_"},
		{"\n", "_"},
		{"__name__", "__name__"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_label_set_ struct label_set *s = label_set__new();

		add(s, rows[i].from, "v");
		assert_int_equal(s->n_labels, 1);
		assert_string_equal(s->labels[0].name, rows[i].to);
	}
}

static void values(void **state)
{
	static const struct {
		const char *from;
		const char *to;
	} rows[] = {
		{"grüße 日本 🚀", "grüße 日本 🚀"},
		{"a\xff\xfe"
		 "b",
		 "a??b"},
		{"\xc3", "?"},
		{"\xc3(", "?("},
		{"\xe2\x82", "??"},
		{"\xed\xa0\x80", "???"},      /* a surrogate */
		{"\xc0\xaf", "??"},	      /* overlong */
		{"\xf4\x90\x80\x80", "????"}, /* over U+10FFFF */
		{"\xf8\x88\x80\x80\x80", "?????"},
		{"a\xef\xbf\xbd"
		 "b",
		 "a?b"}, /* U+FFFD */
		{"line\nline", "line\nline"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_label_set_ struct label_set *s = label_set__new();

		add(s, "a", rows[i].from);
		assert_string_equal(label_set__get(s, "a"), rows[i].to);
		assert_int_equal(label_set__add_metadata(s, "a", rows[i].from), 0);
		assert_string_equal(s->metadata[0].value, rows[i].to);
	}
}

static void quoted_as_go_does(void **state)
{
	static const struct {
		const char *value;
		const char *text;
	} rows[] = {
		{"a\"b\\c", "{a=\"a\\\"b\\\\c\"}"},
		{"\a\b\t\n\v\f\r", "{a=\"\\a\\b\\t\\n\\v\\f\\r\"}"},
		{"\x01\x1b[31m\x7f", "{a=\"\\x01\\x1b[31m\\x7f\"}"},
		{"\xc2\x85\xe2\x80\xa8\xef\xbb\xbf", "{a=\"\\u0085\\u2028\\ufeff\"}"},
		{"grüße 🚀 {}, =", "{a=\"grüße 🚀 {}, =\"}"},
		{"`x` 'y'", "{a=\"`x` 'y'\"}"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_label_set_ struct label_set *s = label_set__new();

		add(s, "a", rows[i].value);
		assert_string_equal(text(s), rows[i].text);
	}
}

static void empty_adds_nothing(void **state)
{
	struct label_set *s = *state;

	add(s, "a", "");
	add(s, "", "b");
	assert_int_equal(label_set__add_metadata(s, "a", ""), 0);
	assert_int_equal(s->n_labels, 0);
	assert_int_equal(s->n_metadata, 0);
}

static void last_of_one_name_wins(void **state)
{
	struct label_set *s = *state;

	add(s, "a.b", "1");
	add(s, "a-b", "2");
	assert_int_equal(label_set__add_metadata(s, "a.b", "3"), 0);
	assert_int_equal(label_set__add_metadata(s, "a_b", "4"), 0);
	assert_string_equal(text(s), "{a_b=\"2\"}");
	assert_int_equal(s->n_metadata, 1);
	assert_string_equal(s->metadata[0].value, "4");
}

static void long_values_are_cut_between_characters(void **state)
{
	struct label_set *s = *state;
	char value[8001] = "x";

	for (size_t i = 1; i < 8000; i += 2)
		memcpy(value + i, "ü", 2);
	value[7999] = '\0';
	add(s, "a", value);
	assert_int_equal(strlen(label_set__get(s, "a")), 2047);
	assert_true(utf8__valid(label_set__get(s, "a"), 2047));
	memset(value, 'n', 8000);
	value[8000] = '\0';
	add(s, value, "v");
	assert_int_equal(strlen(s->labels[1].name), 1024);
}

static void metadata_is_no_part_of_identity(void **state)
{
	_label_set_ struct label_set *other = label_set__new();
	struct label_set *s = *state;

	add(s, "a", "1");
	add(other, "a", "1");
	assert_int_equal(label_set__add_metadata(other, "pid", "7"), 0);
	assert_int_equal(label_set__display(other, "shown"), 0);
	assert_string_equal(text(s), text(other));
	assert_int_equal(s->hash, other->hash);
	assert_string_equal(other->display, "shown");
}

static uint64_t hash_of(const char *n1, const char *v1, const char *n2, const char *v2)
{
	_label_set_ struct label_set *s = label_set__new();

	add(s, n1, v1);
	add(s, n2, v2);
	assert_int_equal(label_set__seal(s), 0);
	return s->hash;
}

static void hash(void **state)
{
	uint64_t h = hash_of("a", "1", "b", "2");

	(void)state;
	assert_true(h == hash_of("b", "2", "a", "1"));
	assert_true(h != hash_of("a", "2", "b", "1"));
	assert_true(h != hash_of("a", "1", "b", "3"));
	assert_true(h != hash_of("a", "1b", "b", "2"));
	assert_true(hash_of("ab", "c", "x", "1") != hash_of("a", "bc", "x", "1"));
}

static void hashes_differ(void **state)
{
	uint64_t seen[2000];
	char value[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(seen); i++) {
		snprintf(value, sizeof(value), "web-%zu", i);
		seen[i] = hash_of("container", value, "stream", "stdout");
		for (size_t j = 0; j < i; j++)
			assert_true(seen[i] != seen[j]);
	}
}

static void display_for_a_terminal(void **state)
{
	struct label_set *s = *state;

	assert_int_equal(label_set__display(s, "a\x1b[31mb\n\x7f\xc2\x9b"
					       "cü\xff"),
			 0);
	assert_string_equal(s->display, "a?[31mb????cü?");
	assert_int_equal(label_set__display(s, "again"), 0);
	assert_string_equal(s->display, "again");
}

static void lives_until_the_last_reference(void **state)
{
	struct label_set *s = label_set__ref(*state);

	add(s, "a", "1");
	label_set__unref(s);
	assert_string_equal(label_set__get(*state, "a"), "1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
		TEST(empty_set),
		TEST(sorted_text),
		TEST(names),
		TEST(values),
		TEST(quoted_as_go_does),
		TEST(empty_adds_nothing),
		TEST(last_of_one_name_wins),
		TEST(long_values_are_cut_between_characters),
		TEST(metadata_is_no_part_of_identity),
		TEST(same_sets),
		TEST(hash),
		TEST(hashes_differ),
		TEST(display_for_a_terminal),
		TEST(lives_until_the_last_reference),
#undef TEST
	};

	return cmocka_run_group_tests_name("labels", tests, NULL, NULL);
}
