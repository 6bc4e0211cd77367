/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Bounded copies of a call's bytes into the ring.
 *
 * A record is reserved in one of a few constant sizes (the verifier wants a constant, and reserve +
 * bpf_probe_read_user is the cheapest way), and read with exactly the number of bytes that the call
 * moved: one byte more may lie in a page that is not there. What is longer than a record, or comes
 * in several buffers, goes on in the next one.
 */
#ifndef NT_COPY_BPF_H
#define NT_COPY_BPF_H

#include "account.bpf.h"

/* Records and buffers of one call: 1,024 buffers and 256 MiB. */
#define NT_COPY_STEPS 5120
#define NT_LEGACY_COPY_STEPS 64

enum nt_iovec {
	NT_IOVEC_NATIVE = 0, /* in user memory */
	NT_IOVEC_COMPAT = 1, /* in user memory, of a 32-bit program */
	NT_IOVEC_KERNEL = 2, /* in kernel memory */
};

#define NT_COPY_WHOLE                                                                            \
	1u		 /* all that the call was to write was written, or the iovecs' sum tells \
			  */
#define NT_COPY_ASYNC 2u /* not by the thread that called */

/* What is left of a call. Set by nt_copy_begin. */
struct nt_copy {
	struct nt_stream *s;
	struct nt_stream_key key;
	__u64 pipe;  /* address of the pipe_inode_info; 0: none */
	__u64 base;  /* the buffer that is being copied */
	__u64 len;   /* bytes left in it */
	__u64 iov;   /* the next buffers' iovec */
	__u64 iovs;  /* how many there are */
	__u64 total; /* bytes of the call left */
	__u16 iovec; /* enum nt_iovec: what they look like */
	__u16 how;   /* NT_COPY_*: for its note */
	__u32 calls; /* 1 until a part of the call was lost */
	struct nt_who who;
};

static __always_inline void nt_fill_data(struct nt_data *rec, struct nt_copy *c,
					 struct nt_stream *s, __u64 len)
{
	rec->hdr.kind = NT_KIND_DATA;
	rec->hdr.ring = 0;
	rec->hdr.size = sizeof(*rec) + len;
	rec->hdr.cgroup_id = s->cgroup_id;
	rec->key = c->key;
	nt_take_gap(s, &rec->gap);
	rec->offset = nt_fetch_add(&s->seen, len);
	rec->hdr.time_ns = nt_take_time(s, len);
	rec->len = len;
	rec->from = c->who.from;
	rec->pid = c->who.pid;
	__builtin_memcpy(rec->comm, c->who.comm, NT_COMM_LEN);
	rec->file = s->file;
	rec->tap = s->tap;
	rec->continues = c->total > len;
	rec->known = c->who.known;
	__builtin_memset(rec->pad, 0, sizeof(rec->pad));
}

#define NT_RESERVE(n)                                                                 \
	if (len <= (n))                                                               \
		rec = bpf_ringbuf_reserve(&nt_ring, sizeof(struct nt_data) + (n), 0); \
	else

/* The next `len` bytes of the buffer become a record, or a loss. */
static __noinline int nt_copy_piece(struct nt_copy *c, struct nt_stream *s, __u64 len)
{
	struct nt_data *rec = NULL;

	barrier_var(len);
	NT_RESERVE(64)
	NT_RESERVE(128)
	NT_RESERVE(256)
	NT_RESERVE(512)
	NT_RESERVE(1024)
	NT_RESERVE(2048)
	NT_RESERVE(4096)
	NT_RESERVE(8192)
	NT_RESERVE(16384)
	NT_RESERVE(32768)
	NT_RESERVE(65536)
	return 0;
	if (!rec) {
		nt_lose(s, NT_LOST_RING_FULL, len, c->calls);
		c->calls = 0;
		nt_count(data_lost);
		return 0;
	}
	if (bpf_probe_read_user(rec->bytes, len, (void *)c->base)) {
		bpf_ringbuf_discard(rec, BPF_RB_NO_WAKEUP);
		nt_lose(s, NT_LOST_UNREADABLE, len, c->calls);
		c->calls = 0;
		return 0;
	}
	nt_fill_data(rec, c, s, len);
	bpf_ringbuf_submit(rec, nt_wake_flag());
	nt_count(records);
	return 0;
}

