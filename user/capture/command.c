/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child is forked at once, so that its pid, its cgroup and its pipes are known and can be
 * registered, and then waits on a pipe until command__go. A second pipe, closed by exec, brings
 * back the errno of an exec that failed: end of file there means the program runs. The exit
 * statuses of a failure are the shell's, 127 for a name that was not found and 126 for one that
 * cannot be run.
 *
 * The cgroup is for attribution only: where none can be made (a read-only or foreign hierarchy) the
 * command runs in notail's own.
 */
#include "capture/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "capture/proc.h"

#define STATUS_NOT_FOUND 127
#define STATUS_NOT_RUNNABLE 126
#define RMDIR_TRIES 20
#define RMDIR_PAUSE_MS 10
/* A drain returns to the caller's loop after so much, so that one command cannot hold it. */
#define DRAIN_BYTES (1 << 20)

struct command {
	pid_t pid;
	int out[2]; /* the reading ends, by index: stdout, stderr */
	int go;	    /* written once: the child may exec */
	int failed; /* the child's errno, or end of file */
	bool eof[2];
	bool reaped;
	int status;
	uint64_t cgroup_id;
	int cgroup_parent; /* directory descriptor; -1: none was made */
	char cgroup_name[32];
};

static void close_pair(int pair[2])
{
	close_p(&pair[0]);
	close_p(&pair[1]);
}

/* Everything the child needs, made before the fork. */
struct child {
	char *const *argv;
	int go, failed;
	int out, err;
};

