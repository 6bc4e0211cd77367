/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "status/openmetrics.h"

static void expect(const char *text, const char *wanted)
{
	_buf_ struct buf out = {0};

	assert_int_equal(openmetrics__from_text(text, strlen(text), &out), 0);
	assert_int_equal(buf__append(&out, "", 1), 0);
	assert_string_equal(out.data, wanted);
}

static void families(void **state)
{
	(void)state;
	expect("", "# EOF\n");
	expect("# HELP a_total an \"a\"\n# TYPE a_total counter\na_total{b=\"c\"} 1\n",
	       "# TYPE a counter\n# HELP a an \\\"a\\\"\na_total{b=\"c\"} 1\n# EOF\n");
	expect("# HELP a_seconds_total x\n# TYPE a_seconds_total counter\na_seconds_total 1\n",
	       "# TYPE a_seconds counter\n# UNIT a_seconds seconds\n# HELP a_seconds x\n"
	       "a_seconds_total 1\n# EOF\n");
	expect("# HELP b_bytes x y\n# TYPE b_bytes gauge\nb_bytes 1\n",
	       "# TYPE b_bytes gauge\n# UNIT b_bytes bytes\n# HELP b_bytes x y\nb_bytes 1\n# "
	       "EOF\n");
	/* Their counters have to be called _total. */
	expect("# HELP c x\n# TYPE c counter\nc 1\n", "# TYPE c unknown\n# HELP c x\nc 1\n# EOF\n");
}

static void what_is_no_metric(void **state)
{
	(void)state;
	expect("# something\n\n# HELP\n# TYPE \n# HELP a\na 1", "# TYPE  \na 1\n# EOF\n");
}

static void accept(void **state)
{
	(void)state;
	assert_false(openmetrics__wanted(NULL));
	assert_false(openmetrics__wanted(""));
	assert_false(openmetrics__wanted("*/*"));
	assert_false(openmetrics__wanted("text/plain"));
	assert_false(openmetrics__wanted("application/openmetrics-text-not"));
	assert_false(openmetrics__wanted("application/openmetrics-text;q=0"));
	assert_false(openmetrics__wanted("application/openmetrics-text;q=0.2, text/plain;q=0.7"));
	assert_true(openmetrics__wanted("Application/OpenMetrics-Text"));
	/* Prometheus' own. */
	assert_true(openmetrics__wanted(
		"application/openmetrics-text;version=1.0.0,application/openmetrics-text;"
		"version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(families),
		cmocka_unit_test(what_is_no_metric),
		cmocka_unit_test(accept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
