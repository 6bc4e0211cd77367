/* SPDX-License-Identifier: Apache-2.0 */
/* The cgroups of a hierarchy, one after the other. */
#ifndef NOTAIL_CAPTURE_CGROUP_TREE_H
#define NOTAIL_CAPTURE_CGROUP_TREE_H

#include <stdio.h>

/*
 * Calls `fn` for each cgroup, parents first, the root left out. `dir` and `path` (from the root)
 * are fn's until it returns. -errno: the root cannot be read; what cannot be read below is passed
 * over.
 */
int cgroup_tree__walk(int root_fd, void (*fn)(void *ctx, int dir, const char *path), void *ctx);
/* The pids in a cgroup's directory; NULL: it is gone. */
FILE *cgroup_tree__open_procs(int dir);

#endif
