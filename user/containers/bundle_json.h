/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An OCI bundle's config.json -> struct meta: what containerd's CRI plugin, CRI-O, nerdctl and
 * podman write into its annotations. No state, no I/O.
 *
 * https://github.com/opencontainers/runtime-spec/blob/main/config.md#annotations
 */
#ifndef NOTAIL_CONTAINERS_BUNDLE_JSON_H
#define NOTAIL_CONTAINERS_BUNDLE_JSON_H

#include <stddef.h>

#include "containers/meta.h"
#include "containers/pod.h"

/*
 * Whose word it is. A pod's own annotations are among those of its containers with CRI-O, and with
 * containerd if it is told to: they may say what the other runtime would.
 */
enum bundle_by {
	BUNDLE_BY_CONTAINERD, /* ID/config.json: its CRI plugin, nerdctl, ctr */
	BUNDLE_BY_CRIO,	      /* ID/userdata/config.json: or podman */
	BUNDLE_BY_ANYBODY,    /* not root's: it names no pod */
};

enum bundle_kind {
	BUNDLE_CONTAINER,
	BUNDLE_SANDBOX, /* of a pod: a pause process, that writes nothing */
	BUNDLE_UNNAMED, /* it says no more than that there is one */
};

/*
 * `id` is the container's. Of a container *ret has engine, id, name, image, pod_uid, labels and,
 * where the bundle says more of it than its names, pod. What its sandbox's bundle may have to say
 * is in *ret_sandbox, the sandbox's id, to free; NULL: nothing. 0, -EBADMSG or -ENOMEM.
 */
int bundle_json__read(const char *text, size_t len, const char *id, enum bundle_by by,
		      enum bundle_kind *ret_kind, struct meta **ret, char **ret_sandbox);
/* What the sandbox's bundle says, added to what its container's says. 0, -EBADMSG (it is of no
 * sandbox, too; m is as it was) or -ENOMEM. */
int bundle_json__add_sandbox(const char *text, size_t len, struct meta *m);
/* The list of containers that podman's storage keeps beside its bundles: of m's container the name
 * and the image. 0, -ENOENT (it is not in it; m is as it was), -EBADMSG or -ENOMEM. */
int bundle_json__add_storage(const char *text, size_t len, struct meta *m);

#endif
