/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Notes: attribution by line. Each write to a stream adds a record of who, how much, and a hash of
 * what, from which user space tells whose bytes are whose (user/assemble/attribute.c says how).
 *
 * `written` is moved first, by an atomic addition whose result is the note's place: so notes of a
 * stream have no two the same place and leave none out, whichever order they reach the ring in, and
 * the time between a write and its being counted stays as short as it is without notes.
 *
 * Only what lies in the pipe side by side has a hash: PIPE_BUF at most, written whole, by a call
 * that copies at once. What is longer may have other processes' bytes between its own.
 */
#ifndef NT_NOTE_BPF_H
#define NT_NOTE_BPF_H

#include "copy.bpf.h"

#define NT_NOTE_BUFFERS 8 /* of one call; one with more has no hash */

/* The bytes of a write while they are hashed. A program that came while another one of this CPU is
 * at it (tasks are preempted in programs) finds it busy. */
struct nt_scratch {
	__u64 busy;
	__u8 bytes[2 * NT_NOTE_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nt_scratch);
} nt_scratch SEC(".maps");

/* By thread: what it works for. User space puts OpenTelemetry's map in its place where there is
 * one. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 64);
	__type(key, __u64);
	__type(value, struct nt_trace);
} nt_traces SEC(".maps");

/* By process: where its threads publish what they work for. User space adds those that notes ask
 * for. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, struct nt_context);
} nt_contexts SEC(".maps");

/* All bytes of the call side by side. False: not to be had, or not all that it was to write. */
static __always_inline bool nt_note_gather(struct nt_copy *c, struct nt_scratch *scratch)
{
	bool kernel = c->iovec == NT_IOVEC_KERNEL && c->iov;
	__u64 off = 0, total = c->total;

	for (int i = 0; i < NT_NOTE_BUFFERS; i++) {
		__u64 len, left = total - off;

		if (!c->len && (!c->iovs || nt_take_buffer(c)))
			break;
		len = c->len;
		/* In the kernel's iovecs the call's bytes may end before the buffer does. */
		if (len > left && !kernel)
			return false;
		if (len > left)
			len = left;
		c->len = 0;
		barrier_var(len);
		barrier_var(off);
		if (len > NT_NOTE_MAX || off >= NT_NOTE_MAX)
			break;
		if (bpf_probe_read_user(scratch->bytes + off, len, (void *)c->base))
			return false;
		off += len;
		if (kernel && off == total)
			return true;
	}
	return off == total && !c->iovs;
}

static __always_inline __u64 nt_note_part(__u64 h, struct nt_scratch *scratch, __u64 at)
{
	barrier_var(at);
	at &= NT_NOTE_MAX - 1;
#pragma unroll
	for (int i = 0; i < NT_NOTE_PART; i += 8)
		NT_NOTE_MIX(h, *(__u64 *)(scratch->bytes + at + i));
	return h;
}

static __always_inline __u64 nt_note_hash_in(struct nt_copy *c, struct nt_scratch *scratch)
{
	__u64 h = c->total, last = h > NT_NOTE_PART ? h - NT_NOTE_PART : 0;
	__u64 end = (h - 1) & (NT_NOTE_MAX - 1);

#pragma unroll
	for (int i = 0; i < NT_NOTE_PART; i += 8)
		*(__u64 *)(scratch->bytes + i) = 0;
	if (!nt_note_gather(c, scratch))
		return 0;
	h = nt_note_part(h, scratch, 0);
	h = nt_note_part(h, scratch, last / 2);
	h = nt_note_part(h, scratch, last);
	return (h & ~0xffull) | scratch->bytes[end];
}

/* 0: it has none. c is as it was thereafter. */
static __noinline __u64 nt_note_hash(struct nt_copy *c)
{
	__u64 base = c->base, len = c->len, iov = c->iov, iovs = c->iovs, hash;
	struct nt_scratch *scratch;
	__u32 zero = 0;

	if (c->total > NT_NOTE_MAX || !(c->how & NT_COPY_WHOLE))
		return 0;
	scratch = bpf_map_lookup_elem(&nt_scratch, &zero);
	if (!scratch || nt_xchg(&scratch->busy, 1))
		return 0;
	hash = nt_note_hash_in(c, scratch);
	nt_xchg(&scratch->busy, 0);
	c->base = base;
	c->len = len;
	c->iov = iov;
	c->iovs = iovs;
	return hash;
}

/* The entry may be given to another thread meanwhile (it is the least recently used): then the
 * second look finds another one, or none. */
