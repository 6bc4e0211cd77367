/* SPDX-License-Identifier: Apache-2.0 */
/* Paths of cgroups are shown from the root of the reader's cgroup namespace, which on hosts with
 * cgroup v2 is a container's own unless somebody says otherwise. */
#ifndef NOTAIL_BASE_CGROUP_NAMESPACE_H
#define NOTAIL_BASE_CGROUP_NAMESPACE_H

/*
 * Enters the host's. To be called while the process has one thread. 0, also when it is there
 * already; -ESRCH: the host's processes are not seen (a pid namespace of its own); -EPERM: it needs
 * CAP_SYS_ADMIN and CAP_SYS_PTRACE; -errno.
 */
int cgroup_namespace__enter_host(void);

#endif
