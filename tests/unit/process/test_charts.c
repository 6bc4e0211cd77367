/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The recorded pods' containers through the rules of charts that people run, and through the
 * presets that are to make the same labels without rules.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "containers/pod.h"
#include "kube/items.h"
#include "kube/pod_json.h"
#include "process/routing.h"

#define HELM "tests/unit/config/accepted/promtail-helm.yaml"
#define MAX_CONTAINERS 64

/* As rules what chart k8s-monitoring does to pods' targets, with its values' own names. */
#define K8S_MONITORING                                                                             \
	"scrape_configs:\n"                                                                        \
	"- job_name: pods\n"                                                                       \
	"  kubernetes_sd_configs:\n"                                                               \
	"  - role: pod\n"                                                                          \
	"    selectors: [{role: pod, field: spec.nodeName=node-1}]\n"                              \
	"  relabel_configs:\n"                                                                     \
	"  - {source_labels: [__meta_kubernetes_namespace], target_label: namespace}\n"            \
	"  - {source_labels: [namespace], regex: hidden, action: drop}\n"                          \
	"  - source_labels: [__meta_kubernetes_pod_annotation_k8s_grafana_com_logs_scrape]\n"      \
	"    regex: (false|no|skip)\n"                                                             \
	"    action: drop\n"                                                                       \
	"  - {source_labels: [__meta_kubernetes_pod_name], target_label: pod}\n"                   \
	"  - {source_labels: [__meta_kubernetes_pod_container_name], target_label: container}\n"   \
	"  - source_labels: [__meta_kubernetes_namespace, __meta_kubernetes_pod_container_name]\n" \
	"    separator: /\n"                                                                       \
	"    target_label: job\n"                                                                  \
	"  - source_labels: [__meta_kubernetes_pod_container_id]\n"                                \
	"    regex: ^(\\S+):\\/\\/.+$\n"                                                           \
	"    target_label: container_runtime\n"                                                    \
	"  - source_labels:\n"                                                                     \
	"    - __meta_kubernetes_pod_annotation_resource_opentelemetry_io_service_name\n"          \
	"    - __meta_kubernetes_pod_label_app_kubernetes_io_name\n"                               \
	"    - __meta_kubernetes_pod_container_name\n"                                             \
	"    regex: ^(?:;*)?([^;]+).*$\n"                                                          \
	"    target_label: service_name\n"                                                         \
	"  - action: labelmap\n"                                                                   \
	"    regex: __meta_kubernetes_pod_annotation_resource_opentelemetry_io_(.+)\n"             \
	"  - {source_labels: [__meta_kubernetes_pod_node_name], target_label: node_name}\n"

struct world {
	struct pod *pods[32];
	size_t n_pods;
	struct meta *containers[MAX_CONTAINERS];
	size_t n;
	struct diag *diag;
};

static void add_pod(void *ctx, const char *json, size_t len)
{
	struct world *w = ctx;

	assert_int_equal(pod_json__parse(json, len, &w->pods[w->n_pods]), 0);
	w->n_pods++;
}

/* What a bundle says, and with it the pod. */
static void add_containers(struct world *w, struct pod *p)
{
	for (size_t i = 0; i < p->n_containers; i++) {
		struct meta *m = meta__new();

		assert_true(w->n < MAX_CONTAINERS);
		w->containers[w->n++] = m;
		m->engine = strdup("containerd");
		m->id = strdup(p->containers[i].id);
		m->image = strdup(p->containers[i].image);
		m->pod_uid = strdup(p->uid);
		assert_int_equal(meta__add_label(m, META_POD_NAMESPACE_LABEL, p->namespace), 0);
		assert_int_equal(meta__add_label(m, META_POD_NAME_LABEL, p->name), 0);
		assert_int_equal(meta__add_label(m, META_POD_UID_LABEL, p->uid), 0);
		assert_int_equal(
			meta__add_label(m, META_POD_CONTAINER_LABEL, p->containers[i].name), 0);
		assert_int_equal(meta__set_pod(m, p, META_POD_KNOWN), 0);
	}
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	_buf_ struct buf text = {0};
	struct kube_items items = {0};

	log__level(LOG_ERROR);
	*state = w;
	assert_int_equal(buf__read_file(&text, "tests/data/kubernetes/pods-list.json", 1 << 20), 0);
	kube_items__begin(&items, KUBE_ITEM_BYTES);
	assert_int_equal(kube_items__feed(&items, text.data, text.len, add_pod, w), 0);
	kube_items__free(&items);
	for (size_t i = 0; i < w->n_pods; i++)
		add_containers(w, w->pods[i]);
	return diag__new(&w->diag, "f");
}

static int tear_down(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < w->n; i++)
		meta__unref(w->containers[i]);
	for (size_t i = 0; i < w->n_pods; i++)
		pod__unref(w->pods[i]);
	diag__free(w->diag);
	free(w);
	return 0;
}

static struct routing *routing(struct world *w, const char *yaml, size_t len)
{
	const struct routing_opts opts = {.host = "node-1"};
	struct config *config = NULL;
	struct routing *r = NULL;

	assert_int_equal(config__parse(&config, yaml, len, NULL, NULL, NULL, w->diag), 0);
	assert_int_equal(routing__new(&r, config, &opts, w->diag), 0);
	return r;
}

