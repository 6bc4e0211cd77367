/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The hooks. Each is short: it finds the call's file and bytes and hands them to one of two taps.
 *
 * The write tap sees the writer: it counts, and notes who it was. The read tap sees the one process
 * that reads the stream, the container's runtime: the bytes it got are final, in the pipe's own
 * order, whichever calls wrote them, so that is where they are copied. A stream that nobody known
 * reads is copied by the write tap.
 *
 * The taps are reached through one of three hook sets, of which user space loads one: sys_exit;
 * fexit of the functions that read and write; or entry and return probes of the same functions.
 */
#include "compat.bpf.h"
#include "cgroup_names.h"
#include "event.h"
#include "maps.bpf.h"
#include "account.bpf.h"
#include "async.bpf.h"
#include "copy.bpf.h"
#include "generation.bpf.h"
#include "note.bpf.h"
#include "register.bpf.h"
#include "rescue.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define NT_EIO 5

#ifdef FAULT_DROP_READ
#define NT_DROPS_READ 1
#else
#define NT_DROPS_READ 0
#endif
#ifdef FAULT_DROP_COUNT
#define NT_DROPS_COUNT 1
#else
#define NT_DROPS_COUNT 0
#endif
#ifdef FAULT_NO_RESCUE
#define NT_RESCUES 0
#else
#define NT_RESCUES 1
#endif

/* Builds for tests lose every 1,000th call. */
static volatile __u64 fault_calls;

static __always_inline bool fault_drops(void)
{
	return ++fault_calls % 1000 == 0;
}

static __always_inline void count_bytes(struct nt_writer *w, struct task_struct *task, __u64 bytes)
{
	if (!nt_no_writers && (!NT_DROPS_COUNT || !fault_drops()))
		nt_wrote(w, task, bytes);
}

/* The current process wrote to a stream. False: counting is not all that there is to do. */
static __always_inline bool count_write(struct nt_stream *s, struct task_struct *task, __u64 bytes)
{
	if (!s->tap)
		return true;
	if (nt_notes || s->tap == NT_TAP_WRITE)
		return false;
	count_bytes(nt_writer(s), task, bytes);
	return true;
}

/* The same, with all that there is to do. `hash`: its note may have one. True: they are to be
 * copied. */
static __always_inline bool tap_write_begins(struct nt_copy *c, bool readable, bool hash)
{
	struct nt_stream *s = c->s;
	__u64 at = 0;

	if (!s->tap)
		return false;
	if (nt_notes)
		at = nt_note_write(c, readable, hash);
	else
		count_bytes(nt_writer(s), nt_current(), c->total);
	if (s->tap != NT_TAP_WRITE || nt_has_switched(s, c->total))
		return false;
	if (!readable) {
		nt_lose(s, NT_LOST_UNREADABLE, c->total, 1);
		return false;
	}
	if (!nt_no_writers) {
		c->who.known = nt_notes ? NT_KNOWN_NOTES : NT_KNOWN;
		c->who.from = nt_notes ? at : s->seen;
		c->who.pid = bpf_get_current_pid_tgid() >> 32;
		((__u64 *)c->who.comm)[0] = nt_get_comm(nt_leader(), 0);
		((__u64 *)c->who.comm)[1] = nt_get_comm(nt_leader(), 1);
	}
	return nt_copy_begins(c);
}

/* The current process wrote c->total bytes to the stream; `readable`: c says from where. */
static __always_inline void tap_write_as(struct nt_copy *c, bool readable, bool hash)
{
	if (tap_write_begins(c, readable, hash))
		nt_copy_all(c);
}

static __always_inline void tap_write(struct nt_copy *c, bool readable)
{
	tap_write_as(c, readable, true);
}

/* The same, by a process that is gone: no name is right for it. */
static __always_inline void tap_nameless_write(struct nt_copy *c)
{
	struct nt_stream *s = c->s;

	if (!s->tap)
		return;
	if (nt_notes)
		nt_note_nameless(c);
	else if (!nt_no_writers)
		nt_wrote_nameless(s, c->total);
	if (s->tap == NT_TAP_WRITE && !nt_has_switched(s, c->total))
		nt_lose(s, NT_LOST_UNREADABLE, c->total, 1);
}

/* The current process, a known reader, got c->total bytes of the stream. */
static __always_inline void tap_read(struct nt_copy *c, bool readable)
{
	struct nt_stream *s = c->s;

	if (s->tap != NT_TAP_READ &&
	    (!NT_ATOMIC || !nt_taken(c->key.ino, nt_dev_type(&c->key), c->total)))
		return;
	if (NT_DROPS_READ && fault_drops())
		return;
	if (!readable) {
		nt_lose(s, NT_LOST_UNREADABLE, c->total, 1);
		return;
	}
	nt_name_writer(s, c->pipe, c->total, &c->who);
	if (nt_copy_begins(c))
		nt_copy_all(c);
}

/* May the current process be the reader of a stream? */
static __always_inline bool is_reader_process(__u32 tgid)
{
	return nt_is_searching() ||
	       ((volatile __u32 *)nt_filter_readers)[nt_filter_reader_slot(tgid)];
}

static __always_inline bool is_reader(void)
{
	return is_reader_process(bpf_get_current_pid_tgid() >> 32);
}

/* Not a stranger: what one took is counted by the first copy alone, which leaves no mark of it. */
static __always_inline bool is_known_reader(void)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	__u32 *how = bpf_map_lookup_elem(&nt_readers, &tgid);

	return how && *how == NT_READER;
}

