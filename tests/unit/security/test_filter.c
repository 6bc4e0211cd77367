/* SPDX-License-Identifier: Apache-2.0 */
/* Each case in a child: a filter is for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/privileges.h"
#include "base/util.h"
#include "security/filter.h"

/* 0: allowed; else errno. */
typedef int (*call_fn)(void);

static int as_errno(long r)
{
	return r < 0 ? errno : 0;
}

static int call_execve(void)
{
	char *const none[] = {NULL};

	return as_errno(execve("/nonexistent", none, none));
}

static int call_ptrace(void)
{
	return as_errno(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int call_mount(void)
{
	return as_errno(mount("none", "/nonexistent", "tmpfs", 0, NULL));
}

static int call_unshare(void)
{
	return as_errno(unshare(CLONE_FS));
}

static int call_raw_socket(void)
{
	return as_errno(socket(AF_PACKET, SOCK_RAW, 0));
}

static int call_prog_load(void)
{
	union bpf_attr attr = {0};

	return as_errno(syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr)));
}

static int call_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	close(fd);
	return as_errno(fd);
}

static int call_open(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	close(fd);
	return as_errno(fd);
}

/* Its descriptor is none, which is what the kernel says: it was asked. */
static int call_lookup(void)
{
	union bpf_attr attr = {.map_fd = (uint32_t)-1};

	return as_errno(syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr)));
}

static void *answer_from_a_thread(void *arg)
{
	*(int *)arg = call_ptrace();
	return NULL;
}

static int call_thread(void)
{
	pthread_t thread;
	int answer = 0;
	int err = pthread_create(&thread, NULL, answer_from_a_thread, &answer);

	if (!err)
		pthread_join(thread, NULL);
	return err ? err : answer;
}

/* The child's exit status, or -signal. */
static int in_child(enum filter_mode mode, call_fn call)
{
	pid_t pid = fork();
	int status = 0;

	assert_true(pid >= 0);
	if (!pid) {
		prctl(PR_SET_DUMPABLE, 0); /* no core of what is to be killed */
		if (privileges__no_new() || filter__apply(mode))
			_exit(200);
		_exit(call());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void skip_without_filters(void)
{
	if (syscall(SYS_seccomp, -1, 0, NULL) < 0 && errno == ENOSYS) { /* valgrind 3.19 */
		print_message("SKIP no seccomp here\n");
		skip();
	}
}

static void refused(void **state)
{
	const call_fn calls[] = {call_execve,	  call_ptrace,	  call_mount, call_unshare,
				 call_raw_socket, call_prog_load, call_thread};

	(void)state;
	skip_without_filters();
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		if (in_child(FILTER_ON, calls[i]) != EPERM)
			fail_msg("call %zu is not refused", i);
	assert_int_equal(in_child(FILTER_KILL, call_execve), -SIGSYS);
}

static void allowed(void **state)
{
	const call_fn calls[] = {call_socket, call_open};

	(void)state;
	skip_without_filters();
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		assert_int_equal(in_child(FILTER_ON, calls[i]), 0);
		assert_int_equal(in_child(FILTER_KILL, calls[i]), 0);
	}
	assert_int_not_equal(in_child(FILTER_KILL, call_lookup), -SIGSYS);
	assert_int_equal(in_child(FILTER_OFF, call_execve), ENOENT);
}

static uint64_t capabilities(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	if (syscall(SYS_capget, &head, data))
		abort();
	return data[0].effective | (uint64_t)data[1].effective << 32;
}

static int drop(bool write_others)
{
	uint64_t before = capabilities(), after, kept;

	if (privileges__drop(write_others))
		return 201;
	after = capabilities();
	kept = 1ull << CAP_BPF | 1ull << CAP_PERFMON | 1ull << CAP_SYS_PTRACE |
	       1ull << CAP_DAC_READ_SEARCH | 1ull << CAP_SYS_NICE;
	if (write_others)
		kept |= 1ull << CAP_DAC_OVERRIDE;
	if (!(before & 1ull << CAP_BPF))
		kept |= 1ull << CAP_SYS_ADMIN;
	return after == (before & kept) ? 0 : 202;
}

static int drop_most(void)
{
	return drop(false);
}

static int drop_but_writing(void)
{
	return drop(true);
}

/* Nothing is left to drop, and nothing comes back. */
static int drop_twice(void)
{
	int r = drop(false);

	return r ? r : drop(true);
}

static void capabilities_are_dropped(void **state)
{
	(void)state;
	skip_without_filters();
	assert_int_equal(in_child(FILTER_OFF, drop_most), 0);
	assert_int_equal(in_child(FILTER_OFF, drop_but_writing), 0);
	assert_int_equal(in_child(FILTER_KILL, drop_most), 0);
	assert_int_equal(in_child(FILTER_OFF, drop_twice), 0);
}

static int hide(void)
{
	privileges__hide();
	return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
}

static void not_dumpable(void **state)
{
	(void)state;
	assert_int_equal(in_child(FILTER_OFF, hide), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused),
		cmocka_unit_test(allowed),
		cmocka_unit_test(capabilities_are_dropped),
		cmocka_unit_test(not_dumpable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
