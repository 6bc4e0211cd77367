/* SPDX-License-Identifier: Apache-2.0 */
/* io_uring and AIO by their system calls. */
#ifndef NOTAIL_TESTS_BPF_URING_H
#define NOTAIL_TESTS_BPF_URING_H

#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "rig.h"

#define RING_ENTRIES 32

struct uring {
	int fd;
	unsigned int flags;
	unsigned int features; /* IORING_FEAT_* */
	unsigned int *sq_tail, *sq_mask, *sq_array, *sq_flags;
	unsigned int *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
	void *maps[3];
	size_t sizes[3];
};

static inline void *uring_map(struct uring *u, int i, size_t size, off_t offset)
{
	u->maps[i] = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, u->fd, offset);
	u->sizes[i] = size;
	return u->maps[i] == MAP_FAILED ? NULL : u->maps[i];
}

/* 0 or -errno. */
static inline int uring_open(struct uring *u, unsigned int flags)
{
	struct io_uring_params p = {.flags = flags, .sq_thread_idle = 100};
	char *sq, *cq;

	memset(u, 0, sizeof(*u));
	u->flags = flags;
	u->fd = (int)syscall(SYS_io_uring_setup, RING_ENTRIES, &p);
	if (u->fd < 0)
		return -errno;
	u->features = p.features;
	sq = uring_map(u, 0, p.sq_off.array + p.sq_entries * sizeof(unsigned int),
		       IORING_OFF_SQ_RING);
	cq = uring_map(u, 1, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe),
		       IORING_OFF_CQ_RING);
	u->sqes = uring_map(u, 2, p.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
	if (!sq || !cq || !u->sqes)
		return -ENOMEM;
	u->sq_tail = (unsigned int *)(sq + p.sq_off.tail);
	u->sq_mask = (unsigned int *)(sq + p.sq_off.ring_mask);
	u->sq_array = (unsigned int *)(sq + p.sq_off.array);
	u->sq_flags = (unsigned int *)(sq + p.sq_off.flags);
	u->cq_head = (unsigned int *)(cq + p.cq_off.head);
	u->cq_tail = (unsigned int *)(cq + p.cq_off.tail);
	u->cq_mask = (unsigned int *)(cq + p.cq_off.ring_mask);
	u->cqes = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
	return 0;
}

static inline void uring_close(struct uring *u)
{
	for (size_t i = 0; i < ARRAY_SIZE(u->maps); i++)
		munmap(u->maps[i], u->sizes[i]);
	close(u->fd);
}

static inline int uring_enter(struct uring *u, unsigned int submit, unsigned int complete,
			      unsigned int flags)
{
	long r;

	do
		r = syscall(SYS_io_uring_enter, u->fd, submit, complete, flags, NULL, 0);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : (int)r;
}

/* Submits without waiting for a completion. 0 or -errno. */
static inline int uring_submit(struct uring *u, const struct io_uring_sqe *sqes, unsigned int n)
{
	unsigned int tail = *u->sq_tail;
	int r;

	for (unsigned int i = 0; i < n; i++) {
		unsigned int at = (tail + i) & *u->sq_mask;

		u->sqes[at] = sqes[i];
		u->sq_array[at] = at;
	}
	__atomic_store_n(u->sq_tail, tail + n, __ATOMIC_SEQ_CST);
	if (!(u->flags & IORING_SETUP_SQPOLL)) {
		r = uring_enter(u, n, 0, 0);
		return r < 0 ? r : r == (int)n ? 0 : -EIO;
	}
	if (!(__atomic_load_n(u->sq_flags, __ATOMIC_SEQ_CST) & IORING_SQ_NEED_WAKEUP))
		return 0;
	r = uring_enter(u, 0, 0, IORING_ENTER_SQ_WAKEUP);
	return r < 0 ? r : 0;
}

/* The result of the next completion. */
static inline int uring_wait(struct uring *u)
{
	unsigned int head = *u->cq_head;
	int res;

	while (head == __atomic_load_n(u->cq_tail, __ATOMIC_ACQUIRE)) {
		int r = uring_enter(u, 0, 1, IORING_ENTER_GETEVENTS);

		if (r < 0)
			return r;
	}
	res = u->cqes[head & *u->cq_mask].res;
	__atomic_store_n(u->cq_head, head + 1, __ATOMIC_RELEASE);
	return res;
}

static inline int uring_do(struct uring *u, struct io_uring_sqe sqe)
{
	int r = uring_submit(u, &sqe, 1);

	return r < 0 ? r : uring_wait(u);
}

static inline struct io_uring_sqe uring_sqe(unsigned int op, int fd, const void *addr, size_t len)
{
	return (struct io_uring_sqe){.opcode = (uint8_t)op,
				     .fd = fd,
				     .off = (uint64_t)-1,
				     .addr = (uintptr_t)addr,
				     .len = (uint32_t)len};
}

/* ---- AIO ---- */

static inline struct iocb aio_iocb(unsigned int op, int fd, const void *buf, size_t len)
{
	return (struct iocb){.aio_lio_opcode = (uint16_t)op,
			     .aio_fildes = (uint32_t)fd,
			     .aio_buf = (uintptr_t)buf,
			     .aio_nbytes = len};
}

/* Submits `n` requests and takes as many events. 0 or -errno. */
static inline int aio_run(aio_context_t context, struct iocb **iocbs, long n)
{
	struct io_event events[64];
	long got = 0, r = syscall(SYS_io_submit, context, n, iocbs);

	if (r != n)
		return r < 0 ? -errno : -EIO;
	while (got < n) {
		r = syscall(SYS_io_getevents, context, 1L, MIN(n - got, 64L), events, NULL);
		if (r < 0 && errno != EINTR)
			return -errno;
		got += r > 0 ? r : 0;
	}
	return 0;
}

#endif
