/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One table of what is allowed, by purpose; names that an architecture does not have are passed
 * over. It is put in force when everything is attached, so that nothing of the start is in it: no
 * program is loaded, no map made, nothing mounted, no process started.
 *
 * Of some calls only some arguments are allowed: bpf(2) loads nothing and makes nothing, and
 * sockets are those of Loki, Docker, the status server and the resolver. clone3 hides its flags in
 * memory; what it could make stays behind this filter.
 */
#include "security/filter.h"

#include <errno.h>
#include <linux/bpf.h>
#include <seccomp.h>
#include <sys/socket.h>

#include "base/util.h"

static const char *const ALLOWED[] = {
	/* memory */
	"brk",
	"mmap",
	"munmap",
	"mprotect",
	"mremap",
	"madvise",
	"msync",
	"membarrier",
	/* files: configuration, secrets, time zones, bundles, /proc, the spool, the modules of the
	 * resolver */
	"read",
	"readv",
	"pread64",
	"preadv",
	"preadv2",
	"write",
	"writev",
	"pwrite64",
	"pwritev",
	"pwritev2",
	"open",
	"openat",
	"openat2",
	"close",
	"close_range",
	"stat",
	"fstat",
	"lstat",
	"newfstatat",
	"fstatat64",
	"statx",
	"access",
	"faccessat",
	"faccessat2",
	"readlink",
	"readlinkat",
	"getdents",
	"getdents64",
	"lseek",
	"fcntl",
	"flock",
	"fsync",
	"fdatasync",
	"sync_file_range",
	"ftruncate",
	"fallocate",
	"fadvise64",
	"rename",
	"renameat",
	"renameat2",
	"unlink",
	"unlinkat",
	"mkdir",
	"mkdirat",
	"rmdir",
	"fchmod",
	"chmod",
	"fchmodat",
	"linkat",
	"statfs",
	"fstatfs",
	"dup",
	"dup2",
	"dup3",
	"pipe",
	"pipe2",
	"getcwd",
	"umask",
	"ioctl",
	/* cgroups by their id, where the kernel has not told the name */
	"name_to_handle_at",
	"open_by_handle_at",
	/* waiting */
	"poll",
	"ppoll",
	"select",
	"pselect6",
	"epoll_create",
	"epoll_create1",
	"epoll_ctl",
	"epoll_wait",
	"epoll_pwait",
	"epoll_pwait2",
	"eventfd",
	"eventfd2",
	"timerfd_create",
	"timerfd_settime",
	"timerfd_gettime",
	"signalfd",
	"signalfd4",
	"inotify_init1",
	"inotify_add_watch",
	"inotify_rm_watch",
	"nanosleep",
	"clock_nanosleep",
	/* sockets; see `socket` below */
	"connect",
	"bind",
	"listen",
	"accept",
	"accept4",
	"getsockname",
	"getpeername",
	"setsockopt",
	"getsockopt",
	"sendto",
	"recvfrom",
	"sendmsg",
	"recvmsg",
	"sendmmsg",
	"recvmmsg",
	"shutdown",
	/* threads, signals */
	"futex",
	"futex_waitv",
	"get_robust_list",
	"set_robust_list",
	"set_tid_address",
	"rseq",
	"gettid",
	"tgkill",
	"clone",
	"clone3",
	"sched_yield",
	"sched_getaffinity",
	"sched_getscheduler",
	"sched_getparam",
	"sched_setscheduler",
	"rt_sigaction",
	"rt_sigprocmask",
	"rt_sigreturn",
	"rt_sigpending",
	"rt_sigtimedwait",
	"sigaltstack",
	"restart_syscall",
	"exit",
	"exit_group",
	/* itself; kill is for the command of --pid's relatives: 0 asks whether a process lives */
	"getpid",
	"getppid",
	"getuid",
	"geteuid",
	"getgid",
	"getegid",
	"getresuid",
	"getresgid",
	"getgroups",
	"getpgrp",
	"getpgid",
	"getsid",
	"getrlimit",
	"prlimit64",
	"getrusage",
	"times",
	"capget",
	"kill",
	"pidfd_open",
	"pidfd_send_signal",
	"waitid",
	"wait4",
	"getcpu",
	"arch_prctl",
	"uname",
	"sysinfo",
	"getrandom",
	/* a thread that is started late gives up what it does not need; names of threads */
	"capset",
	"prctl",
	/* clocks, where the vDSO does not answer */
	"clock_gettime",
	"clock_getres",
	"gettimeofday",
	"time",
};

