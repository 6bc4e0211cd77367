// SPDX-License-Identifier: Apache-2.0
/*
 * A container runtime without an engine: thousands of containers in seconds.
 *
 *	runtime PREFIX COUNT AT_ONCE LINES PAUSE_MS [DIRECTORY]
 *
 * Each container is what a runtime makes of it, as far as capturing goes: a cgroup with a name of
 * 64 hexadecimal digits (PREFIX, then its number), a shim that reads its two pipes and outlives
 * it, and a program in a mount namespace of its own. The program writes LINES lines to stdout,
 * `NUMBER LINE NANOSECONDS` with CLOCK_REALTIME, PAUSE_MS apart, and `NUMBER err` to stderr. What
 * the shim read of stdout is kept in DIRECTORY/NUMBER. Every other shim removes the cgroup before
 *it reads anything, as runtimes do that are behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ID_DIGITS 64
#define REMOVE_MS 60000

struct options {
	const char *prefix;
	long count, at_once;
	const char *lines, *pause_ms;
	const char *directory; /* NULL: no record is kept */
	char base[256];
};

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "runtime: %s: %s\n", what, strerror(errno));
	_exit(1);
}

static void must(bool ok, const char *what)
{
	if (!ok)
		die(what);
}

/* The program of a container. */
static int say(char **argv)
{
	long lines = atol(argv[2]), pause_ms = atol(argv[3]);
	struct timespec now;

	dprintf(2, "%s err\n", argv[1]);
	for (long i = 0; i < lines; i++) {
		clock_gettime(CLOCK_REALTIME, &now);
		dprintf(1, "%s %ld %lld%09ld\n", argv[1], i, (long long)now.tv_sec, now.tv_nsec);
		if (pause_ms)
			poll(NULL, 0, (int)pause_ms);
	}
	return 0;
}

static void find_base(struct options *o)
{
	FILE *f = fopen("/proc/self/mounts", "re");
	char line[1024], dir[200], type[64];

	must(f != NULL, "/proc/self/mounts");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*s %199s %63s", dir, type) == 2 && strcmp(type, "cgroup2") == 0)
			snprintf(o->base, sizeof(o->base), "%s/e2e-%s", dir, o->prefix);
	}
	fclose(f);
	errno = ENOENT;
	must(o->base[0] != 0, "the unified cgroup hierarchy");
}

/* What left the cgroup may take a moment to be gone. */
static void remove_cgroup(const char *dir)
{
	for (int ms = 0; rmdir(dir) < 0; ms++) {
		must(errno == EBUSY && ms < REMOVE_MS, dir);
		poll(NULL, 0, 1);
	}
}

static void init(const struct options *o, const char *dir, const char *number, int out, int err)
{
	char procs[600];
	int fd;

	snprintf(procs, sizeof(procs), "%s/cgroup.procs", dir);
	fd = open(procs, O_WRONLY | O_CLOEXEC);
	must(fd >= 0 && write(fd, "0", 1) == 1, procs);
	close(fd);
	must(unshare(CLONE_NEWNS) == 0, "unshare");
	must(dup2(out, 1) == 1 && dup2(err, 2) == 2, "dup2");
	execl("/proc/self/exe", "say", number, o->lines, o->pause_ms, NULL);
	die("exec");
}

/* Reads both pipes to their ends. */
static void copy(int out, int err, int record)
{
	struct pollfd fds[] = {{.fd = out, .events = POLLIN}, {.fd = err, .events = POLLIN}};
	char buf[4096];
	int open = 2;

	while (open > 0) {
		must(poll(fds, 2, -1) > 0 || errno == EINTR, "poll");
		for (int i = 0; i < 2; i++) {
			ssize_t n;

			if (fds[i].fd < 0 || !fds[i].revents)
				continue;
			n = read(fds[i].fd, buf, sizeof(buf));
			must(n >= 0, "read");
			if (n > 0 && i == 0 && record >= 0)
				must(write(record, buf, (size_t)n) == n, "record");
			if (n == 0) {
				fds[i].fd = -1;
				open--;
			}
		}
	}
}

/* A container from its beginning to its end. */
static int shim(const struct options *o, long n)
{
	char dir[400], number[32], path[600];
	int out[2], err[2], record = -1, status = -1;
	pid_t pid;

	snprintf(number, sizeof(number), "%ld", n);
	snprintf(dir, sizeof(dir), "%s/%s%0*lx", o->base, o->prefix,
		 (int)(ID_DIGITS - strlen(o->prefix)), (unsigned long)n);
	if (o->directory) {
		snprintf(path, sizeof(path), "%s/%ld", o->directory, n);
		record = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		must(record >= 0, path);
	}
	must(mkdir(dir, 0755) == 0, dir);
	must(pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0, "pipe");
	pid = fork();
	must(pid >= 0, "fork");
	if (pid == 0)
		init(o, dir, number, out[1], err[1]);
	close(out[1]);
	close(err[1]);
	if (n % 2 == 0)
		copy(out[0], err[0], record);
	must(waitpid(pid, &status, 0) == pid, "wait");
	remove_cgroup(dir);
	if (n % 2)
		copy(out[0], err[0], record);
	return status == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct options o = {0};
	long started = 0, running = 0;
	int status, failed = 0;

	if (argc == 4 && strcmp(argv[0], "say") == 0)
		return say(argv);
	if (argc < 6 || argc > 7 || strlen(argv[1]) > ID_DIGITS - 16) {
		fprintf(stderr, "usage: runtime PREFIX COUNT AT_ONCE LINES PAUSE_MS [DIRECTORY]\n");
		return 2;
	}
	o.prefix = argv[1];
	o.count = atol(argv[2]);
	o.at_once = atol(argv[3]);
	o.lines = argv[4];
	o.pause_ms = argv[5];
	o.directory = argv[6];
	find_base(&o);
	must(mkdir(o.base, 0755) == 0 || errno == EEXIST, o.base);
	while (started < o.count || running > 0) {
		if (started < o.count && running < o.at_once) {
			pid_t pid = fork();

			must(pid >= 0, "fork");
			if (pid == 0)
				_exit(shim(&o, started));
			started++;
			running++;
			continue;
		}
		must(wait(&status) > 0, "wait");
		failed += status != 0;
		running--;
	}
	remove_cgroup(o.base);
	return failed ? 1 : 0;
}
