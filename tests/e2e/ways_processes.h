/* SPDX-License-Identifier: Apache-2.0 */
/* Who writes: children, threads, orphans, other users, other namespaces, other programs. */
#ifndef WAYS_PROCESSES_H
#define WAYS_PROCESSES_H

#include <linux/seccomp.h>
#include <sys/ptrace.h>

#include <linux/filter.h>
#include <linux/seccomp.h>

#include "ways.h"

static void way_child(void)
{
	if (fork() == 0) {
		line(1, "from the child");
		_exit(0);
	}
	line(1, "from the parent");
	wait_children();
}

static void way_vfork(void)
{
	pid_t pid = vfork();

	if (pid == 0) {
		(void)!write(1, "from a vfork child\n", 19);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static int cloned(void *arg)
{
	(void)arg;
	(void)!write(1, "from a clone\n", 13);
	return 0;
}

static void way_clone_vm(void)
{
	char *stack = memory(64 * 1024);

	must(clone(cloned, stack + 64 * 1024, CLONE_VM | CLONE_FILES | SIGCHLD, NULL) > 0, "clone");
	wait_children();
}

static void way_grandchildren(void)
{
	for (int depth = 0; depth < 10; depth++) {
		line(1, "generation %d", depth);
		if (fork() > 0) {
			wait_children();
			_exit(0);
		}
	}
}

static void *thread_lines(void *arg)
{
	for (int i = 0; i < 300; i++)
		line(i % 5 ? 1 : 2, "thread %d line %d", (int)(intptr_t)arg, i);
	return NULL;
}

static void way_threads(void)
{
	pthread_t ids[16];

	for (int i = 0; i < 16; i++)
		ids[i] = thread(thread_lines, (void *)(intptr_t)i);
	for (int i = 0; i < 16; i++)
		pthread_join(ids[i], NULL);
}

static void *thread_large(void *arg)
{
	for (int i = 0; i < 20; i++)
		write_all(1, arg, 20000 + (size_t)i * 1000);
	return NULL;
}

/* Larger than PIPE_BUF: the pieces of several writers interleave as they like. */
static void way_threads_large(void)
{
	pthread_t ids[4];

	for (int i = 0; i < 4; i++)
		ids[i] = thread(thread_large, filled(40000));
	for (int i = 0; i < 4; i++)
		pthread_join(ids[i], NULL);
	line(1, "\nafter");
}

static void way_processes(void)
{
	for (int i = 0; i < 20; i++) {
		if (fork() == 0) {
			thread_lines((void *)(intptr_t)i);
			_exit(0);
		}
	}
	wait_children();
}

static void way_short_lived(void)
{
	for (int i = 0; i < 100; i++) {
		if (fork() == 0) {
			line(1, "child %d", i);
			_exit(0);
		}
	}
	wait_children();
}

static void way_orphan(void)
{
	if (fork() == 0) {
		if (fork() == 0) {
			setsid();
			while (getppid() != 1 && getppid() == getpgrp())
				pause_ms(1);
			for (int i = 0; i < 10; i++) {
				line(1, "from an orphan %d", i);
				pause_ms(2);
			}
			_exit(0);
		}
		_exit(0);
	}
	wait_children();
}

static void way_setsid(void)
{
	if (fork() == 0) {
		setsid();
		line(1, "from a session of its own");
		_exit(0);
	}
	wait_children();
}

static void way_chroot(void)
{
	if (mkdir("/tmp/root", 0755) < 0)
		must(errno == EEXIST, "mkdir");
	if (chroot("/tmp/root") < 0)
		impossible("chroot");
	line(1, "from a chroot");
}

static void way_nobody(void)
{
	must(setgid(65534) == 0 && setuid(65534) == 0, "setuid");
	line(1, "from nobody");
}

static void in_namespace(int flags, const char *name)
{
	if (unshare(flags) < 0)
		impossible(name);
	if (fork() == 0) {
		line(1, "from another %s namespace", name);
		_exit(0);
	}
	wait_children();
}

static void way_user_namespace(void)
{
	in_namespace(CLONE_NEWUSER, "user");
}

/* A pid namespace in a pid namespace. */
static void way_pid_namespaces_nested(void)
{
	if (unshare(CLONE_NEWPID) < 0)
		impossible("pid");
	if (fork() == 0)
		in_namespace(CLONE_NEWPID, "nested pid");
	wait_children();
}

/* One process begins a line, others go on with it, the last one ends it. */
static void way_line_of_many_processes(void)
{
	for (int i = 0; i < 20; i++) {
		for (int part = 0; part < 5; part++) {
			if (fork() == 0) {
				char text[32];
				int n = snprintf(text, sizeof(text), "part %d of %d%s", part, i,
						 part == 4 ? "\n" : ", ");

				write_all(i % 2 ? 2 : 1, text, (size_t)n);
				_exit(0);
			}
			wait_children();
		}
	}
}

static void way_mount_namespace(void)
{
	in_namespace(CLONE_NEWNS, "mount");
}

static void way_pid_namespace(void)
{
	in_namespace(CLONE_NEWPID, "pid");
}

static void way_cgroup_namespace(void)
{
	in_namespace(0x02000000 /* CLONE_NEWCGROUP */, "cgroup");
}

static void way_renamed(void)
{
	for (int i = 0; i < 10; i++) {
		char name[16];

		snprintf(name, sizeof(name), "name %d", i);
		prctl(PR_SET_NAME, name);
		line(1, "as `%s`", name);
	}
}

static void way_not_dumpable(void)
{
	prctl(PR_SET_DUMPABLE, 0);
	line(1, "not dumpable");
}

static void way_seccomp_strict(void)
{
	if (fork() == 0) {
		if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) < 0)
			_exit(0);
		for (int i = 0; i < 10; i++)
			(void)!write(1, "in strict seccomp\n", 18);
		syscall(SYS_exit, 0);
	}
	wait_children();
	line(1, "after");
}

