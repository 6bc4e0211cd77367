/* SPDX-License-Identifier: Apache-2.0 */
/* The labels that rules find, by the names that Prometheus and Promtail gave them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "config/config.h"
#include "containers/pod.h"
#include "process/discovered.h"
#include "process/job.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct discovered_opts OPTS = {.host = "node1", .hook_set = "fexit"};

static void expect(const struct meta *m, enum line_stream stream, const char *expected)
{
	struct arena arena = {0};
	struct label_list l = {.arena = &arena};
	char text[8192] = "";
	size_t used = 0;

	assert_int_equal(discovered__add(&l, m, stream, &OPTS), 0);
	label_list__sort(&l);
	for (size_t i = 0; i < l.n; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s=%s\n",
					 l.items[i].name, l.items[i].value);
	assert_string_equal(text, expected);
	arena__free(&arena);
}

static struct meta *docker(void)
{
	struct meta *m = meta__new();

	m->engine = strdup("docker");
	m->id = strdup(ID);
	m->name = strdup("shop_web_1");
	m->image = strdup("nginx:1.25");
	return m;
}

static void all_that_docker_says(void **state _unused_)
{
	_meta_ struct meta *m = docker();

	m->image_id = strdup("sha256:1");
	m->network_mode = strdup("shop_default");
	m->network_name = strdup("shop_default");
	m->network_id = strdup("77");
	m->network_ip = strdup("172.18.0.2");
	m->port = (struct meta_port){80, 8080, strdup("0.0.0.0")};
	m->network = meta_network__new();
	m->network->name = strdup("shop_default");
	m->network->scope = strdup("local");
	m->network->internal = true;
	assert_int_equal(meta_network__add_label(m->network, "com.docker/n-1", "y"), 0);
	assert_int_equal(meta__add_label(m, "com.docker.compose.service", "web"), 0);
	assert_int_equal(meta__add_label(m, "größe", "L"), 0);
	assert_int_equal(meta__add_label(m, "empty", ""), 0);
	expect(m, LINE_STDERR,
	       "__address__=172.18.0.2:80\n"
	       "__meta_docker_container_id=" ID "\n"
	       "__meta_docker_container_image=nginx:1.25\n"
	       "__meta_docker_container_image_id=sha256:1\n"
	       "__meta_docker_container_label_com_docker_compose_service=web\n"
	       "__meta_docker_container_label_gr__e=L\n"
	       "__meta_docker_container_log_stream=stderr\n"
	       "__meta_docker_container_name=/shop_web_1\n"
	       "__meta_docker_container_network_mode=shop_default\n"
	       "__meta_docker_network_id=77\n"
	       "__meta_docker_network_ingress=false\n"
	       "__meta_docker_network_internal=true\n"
	       "__meta_docker_network_ip=172.18.0.2\n"
	       "__meta_docker_network_label_com_docker_n_1=y\n"
	       "__meta_docker_network_name=shop_default\n"
	       "__meta_docker_network_scope=local\n"
	       "__meta_docker_port_private=80\n"
	       "__meta_docker_port_public=8080\n"
	       "__meta_docker_port_public_ip=0.0.0.0\n"
	       "__meta_notail_container_id=" ID "\n"
	       "__meta_notail_container_name=shop_web_1\n"
	       "__meta_notail_engine=docker\n"
	       "__meta_notail_hook_set=fexit\n"
	       "__meta_notail_host=node1\n"
	       "__meta_notail_image=nginx:1.25\n"
	       "__meta_notail_stream=stderr\n");
}

static void address_of(const char *mode, const char *ip, uint16_t port, const char *expected)
{
	_meta_ struct meta *m = docker();
	struct arena arena = {0};
	struct label_list l = {.arena = &arena};

	m->network_mode = strdup(mode);
	m->network_name = strdup("n");
	m->network_ip = ip ? strdup(ip) : NULL;
	m->port.inside = port;
	assert_int_equal(discovered__add(&l, m, LINE_STDOUT, &OPTS), 0);
	assert_string_equal(label_list__get(&l, "__address__"), expected);
	arena__free(&arena);
}

static void addresses(void **state _unused_)
{
	address_of("bridge", "10.0.0.1", 443, "10.0.0.1:443");
	address_of("bridge", "10.0.0.1", 0, "10.0.0.1:80");
	address_of("bridge", "fd00::1", 0, "[fd00::1]:80");
	address_of("none", NULL, 0, ":80");
	address_of("host", NULL, 0, "localhost");
}

/* No engine answers: what the cgroup says is there. */
static void without_an_engine(void **state _unused_)
{
	_meta_ struct meta *m = meta__new(), *pod = meta__new(), *none = meta__new();

	m->engine = strdup("docker");
	m->id = strdup(ID);
	m->cgroup_path = strdup("/docker/x");
	expect(m, LINE_TTY,
	       "__meta_docker_container_id=" ID "\n"
	       "__meta_docker_container_log_stream=stdout\n"
	       "__meta_notail_cgroup=/docker/x\n"
	       "__meta_notail_container_id=" ID "\n"
	       "__meta_notail_engine=docker\n"
	       "__meta_notail_hook_set=fexit\n"
	       "__meta_notail_host=node1\n"
	       "__meta_notail_stream=stdout\n"
	       "__meta_notail_tty=true\n");
	pod->engine = strdup("containerd");
	pod->pod_uid = strdup("u");
	pod->outer_id = strdup("o");
	expect(pod, LINE_STDOUT,
	       "__meta_notail_engine=containerd\n"
	       "__meta_notail_hook_set=fexit\n"
	       "__meta_notail_host=node1\n"
	       "__meta_notail_outer_container_id=o\n"
	       "__meta_notail_pod_uid=u\n"
	       "__meta_notail_stream=stdout\n");
	expect(none, LINE_STDOUT,
	       "__meta_notail_hook_set=fexit\n"
	       "__meta_notail_host=node1\n"
	       "__meta_notail_stream=stdout\n");
}

