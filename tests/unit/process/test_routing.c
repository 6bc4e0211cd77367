/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/log.h"
#include "containers/pod.h"
#include "process/routing.h"

#define ID "b0db04603b3858384972c3bc19a37461d9fdf1803807106fe8eefd8e94740695"

struct world {
	struct diag *diag;
	struct routing *routing;
	struct meta *meta;
	struct route route;
	char lines[4096];
};

static void on_line(void *ctx, struct label_set *set, const struct line *line)
{
	struct world *w = ctx;
	size_t len = strlen(w->lines);

	snprintf(w->lines + len, sizeof(w->lines) - len, "%s %.*s%s%.*s\n", set->text,
		 (int)line->len, line->bytes, line->tenant ? " tenant=" : "", (int)line->tenant_len,
		 line->tenant ? line->tenant : "");
}

static struct config *parse(struct world *w, const char *yaml)
{
	struct config *config = NULL;

	if (config__parse(&config, yaml, strlen(yaml), NULL, NULL, NULL, w->diag)) {
		diag__print(w->diag, stderr);
		fail();
	}
	return config;
}

static void use(struct world *w, const char *yaml)
{
	const struct routing_opts opts = {.host = "node1"};

	routing__free(w->routing);
	assert_int_equal(routing__new(&w->routing, yaml ? parse(w, yaml) : NULL, &opts, w->diag),
			 0);
	routing__output(w->routing, on_line, w);
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	log__level(LOG_ERROR);
	*state = w;
	w->meta = meta__new();
	w->meta->engine = strdup("docker");
	w->meta->id = strdup(ID);
	w->meta->name = strdup("web");
	return diag__new(&w->diag, "f");
}

static void drop_route(struct world *w)
{
	label_set__unref(w->route.set);
	free(w->route.tenant);
	free(w->route.multiline);
	w->route = (struct route){0};
}

static int tear_down(void **state)
{
	struct world *w = *state;

	drop_route(w);
	routing__free(w->routing);
	meta__unref(w->meta);
	diag__free(w->diag);
	free(w);
	return 0;
}

static int route(struct world *w, enum line_stream stream)
{
	drop_route(w);
	return routing__route(w->routing, w->meta, stream, 1, &w->route);
}

static void expect(struct world *w, enum line_stream stream, const char *labels)
{
	assert_int_equal(route(w, stream), 1);
	assert_string_equal(w->route.set->text, labels);
}

static void without_configuration(void **state)
{
	struct world *w = *state;

	use(w, NULL);
	expect(w, LINE_STDERR,
	       "{container=\"web\", host=\"node1\", job=\"docker\", service_name=\"web\", "
	       "stream=\"stderr\"}");
	assert_null(w->route.program);
	assert_null(w->route.tenant);
	assert_false(routing__excludes(w->routing, w->meta));
}

static void rules_and_external_labels(void **state)
{
	struct world *w = *state;

	use(w, "external_labels: {cluster: c, job: never}\n"
	       "relabel_configs:\n"
	       "- {action: labeldrop, regex: host|service_name}\n"
	       "- {source_labels: [__meta_docker_container_name], target_label: from}\n"
	       "- {target_label: __tenant_id__, replacement: t}\n"
	       "pipeline_stages: [{static_labels: {a: b}}]\n");
	expect(w, LINE_STDOUT,
	       "{cluster=\"c\", container=\"web\", from=\"/web\", job=\"docker\", "
	       "stream=\"stdout\"}");
	assert_string_equal(w->route.tenant, "t");
	assert_non_null(w->route.program);
}

static void one_stream_is_dropped(void **state)
{
	struct world *w = *state;

	use(w, "relabel_configs: [{source_labels: [stream], regex: stderr, action: drop}]");
	assert_int_equal(route(w, LINE_STDERR), 0);
	assert_int_equal(route(w, LINE_STDOUT), 1);
	assert_false(routing__excludes(w->routing, w->meta));
	use(w, "relabel_configs: [{source_labels: [container], regex: web, action: drop}]");
	assert_true(routing__excludes(w->routing, w->meta));
}

static void its_own_label_excludes(void **state)
{
	struct world *w = *state;

	assert_int_equal(meta__add_label(w->meta, "fluentbit.io/exclude", "true"), 0);
	use(w, NULL);
	assert_true(routing__excludes(w->routing, w->meta));
	assert_int_equal(route(w, LINE_STDOUT), 0);
}

