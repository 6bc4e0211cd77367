/* SPDX-License-Identifier: Apache-2.0 */
/* Between the two halves of the Loki sink: how it asks, and what it makes of an answer. */
#ifndef NOTAIL_SINK_LOKI_INTERNAL_H
#define NOTAIL_SINK_LOKI_INTERNAL_H

#include <stdatomic.h>

#include "io/http.h"
#include "sink/loki.h"
#include "sink/loki_queue.h"

#define PUSH_PATH "/loki/api/v1/push"

#define stat_add(field, n) atomic_fetch_add_explicit(&(field), (n), memory_order_relaxed)

struct loki_sink {
	struct http *http;
	sink_done_fn done;
	void *ctx;
	char *url;
	char **headers; /* those that never change, NULL behind them and room for two more */
	size_t n_headers;
	char *tenant_header;   /* of batches that name none; NULL: none */
	struct auth *auth;     /* NULL: none */
	struct oauth2 *oauth2; /* NULL: none */
	bool passed;	       /* a push got through, ever */
	bool token_renewed;    /* since the last push that got through */
	unsigned token;	       /* counts those that were refused */
	const struct http_tls *tls;
	const char *proxy, *no_proxy;
	bool drop_rate_limited;
	unsigned max_retries; /* 0: no end */
	unsigned max_in_flight;
	uint64_t timeout_ns;
	struct loki_queue queue;
	struct loki_pause pause; /* nothing at all gets through */
	struct loop_timer *timer;
	size_t dropped;			/* of the batch that is given back */
	bool sending;			/* further down the stack */
	char problem[LOKI_PROBLEM_LEN]; /* before a request is made; empty: none */
	unsigned failures;		/* since the last answer that was not one */
	bool failure_logged;
	uint64_t failure_logged_ns; /* 0: never */
	uint64_t refusal_logged_ns; /* 0: never */
	unsigned refusals_unlogged;
	struct sink_stats stats;
};

/* Authorization as it is now, borrowed until the next call; NULL: none. As oauth2__header and
 * auth__header, whose failures it has. */
int loki_sink__header(struct loki_sink *s, const char **ret);
/*
 * A request with all that each one of the sink has; opts has its url, body and callback. `tenant`
 * (a header) and `authorization` may be NULL.
 */
int loki_sink__ask(struct loki_sink *s, struct http_opts *opts, const char *tenant,
		   const char *authorization, struct http_request **ret);
/* All that may go now. */
void loki_sink__send(struct loki_sink *s);
/* There was no request, for this reason. */
void loki_sink__no_request(struct loki_sink *s, const char *why);
/* An answer, or none. `ctx` is the item. */
void loki_sink__on_done(void *ctx, const struct http_answer *a);
/* Takes what it has of the other one's streams out of the item's way; it waits on its own. */
void loki_sink__divide_behind(struct loki_sink *s, struct loki_item *item,
			      const struct loki_item *other);

#endif
