/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Feature detection by trying: each program uses one thing, and user space loads (and attaches) one
 * at a time. None of them does anything when it runs, but for those that look at preemption.
 */
#include "compat.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} probe_ring SEC(".maps");

SEC("tp_btf/sched_process_exit")
int probe_tp_btf(void *ctx)
{
	return 0;
}

/* A function that every kernel has and that only the tests of the kernel call. */
SEC("fexit/bpf_fentry_test1")
int probe_fexit(void *ctx)
{
	return 0;
}

SEC("tp_btf/sched_process_exit")
int probe_ringbuf(void *ctx)
{
	bpf_ringbuf_query(&probe_ring, BPF_RB_AVAIL_DATA);
	return 0;
}

static long nothing(__u32 i, void *ctx)
{
	return 1;
}

SEC("tp_btf/sched_process_exit")
int probe_bpf_loop(void *ctx)
{
	bpf_loop(1, nothing, NULL, 0);
	return 0;
}

extern void *bpf_rdonly_cast(void *obj, __u32 btf_id) __ksym;

SEC("tp_btf/sched_process_exit")
int BPF_PROG(probe_rdonly_cast, struct task_struct *task)
{
	struct files_struct *files =
		bpf_rdonly_cast(task->files, bpf_core_type_id_kernel(struct files_struct));

	return files->fdt ? 0 : 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(probe_read_kernel, struct task_struct *task)
{
	__u64 v;

	return bpf_probe_read_kernel(&v, sizeof(v), task) ? 0 : 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(probe_read_user, struct task_struct *task)
{
	__u64 v;

	return bpf_probe_read_user(&v, sizeof(v), task) ? 0 : 0;
}

SEC("kprobe.multi")
int probe_kprobe_multi(void *ctx)
{
	return 0;
}

SEC("kretprobe.multi")
int probe_kretprobe_multi(void *ctx)
{
	return 0;
}

SEC("iter/task_file")
int probe_iter_task_file(void *ctx)
{
	return 0;
}

/*
 * Can a task be preempted inside a program of a tracepoint? Its preemption count says, seen from
 * there: 0. Before 7.x the kernel raised it around the programs.
 */
const volatile __u32 probe_thread;
__u32 probe_runs;
bool probe_preempted; /* or it cannot be seen */

static __always_inline void look_at_preemption(void)
{
	if ((__u32)bpf_get_current_pid_tgid() != probe_thread)
		return;
	if (nt_preempt_count() <= 0)
		probe_preempted = true;
	probe_runs++;
}

SEC("tp_btf/sys_exit")
int probe_preempt_call(void *ctx)
{
	look_at_preemption();
	return 0;
}

SEC("tp_btf/sched_process_wait")
int probe_preempt_event(void *ctx)
{
	look_at_preemption();
	return 0;
}