static void the_first_job_that_keeps_it(void **state)
{
	struct world *w = *state;

	use(w, "scrape_configs:\n"
	       "- job_name: a\n"
	       "  docker_sd_configs: [{host: 'unix:///d', filters: [{name: name, values: [db]}]}]\n"
	       "  relabel_configs: [{target_label: job, replacement: a}]\n"
	       "- job_name: b\n"
	       "  docker_sd_configs: [{host: 'unix:///d'}]\n"
	       "  relabel_configs:\n"
	       "  - {source_labels: [__meta_notail_stream], regex: stdout, action: keep}\n"
	       "  - {target_label: job, replacement: b}\n"
	       "- job_name: c\n"
	       "  static_configs:\n"
	       "  - {labels: {__path__: '/var/lib/docker/containers/*/*.log', job: c}}\n");
	expect(w, LINE_STDOUT, "{job=\"b\"}");
	expect(w, LINE_STDERR, "{job=\"c\"}");
}

static void never_without_labels(void **state)
{
	struct world *w = *state;

	use(w, "preset: none");
	expect(w, LINE_STDOUT, "{job=\"notail\"}");
}

static void run(struct world *w, const char *text)
{
	const struct line line = {.bytes = text,
				  .len = strlen(text),
				  .time_ns = 1,
				  .real_ns = 1,
				  .stream = LINE_STDOUT,
				  .tenant = w->route.tenant,
				  .tenant_len = w->route.tenant ? strlen(w->route.tenant) : 0};
	struct program_stream *s;

	assert_int_equal(program_stream__new(&s, w->route.program), 0);
	if (w->route.multiline)
		assert_int_equal(program_stream__ask(s, w->route.multiline), 0);
	program_stream__run(s, w->route.set, &line);
	program_stream__flush(s);
	program_stream__free(s);
}

static void strict_is_strict_with_stages_too(void **state)
{
	struct world *w = *state;

	use(w, "preset: strict\n"
	       "external_labels: {app: shop, env: test}\n"
	       "relabel_configs: [{target_label: __tenant_id__, replacement: t}]\n"
	       "pipeline_stages: [{static_labels: {user: u1, service: other}}]\n");
	assert_int_equal(route(w, LINE_STDOUT), 1);
	run(w, "x");
	assert_string_equal(w->lines, "{app=\"shop\", env=\"test\", service=\"other\", "
				      "stream=\"stdout\"} x tenant=t\n");
}

static void the_guard_takes_a_label_of_stages(void **state)
{
	struct world *w = *state;
	uint64_t version;
	char text[32];

	use(w, "preset: none\n"
	       "limits: {label_values: 3}\n"
	       "relabel_configs: [{target_label: app, replacement: a}]\n"
	       "pipeline_stages: [{regex: {expression: '(?P<id>.*)'}}, {labels: {id: }}]\n");
	assert_int_equal(route(w, LINE_STDOUT), 1);
	version = routing__version(w->routing);
	for (int i = 0; i < 5; i++) {
		snprintf(text, sizeof(text), "%d", i);
		run(w, text);
	}
	assert_string_equal(w->lines, "{app=\"a\", id=\"0\"} 0\n{app=\"a\", id=\"1\"} 1\n"
				      "{app=\"a\", id=\"2\"} 2\n{app=\"a\"} 3\n{app=\"a\"} 4\n");
	assert_int_not_equal(routing__version(w->routing), version);
	w->lines[0] = '\0';
	run(w, "0");
	assert_string_equal(w->lines, "{app=\"a\"} 0\n");
}

static void note_guarded(void *ctx, const char *name, uint64_t since_ns)
{
	char *text = ctx;

	assert_true(since_ns > 0);
	strcat(text, name);
}

static void what_the_guard_took_is_told(void **state)
{
	struct world *w = *state;
	char text[64] = "";

	use(w, "preset: none\nlimits: {label_values: 1}\n"
	       "relabel_configs: [{target_label: app, replacement: a}]\n"
	       "pipeline_stages: [{regex: {expression: '(?P<id>.*)'}}, {labels: {id: }}]\n");
	assert_int_equal(route(w, LINE_STDOUT), 1);
	run(w, "1");
	routing__guarded(w->routing, note_guarded, text);
	assert_string_equal(text, "");
	run(w, "2");
	routing__guarded(w->routing, note_guarded, text);
	assert_string_equal(text, "id");
}

static void opting_out(void **state)
{
	struct world *w = *state;

	use(w, NULL);
	assert_null(routing__opt_out(w->routing, w->meta));
	assert_int_equal(meta__add_label(w->meta, "fluentbit.io/exclude", "false"), 0);
	assert_null(routing__opt_out(w->routing, w->meta));
	assert_int_equal(meta__add_label(w->meta, "vector.dev/exclude", "true"), 0);
	assert_string_equal(routing__opt_out(w->routing, w->meta), "vector.dev/exclude");
	use(w, "discovery: {annotations: {enabled: false}}\n");
	assert_null(routing__opt_out(w->routing, w->meta));
	assert_int_equal(route(w, LINE_STDOUT), 1);
}

