/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patterns of paths as doublestar has them: `*` and `?` within a component, `**` as a component for
 * any number of them, [a-z] and [!a-z], {a,b}, a backslash before what is to be itself.
 */
#ifndef NOTAIL_BASE_GLOB_H
#define NOTAIL_BASE_GLOB_H

#include <stdbool.h>

/* The whole path. A pattern that is malformed, or asks for more than a bounded number of steps,
 * matches nothing. */
bool glob__match(const char *pattern, const char *path);

#endif
