// SPDX-License-Identifier: Apache-2.0
/*
 * The second copy of the read tap: each read is taken once, whichever copies see it, in whichever
 * order they run. A copy that the kernel skips cannot be had at will: one that is detached for a
 * while looks the same to the other. And under load, as the kernel has it: what a reader got and
 * no tap saw must show in the number of misses.
 */
#include <bpf/libbpf.h>
#include <pthread.h>
#include <sys/uio.h>

#include "capture/internal.h"
#include "rig.h"

#define LOAD_STREAMS 6
#define LOAD_BYTES (2u << 20) /* each */
#define LOAD_WRITE 100
#define LOAD_READ 4096

static int setup(void **state)
{
	int r = rig_load(TAP_AUTO, false);

	if (r < 0 || rig.skip)
		return r;
	if (capture__legacy(rig.c)) {
		rig.skip = "there is no second copy of legacy programs";
		return 0;
	}
	rig_unload(state);
	r = rig_load_with((struct capture_opts){.second_copy = SECOND_COPY_ON});
	if (r < 0)
		return r;
	if (capture__hooks(rig.c) != HOOKS_SYSCALL)
		rig.skip = "the hook set syscall is not the one that is asked for";
	else if (bpf_map__fd(rig.c->skel->maps.nt_marks) < 0)
		rig.skip = "this kernel does not count a thread's reads";
	return 0;
}

static int setup_load(void **state)
{
	(void)state;
	return rig_load(TAP_AUTO, false);
}

static int setup_load_single(void **state)
{
	(void)state;
	return rig_load_with((struct capture_opts){.second_copy = SECOND_COPY_OFF});
}

static void attach(struct bpf_link **link, const struct bpf_program *prog, bool wanted)
{
	if (wanted == (*link != NULL))
		return;
	if (wanted) {
		*link = bpf_program__attach(prog);
		assert_non_null(*link);
	} else {
		assert_int_equal(bpf_link__destroy(*link), 0);
		*link = NULL;
	}
}

static void attach_first(bool wanted)
{
	attach(&rig.c->skel->links.nt_sys_exit, rig.c->skel->progs.nt_sys_exit, wanted);
}

static void attach_second(bool wanted)
{
	attach(&rig.c->skel->links.nt_sys_exit_again, rig.c->skel->progs.nt_sys_exit_again, wanted);
}

/* Both, the first in front. */
static void attach_both(void)
{
	attach_first(false);
	attach_second(false);
	attach_first(true);
	attach_second(true);
}

static void expect_one_end(struct pipe_end *p)
{
	char c;

	close_p(&p->w);
	p->w = -1;
	assert_int_equal(read(p->r, &c, 1), 0);
	rig_drain();
	assert_int_equal(rig_seen(&p->key)->ends, 1);
}

/* Reads that nothing tells apart but their number. */
static void read_equal(struct pipe_end *p, int times)
{
	char buf[8];

	for (int i = 0; i < times; i++)
		put(p, "same\n");
	for (int i = 0; i < times; i++)
		assert_int_equal(read(p->r, buf, 5), 5);
}

static void expect_equal(const struct pipe_end *p, int times)
{
	char text[2000];

	assert_true((size_t)times * 5 <= sizeof(text));
	for (int i = 0; i < times; i++)
		memcpy(text + i * 5, "same\n", 5);
	expect_text(&p->key, text, (size_t)times * 5);
}

static void each_read_is_taken_once(void **state)
{
	char a[3], b[7];
	struct iovec iov[] = {{a, sizeof(a)}, {b, sizeof(b)}};
	struct pipe_end p;

	(void)state;
	rig_ready();
	attach_both();
	p = open_stream();
	read_equal(&p, 300);
	expect_equal(&p, 300);
	expect_proof(&p.key);
	put(&p, "same\nsame\n");
	assert_int_equal(readv(p.r, iov, 2), 10);
	expect_equal(&p, 302);
	expect_one_end(&p);
	close_pipe(&p);
}

static void second_takes_what_the_first_did_not(void **state)
{
	struct pipe_end p;

	(void)state;
	rig_ready();
	p = open_stream();
	attach_first(false);
	attach_second(true);
	read_equal(&p, 20);
	expect_equal(&p, 20);
	expect_one_end(&p);
	close_pipe(&p);
}

/* A mark of an earlier call says nothing of this one. */
static void copies_take_turns(void **state)
{
	struct pipe_end p;

	(void)state;
	rig_ready();
	p = open_stream();
	for (int i = 0; i < 6; i++) {
		attach_first(i % 2 == 0);
		attach_second(i % 2 == 1);
		read_equal(&p, 3);
	}
	expect_equal(&p, 18);
	attach_both();
	read_equal(&p, 3);
	expect_equal(&p, 21);
	expect_one_end(&p);
	close_pipe(&p);
}

static void order_of_the_copies_does_not_matter(void **state)
{
	struct pipe_end p;

	(void)state;
	rig_ready();
	p = open_stream();
	attach_first(false);
	attach_second(true);
	attach_first(true);
	read_equal(&p, 100);
	expect_equal(&p, 100);
	expect_proof(&p.key);
	expect_one_end(&p);
	close_pipe(&p);
	attach_both();
}

/* What counts as a read of the thread, and is none of the stream. */
static void other_reads_lie_between(void **state)
{
	struct pipe_end p, other;
	char buf[64];
	int fd;

	(void)state;
	rig_ready();
	attach_both();
	p = open_stream();
	other = open_pipe();
	fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	for (int i = 0; i < 50; i++) {
		attach_first(i % 3 != 1);
		read_equal(&p, 1);
		put(&other, "no\n");
		assert_int_equal(read(other.r, buf, sizeof(buf)), 3);
		assert_true(pread(fd, buf, sizeof(buf), 0) > 0);
		assert_true(read(-1, buf, 1) < 0);
	}
	expect_equal(&p, 50);
	expect_one_end(&p);
	close(fd);
	close_pipe(&other);
	close_pipe(&p);
}

