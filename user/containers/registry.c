/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two maps under one mutex. A cgroup has what its path says, and points to its container; a
 * container has what its engine published. What a look-up returns is made when either changes, so
 * that the look-up itself is a hash and a reference.
 *
 * The networks of another container that a container has (network_of) become a part of what
 * look-ups return, and what is published stays what the engine said.
 */
#include "containers/registry_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/util.h"
#include "containers/path_meta.h"

int registry__new(struct registry **ret)
{
	struct registry *r = calloc(1, sizeof(*r));
	int err = -ENOMEM;

	if (!r)
		return -ENOMEM;
	pthread_mutex_init(&r->lock, NULL);
	for (size_t i = 0; i < REGISTRY_SOURCES; i++)
		r->fds[i] = -1;
	r->nothing = meta__new();
	if (!r->nothing)
		goto err_out;
	r->nothing->version = ++r->version;
	for (size_t i = 0; i < REGISTRY_SOURCES; i++) {
		r->fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (r->fds[i] < 0) {
			err = -errno;
			goto err_out;
		}
	}
	*ret = r;
	return 0;

err_out:
	registry__free(r);
	return err;
}

/* What the engine published with what the cgroup's path says. */
static int merge(struct registry *r, const struct meta *path, const struct meta *published,
		 struct meta **ret)
{
	int err = path_meta__merge(ret, path, published);

	if (!err)
		(*ret)->version = ++r->version;
	return err;
}

/* After its container's metadata or its own path changed. Keeps the old on -ENOMEM. */
static int cgroup__update(struct registry *r, struct cgroup *g)
{
	const struct container *owner = NULL, *c = g->container;
	_meta_ struct meta *m = NULL;
	int err;

	if (!c || !c->meta)
		return 0;
	for (int i = 0; c && i < JOINS_MAX; i++) {
		c = registry_container__joined(r, c);
		if (c && c->meta && !c->meta->network_of)
			owner = c;
	}
	err = merge(r, g->path_meta, g->container->meta, &m);
	if (!err && owner)
		err = meta__copy_networks(m, owner->meta);
	if (err)
		return err;
	meta__unref(g->meta);
	g->meta = TAKE_PTR(m);
	return 0;
}

static void cgroup__detach(struct registry *r, struct cgroup *g)
{
	struct container *c = g->container;

	if (!c)
		return;
	DL_DELETE(c->cgroups, g);
	g->container = NULL;
	meta__unref(TAKE_PTR(g->meta));
	registry_container__place(r, c);
}

static int cgroup__attach(struct registry *r, struct cgroup *g, const char *id, const char *engine)
{
	struct container *c = registry_container__get(r, id);
	int err;

	bool again = c && c->meta && !c->cgroups;

	if (!c)
		return -ENOMEM;
	DL_APPEND(c->cgroups, g);
	g->container = c;
	c->engine = engine;
	registry_container__place(r, c);
	registry_container__want(r, c);
	/* It starts again: what its bundle said before holds until it is read. */
	if (again && r->present[REGISTRY_BUNDLES] && wanted__first(engine) == REGISTRY_BUNDLES)
		wanted__add(r, c, REGISTRY_BUNDLES);
	if (c->stale && r->present[REGISTRY_DOCKER])
		wanted__add(r, c, REGISTRY_DOCKER);
	c->stale = false;
	err = registry_container__want_joined(r, c);
	return err ? err : cgroup__update(r, g);
}

static struct cgroup *cgroup__find(struct registry *r, uint64_t id)
{
	struct cgroup *g;

	HASH_FIND(hh, r->cgroups, &id, sizeof(id), g);
	return g;
}

static void cgroup__free(struct registry *r, struct cgroup *g)
{
	cgroup__detach(r, g);
	HASH_DEL(r->cgroups, g);
	meta__unref(g->path_meta);
	free(g);
}

/* *path_meta goes to the cgroup on success. */
static int cgroup__set(struct registry *r, uint64_t id, struct meta **path_meta,
		       struct cgroup **ret)
{
	struct cgroup *g = cgroup__find(r, id);

	if (!g) {
		g = calloc(1, sizeof(*g));
		if (!g)
			return -ENOMEM;
		g->id = id;
		HASH_ADD(hh, r->cgroups, id, sizeof(g->id), g);
		if (!g->hh.tbl) {
			free(g);
			return -ENOMEM;
		}
	}
	meta__unref(g->path_meta);
	g->path_meta = TAKE_PTR(*path_meta);
	g->path_meta->version = ++r->version;
	*ret = g;
	return 0;
}

