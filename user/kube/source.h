/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where pods come from: the API server's watch of this node's pods, or the kubelet's list of them,
 * asked for again and again, and at once when a container of a pod that is not known appears. On
 * the I/O thread; what it learns goes to the pods.
 *
 * One that does not answer is tried again with backoff for ever, and says why once for each reason.
 * After 10 s nobody waits for it any more: containers have what their bundles say, until it answers
 * and each of them gets the rest.
 */
#ifndef NOTAIL_KUBE_SOURCE_H
#define NOTAIL_KUBE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kube/client.h"

struct pods;
struct kube_source;

enum kube_source_kind { KUBE_SOURCE_NONE, KUBE_SOURCE_KUBELET, KUBE_SOURCE_API };

/* Names of the kinds, NULL at the end. */
extern const char *const KUBE_SOURCE_KINDS[];

#define KUBE_KUBELET_URL "https://127.0.0.1:10250"

/* Copied. */
struct kube_source_opts {
	enum kube_source_kind kind; /* not NONE */
	struct kube_opts client;
	const char *node_name; /* the API: of its pods alone; the kubelet: not needed, NULL */
	uint64_t poll_ns;      /* the kubelet: how often */
};

/* All of loop, http and pods must outlive it. As kube__new. */
int kube_source__new(struct kube_source **ret, struct loop *loop, struct http *http,
		     struct pods *pods, const struct kube_source_opts *opts);
void kube_source__free(struct kube_source *s); /* NULL is fine */

/* For the status page; valid until the loop goes on. */
struct kube_source_state {
	const char *kind, *url;
	bool up;
	uint64_t since_ns;   /* Unix: when it came up, or was lost */
	const char *problem; /* NULL: all is well */
	size_t pods;
	uint64_t answers[KUBE_ANSWERS];
};
void kube_source__state(const struct kube_source *s, struct kube_source_state *ret_state);

#endif
