/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes are told by the name that they were started under (argv[0]), since a kernel's comm is
 * too short for these. Of a sandbox one process is counted: Kata's shim, one for each pod, and
 * gVisor's sandbox itself.
 */
#include "capture/others.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "capture/names.h"
#include "capture/proc.h"

#define MAX_DEPTH 32

static inline void closedir_p(DIR **d)
{
	if (*d)
		closedir(*d);
}

int sandboxes__count(const char *proc, struct sandboxes *ret)
{
	_cleanup_(closedir_p) DIR *dir = opendir(proc);
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

struct walk {
	char path[4096];
	void (*fn)(void *ctx, const char *path, unsigned processes);
	void *ctx;
};

static unsigned count_processes(int dir)
{
	int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	_fclose_ FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
	unsigned n = 0;
	int pid;

	if (!f && fd >= 0)
		close(fd);
	while (f && fscanf(f, "%d", &pid) == 1)
		n++;
	return n;
}

/* w->path is that of `fd`, which is taken over. */
static void walk(struct walk *w, int fd, int depth)
{
	_cleanup_(closedir_p) DIR *dir = fdopendir(fd);
	size_t len = strlen(w->path);
	const struct dirent *e;
	unsigned processes;

	if (!dir) {
		close(fd);
		return;
	}
	processes = len && !names__container(w->path) ? count_processes(dirfd(dir)) : 0;
	if (processes)
		w->fn(w->ctx, w->path, processes);
	while (depth < MAX_DEPTH && (e = readdir(dir))) {
		int sub;

		if (e->d_type != DT_DIR || e->d_name[0] == '.' ||
		    len + strlen(e->d_name) + 2 > sizeof(w->path))
			continue;
		sub = openat(dirfd(dir), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (sub < 0)
			continue;
		snprintf(w->path + len, sizeof(w->path) - len, "/%s", e->d_name);
		walk(w, sub, depth + 1);
		w->path[len] = '\0';
	}
}

int cgroups__each_other(int root_fd, void (*fn)(void *ctx, const char *path, unsigned processes),
			void *ctx)
{
	struct walk w = {.fn = fn, .ctx = ctx};
	int fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	walk(&w, fd, 0);
	return 0;
}
