/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "containers/kubernetes.h"
#include "containers/pods.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "1123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define UID "ef09fbcd-9f55-44f1-a058-967fb35b0e91"
#define OTHER_UID "ff09fbcd-9f55-44f1-a058-967fb35b0e91"
#define CGROUP(uid, id) "/kubepods/besteffort/pod" uid "/" id

struct fixture {
	struct registry *registry;
	struct pods *pods;
	char unknown[64];
	unsigned n_unknown;
};

static void on_unknown(void *ctx, const char *uid)
{
	struct fixture *f = ctx;

	snprintf(f->unknown, sizeof(f->unknown), "%s", uid);
	f->n_unknown++;
}

/* A container of a pod runs, and its bundle is wanted. */
static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char id[65];
	const char *engine;

	assert_int_equal(registry__new(&f->registry), 0);
	assert_int_equal(pods__new(&f->pods, f->registry), 0);
	pods__on_unknown(f->pods, on_unknown, f);
	registry__source(f->registry, REGISTRY_BUNDLES, true);
	assert_int_equal(
		registry__cgroup_new(f->registry, 1, CGROUP(UID, ID), strlen(CGROUP(UID, ID))), 0);
	assert_true(registry__next_wanted(f->registry, REGISTRY_BUNDLES, id, sizeof(id), &engine));
	assert_string_equal(id, ID);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	pods__free(f->pods);
	registry__free(f->registry);
	free(f);
	return 0;
}

static struct pod *pod(const char *uid, const char *app)
{
	struct pod *p = pod__new();
	struct pod_container *c;

	p->uid = strdup(uid);
	p->namespace = strdup("shop");
	p->name = strdup("web");
	assert_int_equal(pod__add_label(p, "app", app), 0);
	c = pod__add_container(p, "web");
	c->id = strdup(ID);
	c->image = strdup("web:1");
	return p;
}

/* As its bundle names it. */
static int add_container(struct fixture *f, const char *id, const char *uid)
{
	struct meta *m = meta__new();

	m->engine = strdup("containerd");
	m->id = strdup(id);
	m->name = strdup("web");
	m->pod_uid = strdup(uid);
	m->detailed = true;
	assert_int_equal(meta__add_label(m, META_POD_UID_LABEL, uid), 0);
	assert_int_equal(meta__add_label(m, META_POD_CONTAINER_LABEL, "web"), 0);
	return pods__container(f->pods, m);
}

/* What the container has is its pod's label `app`; NULL: it has no pod. */
static void expect(struct fixture *f, enum registry_answer answer, const char *app)
{
	_meta_ struct meta *m = NULL;

	assert_int_equal(registry__lookup(f->registry, 1, &m), answer);
	if (!app) {
		assert_null(m->pod);
		return;
	}
	assert_non_null(m->pod);
	assert_string_equal(pod__label(m->pod, "app"), app);
	assert_string_equal(m->name, "web");
	assert_string_equal(m->pod_uid, m->pod->uid);
	assert_string_equal(meta__label(m, META_POD_UID_LABEL), m->pod->uid);
}

static void no_source(void **state)
{
	struct fixture *f = *state;

	expect(f, REGISTRY_PENDING, NULL);
	assert_int_equal(add_container(f, ID, UID), 0);
	expect(f, REGISTRY_KNOWN, NULL);
	assert_int_equal(f->n_unknown, 0);
}

static void pod_first(void **state)
{
	struct fixture *f = *state;

	pods__source(f->pods, true);
	assert_int_equal(pods__put(f->pods, pod(UID, "a")), 0);
	expect(f, REGISTRY_PENDING, NULL);
	assert_int_equal(add_container(f, ID, UID), 0);
	expect(f, REGISTRY_KNOWN, "a");
	assert_int_equal(f->n_unknown, 0);
}

