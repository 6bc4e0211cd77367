/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request at a time: pages of a list until it is whole, then a watch from its version on, again
 * and again. The server ends a watch after a time that the client chose, at random, so that those
 * of many nodes do not come at once; one that it does not end by then is dead, as is one whose
 * keep-alive probes nobody answers.
 *
 * The first list may come from the server's cache (resourceVersion=0). Later ones may not be older
 * than what was seen already; after the server said that a version is no good (410, and whatever
 * else but a refusal), a list is asked for without one, which is the newest.
 *
 * Watches that are refused, or say nothing before they break, are followed by lists, so that there
 * is progress by these alone. A server of whatever kind is asked a few times a second at most.
 *
 * A server whose state was set back (etcd restored, a cluster made anew) says nothing in a watch
 * from a version that it will have again one day. So it is asked for a list of one item, and the
 * version of that compared, before a version of another run is gone on from, and after a watch that
 * had nothing to say. Versions that are numbers can be: KEP-5504.
 */
#include "kube/watch.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "io/backoff.h"
#include "io/http.h"
#include "io/loop.h"
#include "kube/client.h"
#include "kube/items.h"
#include "kube/json_walk.h"

#define BACKOFF_MIN_NS (500 * NS_PER_MS)
#define BACKOFF_MAX_NS (30 * NS_PER_SEC)
/* A watch that lasted this long, or had something to say, was none of a row of failures. */
#define STABLE_NS (5 * NS_PER_SEC)
#define WATCH_MAX_NS (600 * NS_PER_SEC) /* at least half of it */
#define WATCH_LATE_NS (30 * NS_PER_SEC)
#define WATCH_OPEN_NS (30 * NS_PER_SEC) /* servers answer one at once, whatever follows */
#define VAIN_MAX 3
#define LIST_NS (60 * NS_PER_SEC)
#define PAGE 500
#define PAGES_MAX 20000
#define EMPTY_PAGES_MAX 20
#define PROBLEM_SIZE 320
#define MAX_RETRY_AFTER_NS (600 * (int64_t)NS_PER_SEC)

struct kube_watch {
	struct kube_watch_opts opts;	 /* its strings are this struct's */
	char version[KUBE_VERSION_SIZE]; /* everything up to it was handed over; "": a list first */
	char seen[KUBE_VERSION_SIZE];	 /* a list may not be older; "": any */
	char *page;			 /* of the list under way; NULL: its first, or none */
	struct http_request *request;
	struct loop_timer *timer;
	struct backoff backoff, spread;
	struct kube_items items;
	struct json_stream changes;
	uint64_t began_ns; /* the watch */
	bool newest;	   /* the next list has no version */
	bool doubtful;	   /* the server may not have come to `version` yet */
	bool looks;	   /* the list under way is for its version alone */
	bool up;
	bool flawed;	    /* there is a problem while it is up */
	const char *broken; /* why the stream was ended; NULL: it was not */
	bool expired;	    /* because its version is gone */
	bool opened;	    /* the watch has an answer */
	bool told;	    /* and has had something to say */
	unsigned vain;	    /* how many in a row had not, and ended at once */
	size_t left_out;
	bool list_left_out;
	size_t page_items;
	unsigned pages, empty_pages; /* of the list under way */
	char problem[PROBLEM_SIZE];
};

static void watch__ask(struct kube_watch *w);

static void watch__state(struct kube_watch *w, bool up, const char *problem)
{
	w->up = up;
	w->flawed = up && problem;
	if (w->opts.state)
		w->opts.state(w->opts.ctx, up, problem);
}

static void watch__opened(struct kube_watch *w)
{
	if (!w->up)
		watch__state(w, true, NULL);
}

static void watch__left_out(struct kube_watch *w, const struct json_stream *s)
{
	if (s->dropped == w->left_out)
		return;
	w->left_out = s->dropped;
	watch__state(w, true, "an object is too large: it is left out");
}

/* All that is there was listed. */
static void watch__listed(struct kube_watch *w)
{
	if (!w->up || (w->flawed && !w->list_left_out))
		watch__state(w, true, NULL);
}

static void watch__version(struct kube_watch *w, const char *version)
{
	if (!*version)
		return;
	strcpy(w->version, version);
	strcpy(w->seen, version);
	if (w->opts.version)
		w->opts.version(w->opts.ctx, w->version);
}

