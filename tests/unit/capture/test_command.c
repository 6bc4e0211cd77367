/* SPDX-License-Identifier: Apache-2.0 */
/* Real children: their output, their statuses, and that nothing runs before it may. No root. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "capture/command.h"

#define DEADLINE_MS 60000

static struct command *make(char *const argv[])
{
	struct command *c = NULL;
	char why[256] = "";

	if (command__new(&c, argv, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	assert_non_null(c);
	assert_true(command__pid(c) > 0);
	return c;
}

static struct command *make_shell(const char *script)
{
	char *argv[] = {"sh", "-c", (char *)script, NULL};

	return make(argv);
}

/* Until the end of the stream. */
static void read_all(int fd, char *buf, size_t size)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	size_t len = 0;
	ssize_t n;

	do {
		assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
		n = read(fd, buf + len, size - 1 - len);
		assert_true(n >= 0 || errno == EAGAIN || errno == EINTR);
		len += n > 0 ? (size_t)n : 0;
	} while (n != 0 && len < size - 1);
	buf[len] = '\0';
}

static int wait_status(struct command *c)
{
	int pidfd = (int)syscall(SYS_pidfd_open, command__pid(c), 0);
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	int status = -1;
	siginfo_t info;

	if (pidfd < 0 && errno == ENOSYS) { /* valgrind 3.19 */
		assert_int_equal(waitid(P_PID, (id_t)command__pid(c), &info, WEXITED | WNOWAIT), 0);
	} else {
		assert_return_code(pidfd, errno);
		assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
		close(pidfd);
	}
	assert_true(command__wait(c, &status));
	return status;
}

static void test_streams_and_status(void **state)
{
	struct command *c = make_shell("echo out; echo err >&2; printf half; exit 3");
	char text[64];
	int status = -1;

	(void)state;
	assert_int_equal(command__go(c), 0);
	read_all(command__stdout(c), text, sizeof(text));
	assert_string_equal(text, "out\nhalf");
	read_all(command__stderr(c), text, sizeof(text));
	assert_string_equal(text, "err\n");
	assert_int_equal(wait_status(c), 3);
	assert_true(command__wait(c, &status)); /* again, after it was reaped */
	assert_int_equal(status, 3);
	command__signal(c, SIGTERM); /* reaped: goes to nobody */
	command__free(c);
}

static void test_drain(void **state)
{
	struct command *c = make_shell("echo out; echo err >&2");
	struct pollfd p[2];
	int r;

	(void)state;
	assert_int_equal(command__drain(c), 0); /* it waits: nothing, and no end */
	assert_int_equal(command__go(c), 0);
	p[0] = (struct pollfd){.fd = command__stdout(c), .events = POLLIN};
	p[1] = (struct pollfd){.fd = command__stderr(c), .events = POLLIN};
	while ((r = command__drain(c)) == 0)
		assert_true(poll(p, 2, DEADLINE_MS) > 0);
	assert_int_equal(r, 1);
	assert_int_equal(wait_status(c), 0);
	command__free(c);
}

static void test_never_let_go(void **state)
{
	char dir[] = "/tmp/test_command.XXXXXX", path[64];
	char *argv[] = {"touch", path, NULL};
	struct command *c;
	int status;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/ran", dir);
	c = make(argv);
	assert_false(command__wait(c, &status));
	command__free(c);
	assert_int_equal(access(path, F_OK), -1);
	assert_return_code(rmdir(dir), errno);
	command__free(NULL);
}

static void test_go_once(void **state)
{
	struct command *c = make_shell("exit 0");

	(void)state;
	assert_int_equal(command__go(c), 0);
	assert_int_equal(command__go(c), -EALREADY);
	assert_int_equal(wait_status(c), 0);
	command__free(c);
}

static void test_not_found(void **state)
{
	char *argv[] = {"/nonexistent/program", NULL};
	struct command *c = make(argv);

	(void)state;
	assert_int_equal(command__go(c), -ENOENT);
	assert_int_equal(wait_status(c), 127);
	command__free(c);
}

