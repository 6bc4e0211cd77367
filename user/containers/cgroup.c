/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The path is walked from its end. Its last component must be a container's: one of `leaves` around
 * 64 hex digits, so that what systemd or an application makes below a container (init.scope) is
 * none. The components above it say the pod, the engine where the leaf does not, and the container
 * around this one. A relative or cut path is the same walk with less to see.
 */
#include "containers/cgroup.h"

#include <string.h>

#include "base/util.h"

struct part {
	const char *data;
	size_t len;
};

/* A component is before + 64 hex digits + after. NULL engine: the parent's name decides. */
static const struct leaf {
	const char *before;
	const char *after;
	const char *engine;
} leaves[] = {
	{"", "", NULL},
	{"docker-", ".scope", "docker"},
	{"cri-containerd-", ".scope", "containerd"},
	{"nerdctl-", ".scope", "containerd"},
	{"crio-", ".scope", "cri-o"},
	{"crio-", "", "cri-o"},
	{"libpod-", ".scope", "podman"},
	{"libpod-", "", "podman"},
};

/* systemd's notation slice:prefix:id, taken literally by a runtime on the cgroupfs driver. */
static const struct leaf literal_leaves[] = {
	{".slice:docker:", "", "docker"},
	{".slice:cri-containerd:", "", "containerd"},
	{".slice:crio:", "", "cri-o"},
	{".slice:libpod:", "", "podman"},
};

/* Parents of a bare id. An engine of NULL: the id is not a container's but a podman pod's. Any
 * other parent is somebody's --cgroup-parent. */
static const struct parent {
	const char *name;
	const char *engine;
} parents[] = {
	{"docker", "docker"},
	{"k8s.io", "containerd"},  /* a namespace of containerd: CRI without a cgroup parent */
	{"default", "containerd"}, /* nerdctl's namespace */
	{"libpod_parent", NULL},
};

static const char *const qos_classes[] = {"burstable", "besteffort"};

static bool part__is(struct part p, const char *s)
{
	return p.len == strlen(s) && memcmp(p.data, s, p.len) == 0;
}

static bool part__ends(struct part p, const char *s)
{
	size_t len = strlen(s);

	return p.len >= len && memcmp(p.data + p.len - len, s, len) == 0;
}

static bool part__has(struct part p, const char *s)
{
	return memmem(p.data, p.len, s, strlen(s)) != NULL;
}

static bool hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool all_hex(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (!hex(s[i]))
			return false;
	}
	return true;
}

/* Takes the last component off the path. False: there is none. */
static bool pop(struct part *path, struct part *ret)
{
	const char *start;

	while (path->len && path->data[path->len - 1] == '/')
		path->len--;
	if (path->len == 0)
		return false;
	start = memrchr(path->data, '/', path->len);
	start = start ? start + 1 : path->data;
	ret->data = start;
	ret->len = path->len - (size_t)(start - path->data);
	path->len -= ret->len;
	return true;
}

/* Where the 64 digits of a component are, and whose they are. NULL: it is no container's. */
static const char *leaf__match(struct part p, const struct leaf **ret_leaf)
{
	for (size_t i = 0; i < ARRAY_SIZE(leaves); i++) {
		const struct leaf *l = &leaves[i];
		size_t before = strlen(l->before);

		if (p.len != before + CONTAINER_ID_LEN + strlen(l->after) ||
		    memcmp(p.data, l->before, before) != 0 || !part__ends(p, l->after) ||
		    !all_hex(p.data + before, CONTAINER_ID_LEN))
			continue;
		*ret_leaf = l;
		return p.data + before;
	}
	if (p.len <= CONTAINER_ID_LEN)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(literal_leaves); i++) {
		const struct leaf *l = &literal_leaves[i];
		struct part head = {p.data, p.len - CONTAINER_ID_LEN};

		if (!part__ends(head, l->before) ||
		    !all_hex(head.data + head.len, CONTAINER_ID_LEN))
			continue;
		*ret_leaf = l;
		return head.data + head.len;
	}
	return NULL;
}

