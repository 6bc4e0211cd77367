/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Requests of io_uring and of Linux AIO: what one did, and where its bytes are. For the hook set
 * syscall only: the functions of the other two see the writes of both.
 *
 * A request of io_uring is looked at when it completes, which is before its program can know: the
 * buffer is still there. That happens in the process that submitted it, in one of its threads or of
 * the kernel's workers that share its memory.
 *
 * AIO writes to pipes, sockets and terminals while it submits: at the return of io_submit the
 * results lie in the ring that the kernel maps for the program. Of that the first 64 KiB, some
 * 2,000 events, can be read even if the program never looks there: io_submit itself looks at the
 * first page, and a fault brings its neighbours, those in the same 2 MiB of addresses.
 */
#ifndef NT_ASYNC_BPF_H
#define NT_ASYNC_BPF_H

#include "copy.bpf.h"

#define NT_PF_KTHREAD 0x00200000
#define NT_IOSQE_BUFFER_SELECT 32
#define NT_SPLICE_FD_IN_FIXED (1u << 31)

/* Operations of io_uring that the taps know, as classes. */
enum nt_op {
	NT_OP_NONE = 0,
	NT_OP_READ,
	NT_OP_READV,
	NT_OP_WRITE,
	NT_OP_WRITEV,
	NT_OP_SEND,
	NT_OP_SENDMSG,
	NT_OP_SPLICE,
	NT_OP_TEE,
};

#define NT_OPS 64
static const __u8 nt_ops[NT_OPS] = {
	[1] = NT_OP_READV,    [2] = NT_OP_WRITEV, [4] = NT_OP_READ, /* READ_FIXED */
	[5] = NT_OP_WRITE,					    /* WRITE_FIXED */
	[9] = NT_OP_SENDMSG,  [22] = NT_OP_READ,  [23] = NT_OP_WRITE, [26] = NT_OP_SEND,
	[30] = NT_OP_SPLICE,  [33] = NT_OP_TEE,	  [47] = NT_OP_SEND, /* SEND_ZC */
	[49] = NT_OP_READ,    /* READ_MULTISHOT: its last completion */
	[48] = NT_OP_SENDMSG, /* SENDMSG_ZC */
	[60] = NT_OP_READV,   /* READV_FIXED */
	[61] = NT_OP_WRITEV,  /* WRITEV_FIXED */
};

/* NT_OP_NONE too where the tracepoint has no request to show (before 5.19, and further completions
 * of one that has several). */
static __always_inline __u8 nt_request_op(struct io_kiocb *req)
{
	__u8 op;

	if (!bpf_core_field_exists(req->cqe))
		return NT_OP_NONE;
	op = nt_get(req, opcode);
	return op < NT_OPS ? nt_ops[op] : NT_OP_NONE;
}

/* The ring was set up by a 32-bit program. */
static __always_inline bool nt_request_is_compat(struct io_kiocb *req)
{
	return nt_ring_is_compat(nt_get(req, ctx));
}

/* Where the request has its bytes. False: nowhere that could be read. */
static __always_inline bool nt_request_buffers(struct nt_copy *c, struct io_kiocb *req, __u8 op)
{
	struct io_sr_msg *msg = (void *)req;
	struct io_rw *rw = (void *)req;

	switch (op) {
	case NT_OP_READ:
	case NT_OP_WRITE:
		c->base = nt_get(rw, addr);
		c->len = c->total;
		return true;
	case NT_OP_READV:
	case NT_OP_WRITEV:
		nt_copy_vector(c, nt_get(rw, addr), nt_get(rw, len), nt_request_is_compat(req));
		return true;
	case NT_OP_SEND:
		if (nt_get_number(req, flags) & NT_IOSQE_BUFFER_SELECT)
			return false;
		/* A send that went on after a part was sent has moved its buffer. */
		c->base = nt_get_number(msg, buf) - nt_get(msg, done_io);
		c->len = c->total;
		return true;
	case NT_OP_SENDMSG:
		if (nt_get_number(req, flags) & NT_IOSQE_BUFFER_SELECT)
			return false;
		return nt_copy_message(c, nt_get_number(msg, umsg), nt_request_is_compat(req));
	}
	return false;
}

