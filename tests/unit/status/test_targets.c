/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>

#include "a_view.h"
#include "status/targets.h"

static json_t *parse(const struct view *v)
{
	_buf_ struct buf out = {0};
	json_error_t error;
	json_t *root;

	assert_int_equal(targets__json(v, &out), 0);
	root = json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES, &error);
	assert_non_null(root);
	assert_int_equal(out.data[out.len - 1], '\n');
	return root;
}

static const char *text(json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static void all_of_it(void **state _unused_)
{
	_samples_ struct samples samples = {0};
	struct snapshot *s = a_snapshot("web", 10, 100, 3);
	struct view v = a_view(s, &samples);
	json_t *root = parse(&v), *targets = json_object_get(root, "targets");
	json_t *web = json_array_get(targets, 0), *off = json_array_get(targets, 1);
	json_t *streams = json_object_get(web, "streams");
	json_t *out = json_array_get(streams, 0), *err = json_array_get(streams, 1);

	assert_string_equal(text(root, "time"), "2026-11-22T00:19:03.000000000Z");
	assert_int_equal(json_array_size(targets), 2);
	assert_string_equal(text(web, "name"), "web");
	assert_string_equal(text(web, "namespace"), "shop");
	assert_string_equal(text(web, "pod"), "web-7d4b");
	assert_true(json_is_null(json_object_get(off, "pod")));
	assert_string_equal(text(web, "cgroup_id"), "12345678901234567890");
	assert_string_equal(text(web, "state"), "captured");
	assert_int_equal(json_array_size(streams), 2);
	assert_string_equal(text(out, "stream"), "stdout");
	assert_string_equal(text(out, "state"), "captured");
	assert_string_equal(text(out, "tap"), "read");
	assert_string_equal(text(out, "why"), "reader 7 containerd-shim");
	assert_int_equal(json_integer_value(json_object_get(out, "read_bytes")), 100);
	assert_int_equal(json_integer_value(json_object_get(out, "lines")), 3);
	assert_string_equal(text(json_object_get(out, "labels"), "container"), "web");
	assert_string_equal(text(json_object_get(out, "metadata"), "image"), "busybox");
	assert_string_equal(text(err, "state"), "quiet");
	assert_string_equal(text(err, "tap"), "write");
	assert_true(json_is_null(json_object_get(err, "written_bytes")));
	assert_int_equal(json_integer_value(json_object_get(err, "lost_bytes")), 5);
	assert_true(json_is_null(json_object_get(err, "labels")));
	assert_string_equal(text(off, "state"), "excluded");
	assert_string_equal(text(off, "excluded_by"), "notail.io/exclude");
	assert_string_equal(text(json_object_get(root, "engine"), "problem"), "no such file");
	assert_true(json_is_false(json_object_get(json_object_get(root, "engine"), "connected")));
	assert_string_equal(text(json_object_get(root, "config"), "problem"), "it is wrong");
	assert_string_equal(
		text(json_array_get(json_object_get(root, "guarded_labels"), 0), "label"), "web");
	assert_string_equal(text(json_array_get(json_object_get(root, "clients"), 0), "name"),
			    "main");
	json_decref(root);
	snapshot__free(s);
}

static void pods(void **state _unused_)
{
	_samples_ struct samples samples = {0};
	struct snapshot *s = a_snapshot("web", 10, 100, 3);
	struct view v = a_view(s, &samples);
	json_t *root = parse(&v), *pods;

	assert_null(json_object_get(root, "pods"));
	json_decref(root);
	v.source = (struct view_source){
		.kind = "api", .url = "https://a", .problem = "needs list on pods", .pods = 7};
	root = parse(&v);
	pods = json_object_get(root, "pods");
	assert_string_equal(text(pods, "source"), "api");
	assert_string_equal(text(pods, "url"), "https://a");
	assert_string_equal(text(pods, "problem"), "needs list on pods");
	assert_true(json_is_false(json_object_get(pods, "connected")));
	assert_int_equal(json_integer_value(json_object_get(pods, "known")), 7);
	json_decref(root);
	snapshot__free(s);
}

static void hostile_names(void **state _unused_)
{
	static const char *const names[] = {"\"},{\"a\":\"", "\\", "a\nb\x01\x7f", "\xff\xfe\xc0",
					    "\xe2\x80\xae"
					    "gpj"};
	_samples_ struct samples samples = {0};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct snapshot *s = a_snapshot(names[i], 10, 100, 3);
		struct view v = a_view(s, &samples);
		json_t *root;

		v.engine.problem = v.clients[0].problem = v.config.problem = names[i];
		v.source.kind = v.source.problem = names[i];
		root = parse(&v);
		assert_int_equal(json_array_size(json_object_get(root, "targets")), 2);
		json_decref(root);
		snapshot__free(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_it),
		cmocka_unit_test(pods),
		cmocka_unit_test(hostile_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
