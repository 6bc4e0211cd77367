/* SPDX-License-Identifier: Apache-2.0 */
/* What the registry's files share. Everything is under its lock. */
#ifndef NOTAIL_CONTAINERS_REGISTRY_INTERNAL_H
#define NOTAIL_CONTAINERS_REGISTRY_INTERNAL_H

#include <pthread.h>
/* uthash calls this when there is no memory; the entry is then not in the map (hh.tbl NULL). */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>

#include "containers/cgroup.h"
#include "containers/registry.h"

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
	bool stale;    /* to be wanted again when it has a cgroup */
	size_t of_pod; /* its place in `of_pods`, from 1 on; 0: it has none */
	enum place place;
	struct container *prev, *next;		     /* of idle or gone */
	struct container *wanted_prev, *wanted_next; /* of wanted */
	UT_hash_handle hh;
};

/* A container of a pod, and bits of what its pod is called by. */
struct of_pod {
	uint64_t bits;
	struct container *container;
};

struct registry {
	pthread_mutex_t lock;
	struct cgroup *cgroups;
	struct container *containers;
	struct of_pod *of_pods;
	size_t n_of_pods, of_pods_size;
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

static inline void registry__lock(struct registry *r)
{
	pthread_mutex_lock(&r->lock);
}

static inline void registry__unlock(struct registry *r)
{
	pthread_mutex_unlock(&r->lock);
}

/* registry_container.c */

/* NULL: none. */
struct container *registry_container__find(struct registry *r, const char *id);
/* In no list yet: registry_container__place when it has its cgroup or its metadata. NULL: no
 * memory. */
struct container *registry_container__get(struct registry *r, const char *id);
/* To the list where it belongs, as the most recent one; then the bounds, at the cost of others.
 * Frees c when nothing speaks for it. */
void registry_container__place(struct registry *r, struct container *c);
void registry_container__free(struct registry *r, struct container *c);
/* The container whose networks it has; NULL: its own, or nothing is known of that one. */
struct container *registry_container__joined(struct registry *r, const struct container *c);
/* `c` has the networks of `other`, maybe through others. */
bool registry_container__reaches(struct registry *r, const struct container *c,
				 const struct container *other);

/* registry_pods.c */

/* After its metadata changed. 0 or -ENOMEM. */
int of_pod__set(struct registry *r, struct container *c);
void of_pod__remove(struct registry *r, struct container *c);
/* The next that may be the pod's, from *at down (SIZE_MAX at first); it may be set meanwhile. NULL:
 * there is none. */
struct container *of_pod__next(const struct registry *r, const struct pod *pod, size_t *at);

/* registry_wanted.c */

void wanted__add(struct registry *r, struct container *c, enum registry_source of);
void wanted__remove(struct registry *r, struct container *c);
/* Who is asked first for containers of the engine; REGISTRY_SOURCES: nobody. */
enum registry_source wanted__first(const char *engine);
/* All that labels need is published, but maybe its pod. */
bool registry_container__complete(const struct registry *r, const struct container *c);
/* Wanted of the next who may answer for it; of nobody, where nobody is left or it is complete. */
void registry_container__want(struct registry *r, struct container *c);
/* Asks for what is missing of the containers whose networks it has. 0 or -ENOMEM. */
int registry_container__want_joined(struct registry *r, const struct container *c);
/* An answer is to come for it, or for one whose networks it has. */
bool registry_container__awaited(struct registry *r, const struct container *c);
/* Somebody's lines need its networks. */
bool registry_container__needed(struct registry *r, const struct container *c);

#endif
