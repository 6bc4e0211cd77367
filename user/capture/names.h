/* SPDX-License-Identifier: Apache-2.0 */
/* Which cgroups are captured, by their paths in the unified hierarchy: as the kernel side decides
 * it when one is made (cgroup_names.h). */
#ifndef NOTAIL_CAPTURE_NAMES_H
#define NOTAIL_CAPTURE_NAMES_H

#include <stdbool.h>
#include <stddef.h>

/* A container's, by its last component or two. The path may be cut at its front. */
bool names__container(const char *path);
/* A pattern asks for it, or for one above it. */
bool names__asked(const char *path, const char *const *patterns, size_t n);
/* NULL: it is a pattern that can be asked for. Else what is expected of one, a clause. */
const char *names__check(const char *pattern);

#endif
