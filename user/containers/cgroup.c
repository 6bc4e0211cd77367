/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The path is walked from its end. Its last component must be a container's: one of `leaves` around
 * 64 hex digits, so that what systemd or an application makes below a container (init.scope) is
 * none. The components above it say the pod, the engine where the leaf does not, and the container
 * around this one. A relative or cut path is the same walk with less to see.
 *
 * What is captured because it was asked for has no such id: the machine and the unit that it is in
 * are looked for among its components.
 */
#include "containers/cgroup.h"

#include <string.h>

#include "base/util.h"
#include "cgroup_names.h"

struct part {
	const char *data;
	size_t len;
};

#define PAYLOAD "/container"

/* The kernel side's table. An engine of "": the parent's name decides. */
static const struct leaf {
	const char *before;
	const char *after;
	const char *engine;
} leaves[] = {
#define ROW(before, after, engine) {before, after, engine},
	NT_CONTAINER_NAMES(ROW)
#undef ROW
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

static bool ends(const char *s, const char *suffix)
{
	return part__ends((struct part){s, strlen(s)}, suffix);
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

/* The row's digits in a component, whose payload is one level down or not. NULL: no match. */
static const char *leaf__digits(const struct leaf *l, struct part p, bool payload)
{
	bool whole = l->before[0] == '/', down = ends(l->after, PAYLOAD);
	const char *before = l->before + whole;
	size_t after = strlen(l->after) - (down ? strlen(PAYLOAD) : 0);
	struct part head = p;

	if (payload != down || p.len < CONTAINER_ID_LEN + after ||
	    memcmp(p.data + p.len - after, l->after, after) != 0)
		return NULL;
	head.len -= CONTAINER_ID_LEN + after;
	if (!(whole ? part__is(head, before) : part__ends(head, before)) ||
	    !all_hex(head.data + head.len, CONTAINER_ID_LEN))
		return NULL;
	return head.data + head.len;
}

/* Where the 64 digits of a component are, and whose they are. NULL: it is no container's. */
static const char *leaf__match(struct part p, bool payload, const struct leaf **ret_leaf)
{
	for (size_t i = 0; i < ARRAY_SIZE(leaves); i++) {
		const char *digits = leaf__digits(&leaves[i], p, payload);

		if (!digits)
			continue;
		*ret_leaf = &leaves[i];
		return digits;
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
static bool container__match(struct part p, bool payload, struct part path, char *ret_id,
			     const char **ret_engine)
{
	const struct leaf *leaf;
	const char *digits = leaf__match(p, payload, &leaf);
	const char *engine;

	if (!digits)
		return false;
	engine = *leaf->engine ? leaf->engine : parent__engine(peek(path));
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
	payload = part__is(p, PAYLOAD + 1);
	if (payload && !pop(&rest, &p))
		return false;
	if (!container__match(p, payload, rest, id.container_id, &id.engine))
		return false;
	pod__slice(p, &id);
	while (pop(&rest, &p)) {
		if (!id.pod_uid[0] && !pod__slice(p, &id))
			pod__directory(p, peek(rest), &id);
		if (!id.outer_id[0])
			container__match(p, false, rest, id.outer_id, &outer_engine);
	}
	*ret = id;
	return true;
}

/* A component that is before + name + after is a machine's, with everything below it. */
static const struct machine {
	const char *before;
	const char *after;
	const char *engine;
} machines[] = {
	{"lxc.payload.", "", "lxc"},
	{"systemd-nspawn@", ".service", "systemd-nspawn"},
	{"machine-", ".scope", "systemd-nspawn"}, /* registered with machined */
};

static const char *const unit_suffixes[] = {".service", ".scope", ".socket",
					    ".mount",	".swap",  ".slice"};

static bool part__begins(struct part p, const char *s)
{
	return p.len >= strlen(s) && memcmp(p.data, s, strlen(s)) == 0;
}

/* Appends; what does not fit is cut. */
static void name__add(struct cgroup_description *d, const char *s, size_t len)
{
	size_t at = strlen(d->name), n = MIN(len, sizeof(d->name) - 1 - at);

	memcpy(d->name + at, s, n);
	d->name[at + n] = '\0';
}

static int hex_value(char c)
{
	return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* systemd writes what may not be in a unit's name as \xHH, and / as -. */
static void name__add_unescaped(struct cgroup_description *d, struct part p)
{
	for (size_t i = 0; i < p.len; i++) {
		char c = p.data[i];

		if (c == '\\' && p.len - i >= 4 && p.data[i + 1] == 'x' &&
		    all_hex(p.data + i + 2, 2)) {
			c = (char)(hex_value(p.data[i + 2]) << 4 | hex_value(p.data[i + 3]));
			i += 3;
		}
		/* A NUL or a newline in a label helps nobody. */
		name__add(d, (unsigned char)c < ' ' ? "?" : &c, 1);
	}
}

static bool machine__match(struct part p, struct part path, struct cgroup_description *d)
{
	struct part name = p;

	for (size_t i = 0; i < ARRAY_SIZE(machines); i++) {
		const struct machine *m = &machines[i];
		size_t before = strlen(m->before), after = strlen(m->after);

		if (p.len <= before + after || !part__begins(p, m->before) ||
		    !part__ends(p, m->after))
			continue;
		name = (struct part){p.data + before, p.len - before - after};
		d->engine = m->engine;
		name__add_unescaped(d, name);
		return true;
	}
	/* LXC before 4.0. */
	if (!part__is(peek(path), "lxc"))
		return false;
	d->engine = "lxc";
	name__add(d, name.data, name.len);
	return true;
}

static bool is_unit(struct part p)
{
	for (size_t i = 0; i < ARRAY_SIZE(unit_suffixes); i++) {
		if (part__ends(p, unit_suffixes[i]) && p.len > strlen(unit_suffixes[i]))
			return true;
	}
	return false;
}

/* The two components of a path that has no more: ctr's /namespace/name. */
static bool containerd__match(struct part rest, struct cgroup_description *d)
{
	struct part name, namespace;

	if (!pop(&rest, &name) || !pop(&rest, &namespace) || peek(rest).len || rest.len != 1 ||
	    namespace.data[0] == '.' || is_unit(name) || is_unit(namespace))
		return false;
	d->engine = "containerd";
	if (!part__is(namespace, "default")) {
		name__add(d, namespace.data, namespace.len);
		name__add(d, "/", 1);
	}
	name__add(d, name.data, name.len);
	d->id_at = strlen(d->name) - MIN(strlen(d->name), name.len);
	return true;
}

bool cgroup__describe(const char *path, size_t len, struct cgroup_description *ret)
{
	struct part rest = {path, len}, unit = {"", 0}, p;
	struct cgroup_description d = {0};

	while (pop(&rest, &p)) {
		if (machine__match(p, rest, &d)) {
			if (unit.len) {
				name__add(&d, "/", 1);
				name__add(&d, unit.data, unit.len);
			}
			*ret = d;
			return true;
		}
		/* A manager's own scope, in its unit or machine, says less than that. */
		if (is_unit(p) && (!unit.len || part__is(unit, "init.scope")))
			unit = p;
	}
	if (unit.len) {
		d.engine = "systemd";
		name__add(&d, unit.data, unit.len);
	} else if (!containerd__match((struct part){path, len}, &d)) {
		return false;
	}
	*ret = d;
	return true;
}
