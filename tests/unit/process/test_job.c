/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "containers/pod.h"
#include "process/job.h"

#define ID "b0db04603b3858384972c3bc19a37461d9fdf1803807106fe8eefd8e94740695"

static struct diag *diag;
static struct config *config;

static int tear_down(void **state)
{
	(void)state;
	config__free(config);
	diag__free(diag);
	config = NULL;
	diag = NULL;
	return 0;
}

static const struct config_job *job(const char *yaml)
{
	char text[2048];

	tear_down(NULL);
	snprintf(text, sizeof(text), "scrape_configs:\n- job_name: j\n  %s\n", yaml);
	assert_int_equal(diag__new(&diag, "f"), 0);
	if (config__parse(&config, text, strlen(text), NULL, NULL, NULL, diag)) {
		diag__print(diag, stderr);
		fail();
	}
	return config->jobs.items;
}

static bool docker(const struct meta *m, const char *filters)
{
	char text[1024];

	snprintf(text, sizeof(text),
		 "docker_sd_configs: [{host: 'unix:///run/docker.sock', filters: [%s]}]", filters);
	return job__selects(job(text), m, NULL);
}

static struct meta *container(const char *engine)
{
	struct meta *m = meta__new();

	assert_non_null(m);
	m->engine = strdup(engine);
	m->id = strdup(ID);
	m->name = strdup("shop-web-1");
	m->image = strdup("registry:5000/shop/web:1.2");
	m->network_name = strdup("shop_default");
	assert_int_equal(meta__add_label(m, "logging", "promtail"), 0);
	assert_int_equal(meta__add_label(m, "empty", ""), 0);
	return m;
}

static void docker_filters(void **state)
{
	_meta_ struct meta *m = container("docker"), *other = container("containerd");

	(void)state;
	assert_true(docker(m, ""));
	assert_false(docker(other, ""));
	assert_true(docker(m, "{name: label, values: [logging=promtail]}"));
	assert_true(docker(m, "{name: label, values: [logging, empty]}"));
	assert_false(docker(m, "{name: label, values: [logging=prom]}"));
	assert_false(docker(m, "{name: label, values: [logging, other]}"));
	assert_false(docker(m, "{name: label, values: [loggin]}"));
	assert_true(docker(m, "{name: name, values: [other, web]}"));
	assert_true(docker(m, "{name: name, values: ['^/shop-web-1$']}"));
	assert_false(docker(m, "{name: name, values: ['^web']}"));
	assert_false(docker(m, "{name: name, values: ['(']}"));
	assert_true(docker(m, "{name: id, values: [b0db]}"));
	assert_true(docker(m, "{name: ancestor, values: ['registry:5000/shop/web']}"));
	assert_true(docker(m, "{name: ancestor, values: ['registry:5000/shop/web:1.2']}"));
	assert_false(docker(m, "{name: ancestor, values: ['registry']}"));
	assert_true(docker(m, "{name: network, values: [shop_default]}"));
	m->network_of = strdup(ID);
	assert_false(docker(m, "{name: network, values: [shop_default]}"));
	assert_true(docker(m, "{name: status, values: [running]}"));
	assert_false(docker(m, "{name: status, values: [exited]}"));
	assert_false(docker(m, "{name: name, values: [web]}, {name: id, values: [ffff]}"));
	assert_true(docker(m, "{name: volume, values: [x]}")); /* told when it was read */
}

static void own_job(void **state)
{
	_meta_ struct meta *m = container("crio");

	(void)state;
	assert_int_equal(diag__new(&diag, "f"), 0);
	assert_int_equal(config__parse(&config, "", 0, NULL, NULL, NULL, diag), 0);
	assert_true(job__selects(config->jobs.items, m, NULL));
}

static void kubernetes(void **state)
{
	_meta_ struct meta *m = container("containerd"), *pod = container("containerd");
	const struct config_job *j = job("kubernetes_sd_configs: [{role: pod}]");

	(void)state;
	assert_int_equal(meta__add_label(pod, "io.kubernetes.pod.namespace", "shop"), 0);
	assert_false(job__selects(j, m, NULL));
	assert_true(job__selects(j, pod, NULL));
	j = job("kubernetes_sd_configs: [{role: pod, namespaces: {names: [a, shop]}}]");
	assert_true(job__selects(j, pod, NULL));
	j = job("kubernetes_sd_configs: [{role: pod, namespaces: {names: [a]}}]");
	assert_false(job__selects(j, pod, NULL));
	j = job("kubernetes_sd_configs: [{role: node}]");
	assert_false(job__selects(j, pod, NULL));
}

