/* SPDX-License-Identifier: Apache-2.0 */
/* What is a container's cgroup by its name, and what a pattern asks for: the code is the kernel
 * side's too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "capture/names.h"
#include "cgroup_names.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void each_name_of_the_table(void **state _unused_)
{
#define ROW(before, after, engine)                                \
	assert_true(names__container("/parent" before ID after)); \
	assert_false(names__container("/parent" before ID after "x"));
	NT_CONTAINER_NAMES(ROW)
#undef ROW
}

static void containers(void **state _unused_)
{
	static const char *const paths[] = {
		ID,
		"/" ID,
		"/a/" ID,
		"docker-" ID ".scope",
		"/docker/" ID "/docker/" ID,
		"/docker/" ID "/system.slice/docker-" ID ".scope",
		"/libpod-" ID ".scope/container",
	};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		if (!names__container(paths[i]))
			fail_msg("%s", paths[i]);
	}
}

static void no_containers(void **state _unused_)
{
	static const char *const paths[] = {
		"",
		"/",
		"/docker/" ID "/init.scope",
		"/docker/" ID "/container",
		"/docker/0123456789abcdef",
		"/docker/0123456789abcdef0123456789abcdef-0123456789abcdef0123456789abcdef",
		"/docker/0" ID,
		"/machine.slice/libpod-conmon-" ID ".scope",
		"/pod/crio-conmon-" ID ".scope",
		"/libpod-" ID ".scope/init.scope",
		"/libpod-" ID ".scope/container/sub",
		"/system.slice/docker-" ID,
		"/system.slice/docker-" ID ".scopes",
		"/foo:docker:" ID,
	};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		if (names__container(paths[i]))
			fail_msg("%s", paths[i]);
	}
}

static bool asked(const char *path, const char *pattern)
{
	return names__asked(path, &pattern, 1);
}

static void patterns(void **state _unused_)
{
	static const struct {
		const char *pattern, *path;
		bool matches;
	} rows[] = {
		{"/system.slice/foo.service", "/system.slice/foo.service", true},
		{"/system.slice/foo.service", "/system.slice/foo.service/sub/deeper", true},
		{"/system.slice/foo.service", "/system.slice/foo.service2", false},
		{"/system.slice/foo.service", "/system.slice/foo.servic", false},
		{"/system.slice/foo.service", "/system.slice", false},
		{"/system.slice/foo.service", "/", false},
		{"/system.slice/foo.service", "/user.slice/system.slice/foo.service", false},
		{"/system.slice", "/system.slice/any.service", true},
		{"/lxc.payload.*", "/lxc.payload.web", true},
		{"/lxc.payload.*", "/lxc.payload.", true},
		{"/lxc.payload.*", "/lxc.payload.web/init.scope", true},
		{"/lxc.payload.*", "/lxc.monitor.web", false},
		{"/lxc.payload.*", "/a/lxc.payload.web", false},
		{"/a*/b", "/a/x/b", false},
		{"/a*/b", "/a123/b", true},
		{"/*/b*c", "/x/b1c2c", true},
		{"/*/b*c", "/x/b1c2d", false},
		{"/*ab*ab", "/xabab", true},
		{"/*ab*ab", "/xab", false},
		{"/*a*b*c*", "/bcacbbc", true},
		{"/*a*b*c*", "/bcacb", false},
		{"/*/*/b", "/a/b/b", true},
		{"/*/*/b", "/a/b", false},
		{"/f?o", "/foo", true},
		{"/f?o", "/f/o", false},
		{"/f?o", "/fo", false},
		{"/f??", "/f", false},
		{"/[a]", "/a", false},
		{"/[a]", "/[a]", true},
		{"/a\\x2db", "/a\\x2db", true},
		{"/**", "/x", true},
		{"/*", "/x/y/z", true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (asked(rows[i].path, rows[i].pattern) != rows[i].matches)
			fail_msg("%s: %s", rows[i].pattern, rows[i].path);
	}
}

static void any_of_several(void **state _unused_)
{
	static const char *const several[] = {"/a", "/b/c", "/d*"};

	assert_true(names__asked("/b/c", several, 3));
	assert_true(names__asked("/dd", several, 3));
	assert_false(names__asked("/dd", several, 2));
	assert_false(names__asked("/b", several, 3));
	assert_false(names__asked("/a", NULL, 0));
}

static void check(void **state _unused_)
{
	static const char *const bad[] = {
		"",	   "/",	  "a",	   "system.slice/x", "/a/",    "/a//b",		  "//a",
		"/a/../b", "/..", "/a/..", "/a\nb",	     "/a\x7f", "/sys/fs/cgroup/a"};
	char longest[NT_ASKED_LEN + 1];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (!names__check(bad[i]))
			fail_msg("%s", bad[i]);
	}
	assert_null(names__check("/a"));
	assert_null(names__check("/system.slice/a b.service"));
	assert_null(names__check("/a..b/..c"));
	memset(longest, 'x', sizeof(longest));
	longest[0] = '/';
	longest[NT_ASKED_LEN] = '\0';
	assert_non_null(names__check(longest));
	longest[NT_ASKED_LEN - 1] = '\0';
	assert_null(names__check(longest));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_name_of_the_table), cmocka_unit_test(containers),
		cmocka_unit_test(no_containers),	  cmocka_unit_test(patterns),
		cmocka_unit_test(any_of_several),	  cmocka_unit_test(check),
	};

	return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}
