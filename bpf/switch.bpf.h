/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Streams whose reader is not known, and the way from the write tap to the read tap.
 *
 * Such a reader is recognised by its first read. Reads of processes that are not in nt_readers are
 * looked at while nt_searches is ahead of nt_searched. User space ends that: it lets the iterator
 * put all processes into nt_readers that have the stream open to read (NT_SCAN_HOLDERS), and who
 * opens it later is put there by the open. So no read of the stream is missed from registration on.
 *
 * The switch must not lose or double a byte of a write that has queued its bytes and not returned:
 * the write tap will see it only then. It happens inside the hook of a read, when no other read can
 * be under way, in one of two cases:
 *
 * - It is the first read, and no write has come to the write tap. The read tap copies this read
 *   already. No write that returns later is copied again.
 * - The pipe is empty, so all that was ever written has been read; nothing was written before the
 *   stream was registered; and as many bytes came to the write tap as were read. So no write is
 *   under way that has queued a byte. And all that came there has its place in the ring.
 *
 * at_write holds the count and the decision in one word, that a writer changes and looks at in one
 * step: either its bytes are in the sum that the switch compared, or it finds the switch made. A
 * stream that is never found so stays on the write tap, and so does a terminal after its first
 * write, for what is read from it is not what was written.
 */
#ifndef NT_SWITCH_BPF_H
#define NT_SWITCH_BPF_H

#include "account.bpf.h"

volatile __u64 nt_searches = 0; /* how often a stream was found to have no reader */
volatile __u64 nt_searched = 0; /* user space's: so many of them have been looked for */

static __noinline int nt_tell_register(struct nt_stream_key *key, struct nt_stream *s,
				       struct task_struct *init, enum nt_kind kind);
static __always_inline void nt_set_tap(struct nt_stream *s, enum nt_tap tap);

static __always_inline bool nt_is_searching(void)
{
	return nt_searches != nt_searched;
}

static __always_inline void nt_search_reader(void)
{
	nt_add((__u64 *)&nt_searches, 1);
}

static __always_inline void nt_know_reader(__u32 tgid, enum nt_reader reader)
{
	__u32 how = reader;

	nt_add(&nt_filter_readers[nt_filter_reader_slot(tgid)], 1);
	if (bpf_map_update_elem(&nt_readers, &tgid, &how, BPF_NOEXIST))
		nt_add(&nt_filter_readers[nt_filter_reader_slot(tgid)], -1);
}

/* A stream begins; its pipe may be used already. */
static __always_inline void nt_begin_pipe(struct nt_stream *s, __u64 address)
{
	struct pipe_inode_info *pipe = (void *)address;

	s->pipe = address;
	if (!address)
		return;
	s->before = nt_pipe_unread(address);
	s->exact = nt_get(pipe, head) == 0;
}

/* Might the process be the stream's reader? Those of its container are not. */
static __always_inline bool nt_is_outside(struct nt_stream *s, __u32 tgid, __u64 cgroup_id)
{
	return s->origin == NT_ORIGIN_USER ? s->init_pid != tgid : s->cgroup_id != cgroup_id;
}

/* The current process opened the pipe to read. */
static __always_inline void nt_reader_opened(struct nt_stream *s)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	bool reads = !s->reader && nt_is_outside(s, tgid, bpf_get_current_cgroup_id());

	if (s->reader != tgid)
		nt_know_reader(tgid, reads ? NT_READER : NT_READER_FOREIGN);
}

/* The reader ends, its files are still open. What it had got wrong by now is no unread rest. */
static __always_inline void nt_reader_gone(struct nt_stream *s)
{
	__u64 written = nt_writer(s)->written;
	__u64 there = s->seen + s->foreign + (s->pipe ? nt_pipe_unread(s->pipe) : 0);

	s->unexplained = written > there ? written - there : 0;
	s->reader = 0;
	if (s->pipe || s->file == NT_FILE_TTY)
		nt_search_reader();
}

