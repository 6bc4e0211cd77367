/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/deadline.h"
#include "io/loop.h"
#include "sink/batches.h"
#include "sink/fd.h"

#define BIG ((size_t)1 << 20)

struct fixture {
	struct loop *loop;
	struct deadline deadline;
	struct loop_watch *watch;
	struct fd_sink *sink;
	struct results results;
	size_t wanted; /* the loop stops at so many results */
	struct buf received;
	int failures, error;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	return loop__new(&f->loop) || deadline__init(&f->deadline, f->loop) ? -1 : 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fd_sink__free(f->sink);
	loop_watch__free(f->watch);
	deadline__done(&f->deadline);
	loop__free(f->loop);
	buf__free(&f->received);
	free(f);
	return 0;
}

static void on_done(void *ctx, struct batch *b, enum sink_result result)
{
	struct fixture *f = ctx;

	results__add(&f->results, b, result);
}

static void on_failed(void *ctx, int error)
{
	struct fixture *f = ctx;

	f->failures++;
	f->error = error;
}

static void on_readable(void *ctx, int fd, int what)
{
	struct fixture *f = ctx;
	char data[65536];
	ssize_t n = read(fd, data, sizeof(data));

	(void)what;
	if (n > 0)
		buf__append(&f->received, data, (size_t)n);
	if (f->received.len >= f->wanted)
		loop__stop(f->loop);
}

static void make_sink(struct fixture *f, int fd)
{
	const struct fd_sink_opts opts = {.fd = fd, .failed = on_failed};

	assert_int_equal(fd_sink__new(&f->sink, f->loop, &opts, on_done, f), 0);
	assert_true(fd_sink__idle(f->sink));
}

/* `len` bytes that differ by place and by batch, so that a wrong order shows. */
static void submit(struct fixture *f, uint64_t sequence, size_t len)
{
	struct batch *b = make_batch(sequence, "", 0);

	assert_int_equal(buf__reserve(&b->payload, len), 0);
	for (size_t i = 0; i < len; i++)
		b->payload.data[i] = (char)(i * 7 + i / 251 + sequence * 13);
	b->payload.len = len;
	fd_sink__submit(f->sink, b);
}

static void assert_received(struct fixture *f, size_t n, const size_t *lens)
{
	size_t at = 0;

	for (size_t s = 0; s < n; s++) {
		for (size_t i = 0; i < lens[s]; i++, at++)
			if (f->received.data[at] != (char)(i * 7 + i / 251 + s * 13))
				fail_msg("byte %zu of batch %zu is wrong", i, s);
		assert_int_equal(f->results.sequence[s], s);
		assert_int_equal(f->results.result[s], SINK_DELIVERED);
	}
	assert_int_equal(f->received.len, at);
	assert_int_equal(f->results.n, n);
	assert_true(fd_sink__idle(f->sink));
	assert_int_equal(fd_sink__queued_bytes(f->sink), 0);
	assert_int_equal(fd_sink__stats(f->sink)->batches, n);
	assert_int_equal(fd_sink__stats(f->sink)->bytes, at);
}

static void drain(struct fixture *f, int fd, size_t wanted)
{
	f->wanted = wanted;
	assert_int_equal(loop__watch(f->loop, fd, LOOP_READ, on_readable, f, &f->watch), 0);
	deadline__run(&f->deadline);
}

/* Three batches into an end that nobody reads until all are submitted. */
static void check_blocked_then_drained(struct fixture *f, int write_fd, int read_fd)
{
	static const size_t lens[] = {BIG, 10, 70000};
	int flags = fcntl(write_fd, F_GETFL);

	if (!f->sink)
		make_sink(f, write_fd);
	for (size_t i = 0; i < 3; i++)
		submit(f, i, lens[i]);
	assert_false(fd_sink__idle(f->sink));
	assert_true(fd_sink__queued_bytes(f->sink) > BIG);
	assert_int_equal(f->results.n, 0);
	assert_int_equal(fcntl(write_fd, F_GETFL), flags);
	drain(f, read_fd, BIG + 10 + 70000);
	assert_received(f, 3, lens);
	assert_int_equal(fcntl(write_fd, F_GETFL), flags);
	assert_int_equal(f->failures, 0);
}

static void test_pipe(void **state)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	check_blocked_then_drained(*state, fds[1], fds[0]);
	close(fds[0]);
	close(fds[1]);
}

static void test_socket(void **state)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	check_blocked_then_drained(*state, fds[1], fds[0]);
	close(fds[0]);
	close(fds[1]);
}

static void raw_pty(int *ret_master, int *ret_slave)
{
	struct termios t;

	memset(&t, 0, sizeof(t));
	cfmakeraw(&t);
	t.c_cflag = CS8 | CREAD;
	assert_int_equal(openpty(ret_master, ret_slave, NULL, &t, NULL), 0);
}

