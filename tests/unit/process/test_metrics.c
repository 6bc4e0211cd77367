/* SPDX-License-Identifier: Apache-2.0 */
/* The metrics stage, with the documentation's cases, and the text that it makes. */
#include "own_stages.h"

#include <errno.h>
#include <math.h>

/* log_lines_total and log_bytes_total, which count each line. */
static void match_all(void **state _unused_)
{
	_world_ struct world w = {0};

	open_with(&w, "app=x",
		  "- metrics:\n"
		  "    log_lines_total:\n"
		  "      type: Counter\n"
		  "      description: \"total number of log lines\"\n"
		  "      prefix: my_promtail_custom_\n"
		  "      max_idle_duration: 24h\n"
		  "      config: {match_all: true, action: inc}\n"
		  "    log_bytes_total:\n"
		  "      type: Counter\n"
		  "      description: total bytes of log lines\n"
		  "      config: {match_all: true, count_entry_bytes: true, action: add}\n");
	world__line(&w, "hello");
	world__line(&w, "world!");
	world__expect_metrics(&w, "# HELP my_promtail_custom_log_lines_total total number of log "
				  "lines\n"
				  "# TYPE my_promtail_custom_log_lines_total counter\n"
				  "my_promtail_custom_log_lines_total{app=\"x\"} 2\n"
				  "# HELP notail_custom_log_bytes_total total bytes of log lines\n"
				  "# TYPE notail_custom_log_bytes_total counter\n"
				  "notail_custom_log_bytes_total{app=\"x\"} 11\n");
}

/* successful and failed orders: a counter of one value. */
static void counter_of_a_value(void **state _unused_)
{
	_world_ struct world w = {0};

	open_with(&w, "app=x",
		  "- extract: {order_status: line}\n"
		  "- metrics:\n"
		  "    successful_orders_total:\n"
		  "      type: Counter\n"
		  "      description: log lines with the message `order successful`\n"
		  "      source: order_status\n"
		  "      config: {value: success, action: inc}\n"
		  "    order_status: {type: counter, config: {action: inc}}\n"
		  "    none: {type: counter, config: {action: inc}}\n");
	world__line(&w, "success");
	world__line(&w, "failed");
	world__line(&w, "success");
	world__expect_metrics(&w, "# HELP notail_custom_order_status \n"
				  "# TYPE notail_custom_order_status counter\n"
				  "notail_custom_order_status{app=\"x\"} 3\n"
				  "# HELP notail_custom_successful_orders_total log lines with the "
				  "message `order successful`\n"
				  "# TYPE notail_custom_successful_orders_total counter\n"
				  "notail_custom_successful_orders_total{app=\"x\"} 2\n");
}

static void gauge(void **state _unused_)
{
	_world_ struct world w = {0};

	open_with(&w, "app=x",
		  "- extract: {retries: line}\n"
		  "- metrics:\n"
		  "    set: {type: Gauge, source: retries, config: {action: set}}\n"
		  "    add: {type: Gauge, source: retries, config: {action: add}}\n"
		  "    sub: {type: Gauge, source: retries, config: {action: SUB}}\n"
		  "    inc: {type: Gauge, source: retries, config: {action: inc}}\n"
		  "    dec: {type: Gauge, source: retries, config: {action: dec}}\n"
		  "- labeldrop: [app]\n");
	world__line(&w, "1.5");
	world__line(&w, "nothing");
	world__line(&w, "-2");
	world__line(&w, "300ms");
	world__expect_metrics(&w, "# HELP notail_custom_add \n# TYPE notail_custom_add gauge\n"
				  "notail_custom_add{app=\"x\"} -0.2\n"
				  "# HELP notail_custom_dec \n# TYPE notail_custom_dec gauge\n"
				  "notail_custom_dec{app=\"x\"} -4\n"
				  "# HELP notail_custom_inc \n# TYPE notail_custom_inc gauge\n"
				  "notail_custom_inc{app=\"x\"} 4\n"
				  "# HELP notail_custom_set \n# TYPE notail_custom_set gauge\n"
				  "notail_custom_set{app=\"x\"} 0.3\n"
				  "# HELP notail_custom_sub \n# TYPE notail_custom_sub gauge\n"
				  "notail_custom_sub{app=\"x\"} 0.2\n");
	assert_int_equal(program__counters(w.program)->failed, 3);
}

