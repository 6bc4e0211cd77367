/* SPDX-License-Identifier: Apache-2.0 */
/* What the notails that run have registered, as the kernel has it: `notail probe --registered`. */
#ifndef NOTAIL_CAPTURE_REGISTERED_H
#define NOTAIL_CAPTURE_REGISTERED_H

#include <stdio.h>

/* `PID CONTAINER stdout|stderr|tty read|write` a line each: notail's pid; the container's id, or
 * its cgroup's path or number. Excluded ones are not among them. -errno. */
int registered__print(FILE *out);

#endif
