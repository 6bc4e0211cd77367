/* SPDX-License-Identifier: Apache-2.0 */
/* What runs on this host that notail captures only when asked to, or cannot: for `notail probe`. */
#ifndef NOTAIL_CAPTURE_OTHERS_H
#define NOTAIL_CAPTURE_OTHERS_H

/* Sandboxes that containers run in, by the processes that keep them. */
struct sandboxes {
	unsigned kata;	 /* virtual machines */
	unsigned gvisor; /* kernels in user space */
};
/* `proc` is where procfs is mounted. -errno: it cannot be read. */
int sandboxes__count(const char *proc, struct sandboxes *ret);

/*
 * Calls `fn` for each cgroup that has processes and no container's name; its path, from the
 * hierarchy's root, is fn's until it returns. The root itself is left out. -errno: the hierarchy
 * cannot be read.
 */
int cgroups__each_other(int root_fd, void (*fn)(void *ctx, const char *path, unsigned processes),
			void *ctx);

#endif