/* The file's stream, for the current process' side of it. */
static __always_inline bool find_stream(struct nt_copy *c, struct file *file, enum nt_side side)
{
	struct nt_target t = {};

	c->s = nt_find(file, side, &t);
	if (!c->s || !nt_is_mine(side == NT_SIDE_READER, c->total))
		return false;
	if (side == NT_SIDE_READER && c->s->reader != bpf_get_current_pid_tgid() >> 32 &&
	    !nt_other_reader(t.key.ino, nt_dev_type(&t.key), t.pipe, c->total))
		return false;
	c->key = t.key;
	c->pipe = t.pipe;
	return true;
}

/*
 * The current process wrote to the file. False: it is no stream, or it was only to be counted,
 * which is done by now. Nearly all writes of containers end here.
 */
static __always_inline bool begin_write(struct nt_copy *c, struct task_struct *task,
					struct file *file, __u64 bytes)
{
	struct nt_stream_key key;
	struct nt_stream *s;
	struct nt_hot *hot;
	__u64 pipe;

	if (!nt_key_of(file, NT_SIDE_WRITER, &key, &pipe, true) || !nt_is_mine(false, bytes))
		return false;
	hot = nt_find_hot(&key);
	if (hot && hot->counts && !nt_notes) {
		count_bytes(&hot->w, task, bytes);
		return false;
	}
	s = nt_lookup(&key);
	if (!s || count_write(s, task, bytes))
		return false;
	nt_copy_begin(c, bytes);
	c->s = s;
	c->key = key;
	c->pipe = pipe;
	return true;
}

/* ---- hook set syscall ---- */

struct call {
	struct pt_regs *regs;
	struct task_struct *task;
	__s64 ret;
	bool compat;
	__u8 class;
};

static __always_inline __u64 call_arg(struct call *call, int n)
{
	return nt_call_arg(call->regs, n, call->compat);
}

static __always_inline struct file *call_file(struct call *call, int n)
{
	return nt_fd_file(call->task, call_arg(call, n));
}

/* Was there room for a byte? A read into none returns 0, and that is no end of the stream. */
static __always_inline bool call_had_room(struct call *call)
{
	__u64 iov = call_arg(call, 1), iovs = call_arg(call, 2);

	if (call->class == NT_CALL_READ)
		return iovs;
#pragma unroll
	for (__u64 i = 0; i < 8; i++) {
		__u64 len = 0;

		if (i >= iovs)
			break;
		if (call->compat)
			bpf_probe_read_user(&len, 4, (void *)(iov + i * 8 + 4));
		else
			bpf_probe_read_user(&len, 8, (void *)(iov + i * 16 + 8));
		if (len)
			return true;
	}
	return false;
}

static __always_inline void on_read(struct call *call)
{
	struct nt_copy c;

	if (call->ret < 0 && call->ret != -NT_EIO)
		return;
	if (!is_reader_process(nt_current_tgid(call->task)))
		return;
	nt_copy_begin(&c, call->ret);
	if (!find_stream(&c, call_file(call, 0), NT_SIDE_READER))
		return;
	if (call->class != NT_CALL_VMSPLICE && !nt_take())
		return;
	if (call->ret <= 0) {
		if (call->ret < 0 ? c.key.type == NT_KEY_TTY : call_had_room(call))
			nt_end_stream(&c.key, c.s, NT_END_EOF);
		return;
	}
	if (call->class == NT_CALL_READ) {
		c.base = call_arg(call, 1);
		c.len = c.total;
	} else {
		nt_copy_vector(&c, call_arg(call, 1), call_arg(call, 2), call->compat);
	}
	tap_read(&c, true);
}

static __always_inline void on_write(struct call *call)
{
	bool readable = true;
	struct nt_copy c;

	if (call->ret <= 0 || !begin_write(&c, call->task, call_file(call, 0), call->ret))
		return;
	if (call->class == NT_CALL_WRITE) {
		c.base = call_arg(call, 1);
		c.len = c.total;
		c.how = call_arg(call, 2) == c.total ? NT_COPY_WHOLE : 0;
	} else if (call->class == NT_CALL_WRITEV) {
		nt_copy_vector(&c, call_arg(call, 1), call_arg(call, 2), call->compat);
		c.how = NT_COPY_WHOLE;
	} else if (call->class == NT_CALL_VMSPLICE) {
		nt_copy_vector(&c, call_arg(call, 1), call_arg(call, 2), call->compat);
	} else {
		readable = nt_copy_message(&c, call_arg(call, 1), call->compat);
	}
	tap_write(&c, readable);
}

/* Data that no buffer of the program holds. */
static __always_inline void on_moved_in(struct call *call, int fd_arg)
{
	struct nt_copy c;

	if (call->ret <= 0)
		return;
	nt_copy_begin(&c, call->ret);
	if (find_stream(&c, call_file(call, fd_arg), NT_SIDE_WRITER))
		tap_write(&c, false);
}

/* Whoever opens a stream's pipe to read is its reader, or takes bytes that the reader will miss. */
static __always_inline void on_opened(struct file *file)
{
	struct inode *inode = nt_get(file, f_inode);
	struct nt_target t = {};
	struct nt_stream *s;

	if ((nt_get(inode, i_mode) & NT_S_IFMT) != NT_S_IFIFO ||
	    !(nt_get(file, f_mode) & NT_FMODE_READ))
		return;
	s = nt_find(file, NT_SIDE_READER, &t);
	if (s)
		nt_reader_opened(s);
}

