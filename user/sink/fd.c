/* SPDX-License-Identifier: Apache-2.0 */
/*
 * O_NONBLOCK belongs to the open file description, which stdout shares with the shell and with
 * whoever else got it: setting it would break their writes. So each kind of file is written in its
 * own way:
 *
 *  - pipes and terminals are opened again through /proc/self/fd, which gives a description of our
 *    own; not the master side of a pty, where that would make another pty;
 *  - sockets cannot be opened again, but take MSG_DONTWAIT for each call;
 *  - what can neither, but can be polled (a pipe of another user, no /proc): writes of at most
 *    PIPE_BUF bytes, each after a poll that says there is room;
 *  - what cannot be polled (regular files, /dev/null) never says "later": plain writes.
 */
#include "sink/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/log.h"
#include "base/util.h"
#include "io/loop.h"
#include "sink/pending.h"

enum fd_kind { FD_PLAIN, FD_NONBLOCK, FD_SOCKET, FD_POLLED };

struct fd_sink {
	struct loop *loop;
	sink_done_fn done;
	void *ctx;
	struct fd_sink_opts opts;
	enum fd_kind kind;
	int fd;	    /* written to: opts.fd, or own_fd */
	int own_fd; /* -1: none */
	struct loop_watch *watch;
	struct pending queue;
	size_t written; /* of the queue's first batch */
	bool busy;	/* fd_sink__drain runs further up the stack */
	bool failed;
	struct sink_stats stats;
};

#define stat_add(field, n) atomic_fetch_add_explicit(&(field), (n), memory_order_relaxed)

static void fd_sink__drain(struct fd_sink *s);

static void fd_sink__on_writable(void *ctx, int fd _unused_, int what _unused_)
{
	fd_sink__drain(ctx);
}

static int fd_sink__reopen(struct fd_sink *s)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", s->opts.fd);
	s->own_fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (s->own_fd < 0)
		return -errno;
	s->fd = s->own_fd;
	return 0;
}

static bool can_poll(struct loop *loop, int fd)
{
	struct loop_watch *w = NULL;
	int err = loop__watch(loop, fd, LOOP_WRITE, fd_sink__on_writable, NULL, &w);

	loop_watch__free(w);
	return !err;
}

static int fd_sink__choose(struct fd_sink *s)
{
	const dev_t ptmx = makedev(5, 2);
	struct stat st;
	bool tty;

	if (fstat(s->opts.fd, &st))
		return -errno;
	if ((fcntl(s->opts.fd, F_GETFL) & O_ACCMODE) == O_RDONLY)
		return -EBADF;
	s->fd = s->opts.fd;
	tty = S_ISCHR(st.st_mode) && st.st_rdev != ptmx && isatty(s->opts.fd);
	if (S_ISSOCK(st.st_mode))
		s->kind = FD_SOCKET;
	else if ((S_ISFIFO(st.st_mode) || tty) && !fd_sink__reopen(s))
		s->kind = FD_NONBLOCK;
	else if (can_poll(s->loop, s->opts.fd))
		s->kind = FD_POLLED;
	else
		s->kind = FD_PLAIN;
	return 0;
}

int fd_sink__new(struct fd_sink **ret, struct loop *loop, const struct fd_sink_opts *opts,
		 sink_done_fn done, void *ctx)
{
	struct fd_sink *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->loop = loop;
	s->done = done;
	s->ctx = ctx;
	s->opts = *opts;
	s->own_fd = -1;
	err = fd_sink__choose(s);
	if (err) {
		fd_sink__free(s);
		return err;
	}
	*ret = s;
	return 0;
}

static void fd_sink__drop_all(struct fd_sink *s)
{
	struct batch *b;

	while ((b = pending__pop(&s->queue))) {
		stat_add(s->stats.dropped_lines, b->lines);
		s->done(s->ctx, b, SINK_UNDELIVERED);
	}
}

void fd_sink__free(struct fd_sink *s)
{
	if (!s)
		return;
	loop_watch__free(s->watch);
	fd_sink__drop_all(s);
	close_p(&s->own_fd);
	free(s);
}

/* Bytes written, or -errno; -EAGAIN: there is no room now. */
static ssize_t fd_sink__write(struct fd_sink *s, const char *data, size_t len)
{
	struct pollfd p = {.fd = s->fd, .events = POLLOUT};
	ssize_t n;

	if (s->kind == FD_SOCKET) {
		n = send(s->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	} else if (s->kind == FD_POLLED) {
		if (poll(&p, 1, 0) == 0)
			return -EAGAIN;
		n = write(s->fd, data, MIN(len, (size_t)PIPE_BUF));
	} else {
		n = write(s->fd, data, len);
	}
	return n < 0 ? -errno : n;
}

static void fd_sink__fail(struct fd_sink *s, int error)
{
	s->failed = true;
	loop_watch__free(TAKE_PTR(s->watch));
	if (s->opts.failed)
		s->opts.failed(s->ctx, error);
	fd_sink__drop_all(s);
}

static void fd_sink__wait(struct fd_sink *s)
{
	int err;

	if (s->watch)
		return;
	err = loop__watch(s->loop, s->fd, LOOP_WRITE, fd_sink__on_writable, s, &s->watch);
	if (err)
		fd_sink__fail(s, err);
}

/* The first batch, as far as there is room. 0: it is out; -EAGAIN: not all of it; other: failed. */
static int fd_sink__write_first(struct fd_sink *s)
{
	struct batch *b = pending__first(&s->queue);

	while (s->written < b->payload.len) {
		ssize_t n = fd_sink__write(s, b->payload.data + s->written,
					   b->payload.len - s->written);

		if (n < 0 && n != -EINTR)
			return (int)n;
		s->written += n > 0 ? (size_t)n : 0;
	}
	s->written = 0;
	pending__pop(&s->queue);
	stat_add(s->stats.batches, 1);
	stat_add(s->stats.lines, b->lines);
	stat_add(s->stats.bytes, b->payload.len);
	s->done(s->ctx, b, SINK_DELIVERED);
	return 0;
}

static void fd_sink__drain(struct fd_sink *s)
{
	int err = 0;

	s->busy = true;
	while (!err && pending__first(&s->queue))
		err = fd_sink__write_first(s);
	s->busy = false;
	if (err == -EAGAIN)
		fd_sink__wait(s);
	else if (err)
		fd_sink__fail(s, err);
	else
		loop_watch__free(TAKE_PTR(s->watch));
}

void fd_sink__submit(struct fd_sink *s, struct batch *b)
{
	if (s->failed || pending__push(&s->queue, b)) {
		if (!s->failed)
			log_error("output: no memory for the queue: %zu lines dropped", b->lines);
		stat_add(s->stats.dropped_lines, b->lines);
		s->done(s->ctx, b, SINK_UNDELIVERED);
		return;
	}
	if (!s->busy && !s->watch)
		fd_sink__drain(s);
}

bool fd_sink__idle(const struct fd_sink *s)
{
	return !pending__first(&s->queue);
}

size_t fd_sink__queued_bytes(const struct fd_sink *s)
{
	return atomic_load_explicit(&s->queue.bytes, memory_order_relaxed);
}

const struct sink_stats *fd_sink__stats(const struct fd_sink *s)
{
	return &s->stats;
}
