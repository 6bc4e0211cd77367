// SPDX-License-Identifier: Apache-2.0
/*
 * io_uring, AIO and vmsplice: what they write is counted to the byte in every hook set, and copied
 * where the bytes can be had. NT_HOOKS=syscall|fexit|multi chooses the hook set.
 */
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "uring.h"

static int setup_read(void **state)
{
	(void)state;
	return rig_load(TAP_AUTO, false);
}

static int setup_write(void **state)
{
	(void)state;
	return rig_load(TAP_WRITE, false);
}

static bool hooks_are(enum hook_set hooks)
{
	return capture__hooks(rig.c) == hooks;
}

static struct uring need_uring(unsigned int flags)
{
	struct uring u;
	int r = uring_open(&u, flags);

	if (r == -ENOSYS || r == -EPERM || r == -EINVAL) {
		fprintf(stderr, "SKIP: no io_uring of that kind here: %s\n", strerror(-r));
		skip();
	}
	assert_int_equal(r, 0);
	return u;
}

/* Requests of the stream's own: one of them, of each kind. */
struct requests {
	struct io_uring_sqe sqes[4];
	struct iovec iov[3];
	char fixed[64];
};

#define REQUESTS_TEXT "write writev write_fixed fixed_file\n"

static void fill_requests(struct requests *r, struct uring *u, int fd)
{
	const struct iovec buffer = {r->fixed, sizeof(r->fixed)};

	r->iov[0] = (struct iovec){"wri", 3};
	r->iov[1] = (struct iovec){"", 0};
	r->iov[2] = (struct iovec){"tev ", 4};
	strcpy(r->fixed, "write_fixed ");
	assert_int_equal(syscall(SYS_io_uring_register, u->fd, IORING_REGISTER_BUFFERS, &buffer, 1),
			 0);
	assert_int_equal(syscall(SYS_io_uring_register, u->fd, IORING_REGISTER_FILES, &fd, 1), 0);
	r->sqes[0] = uring_sqe(IORING_OP_WRITE, fd, "write ", 6);
	r->sqes[1] = uring_sqe(IORING_OP_WRITEV, fd, r->iov, 3);
	r->sqes[2] = uring_sqe(IORING_OP_WRITE_FIXED, fd, r->fixed, 12);
	r->sqes[3] = uring_sqe(IORING_OP_WRITE, 0, "fixed_file\n", 11);
	r->sqes[3].flags = IOSQE_FIXED_FILE;
}

/* All kinds one after the other, read, and compared. `flags`: of the ring and of each request. */
static void check_requests(unsigned int ring_flags, unsigned int sqe_flags)
{
	struct uring u = need_uring(ring_flags);
	struct pipe_end p = open_stream();
	struct requests r;
	size_t at = 0;

	fill_requests(&r, &u, p.w);
	for (int i = 0; i < 4; i++) {
		int n;

		r.sqes[i].flags |= (uint8_t)sqe_flags;
		n = uring_do(&u, r.sqes[i]);
		assert_true(n > 0);
		at += (size_t)n;
		assert_int_equal(kernel_stream(&p.key).written, at);
	}
	assert_int_equal(at, strlen(REQUESTS_TEXT));
	get(&p, at, 4096);
	expect_text(&p.key, REQUESTS_TEXT, at);
	expect_proof(&p.key);
	uring_close(&u);
	close_pipe(&p);
}

static void uring_writes(void **state)
{
	(void)state;
	rig_ready();
	check_requests(0, 0);
}

static void uring_of_a_worker(void **state)
{
	(void)state;
	rig_ready();
	check_requests(0, IOSQE_ASYNC);
}

static void uring_sqpoll(void **state)
{
	(void)state;
	rig_ready();
	check_requests(IORING_SETUP_SQPOLL, 0);
}

static void uring_sqpoll_and_worker(void **state)
{
	(void)state;
	rig_ready();
	check_requests(IORING_SETUP_SQPOLL, IOSQE_ASYNC);
}

static void uring_deferred_work(void **state)
{
	(void)state;
	rig_ready();
	check_requests(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, 0);
	check_requests(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, IOSQE_ASYNC);
}

