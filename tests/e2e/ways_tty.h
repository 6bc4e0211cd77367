/* SPDX-License-Identifier: Apache-2.0 */
/* With a terminal: what the runtime has is what its master reads. */
#ifndef WAYS_TTY_H
#define WAYS_TTY_H

#include "ways.h"
#include "ways_async.h"
#include "ways_processes.h"

static void way_tty_write(void)
{
	for (int i = 0; i < 50; i++)
		line(1 + i % 2, "terminal %d", i);
}

static void way_tty_large(void)
{
	write_all(1, filled(300000), 300000);
}

static void way_tty_writev(void)
{
	struct iovec iov[] = {{"writev ", 7}, {"to a ", 5}, {"terminal\n", 9}};

	for (int i = 0; i < 10; i++)
		must(writev(1, iov, 3) == 21, "writev");
}

static void way_tty_raw(void)
{
	struct termios old, raw;

	must(tcgetattr(1, &old) == 0, "tcgetattr");
	raw = old;
	cfmakeraw(&raw);
	must(tcsetattr(1, TCSADRAIN, &raw) == 0, "tcsetattr");
	for (int i = 0; i < 10; i++)
		line(1, "raw %d", i);
	must(tcsetattr(1, TCSADRAIN, &old) == 0, "tcsetattr");
	line(1, "\ncooked again");
}

static void way_tty_tabs(void)
{
	struct termios old, tabs;

	must(tcgetattr(1, &old) == 0, "tcgetattr");
	tabs = old;
	tabs.c_oflag |= XTABS | OLCUC;
	must(tcsetattr(1, TCSADRAIN, &tabs) == 0, "tcsetattr");
	line(1, "a\ttab and lower case");
	must(tcsetattr(1, TCSADRAIN, &old) == 0, "tcsetattr");
}

static void write_to_terminal(const char *path)
{
	int fd = open(path, O_WRONLY | O_NOCTTY);

	if (fd < 0)
		impossible(path);
	line(fd, "through %s", path);
}

static void way_tty_dev_tty(void)
{
	write_to_terminal("/dev/tty");
}

static void way_tty_dev_pts(void)
{
	write_to_terminal("/dev/pts/0");
}

static void way_tty_dev_console(void)
{
	write_to_terminal("/dev/console");
}

static void way_tty_proc_1_fd_1(void)
{
	write_to_terminal("/proc/1/fd/1");
}

static void way_tty_binary(void)
{
	char data[256];

	for (int i = 0; i < 256; i++)
		data[i] = (char)i;
	write_all(1, data, sizeof(data));
	line(1, " after");
}

static void way_tty_nonblock(void)
{
	int fd = reopen("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY);
	char *data = filled(100000);

	for (size_t at = 0; at < 100000;) {
		struct pollfd pfd = {.fd = fd, .events = POLLOUT};
		ssize_t n = write(fd, data + at, 100000 - at);

		if (n > 0)
			at += (size_t)n;
		else
			poll(&pfd, 1, 10);
	}
}

static void *tty_lines(void *arg)
{
	for (int i = 0; i < 100; i++)
		line(1, "thread %d line %d", (int)(intptr_t)arg, i);
	return NULL;
}

static void way_tty_threads(void)
{
	pthread_t ids[4];

	for (int i = 0; i < 4; i++)
		ids[i] = thread(tty_lines, (void *)(intptr_t)i);
	for (int i = 0; i < 4; i++)
		pthread_join(ids[i], NULL);
}

static void way_tty_sendfile(void)
{
	int fd = file_of(3000);

	if (sendfile(1, fd, NULL, 3000) < 0)
		impossible("sendfile to a terminal");
}

static void way_tty_uring(void)
{
	struct uring u = uring_new(0);

	for (int i = 0; i < 5; i++)
		uring_write_all(&u, i % 2 ? IOSQE_ASYNC : 0, 2000);
}

static void way_tty_splice(void)
{
	int fd = pipe_of(5000);

	for (size_t left = 5000; left > 0;) {
		ssize_t n = splice(fd, NULL, 1, NULL, left, 0);

		if (n < 0)
			impossible("splice to a terminal");
		left -= (size_t)n;
	}
}

static void way_tty_stty(void)
{
	shell("exec <&1; stty -a | head -n 1; stty -onlcr; echo no return; stty onlcr cols 40 rows "
	      "10; stty size; stty raw; echo raw; stty -raw; stty sane; echo sane");
}

static void way_tty_job_control(void)
{
	shell("exec <&1; set -m; (echo in the background) & wait; sh -c 'kill -STOP $$; echo goes "
	      "on' & "
	      "until jobs >/tmp/ways.jobs; grep -q Stopped /tmp/ways.jobs; do sleep 0.05; done; "
	      "fg; "
	      "stty tostop; (trap '' TTOU; echo in spite of tostop) & wait; stty -tostop; echo "
	      "end");
}

/* What goes through it is not the container's output. */
static void way_tty_of_our_own(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	char name[64];
	int slave;

	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0 ||
	    ptsname_r(master, name, sizeof(name)))
		impossible("a pty");
	slave = reopen(name, O_RDWR | O_NOCTTY);
	write_all(slave, "never seen\n", 11);
	line(1, "beside the terminal");
}

#endif
