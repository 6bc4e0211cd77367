/* SPDX-License-Identifier: Apache-2.0 */
/* A case for each row of the tables, and for what must not be taken for a container. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "capture/names.h"
#include "containers/cgroup.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OUTER "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define UID "e38a4778-d966-4016-84bc-e0b7dd5090fa"
#define UID_ "e38a4778_d966_4016_84bc_e0b7dd5090fa"
#define STATIC_UID "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
#define SLICES "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_ ".slice"

#define ROW(p, e, ...)                                    \
	{                                                 \
		.path = (p), .engine = (e), ##__VA_ARGS__ \
	}

struct known {
	const char *path;
	const char *engine;
	const char *outer_id;
	const char *pod_uid;
	const char *qos;
};

static bool identify(const char *path, struct cgroup_identity *ret)
{
	/* Not NUL-terminated: a read past the length is a sanitizer's error. */
	size_t len = strlen(path);
	char *exact = malloc(len ? len : 1);
	bool known;

	memcpy(exact, path, len);
	known = cgroup__identify(exact, len, ret);
	free(exact);
	return known;
}

static void check(const struct known *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct cgroup_identity id;

		if (!identify(rows[i].path, &id))
			fail_msg("%s: not known", rows[i].path);
		assert_string_equal(id.container_id, ID);
		/* The kernel side registers what starts there. */
		if (rows[i].path[strlen(rows[i].path) - 1] != '/' &&
		    !names__container(rows[i].path))
			fail_msg("%s: not registered", rows[i].path);
		assert_string_equal(id.engine, rows[i].engine);
		assert_string_equal(id.outer_id, rows[i].outer_id ? rows[i].outer_id : "");
		assert_string_equal(id.pod_uid, rows[i].pod_uid ? rows[i].pod_uid : "");
		assert_string_equal(id.qos, rows[i].qos ? rows[i].qos : "");
	}
}

static void docker(void **state _unused_)
{
	const struct known rows[] = {
		ROW("/docker/" ID, "docker"),
		ROW("/system.slice/docker-" ID ".scope", "docker"),
		ROW("/my.slice/docker-" ID ".scope", "docker"),
		ROW("/custom/parent/" ID, "docker"),
		ROW("/" ID, "docker"),
		ROW("/docker/" ID "/", "docker"),
	};

	check(rows, ARRAY_SIZE(rows));
}

static void kubelet_cgroupfs(void **state _unused_)
{
	const struct known rows[] = {
		ROW("/kubepods/besteffort/pod" UID "/" ID, "kubernetes", .pod_uid = UID,
		    .qos = "besteffort"),
		ROW("/kubepods/burstable/pod" UID "/" ID, "kubernetes", .pod_uid = UID,
		    .qos = "burstable"),
		ROW("/kubepods/pod" UID "/" ID, "kubernetes", .pod_uid = UID, .qos = "guaranteed"),
		ROW("/kubepods/burstable/pod" STATIC_UID "/" ID, "kubernetes",
		    .pod_uid = STATIC_UID, .qos = "burstable"),
		ROW("/kubepods/pod" UID "/crio-" ID, "cri-o", .pod_uid = UID, .qos = "guaranteed"),
		ROW("/k8s.io/" ID, "containerd"),
	};

	check(rows, ARRAY_SIZE(rows));
}

