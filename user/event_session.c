/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both sides of the outputs are this thread. A line's ring position is its sequence number: what
 * outputs say of the ring says how far events are delivered.
 *
 * Without room for more the watches are freed, and go on where they were: an API server keeps
 * events for an hour.
 */
#include "event_session.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/clock.h"
#include "base/log.h"
#include "clients.h"
#include "io/http.h"
#include "io/loop.h"
#include "kube/client.h"
#include "outputs.h"
#include "process/program.h"
#include "process/relabel.h"

#define ROUND_NS (10 * NS_PER_MS)
#define LOOK_NS NS_PER_SEC
#define NAMESPACES_MAX 4096
#define PATH_LEN 384
#define PROBLEM_LEN 512

/* The lines of one namespace. */
struct stream {
	char *namespace;
	struct label_set *set; /* NULL: rules drop them */
	char *tenant;	       /* NULL: the client's */
	struct program_stream *program;
	UT_hash_handle hh;
};

struct watch {
	struct event_session *s;
	const char *namespace; /* "": all */
	struct event_feed *feed;
	struct kube_watch *kube; /* NULL: there is no room, or it is over */
	bool up;
	uint64_t left_out; /* of lists that were too long, so far */
	char problem[PROBLEM_LEN];
};

struct event_session {
	struct event_session_opts opts;
	struct clock_anchor anchor;
	struct outputs *outputs;
	struct clients *clients;
	struct relabel *relabel;
	struct program *program;
	struct stream *streams;
	struct arena arena;
	struct watch *watches;
	size_t n_watches;
	uint64_t sequence;
	uint64_t last_ns; /* CLOCK_BOOTTIME of the last line */
	uint64_t end;	  /* bytes of lines so far */
	struct loop_timer *timer;
	struct loop_watch *done;
	uint64_t end_at_ns; /* 0: it goes on */
	bool over;	    /* that was told */
	bool soon;	    /* a round comes within ROUND_NS */
	bool full;
};

static void on_program_line(void *ctx, struct label_set *set, const struct line *line)
{
	struct event_session *s = ctx;

	counters__add(s->opts.counters, processed, 1);
	counters__add(s->opts.counters, processed_bytes, line->len);
	outputs__add(s->outputs, set, line);
}

/* Streams */

static void free_stream(struct event_session *s, struct stream *t)
{
	HASH_DEL(s->streams, t);
	program_stream__free(t->program);
	label_set__unref(t->set);
	free(t->tenant);
	free(t->namespace);
	free(t);
}

static void free_streams(struct event_session *s)
{
	struct stream *t, *next;

	HASH_ITER (hh, s->streams, t, next)
		free_stream(s, t);
}

/* Not later for each line that comes meanwhile. */
static void round_soon(struct event_session *s)
{
	if (!s->soon)
		loop_timer__set(s->timer, ROUND_NS);
	s->soon = true;
}

static int begin_labels(const struct event_session *s, const char *namespace,
			struct label_list *list)
{
	const struct config_events *c = &s->opts.config->events;
	const struct string_map *external = &s->opts.config->external_labels;
	int err = 0;

	for (size_t i = 0; i < external->n && !err; i++)
		err = label_list__set(list, external->items[i].name, external->items[i].value);
	if (!err)
		err = label_list__set(list, "job", c->job);
	if (!err && !*label_list__get(list, "service_name"))
		err = label_list__set(list, "service_name", c->job);
	if (!err && c->instance)
		err = label_list__set(list, "instance", c->instance);
	if (!err)
		err = label_list__set(list, "namespace", namespace);
	label_list__sort(list);
	return err;
}

static int end_labels(const struct label_list *list, struct stream *t)
{
	const char *tenant = label_list__get(list, "__tenant_id__");
	int err = 0;

	t->set = label_set__new();
	if (!t->set)
		return -ENOMEM;
	for (size_t i = 0; i < list->n && !err; i++)
		if (strncmp(list->items[i].name, "__", 2))
			err = label_set__add(t->set, list->items[i].name, list->items[i].value);
	if (!err && *tenant) {
		t->tenant = strdup(tenant);
		err = t->tenant ? 0 : -ENOMEM;
	}
	return err ? err : label_set__seal(t->set);
}

