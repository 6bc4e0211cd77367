/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `--pid PID` and `-- CMD`: one process instead of the containers of the host. Loop's thread.
 */
#ifndef NOTAIL_SINGLE_H
#define NOTAIL_SINGLE_H

#include <stdbool.h>
#include <stddef.h>

#include "capture/capture.h"
#include "config/options.h"
#include "containers/registry.h"

struct loop;
struct single;

/* The command is there after it, but does not run yet: it inherits what is open by then. `opts` is
 * borrowed. Text in ret_why where strerror does not say enough. */
int single__new(struct single **ret, const struct options *opts, char *ret_why, size_t size);
/* The command is left running. NULL is fine. */
void single__free(struct single *s);
/* Registers what it writes to; `ended` is called when nothing more will come. */
int single__attach(struct single *s, struct loop *loop, struct registry *registry,
		   struct capture *capture, void (*ended)(void *ctx), void *ctx, char *ret_why,
		   size_t size);
/* Lets the command run. One that cannot ends with the shell's status for that. */
void single__go(struct single *s);
/* Hands the signal on; false: there is no command, or none any more. */
bool single__signal(struct single *s, int signo);
/* The command's exit status, as a shell gives it; 0 while it runs. */
int single__status(const struct single *s);

#endif
