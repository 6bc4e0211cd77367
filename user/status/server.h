/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status server: what is asked of it, who may ask, and the answers. What an answer needs of the
 * capture thread is asked of it by `ask` and comes with server__deliver; while nobody asks, nothing
 * is done. On the loop's thread.
 */
#ifndef NOTAIL_STATUS_SERVER_H
#define NOTAIL_STATUS_SERVER_H

#include <stdbool.h>

#include "base/buf.h"
#include "status/samples.h"
#include "status/snapshot.h"
#include "status/view.h"

struct auth;
struct httpd_tls;
struct loop;
struct server;

struct server_opts {
	struct loop *loop;
	bool reload;	       /* POST /-/reload and /-/log-level do something */
	struct httpd_tls *tls; /* NULL: none; borrowed, as what follows */
	struct auth *user;     /* who may ask, but for /ready and /healthz; NULL: everybody */
	/* NULL: capture is active, not about to end, and what it captures gets on; else why not. */
	const char *(*unready)(void *ctx);
	/* A snapshot of these (enum snapshot_what; 0: any) is to be delivered. */
	void (*ask)(void *ctx, unsigned what);
	/* Fills in what the loop's thread knows; borrowed until the loop goes on. */
	void (*look)(void *ctx, struct view *ret);
	/* Adds what the snapshot does not have. */
	void (*count)(void *ctx, struct samples *samples);
	/* Append: metrics in Prometheus' text; the configuration in force. 0 or -errno. */
	int (*custom_metrics)(void *ctx, struct buf *out);
	int (*config)(void *ctx, struct buf *out);
	/* Reads the configuration again; says in `out`, one line or more, what became of it. 0, or
	 * -errno: what was in force is. */
	int (*reload_config)(void *ctx, struct buf *out);
	void *ctx;
};

/* It listens nowhere yet. */
int server__new(struct server **ret, const struct server_opts *opts);
/* NULL is fine. */
void server__free(struct server *s);
/*
 * Listens on ADDRESS:PORT; with `metrics` for /metrics, /ready and /healthz alone, whatever name it
 * is called by. Twice at most. -EINVAL, -EADDRINUSE, ...
 */
int server__listen(struct server *s, const char *address, bool metrics);
/* Takes the snapshot over. */
void server__deliver(struct server *s, struct snapshot *snapshot);

#endif
