/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A stream's counters and the note of its last writer.
 *
 * A record of the read tap carries a name only if it is certain. The writer notes in the order
 * foreign_ns, name, count; the reader looks in the order count, pipe, name, foreign_ns. So a name
 * that changes meanwhile shows as foreign, and bytes of a write that has not returned yet, or that
 * no hook saw, break the sum. When a later sum is whole, all that was written before it is counted:
 * its name holds back to where its writer took over, hence nt_data.from.
 */
#ifndef NT_ACCOUNT_BPF_H
#define NT_ACCOUNT_BPF_H

#include "maps.bpf.h"

#define NT_FOREIGN_NS 1000000000ull /* a name is given this long after another process wrote */
#define NT_PIPE_SLOTS 16	    /* the default; a fuller pipe is not added up */

/* What is known of a stream's writers: in the entry itself, or where writes reach it faster. */
static __always_inline struct nt_writer *nt_writer(struct nt_stream *s)
{
	__u64 at = s->hot;

	barrier_var(at);
	if (!NT_ATOMIC || at - 1 >= NT_HOT)
		return (struct nt_writer *)&s->written;
	return &nt_hot[at - 1].w;
}

/*
 * A stream that was inserted and that no tap touches yet gets a hot entry, if there is one for it.
 * Nobody goes by the device before it is there: none is 0.
 */
static __always_inline void nt_heat(struct nt_stream_key *key, struct nt_stream *s)
{
	__u32 slot = nt_hot_slot(key->ino);
	struct nt_hot *hot = &nt_hot[slot];

	if (!NT_ATOMIC || key->type != NT_KEY_INODE || nt_cmpxchg(&hot->ino, 0, key->ino) != 0)
		return;
	__builtin_memset(&hot->w, 0, sizeof(hot->w));
	hot->dev = key->dev;
	s->hot = slot + 1;
}

static __always_inline struct nt_hot *nt_find_hot(struct nt_stream_key *key)
{
	struct nt_hot *hot = &nt_hot[nt_hot_slot(key->ino)];

	if (!NT_ATOMIC || hot->ino != key->ino || hot->dev != key->dev)
		return NULL;
	return hot;
}

/* Before it is deleted: another stream may have its key right after that. */
static __always_inline void nt_cool(struct nt_hot *hot)
{
	hot->counts = 0;
}

/* After. */
static __always_inline void nt_free_hot(struct nt_hot *hot)
{
	hot->dev = 0;
	nt_xchg(&hot->ino, 0);
}

/* `bytes` that the copying tap saw are not in the ring. `calls`: 1 at a call's first loss. */
static __always_inline void nt_lose(struct nt_stream *s, enum nt_lost reason, __u64 bytes,
				    __u32 calls)
{
	if (!s->gap.bytes)
		s->gap.reason = reason;
	s->gap.calls += calls;
	nt_add(&s->gap.bytes, bytes);
	nt_add(&s->lost[reason], bytes);
	nt_add(&s->seen, bytes);
}

static __always_inline void nt_take_gap(struct nt_stream *s, struct nt_gap *gap)
{
	gap->bytes = 0;
	gap->calls = 0;
	gap->reason = 0;
	if (!s->gap.bytes)
		return;
	gap->calls = s->gap.calls;
	gap->reason = s->gap.reason;
	s->gap.calls = 0;
	gap->bytes = nt_xchg(&s->gap.bytes, 0);
}

/* The time of a record of `len` bytes. Each byte has a nanosecond of its own in the stream. */
static __always_inline __u64 nt_take_time(struct nt_stream *s, __u64 len)
{
	__u64 now = bpf_ktime_get_boot_ns(), next = s->next_ns, seen, t;

#pragma unroll
	for (int i = 0; i < 4; i++) {
		t = now > next ? now : next;
		seen = nt_cmpxchg(&s->next_ns, next, t + len);
		if (seen == next)
			return t;
		next = seen;
	}
	return nt_fetch_add(&s->next_ns, len);
}

/* Process names are their main thread's: a thread may have another. */
static __always_inline struct task_struct *nt_leader(void)
{
	return nt_walk(nt_current(), group_leader);
}