/* The labels of the container's stderr as LogQL, to free. */
static char *labels(struct routing *r, const struct meta *m)
{
	struct route route = {0};
	char *text;

	if (routing__route(r, m, LINE_STDERR, 1, &route) != 1)
		return strdup("-");
	text = strdup(route.set->text);
	label_set__unref(route.set);
	free(route.tenant);
	free(route.multiline);
	return text;
}

static struct routing *of_text(struct world *w, const char *yaml)
{
	return routing(w, yaml, strlen(yaml));
}

/* Of each container. */
static void expect_same(struct world *w, struct routing *rules, struct routing *preset)
{
	for (size_t i = 0; i < w->n; i++) {
		char *of_rules = labels(rules, w->containers[i]);
		char *of_preset = labels(preset, w->containers[i]);

		assert_string_equal(of_rules, of_preset);
		free(of_rules);
		free(of_preset);
	}
	assert_int_equal(w->n, 14);
	routing__free(rules);
	routing__free(preset);
}

static void preset_promtail_is_the_chart(void **state)
{
	struct world *w = *state;
	_buf_ struct buf text = {0};
	struct routing *chart;

	assert_int_equal(buf__read_file(&text, HELM, 1 << 20), 0);
	chart = routing(w, text.data, text.len);
	/* Without what is not the chart's: stream is stage cri's, service_name Loki's. */
	expect_same(w, chart,
		    of_text(w, "preset: promtail\n"
			       "relabel_configs: [{action: labeldrop, regex: "
			       "'stream|service_name'}]\n"));
}

static void preset_kubernetes_is_the_chart(void **state)
{
	struct world *w = *state;

	expect_same(w, of_text(w, K8S_MONITORING),
		    of_text(w, "preset: kubernetes\n"
			       "relabel_configs:\n"
			       "- {action: labeldrop, regex: 'stream|app'}\n"
			       "- {target_label: container_runtime, replacement: containerd}\n"));
}

static void expect(struct routing *r, const struct world *w, const char *pod, const char *container,
		   const char *expected)
{
	for (size_t i = 0; i < w->n; i++) {
		const struct meta *m = w->containers[i];
		char *text;

		if (strcmp(m->pod->name, pod) ||
		    strcmp(meta__label(m, META_POD_CONTAINER_LABEL), container))
			continue;
		text = labels(r, m);
		assert_string_equal(text, expected);
		free(text);
		return;
	}
	fail_msg("no container %s of %s", container, pod);
}

static void recorded_pods(void **state)
{
	static const struct {
		const char *pod, *container, *labels;
	} rows[] = {
		{"blink-gzctx", "blink",
		 "{app=\"blink\", container=\"blink\", job=\"demo/blink\", namespace=\"demo\", "
		 "node_name=\"node-1\", pod=\"blink-gzctx\", service_name=\"blink\", "
		 "stream=\"stderr\"}"},
		{"web-6d45d4ccfb-9w4l7", "web",
		 "{app=\"web-name\", container=\"web\", job=\"demo/web\", namespace=\"demo\", "
		 "node_name=\"node-1\", pod=\"web-6d45d4ccfb-9w4l7\", service_name=\"web-name\", "
		 "stream=\"stderr\"}"},
		{"withinit", "sidecar",
		 "{app=\"withinit\", container=\"sidecar\", job=\"demo/sidecar\", "
		 "namespace=\"demo\", node_name=\"node-1\", pod=\"withinit\", "
		 "service_name=\"withinit\", stream=\"stderr\"}"},
		{"static-node-1", "s",
		 "{app=\"static\", container=\"s\", job=\"kube-system/s\", "
		 "namespace=\"kube-system\", node_name=\"node-1\", pod=\"static-node-1\", "
		 "service_name=\"s\", stream=\"stderr\"}"},
		{"log-agent-v2zwb", "agent",
		 "{app=\"log-agent\", container=\"agent\", job=\"logging/agent\", "
		 "namespace=\"logging\", node_name=\"node-1\", pod=\"log-agent-v2zwb\", "
		 "service_name=\"agent\", stream=\"stderr\"}"},
	};
	struct world *w = *state;
	struct routing *r = of_text(w, "");

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		expect(r, w, rows[i].pod, rows[i].container, rows[i].labels);
	routing__free(r);
}

static void selected_pods(void **state)
{
	struct world *w = *state;
	struct routing *r = of_text(
		w, "scrape_configs:\n"
		   "- job_name: web\n"
		   "  kubernetes_sd_configs:\n"
		   "  - {role: pod, namespaces: {names: [demo]}, selectors: [{role: pod, label: "
		   "'app in (web, two),version!=v2', field: status.phase!=Failed}]}\n"
		   "  relabel_configs: [{source_labels: [__meta_kubernetes_pod_deployment_name], "
		   "target_label: deployment}, {target_label: job, replacement: web}]\n");

	expect(r, w, "web-6d45d4ccfb-9w4l7", "web", "{deployment=\"web\", job=\"web\"}");
	expect(r, w, "two", "talk", "{job=\"web\"}");
	expect(r, w, "crash", "crash", "-");
	expect(r, w, "log-agent-v2zwb", "agent", "-");
	routing__free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(preset_promtail_is_the_chart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(preset_kubernetes_is_the_chart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(recorded_pods, set_up, tear_down),
		cmocka_unit_test_setup_teardown(selected_pods, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
