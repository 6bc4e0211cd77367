/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/util.h"
#include "config/config.h"

static struct config *parse(const char *yaml)
{
	struct config *config = NULL;
	struct diag *diag;

	assert_int_equal(diag__new(&diag, "f"), 0);
	if (config__parse(&config, yaml, strlen(yaml), NULL, NULL, NULL, diag)) {
		diag__print(diag, stderr);
		fail();
	}
	diag__free(diag);
	return config;
}

static void what_takes_a_restart(void **state)
{
	static const struct {
		const char *yaml, *what;
	} CASES[] = {
		{"clients: [{url: 'http://a', tenant_id: t}]", NULL},
		{"clients: [{url: 'http://a', tenant_id: t}]\nrelabel_configs: []\nlimits: "
		 "{streams: 5}",
		 NULL},
		{"clients: [{url: 'http://a', tenant_id: t}]\ndiscovery: {annotations: {tenants: "
		 "[a]}, kubernetes: {namespaces: {exclude: [b]}}}\npreset_pod: metadata",
		 NULL},
		{"clients: [{url: 'http://a', tenant_id: t}]\ndiscovery: {max_wait: 1s}",
		 "discovery"},
		{"clients: [{url: 'http://b', tenant_id: t}]", "clients"},
		{"clients: [{url: 'http://a'}]", "clients"},
		{"clients: [{url: 'http://a', tenant_id: t, headers: {a: b}}]", "clients"},
		{"clients: [{url: 'http://a', tenant_id: t}]\ncapture: {tap: write}", "capture"},
		{"clients: [{url: 'http://a', tenant_id: t}]\nhost: h", "host"},
		{"clients: [{url: 'http://a', tenant_id: t}]\nlimits: {memory: 10MiB}",
		 "limits.memory"},
	};
	struct config *before = parse(CASES[0].yaml);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
		struct config *after = parse(CASES[i].yaml);
		const char *what = config__restart(before, after);

		if (CASES[i].what)
			assert_string_equal(what, CASES[i].what);
		else
			assert_null(what);
		config__free(after);
	}
	config__free(before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_takes_a_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
