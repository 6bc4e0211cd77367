/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the ways of ways.c share: lines to write, and how a way says that it failed or that it is
 * not possible here. A way runs in a process of its own, so it may leave anything behind.
 */
#ifndef WAYS_H
#define WAYS_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define PAGE 4096
#define MIB (1u << 20)
#define STATUS_IMPOSSIBLE 77

/* Why a way failed or was not possible: seen by the parent. */
static char (*way_reason)[200];

static _Noreturn void way_end(int status, const char *what)
{
	snprintf(*way_reason, sizeof(*way_reason), "%s: %s", what, strerror(errno));
	_exit(status);
}

/* The kernel or the container does not allow it: no failure. */
static _Noreturn void impossible(const char *what)
{
	way_end(STATUS_IMPOSSIBLE, what);
}

static void must(bool ok, const char *what)
{
	if (!ok)
		way_end(1, what);
}

static void write_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, data, size);

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		must(n > 0, "write");
		data += n;
		size -= (size_t)n;
	}
}

/* One write(2). */
__attribute__((format(printf, 2, 3))) static void line(int fd, const char *format, ...)
{
	char text[512];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, sizeof(text) - 1, format, args);
	va_end(args);
	text[n++] = '\n';
	write_all(fd, text, (size_t)n);
}

/* Lines of up to `longest` bytes, all different, the last byte is a newline. */
static void fill(char *data, size_t size, size_t longest)
{
	uint32_t x = 2463534242u ^ (uint32_t)size;
	size_t left = 0;

	for (size_t i = 0; i < size; i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		if (left == 0) {
			left = 1 + x % longest;
			data[i] = i ? '\n' : 'A';
			continue;
		}
		data[i] = (char)('a' + x % 26);
		left--;
	}
	data[size - 1] = '\n';
}

static char *memory(size_t size)
{
	char *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(data != MAP_FAILED, "mmap");
	return data;
}

static char *filled(size_t size)
{
	char *data = memory(size);

	fill(data, size, size > 4 * PAGE ? 3000 : 100);
	return data;
}

/* A file with `size` bytes of lines, at its beginning. */
static int file_of(size_t size)
{
	char path[] = "/tmp/ways.XXXXXX";
	int fd = mkstemp(path);

	must(fd >= 0, "mkstemp");
	unlink(path);
	write_all(fd, filled(size), size);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static int memfd_of(size_t size)
{
	int fd = (int)syscall(SYS_memfd_create, "ways", 0);

	must(fd >= 0, "memfd_create");
	write_all(fd, filled(size), size);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

/* The read end of a pipe into which a child writes `size` bytes of lines. */
static int pipe_of(size_t size)
{
	int ends[2];
	pid_t pid;

	must(pipe(ends) == 0, "pipe");
	pid = fork();
	must(pid >= 0, "fork");
	if (pid == 0) {
		close(ends[0]);
		write_all(ends[1], filled(size), size);
		_exit(0);
	}
	close(ends[1]);
	return ends[0];
}

/* The same file description's file, opened again with flags of its own. */
static int reopen(const char *path, int flags)
{
	int fd = open(path, flags);

	must(fd >= 0, path);
	return fd;
}

static void wait_children(void)
{
	while (wait(NULL) > 0 || errno == EINTR)
		;
}

static void pause_ms(long ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&ts, NULL);
}

/* Until the runtime has read all there is. */
static void wait_until_read(void)
{
	int waiting = 1;

	while (waiting > 0) {
		pause_ms(1);
		must(ioctl(1, FIONREAD, &waiting) == 0, "FIONREAD");
	}
}

static pthread_t thread(void *(*fn)(void *), void *arg)
{
	pthread_t id;

	must(pthread_create(&id, NULL, fn, arg) == 0, "pthread_create");
	return id;
}

#endif
