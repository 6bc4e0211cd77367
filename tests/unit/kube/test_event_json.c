/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "kube/event_json.h"

#define BACKOFF                                                                                  \
	"{\"apiVersion\":\"events.k8s.io/v1\",\"kind\":\"Event\",\"metadata\":{\"name\":"        \
	"\"web-1.18e9\",\"namespace\":\"demo\",\"uid\":\"u1\",\"resourceVersion\":\"4711\","     \
	"\"creationTimestamp\":\"2026-11-21T05:38:00Z\"},\"eventTime\":null,"                    \
	"\"reportingController\":\"kubelet\",\"reportingInstance\":\"node-1\",\"reason\":"       \
	"\"BackOff\",\"regarding\":{\"kind\":\"Pod\",\"namespace\":\"demo\",\"name\":\"web-1\"," \
	"\"uid\":\"p1\",\"apiVersion\":\"v1\",\"resourceVersion\":\"341\",\"fieldPath\":"        \
	"\"spec.containers{web}\"},\"note\":\"Back-off restarting \\\"web\\\"\\n=1\",\"type\":"  \
	"\"Warning\",\"deprecatedSource\":{\"component\":\"kubelet\",\"host\":\"node-1\"},"      \
	"\"deprecatedFirstTimestamp\":\"2026-11-21T05:38:04Z\",\"deprecatedLastTimestamp\":"     \
	"\"2026-11-21T05:39:09Z\",\"deprecatedCount\":7}"
#define SECONDS 1795239549ull /* date -d 2026-11-21T05:39:09Z +%s */

static struct event parse(const char *json)
{
	struct event e = {0};

	assert_int_equal(event_json__parse(json, strlen(json), &e), 0);
	return e;
}

static void assert_line(const char *json, enum event_format format, const char *expected)
{
	_event_ struct event e = parse(json);
	_buf_ struct buf out = {0};

	assert_int_equal(event__line(&e, format, &out), 0);
	buf__append(&out, "", 1);
	assert_string_equal(out.data, expected);
}

static void keys_and_order_are_alloys(void **state _unused_)
{
	assert_line(BACKOFF, EVENT_LOGFMT,
		    "name=web-1 kind=Pod objectAPIversion=v1 objectRV=341 eventRV=4711 "
		    "reportinginstance=node-1 reportingcontroller=kubelet sourcecomponent=kubelet "
		    "sourcehost=node-1 reason=BackOff type=Warning count=7 "
		    "msg=\"Back-off restarting \\\"web\\\"\\n=1\"");
}

static void the_same_in_json(void **state _unused_)
{
	assert_line(BACKOFF, EVENT_JSON,
		    "{\"name\":\"web-1\",\"kind\":\"Pod\",\"objectAPIversion\":\"v1\","
		    "\"objectRV\":\"341\",\"eventRV\":\"4711\",\"reportinginstance\":\"node-1\","
		    "\"reportingcontroller\":\"kubelet\",\"sourcecomponent\":\"kubelet\","
		    "\"sourcehost\":\"node-1\",\"reason\":\"BackOff\",\"type\":\"Warning\","
		    "\"count\":7,\"msg\":\"Back-off restarting \\\"web\\\"\\n=1\"}");
}

static void older_names_of_the_fields(void **state _unused_)
{
	assert_line("{\"metadata\":{\"resourceVersion\":\"1\"},\"involvedObject\":{\"name\":\"n\"},"
		    "\"reportingComponent\":\"c\",\"source\":{\"host\":\"h\"},\"message\":\"m\","
		    "\"count\":3}",
		    EVENT_LOGFMT,
		    "name=n eventRV=1 reportingcontroller=c sourcehost=h count=3 msg=\"m\"");
}

static void what_is_missing_is_left_out(void **state _unused_)
{
	assert_line("{\"metadata\":{\"resourceVersion\":\"1\"},\"reason\":7,\"regarding\":[],"
		    "\"series\":null}",
		    EVENT_LOGFMT, "name=\"\" eventRV=1 msg=\"\"");
}

static void values_that_logfmt_would_cut_are_quoted(void **state _unused_)
{
	assert_line("{\"metadata\":{\"resourceVersion\":\"1\"},\"regarding\":{\"name\":\"a b\"},"
		    "\"reason\":\"x=y\",\"type\":\"\\\"\",\"action\":\"\\u0007\"}",
		    EVENT_LOGFMT,
		    "name=\"a b\" action=\"\\u0007\" eventRV=1 reason=\"x=y\" type=\"\\\"\" "
		    "msg=\"\"");
}

static void what_is_no_event(void **state _unused_)
{
	static const char *const texts[] = {
		"",
		"[]",
		"{",
		"null",
		"{\"metadata\":{}}",
		"{\"metadata\":{\"resourceVersion\":1}}",
		"\1",
	};
	struct event e = {.count = 77};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_int_equal(event_json__parse(texts[i], strlen(texts[i]), &e), -EBADMSG);
	assert_int_equal(e.count, 77);
}

