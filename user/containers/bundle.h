/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds and reads the OCI bundles of the containers that the registry wants: who the container is
 * with no permission and no socket at all. On the I/O thread; a bundle lies on a tmpfs, so that
 * reading it waits for no disk.
 *
 * It is read when the container's cgroup is made, before its first instruction: the bundle of one
 * that lives for 50 ms is gone soon after.
 */
#ifndef NOTAIL_CONTAINERS_BUNDLE_H
#define NOTAIL_CONTAINERS_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "containers/pods.h"
#include "containers/registry.h"

struct loop;
struct bundles;

struct bundles_opts {
	/* Where the host's root is; NULL: /proc/1/root, and where that is not to be seen, /. */
	const char *root;
	/* Further directories, as the host names them, that have ID/config.json or
	 * ID/userdata/config.json; copied. */
	const char *const *directories;
	size_t n_directories;
	/* None is read: every container is one that only its pod can name. */
	bool none;
};

enum bundles_result {
	BUNDLES_READ,	 /* it named a container */
	BUNDLES_MISSING, /* nobody found one, or it named nothing */
	BUNDLES_BROKEN,	 /* not JSON, too large, not to be read or not to be believed */
	BUNDLES_RESULTS,
};

extern const char *const BUNDLES_RESULT_NAMES[BUNDLES_RESULTS];

struct bundles_state {
	uint64_t results[BUNDLES_RESULTS];
};

/* All but opts must outlive it. 0 or -errno. */
int bundles__new(struct bundles **ret, struct loop *loop, struct registry *registry,
		 struct pods *pods, const struct bundles_opts *opts);
void bundles__free(struct bundles *b);
/* For the status page, on the I/O thread. */
void bundles__state(const struct bundles *b, struct bundles_state *ret);

#endif
