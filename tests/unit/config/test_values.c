/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/util.h"
#include "config/values.h"

#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static void docker_hosts(void **state)
{
	static const char *const GOOD[] = {"unix:///s", "unix:///" HUNDRED "123456", "tcp://h:1",
					   "tcp://10.0.0.1:65535", "tcp://[::1]:2375"};
	static const char *const BAD[] = {"",
					  "unix://",
					  "unix:///",
					  "unix://s",
					  "unix:///" HUNDRED "1234567",
					  "tcp://",
					  "tcp://h",
					  "tcp://:1",
					  "tcp://h:",
					  "tcp://h:0",
					  "tcp://h:65536",
					  "tcp://h:1x",
					  "tcp://h:+1",
					  "tcp://h:1/x",
					  "tcp://u@h:1",
					  "http://h:1",
					  "/var/run/docker.sock"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(GOOD); i++)
		if (values__check_docker_host(GOOD[i]))
			fail_msg("%s: refused", GOOD[i]);
	for (size_t i = 0; i < ARRAY_SIZE(BAD); i++)
		if (!values__check_docker_host(BAD[i]))
			fail_msg("%s: taken", BAD[i]);
}

static void names(void **state)
{
	(void)state;
	assert_true(values__is_name("a b"));
	assert_true(values__is_name("\xc3\xa9"));
	assert_false(values__is_name(""));
	assert_false(values__is_name("a\n"));
	assert_false(values__is_name("\x7f"));
}

static void off(void **state)
{
	bool (*const IS[])(const char *text) = {values__listens, values__pins, values__spools};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(IS); i++) {
		assert_false(IS[i](NULL));
		assert_false(IS[i](""));
		assert_false(IS[i]("off"));
		assert_true(IS[i]("/of"));
	}
}

static void pins(void **state)
{
	static const char *const GOOD[] = {NULL, "", "off", "/sys/fs/bpf/notail", "/a"};
	static const char *const BAD[] = {"/",	  "a",	   "./a", "/a/",
					  "/a.b", "/../a", "on",  "/" HUNDRED HUNDRED};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(GOOD); i++)
		assert_null(values__check_pins(GOOD[i]));
	for (size_t i = 0; i < ARRAY_SIZE(BAD); i++)
		if (!values__check_pins(BAD[i]))
			fail_msg("%s: taken", BAD[i]);
}

static void spool_directories(void **state)
{
	(void)state;
	assert_null(values__check_spool_directory(NULL));
	assert_null(values__check_spool_directory("off"));
	assert_null(values__check_spool_directory("/var/lib/notail.d/"));
	assert_non_null(values__check_spool_directory("/"));
	assert_non_null(values__check_spool_directory("var"));
	assert_non_null(values__check_spool_directory("./var"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(docker_hosts),
		cmocka_unit_test(names),
		cmocka_unit_test(off),
		cmocka_unit_test(pins),
		cmocka_unit_test(spool_directories),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