static void one_stream_opts_out(void **state)
{
	struct world *w = *state;

	use(w, NULL);
	assert_int_equal(meta__add_label(w->meta, "fluentbit.io/exclude_stderr", "true"), 0);
	assert_int_equal(route(w, LINE_STDERR), 0);
	assert_int_equal(route(w, LINE_STDOUT), 1);
	assert_false(routing__excludes(w->routing, w->meta));
	assert_null(routing__opt_out(w->routing, w->meta));
}

static void of_a_pod(struct world *w, const char *namespace)
{
	assert_int_equal(meta__add_label(w->meta, "io.kubernetes.pod.namespace", namespace), 0);
	assert_int_equal(meta__add_label(w->meta, "io.kubernetes.pod.name", "web-0"), 0);
	assert_int_equal(meta__add_label(w->meta, "io.kubernetes.container.name", "nginx"), 0);
	w->meta->pod = pod__new();
	w->meta->pod->uid = strdup("u");
	w->meta->pod->namespace = strdup(namespace);
	w->meta->pod->name = strdup("web-0");
}

static void annotate(struct world *w, const char *key, const char *value)
{
	assert_int_equal(pod__add_annotation(w->meta->pod, key, value), 0);
}

static void namespaces(void **state)
{
	static const struct {
		const char *yaml;
		bool wanted;
	} rows[] = {
		{"{}", true},
		{"{include: [team-a]}", true},
		{"{include: [x, team-*]}", true},
		{"{include: [team]}", false},
		{"{include: ['{a,b}']}", false},
		{"{exclude: [kube-system]}", true},
		{"{exclude: ['team-[a-c]']}", false},
		{"{include: [team-*], exclude: [team-a]}", false},
		{"{include: [team-*], exclude: [team-b]}", true},
	};
	struct world *w = *state;
	char yaml[256];

	of_a_pod(w, "team-a");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		snprintf(yaml, sizeof(yaml), "discovery: {kubernetes: {namespaces: %s}}\n",
			 rows[i].yaml);
		use(w, yaml);
		if (routing__excludes(w->routing, w->meta) == rows[i].wanted)
			fail_msg("%s", yaml);
		assert_int_equal(route(w, LINE_STDERR), rows[i].wanted);
		if (!rows[i].wanted)
			assert_string_equal(routing__opt_out(w->routing, w->meta),
					    "discovery.kubernetes.namespaces");
	}
}

/* What is in no pod has no namespace. */
static void namespaces_of_others(void **state)
{
	struct world *w = *state;

	use(w, "discovery: {kubernetes: {namespaces: {include: [team-a], exclude: ['*']}}}\n");
	assert_false(routing__excludes(w->routing, w->meta));
}

static void a_preset_that_a_container_asks_for(void **state)
{
	struct world *w = *state;

	of_a_pod(w, "team-a");
	annotate(w, "notail.io/preset", "strict");
	use(w, "external_labels: {env: test}\n"
	       "pipeline_stages: [{static_labels: {user: u1}}]\n");
	expect(w, LINE_STDOUT,
	       "{app=\"web-0\", env=\"test\", service=\"nginx\", stream=\"stdout\"}");
	run(w, "x");
	assert_string_equal(w->lines, "{app=\"web-0\", env=\"test\", service=\"nginx\", "
				      "stream=\"stdout\"} x\n");
	use(w, "discovery: {annotations: {enabled: false}}\n");
	expect(w, LINE_STDOUT,
	       "{app=\"web-0\", container=\"nginx\", job=\"team-a/nginx\", "
	       "namespace=\"team-a\", node_name=\"node1\", pod=\"web-0\", "
	       "service_name=\"nginx\", stream=\"stdout\"}");
}

static void a_tenant_that_a_container_asks_for(void **state)
{
	struct world *w = *state;

	of_a_pod(w, "team-a");
	annotate(w, "notail.io/tenant", "a");
	use(w, NULL);
	assert_int_equal(route(w, LINE_STDOUT), 1);
	assert_null(w->route.tenant);
	use(w, "discovery: {annotations: {tenants: [b]}}\n");
	assert_int_equal(route(w, LINE_STDOUT), 1);
	assert_null(w->route.tenant);
	use(w, "discovery: {annotations: {tenants: [a]}}\n");
	assert_int_equal(route(w, LINE_STDOUT), 1);
	assert_string_equal(w->route.tenant, "a");
	use(w, "discovery: {annotations: {tenants: [a]}}\n"
	       "relabel_configs: [{target_label: __tenant_id__, replacement: rule}]\n");
	assert_int_equal(route(w, LINE_STDOUT), 1);
	assert_string_equal(w->route.tenant, "rule");
}