static void assert_time(const char *members, uint64_t ns, bool whole)
{
	_buf_ struct buf json = {0};
	_event_ struct event e = {0};

	assert_int_equal(
		buf__printf(&json, "{\"metadata\":{\"resourceVersion\":\"5000042\"}%s}", members),
		0);
	assert_int_equal(event_json__parse(json.data, json.len, &e), 0);
	assert_int_equal(e.time_ns, ns);
	assert_int_equal(event__time_ns(&e, 99),
			 ns ? ns + 5000042 % (whole ? NS_PER_MS : 1000) : 99);
}

static void its_last_time_counts(void **state _unused_)
{
	assert_time(",\"deprecatedLastTimestamp\":\"2026-11-21T05:39:09Z\",\"eventTime\":null",
		    SECONDS * NS_PER_SEC, true);
	assert_time(",\"eventTime\":\"2026-11-21T05:39:09.123456Z\"",
		    SECONDS * NS_PER_SEC + 123456000, false);
	assert_time(",\"eventTime\":\"2026-11-21T05:39:09.123456Z\",\"series\":{\"count\":2,"
		    "\"lastObservedTime\":\"2026-11-21T05:39:10.5Z\"}",
		    (SECONDS + 1) * NS_PER_SEC + 500000000, false);
	assert_time(",\"eventTime\":\"2026-11-21T07:09:09+01:30\"", SECONDS * NS_PER_SEC, true);
	assert_time(",\"eventTime\":\"2026-11-21T00:39:09-05:00\"", SECONDS * NS_PER_SEC, true);
}

static void what_is_no_time(void **state _unused_)
{
	static const char *const texts[] = {
		"",
		"2026-11-21",
		"2026-11-21T05:39:09",
		"2026-11-21T05:39:09.",
		"2026-11-21T05:39:09+1:00",
		"2026-11-21T05:39:09+24:00",
		"2026-11-21 05:39:09Z",
		"0001-01-01T00:00:00Z",
		"9999-01-01T00:00:00Z",
		"2026-1x-21T05:39:09Z",
	};
	char members[128];

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		snprintf(members, sizeof(members), ",\"eventTime\":\"%s\"", texts[i]);
		assert_time(members, 0, true);
	}
}

static void the_creation_is_better_than_nothing(void **state _unused_)
{
	_event_ struct event e = parse("{\"metadata\":{\"resourceVersion\":\"x7\","
				       "\"creationTimestamp\":\"2026-11-21T05:39:09Z\"}}");

	assert_int_equal(e.revision, 0);
	assert_int_equal(event__time_ns(&e, 0), SECONDS * NS_PER_SEC);
}

static void the_creation_is_better_than_a_clock_that_is_wrong(void **state _unused_)
{
	_event_ struct event boot = parse("{\"metadata\":{\"resourceVersion\":\"7\","
					  "\"creationTimestamp\":\"2026-11-21T05:39:09Z\"},"
					  "\"eventTime\":\"1970-01-01T00:02:00.5Z\"}");
	_event_ struct event late = parse("{\"metadata\":{\"resourceVersion\":\"7\","
					  "\"creationTimestamp\":\"2026-11-23T05:39:09Z\"},"
					  "\"deprecatedLastTimestamp\":\"2026-11-21T05:39:09Z\"}");

	assert_int_equal(event__time_ns(&boot, 0), SECONDS * NS_PER_SEC + 7);
	assert_int_equal(event__time_ns(&late, 0), SECONDS * NS_PER_SEC + 7);
}

static void a_long_message_is_cut(void **state _unused_)
{
	static const char HEAD[] = "{\"metadata\":{\"resourceVersion\":\"1\"},\"note\":\"x";
	_buf_ struct buf json = {0}, out = {0};
	_event_ struct event e = {0};

	buf__append_str(&json, HEAD);
	while (json.len < EVENT_MAX_MESSAGE + 100)
		buf__append_str(&json, "ä");
	buf__append_str(&json, "\"}");
	assert_int_equal(event_json__parse(json.data, json.len, &e), 0);
	assert_int_equal(event__line(&e, EVENT_LOGFMT, &out), 0);
	assert_true(utf8__valid(out.data, out.len));
	assert_in_range(out.len, EVENT_MAX_MESSAGE, EVENT_MAX_MESSAGE + 40);
}

static void a_series_counts(void **state _unused_)
{
	_event_ struct event e = parse("{\"metadata\":{\"resourceVersion\":\"1\"},"
				       "\"series\":{\"count\":12},\"deprecatedCount\":3}");

	assert_int_equal(e.count, 12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_and_order_are_alloys),
		cmocka_unit_test(the_same_in_json),
		cmocka_unit_test(older_names_of_the_fields),
		cmocka_unit_test(what_is_missing_is_left_out),
		cmocka_unit_test(values_that_logfmt_would_cut_are_quoted),
		cmocka_unit_test(what_is_no_event),
		cmocka_unit_test(its_last_time_counts),
		cmocka_unit_test(what_is_no_time),
		cmocka_unit_test(the_creation_is_better_than_nothing),
		cmocka_unit_test(the_creation_is_better_than_a_clock_that_is_wrong),
		cmocka_unit_test(a_long_message_is_cut),
		cmocka_unit_test(a_series_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