static void container_first(void **state)
{
	_meta_ struct meta *m = NULL;
	struct fixture *f = *state;

	pods__source(f->pods, true);
	assert_int_equal(add_container(f, ID, UID), 0);
	assert_int_equal(f->n_unknown, 1);
	assert_string_equal(f->unknown, UID);
	/* What its lines are sent with when they have waited for long enough. */
	assert_int_equal(registry__lookup(f->registry, 1, &m), REGISTRY_PENDING);
	assert_string_equal(m->name, "web");
	assert_int_equal(pods__put(f->pods, pod(OTHER_UID, "other")), 0);
	expect(f, REGISTRY_PENDING, NULL);
	assert_int_equal(pods__put(f->pods, pod(UID, "a")), 0);
	expect(f, REGISTRY_KNOWN, "a");
}

static void change(void **state)
{
	struct fixture *f = *state;
	uint64_t version;
	struct pod *p;

	pods__source(f->pods, true);
	assert_int_equal(add_container(f, ID, UID), 0);
	assert_int_equal(pods__put(f->pods, pod(UID, "a")), 0);
	version = registry__version(f->registry);
	assert_int_equal(pods__put(f->pods, pod(UID, "a")), 0);
	assert_int_equal(registry__version(f->registry), version);
	/* Of another container of the pod. */
	p = pod(UID, "a");
	pod__add_container(p, "sidecar")->kind = POD_CONTAINER_INIT;
	assert_int_equal(pods__put(f->pods, p), 0);
	assert_int_equal(registry__version(f->registry), version);
	assert_int_equal(pods__put(f->pods, pod(UID, "b")), 0);
	assert_true(registry__version(f->registry) > version);
	expect(f, REGISTRY_KNOWN, "b");
}

static void away(void **state)
{
	struct fixture *f = *state;

	pods__source(f->pods, true);
	assert_int_equal(add_container(f, ID, UID), 0);
	expect(f, REGISTRY_PENDING, NULL);
	pods__source(f->pods, false);
	expect(f, REGISTRY_KNOWN, NULL);
	assert_int_equal(f->n_unknown, 1);
	/* What is told late is told all the same. */
	pods__source(f->pods, true);
	expect(f, REGISTRY_KNOWN, NULL);
	assert_int_equal(pods__put(f->pods, pod(UID, "a")), 0);
	expect(f, REGISTRY_KNOWN, "a");
	pods__source(f->pods, false);
	expect(f, REGISTRY_KNOWN, "a");
}

static void gone(void **state)
{
	struct fixture *f = *state;

	pods__source(f->pods, true);
	assert_int_equal(pods__put(f->pods, pod(UID, "a")), 0);
	assert_int_equal(pods__count(f->pods), 1);
	pods__gone(f->pods, UID);
	pods__gone(f->pods, UID);
	pods__gone(f->pods, OTHER_UID);
	assert_int_equal(pods__count(f->pods), 0);
	/* It was gone before its bundle was read. */
	assert_int_equal(add_container(f, ID, UID), 0);
	expect(f, REGISTRY_KNOWN, "a");
	assert_int_equal(pods__put(f->pods, pod(UID, "b")), 0);
	assert_int_equal(pods__count(f->pods), 1);
	expect(f, REGISTRY_KNOWN, "b");
	for (int i = 0; i < 200; i++) {
		char uid[64];

		snprintf(uid, sizeof(uid), "uid-%d", i);
		assert_int_equal(pods__put(f->pods, pod(uid, "x")), 0);
		pods__gone(f->pods, uid);
	}
	pods__gone(f->pods, UID);
	assert_int_equal(pods__count(f->pods), 0);
	expect(f, REGISTRY_KNOWN, "b");
}

static void lists(void **state)
{
	struct fixture *f = *state;

	pods__list_begin(f->pods);
	assert_int_equal(pods__put(f->pods, pod(UID, "a")), 0);
	assert_int_equal(pods__put(f->pods, pod(OTHER_UID, "a")), 0);
	pods__list_end(f->pods);
	assert_int_equal(pods__count(f->pods), 2);
	pods__list_begin(f->pods);
	assert_int_equal(pods__put(f->pods, pod(UID, "a")), 0);
	pods__list_end(f->pods);
	assert_int_equal(pods__count(f->pods), 1);
	pods__list_begin(f->pods);
	pods__list_end(f->pods);
	assert_int_equal(pods__count(f->pods), 0);
}