int registry__cgroup_new(struct registry *r, uint64_t cgroup_id, const char *path, size_t len)
{
	struct cgroup_identity identity;
	bool known = cgroup__identify(path, len, &identity);
	_meta_ struct meta *m = NULL;
	struct cgroup *g;
	int err;

	err = path_meta__new(&m, path, len, known ? &identity : NULL);
	if (err)
		return err;
	registry__lock(r);
	g = cgroup__find(r, cgroup_id);
	if (g && g->named) {
		/* The name was given first; it stays. */
		free(TAKE_PTR(m->name));
		err = meta__copy_string(&m->name, g->path_meta->name);
		if (!err)
			err = cgroup__set(r, cgroup_id, &m, &g);
	} else if (!g || !g->path_meta->cgroup_path ||
		   strcmp(g->path_meta->cgroup_path, m->cgroup_path) != 0) {
		if (g)
			cgroup__detach(r, g);
		err = cgroup__set(r, cgroup_id, &m, &g);
		if (!err && known)
			err = cgroup__attach(r, g, identity.container_id, identity.engine);
	}
	registry__unlock(r);
	return err;
}

int registry__cgroup_named(struct registry *r, uint64_t cgroup_id, const char *name)
{
	_meta_ struct meta *m = meta__new();
	struct cgroup *g;
	int err;

	if (!m)
		return -ENOMEM;
	m->name = strdup(name);
	if (!m->name)
		return -ENOMEM;
	registry__lock(r);
	g = cgroup__find(r, cgroup_id);
	err = g ? meta__copy_string(&m->cgroup_path, g->path_meta->cgroup_path) : 0;
	if (!err && g)
		cgroup__detach(r, g);
	if (!err)
		err = cgroup__set(r, cgroup_id, &m, &g);
	if (!err)
		g->named = true;
	registry__unlock(r);
	return err;
}

void registry__cgroup_gone(struct registry *r, uint64_t cgroup_id)
{
	struct cgroup *g;

	registry__lock(r);
	g = cgroup__find(r, cgroup_id);
	if (g)
		cgroup__free(r, g);
	registry__unlock(r);
}

enum registry_answer registry__lookup(struct registry *r, uint64_t cgroup_id,
				      struct meta **ret_meta)
{
	enum registry_answer answer = REGISTRY_NEVER;
	struct meta *m;
	struct cgroup *g;

	registry__lock(r);
	g = cgroup__find(r, cgroup_id);
	m = r->nothing;
	if (g) {
		m = g->meta ? g->meta : g->path_meta;
		if (!g->named && g->container && registry_container__awaited(r, g->container))
			answer = REGISTRY_PENDING;
		else if (g->named || g->meta)
			answer = REGISTRY_KNOWN;
	}
	*ret_meta = meta__ref(m);
	registry__unlock(r);
	return answer;
}

uint64_t registry__version(const struct registry *r)
{
	return r->version;
}

static int container__update(struct registry *r, struct container *c)
{
	struct cgroup *g;
	int err = 0;

	DL_FOREACH (c->cgroups, g) {
		int e = cgroup__update(r, g);

		err = err ? err : e;
	}
	return err;
}

/* Those that have its networks. */
static int container__update_joined(struct registry *r, struct container *c)
{
	struct container *other, *next;
	int err = 0;

	if (!r->details || !r->n_joined)
		return 0;
	HASH_ITER (hh, r->containers, other, next) {
		if (other != c && other->cgroups && registry_container__reaches(r, other, c)) {
			int e = container__update(r, other);

			err = err ? err : e;
		}
	}
	return err;
}

/* 0 or -ENOMEM. Takes a reference. */
static int container__publish(struct registry *r, struct container *c, struct meta *m)
{
	int err, e;

	m->version = ++r->version;
	r->n_joined += m->network_of != NULL;
	r->n_joined -= c->meta && c->meta->network_of;
	meta__unref(c->meta);
	c->meta = meta__ref(m);
	c->refused = 0;
	if (registry_container__needed(r, c))
		registry_container__want(r, c);
	else
		wanted__remove(r, c);
	err = of_pod__set(r, c);
	e = registry_container__want_joined(r, c);
	err = err ? err : e;
	e = container__update(r, c);
	err = err ? err : e;
	e = container__update_joined(r, c);
	return err ? err : e;
}

/* An engine says what it is. */
static void settle(struct registry *r, struct container *c)
{
	if (!c->restored)
		return;
	c->restored = false;
	if (registry_container__complete(r, c))
		wanted__remove(r, c);
	r->version++;
}

int registry__publish(struct registry *r, struct meta *m)
{
	struct container *c;
	int err = 0;

	if (!m->id || strlen(m->id) > CONTAINER_ID_LEN) {
		meta__unref(m);
		return -EINVAL;
	}
	registry__lock(r);
	c = registry_container__get(r, m->id);
	if (!c) {
		err = -ENOMEM;
	} else {
		settle(r, c);
		if (c->meta && c->meta->pod &&
		    (m->pod_state == META_POD_AWAITED || m->pod_state == META_POD_NOT_SAID))
			err = meta__set_pod(m, c->meta->pod, m->pod_state);
		/* A list after a reconnect says mostly what is known: lines keep their label sets.
		 * What has ended keeps its networks for its last lines. */
		if (!err &&
		    (!c->meta || !(meta__same(c->meta, m) || (m->over && c->meta->detailed))))
			err = container__publish(r, c, m);
		c->removed = false;
		c->list = r->list;
		registry_container__place(r, c);
	}
	registry__unlock(r);
	meta__unref(m);
	return err;
}

