/* SPDX-License-Identifier: Apache-2.0 */
/* What both kinds of sources share: pods out of JSON, and whether the source is there. */
#ifndef NOTAIL_KUBE_SOURCE_INTERNAL_H
#define NOTAIL_KUBE_SOURCE_INTERNAL_H

#include "kube/source.h"

struct source_api;
struct source_kubelet;

struct kube_source {
	enum kube_source_kind kind;
	struct loop *loop;
	struct kube *kube;
	struct pods *pods;
	char *node_name; /* NULL: whatever comes is of this node */
	struct source_api *api;
	struct source_kubelet *kubelet;
	struct loop_timer *away; /* set while it does not answer */
	bool up;
	bool present; /* as the pods know it */
	uint64_t since_ns;
	char problem[512]; /* "": none */
	char said[512];	   /* the last that was logged */
	uint64_t said_ns;
	bool quiet; /* it was logged since that all is well */
	bool said_pod;
};

int source_api__new(struct source_api **ret, struct kube_source *s);
void source_api__free(struct source_api *a); /* NULL is fine */
int source_kubelet__new(struct source_kubelet **ret, struct kube_source *s, uint64_t poll_ns);
void source_kubelet__free(struct source_kubelet *k); /* NULL is fine */

/* `problem` NULL: none. */
void kube_source__set_state(struct kube_source *s, bool up, const char *problem);
/* A pod that is there. */
void kube_source__take(struct kube_source *s, const char *json, size_t len);
/* A pod that is not there any more. */
void kube_source__drop(struct kube_source *s, const char *json, size_t len);

#endif
