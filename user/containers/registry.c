/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two maps under one mutex. A cgroup has what its path says, and points to its container; a
 * container has what its engine published. What a look-up returns is made when either changes, so
 * that the look-up itself is a hash and a reference.
 *
 * Containers without a cgroup are in one of two lists, oldest first: `idle` (the engine has them),
 * bounded by REGISTRY_MAX containers in all, and `gone` (the engine removed them). A container that
 * lived for a millisecond is created and destroyed for the I/O thread before the capture thread
 * reads of its cgroup: that is why gone ones are kept, up to GONE_MAX.
 *
 * A container may have the networks of another (network_of), which may have no cgroup here: its
 * streams are nothing to capture. That one is wanted for the other's sake; its networks become a
 * part of what look-ups return, and what is published stays what the engine said.
 */
#include "containers/registry.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
/* uthash calls this when there is no memory; the entry is then not in the map (hh.tbl NULL). */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>

#include "base/util.h"
#include "containers/cgroup.h"
#include "containers/pod.h"

#define GONE_MAX 512
#define JOINS_MAX 8 /* containers that have the networks of another in a row; bounds circles */

enum place { PLACE_NONE, PLACE_IDLE, PLACE_GONE };

struct cgroup {
	uint64_t id;
	struct meta *path_meta; /* what the path or registry__cgroup_named says */
	struct meta *meta;	/* path_meta with what was published; NULL: nothing is */
	struct container *container;
	bool named;
	struct cgroup *prev, *next; /* of the container's */
	UT_hash_handle hh;
};

struct container {
	char id[CONTAINER_ID_LEN + 1];
	const char *engine; /* of the path; NULL: no path yet */
	struct meta *meta;  /* published; NULL: nothing is */
	struct cgroup *cgroups;
	unsigned refused; /* bits of sources that do not know it */
	bool restored;	  /* what is published is of another life: an engine may still say more */
	bool removed;	  /* registry__gone */
	unsigned list;	  /* the last that it was published in, or after */
	bool wanted;	  /* in a list `wanted` */
	enum registry_source wanted_of;
	bool stale; /* to be wanted again when it has a cgroup */
	enum place place;
	struct container *prev, *next;		     /* of idle or gone */
	struct container *wanted_prev, *wanted_next; /* of wanted */
	UT_hash_handle hh;
};

struct registry {
	pthread_mutex_t lock;
	struct cgroup *cgroups;
	struct container *containers;
	struct container *idle;
	struct container *gone;
	struct container *wanted[REGISTRY_SOURCES];
	size_t n_gone;
	struct meta *nothing; /* for a cgroup that nobody told us of */
	_Atomic uint64_t version;
	int fds[REGISTRY_SOURCES];
	bool present[REGISTRY_SOURCES];
	unsigned list;	 /* lists that began */
	bool details;	 /* networks and ports are needed */
	size_t n_joined; /* containers with the networks of another */
};

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

static void lock(struct registry *r)
{
	pthread_mutex_lock(&r->lock);
}

static void unlock(struct registry *r)
{
	pthread_mutex_unlock(&r->lock);
}

static void wanted__remove(struct registry *r, struct container *c)
{
	eventfd_t count;

	if (!c->wanted)
		return;
	DL_DELETE2(r->wanted[c->wanted_of], c, wanted_prev, wanted_next);
	c->wanted = false;
	if (!r->wanted[c->wanted_of])
		eventfd_read(r->fds[c->wanted_of], &count);
}

static void wanted__add(struct registry *r, struct container *c, enum registry_source of)
{
	if (c->wanted && c->wanted_of == of)
		return;
	wanted__remove(r, c);
	DL_APPEND2(r->wanted[of], c, wanted_prev, wanted_next);
	c->wanted = true;
	c->wanted_of = of;
	eventfd_write(r->fds[of], 1);
}

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

static void container__free(struct registry *r, struct container *c)
{
	container__unlist(r, c);
	wanted__remove(r, c);
	HASH_DEL(r->containers, c);
	r->n_joined -= c->meta && c->meta->network_of;
	meta__unref(c->meta);
	free(c);
}

/* To the list where it belongs, as the most recent one; then the bounds, at the cost of others.
 * Frees c when nothing speaks for it. */