/* vmsplice is no read that is counted: a mark must not be taken for its own. */
static void vmsplice_after_a_read(void **state)
{
	char buf[8];
	struct iovec iov = {buf, 5};
	struct pipe_end p;

	(void)state;
	rig_ready();
	attach_both();
	p = open_stream();
	read_equal(&p, 1);
	put(&p, "same\nsame\n");
	assert_int_equal(vmsplice(p.r, &iov, 1, 0), 5);
	assert_int_equal(vmsplice(p.r, &iov, 1, 0), 5);
	expect_equal(&p, 3);
	read_equal(&p, 1);
	expect_equal(&p, 4);
	close_pipe(&p);
}

static void *read_some(void *arg)
{
	read_equal(arg, 10);
	return NULL;
}

/* As the goroutine of a shim: one read after the other, in changing threads. */
static void threads_take_turns(void **state)
{
	struct pipe_end p;

	(void)state;
	rig_ready();
	attach_both();
	p = open_stream();
	for (int i = 0; i < 10; i++) {
		pthread_t thread;

		read_equal(&p, 10);
		assert_int_equal(pthread_create(&thread, NULL, read_some, &p), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
	}
	expect_equal(&p, 200);
	expect_proof(&p.key);
	expect_one_end(&p);
	close_pipe(&p);
}

/* ---- load ---- */

struct load {
	struct pipe_end p;
	pthread_t thread;
	pid_t writer;
	uint64_t read_bytes;
};

static void write_load(int fd)
{
	static char text[LOAD_WRITE];

	pattern(text, sizeof(text), 1);
	for (size_t done = 0; done < LOAD_BYTES;) {
		ssize_t n = write(fd, text, MIN(sizeof(text), LOAD_BYTES - done));

		if (n <= 0)
			_exit(1);
		done += (size_t)n;
	}
	_exit(0);
}

static void *read_load(void *arg)
{
	struct load *l = arg;
	char buf[LOAD_READ];

	while (l->read_bytes < LOAD_BYTES) {
		ssize_t n = read(l->p.r, buf, sizeof(buf));

		if (n <= 0)
			break;
		l->read_bytes += (uint64_t)n;
	}
	return NULL;
}

/* Bytes that readers got and no tap saw. */
static uint64_t run_load(void)
{
	struct load loads[LOAD_STREAMS] = {};
	uint64_t unseen = 0;

	for (int i = 0; i < LOAD_STREAMS; i++)
		loads[i].p = open_stream();
	for (int i = 0; i < LOAD_STREAMS; i++) {
		struct load *l = &loads[i];

		l->writer = fork();
		assert_true(l->writer >= 0);
		if (l->writer == 0)
			write_load(l->p.w);
		assert_int_equal(pthread_create(&l->thread, NULL, read_load, l), 0);
	}
	for (int i = 0; i < LOAD_STREAMS; i++) {
		struct load *l = &loads[i];

		while (pthread_tryjoin_np(l->thread, NULL) == EBUSY) {
			rig_drain();
			poll(NULL, 0, 1);
		}
		assert_int_equal(wait_child(l->writer), 0);
		assert_int_equal(l->read_bytes, LOAD_BYTES);
	}
	rig_drain();
	for (int i = 0; i < LOAD_STREAMS; i++) {
		uint64_t seen = kernel_stream(&loads[i].p.key).seen;

		assert_true(seen <= LOAD_BYTES);
		unseen += LOAD_BYTES - seen;
		close_pipe(&loads[i].p);
	}
	return unseen;
}

/* In each hook set, with what it has against misses. */
static void under_load_a_loss_shows(void **state)
{
	uint64_t misses, unseen;

	(void)state;
	rig_ready();
	misses = capture__misses(rig.c, NT_TAP_READ);
	unseen = run_load();
	misses = capture__misses(rig.c, NT_TAP_READ) - misses;
	fprintf(stderr, "%s: of %u bytes %llu were not seen; misses: %llu\n",
		hook_set__name(capture__hooks(rig.c)), LOAD_STREAMS * LOAD_BYTES,
		(unsigned long long)unseen, (unsigned long long)misses);
	if (unseen)
		assert_true(misses > 0);
}

int main(void)
{
	const struct CMUnitTest copies[] = {
		cmocka_unit_test(each_read_is_taken_once),
		cmocka_unit_test(second_takes_what_the_first_did_not),
		cmocka_unit_test(copies_take_turns),
		cmocka_unit_test(order_of_the_copies_does_not_matter),
		cmocka_unit_test(other_reads_lie_between),
		cmocka_unit_test(vmsplice_after_a_read),
		cmocka_unit_test(threads_take_turns),
	};
	const struct CMUnitTest load[] = {
		cmocka_unit_test(under_load_a_loss_shows),
	};
	int failed;

	signal(SIGPIPE, SIG_IGN);
	rig_fill_stdio();
	setenv("NT_HOOKS", "syscall", 0);
	failed = cmocka_run_group_tests_name("two copies", copies, setup, rig_unload);
	failed += cmocka_run_group_tests_name("load", load, setup_load, rig_unload);
	failed += cmocka_run_group_tests_name("load, single", load, setup_load_single, rig_unload);
	return failed ? 1 : 0;
}
