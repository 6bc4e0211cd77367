/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The members of the object in whatever order they come: the spec first, for the status speaks of
 * its containers.
 */
#include "kube/pod_json.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "containers/pod.h"
#include "kube/json_walk.h"

#define MAX_NAME 253 /* of anything that the API names */

struct member {
	const char *name;
	struct json_span *value;
};

/* Those of `members` that the object has; the last of a name counts. */
static int find_members(struct json_span object, const struct member *members, size_t n)
{
	struct json_walk w = json_walk__object(object);
	struct json_span key, value;

	while (json_walk__next(&w, &key, &value)) {
		for (size_t i = 0; i < n; i++) {
			if (json_span__is(key, members[i].name))
				*members[i].value = value;
		}
	}
	return w.malformed ? -EBADMSG : 0;
}

/* A name with something in it. */
static char *text_of(struct json_span value)
{
	_free_ char *text = json_span__string(value);

	return text && *text ? TAKE_PTR(text) : NULL;
}

static int add_pairs(struct pod *p, struct json_span object, size_t max,
		     int (*add)(struct pod *p, const char *name, const char *value))
{
	struct json_walk w = json_walk__object(object);
	struct json_span key, value;
	int err = 0;

	for (size_t i = 0; !err && i < max && json_walk__next(&w, &key, &value); i++) {
		/* As a string, with its quotes. */
		struct json_span quoted = {key.data - 1, key.len + 2};
		_free_ char *name = NULL, *text = NULL;

		if (value.len > POD_JSON_VALUE_BYTES)
			continue;
		name = json_span__string(quoted);
		text = json_span__string(value);
		if (name && text)
			err = add(p, name, text);
	}
	return err;
}