static void kubelet_systemd(void **state _unused_)
{
	const struct known rows[] = {
		ROW(SLICES "/cri-containerd-" ID ".scope", "containerd", .pod_uid = UID,
		    .qos = "burstable"),
		ROW(SLICES "/crio-" ID ".scope", "cri-o", .pod_uid = UID, .qos = "burstable"),
		ROW(SLICES "/crio-" ID ".scope/container", "cri-o", .pod_uid = UID,
		    .qos = "burstable"),
		ROW(SLICES "/docker-" ID ".scope", "docker", .pod_uid = UID, .qos = "burstable"),
		ROW(SLICES "/" ID, "kubernetes", .pod_uid = UID, .qos = "burstable"),
		ROW("/kubepods.slice/kubepods-pod" UID_ ".slice/cri-containerd-" ID ".scope",
		    "containerd", .pod_uid = UID, .qos = "guaranteed"),
		ROW("/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" STATIC_UID
		    ".slice/cri-containerd-" ID ".scope",
		    "containerd", .pod_uid = STATIC_UID, .qos = "besteffort"),
		ROW("/system.slice/containerd.service/kubepods-burstable-pod" UID_
		    ".slice:cri-containerd:" ID,
		    "containerd", .pod_uid = UID, .qos = "burstable"),
		ROW("/kubepods-besteffort-pod" UID_ ".slice:crio:" ID, "cri-o", .pod_uid = UID,
		    .qos = "besteffort"),
		ROW("/kubepods-pod" UID_ ".slice:docker:" ID, "docker", .pod_uid = UID,
		    .qos = "guaranteed"),
	};

	check(rows, ARRAY_SIZE(rows));
}

static void podman(void **state _unused_)
{
	const struct known rows[] = {
		ROW("/libpod_parent/libpod-" ID, "podman"),
		ROW("/machine.slice/libpod-" ID ".scope", "podman"),
		ROW("/machine.slice/libpod-" ID ".scope/container", "podman"),
		ROW("/libpod_parent/libpod-" ID "/container", "podman"),
		ROW("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope",
		    "podman"),
		ROW("/machine.slice:libpod:" ID, "podman"),
		/* The directory between is a pod's, no container around this one. */
		ROW("/libpod_parent/" OUTER "/libpod-" ID, "podman"),
		ROW("/machine.slice/machine-libpod_pod_" OUTER ".slice/libpod-" ID ".scope",
		    "podman"),
	};

	check(rows, ARRAY_SIZE(rows));
}

static void nerdctl(void **state _unused_)
{
	const struct known rows[] = {
		ROW("/default/" ID, "containerd"),
		ROW("/system.slice/nerdctl-" ID ".scope", "containerd"),
	};

	check(rows, ARRAY_SIZE(rows));
}

static void seen_from_inside(void **state _unused_)
{
	const struct known rows[] = {
		ROW("/../" ID, "docker"),
		ROW("/../../docker/" ID, "docker"),
		ROW("/../docker-" ID ".scope", "docker"),
		ROW("/../../burstable/pod" UID "/" ID, "kubernetes", .pod_uid = UID,
		    .qos = "burstable"),
		/* Which class it is cannot be seen. */
		ROW("/../pod" UID "/" ID, "kubernetes", .pod_uid = UID),
		ROW("/../../kubepods-pod" UID_ ".slice/crio-" ID ".scope", "cri-o", .pod_uid = UID,
		    .qos = "guaranteed"),
	};

	check(rows, ARRAY_SIZE(rows));
}

static void cut_at_the_front(void **state _unused_)
{
	const struct known rows[] = {
		ROW(ID, "docker"),
		ROW("ocker/" ID, "docker"),
		ROW("podsystem/docker/" ID, "docker"),
		ROW("stable/pod" UID "/" ID, "kubernetes", .pod_uid = UID),
		ROW("d" UID "/besteffort/pod" UID "/" ID, "kubernetes", .pod_uid = UID,
		    .qos = "besteffort"),
		ROW("9abcdef/docker/" ID, "docker"),
		ROW("-burstable-pod" UID_ ".slice/cri-containerd-" ID ".scope", "containerd"),
	};

	check(rows, ARRAY_SIZE(rows));
}

static void nested(void **state _unused_)
{
	const struct known rows[] = {
		ROW("/docker/" OUTER "/docker/" ID, "docker", .outer_id = OUTER),
		ROW("/docker/" OUTER "/" ID, "docker", .outer_id = OUTER),
		ROW("/system.slice/docker-" OUTER ".scope/docker/" ID, "docker", .outer_id = OUTER),
		ROW("/docker/" OUTER "/kubelet/kubepods/burstable/pod" UID "/" ID, "kubernetes",
		    .outer_id = OUTER, .pod_uid = UID, .qos = "burstable"),
		ROW("/docker/" OUTER
		    "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/"
		    "kubelet-kubepods-besteffort-pod" UID_ ".slice/cri-containerd-" ID ".scope",
		    "containerd", .outer_id = OUTER, .pod_uid = UID, .qos = "besteffort"),
		ROW("/kubepods/pod" UID "/" OUTER "/docker/" ID, "docker", .outer_id = OUTER,
		    .pod_uid = UID, .qos = "guaranteed"),
		ROW(SLICES "/cri-containerd-" OUTER ".scope/libpod_parent/libpod-" ID, "podman",
		    .outer_id = OUTER, .pod_uid = UID, .qos = "burstable"),
	};

	check(rows, ARRAY_SIZE(rows));
}