#ifdef NT_LEGACY
/*
 * That verifier goes through a static function at each step of a loop, and through one that is not
 * static only once. But such a one takes numbers only: what stays the same for all pieces of a call
 * is kept by thread meanwhile.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct nt_copy);
} nt_copies SEC(".maps");

/* False: they cannot be copied, and are lost. */
static __always_inline bool nt_copy_keep(struct nt_copy *c)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct nt_copy kept = *c;

	kept.s = NULL;
	if (bpf_map_update_elem(&nt_copies, &thread, &kept, BPF_ANY) == 0)
		return true;
	nt_lose(c->s, NT_LOST_RING_FULL, c->total, 1);
	return false;
}

static __always_inline void nt_copy_drop(void)
{
	__u64 thread = bpf_get_current_pid_tgid();

	bpf_map_delete_elem(&nt_copies, &thread);
}

/* nt_copy_piece; returns c->calls. */
__noinline int nt_copy_far(__u64 base, __u64 len, __u64 total, __u32 calls)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct nt_copy *kept = bpf_map_lookup_elem(&nt_copies, &thread);
	struct nt_stream *s;

	if (!kept)
		return calls;
	s = bpf_map_lookup_elem(&nt_streams, &kept->key);
	kept->base = base;
	kept->total = total;
	kept->calls = calls;
	if (s)
		nt_copy_piece(kept, s, len);
	return kept->calls;
}

static __always_inline void nt_copy_piece_in_loop(struct nt_copy *c, __u64 len)
{
	c->calls = nt_copy_far(c->base, len, c->total, c->calls);
}
#else
static __always_inline bool nt_copy_keep(struct nt_copy *c)
{
	return true;
}

static __always_inline void nt_copy_drop(void)
{
}

static __always_inline void nt_copy_piece_in_loop(struct nt_copy *c, __u64 len)
{
	nt_copy_piece(c, c->s, len);
}
#endif

/* The next iovec becomes the buffer, whole. */
static __always_inline int nt_take_buffer(struct nt_copy *c)
{
	if (!c->iovs)
		return -1;
	if (c->iovec == NT_IOVEC_KERNEL) {
		struct iovec *iov = (void *)c->iov;

		c->base = nt_get_number(iov, iov_base);
		c->len = nt_get(iov, iov_len);
		c->iov += sizeof(*iov);
	} else if (c->iovec == NT_IOVEC_COMPAT) {
		__u32 v[2];

		if (bpf_probe_read_user(v, sizeof(v), (void *)c->iov))
			return -1;
		c->base = v[0];
		c->len = v[1];
		c->iov += sizeof(v);
	} else {
		__u64 v[2];

		if (bpf_probe_read_user(v, sizeof(v), (void *)c->iov))
			return -1;
		c->base = v[0];
		c->len = v[1];
		c->iov += sizeof(v);
	}
	c->iovs--;
	return 0;
}

/* As much of it as the call moved. */
static __always_inline int nt_next_buffer(struct nt_copy *c)
{
	if (nt_take_buffer(c))
		return -1;
	if (c->len > c->total)
		c->len = c->total;
	return 0;
}

static __always_inline void nt_copy_forget(struct nt_copy *c)
{
	nt_forget(c->base);
	nt_forget(c->len);
	nt_forget(c->iov);
	nt_forget(c->iovs);
	nt_forget(c->total);
	nt_forget(c->calls);
}

static long nt_copy_step(__u32 i, struct nt_copy *c)
{
	__u64 len;

	if (!c->total)
		return 1;
	if (!c->len) {
		if (!nt_next_buffer(c)) {
			nt_copy_forget(c);
			return 0;
		}
		nt_lose(c->s, NT_LOST_UNREADABLE, c->total, c->calls);
		c->total = 0;
		return 1;
	}
	len = c->len;
	if (len > NT_CHUNK_MAX)
		len = NT_CHUNK_MAX;
	nt_copy_piece_in_loop(c, len);
	c->base += len;
	c->len -= len;
	c->total -= len;
	nt_copy_forget(c);
	return 0;
}

