/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reference-counted metadata. Counting is atomic since references cross threads; everything else is
 * written by one thread before the snapshot is published.
 */
#include "containers/meta.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "containers/pod.h"

struct meta *meta__new(void)
{
	struct meta *m = calloc(1, sizeof(*m));

	if (m)
		m->refs = 1;
	return m;
}

struct meta *meta__ref(struct meta *m)
{
	__atomic_fetch_add(&m->refs, 1, __ATOMIC_RELAXED);
	return m;
}

void meta_labels__free(struct meta_label *labels, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(labels[i].name);
		free(labels[i].value);
	}
	free(labels);
}

void meta__unref(struct meta *m)
{
	if (!m || __atomic_sub_fetch(&m->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	free(m->engine);
	free(m->id);
	free(m->name);
	free(m->image);
	free(m->image_id);
	free(m->network_mode);
	free(m->network_of);
	free(m->network_name);
	free(m->network_id);
	free(m->network_ip);
	meta_network__unref(m->network);
	free(m->port.outside_ip);
	free(m->cgroup_path);
	free(m->pod_uid);
	free(m->outer_id);
	pod__unref(m->pod);
	meta_labels__free(m->labels, m->n_labels);
	free(m);
}

int meta_labels__add(struct meta_label **labels, size_t *n_labels, const char *name,
		     const char *value)
{
	_free_ char *n = strdup(name);
	_free_ char *v = strdup(value);
	struct meta_label *grown;

	if (!n || !v)
		return -ENOMEM;
	/* Grows at powers of two: the length says when, without a field for it. */
	if ((*n_labels & (*n_labels - 1)) == 0) {
		grown = reallocarray(*labels, *n_labels ? 2 * *n_labels : 1, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		*labels = grown;
	}
	(*labels)[*n_labels].name = TAKE_PTR(n);
	(*labels)[*n_labels].value = TAKE_PTR(v);
	(*n_labels)++;
	return 0;
}

int meta__add_label(struct meta *m, const char *name, const char *value)
{
	return meta_labels__add(&m->labels, &m->n_labels, name, value);
}

int meta__set_pod(struct meta *m, struct pod *p, enum meta_pod_state state)
{
	char *uid;

	for (size_t i = 0; i < m->n_labels && p && p->uid; i++) {
		if (strcmp(m->labels[i].name, META_POD_UID_LABEL) != 0)
			continue;
		uid = strdup(p->uid);
		if (!uid)
			return -ENOMEM;
		free(m->labels[i].value);
		m->labels[i].value = uid;
	}
	if (p)
		pod__ref(p);
	pod__unref(m->pod);
	m->pod = p;
	m->pod_state = state;
	return 0;
}

struct meta_network *meta_network__new(void)
{
	struct meta_network *n = calloc(1, sizeof(*n));

	if (n)
		n->refs = 1;
	return n;
}

struct meta_network *meta_network__ref(struct meta_network *n)
{
	__atomic_fetch_add(&n->refs, 1, __ATOMIC_RELAXED);
	return n;
}

void meta_network__unref(struct meta_network *n)
{
	if (!n || __atomic_sub_fetch(&n->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	free(n->id);
	free(n->name);
	free(n->scope);
	meta_labels__free(n->labels, n->n_labels);
	free(n);
}

int meta_network__add_label(struct meta_network *n, const char *name, const char *value)
{
	return meta_labels__add(&n->labels, &n->n_labels, name, value);
}

int meta__copy_string(char **ret, const char *s)
{
	if (!s)
		return 0;
	*ret = strdup(s);
	return *ret ? 0 : -ENOMEM;
}

int meta__copy(struct meta *to, const struct meta *from)
{
	const struct {
		char **to;
		const char *from;
	} strings[] = {
		{&to->engine, from->engine},
		{&to->id, from->id},
		{&to->name, from->name},
		{&to->image, from->image},
		{&to->image_id, from->image_id},
		{&to->network_mode, from->network_mode},
		{&to->network_of, from->network_of},
		{&to->port.outside_ip, from->port.outside_ip},
	};
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(strings) && !err; i++)
		err = meta__copy_string(strings[i].to, strings[i].from);
	for (size_t i = 0; i < from->n_labels && !err; i++)
		err = meta__add_label(to, from->labels[i].name, from->labels[i].value);
	to->detailed = from->detailed;
	to->port.inside = from->port.inside;
	to->port.outside = from->port.outside;
	if (from->pod)
		to->pod = pod__ref(from->pod);
	to->pod_state = from->pod_state;
	return err ? err : meta__copy_networks(to, from);
}

int meta__copy_networks(struct meta *to, const struct meta *from)
{
	int err;

	free(TAKE_PTR(to->network_name));
	free(TAKE_PTR(to->network_id));
	free(TAKE_PTR(to->network_ip));
	meta_network__unref(TAKE_PTR(to->network));
	err = meta__copy_string(&to->network_name, from->network_name);
	if (!err)
		err = meta__copy_string(&to->network_id, from->network_id);
	if (!err)
		err = meta__copy_string(&to->network_ip, from->network_ip);
	if (!err && from->network)
		to->network = meta_network__ref(from->network);
	return err;
}

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

bool meta_labels__same(const struct meta_label *a, size_t n_a, const struct meta_label *b,
		       size_t n_b)
{
	if (n_a != n_b)
		return false;
	for (size_t i = 0; i < n_a; i++) {
		if (!same(a[i].name, b[i].name) || !same(a[i].value, b[i].value))
			return false;
	}
	return true;
}

/* A network never changes, but its list is made anew. */
static bool network__same(const struct meta_network *a, const struct meta_network *b)
{
	if (a == b || !a || !b)
		return a == b;
	return same(a->id, b->id) && same(a->name, b->name) && same(a->scope, b->scope) &&
	       a->internal == b->internal && a->ingress == b->ingress &&
	       meta_labels__same(a->labels, a->n_labels, b->labels, b->n_labels);
}

bool meta__same(const struct meta *a, const struct meta *b)
{
	return same(a->engine, b->engine) && same(a->id, b->id) && same(a->name, b->name) &&
	       same(a->image, b->image) && same(a->image_id, b->image_id) &&
	       a->detailed == b->detailed && same(a->network_mode, b->network_mode) &&
	       same(a->network_of, b->network_of) && same(a->network_name, b->network_name) &&
	       same(a->network_id, b->network_id) && same(a->network_ip, b->network_ip) &&
	       network__same(a->network, b->network) && a->port.inside == b->port.inside &&
	       a->port.outside == b->port.outside && same(a->port.outside_ip, b->port.outside_ip) &&
	       a->pod_state == b->pod_state && pod__same(a->pod, b->pod) &&
	       meta_labels__same(a->labels, a->n_labels, b->labels, b->n_labels);
}

const char *meta_labels__value(const struct meta_label *labels, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(labels[i].name, name) == 0)
			return labels[i].value;
	}
	return NULL;
}

const char *meta__label(const struct meta *m, const char *name)
{
	return meta_labels__value(m->labels, m->n_labels, name);
}
