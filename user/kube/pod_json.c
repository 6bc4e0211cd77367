/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In one pass, whatever order members come in, but for the status: it speaks of the spec's
 * containers, and is kept for the end. What comes twice counts as it was last.
 */
#include "kube/pod_json.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "containers/pod.h"
#include "kube/json_walk.h"

#define MAX_NAME 253 /* of anything that the API names */

/* A name with something in it, and not more than any has. */
static char *text_of(struct json_span value)
{
	_free_ char *text = json_span__string(value);

	return text && *text && strlen(text) <= POD_VALUE_MAX ? TAKE_PTR(text) : NULL;
}

static void take_text(char **to, struct json_walk *w)
{
	free(*to);
	*to = text_of(json_walk__value(w));
}

static int add_pairs(struct pod *p, struct json_walk *w, const size_t *n, size_t max,
		     int (*add)(struct pod *p, const char *name, const char *value))
{
	struct json_walk pairs = json_walk__enter(w, '{');
	struct json_span key, value;
	int err = 0;

	while (!err && *n < max && json_walk__next(&pairs, &key)) {
		/* As a string, with its quotes. */
		struct json_span quoted = {key.data - 1, key.len + 2};
		_free_ char *name = NULL, *text = NULL;

		value = json_walk__value(&pairs);
		if (value.len > POD_JSON_VALUE_BYTES)
			continue;
		name = json_span__string(quoted);
		text = json_span__string(value);
		if (name && text)
			err = add(p, name, text);
	}
	json_walk__leave(w, &pairs);
	return err;
}

/* The one that manages it. */
static void take_owner(struct pod *p, struct json_walk *w)
{
	struct json_walk owners = json_walk__enter(w, '[');
	struct json_span key;

	while (json_walk__next(&owners, &key)) {
		struct json_span owner = json_walk__value(&owners);

		if (p->controller_kind ||
		    !json_span__is(json_span__member(owner, "controller"), "true"))
			continue;
		p->controller_kind = text_of(json_span__member(owner, "kind"));
		p->controller_name = text_of(json_span__member(owner, "name"));
	}
	json_walk__leave(w, &owners);
}

/*
 * The kubelet gives a static pod the hash of its file as its uid, and so says its cgroup; the API
 * server another, with the hash in an annotation.
 */
static int take_hash(struct pod *p)
{
	const char *hash = pod__annotation(p, "kubernetes.io/config.mirror");
	const char *source = pod__annotation(p, "kubernetes.io/config.source");

	if (!hash && source && strcmp(source, "api") != 0)
		hash = pod__annotation(p, "kubernetes.io/config.hash");
	if (!hash || !*hash)
		return 0;
	p->config_hash = strdup(hash);
	return p->config_hash ? 0 : -ENOMEM;
}

static int take_metadata(struct pod *p, struct json_walk *w)
{
	struct json_walk metadata = json_walk__enter(w, '{');
	struct json_span key;
	int err = 0;

	while (!err && json_walk__next(&metadata, &key)) {
		if (json_span__is(key, "uid"))
			take_text(&p->uid, &metadata);
		else if (json_span__is(key, "namespace"))
			take_text(&p->namespace, &metadata);
		else if (json_span__is(key, "name"))
			take_text(&p->name, &metadata);
		else if (json_span__is(key, "labels"))
			err = add_pairs(p, &metadata, &p->n_labels, POD_JSON_LABELS,
					pod__add_label);
		else if (json_span__is(key, "annotations"))
			err = add_pairs(p, &metadata, &p->n_annotations, POD_JSON_ANNOTATIONS,
					pod__add_annotation);
		else if (json_span__is(key, "ownerReferences"))
			take_owner(p, &metadata);
	}
	json_walk__leave(w, &metadata);
	return err;
}

static int add_ports(struct pod_container *c, struct json_span text)
{
	struct json_walk ports = json_walk__array(text);
	struct json_span key;
	int err = 0;

	while (!err && c->n_ports < POD_JSON_PORTS && json_walk__next(&ports, &key)) {
		struct json_span port = json_walk__value(&ports);
		long number =
			json_span__number(json_span__member(port, "containerPort"), UINT16_MAX);
		_free_ char *name = text_of(json_span__member(port, "name"));
		_free_ char *protocol = text_of(json_span__member(port, "protocol"));

		if (number > 0)
			err = pod_container__add_port(c, name, (uint16_t)number,
						      protocol ? protocol : "TCP");
	}
	return err;
}

static int add_container(struct pod *p, struct json_walk *w, enum pod_container_kind kind)
{
	struct json_walk container = json_walk__enter(w, '{');
	_free_ char *name = NULL, *image = NULL;
	struct json_span key, ports = {0};
	struct pod_container *c;

	while (json_walk__next(&container, &key)) {
		if (json_span__is(key, "name"))
			take_text(&name, &container);
		else if (json_span__is(key, "image"))
			take_text(&image, &container);
		else if (json_span__is(key, "ports"))
			ports = json_walk__value(&container);
	}
	json_walk__leave(w, &container);
	if (!name)
		return 0;
	c = pod__add_container(p, name);
	if (!c)
		return -ENOMEM;
	c->kind = kind;
	c->image = TAKE_PTR(image);
	return add_ports(c, ports);
}

