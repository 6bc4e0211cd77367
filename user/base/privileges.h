/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a run gives up. Capabilities are those of a thread: main drops them when capture is attached
 * and before it starts another thread; a thread that is started before that drops its own, first of
 * all.
 */
#ifndef NOTAIL_BASE_PRIVILEGES_H
#define NOTAIL_BASE_PRIVILEGES_H

#include <stdbool.h>

/* Nobody but root reads the memory or the files of this process in /proc, and no core is written:
 * there are passwords in it. For the whole process; a command that it starts afterwards inherits
 * the limit of cores. */
void privileges__hide(void);
/* execve gives nothing that this process does not have. For the thread and those it starts. 0 or
 * -errno. */
int privileges__no_new(void);
/*
 * Keeps of the thread's capabilities what KEPT says, see the .c file. `write_others`: files and
 * sockets of other users are still written to. 0 or -errno.
 */
int privileges__drop(bool write_others);

#endif