/* A known reader that splices: its bytes are not to be had, but must not go unnoticed. */
static __always_inline void on_moved_out(struct call *call)
{
	struct nt_copy c;

	if (call->ret < 0 || !is_reader())
		return;
	nt_copy_begin(&c, call->ret);
	if (!find_stream(&c, call_file(call, 0), NT_SIDE_READER))
		return;
	if (call->ret)
		tap_read(&c, false);
}

#define MESSAGES 1024 /* of one call: the kernel takes no more */

/* What one sendmmsg wrote. */
struct messages {
	struct nt_copy c; /* of the message that is being copied */
	__u64 address;	  /* of the next message */
	__u64 compat;
	__u64 bytes; /* in the messages from there on */
};

static __always_inline int message_length(struct messages *m, __u64 message, __u32 *ret)
{
	return bpf_probe_read_user(ret, sizeof(*ret), (void *)(message + (m->compat ? 28 : 56)));
}

/* What changes is added to: of a product the compiler makes a loop that 5.10 does not take, with a
 * back edge that is no jump. m->c.base is not a buffer yet. */
static long count_message(__u32 i, struct messages *m)
{
	__u32 len = 0;

	(void)i;
	if (message_length(m, m->c.base, &len))
		return 1;
	m->c.base += m->compat ? 32 : 64;
	m->bytes += len;
	nt_forget(m->c.base);
	nt_forget(m->bytes);
	return 0;
}

/* One loop for messages and their buffers: one in the other is more than the verifier can take. */
static __noinline long on_message(__u32 i, struct messages *m)
{
	__u64 message = m->address;
	__u32 len = 0;

	if (m->c.total) {
		nt_copy_step(i, &m->c);
		return 0;
	}
	if (!m->bytes || message_length(m, message, &len))
		return 1;
	m->address += m->compat ? 32 : 64;
	if (len > m->bytes)
		return 1;
	m->bytes -= len;
	m->c.total = len;
	m->c.len = nt_zero;
	if (!nt_copy_message(&m->c, message, m->compat)) {
		nt_lose(m->c.s, NT_LOST_UNREADABLE, len, m->c.calls);
		m->c.total = nt_zero;
	}
	nt_forget(m->address);
	nt_forget(m->bytes);
	nt_copy_forget(&m->c);
	return 0;
}

static __always_inline void on_messages(struct call *call, __u32 fd, __u64 address)
{
	struct messages m;

	if (call->ret <= 0)
		return;
	nt_copy_begin(&m.c, nt_zero);
	if (!find_stream(&m.c, nt_fd_file(call->task, fd), NT_SIDE_WRITER))
		return;
	m.address = address;
	m.compat = call->compat + nt_zero;
	m.bytes = nt_zero;
	m.c.base = address + nt_zero;
	nt_loop(call->ret, MESSAGES, count_message, &m);
	m.c.total = m.bytes;
	if (!tap_write_begins(&m.c, true, false) || !nt_copy_keep(&m.c))
		return;
	/* What the steps change must not look constant, or their code is removed. */
	m.c.total = nt_zero;
	m.c.base = nt_zero;
	m.c.len = nt_zero;
	m.c.iov = nt_zero;
	m.c.iovs = nt_zero;
	m.c.iovec = nt_zero;
	m.c.calls = 1 + nt_zero;
	nt_loop(2 * call->ret + NT_COPY_STEPS, NT_LEGACY_COPY_STEPS, on_message, &m);
	nt_copy_drop();
	if (m.c.total + m.bytes)
		nt_lose(m.c.s, NT_LOST_TOO_LONG, m.c.total + m.bytes, m.c.calls);
}

/* It goes the way that the file is open. */
static __always_inline void on_vmsplice(struct call *call)
{
	if (nt_get(call_file(call, 0), f_mode) & NT_FMODE_WRITE) {
		if (nt_wants_writes())
			on_write(call);
	} else {
		on_read(call);
	}
}

#define NT_SOCKETCALL_SEND 9
#define NT_SOCKETCALL_SENDTO 11
#define NT_SOCKETCALL_SENDMSG 16
#define NT_SOCKETCALL_SENDMMSG 20

/* How 32-bit programs called before they had a number for each. */
static __always_inline void on_socketcall(struct call *call)
{
	__u32 which = call_arg(call, 0), args[3];
	bool readable = true;
	struct nt_copy c;

	if (which != NT_SOCKETCALL_SEND && which != NT_SOCKETCALL_SENDTO &&
	    which != NT_SOCKETCALL_SENDMSG && which != NT_SOCKETCALL_SENDMMSG)
		return;
	if (call->ret <= 0 || !nt_wants_writes())
		return;
	if (bpf_probe_read_user(args, sizeof(args), (void *)call_arg(call, 1)))
		return;
	if (which == NT_SOCKETCALL_SENDMMSG) {
		on_messages(call, args[0], args[1]);
		return;
	}
	nt_copy_begin(&c, call->ret);
	if (!find_stream(&c, nt_fd_file(call->task, args[0]), NT_SIDE_WRITER))
		return;
	if (which == NT_SOCKETCALL_SENDMSG) {
		readable = nt_copy_message(&c, args[1], true);
	} else {
		c.base = args[1];
		c.len = c.total;
	}
	tap_write_as(&c, readable, false);
}