static void a_multiline_that_a_container_asks_for(void **state)
{
	struct world *w = *state;
	struct program_stream *stream;
	struct program *program;

	of_a_pod(w, "team-a");
	use(w, "preset: none\nrelabel_configs: [{target_label: app, replacement: a}]\n"
	       "pipeline_stages: [{static_labels: {b: c}}]\n");
	assert_int_equal(route(w, LINE_STDOUT), 1);
	assert_null(w->route.multiline);
	program = w->route.program;
	annotate(w, "notail.io/multiline", "java");
	assert_int_equal(route(w, LINE_STDOUT), 1);
	assert_string_equal(w->route.multiline, "java");
	assert_ptr_not_equal(w->route.program, program);
	program = w->route.program;
	run(w, "x");
	assert_string_equal(w->lines, "{app=\"a\", b=\"c\"} x\n");
	w->lines[0] = '\0';
	assert_int_equal(program_stream__new(&stream, program), 0);
	assert_int_equal(program_stream__ask(stream, "java"), 0);
	program_stream__run(stream, w->route.set,
			    &(struct line){.bytes = "y", .len = 1, .time_ns = 5, .real_ns = 5});
	assert_int_equal(routing__tick(w->routing, 5 + 3000000000), 5 + 3000000000 + 1);
	assert_string_equal(w->lines, "");
	assert_int_equal(routing__tick(w->routing, 5 + 3000000000 + 1), UINT64_MAX);
	assert_string_equal(w->lines, "{app=\"a\", b=\"c\"} y\n");
	program_stream__free(stream);
	/* Whatever else is asked for, there is one program for all of them. */
	w->meta->pod->annotations[0].value[0] = '^';
	assert_int_equal(route(w, LINE_STDERR), 1);
	assert_string_equal(w->route.multiline, "^ava");
	assert_ptr_equal(w->route.program, program);
	w->meta->pod->annotations[0].value[0] = '(';
	assert_int_equal(route(w, LINE_STDERR), 1);
	assert_null(w->route.multiline);
	use(w, NULL);
	w->meta->pod->annotations[0].value[0] = 'j';
	assert_int_equal(route(w, LINE_STDERR), 1);
	assert_non_null(w->route.program);
	assert_int_equal(routing__oldest(w->routing), UINT64_MAX);
	routing__flush(w->routing);
	routing__flush_before(w->routing, 1);
	assert_int_equal(routing__tick(w->routing, 1), UINT64_MAX);
}

static void the_guard_takes_a_label_of_rules(void **state)
{
	struct world *w = *state;

	use(w, "limits: {label_values: 3}\n"
	       "relabel_configs: [{source_labels: [__meta_docker_container_name], "
	       "target_label: own}]\n");
	for (int i = 0; i < 8; i++) {
		free(w->meta->name);
		assert_true(asprintf(&w->meta->name, "web%d", i) > 0);
		assert_int_equal(route(w, LINE_STDOUT), 1);
		assert_string_equal(label_set__get(w->route.set, "container"), w->meta->name);
		assert_int_equal(label_set__get(w->route.set, "own") != NULL, i < 3);
	}
}

static void counters_go_on(void **state)
{
	struct world *w = *state;
	const struct routing_opts opts = {.host = NULL};
	struct routing *next;
	char *text = NULL;
	size_t size;
	FILE *out;

	use(w, "pipeline_stages: [{drop: {expression: '.*', drop_counter_reason: 'a\"b'}}]");
	assert_int_equal(route(w, LINE_STDOUT), 1);
	run(w, "x");
	assert_int_equal(routing__new(&next, NULL, &opts, w->diag), 0);
	routing__inherit(next, w->routing);
	out = open_memstream(&text, &size);
	routing__print(next, out);
	fclose(out);
	assert_string_equal(text, "notail_stage_dropped_lines_total{reason=\"a\\\"b\"} 1\n");
	free(text);
	routing__free(next);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(without_configuration, set_up, tear_down),
		cmocka_unit_test_setup_teardown(rules_and_external_labels, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_stream_is_dropped, set_up, tear_down),
		cmocka_unit_test_setup_teardown(its_own_label_excludes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_first_job_that_keeps_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(never_without_labels, set_up, tear_down),
		cmocka_unit_test_setup_teardown(strict_is_strict_with_stages_too, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(the_guard_takes_a_label_of_stages, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(what_the_guard_took_is_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(opting_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_stream_opts_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(namespaces, set_up, tear_down),
		cmocka_unit_test_setup_teardown(namespaces_of_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_preset_that_a_container_asks_for, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_tenant_that_a_container_asks_for, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_multiline_that_a_container_asks_for, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(the_guard_takes_a_label_of_rules, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(counters_go_on, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
