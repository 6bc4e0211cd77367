/* SPDX-License-Identifier: Apache-2.0 */
/* `notail unpin`. */
#ifndef NOTAIL_CAPTURE_UNPIN_H
#define NOTAIL_CAPTURE_UNPIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Removes all that is pinned in `dir` and says what, a line. `force`: also while a run has it.
 * -EBUSY: one has; -errno. */
int pins__unpin(const char *dir, bool force, FILE *out, char *ret_why, size_t size);

#endif