/* Tried again: at once where that is no row of failures. */
static void watch__again(struct kube_watch *w, const char *problem, int64_t retry_after_ns)
{
	uint64_t delay_ns = backoff__next(&w->backoff);

	if (retry_after_ns > 0)
		delay_ns += (uint64_t)MIN(retry_after_ns, MAX_RETRY_AFTER_NS);
	if (problem)
		watch__state(w, false, problem);
	loop_timer__set(w->timer, delay_ns);
}

/* The version is no good: a list that has the newest. */
static void watch__expire(struct kube_watch *w)
{
	w->version[0] = '\0';
	w->newest = true;
	free(TAKE_PTR(w->page));
}

static void watch__failed(struct kube_watch *w, const struct http_answer *a, const char *problem)
{
	/* 504: a version that the server has not reached yet. */
	bool no_good =
		a->status == 504 || (a->status / 100 == 4 && a->status != 401 && a->status != 403 &&
				     a->status != 404 && a->status != 429);

	if (!a->error && no_good)
		watch__expire(w);
	watch__again(w, problem, a->retry_after_ns);
}

/* The path and the query that is the same for lists and watches. */
static int append_path(const struct kube_watch *w, struct buf *b)
{
	int err = buf__append_str(b, w->opts.path);

	if (!err)
		err = buf__append(b, "?", 1);
	if (!err && w->opts.query)
		err = buf__append_str(b, w->opts.query);
	if (!err && w->opts.query)
		err = buf__append(b, "&", 1);
	return err;
}

/*
 * Type and object of {"type": ..., "object": {...}}. Servers send the object last: it need not be
 * read over to find its end.
 */
static void split_change(const char *json, size_t len, struct json_span *ret_type,
			 struct json_span *ret_object)
{
	struct json_walk w = json_walk__object((struct json_span){json, len});
	struct json_span key;

	while (json_walk__next(&w, &key)) {
		if (json_span__is(key, "type")) {
			*ret_type = json_walk__value(&w);
		} else if (json_span__is(key, "object") && ret_type->data && *w.value == '{') {
			*ret_object =
				(struct json_span){w.value, (size_t)(json + len - 1 - w.value)};
			return;
		} else if (json_span__is(key, "object")) {
			*ret_object = json_walk__value(&w);
		}
	}
}

/* "": it has none. */
static void version_of(struct json_span object, char *ret, size_t size)
{
	struct json_walk w = json_walk__object(object), metadata;
	struct json_span key;

	*ret = '\0';
	while (json_walk__next(&w, &key)) {
		if (!json_span__is(key, "metadata"))
			continue;
		metadata = json_walk__enter(&w, '{');
		while (json_walk__next(&metadata, &key)) {
			if (!json_span__is(key, "resourceVersion"))
				continue;
			json_span__copy(json_walk__value(&metadata), ret, size);
			return;
		}
	}
}

static void watch__on_error(struct kube_watch *w, struct json_span status)
{
	long code = json_span__number(json_span__member(status, "code"), 999);
	char message[KUBE_MESSAGE_SIZE];

	kube__message(status.data, status.len, message);
	w->expired = code == 410;
	if (code > 0)
		snprintf(w->problem, sizeof(w->problem), "the watch ended with an error (%ld)%s",
			 code, message);
	else
		snprintf(w->problem, sizeof(w->problem), "the watch ended with an error%s",
			 message);
	w->broken = w->problem;
}

static void on_change(void *ctx, const char *json, size_t len)
{
	static const char *const kinds[] = {
		[KUBE_ADDED] = "\"ADDED\"",
		[KUBE_MODIFIED] = "\"MODIFIED\"",
		[KUBE_DELETED] = "\"DELETED\"",
	};
	struct kube_watch *w = ctx;
	struct json_span type = {0}, object = {0};
	char version[KUBE_VERSION_SIZE];

	if (w->broken)
		return;
	split_change(json, len, &type, &object);
	if (json_span__is(type, "\"ERROR\"")) {
		watch__on_error(w, object);
		return;
	}
	if (!type.data || !object.data) {
		w->broken = "the watch cannot be understood";
		return;
	}
	version_of(object, version, sizeof(version));
	for (enum kube_change c = KUBE_ADDED; c <= KUBE_DELETED; c++) {
		if (json_span__is(type, kinds[c]))
			w->opts.item(w->opts.ctx, c, object.data, object.len);
	}
	watch__version(w, version);
	w->told = true;
}

