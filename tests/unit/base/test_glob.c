/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/glob.h"
#include "base/util.h"

static void matches(void **state)
{
	static const char *const GOOD[][2] = {
		{"", ""},
		{"/a/b", "/a/b"},
		{"/a/*.log", "/a/b.log"},
		{"/a/*", "/a/"},
		{"/a/?.log", "/a/b.log"},
		{"/a/*/*log", "/a/b/b-json.log"},
		{"/a/**/*.log", "/a/b/c/d.log"},
		{"/a/**/*.log", "/a/d.log"},
		{"/a/**", "/a/b/c"},
		{"**/c", "/a/b/c"},
		{"/a/[b-d]x", "/a/cx"},
		{"/a/[!b]x", "/a/cx"},
		{"/a/[]]", "/a/]"},
		{"/{a,b*,c}/d", "/bcd/d"},
		{"/{a,{b,c}}{d,}", "/c"},
		{"/a\\*", "/a*"},
		{"/{a\\,b}", "/a,b"},
	};
	static const char *const BAD[][2] = {
		{"", "a"},	    {"/a", "/a/"},	  {"/a/*", "/a/b/c"},
		{"/a/?", "/a//"},   {"/a/[b-d]", "/a/e"}, {"/a/[b", "/a/b"},
		{"/{a,b", "/a"},    {"/a\\", "/a"},	  {"/a/[/]", "/a//"},
		{"/{a,b}", "/a,b"}, {"*/b", "/a/b"},	  {"/[!a]", "/"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(GOOD); i++)
		if (!glob__match(GOOD[i][0], GOOD[i][1]))
			fail_msg("%s does not match %s", GOOD[i][0], GOOD[i][1]);
	for (size_t i = 0; i < ARRAY_SIZE(BAD); i++)
		if (glob__match(BAD[i][0], BAD[i][1]))
			fail_msg("%s matches %s", BAD[i][0], BAD[i][1]);
}

static void bounded(void **state)
{
	char pattern[4000], path[1000];

	(void)state;
	for (size_t i = 0; i + 4 < sizeof(pattern); i += 4)
		memcpy(pattern + i, "**a*", 5);
	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_false(glob__match(pattern, path));
	memset(pattern, '{', sizeof(pattern) - 1);
	pattern[sizeof(pattern) - 1] = '\0';
	assert_false(glob__match(pattern, path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(matches),
		cmocka_unit_test(bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