/* response_time in seconds. */
static void histogram(void **state _unused_)
{
	_world_ struct world w = {0};

	open_with(&w, "app=x",
		  "- extract: {response_time: line}\n"
		  "- metrics:\n"
		  "    http_response_time_seconds:\n"
		  "      type: Histogram\n"
		  "      description: length of each log line\n"
		  "      source: response_time\n"
		  "      config:\n"
		  "        buckets: [0.001,0.0025,0.005,0.010,0.025,0.050]\n");
	world__line(&w, "0.001");
	world__line(&w, "0.02");
	world__line(&w, "7ms");
	world__line(&w, "3");
	world__expect_metrics(
		&w, "# HELP notail_custom_http_response_time_seconds length of each log line\n"
		    "# TYPE notail_custom_http_response_time_seconds histogram\n"
		    "notail_custom_http_response_time_seconds_bucket{app=\"x\",le=\"0.001\"} 1\n"
		    "notail_custom_http_response_time_seconds_bucket{app=\"x\",le=\"0.0025\"} 1\n"
		    "notail_custom_http_response_time_seconds_bucket{app=\"x\",le=\"0.005\"} 1\n"
		    "notail_custom_http_response_time_seconds_bucket{app=\"x\",le=\"0.01\"} 2\n"
		    "notail_custom_http_response_time_seconds_bucket{app=\"x\",le=\"0.025\"} 3\n"
		    "notail_custom_http_response_time_seconds_bucket{app=\"x\",le=\"0.05\"} 3\n"
		    "notail_custom_http_response_time_seconds_bucket{app=\"x\",le=\"+Inf\"} 4\n"
		    "notail_custom_http_response_time_seconds_sum{app=\"x\"} 3.028\n"
		    "notail_custom_http_response_time_seconds_count{app=\"x\"} 4\n");
}

static void counted(const char *value, const char *expected)
{
	_world_ struct world w = {0};

	open_with(&w, "app=x",
		  "- extract: {v: line}\n"
		  "- metrics: {v: {type: gauge, prefix: p_, config: {action: set}}}\n");
	world__line(&w, value);
	world__expect_metrics(&w, expected);
}

/* As Go's ParseFloat reads numbers, and ParseDuration what is none. */
static void numbers_as_go_reads_them(void **state _unused_)
{
	static const struct {
		const char *text, *number;
	} ones[] = {{"+.5", "0.5"},	  {"5.", "5"},	   {"1E+5", "100000"},	{"1_000", "1000"},
		    {"1_0.5e0_1", "105"}, {"0x1p4", "16"}, {"0x_1P-2", "0.25"}, {"-inf", "-Inf"},
		    {"Infinity", "+Inf"}, {"1e-400", "0"}, {"1m1.5s", "61.5"},	{"-5m", "-300"},
		    {"500us", "0.0005"},  {".5s", "0.5"}};
	static const char *const none[] = {
		"0x10", "1__0", "_1", "1_",	 "1_.5", "0b11",   "1e400", "-1e400", "5d", "1w",
		"inf5", " 5",	"5 ", "infinit", "1e",	 "nan(1)", "0x",    ".",      "+",  "--5"};
	char expected[128];

	for (size_t i = 0; i < ARRAY_SIZE(ones); i++) {
		snprintf(expected, sizeof(expected),
			 "# HELP p_v \n# TYPE p_v gauge\np_v{app=\"x\"} %s\n", ones[i].number);
		counted(ones[i].text, expected);
	}
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		counted(none[i], "");
}

/* A series for each set of labels as they are at the stage; equal ones of two streams are one. */
static void by_labels(void **state _unused_)
{
	_world_ struct world w = {0};
	struct label_set *own;

	open_with(&w, "app=x",
		  "- extract: {l: line}\n- labels: {l: }\n"
		  "- metrics: {n: {type: counter, config: {match_all: true, action: inc}}}\n");
	own = w.set;
	world__line(&w, "a\"\\\n");
	world__line(&w, "b");
	w.set = world__set("app=x");
	world__line(&w, "b");
	label_set__unref(w.set);
	w.set = own;
	world__expect_metrics(&w, "# HELP notail_custom_n \n# TYPE notail_custom_n counter\n"
				  "notail_custom_n{app=\"x\",l=\"a\\\"\\\\\\n\"} 1\n"
				  "notail_custom_n{app=\"x\",l=\"b\"} 2\n");
}

