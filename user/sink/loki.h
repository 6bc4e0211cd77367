/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loki's push API: POST /loki/api/v1/push, protobuf + snappy. Up to max_in_flight requests are
 * under way; one never overtakes another that has a stream in common with it.
 *
 * 2xx is success, where the body is empty or JSON. 400, 413 and 422 are about single entries: those
 * are found by Loki's text, or else by halves, and cut or dropped, each with its reason; the others
 * are sent again. All else is tried again with jittered backoff, 0.5 s to 5 min, Retry-After obeyed
 * (at most 5 min), for ever unless max_retries says otherwise: 401, 403, 404 and what is no answer
 * of Loki's can be put right while the lines wait. A 429 of a tenant, or of one stream, slows only
 * that one. A token that is refused with 401 is renewed, once at once. A batch that names a tenant
 * goes to that one.
 */
#ifndef NOTAIL_SINK_LOKI_H
#define NOTAIL_SINK_LOKI_H

#include "sink/auth.h"
#include "sink/oauth2.h"
#include "sink/sink.h"

struct loop;
struct http;
struct http_tls;
struct loki_sink;
struct http_answer;
struct http_request;

struct loki_header {
	const char *name, *value;
};

struct loki_opts {
	const char *url;    /* base or full push URL; copied; `user:password@` in it becomes basic
			       auth and is never logged */
	const char *tenant; /* X-Scope-OrgID; NULL: none */
	struct auth_opts auth;		   /* comes before the URL's user; copied */
	const struct oauth2_opts *oauth2;  /* in its place; NULL: none */
	const struct loki_header *headers; /* besides those that the sink makes; copied */
	size_t n_headers;
	const struct http_tls *tls; /* NULL: defaults; borrowed as long as the sink lives */
	const char *proxy;	    /* NULL: the environment's; borrowed likewise */
	const char *no_proxy;	    /* hosts that it is not for; NULL: none; borrowed likewise */
	bool drop_rate_limited;	    /* 429 is final */
	unsigned max_in_flight;	    /* requests; 0: 4 */
	unsigned max_retries;	    /* 0: for ever */
	uint64_t min_backoff_ns;    /* 0: 500 ms */
	uint64_t max_backoff_ns;    /* 0: 5 min */
	uint64_t timeout_ns;	    /* 0: 10 s */
};

/* -EINVAL with *ret_why (static text) when the URL is none. */
int loki_sink__new(struct loki_sink **ret, struct loop *loop, struct http *http,
		   const struct loki_opts *opts, sink_done_fn done, void *ctx,
		   const char **ret_why);
/* Batches that are still queued go to `done` as undelivered. Not from `done`. */
void loki_sink__free(struct loki_sink *s);
/* Loop's thread. Takes the batch over. */
void loki_sink__submit(struct loki_sink *s, struct batch *b);
/* While a batch is given back as delivered: how many of its lines were dropped. */
size_t loki_sink__dropped(const struct loki_sink *s);
/* What is left of the batch waits for streams that Loki slows down. */
bool loki_sink__is_held(const struct loki_sink *s, const struct batch *b);
/* Nothing is queued or under way. */
bool loki_sink__idle(const struct loki_sink *s);
/* Memory of what is queued and under way. Any thread. */
size_t loki_sink__queued_bytes(const struct loki_sink *s);
/* CLOCK_BOOTTIME ns of the oldest line that it has; 0: none, or not known. */
uint64_t loki_sink__oldest_ns(const struct loki_sink *s);
const struct sink_stats *loki_sink__stats(const struct loki_sink *s);
/* Where it pushes to, without a user or password. */
const char *loki_sink__url(const struct loki_sink *s);
/* Why the last try failed, until one does not; NULL: it did not. Until the loop goes on. */
const char *loki_sink__problem(const struct loki_sink *s);
/* GET of a path of the same Loki, with its tenant and credentials. -ENOTSUP: it pushes to a path of
 * its own; -EAGAIN: there is no token yet; others. */
int loki_sink__get(struct loki_sink *s, const char *path,
		   void (*done)(void *ctx, const struct http_answer *answer), void *ctx,
		   struct http_request **ret);
/* The URL + /loki/api/v1/push unless it has a path already. To free. */
int loki__push_url(const char *url, char **ret_url, const char **ret_why);

#endif
