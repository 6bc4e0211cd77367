/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "status/samples.h"

static void expect(const struct samples *s, const char *text)
{
	_buf_ struct buf out = {0};

	assert_int_equal(samples__text(s, &out), 0);
	assert_int_equal(buf__append(&out, "", 1), 0);
	assert_string_equal(out.data, text);
}

static void values_of_one_metric_stand_together(void **state _unused_)
{
	_samples_ struct samples s = {0};

	samples__add(&s, SAMPLE_COUNTER, "a_total{r=\"x\"}", "an a", 1);
	samples__add(&s, SAMPLE_GAUGE, "b", "a b", UINT64_MAX);
	samples__add(&s, SAMPLE_COUNTER, "a_total{r=\"y\"}", "another a", 0);
	samples__add(&s, SAMPLE_COUNTER, "a_totals_total", "no a", 2);
	expect(&s, "# HELP a_total an a\n# TYPE a_total counter\n"
		   "a_total{r=\"x\"} 1\na_total{r=\"y\"} 0\n"
		   "# HELP b a b\n# TYPE b gauge\nb 18446744073709551615\n"
		   "# HELP a_totals_total no a\n# TYPE a_totals_total counter\na_totals_total 2\n");
	assert_int_equal(samples__find(&s, "a_total{r=\"y\"}")->value, 0);
	assert_null(samples__find(&s, "a_total"));
}

static void a_label_is_escaped(void **state _unused_)
{
	_samples_ struct samples s = {0};

	samples__add_labelled(&s, SAMPLE_GAUGE, "up", "client", "a\"b\\c\nd\xff", "u", 1);
	expect(&s, "# HELP up u\n# TYPE up gauge\nup{client=\"a\\\"b\\\\c\\nd?\"} 1\n");
}

/* Each counter, zero or not; what has several values is told of by one HELP that fits them all. */
static void counters_are_all_there(void **state _unused_)
{
	_samples_ struct samples s = {0};
	_buf_ struct buf out = {0};
	struct counters c = {0};
	size_t n = 0;

	counters__add(&c, lost_ring_full, 7);
	samples__add_counters(&s, &c);
	assert_int_equal(s.n, sizeof(c) / sizeof(uint64_t));
	assert_int_equal(samples__find(&s, "notail_lost_bytes_total{reason=\"ring_full\"}")->value,
			 7);
	assert_int_equal(samples__text(&s, &out), 0);
	assert_int_equal(buf__append(&out, "", 1), 0);
	for (const char *p = out.data; (p = strstr(p, "# HELP notail_lost_bytes_total ")); p++)
		n++;
	assert_int_equal(n, 1);
	assert_null(strstr(out.data, "notail_lost_bytes_total bytes lost: ring full"));
	for (size_t i = 0; i < s.n; i++) {
		size_t len = strcspn(s.items[i].metric, "{");

		assert_memory_equal(s.items[i].metric + len - 6, "_total", 6);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_of_one_metric_stand_together),
		cmocka_unit_test(a_label_is_escaped),
		cmocka_unit_test(counters_are_all_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