static int add_containers(struct pod *p, struct json_walk *w, enum pod_container_kind kind)
{
	struct json_walk containers = json_walk__enter(w, '[');
	struct json_span key;
	int err = 0;

	while (!err && p->n_containers < POD_JSON_CONTAINERS && json_walk__next(&containers, &key))
		err = add_container(p, &containers, kind);
	json_walk__leave(w, &containers);
	return err;
}

static int take_spec(struct pod *p, struct json_walk *w)
{
	struct json_walk spec = json_walk__enter(w, '{');
	struct json_span key;
	int err = 0;

	while (!err && json_walk__next(&spec, &key)) {
		if (json_span__is(key, "nodeName"))
			take_text(&p->node_name, &spec);
		else if (json_span__is(key, "initContainers"))
			err = add_containers(p, &spec, POD_CONTAINER_INIT);
		else if (json_span__is(key, "containers"))
			err = add_containers(p, &spec, POD_CONTAINER);
		else if (json_span__is(key, "ephemeralContainers"))
			err = add_containers(p, &spec, POD_CONTAINER_EPHEMERAL);
	}
	json_walk__leave(w, &spec);
	return err;
}

/* "containerd://ID" */
static char *id_of(struct json_span value)
{
	_free_ char *text = text_of(value);
	const char *id = text ? strstr(text, "://") : NULL;

	return id && id[3] ? strdup(id + 3) : NULL;
}

static void take_ids(struct pod *p, struct json_walk *w)
{
	struct json_walk statuses = json_walk__enter(w, '[');
	struct json_span key;

	while (json_walk__next(&statuses, &key)) {
		struct json_span status = json_walk__value(&statuses);
		_free_ char *name = text_of(json_span__member(status, "name"));

		for (size_t i = 0; name && i < p->n_containers; i++) {
			if (!p->containers[i].id && strcmp(p->containers[i].name, name) == 0)
				p->containers[i].id =
					id_of(json_span__member(status, "containerID"));
		}
	}
	json_walk__leave(w, &statuses);
}

static void take_ready(struct pod *p, struct json_walk *w)
{
	static const struct {
		const char *said, *kept;
	} all[] = {
		{"\"True\"", "true"},
		{"\"False\"", "false"},
		{"\"Unknown\"", "unknown"},
	};
	struct json_walk conditions = json_walk__enter(w, '[');
	struct json_span key;

	while (json_walk__next(&conditions, &key)) {
		struct json_span condition = json_walk__value(&conditions);
		struct json_span status = json_span__member(condition, "status");

		if (p->ready || !json_span__is(json_span__member(condition, "type"), "\"Ready\""))
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
			if (json_span__is(status, all[i].said))
				p->ready = strdup(all[i].kept);
		}
	}
	json_walk__leave(w, &conditions);
}

static void take_status(struct pod *p, struct json_span text)
{
	struct json_walk status = json_walk__object(text);
	struct json_span key;

	while (json_walk__next(&status, &key)) {
		if (json_span__is(key, "phase"))
			take_text(&p->phase, &status);
		else if (json_span__is(key, "hostIP"))
			take_text(&p->host_ip, &status);
		else if (json_span__is(key, "podIP"))
			take_text(&p->ip, &status);
		else if (json_span__is(key, "conditions"))
			take_ready(p, &status);
		else if (json_span__is(key, "initContainerStatuses") ||
			 json_span__is(key, "containerStatuses") ||
			 json_span__is(key, "ephemeralContainerStatuses"))
			take_ids(p, &status);
	}
}

static bool is_named(const char *text)
{
	return text && strlen(text) <= MAX_NAME;
}

int pod_json__parse(const char *json, size_t len, struct pod **ret)
{
	struct json_walk w = json_walk__object((struct json_span){json, len});
	struct json_span key, status = {0};
	_pod_ struct pod *p = pod__new();
	int err = p ? 0 : -ENOMEM;

	while (!err && json_walk__next(&w, &key)) {
		if (json_span__is(key, "metadata"))
			err = take_metadata(p, &w);
		else if (json_span__is(key, "spec"))
			err = take_spec(p, &w);
		else if (json_span__is(key, "status"))
			status = json_walk__value(&w);
	}
	if (!err && (!json_walk__whole(&w) || !is_named(p->uid) || !is_named(p->namespace) ||
		     !is_named(p->name)))
		err = -EBADMSG;
	if (!err)
		err = take_hash(p);
	if (err)
		return err;
	take_status(p, status);
	*ret = TAKE_PTR(p);
	return 0;
}