static bool needs(enum relabel_action action, const char *source, const char *regex)
{
	const struct relabel_rule rule = {
		.source_labels = {.items = &source, .n = source ? 1 : 0},
		.separator = ";",
		.regex = regex,
		.target_label = action == RELABEL_REPLACE ? "x" : NULL,
		.replacement = "$1",
		.action = action,
	};
	struct relabel *r = NULL;
	struct diag *diag = NULL;
	bool result;

	assert_int_equal(diag__new(&diag, "f"), 0);
	assert_int_equal(relabel__new(&r, &rule, 1, diag), 0);
	result = discovered__needs_details(r);
	relabel__free(r);
	diag__free(diag);
	return result;
}

static void what_rules_need(void **state _unused_)
{
	assert_true(needs(RELABEL_REPLACE, "__meta_docker_network_name", "(.*)"));
	assert_true(needs(RELABEL_KEEP, "__meta_docker_network_label_x", "(.*)"));
	assert_true(needs(RELABEL_KEEP, "__meta_docker_port_private", "80"));
	assert_true(needs(RELABEL_LABELMAP, NULL, "__meta_docker_(.+)"));
	assert_true(needs(RELABEL_LABELMAP, NULL, "__meta_docker_network_label_(.+)"));
	assert_true(needs(RELABEL_LABELMAP, NULL, "__meta_docker_network_label_b_(.+)"));
	assert_false(needs(RELABEL_REPLACE, "__meta_docker_container_name", "/(.*)"));
	assert_false(needs(RELABEL_LABELMAP, NULL, "__meta_docker_container_label_(.+)"));
	assert_false(needs(RELABEL_LABELDROP, NULL, ".*network.*"));
	assert_false(needs(RELABEL_REPLACE, "__meta_docker_network_name2", "(.*)"));
}

