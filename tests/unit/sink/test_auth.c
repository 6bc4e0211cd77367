/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sink/auth.h"

static char path[] = "/tmp/notail-test-XXXXXX";

static int set_up(void **state)
{
	int fd;

	(void)state;
	strcpy(path + strlen(path) - 6, "XXXXXX");
	fd = mkstemp(path);
	return fd < 0 ? -1 : close(fd);
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return 0;
}

static void write_secret(const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void none(void **state)
{
	const struct auth_opts opts = {0};
	struct auth *a = (struct auth *)-1;

	(void)state;
	assert_int_equal(auth__new(&a, &opts), 0);
	assert_null(a);
	auth__free(NULL);
}

static void says(const struct auth_opts *opts, const char *expected)
{
	struct auth *a;
	const char *header = NULL;

	assert_int_equal(auth__new(&a, opts), 0);
	assert_int_equal(auth__header(a, &header), 0);
	assert_string_equal(header, expected);
	assert_int_equal(auth__header(a, &header), 0);
	assert_string_equal(header, expected);
	assert_null(auth__file(a));
	auth__free(a);
}

static void fixed(void **state)
{
	(void)state;
	says(&(struct auth_opts){.username = "me", .password = "s:cret"},
	     "Authorization: Basic bWU6czpjcmV0");
	says(&(struct auth_opts){.username = "me"}, "Authorization: Basic bWU6");
	says(&(struct auth_opts){.bearer_token = "abc"}, "Authorization: Bearer abc");
	says(&(struct auth_opts){.token_type = "Token", .bearer_token = "abc"},
	     "Authorization: Token abc");
	says(&(struct auth_opts){.token_type = "Abc123"}, "Authorization: Abc123");
	says(&(struct auth_opts){.token_type = "", .bearer_token = "abc"},
	     "Authorization: Bearer abc");
}

static void renewed(void **state)
{
	const struct auth_opts opts = {.bearer_token_file = path};
	struct auth *a;
	const char *header = NULL;

	(void)state;
	assert_int_equal(auth__new(&a, &opts), 0);
	assert_string_equal(auth__file(a), path);
	assert_int_equal(auth__header(a, &header), -EINVAL);
	assert_null(header);
	write_secret("  one\n\n");
	assert_int_equal(auth__header(a, &header), 0);
	assert_string_equal(header, "Authorization: Bearer one");
	write_secret("two");
	assert_int_equal(auth__header(a, &header), 0);
	assert_string_equal(header, "Authorization: Bearer two");
	write_secret("three\nX-Other: y\n");
	assert_int_equal(auth__header(a, &header), 0);
	assert_string_equal(header, "Authorization: Bearer two");
	unlink(path);
	assert_int_equal(auth__header(a, &header), 0);
	assert_string_equal(header, "Authorization: Bearer two");
	auth__free(a);
}

static void renewed_of_a_type(void **state)
{
	const struct auth_opts opts = {.token_type = "Digest", .bearer_token_file = path};
	struct auth *a;
	const char *header = NULL;

	(void)state;
	write_secret("one\n");
	assert_int_equal(auth__new(&a, &opts), 0);
	assert_int_equal(auth__header(a, &header), 0);
	assert_string_equal(header, "Authorization: Digest one");
	auth__free(a);
}

static void user_of_a_file(void **state)
{
	const struct auth_opts opts = {.username_file = path, .password = "s:cret"};
	struct auth *a;
	const char *header = NULL;

	(void)state;
	assert_int_equal(auth__new(&a, &opts), 0);
	assert_string_equal(auth__file(a), path);
	assert_int_equal(auth__header(a, &header), -EINVAL);
	write_secret("me\n");
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(auth__header(a, &header), 0);
		assert_string_equal(header, "Authorization: Basic bWU6czpjcmV0");
	}
	write_secret("you\n");
	assert_int_equal(auth__header(a, &header), 0);
	assert_string_equal(header, "Authorization: Basic eW91OnM6Y3JldA==");
	auth__free(a);
}

static void no_file(void **state)
{
	const struct auth_opts opts = {.username = "me", .password_file = "/nonexistent/secret"};
	struct auth *a;
	const char *header = NULL;

	(void)state;
	assert_int_equal(auth__new(&a, &opts), 0);
	assert_int_equal(auth__header(a, &header), -ENOENT);
	assert_null(header);
	auth__free(a);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {test(none),		 test(fixed),
					   test(renewed),	 test(renewed_of_a_type),
					   test(user_of_a_file), test(no_file)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
