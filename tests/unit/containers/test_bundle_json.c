/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "containers/bundle_json.h"
#include "containers/kubernetes.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct read {
	enum bundle_kind kind;
	struct meta *m;
	char *sandbox;
};

static void read__free(struct read *r)
{
	meta__unref(r->m);
	free(r->sandbox);
}
#define _read_ _cleanup_(read__free)

static int read_by(enum bundle_by by, const char *text, struct read *ret)
{
	*ret = (struct read){.kind = BUNDLE_SANDBOX};
	return bundle_json__read(text, strlen(text), ID, by, &ret->kind, &ret->m, &ret->sandbox);
}

static int read_bundle(const char *text, struct read *ret)
{
	return read_by(BUNDLE_BY_CONTAINERD, text, ret);
}

static void expect_label(const struct meta *m, const char *name, const char *value)
{
	if (!value) {
		assert_null(meta__label(m, name));
		return;
	}
	assert_non_null(meta__label(m, name));
	assert_string_equal(meta__label(m, name), value);
}

/* Every container of the recorded node, by its own annotations alone. */
static void recorded(void **state _unused_)
{
	_free_ char *all = kubernetes__read("oci-annotations.jsonl");
	unsigned containers = 0, sandboxes = 0, is_static = 0;

	for (char *line = strtok(all, "\n"); line; line = strtok(NULL, "\n")) {
		_read_ struct read r;

		assert_int_equal(read_bundle(line, &r), 0);
		if (r.kind == BUNDLE_SANDBOX) {
			assert_null(r.m);
			sandboxes++;
			continue;
		}
		containers++;
		assert_int_equal(r.kind, BUNDLE_CONTAINER);
		assert_null(r.sandbox);
		assert_string_equal(r.m->engine, "containerd");
		assert_string_equal(r.m->id, ID);
		assert_string_equal(r.m->image, "localhost/demo/busybox:1");
		assert_true(r.m->detailed);
		assert_int_equal(r.m->n_labels, 4);
		expect_label(r.m, META_POD_UID_LABEL, r.m->pod_uid);
		expect_label(r.m, META_POD_CONTAINER_LABEL, r.m->name);
		if (strcmp(r.m->pod_uid, STATIC_HASH) == 0) {
			is_static++;
			expect_label(r.m, META_POD_NAMESPACE_LABEL, "kube-system");
			expect_label(r.m, META_POD_NAME_LABEL, "static-node-1");
		}
	}
	assert_int_equal(containers + sandboxes, 18);
	assert_in_range(containers, 8, 12);
	assert_int_equal(is_static, 1);
}

/* containerd before 1.6.7: the sandbox has the rest, in the path of its logs if nowhere else. */
static void old_containerd(void **state _unused_)
{
	static const char sandbox[] =
		"{\"annotations\":{\"io.kubernetes.cri.container-type\":\"sandbox\","
		"\"io.kubernetes.cri.sandbox-log-directory\":\"/var/log/pods/shop_web-0_"
		"aaaa2b4a-f398-41c0-928b-049e1cc4ec40\"}}";
	_read_ struct read r;

	assert_int_equal(read_bundle("{\"annotations\":{\"io.kubernetes.cri.container-type\":"
				     "\"container\",\"io.kubernetes.cri.container-name\":\"web\","
				     "\"io.kubernetes.cri.sandbox-id\":\"abc\"}}",
				     &r),
			 0);
	assert_int_equal(r.kind, BUNDLE_CONTAINER);
	assert_string_equal(r.sandbox, "abc");
	assert_null(r.m->pod_uid);
	assert_int_equal(bundle_json__add_sandbox(sandbox, strlen(sandbox), r.m), 0);
	assert_string_equal(r.m->pod_uid, "aaaa2b4a-f398-41c0-928b-049e1cc4ec40");
	expect_label(r.m, META_POD_NAMESPACE_LABEL, "shop");
	expect_label(r.m, META_POD_NAME_LABEL, "web-0");
	expect_label(r.m, META_POD_CONTAINER_LABEL, "web");
	assert_null(r.m->pod);
}

