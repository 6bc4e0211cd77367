/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "base/util.h"
#include "io/server_name.h"

static void applied(void **state)
{
	static const struct {
		const char *url, *name, *renamed, *connect_to, *host_header;
	} cases[] = {
		{"https://10.0.0.5:3100/loki/api/v1/push?a=b", "loki.test",
		 "https://loki.test:3100/loki/api/v1/push?a=b", "::10.0.0.5:3100",
		 "Host: 10.0.0.5:3100"},
		{"https://logs/x", "loki.test", "https://loki.test/x", "::logs:443", "Host: logs"},
		{"https://logs:443/x", "loki.test", "https://loki.test:443/x", "::logs:443",
		 "Host: logs"},
		{"https://[::1]:3100/x", "loki.test", "https://loki.test:3100/x", "::[::1]:3100",
		 "Host: [::1]:3100"},
		{"https://logs/x", "10.0.0.5", "https://10.0.0.5/x", "::logs:443", "Host: logs"},
		{"https://logs/x", "::1", "https://[::1]/x", "::logs:443", "Host: logs"},
		{"https://logs/x", "[::1]", "https://[::1]/x", "::logs:443", "Host: logs"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct server_name s;

		assert_int_equal(server_name__apply(cases[i].url, cases[i].name, &s), 0);
		assert_string_equal(s.url, cases[i].renamed);
		assert_string_equal(s.connect_to, cases[i].connect_to);
		assert_string_equal(s.host_header, cases[i].host_header);
		server_name__free(&s);
	}
}

static void refused(void **state)
{
	static const char *const names[] = {"", "a/b", "a b", "a@b", "a:b", "[::1", "a?b", "a#b"};
	struct server_name s = {.url = (char *)"as it was"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_int_equal(server_name__apply("https://logs/x", names[i], &s), -EINVAL);
	assert_int_equal(server_name__apply("https://", "loki.test", &s), -EINVAL);
	assert_string_equal(s.url, "as it was");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(applied), cmocka_unit_test(refused)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
