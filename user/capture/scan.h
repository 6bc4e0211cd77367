/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Start without a race: the containers, and the cgroups asked for, that run already. User space
 * finds the cgroups and each one's init, the kernel's iterator registers init's stdio and finds who
 * reads it.
 */
#ifndef NOTAIL_CAPTURE_SCAN_H
#define NOTAIL_CAPTURE_SCAN_H

#include "event.h"

#include "capture.skel.h"
#include "capture/capture.h"

/* To be called after attach. Each cgroup that the kernel side had not is told to ops->cgroup_new
 * at `pos`, before its streams are registered. */
int scan__containers(struct capture_bpf *skel, const struct capture_opts *opts, int cgroup_root,
		     uint64_t pos, const struct record_ops *ops, void *ctx);
/* fd 1 and 2 of one process. *ret_found: how many streams were registered. */
int scan__process(struct capture_bpf *skel, pid_t pid, uint64_t cgroup_id, uint32_t *ret_found);
/* Processes that have a stream without a reader open to read: their reads are looked at from now
 * on.
 */
int scan__holders(struct capture_bpf *skel, uint32_t *ret_found);
/* What runs in containers: each one's cgroup path and init, 0 where none is found. Nothing is
 * registered.
 */
int scan__inits(int cgroup_root, void (*found)(void *ctx, const char *path, pid_t init), void *ctx);

#endif
