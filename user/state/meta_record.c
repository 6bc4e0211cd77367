/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fields of a tag, a length and bytes; what is not known has no field. A label's two strings have a
 * NUL between them. A network's and a pod's fields lie in one field of the container's; of a pod's
 * containers there is the one whose metadata it is, and of its ports the first.
 */
#include "state/meta_record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "containers/pod.h"

enum tag {
	TAG_ENGINE = 1,
	TAG_ID,
	TAG_NAME,
	TAG_IMAGE,
	TAG_IMAGE_ID,
	TAG_NETWORK_MODE,
	TAG_NETWORK_OF,
	TAG_NETWORK_NAME,
	TAG_NETWORK_ID,
	TAG_NETWORK_IP,
	TAG_OUTSIDE_IP,
	TAG_CGROUP_PATH,
	TAG_POD_UID,
	TAG_OUTER_ID,
	TAG_PORTS,
	TAG_DETAILED,
	TAG_LABEL,
	TAG_NETWORK,
	TAG_SCOPE, /* of networks, from here */
	TAG_INTERNAL,
	TAG_INGRESS,
	TAG_POD,
	TAG_UID, /* of pods, from here */
	TAG_NAMESPACE,
	TAG_CONFIG_HASH,
	TAG_NODE_NAME,
	TAG_HOST_IP,
	TAG_IP,
	TAG_PHASE,
	TAG_READY,
	TAG_CONTROLLER_KIND,
	TAG_CONTROLLER_NAME,
	TAG_ANNOTATION,
	TAG_FROM_BUNDLE,
	TAG_CONTAINER,
	TAG_KIND, /* of a pod's container, from here */
	TAG_PORT,
	TAG_PORT_NAME,
	TAG_PORT_PROTOCOL,
};

struct field_header {
	uint16_t tag;
	uint16_t zero;
	uint32_t len;
};

struct ports {
	uint16_t inside, outside;
};

static int put(struct buf *to, enum tag tag, const void *bytes, size_t len)
{
	const struct field_header h = {.tag = tag, .len = (uint32_t)len};
	int err = buf__append(to, &h, sizeof(h));

	return err || !len ? err : buf__append(to, bytes, len);
}

static int put_string(struct buf *to, enum tag tag, const char *s)
{
	return s ? put(to, tag, s, strlen(s)) : 0;
}

static int put_labels(struct buf *to, enum tag tag, const struct meta_label *labels, size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		size_t name = strlen(labels[i].name) + 1, value = strlen(labels[i].value);
		const struct field_header h = {.tag = tag, .len = (uint32_t)(name + value)};

		err = buf__append(to, &h, sizeof(h));
		if (!err)
			err = buf__append(to, labels[i].name, name);
		if (!err && value)
			err = buf__append(to, labels[i].value, value);
	}
	return err;
}

static int put_network(struct buf *to, const struct meta_network *n)
{
	_buf_ struct buf b = {0};
	int err = put_string(&b, TAG_ID, n->id);

	if (!err)
		err = put_string(&b, TAG_NAME, n->name);
	if (!err)
		err = put_string(&b, TAG_SCOPE, n->scope);
	if (!err && n->internal)
		err = put(&b, TAG_INTERNAL, NULL, 0);
	if (!err && n->ingress)
		err = put(&b, TAG_INGRESS, NULL, 0);
	if (!err)
		err = put_labels(&b, TAG_LABEL, n->labels, n->n_labels);
	return err ? err : put(to, TAG_NETWORK, b.data, b.len);
}

static int put_pod_container(struct buf *to, const struct pod_container *c)
{
	const struct pod_port *port = c->n_ports ? &c->ports[0] : NULL;
	const uint8_t kind = (uint8_t)c->kind;
	_buf_ struct buf b = {0};
	int err = put_string(&b, TAG_NAME, c->name);

	if (!err)
		err = put(&b, TAG_KIND, &kind, sizeof(kind));
	if (!err)
		err = put_string(&b, TAG_ID, c->id);
	if (!err)
		err = put_string(&b, TAG_IMAGE, c->image);
	if (!err && port)
		err = put(&b, TAG_PORT, &port->number, sizeof(port->number));
	if (!err && port)
		err = put_string(&b, TAG_PORT_NAME, port->name);
	if (!err && port)
		err = put_string(&b, TAG_PORT_PROTOCOL, port->protocol);
	return err ? err : put(to, TAG_CONTAINER, b.data, b.len);
}