struct submitted {
	struct nt_aio_walk walk;
	__u64 iocbs; /* address of the addresses of those left */
	__u64 left;
	__u64 compat;
};

static __always_inline struct file *iocb_file(struct nt_iocb *iocb)
{
	return nt_fd_file((void *)bpf_get_current_task(), iocb->fd);
}

/* These two are not static, as nt_register_file. Is the request a write to a stream? */
__noinline int is_submitted_write(__u64 address)
{
	struct nt_target t = {};
	struct nt_iocb iocb;

	if (bpf_probe_read_user(&iocb, sizeof(iocb), (void *)(address + NT_IOCB_AT)))
		return 0;
	if (iocb.opcode != NT_IOCB_WRITE && iocb.opcode != NT_IOCB_WRITEV)
		return 0;
	return nt_find(iocb_file(&iocb), NT_SIDE_WRITER, &t) != NULL;
}

/* It is, and wrote `bytes`. Buffer and length lie in an iocb as in an iovec. */
__noinline int on_submitted_write(__u64 address, __u64 bytes, __u32 compat)
{
	struct nt_iocb iocb;
	struct nt_copy c;

	if (bpf_probe_read_user(&iocb, sizeof(iocb), (void *)(address + NT_IOCB_AT)))
		return 0;
	nt_copy_begin(&c, bytes);
	if (!find_stream(&c, iocb_file(&iocb), NT_SIDE_WRITER))
		return 0;
	if (iocb.opcode == NT_IOCB_WRITE)
		nt_copy_vector(&c, address + NT_IOCB_BUF, 1, false);
	else
		nt_copy_vector(&c, iocb.buf, iocb.len, compat);
	tap_write_as(&c, true, false);
	return 0;
}

/* The next request, if it is a write to a stream, is what the walk looks for. */
static __always_inline long next_submitted(struct submitted *s)
{
	__u64 at = 0, size = s->compat ? 4 : 8;

	if (!s->left)
		return 1;
	s->left += nt_zero - 1;
	barrier_var(size);
	if (bpf_probe_read_user(&at, size & 15, (void *)s->iocbs))
		return 1;
	s->iocbs += size;
	if (is_submitted_write(at))
		s->walk.iocb = at;
	nt_forget(s->walk.iocb);
	return 0;
}

/* One loop for both: one in the other is more than the verifier can take. */
static long on_submitted(__u32 i, struct submitted *s)
{
	__u64 address = s->walk.iocb;
	__s64 res;

	if (!address)
		return next_submitted(s);
	res = nt_aio_step(&s->walk);
	nt_forget(s->walk.at);
	nt_forget(s->walk.from);
	nt_forget(s->walk.step);
	nt_forget(s->walk.iocb);
	if (res > 0)
		on_submitted_write(address, res, s->compat);
	return 0;
}

static __always_inline void on_io_submit(struct call *call)
{
	struct submitted s;

	if (call->ret <= 0 || !nt_wants_writes())
		return;
	if (!nt_aio_begin(&s.walk, call_arg(call, 0)))
		return;
	s.iocbs = call_arg(call, 2);
	s.left = call->ret;
	s.compat = call->compat + nt_zero;
	nt_loop(2 * call->ret + NT_AIO_STEPS, NT_LEGACY_AIO_STEPS, on_submitted, &s);
}

static __always_inline bool is_write(__u8 class)
{
	return class >= NT_CALL_WRITE && class < NT_CALL_SPLICE;
}