static void idle_series_go(void **state _unused_)
{
	_world_ struct world w = {0};

	open_with(&w, "app=x",
		  "- extract: {l: line}\n- labels: {l: }\n"
		  "- metrics: {n: {type: counter, max_idle_duration: 1m,\n"
		  "    config: {match_all: true, action: inc}}}\n");
	world__line(&w, "a");
	w.now_ns += 40 * NS_PER_SEC;
	world__line(&w, "b");
	w.now_ns += 30 * NS_PER_SEC;
	world__expect_metrics(&w, "# HELP notail_custom_n \n# TYPE notail_custom_n counter\n"
				  "notail_custom_n{app=\"x\",l=\"b\"} 1\n");
	w.now_ns += 60 * NS_PER_SEC;
	world__expect_metrics(&w, "");
	world__line(&w, "a");
	world__expect_metrics(&w, "# HELP notail_custom_n \n# TYPE notail_custom_n counter\n"
				  "notail_custom_n{app=\"x\",l=\"a\"} 1\n");
}

static void series_are_bounded(void **state _unused_)
{
	_buf_ struct buf out = {0};
	struct custom_metrics *m;
	struct metric *metric, *again;
	const struct metric_opts opts = {.name = "m", .type = METRIC_GAUGE};
	struct metric_opts other = opts;
	char text[32];

	assert_int_equal(custom_metrics__new(&m), 0);
	assert_int_equal(custom_metrics__add(m, &opts, &metric), 0);
	assert_int_equal(custom_metrics__add(m, &opts, &again), 0);
	assert_ptr_equal(metric, again);
	other.type = METRIC_COUNTER;
	assert_int_equal(custom_metrics__add(m, &other, &again), -EEXIST);
	for (int i = 0; i < METRIC_MAX_SERIES + 5; i++) {
		struct label_set *set;

		snprintf(text, sizeof(text), "a=%d", i);
		set = world__set(text);
		metric__set(metric, set, i ? i / 8. : NAN, 1);
		label_set__unref(set);
	}
	assert_int_equal(custom_metrics__print(m, &out, 1), 0);
	assert_int_equal(buf__append(&out, "", 1), 0);
	assert_non_null(strstr(out.data, "m{a=\"0\"} NaN\n"));
	assert_non_null(strstr(out.data, "m{a=\"9999\"} 1249.875\n"));
	assert_null(strstr(out.data, "a=\"10000\""));
	assert_non_null(strstr(out.data, "\nnotail_custom_series_refused_total 5\n"));
	custom_metrics__free(m);
}

static void what_is_refused(void **state _unused_)
{
	world__says(NULL, "- metrics:", 0,
		    "t.yaml:1:11: warning: [0].metrics: no metrics, expected `name:` with its "
		    "options\n");
	refused("- metrics: [a]", "t.yaml:1:12: [0].metrics: no metrics, expected `name:` with its "
				  "options\n");
	refused("- metrics: {a: {type: summary}}",
		"t.yaml:1:23: [0].metrics.a.type: no type of metric, expected counter, gauge or "
		"histogram\n");
	refused("- metrics: {a: {type: counter}}",
		"t.yaml:1:16: [0].metrics.a: no action of a counter, expected inc or add\n");
	refused("- metrics: {a: {type: counter, config: {action: set}}}",
		"t.yaml:1:49: [0].metrics.a.config.action: no action of a counter, expected inc or "
		"add\n");
	refused("- metrics: {a: {type: counter, config: {action: inc, match_all: true, value: x}}}",
		"t.yaml:1:78: [0].metrics.a.config.value: `value` and `match_all` together, "
		"expected one of them\n");
	refused("- metrics: {a: {type: counter, config: {action: inc, count_entry_bytes: true}}}",
		"t.yaml:1:73: [0].metrics.a.config.count_entry_bytes: bytes are added for each "
		"line, expected `match_all: true` and `action: add`\n");
	refused("- metrics: {a: {type: histogram, config: {buckets: [1, 1]}}}",
		"t.yaml:1:52: [0].metrics.a.config.buckets: `1` is no bound, expected rising "
		"numbers\n");
	refused("- metrics: {a-b: {type: gauge, config: {action: set}}}",
		"t.yaml:1:18: [0].metrics.a-b: `notail_custom_a-b` is no metric name, expected "
		"letters, digits, _ and :\n");
	refused("- metrics: {a: {type: gauge, max_idle_duration: 1ms, config: {action: set}}}",
		"t.yaml:1:49: [0].metrics.a.max_idle_duration: too short, expected at least 1s\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(match_all),
		cmocka_unit_test(counter_of_a_value),
		cmocka_unit_test(gauge),
		cmocka_unit_test(histogram),
		cmocka_unit_test(numbers_as_go_reads_them),
		cmocka_unit_test(by_labels),
		cmocka_unit_test(idle_series_go),
		cmocka_unit_test(series_are_bounded),
		cmocka_unit_test(what_is_refused),
	};

	return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