static int fill_stream(struct event_session *s, struct stream *t)
{
	struct label_list list = {.arena = &s->arena};
	int err = begin_labels(s, t->namespace, &list);

	if (!err)
		err = relabel__apply(s->relabel, &list, NULL);
	if (err <= 0)
		return err; /* no memory, or dropped: there is no set */
	err = end_labels(&list, t);
	if (!err && !program__is_empty(s->program))
		err = program_stream__new(&t->program, s->program);
	return err;
}

/* NULL: no memory. */
static struct stream *stream_of(struct event_session *s, const char *namespace)
{
	struct stream *t;

	HASH_FIND_STR(s->streams, namespace, t);
	if (t)
		return t;
	if (HASH_COUNT(s->streams) >= NAMESPACES_MAX) {
		program__flush(s->program);
		free_streams(s);
	}
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->namespace = strdup(namespace);
	if (!t->namespace) {
		free(t);
		return NULL;
	}
	arena__reset(&s->arena);
	HASH_ADD_STR(s->streams, namespace, t);
	if (!fill_stream(s, t))
		return t;
	free_stream(s, t);
	return NULL;
}

static void on_line(void *ctx, const struct event_line *e)
{
	struct event_session *s = ctx;
	struct stream *t = stream_of(s, e->namespace);
	struct line line = {
		.bytes = e->text,
		.len = e->len,
		.real_ns = e->time_ns,
		.ring_pos = e->sequence,
		.stream = LINE_STDOUT,
	};

	counters__add(s->opts.counters, lines, 1);
	counters__add(s->opts.counters, bytes, e->len);
	if (!t)
		counters__add(s->opts.counters, dropped_no_memory, 1);
	if (!t || !t->set)
		return;
	s->last_ns = line.time_ns = MAX(clock__boot_ns(), s->last_ns + 1);
	s->end = line.end = s->end + e->len + 1;
	line.tenant = t->tenant;
	line.tenant_len = t->tenant ? strlen(t->tenant) : 0;
	if (t->program)
		program_stream__run(t->program, t->set, &line);
	else
		on_program_line(s, t->set, &line);
	round_soon(s);
}

/* Watches */

static const char *where(const struct watch *w)
{
	return *w->namespace ? w->namespace : "all namespaces";
}

static void on_list_begin(void *ctx)
{
	struct watch *w = ctx;

	event_feed__list_begin(w->feed);
}

static void on_item(void *ctx, enum kube_change change, const char *json, size_t len)
{
	struct watch *w = ctx;

	event_feed__item(w->feed, change, json, len);
}

static void on_list_end(void *ctx)
{
	struct event_feed_stats stats;
	struct watch *w = ctx;

	event_feed__list_end(w->feed);
	event_feed__stats(w->feed, &stats);
	if (stats.left_out != w->left_out)
		log_warn("events of %s: there are too many: the oldest %" PRIu64 " are left out",
			 where(w), stats.left_out - w->left_out);
	w->left_out = stats.left_out;
	malloc_trim(0); /* it was kept until its end: tens of MiB in a large cluster */
}

static void on_version(void *ctx, const char *resource_version)
{
	struct watch *w = ctx;

	event_feed__version(w->feed, resource_version);
	round_soon(w->s);
}

static void on_state(void *ctx, bool up, const char *problem)
{
	struct watch *w = ctx;

	if (problem && strncmp(problem, w->problem, PROBLEM_LEN - 1))
		log_warn("events of %s: %s", where(w), problem);
	else if (up && !w->up && !problem)
		log_info("events of %s come from %s", where(w), kube__url(w->s->opts.kube));
	w->up = up;
	snprintf(w->problem, sizeof(w->problem), "%s", problem ? problem : "");
}

static int begin_watch(struct watch *w)
{
	char path[PATH_LEN];
	const struct kube_watch_opts opts = {
		.kube = w->s->opts.kube,
		.path = path,
		.resource_version = event_feed__resume(w->feed),
		.list_begin = on_list_begin,
		.item = on_item,
		.list_end = on_list_end,
		.version = on_version,
		.state = on_state,
		.ctx = w,
	};

	snprintf(path, sizeof(path), "/apis/events.k8s.io/v1/%s%s%sevents",
		 *w->namespace ? "namespaces/" : "", w->namespace, *w->namespace ? "/" : "");
	return kube_watch__new(&w->kube, &opts);
}