static void filter_with(struct sock_filter *filter, unsigned short len)
{
	struct sock_fprog program = {.len = len, .filter = filter};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		impossible("seccomp");
}

/* A filter that looks at every call. */
static void way_seccomp_filter(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	filter_with(filter, ARRAY_SIZE(filter));
	for (int i = 0; i < 20; i++)
		line(1 + i % 2, "filtered %d", i);
}

static int listener = -1;

/* Its writes are another thread's to allow. */
static void *notified(void *arg)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = ARRAY_SIZE(filter), .filter = filter};
	int fd;

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
			  &program);
	__atomic_store_n(&listener, fd < 0 ? -2 : fd, __ATOMIC_SEQ_CST);
	for (int i = 0; fd >= 0 && i < 20; i++)
		line(1, "notified %d", i);
	return arg;
}

/* `answer`: the write is made in its stead. Otherwise it goes on. */
static void supervise(bool answer)
{
	pthread_t other = thread(notified, NULL);
	struct pollfd pfd = {.events = POLLIN};

	while ((pfd.fd = __atomic_load_n(&listener, __ATOMIC_SEQ_CST)) == -1)
		pause_ms(1);
	if (pfd.fd < 0)
		impossible("a seccomp listener");
	while (poll(&pfd, 1, -1) > 0 && pfd.revents & POLLIN) {
		struct seccomp_notif call = {0};
		struct seccomp_notif_resp resp = {0};

		if (ioctl(pfd.fd, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0)
			continue;
		resp.id = call.id;
		resp.flags = answer ? 0 : SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		if (answer)
			resp.val =
				write((int)call.data.args[0], (void *)(uintptr_t)call.data.args[1],
				      (size_t)call.data.args[2]);
		must(ioctl(pfd.fd, SECCOMP_IOCTL_NOTIF_SEND, &resp) == 0, "NOTIF_SEND");
	}
	pthread_join(other, NULL);
}

static void way_seccomp_notified(void)
{
	supervise(false);
}

static void way_seccomp_answered(void)
{
	supervise(true);
}

static void way_traced(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			impossible("ptrace");
		raise(SIGSTOP);
		for (int i = 0; i < 20; i++)
			line(1, "traced %d", i);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status))
		ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
	_exit(WEXITSTATUS(status));
}

static void way_abort(void)
{
	if (fork() == 0) {
		line(1, "before abort");
		abort();
	}
	wait_children();
}

static void way_unread_at_exit(void)
{
	if (fork() == 0) {
		write_all(1, filled(60000), 60000);
		_exit(0);
	}
	wait_children();
}

static void shell(const char *script)
{
	execl("/bin/sh", "sh", "-c", script, (char *)NULL);
	impossible("/bin/sh");
}

static void way_exec(void)
{
	execl("/bin/echo", "echo", "from another program", (char *)NULL);
	impossible("/bin/echo");
}

static void *exec_in_thread(void *arg)
{
	way_exec();
	return arg;
}

static void way_exec_in_thread(void)
{
	thread(exec_in_thread, NULL);
	for (;;)
		pause_ms(100);
}

static void way_fexecve(void)
{
	char *argv[] = {"echo", "by fexecve", NULL};
	char *envp[] = {NULL};

	fexecve(reopen("/bin/echo", O_RDONLY), argv, envp);
	impossible("fexecve");
}

static void way_exec_then_exec(void)
{
	shell("echo one; exec sh -c 'echo two; exec echo three'");
}

static void way_shell_pipeline(void)
{
	shell("echo never | cat >/dev/null; echo a | sed s/a/b/; yes | head -n 500");
}

static void way_shell_redirections(void)
{
	shell("echo both >&2; { echo out; echo err >&2; } 2>&1; exec 5>&1; echo five >&5; exec "
	      "5>&-; "
	      "(exec >/tmp/ways.out; echo never); rm -f /tmp/ways.out; echo last");
}

/* From there on it is a file's: no log. */
static void way_shell_exec_to_file(void)
{
	shell("echo before; exec 3>&1 >/tmp/ways.file; echo never; sh -c 'echo nor this'; exec "
	      ">&3; "
	      "rm -f /tmp/ways.file; echo after");
}

static void way_shell_background(void)
{
	shell("for i in 1 2 3 4 5; do (echo background $i; echo error $i >&2) & done; wait; echo "
	      "done");
}

static void way_shell_tee(void)
{
	shell("seq 1 200 | tee /dev/stderr; seq 1 20 | tee /proc/self/fd/1 >/dev/null");
}

static void way_dd(void)
{
	shell("seq 1 5000 | dd bs=333 2>/dev/null; dd if=/bin/busybox bs=1000 count=30 "
	      "2>/dev/null; echo");
}

static void way_cat_file(void)
{
	shell("seq 1 20000 >/tmp/ways.seq; cat /tmp/ways.seq; rm /tmp/ways.seq");
}

#endif
