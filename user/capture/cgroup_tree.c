/* SPDX-License-Identifier: Apache-2.0 */
/* Cgroups come and go meanwhile: descriptors, not paths, lead from one to the next. */
#include "capture/cgroup_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/util.h"
#include "capture/proc.h"

#define MAX_DEPTH 32

struct walk {
	char path[4096];
	void (*fn)(void *ctx, int dir, const char *path);
	void *ctx;
};

static int open_dir(int at, const char *name)
{
	return openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* w->path is that of `fd`, which is taken over. */
static void walk(struct walk *w, int fd, int depth)
{
	_closedir_ DIR *dir = fdopendir(fd);
	size_t len = strlen(w->path);
	const struct dirent *e;

	if (!dir) {
		close(fd);
		return;
	}
	while (depth < MAX_DEPTH && (e = readdir(dir))) {
		int sub;

		if (e->d_type != DT_DIR || e->d_name[0] == '.' ||
		    len + strlen(e->d_name) + 2 > sizeof(w->path))
			continue;
		sub = open_dir(dirfd(dir), e->d_name);
		if (sub < 0)
			continue;
		snprintf(w->path + len, sizeof(w->path) - len, "/%s", e->d_name);
		w->fn(w->ctx, sub, w->path);
		walk(w, sub, depth + 1);
		w->path[len] = '\0';
	}
}

int cgroup_tree__walk(int root_fd, void (*fn)(void *ctx, int dir, const char *path), void *ctx)
{
	struct walk w = {.fn = fn, .ctx = ctx};
	int fd = open_dir(root_fd, ".");

	if (fd < 0)
		return -errno;
	walk(&w, fd, 0);
	return 0;
}

FILE *cgroup_tree__open_procs(int dir)
{
	int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;

	if (!f && fd >= 0)
		close(fd);
	return f;
}
