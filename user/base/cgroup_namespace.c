/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's threads are in the first namespaces for ever, and kthreadd is process 2 of the first
 * pid namespace. Process 1 may be in others: an init that a container's manager started, or one
 * that nobody may look at.
 */
#include "base/cgroup_namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"

#define KTHREADD "/proc/2"
#define PF_KTHREAD 0x00200000u

/* Of its stat, behind the name: state, parent, group, session, terminal, its group, flags. */
static bool is_kernel_thread(const char *path)
{
	_fclose_ FILE *f = fopen(path, "re");
	char line[512] = "", *rest;
	unsigned flags;

	if (!f || !fgets(line, sizeof(line), f))
		return false;
	rest = strrchr(line, ')');
	return rest && sscanf(rest, ") %*c %*d %*d %*d %*d %*d %u", &flags) == 1 &&
	       flags & PF_KTHREAD;
}

int cgroup_namespace__enter_host(void)
{
	struct stat own, hosts;
	_close_ int fd = -1;

	if (!is_kernel_thread(KTHREADD "/stat"))
		return -ESRCH;
	fd = open(KTHREADD "/ns/cgroup", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &hosts) || stat("/proc/self/ns/cgroup", &own))
		return -errno;
	if (own.st_ino == hosts.st_ino && own.st_dev == hosts.st_dev)
		return 0;
	return setns(fd, CLONE_NEWCGROUP) ? -errno : 0;
}
