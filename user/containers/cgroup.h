/* SPDX-License-Identifier: Apache-2.0 */
/* What a cgroup's path says: engine, container id, pod. One table of all engines and both cgroup
 * drivers, no state. */
#ifndef NOTAIL_CONTAINERS_CGROUP_H
#define NOTAIL_CONTAINERS_CGROUP_H

#include <stdbool.h>
#include <stddef.h>

#define CONTAINER_ID_LEN 64
#define POD_UID_LEN 36

struct cgroup_identity {
	const char *engine; /* "docker", "containerd", "cri-o", "podman", "kubernetes" (engine not
			       said); static storage */
	char container_id[CONTAINER_ID_LEN + 1]; /* empty: none */
	char outer_id[CONTAINER_ID_LEN +
		      1];	       /* nested engines: the container around it; empty: none */
	char pod_uid[POD_UID_LEN + 1]; /* with dashes, or a static pod's 32 hex; empty: none */
	char qos[16];		       /* guaranteed, burstable, besteffort; empty: no pod */
};

/*
 * `path` as the kernel prints it, from the hierarchy's root, also relative ("/../..", seen from a
 * container's cgroup namespace) or cut at its front. False: no table knows it. *ret is written only
 * when true is returned.
 */
bool cgroup__identify(const char *path, size_t len, struct cgroup_identity *ret);

#define CGROUP_NAME_LEN 255

struct cgroup_description {
	const char *engine; /* "systemd", "systemd-nspawn", "lxc", "containerd"; static storage */
	char name[CGROUP_NAME_LEN + 1]; /* unit; machine, or machine/unit; namespace/name, without
					   the namespace where it is the default one */
	size_t id_at;			/* containerd: where the container's id begins in it */
};

/*
 * A cgroup that is no container's by its path, and captured since it was asked for: what to call
 * it. False: nobody known names them so. *ret is written only when true is returned.
 */
bool cgroup__describe(const char *path, size_t len, struct cgroup_description *ret);

#endif
