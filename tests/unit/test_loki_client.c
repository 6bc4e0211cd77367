/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/clock.h"
#include "base/util.h"
#include "config/config.h"
#include "config/options.h"
#include "loki_client.h"

static void the_command_line_comes_first(void **state)
{
	const struct config_client config = {.batchsize = 4096, .batchwait = NS_PER_SEC};
	struct options options = {0};
	struct loki_client c;
	struct batch_opts b;

	(void)state;
	assert_int_equal(loki_client__init(&c, &options, &config), 0);
	b = loki_client__batch(&c);
	assert_int_equal(b.encoding, BATCH_LOKI);
	assert_int_equal(b.max_bytes, 4096);
	assert_int_equal(b.max_wait_ns, NS_PER_SEC);
	options.batch_bytes = 1024;
	b = loki_client__batch(&c);
	assert_int_equal(b.max_bytes, 1024);
	assert_int_equal(b.max_wait_ns, NS_PER_SEC);
	options.batch_wait_ns = 5;
	b = loki_client__batch(&c);
	assert_int_equal(b.max_wait_ns, 5);
	loki_client__done(&c);
}

static void of_the_command_line_alone(void **state)
{
	const struct options options = {.loki_url = "http://loki", .batch_bytes = 1024};
	struct loki_client c;
	struct batch_opts b;

	(void)state;
	assert_int_equal(loki_client__init(&c, &options, NULL), 0);
	b = loki_client__batch(&c);
	assert_int_equal(b.max_bytes, 1024);
	assert_int_equal(b.max_wait_ns, 0);
	assert_int_equal(b.n_external_labels, 0);
	loki_client__done(&c);
}

static void external_labels(void **state)
{
	struct string_pair pairs[] = {{.name = "cluster", .value = "a"},
				      {.name = "dc", .value = ""}};
	const struct config_client config = {.external_labels = {pairs, ARRAY_SIZE(pairs)}};
	const struct options options = {0};
	struct loki_client c;
	struct batch_opts b;

	(void)state;
	assert_int_equal(loki_client__init(&c, &options, &config), 0);
	b = loki_client__batch(&c);
	assert_int_equal(b.n_external_labels, 2);
	assert_string_equal(b.external_labels[0].name, "cluster");
	assert_string_equal(b.external_labels[0].value, "a");
	assert_string_equal(b.external_labels[1].name, "dc");
	assert_string_equal(b.external_labels[1].value, "");
	loki_client__done(&c);
}

static void check_key(const struct options *options, const struct config_client *config,
		      const char *expected)
{
	_free_ char *key = NULL;
	struct loki_client c;

	assert_int_equal(loki_client__init(&c, options, config), 0);
	key = loki_client__key(&c, "http://loki/push");
	assert_non_null(key);
	assert_string_equal(key, expected);
	loki_client__done(&c);
}

static void key_in_the_spool(void **state)
{
	const struct options none = {0}, other = {.tenant = "other"};
	const struct config_client bare = {.name = ""}, tenant = {.tenant_id = "a"},
				   named = {.name = "eu", .tenant_id = "a"};

	(void)state;
	check_key(&none, NULL, "http://loki/push");
	check_key(&other, NULL, "http://loki/push other");
	check_key(&none, &bare, "http://loki/push");
	check_key(&none, &tenant, "http://loki/push a");
	check_key(&other, &tenant, "http://loki/push other");
	check_key(&other, &named, "eu");
}

static void tls(void **state)
{
	const struct config_client config = {
		.tls_config = {.ca_file = "/ca", .min_version = 3, .insecure_skip_verify = true},
		.oauth2 = {.tls_config = {.cert = "pem", .max_version = 4}},
	};
	const struct options options = {0};
	struct loki_client c;

	(void)state;
	assert_int_equal(loki_client__init(&c, &options, &config), 0);
	assert_string_equal(c.tls.ca_file, "/ca");
	assert_true(c.tls.insecure);
	assert_int_equal(c.tls.min_version, 12);
	assert_int_equal(c.tls.max_version, 0);
	assert_null(c.oauth2_tls.ca_file);
	assert_string_equal(c.oauth2_tls.cert, "pem");
	assert_int_equal(c.oauth2_tls.min_version, 0);
	assert_int_equal(c.oauth2_tls.max_version, 13);
	loki_client__done(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_command_line_comes_first),
		cmocka_unit_test(of_the_command_line_alone),
		cmocka_unit_test(external_labels),
		cmocka_unit_test(key_in_the_spool),
		cmocka_unit_test(tls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
