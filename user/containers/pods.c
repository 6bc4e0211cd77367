/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pods by uid in the order in which they were put, and by config hash for those that the kubelet
 * made of a file: cgroups and bundles of these have the hash for a uid. What is said of containers
 * is kept by the registry alone, which finds those of a pod that changes.
 *
 * Anybody who may name a node can make a pod that claims to mirror a file: a hash joins what has the
 * same names, too.
 *
 * Pods that are gone are kept for a while, GONE_MAX of them: one that lived for less than a second
 * may be gone before its container's bundle is read.
 */
#include "containers/pods.h"

#include <errno.h>
#include <string.h>
/* uthash calls this when there is no memory; the entry is then not in the map (hh.tbl NULL). */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>

#include "base/log.h"
#include "base/util.h"
#include "containers/cgroup.h"

#define GONE_MAX 64
/* Containers that only a pod can name; of more, the oldest are given up. */
#define UNNAMED_MAX 64

struct entry {
	struct pod *pod;
	char *uid;
	char *hash; /* NULL: none, or another has it since */
	bool gone;
	unsigned list; /* the last that it was put in, or after */
	struct entry *prev, *next;
	UT_hash_handle hh, hh_hash;
};

struct pods {
	struct registry *registry;
	struct entry *by_uid, *by_hash;
	struct entry *oldest;
	size_t n_gone;
	unsigned list; /* lists that began */
	bool present;
	bool said_full;
	char unnamed[UNNAMED_MAX][CONTAINER_ID_LEN + 1];
	size_t n_unnamed;
	void (*unknown)(void *ctx, const char *uid);
	void *ctx;
};

int pods__new(struct pods **ret, struct registry *registry)
{
	struct pods *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->registry = registry;
	*ret = p;
	return 0;
}

static struct entry *find(struct pods *p, const char *uid)
{
	struct entry *e;

	HASH_FIND_STR(p->by_uid, uid, e);
	return e;
}

static struct entry *find_hash(struct pods *p, const char *hash)
{
	struct entry *e;

	HASH_FIND(hh_hash, p->by_hash, hash, strlen(hash), e);
	return e;
}

/* By what a cgroup or a bundle has for a uid. */
static struct entry *find_any(struct pods *p, const char *uid)
{
	struct entry *e = find_hash(p, uid);

	return e ? e : find(p, uid);
}

static void entry__unhash(struct pods *p, struct entry *e)
{
	if (e->hash)
		HASH_DELETE(hh_hash, p->by_hash, e);
	free(TAKE_PTR(e->hash));
}

static void entry__free(struct pods *p, struct entry *e)
{
	entry__unhash(p, e);
	HASH_DELETE(hh, p->by_uid, e);
	DL_DELETE(p->oldest, e);
	p->n_gone -= e->gone;
	pod__unref(e->pod);
	free(e->uid);
	free(e);
}

void pods__free(struct pods *p)
{
	struct entry *e, *next;

	if (!p)
		return;
	DL_FOREACH_SAFE (p->oldest, e, next)
		entry__free(p, e);
	free(p);
}

static bool has_finished(const struct pod *pod)
{
	return pod->phase && (!strcmp(pod->phase, "Succeeded") || !strcmp(pod->phase, "Failed"));
}

/* 0 or -ENOSPC. */
static int make_room(struct pods *p)
{
	struct entry *e;

	if (pods__count(p) < PODS_MAX)
		return 0;
	DL_FOREACH (p->oldest, e) {
		if (!e->gone && has_finished(e->pod)) {
			entry__free(p, e);
			return 0;
		}
	}
	if (!p->said_full)
		log_warn("there are more than %d pods: containers of the others are named by their "
			 "annotations alone",
			 PODS_MAX);
	p->said_full = true;
	return -ENOSPC;
}

/* A mirror pod that is made anew has another uid: the newest has the hash. */
static int entry__hash(struct pods *p, struct entry *e)
{
	const char *hash = e->pod->config_hash;
	struct entry *old = hash ? find_hash(p, hash) : NULL;

	if (e->hash ? old == e : !hash)
		return 0;
	entry__unhash(p, e);
	if (!hash)
		return 0;
	if (old)
		entry__unhash(p, old);
	e->hash = strdup(hash);
	if (!e->hash)
		return -ENOMEM;
	HASH_ADD_KEYPTR(hh_hash, p->by_hash, e->hash, strlen(e->hash), e);
	if (e->hh_hash.tbl)
		return 0;
	free(TAKE_PTR(e->hash));
	return -ENOMEM;
}

