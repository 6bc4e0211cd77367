/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the scan at start would register, without a program in the kernel: each container's init,
 * its standard output and error, and who holds the other end. A descriptor's link in /proc has the
 * owner's bit r where it is open to read; that of a terminal's master tells the terminal's number
 * in its fdinfo.
 */
#include "capture/report.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/util.h"
#include "capture/proc.h"
#include "capture/scan.h"

#define MAX_ENDS 8192
#define ID_DIGITS 12
#define MAJOR_MEM 1
#define MAJOR_PTS 136
#define MAJOR_PTS_LAST 143

/* fd 1 or 2 of an init. */
struct end {
	char container[64];
	char cgroup[512];
	pid_t init, parent, reader;
	int fd;
	ino_t pipe;	   /* 0: it is none */
	int terminal;	   /* the number; -1: it is none */
	const char *other; /* what it is else */
	bool socket;
};

struct ends {
	struct end *v;
	size_t n;
};

/* The id's first digits, or the cgroup's own name. */
static void name_container(const char *path, char *name, size_t size)
{
	const char *last = strrchr(path, '/'), *p;
	size_t digits;

	last = last ? last + 1 : path;
	for (p = last; *p; p += digits ? digits : 1) {
		digits = strspn(p, "0123456789abcdef");
		if (digits >= 64) {
			snprintf(name, size, "%.*s", ID_DIGITS, p);
			return;
		}
	}
	snprintf(name, size, "%s", last);
}

static void look_at_file(struct end *e)
{
	char path[64];
	struct stat st;

	e->terminal = -1;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", e->init, e->fd);
	if (stat(path, &st) < 0)
		e->other = "closed";
	else if (S_ISFIFO(st.st_mode))
		e->pipe = st.st_ino;
	else if (S_ISSOCK(st.st_mode))
		e->socket = true;
	else if (S_ISCHR(st.st_mode) && major(st.st_rdev) >= MAJOR_PTS &&
		 major(st.st_rdev) <= MAJOR_PTS_LAST)
		e->terminal = (int)(minor(st.st_rdev) + 256 * (major(st.st_rdev) - MAJOR_PTS));
	else if (S_ISCHR(st.st_mode) && major(st.st_rdev) == MAJOR_MEM)
		e->other = "a device without a reader";
	else
		e->other = "a file";
}

static void add_init(void *ctx, const char *path, pid_t init)
{
	struct ends *ends = ctx;
	struct proc_stat st;

	if (!init || proc__stat(init, &st) < 0)
		return;
	for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO && ends->n < MAX_ENDS; fd++) {
		struct end *e = &ends->v[ends->n++];

		*e = (struct end){.init = init, .parent = st.ppid, .fd = fd};
		name_container(path, e->container, sizeof(e->container));
		snprintf(e->cgroup, sizeof(e->cgroup), "%s", path);
		look_at_file(e);
	}
}

/* The number of the terminal whose master the file is; -1. */
static int master_number(int proc, const char *fd)
{
	char path[300], text[512];
	const char *at;

	snprintf(path, sizeof(path), "fdinfo/%s", fd);
	if (file__read_text(proc, path, text, sizeof(text)) < 0)
		return -1;
	at = strstr(text, "tty-index:");
	return at ? atoi(at + strlen("tty-index:")) : -1;
}

/* The parent comes before others; who is in the container is none. */
static void note_reader(struct ends *ends, pid_t pid, const char *cgroup, ino_t pipe, int terminal)
{
	for (size_t i = 0; i < ends->n; i++) {
		struct end *e = &ends->v[i];

		if (pipe ? e->pipe != pipe : (e->terminal < 0 || e->terminal != terminal))
			continue;
		if (pid == e->parent || (!e->reader && strcmp(cgroup, e->cgroup) != 0))
			e->reader = pid;
	}
}