static void uring_linked(void **state)
{
	struct pipe_end p;
	struct requests r;
	struct uring u;

	(void)state;
	rig_ready();
	u = need_uring(0);
	p = open_stream();
	fill_requests(&r, &u, p.w);
	for (int i = 0; i < 3; i++)
		r.sqes[i].flags |= IOSQE_IO_LINK;
	assert_int_equal(uring_submit(&u, r.sqes, 4), 0);
	for (int i = 0; i < 4; i++)
		assert_true(uring_wait(&u) > 0);
	get(&p, strlen(REQUESTS_TEXT), 4096);
	expect_text(&p.key, REQUESTS_TEXT, strlen(REQUESTS_TEXT));
	expect_proof(&p.key);
	uring_close(&u);
	close_pipe(&p);
}

/* A request waits for room, the process meanwhile does not. */
static void uring_write_to_a_full_pipe(void **state)
{
	static char all[65536 + 40000];
	struct io_uring_sqe sqe;
	struct pipe_end p;
	struct uring u;
	int n;

	(void)state;
	rig_ready();
	u = need_uring(0);
	p = open_stream();
	pattern(all, sizeof(all), 0);
	assert_int_equal(write(p.w, all, 65536), 65536);
	sqe = uring_sqe(IORING_OP_WRITE, p.w, all + 65536, 40000);
	assert_int_equal(uring_submit(&u, &sqe, 1), 0);
	assert_int_equal(kernel_stream(&p.key).written, 65536);
	get(&p, 65536, 65536);
	rig_drain();
	n = uring_wait(&u);
	assert_true(n > 0);
	get(&p, (size_t)n, 65536);
	expect_text(&p.key, all, 65536 + (size_t)n);
	expect_proof(&p.key);
	uring_close(&u);
	close_pipe(&p);
}

static int write_long_by_uring(int fd, unsigned int sqe_flags, const char *buf, size_t len)
{
	struct uring u;

	if (uring_open(&u, 0) < 0)
		return 1;
	for (size_t at = 0; at < len;) {
		struct io_uring_sqe sqe = uring_sqe(IORING_OP_WRITE, fd, buf + at, len - at);
		int n;

		sqe.flags = (uint8_t)sqe_flags;
		n = uring_do(&u, sqe);
		if (n <= 0)
			return 1;
		at += (size_t)n;
	}
	return 0;
}

static void uring_long_write(void **state)
{
	static const unsigned int flags[] = {0, IOSQE_ASYNC};
	static char big[1 << 20];
	struct pipe_end p;
	struct uring u;

	(void)state;
	rig_ready();
	u = need_uring(0);
	uring_close(&u);
	pattern(big, sizeof(big), 0);
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		pid_t pid;

		p = open_stream();
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			_exit(write_long_by_uring(p.w, flags[i], big, sizeof(big)));
		for (size_t done = 0; done < sizeof(big); done += 65536) {
			get(&p, 65536, 65536);
			rig_drain();
		}
		assert_int_equal(wait_child(pid), 0);
		expect_text(&p.key, big, sizeof(big));
		expect_proof(&p.key);
		close_pipe(&p);
	}
}

static void uring_splice_and_tee(void **state)
{
	struct io_uring_sqe sqe;
	struct pipe_end p, from;
	struct uring u;

	(void)state;
	rig_ready();
	u = need_uring(0);
	p = open_stream();
	from = open_pipe();
	put(&from, "spliced");
	sqe = uring_sqe(IORING_OP_TEE, p.w, NULL, 7);
	sqe.off = 0;
	sqe.splice_fd_in = from.r;
	assert_int_equal(uring_do(&u, sqe), 7);
	sqe = uring_sqe(IORING_OP_SPLICE, p.w, NULL, 7);
	sqe.splice_off_in = (uint64_t)-1;
	sqe.splice_fd_in = from.r;
	assert_int_equal(uring_do(&u, sqe), 7);
	assert_int_equal(kernel_stream(&p.key).written, 14);
	get(&p, 14, 4096);
	expect_text(&p.key, "splicedspliced", 14);
	expect_proof(&p.key);
	uring_close(&u);
	close_pipe(&from);
	close_pipe(&p);
}

