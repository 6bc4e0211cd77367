/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "base/clock.h"
#include "status/client_samples.h"
#include "status/process_samples.h"

static void labels(void **state)
{
	const struct view_client clients[] = {
		{.name = "main", .url = "http://a:1/loki/api/v1/push"},
		{.url = "https://user:pass@loki.example:3100/loki/api/v1/push?x=secret"},
		{.url = "http://loki.example:3100/other"},
		{.url = "http://[::1]:3100"},
		{.url = "http://loki.example:3100"},
	};
	static const char *const wanted[] = {"main", "loki.example:3100", "loki.example:3100#2",
					     "[::1]:3100", "loki.example:3100#3"};
	char label[CLIENT_LABEL_LEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		client_samples__label(clients, i, label);
		assert_string_equal(label, wanted[i]);
	}
}

static uint64_t value(const struct samples *s, const char *metric)
{
	const struct sample *found = samples__find(s, metric);

	if (!found)
		fail_msg("no %s", metric);
	return found->value;
}

static void requests(void **state)
{
	uint64_t now_ns = clock__boot_ns();
	struct batch batch = {
		.lines = 10, .first_ns = now_ns - 2 * NS_PER_SEC, .last_ns = now_ns - NS_PER_SEC};
	_samples_ struct samples s = {0};
	struct sink_stats stats = {0};
	struct view_client c = {.name = "a", .stats = &stats};

	(void)state;
	sink_stats__answered(&stats, 200, 0, 1, 1); /* no shapes yet: nothing to count into */
	sink_stats__init(&stats);
	sink_stats__answered(&stats, 204, 0, 20 * NS_PER_MS, 5000);
	assert_int_equal(stats.failed_ns, 0);
	sink_stats__answered(&stats, 429, 0, 70 * NS_PER_SEC, 100);
	sink_stats__failed(&stats, 429, 0);
	sink_stats__failed(&stats, 503, 0);
	sink_stats__failed(&stats, 404, 0);
	sink_stats__failed(&stats, 302, 0);
	sink_stats__failed(&stats, 0, -ETIMEDOUT);
	sink_stats__failed(&stats, 200, -EIO);
	sink_stats__delivered(&stats, &batch);
	batch.last_ns = 0;
	sink_stats__delivered(&stats, &batch); /* its age is not known */
	client_samples__add(&s, &c, 1);
	assert_false(s.failed);
	for (int i = 0; i < SINK_FAILURES; i++)
		assert_int_equal(stats.retries_by[i], 1);
	assert_int_equal(value(&s, "notail_client_request_duration_seconds_bucket{client=\"a\","
				   "le=\"0.025\"}"),
			 1);
	assert_int_equal(value(&s, "notail_client_request_duration_seconds_bucket{client=\"a\","
				   "le=\"60\"}"),
			 1);
	assert_int_equal(value(&s, "notail_client_request_duration_seconds_count{client=\"a\"}"),
			 2);
	assert_int_equal(value(&s, "notail_client_request_size_bytes_sum{client=\"a\"}"), 5100);
	assert_int_equal(value(&s, "notail_write_to_ack_seconds_count{client=\"a\"}"), 10);
	assert_int_equal(
		value(&s, "notail_client_failed_requests_total{client=\"a\",reason=\"429\"}"), 1);
}

static void of_the_process(void **state)
{
	_samples_ struct samples s = {0};

	(void)state;
	process_samples__add(&s);
	assert_in_range(value(&s, "process_open_fds"), 3, 1000000);
	assert_in_range(value(&s, "process_resident_memory_bytes"), 4096, UINT64_MAX);
	assert_in_range(value(&s, "process_start_time_seconds"),
			clock__real_ns() - 600 * NS_PER_SEC, clock__real_ns());
	assert_in_range(value(&s, "process_threads"), 1, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(labels),
		cmocka_unit_test(requests),
		cmocka_unit_test(of_the_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