static __always_inline void nt_copy_begin(struct nt_copy *c, __u64 total)
{
	__builtin_memset(c, 0, sizeof(*c));
	c->total = total;
	c->calls = 1;
}

/* The bytes are in iovecs of the program. */
static __always_inline void nt_copy_vector(struct nt_copy *c, __u64 iov, __u64 iovs, bool compat)
{
	c->iov = iov;
	c->iovs = iovs;
	c->iovec = compat ? NT_IOVEC_COMPAT : NT_IOVEC_NATIVE;
}

/* The bytes are where a msghdr of the program says. */
static __always_inline bool nt_copy_message(struct nt_copy *c, __u64 msg, bool compat)
{
	if (compat) {
		__u32 v[2];

		if (bpf_probe_read_user(v, sizeof(v), (void *)(msg + 8)))
			return false;
		nt_copy_vector(c, v[0], v[1], true);
	} else {
		__u64 v[2];

		if (bpf_probe_read_user(v, sizeof(v), (void *)(msg + 16)))
			return false;
		nt_copy_vector(c, v[0], v[1], false);
	}
	return true;
}

/*
 * Takes a call's bytes from its container's bucket. The bucket is a time, the one at which all that
 * passed will have been worth its rate: it may lie a burst ahead of now. A call passes whole, or
 * not at all, so that one longer than the burst passes too, on credit. Not static: the verifier
 * then looks at it once, and not for each path that leads here.
 */
__noinline int nt_over_limit(__u64 cgroup_id, __u64 bytes)
{
	__u64 now = bpf_ktime_get_boot_ns(), cost = bytes * nt_limit_ns_per_kib >> 10, at, seen;
	struct nt_cgroup *cg = bpf_map_lookup_elem(&nt_cgroups, &cgroup_id);

	if (!cg)
		return 0;
	at = cg->full_ns;
#pragma unroll
	for (int i = 0; i < 4; i++) {
		if (at > now + nt_limit_burst_ns)
			return 1;
		seen = nt_cmpxchg(&cg->full_ns, at, (at > now ? at : now) + cost);
		if (seen == at)
			return 0;
		at = seen;
	}
	nt_fetch_add(&cg->full_ns, cost);
	return 0;
}

/* Nobody has read the ring for too long. The last record's time is at hand, the clock is not. */
static __always_inline bool nt_is_orphaned(struct nt_stream *s)
{
	return s->next_ns > nt_orphan_boot_ns && bpf_ktime_get_ns() > nt_orphan_mono_ns;
}

/* False: the call is over its container's rate, or nobody would read it, and lost. */
static __always_inline bool nt_copy_begins(struct nt_copy *c)
{
	if (nt_is_orphaned(c->s)) {
		nt_lose(c->s, NT_LOST_ORPHANED, c->total, 1);
		return false;
	}
	if (!nt_limit_ns_per_kib || !nt_over_limit(c->s->cgroup_id, c->total))
		return true;
	nt_lose(c->s, NT_LOST_RATE_LIMIT, c->total, 1);
	return false;
}

static __always_inline void nt_copy_all(struct nt_copy *c)
{
	if (!c->iovs && c->total <= NT_CHUNK_MAX) {
		nt_copy_piece(c, c->s, c->total);
		return;
	}
	if (!nt_copy_keep(c))
		return;
	/* What the steps change must not look constant. */
	c->base += nt_zero;
	c->len += nt_zero;
	c->iov += nt_zero;
	c->iovs += nt_zero;
	c->total += nt_zero;
	c->calls += nt_zero;
	nt_loop(NT_COPY_STEPS, NT_LEGACY_COPY_STEPS, nt_copy_step, c);
	nt_copy_drop();
	if (c->total)
		nt_lose(c->s, NT_LOST_TOO_LONG, c->total, c->calls);
}

#endif
