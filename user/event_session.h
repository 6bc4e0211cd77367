/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The work of `notail events` while it is this process that does it: watches of the API server,
 * their lines' labels and stages, and the clients that they go to. When another takes over, all of
 * it is freed at once, and what was not acknowledged is the other's: the position is behind it.
 * Loop's thread.
 */
#ifndef NOTAIL_EVENT_SESSION_H
#define NOTAIL_EVENT_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "config/options.h"
#include "kube/event_feed.h"
#include "kube/positions.h"
#include "status/counters.h"
#include "status/view.h"

struct custom_metrics;
struct event_session;
struct http;
struct kube;
struct loop;

struct event_session_opts {
	const struct options *options;
	const struct config *config;
	struct loop *loop;
	struct http *http;
	struct kube *kube;
	struct counters *counters;
	struct custom_metrics *metrics;
	struct positions
		*positions; /* where to go on from; kept up to date with what is delivered */
	bool keeps;	    /* they outlive the process */
	bool (*may_send)(void *ctx); /* at this moment */
	void (*moved)(void *ctx);    /* the positions */
	void (*ended)(void *ctx);    /* after event_session__end, once. Not from inside of it */
	void *ctx;
};

/* Everything in opts is borrowed. Text in ret_why where strerror does not say enough. */
int event_session__new(struct event_session **ret, const struct event_session_opts *opts,
		       char *ret_why, size_t size);
/* Nothing is sent any more. Not from its callbacks. NULL is fine. */
void event_session__free(struct event_session *s);
/* No more events; what there is is delivered within timeout_ns, or not. Again, it may be less. */
void event_session__end(struct event_session *s, uint64_t timeout_ns);
/* Lines that were neither delivered nor spooled. */
size_t event_session__undelivered(const struct event_session *s);

/* Why events do not come; NULL: they do. Until the loop goes on. */
const char *event_session__problem(const struct event_session *s);
struct event_session_stats {
	struct event_feed_stats events;
	size_t watches, watches_up;
};

void event_session__stats(const struct event_session *s, struct event_session_stats *ret);
size_t event_session__clients(const struct event_session *s, struct view_client *ret);

#endif
