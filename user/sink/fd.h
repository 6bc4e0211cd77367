/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batches to a file descriptor (--stdout). Never blocks the loop: a pipe, terminal or socket is
 * polled and written in pieces; the descriptor's own flags are not changed where others share it. A
 * reader that went away (EPIPE) ends the run in order: `failed` is called once.
 */
#ifndef NOTAIL_SINK_FD_H
#define NOTAIL_SINK_FD_H

#include "sink/sink.h"

struct loop;
struct fd_sink;

struct fd_sink_opts {
	int fd; /* stays the caller's */
	void (*failed)(void *ctx,
		       int error); /* -EPIPE, -EIO, -ENOSPC...; batches are dropped from then on */
};

int fd_sink__new(struct fd_sink **ret, struct loop *loop, const struct fd_sink_opts *opts,
		 sink_done_fn done, void *ctx);
void fd_sink__free(struct fd_sink *s);
void fd_sink__submit(struct fd_sink *s, struct batch *b);
bool fd_sink__idle(const struct fd_sink *s);
const struct sink_stats *fd_sink__stats(const struct fd_sink *s);

#endif
