/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Maps and load-time settings. Names and value types are user space's too (include/event.h). */
#ifndef NT_MAPS_BPF_H
#define NT_MAPS_BPF_H

/* Settings: user space fills them between open and load, the verifier then knows them. */
const volatile __u32 nt_tap_mode;	 /* 0: auto, 1: read, 2: write */
const volatile bool nt_containers;	 /* register containers at exec */
const volatile __u32 nt_self_tgid;	 /* notail: what nt_deny_self denies the stdio of */

/*
 * Producer position from which on a record wakes the consumer: user space (skel->bss) moves it forward with what it has
 * read, and sets 0 before it sleeps, so that the next record wakes it. The program that wakes sets it to all ones, so
 * that nobody else does until user space has looked: submit with BPF_RB_NO_WAKEUP, or, when
 * bpf_ringbuf_query(BPF_RB_PROD_POS) >= nt_wake_pos, with BPF_RB_FORCE_WAKEUP.
 */
volatile __u64 nt_wake_pos;

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

#endif