static void end_watch(struct watch *w)
{
	kube_watch__free(TAKE_PTR(w->kube));
	event_feed__cut(w->feed);
}

static void end_watches(struct event_session *s)
{
	for (size_t i = 0; i < s->n_watches; i++)
		end_watch(&s->watches[i]);
}

/* Those that are to go on, and do not. */
static void keep_watching(struct event_session *s)
{
	bool full = !outputs__have_room(s->outputs);

	if (full && !s->full)
		log_warn("no more events are taken until those that wait are delivered: they have "
			 "limits.memory");
	s->full = full;
	if (full) {
		end_watches(s);
		return;
	}
	for (size_t i = 0; i < s->n_watches; i++) {
		struct watch *w = &s->watches[i];

		if (event_feed__restarted(w->feed)) {
			log_warn("the API server has an older state than it had: events that are "
				 "newer by their time are taken");
			end_watch(w);
		}
		if (!w->kube && begin_watch(w))
			log_error("no memory for a watch");
	}
}

static void move_positions(struct event_session *s)
{
	uint64_t before = outputs__oldest(s->outputs), held = program__oldest(s->program);
	struct position at;
	bool moved = false;

	before = MIN(before, held);
	for (size_t i = 0; i < s->n_watches; i++) {
		struct watch *w = &s->watches[i];

		if (!event_feed__safe(w->feed, before, &at))
			continue;
		moved = true;
		if (positions__set(s->opts.positions, w->namespace, at))
			log_error("no memory for a position");
	}
	if (moved)
		s->opts.moved(s->opts.ctx);
}

static void finish(struct event_session *s)
{
	if (s->over)
		return;
	s->over = true;
	s->opts.ended(s->opts.ctx);
}

static void on_round(void *ctx)
{
	struct event_session *s = ctx;
	uint64_t now_ns = clock__boot_ns(), next_ns, due_ns;
	size_t lines;

	outputs__take_acknowledgements(s->outputs);
	s->soon = false;
	if (s->over)
		return;
	/* It is about to be ended, unless a renewal comes first: then it goes on. */
	if (!s->opts.may_send(s->opts.ctx)) {
		loop_timer__set(s->timer, LOOK_NS);
		return;
	}
	clock__check(&s->anchor);
	due_ns = program__tick(s->program, now_ns);
	next_ns = outputs__seal(s->outputs, now_ns, s->end_at_ns);
	move_positions(s);
	if (!s->end_at_ns)
		keep_watching(s);
	next_ns = MIN(next_ns, due_ns);
	next_ns = MIN(next_ns, now_ns + LOOK_NS);
	if (s->end_at_ns)
		next_ns = MIN(next_ns, s->end_at_ns);
	loop_timer__set(s->timer, next_ns - MIN(next_ns, now_ns));
	if (s->end_at_ns && (now_ns >= s->end_at_ns || !outputs__in_flight(s->outputs, &lines)))
		finish(s);
}

static void on_done(void *ctx, int fd, int what)
{
	(void)fd;
	(void)what;
	on_round(ctx);
}

/* Making it */

static int make_rules(struct event_session *s)
{
	const struct config_events *c = &s->opts.config->events;
	const struct program_opts opts = {
		.metrics = s->opts.metrics,
		.line = on_program_line,
		.ctx = s,
	};
	struct diag *diag = NULL;
	int err = diag__new(&diag, s->opts.options->config ? s->opts.options->config : "");

	if (!err)
		err = relabel__new(&s->relabel, c->relabel_configs.items, c->relabel_configs.n,
				   diag);
	if (!err)
		err = program__new(&s->program, c->pipeline_stages, &opts, diag);
	diag__free(diag);
	return err;
}