static void crio(void **state _unused_)
{
	_read_ struct read r;

	assert_int_equal(read_by(BUNDLE_BY_CRIO, CRIO_BUNDLE, &r), 0);
	assert_int_equal(r.kind, BUNDLE_CONTAINER);
	assert_string_equal(r.m->engine, "cri-o");
	assert_string_equal(r.m->name, "web");
	assert_string_equal(r.m->image, "quay.io/shop/web:1");
	assert_string_equal(r.m->pod_uid, "aaaa2b4a-f398-41c0-928b-049e1cc4ec40");
	assert_string_equal(r.sandbox, CRIO_SANDBOX);
	assert_null(r.m->pod);

	assert_int_equal(
		bundle_json__add_sandbox(CRIO_SANDBOX_BUNDLE, strlen(CRIO_SANDBOX_BUNDLE), r.m), 0);
	expect_label(r.m, META_POD_NAMESPACE_LABEL, "shop");
	expect_label(r.m, META_POD_NAME_LABEL, "web-0");
	expect_label(r.m, META_POD_CONTAINER_LABEL, "web");
	assert_int_equal(r.m->n_labels, 4);
	assert_string_equal(r.m->pod->name, "web-0");
	assert_string_equal(r.m->pod->namespace, "shop");
	assert_string_equal(r.m->pod->uid, r.m->pod_uid);
	assert_int_equal(r.m->pod->n_labels, 1);
	assert_string_equal(pod__label(r.m->pod, "app"), "shop-web");
	assert_string_equal(pod__annotation(r.m->pod, "owner"), "team");
	assert_null(r.m->pod->config_hash);
	assert_string_equal(pod__container(r.m->pod, "web")->id, ID);
}

static void crio_sandbox(void **state _unused_)
{
	_read_ struct read r;

	assert_int_equal(read_by(BUNDLE_BY_CRIO, CRIO_SANDBOX_BUNDLE, &r), 0);
	assert_int_equal(r.kind, BUNDLE_SANDBOX);
	assert_null(r.m);
}

static void nerdctl_and_ctr(void **state _unused_)
{
	_read_ struct read nerdctl, ctr, plain;

	assert_int_equal(read_bundle("{\"annotations\":{\"nerdctl/name\":\"web\","
				     "\"nerdctl/namespace\":\"default\",\"number\":1}}",
				     &nerdctl),
			 0);
	assert_int_equal(nerdctl.kind, BUNDLE_CONTAINER);
	assert_string_equal(nerdctl.m->name, "web");
	assert_string_equal(nerdctl.m->engine, "containerd");
	expect_label(nerdctl.m, "nerdctl/namespace", "default");
	expect_label(nerdctl.m, "number", NULL);
	assert_null(nerdctl.m->pod_uid);

	assert_int_equal(read_bundle("{\"annotations\":{\"team\":\"a\"}}", &ctr), 0);
	assert_int_equal(ctr.kind, BUNDLE_CONTAINER);
	assert_null(ctr.m->name);
	expect_label(ctr.m, "team", "a");

	assert_int_equal(read_bundle("{\"ociVersion\":\"1.0.2\"}", &plain), 0);
	assert_int_equal(plain.kind, BUNDLE_UNNAMED);
}

/* podman calls containers of a pod of its own as CRI-O does. */
static void podman(void **state _unused_)
{
	_read_ struct read r;

	assert_int_equal(read_by(BUNDLE_BY_CRIO,
				 "{\"annotations\":{\"io.container.manager\":\"libpod\","
				 "\"io.kubernetes.cri-o.ContainerType\":\"container\","
				 "\"io.kubernetes.cri-o.SandboxID\":\"abc\"}}",
				 &r),
			 0);
	assert_int_equal(r.kind, BUNDLE_UNNAMED);
	assert_string_equal(r.m->engine, "podman");
	assert_null(r.sandbox);
}