static void uring_failures_are_no_writes(void **state)
{
	struct pipe_end p, other;
	struct uring u;

	(void)state;
	rig_ready();
	u = need_uring(0);
	p = open_stream();
	other = open_pipe();
	assert_int_equal(uring_do(&u, uring_sqe(IORING_OP_WRITE, p.w, (void *)8, 10)), -EFAULT);
	assert_int_equal(uring_do(&u, uring_sqe(IORING_OP_WRITE, p.r, "x", 1)), -EBADF);
	assert_int_equal(uring_do(&u, uring_sqe(IORING_OP_WRITE, p.w, "", 0)), 0);
	assert_int_equal(uring_do(&u, uring_sqe(IORING_OP_NOP, p.w, NULL, 0)), 0);
	assert_int_equal(uring_do(&u, uring_sqe(IORING_OP_WRITE, other.w, "other", 5)), 5);
	assert_int_equal(kernel_stream(&p.key).written, 0);
	uring_close(&u);
	close_pipe(&other);
	close_pipe(&p);
}

/* Not in every hook set counted, but copied. */
static void uring_without_completion(void **state)
{
	struct io_uring_sqe sqe;
	struct pipe_end p;
	struct uring u;

	(void)state;
	rig_ready();
	u = need_uring(0);
	if (!(u.features & IORING_FEAT_CQE_SKIP)) {
		uring_close(&u);
		fprintf(stderr, "SKIP: no IOSQE_CQE_SKIP_SUCCESS here\n");
		skip();
	}
	p = open_stream();
	sqe = uring_sqe(IORING_OP_WRITE, p.w, "silent\n", 7);
	sqe.flags = IOSQE_CQE_SKIP_SUCCESS;
	assert_int_equal(uring_submit(&u, &sqe, 1), 0);
	get(&p, 7, 4096);
	expect_text(&p.key, "silent\n", 7);
	if (!hooks_are(HOOKS_SYSCALL))
		expect_proof(&p.key);
	uring_close(&u);
	close_pipe(&p);
}

static void uring_names_the_writer(void **state)
{
	static const unsigned int flags[] = {0, IOSQE_ASYNC};
	struct rig_stream *s;
	struct pipe_end p;
	struct uring u;

	(void)state;
	rig_ready();
	u = need_uring(0);
	uring_close(&u);
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		pid_t pid;

		p = open_stream();
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			prctl(PR_SET_NAME, "ring_writer");
			_exit(write_long_by_uring(p.w, flags[i], "mine\n", 5));
		}
		assert_int_equal(wait_child(pid), 0);
		get(&p, 5, 4096);
		expect_text(&p.key, "mine\n", 5);
		s = rig_seen(&p.key);
		assert_int_equal(s->last.pid, pid);
		assert_string_equal(s->last.comm, "ring_writer");
		close_pipe(&p);
	}
}

/* ---- readers of other kinds ---- */

static void uring_reader(void **state)
{
	char a[4], b[100], fixed[64];
	const struct iovec iov[] = {{a, sizeof(a)}, {b, sizeof(b)}};
	const struct iovec buffer = {fixed, sizeof(fixed)};
	struct pipe_end p;
	struct uring u;

	(void)state;
	rig_ready();
	u = need_uring(0);
	p = open_stream();
	assert_int_equal(syscall(SYS_io_uring_register, u.fd, IORING_REGISTER_BUFFERS, &buffer, 1),
			 0);
	put(&p, "read\n");
	assert_int_equal(uring_do(&u, uring_sqe(IORING_OP_READ, p.r, b, sizeof(b))), 5);
	put(&p, "by readv\n");
	assert_int_equal(uring_do(&u, uring_sqe(IORING_OP_READV, p.r, iov, 2)), 9);
	expect_text(&p.key, "read\nby readv\n", 14);
	put(&p, "fixed\n");
	assert_int_equal(uring_do(&u, uring_sqe(IORING_OP_READ_FIXED, p.r, fixed, sizeof(fixed))),
			 6);
	put(&p, "end\n");
	get(&p, 4, 4096);
	rig_drain();
	if (hooks_are(HOOKS_SYSCALL))
		expect_text(&p.key, "read\nby readv\nfixed\nend\n", 24);
	else /* the function's iterator is over pages: a gap, and nothing else */
		assert_int_equal(rig_seen(&p.key)->len + rig_seen(&p.key)->gap_bytes, 24);
	close_p(&p.w);
	p.w = -1;
	assert_int_equal(uring_do(&u, uring_sqe(IORING_OP_READ, p.r, b, sizeof(b))), 0);
	rig_drain();
	assert_int_equal(rig_seen(&p.key)->ends, 1);
	assert_int_equal(rig_seen(&p.key)->end.seen, 24);
	assert_int_equal(rig_seen(&p.key)->end.written, 24);
	uring_close(&u);
	close_pipe(&p);
}

