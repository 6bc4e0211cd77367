// SPDX-License-Identifier: Apache-2.0
/*
 * The ways in which a container's program can write to its stdout and stderr, by name:
 *
 *	ways --list		name and flags, a line each
 *	ways NAME...		those, one after the other
 *	ways --flag FLAG	those that have the flag
 *
 * Each way runs in a process of its own between two marks, on stdout and on stderr alike:
 * `== NAME` and `-- NAME ok|impossible|failed WHY`. A mark begins on a line of its own, whatever
 * the way left behind. The ways' text is of no importance: what the runtime recorded is the truth.
 */
#include "ways.h"

#include "ways_async.h"
#include "ways_calls.h"
#include "ways_content.h"
#include "ways_files.h"
#include "ways_processes.h"
#include "ways_sockets.h"
#include "ways_splice.h"
#include "ways_tty.h"

#define WAY_SECONDS 60

enum {
	COUNTED = 1 << 0,  /* by calls that the write tap counts: written is what was captured */
	MOVED = 1 << 1,	   /* by calls that it does not count: captured is more than written */
	TTY = 1 << 2,	   /* wants a terminal */
	TAKEN = 1 << 3,	   /* written is more than the runtime gets, for a reason with a name */
	SOCKET = 1 << 4,   /* wants stream sockets */
	ANSWERED = 1 << 5, /* counted twice: by the call and by who answers it */
};

