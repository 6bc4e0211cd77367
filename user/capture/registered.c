/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A notail's maps are found where it holds them: as descriptors, whose fdinfo says the map's id.
 * Nothing has to be asked of it, and it need not be one that answers.
 */
#include "capture/registered.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "capture/cgroup_tree.h"
#include "capture/host.h"
#include "capture/proc.h"
#include "event.h"

#define MAP_NAME "nt_streams"
#define MAX_STREAMS 1000000u /* of one map: streams come and go while it is walked */

struct known {
	uint64_t id;
	char *name;
};

struct names {
	struct known *v;
	size_t n;
	container_name_fn container_name;
};

static void add_name(void *ctx, int dir, const char *path)
{
	struct names *names = ctx;
	char container[256];
	struct known *grown;
	struct stat st;

	if (fstat(dir, &st) < 0)
		return;
	grown = reallocarray(names->v, names->n + 1, sizeof(*grown));
	if (!grown)
		return;
	names->v = grown;
	grown[names->n].id = st.st_ino;
	grown[names->n].name = strdup(
		names->container_name(path, container, sizeof(container)) ? container : path);
	if (grown[names->n].name)
		names->n++;
}

static void print_name(const struct names *names, uint64_t id, FILE *out)
{
	for (size_t i = 0; i < names->n; i++) {
		if (names->v[i].id != id)
			continue;
		for (const char *p = names->v[i].name; *p; p++)
			fputc(*p > ' ' && *p < 0x7f ? *p : '?', out);
		return;
	}
	fprintf(out, "%" PRIu64, id);
}

static void print_stream(const struct names *names, pid_t pid, const struct nt_stream *s, FILE *out)
{
	static const char *const FILES[] = {
		[NT_FILE_STDOUT] = "stdout", [NT_FILE_STDERR] = "stderr", [NT_FILE_TTY] = "tty"};

	if (s->denied || s->file >= ARRAY_SIZE(FILES) || !FILES[s->file])
		return;
	fprintf(out, "%d ", pid);
	print_name(names, s->cgroup_id, out);
	fprintf(out, " %s %s\n", FILES[s->file], s->tap == NT_TAP_WRITE ? "write" : "read");
}

static void print_map(const struct names *names, pid_t pid, uint32_t map_id, FILE *out)
{
	struct bpf_map_info info = {};
	struct nt_stream_key key, next;
	uint32_t size = sizeof(info);
	struct nt_stream s;
	_close_ int fd = bpf_map_get_fd_by_id(map_id);
	int r;

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) < 0 ||
	    strcmp(info.name, MAP_NAME) != 0 || info.key_size != sizeof(key) ||
	    info.value_size != sizeof(s))
		return;
	r = bpf_map_get_next_key(fd, NULL, &next);
	for (unsigned i = 0; r == 0 && i < MAX_STREAMS; i++) {
		key = next;
		r = bpf_map_get_next_key(fd, &key, &next);
		if (bpf_map_lookup_elem(fd, &key, &s) == 0)
			print_stream(names, pid, &s, out);
	}
}

/* 0: the descriptor is none of a map. */
static uint32_t map_of(pid_t pid, const char *fd)
{
	char path[300], line[64];
	_fclose_ FILE *f = NULL;
	unsigned id = 0;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%s", pid, fd);
	f = fopen(path, "re");
	while (f && !id && fgets(line, sizeof(line), f))
		if (sscanf(line, "map_id: %u", &id) != 1)
			id = 0;
	return id;
}

static void look_at_process(const struct names *names, pid_t pid, FILE *out)
{
	char path[64], link[32];
	const struct dirent *d;
	uint32_t id;
	_closedir_ DIR *dir = NULL;
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir)
		return;
	while ((d = readdir(dir))) {
		len = readlinkat(dirfd(dir), d->d_name, link, sizeof(link) - 1);
		link[MAX(len, 0)] = '\0';
		if (strcmp(link, "anon_inode:bpf-map") != 0)
			continue;
		id = map_of(pid, d->d_name);
		if (id)
			print_map(names, pid, id, out);
	}
}

int registered__print(FILE *out, container_name_fn container_name)
{
	_close_ int root = -1;
	struct names names = {.container_name = container_name};
	const struct dirent *d;
	int r = cgroup2__open_root(&root);
	_closedir_ DIR *dir = NULL;

	if (r == 0)
		r = cgroup_tree__walk(root, add_name, &names);
	dir = r == 0 ? opendir("/proc") : NULL;
	if (r == 0 && !dir)
		r = -errno;
	while (dir && (d = readdir(dir))) {
		pid_t pid = atoi(d->d_name);

		if (pid > 0)
			look_at_process(&names, pid, out);
	}
	for (size_t i = 0; i < names.n; i++)
		free(names.v[i].name);
	free(names.v);
	return r;
}