static void container__place(struct registry *r, struct container *c)
{
	struct container *victim;

	container__unlist(r, c);
	if (!c->cgroups) {
		/* Nobody's, and nothing is known of it. */
		if (!c->meta) {
			container__free(r, c);
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
		container__free(r, r->gone);
	victim = r->gone ? r->gone : r->idle;
	if (HASH_COUNT(r->containers) > REGISTRY_MAX && victim && victim != c)
		container__free(r, victim);
}

static struct container *container__find(struct registry *r, const char *id)
{
	struct container *c;

	HASH_FIND_STR(r->containers, id, c);
	return c;
}

/* In no list yet: container__place when it has its cgroup or its metadata. */
static struct container *container__get(struct registry *r, const char *id)
{
	struct container *c = container__find(r, id);

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

static enum registry_source asked__first(const char *engine)
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

/* All that labels need is published, but maybe its pod. */
static bool container__complete(const struct registry *r, const struct container *c)
{
	return c->meta && !c->restored && (c->meta->detailed || c->meta->over || !r->details);
}

/* Somebody is there who may still answer for it. */
static bool container__unanswered(const struct registry *r, const struct container *c,
				  enum registry_source *ret)
{
	return !container__complete(r, c) && container__source(r, c, ret);
}

static void container__want(struct registry *r, struct container *c)
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

/* The container whose networks it has; NULL: its own, or nothing is known of that one. */
static struct container *container__joined(struct registry *r, const struct container *c)
{
	return c->meta && c->meta->network_of ? container__find(r, c->meta->network_of) : NULL;
}

/* An answer is to come for it, or for one whose networks it has. */
static bool container__awaited(struct registry *r, const struct container *c)
{
	for (int i = 0; c && i < JOINS_MAX; i++) {
		if (container__pending(r, c))
			return true;
		c = r->details ? container__joined(r, c) : NULL;
	}
	return false;
}

/* `c` has the networks of `other`, maybe through others. */
static bool container__reaches(struct registry *r, const struct container *c,
			       const struct container *other)
{
	for (int i = 0; i < JOINS_MAX; i++) {
		c = container__joined(r, c);
		if (!c || c == other)
			return c;
	}
	return false;
}

/* Somebody's lines need its networks. */
static bool container__needed(struct registry *r, const struct container *c)
{
	struct container *other, *next;

	if (c->cgroups)
		return true;
	if (!r->details || !r->n_joined)
		return false;
	HASH_ITER (hh, r->containers, other, next) {
		if (other->cgroups && container__reaches(r, other, c))
			return true;
	}
	return false;
}

/* Asks for what is missing of the containers whose networks it has. 0 or -ENOMEM. */
static int container__want_joined(struct registry *r, const struct container *c)
{
	if (!r->details || !c->cgroups)
		return 0;
	for (int i = 0; i < JOINS_MAX && c->meta && c->meta->network_of && !c->meta->over; i++) {
		struct container *other = container__get(r, c->meta->network_of);

		if (!other)
			return -ENOMEM;
		if (!other->engine)
			other->engine = c->engine ? c->engine : "docker";
		container__want(r, other);
		c = other;
	}
	return 0;
}

static int copy_string(char **ret, const char *s)
{
	if (!s)
		return 0;
	*ret = strdup(s);
	return *ret ? 0 : -ENOMEM;
}

/* That of the API object, which of a static pod is another than what its cgroup has. */
static const char *pod_uid(const struct meta *path, const struct meta *published)
{
	if (published->pod && published->pod->uid)
		return published->pod->uid;
	return path->pod_uid ? path->pod_uid : published->pod_uid;
}

/* What the engine published with what the cgroup's path says. */
static int merge(struct registry *r, const struct meta *path, const struct meta *published,
		 struct meta **ret)
{
	_meta_ struct meta *m = meta__new();
	const char *engine = path->engine;
	int err;

	if (!m)
		return -ENOMEM;
	if (published->engine && (!engine || strcmp(engine, "kubernetes") == 0))
		engine = published->engine;
	err = meta__copy(m, published);
	free(m->engine);
	m->engine = NULL;
	if (!err)
		err = copy_string(&m->engine, engine);
	if (!err)
		err = copy_string(&m->cgroup_path, path->cgroup_path);
	if (!err)
		err = copy_string(&m->pod_uid, pod_uid(path, published));
	if (!err)
		err = copy_string(&m->outer_id, path->outer_id);
	if (err)
		return err;
	m->version = ++r->version;
	*ret = TAKE_PTR(m);
	return 0;
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
		c = container__joined(r, c);
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
	container__place(r, c);
}

static int cgroup__attach(struct registry *r, struct cgroup *g, const char *id, const char *engine)
{
	struct container *c = container__get(r, id);
	int err;

	bool again = c && c->meta && !c->cgroups;

	if (!c)
		return -ENOMEM;
	DL_APPEND(c->cgroups, g);
	g->container = c;
	c->engine = engine;
	container__place(r, c);
	container__want(r, c);
	/* It starts again: what its bundle said before holds until it is read. */
	if (again && r->present[REGISTRY_BUNDLES] && asked__first(engine) == REGISTRY_BUNDLES)
		wanted__add(r, c, REGISTRY_BUNDLES);
	if (c->stale && r->present[REGISTRY_DOCKER])
		wanted__add(r, c, REGISTRY_DOCKER);
	c->stale = false;
	err = container__want_joined(r, c);
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

static int path__meta(const char *path, size_t len, const struct cgroup_identity *identity,
		      struct meta **ret)
{
	struct cgroup_description description;
	_meta_ struct meta *m = meta__new();
	int err = m ? 0 : -ENOMEM;

	if (err)
		return err;
	m->cgroup_path = strndup(path, len);
	if (!m->cgroup_path)
		return -ENOMEM;
	if (identity) {
		err = copy_string(&m->engine, identity->engine);
		if (!err)
			err = copy_string(&m->id, identity->container_id);
		if (!err && identity->pod_uid[0])
			err = copy_string(&m->pod_uid, identity->pod_uid);
		if (!err && identity->outer_id[0])
			err = copy_string(&m->outer_id, identity->outer_id);
	} else if (cgroup__describe(path, len, &description)) {
		err = copy_string(&m->engine, description.engine);
		if (!err)
			err = copy_string(&m->name, description.name);
		if (!err && strcmp(description.engine, "containerd") == 0)
			err = copy_string(&m->id, description.name + description.id_at);
	}
	if (!err)
		*ret = TAKE_PTR(m);
	return err;
}

int registry__cgroup_new(struct registry *r, uint64_t cgroup_id, const char *path, size_t len)
{
	struct cgroup_identity identity;
	bool known = cgroup__identify(path, len, &identity);
	_meta_ struct meta *m = NULL;
	struct cgroup *g;
	int err;

	err = path__meta(path, len, known ? &identity : NULL, &m);
	if (err)
		return err;
	lock(r);
	g = cgroup__find(r, cgroup_id);
	if (g && g->named) {
		/* The name was given first; it stays. */
		free(TAKE_PTR(m->name));
		err = copy_string(&m->name, g->path_meta->name);
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
	unlock(r);
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
	lock(r);
	g = cgroup__find(r, cgroup_id);
	err = g ? copy_string(&m->cgroup_path, g->path_meta->cgroup_path) : 0;
	if (!err && g)
		cgroup__detach(r, g);
	if (!err)
		err = cgroup__set(r, cgroup_id, &m, &g);
	if (!err)
		g->named = true;
	unlock(r);
	return err;
}

void registry__cgroup_gone(struct registry *r, uint64_t cgroup_id)
{
	struct cgroup *g;

	lock(r);
	g = cgroup__find(r, cgroup_id);
	if (g)
		cgroup__free(r, g);
	unlock(r);
}

enum registry_answer registry__lookup(struct registry *r, uint64_t cgroup_id,
				      struct meta **ret_meta)
{
	enum registry_answer answer = REGISTRY_NEVER;
	struct meta *m;
	struct cgroup *g;

	lock(r);
	g = cgroup__find(r, cgroup_id);
	m = r->nothing;
	if (g) {
		m = g->meta ? g->meta : g->path_meta;
		if (!g->named && g->container && container__awaited(r, g->container))
			answer = REGISTRY_PENDING;
		else if (g->named || g->meta)
			answer = REGISTRY_KNOWN;
	}
	*ret_meta = meta__ref(m);
	unlock(r);
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
		if (other != c && other->cgroups && container__reaches(r, other, c)) {
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
	if (container__needed(r, c))
		container__want(r, c);
	else
		wanted__remove(r, c);
	err = container__want_joined(r, c);
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
	if (container__complete(r, c))
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
	lock(r);
	c = container__get(r, m->id);
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
		container__place(r, c);
	}
	unlock(r);
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
		err = copy_string(&copy->pod_uid, m->pod_uid);
	if (!err && m->cgroup_path)
		err = registry__cgroup_new(r, cgroup_id, m->cgroup_path, strlen(m->cgroup_path));
	if (err)
		return err;
	lock(r);
	g = cgroup__find(r, cgroup_id);
	/* A container that has no name was nothing that an engine had told of. */
	if (g && g->container && m->name && m->id && !strcmp(g->container->id, m->id))
		err = container__restore(r, g->container, copy);
	unlock(r);
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
	lock(r);
	c = container__find(r, container_id);
	if (c && c->meta)
		err = merge(r, c->meta, c->meta, &m);
	if (!err) {
		free(m->name);
		m->name = TAKE_PTR(copy);
		err = container__publish(r, c, m);
	}
	unlock(r);
	return err;
}

void registry__gone(struct registry *r, const char *container_id)
{
	struct container *c;

	lock(r);
	c = container__find(r, container_id);
	if (c) {
		c->removed = true;
		r->version += !c->meta; /* it may have been waited for */
		container__place(r, c);
	}
	unlock(r);
}

void registry__list_begin(struct registry *r)
{
	lock(r);
	r->list++;
	unlock(r);
}

void registry__list_end(struct registry *r)
{
	struct container *c, *next;

	lock(r);
	HASH_ITER (hh, r->containers, c, next)
		c->removed |= c->meta && c->list != r->list;
	/* Moving one to the gone may free the oldest of these, which is none of the idle. */
	DL_FOREACH_SAFE (r->idle, c, next) {
		if (c->removed)
			container__place(r, c);
	}
	unlock(r);
}

void registry__need_details(struct registry *r)
{
	lock(r);
	r->details = true;
	unlock(r);
}

void registry__refresh(struct registry *r, const char *container_id)
{
	struct container *c;

	lock(r);
	c = container__find(r, container_id);
	if (c && c->meta && r->present[REGISTRY_DOCKER] && container__needed(r, c))
		wanted__add(r, c, REGISTRY_DOCKER);
	else if (c && c->meta)
		c->stale = true;
	unlock(r);
}

bool registry__known(struct registry *r, const char *container_id)
{
	struct container *c;
	bool known;

	lock(r);
	c = container__find(r, container_id);
	known = c && c->meta && !c->restored;
	unlock(r);
	return known;
}

void registry__engine(struct registry *r, const char *engine, bool present)
{
	if (strcmp(engine, "docker") == 0)
		registry__source(r, REGISTRY_DOCKER, present);
}

void registry__source(struct registry *r, enum registry_source source, bool present)
{
	struct container *c, *next;

	lock(r);
	if (!present && !r->present[source]) {
		unlock(r);
		return;
	}
	r->present[source] = present;
	HASH_ITER (hh, r->containers, c, next)
		container__want(r, c);
	r->version++;
	unlock(r);
}

void registry__never(struct registry *r, const char *container_id)
{
	enum registry_source source;
	struct container *c;

	lock(r);
	c = container__find(r, container_id);
	if (c && !container__complete(r, c)) {
		if (container__source(r, c, &source))
			c->refused |= 1u << source;
		container__want(r, c);
		r->version++;
		if (!c->cgroups && !c->meta)
			container__free(r, c);
	}
	unlock(r);
}

int registry__pod_uid(struct registry *r, const char *container_id, char *ret, size_t size)
{
	const char *uid = NULL;
	struct container *c;

	lock(r);
	c = container__find(r, container_id);
	if (c && c->cgroups)
		uid = c->cgroups->path_meta->pod_uid;
	if (c && c->cgroups)
		snprintf(ret, size, "%s", uid ? uid : "");
	unlock(r);
	return c && c->cgroups ? 0 : -ENOENT;
}

bool registry__pass_on(struct registry *r, const char *container_id)
{
	enum registry_source source;
	struct container *c;
	bool another = false;
	unsigned refused;

	lock(r);
	c = container__find(r, container_id);
	if (c && container__unanswered(r, c, &source)) {
		refused = c->refused;
		c->refused |= 1u << source;
		another = container__source(r, c, &source);
		if (another)
			container__want(r, c);
		else
			c->refused = refused;
	}
	unlock(r);
	return another;
}

int registry__revise(struct registry *r, struct meta *(*revise)(void *ctx, const struct meta *m),
		     void *ctx)
{
	struct container *c, *next;
	int err = 0;

	lock(r);
	HASH_ITER (hh, r->containers, c, next) {
		_meta_ struct meta *m = c->meta ? revise(ctx, c->meta) : NULL;
		int e = m ? container__publish(r, c, m) : 0;

		err = err ? err : e;
	}
	unlock(r);
	return err;
}

bool registry__next_wanted(struct registry *r, enum registry_source source, char *ret_id,
			   size_t size, const char **ret_engine)
{
	struct container *c;

	lock(r);
	c = r->wanted[source];
	if (c && strlen(c->id) < size) {
		strcpy(ret_id, c->id);
		*ret_engine = c->engine;
		wanted__remove(r, c);
	} else {
		c = NULL;
	}
	unlock(r);
	return c != NULL;
}

int registry__wanted_fd(const struct registry *r, enum registry_source source)
{
	return r->fds[source];
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
		container__free(r, c);
	meta__unref(r->nothing);
	for (size_t i = 0; i < REGISTRY_SOURCES; i++)
		if (r->fds[i] >= 0)
			close(r->fds[i]);
	pthread_mutex_destroy(&r->lock);
	free(r);
}
