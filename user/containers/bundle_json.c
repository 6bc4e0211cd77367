/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two runtimes, two vocabularies. containerd names pod and container one by one
 * (io.kubernetes.cri.*); CRI-O has the labels that the kubelet gave, as JSON in a string, and its
 * sandbox's bundle has the pod's own labels and annotations the same way. Both become the names
 * that the kubelet uses, so that nobody behind needs to know which of them it was.
 *
 * Annotations come from who made the pod: any bytes that JSON can hold. Which of them are the
 * runtime's own is known by where its bundle lies; CRI-O's sandbox has the pod's over its own, and
 * so does not say which pod it is where the container does. What is none of a known
 * type is as if it were not there; only JSON that is none makes the bundle unreadable.
 */
#include "containers/bundle_json.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "containers/cgroup.h"

#define CRI "io.kubernetes.cri."
#define CRIO "io.kubernetes.cri-o."
#define MAX_LABELS 128
#define MAX_NAME 320 /* prefix/name of Kubernetes */
#define MAX_VALUE 2048

static void json__unref_p(json_t **j)
{
	json_decref(*j);
}
#define _json_ _cleanup_(json__unref_p)

static json_t *parse(const char *text, size_t len)
{
	json_error_t error;

	return json_loadb(text, len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
}

/* NULL: there is none, or it is empty. A string ends at its first NUL. */
static const char *get(const json_t *object, const char *name)
{
	const char *s = json_string_value(json_object_get(object, name));

	return s && *s ? s : NULL;
}

static const char *first(const char *a, const char *b)
{
	return a ? a : b;
}

/* The object that a member has as text. */
static json_t *get_object(const json_t *annotations, const char *name)
{
	json_t *text = json_object_get(annotations, name), *j;

	if (!json_is_string(text))
		return NULL;
	j = parse(json_string_value(text), json_string_length(text));
	if (json_is_object(j))
		return j;
	json_decref(j);
	return NULL;
}

static int set(char **to, const char *s)
{
	if (*to || !s || strlen(s) > MAX_VALUE)
		return 0;
	*to = strdup(s);
	return *to ? 0 : -ENOMEM;
}

static int add_label(struct meta *m, const char *name, const char *value)
{
	if (!value || m->n_labels == MAX_LABELS || strlen(name) > MAX_NAME ||
	    strlen(value) > MAX_VALUE || meta__label(m, name))
		return 0;
	return meta__add_label(m, name, value);
}

/* What a pod's container is called, whoever says it. */
struct names {
	const char *namespace, *pod, *uid, *container;
};

static int add_names(struct meta *m, const struct names *n)
{
	int err = set(&m->pod_uid, n->uid);

	if (!err)
		err = add_label(m, META_POD_NAMESPACE_LABEL, n->namespace);
	if (!err)
		err = add_label(m, META_POD_NAME_LABEL, n->pod);
	if (!err)
		err = add_label(m, META_POD_UID_LABEL, n->uid);
	if (!err)
		err = add_label(m, META_POD_CONTAINER_LABEL, n->container);
	return err ? err : set(&m->name, n->container);
}

static int read_containerd(const json_t *annotations, struct meta *m)
{
	const struct names names = {
		.namespace = get(annotations, CRI "sandbox-namespace"),
		.pod = get(annotations, CRI "sandbox-name"),
		.uid = get(annotations, CRI "sandbox-uid"),
		.container = get(annotations, CRI "container-name"),
	};
	int err = set(&m->engine, "containerd");

	if (!err)
		err = set(&m->image, get(annotations, CRI "image-name"));
	return err ? err : add_names(m, &names);
}

static int read_crio(const json_t *annotations, struct meta *m)
{
	_json_ json_t *labels = get_object(annotations, CRIO "Labels");
	const struct names names = {
		.namespace = first(get(labels, META_POD_NAMESPACE_LABEL),
				   get(annotations, META_POD_NAMESPACE_LABEL)),
		.pod = first(get(labels, META_POD_NAME_LABEL),
			     get(annotations, META_POD_NAME_LABEL)),
		.uid = first(get(labels, META_POD_UID_LABEL), get(annotations, META_POD_UID_LABEL)),
		.container = first(get(labels, META_POD_CONTAINER_LABEL),
				   get(annotations, META_POD_CONTAINER_LABEL)),
	};
	int err = set(&m->engine, "cri-o");

	if (!err)
		err = set(&m->image, get(annotations, CRIO "UserRequestedImage"));
	if (!err)
		err = set(&m->image, get(annotations, CRIO "ImageName"));
	return err ? err : add_names(m, &names);
}

/* podman uses CRI-O's names for pods of its own, which are none of a cluster. */
static bool is_podmans(const json_t *annotations)
{
	const char *manager = get(annotations, "io.container.manager");

	return manager && !strcmp(manager, "libpod");
}

/* The kubelet's own, that it gives the runtime beside the pod's. */
static bool is_kubelets(const char *name)
{
	static const char *const names[] = {META_POD_NAMESPACE_LABEL, META_POD_NAME_LABEL,
					    META_POD_UID_LABEL, META_POD_CONTAINER_LABEL};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

/* nerdctl's, and what somebody gave ctr, which makes no pods; podman's are its own affairs. */
static int read_plain(json_t *annotations, enum bundle_by by, struct meta *m)
{
	bool podman = by != BUNDLE_BY_CONTAINERD && is_podmans(annotations);
	int err = set(&m->name, get(annotations, "nerdctl/name"));
	const char *name;
	json_t *value;

	if (!err)
		err = set(&m->engine, podman ? "podman" : "containerd");
	if (!err)
		err = set(&m->image, get(annotations, "nerdctl/image-ref"));
	json_object_foreach(annotations, name, value)
	{
		if (!err && !podman && json_is_string(value) && !is_kubelets(name))
			err = add_label(m, name, json_string_value(value));
	}
	return err;
}

static bool is_sandbox(const json_t *annotations, enum bundle_by by)
{
	const char *type = get(annotations, by == BUNDLE_BY_CONTAINERD ? CRI "container-type"
								       : CRIO "ContainerType");

	return type && !strcmp(type, "sandbox");
}

static int label__cmp(const void *a, const void *b)
{
	return strcmp(((const struct meta_label *)a)->name, ((const struct meta_label *)b)->name);
}

static int read_container(json_t *annotations, enum bundle_by by, struct meta *m,
			  char **ret_sandbox)
{
	const char *sandbox = NULL;
	int err;

	if (by == BUNDLE_BY_CRIO && !is_podmans(annotations) &&
	    get(annotations, CRIO "ContainerType")) {
		err = read_crio(annotations, m);
		sandbox = get(annotations, CRIO "SandboxID");
	} else if (by == BUNDLE_BY_CONTAINERD && get(annotations, CRI "container-type")) {
		err = read_containerd(annotations, m);
		/* Before 1.6.7 it says no more than the sandbox's id. */
		if (!m->pod_uid || !meta__label(m, META_POD_NAME_LABEL))
			sandbox = get(annotations, CRI "sandbox-id");
	} else {
		err = read_plain(annotations, by, m);
	}
	if (m->n_labels)
		qsort(m->labels, m->n_labels, sizeof(*m->labels), label__cmp);
	return err ? err : set(ret_sandbox, sandbox);
}

/* The annotations, borrowed. 0 or -EBADMSG. */
static int annotations_of(json_t *config, json_t **ret)
{
	json_t *j = json_object_get(config, "annotations");

	if (!json_is_object(config) || (j && !json_is_object(j) && !json_is_null(j)))
		return -EBADMSG;
	*ret = j;
	return 0;
}

int bundle_json__read(const char *text, size_t len, const char *id, enum bundle_by by,
		      enum bundle_kind *ret_kind, struct meta **ret, char **ret_sandbox)
{
	_json_ json_t *config = parse(text, len);
	_meta_ struct meta *m = meta__new();
	_free_ char *sandbox = NULL;
	json_t *annotations;
	int err = m ? annotations_of(config, &annotations) : -ENOMEM;

	if (err)
		return err;
	if (is_sandbox(annotations, by)) {
		*ret_kind = BUNDLE_SANDBOX;
		*ret = NULL;
		*ret_sandbox = NULL;
		return 0;
	}
	err = set(&m->id, id);
	if (!err)
		err = read_container(annotations, by, m, &sandbox);
	if (err)
		return err;
	/* No networks, and no more to be said. */
	m->detailed = true;
	*ret_kind = m->name || m->n_labels || sandbox ? BUNDLE_CONTAINER : BUNDLE_UNNAMED;
	*ret = TAKE_PTR(m);
	*ret_sandbox = TAKE_PTR(sandbox);
	return 0;
}

int bundle_json__add_storage(const char *text, size_t len, struct meta *m)
{
	_json_ json_t *list = parse(text, len), *metadata = NULL;
	json_t *container;
	const char *name;
	size_t i;
	int err;

	if (!json_is_array(list))
		return -EBADMSG;
	json_array_foreach(list, i, container)
	{
		const char *id = get(container, "id");

		if (!id || strcmp(id, m->id) != 0)
			continue;
		name = json_string_value(json_array_get(json_object_get(container, "names"), 0));
		if (!name || !*name)
			return -ENOENT;
		metadata = get_object(container, "metadata");
		err = set(&m->name, name);
		return err ? err : set(&m->image, get(metadata, "image-name"));
	}
	return -ENOENT;
}

static int add_all(struct pod *p, const json_t *annotations, const char *name,
		   int (*add)(struct pod *p, const char *name, const char *value))
{
	_json_ json_t *object = get_object(annotations, name);
	const char *key;
	json_t *value;
	int err = 0;

	json_object_foreach(object, key, value)
	{
		if (!err && json_is_string(value) && !is_kubelets(key))
			err = add(p, key, json_string_value(value));
	}
	return err;
}

/* The pod as far as CRI-O's sandbox tells. What it is called m says. */
static int add_pod(const json_t *annotations, struct meta *m)
{
	_pod_ struct pod *p = pod__new();
	struct pod_container *c = NULL;
	int err = p ? set(&p->uid, m->pod_uid) : -ENOMEM;

	if (!err)
		p->from_bundle = true;
	if (!err)
		err = set(&p->namespace, meta__label(m, META_POD_NAMESPACE_LABEL));
	if (!err)
		err = set(&p->name, meta__label(m, META_POD_NAME_LABEL));
	if (!err)
		err = add_all(p, annotations, CRIO "Labels", pod__add_label);
	if (!err)
		err = add_all(p, annotations, CRIO "Annotations", pod__add_annotation);
	if (!err)
		err = set(&p->config_hash, pod__annotation(p, "kubernetes.io/config.hash"));
	if (!err && m->name) {
		c = pod__add_container(p, m->name);
		err = c ? set(&c->id, m->id) : -ENOMEM;
	}
	if (!err && c)
		err = set(&c->image, m->image);
	return err ? err : meta__set_pod(m, p, m->pod_state);
}

/* "/var/log/pods/NAMESPACE_NAME_UID", in which no part has a `_` of its own. */
static void split_directory(char *path, struct names *n)
{
	char *pod, *uid, *base = strrchr(path, '/');

	base = base ? base + 1 : path;
	pod = strchr(base, '_');
	uid = pod ? strchr(pod + 1, '_') : NULL;
	if (!uid || strchr(uid + 1, '_'))
		return;
	*pod++ = '\0';
	*uid++ = '\0';
	*n = (struct names){
		.namespace = first(n->namespace, base),
		.pod = first(n->pod, pod),
		.uid = first(n->uid, uid),
	};
}

int bundle_json__add_sandbox(const char *text, size_t len, struct meta *m)
{
	_json_ json_t *config = parse(text, len), *labels = NULL;
	_free_ char *directory = NULL;
	bool crio = !strcmp(m->engine, "cri-o");
	struct names names;
	json_t *annotations;
	int err = annotations_of(config, &annotations);

	if (err || !is_sandbox(annotations, crio ? BUNDLE_BY_CRIO : BUNDLE_BY_CONTAINERD))
		return err ? err : -EBADMSG;
	if (crio) {
		labels = get_object(annotations, CRIO "Labels");
		names = (struct names){
			.namespace = first(get(labels, META_POD_NAMESPACE_LABEL),
					   get(annotations, CRIO "Namespace")),
			.pod = first(get(labels, META_POD_NAME_LABEL),
				     get(annotations, CRIO "KubeName")),
			.uid = get(labels, META_POD_UID_LABEL),
		};
	} else {
		names = (struct names){
			.namespace = get(annotations, CRI "sandbox-namespace"),
			.pod = get(annotations, CRI "sandbox-name"),
			.uid = get(annotations, CRI "sandbox-uid"),
		};
		err = set(&directory, get(annotations, CRI "sandbox-log-directory"));
	}
	if (!err && directory)
		split_directory(directory, &names);
	if (!err)
		err = add_names(m, &names);
	if (m->n_labels)
		qsort(m->labels, m->n_labels, sizeof(*m->labels), label__cmp);
	if (!err && labels)
		err = add_pod(annotations, m);
	return err;
}