static int watch__on_changes(void *ctx, const char *data, size_t len)
{
	struct kube_watch *w = ctx;
	int err = json_stream__feed(&w->changes, data, len, on_change, w);

	watch__left_out(w, &w->changes);
	if (err && !w->broken)
		w->broken = err == -EMSGSIZE ? "an object of the watch is too large"
			    : err == -ENOMEM ? "no memory"
					     : "the watch cannot be understood";
	return w->broken ? -1 : 0;
}

static void watch__on_open(void *ctx)
{
	struct kube_watch *w = ctx;

	w->opened = true;
	loop_timer__cancel(w->timer);
	watch__opened(w);
}

/* It counts among those that failed in a row, or ends the row. */
static void watch__count(struct kube_watch *w, const struct http_answer *a)
{
	/* But a server that has too much to do is not asked for more. */
	bool answered = w->opened || (!a->error && a->status != 401 && a->status != 429);
	bool lasted = w->opened && clock__boot_ns() - w->began_ns >= STABLE_NS;

	if ((w->told && !w->broken) || lasted) {
		backoff__reset(&w->backoff);
		w->vain = 0;
	} else if (answered && w->vain < VAIN_MAX) {
		w->vain++;
	}
	/* Not older than what was seen, but from the server's cache if that will do. */
	if (w->vain == VAIN_MAX)
		w->version[0] = '\0';
}

static void watch__on_end(void *ctx, const struct http_answer *answer)
{
	struct http_answer a = *answer;
	struct kube_watch *w = ctx;
	bool half = w->changes.scan.depth > 0;
	const char *problem;

	w->request = NULL;
	json_stream__reset(&w->changes);
	/* Ended by this side: what had come was an answer. */
	a.error = w->broken ? 0 : a.error;
	a.status = w->expired ? 410 : a.status;
	problem = kube__judge(w->opts.kube, &a, "watch", w->opts.path);
	watch__count(w, &a);
	w->opened = false;
	if (!a.error && a.status == 410) {
		watch__expire(w);
		watch__again(w, NULL, a.retry_after_ns);
	} else if (w->broken) {
		kube__invalid(w->opts.kube);
		watch__expire(w);
		watch__again(w, w->broken, -1);
	} else if (problem) {
		watch__failed(w, &a, problem);
	} else if (half) {
		/* What it began to say comes again: the version is the last whole one's. */
		kube__invalid(w->opts.kube);
		watch__again(w, "the watch ended in the middle of an object", -1);
	} else {
		w->doubtful = !w->told;
		watch__again(w, NULL, -1);
	}
}

/* No word of an answer: whoever took the connection is no API server, or is not well. */
static void watch__silent(struct kube_watch *w)
{
	const struct http_answer none = {
		.error = -ETIMEDOUT,
		.error_text = "it does not answer a watch",
		.body = "",
		.retry_after_ns = -1,
	};

	http_request__cancel(TAKE_PTR(w->request));
	watch__on_end(w, &none);
}

/* 0 or -errno, which kube__problem says. */
static int watch__watch(struct kube_watch *w)
{
	uint64_t last_ns = backoff__next(&w->spread);
	struct kube_request_opts opts = {
		.timeout_ns = last_ns + WATCH_LATE_NS,
		.on_open = watch__on_open,
		.on_body = watch__on_changes,
		.done = watch__on_end,
		.ctx = w,
	};
	_buf_ struct buf path = {0};
	int err = append_path(w, &path);

	if (!err)
		err = buf__printf(&path,
				  "watch=1&allowWatchBookmarks=true&timeoutSeconds=%llu"
				  "&resourceVersion=",
				  (unsigned long long)(last_ns / NS_PER_SEC));
	if (!err)
		err = http__append_escaped(&path, w->version);
	if (!err)
		err = buf__append(&path, "", 1);
	if (err)
		return err;
	json_stream__reset(&w->changes);
	w->changes.max_bytes = w->opts.max_item + 1024;
	w->changes.drop_bytes = KUBE_DROP_BYTES;
	w->left_out = 0;
	w->broken = NULL;
	w->expired = false;
	w->opened = false;
	w->told = false;
	w->began_ns = clock__boot_ns();
	opts.path = path.data;
	err = kube__request(w->opts.kube, &opts, &w->request);
	if (!err)
		loop_timer__set(w->timer, WATCH_OPEN_NS);
	return err;
}