static void test_terminal(void **state)
{
	int master, slave;

	raw_pty(&master, &slave);
	check_blocked_then_drained(*state, slave, master);
	close(master);
	close(slave);
}

/* A pipe that cannot be opened again, here since it has no reader at that moment: poll, and writes
 * in small pieces. */
static void test_polled_pipe(void **state)
{
	char dir[] = "/tmp/notail-test-XXXXXX", path[64];
	int read_fd, write_fd;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/fifo", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	read_fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	write_fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(read_fd >= 0 && write_fd >= 0);
	close(read_fd);
	make_sink(*state, write_fd);
	read_fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(read_fd >= 0);
	check_blocked_then_drained(*state, write_fd, read_fd);
	close(read_fd);
	close(write_fd);
	unlink(path);
	rmdir(dir);
}

/* Nor can the master of a pty. */
static void test_polled_pty(void **state)
{
	static const size_t lens[] = {3000, 5000};
	struct fixture *f = *state;
	int master, slave, flags;

	raw_pty(&master, &slave);
	flags = fcntl(master, F_GETFL);
	make_sink(f, master);
	submit(f, 0, lens[0]);
	submit(f, 1, lens[1]);
	drain(f, slave, 8000);
	assert_received(f, 2, lens);
	assert_int_equal(fcntl(master, F_GETFL), flags);
	close(slave);
	close(master);
}

static void test_regular_file(void **state)
{
	static const size_t lens[] = {BIG, 0, 5};
	struct fixture *f = *state;
	FILE *file = tmpfile();
	ssize_t n;

	assert_non_null(file);
	make_sink(f, fileno(file));
	for (size_t i = 0; i < 3; i++)
		submit(f, i, lens[i]);
	assert_int_equal(buf__reserve(&f->received, BIG + 100), 0);
	n = pread(fileno(file), f->received.data, BIG + 100, 0);
	assert_int_equal(n, BIG + 5);
	f->received.len = (size_t)n;
	assert_received(f, 3, lens);
	fclose(file);
}

static void test_reader_gone(void **state)
{
	struct fixture *f = *state;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	make_sink(f, fds[1]);
	submit(f, 0, BIG);
	submit(f, 1, 10);
	assert_int_equal(f->results.n, 0);
	/* The sink waits for room; what wakes it is the end of the reader. */
	f->wanted = 0;
	close(fds[0]);
	loop_timer__set(f->deadline.timer, DEADLINE_NS);
	while (!f->failures && !f->deadline.passed) {
		/* One round: the stop is there before it begins. */
		loop__stop(f->loop);
		assert_int_equal(loop__run(f->loop), 0);
	}
	assert_int_equal(f->failures, 1);
	assert_int_equal(f->error, -EPIPE);
	assert_int_equal(f->results.n, 2);
	submit(f, 2, 10);
	assert_int_equal(f->results.n, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(f->results.sequence[i], i);
		assert_int_equal(f->results.result[i], SINK_UNDELIVERED);
	}
	assert_int_equal(f->failures, 1);
	assert_int_equal(fd_sink__stats(f->sink)->dropped_lines, 10 + 11 + 12);
	close(fds[1]);
}

static void test_reader_gone_before(void **state)
{
	struct fixture *f = *state;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	close(fds[0]);
	make_sink(f, fds[1]);
	submit(f, 0, 10);
	assert_int_equal(f->error, -EPIPE);
	assert_int_equal(f->results.result[0], SINK_UNDELIVERED);
	close(fds[1]);
}

static void test_no_space(void **state)
{
	struct fixture *f = *state;
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	if (fd < 0) {
		print_message("SKIP: no /dev/full\n");
		skip();
	}
	make_sink(f, fd);
	submit(f, 0, 10);
	assert_int_equal(f->failures, 1);
	assert_int_equal(f->error, -ENOSPC);
	close(fd);
}

static void test_free_drops(void **state)
{
	const struct fd_sink_opts bad = {.fd = -1};
	struct fixture *f = *state;
	int fds[2];

	assert_int_equal(fd_sink__new(&f->sink, f->loop, &bad, on_done, f), -EBADF);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(
		fd_sink__new(&f->sink, f->loop, &(struct fd_sink_opts){.fd = fds[0]}, on_done, f),
		-EBADF); /* cannot be written to */
	assert_null(f->sink);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	make_sink(f, fds[1]);
	submit(f, 0, BIG);
	submit(f, 1, BIG);
	fd_sink__free(f->sink);
	f->sink = NULL;
	assert_int_equal(f->results.n, 2);
	assert_int_equal(f->results.result[1], SINK_UNDELIVERED);
	fd_sink__free(NULL);
	close(fds[0]);
	close(fds[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_pipe),	TEST(test_socket),     TEST(test_terminal),
		TEST(test_polled_pipe), TEST(test_polled_pty), TEST(test_regular_file),
		TEST(test_reader_gone), TEST(test_no_space),   TEST(test_reader_gone_before),
		TEST(test_free_drops),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