static const struct way {
	const char *name;
	void (*run)(void);
	unsigned int flags;
} ways[] = {
#define WAY(name, flags)                 \
	{                                \
#name, way_##name, flags \
	}
	/* ways_calls.h */
	WAY(write, COUNTED),
	WAY(write_single_bytes, COUNTED),
	WAY(write_nothing, COUNTED),
	WAY(write_sizes, COUNTED),
	WAY(write_16m, COUNTED),
	WAY(write_nonblock, COUNTED),
	WAY(write_nonblock_same_file, COUNTED),
	WAY(write_fault_in_the_middle, COUNTED),
	WAY(write_fault, COUNTED),
	WAY(write_no_access, COUNTED),
	WAY(write_signal, COUNTED),
	WAY(write_signal_restart, COUNTED),
	WAY(write_in_handler, COUNTED),
	WAY(write_killed, COUNTED),
	WAY(write_exit_of_another_thread, COUNTED),
	WAY(write_closed, COUNTED),
	WAY(write_both_closed, COUNTED),
	WAY(write_rodata, COUNTED),
	WAY(write_file_map, COUNTED),
	WAY(write_cold_file_map, COUNTED),
	WAY(write_file_map_past_end, COUNTED),
	WAY(write_untouched_memory, COUNTED),
	WAY(write_shared_memory, COUNTED),
	WAY(write_huge_pages, COUNTED),
	WAY(write_changed_buffer, COUNTED),
	WAY(write_unmapped_meanwhile, COUNTED),
	WAY(writev, COUNTED),
	WAY(writev_none, COUNTED),
	WAY(writev_one, COUNTED),
	WAY(writev_empty_between, COUNTED),
	WAY(writev_1024, COUNTED),
	WAY(writev_too_many, COUNTED),
	WAY(writev_counts, COUNTED),
	WAY(writev_fault, COUNTED),
	WAY(writev_large, COUNTED),
	WAY(writev_nonblock, COUNTED),
	WAY(pwritev2, COUNTED),
	WAY(pwrite, COUNTED),
	WAY(send, COUNTED),
	WAY(pipe_sizes, COUNTED),
	WAY(pipe_packets, COUNTED),
	WAY(int80, COUNTED),

	/* ways_splice.h */
	WAY(sendfile, COUNTED),
	WAY(sendfile_large, COUNTED),
	WAY(sendfile_offset, COUNTED),
	WAY(sendfile_cold, COUNTED),
	WAY(sendfile_memfd, COUNTED),
	WAY(splice_file, COUNTED),
	WAY(splice_file_large, COUNTED),
	WAY(splice_file_offset, COUNTED),
	WAY(splice_memfd, COUNTED),
	WAY(splice_pipe, COUNTED),
	WAY(splice_pipe_large, COUNTED),
	WAY(splice_nonblock, COUNTED),
	WAY(splice_socket, COUNTED),
	WAY(splice_zero, COUNTED),
	WAY(splice_beside_write, COUNTED),
	WAY(tee, COUNTED),
	WAY(tee_and_splice, COUNTED),
	WAY(vmsplice, COUNTED),
	WAY(vmsplice_gift, COUNTED),
	WAY(vmsplice_iovecs, COUNTED),
	WAY(vmsplice_changed, COUNTED),
	WAY(copy_file_range, COUNTED),

	/* ways_async.h */
	WAY(uring_write, COUNTED),
	WAY(uring_write_large, COUNTED),
	WAY(uring_async, COUNTED),
	WAY(uring_sqpoll, COUNTED),
	WAY(uring_writev, COUNTED),
	WAY(uring_write_fixed, COUNTED),
	WAY(uring_fixed_file, COUNTED),
	WAY(uring_linked, COUNTED),
	WAY(uring_no_completion, MOVED),
	WAY(uring_splice, COUNTED),
	WAY(uring_tee, COUNTED),
	WAY(aio_write, COUNTED),
	WAY(aio_writev, COUNTED),

	/* ways_files.h */
	WAY(dup, COUNTED),
	WAY(dup2, COUNTED),
	WAY(dup3, COUNTED),
	WAY(fcntl_dupfd, COUNTED),
	WAY(fd_500, COUNTED),
	WAY(dev_stdout, COUNTED),
	WAY(dev_stderr, COUNTED),
	WAY(dev_fd_1, COUNTED),
	WAY(proc_self_fd_1, COUNTED),
	WAY(proc_thread_self_fd_1, COUNTED),
	WAY(proc_1_fd_1, COUNTED),
	WAY(open_append, COUNTED),
	WAY(open_truncate, COUNTED),
	WAY(open_read_write, COUNTED),
	WAY(open_path_only, COUNTED),
	WAY(symlink, COUNTED),
	WAY(fifo_of_our_own, COUNTED),
	WAY(pipe_of_our_own, COUNTED),
	WAY(stdout_to_file, COUNTED),
	WAY(stdout_to_null, COUNTED),
	WAY(stdout_to_pipe, COUNTED),
	WAY(stdout_to_stderr, COUNTED),
	WAY(stderr_to_stdout, COUNTED),
	WAY(swapped, COUNTED),
	WAY(closed_and_opened_again, COUNTED),
	WAY(stdin, COUNTED),
	WAY(scm_rights, COUNTED),
	WAY(pidfd_getfd, COUNTED),
	WAY(foreign_reader, TAKEN),
	WAY(write_while_reader_is_slow, COUNTED),

	/* ways_processes.h */
	WAY(child, COUNTED),
	WAY(vfork, COUNTED),
	WAY(clone_vm, COUNTED),
	WAY(grandchildren, COUNTED),
	WAY(threads, COUNTED),
	WAY(threads_large, COUNTED),
	WAY(processes, COUNTED),
	WAY(short_lived, COUNTED),
	WAY(line_of_many_processes, COUNTED),
	WAY(orphan, COUNTED),
	WAY(setsid, COUNTED),
	WAY(chroot, COUNTED),
	WAY(nobody, COUNTED),
	WAY(user_namespace, COUNTED),
	WAY(mount_namespace, COUNTED),
	WAY(pid_namespace, COUNTED),
	WAY(pid_namespaces_nested, COUNTED),
	WAY(cgroup_namespace, COUNTED),
	WAY(renamed, COUNTED),
	WAY(not_dumpable, COUNTED),
	WAY(seccomp_strict, COUNTED),
	WAY(seccomp_filter, COUNTED),
	WAY(seccomp_notified, COUNTED),
	WAY(seccomp_answered, ANSWERED),
	WAY(traced, COUNTED),
	WAY(abort, COUNTED),
	WAY(unread_at_exit, COUNTED),
	WAY(exec, COUNTED),
	WAY(exec_in_thread, COUNTED),
	WAY(fexecve, COUNTED),
	WAY(exec_then_exec, COUNTED),
	WAY(shell_pipeline, COUNTED),
	WAY(shell_redirections, COUNTED),
	WAY(shell_exec_to_file, COUNTED),
	WAY(shell_background, COUNTED),
	WAY(shell_tee, COUNTED),
	WAY(dd, COUNTED),
	WAY(cat_file, COUNTED), /* busybox' cat uses sendfile */

	/* ways_content.h */
	WAY(nul_bytes, COUNTED),
	WAY(all_bytes, COUNTED),
	WAY(random_bytes, COUNTED),
	WAY(invalid_utf8, COUNTED),
	WAY(carriage_returns, COUNTED),
	WAY(ansi, COUNTED),
	WAY(json, COUNTED),
	WAY(empty_lines, COUNTED),
	WAY(long_line, COUNTED),
	WAY(long_line_in_pieces, COUNTED),
	WAY(lines_of_16k, COUNTED),
	WAY(line_in_pieces, COUNTED),
	WAY(lines_in_one_write, COUNTED),
	WAY(halves_of_both, COUNTED),
	WAY(equal_lines, COUNTED),
	WAY(stdio_buffered, COUNTED),
	WAY(stdio_line_buffered, COUNTED),
	WAY(stdio_unbuffered, COUNTED),
	WAY(dprintf, COUNTED),
	WAY(perror, COUNTED),
	WAY(syslog_perror, COUNTED),
	WAY(no_newline_at_end, COUNTED),

	/* ways_tty.h */
	WAY(tty_write, TTY),
	WAY(tty_large, TTY),
	WAY(tty_writev, TTY),
	WAY(tty_raw, TTY),
	WAY(tty_tabs, TTY),
	WAY(tty_dev_tty, TTY),
	WAY(tty_dev_pts, TTY),
	WAY(tty_dev_console, TTY),
	WAY(tty_proc_1_fd_1, TTY),
	WAY(tty_binary, TTY),
	WAY(tty_nonblock, TTY),
	WAY(tty_threads, TTY),
	WAY(tty_sendfile, TTY),
	WAY(tty_uring, TTY),
	WAY(tty_splice, TTY),
	WAY(tty_stty, TTY),
	WAY(tty_job_control, TTY),
	WAY(tty_of_our_own, TTY),

	/* ways_sockets.h */
	WAY(socket_write, SOCKET),
	WAY(socket_send, SOCKET),
	WAY(socket_sendto, SOCKET),
	WAY(socket_sendmsg, SOCKET),
	WAY(socket_sendmmsg, SOCKET),
	WAY(socket_large, SOCKET),
	WAY(socket_nonblock, SOCKET),
	WAY(socket_uring, SOCKET),
	WAY(socket_children, SOCKET),
};