/* Its storage names it. */
static void storage(void **state _unused_)
{
	static const char list[] =
		"[{\"id\":\"1\"},{\"id\":\"" ID "\",\"names\":[\"web\",\"other\"],"
		"\"metadata\":\"{\\\"image-name\\\":\\\"localhost/web:1\\\"}\"}]";
	static const char *const none[] = {
		"[]", "[1]", "[{}]", "[{\"id\":\"" ID "\"}]", "[{\"id\":\"" ID "\",\"names\":[1]}]",
	};
	static const char *const broken[] = {"", "{}", "[", "null"};
	_meta_ struct meta *m = meta__new();

	m->id = strdup(ID);
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		assert_int_equal(bundle_json__add_storage(none[i], strlen(none[i]), m), -ENOENT);
	for (size_t i = 0; i < ARRAY_SIZE(broken); i++)
		assert_int_equal(bundle_json__add_storage(broken[i], strlen(broken[i]), m),
				 -EBADMSG);
	assert_null(m->name);
	assert_int_equal(bundle_json__add_storage(list, strlen(list), m), 0);
	assert_string_equal(m->name, "web");
	assert_string_equal(m->image, "localhost/web:1");
}

static void no_bundle(void **state _unused_)
{
	static const char *const texts[] = {
		"",
		"{",
		"[]",
		"null",
		"1",
		"\"x\"",
		"{\"annotations\":[]}",
		"{\"annotations\":1}",
		"{\"annotations\":{\"a\":\"\\ud800\"}}",
		"{}{}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_read_ struct read r;
		_meta_ struct meta *m = meta__new();

		assert_int_equal(read_bundle(texts[i], &r), -EBADMSG);
		assert_null(r.m);
		m->engine = strdup(i % 2 ? "cri-o" : "containerd");
		assert_int_equal(bundle_json__add_sandbox(texts[i], strlen(texts[i]), m), -EBADMSG);
		assert_int_equal(m->n_labels, 0);
	}
}

/* A pod's own annotations may be beside the runtime's: they do not say which pod it is. */
static void impostors(void **state _unused_)
{
#define KUBELETS \
	"\"io.kubernetes.pod.namespace\":\"kube-system\",\"io.kubernetes.pod.name\":\"etcd\""
#define AS_CRIO                                                                            \
	"\"io.container.manager\":\"cri-o\",\"io.kubernetes.cri-o.ContainerType\":"        \
	"\"container\",\"io.kubernetes.cri-o.SandboxID\":\"s\","                           \
	"\"io.kubernetes.cri-o.Labels\":\"{\\\"io.kubernetes.pod.namespace\\\":\\\"x\\\"}" \
	"\"," KUBELETS
#define AS_CONTAINERD                                                                          \
	"\"io.kubernetes.cri.container-type\":\"sandbox\","                                    \
	"\"io.kubernetes.cri.sandbox-namespace\":\"kube-system\",\"io.kubernetes.cri.sandbox-" \
	"uid\":"                                                                               \
	"\"f1\",\"io.kubernetes.cri.sandbox-log-directory\":\"/a_b_c\""
	static const char sandbox[] =
		"{\"annotations\":{\"io.kubernetes.cri-o.ContainerType\":\"sandbox\"," AS_CONTAINERD
		",\"io.kubernetes.cri-o.Labels\":\"{\\\"app\\\":\\\"a\\\","
		"\\\"io.kubernetes.pod.namespace\\\":\\\"kube-system\\\","
		"\\\"io.kubernetes.pod.uid\\\":\\\"f2\\\"}\"}}";
	static const char *const anybodys[] = {"{\"annotations\":{" AS_CRIO "}}",
					       "{\"annotations\":{" AS_CONTAINERD "}}",
					       "{\"annotations\":{" KUBELETS "}}", CRIO_BUNDLE};
	_read_ struct read by_crio, by_containerd, by_ctr;

	assert_int_equal(read_by(BUNDLE_BY_CRIO,
				 "{\"annotations\":{" AS_CONTAINERD
				 ",\"io.container.manager\":\"cri-o\","
				 "\"io.kubernetes.cri-o.ContainerType\":\"container\","
				 "\"io.kubernetes.cri-o.Labels\":"
				 "\"{\\\"io.kubernetes.pod.namespace\\\":\\\"shop\\\","
				 "\\\"io.kubernetes.pod.uid\\\":\\\"u1\\\"}\"}}",
				 &by_crio),
			 0);
	assert_int_equal(by_crio.kind, BUNDLE_CONTAINER);
	assert_string_equal(by_crio.m->pod_uid, "u1");
	expect_label(by_crio.m, META_POD_NAMESPACE_LABEL, "shop");
	assert_int_equal(bundle_json__add_sandbox(sandbox, strlen(sandbox), by_crio.m), 0);
	assert_string_equal(by_crio.m->pod->namespace, "shop");
	assert_string_equal(by_crio.m->pod->uid, "u1");
	assert_string_equal(pod__label(by_crio.m->pod, "app"), "a");

	assert_int_equal(read_bundle("{\"annotations\":{" AS_CRIO
				     ",\"io.kubernetes.cri.container-type\":\"container\","
				     "\"io.kubernetes.cri.sandbox-namespace\":\"shop\","
				     "\"io.kubernetes.cri.sandbox-name\":\"web\","
				     "\"io.kubernetes.cri.sandbox-uid\":\"u1\"}}",
				     &by_containerd),
			 0);
	assert_string_equal(by_containerd.m->engine, "containerd");
	assert_string_equal(by_containerd.m->pod_uid, "u1");
	expect_label(by_containerd.m, META_POD_NAMESPACE_LABEL, "shop");
	expect_label(by_containerd.m, META_POD_NAME_LABEL, "web");

	assert_int_equal(read_bundle(anybodys[2], &by_ctr), 0);
	expect_label(by_ctr.m, META_POD_NAMESPACE_LABEL, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(anybodys); i++) {
		_read_ struct read r;

		assert_int_equal(read_by(BUNDLE_BY_ANYBODY, anybodys[i], &r), 0);
		assert_null(r.m->pod_uid);
		assert_null(r.sandbox);
		expect_label(r.m, META_POD_NAMESPACE_LABEL, NULL);
		expect_label(r.m, META_POD_NAME_LABEL, NULL);
	}
}