static void uring_reader_that_splices_leaves_a_gap(void **state)
{
	struct io_uring_sqe sqe;
	struct rig_stream *s;
	struct pipe_end p, to;
	struct uring u;

	(void)state;
	rig_ready();
	u = need_uring(0);
	p = open_stream();
	to = open_pipe();
	put(&p, "unseen");
	sqe = uring_sqe(IORING_OP_SPLICE, to.w, NULL, 6);
	sqe.splice_off_in = (uint64_t)-1;
	sqe.splice_fd_in = p.r;
	assert_int_equal(uring_do(&u, sqe), 6);
	put(&p, "seen");
	get(&p, 4, 4096);
	expect_text(&p.key, "seen", 4);
	s = rig_seen(&p.key);
	assert_int_equal(s->gap_bytes, 6);
	assert_int_equal(s->gap_reason, NT_LOST_UNREADABLE);
	uring_close(&u);
	close_pipe(&to);
	close_pipe(&p);
}

/* Out of the pipe, into memory: a read, and no write. */
static void vmsplice_by_the_reader(void **state)
{
	char a[3], b[100];
	const struct iovec iov[] = {{a, sizeof(a)}, {b, sizeof(b)}};
	struct pipe_end p;

	(void)state;
	rig_ready();
	p = open_stream();
	put(&p, "vmspliced\n");
	assert_int_equal(vmsplice(p.r, iov, 2, 0), 10);
	expect_text(&p.key, "vmspliced\n", 10);
	expect_proof(&p.key);
	close_pipe(&p);
}

/* ---- AIO ---- */

static aio_context_t need_aio(unsigned int events)
{
	aio_context_t context = 0;

	if (syscall(SYS_io_setup, events, &context) < 0) {
		assert_true(errno == ENOSYS || errno == EPERM);
		fprintf(stderr, "SKIP: no AIO here\n");
		skip();
	}
	return context;
}

/* The kernel maps 64 KiB of the ring at most when it looks at the first page itself, and less where
 * that crosses a boundary of 2 MiB; a fault is nothing that programs of the kernel can wait for. */
static void touch_ring(aio_context_t context)
{
	const volatile uint32_t *header = (const volatile uint32_t *)context;
	const volatile char *ring = (const volatile char *)context;
	const size_t size = 32 + (size_t)header[1] * sizeof(struct io_event);

	for (size_t at = 0; at < size; at += 4096)
		(void)ring[at];
}

static void aio_writes(void **state)
{
	struct iovec iov[] = {{"wri", 3}, {"", 0}, {"tev\n", 4}};
	struct iocb write, writev, *iocbs[2] = {&write, &writev};
	aio_context_t context;
	struct pipe_end p;

	(void)state;
	rig_ready();
	context = need_aio(8);
	p = open_stream();
	write = aio_iocb(IOCB_CMD_PWRITE, p.w, "write ", 6);
	writev = aio_iocb(IOCB_CMD_PWRITEV, p.w, iov, 3);
	assert_int_equal(aio_run(context, iocbs, 1), 0);
	assert_int_equal(kernel_stream(&p.key).written, 6);
	assert_int_equal(aio_run(context, iocbs + 1, 1), 0);
	assert_int_equal(aio_run(context, iocbs, 2), 0);
	get(&p, 26, 4096);
	expect_text(&p.key, "write writev\nwrite writev\n", 26);
	expect_proof(&p.key);
	syscall(SYS_io_destroy, context);
	close_pipe(&p);
}

