/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which containers may be a pod's. A node has hundreds of them, tens of pods may change a second,
 * and none of that is in a cache then: what tells most of them apart lies in one piece.
 */
#include "containers/registry_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "base/util.h"
#include "containers/pod.h"

#define OF_PODS_MIN 64

/* Three of them: who has not all of a uid's is not called by it. */
static uint64_t bits_of(const char *uid)
{
	uint64_t hash = 14695981039346656037u; /* FNV-1a */

	if (!uid)
		return 0;
	for (const char *p = uid; *p; p++)
		hash = (hash ^ (unsigned char)*p) * 1099511628211u;
	return 1ull << (hash >> 58) | 1ull << (hash >> 52 & 63) | 1ull << (hash >> 46 & 63);
}

static uint64_t all_bits(const struct meta *m)
{
	uint64_t bits = bits_of(m->pod_uid);

	return m->pod ? bits | bits_of(m->pod->uid) | bits_of(m->pod->config_hash) : bits;
}

void of_pod__remove(struct registry *r, struct container *c)
{
	struct of_pod *last;

	if (!c->of_pod)
		return;
	last = &r->of_pods[--r->n_of_pods];
	r->of_pods[c->of_pod - 1] = *last;
	last->container->of_pod = c->of_pod;
	c->of_pod = 0;
}

int of_pod__set(struct registry *r, struct container *c)
{
	uint64_t bits = all_bits(c->meta);
	struct of_pod *grown;
	size_t size;

	if (!bits) {
		of_pod__remove(r, c);
		return 0;
	}
	if (!c->of_pod && r->n_of_pods == r->of_pods_size) {
		size = MAX(2 * r->of_pods_size, (size_t)OF_PODS_MIN);
		grown = reallocarray(r->of_pods, size, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		r->of_pods = grown;
		r->of_pods_size = size;
	}
	if (!c->of_pod)
		c->of_pod = ++r->n_of_pods;
	r->of_pods[c->of_pod - 1] = (struct of_pod){bits, c};
	return 0;
}

struct container *of_pod__next(const struct registry *r, const struct pod *pod, size_t *at)
{
	uint64_t uid = bits_of(pod->uid), hash = bits_of(pod->config_hash), bits;

	*at = MIN(*at, r->n_of_pods);
	while ((*at)--) {
		bits = r->of_pods[*at].bits;
		if ((uid && (bits & uid) == uid) || (hash && (bits & hash) == hash))
			return r->of_pods[*at].container;
	}
	return NULL;
}
