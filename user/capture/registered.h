/* SPDX-License-Identifier: Apache-2.0 */
/* What the notails that run have registered, as the kernel has it: `notail probe --registered`. */
#ifndef NOTAIL_CAPTURE_REGISTERED_H
#define NOTAIL_CAPTURE_REGISTERED_H

#include <stdbool.h>
#include <stdio.h>

/* What to call the container of a cgroup. False: it is none's. */
typedef bool (*container_name_fn)(const char *path, char *ret_name, size_t size);

/* `PID CONTAINER stdout|stderr|tty read|write` a line each: notail's pid; the container's name, or
 * its cgroup's path or number. Excluded ones are not among them. -errno. */
int registered__print(FILE *out, container_name_fn container_name);

#endif