static const int BPF_COMMANDS[] = {
	BPF_MAP_LOOKUP_ELEM, BPF_MAP_UPDATE_ELEM, BPF_MAP_DELETE_ELEM, BPF_MAP_GET_NEXT_KEY,
	BPF_MAP_LOOKUP_AND_DELETE_ELEM, BPF_MAP_LOOKUP_BATCH, BPF_MAP_LOOKUP_AND_DELETE_BATCH,
	BPF_MAP_UPDATE_BATCH, BPF_MAP_DELETE_BATCH, BPF_OBJ_PIN, BPF_OBJ_GET,
	BPF_OBJ_GET_INFO_BY_FD, BPF_PROG_GET_FD_BY_ID, BPF_MAP_GET_FD_BY_ID, BPF_LINK_GET_FD_BY_ID,
	/* hooks that are attached when they are needed, iterators */
	BPF_RAW_TRACEPOINT_OPEN, BPF_LINK_CREATE, BPF_LINK_UPDATE, BPF_LINK_DETACH, BPF_ITER_CREATE,
	BPF_PROG_TEST_RUN, /* programs that are called from here (legacy's sweep) */
};

static const int FAMILIES[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

/* 0 also of a call that this architecture does not have. */
static int allow(scmp_filter_ctx ctx, const char *name, unsigned n, const struct scmp_arg_cmp *args)
{
	int number = seccomp_syscall_resolve_name(name), err;

	if (number == __NR_SCMP_ERROR)
		return 0;
	err = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, number, n, args);
	return err == -EDOM ? 0 : err;
}

static int allow_by_first(scmp_filter_ctx ctx, const char *name, const int *values, size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		const struct scmp_arg_cmp is = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)values[i]);

		err = allow(ctx, name, 1, &is);
	}
	return err;
}

static int fill(scmp_filter_ctx ctx)
{
	int err = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);

	/* Without them on an old kernel: what is refused is logged; store bypass is not disabled,
	 * which would slow all of it down; a tree of calls in place of a list. */
	seccomp_attr_set(ctx, SCMP_FLTATR_CTL_LOG, 1);
	seccomp_attr_set(ctx, SCMP_FLTATR_CTL_SSB, 1);
	seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	for (size_t i = 0; i < ARRAY_SIZE(ALLOWED) && !err; i++)
		err = allow(ctx, ALLOWED[i], 0, NULL);
	if (!err)
		err = allow_by_first(ctx, "bpf", BPF_COMMANDS, ARRAY_SIZE(BPF_COMMANDS));
	if (!err)
		err = allow_by_first(ctx, "socket", FAMILIES, ARRAY_SIZE(FAMILIES));
	return err ? err : allow_by_first(ctx, "socketpair", FAMILIES, ARRAY_SIZE(FAMILIES));
}

int filter__apply(enum filter_mode mode)
{
	uint32_t otherwise = mode == FILTER_KILL ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ERRNO(EPERM);
	scmp_filter_ctx ctx;
	int err;

	if (mode == FILTER_OFF)
		return 0;
	ctx = seccomp_init(otherwise);
	if (!ctx)
		return -ENOMEM;
	err = fill(ctx);
	if (!err)
		err = seccomp_load(ctx);
	seccomp_release(ctx);
	return err;
}