static char **pod_string(struct pod *p, uint16_t tag)
{
	switch (tag) {
	case TAG_UID:
		return &p->uid;
	case TAG_NAMESPACE:
		return &p->namespace;
	case TAG_NAME:
		return &p->name;
	case TAG_CONFIG_HASH:
		return &p->config_hash;
	case TAG_NODE_NAME:
		return &p->node_name;
	case TAG_HOST_IP:
		return &p->host_ip;
	case TAG_IP:
		return &p->ip;
	case TAG_PHASE:
		return &p->phase;
	case TAG_READY:
		return &p->ready;
	case TAG_CONTROLLER_KIND:
		return &p->controller_kind;
	case TAG_CONTROLLER_NAME:
		return &p->controller_name;
	default:
		return NULL;
	}
}

static int put_pod(struct buf *to, const struct meta *m)
{
	const char *name = meta__label(m, META_POD_CONTAINER_LABEL);
	const struct pod_container *c = name ? pod__container(m->pod, name) : NULL;
	const struct pod *p = m->pod;
	_buf_ struct buf b = {0};
	int err = put_string(&b, TAG_NAME, p->name);

	for (enum tag tag = TAG_UID; tag <= TAG_CONTROLLER_NAME && !err; tag++)
		err = put_string(&b, tag, *pod_string((struct pod *)p, (uint16_t)tag));
	if (!err)
		err = put_labels(&b, TAG_LABEL, p->labels, p->n_labels);
	if (!err)
		err = put_labels(&b, TAG_ANNOTATION, p->annotations, p->n_annotations);
	if (!err && p->from_bundle)
		err = put(&b, TAG_FROM_BUNDLE, NULL, 0);
	if (!err && c)
		err = put_pod_container(&b, c);
	return err ? err : put(to, TAG_POD, b.data, b.len);
}

int meta_record__write(struct buf *to, const struct meta *m)
{
	const struct ports ports = {m->port.inside, m->port.outside};
	const struct {
		enum tag tag;
		const char *text;
	} strings[] = {
		{TAG_ENGINE, m->engine},
		{TAG_ID, m->id},
		{TAG_NAME, m->name},
		{TAG_IMAGE, m->image},
		{TAG_IMAGE_ID, m->image_id},
		{TAG_NETWORK_MODE, m->network_mode},
		{TAG_NETWORK_OF, m->network_of},
		{TAG_NETWORK_NAME, m->network_name},
		{TAG_NETWORK_ID, m->network_id},
		{TAG_NETWORK_IP, m->network_ip},
		{TAG_OUTSIDE_IP, m->port.outside_ip},
		{TAG_CGROUP_PATH, m->cgroup_path},
		{TAG_POD_UID, m->pod_uid},
		{TAG_OUTER_ID, m->outer_id},
	};
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(strings) && !err; i++)
		err = put_string(to, strings[i].tag, strings[i].text);
	if (!err && (ports.inside || ports.outside))
		err = put(to, TAG_PORTS, &ports, sizeof(ports));
	if (!err && m->detailed)
		err = put(to, TAG_DETAILED, NULL, 0);
	if (!err)
		err = put_labels(to, TAG_LABEL, m->labels, m->n_labels);
	if (!err && m->network)
		err = put_network(to, m->network);
	if (!err && m->pod)
		err = put_pod(to, m);
	return err;
}