static void reset_signals(void)
{
	struct sigaction act = {.sa_handler = SIG_DFL};
	sigset_t none;

	/* Fails for SIGKILL, SIGSTOP and the C library's own, which are as they should be. */
	for (int sig = 1; sig < NSIG; sig++)
		sigaction(sig, &act, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

__attribute__((noreturn)) static void run_child(const struct child *ch)
{
	int error;
	char go;
	ssize_t n;

	reset_signals();
	do {
		n = read(ch->go, &go, 1);
	} while (n < 0 && errno == EINTR);
	if (n != 1)
		_exit(STATUS_NOT_RUNNABLE);
	if (dup2(ch->out, STDOUT_FILENO) >= 0 && dup2(ch->err, STDERR_FILENO) >= 0)
		execvp(ch->argv[0], ch->argv);
	error = errno;
	while (write(ch->failed, &error, sizeof(error)) < 0 && errno == EINTR)
		;
	_exit(error == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_RUNNABLE);
}

/* With stdin, stdout or stderr closed a pipe could get their number, and dup2 would not clear its
 * close-on-exec flag: keep all descriptors above. */
static int pipe_above_stdio(int ret[2], int flags)
{
	int pair[2];

	if (pipe2(pair, O_CLOEXEC | flags) < 0)
		return -errno;
	for (int i = 0; i < 2; i++) {
		int fd = fcntl(pair[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
		int r = -errno;

		if (fd < 0) {
			close_pair(pair);
			return r;
		}
		close(pair[i]);
		pair[i] = fd;
	}
	ret[0] = pair[0];
	ret[1] = pair[1];
	return 0;
}

/* "/a/b" -> "/a": beside notail, not below it, since a cgroup with processes may not have children
 * with controllers. */
static void parent_path(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash)
		slash[slash == path ? 1 : 0] = '\0';
}

static int move_to_cgroup(struct command *c, int dir)
{
	char text[32];
	_close_ int procs = -1;
	int len;

	procs = openat(dir, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	if (procs < 0)
		return -errno;
	len = snprintf(text, sizeof(text), "%d\n", c->pid);
	if (write(procs, text, (size_t)len) != len)
		return -errno;
	return 0;
}

static int cgroup_below(struct command *c, int root, const char *path)
{
	_close_ int parent =
		openat(root, path[1] ? path + 1 : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_close_ int dir = -1;
	struct stat st;
	int r;

	if (parent < 0 || mkdirat(parent, c->cgroup_name, 0755) < 0)
		return -errno;
	dir = openat(parent, c->cgroup_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = dir < 0 || fstat(dir, &st) < 0 ? -errno : move_to_cgroup(c, dir);
	if (r < 0) {
		unlinkat(parent, c->cgroup_name, AT_REMOVEDIR);
		return r;
	}
	c->cgroup_id = st.st_ino;
	c->cgroup_parent = TAKE_FD(parent);
	return 0;
}

static void make_cgroup(struct command *c)
{
	_close_ int root = -1;
	char path[4096];
	int r;

	snprintf(c->cgroup_name, sizeof(c->cgroup_name), "notail-%d", getpid());
	r = cgroup2__open_root(&root);
	if (r == 0)
		r = cgroup2__path(getpid(), path, sizeof(path));
	if (r == 0) {
		uint64_t own;

		if (cgroup2__id(root, path, &own) == 0)
			c->cgroup_id = own;
		parent_path(path);
		r = cgroup_below(c, root, path);
		if (r < 0)
			r = cgroup_below(c, root, "/");
	}
	if (r < 0)
		log_debug("cannot make a cgroup for the command: %s; it runs in notail's own",
			  strerror(-r));
}

static int start(struct command *c, char *const argv[])
{
	int out[2] = {-1, -1}, err[2] = {-1, -1}, go[2] = {-1, -1}, failed[2] = {-1, -1};
	struct child ch = {.argv = argv};
	int r;

	r = pipe_above_stdio(out, 0);
	if (r == 0)
		r = pipe_above_stdio(err, 0);
	if (r == 0)
		r = pipe_above_stdio(go, 0);
	if (r == 0)
		r = pipe_above_stdio(failed, 0);
	if (r < 0)
		goto out;
	/* Only notail's ends: the program must see plain, blocking pipes. */
	if (fcntl(out[0], F_SETFL, O_NONBLOCK) < 0 || fcntl(err[0], F_SETFL, O_NONBLOCK) < 0) {
		r = -errno;
		goto out;
	}

	ch.go = go[0];
	ch.failed = failed[1];
	ch.out = out[1];
	ch.err = err[1];
	c->pid = fork();
	if (c->pid < 0) {
		r = -errno;
		goto out;
	}
	if (c->pid == 0) {
		close(go[1]); /* or the wait below would outlive notail */
		run_child(&ch);
	}
	c->out[0] = TAKE_FD(out[0]);
	c->out[1] = TAKE_FD(err[0]);
	c->go = TAKE_FD(go[1]);
	c->failed = TAKE_FD(failed[0]);
out:
	close_pair(out);
	close_pair(err);
	close_pair(go);
	close_pair(failed);
	return r;
}

int command__new(struct command **ret, char *const argv[], char *ret_why, size_t size)
{
	struct command *c = malloc(sizeof(*c));
	int r;

	if (!c) {
		snprintf(ret_why, size, "cannot start %s: out of memory", argv[0]);
		return -ENOMEM;
	}
	*c = (struct command){
		.out = {-1, -1}, .go = -1, .failed = -1, .cgroup_parent = -1, .pid = -1};
	r = start(c, argv);
	if (r < 0) {
		snprintf(ret_why, size, "cannot start %s: %s", argv[0], strerror(-r));
		command__free(c);
		return r;
	}
	make_cgroup(c);
	*ret = c;
	return 0;
}

/* The kernel takes a process out of its cgroup a little after it was waited for. */
static void remove_cgroup(struct command *c)
{
	for (int i = 0; i < RMDIR_TRIES; i++) {
		if (unlinkat(c->cgroup_parent, c->cgroup_name, AT_REMOVEDIR) == 0 || errno != EBUSY)
			return;
		poll(NULL, 0, RMDIR_PAUSE_MS);
	}
	log_debug("the cgroup %s is left behind: processes of the command live in it",
		  c->cgroup_name);
}

void command__free(struct command *c)
{
	if (!c)
		return;
	close_pair(c->out);
	close_p(&c->failed);
	if (c->go >= 0) {
		/* Never let go: it ends by itself when it reads the end here. */
		close(c->go);
		while (c->pid > 0 && !c->reaped && waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (c->cgroup_parent >= 0)
		remove_cgroup(c);
	close_p(&c->cgroup_parent);
	free(c);
}

int command__stdout(const struct command *c)
{
	return c->out[0];
}

int command__stderr(const struct command *c)
{
	return c->out[1];
}

uint64_t command__cgroup_id(const struct command *c)
{
	return c->cgroup_id;
}

pid_t command__pid(const struct command *c)
{
	return c->pid;
}

/* Blocks until the child has exec'd or failed to: it does nothing else in between. */
int command__go(struct command *c)
{
	int error = 0;
	ssize_t n;

	if (c->go < 0)
		return -EALREADY;
	while (write(c->go, "", 1) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	close(TAKE_FD(c->go));
	do {
		n = read(c->failed, &error, sizeof(error));
	} while (n < 0 && errno == EINTR);
	close(TAKE_FD(c->failed));
	return n == sizeof(error) ? -error : 0;
}

int command__drain(struct command *c)
{
	static char dropped[65536]; /* the taps have copied what is read here */

	for (int i = 0; i < 2; i++) {
		size_t total = 0;

		while (!c->eof[i] && total < DRAIN_BYTES) {
			ssize_t n = read(c->out[i], dropped, sizeof(dropped));

			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0 && errno == EAGAIN)
				break;
			if (n <= 0)
				c->eof[i] = true;
			else
				total += (size_t)n;
		}
	}
	return c->eof[0] && c->eof[1];
}

bool command__wait(struct command *c, int *ret_status)
{
	int status;

	if (!c->reaped) {
		if (waitpid(c->pid, &status, WNOHANG) != c->pid)
			return false;
		c->reaped = true;
		c->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	}
	*ret_status = c->status;
	return true;
}

void command__signal(struct command *c, int signo)
{
	if (!c->reaped)
		kill(c->pid, signo);
}