/* Its cgroup and its bundle have the config hash for a uid; a mirror pod has another. */
static void static_pod(void **state)
{
	static const char path[] = CGROUP(STATIC_HASH, OTHER);
	_meta_ struct meta *m = NULL, *again = NULL;
	struct fixture *f = *state;
	struct pod *p = pod(STATIC_UID, "a");

	pods__source(f->pods, true);
	assert_int_equal(registry__cgroup_new(f->registry, 2, path, strlen(path)), 0);
	assert_int_equal(add_container(f, OTHER, STATIC_HASH), 0);
	assert_string_equal(f->unknown, STATIC_HASH);
	p->config_hash = strdup(STATIC_HASH);
	assert_int_equal(pods__put(f->pods, p), 0);
	assert_int_equal(registry__lookup(f->registry, 2, &m), REGISTRY_KNOWN);
	assert_string_equal(m->pod_uid, STATIC_UID);
	assert_string_equal(meta__label(m, META_POD_UID_LABEL), STATIC_UID);
	/* Somebody deleted it: the kubelet makes it anew. */
	pods__gone(f->pods, STATIC_UID);
	p = pod(OTHER_UID, "b");
	p->config_hash = strdup(STATIC_HASH);
	assert_int_equal(pods__put(f->pods, p), 0);
	assert_int_equal(registry__lookup(f->registry, 2, &again), REGISTRY_KNOWN);
	assert_string_equal(again->pod_uid, OTHER_UID);
	assert_string_equal(pod__label(again->pod, "app"), "b");
}

/* Anybody's pod may say that it mirrors a file: its names are not those that the bundle has. */
static void pretended_mirror(void **state)
{
	static const char path[] = CGROUP(STATIC_HASH, OTHER);
	_meta_ struct meta *m = NULL, *again = NULL, *known = meta__new();
	struct fixture *f = *state;
	struct pod *p = pod(OTHER_UID, "theirs");

	p->config_hash = strdup(STATIC_HASH);
	pods__source(f->pods, true);
	assert_int_equal(registry__cgroup_new(f->registry, 2, path, strlen(path)), 0);
	known->id = strdup(OTHER);
	known->name = strdup("etcd");
	known->pod_uid = strdup(STATIC_HASH);
	assert_int_equal(meta__add_label(known, META_POD_NAMESPACE_LABEL, "kube-system"), 0);
	assert_int_equal(meta__add_label(known, META_POD_NAME_LABEL, "etcd-node-1"), 0);
	assert_int_equal(pods__container(f->pods, TAKE_PTR(known)), 0);
	assert_int_equal(pods__put(f->pods, p), 0);
	assert_int_equal(registry__lookup(f->registry, 2, &m), REGISTRY_PENDING);
	p = pod(STATIC_UID, "a");
	free(p->namespace);
	free(p->name);
	p->namespace = strdup("kube-system");
	p->name = strdup("etcd-node-1");
	p->config_hash = strdup(STATIC_HASH);
	assert_int_equal(pods__put(f->pods, p), 0);
	assert_int_equal(registry__lookup(f->registry, 2, &again), REGISTRY_KNOWN);
	assert_string_equal(pod__label(again->pod, "app"), "a");
}

/* No bundle: its pod knows its id. */
static void by_its_id(void **state)
{
	_meta_ struct meta *m = NULL;
	struct fixture *f = *state;

	pods__source(f->pods, true);
	pods__unnamed(f->pods, ID, UID);
	assert_string_equal(f->unknown, UID);
	expect(f, REGISTRY_PENDING, NULL);
	assert_int_equal(pods__put(f->pods, pod(UID, "a")), 0);
	expect(f, REGISTRY_KNOWN, "a");
	assert_int_equal(registry__lookup(f->registry, 1, &m), REGISTRY_KNOWN);
	assert_string_equal(meta__label(m, META_POD_NAMESPACE_LABEL), "shop");
	assert_string_equal(meta__label(m, META_POD_NAME_LABEL), "web");
	assert_string_equal(meta__label(m, META_POD_CONTAINER_LABEL), "web");
	assert_string_equal(m->image, "web:1");
	assert_string_equal(m->engine, "kubernetes");
}

static void nobody_knows_it(void **state)
{
	struct fixture *f = *state;

	pods__unnamed(f->pods, ID, UID);
	expect(f, REGISTRY_NEVER, NULL);
}