/* Many times around the ring, with requests that are none of the stream's in between. */
static void aio_batches(void **state)
{
	static char all[64 * 24], one[64];
	struct iocb iocbs[64], *ptrs[64];
	struct pipe_end p, other;
	aio_context_t context;
	size_t total = 0;

	(void)state;
	rig_ready();
	context = need_aio(64);
	touch_ring(context);
	p = open_stream();
	other = open_pipe();
	for (int round = 0; round < 40; round++) {
		size_t len = 0;

		for (int i = 0; i < 64; i++) {
			const size_t n = (size_t)(i % 24);

			memset(one, 'a' + round % 26, sizeof(one));
			pattern(all + len, i % 3 ? n : 0, total + len);
			iocbs[i] = i % 3 ? aio_iocb(IOCB_CMD_PWRITE, p.w, all + len, n)
					 : aio_iocb(IOCB_CMD_PWRITE, other.w, one, 7);
			len += i % 3 ? n : 0;
			ptrs[i] = &iocbs[i];
		}
		assert_int_equal(aio_run(context, ptrs, 64), 0);
		total += len;
		assert_int_equal(kernel_stream(&p.key).written, total);
		get(&p, len, 4096);
		get(&other, 22 * 7, 4096);
	}
	rig_drain();
	assert_int_equal(rig_seen(&p.key)->len, total);
	expect_proof(&p.key);
	syscall(SYS_io_destroy, context);
	close_pipe(&other);
	close_pipe(&p);
}

/* A result below the length asked for, and one below zero. */
static void aio_short_writes(void **state)
{
	static char big[100000];
	struct iocb iocb, *iocbs[1] = {&iocb};
	aio_context_t context;
	struct pipe_end p;
	uint64_t written;

	(void)state;
	rig_ready();
	context = need_aio(8);
	p = open_stream();
	assert_int_equal(fcntl(p.w, F_SETFL, O_NONBLOCK), 0);
	pattern(big, sizeof(big), 0);
	iocb = aio_iocb(IOCB_CMD_PWRITE, p.w, big, sizeof(big));
	assert_int_equal(aio_run(context, iocbs, 1), 0);
	written = kernel_stream(&p.key).written;
	assert_true(written > 0 && written < sizeof(big));
	assert_int_equal(aio_run(context, iocbs, 1), 0);
	assert_int_equal(kernel_stream(&p.key).written, written);
	get(&p, written, 65536);
	expect_text(&p.key, big, written);
	expect_proof(&p.key);
	syscall(SYS_io_destroy, context);
	close_pipe(&p);
}

#define AIO_THREADS 4
#define AIO_ROUNDS 1000

struct aio_thread {
	pthread_t thread;
	aio_context_t context;
	int fd, id;
	int failed;
};

/* All are different for 250 rounds: a sum that is short says which request is missing. */
static size_t aio_size(int thread, int which, int round)
{
	return (size_t)(1 + thread + AIO_THREADS * (which + 2 * (round % 250)));
}

static void *aio_thread_main(void *arg)
{
	struct aio_thread *t = arg;
	struct io_event events[4];
	char line[2048];
	struct iocb iocbs[2], *ptrs[2] = {&iocbs[0], &iocbs[1]};

	memset(line, 'x', sizeof(line));
	for (int i = 0; i < AIO_ROUNDS && !t->failed; i++) {
		iocbs[0] = aio_iocb(IOCB_CMD_PWRITE, t->fd, line, aio_size(t->id, 0, i));
		iocbs[1] = aio_iocb(IOCB_CMD_PWRITE, t->fd, line, aio_size(t->id, 1, i));
		t->failed = syscall(SYS_io_submit, t->context, 2L, ptrs) != 2;
		/* Whose events they are does not matter: as many are taken as put in. */
		for (int got = 0; got < 2 && !t->failed;) {
			long n = syscall(SYS_io_getevents, t->context, 1L, 2L - got, events, NULL);

			t->failed = n < 0 && errno != EINTR;
			got += n > 0 ? (int)n : 0;
		}
	}
	return NULL;
}