static const char *const flag_names[] = {"counted", "moved", "tty", "taken", "socket", "answered"};

static const char *flag_name(unsigned int flags)
{
	return flag_names[__builtin_ctz(flags)];
}

static void mark(const char *format, const char *name, const char *how)
{
	line(1, format, name, how);
	line(2, format, name, how);
}

static void run(const struct way *way)
{
	const char *how = "ok";
	char text[300];
	pid_t pid;
	int status = 0;

	(*way_reason)[0] = 0;
	mark("\n== %s%s", way->name, "");
	pid = fork();
	if (pid == 0) {
		alarm(WAY_SECONDS);
		way->run();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	wait_children(); /* orphans of the way are ours: see main() */
	if (WIFEXITED(status) && WEXITSTATUS(status) == STATUS_IMPOSSIBLE)
		how = "impossible";
	else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		how = "failed";
	snprintf(text, sizeof(text), "%s %s", how, *way_reason);
	mark("\n-- %s %s", way->name, text);
}

static const struct way *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		if (strcmp(ways[i].name, name) == 0)
			return &ways[i];
	}
	fprintf(stderr, "ways: no way is called %s\n", name);
	exit(2);
}

int main(int argc, char **argv)
{
	way_reason = mmap(NULL, sizeof(*way_reason), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (way_reason == MAP_FAILED)
		return 1;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (argc == 2 && strcmp(argv[1], "--list") == 0) {
		for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
			printf("%s %s\n", ways[i].name, flag_name(ways[i].flags));
		return 0;
	}
	if (argc == 3 && strcmp(argv[1], "--flag") == 0) {
		for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
			if (strcmp(flag_name(ways[i].flags), argv[2]) == 0)
				run(&ways[i]);
		}
		return 0;
	}
	for (int i = 1; i < argc; i++)
		run(find(argv[i]));
	return 0;
}
