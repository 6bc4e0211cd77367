/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "a_view.h"
#include "status/page.h"

static char *make(const struct view *v)
{
	_buf_ struct buf out = {0};

	assert_int_equal(page__html(v, &out), 0);
	assert_true(utf8__valid(out.data, out.len));
	assert_int_equal(buf__append(&out, "", 1), 0);
	assert_int_equal(strlen(out.data), out.len - 1);
	return strdup(out.data);
}

static size_t count(const char *text, const char *what)
{
	size_t n = 0;

	for (; (text = strstr(text, what)); text += strlen(what))
		n++;
	return n;
}

static void escaping(void **state _unused_)
{
	static const char *const texts[][2] = {
		{"", ""},
		{"web-1 \xc3\xa4", "web-1 \xc3\xa4"},
		{"<b>&\"'", "&lt;b&gt;&amp;&quot;&#39;"},
		{"a\nb\tc\x01\x7f", "a?b?c??"},
		{"\xff\xc0\x80 \xe2\x82", "??? ??"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_buf_ struct buf out = {0};

		assert_int_equal(page__escape(&out, texts[i][0]), 0);
		assert_int_equal(out.len, strlen(texts[i][1]));
		assert_memory_equal(out.data ? out.data : "", texts[i][1], out.len);
	}
}

static void all_of_it(void **state _unused_)
{
	static const char *const parts[] = {
		"<bdi>web</bdi>", "0123456789ab<",
		"busybox",	  "reader 7 containerd-shim",
		"no such file",	  "/etc/notail/notail.yaml",
		"it is wrong",	  "notail.io/exclude",
		"<bdi>off</bdi>", "1&#8239;234&#8239;567",
		"a warning",	  "<bdi>notail_lines_total</bdi>",
		"16.0&#8239;MiB", "Too many values",
		"5.0&#8239;MiB",  "no space left",
		"no bpffs",	  "4&#8239;321 lines dropped",
		">shop</bdi>/",	  ">web-7d4b</bdi>",
	};
	_samples_ struct samples samples = {0};
	struct snapshot *s = a_snapshot("web", 10, 100, 3);
	struct view v = a_view(s, &samples);
	_free_ char *page = NULL;

	samples__add(&samples, SAMPLE_COUNTER, "notail_lines_total", "lines", 3);
	samples__add(&samples, SAMPLE_COUNTER, "notail_gaps_total", "gaps", 0);
	page = make(&v);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (!strstr(page, parts[i]))
			fail_msg("%s is not on the page", parts[i]);
	assert_null(strstr(page, "notail_gaps_total"));
	assert_null(strstr(page, "<script"));
	assert_null(strstr(page, "src="));
	snapshot__free(s);
}

static void rates(void **state _unused_)
{
	_samples_ struct samples samples = {0};
	struct snapshot *before = a_snapshot("web", 10, 1000, 10);
	struct snapshot *now = a_snapshot("web", 14, 1000 + 4 * 77, 10 + 4 * 5);
	struct view v = a_view(now, &samples);
	_free_ char *first = make(&v), *second = NULL;

	assert_null(strstr(first, "77&#8239;B/s"));
	v.before = before;
	second = make(&v);
	assert_non_null(strstr(second, "77&#8239;B/s"));
	assert_non_null(strstr(second, "<b>10</b><span>lines per second"));
	assert_non_null(strstr(second, "rates over the last 4 s"));
	snapshot__free(now);
	snapshot__free(before);
}

/* Whatever is said by others: the elements are the same as with a harmless name. */
static void nothing_gets_through(void **state _unused_)
{
	static const char *const names[] = {
		"<script>alert(1)</script>",
		"\"><img src=x onerror=alert(1)>",
		"' onclick='x",
		"</td></tr></table>",
		"<!--",
		"\xff<\xc0>",
		"</style><script>",
		"&lt;script&gt;",
	};
	_samples_ struct samples samples = {0};
	struct snapshot *plain = a_snapshot("web", 10, 100, 3);
	struct view v = a_view(plain, &samples);
	_free_ char *expected = NULL;

	v.host = v.hooks = v.hooks_why = v.engine.host = v.engine.problem = "web";
	v.clients[0].name = v.clients[0].url = v.clients[0].problem = "web";
	v.config.file = v.config.problem = "web";
	v.source.kind = v.source.url = v.source.problem = "web";
	samples__add(&samples, SAMPLE_COUNTER, "x", "x", 1);
	expected = make(&v);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_samples_ struct samples theirs = {0};
		struct snapshot *s = a_snapshot(names[i], 10, 100, 3);
		struct view w = a_view(s, &theirs);
		_free_ char *page = NULL;

		w.host = w.hooks = w.hooks_why = w.engine.host = w.engine.problem = names[i];
		w.clients[0].name = w.clients[0].url = w.clients[0].problem = names[i];
		w.config.file = w.config.problem = names[i];
		w.source.kind = w.source.url = w.source.problem = names[i];
		snprintf(w.messages[0].text, sizeof(w.messages[0].text), "%s", names[i]);
		samples__add(&theirs, SAMPLE_COUNTER, names[i], "x", 1);
		page = make(&w);
		assert_int_equal(count(page, "<"), count(expected, "<"));
		assert_int_equal(count(page, ">"), count(expected, ">"));
		assert_int_equal(count(page, "\""), count(expected, "\""));
		snapshot__free(s);
	}
	snapshot__free(plain);
}

static void bounded(void **state _unused_)
{
	const size_t n = PAGE_MAX_STREAMS + 10;
	_samples_ struct samples samples = {0};
	_free_ char *page = NULL;
	struct snapshot *s;
	struct view v;

	assert_int_equal(snapshot__new(&s, SNAPSHOT_TARGETS, n, n), 0);
	for (size_t i = 0; i < n; i++) {
		struct snapshot_target t = {.cgroup_id = i, .meta = meta__new()};
		struct snapshot_stream stream = {.file = LINE_STDOUT};

		t.meta->name = strdup("many");
		stream.target = snapshot__add_target(s, &t);
		snapshot__add_stream(s, &stream);
	}
	snapshot__seal(s);
	v = a_view(s, &samples);
	page = make(&v);
	assert_int_equal(count(page, "<bdi>many</bdi>"), PAGE_MAX_STREAMS);
	assert_non_null(strstr(page, ">10 without a name"));
	snapshot__free(s);
}

static void source_of_pods(void **state _unused_)
{
	_samples_ struct samples samples = {0};
	struct snapshot *s = a_snapshot("web", 10, 100, 3);
	struct view v = a_view(s, &samples);
	_free_ char *none = make(&v), *up = NULL, *down = NULL;

	assert_null(strstr(none, "<th>pods</th>"));
	v.source = (struct view_source){
		.kind = "api", .url = "https://10.96.0.1:443", .up = true, .pods = 17};
	up = make(&v);
	assert_non_null(
		strstr(up, "api</bdi> <bdi>https://10.96.0.1:443</bdi>, <span class=\"good\">"));
	assert_non_null(strstr(up, "; 17 pods<"));
	v.source.up = false;
	v.source.problem = "needs watch on pods (403)";
	down = make(&v);
	assert_non_null(strstr(down, "not connected: pods have what their bundles say"));
	assert_non_null(strstr(down, "needs watch on pods (403)"));
	snapshot__free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(escaping), cmocka_unit_test(all_of_it),
		cmocka_unit_test(rates),    cmocka_unit_test(nothing_gets_through),
		cmocka_unit_test(bounded),  cmocka_unit_test(source_of_pods),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
