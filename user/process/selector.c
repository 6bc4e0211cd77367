/* SPDX-License-Identifier: Apache-2.0 */
/* Read again each time: they are asked once for each stream and version of its metadata. */
#include "process/selector.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "containers/pod.h"
#include "process/preset.h"

#define SPACE " \t\n"

enum relation { EXISTS, IS_ABSENT, IS_ONE_OF, IS_NONE_OF };

struct text {
	const char *at;
	size_t len;
};

struct requirement {
	struct text key;
	enum relation relation;
	struct text values; /* by commas */
};

static bool is(const struct text *t, const char *text)
{
	return t->len == strlen(text) && !strncmp(t->at, text, t->len);
}

static void skip_space(const char **p)
{
	*p += strspn(*p, SPACE);
}

static struct text word(const char **p)
{
	struct text t = {.at = *p};

	t.len = strcspn(*p, SPACE ",=!()<>");
	*p += t.len;
	skip_space(p);
	return t;
}

/* in (a, b), notin (c) */
static int read_set(const char **p, struct requirement *r)
{
	struct text how = word(p);
	const char *end;

	if (!is(&how, "in") && !is(&how, "notin"))
		return -EINVAL;
	if (**p != '(' || !(end = strchr(*p, ')')))
		return -EINVAL;
	r->relation = is(&how, "in") ? IS_ONE_OF : IS_NONE_OF;
	r->values = (struct text){.at = *p + 1, .len = (size_t)(end - *p - 1)};
	if (memchr(r->values.at, '(', r->values.len))
		return -EINVAL;
	*p = end + 1;
	return 0;
}

static int read_relation(const char **p, struct requirement *r)
{
	bool negated = **p == '!';

	if (!**p || **p == ',') {
		r->relation = EXISTS;
		return 0;
	}
	if (**p != '=' && !negated)
		return read_set(p, r);
	*p += negated;
	if (**p != '=')
		return -EINVAL;
	*p += 1 + (!negated && (*p)[1] == '=');
	skip_space(p);
	r->relation = negated ? IS_NONE_OF : IS_ONE_OF;
	r->values = word(p);
	return 0;
}

/* 1: *p is behind it; 0: there is none; -EINVAL. */
static int next(const char **p, struct requirement *r)
{
	bool absent;
	int err = 0;

	skip_space(p);
	if (!**p)
		return 0;
	*r = (struct requirement){0};
	absent = **p == '!';
	*p += absent;
	skip_space(p);
	r->key = word(p);
	if (!r->key.len)
		return -EINVAL;
	if (absent)
		r->relation = IS_ABSENT;
	else
		err = read_relation(p, r);
	skip_space(p);
	if (err || (**p && **p != ','))
		return -EINVAL;
	if (**p) {
		++*p;
		skip_space(p);
		if (!**p)
			return -EINVAL;
	}
	return 1;
}

static bool is_among(const struct text *values, const char *value)
{
	const char *p = values->at, *end = values->at + values->len;

	for (;; p++) {
		struct text t;

		while (p < end && strchr(SPACE, *p))
			p++;
		t = (struct text){.at = p};
		while (p < end && *p != ',' && !strchr(SPACE, *p))
			p++;
		t.len = (size_t)(p - t.at);
		if (is(&t, value))
			return true;
		p = memchr(p, ',', (size_t)(end - p));
		if (!p)
			return false;
	}
}

/* `value` NULL: there is none. */
static bool holds(const struct requirement *r, const char *value)
{
	switch (r->relation) {
	case EXISTS:
		return value;
	case IS_ABSENT:
		return !value;
	case IS_ONE_OF:
		return value && is_among(&r->values, value);
	case IS_NONE_OF:
		return !value || !is_among(&r->values, value);
	}
	return false;
}

static const char *label(const struct pod *pod, const struct text *key)
{
	for (size_t i = 0; i < pod->n_labels; i++)
		if (is(key, pod->labels[i].name))
			return pod->labels[i].value;
	return NULL;
}

bool selector__fits_labels(const char *selector, const struct meta *m)
{
	struct requirement r;
	int more = 0;

	while (selector && (more = next(&selector, &r)) == 1)
		if (!m->pod || !holds(&r, label(m->pod, &r.key)))
			return false;
	return !more;
}

enum field { BY_POD, BY_NAMESPACE, BY_NODE, BY_PHASE, BY_IP };

static const char *const FIELDS[] = {
	[BY_POD] = "metadata.name",  [BY_NAMESPACE] = "metadata.namespace",
	[BY_NODE] = "spec.nodeName", [BY_PHASE] = "status.phase",
	[BY_IP] = "status.podIP",
};

/* -ENOENT: it is none that is looked at. */
static int find_field(const struct text *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(FIELDS); i++)
		if (is(key, FIELDS[i]))
			return (int)i;
	return -ENOENT;
}

static bool field_holds(const struct requirement *r, int field, const struct meta *m)
{
	const struct pod *pod = m->pod;

	switch (field) {
	case BY_POD:
		return holds(r, preset__pod(m));
	case BY_NAMESPACE:
		return holds(r, preset__namespace(m));
	case BY_NODE:
		if (!pod || !pod->node_name)
			return r->relation == IS_ONE_OF;
		return holds(r, pod->node_name);
	case BY_PHASE:
		return holds(r, pod && pod->phase ? pod->phase : "Running");
	case BY_IP:
		return holds(r, pod ? pod->ip : NULL);
	default:
		return true;
	}
}

bool selector__fits_fields(const char *selector, const struct meta *m)
{
	struct requirement r;
	int more = 0;

	while (selector && (more = next(&selector, &r)) == 1)
		if (!field_holds(&r, find_field(&r.key), m))
			return false;
	return !more;
}

const char *selector__check_labels(const char *selector)
{
	struct requirement r;
	int more;

	while ((more = next(&selector, &r)) == 1)
		;
	return more ? "expected a label selector like app=web,tier!=cache,env in (a, b)" : NULL;
}

const char *selector__check_fields(const char *selector, bool *ret_unknown)
{
	bool unknown = false;
	struct requirement r;
	int more;

	while ((more = next(&selector, &r)) == 1) {
		if (r.relation == EXISTS || r.relation == IS_ABSENT)
			return "expected a field selector like spec.nodeName=node-1";
		unknown |= find_field(&r.key) < 0;
	}
	if (more)
		return "expected a field selector like spec.nodeName=node-1";
	*ret_unknown = unknown;
	return NULL;
}