/* Nobody will read any more what the read tap has not seen. */
static __always_inline __u64 nt_left_unread(struct nt_stream *s)
{
	__u64 there = s->seen + s->foreign + s->unexplained, written = nt_writer(s)->written;

	if (!s->pipe || s->tap != NT_TAP_READ || written <= there)
		return 0;
	return written - there;
}

/* A stream's key in two numbers, for functions that are not static. */
static __always_inline __u64 nt_dev_type(struct nt_stream_key *key)
{
	return (__u64)key->dev << 32 | key->type;
}

/*
 * A process that is not the stream's reader got `bytes` from it, or its end, or an error. Returns
 * whether it is the reader now: there was none, or that which was taken for it has never read. Not
 * static: the verifier then looks at it once.
 */
__noinline int nt_other_reader(__u64 ino, __u64 dev_type, __u64 pipe, __s64 bytes)
{
	struct nt_stream_key key = {.ino = ino, .dev = dev_type >> 32, .type = (__u32)dev_type};
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct nt_stream *s = bpf_map_lookup_elem(&nt_streams, &key);
	__u32 *how = bpf_map_lookup_elem(&nt_readers, &tgid);
	bool free;

	/* What a process reads from a socket is not what was written to it. */
	if (!s || !s->tap || (!pipe && key.type != NT_KEY_TTY))
		return 0;
	s->pipe = pipe;
	free = s->reader ? how && !s->seen && !s->taken : how || nt_is_searching();
	if (free && !(how && *how == NT_READER_FOREIGN) &&
	    nt_is_outside(s, tgid, bpf_get_current_cgroup_id())) {
		nt_know_reader(tgid, NT_READER);
		s->reader = tgid;
		s->unexplained = 0;
		nt_tell_register(&key, s, (void *)bpf_get_current_task(), NT_KIND_TAP);
		return 1;
	}
	if (bytes > 0) {
		nt_add(&s->foreign, bytes);
		s->exact = 0;
	}
	return 0;
}

/* Does the read tap copy what the current process writes? If not, its bytes are the write tap's. */
static __always_inline bool nt_has_switched(struct nt_stream *s, __u64 bytes)
{
	return nt_tap_mode != NT_TAP_WRITE && (nt_fetch_add(&s->at_write, bytes) & NT_SWITCHED);
}

/*
 * The reader took `bytes` of a stream that the write tap copies. Returns whether the read tap is to
 * copy them.
 */
__noinline int nt_taken(__u64 ino, __u64 dev_type, __u64 bytes)
{
	struct nt_stream_key key = {.ino = ino, .dev = dev_type >> 32, .type = (__u32)dev_type};
	struct nt_stream *s = bpf_map_lookup_elem(&nt_streams, &key);
	struct pipe_inode_info *pipe;
	__u64 taken, tapped;
	bool first;

	if (nt_tap_mode == NT_TAP_WRITE || !s || s->tap != NT_TAP_WRITE)
		return 0;
	taken = s->taken + bytes;
	first = !s->taken && !s->foreign;
	s->taken = taken;
	if (first && nt_cmpxchg(&s->at_write, 0, NT_SWITCHED) == 0)
		goto switched;
	if (!s->exact || !s->pipe)
		return 0;
	/* Before the look at the pipe: in this order also where loads are not. */
	tapped = nt_fetch_add(&s->at_write, 0);
	pipe = (void *)s->pipe;
	if (nt_get(pipe, head) != nt_get(pipe, tail))
		return 0;
	if (tapped > taken)
		s->exact = 0; /* somebody has read unseen */
	first = false;
	if (tapped != taken || s->seen != tapped ||
	    nt_cmpxchg(&s->at_write, tapped, tapped | NT_SWITCHED) != tapped)
		return 0;
switched:
	nt_set_tap(s, NT_TAP_READ);
	nt_tell_register(&key, s, (void *)bpf_get_current_task(), NT_KIND_TAP);
	return first;
}

#endif
