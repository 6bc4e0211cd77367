/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/locks has each lock's process and file. A lock may go while it is looked at. */
#include "capture/holder.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"
#include "capture/proc.h"

#define ID_DIGITS 64
#define ID_SHOWN 12

/* 0: nobody, or somebody in another pid namespace. */
static pid_t find(const struct stat *st)
{
	_fclose_ FILE *f = fopen("/proc/locks", "re");
	unsigned major_, minor_;
	unsigned long inode;
	char line[256];
	int pid;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*d: FLOCK %*s %*s %d %x:%x:%lu", &pid, &major_, &minor_,
			   &inode) == 4 &&
		    inode == st->st_ino && major_ == major(st->st_dev) &&
		    minor_ == minor(st->st_dev))
			return pid;
	}
	return 0;
}

/* The last 64 hexadecimal digits of its cgroup's path are a container's id. */
static void container_of(pid_t pid, char *ret_id, size_t size)
{
	char path[4096];
	size_t run = 0, end = 0, len;

	if (cgroup2__path(pid, path, sizeof(path)) < 0)
		return;
	len = strlen(path);
	for (size_t i = 0; i <= len; i++) {
		if (isxdigit((unsigned char)path[i])) {
			run++;
			continue;
		}
		if (run == ID_DIGITS)
			end = i;
		run = 0;
	}
	if (end)
		snprintf(ret_id, size, "%.*s", ID_SHOWN, path + end - ID_DIGITS);
}

/* 0: not known. */
static time_t started(const struct proc_stat *st)
{
	struct timespec boot, now;
	time_t up_s = (time_t)(st->start_ticks / (uint64_t)sysconf(_SC_CLK_TCK));

	if (clock_gettime(CLOCK_BOOTTIME, &boot) < 0 || clock_gettime(CLOCK_REALTIME, &now) < 0)
		return 0;
	return now.tv_sec - boot.tv_sec + up_s;
}

void holder__say(const char *dir, char *ret_text, size_t size)
{
	char id[ID_SHOWN + 1] = "", when[64] = "";
	struct proc_stat proc = {};
	struct stat st;
	struct tm tm;
	time_t since;
	pid_t pid = stat(dir, &st) == 0 ? find(&st) : 0;

	if (!pid || proc__stat(pid, &proc) < 0) {
		snprintf(ret_text, size, "another notail runs: it holds %s", dir);
		return;
	}
	since = started(&proc);
	if (since && localtime_r(&since, &tm))
		strftime(when, sizeof(when), " since %Y-%m-%d %H:%M:%S", &tm);
	container_of(pid, id, sizeof(id));
	snprintf(ret_text, size, "another notail runs: process %d (%s)%s%s%s holds %s", pid,
		 proc.comm, when, *id ? ", in container " : "", id, dir);
}
