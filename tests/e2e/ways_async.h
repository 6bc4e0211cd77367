/* SPDX-License-Identifier: Apache-2.0 */
/* io_uring and AIO, by their system calls. */
#ifndef WAYS_ASYNC_H
#define WAYS_ASYNC_H

#include <linux/aio_abi.h>
#include <linux/io_uring.h>

#include "ways.h"

struct uring {
	int fd;
	unsigned int flags;
	unsigned int *sq_tail, *sq_mask, *sq_array, *sq_flags;
	unsigned int *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

static void *uring_map(int fd, size_t size, off_t offset)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, offset);

	must(p != MAP_FAILED, "mmap of a ring");
	return p;
}

static struct uring uring_new(unsigned int flags)
{
	struct io_uring_params p = {.flags = flags, .sq_thread_idle = 1000};
	struct uring u = {.flags = flags};
	char *sq, *cq;

	u.fd = (int)syscall(SYS_io_uring_setup, 32, &p);
	if (u.fd < 0)
		impossible("io_uring_setup");
	sq = uring_map(u.fd, p.sq_off.array + p.sq_entries * sizeof(unsigned int),
		       IORING_OFF_SQ_RING);
	cq = uring_map(u.fd, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe),
		       IORING_OFF_CQ_RING);
	u.sqes = uring_map(u.fd, p.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
	u.sq_tail = (unsigned int *)(sq + p.sq_off.tail);
	u.sq_mask = (unsigned int *)(sq + p.sq_off.ring_mask);
	u.sq_array = (unsigned int *)(sq + p.sq_off.array);
	u.sq_flags = (unsigned int *)(sq + p.sq_off.flags);
	u.cq_head = (unsigned int *)(cq + p.cq_off.head);
	u.cq_tail = (unsigned int *)(cq + p.cq_off.tail);
	u.cq_mask = (unsigned int *)(cq + p.cq_off.ring_mask);
	u.cqes = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
	return u;
}

/* Submits one request and waits for `complete` completions; the result of the last. */
static int uring_run(struct uring *u, struct io_uring_sqe sqe, unsigned int complete)
{
	unsigned int tail = *u->sq_tail;
	unsigned int flags = complete ? IORING_ENTER_GETEVENTS : 0;
	unsigned int submit = 1;
	int result = 0;

	u->sqes[tail & *u->sq_mask] = sqe;
	u->sq_array[tail & *u->sq_mask] = tail & *u->sq_mask;
	__atomic_store_n(u->sq_tail, tail + 1, __ATOMIC_SEQ_CST);
	if (u->flags & IORING_SETUP_SQPOLL) {
		submit = 0;
		if (__atomic_load_n(u->sq_flags, __ATOMIC_SEQ_CST) & IORING_SQ_NEED_WAKEUP)
			flags |= IORING_ENTER_SQ_WAKEUP;
	}
	while (syscall(SYS_io_uring_enter, u->fd, submit, complete, flags, NULL, 0) < 0)
		must(errno == EINTR, "io_uring_enter");
	for (; complete > 0; complete--) {
		unsigned int head = *u->cq_head;

		must(head != __atomic_load_n(u->cq_tail, __ATOMIC_ACQUIRE), "a completion");
		result = u->cqes[head & *u->cq_mask].res;
		__atomic_store_n(u->cq_head, head + 1, __ATOMIC_RELEASE);
	}
	if (result == -EINVAL) {
		errno = EINVAL;
		impossible("io_uring request");
	}
	return result;
}

static struct io_uring_sqe uring_write(const char *data, size_t size)
{
	return (struct io_uring_sqe){.opcode = IORING_OP_WRITE,
				     .fd = 1,
				     .off = (uint64_t)-1,
				     .addr = (uintptr_t)data,
				     .len = (uint32_t)size};
}

static void uring_write_all(struct uring *u, unsigned int sqe_flags, size_t size)
{
	char *data = filled(size);

	for (size_t at = 0; at < size;) {
		struct io_uring_sqe sqe = uring_write(data + at, size - at);
		int n;

		sqe.flags = (uint8_t)sqe_flags;
		n = uring_run(u, sqe, 1);
		must(n > 0, "io_uring write");
		at += (size_t)n;
	}
}

static void way_uring_write(void)
{
	struct uring u = uring_new(0);

	for (int i = 0; i < 20; i++)
		uring_write_all(&u, 0, 100);
}

static void way_uring_write_large(void)
{
	struct uring u = uring_new(0);

	uring_write_all(&u, 0, 2 * MIB);
}

static void way_uring_async(void)
{
	struct uring u = uring_new(0);

	for (int i = 0; i < 20; i++)
		uring_write_all(&u, IOSQE_ASYNC, 100);
	uring_write_all(&u, IOSQE_ASYNC, MIB);
}

static void way_uring_sqpoll(void)
{
	struct uring u = uring_new(IORING_SETUP_SQPOLL);

	for (int i = 0; i < 20; i++)
		uring_write_all(&u, 0, 100);
}