static void nearest_of_several_around_it(void **state _unused_)
{
	struct cgroup_identity id;

	assert_true(identify("/docker/" ID "/docker/" OUTER "/docker/" ID, &id));
	assert_string_equal(id.outer_id, OUTER);
}

static void no_containers(void **state _unused_)
{
	static const char *const paths[] = {
		"",
		"/",
		"//",
		"/..",
		"/init.scope",
		"/system.slice/docker.service",
		"/system.slice/containerd.service",
		"/docker",
		"/docker/buildkit",
		"/docker/buildkit/iq2cjsi1mjgvxrkyjo0sf6wdl",
		"/user.slice/user-0.slice/session-1.scope",
		"/machine.slice/libpod-conmon-" ID ".scope",
		"/libpod_parent/conmon",
		"/libpod_parent/" ID,
		"/machine.slice/machine-libpod_pod_" ID ".slice",
		SLICES,
		SLICES "/crio-conmon-" ID ".scope",
		"/kubepods/besteffort/pod" UID,
		"/docker/" ID "/init.scope",
		"/docker/" ID "/system.slice/cron.service",
		"/docker/" ID "/container",
		"/system.slice/docker-" ID ".scope/init.scope",
		"/machine.slice/libpod-" ID ".scope/init.scope",
		"/machine.slice/libpod-" ID ".scope/supervisor",
		"/container",
		"/k8s.io/some-name",
		/* 63 and 65 digits, a capital, another letter. */
		"/docker/123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
		"/docker/00123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
		"/docker/A123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
		"/docker/g123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
		"/system.slice/docker-" ID ".scop",
		"/system.slice/xdocker-" ID ".scope",
		"/system.slice/docker-" ID ".scope.d",
		"/system.slice/foo:docker:" ID,
	};
	struct cgroup_identity id, before;

	memset(&before, 0x5a, sizeof(before));
	id = before;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		if (identify(paths[i], &id))
			fail_msg("%s: taken for a container of %s", paths[i], id.engine);
		assert_memory_equal(&id, &before, sizeof(id));
	}
}

/* What is captured because it was asked for. */
static void described(void **state _unused_)
{
	static const struct {
		const char *path, *engine, *name;
	} rows[] = {
		{"/system.slice/foo.service", "systemd", "foo.service"},
		{"/system.slice/foo.service/sub/x", "systemd", "foo.service"},
		{"/system.slice/system-foo.slice/foo@a.service", "systemd", "foo@a.service"},
		{"/system.slice/a\\x2db.service", "systemd", "a\\x2db.service"},
		{"/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service", "systemd",
		 "foo.service"},
		{"/user.slice/user-1000.slice/user@1000.service/init.scope", "systemd",
		 "user@1000.service"},
		{"/user.slice/user-0.slice/session-1.scope", "systemd", "session-1.scope"},
		{"/system.slice", "systemd", "system.slice"},
		{"/init.scope", "systemd", "init.scope"},
		{"/lxc.payload.web", "lxc", "web"},
		{"/lxc.payload.web/init.scope", "lxc", "web/init.scope"},
		{"/lxc.payload.web/system.slice/foo.service", "lxc", "web/foo.service"},
		{"/user.slice/lxc.payload.a.b", "lxc", "a.b"},
		{"/lxc/web", "lxc", "web"},
		{"/lxc/web/system.slice/foo.service", "lxc", "web/foo.service"},
		{"/machine.slice/machine-deb.scope", "systemd-nspawn", "deb"},
		{"/machine.slice/machine-deb.scope/payload", "systemd-nspawn", "deb"},
		{"/machine.slice/machine-my\\x2dbox.scope/payload", "systemd-nspawn", "my-box"},
		{"/machine.slice/machine-a\\x0ab\\x2.scope", "systemd-nspawn", "a?b\\x2"},
		{"/machine.slice/machine-deb.scope/payload/system.slice/foo.service",
		 "systemd-nspawn", "deb/foo.service"},
		{"/machine.slice/systemd-nspawn@deb.service/payload", "systemd-nspawn", "deb"},
		{"/default/web", "containerd", "web"},
		{"/other/web", "containerd", "other/web"},
		{"/other/web/", "containerd", "other/web"},
	};
	struct cgroup_description d;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!cgroup__describe(rows[i].path, strlen(rows[i].path), &d))
			fail_msg("%s: not known", rows[i].path);
		assert_string_equal(d.name, rows[i].name);
		assert_string_equal(d.engine, rows[i].engine);
		if (strcmp(d.engine, "containerd") == 0)
			assert_string_equal(d.name + d.id_at, "web");
	}
}