/* The current process, that of `task`, wrote `bytes`. */
static __always_inline void nt_wrote(struct nt_writer *w, struct task_struct *task, __u64 bytes)
{
	struct task_struct *leader = nt_walk(task, group_leader);
	__u64 *comm = (__u64 *)w->writer_comm;
	__u64 head = nt_walk_comm(leader);
	__u32 pid = nt_current_tgid(task);

	if (w->writer_pid != pid || comm[0] != head) {
		if (w->writer_pid && w->writer_pid != pid)
			w->foreign_ns = bpf_ktime_get_boot_ns();
		w->writer_from = w->written;
		w->writer_pid = pid;
		comm[0] = head;
		comm[1] = nt_get_comm(leader, 1);
	}
	nt_add(&w->written, bytes);
}

/* Has the write tap anything to do? The compiler sees that it has while names are wanted. */
static __always_inline bool nt_wants_writes(void)
{
	return !nt_no_writers || nt_write_taps;
}

/* Who wrote what a record holds: see struct nt_data. */
struct nt_who {
	__u64 from;
	__u32 pid;
	__u32 known; /* enum nt_known */
	char comm[NT_COMM_LEN];
};

/* Bytes in a pipe, or a number that fits no sum. */
static __always_inline __u64 nt_pipe_unread(__u64 address)
{
	struct pipe_inode_info *pipe = (void *)address;
	__u32 size = bpf_core_type_size(struct pipe_buffer), head, tail, used, mask;
	__u64 bufs, bytes = 0;

	/* Kernel memory is read by plain loads, which the compiler may move. */
	barrier();
	head = nt_get(pipe, head);
	tail = nt_get(pipe, tail);
	used = head - tail;
	mask = nt_get(pipe, ring_size) - 1;
	if (used > NT_PIPE_SLOTS)
		return -1ull >> 1;
	bufs = used ? nt_get_number(pipe, bufs) : 0;
	for (__u32 i = 0; i < NT_PIPE_SLOTS; i++) {
		__u64 slot;

		if (i >= used)
			break;
		slot = bufs + (__u64)((tail + i) & mask) * size;
		bytes += nt_get((struct pipe_buffer *)slot, len);
	}
	barrier();
	return bytes;
}

/* Where all is counted that ever was in the pipe, when the reader took `bytes`: the offset, or ~0.
 * A write between its bytes and its count is soon through: worth a second look, and a third. */
static __always_inline __u64 nt_settled(struct nt_stream *s, __u64 pipe, __u64 bytes)
{
	volatile struct nt_writer *w = nt_writer(s);

	for (int i = 0; i < 3; i++) {
		__u64 written = w->written;

		if (s->seen + bytes + nt_pipe_unread(pipe) == written)
			return written;
	}
	return ~0ull;
}

/* Who wrote the next `bytes` that the reader took. `who` is all zero, and stays so where it is not
 * certain. */
static __always_inline void nt_name_writer(struct nt_stream *s, __u64 pipe, __u64 bytes,
					   struct nt_who *who)
{
	volatile struct nt_writer *w = nt_writer(s);
	__u64 written = w->written, foreign_ns, unread;
	__u64 *comm = (__u64 *)who->comm;
	__u32 pid;

	if (!pipe || nt_no_writers)
		return;
	if (nt_notes) {
		who->known = NT_KNOWN_NOTES;
		who->from = nt_settled(s, pipe, bytes);
		return;
	}
	unread = nt_pipe_unread(pipe);
	pid = w->writer_pid;
	comm[0] = ((volatile __u64 *)w->writer_comm)[0];
	comm[1] = ((volatile __u64 *)w->writer_comm)[1];
	who->from = w->writer_from;
	foreign_ns = w->foreign_ns;
	if (!foreign_ns || foreign_ns + NT_FOREIGN_NS < bpf_ktime_get_boot_ns()) {
		if (s->seen + bytes + unread != written) {
			who->known = NT_KNOWN_LATER;
		} else if (pid && who->from <= s->seen) {
			who->known = NT_KNOWN;
			who->pid = pid;
			return;
		}
	}
	comm[0] = 0;
	comm[1] = 0;
}

#endif
