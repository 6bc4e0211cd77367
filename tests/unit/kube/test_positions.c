/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "kube/positions.h"

#define TEXT                                                               \
	"{\"events\":{\"\":{\"revision\":\"7\",\"time\":\"0\"},\"demo\":{" \
	"\"revision\":\"18446744073709551615\",\"time\":\"1795239549000000505\"}}}"

static char directory[64], file[96];

static int make_directory(void **state _unused_)
{
	snprintf(directory, sizeof(directory), "/tmp/notail-positions-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(file, sizeof(file), "%s/events.json", directory);
	return 0;
}

static int remove_directory(void **state _unused_)
{
	unlink(file);
	return rmdir(directory);
}

static struct positions *filled(void)
{
	struct positions *p;

	assert_int_equal(positions__new(&p), 0);
	assert_int_equal(positions__set(p, "demo", (struct position){5, 5}), 0);
	assert_int_equal(
		positions__set(p, "demo", (struct position){UINT64_MAX, 1795239549000000505}), 0);
	assert_int_equal(positions__set(p, "", (struct position){7, 0}), 0);
	return p;
}

static void assert_filled(const struct positions *p)
{
	assert_int_equal(positions__get(p, "demo").revision, UINT64_MAX);
	assert_int_equal(positions__get(p, "demo").time_ns, 1795239549000000505);
	assert_int_equal(positions__get(p, "").revision, 7);
	assert_int_equal(positions__get(p, "another").revision, 7);
}

static void text_and_back(void **state _unused_)
{
	struct positions *p = filled(), *q;
	_buf_ struct buf text = {0};

	assert_filled(p);
	assert_int_equal(positions__text(p, &text), 0);
	assert_int_equal(text.len, strlen(TEXT));
	assert_memory_equal(text.data, TEXT, text.len);
	assert_int_equal(positions__new(&q), 0);
	assert_int_equal(positions__get(q, "").revision, 0);
	assert_int_equal(positions__parse(q, text.data, text.len), 0);
	assert_filled(q);
	positions__free(p);
	positions__free(q);
}

static void what_is_none_changes_nothing(void **state _unused_)
{
	static const char *const texts[] = {"{", "[]", "{}", "{\"events\":[]}", "null", "\xff"};
	struct positions *p = filled();

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_int_equal(positions__parse(p, texts[i], strlen(texts[i])), -EBADMSG);
	assert_filled(p);
	assert_int_equal(positions__parse(p, "", 0), 0);
	assert_int_equal(positions__get(p, "demo").revision, 0);
	positions__free(p);
}

static void the_further_one_stays(void **state _unused_)
{
	static const char text[] =
		"{\"events\":{\"\":{\"revision\":\"9\"},\"demo\":{\"revision\":\"8\"},"
		"\"new\":{\"revision\":\"3\"}}}";
	struct positions *p = filled();

	assert_int_equal(positions__merge(p, "{", 1), -EBADMSG);
	assert_filled(p);
	assert_int_equal(positions__merge(p, "", 0), 0);
	assert_filled(p);
	assert_int_equal(positions__merge(p, text, strlen(text)), 0);
	assert_int_equal(positions__get(p, "").revision, 9);
	assert_int_equal(positions__get(p, "demo").revision, UINT64_MAX);
	assert_int_equal(positions__get(p, "new").revision, 3);
	positions__free(p);
}

static void parts_that_are_wrong_are_none(void **state _unused_)
{
	static const char text[] =
		"{\"events\":{\"a\":7,\"b\":{\"revision\":7},\"c\":{\"revision\":\"7x\"},"
		"\"d\":{\"revision\":\"99999999999999999999\"},\"e\":{\"revision\":\"-1\"}}}";
	struct positions *p;

	assert_int_equal(positions__new(&p), 0);
	assert_int_equal(positions__parse(p, text, strlen(text)), 0);
	for (char name[] = "a"; *name <= 'e'; ++*name)
		assert_int_equal(positions__get(p, name).revision, 0);
	positions__free(p);
}

static void file_and_back(void **state _unused_)
{
	struct positions *p = filled(), *q;
	struct stat st;

	assert_int_equal(positions__new(&q), 0);
	assert_int_equal(positions__load(q, directory), 0);
	assert_int_equal(positions__save(p, directory), 0);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(positions__load(q, directory), 0);
	assert_filled(q);
	assert_int_equal(positions__save(q, directory), 0);
	assert_int_equal(positions__save(q, "/nonexistent"), -ENOENT);
	positions__free(p);
	positions__free(q);
}

static void a_torn_file(void **state _unused_)
{
	struct positions *p = filled();

	assert_int_equal(positions__save(p, directory), 0);
	assert_int_equal(truncate(file, 20), 0);
	assert_int_equal(positions__load(p, directory), -EBADMSG);
	positions__free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_and_back),
		cmocka_unit_test(what_is_none_changes_nothing),
		cmocka_unit_test(the_further_one_stays),
		cmocka_unit_test(parts_that_are_wrong_are_none),
		cmocka_unit_test_setup_teardown(file_and_back, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(a_torn_file, make_directory, remove_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