static void given_up(void **state)
{
	struct fixture *f = *state;

	pods__source(f->pods, true);
	pods__unnamed(f->pods, ID, UID);
	expect(f, REGISTRY_PENDING, NULL);
	pods__source(f->pods, false);
	expect(f, REGISTRY_NEVER, NULL);
	pods__source(f->pods, true);
	for (int i = 0; i < 100; i++) {
		char id[16];

		snprintf(id, sizeof(id), "id-%d", i);
		pods__unnamed(f->pods, id, UID);
	}
}

/* What a run before this one knew of the pod holds until the source speaks. */
static void restored(void **state)
{
	_meta_ struct meta *m = meta__new();
	struct fixture *f = *state;

	m->id = strdup(ID);
	m->name = strdup("web");
	m->pod_uid = strdup(UID);
	m->pod = pod(UID, "before");
	assert_int_equal(meta__add_label(m, META_POD_UID_LABEL, UID), 0);
	assert_int_equal(registry__restore(f->registry, 1, m), 0);
	pods__source(f->pods, true);
	assert_int_equal(add_container(f, ID, UID), 0);
	expect(f, REGISTRY_PENDING, "before");
	pods__source(f->pods, false);
	expect(f, REGISTRY_KNOWN, "before");
	assert_int_equal(pods__put(f->pods, pod(UID, "now")), 0);
	expect(f, REGISTRY_KNOWN, "now");
}

/* Nobody is asked any more: the bundle says all. */
static void restored_without_a_source(void **state)
{
	_meta_ struct meta *m = meta__new();
	struct fixture *f = *state;

	m->id = strdup(ID);
	m->name = strdup("web");
	m->pod = pod(UID, "before");
	assert_int_equal(registry__restore(f->registry, 1, m), 0);
	assert_int_equal(add_container(f, ID, UID), 0);
	expect(f, REGISTRY_KNOWN, NULL);
}

/* A bundle of CRI-O says something itself; the source says more. */
static void bundle_with_a_pod(void **state)
{
	struct fixture *f = *state;
	struct meta *m = meta__new();

	m->id = strdup(ID);
	m->name = strdup("web");
	m->pod_uid = strdup(UID);
	m->pod = pod(UID, "bundle");
	m->detailed = true;
	assert_int_equal(meta__add_label(m, META_POD_UID_LABEL, UID), 0);
	pods__source(f->pods, true);
	assert_int_equal(pods__container(f->pods, m), 0);
	expect(f, REGISTRY_PENDING, "bundle");
	assert_int_equal(pods__put(f->pods, pod(UID, "source")), 0);
	expect(f, REGISTRY_KNOWN, "source");
}

static void none(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(pods__put(f->pods, pod__new()), -EINVAL);
	assert_int_equal(pods__put(f->pods, pod("", "a")), -EINVAL);
	assert_int_equal(pods__count(f->pods), 0);
	pods__free(NULL);
}

static void bounded(void **state)
{
	struct fixture *f = *state;
	char uid[64];

	for (int i = 0; i < PODS_MAX; i++) {
		struct pod *p;

		snprintf(uid, sizeof(uid), "uid-%d", i);
		p = pod(uid, "a");
		p->phase = strdup(i == 100 ? "Succeeded" : "Running");
		assert_int_equal(pods__put(f->pods, p), 0);
	}
	assert_int_equal(pods__put(f->pods, pod(UID, "a")), 0);
	assert_int_equal(pods__put(f->pods, pod(OTHER_UID, "a")), -ENOSPC);
	assert_int_equal(pods__count(f->pods), PODS_MAX);
	pods__gone(f->pods, uid);
	assert_int_equal(pods__put(f->pods, pod(OTHER_UID, "a")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(no_source),
		TEST(pod_first),
		TEST(container_first),
		TEST(change),
		TEST(away),
		TEST(gone),
		TEST(lists),
		TEST(static_pod),
		TEST(pretended_mirror),
		TEST(by_its_id),
		TEST(nobody_knows_it),
		TEST(given_up),
		TEST(restored),
		TEST(restored_without_a_source),
		TEST(bundle_with_a_pod),
		TEST(none),
		TEST(bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
