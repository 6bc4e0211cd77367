/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Second copies, for kernels whose tracepoints let a task be preempted inside a program. There the
 * kernel skips the program on that CPU until the task runs again. A second copy is a program of its
 * own, so it is skipped at other times.
 *
 * The copies of the read tap both run at the return of a call, one after the other, unless one is
 * skipped; only one of them may take it. The kernel counts each thread's calls of read and readv
 * (task->ioac.syscr), in the call and in no other thread. Who takes a call leaves that number with
 * the thread: the other copy, at the same return, finds the same number, and a later read a smaller
 * one. So whatever was skipped before, a read is taken once, and not at all only if both copies
 * were skipped for it; which of the two runs first does not matter.
 *
 * A thread's mark is its task's storage: it cannot be another thread's, and ends with it.
 */
#ifndef NT_RESCUE_BPF_H
#define NT_RESCUE_BPF_H

#include "maps.bpf.h"

const volatile bool nt_two_copies; /* of the read tap are attached */

/* Reads that no copy took since there was no memory for a mark: as good as skipped by both. */
volatile __u64 nt_unmarked = 0;

struct nt_mark {
	__u64 reads; /* the thread's count at the last one that was taken */
};

/* Created by user space only where there are two copies. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct nt_mark);
} nt_marks SEC(".maps");

static __always_inline struct nt_mark *nt_mark_here(__u64 flags)
{
	return bpf_task_storage_get(&nt_marks, bpf_get_current_task_btf(), NULL, flags);
}

static __always_inline __u64 nt_reads_here(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	return nt_get(task, ioac.syscr);
}

/* Did the other copy take this very read? */
static __always_inline bool nt_is_taken(void)
{
	struct nt_mark *mark = nt_mark_here(0);

	return mark && mark->reads == nt_reads_here();
}

/* The current read is this copy's. False: it was the other's. */
static __always_inline bool nt_take(void)
{
	struct nt_mark *mark;
	__u64 reads;

	if (!nt_two_copies)
		return true;
	mark = nt_mark_here(BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!mark) {
		nt_add(&nt_unmarked, 1);
		return false;
	}
	reads = nt_reads_here();
	if (mark->reads == reads)
		return false;
	mark->reads = reads;
	return true;
}

#endif
