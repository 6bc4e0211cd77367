/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command has ended for good when it exited and nobody holds its pipes, or did for LINGER_NS
 * more: a runtime would end its children with it.
 */
#include "single.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/line.h"
#include "base/log.h"
#include "base/util.h"
#include "capture/command.h"
#include "io/loop.h"

#define LINGER_NS (2 * NS_PER_SEC)

struct single {
	const struct options *opts;
	struct command *command;
	struct loop_watch *out, *err;
	struct loop_signal *child;
	struct loop_timer *linger;
	int pid_fd;
	struct loop_watch *pid_ended;
	bool eof, ended;
	int status;
	void (*on_ended)(void *ctx);
	void *ctx;
};

int single__new(struct single **ret, const struct options *opts, char *ret_why, size_t size)
{
	struct single *s = calloc(1, sizeof(*s));
	int err = 0;

	if (!s)
		return -ENOMEM;
	s->opts = opts;
	s->pid_fd = -1;
	if (opts->command)
		err = command__new(&s->command, opts->command, ret_why, size);
	if (err)
		single__free(s);
	else
		*ret = s;
	return err;
}

void single__free(struct single *s)
{
	if (!s)
		return;
	loop_watch__free(s->out);
	loop_watch__free(s->err);
	loop_watch__free(s->pid_ended);
	loop_signal__free(s->child);
	loop_timer__free(s->linger);
	command__free(s->command);
	close_p(&s->pid_fd);
	free(s);
}

static void progress(struct single *s)
{
	if (s->ended && s->eof)
		s->on_ended(s->ctx);
	else if (s->ended)
		loop_timer__set(s->linger, LINGER_NS);
}

static void on_linger(void *ctx)
{
	struct single *s = ctx;

	s->on_ended(s->ctx);
}

static void on_output(void *ctx, int fd, int what)
{
	struct single *s = ctx;

	(void)fd;
	(void)what;
	if (command__drain(s->command) != 1)
		return;
	loop_watch__free(TAKE_PTR(s->out));
	loop_watch__free(TAKE_PTR(s->err));
	s->eof = true;
	progress(s);
}

static void on_child(void *ctx, int signo)
{
	struct single *s = ctx;

	(void)signo;
	if (s->ended || !command__wait(s->command, &s->status))
		return;
	s->ended = true;
	progress(s);
}

static void on_pid_ended(void *ctx, int fd, int what)
{
	struct single *s = ctx;

	(void)fd;
	(void)what;
	s->on_ended(s->ctx);
}

static int attach_pid(struct single *s, struct loop *loop, struct registry *registry,
		      struct capture *capture, char *ret_why, size_t size)
{
	char name[LINE_COMM_LEN + 1] = "", path[64];
	_fclose_ FILE *comm = NULL;
	pid_t pid = s->opts->pid;
	uint64_t cgroup_id;
	int err;

	s->pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (s->pid_fd < 0) {
		err = -errno;
		snprintf(ret_why, size, "--pid %d: %s", pid, strerror(errno));
		return err;
	}
	err = capture__add_pid(capture, pid, &cgroup_id, ret_why, size);
	if (err)
		return err;
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	comm = fopen(path, "re");
	if (!comm || !fgets(name, sizeof(name), comm))
		snprintf(name, sizeof(name), "%d", pid);
	name[strcspn(name, "\n")] = '\0';
	err = registry__cgroup_named(registry, cgroup_id, name);
	return err ? err : loop__watch(loop, s->pid_fd, LOOP_READ, on_pid_ended, s, &s->pid_ended);
}

static int attach_command(struct single *s, struct loop *loop, struct registry *registry,
			  struct capture *capture)
{
	const char *name = strrchr(s->opts->command[0], '/');
	uint64_t cgroup_id = command__cgroup_id(s->command);
	int out = command__stdout(s->command), err_fd = command__stderr(s->command);
	int err;

	err = registry__cgroup_named(registry, cgroup_id, name ? name + 1 : s->opts->command[0]);
	if (!err)
		err = capture__add_pipe(capture, out, getpid(), NT_FILE_STDOUT, cgroup_id);
	if (!err)
		err = capture__add_pipe(capture, err_fd, getpid(), NT_FILE_STDERR, cgroup_id);
	if (!err)
		err = loop__watch(loop, out, LOOP_READ, on_output, s, &s->out);
	if (!err)
		err = loop__watch(loop, err_fd, LOOP_READ, on_output, s, &s->err);
	if (!err)
		err = loop__timer(loop, on_linger, s, &s->linger);
	if (!err)
		err = loop__signal(loop, SIGCHLD, on_child, s, &s->child);
	return err;
}

int single__attach(struct single *s, struct loop *loop, struct registry *registry,
		   struct capture *capture, void (*ended)(void *ctx), void *ctx, char *ret_why,
		   size_t size)
{
	s->on_ended = ended;
	s->ctx = ctx;
	if (s->command)
		return attach_command(s, loop, registry, capture);
	return attach_pid(s, loop, registry, capture, ret_why, size);
}

void single__go(struct single *s)
{
	int err = s->command ? command__go(s->command) : 0;

	if (err)
		log_error("cannot run %s: %s", s->opts->command[0], strerror(-err));
}

bool single__signal(struct single *s, int signo)
{
	if (!s->command || s->ended)
		return false;
	command__signal(s->command, signo);
	return true;
}

int single__status(const struct single *s)
{
	return s->status;
}