static void aio_threads_on_one_context(void **state)
{
	struct aio_thread threads[AIO_THREADS];
	size_t total = 0, len = 0;
	aio_context_t context;
	struct pipe_end p;
	char buf[4096];

	(void)state;
	rig_ready();
	/* Room for what the others do while one is preempted at the return of its call. */
	context = need_aio(900);
	touch_ring(context);
	p = open_stream();
	for (int i = 0; i < AIO_ROUNDS; i++)
		for (int k = 0; k < AIO_THREADS; k++)
			total += aio_size(k, 0, i) + aio_size(k, 1, i);
	for (int i = 0; i < AIO_THREADS; i++) {
		threads[i] = (struct aio_thread){.context = context, .fd = p.w, .id = i};
		assert_int_equal(
			pthread_create(&threads[i].thread, NULL, aio_thread_main, &threads[i]), 0);
	}
	while (len < total) {
		ssize_t n = read(p.r, buf, sizeof(buf));

		assert_true(n > 0);
		len += (size_t)n;
		rig_drain();
	}
	for (int i = 0; i < AIO_THREADS; i++) {
		assert_int_equal(pthread_join(threads[i].thread, NULL), 0);
		assert_int_equal(threads[i].failed, 0);
	}
	rig_drain();
	assert_int_equal(rig_seen(&p.key)->len, total);
	expect_proof(&p.key);
	syscall(SYS_io_destroy, context);
	close_pipe(&p);
}

/* ---- the write tap copies ---- */

static void write_tap_uring(void **state)
{
	static const unsigned int flags[] = {0, IOSQE_ASYNC};
	struct rig_stream *s;
	struct pipe_end p;
	struct requests r;
	struct uring u;

	(void)state;
	rig_ready();
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		u = need_uring(0);
		p = open_stream();
		fill_requests(&r, &u, p.w);
		for (int k = 0; k < 4; k++) {
			r.sqes[k].flags |= (uint8_t)flags[i];
			assert_true(uring_do(&u, r.sqes[k]) > 0);
		}
		rig_drain();
		s = rig_seen(&p.key);
		assert_non_null(s);
		assert_int_equal(s->last.tap, NT_TAP_WRITE);
		assert_int_equal(s->last.pid, getpid());
		if (hooks_are(HOOKS_SYSCALL)) {
			expect_text(&p.key, REQUESTS_TEXT, strlen(REQUESTS_TEXT));
			expect_proof(&p.key);
		} else { /* the function's iterator is over pages for write_fixed */
			expect_text(&p.key, "write writev fixed_file\n", 24);
			assert_int_equal(s->gap_bytes, 12);
		}
		uring_close(&u);
		close_pipe(&p);
	}
}

static void write_tap_uring_splice_is_a_gap(void **state)
{
	struct io_uring_sqe sqe;
	struct rig_stream *s;
	struct pipe_end p, from;
	struct uring u;

	(void)state;
	rig_ready();
	u = need_uring(0);
	p = open_stream();
	from = open_pipe();
	put(&from, "spliced");
	sqe = uring_sqe(IORING_OP_SPLICE, p.w, NULL, 7);
	sqe.splice_off_in = (uint64_t)-1;
	sqe.splice_fd_in = from.r;
	assert_int_equal(uring_do(&u, sqe), 7);
	put(&p, "written");
	expect_text(&p.key, "written", 7);
	s = rig_seen(&p.key);
	assert_int_equal(s->gap_bytes, 7);
	assert_int_equal(s->gap_reason, NT_LOST_UNREADABLE);
	uring_close(&u);
	close_pipe(&from);
	close_pipe(&p);
}

