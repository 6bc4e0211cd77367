/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counting is atomic since references cross threads; everything else is written by one thread
 * before the pod is handed on.
 */
#include "containers/pod.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LAST_APPLIED "kubectl.kubernetes.io/last-applied-configuration"

struct pod *pod__new(void)
{
	struct pod *p = calloc(1, sizeof(*p));

	if (p)
		p->refs = 1;
	return p;
}

struct pod *pod__ref(struct pod *p)
{
	__atomic_fetch_add(&p->refs, 1, __ATOMIC_RELAXED);
	return p;
}

static void container__free(struct pod_container *c)
{
	for (size_t i = 0; i < c->n_ports; i++) {
		free(c->ports[i].name);
		free(c->ports[i].protocol);
	}
	free(c->ports);
	free(c->name);
	free(c->id);
	free(c->image);
}

void pod__unref(struct pod *p)
{
	if (!p || __atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	for (size_t i = 0; i < p->n_containers; i++)
		container__free(&p->containers[i]);
	free(p->containers);
	meta_labels__free(p->labels, p->n_labels);
	meta_labels__free(p->annotations, p->n_annotations);
	free(p->uid);
	free(p->namespace);
	free(p->name);
	free(p->config_hash);
	free(p->node_name);
	free(p->host_ip);
	free(p->ip);
	free(p->phase);
	free(p->ready);
	free(p->controller_kind);
	free(p->controller_name);
	free(p);
}

/* There is room for it; it is counted. */
static bool fits(size_t *bytes, const char *name, const char *value)
{
	size_t value_len = strlen(value), len = strlen(name) + value_len;

	if (value_len > POD_VALUE_MAX || len > POD_BYTES_MAX - *bytes)
		return false;
	*bytes += len;
	return true;
}

int pod__add_label(struct pod *p, const char *name, const char *value)
{
	if (!fits(&p->labels_bytes, name, value))
		return 0;
	return meta_labels__add(&p->labels, &p->n_labels, name, value);
}

int pod__add_annotation(struct pod *p, const char *name, const char *value)
{
	if (!strcmp(name, LAST_APPLIED) || !fits(&p->annotations_bytes, name, value))
		return 0;
	return meta_labels__add(&p->annotations, &p->n_annotations, name, value);
}

struct pod_container *pod__add_container(struct pod *p, const char *name)
{
	struct pod_container *grown =
		reallocarray(p->containers, p->n_containers + 1, sizeof(*grown));
	struct pod_container *c;

	if (!grown)
		return NULL;
	p->containers = grown;
	c = &grown[p->n_containers];
	*c = (struct pod_container){.name = strdup(name)};
	if (!c->name)
		return NULL;
	p->n_containers++;
	return c;
}

int pod_container__add_port(struct pod_container *c, const char *name, uint16_t number,
			    const char *protocol)
{
	struct pod_port *grown = reallocarray(c->ports, c->n_ports + 1, sizeof(*grown));
	_free_ char *n = name ? strdup(name) : NULL;
	_free_ char *p = protocol ? strdup(protocol) : NULL;

	if (grown)
		c->ports = grown;
	if (!grown || (protocol && !p) || (name && !n))
		return -ENOMEM;
	c->ports[c->n_ports++] = (struct pod_port){
		.name = TAKE_PTR(n),
		.number = number,
		.protocol = TAKE_PTR(p),
	};
	return 0;
}

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool container__same(const struct pod_container *a, const struct pod_container *b)
{
	if (!same(a->name, b->name) || a->kind != b->kind || !same(a->id, b->id) ||
	    !same(a->image, b->image) || a->n_ports != b->n_ports)
		return false;
	for (size_t i = 0; i < a->n_ports; i++) {
		if (!same(a->ports[i].name, b->ports[i].name) ||
		    a->ports[i].number != b->ports[i].number ||
		    !same(a->ports[i].protocol, b->ports[i].protocol))
			return false;
	}
	return true;
}

static bool object__same(const struct pod *a, const struct pod *b)
{
	if (a->from_bundle != b->from_bundle || !same(a->uid, b->uid) ||
	    !same(a->namespace, b->namespace) || !same(a->name, b->name) ||
	    !same(a->config_hash, b->config_hash) || !same(a->node_name, b->node_name) ||
	    !same(a->host_ip, b->host_ip) || !same(a->ip, b->ip) || !same(a->phase, b->phase) ||
	    !same(a->ready, b->ready) || !same(a->controller_kind, b->controller_kind) ||
	    !same(a->controller_name, b->controller_name) ||
	    !meta_labels__same(a->labels, a->n_labels, b->labels, b->n_labels) ||
	    !meta_labels__same(a->annotations, a->n_annotations, b->annotations, b->n_annotations))
		return false;
	return true;
}

bool pod__same_for(const struct pod *a, const struct pod *b, const char *container)
{
	const struct pod_container *in_a, *in_b;

	if (a == b || !object__same(a, b))
		return a == b;
	in_a = container ? pod__container(a, container) : NULL;
	in_b = container ? pod__container(b, container) : NULL;
	return in_a && in_b ? container__same(in_a, in_b) : in_a == in_b;
}

bool pod__same(const struct pod *a, const struct pod *b)
{
	if (a == b || !a || !b)
		return a == b;
	if (!object__same(a, b) || a->n_containers != b->n_containers)
		return false;
	for (size_t i = 0; i < a->n_containers; i++) {
		if (!container__same(&a->containers[i], &b->containers[i]))
			return false;
	}
	return true;
}

const char *pod__label(const struct pod *p, const char *name)
{
	return meta_labels__value(p->labels, p->n_labels, name);
}

const char *pod__annotation(const struct pod *p, const char *name)
{
	return meta_labels__value(p->annotations, p->n_annotations, name);
}

const struct pod_container *pod__container(const struct pod *p, const char *name)
{
	for (size_t i = 0; i < p->n_containers; i++) {
		if (strcmp(p->containers[i].name, name) == 0)
			return &p->containers[i];
	}
	return NULL;
}
