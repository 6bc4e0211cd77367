/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is wanted of whom: a container of which something is missing is in the list of one source at
 * a time, in the order of a table, and an eventfd says that a list is not empty.
 *
 * A container may have the networks of another, which may have no cgroup here: its streams are
 * nothing to capture. That one is wanted for the other's sake.
 */
#include "containers/registry_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/util.h"

void wanted__remove(struct registry *r, struct container *c)
{
	eventfd_t count;

	if (!c->wanted)
		return;
	DL_DELETE2(r->wanted[c->wanted_of], c, wanted_prev, wanted_next);
	c->wanted = false;
	if (!r->wanted[c->wanted_of])
		eventfd_read(r->fds[c->wanted_of], &count);
}

void wanted__add(struct registry *r, struct container *c, enum registry_source of)
{
	if (c->wanted && c->wanted_of == of)
		return;
	wanted__remove(r, c);
	DL_APPEND2(r->wanted[of], c, wanted_prev, wanted_next);
	c->wanted = true;
	c->wanted_of = of;
	eventfd_write(r->fds[of], 1);
}

/* Who is asked, in this order. "kubernetes" is a path that leaves the engine open. */
static const struct {
	const char *engine;
	enum registry_source sources[2];
	size_t n_sources;
} asked[] = {
	{"docker", {REGISTRY_DOCKER}, 1},
	{"podman", {REGISTRY_DOCKER, REGISTRY_BUNDLES}, 2},
	{"kubernetes", {REGISTRY_BUNDLES, REGISTRY_DOCKER}, 2},
	{"containerd", {REGISTRY_BUNDLES}, 1},
	{"cri-o", {REGISTRY_BUNDLES}, 1},
};

enum registry_source wanted__first(const char *engine)
{
	for (size_t i = 0; i < ARRAY_SIZE(asked); i++)
		if (!strcmp(engine, asked[i].engine))
			return asked[i].sources[0];
	return REGISTRY_SOURCES;
}

/* The first that is there and has not said that it does not know it. False: none. */
static bool container__source(const struct registry *r, const struct container *c,
			      enum registry_source *ret)
{
	for (size_t i = 0; c->engine && i < ARRAY_SIZE(asked); i++) {
		if (strcmp(c->engine, asked[i].engine) != 0)
			continue;
		for (size_t j = 0; j < asked[i].n_sources; j++) {
			enum registry_source s = asked[i].sources[j];

			if (!r->present[s] || c->refused & 1u << s)
				continue;
			/* It says less than what is published. */
			if (s == REGISTRY_BUNDLES && c->meta && !c->restored)
				continue;
			*ret = s;
			return true;
		}
	}
	return false;
}

bool registry_container__complete(const struct registry *r, const struct container *c)
{
	return c->meta && !c->restored && (c->meta->detailed || c->meta->over || !r->details);
}

/* Somebody is there who may still answer for it. */
static bool container__unanswered(const struct registry *r, const struct container *c,
				  enum registry_source *ret)
{
	return !registry_container__complete(r, c) && container__source(r, c, ret);
}

void registry_container__want(struct registry *r, struct container *c)
{
	enum registry_source source;

	if (container__unanswered(r, c, &source))
		wanted__add(r, c, source);
	else
		wanted__remove(r, c);
}

static bool container__pending(const struct registry *r, const struct container *c)
{
	enum registry_source source;

	return container__unanswered(r, c, &source) ||
	       (c->meta && !c->restored && c->meta->pod_state == META_POD_AWAITED);
}

bool registry_container__awaited(struct registry *r, const struct container *c)
{
	for (int i = 0; c && i < JOINS_MAX; i++) {
		if (container__pending(r, c))
			return true;
		c = r->details ? registry_container__joined(r, c) : NULL;
	}
	return false;
}

bool registry_container__needed(struct registry *r, const struct container *c)
{
	struct container *other, *next;

	if (c->cgroups)
		return true;
	if (!r->details || !r->n_joined)
		return false;
	HASH_ITER (hh, r->containers, other, next) {
		if (other->cgroups && registry_container__reaches(r, other, c))
			return true;
	}
	return false;
}

int registry_container__want_joined(struct registry *r, const struct container *c)
{
	if (!r->details || !c->cgroups)
		return 0;
	for (int i = 0; i < JOINS_MAX && c->meta && c->meta->network_of && !c->meta->over; i++) {
		struct container *other = registry_container__get(r, c->meta->network_of);

		if (!other)
			return -ENOMEM;
		if (!other->engine)
			other->engine = c->engine ? c->engine : "docker";
		registry_container__want(r, other);
		c = other;
	}
	return 0;
}

void registry__need_details(struct registry *r)
{
	registry__lock(r);
	r->details = true;
	registry__unlock(r);
}

void registry__refresh(struct registry *r, const char *container_id)
{
	struct container *c;

	registry__lock(r);
	c = registry_container__find(r, container_id);
	if (c && c->meta && r->present[REGISTRY_DOCKER] && registry_container__needed(r, c))
		wanted__add(r, c, REGISTRY_DOCKER);
	else if (c && c->meta)
		c->stale = true;
	registry__unlock(r);
}

void registry__engine(struct registry *r, const char *engine, bool present)
{
	if (strcmp(engine, "docker") == 0)
		registry__source(r, REGISTRY_DOCKER, present);
}

void registry__source(struct registry *r, enum registry_source source, bool present)
{
	struct container *c, *next;

	registry__lock(r);
	if (!present && !r->present[source]) {
		registry__unlock(r);
		return;
	}
	r->present[source] = present;
	HASH_ITER (hh, r->containers, c, next)
		registry_container__want(r, c);
	r->version++;
	registry__unlock(r);
}

void registry__never(struct registry *r, const char *container_id)
{
	enum registry_source source;
	struct container *c;

	registry__lock(r);
	c = registry_container__find(r, container_id);
	if (c && !registry_container__complete(r, c)) {
		if (container__source(r, c, &source))
			c->refused |= 1u << source;
		registry_container__want(r, c);
		r->version++;
		if (!c->cgroups && !c->meta)
			registry_container__free(r, c);
	}
	registry__unlock(r);
}

bool registry__pass_on(struct registry *r, const char *container_id)
{
	enum registry_source source;
	struct container *c;
	bool another = false;
	unsigned refused;

	registry__lock(r);
	c = registry_container__find(r, container_id);
	if (c && container__unanswered(r, c, &source)) {
		refused = c->refused;
		c->refused |= 1u << source;
		another = container__source(r, c, &source);
		if (another)
			registry_container__want(r, c);
		else
			c->refused = refused;
	}
	registry__unlock(r);
	return another;
}

bool registry__next_wanted(struct registry *r, enum registry_source source, char *ret_id,
			   size_t size, const char **ret_engine)
{
	struct container *c;

	registry__lock(r);
	c = r->wanted[source];
	if (c && strlen(c->id) < size) {
		strcpy(ret_id, c->id);
		*ret_engine = c->engine;
		wanted__remove(r, c);
	} else {
		c = NULL;
	}
	registry__unlock(r);
	return c != NULL;
}

int registry__wanted_fd(const struct registry *r, enum registry_source source)
{
	return r->fds[source];
}