/* Takes a reference. 0 or -ENOMEM. */
static int container__restore(struct registry *r, struct container *c, struct meta *m)
{
	if (c->meta || c->refused)
		return 0;
	c->restored = true;
	c->list = r->list;
	return container__publish(r, c, m);
}

int registry__restore(struct registry *r, uint64_t cgroup_id, const struct meta *m)
{
	_meta_ struct meta *copy = meta__new();
	struct cgroup *g;
	int err = copy ? meta__copy(copy, m) : -ENOMEM;

	if (!err)
		err = meta__copy_string(&copy->pod_uid, m->pod_uid);
	if (!err && m->cgroup_path)
		err = registry__cgroup_new(r, cgroup_id, m->cgroup_path, strlen(m->cgroup_path));
	if (err)
		return err;
	registry__lock(r);
	g = cgroup__find(r, cgroup_id);
	/* A container that has no name was nothing that an engine had told of. */
	if (g && g->container && m->name && m->id && !strcmp(g->container->id, m->id))
		err = container__restore(r, g->container, copy);
	registry__unlock(r);
	return err;
}

int registry__rename(struct registry *r, const char *container_id, const char *name)
{
	_meta_ struct meta *m = NULL;
	_free_ char *copy = strdup(name);
	struct container *c;
	int err = -ENOENT;

	if (!copy)
		return -ENOMEM;
	registry__lock(r);
	c = registry_container__find(r, container_id);
	if (c && c->meta)
		err = merge(r, c->meta, c->meta, &m);
	if (!err) {
		free(m->name);
		m->name = TAKE_PTR(copy);
		err = container__publish(r, c, m);
	}
	registry__unlock(r);
	return err;
}

void registry__gone(struct registry *r, const char *container_id)
{
	struct container *c;

	registry__lock(r);
	c = registry_container__find(r, container_id);
	if (c) {
		c->removed = true;
		r->version += !c->meta; /* it may have been waited for */
		registry_container__place(r, c);
	}
	registry__unlock(r);
}

void registry__list_begin(struct registry *r)
{
	registry__lock(r);
	r->list++;
	registry__unlock(r);
}

void registry__list_end(struct registry *r)
{
	struct container *c, *next;

	registry__lock(r);
	HASH_ITER (hh, r->containers, c, next)
		c->removed |= c->meta && c->list != r->list;
	/* Moving one to the gone may free the oldest of these, which is none of the idle. */
	DL_FOREACH_SAFE (r->idle, c, next) {
		if (c->removed)
			registry_container__place(r, c);
	}
	registry__unlock(r);
}

bool registry__known(struct registry *r, const char *container_id)
{
	struct container *c;
	bool known;

	registry__lock(r);
	c = registry_container__find(r, container_id);
	known = c && c->meta && !c->restored;
	registry__unlock(r);
	return known;
}

int registry__pod_uid(struct registry *r, const char *container_id, char *ret, size_t size)
{
	const char *uid = NULL;
	struct container *c;

	registry__lock(r);
	c = registry_container__find(r, container_id);
	if (c && c->cgroups)
		uid = c->cgroups->path_meta->pod_uid;
	if (c && c->cgroups)
		snprintf(ret, size, "%s", uid ? uid : "");
	registry__unlock(r);
	return c && c->cgroups ? 0 : -ENOENT;
}

/* 0 or -ENOMEM. */
static int container__revise(struct registry *r, struct container *c,
			     struct meta *(*revise)(void *ctx, const struct meta *m), void *ctx)
{
	_meta_ struct meta *m = c->meta ? revise(ctx, c->meta) : NULL;

	return m ? container__publish(r, c, m) : 0;
}

int registry__revise(struct registry *r, struct meta *(*revise)(void *ctx, const struct meta *m),
		     void *ctx)
{
	struct container *c, *next;
	int err = 0, e;

	registry__lock(r);
	HASH_ITER (hh, r->containers, c, next) {
		e = container__revise(r, c, revise, ctx);
		err = err ? err : e;
	}
	registry__unlock(r);
	return err;
}

int registry__revise_pod(struct registry *r, const struct pod *pod,
			 struct meta *(*revise)(void *ctx, const struct meta *m), void *ctx)
{
	size_t at = SIZE_MAX;
	struct container *c;
	int err = 0, e;

	registry__lock(r);
	while ((c = of_pod__next(r, pod, &at))) {
		e = container__revise(r, c, revise, ctx);
		err = err ? err : e;
	}
	registry__unlock(r);
	return err;
}

void registry__free(struct registry *r)
{
	struct cgroup *g, *next_cgroup;
	struct container *c, *next;

	if (!r)
		return;
	HASH_ITER (hh, r->cgroups, g, next_cgroup)
		cgroup__free(r, g);
	HASH_ITER (hh, r->containers, c, next)
		registry_container__free(r, c);
	meta__unref(r->nothing);
	free(r->of_pods);
	for (size_t i = 0; i < REGISTRY_SOURCES; i++)
		if (r->fds[i] >= 0)
			close(r->fds[i]);
	pthread_mutex_destroy(&r->lock);
	free(r);
}