static void look_at_process(struct ends *ends, pid_t pid)
{
	char path[64], cgroup[4096], link[64];
	_close_ int proc = -1;
	const struct dirent *d;
	struct stat st;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	proc = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = proc < 0 ? NULL : opendir(path);
	if (!dir)
		return;
	if (cgroup2__path(pid, cgroup, sizeof(cgroup)) < 0)
		cgroup[0] = '\0';
	while ((d = readdir(dir))) {
		ssize_t len = readlinkat(dirfd(dir), d->d_name, link, sizeof(link) - 1);
		unsigned long pipe = 0;
		int terminal = -1;

		if (len < 0)
			continue;
		link[len] = '\0';
		if (sscanf(link, "pipe:[%lu]", &pipe) != 1) {
			if (!strstr(link, "ptmx"))
				continue;
			terminal = master_number(proc, d->d_name);
		}
		if ((pipe || terminal >= 0) &&
		    fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    (st.st_mode & S_IRUSR))
			note_reader(ends, pid, cgroup, pipe, terminal);
	}
	closedir(dir);
}

static int find_readers(struct ends *ends)
{
	DIR *dir = opendir("/proc");
	const struct dirent *d;

	if (!dir)
		return -errno;
	while (ends->n && (d = readdir(dir))) {
		pid_t pid = atoi(d->d_name);

		if (pid > 0)
			look_at_process(ends, pid);
	}
	closedir(dir);
	return 0;
}

/* ends->v is the caller's to free, in any case. */
static int find(struct ends *ends)
{
	_close_ int root = -1;
	int r = cgroup2__open_root(&root);

	ends->v = calloc(MAX_ENDS, sizeof(*ends->v));
	if (!ends->v)
		return -ENOMEM;
	if (r == 0)
		r = scan__inits(root, add_init, ends);
	return r < 0 ? r : find_readers(ends);
}

static const char *explain(const struct end *e, char *why, size_t size)
{
	struct proc_stat st = {0};

	if (e->other) {
		snprintf(why, size, "%s", e->other);
		return "none";
	}
	if (e->socket || !e->reader) {
		snprintf(why, size,
			 e->socket ? "a socket: its reader is not known" : "no reader found");
		return "write";
	}
	if (proc__stat(e->reader, &st) < 0)
		snprintf(why, size, "reader %d", e->reader);
	else
		snprintf(why, size, "reader %d %s", e->reader, st.comm);
	for (char *p = why; *p; p++)
		if ((unsigned char)*p < ' ' || (unsigned char)*p >= 0x7f)
			*p = '?';
	return "read";
}

static const char *stream_name(const struct end *e)
{
	if (e->terminal >= 0)
		return "tty";
	return e->fd == STDOUT_FILENO ? "stdout" : "stderr";
}

/* Where fd 1 and 2 are one file it is one stream. */
static bool is_second(const struct ends *ends, size_t i)
{
	const struct end *e = &ends->v[i], *first = i ? e - 1 : e;

	return e->fd == STDERR_FILENO && first->init == e->init &&
	       ((e->pipe && e->pipe == first->pipe) ||
		(e->terminal >= 0 && e->terminal == first->terminal));
}

int report__streams(FILE *out)
{
	struct ends ends = {};
	char why[96];
	int r = find(&ends);

	for (size_t i = 0; i < ends.n; i++) {
		const struct end *e = &ends.v[i];
		const char *tap = explain(e, why, sizeof(why));

		if (!is_second(&ends, i))
			fprintf(out, "stream %s %s tap %s: %s\n", e->container, stream_name(e), tap,
				why);
	}
	free(ends.v);
	return r;
}

json_t *report__streams_json(void)
{
	json_t *array = json_array();
	struct ends ends = {};
	char why[96];

	if (array)
		find(&ends);
	for (size_t i = 0; i < ends.n; i++) {
		const struct end *e = &ends.v[i];
		const char *tap = explain(e, why, sizeof(why));

		if (!is_second(&ends, i))
			json_array_append_new(
				array, json_pack("{s:s,s:s,s:s,s:s}", "container", e->container,
						 "stream", stream_name(e), "tap", tap, "why", why));
	}
	free(ends.v);
	return array;
}
