/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One resource of the API, kept up with: a list, then a watch from the list's version on, for ever.
 * On the loop's thread.
 *
 * A watch that ends goes on from the last version; one whose version the server has no more (410)
 * is preceded by a list again. Failures are tried again with backoff, or when the server says
 * (Retry-After); what comes by then is what comes after. Memory is bounded by one item.
 */
#ifndef NOTAIL_KUBE_WATCH_H
#define NOTAIL_KUBE_WATCH_H

#include <stdbool.h>
#include <stddef.h>

struct kube;
struct kube_watch;

enum kube_change { KUBE_LISTED, KUBE_ADDED, KUBE_MODIFIED, KUBE_DELETED };

struct kube_watch_opts {
	struct kube *kube; /* must outlive it */
	const char *path;  /* "/api/v1/pods"; copied */
	const char *query; /* "fieldSelector=spec.nodeName%3Dn"; NULL: none; copied */
	bool from_cache;   /* the first list may be a little old: cheap for the server, and whole
			      in one answer */
	size_t max_item;   /* bytes of one object; a larger one is left out; 0: 1 MiB */
	/* Go on after this version, without a list; NULL: a list first; copied. */
	const char *resource_version;
	/* What is listed between these two is all there is: an item that is not among it is gone. A
	 * list that fails has no end: the next one begins. */
	void (*list_begin)(void *ctx);
	/* One object, valid JSON or not, borrowed. A deleted one as it was at last. */
	void (*item)(void *ctx, enum kube_change change, const char *json, size_t len);
	void (*list_end)(void *ctx);
	/* Everything up to this version was handed over: what to go on from after a restart. May be
	 * NULL, as all but `item`. */
	void (*version)(void *ctx, const char *resource_version);
	/* Whenever it comes up, and for each failure: `problem` is one line then, valid during the
	 * call; else NULL. Items that were left out are a problem while it is up. */
	void (*state)(void *ctx, bool up, const char *problem);
	void *ctx;
};

/* The first request leaves when the loop runs. 0, -EINVAL: no such version can be; -ENOMEM. */
int kube_watch__new(struct kube_watch **ret, const struct kube_watch_opts *opts);
/* The watch is not to be relied on, so `problem`: a list is asked for at once, which is not from
 * the server's cache. False: it does not watch now. Not from its callbacks. */
bool kube_watch__renew(struct kube_watch *w, const char *problem);
/* Not from its callbacks. NULL is fine. */
void kube_watch__free(struct kube_watch *w);

#endif