/* A pod's uid at s: a UUID (systemd's slices have _ for -), or the 32 digits of a static pod. */
static bool uid__copy(const char *s, size_t len, char *ret)
{
	char uid[POD_UID_LEN + 1] = "";

	if (len == 32 && all_hex(s, len)) {
		memcpy(ret, s, len);
		ret[len] = '\0';
		return true;
	}
	if (len != POD_UID_LEN)
		return false;
	for (size_t i = 0; i < len; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? s[i] != '-' && s[i] != '_' : !hex(s[i]))
			return false;
		uid[i] = dash ? '-' : s[i];
	}
	memcpy(ret, uid, sizeof(uid));
	return true;
}

/* kubelet's systemd driver: […-]kubepods[-qos]-pod<uid>.slice, as a component or as the head of a
 * literal leaf. */
static bool pod__slice(struct part p, struct cgroup_identity *id)
{
	struct part slice = {p.data, 0};
	const char *end = memmem(p.data, p.len, ".slice", 6);
	const char *pod;

	if (!end)
		return false;
	slice.len = (size_t)(end - p.data);
	pod = memmem(slice.data, slice.len, "-pod", 4);
	if (!pod || !part__has(slice, "kubepods") ||
	    !uid__copy(pod + 4, slice.len - (size_t)(pod + 4 - slice.data), id->pod_uid))
		return false;
	strcpy(id->qos, "guaranteed");
	for (size_t i = 0; i < ARRAY_SIZE(qos_classes); i++) {
		if (part__has(slice, qos_classes[i]))
			strcpy(id->qos, qos_classes[i]);
	}
	return true;
}

/* kubelet's cgroupfs driver: pod<uid> below kubepods or a class of it. `above` stays empty when the
 * class cannot be seen. */
static bool pod__directory(struct part p, struct part above, struct cgroup_identity *id)
{
	if (p.len < 3 || memcmp(p.data, "pod", 3) != 0 ||
	    !uid__copy(p.data + 3, p.len - 3, id->pod_uid))
		return false;
	if (part__is(above, "kubepods"))
		strcpy(id->qos, "guaranteed");
	for (size_t i = 0; i < ARRAY_SIZE(qos_classes); i++) {
		if (part__is(above, qos_classes[i]))
			strcpy(id->qos, qos_classes[i]);
	}
	return true;
}

/* Whose a bare id is, by the directory above it. NULL: not a container's. */
static const char *parent__engine(struct part parent)
{
	struct cgroup_identity pod = {0};

	if (pod__directory(parent, (struct part){"", 0}, &pod) || pod__slice(parent, &pod))
		return "kubernetes";
	for (size_t i = 0; i < ARRAY_SIZE(parents); i++) {
		if (part__is(parent, parents[i].name))
			return parents[i].engine;
	}
	return "docker";
}

/* The component that `path` ends in, without taking it off; empty: none. */
static struct part peek(struct part path)
{
	struct part p = {"", 0};

	pop(&path, &p);
	return p;
}

/* A component as a container: its id and engine. False: none. `path` is what is above it. */
static bool container__match(struct part p, struct part path, char *ret_id, const char **ret_engine)
{
	const struct leaf *leaf;
	const char *digits = leaf__match(p, &leaf);
	const char *engine;

	if (!digits)
		return false;
	engine = leaf->engine ? leaf->engine : parent__engine(peek(path));
	if (!engine)
		return false;
	memcpy(ret_id, digits, CONTAINER_ID_LEN);
	ret_id[CONTAINER_ID_LEN] = '\0';
	*ret_engine = engine;
	return true;
}

bool cgroup__identify(const char *path, size_t len, struct cgroup_identity *ret)
{
	struct part rest = {path, len};
	struct cgroup_identity id = {0};
	const char *outer_engine;
	struct part p;
	bool payload;

	if (!pop(&rest, &p))
		return false;
	/* crun puts podman's and CRI-O's payload one level down, beside what systemd manages. */
	payload = part__is(p, "container");
	if (payload && !pop(&rest, &p))
		return false;
	if (!container__match(p, rest, id.container_id, &id.engine))
		return false;
	if (payload && strcmp(id.engine, "podman") != 0 && strcmp(id.engine, "cri-o") != 0)
		return false;
	pod__slice(p, &id);
	while (pop(&rest, &p)) {
		if (!id.pod_uid[0] && !pod__slice(p, &id))
			pod__directory(p, peek(rest), &id);
		if (!id.outer_id[0])
			container__match(p, rest, id.outer_id, &outer_engine);
	}
	*ret = id;
	return true;
}
