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

void meta__unref(struct meta *m)
{
	if (!m || __atomic_sub_fetch(&m->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	free(m->engine);
	free(m->id);
	free(m->name);
	free(m->image);
	free(m->cgroup_path);
	free(m->pod_uid);
	free(m->outer_id);
	for (size_t i = 0; i < m->n_labels; i++) {
		free(m->labels[i].name);
		free(m->labels[i].value);
	}
	free(m->labels);
	free(m);
}

int meta__add_label(struct meta *m, const char *name, const char *value)
{
	_free_ char *n = strdup(name);
	_free_ char *v = strdup(value);
	struct meta_label *labels;

	if (!n || !v)
		return -ENOMEM;
	/* Grows at powers of two: the length says when, without a field for it. */
	if ((m->n_labels & (m->n_labels - 1)) == 0) {
		size_t room = m->n_labels ? 2 * m->n_labels : 1;

		labels = reallocarray(m->labels, room, sizeof(*labels));
		if (!labels)
			return -ENOMEM;
		m->labels = labels;
	}
	m->labels[m->n_labels].name = TAKE_PTR(n);
	m->labels[m->n_labels].value = TAKE_PTR(v);
	m->n_labels++;
	return 0;
}

const char *meta__label(const struct meta *m, const char *name)
{
	for (size_t i = 0; i < m->n_labels; i++) {
		if (strcmp(m->labels[i].name, name) == 0)
			return m->labels[i].value;
	}
	return NULL;
}
