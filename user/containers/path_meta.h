/* SPDX-License-Identifier: Apache-2.0 */
/* What the path of a cgroup says of its container, alone and beside what is published of it. */
#ifndef NOTAIL_CONTAINERS_PATH_META_H
#define NOTAIL_CONTAINERS_PATH_META_H

#include <stddef.h>

struct cgroup_identity;
struct meta;

/* `identity`: what it was identified as; NULL: it was not. One reference. 0 or -ENOMEM. */
int path_meta__new(struct meta **ret, const char *path, size_t len,
		   const struct cgroup_identity *identity);
/* A new one of what is published and what the path says, without a version. 0 or -ENOMEM. */
int path_meta__merge(struct meta **ret, const struct meta *path, const struct meta *published);

#endif