#define HASH "54733a71afbb6bb9006bb96ca9bbfed1"
#define UID "3788fff1-c63b-470f-97b6-911349d38326"
#define OF_NOTAIL                             \
	"__meta_notail_container_id=" ID "\n" \
	"__meta_notail_container_name=web\n"  \
	"__meta_notail_engine=containerd\n"   \
	"__meta_notail_hook_set=fexit\n"      \
	"__meta_notail_host=node1\n"          \
	"__meta_notail_image=nginx:1.25\n"    \
	"__meta_notail_pod_uid=" UID "\n"     \
	"__meta_notail_stream=stdout\n"

/* As its bundle says it. */
static struct meta *of_pod(const char *name)
{
	struct meta *m = meta__new();

	m->engine = strdup("containerd");
	m->id = strdup(ID);
	m->name = strdup("web");
	m->image = strdup("nginx:1.25");
	m->pod_uid = strdup(UID);
	assert_int_equal(meta__add_label(m, META_POD_NAMESPACE_LABEL, "demo"), 0);
	assert_int_equal(meta__add_label(m, META_POD_NAME_LABEL, name), 0);
	assert_int_equal(meta__add_label(m, META_POD_UID_LABEL, UID), 0);
	assert_int_equal(meta__add_label(m, META_POD_CONTAINER_LABEL, "web"), 0);
	return m;
}

static void set_pod(struct meta *m, const char *ip)
{
	_pod_ struct pod *p = pod__new();
	struct pod_container *c;

	p->uid = strdup(UID);
	p->node_name = strdup("node-1");
	p->host_ip = strdup("10.99.0.1");
	p->ip = strdup(ip);
	p->phase = strdup("Running");
	p->ready = strdup("true");
	p->controller_kind = strdup("ReplicaSet");
	p->controller_name = strdup("web-6d45d4ccfb");
	assert_int_equal(pod__add_label(p, "app", "shop"), 0);
	assert_int_equal(pod__add_label(p, "pod-template-hash", "6d45d4ccfb"), 0);
	assert_int_equal(pod__add_annotation(p, "example.com/größe", ""), 0);
	assert_int_equal(pod__add_annotation(p, "note", "n"), 0);
	pod__add_container(p, "prepare")->kind = POD_CONTAINER_INIT;
	c = pod__add_container(p, "web");
	c->image = strdup("nginx");
	assert_int_equal(pod_container__add_port(c, "http", 8080, "TCP"), 0);
	assert_int_equal(pod_container__add_port(c, NULL, 9090, "TCP"), 0);
	assert_int_equal(meta__set_pod(m, p, META_POD_KNOWN), 0);
}

static void pod_of_a_source(void **state _unused_)
{
	_meta_ struct meta *m = of_pod("web-6d45d4ccfb-9w4l7");

	set_pod(m, "10.244.0.7");
	expect(m, LINE_STDOUT,
	       "__address__=10.244.0.7:8080\n"
	       "__meta_kubernetes_namespace=demo\n"
	       "__meta_kubernetes_pod_annotation_note=n\n"
	       "__meta_kubernetes_pod_annotationpresent_example_com_gr__e=true\n"
	       "__meta_kubernetes_pod_annotationpresent_note=true\n"
	       "__meta_kubernetes_pod_container_id=containerd://" ID "\n"
	       "__meta_kubernetes_pod_container_image=nginx\n"
	       "__meta_kubernetes_pod_container_init=false\n"
	       "__meta_kubernetes_pod_container_name=web\n"
	       "__meta_kubernetes_pod_container_port_name=http\n"
	       "__meta_kubernetes_pod_container_port_number=8080\n"
	       "__meta_kubernetes_pod_container_port_protocol=TCP\n"
	       "__meta_kubernetes_pod_controller_kind=ReplicaSet\n"
	       "__meta_kubernetes_pod_controller_name=web-6d45d4ccfb\n"
	       "__meta_kubernetes_pod_deployment_name=web\n"
	       "__meta_kubernetes_pod_host_ip=10.99.0.1\n"
	       "__meta_kubernetes_pod_ip=10.244.0.7\n"
	       "__meta_kubernetes_pod_label_app=shop\n"
	       "__meta_kubernetes_pod_label_pod_template_hash=6d45d4ccfb\n"
	       "__meta_kubernetes_pod_labelpresent_app=true\n"
	       "__meta_kubernetes_pod_labelpresent_pod_template_hash=true\n"
	       "__meta_kubernetes_pod_name=web-6d45d4ccfb-9w4l7\n"
	       "__meta_kubernetes_pod_node_name=node-1\n"
	       "__meta_kubernetes_pod_phase=Running\n"
	       "__meta_kubernetes_pod_ready=true\n"
	       "__meta_kubernetes_pod_uid=" UID "\n" OF_NOTAIL);
}

