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
#include "event.h"
#include "maps.bpf.h"
#include "account.bpf.h"
#include "copy.bpf.h"
#include "register.bpf.h"

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

/* Builds for tests lose every 1,000th call. */
static volatile __u64 fault_calls;

static __always_inline bool fault_drops(void)
{
	return ++fault_calls % 1000 == 0;
}

/* The current process wrote c->total bytes to the stream; `readable`: c says from where. */
static __always_inline void tap_write(struct nt_copy *c, bool readable)
{
	struct nt_stream *s = c->s;

	if (!s->tap)
		return;
	if (!NT_DROPS_COUNT || !fault_drops())
		nt_wrote(s, c->total);
	if (s->tap != NT_TAP_WRITE)
		return;
	if (!readable) {
		nt_lose(s, NT_LOST_UNREADABLE, c->total, 1);
		return;
	}
	c->tap = NT_TAP_WRITE;
	c->pid = bpf_get_current_pid_tgid() >> 32;
	((__u64 *)c->comm)[0] = nt_get_comm(nt_leader(), 0);
	((__u64 *)c->comm)[1] = nt_get_comm(nt_leader(), 1);
	nt_copy_all(c);
}

/* The current process, a known reader, got c->total bytes of the stream. */
static __always_inline void tap_read(struct nt_copy *c, bool readable)
{
	struct nt_stream *s = c->s;

	if (s->tap != NT_TAP_READ)
		return;
	if (NT_DROPS_READ && fault_drops())
		return;
	if (!readable) {
		nt_lose(s, NT_LOST_UNREADABLE, c->total, 1);
		return;
	}
	c->tap = NT_TAP_READ;
	nt_name_writer(s, c->pipe, c->total, &c->pid, c->comm);
	nt_copy_all(c);
}

static __always_inline bool is_reader(void)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;

	return bpf_map_lookup_elem(&nt_readers, &tgid);
}

/* The file's stream, for the current process' side of it. */
static __always_inline bool find_stream(struct nt_copy *c, struct file *file, enum nt_side side)
{
	struct nt_target t = {};

	c->s = nt_find(file, side, &t);
	if (!c->s)
		return false;
	if (side == NT_SIDE_READER && c->s->reader != bpf_get_current_pid_tgid() >> 32)
		return false;
	c->key = t.key;
	c->pipe = t.pipe;
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

static __always_inline void copy_vector(struct nt_copy *c, __u64 iov, __u64 iovs, bool compat)
{
	c->iov = iov;
	c->iovs = iovs;
	c->iovec = compat ? NT_IOVEC_COMPAT : NT_IOVEC_NATIVE;
}

/* Where a msghdr has its buffers. */
static __always_inline bool copy_message(struct nt_copy *c, __u64 msg, bool compat)
{
	if (compat) {
		__u32 v[2];

		if (bpf_probe_read_user(v, sizeof(v), (void *)(msg + 8)))
			return false;
		copy_vector(c, v[0], v[1], true);
	} else {
		__u64 v[2];

		if (bpf_probe_read_user(v, sizeof(v), (void *)(msg + 16)))
			return false;
		copy_vector(c, v[0], v[1], false);
	}
	return true;
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
	if (!is_reader())
		return;
	nt_copy_begin(&c, call->ret);
	if (!find_stream(&c, call_file(call, 0), NT_SIDE_READER))
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
		copy_vector(&c, call_arg(call, 1), call_arg(call, 2), call->compat);
	}
	tap_read(&c, true);
}

