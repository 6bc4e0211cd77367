/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event of events.k8s.io/v1 (core/v1's names of the fields are known too), and the line that it
 * becomes: the keys are those of Grafana Alloy's loki.source.kubernetes_events, in logfmt in its
 * order, so that queries go on. Pure.
 */
#ifndef NOTAIL_KUBE_EVENT_JSON_H
#define NOTAIL_KUBE_EVENT_JSON_H

#include <stdint.h>

#include "base/buf.h"

enum event_format { EVENT_LOGFMT, EVENT_JSON };

/* Longer messages are cut there, at a character's border. */
#define EVENT_MAX_MESSAGE (64u * 1024)

/* Strings are valid UTF-8, "" where there is none, and live as long as it. */
struct event {
	void *tree;
	const char *resource_version;
	uint64_t revision;  /* resource_version as a number; 0: it is none */
	uint64_t time_ns;   /* of its last occurrence, Unix; 0: it has none. See event__time_ns */
	bool whole_seconds; /* nothing finer was said */
	int64_t count;	    /* 0: not said */
	const char *namespace, *kind, *name, *api_version,
		*object_version; /* of what it is about */
	const char *action, *reason, *type, *message;
	const char *controller, *instance;	    /* who reports it */
	const char *source_component, *source_host; /* the same, in older events */
};

/* 0; -EBADMSG: not an event; -ENOMEM. To be given to event__free. */
int event_json__parse(const char *json, size_t len, struct event *ret);
/* A resourceVersion as a number; 0: it is none. */
uint64_t event_json__revision(const char *resource_version);
void event__free(struct event *e); /* all zero is fine */
/* Appends it, without a newline. 0 or -ENOMEM. */
int event__line(const struct event *e, enum event_format format, struct buf *out);
/*
 * time_ns with the revision in the digits that the event does not have: below a millisecond for one
 * that has seconds alone, below a microsecond for the others. So times of events differ, are in the
 * order in which these came, and are the same however often an event is read: what is sent again is
 * known by Loki. An event without a time has `now_ns`.
 */
uint64_t event__time_ns(const struct event *e, uint64_t now_ns);

#define _event_ _cleanup_(event__free)

#endif