static int make_outputs(struct event_session *s, char *why, size_t size)
{
	struct outputs_opts opts = {
		.counters = s->opts.counters,
		.anchor = &s->anchor,
		.max_memory = s->opts.options->max_in_flight,
		.seed = clock__real_ns(),
	};
	int err = clock__anchor(&s->anchor);

	if (!err)
		err = clients__new(&s->clients, s->opts.options);
	if (err)
		return err;
	clients__outputs(s->clients, opts.enabled, opts.batch);
	err = outputs__new(&s->outputs, &opts);
	if (!err)
		err = clients__connect(s->clients, s->opts.loop, s->opts.http, s->outputs,
				       s->opts.counters, why, size);
	if (!err)
		clients__durable(s->clients, s->opts.keeps);
	return err;
}

static int make_watches(struct event_session *s)
{
	const struct config_events *c = &s->opts.config->events;
	size_t n = c->namespaces.n ? c->namespaces.n : 1;
	int err = 0;

	s->watches = calloc(n, sizeof(*s->watches));
	if (!s->watches)
		return -ENOMEM;
	for (size_t i = 0; i < n && !err; i++) {
		struct watch *w = &s->watches[s->n_watches++];
		struct event_feed_opts opts = {
			.format = (enum event_format)c->format,
			.sequence = &s->sequence,
			.line = on_line,
			.ctx = s,
		};

		w->s = s;
		w->namespace = c->namespaces.n ? c->namespaces.items[i] : "";
		opts.from = positions__get(s->opts.positions, w->namespace);
		err = event_feed__new(&w->feed, &opts);
	}
	return err;
}

int event_session__new(struct event_session **ret, const struct event_session_opts *opts,
		       char *ret_why, size_t size)
{
	struct event_session *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->opts = *opts;
	s->sequence = 1;
	err = make_rules(s);
	if (!err)
		err = loop__timer(opts->loop, on_round, s, &s->timer);
	if (!err)
		err = make_outputs(s, ret_why, size);
	if (!err)
		err = make_watches(s);
	if (!err)
		err = loop__watch(opts->loop, outputs__done_fd(s->outputs), LOOP_READ, on_done, s,
				  &s->done);
	if (err) {
		event_session__free(s);
		return err;
	}
	loop_timer__set(s->timer, 0);
	*ret = s;
	return 0;
}

void event_session__free(struct event_session *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_watches; i++) {
		kube_watch__free(s->watches[i].kube);
		event_feed__free(s->watches[i].feed);
	}
	free(s->watches);
	clients__disconnect(s->clients);
	loop_watch__free(s->done);
	loop_timer__free(s->timer);
	free_streams(s);
	program__free(s->program);
	relabel__free(s->relabel);
	outputs__free(s->outputs);
	clients__free(s->clients);
	arena__free(&s->arena);
	free(s);
}

void event_session__end(struct event_session *s, uint64_t timeout_ns)
{
	uint64_t at_ns = clock__boot_ns() + timeout_ns;

	if (!s->end_at_ns) {
		end_watches(s);
		program__flush(s->program);
		clients__end(s->clients, timeout_ns);
	}
	if (!s->end_at_ns || at_ns < s->end_at_ns)
		s->end_at_ns = at_ns;
	loop_timer__set(s->timer, 0);
}

size_t event_session__undelivered(const struct event_session *s)
{
	size_t lines = 0;

	outputs__in_flight(s->outputs, &lines);
	return lines;
}

const char *event_session__problem(const struct event_session *s)
{
	for (size_t i = 0; i < s->n_watches; i++) {
		const struct watch *w = &s->watches[i];

		if (!w->up || !w->kube)
			return *w->problem ? w->problem
			       : w->kube   ? "events do not come yet"
					   : "what waits for a receiver has limits.memory";
	}
	return NULL;
}

void event_session__stats(const struct event_session *s, struct event_session_stats *ret)
{
	struct event_feed_stats one;

	*ret = (struct event_session_stats){.watches = s->n_watches};
	for (size_t i = 0; i < s->n_watches; i++) {
		event_feed__stats(s->watches[i].feed, &one);
		ret->events.lines += one.lines;
		ret->events.lists += one.lists;
		ret->events.repeats += one.repeats;
		ret->events.invalid += one.invalid;
		ret->events.left_out += one.left_out;
		ret->events.no_memory += one.no_memory;
		ret->watches_up += s->watches[i].kube && s->watches[i].up;
	}
}

size_t event_session__clients(const struct event_session *s, struct view_client *ret)
{
	return clients__look(s->clients, ret);
}