static __always_inline void nt_note_trace(struct nt_note *note, __u64 *thread)
{
	struct nt_trace *trace = bpf_map_lookup_elem(&nt_traces, thread);
	__u64 *to = (__u64 *)note->trace_id, *from = (__u64 *)trace;

	if (!trace)
		return;
	to[0] = from[0];
	to[1] = from[1];
	to[2] = from[2];
	trace = bpf_map_lookup_elem(&nt_traces, thread);
	if (trace && to[0] == from[0] && to[1] == from[1] && to[2] == from[2] &&
	    (__u64)trace == (__u64)from) {
		note->traced = 1;
		return;
	}
	to[0] = 0;
	to[1] = 0;
	to[2] = 0;
}

/* Which program the current process runs: another number after an exec, and in another process of
 * the same pid. */
static __always_inline __u32 nt_image(void)
{
	__u64 h = nt_walk(nt_leader(), start_boottime);

	NT_NOTE_MIX(h, nt_walk(nt_current(), self_exec_id));
	return (__u32)h | 1;
}

/*
 * The record of the current thread, read straight to its place in the note: the stack has no room.
 * The thread is in a call, so it does not change the record meanwhile.
 */
static __always_inline void nt_note_context(struct nt_note *note, __u32 *tgid)
{
	struct nt_context *context = bpf_map_lookup_elem(&nt_contexts, tgid);
	__u64 *at = (__u64 *)note->trace_id;
	__s64 offset;

	note->image = nt_image();
	if (!context)
		return;
	/* In this order: the entry may be given to another process meanwhile. */
	offset = *(volatile __s64 *)&context->offset;
	if (*(volatile __u32 *)&context->image != note->image)
		return;
	note->image = 0;
	if (!offset)
		return;
	if (!bpf_probe_read_user(at, sizeof(*at), (void *)(nt_thread_pointer() + offset)) && *at &&
	    !bpf_probe_read_user(note->trace_id, NT_CONTEXT_LEN, (void *)*at) && note->traced == 1)
		return;
	at[0] = 0;
	at[1] = 0;
	at[2] = 0;
	note->traced = 0;
}

static __noinline int nt_note_tell(struct nt_copy *c, __u64 at, __u64 hash, __u32 named)
{
	struct nt_stream *s = c->s;
	struct nt_note *note;
	__u64 thread = bpf_get_current_pid_tgid();

	note = bpf_ringbuf_reserve(&nt_ring, sizeof(*note), 0);
	if (!note) {
		nt_count(notes_lost);
		return 0;
	}
	__builtin_memset(note, 0, sizeof(*note));
	note->hdr.kind = NT_KIND_NOTE;
	note->hdr.size = sizeof(*note);
	note->hdr.time_ns = bpf_ktime_get_boot_ns();
	note->hdr.cgroup_id = s->cgroup_id;
	note->key = c->key;
	note->at = at;
	note->count = c->total;
	note->file = s->file;
	note->tap = s->tap;
	note->hash = hash;
	note->hashed = hash != 0;
	if (named) {
		note->pid = thread >> 32;
		((__u64 *)note->comm)[0] = nt_get_comm(nt_leader(), 0);
		((__u64 *)note->comm)[1] = nt_get_comm(nt_leader(), 1);
		if (!(c->how & NT_COPY_ASYNC)) {
			note->tid = (__u32)thread;
			nt_note_context(note, (__u32 *)&thread + 1);
			if (!note->traced)
				nt_note_trace(note, &thread);
		}
	}
	bpf_ringbuf_submit(note, nt_wake_flag());
	return 0;
}

/* The current process wrote c->total bytes. The note's place. Terminals have no places: what is
 * read there is not what was written. */
static __always_inline __u64 nt_note_write(struct nt_copy *c, bool readable, bool hashes)
{
	bool at_read = c->s->tap == NT_TAP_READ;
	__u64 at = nt_fetch_add(&nt_writer(c->s)->written, c->total), hash = 0;

	if (!c->pipe && at_read)
		return at;
	if (hashes && readable && at_read)
		hash = nt_note_hash(c);
	nt_note_tell(c, at, hash, 1);
	return at;
}

/* A process that is gone did: no name is right for it. */
static __always_inline void nt_note_nameless(struct nt_copy *c)
{
	__u64 at = nt_fetch_add(&nt_writer(c->s)->written, c->total);

	if (c->pipe)
		nt_note_tell(c, at, 0, 0);
}

#endif
