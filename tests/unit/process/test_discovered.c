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
#include "process/discovered.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct discovered_opts OPTS = {.host = "node1", .hook_set = "fexit"};

static void expect(const struct meta *m, enum line_stream stream, const char *expected)
{
	struct arena arena = {0};
	struct label_list l = {.arena = &arena};
	char text[4096] = "";
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_that_docker_says),
		cmocka_unit_test(addresses),
		cmocka_unit_test(without_an_engine),
		cmocka_unit_test(what_rules_need),
	};

	return cmocka_run_group_tests_name("discovered", tests, NULL, NULL);
}
