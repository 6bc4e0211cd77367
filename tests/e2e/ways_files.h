/* SPDX-License-Identifier: Apache-2.0 */
/* Ways to hold the file: descriptors, names of it, other files in its place. */
#ifndef WAYS_FILES_H
#define WAYS_FILES_H

#include "ways.h"

static void way_dup(void)
{
	line(dup(1), "dup of 1");
	line(dup(2), "dup of 2");
}

static void way_dup2(void)
{
	must(dup2(1, 77) == 77, "dup2");
	close(1);
	line(77, "dup2 to 77, 1 is closed");
}

static void way_dup3(void)
{
	must(dup3(1, 78, O_CLOEXEC) == 78, "dup3");
	line(78, "dup3 to 78");
}

static void way_fcntl_dupfd(void)
{
	line(fcntl(1, F_DUPFD, 100), "F_DUPFD");
	line(fcntl(1, F_DUPFD_CLOEXEC, 200), "F_DUPFD_CLOEXEC");
}

static void way_fd_500(void)
{
	must(dup2(1, 500) == 500, "dup2");
	line(500, "fd 500");
}

static void write_to(const char *path, int flags)
{
	int fd = reopen(path, O_WRONLY | flags);

	line(fd, "through %s", path);
	write_all(fd, filled(10000), 10000);
	close(fd);
}

static void way_dev_stdout(void)
{
	write_to("/dev/stdout", 0);
}

static void way_dev_stderr(void)
{
	write_to("/dev/stderr", 0);
}

static void way_dev_fd_1(void)
{
	write_to("/dev/fd/1", 0);
}

static void way_proc_self_fd_1(void)
{
	write_to("/proc/self/fd/1", 0);
}

static void way_proc_thread_self_fd_1(void)
{
	write_to("/proc/thread-self/fd/1", 0);
}

static void way_proc_1_fd_1(void)
{
	write_to("/proc/1/fd/1", 0);
	write_to("/proc/1/fd/2", 0);
}

static void way_open_append(void)
{
	write_to("/proc/self/fd/1", O_APPEND);
}

static void way_open_truncate(void)
{
	write_to("/proc/self/fd/1", O_TRUNC | O_CREAT);
}

/* Opens the pipe's read end as well. */
static void way_open_read_write(void)
{
	int fd = reopen("/proc/self/fd/1", O_RDWR);

	for (int i = 0; i < 20; i++)
		line(fd, "through a read-write descriptor %d", i);
}

static void way_open_path_only(void)
{
	int fd = reopen("/proc/self/fd/1", O_PATH);
	char path[40];

	must(write(fd, "lost\n", 5) < 0 && errno == EBADF, "EBADF");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	write_to(path, 0);
}

static void way_symlink(void)
{
	unlink("/tmp/access.log");
	must(symlink("/dev/stdout", "/tmp/access.log") == 0, "symlink");
	write_to("/tmp/access.log", O_APPEND | O_CREAT);
	unlink("/tmp/access.log");
}

static void way_fifo_of_our_own(void)
{
	int fd;

	unlink("/tmp/fifo");
	must(mkfifo("/tmp/fifo", 0600) == 0, "mkfifo");
	fd = reopen("/tmp/fifo", O_RDWR | O_NONBLOCK);
	write_all(fd, "never seen\n", 11);
	unlink("/tmp/fifo");
	line(1, "beside the FIFO");
}

static void way_pipe_of_our_own(void)
{
	int ends[2];
	char data[20];

	must(pipe(ends) == 0, "pipe");
	write_all(ends[1], "never seen\n", 11);
	must(read(ends[0], data, sizeof(data)) == 11, "read");
	line(1, "beside the pipe");
}

static void way_stdout_to_file(void)
{
	int fd = file_of(10);

	must(dup2(fd, 1) == 1, "dup2");
	line(1, "never seen: exec >file");
	line(2, "stderr is as it was");
}

static void way_stdout_to_null(void)
{
	must(dup2(reopen("/dev/null", O_WRONLY), 1) == 1, "dup2");
	line(1, "never seen");
}

/* The reader of fd 1 in `foo | bar` is bar: no log. */
static void way_stdout_to_pipe(void)
{
	int ends[2];

	must(pipe(ends) == 0, "pipe");
	if (fork() == 0) {
		char data[100];
		ssize_t n;

		close(ends[1]);
		while ((n = read(ends[0], data, sizeof(data))) > 0)
			;
		line(1, "the last command's output");
		_exit(0);
	}
	must(dup2(ends[1], 1) == 1, "dup2");
	close(ends[1]);
	close(ends[0]);
	line(1, "never seen");
	close(1);
}

static void way_stdout_to_stderr(void)
{
	must(dup2(2, 1) == 1, "dup2");
	line(1, "1>&2");
}

static void way_stderr_to_stdout(void)
{
	must(dup2(1, 2) == 2, "dup2");
	line(2, "2>&1");
	line(1, "and stdout");
}

static void way_swapped(void)
{
	int one = dup(1);

	must(dup2(2, 1) == 1 && dup2(one, 2) == 2, "dup2");
	line(1, "fd 1 is stderr's pipe");
	line(2, "fd 2 is stdout's pipe");
}

static void way_closed_and_opened_again(void)
{
	close(1);
	close(2);
	must(open("/proc/1/fd/1", O_WRONLY) == 1, "open");
	must(open("/proc/1/fd/2", O_WRONLY) == 2, "open");
	line(1, "opened again");
	line(2, "opened again");
}

static void way_stdin(void)
{
	must(dup2(1, 0) == 0, "dup2");
	line(0, "fd 0 is stdout");
}

/* Sends a descriptor; the receiver closed its own. */
static void way_scm_rights(void)
{
	int ends[2];
	int fd = 1;
	char byte = 'x';
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "socketpair");
	if (fork() == 0) {
		close(1);
		close(2);
		must(recvmsg(ends[1], &msg, 0) == 1, "recvmsg");
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
		line(fd, "by SCM_RIGHTS");
		_exit(0);
	}
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	must(sendmsg(ends[0], &msg, 0) == 1, "sendmsg");
}

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

static void way_pidfd_getfd(void)
{
	pid_t parent = getpid();

	if (fork() == 0) {
		int fd;

		close(1);
		fd = (int)syscall(SYS_pidfd_open, parent, 0);
		if (fd >= 0)
			fd = (int)syscall(SYS_pidfd_getfd, fd, 1, 0);
		if (fd < 0)
			impossible("pidfd_getfd");
		line(fd, "by pidfd_getfd");
		_exit(0);
	}
	int status;

	wait(&status);
	_exit(WEXITSTATUS(status));
}

/* Takes bytes away before the runtime reads them: it has none of them, nor has notail. */
static void way_foreign_reader(void)
{
	int fd = reopen("/proc/self/fd/1", O_RDONLY | O_NONBLOCK);
	char data[10];

	wait_until_read(); /* the marks are the runtime's */
	for (int i = 0; i < 200; i++) {
		line(1, "perhaps taken by somebody else %d", i);
		if (i % 4 == 0)
			(void)!read(fd, data, 10);
	}
	line(1, "\nafter");
}

static void way_write_while_reader_is_slow(void)
{
	for (int i = 0; i < 30; i++) {
		write_all(1, filled(65536), 65536);
		line(2, "round %d", i);
	}
}

#endif
