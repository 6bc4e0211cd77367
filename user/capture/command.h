/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `-- CMD`: starts a program with pipes as stdout and stderr in a cgroup of its own, and is the
 * reader that a container runtime would be, so that the same taps capture it. The child does not
 * exec before command__go.
 */
#ifndef NOTAIL_CAPTURE_COMMAND_H
#define NOTAIL_CAPTURE_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct command;

/* argv is borrowed. Text in ret_why on failure. */
int command__new(struct command **ret, char *const argv[], char *ret_why, size_t size);
/* Kills nothing; removes the cgroup when it is empty. */
void command__free(struct command *c);
int command__stdout(const struct command *c); /* read end, non-blocking */
int command__stderr(const struct command *c);
uint64_t command__cgroup_id(const struct command *c);
pid_t command__pid(const struct command *c);
/* Lets the child exec. */
int command__go(struct command *c);
/* Reads and drops what is there. 0: more may come; 1: both ends are at EOF. */
int command__drain(struct command *c);
/* Non-blocking. True when it ended; the shell's status: its exit code, or 128 + signal. */
bool command__wait(struct command *c, int *ret_status);
void command__signal(struct command *c, int signo);

#endif