/* Takes the reference over on success. */
static int entry__new(struct pods *p, struct pod *pod)
{
	struct entry *e = calloc(1, sizeof(*e));
	int err;

	if (!e)
		return -ENOMEM;
	e->uid = strdup(pod->uid);
	if (e->uid)
		HASH_ADD_KEYPTR(hh, p->by_uid, e->uid, strlen(e->uid), e);
	if (!e->hh.tbl) {
		free(e->uid);
		free(e);
		return -ENOMEM;
	}
	e->pod = pod;
	DL_APPEND(p->oldest, e);
	e->list = p->list;
	err = entry__hash(p, e);
	if (err) {
		pod__ref(pod);
		entry__free(p, e);
	}
	return err;
}

static bool is_same(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

static bool differ(const char *a, const char *b)
{
	return a && b && strcmp(a, b) != 0;
}

/* The bundle names another pod. */
static bool contradicts(const struct meta *m, const struct pod *pod)
{
	return differ(meta__label(m, META_POD_NAMESPACE_LABEL), pod->namespace) ||
	       differ(meta__label(m, META_POD_NAME_LABEL), pod->name);
}

/* The metadata is that of one of the pod's containers. */
static bool is_of(const struct meta *m, const struct pod *pod)
{
	if (contradicts(m, pod))
		return false;
	return is_same(m->pod_uid, pod->uid) || is_same(m->pod_uid, pod->config_hash) ||
	       (m->pod &&
		(is_same(m->pod->uid, pod->uid) || is_same(m->pod->config_hash, pod->config_hash)));
}

/* NULL: no memory. */
static struct meta *copy_of(const struct meta *m)
{
	_meta_ struct meta *copy = meta__new();

	if (!copy || meta__copy(copy, m) != 0)
		return NULL;
	copy->pod_uid = m->pod_uid ? strdup(m->pod_uid) : NULL;
	return m->pod_uid && !copy->pod_uid ? NULL : TAKE_PTR(copy);
}

static struct meta *with_pod(void *ctx, const struct meta *m)
{
	_meta_ struct meta *copy = NULL;
	struct pod *pod = ctx;

	if (!is_of(m, pod))
		return NULL;
	if (m->pod_state == META_POD_KNOWN && m->pod &&
	    pod__same_for(m->pod, pod, meta__label(m, META_POD_CONTAINER_LABEL)))
		return NULL;
	copy = copy_of(m);
	if (!copy || meta__set_pod(copy, pod, META_POD_KNOWN) != 0)
		return NULL;
	return TAKE_PTR(copy);
}

/* What the pod itself says of its container. 0 or -ENOMEM. */
static int describe(const struct pod *pod, const struct pod_container *c, struct meta *m)
{
	const struct {
		const char *name, *value;
	} labels[] = {
		{META_POD_NAMESPACE_LABEL, pod->namespace},
		{META_POD_NAME_LABEL, pod->name},
		{META_POD_UID_LABEL, pod->uid},
		{META_POD_CONTAINER_LABEL, c->name},
	};
	int err = 0;

	m->id = strdup(c->id);
	m->name = strdup(c->name);
	m->image = c->image ? strdup(c->image) : NULL;
	m->pod_uid = strdup(pod->uid);
	m->detailed = true;
	if (!m->id || !m->name || !m->pod_uid || (c->image && !m->image))
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(labels) && !err; i++)
		if (labels[i].value)
			err = meta__add_label(m, labels[i].name, labels[i].value);
	return err;
}

static int publish_unnamed(struct pods *p, struct pod *pod, const struct pod_container *c)
{
	_meta_ struct meta *m = meta__new();
	int err = m ? describe(pod, c, m) : -ENOMEM;

	if (!err)
		err = meta__set_pod(m, pod, META_POD_KNOWN);
	if (err)
		return err;
	err = registry__publish(p->registry, TAKE_PTR(m));
	registry__gone(p->registry, c->id);
	return err;
}

/* True: it is one of the pod's, and has a name now. */
static bool name_by(struct pods *p, struct pod *pod, const char *id)
{
	for (size_t i = 0; i < pod->n_containers; i++) {
		const struct pod_container *c = &pod->containers[i];

		if (!c->id || strcmp(c->id, id) != 0)
			continue;
		if (publish_unnamed(p, pod, c) != 0)
			log_warn("no memory for a container's name");
		return true;
	}
	return false;
}

static void forget_unnamed(struct pods *p, size_t i)
{
	p->n_unnamed--;
	memmove(p->unnamed[i], p->unnamed[i + 1], (p->n_unnamed - i) * sizeof(p->unnamed[0]));
}

static void name_unnamed(struct pods *p, struct pod *pod)
{
	for (size_t i = p->n_unnamed; i-- > 0;)
		if (name_by(p, pod, p->unnamed[i]))
			forget_unnamed(p, i);
}