static void not_described(void **state _unused_)
{
	static const char *const paths[] = {
		"",	   "/",		"//",  "/web",	"/a/b/c",
		"/.scope", "/lxc./x/y", "a/b", "/../a", "/lxc.payload."};
	struct cgroup_description d, before;

	memset(&before, 0x5a, sizeof(before));
	d = before;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		if (cgroup__describe(paths[i], strlen(paths[i]), &d))
			fail_msg("%s: taken for %s of %s", paths[i], d.name, d.engine);
		assert_memory_equal(&d, &before, sizeof(d));
	}
}

static void long_names_are_cut(void **state _unused_)
{
	struct cgroup_description d;
	char path[600];

	memset(path, 'x', sizeof(path));
	memcpy(path, "/lxc.payload.", 13);
	assert_true(cgroup__describe(path, sizeof(path), &d));
	assert_int_equal(strlen(d.name), CGROUP_NAME_LEN);
	memcpy(path, "/namespaces/xy", 14);
	assert_true(cgroup__describe(path, sizeof(path), &d));
	assert_int_equal(strlen(d.name), CGROUP_NAME_LEN);
	assert_in_range(d.id_at, 0, CGROUP_NAME_LEN);
}

static void no_pods(void **state _unused_)
{
	static const char *const paths[] = {
		"/kubepods/podcast/" ID,
		"/kubepods/pod" UID "0/" ID,
		"/kubepods/pode38a4778xd966-4016-84bc-e0b7dd5090fa/" ID,
		"/kubepods/pode38a4778-d966-4016-84bc-e0b7dd5090fz/" ID,
		"/system.slice/other-pod" UID_ ".slice/" ID,
		"/kubepods.slice/kubepods-pod.slice/" ID,
	};
	struct cgroup_identity id;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		assert_true(identify(paths[i], &id));
		assert_string_equal(id.engine, "docker");
		assert_string_equal(id.pod_uid, "");
		assert_string_equal(id.qos, "");
	}
}

static void nul_in_the_path(void **state _unused_)
{
	static const char path[] = "/docker/" ID "\0";
	struct cgroup_identity id;

	assert_false(cgroup__identify(path, sizeof(path) - 1, &id));
	assert_true(cgroup__identify(path, sizeof(path) - 2, &id));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(docker),
		cmocka_unit_test(kubelet_cgroupfs),
		cmocka_unit_test(kubelet_systemd),
		cmocka_unit_test(podman),
		cmocka_unit_test(nerdctl),
		cmocka_unit_test(seen_from_inside),
		cmocka_unit_test(cut_at_the_front),
		cmocka_unit_test(nested),
		cmocka_unit_test(nearest_of_several_around_it),
		cmocka_unit_test(no_containers),
		cmocka_unit_test(described),
		cmocka_unit_test(not_described),
		cmocka_unit_test(long_names_are_cut),
		cmocka_unit_test(no_pods),
		cmocka_unit_test(nul_in_the_path),
	};

	return cmocka_run_group_tests_name("cgroup", tests, NULL, NULL);
}