/* 1: *bytes and *len go behind it; 0: there is none; -EBADMSG. */
static int next_field(const char **bytes, size_t *len, struct field_header *ret, const char **value)
{
	if (!*len)
		return 0;
	if (*len < sizeof(*ret))
		return -EBADMSG;
	memcpy(ret, *bytes, sizeof(*ret));
	if (ret->len > *len - sizeof(*ret))
		return -EBADMSG;
	*value = *bytes + sizeof(*ret);
	*bytes = *value + ret->len;
	*len -= sizeof(*ret) + ret->len;
	return 1;
}

static int get_string(char **to, const char *value, size_t len)
{
	if (*to || memchr(value, '\0', len))
		return -EBADMSG;
	*to = strndup(value, len);
	return *to ? 0 : -ENOMEM;
}

/* Writes the value, to free; its name ends where it begins. */
static int split_label(const char *value, size_t len, char **ret_value)
{
	const char *nul = memchr(value, '\0', len);
	size_t rest = nul ? len - (size_t)(nul + 1 - value) : 0;

	if (!nul || memchr(nul + 1, '\0', rest))
		return -EBADMSG;
	*ret_value = strndup(nul + 1, rest);
	return *ret_value ? 0 : -ENOMEM;
}

static int get_network_field(struct meta_network *n, const struct field_header *h,
			     const char *value)
{
	_free_ char *text = NULL;
	int err;

	switch (h->tag) {
	case TAG_ID:
		return get_string(&n->id, value, h->len);
	case TAG_NAME:
		return get_string(&n->name, value, h->len);
	case TAG_SCOPE:
		return get_string(&n->scope, value, h->len);
	case TAG_INTERNAL:
		n->internal = true;
		return 0;
	case TAG_INGRESS:
		n->ingress = true;
		return 0;
	case TAG_LABEL:
		err = split_label(value, h->len, &text);
		return err ? err : meta_network__add_label(n, value, text);
	default:
		return 0;
	}
}

static int get_network(struct meta *m, const char *bytes, size_t len)
{
	struct meta_network *n = m->network ? NULL : meta_network__new();
	struct field_header h;
	const char *value;
	int more;

	if (!n)
		return m->network ? -EBADMSG : -ENOMEM;
	while ((more = next_field(&bytes, &len, &h, &value)) > 0) {
		more = get_network_field(n, &h, value);
		if (more)
			break;
	}
	if (more) {
		meta_network__unref(n);
		return more;
	}
	m->network = n;
	return 0;
}

/* What a port's fields say, in the order in which they are written. */
static int get_port_field(struct pod_container *c, const struct field_header *h, const char *value)
{
	struct pod_port *port = c->n_ports ? &c->ports[0] : NULL;
	uint16_t number;

	if (h->tag == TAG_PORT) {
		if (port || h->len != sizeof(number))
			return -EBADMSG;
		memcpy(&number, value, sizeof(number));
		return pod_container__add_port(c, NULL, number, NULL);
	}
	if (!port)
		return -EBADMSG;
	return get_string(h->tag == TAG_PORT_NAME ? &port->name : &port->protocol, value, h->len);
}

static int get_pod_container_field(struct pod_container *c, const struct field_header *h,
				   const char *value)
{
	switch (h->tag) {
	case TAG_KIND:
		if (h->len != 1 || (unsigned char)*value > POD_CONTAINER_EPHEMERAL)
			return -EBADMSG;
		c->kind = (enum pod_container_kind) * value;
		return 0;
	case TAG_ID:
		return get_string(&c->id, value, h->len);
	case TAG_IMAGE:
		return get_string(&c->image, value, h->len);
	case TAG_PORT:
	case TAG_PORT_NAME:
	case TAG_PORT_PROTOCOL:
		return get_port_field(c, h, value);
	default:
		return 0;
	}
}

