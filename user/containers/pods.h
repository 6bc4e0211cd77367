/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pods of this node, as a source (the API server's watch, the kubelet's list) tells of them,
 * joined with what the engines and bundles say of their containers. All on the I/O thread.
 *
 * A container that a bundle tells of is published with its pod. Where its pod is not known yet and
 * a source is there, it is published as one that waits for it: its lines are parked, at most as
 * long as lines are parked at all, and are then sent with what the bundle says. A pod that changes
 * is published with each of its containers: the next line has it. What was known of a pod that is
 * gone stays with its containers until their last line is out.
 *
 * At most PODS_MAX pods are kept; of more, those that have finished go first.
 */
#ifndef NOTAIL_CONTAINERS_PODS_H
#define NOTAIL_CONTAINERS_PODS_H

#include <stdbool.h>
#include <stddef.h>

#include "containers/meta.h"
#include "containers/pod.h"
#include "containers/registry.h"

#define PODS_MAX 1024

struct pods;

/* The registry must outlive it. No source is there at first. 0 or -ENOMEM. */
int pods__new(struct pods **ret, struct registry *registry);
void pods__free(struct pods *p);

/*
 * For the source.
 *
 * A pod that is new or has changed; one that says what is known already costs nothing. Takes the
 * reference over. -EINVAL: it has no uid; -ENOSPC: there are too many; -ENOMEM.
 */
int pods__put(struct pods *p, struct pod *pod);
void pods__gone(struct pods *p, const char *uid);
/* A list of all of this node's pods begins and, when every one in it is put, ends: those neither in
 * it nor put since it began are gone. */
void pods__list_begin(struct pods *p);
void pods__list_end(struct pods *p);
/*
 * The source is there: true when it is made, before its first answer, and when it answers again;
 * false when it has not answered for longer than lines shall wait for it (10 s). While it is not,
 * no container waits for its pod.
 */
void pods__source(struct pods *p, bool present);
/* Calls back for each container of a pod that is not known while the source is there: the kubelet
 * is asked at once. One callback; NULL: none. The uid is the one that the container's bundle or
 * cgroup has: of a static pod its config hash. */
void pods__on_unknown(struct pods *p, void (*unknown)(void *ctx, const char *uid), void *ctx);
/* By the uid that a container's bundle or cgroup has; gone or not. */
bool pods__knows(struct pods *p, const char *uid);
/* How many are known and not gone. */
size_t pods__count(const struct pods *p);

/*
 * For who tells of containers: before publishing, gives m the pod that m->pod_uid names, or says
 * that it is waited for. NULL: it is of no pod. 0 or -ENOMEM.
 */
int pods__join(struct pods *p, struct meta *m);
/*
 * For who reads bundles. m->id must be set; m->pod_uid: the pod's as the bundle has it, NULL: of no
 * pod, it is just published. m->pod is what the bundle itself says of the pod, NULL: nothing. Takes
 * the reference over. As registry__publish.
 */
int pods__container(struct pods *p, struct meta *m);
/*
 * Nobody can say what the container is but its pod, which is asked for it by the container's id;
 * pod_uid as its cgroup says, NULL: not known.
 */
void pods__unnamed(struct pods *p, const char *container_id, const char *pod_uid);

#endif
