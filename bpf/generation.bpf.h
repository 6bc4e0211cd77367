/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Pinned programs work on when their notail has gone. Its successor may bring others for the same
 * maps: for a while both are attached, and nt_in_charge says which work.
 *
 * To change it is not enough. A call whose first program still finds the old word, and whose second
 * finds the new one, would be taken twice, or not at all. So in between (NT_HANDING) the old ones
 * work, and who comes first at a call leaves a mark with the thread, which the second takes away.
 * When all calls that are under way have begun so, the word says NT_HANDED: from now on who comes
 * first does what its generation is to do, and the second does it unless the mark tells that the
 * first came before the change. Reads that have two copies are taken once anyway.
 */
#ifndef NT_GENERATION_BPF_H
#define NT_GENERATION_BPF_H

#include "maps.bpf.h"
#include "rescue.bpf.h"

#define NT_MARK_READS (1ull << 63) /* a thread's marks of either side are apart */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u64);
} nt_handing SEC(".maps");

static __always_inline void nt_leave_mark(__u64 *key)
{
	__u64 one = 1, *n = bpf_map_lookup_elem(&nt_handing, key);

	if (n)
		*n += 1;
	else
		bpf_map_update_elem(&nt_handing, key, &one, BPF_ANY);
}

static __always_inline bool nt_take_mark(__u64 *key)
{
	__u64 *n = bpf_map_lookup_elem(&nt_handing, key);

	if (!n)
		return false;
	*n -= 1;
	if (!*n)
		bpf_map_delete_elem(&nt_handing, key);
	return true;
}

#ifdef FAULT_SLOW_HANDOVER
/* Tests: time for the word to change between the two programs of a call. */
static __always_inline void nt_dawdle(void)
{
	__u64 until = bpf_ktime_get_ns() + 50000;

	for (int i = 0; i < 2000 && bpf_ktime_get_ns() < until; i++)
		barrier();
}
#else
static __always_inline void nt_dawdle(void)
{
}
#endif

/*
 * These programs are not alone in charge. The end of a stream is taken by who comes first: there is
 * nothing left then for the second, which could not take a mark away. Not static: the verifier then
 * looks at it once.
 */
__noinline int nt_is_handed(__u32 reads, __u32 ends)
{
	__u64 key = bpf_get_current_pid_tgid(), word;
	bool old, first;

	nt_dawdle();
	word = nt_in_charge;
	old = (word & NT_GENERATION_MASK) == nt_generation;
	if (ends && key == nt_probe_thread && !old)
		nt_probe_seen = 1;
	if (ends || !(word & NT_HANDING))
		return ends || old;
	if (reads && nt_two_copies)
		return word & NT_HANDED ? !old : old;
	if (reads)
		key |= NT_MARK_READS;
	first = word & NT_NEW_FIRST ? !old : old;
	if (!(word & NT_HANDED)) {
		if (first)
			nt_leave_mark(&key);
		else
			nt_take_mark(&key);
		return old;
	}
	if (first)
		return !old;
	return nt_take_mark(&key) ? old : !old;
}

/* Is the current call on a stream these programs' to take? It moved `bytes`; none or an error may
 * be its end. */
static __always_inline bool nt_is_mine(bool reads, __s64 bytes)
{
	return nt_in_charge == nt_generation || nt_is_handed(reads, reads && bytes <= 0);
}

#endif