static __always_inline void on_write(struct call *call)
{
	bool readable = true;
	struct nt_copy c;

	if (call->ret <= 0)
		return;
	nt_copy_begin(&c, call->ret);
	if (!find_stream(&c, call_file(call, 0), NT_SIDE_WRITER))
		return;
	if (call->class == NT_CALL_WRITE) {
		c.base = call_arg(call, 1);
		c.len = c.total;
	} else if (call->class == NT_CALL_WRITEV) {
		copy_vector(&c, call_arg(call, 1), call_arg(call, 2), call->compat);
	} else {
		readable = copy_message(&c, call_arg(call, 1), call->compat);
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

struct messages {
	struct nt_copy c;
	__u64 address;
	__u64 compat;
};

static long on_message(__u32 i, struct messages *m)
{
	__u64 size = m->compat ? 32 : 64, msg = m->address + i * size;
	bool readable;
	__u32 len = 0;

	if (bpf_probe_read_user(&len, sizeof(len), (void *)(msg + (m->compat ? 28 : 56))) || !len)
		return 0;
	m->c.total = len;
	m->c.len = 0;
	m->c.calls = 1;
	readable = copy_message(&m->c, msg, m->compat);
	tap_write(&m->c, readable);
	return 0;
}

static __always_inline void on_messages(struct call *call)
{
	struct messages m;

	if (call->ret <= 0)
		return;
	nt_copy_begin(&m.c, nt_zero);
	if (!find_stream(&m.c, call_file(call, 0), NT_SIDE_WRITER))
		return;
	m.address = call_arg(call, 1);
	m.compat = call->compat;
	bpf_loop(call->ret, on_message, &m, 0);
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
	call->task = (void *)bpf_get_current_task();
	call->compat = nt_call_is_compat(call->task);
	call->class = call->compat ? classes >> 4 : classes & 15;
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
		on_messages(&call);
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
	case NT_CALL_EXEC:
		if (call.ret < 0)
			nt_register_exec(call.task, NT_ORIGIN_EXEC_FAILED);
		break;
	}
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

	if (ret <= 0)
		return;
	nt_copy_begin(&c, ret);
	if (!find_stream(&c, file, NT_SIDE_WRITER))
		return;
	tap_write(&c, c.s->tap == NT_TAP_WRITE && copy_iter(&c, iter));
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
		handler(nt_get(iocb, ki_filp), iter, ret);                               \
		return 0;                                                                \
	}

FEXIT_ITER(pipe_read, on_iter_read)
FEXIT_ITER(anon_pipe_read, on_iter_read)
FEXIT_ITER(tty_read, on_iter_read)
FEXIT_ITER(pipe_write, on_iter_write)
FEXIT_ITER(anon_pipe_write, on_iter_write)
FEXIT_ITER(tty_write, on_iter_write)

SEC("fexit/unix_stream_sendmsg")
int BPF_PROG(nt_unix_stream_sendmsg, struct socket *sock, struct msghdr *msg, size_t len, int ret)
{
	on_iter_write(nt_get(sock, file), message_iter(msg), ret);
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

/* Its arguments are not the same in all kernels. */
SEC("fexit/bprm_execve")
int nt_bprm_execve(void *ctx)
{
	__u64 ret = 0;

	if (bpf_get_func_ret(ctx, &ret) == 0 && (int)ret < 0)
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
	struct nt_target t = {};

	return nt_find(file, NT_SIDE_WRITER, &t) ? at_entry((__u64)file, (__u64)iter) : 0;
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

SEC("tp_btf/sched_process_exit")
int BPF_PROG(nt_sched_process_exit, struct task_struct *task)
{
	struct signal_struct *signal = nt_get(task, signal);

	if (nt_get(signal, live.counter) == 0)
		nt_forget_process(task);
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(nt_cgroup_mkdir, struct cgroup *cgrp, const char *path)
{
	struct cgroup_root *root = nt_get(cgrp, root);
	struct kernfs_node *kn = nt_get(cgrp, kn);
	struct nt_path_walk w;
	struct nt_cgroup cg = {};
	__u64 id;

	if (!nt_containers || nt_get(root, hierarchy_id) != 0)
		return 0;
	if (!nt_read_path(&w, path))
		return 0;
	id = nt_get(kn, id);
	if (bpf_map_update_elem(&nt_cgroups, &id, &cg, BPF_NOEXIST) == -7) /* E2BIG */
		nt_count(cgroups_full);
	nt_tell_cgroup(&w, id, NT_KIND_CGROUP_NEW);
	return 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(nt_cgroup_rmdir, struct cgroup *cgrp, const char *path)
{
	struct cgroup_root *root = nt_get(cgrp, root);
	struct kernfs_node *kn = nt_get(cgrp, kn);
	struct nt_path_walk w;
	__u64 id;

	if (nt_get(root, hierarchy_id) != 0)
		return 0;
	id = nt_get(kn, id);
	if (bpf_map_delete_elem(&nt_cgroups, &id))
		return 0;
	nt_end_orphans(id, 0);
	nt_read_path(&w, path);
	if (w.path)
		nt_tell_cgroup(&w, id, NT_KIND_CGROUP_GONE);
	return 0;
}

SEC("iter/task_file")
int nt_scan_files(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	__u32 zero = 0, fd = ctx->fd;
	struct nt_scan *scan = bpf_map_lookup_elem(&nt_scan, &zero);

	if (task && file && scan)
		nt_scan_file(scan, task, fd, file);
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
