/* SPDX-License-Identifier: Apache-2.0 */
/* What the configuration's discovery.kubernetes says, as the clients of a cluster want it. */
#ifndef NOTAIL_CLUSTER_H
#define NOTAIL_CLUSTER_H

#include <stddef.h>

#include "config/config.h"
#include "config/options.h"
#include "kube/client.h"
#include "kube/source.h"

struct http;
struct loop;
struct pods;

/* A client of the API server; `c` NULL: that of a pod. As kube__new, with a text in ret_why. */
int cluster__api(struct kube **ret, struct loop *loop, struct http *http,
		 const struct config_kubernetes *c, char *ret_why, size_t size);
/* The source of pods; *ret NULL where none is said. */
int cluster__source(struct kube_source **ret, struct loop *loop, struct http *http,
		    struct pods *pods, const struct config_kubernetes *c, const struct options *o,
		    char *ret_why, size_t size);

#endif