/* False for nearly every call of the host: the number alone decides that. */
static __always_inline bool call_begin(struct call *call, struct pt_regs *regs, long ret)
{
	__u64 nr = nt_call_number(regs);
	__u8 classes;

	if (nr >= NT_CALLS)
		return false;
	classes = nt_calls[nr];
	if (!classes)
		return false;
	if (!nt_wants_writes() && is_write(classes & 15) && classes < 16)
		return false;
	call->task = nt_current();
	call->compat = nt_call_is_compat(call->task);
	call->class = call->compat ? classes >> 4 : classes & 15;
	if (is_write(call->class) && !nt_wants_writes())
		return false;
	call->regs = regs;
	call->ret = call->compat ? (__s32)ret : ret;
	return true;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(nt_sys_exit, struct pt_regs *regs, long ret)
{
	struct call call;

	if (!call_begin(&call, regs, ret))
		return 0;
	switch (call.class) {
	case NT_CALL_READ:
	case NT_CALL_READV:
		on_read(&call);
		break;
	case NT_CALL_WRITE:
	case NT_CALL_WRITEV:
	case NT_CALL_SENDMSG:
		on_write(&call);
		break;
	case NT_CALL_SENDMMSG:
		bpf_tail_call(ctx, &nt_tails, NT_TAIL_SENDMMSG);
		break;
	case NT_CALL_SENDFILE:
		on_moved_in(&call, 0);
		break;
	case NT_CALL_SPLICE:
		on_moved_in(&call, 2);
		on_moved_out(&call);
		break;
	case NT_CALL_TEE:
		on_moved_in(&call, 1);
		break;
	case NT_CALL_VMSPLICE:
		bpf_tail_call(ctx, &nt_tails, NT_TAIL_VMSPLICE);
		break;
	case NT_CALL_IO_SUBMIT:
		bpf_tail_call(ctx, &nt_tails, NT_TAIL_IO_SUBMIT);
		break;
	case NT_CALL_SOCKETCALL:
		bpf_tail_call(ctx, &nt_tails, NT_TAIL_SOCKETCALL);
		break;
	case NT_CALL_OPEN:
		if (call.ret >= 0)
			on_opened(nt_fd_file(call.task, call.ret));
		break;
	case NT_CALL_EXEC:
		if (call.ret < 0)
			bpf_tail_call(ctx, &nt_tails, NT_TAIL_EXEC);
		break;
	}
	return 0;
}

/* The read tap's second copy: see rescue.bpf.h. */
SEC("tp_btf/sys_exit")
int BPF_PROG(nt_sys_exit_again, struct pt_regs *regs, long ret)
{
	struct call call;

	if (!NT_RESCUES || !call_begin(&call, regs, ret))
		return 0;
	if (call.class != NT_CALL_READ && call.class != NT_CALL_READV)
		return 0;
	if ((call.ret >= 0 || call.ret == -NT_EIO) && is_known_reader() && !nt_is_taken())
		on_read(&call);
	return 0;
}

/* Where nt_sys_exit goes on: all together are more than some verifiers can take. */
#define SYS_EXIT_TAIL(name, handle)                                  \
	SEC("tp_btf/sys_exit")                                       \
	int BPF_PROG(nt_tail_##name, struct pt_regs *regs, long ret) \
	{                                                            \
		struct call call;                                    \
                                                                     \
		if (call_begin(&call, regs, ret))                    \
			handle;                                      \
		return 0;                                            \
	}

SYS_EXIT_TAIL(io_submit, on_io_submit(&call))
SYS_EXIT_TAIL(vmsplice, on_vmsplice(&call))
SYS_EXIT_TAIL(sendmmsg, on_messages(&call, call_arg(&call, 0), call_arg(&call, 1)))
SYS_EXIT_TAIL(socketcall, on_socketcall(&call))
SYS_EXIT_TAIL(exec, nt_register_exec(call.task, NT_ORIGIN_EXEC_FAILED))

static __always_inline void on_request_read(struct io_kiocb *req, __u8 op, __s64 ret)
{
	struct nt_copy c;

	if ((ret < 0 && ret != -NT_EIO) || !is_reader())
		return;
	nt_copy_begin(&c, ret);
	if (!find_stream(&c, nt_get(req, file), NT_SIDE_READER))
		return;
	if (ret > 0)
		tap_read(&c, nt_request_buffers(&c, req, op));
	else if (ret < 0 ? c.key.type == NT_KEY_TTY : nt_get((struct io_rw *)req, len) != 0)
		nt_end_stream(&c.key, c.s, NT_END_EOF);
}

static __always_inline void on_request_write(struct io_kiocb *req, __u8 op, __s64 ret)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct nt_copy c;

	if (ret <= 0)
		return;
	nt_copy_begin(&c, ret);
	c.how = NT_COPY_ASYNC;
	if (nt_wants_writes() && find_stream(&c, nt_get(req, file), NT_SIDE_WRITER)) {
		if (nt_in_kernel_thread())
			tap_nameless_write(&c);
		else
			tap_write_as(&c, nt_request_buffers(&c, req, op), false);
	}
	if (op != NT_OP_SPLICE || !is_reader())
		return;
	if (find_stream(&c, nt_fd_file(task, nt_request_splice_in(req)), NT_SIDE_READER))
		tap_read(&c, false);
}

SEC("tp_btf/io_uring_complete")
int BPF_PROG(nt_io_uring_complete, void *ring, struct io_kiocb *req)
{
	__u8 op = nt_request_op(req);

	if (op == NT_OP_NONE)
		return 0;
	if (op == NT_OP_READ || op == NT_OP_READV)
		on_request_read(req, op, nt_get(req, cqe.res));
	else
		on_request_write(req, op, nt_get(req, cqe.res));
	return 0;
}

/* ---- hook sets fexit and multi ---- */

#define ITER_BACK 16 /* buffers of one call that are found again */

/*
 * The function has moved the iterator past the call's bytes: they end where it stands. Walks back
 * over the buffers that lie before. False: not user memory, or too many buffers.
 */
static __always_inline bool copy_iter(struct nt_copy *c, struct iov_iter *iter)
{
	__u64 offset = nt_get(iter, iov_offset), left = c->total, at;

	if (nt_iter_is_ubuf(iter)) {
		c->base = nt_get_number(iter, ubuf) + offset - left;
		c->len = left;
		return true;
	}
	if (!nt_iter_is_iovec(iter))
		return false;
	at = nt_iter_iov(iter);
	if (offset >= left) {
		c->base = nt_get_number((struct iovec *)at, iov_base) + offset - left;
		c->len = left;
		return true;
	}
	left -= offset;
	for (int i = 0; i < ITER_BACK; i++) {
		__u64 len;

		at -= sizeof(struct iovec);
		len = nt_get((struct iovec *)at, iov_len);
		if (len >= left) {
			c->base = nt_get_number((struct iovec *)at, iov_base) + len - left;
			c->len = left;
			c->iov = at + sizeof(struct iovec);
			c->iovs = left == c->total ? 0 : ITER_BACK + 1;
			c->iovec = NT_IOVEC_KERNEL;
			return true;
		}
		left -= len;
	}
	return false;
}

static __always_inline void on_iter_read(struct file *file, struct iov_iter *iter, __s64 ret)
{
	struct nt_copy c;

	if ((ret < 0 && ret != -NT_EIO) || !is_reader())
		return;
	nt_copy_begin(&c, ret);
	if (!find_stream(&c, file, NT_SIDE_READER))
		return;
	if (ret > 0)
		tap_read(&c, copy_iter(&c, iter));
	else if (ret < 0 ? c.key.type == NT_KEY_TTY : nt_get(iter, count) != 0)
		nt_end_stream(&c.key, c.s, NT_END_EOF);
}

static __always_inline void on_iter_write(struct file *file, struct iov_iter *iter, __s64 ret)
{
	struct nt_copy c;

	if (ret <= 0 || !begin_write(&c, nt_current(), file, ret))
		return;
	if (nt_notes && !nt_get(iter, count))
		c.how = NT_COPY_WHOLE;
	tap_write(&c, copy_iter(&c, iter));
}

/* Terminals and sockets are left to their own functions, which splicing to them calls too. */
static __always_inline void on_file_moved(struct file *in, struct file *out, __s64 ret)
{
	struct nt_copy c;

	if (ret <= 0)
		return;
	nt_copy_begin(&c, ret);
	if (find_stream(&c, out, NT_SIDE_WRITER) && c.pipe)
		tap_write(&c, false);
	if (!in || !is_reader())
		return;
	if (find_stream(&c, in, NT_SIDE_READER))
		tap_read(&c, false);
}

static __always_inline struct iov_iter *message_iter(struct msghdr *msg)
{
	return (void *)((__u64)msg + bpf_core_field_offset(struct msghdr, msg_iter));
}

#define FEXIT_ITER(function, handler)                                                    \
	SEC("fexit/" #function)                                                          \
	int BPF_PROG(nt_##function, struct kiocb *iocb, struct iov_iter *iter, long ret) \
	{                                                                                \
		handler(nt_walk(iocb, ki_filp), iter, ret);                              \
		return 0;                                                                \
	}

FEXIT_ITER(pipe_read, on_iter_read)
FEXIT_ITER(anon_pipe_read, on_iter_read)
FEXIT_ITER(tty_read, on_iter_read)
FEXIT_ITER(pipe_write, on_iter_write)
FEXIT_ITER(anon_pipe_write, on_iter_write)
FEXIT_ITER(tty_write, on_iter_write)

#define FEXIT_SEND(function)                                                                      \
	SEC("fexit/" #function)                                                                   \
	int BPF_PROG(nt_##function, struct socket *sock, struct msghdr *msg, size_t len, int ret) \
	{                                                                                         \
		on_iter_write(nt_get(sock, file), message_iter(msg), ret);                        \
		return 0;                                                                         \
	}

FEXIT_SEND(unix_stream_sendmsg)
FEXIT_SEND(unix_dgram_sendmsg) /* of SOCK_SEQPACKET, too */

/* The functions below vmsplice are inlined: the call itself, by each name that it has. */
#define FEXIT_VMSPLICE(function)                                    \
	SEC("fexit/" #function)                                     \
	int BPF_PROG(nt_##function, struct pt_regs *regs, long ret) \
	{                                                           \
		struct call call;                                   \
                                                                    \
		if (call_begin(&call, regs, ret))                   \
			on_vmsplice(&call);                         \
		return 0;                                           \
	}

FEXIT_VMSPLICE(__x64_sys_vmsplice)
FEXIT_VMSPLICE(__ia32_sys_vmsplice)
FEXIT_VMSPLICE(__arm64_sys_vmsplice)

SEC("fexit/fifo_open")
int BPF_PROG(nt_fifo_open, struct inode *inode, struct file *file, int ret)
{
	if (ret == 0)
		on_opened(file);
	return 0;
}

/* Before 6.5, sendfile to a socket. */
SEC("fexit/unix_stream_sendpage")
int BPF_PROG(nt_unix_stream_sendpage, struct socket *sock, void *page, int offset, size_t size,
	     int flags, long ret)
{
	struct nt_copy c;

	if (ret <= 0)
		return 0;
	nt_copy_begin(&c, ret);
	if (find_stream(&c, nt_get(sock, file), NT_SIDE_WRITER))
		tap_write(&c, false);
	return 0;
}

SEC("fexit/do_splice")
int BPF_PROG(nt_do_splice, struct file *in, loff_t *off_in, struct file *out, loff_t *off_out,
	     size_t len, unsigned int flags, long ret)
{
	on_file_moved(in, out, ret);
	return 0;
}

SEC("fexit/do_tee")
int BPF_PROG(nt_do_tee, struct file *in, struct file *out, size_t len, unsigned int flags, long ret)
{
	on_file_moved(NULL, out, ret);
	return 0;
}

SEC("fexit/do_sendfile")
int BPF_PROG(nt_do_sendfile, int out_fd, int in_fd, loff_t *pos, size_t count, loff_t max, long ret)
{
	on_file_moved(NULL, nt_fd_file((void *)bpf_get_current_task(), out_fd), ret);
	return 0;
}

SEC("fexit/bprm_execve")
int nt_bprm_execve(void *ctx)
{
	if (nt_func_ret(ctx, 4) < 0)
		nt_register_exec((void *)bpf_get_current_task(), NT_ORIGIN_EXEC_FAILED);
	return 0;
}

/*
 * At the return of a probed function its arguments are gone: they are kept from its entry. The
 * iterator is the caller's and still there.
 */
static __always_inline int at_entry(__u64 file, __u64 other)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct nt_entry entry = {.file = file, .other = other};

	bpf_map_update_elem(&nt_entries, &thread, &entry, BPF_ANY);
	return 0;
}

static __always_inline bool at_return(struct nt_entry *ret)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct nt_entry *entry = bpf_map_lookup_elem(&nt_entries, &thread);

	if (!entry)
		return false;
	*ret = *entry;
	bpf_map_delete_elem(&nt_entries, &thread);
	return true;
}

/* Most pipes, terminals and sockets are no streams: nothing is kept for those. */
static __always_inline int enter_write(struct file *file, struct iov_iter *iter)
{
	struct nt_stream_key key;
	__u64 pipe;

	if (!nt_key_of(file, NT_SIDE_WRITER, &key, &pipe, true))
		return 0;
	return at_entry((__u64)file, (__u64)iter);
}

static __always_inline int enter_read(struct file *file, struct iov_iter *iter)
{
	return is_reader() ? at_entry((__u64)file, (__u64)iter) : 0;
}

/* A reader that slept here when its stream was registered has no entry: its call's registers say.
 */
static __always_inline void return_read(__s64 ret)
{
	struct nt_entry entry;
	struct call call;

	if (at_return(&entry))
		on_iter_read((void *)entry.file, (void *)entry.other, ret);
	else if (is_reader() &&
		 call_begin(&call, (void *)bpf_task_pt_regs(bpf_get_current_task_btf()), ret) &&
		 (call.class == NT_CALL_READ || call.class == NT_CALL_READV))
		on_read(&call);
}

static __always_inline void return_write(__s64 ret)
{
	struct nt_entry entry;

	if (at_return(&entry))
		on_iter_write((void *)entry.file, (void *)entry.other, ret);
}

#define MULTI_PAIR(function, at_enter, at_exit)                                        \
	SEC("kprobe.multi")                                                            \
	int BPF_KPROBE(nt_multi_##function, struct kiocb *iocb, struct iov_iter *iter) \
	{                                                                              \
		return at_enter((void *)nt_get_number(iocb, ki_filp), iter);           \
	}                                                                              \
	SEC("kretprobe.multi")                                                         \
	int BPF_KRETPROBE(nt_multi_##function##_ret, long ret)                         \
	{                                                                              \
		at_exit(ret);                                                          \
		return 0;                                                              \
	}

MULTI_PAIR(pipe_read, enter_read, return_read)
MULTI_PAIR(tty_read, enter_read, return_read)
MULTI_PAIR(pipe_write, enter_write, return_write)
MULTI_PAIR(tty_write, enter_write, return_write)

SEC("kprobe.multi")
int BPF_KPROBE(nt_multi_unix_stream_sendmsg, struct socket *sock, struct msghdr *msg)
{
	return enter_write((void *)nt_get_number(sock, file), message_iter(msg));
}

SEC("kretprobe.multi")
int BPF_KRETPROBE(nt_multi_unix_stream_sendmsg_ret, int ret)
{
	return_write(ret);
	return 0;
}

SEC("kprobe.multi")
int BPF_KPROBE(nt_multi_unix_dgram_sendmsg, struct socket *sock, struct msghdr *msg)
{
	return enter_write((void *)nt_get_number(sock, file), message_iter(msg));
}

SEC("kretprobe.multi")
int BPF_KRETPROBE(nt_multi_unix_dgram_sendmsg_ret, int ret)
{
	return_write(ret);
	return 0;
}

SEC("kprobe.multi")
int BPF_KPROBE(nt_multi_fifo_open, struct inode *inode, struct file *file)
{
	on_opened((void *)file);
	return 0;
}

/* Splicing may write to a terminal, whose own pair keeps its entry then: that one counts. */
static __always_inline int enter_moved(struct file *in, struct file *out)
{
	struct nt_target t = {};

	if ((nt_find(out, NT_SIDE_WRITER, &t) && t.pipe) || (in && is_reader()))
		return at_entry((__u64)out, (__u64)in);
	return 0;
}

static __always_inline int return_moved(__s64 ret)
{
	struct nt_entry entry;

	if (at_return(&entry))
		on_file_moved((void *)entry.other, (void *)entry.file, ret);
	return 0;
}

SEC("kprobe.multi")
int BPF_KPROBE(nt_multi_do_splice, struct file *in, loff_t *off_in, struct file *out)
{
	return enter_moved(in, out);
}

SEC("kretprobe.multi")
int BPF_KRETPROBE(nt_multi_do_splice_ret, long ret)
{
	return return_moved(ret);
}

SEC("kprobe.multi")
int BPF_KPROBE(nt_multi_do_tee, struct file *in, struct file *out)
{
	return enter_moved(NULL, out);
}

SEC("kretprobe.multi")
int BPF_KRETPROBE(nt_multi_do_tee_ret, long ret)
{
	return return_moved(ret);
}

SEC("kprobe.multi")
int BPF_KPROBE(nt_multi_do_sendfile, int out_fd)
{
	return enter_moved(NULL, nt_fd_file((void *)bpf_get_current_task(), out_fd));
}

SEC("kretprobe.multi")
int BPF_KRETPROBE(nt_multi_do_sendfile_ret, long ret)
{
	return return_moved(ret);
}

#define MULTI_VMSPLICE(function)                                                                  \
	SEC("kretprobe.multi")                                                                    \
	int BPF_KRETPROBE(nt_multi_##function##_ret, long ret)                                    \
	{                                                                                         \
		struct call call;                                                                 \
                                                                                                  \
		if (call_begin(&call, (void *)bpf_task_pt_regs(bpf_get_current_task_btf()), ret)) \
			on_vmsplice(&call);                                                       \
		return 0;                                                                         \
	}

MULTI_VMSPLICE(__x64_sys_vmsplice)
MULTI_VMSPLICE(__ia32_sys_vmsplice)
MULTI_VMSPLICE(__arm64_sys_vmsplice)

SEC("kretprobe.multi")
int BPF_KRETPROBE(nt_multi_bprm_execve_ret, int ret)
{
	if (ret < 0)
		nt_register_exec((void *)bpf_get_current_task(), NT_ORIGIN_EXEC_FAILED);
	return 0;
}

/* ---- always ---- */

SEC("tp_btf/sched_process_exec")
int BPF_PROG(nt_sched_process_exec, struct task_struct *task)
{
	nt_register_exec(task, NT_ORIGIN_EXEC);
	return 0;
}

static __always_inline void on_process_exit(struct task_struct *task)
{
	if (nt_is_over(task))
		nt_forget_process(task);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(nt_sched_process_exit, struct task_struct *task)
{
	on_process_exit(task);
	return 0;
}

static __always_inline void on_cgroup_mkdir(struct cgroup *cgrp, const char *path, bool again)
{
	struct cgroup_root *root = nt_get(cgrp, root);
	struct kernfs_node *kn = nt_get(cgrp, kn);
	struct nt_cgroup cg = {};
	struct nt_path_walk w;
	int err; /* as in nt_register_file */
	__u64 id;

	if (!nt_containers || nt_get(root, hierarchy_id) != 0)
		return;
	if (!nt_read_path(&w, path)) {
		if (!nt_path_is_asked_for(&w))
			return;
		cg.flags = NT_CGROUP_ASKED;
	}
	id = nt_get(kn, id);
	err = bpf_map_update_elem(&nt_cgroups, &id, &cg, BPF_NOEXIST);
	if (err == -7) /* E2BIG */
		nt_count(cgroups_full);
	if ((!again && nt_in_charge == nt_generation) || !err)
		nt_tell_cgroup(&w, id, NT_KIND_CGROUP_NEW);
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(nt_cgroup_mkdir, struct cgroup *cgrp, const char *path)
{
	on_cgroup_mkdir(cgrp, path, false);
	return 0;
}

static __always_inline void on_cgroup_rmdir(struct cgroup *cgrp, const char *path)
{
	struct cgroup_root *root = nt_get(cgrp, root);
	struct kernfs_node *kn = nt_get(cgrp, kn);
	struct nt_path_walk w;
	__u64 id;

	if (nt_get(root, hierarchy_id) != 0)
		return;
	id = nt_get(kn, id);
	if (bpf_map_delete_elem(&nt_cgroups, &id))
		return;
	nt_end_orphans(id, 0);
	nt_read_path(&w, path);
	if (w.path)
		nt_tell_cgroup(&w, id, NT_KIND_CGROUP_GONE);
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(nt_cgroup_rmdir, struct cgroup *cgrp, const char *path)
{
	on_cgroup_rmdir(cgrp, path);
	return 0;
}

/* Their second copies, which find the work done: see rescue.bpf.h. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(nt_sched_process_exec_again, struct task_struct *task)
{
	if (NT_RESCUES)
		nt_register_exec(task, NT_ORIGIN_EXEC);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(nt_sched_process_exit_again, struct task_struct *task)
{
	if (NT_RESCUES)
		on_process_exit(task);
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(nt_cgroup_mkdir_again, struct cgroup *cgrp, const char *path)
{
	if (NT_RESCUES)
		on_cgroup_mkdir(cgrp, path, true);
	return 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(nt_cgroup_rmdir_again, struct cgroup *cgrp, const char *path)
{
	if (NT_RESCUES)
		on_cgroup_rmdir(cgrp, path);
	return 0;
}

SEC("iter/task_file")
int nt_scan_files(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	__u32 zero = 0, fd = ctx->fd;
	struct nt_scan *scan = bpf_map_lookup_elem(&nt_scan, &zero);

	if (!task || !file || !scan)
		return 0;
	nt_scan_file(scan, task, fd, file);
	/* Its files stay open for a while after its end was seen, the only one there is. */
	if (nt_is_over(task))
		nt_forget_process(task);
	return 0;
}

/* Own output must not be captured, whichever container or terminal it goes to. */
SEC("iter/task_file")
int nt_deny_self(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct nt_stream denied = {.denied = 1};
	struct nt_target t = {};
	__u32 fd = ctx->fd;

	if (!task || !file || fd > 2 || (__u32)nt_get(task, tgid) != nt_self_tgid)
		return 0;
	if (nt_target(file, NT_SIDE_WRITER, &t))
		bpf_map_update_elem(&nt_streams, &t.key, &denied, BPF_ANY);
	return 0;
}

#ifdef NT_LEGACY
/* What nt_end_orphans does elsewhere. */
SEC("iter/bpf_map_elem")
int nt_sweep(struct bpf_iter__bpf_map_elem *ctx)
{
	struct nt_orphans o = {.cgroup_id = nt_sweep_cgroup, .reader = nt_sweep_reader};
	struct nt_stream_key *at = ctx->key, key;
	struct nt_stream *s;

	if (!at)
		return 0;
	key = *at;
	s = bpf_map_lookup_elem(&nt_streams, &key);
	if (s)
		nt_end_orphan(NULL, &key, s, &o);
	return 0;
}
#endif
