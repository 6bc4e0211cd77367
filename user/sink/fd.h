/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batches to a file descriptor (--stdout). Never blocks the loop: a pipe, terminal or socket is
 * polled and written in pieces; the descriptor's own flags are not changed where others share it. A
 * reader that went away (EPIPE) ends the run in order: `failed` is called once. The process must
 * ignore SIGPIPE.
 */
#ifndef NOTAIL_SINK_FD_H
#define NOTAIL_SINK_FD_H

#include "sink/sink.h"

struct loop;
struct fd_sink;

struct fd_sink_opts {
	int fd; /* stays the caller's */
	/* -EPIPE, -EIO, -ENOSPC...; batches are dropped from then on. `ctx` is that of `done`. */
	void (*failed)(void *ctx, int error);
};

int fd_sink__new(struct fd_sink **ret, struct loop *loop, const struct fd_sink_opts *opts,
		 sink_done_fn done, void *ctx);
/* Batches that are still queued go to `done` as undelivered. Not from `done` or `failed`. */
void fd_sink__free(struct fd_sink *s);
/* Loop's thread. Takes the batch over; `done` may come before this returns. */
void fd_sink__submit(struct fd_sink *s, struct batch *b);
bool fd_sink__idle(const struct fd_sink *s);
/* Memory of what is not written yet. Any thread. */
size_t fd_sink__queued_bytes(const struct fd_sink *s);
const struct sink_stats *fd_sink__stats(const struct fd_sink *s);

#endif
