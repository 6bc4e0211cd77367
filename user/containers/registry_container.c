/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The containers that the registry knows, by id. Those without a cgroup are in one of two lists,
 * oldest first: `idle` (the engine has them), bounded by REGISTRY_MAX containers in all, and `gone`
 * (the engine removed them). A container that lived for a millisecond is created and destroyed for
 * the I/O thread before the capture thread reads of its cgroup: that is why gone ones are kept, up
 * to GONE_MAX.
 */
#include "containers/registry_internal.h"

#include <stdlib.h>
#include <string.h>

#define GONE_MAX 512

/* Out of the list it is in. */
static void container__unlist(struct registry *r, struct container *c)
{
	if (c->place == PLACE_IDLE) {
		DL_DELETE(r->idle, c);
	} else if (c->place == PLACE_GONE) {
		DL_DELETE(r->gone, c);
		r->n_gone--;
	}
	c->place = PLACE_NONE;
}

void registry_container__free(struct registry *r, struct container *c)
{
	container__unlist(r, c);
	wanted__remove(r, c);
	of_pod__remove(r, c);
	HASH_DEL(r->containers, c);
	r->n_joined -= c->meta && c->meta->network_of;
	meta__unref(c->meta);
	free(c);
}

void registry_container__place(struct registry *r, struct container *c)
{
	struct container *victim;

	container__unlist(r, c);
	if (!c->cgroups) {
		/* Nobody's, and nothing is known of it. */
		if (!c->meta) {
			registry_container__free(r, c);
			return;
		}
		if (c->removed) {
			DL_APPEND(r->gone, c);
			c->place = PLACE_GONE;
			r->n_gone++;
		} else {
			DL_APPEND(r->idle, c);
			c->place = PLACE_IDLE;
		}
	}
	if (r->n_gone > GONE_MAX)
		registry_container__free(r, r->gone);
	victim = r->gone ? r->gone : r->idle;
	if (HASH_COUNT(r->containers) > REGISTRY_MAX && victim && victim != c)
		registry_container__free(r, victim);
}

struct container *registry_container__find(struct registry *r, const char *id)
{
	struct container *c;

	HASH_FIND_STR(r->containers, id, c);
	return c;
}

struct container *registry_container__get(struct registry *r, const char *id)
{
	struct container *c = registry_container__find(r, id);

	if (c)
		return c;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	strncpy(c->id, id, sizeof(c->id) - 1);
	HASH_ADD_STR(r->containers, id, c);
	if (!c->hh.tbl) {
		free(c);
		return NULL;
	}
	return c;
}

struct container *registry_container__joined(struct registry *r, const struct container *c)
{
	return c->meta && c->meta->network_of ? registry_container__find(r, c->meta->network_of)
					      : NULL;
}

bool registry_container__reaches(struct registry *r, const struct container *c,
				 const struct container *other)
{
	for (int i = 0; i < JOINS_MAX; i++) {
		c = registry_container__joined(r, c);
		if (!c || c == other)
			return c;
	}
	return false;
}