static void pod_of_a_bundle(void **state _unused_)
{
	_meta_ struct meta *m = of_pod("web-6d45d4ccfb-9w4l7");

	expect(m, LINE_STDOUT,
	       "__meta_kubernetes_namespace=demo\n"
	       "__meta_kubernetes_pod_container_id=containerd://" ID "\n"
	       "__meta_kubernetes_pod_container_image=nginx:1.25\n"
	       "__meta_kubernetes_pod_container_name=web\n"
	       "__meta_kubernetes_pod_controller_kind=ReplicaSet\n"
	       "__meta_kubernetes_pod_controller_name=web-6d45d4ccfb\n"
	       "__meta_kubernetes_pod_deployment_name=web\n"
	       "__meta_kubernetes_pod_name=web-6d45d4ccfb-9w4l7\n"
	       "__meta_kubernetes_pod_node_name=node1\n"
	       "__meta_kubernetes_pod_uid=" UID "\n" OF_NOTAIL);
}

static void expect_one(const struct meta *m, const char *name, const char *value)
{
	struct arena arena = {0};
	struct label_list l = {.arena = &arena};

	assert_int_equal(discovered__add(&l, m, LINE_STDOUT, &OPTS), 0);
	assert_string_equal(label_list__get(&l, name), value);
	arena__free(&arena);
}

static void pods_of_other_kinds(void **state _unused_)
{
	_meta_ struct meta *six = of_pod("a"), *init = of_pod("a"), *debug = of_pod("a");
	_meta_ struct meta *cron = of_pod("backup-29394720-9w4l7"), *docker_shim = docker();

	set_pod(six, "fd00::7");
	expect_one(six, "__address__", "[fd00::7]:8080");
	free(init->labels[3].value);
	init->labels[3].value = strdup("prepare");
	set_pod(init, "10.0.0.1");
	expect_one(init, "__meta_kubernetes_pod_container_init", "true");
	expect_one(init, "__address__", "10.0.0.1");
	expect_one(init, "__meta_kubernetes_pod_container_port_number", "");
	/* The pod does not have it, yet. */
	free(debug->labels[3].value);
	debug->labels[3].value = strdup("debug");
	set_pod(debug, "10.0.0.1");
	expect_one(debug, "__meta_kubernetes_pod_container_init", "");
	expect_one(debug, "__meta_kubernetes_pod_container_name", "debug");
	expect_one(cron, "__meta_kubernetes_pod_cronjob_name", "backup");
	expect_one(cron, "__meta_kubernetes_pod_job_name", "backup-29394720");
	assert_int_equal(meta__add_label(docker_shim, META_POD_NAME_LABEL, "p"), 0);
	expect_one(docker_shim, "__meta_kubernetes_pod_container_id", "docker://" ID);
}

