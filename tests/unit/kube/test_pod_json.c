/* SPDX-License-Identifier: Apache-2.0 */
/* Pods as an API server and a kubelet 1.31 gave them, and as no one would. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "containers/pod.h"
#include "kube/items.h"
#include "kube/pod_json.h"

#define HASH "54733a71afbb6bb9006bb96ca9bbfed1"

struct list {
	struct pod *pods[32];
	size_t n;
};

static void add(void *ctx, const char *json, size_t len)
{
	struct list *l = ctx;

	assert_int_equal(pod_json__parse(json, len, &l->pods[l->n]), 0);
	l->n++;
}

static void read_list(struct list *l, const char *path)
{
	_buf_ struct buf text = {0};
	struct kube_items items = {0};

	assert_int_equal(buf__read_file(&text, path, 1 << 20), 0);
	kube_items__begin(&items, KUBE_ITEM_BYTES);
	assert_int_equal(kube_items__feed(&items, text.data, text.len, add, l), 0);
	assert_int_equal(kube_items__end(&items), 0);
	kube_items__free(&items);
}

static void free_list(struct list *l)
{
	for (size_t i = 0; i < l->n; i++)
		pod__unref(l->pods[i]);
}

static const struct pod *named(const struct list *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++) {
		if (strcmp(l->pods[i]->name, name) == 0)
			return l->pods[i];
	}
	fail_msg("no pod %s", name);
	return NULL;
}

static void of_the_api_server(void **state _unused_)
{
	struct list l = {0};
	const struct pod *p;
	const struct pod_container *c;

	read_list(&l, "tests/data/kubernetes/pods-list.json");
	assert_int_equal(l.n, 10);
	p = named(&l, "blink-gzctx");
	assert_string_equal(p->uid, "ef09fbcd-9f55-44f1-a058-967fb35b0e91");
	assert_string_equal(p->namespace, "demo");
	assert_string_equal(p->node_name, "node-1");
	assert_string_equal(p->host_ip, "10.99.0.1");
	assert_string_equal(p->ip, "10.244.0.7");
	assert_string_equal(p->phase, "Succeeded");
	assert_string_equal(p->ready, "false");
	assert_string_equal(p->controller_kind, "Job");
	assert_string_equal(p->controller_name, "blink");
	assert_string_equal(pod__label(p, "job-name"), "blink");
	assert_int_equal(p->n_labels, 5);
	assert_int_equal(p->n_annotations, 0);
	assert_null(p->config_hash);
	c = pod__container(p, "blink");
	assert_string_equal(c->id,
			    "adf904d3cc1af41eb70ecb71c96ffed0e5406647a32e9d31a368f9abe94d0947");
	assert_string_equal(c->image, "localhost/demo/busybox:1");
	assert_int_equal(c->kind, POD_CONTAINER);
	p = named(&l, "withinit");
	assert_int_equal(p->n_containers, 3);
	assert_int_equal(pod__container(p, "sidecar")->kind, POD_CONTAINER_INIT);
	assert_non_null(pod__container(p, "sidecar")->id);
	assert_int_equal(pod__container(p, "main")->kind, POD_CONTAINER);
	p = named(&l, "static-node-1");
	assert_string_equal(p->uid, "88f3e6df-869d-4eae-8c8f-a5e7ad393f0e");
	assert_string_equal(p->config_hash, HASH);
	free_list(&l);
}

static void of_the_kubelet(void **state _unused_)
{
	struct list l = {0};
	const struct pod *p;

	read_list(&l, "tests/data/kubernetes/kubelet-pods.json");
	assert_int_equal(l.n, 10);
	p = named(&l, "static-node-1");
	assert_string_equal(p->uid, HASH);
	assert_string_equal(p->config_hash, HASH);
	p = named(&l, "hostnet");
	assert_null(p->config_hash);
	assert_string_equal(pod__label(p, "app"), "hostnet");
	free_list(&l);
}

static struct pod *parsed(const char *json)
{
	struct pod *p;

	assert_int_equal(pod_json__parse(json, strlen(json), &p), 0);
	return p;
}

#define BARE "\"metadata\":{\"uid\":\"u\",\"namespace\":\"n\",\"name\":\"p\""

static void whatever_order_and_type(void **state _unused_)
{
	_pod_ struct pod *p = parsed(
		"{\"status\":{\"phase\":7,\"podIP\":\"\",\"containerStatuses\":[{\"name\":\"a\","
		"\"containerID\":\"cri-o://1\"},3,{\"name\":\"b\",\"containerID\":\"\"}],"
		"\"conditions\":{}},\"spec\":{\"containers\":[null,{\"name\":\"a\",\"ports\":["
		"{\"containerPort\":80},{\"name\":\"x\",\"containerPort\":65536},"
		"{\"name\":\"d\",\"containerPort\":53,\"protocol\":\"UDP\"},{\"containerPort\":-1}]"
		"},"
		"{\"image\":\"nameless\"},{\"name\":\"b\"}],\"initContainers\":\"x\"}," BARE
		",\"ownerReferences\":[{\"kind\":\"No\",\"name\":\"n\"},{\"kind\":\"ReplicaSet\","
		"\"name\":\"r-1\",\"controller\":true}],\"labels\":[1],"
		"\"annotations\":{\"a\\u0000\\ud800\":\"\xff\\u00e9\",\"n\":null}}}");

	assert_null(p->phase);
	assert_null(p->ip);
	assert_null(p->ready);
	assert_int_equal(p->n_containers, 2);
	assert_string_equal(p->containers[0].id, "1");
	assert_null(p->containers[1].id);
	assert_int_equal(p->containers[0].n_ports, 2);
	assert_null(p->containers[0].ports[0].name);
	assert_int_equal(p->containers[0].ports[0].number, 80);
	assert_string_equal(p->containers[0].ports[0].protocol, "TCP");
	assert_string_equal(p->containers[0].ports[1].protocol, "UDP");
	assert_string_equal(p->controller_kind, "ReplicaSet");
	assert_int_equal(p->n_annotations, 1);
	assert_string_equal(p->annotations[0].name, "a?\xef\xbf\xbd");
	assert_string_equal(p->annotations[0].value, "?\xc3\xa9");
	assert_int_equal(p->n_labels, 0);
}

static void no_pods(void **state _unused_)
{
	static const char *const texts[] = {
		"",
		"x",
		"[]",
		"{}",
		"null",
		"{\"metadata\":{}}",
		"{\"metadata\":7}",
		"{" BARE "}",
		"{\"metadata\":{\"uid\":\"\",\"namespace\":\"n\",\"name\":\"p\"}}",
		"{\"metadata\":{\"namespace\":\"n\",\"name\":\"p\"}}",
		"{" BARE "},\"spec\":[{}"};
	struct pod *p;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		if (pod_json__parse(texts[i], strlen(texts[i]), &p) != -EBADMSG)
			fail_msg("a pod: %s", texts[i]);
	}
}

static void bounded(void **state _unused_)
{
	_buf_ struct buf text = {0};
	_pod_ struct pod *p = NULL;

	buf__append_str(&text, "{" BARE ",\"labels\":{");
	for (int i = 0; i < 2 * POD_JSON_LABELS; i++)
		buf__printf(&text, "%s\"l%d\":\"v\"", i ? "," : "", i);
	buf__append_str(&text, "},\"annotations\":{\"long\":\"");
	for (int i = 0; i < POD_JSON_VALUE_BYTES; i++)
		buf__append_str(&text, "x");
	buf__append_str(&text, "\",\"b\":\"c\"}},\"spec\":{\"containers\":[{\"name\":\"c\"}");
	for (int i = 0; i < 2 * POD_JSON_CONTAINERS; i++)
		buf__append_str(&text, ",{\"name\":\"c\"}");
	buf__append(&text, "]}}", 4);
	p = parsed(text.data);
	assert_int_equal(p->n_labels, POD_JSON_LABELS);
	assert_int_equal(p->n_annotations, 1);
	assert_int_equal(p->n_containers, POD_JSON_CONTAINERS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_the_api_server),
		cmocka_unit_test(of_the_kubelet),
		cmocka_unit_test(whatever_order_and_type),
		cmocka_unit_test(no_pods),
		cmocka_unit_test(bounded),
	};

	return cmocka_run_group_tests_name("pod_json", tests, NULL, NULL);
}
