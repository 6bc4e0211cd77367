/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list is kept as lines until its end, then sorted. Over max_bytes the older half goes, counted:
 * a cluster keeps its events for an hour, and who begins with a million of them wants the newest.
 *
 * Marks say which revision is done with when all lines before a sequence number are. They are
 * thinned out when there are too many: then the position moves in larger steps.
 */
#include "kube/event_feed.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define MAX_BYTES ((size_t)32 << 20)
#define MARKS_MAX 1024
/* What is further ahead of this clock is refused by Loki (10 minutes). */
#define AHEAD_NS (9 * 60 * NS_PER_SEC)

struct listed {
	uint64_t revision, time_ns;
	char *namespace, *text;
	size_t len;
};

struct mark {
	uint64_t before; /* sequence number */
	struct position at;
};

struct event_feed {
	struct event_feed_opts opts;
	struct position taken; /* everything until then was handed on */
	uint64_t floor_ns;     /* events before this time were too; 0: their revisions say it */
	bool listing, restarted;
	struct listed *list;
	size_t n_list, room, list_bytes;
	struct mark marks[MARKS_MAX];
	size_t n_marks;
	char version[24];
	struct event_feed_stats stats;
};

int event_feed__new(struct event_feed **ret, const struct event_feed_opts *opts)
{
	struct event_feed *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->opts = *opts;
	f->taken = opts->from;
	if (!f->opts.max_bytes)
		f->opts.max_bytes = MAX_BYTES;
	if (!f->opts.real_ns)
		f->opts.real_ns = clock__real_ns;
	snprintf(f->version, sizeof(f->version), "%" PRIu64, f->taken.revision);
	*ret = f;
	return 0;
}

static void free_listed(struct event_feed *f, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		f->list_bytes -= sizeof(f->list[i]) + f->list[i].len;
		free(f->list[i].namespace);
		free(f->list[i].text);
	}
}

static void drop_list(struct event_feed *f)
{
	free_listed(f, 0, f->n_list);
	free(f->list);
	f->list = NULL;
	f->n_list = f->room = 0;
}

void event_feed__free(struct event_feed *f)
{
	if (!f)
		return;
	drop_list(f);
	free(f);
}

/* Every second one goes, never the last. */
static void thin_out(struct event_feed *f)
{
	size_t n = 0;

	for (size_t i = 1; i < f->n_marks; i += 2)
		f->marks[n++] = f->marks[i];
	f->n_marks = n;
}

static void add_mark(struct event_feed *f)
{
	struct mark m = {.before = *f->opts.sequence, .at = f->taken};

	if (f->n_marks && f->marks[f->n_marks - 1].before == m.before)
		f->n_marks--;
	if (f->n_marks == MARKS_MAX)
		thin_out(f);
	f->marks[f->n_marks++] = m;
	snprintf(f->version, sizeof(f->version), "%" PRIu64, f->taken.revision);
}

static void hand_on(struct event_feed *f, const struct listed *l)
{
	const struct event_line line = {
		.namespace = l->namespace,
		.text = l->text,
		.len = l->len,
		.time_ns = l->time_ns,
		.sequence = (*f->opts.sequence)++,
	};

	f->stats.lines++;
	f->opts.line(f->opts.ctx, &line);
	f->taken.revision = MAX(f->taken.revision, l->revision);
	f->taken.time_ns = MAX(f->taken.time_ns, l->time_ns);
	add_mark(f);
}

static int compare(const void *a, const void *b)
{
	const struct listed *x = a, *y = b;

	if (x->revision != y->revision)
		return x->revision < y->revision ? -1 : 1;
	return x->time_ns < y->time_ns ? -1 : x->time_ns > y->time_ns;
}

static void sort(struct event_feed *f)
{
	if (f->n_list)
		qsort(f->list, f->n_list, sizeof(*f->list), compare);
}

static void make_room(struct event_feed *f)
{
	size_t half = f->n_list / 2;

	sort(f);
	free_listed(f, 0, half);
	memmove(f->list, f->list + half, (f->n_list - half) * sizeof(*f->list));
	f->n_list -= half;
	f->stats.left_out += half;
}

