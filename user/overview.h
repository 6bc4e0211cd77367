/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status server of a run: what it tells is gathered here from everybody. Loop's thread.
 */
#ifndef NOTAIL_OVERVIEW_H
#define NOTAIL_OVERVIEW_H

#include <stdbool.h>
#include <stddef.h>

#include "capture/capture.h"
#include "clients.h"
#include "config/options.h"
#include "containers/docker.h"
#include "pipeline.h"
#include "ruleset.h"
#include "status/counters.h"

struct bundles;
struct kube_source;
struct loop;
struct overview;

/* All borrowed; capture's set of hooks alone is asked for. */
struct overview_sources {
	struct ruleset *ruleset;
	const struct clients *clients;
	const struct docker *docker;	  /* NULL: none is asked */
	const struct bundles *bundles;	  /* NULL: none are read */
	const struct kube_source *source; /* of pods; NULL: none */
	const struct capture *capture;
	struct counters *counters;
	struct pipeline *pipeline;
	const bool *ending;
};

/* Listens where opts say; nobody is answered until overview__start. What cannot be listened on and
 * has to be is an error with a text in ret_why; else it is warned of. opts is borrowed. */
int overview__new(struct overview **ret, struct loop *loop, const struct options *opts,
		  char *ret_why, size_t size);
int overview__start(struct overview *o, const struct overview_sources *sources);
/* Before what it was started with. NULL is fine. */
void overview__free(struct overview *o);

#endif