/* What has no type to be of use, and what is too large, is as if it were not there. */
static void odd_values(void **state _unused_)
{
	char text[8192] = "{\"annotations\":{\"io.kubernetes.cri.container-type\":\"container\","
			  "\"io.kubernetes.cri.sandbox-name\":[],"
			  "\"io.kubernetes.cri.sandbox-namespace\":\"a\\u0000b\","
			  "\"io.kubernetes.cri.sandbox-uid\":\"\","
			  "\"io.kubernetes.cri.sandbox-id\":\"s\","
			  "\"io.kubernetes.cri.container-name\":\"";
	size_t len = strlen(text);
	_read_ struct read r;

	memset(text + len, 'x', 3000);
	strcpy(text + len + 3000, "\"}}");
	assert_int_equal(read_bundle(text, &r), 0);
	assert_int_equal(r.kind, BUNDLE_CONTAINER);
	assert_null(r.m->name);
	assert_null(r.m->pod_uid);
	assert_int_equal(r.m->n_labels, 1);
	expect_label(r.m, META_POD_NAMESPACE_LABEL, "a");
}

/* As many annotations as somebody likes. */
static void many(void **state _unused_)
{
	struct buf b = {0};
	_read_ struct read r;

	assert_int_equal(buf__append_str(&b, "{\"annotations\":{\"a\":\"b\""), 0);
	for (int i = 0; i < 5000; i++)
		assert_int_equal(buf__printf(&b, ",\"n%d\":\"v\"", i), 0);
	assert_int_equal(buf__append(&b, "}}", 3), 0);
	assert_int_equal(read_bundle(b.data, &r), 0);
	assert_int_equal(r.m->n_labels, 128);
	buf__free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recorded),
		cmocka_unit_test(old_containerd),
		cmocka_unit_test(crio),
		cmocka_unit_test(crio_sandbox),
		cmocka_unit_test(nerdctl_and_ctr),
		cmocka_unit_test(podman),
		cmocka_unit_test(storage),
		cmocka_unit_test(no_bundle),
		cmocka_unit_test(impostors),
		cmocka_unit_test(odd_values),
		cmocka_unit_test(many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
