/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#include "compat.bpf.h"
#include "event.h"
#include "maps.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define STUB(sec, name) \
SEC(sec) int name(void *ctx) { \
	__u32 z = 0; struct nt_stream_key k = {}; __u64 c = 0; \
	bpf_map_lookup_elem(&nt_streams, &k); bpf_map_lookup_elem(&nt_cgroups, &c); \
	bpf_map_lookup_elem(&nt_readers, &z); bpf_map_lookup_elem(&nt_stats, &z); \
	bpf_map_lookup_elem(&nt_scan, &z); bpf_ringbuf_query(&nt_ring, 0); \
	return nt_tap_mode + nt_containers + nt_self_tgid + nt_wake_pos == 999 ? 0 : 0; }

STUB("tp_btf/sched_process_exec", nt_sched_process_exec)
STUB("tp_btf/sched_process_exit", nt_sched_process_exit)
STUB("tp_btf/cgroup_mkdir", nt_cgroup_mkdir)
STUB("tp_btf/cgroup_rmdir", nt_cgroup_rmdir)
STUB("iter/task_file", nt_scan_files)
STUB("iter/task_file", nt_deny_self)
STUB("tp_btf/sys_exit", nt_sys_exit)
STUB("fexit/pipe_read", nt_pipe_read)
STUB("fexit/anon_pipe_read", nt_anon_pipe_read)
STUB("fexit/pipe_write", nt_pipe_write)
STUB("fexit/anon_pipe_write", nt_anon_pipe_write)
STUB("fexit/tty_read", nt_tty_read)
STUB("fexit/tty_write", nt_tty_write)
STUB("fexit/unix_stream_sendmsg", nt_unix_stream_sendmsg)
STUB("fexit/do_splice", nt_do_splice)
STUB("fexit/do_tee", nt_do_tee)
STUB("fexit/do_sendfile", nt_do_sendfile)
STUB("fexit/bprm_execve", nt_bprm_execve)
/* Each pair is attached to whichever of the listed functions exists, both programs to the same. */
STUB("kprobe.multi", nt_multi_pipe_read)	  /* pipe_read, anon_pipe_read, fifo? no */
STUB("kretprobe.multi", nt_multi_pipe_read_ret)
STUB("kprobe.multi", nt_multi_pipe_write)	  /* pipe_write, anon_pipe_write */
STUB("kretprobe.multi", nt_multi_pipe_write_ret)
STUB("kprobe.multi", nt_multi_tty_read)
STUB("kretprobe.multi", nt_multi_tty_read_ret)
STUB("kprobe.multi", nt_multi_tty_write)
STUB("kretprobe.multi", nt_multi_tty_write_ret)
STUB("kprobe.multi", nt_multi_unix_stream_sendmsg)
STUB("kretprobe.multi", nt_multi_unix_stream_sendmsg_ret)