static void test_not_runnable(void **state)
{
	char *argv[] = {"/dev/null", NULL};
	struct command *c = make(argv);

	(void)state;
	assert_int_equal(command__go(c), -EACCES);
	assert_int_equal(wait_status(c), 126);
	command__free(c);
}

static void test_signal(void **state)
{
	struct command *c = make_shell("echo up; read line <&1; exec sleep 60");
	char up[1];
	struct pollfd p = {.events = POLLIN};

	(void)state;
	p.fd = command__stdout(c);
	assert_int_equal(command__go(c), 0);
	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
	assert_int_equal(read(p.fd, up, 1), 1);
	command__signal(c, SIGTERM);
	assert_int_equal(wait_status(c), 128 + SIGTERM);
	command__free(c);
}

/* What notail ignores or blocks for itself is nothing to its child. */
static void test_signals_are_default(void **state)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
	struct command *c;
	sigset_t term, mask;

	(void)state;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	assert_return_code(sigaction(SIGPIPE, &ignore, &before), errno);
	assert_return_code(sigprocmask(SIG_BLOCK, &term, &mask), errno);
	c = make_shell("kill -PIPE $$; exit 5");
	assert_int_equal(command__go(c), 0);
	assert_int_equal(wait_status(c), 128 + SIGPIPE);
	command__free(c);
	c = make_shell("kill -TERM $$; exit 5");
	assert_int_equal(command__go(c), 0);
	assert_int_equal(wait_status(c), 128 + SIGTERM);
	command__free(c);
	assert_return_code(sigprocmask(SIG_SETMASK, &mask, NULL), errno);
	assert_return_code(sigaction(SIGPIPE, &before, NULL), errno);
}

/* With notail's stdio closed the pipes must not take its numbers. */
static void test_closed_stdin(void **state)
{
	int saved = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10);
	struct command *c;
	char text[64];

	(void)state;
	close(STDIN_FILENO);
	c = make_shell("echo out; echo err >&2");
	assert_int_equal(command__go(c), 0);
	read_all(command__stdout(c), text, sizeof(text));
	assert_string_equal(text, "out\n");
	read_all(command__stderr(c), text, sizeof(text));
	assert_string_equal(text, "err\n");
	assert_int_equal(wait_status(c), 0);
	command__free(c);
	if (saved >= 0) {
		assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
		close(saved);
	}
}

/* Of pipes the child has its own two, and what the tests' caller left open to everybody. */
static void test_no_other_pipes(void **state)
{
	char *argv[] = {"ls", "-l", "/proc/self/fd", NULL};
	struct command *c = make(argv);
	char text[4096];
	unsigned own = 0;

	(void)state;
	assert_int_equal(command__go(c), 0);
	read_all(command__stdout(c), text, sizeof(text));
	for (char *at = text; (at = strstr(at, " -> pipe:[")); at++) {
		char *number = at, path[64];
		struct stat st;
		int fd;

		while (number[-1] >= '0' && number[-1] <= '9')
			number--;
		fd = atoi(number);
		own += fd == STDOUT_FILENO || fd == STDERR_FILENO;
		if (fd <= STDERR_FILENO)
			continue;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		assert_return_code(stat(path, &st), errno);
		assert_int_equal(st.st_ino, strtoull(at + strlen(" -> pipe:["), NULL, 10));
		assert_false(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	}
	assert_int_equal(own, 2);
	assert_int_equal(wait_status(c), 0);
	command__free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_streams_and_status),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_never_let_go),
		cmocka_unit_test(test_go_once),
		cmocka_unit_test(test_not_found),
		cmocka_unit_test(test_not_runnable),
		cmocka_unit_test(test_signal),
		cmocka_unit_test(test_signals_are_default),
		cmocka_unit_test(test_closed_stdin),
		cmocka_unit_test(test_no_other_pipes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