static void write_tap_uring_socket(void **state)
{
	struct iovec iov[] = {{"send", 4}, {"msg\n", 4}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	struct io_uring_sqe sqe;
	struct nt_stream_key key;
	struct uring u;
	int fds[2];

	(void)state;
	rig_ready();
	u = need_uring(0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	key = rig_key(fds[0]);
	assert_int_equal(capture__add_pipe(rig.c, fds[0], getpid(), NT_FILE_STDERR, RIG_CGROUP_ID),
			 0);
	sqe = uring_sqe(IORING_OP_SEND, fds[0], "send ", 5);
	sqe.off = 0;
	assert_int_equal(uring_do(&u, sqe), 5);
	assert_int_equal(uring_do(&u, uring_sqe(IORING_OP_WRITE, fds[0], "write ", 6)), 6);
	sqe = uring_sqe(IORING_OP_SENDMSG, fds[0], &msg, 1);
	sqe.off = 0;
	assert_int_equal(uring_do(&u, sqe), 8);
	expect_text(&key, "send write sendmsg\n", 19);
	expect_proof(&key);
	uring_close(&u);
	close(fds[0]);
	close(fds[1]);
}

/* A request that waited for room more than once has moved its buffer. */
static void write_tap_uring_long_send(void **state)
{
	static char big[1 << 20];
	struct io_uring_sqe sqe;
	struct nt_stream_key key;
	struct uring u;
	int fds[2];
	pid_t pid;

	(void)state;
	rig_ready();
	u = need_uring(0);
	pattern(big, sizeof(big), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	key = rig_key(fds[0]);
	assert_int_equal(capture__add_pipe(rig.c, fds[0], getpid(), NT_FILE_STDERR, RIG_CGROUP_ID),
			 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		static char buf[65536];

		close(fds[0]);
		while (read(fds[1], buf, sizeof(buf)) > 0)
			;
		_exit(0);
	}
	/* Not as much as the ring has room for: nobody drains it during the call. */
	sqe = uring_sqe(IORING_OP_SEND, fds[0], big, 700000);
	sqe.off = 0;
	sqe.msg_flags = MSG_WAITALL;
	assert_int_equal(uring_do(&u, sqe), 700000);
	expect_text(&key, big, 700000);
	expect_proof(&key);
	uring_close(&u);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(wait_child(pid), 0);
}

static void write_tap_aio(void **state)
{
	struct iovec iov[] = {{"wri", 3}, {"", 0}, {"tev\n", 4}};
	struct iocb write, writev, *iocbs[] = {&write, &writev};
	aio_context_t context;
	struct pipe_end p;

	(void)state;
	rig_ready();
	context = need_aio(8);
	p = open_stream();
	write = aio_iocb(IOCB_CMD_PWRITE, p.w, "write ", 6);
	writev = aio_iocb(IOCB_CMD_PWRITEV, p.w, iov, 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(aio_run(context, iocbs, 2), 0);
	expect_text(&p.key, "write writev\nwrite writev\nwrite writev\n", 39);
	assert_int_equal(rig_seen(&p.key)->last.pid, getpid());
	expect_proof(&p.key);
	syscall(SYS_io_destroy, context);
	close_pipe(&p);
}

#ifdef __x86_64__
/* A 32-bit program's call. */
static long int80(long nr, long a, long b, long c)
{
	long ret;

	asm volatile("int $0x80"
		     : "=a"(ret)
		     : "a"(nr), "b"(a), "c"(b), "d"(c)
		     : "memory", "r8", "r9", "r10", "r11");
	return ret;
}

static char *low_page(void)
{
	char *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	assert_true(low != MAP_FAILED);
	if (int80(20, 0, 0, 0) == -ENOSYS) {
		munmap(low, 4096);
		fprintf(stderr, "SKIP: this kernel has no 32-bit calls\n");
		skip();
	}
	return low;
}

static uint32_t low(const void *p)
{
	return (uint32_t)(uintptr_t)p;
}

static void write_tap_socketcall(void **state)
{
	struct {
		char text[64];
		uint32_t iov[4], hdr[16], args[6];
	} * m;
	struct nt_stream_key key;
	int fds[2];

	(void)state;
	rig_ready();
	m = (void *)low_page();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	key = rig_key(fds[0]);
	assert_int_equal(capture__add_pipe(rig.c, fds[0], getpid(), NT_FILE_STDERR, RIG_CGROUP_ID),
			 0);
	strcpy(m->text, "send sendto sendmsg sendmmsg\n");
	m->args[0] = (uint32_t)fds[0];
	m->args[1] = low(m->text);
	m->args[2] = 5;
	assert_int_equal(int80(102, 9, low(m->args), 0), 5);
	m->args[1] = low(m->text + 5);
	m->args[2] = 7;
	assert_int_equal(int80(102, 11, low(m->args), 0), 7);
	m->iov[0] = low(m->text + 12);
	m->iov[1] = 4;
	m->iov[2] = low(m->text + 16);
	m->iov[3] = 4;
	m->hdr[2] = low(m->iov);
	m->hdr[3] = 2;
	m->args[1] = low(m->hdr);
	m->args[2] = 0;
	assert_int_equal(int80(102, 16, low(m->args), 0), 8);
	m->iov[0] = low(m->text + 20);
	m->iov[1] = 9;
	m->hdr[3] = 1;
	m->args[2] = 1;
	assert_int_equal(int80(102, 20, low(m->args), 0), 1);
	expect_text(&key, "send sendto sendmsg sendmmsg\n", 29);
	expect_proof(&key);
	munmap(m, 4096);
	close(fds[0]);
	close(fds[1]);
}

static void write_tap_aio_int80(void **state)
{
	struct {
		struct iocb iocbs[2];
		char text[64];
		uint32_t iov[4], ptrs[2], context;
	} * m;
	struct pipe_end p;

	(void)state;
	rig_ready();
	m = (void *)low_page();
	p = open_stream();
	strcpy(m->text, "write writev\n");
	m->iov[0] = low(m->text + 6);
	m->iov[1] = 3;
	m->iov[2] = low(m->text + 9);
	m->iov[3] = 4;
	m->iocbs[0] = aio_iocb(IOCB_CMD_PWRITE, p.w, m->text, 6);
	m->iocbs[1] = aio_iocb(IOCB_CMD_PWRITEV, p.w, m->iov, 2);
	m->ptrs[0] = low(&m->iocbs[0]);
	m->ptrs[1] = low(&m->iocbs[1]);
	assert_int_equal(int80(245, 8, low(&m->context), 0), 0);
	assert_int_equal(int80(248, m->context, 2, low(m->ptrs)), 2);
	expect_text(&p.key, "write writev\n", 13);
	expect_proof(&p.key);
	assert_int_equal(int80(246, m->context, 0, 0), 0);
	munmap(m, 4096);
	close_pipe(&p);
}
#endif

int main(void)
{
	const struct CMUnitTest read_tap[] = {
		cmocka_unit_test(uring_writes),
		cmocka_unit_test(uring_of_a_worker),
		cmocka_unit_test(uring_sqpoll),
		cmocka_unit_test(uring_sqpoll_and_worker),
		cmocka_unit_test(uring_deferred_work),
		cmocka_unit_test(uring_linked),
		cmocka_unit_test(uring_write_to_a_full_pipe),
		cmocka_unit_test(uring_long_write),
		cmocka_unit_test(uring_splice_and_tee),
		cmocka_unit_test(uring_failures_are_no_writes),
		cmocka_unit_test(uring_without_completion),
		cmocka_unit_test(uring_names_the_writer),
		cmocka_unit_test(uring_reader),
		cmocka_unit_test(uring_reader_that_splices_leaves_a_gap),
		cmocka_unit_test(vmsplice_by_the_reader),
		cmocka_unit_test(aio_writes),
		cmocka_unit_test(aio_batches),
		cmocka_unit_test(aio_short_writes),
		cmocka_unit_test(aio_threads_on_one_context),
	};
	const struct CMUnitTest write_tap[] = {
		cmocka_unit_test(write_tap_uring),
		cmocka_unit_test(write_tap_uring_splice_is_a_gap),
		cmocka_unit_test(write_tap_uring_socket),
		cmocka_unit_test(write_tap_uring_long_send),
		cmocka_unit_test(write_tap_aio),
#ifdef __x86_64__
		cmocka_unit_test(write_tap_socketcall),
		cmocka_unit_test(write_tap_aio_int80),
#endif
	};
	int failed;

	signal(SIGPIPE, SIG_IGN);
	rig_fill_stdio();
	failed = cmocka_run_group_tests_name("read tap", read_tap, setup_read, rig_unload);
	failed += cmocka_run_group_tests_name("write tap", write_tap, setup_write, rig_unload);
	return failed ? 1 : 0;
}
