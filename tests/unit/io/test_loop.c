/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/loop.h"

struct fixture {
	struct loop *loop;
	struct loop_watch *watch;
	struct loop_timer *timer, *other;
	int calls;
	int what;
	char order[8];
};

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	*state = &f;
	return loop__new(&f.loop);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	loop_watch__free(f->watch);
	loop_timer__free(f->timer);
	loop_timer__free(f->other);
	loop__free(f->loop);
	return 0;
}

static void on_fd(void *ctx, int fd, int what)
{
	struct fixture *f = ctx;
	char byte;

	f->calls++;
	f->what |= what;
	if (what & LOOP_READ && read(fd, &byte, 1) == 1 && byte == 'z')
		loop__stop(f->loop);
	if (what & LOOP_WRITE)
		loop__stop(f->loop);
}

static void test_watch_is_persistent(void **state)
{
	struct fixture *f = *state;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(loop__watch(f->loop, fds[0], LOOP_READ, on_fd, f, &f->watch), 0);
	assert_int_equal(write(fds[1], "xyz", 3), 3);
	assert_int_equal(loop__run(f->loop), 0);
	assert_int_equal(f->calls, 3);
	assert_int_equal(f->what, LOOP_READ);
	loop_watch__free(f->watch);
	f->watch = NULL;
	assert_int_equal(loop__watch(f->loop, fds[1], LOOP_WRITE, on_fd, f, &f->watch), 0);
	assert_int_equal(loop__run(f->loop), 0);
	assert_int_equal(f->what, LOOP_READ | LOOP_WRITE);
	close(fds[0]);
	close(fds[1]);
}

static void on_fd_free(void *ctx, int fd, int what)
{
	struct fixture *f = ctx;

	(void)fd;
	(void)what;
	f->calls++;
	loop_watch__free(f->watch);
	f->watch = NULL;
	loop_timer__set(f->timer, 0);
}

static void on_timer_stop(void *ctx)
{
	struct fixture *f = ctx;

	loop__stop(f->loop);
}

static void test_watch_freed_in_its_callback(void **state)
{
	struct fixture *f = *state;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(loop__timer(f->loop, on_timer_stop, f, &f->timer), 0);
	assert_int_equal(loop__watch(f->loop, fds[0], LOOP_READ, on_fd_free, f, &f->watch), 0);
	assert_int_equal(write(fds[1], "xyz", 3), 3);
	assert_int_equal(loop__run(f->loop), 0);
	assert_int_equal(f->calls, 1);
	close(fds[0]);
	close(fds[1]);
}

static void test_watch_refuses_files(void **state)
{
	struct fixture *f = *state;
	FILE *file = tmpfile();

	assert_non_null(file);
	assert_int_equal(loop__watch(f->loop, fileno(file), LOOP_WRITE, on_fd, f, &f->watch),
			 -EPERM);
	assert_null(f->watch);
	fclose(file);
}

static void on_timer_a(void *ctx)
{
	struct fixture *f = ctx;

	strcat(f->order, "a");
	loop__stop(f->loop);
}

static void on_timer_b(void *ctx)
{
	struct fixture *f = ctx;

	strcat(f->order, "b");
}

static void test_timers(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(loop__timer(f->loop, on_timer_a, f, &f->timer), 0);
	assert_int_equal(loop__timer(f->loop, on_timer_b, f, &f->other), 0);
	/* Moved from far away to before the other one. */
	loop_timer__set(f->timer, 40 * NS_PER_MS);
	loop_timer__set(f->other, 3600 * NS_PER_SEC);
	loop_timer__set(f->other, 1);
	assert_int_equal(loop__run(f->loop), 0);
	assert_string_equal(f->order, "ba");
	/* One shot: `b` does not come again; cancelled: nor does it then. */
	loop_timer__set(f->other, 0);
	loop_timer__cancel(f->other);
	loop_timer__set(f->timer, 5 * NS_PER_MS);
	assert_int_equal(loop__run(f->loop), 0);
	assert_string_equal(f->order, "baa");
}

static void on_signal(void *ctx, int signo)
{
	struct fixture *f = ctx;

	f->what = signo;
	loop__stop(f->loop);
}

static void test_signal(void **state)
{
	struct fixture *f = *state;
	struct loop_signal *s = NULL;

	assert_int_equal(loop__signal(f->loop, SIGUSR1, on_signal, f, &s), 0);
	raise(SIGUSR1);
	assert_int_equal(loop__run(f->loop), 0);
	assert_int_equal(f->what, SIGUSR1);
	loop_signal__free(s);
}

static void *stop_from_outside(void *ctx)
{
	loop__stop(ctx);
	return NULL;
}

static void test_stop_from_a_thread(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, stop_from_outside, f->loop), 0);
	assert_int_equal(loop__run(f->loop), 0);
	pthread_join(thread, NULL);
	/* Before the run: not lost. */
	loop__stop(f->loop);
	assert_int_equal(loop__run(f->loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_watch_is_persistent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_watch_freed_in_its_callback, setup, teardown),
		cmocka_unit_test_setup_teardown(test_watch_refuses_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_signal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop_from_a_thread, setup, teardown),
	};

	loop__free(NULL);
	loop_watch__free(NULL);
	loop_timer__free(NULL);
	loop_signal__free(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