static void way_uring_writev(void)
{
	struct uring u = uring_new(0);
	struct iovec iov[] = {{"io_uring ", 9}, {"writev\n", 7}};
	struct io_uring_sqe sqe = {.opcode = IORING_OP_WRITEV,
				   .fd = 1,
				   .off = (uint64_t)-1,
				   .addr = (uintptr_t)iov,
				   .len = 2};

	for (int i = 0; i < 10; i++)
		must(uring_run(&u, sqe, 1) == 16, "io_uring writev");
}

static void way_uring_write_fixed(void)
{
	struct uring u = uring_new(0);
	char *data = filled(10 * PAGE);
	struct iovec iov = {data, 10 * PAGE};
	struct io_uring_sqe sqe = uring_write(data, 10 * PAGE);

	if (syscall(SYS_io_uring_register, u.fd, IORING_REGISTER_BUFFERS, &iov, 1) < 0)
		impossible("IORING_REGISTER_BUFFERS");
	sqe.opcode = IORING_OP_WRITE_FIXED;
	must(uring_run(&u, sqe, 1) > 0, "io_uring write_fixed"); /* short where the pipe is full */
}

static void way_uring_fixed_file(void)
{
	struct uring u = uring_new(0);
	struct io_uring_sqe sqe = uring_write("io_uring fixed file\n", 20);
	int fd = 1;

	must(syscall(SYS_io_uring_register, u.fd, IORING_REGISTER_FILES, &fd, 1) == 0, "register");
	sqe.fd = 0;
	sqe.flags = IOSQE_FIXED_FILE;
	for (int i = 0; i < 10; i++)
		must(uring_run(&u, sqe, 1) == 20, "io_uring write");
}

static void way_uring_linked(void)
{
	struct uring u = uring_new(0);
	struct io_uring_sqe first = uring_write("io_uring first\n", 15);
	struct io_uring_sqe second = uring_write("io_uring second\n", 16);

	first.flags = IOSQE_IO_LINK;
	for (int i = 0; i < 10; i++) {
		uring_run(&u, first, 0);
		must(uring_run(&u, second, 2) > 0, "linked write");
	}
}

static void way_uring_no_completion(void)
{
	struct uring u = uring_new(0);
	struct io_uring_sqe sqe = uring_write("io_uring without a CQE\n", 23);

	sqe.flags = IOSQE_CQE_SKIP_SUCCESS;
	for (int i = 0; i < 10; i++)
		uring_run(&u, sqe, 0);
	must(uring_run(&u, uring_write("last\n", 5), 1) == 5, "io_uring write");
}

static void way_uring_splice(void)
{
	struct uring u = uring_new(0);
	struct io_uring_sqe sqe = {.opcode = IORING_OP_SPLICE,
				   .fd = 1,
				   .off = (uint64_t)-1,
				   .splice_off_in = (uint64_t)-1,
				   .splice_fd_in = file_of(30000)};

	for (uint32_t left = 30000; left > 0;) {
		int n;

		sqe.len = left;
		n = uring_run(&u, sqe, 1);
		must(n > 0, "io_uring splice");
		left -= (uint32_t)n;
	}
}

static void way_uring_tee(void)
{
	struct uring u = uring_new(0);
	int in[2];
	struct io_uring_sqe sqe = {.opcode = IORING_OP_TEE, .fd = 1, .len = 2000};

	must(pipe(in) == 0, "pipe");
	write_all(in[1], filled(2000), 2000);
	sqe.splice_fd_in = in[0];
	must(uring_run(&u, sqe, 1) == 2000, "io_uring tee");
}

static void aio_run(struct iocb *iocb, int64_t expected)
{
	aio_context_t context = 0;
	struct io_event event;

	if (syscall(SYS_io_setup, 8, &context) < 0)
		impossible("io_setup");
	must(syscall(SYS_io_submit, context, 1, &iocb) == 1, "io_submit");
	must(syscall(SYS_io_getevents, context, 1, 1, &event, NULL) == 1, "io_getevents");
	must(event.res == expected, "the result of AIO");
	syscall(SYS_io_destroy, context);
}

static void way_aio_write(void)
{
	struct iocb iocb = {.aio_lio_opcode = IOCB_CMD_PWRITE,
			    .aio_fildes = 1,
			    .aio_buf = (uintptr_t) "by AIO\n",
			    .aio_nbytes = 7};

	for (int i = 0; i < 10; i++)
		aio_run(&iocb, 7);
	iocb.aio_buf = (uintptr_t)filled(50000);
	iocb.aio_nbytes = 50000;
	aio_run(&iocb, 50000);
}

static void way_aio_writev(void)
{
	struct iovec iov[] = {{"AIO ", 4}, {"of two\n", 7}};
	struct iocb iocb = {.aio_lio_opcode = IOCB_CMD_PWRITEV,
			    .aio_fildes = 1,
			    .aio_buf = (uintptr_t)iov,
			    .aio_nbytes = 2};

	for (int i = 0; i < 10; i++)
		aio_run(&iocb, 11);
}

#endif