/* What the Promtail chart's own rules make of it. */
static void expect_helm(const struct meta *m, const char *expected)
{
	struct config *config = NULL;
	struct relabel *rules = NULL;
	struct diag *diag = NULL;
	struct arena arena = {0};
	struct label_list l = {.arena = &arena};
	const struct config_job *job;
	char text[1024] = "";

	assert_int_equal(diag__new(&diag, "f"), 0);
	assert_int_equal(
		config__load(&config, "tests/unit/config/accepted/promtail-helm.yaml", NULL, diag),
		0);
	job = config->jobs.items;
	assert_true(job__selects(job, m, NULL));
	assert_int_equal(
		relabel__new(&rules, job->relabel_configs.items, job->relabel_configs.n, diag), 0);
	assert_int_equal(discovered__add(&l, m, LINE_STDOUT, &OPTS), 0);
	label_list__sort(&l);
	assert_int_equal(relabel__apply(rules, &l, NULL), 1);
	label_list__sort(&l);
	for (size_t i = 0; i < l.n; i++)
		if (strncmp(l.items[i].name, "__", 2) || !strcmp(l.items[i].name, "__path__"))
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s=%s\n",
				 l.items[i].name, l.items[i].value);
	assert_string_equal(text, expected);
	relabel__free(rules);
	config__free(config);
	diag__free(diag);
	arena__free(&arena);
}

static void promtail_chart(void **state _unused_)
{
	_meta_ struct meta *full = of_pod("web-6d45d4ccfb-9w4l7");
	_meta_ struct meta *bundle = of_pod("web-6d45d4ccfb-9w4l7");
	_meta_ struct meta *mirror = of_pod("static-node-1");
	_meta_ struct meta *of_file = of_pod("static-node-1");

	set_pod(full, "10.244.0.7");
	expect_helm(full, "__path__=/var/log/pods/*" UID "/web/*.log\n"
			  "app=shop\ncontainer=web\njob=demo/shop\nnamespace=demo\n"
			  "node_name=node-1\npod=web-6d45d4ccfb-9w4l7\n");
	/* The Deployment's name stands for the label that no bundle has. */
	expect_helm(bundle, "__path__=/var/log/pods/*" UID "/web/*.log\n"
			    "app=web\ncontainer=web\njob=demo/web\nnamespace=demo\n"
			    "node_name=node1\npod=web-6d45d4ccfb-9w4l7\n");
	set_pod(mirror, "10.99.0.1");
	assert_int_equal(pod__add_annotation(mirror->pod, "kubernetes.io/config.hash", "abc"), 0);
	expect_helm(mirror, "__path__=/var/log/pods/*abc/web/*.log\n"
			    "app=shop\ncontainer=web\njob=demo/shop\nnamespace=demo\n"
			    "node_name=node-1\npod=static-node-1\n");
	/* Its bundle alone, and the kubelet's list, which has no mirror pod. */
	free(of_file->labels[2].value);
	of_file->labels[2].value = strdup(HASH);
	expect_helm(of_file, "__path__=/var/log/pods/*" HASH "/web/*.log\n"
			     "app=static-node-1\ncontainer=web\njob=demo/static-node-1\n"
			     "namespace=demo\nnode_name=node1\npod=static-node-1\n");
	expect_one(of_file, "__meta_kubernetes_pod_annotation_kubernetes_io_config_mirror", HASH);
	set_pod(of_file, "10.99.0.1");
	of_file->pod->config_hash = strdup("abc");
	expect_one(of_file, "__meta_kubernetes_pod_annotationpresent_kubernetes_io_config_mirror",
		   "true");
	expect_one(of_file, "__meta_kubernetes_pod_annotation_kubernetes_io_config_mirror", "abc");
	expect_one(bundle, "__meta_kubernetes_pod_annotation_kubernetes_io_config_hash", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pod_of_a_source),	cmocka_unit_test(pod_of_a_bundle),
		cmocka_unit_test(pods_of_other_kinds),	cmocka_unit_test(promtail_chart),

		cmocka_unit_test(all_that_docker_says), cmocka_unit_test(addresses),
		cmocka_unit_test(without_an_engine),	cmocka_unit_test(what_rules_need),
	};

	return cmocka_run_group_tests_name("discovered", tests, NULL, NULL);
}
