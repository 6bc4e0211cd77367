/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Maps and load-time settings. Names and value types are user space's too (include/event.h). */
#ifndef NT_MAPS_BPF_H
#define NT_MAPS_BPF_H

#define NT_WAKE_NEVER (~0ull)

/* Settings: user space fills them between open and load, the verifier then knows them. */
const volatile __u32 nt_tap_mode;  /* 0: auto, 1: read, 2: write */
const volatile bool nt_containers; /* register containers at exec */
const volatile bool nt_sessions;   /* register what the runtime starts beside init, too */
const volatile bool nt_no_writers; /* attribution is off: the write tap is for copying only */
const volatile bool nt_notes;	   /* attribution by line: each write adds a note to the ring */
/* Of each container: nanoseconds that 2^10 bytes take at its rate (0: no limit), and its burst's.
 */
const volatile __u64 nt_limit_ns_per_kib;
const volatile __u64 nt_limit_burst_ns;
/* Cgroups that are asked for, besides those of containers: patterns, as in cgroup_names.h. */
const volatile __u32 nt_n_asked;
const volatile char nt_asked[NT_ASKED_MAX][NT_ASKED_LEN];

/*
 * Where maps outlive their programs, which of them work: see generation.bpf.h. All read them at
 * each call on a stream: a line of the cache that nobody writes often.
 */
const volatile __u64 nt_generation; /* of these programs; 0: their maps are nobody else's */
volatile __u64 nt_in_charge __attribute__((aligned(64))) = 0;
/*
 * Nobody has read the ring for too long when a stream's last record, and then the clock, is past
 * these. User space moves them while it reads. The second is CLOCK_MONOTONIC: nobody reads while
 * the machine is suspended.
 */
volatile __u64 nt_orphan_boot_ns = 0;
volatile __u64 nt_orphan_mono_ns = 0;
volatile __u64 nt_probe_thread = 0; /* user space's, which looks who comes first at a call */
volatile __u64 nt_probe_seen = 0;   /* programs that were not in charge saw it */

/* notail: what nt_deny_self denies the stdio of. */
volatile __u32 nt_self_tgid = 0;

/* A stream was registered whose bytes the write tap copies. */
volatile __u64 nt_write_taps = 0;

/* See include/event.h. */
__u32 nt_filter_files[NT_FILTER_FILES] = {};
__u32 nt_filter_readers[NT_FILTER_READERS] = {};
struct nt_hot nt_hot[NT_HOT] = {};

/* What nt_sweep looks for, in legacy.bpf.c. */
volatile __u64 nt_sweep_cgroup = 0;
volatile __u64 nt_sweep_reader = 0;

/*
 * Always 0, which the verifier does not know: before 6.8 it looked at the callback of a loop once
 * only, and took what the callback changes for constant.
 */
volatile __u64 nt_zero = 0;

/*
 * The consumer is woken by the record that makes the ring's producer position reach this one: user
 * space sets it, and nobody is woken while it is all ones. Two records that race may both wake.
 */
volatile __u64 nt_wake_pos = 0;

/* Resized by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} nt_ring SEC(".maps");

/* Resized by user space. Not preallocated: an entry's memory comes with the stream. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct nt_stream_key);
	__type(value, struct nt_stream);
} nt_streams SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct nt_cgroup);
} nt_cgroups SEC(".maps");

/* tgids that read registered streams: what the read tap looks at before it looks at a file. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u32);
} nt_readers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nt_stats);
} nt_stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nt_scan);
} nt_scan SEC(".maps");

/* A cgroup's path while it is looked at; the room behind it is for copies of a fixed size. */
#define NT_PATH_MAX 4096
struct nt_path {
	__u64 words[(NT_PATH_MAX + NT_PATH_LEN) / 8];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nt_path);
} nt_paths SEC(".maps");

/* Arguments of the calls under way, by thread: hook set multi only, elsewhere user space makes it
 * small. */
struct nt_entry {
	__u64 file;
	__u64 other; /* the iterator, or the file that data is moved from */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct nt_entry);
} nt_entries SEC(".maps");

/* Programs that others go on in: what is too much for one. User space puts them there. */
enum nt_tail { /* user space has their names */
	       NT_TAIL_IO_SUBMIT = 0,
	       NT_TAIL_VMSPLICE,
	       NT_TAIL_SENDMMSG,
	       NT_TAIL_SOCKETCALL,
	       NT_TAIL_EXEC,
	       NT_TAILS,
};

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, NT_TAILS);
	__type(key, __u32);
	__type(value, __u32);
} nt_tails SEC(".maps");

static __always_inline struct nt_stats *nt_stats_here(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&nt_stats, &zero);
}

#define nt_count(field)                                    \
	do {                                               \
		struct nt_stats *_stats = nt_stats_here(); \
		if (_stats)                                \
			_stats->field++;                   \
	} while (0)

/* How to submit a record. */
static __always_inline __u64 nt_wake_flag(void)
{
	__u64 at = nt_wake_pos;

	if (at == NT_WAKE_NEVER || bpf_ringbuf_query(&nt_ring, BPF_RB_PROD_POS) < at)
		return BPF_RB_NO_WAKEUP;
	nt_wake_pos = NT_WAKE_NEVER;
	return BPF_RB_FORCE_WAKEUP;
}

#endif
