/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes are told by the name that they were started under (argv[0]), since a kernel's comm is
 * too short for these. Of a sandbox one process is counted: Kata's shim, one for each pod, and
 * gVisor's sandbox itself.
 */
#include "capture/others.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "capture/cgroup_tree.h"
#include "capture/names.h"
#include "capture/proc.h"

int sandboxes__count(const char *proc, struct sandboxes *ret)
{
	_closedir_ DIR *dir = opendir(proc);
	struct sandboxes found = {0};
	const struct dirent *e;

	if (!dir)
		return -errno;
	while ((e = readdir(dir))) {
		char path[300], argv[4096];
		const char *name;

		if (e->d_name[0] < '0' || e->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "%s/cmdline", e->d_name);
		if (file__read_text(dirfd(dir), path, argv, sizeof(argv)) <= 0)
			continue;
		name = strrchr(argv, '/');
		name = name ? name + 1 : argv;
		if (strcmp(name, "containerd-shim-kata-v2") == 0 || strcmp(name, "kata-shim") == 0)
			found.kata++;
		else if (strcmp(name, "runsc-sandbox") == 0)
			found.gvisor++;
	}
	*ret = found;
	return 0;
}

struct others {
	void (*fn)(void *ctx, const char *path, unsigned processes);
	void *ctx;
};

static void look_at(void *ctx, int dir, const char *path)
{
	const struct others *o = ctx;
	_fclose_ FILE *f = NULL;
	unsigned processes = 0;
	int pid;

	if (names__container(path))
		return;
	f = cgroup_tree__open_procs(dir);
	while (f && fscanf(f, "%d", &pid) == 1)
		processes++;
	if (processes)
		o->fn(o->ctx, path, processes);
}

int cgroups__each_other(int root_fd, void (*fn)(void *ctx, const char *path, unsigned processes),
			void *ctx)
{
	struct others o = {.fn = fn, .ctx = ctx};

	return cgroup_tree__walk(root_fd, look_at, &o);
}
