/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that syncs files. A busy disk takes a second for it, and who appends would wait for that
 * second, though what was written is safe from all but a loss of power.
 */
#ifndef NOTAIL_SPOOL_SYNCER_H
#define NOTAIL_SPOOL_SYNCER_H

#include <stdbool.h>

struct spool_io;
struct syncer;

/* On the thread: a file that was added could not be synced. */
typedef void (*syncer_failed_fn)(void *ctx, int err);

/* `io` and `ctx` are borrowed. -ENOMEM, or -errno of the thread. */
int syncer__new(struct syncer **ret, const struct spool_io *io, syncer_failed_fn failed, void *ctx);
/* When all that was added is synced. NULL is fine. */
void syncer__free(struct syncer *s);
/* The file is synced some time; its descriptor stays the caller's. Where there are too many, it is
 * synced here. 0, or then -errno. */
int syncer__add(struct syncer *s, int fd);
/* Not all that was added is synced. */
bool syncer__busy(struct syncer *s);

#endif