static void on_listed(void *ctx, const char *json, size_t len)
{
	struct kube_watch *w = ctx;

	w->page_items++;
	if (!w->looks)
		w->opts.item(w->opts.ctx, KUBE_LISTED, json, len);
}

static int watch__on_items(void *ctx, const char *data, size_t len)
{
	struct kube_watch *w = ctx;
	int err = kube_items__feed(&w->items, data, len, on_listed, w);

	watch__left_out(w, &w->items.item);
	w->list_left_out |= w->left_out > 0;
	if (err)
		w->broken = err == -EMSGSIZE ? "an object of the list is too large"
			    : err == -ENOMEM ? "no memory"
					     : "the list cannot be understood";
	return w->broken ? -1 : 0;
}

/* What is wrong with a page that could be read; NULL: nothing. */
static const char *watch__page_problem(struct kube_watch *w)
{
	const char *next = w->items.next_page;

	if (kube_items__end(&w->items) != 0 || (!next && !*w->items.version))
		return "the list cannot be understood";
	w->pages++;
	w->empty_pages += next && !w->page_items;
	if (next && ((w->page && !strcmp(w->page, next)) || w->pages > PAGES_MAX ||
		     w->empty_pages > EMPTY_PAGES_MAX))
		return "the list does not end";
	return NULL;
}

/* The page is whole. */
static void watch__page_end(struct kube_watch *w)
{
	char version[KUBE_VERSION_SIZE];

	strcpy(version, w->items.version);
	free(w->page);
	w->page = TAKE_PTR(w->items.next_page);
	kube_items__free(&w->items);
	if (w->page) {
		watch__ask(w);
		return;
	}
	w->newest = false;
	if (w->opts.list_end)
		w->opts.list_end(w->opts.ctx);
	watch__listed(w);
	watch__version(w, version);
	watch__ask(w);
}

/* The request is over. True: the list, or this page of it, is whole. */
static bool watch__judge_list(struct kube_watch *w, const struct http_answer *answer)
{
	struct http_answer a = *answer;
	const char *problem;

	w->request = NULL;
	a.error = w->broken ? 0 : a.error;
	problem = kube__judge(w->opts.kube, &a, "list", w->opts.path);
	if (!problem && !w->broken)
		w->broken = watch__page_problem(w);
	if (!w->broken && !problem)
		return true;
	kube_items__free(&w->items);
	free(TAKE_PTR(w->page));
	if (w->broken) {
		kube__invalid(w->opts.kube);
		watch__again(w, w->broken, -1);
	} else {
		watch__failed(w, &a, problem);
	}
	return false;
}

static void watch__on_list_end(void *ctx, const struct http_answer *answer)
{
	if (watch__judge_list(ctx, answer))
		watch__page_end(ctx);
}

/* False where one of them is no number. */
static bool is_older(const char *a, const char *b)
{
	size_t a_len = strspn(a, "0123456789"), b_len = strspn(b, "0123456789");

	if (a[a_len] || b[b_len] || *a == '0' || *b == '0')
		return false;
	return a_len != b_len ? a_len < b_len : strcmp(a, b) < 0;
}

static void watch__on_looked(void *ctx, const struct http_answer *answer)
{
	struct kube_watch *w = ctx;

	if (!watch__judge_list(w, answer))
		return;
	w->doubtful = false;
	if (is_older(w->items.version, w->version))
		watch__expire(w);
	kube_items__free(&w->items);
	watch__ask(w);
}

static int append_list_query(const struct kube_watch *w, struct buf *b)
{
	const char *version = w->newest ? "" : *w->seen ? w->seen : w->opts.from_cache ? "0" : "";
	int err;

	/* Servers that answer from their cache know no pages. */
	if (*version && !w->page) {
		err = buf__append_str(b, "resourceVersion=");
		return err ? err : http__append_escaped(b, version);
	}
	err = buf__printf(b, "limit=%d", PAGE);
	if (!err && w->page)
		err = buf__append_str(b, "&continue=");
	if (!err && w->page)
		err = http__append_escaped(b, w->page);
	return err;
}