/* Takes its strings over. */
static int keep(struct event_feed *f, const struct listed *l)
{
	size_t room = f->room ? 2 * f->room : 64;
	struct listed *grown;

	if (f->n_list == f->room) {
		grown = reallocarray(f->list, room, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		f->list = grown;
		f->room = room;
	}
	f->list[f->n_list++] = *l;
	f->list_bytes += sizeof(*l) + l->len;
	while (f->list_bytes > f->opts.max_bytes && f->n_list > 1)
		make_room(f);
	return 0;
}

static bool is_new(const struct event_feed *f, const struct event *e)
{
	if (f->floor_ns && e->time_ns && e->time_ns < f->floor_ns)
		return false;
	/* Not the API's own server: a list is all that can repeat. */
	if (!e->revision)
		return !f->listing || e->time_ns > f->taken.time_ns;
	return e->revision > f->taken.revision;
}

static int make_line(struct event_feed *f, const struct event *e, struct listed *ret)
{
	uint64_t now_ns = f->opts.real_ns();
	_buf_ struct buf text = {0};
	int err = event__line(e, f->opts.format, &text);
	char *namespace = err ? NULL : strdup(e->namespace);

	if (!namespace)
		return -ENOMEM;
	*ret = (struct listed){
		.revision = e->revision,
		.time_ns = event__time_ns(e, now_ns),
		.namespace = namespace,
		.text = TAKE_PTR(text.data),
		.len = text.len,
	};
	if (ret->time_ns > now_ns + AHEAD_NS)
		ret->time_ns = now_ns;
	return 0;
}

static int take(struct event_feed *f, const struct event *e)
{
	struct listed l;
	int err = make_line(f, e, &l);

	if (!err && f->listing)
		err = keep(f, &l);
	else if (!err)
		hand_on(f, &l);
	else
		return err;
	if (err || !f->listing) {
		free(l.namespace);
		free(l.text);
	}
	return err;
}

void event_feed__list_begin(struct event_feed *f)
{
	drop_list(f);
	f->listing = true;
	f->stats.lists++;
}

void event_feed__cut(struct event_feed *f)
{
	drop_list(f);
	f->listing = false;
}

void event_feed__item(struct event_feed *f, enum kube_change change, const char *json, size_t len)
{
	_event_ struct event e = {0};
	int err;

	if (change == KUBE_DELETED)
		return;
	err = event_json__parse(json, len, &e);
	if (err)
		f->stats.invalid++;
	else if (!is_new(f, &e))
		f->stats.repeats++;
	else if (take(f, &e))
		f->stats.no_memory++;
}

void event_feed__list_end(struct event_feed *f)
{
	sort(f);
	for (size_t i = 0; i < f->n_list; i++)
		hand_on(f, &f->list[i]);
	event_feed__cut(f);
}

void event_feed__version(struct event_feed *f, const char *resource_version)
{
	uint64_t revision = event_json__revision(resource_version);

	if (!revision || f->listing)
		return;
	if (revision < f->taken.revision) {
		f->restarted = true;
		return;
	}
	f->floor_ns = 0;
	f->taken.revision = revision;
	add_mark(f);
}

const char *event_feed__resume(const struct event_feed *f)
{
	return f->taken.revision ? f->version : NULL;
}

bool event_feed__restarted(struct event_feed *f)
{
	if (!f->restarted)
		return false;
	f->restarted = false;
	/* Of the last second some are sent twice rather than never. */
	f->floor_ns = f->taken.time_ns - f->taken.time_ns % NS_PER_SEC;
	f->taken.revision = 0;
	return true;
}

bool event_feed__safe(struct event_feed *f, uint64_t before, struct position *ret)
{
	size_t n = 0;

	while (n < f->n_marks && f->marks[n].before <= before)
		n++;
	if (!n)
		return false;
	*ret = f->marks[n - 1].at;
	f->n_marks -= n;
	memmove(f->marks, f->marks + n, f->n_marks * sizeof(*f->marks));
	return true;
}

void event_feed__stats(const struct event_feed *f, struct event_feed_stats *ret)
{
	*ret = f->stats;
}
