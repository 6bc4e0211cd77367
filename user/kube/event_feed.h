/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The events of one watch as lines: each change of an event once, in the order in which the API
 * server had them, and how far they were delivered. What kube/watch.h says goes in, lines with
 * sequence numbers come out, acknowledged numbers come back. Pure.
 *
 * An event is new when its resourceVersion is greater than what was taken before: these are numbers
 * that grow with each change of anything in the cluster. So a list after a cut, a 410 or a restart
 * repeats nothing, and has to be sorted, since it comes in the order of names.
 */
#ifndef NOTAIL_KUBE_EVENT_FEED_H
#define NOTAIL_KUBE_EVENT_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kube/event_json.h"
#include "kube/positions.h"
#include "kube/watch.h"

struct event_feed;

/* Borrowed until it returns. */
struct event_line {
	const char *namespace; /* of what the event is about; "": none */
	const char *text;
	size_t len;
	uint64_t time_ns;  /* Unix */
	uint64_t sequence; /* counts up through all feeds that share it */
};

struct event_feed_opts {
	enum event_format format;
	struct position from;	   /* revision 0: all there is */
	uint64_t *sequence;	   /* of the next line; borrowed */
	size_t max_bytes;	   /* of one list; 0: 32 MiB */
	uint64_t (*real_ns)(void); /* NULL: the clock's */
	void (*line)(void *ctx, const struct event_line *line);
	void *ctx;
};

int event_feed__new(struct event_feed **ret, const struct event_feed_opts *opts);
void event_feed__free(struct event_feed *f); /* NULL is fine */

/* As struct kube_watch_opts has them. */
void event_feed__list_begin(struct event_feed *f);
void event_feed__item(struct event_feed *f, enum kube_change change, const char *json, size_t len);
void event_feed__list_end(struct event_feed *f);
void event_feed__version(struct event_feed *f, const char *resource_version);

/* The watch is no more: what came of a list is forgotten. */
void event_feed__cut(struct event_feed *f);
/* What a new one goes on from; NULL: it begins with a list. Until the next call of any function. */
const char *event_feed__resume(const struct event_feed *f);
/* The server has an older state than it had (it was restored, or is another): what is newer by its
 * time counts from now on, and the watch has to begin with a list. Once. */
bool event_feed__restarted(struct event_feed *f);

/* All lines before this sequence number are delivered. True: *ret, the position, moved. */
bool event_feed__safe(struct event_feed *f, uint64_t before, struct position *ret);

struct event_feed_stats {
	uint64_t lines, lists;
	uint64_t repeats;  /* that a list had, and that were left out */
	uint64_t invalid;  /* no events */
	uint64_t left_out; /* the oldest of a list over max_bytes */
	uint64_t no_memory;
};

void event_feed__stats(const struct event_feed *f, struct event_feed_stats *ret);

#endif