/* The name comes first. */
static int get_pod_container(struct pod *p, const char *bytes, size_t len)
{
	struct pod_container *c;
	_free_ char *name = NULL;
	struct field_header h;
	const char *value;
	int more;

	more = next_field(&bytes, &len, &h, &value);
	if (more <= 0 || h.tag != TAG_NAME || p->n_containers)
		return -EBADMSG;
	more = get_string(&name, value, h.len);
	if (more)
		return more;
	c = pod__add_container(p, name);
	if (!c)
		return -ENOMEM;
	while ((more = next_field(&bytes, &len, &h, &value)) > 0) {
		more = get_pod_container_field(c, &h, value);
		if (more)
			break;
	}
	return more;
}

static int get_pod_field(struct pod *p, const struct field_header *h, const char *value)
{
	char **string = pod_string(p, h->tag);
	_free_ char *text = NULL;
	int err;

	if (string)
		return get_string(string, value, h->len);
	switch (h->tag) {
	case TAG_LABEL:
		err = split_label(value, h->len, &text);
		return err ? err : pod__add_label(p, value, text);
	case TAG_ANNOTATION:
		err = split_label(value, h->len, &text);
		return err ? err : pod__add_annotation(p, value, text);
	case TAG_FROM_BUNDLE:
		p->from_bundle = true;
		return 0;
	case TAG_CONTAINER:
		return get_pod_container(p, value, h->len);
	default:
		return 0;
	}
}

static int get_pod(struct meta *m, const char *bytes, size_t len)
{
	_pod_ struct pod *p = m->pod ? NULL : pod__new();
	struct field_header h;
	const char *value;
	int more;

	if (!p)
		return m->pod ? -EBADMSG : -ENOMEM;
	while ((more = next_field(&bytes, &len, &h, &value)) > 0) {
		more = get_pod_field(p, &h, value);
		if (more)
			break;
	}
	if (!more)
		m->pod = TAKE_PTR(p);
	return more;
}

static char **string_field(struct meta *m, uint16_t tag)
{
	switch (tag) {
	case TAG_ENGINE:
		return &m->engine;
	case TAG_ID:
		return &m->id;
	case TAG_NAME:
		return &m->name;
	case TAG_IMAGE:
		return &m->image;
	case TAG_IMAGE_ID:
		return &m->image_id;
	case TAG_NETWORK_MODE:
		return &m->network_mode;
	case TAG_NETWORK_OF:
		return &m->network_of;
	case TAG_NETWORK_NAME:
		return &m->network_name;
	case TAG_NETWORK_ID:
		return &m->network_id;
	case TAG_NETWORK_IP:
		return &m->network_ip;
	case TAG_OUTSIDE_IP:
		return &m->port.outside_ip;
	case TAG_CGROUP_PATH:
		return &m->cgroup_path;
	case TAG_POD_UID:
		return &m->pod_uid;
	case TAG_OUTER_ID:
		return &m->outer_id;
	default:
		return NULL;
	}
}

static int get_field(struct meta *m, const struct field_header *h, const char *value)
{
	char **string = string_field(m, h->tag);
	_free_ char *text = NULL;
	struct ports ports;
	int err;

	if (string)
		return get_string(string, value, h->len);
	switch (h->tag) {
	case TAG_PORTS:
		if (h->len != sizeof(ports))
			return -EBADMSG;
		memcpy(&ports, value, sizeof(ports));
		m->port.inside = ports.inside;
		m->port.outside = ports.outside;
		return 0;
	case TAG_DETAILED:
		m->detailed = true;
		return 0;
	case TAG_LABEL:
		err = split_label(value, h->len, &text);
		return err ? err : meta__add_label(m, value, text);
	case TAG_NETWORK:
		return get_network(m, value, h->len);
	case TAG_POD:
		return get_pod(m, value, h->len);
	default:
		return 0;
	}
}

int meta_record__read(const void *bytes, size_t len, struct meta **ret)
{
	_meta_ struct meta *m = meta__new();
	const char *at = bytes, *value;
	struct field_header h;
	int more;

	if (!m)
		return -ENOMEM;
	while ((more = next_field(&at, &len, &h, &value)) > 0) {
		more = get_field(m, &h, value);
		if (more)
			break;
	}
	if (more)
		return more;
	*ret = TAKE_PTR(m);
	return 0;
}