static void own_namespace(void **state)
{
	static const char own[] = "kubernetes_sd_configs: [{role: pod, namespaces: {names: [a], "
				  "own_namespace: true}}]";
	_meta_ struct meta *pod = container("containerd");

	(void)state;
	assert_int_equal(meta__add_label(pod, "io.kubernetes.pod.namespace", "shop"), 0);
	unsetenv("POD_NAMESPACE");
	assert_false(job__selects(job(own), pod, NULL));
	assert_true(diag__warnings(diag));
	setenv("POD_NAMESPACE", "shop", 1);
	assert_true(job__selects(job(own), pod, NULL));
	assert_false(diag__warnings(diag));
	unsetenv("POD_NAMESPACE");
}

static void kubernetes_selectors(void **state)
{
	_meta_ struct meta *m = container("containerd");
	const char *const selectors[][2] = {
		{"{role: pod, label: app=web}", "1"},
		{"{role: pod, label: app=db}", "0"},
		{"{role: pod, field: metadata.name=web-0}", "1"},
		{"{role: pod, field: metadata.name=web-1, label: app=web}", "0"},
		{"{role: pod, label: app=web}, {role: pod, field: spec.nodeName=n}", "1"},
		{"{role: pod, label: app=web}, {role: pod, field: status.phase=Failed}", "0"},
		{"{role: node, label: a=b}", "1"},
	};
	char yaml[256];

	(void)state;
	m->pod = pod__new();
	m->pod->namespace = strdup("shop");
	m->pod->name = strdup("web-0");
	assert_int_equal(pod__add_label(m->pod, "app", "web"), 0);
	for (size_t i = 0; i < sizeof(selectors) / sizeof(*selectors); i++) {
		snprintf(yaml, sizeof(yaml),
			 "kubernetes_sd_configs: [{role: pod, selectors: [%s]}]", selectors[i][0]);
		if (job__selects(job(yaml), m, NULL) != (*selectors[i][1] == '1'))
			fail_msg("%s", yaml);
	}
}

static bool path(const struct meta *m, const char *labels)
{
	const struct config_static *by = NULL;
	char text[1024];
	bool found;

	snprintf(text, sizeof(text), "static_configs: [{labels: {job: x, %s}}]", labels);
	found = job__selects(job(text), m, &by);
	assert_int_equal(found, by != NULL);
	return found;
}

static void paths(void **state)
{
	_meta_ struct meta *m = container("docker"), *pod = container("containerd");

	(void)state;
	pod->pod_uid = strdup("0000-1111");
	assert_int_equal(meta__add_label(pod, "io.kubernetes.pod.name", "web-0"), 0);
	assert_int_equal(meta__add_label(pod, "io.kubernetes.container.name", "nginx"), 0);
	assert_true(path(m, "__path__: /var/lib/docker/containers/*/*log"));
	assert_true(path(m, "__path__: '/var/lib/docker/containers/*/*-json.{log,txt}'"));
	assert_true(path(m, "__path__: /var/lib/docker/containers/" ID "/*"));
	assert_false(path(m, "__path__: /var/lib/docker/containers/0*/*"));
	assert_false(path(m, "__path__: /var/log/pods/*/*/*.log"));
	assert_false(path(m, "__path__: /var/log/*log"));
	assert_false(path(m, "__path__: /var/lib/docker/containers/*/*, __path_exclude__: "
			     "'/var/lib/docker/containers/b0*/*'"));
	assert_true(path(pod, "__path__: /var/log/pods/*/*/*.log"));
	assert_true(path(pod, "__path__: /var/log/pods/*_web-0_*/nginx/*.log"));
	assert_true(path(pod, "__path__: /var/log/containers/web-0_*_nginx-*.log"));
	assert_false(path(pod, "__path__: /var/log/pods/shop_*/*/*.log"));
	assert_false(path(pod, "__path__: /var/lib/docker/containers/*/*log"));
}

static void static_labels(void **state)
{
	struct arena arena = {0};
	struct label_list list = {.arena = &arena};
	const struct config_job *j =
		job("static_configs: [{labels: {job: x, __path__: /var/log/pods/*}}]");

	(void)state;
	assert_int_equal(job__static_labels(j->static_configs.items, &list), 0);
	assert_string_equal(label_list__get(&list, "job"), "x");
	assert_string_equal(label_list__get(&list, "__path__"), "/var/log/pods/*");
	arena__free(&arena);
}

#define test(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(docker_filters),	    test(own_job), test(kubernetes),	test(own_namespace),
		test(kubernetes_selectors), test(paths),   test(static_labels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