/* The list, or one item of it for the version beside it. */
static int watch__list(struct kube_watch *w, bool look)
{
	struct kube_request_opts opts = {
		.timeout_ns = LIST_NS,
		.on_body = watch__on_items,
		.done = look ? watch__on_looked : watch__on_list_end,
		.ctx = w,
	};
	_buf_ struct buf path = {0};
	int err = append_path(w, &path);

	if (!err)
		err = look ? buf__append_str(&path, "limit=1") : append_list_query(w, &path);
	if (!err)
		err = buf__append(&path, "", 1);
	if (err)
		return err;
	kube_items__begin(&w->items, w->opts.max_item);
	w->left_out = 0;
	w->page_items = 0;
	w->broken = NULL;
	if (!w->page) {
		w->list_left_out = false;
		w->pages = w->empty_pages = 0;
	}
	w->looks = look;
	if (!look && !w->page && w->opts.list_begin)
		w->opts.list_begin(w->opts.ctx);
	opts.path = path.data;
	return kube__request(w->opts.kube, &opts, &w->request);
}

static void watch__ask(struct kube_watch *w)
{
	bool listed = *w->version && !w->page;
	int err = listed && !w->doubtful ? watch__watch(w) : watch__list(w, listed);

	if (err)
		watch__again(w, err == -ENOMEM ? "no memory" : kube__problem(w->opts.kube), -1);
}

static void on_timer(void *ctx)
{
	struct kube_watch *w = ctx;

	if (w->request)
		watch__silent(w);
	else
		watch__ask(w);
}

static int copy_version(struct kube_watch *w, const char *version)
{
	if (!version || !*version)
		return 0;
	for (const char *p = version; *p; p++) {
		if (!isalnum((unsigned char)*p) && !strchr("-._", *p))
			return -EINVAL;
	}
	if (strlen(version) >= sizeof(w->version))
		return -EINVAL;
	strcpy(w->version, version);
	strcpy(w->seen, version);
	w->doubtful = true;
	return 0;
}

int kube_watch__new(struct kube_watch **ret, const struct kube_watch_opts *opts)
{
	struct kube_watch *w = calloc(1, sizeof(*w));
	uint64_t seed;
	int err = 0;

	if (!w)
		return -ENOMEM;
	w->opts = *opts;
	w->opts.path = strdup(opts->path);
	w->opts.query = opts->query ? strdup(opts->query) : NULL;
	w->opts.max_item = opts->max_item ? opts->max_item : KUBE_ITEM_BYTES;
	if (!w->opts.path || (opts->query && !w->opts.query))
		err = -ENOMEM;
	if (!err)
		err = copy_version(w, opts->resource_version);
	if (!err)
		err = loop__timer(kube__loop(opts->kube), on_timer, w, &w->timer);
	if (err) {
		kube_watch__free(w);
		return err;
	}
	/* A thousand nodes that start at once are to differ. */
	seed = clock__real_ns() ^ (uint64_t)getpid() << 32 ^ (uintptr_t)w;
	backoff__init(&w->backoff, BACKOFF_MIN_NS, BACKOFF_MAX_NS, seed);
	backoff__init(&w->spread, WATCH_MAX_NS, WATCH_MAX_NS, seed + 1);
	loop_timer__set(w->timer, 0);
	*ret = w;
	return 0;
}

bool kube_watch__renew(struct kube_watch *w, const char *problem)
{
	if (!w->request || !w->opened)
		return false;
	http_request__cancel(TAKE_PTR(w->request));
	json_stream__reset(&w->changes);
	w->opened = false;
	watch__expire(w);
	watch__state(w, false, problem);
	loop_timer__set(w->timer, 0);
	return true;
}

void kube_watch__free(struct kube_watch *w)
{
	if (!w)
		return;
	http_request__cancel(w->request);
	loop_timer__free(w->timer);
	kube_items__free(&w->items);
	json_stream__reset(&w->changes);
	free((char *)w->opts.path);
	free((char *)w->opts.query);
	free(w->page);
	free(w);
}
