/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup -> container -> metadata. Two threads: the I/O thread publishes what the engines say
 * (registry__publish, registry__gone, registry__engine), the capture thread asks
 * (registry__cgroup_new, registry__lookup, ...). Every function is thread-safe; a lock is held for
 * a map's look-up only.
 *
 * Metadata is kept by container id, at most REGISTRY_MAX of them; what is over that goes by least
 * recent use. A container that a cgroup of ours refers to is never dropped.
 */
#ifndef NOTAIL_CONTAINERS_REGISTRY_H
#define NOTAIL_CONTAINERS_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "containers/meta.h"

#define REGISTRY_MAX 8192

struct registry;

enum registry_answer {
	REGISTRY_KNOWN,	  /* *ret_meta is complete */
	REGISTRY_PENDING, /* an engine may still answer: park */
	REGISTRY_NEVER,	  /* no engine will: *ret_meta has what the cgroup's path says */
};

int registry__new(struct registry **ret);
void registry__free(struct registry *r);

/* Capture side. The path may be cut at its front (include/event.h). -ENOMEM. */
int registry__cgroup_new(struct registry *r, uint64_t cgroup_id, const char *path, size_t len);
/* Something that is no container has a name: --pid, -- CMD. */
int registry__cgroup_named(struct registry *r, uint64_t cgroup_id, const char *name);
/* What a process before this one knew of the cgroup. That of its container holds until an engine
 * says something, or that it does not know it; until then it is PENDING as another. 0 or -ENOMEM.
 */
int registry__restore(struct registry *r, uint64_t cgroup_id, const struct meta *m);
/* After the cgroup's last line is out. */
void registry__cgroup_gone(struct registry *r, uint64_t cgroup_id);
/* *ret_meta: a reference of the caller's, never NULL on success (PENDING too: what is known so
 * far). */
enum registry_answer registry__lookup(struct registry *r, uint64_t cgroup_id,
				      struct meta **ret_meta);
/* Moves whenever a look-up may answer otherwise than before: lets the capture thread skip look-ups
 * while nothing changed. */
uint64_t registry__version(const struct registry *r);

/*
 * I/O side. Takes the reference over; meta->id must be set. The version is set here.
 */
int registry__publish(struct registry *r, struct meta *m);
/* What is known of it with another name. -ENOENT: nothing is; -ENOMEM. */
int registry__rename(struct registry *r, const char *container_id, const char *name);
/* The engine removed it. What is known of it stays for a while: the capture thread may still have
 * its cgroup and its lines to read. */
void registry__gone(struct registry *r, const char *container_id);
/*
 * A list of all containers begins and, when every one in it is published, ends: those that are
 * known and neither in it nor published since it began are gone.
 */
void registry__list_begin(struct registry *r);
void registry__list_end(struct registry *r);
/*
 * Labels need networks and ports: containers are PENDING, and wanted, until metadata that is
 * detailed is published, or registry__never says that there will be none. Before any cgroup.
 */
void registry__need_details(struct registry *r);
/* Its networks may have changed: it is wanted again, and what is known of it stays meanwhile. */
void registry__refresh(struct registry *r, const char *container_id);
/* Something is published for this id. */
bool registry__known(struct registry *r, const char *container_id);
/*
 * Who can be asked what a container is. Bundles are asked for containers of containerd, of CRI-O
 * and of podman where docker's client does not know them; docker's client for its own and podman's,
 * and for those of a pod whose bundle nobody finds.
 */
enum registry_source { REGISTRY_DOCKER, REGISTRY_BUNDLES, REGISTRY_SOURCES };
/*
 * A source is there (true) or is not (false). While one is, containers that it is asked for are
 * PENDING until published or until registry__never says that it does not know the id: then the next
 * is asked, if there is one. Containers that no answer came for are wanted again each time a source
 * says that it is there.
 */
void registry__source(struct registry *r, enum registry_source source, bool present);
/* The same for the engine "docker"; no other has a client. */
void registry__engine(struct registry *r, const char *engine, bool present);
void registry__never(struct registry *r, const char *container_id);
/* The same, but only where there is a next one to be asked. False: there is none; nothing changed.
 */
bool registry__pass_on(struct registry *r, const char *container_id);
/*
 * The next container id that a cgroup wants and that the source has not been asked for yet. False:
 * none. Makes the id "asked". The fd is readable (eventfd) when there may be one.
 */
bool registry__next_wanted(struct registry *r, enum registry_source source, char *ret_id,
			   size_t size, const char **ret_engine);
int registry__wanted_fd(const struct registry *r, enum registry_source source);
/* Calls back with what is published of each container: a reference to what to publish instead;
 * NULL: it stays as it is. No function of the registry may be called from there. 0 or -ENOMEM. */
int registry__revise(struct registry *r, struct meta *(*revise)(void *ctx, const struct meta *m),
		     void *ctx);
/* The same for those that may be of the pod: all of its own, by its uid or its config hash, and few
 * others. */
int registry__revise_pod(struct registry *r, const struct pod *pod,
			 struct meta *(*revise)(void *ctx, const struct meta *m), void *ctx);
/* The pod that its cgroup's path names. -ENOENT: no cgroup of ours is the container's. */
int registry__pod_uid(struct registry *r, const char *container_id, char *ret, size_t size);

#endif