static void give_up(struct pods *p, size_t i)
{
	char id[CONTAINER_ID_LEN + 1];

	memcpy(id, p->unnamed[i], sizeof(id));
	forget_unnamed(p, i);
	registry__never(p->registry, id);
}

int pods__put(struct pods *p, struct pod *pod)
{
	struct entry *e = pod->uid && *pod->uid ? find(p, pod->uid) : NULL;
	int err;

	if (!pod->uid || !*pod->uid) {
		pod__unref(pod);
		return -EINVAL;
	}
	if (e) {
		p->n_gone -= e->gone;
		e->gone = false;
		e->list = p->list;
		if (pod__same(e->pod, pod)) {
			pod__unref(pod);
			return 0;
		}
		pod__unref(e->pod);
		e->pod = pod;
		err = entry__hash(p, e);
	} else {
		err = make_room(p);
		if (!err)
			err = entry__new(p, pod);
		if (err)
			pod__unref(pod);
	}
	if (err)
		return err;
	name_unnamed(p, pod);
	return registry__revise_pod(p->registry, pod, with_pod, pod);
}

static void entry__gone(struct pods *p, struct entry *e)
{
	struct entry *other, *next;

	if (e->gone)
		return;
	e->gone = true;
	p->n_gone++;
	DL_DELETE(p->oldest, e);
	DL_APPEND(p->oldest, e);
	if (p->n_gone <= GONE_MAX)
		return;
	DL_FOREACH_SAFE (p->oldest, other, next) {
		if (!other->gone)
			continue;
		entry__free(p, other);
		return;
	}
}

void pods__gone(struct pods *p, const char *uid)
{
	struct entry *e = find(p, uid);

	if (e)
		entry__gone(p, e);
}

void pods__list_begin(struct pods *p)
{
	p->list++;
}

void pods__list_end(struct pods *p)
{
	struct entry *e, *next;

	HASH_ITER (hh, p->by_uid, e, next)
		if (!e->gone && e->list != p->list)
			entry__gone(p, e);
}

static struct meta *not_awaited(void *ctx, const struct meta *m)
{
	struct meta *copy;

	(void)ctx;
	if (m->pod_state != META_POD_AWAITED)
		return NULL;
	copy = copy_of(m);
	if (copy)
		copy->pod_state = META_POD_NOT_SAID;
	return copy;
}

void pods__source(struct pods *p, bool present)
{
	bool was = p->present;

	p->present = present;
	if (!was || present)
		return;
	while (p->n_unnamed)
		give_up(p, 0);
	registry__revise(p->registry, not_awaited, NULL);
}

void pods__on_unknown(struct pods *p, void (*unknown)(void *ctx, const char *uid), void *ctx)
{
	p->unknown = unknown;
	p->ctx = ctx;
}

bool pods__knows(struct pods *p, const char *uid)
{
	return find_any(p, uid) != NULL;
}

size_t pods__count(const struct pods *p)
{
	return HASH_COUNT(p->by_uid) - p->n_gone;
}

static int publish(struct pods *p, struct meta *m)
{
	_free_ char *id = strdup(m->id);
	int err;

	if (!id) {
		meta__unref(m);
		return -ENOMEM;
	}
	err = registry__publish(p->registry, m);
	/* A bundle is read again when there is a cgroup of its container again. */
	registry__gone(p->registry, id);
	return err;
}

int pods__join(struct pods *p, struct meta *m)
{
	struct entry *e = m->pod_uid ? find_any(p, m->pod_uid) : NULL;

	if (e && !contradicts(m, e->pod))
		return meta__set_pod(m, e->pod, META_POD_KNOWN);
	if (!m->pod_uid || !p->present)
		return 0;
	m->pod_state = META_POD_AWAITED;
	if (p->unknown)
		p->unknown(p->ctx, m->pod_uid);
	return 0;
}

int pods__container(struct pods *p, struct meta *m)
{
	int err = pods__join(p, m);

	if (!err)
		return publish(p, m);
	meta__unref(m);
	return err;
}

void pods__unnamed(struct pods *p, const char *container_id, const char *pod_uid)
{
	struct entry *e = pod_uid ? find_any(p, pod_uid) : NULL;

	if (registry__pass_on(p->registry, container_id))
		return;
	if (!p->present || !pod_uid || strlen(container_id) > CONTAINER_ID_LEN) {
		registry__never(p->registry, container_id);
		return;
	}
	if (e && name_by(p, e->pod, container_id))
		return;
	if (p->n_unnamed == UNNAMED_MAX)
		give_up(p, 0);
	strcpy(p->unnamed[p->n_unnamed++], container_id);
	if (p->unknown)
		p->unknown(p->ctx, pod_uid);
}
