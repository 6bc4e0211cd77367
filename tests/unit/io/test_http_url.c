/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "base/buf.h"
#include "base/util.h"
#include "io/http.h"

static void test_check_url(void **state)
{
	static const char *const good[] = {
		"http://localhost:3100",	"https://loki.example/",   "HTTP://10.0.0.1",
		"http://user:secret@loki:3100", "http://[::1]:3100/a?b=c",
	};
	static const char *const bad[] = {
		"",
		"localhost:3100",
		"loki",
		"ftp://loki",
		"http://",
		"http:///",
		"http://lo ki:1/",
		"http://a:99999/",
		"http://a:b/",
		"http://a\n",
		"unix:///var/run/docker.sock",
	};
	const char *why;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(http__check_url(good[i], &why), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		why = NULL;
		assert_int_equal(http__check_url(bad[i], &why), -EINVAL);
		assert_non_null(why);
	}
}

static void check_split(const char *url, const char *bare, const char *userinfo)
{
	_free_ char *ret_url = NULL, *ret_userinfo = NULL;

	assert_int_equal(http__split_userinfo(url, &ret_url, &ret_userinfo), 0);
	assert_string_equal(ret_url, bare);
	if (userinfo)
		assert_string_equal(ret_userinfo, userinfo);
	else
		assert_null(ret_userinfo);
}

static void test_split_userinfo(void **state)
{
	char *url = NULL, *userinfo = NULL;

	(void)state;
	check_split("http://h:1/p?q=a@b", "http://h:1/p?q=a@b", NULL);
	check_split("http://u:s%40x@h:1/p", "http://h:1/p", "u:s@x");
	check_split("https://u@h", "https://h", "u:");
	check_split("https://u:a:b@h", "https://h", "u:a:b");
	assert_int_equal(http__split_userinfo("h", &url, &userinfo), -EINVAL);
	assert_int_equal(http__split_userinfo("http://u:%00@h", &url, &userinfo), -EINVAL);
	assert_null(url);
	assert_null(userinfo);
}

static void test_append_escaped(void **state)
{
	_buf_ struct buf b = {0};

	(void)state;
	assert_int_equal(http__append_escaped(&b, ""), 0);
	assert_int_equal(b.len, 0);
	assert_int_equal(http__append_escaped(&b, "aZ09-._~/?&=+% \xc3\xa9\x01"), 0);
	buf__append(&b, "", 1);
	assert_string_equal(b.data, "aZ09-._~%2F%3F%26%3D%2B%25%20%C3%A9%01");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check_url),
		cmocka_unit_test(test_split_userinfo),
		cmocka_unit_test(test_append_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