/* The number of the file that a splice takes its bytes from; ~0: not a number of its process. */
static __always_inline __u32 nt_request_splice_in(struct io_kiocb *req)
{
	struct io_splice *splice = (void *)req;

	if (nt_get(splice, flags) & NT_SPLICE_FD_IN_FIXED)
		return ~0u;
	return nt_get(splice, splice_fd_in);
}

/* Requests of a process that is gone are completed by one. */
static __always_inline bool nt_in_kernel_thread(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	return nt_get(task, flags) & NT_PF_KTHREAD;
}

static __always_inline void nt_wrote_nameless(struct nt_stream *s, __u64 bytes)
{
	struct nt_writer *w = nt_writer(s);
	__u64 *comm = (__u64 *)w->writer_comm;

	w->foreign_ns = bpf_ktime_get_boot_ns();
	w->writer_from = w->written;
	w->writer_pid = 0;
	comm[0] = 0;
	comm[1] = 0;
	nt_add(&w->written, bytes);
}

/* ---- AIO ---- */

/* Events looked at for one io_submit's requests: the ring is the program's memory, and may hold
 * anything. */
#define NT_AIO_STEPS 16384
#define NT_LEGACY_AIO_STEPS 64

#define NT_IOCB_WRITE 1
#define NT_IOCB_WRITEV 8

/* struct iocb from its byte 16 on. */
#define NT_IOCB_AT 16
#define NT_IOCB_BUF 24
struct nt_iocb {
	__u16 opcode;
	__s16 priority;
	__u32 fd;
	__u64 buf; /* or the iovecs */
	__u64 len; /* or their number */
};

struct nt_io_event {
	__u64 data;
	__u64 iocb; /* its address */
	__s64 res;
	__s64 res2;
};

/* How the mapped ring begins. */
struct nt_aio_ring {
	__u32 id;
	__u32 slots;
	__u32 head;
	__u32 tail;
	__u32 magic;
	__u32 features[2];
	__u32 header_len;
};

/*
 * Looks the events of one io_submit up by their iocbs. Other threads' lie between them, but its own
 * are in the order of its requests: the first is looked for from the newest event back, so that an
 * older one of the same iocb is not taken for it, and the others from there on.
 */
struct nt_aio_walk {
	__u64 events; /* address of the ring's first slot */
	__u64 slots;
	__u64 tail; /* the slot after the newest event */
	__u64 at;   /* the slot looked at last */
	__u64 from; /* where the walk for this iocb began */
	__u64 step; /* to the next slot, modulo slots */
	__u64 iocb; /* address; 0: no walk under way */
};

static __always_inline bool nt_aio_begin(struct nt_aio_walk *w, __u64 address)
{
	struct nt_aio_ring ring;

	if (bpf_probe_read_user(&ring, sizeof(ring), (void *)address))
		return false;
	w->events = address + sizeof(ring);
	w->slots = ring.slots;
	w->tail = ring.tail;
	w->at = ring.tail;
	w->from = ring.tail;
	w->step = w->slots - 1;
	w->iocb = nt_zero;
	return w->slots;
}

/*
 * Looks at one event. The result of the request, if it is its; otherwise 0, and the walk has ended
 * if there is no more. No two variables are compared for their order: the verifier would learn
 * something new each time, and look at the loop for ever.
 */
static __always_inline __s64 nt_aio_step(struct nt_aio_walk *w)
{
	struct nt_io_event event;

	w->at = (w->at + w->step) % w->slots;
	if (w->at == w->tail || bpf_probe_read_user(&event, sizeof(event),
						    (void *)(w->events + w->at * sizeof(event)))) {
		w->at = w->from;
		w->iocb = nt_zero;
		return 0;
	}
	if (event.iocb != w->iocb)
		return 0;
	w->from = w->at;
	w->step = 1 + nt_zero;
	w->iocb = nt_zero;
	return event.res;
}

#endif