/* The one that manages it. */
static void take_owner(struct pod *p, struct json_span owners)
{
	struct json_walk w = json_walk__array(owners);
	struct json_span owner;

	while (json_walk__next(&w, NULL, &owner)) {
		struct json_span controller = {0}, kind = {0}, name = {0};
		const struct member members[] = {
			{"controller", &controller},
			{"kind", &kind},
			{"name", &name},
		};

		find_members(owner, members, ARRAY_SIZE(members));
		if (!json_span__is(controller, "true") || p->controller_kind)
			continue;
		p->controller_kind = text_of(kind);
		p->controller_name = text_of(name);
	}
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

static int take_metadata(struct pod *p, struct json_span metadata)
{
	struct json_span uid = {0}, namespace = {0}, name = {0}, labels = {0}, annotations = {0},
			 owners = {0};
	const struct member members[] = {
		{"uid", &uid},	     {"namespace", &namespace},	    {"name", &name},
		{"labels", &labels}, {"annotations", &annotations}, {"ownerReferences", &owners},
	};
	int err;

	find_members(metadata, members, ARRAY_SIZE(members));
	p->uid = text_of(uid);
	p->namespace = text_of(namespace);
	p->name = text_of(name);
	if (!p->uid || !p->namespace || !p->name || strlen(p->uid) > MAX_NAME ||
	    strlen(p->namespace) > MAX_NAME || strlen(p->name) > MAX_NAME)
		return -EBADMSG;
	err = add_pairs(p, labels, POD_JSON_LABELS, pod__add_label);
	if (!err)
		err = add_pairs(p, annotations, POD_JSON_ANNOTATIONS, pod__add_annotation);
	if (!err)
		err = take_hash(p);
	take_owner(p, owners);
	return err;
}

static int add_ports(struct pod_container *c, struct json_span ports)
{
	struct json_walk w = json_walk__array(ports);
	struct json_span port;
	int err = 0;

	for (size_t i = 0; !err && i < POD_JSON_PORTS && json_walk__next(&w, NULL, &port); i++) {
		struct json_span name = {0}, number = {0}, protocol = {0};
		const struct member members[] = {
			{"name", &name},
			{"containerPort", &number},
			{"protocol", &protocol},
		};
		_free_ char *n = NULL, *p = NULL;
		long value;

		find_members(port, members, ARRAY_SIZE(members));
		value = json_span__number(number, UINT16_MAX);
		n = text_of(name);
		p = text_of(protocol);
		if (value > 0)
			err = pod_container__add_port(c, n, (uint16_t)value, p ? p : "TCP");
	}
	return err;
}

static int add_containers(struct pod *p, struct json_span containers, enum pod_container_kind kind)
{
	struct json_walk w = json_walk__array(containers);
	struct json_span container;
	int err = 0;

	while (!err && p->n_containers < POD_JSON_CONTAINERS &&
	       json_walk__next(&w, NULL, &container)) {
		struct json_span name = {0}, image = {0}, ports = {0};
		const struct member members[] = {
			{"name", &name},
			{"image", &image},
			{"ports", &ports},
		};
		_free_ char *text = NULL;
		struct pod_container *c;

		find_members(container, members, ARRAY_SIZE(members));
		text = text_of(name);
		if (!text)
			continue;
		c = pod__add_container(p, text);
		if (!c)
			return -ENOMEM;
		c->kind = kind;
		c->image = text_of(image);
		err = add_ports(c, ports);
	}
	return err;
}

static int take_spec(struct pod *p, struct json_span spec)
{
	struct json_span node = {0}, plain = {0}, init = {0}, ephemeral = {0};
	const struct member members[] = {
		{"nodeName", &node},
		{"containers", &plain},
		{"initContainers", &init},
		{"ephemeralContainers", &ephemeral},
	};
	int err;

	find_members(spec, members, ARRAY_SIZE(members));
	p->node_name = text_of(node);
	err = add_containers(p, init, POD_CONTAINER_INIT);
	if (!err)
		err = add_containers(p, plain, POD_CONTAINER);
	if (!err)
		err = add_containers(p, ephemeral, POD_CONTAINER_EPHEMERAL);
	return err;
}

/* "containerd://ID" */
static char *id_of(struct json_span value)
{
	_free_ char *text = text_of(value);
	const char *id = text ? strstr(text, "://") : NULL;

	return id && id[3] ? strdup(id + 3) : NULL;
}

static void take_ids(struct pod *p, struct json_span statuses)
{
	struct json_walk w = json_walk__array(statuses);
	struct json_span status;

	while (json_walk__next(&w, NULL, &status)) {
		struct json_span name = {0}, id = {0};
		const struct member members[] = {{"name", &name}, {"containerID", &id}};
		_free_ char *text = NULL;

		find_members(status, members, ARRAY_SIZE(members));
		text = text_of(name);
		for (size_t i = 0; text && i < p->n_containers; i++) {
			if (!p->containers[i].id && strcmp(p->containers[i].name, text) == 0)
				p->containers[i].id = id_of(id);
		}
	}
}

static void take_ready(struct pod *p, struct json_span conditions)
{
	static const struct {
		const char *said, *kept;
	} all[] = {
		{"\"True\"", "true"},
		{"\"False\"", "false"},
		{"\"Unknown\"", "unknown"},
	};
	struct json_walk w = json_walk__array(conditions);
	struct json_span condition;

	while (json_walk__next(&w, NULL, &condition)) {
		struct json_span type = {0}, status = {0};
		const struct member members[] = {{"type", &type}, {"status", &status}};

		find_members(condition, members, ARRAY_SIZE(members));
		if (!json_span__is(type, "\"Ready\"") || p->ready)
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
			if (json_span__is(status, all[i].said))
				p->ready = strdup(all[i].kept);
		}
	}
}

static void take_status(struct pod *p, struct json_span status)
{
	struct json_span phase = {0}, host_ip = {0}, ip = {0}, conditions = {0}, plain = {0},
			 init = {0}, ephemeral = {0};
	const struct member members[] = {
		{"phase", &phase},
		{"hostIP", &host_ip},
		{"podIP", &ip},
		{"conditions", &conditions},
		{"containerStatuses", &plain},
		{"initContainerStatuses", &init},
		{"ephemeralContainerStatuses", &ephemeral},
	};

	find_members(status, members, ARRAY_SIZE(members));
	p->phase = text_of(phase);
	p->host_ip = text_of(host_ip);
	p->ip = text_of(ip);
	take_ready(p, conditions);
	take_ids(p, init);
	take_ids(p, plain);
	take_ids(p, ephemeral);
}

int pod_json__parse(const char *json, size_t len, struct pod **ret)
{
	struct json_span metadata = {0}, spec = {0}, status = {0};
	const struct member members[] = {
		{"metadata", &metadata},
		{"spec", &spec},
		{"status", &status},
	};
	_pod_ struct pod *p = pod__new();
	int err;

	if (!p)
		return -ENOMEM;
	err = find_members((struct json_span){json, len}, members, ARRAY_SIZE(members));
	if (!err)
		err = take_metadata(p, metadata);
	if (!err)
		err = take_spec(p, spec);
	if (err)
		return err;
	take_status(p, status);
	*ret = TAKE_PTR(p);
	return 0;
}
