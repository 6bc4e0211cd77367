/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values and streams are kept as 64-bit hashes with the time they were last seen, in tables that
 * never hold more than their bound: when one is full, what is older than the window goes first. Two
 * values of one hash would count as one, which the guard can live with.
 *
 * Label names are values too where labelmap makes them: beyond MAX_NAMES of them a new one is
 * guarded from the start.
 */
#include "process/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
/* uthash calls this when there is no memory; the entry is then not in the map (hh.tbl NULL). */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/util.h"

#define MAX_NAMES 500u
#define NS_PER_HOUR 3600000000000ull
#define FALLBACK_NAME "job"
#define FALLBACK_VALUE "notail"

const struct limits_opts limits_defaults = {
	.label_values = 100,
	.identity_values = 2000,
	.guard_window_ns = NS_PER_HOUR,
	.guard_reset_ns = 24 * NS_PER_HOUR,
	.label_names = 15,
	.label_name_length = 1024,
	.label_value_length = 2048,
	.streams = 10000,
};

/* A set of hashes with times: open addressing, no deletion but by making it anew. */
struct seen {
	struct seen_entry {
		uint64_t hash; /* 0: free */
		uint64_t time_ns;
	} * entries;
	size_t n;
	size_t room;	    /* a power of two, at least twice n */
	uint64_t oldest_ns; /* none is older: a full table is not looked through in vain */
};

struct guarded_name {
	char *name;
	struct seen values;
	bool identity;
	bool guarded; /* of an identity label: its warning was given */
	uint64_t since_ns;
	UT_hash_handle hh;
};

struct limits {
	struct limits_opts opts;
	struct limits_counters counters;
	struct guarded_name *names;
	struct seen streams;
	uint64_t now_ns; /* the latest that was passed in */
	uint64_t version;
	bool said_names, said_streams;
	void (*observe)(void *ctx, const struct limits_event *event);
	void *observe_ctx;
	bool held;
	bool (*past)(void *ctx, const char *name, uint64_t state); /* NULL: as it is now */
	void *past_ctx;
	uint64_t past_state;
};

static void seen__free(struct seen *s)
{
	free(s->entries);
	*s = (struct seen){0};
}

static struct seen_entry *seen__place(const struct seen *s, uint64_t hash)
{
	size_t i = hash & (s->room - 1);

	while (s->entries[i].hash && s->entries[i].hash != hash)
		i = (i + 1) & (s->room - 1);
	return &s->entries[i];
}

/* Makes it anew with what is not older than `from`. */
static int seen__rebuild(struct seen *s, size_t room, uint64_t from_ns)
{
	struct seen next = {.room = room, .oldest_ns = UINT64_MAX};

	next.entries = calloc(room, sizeof(*next.entries));
	if (!next.entries)
		return -ENOMEM;
	for (size_t i = 0; i < s->room; i++) {
		if (!s->entries[i].hash || s->entries[i].time_ns < from_ns)
			continue;
		*seen__place(&next, s->entries[i].hash) = s->entries[i];
		next.oldest_ns = MIN(next.oldest_ns, s->entries[i].time_ns);
		next.n++;
	}
	free(s->entries);
	*s = next;
	return 0;
}

/* 1: it is in, now; 0: it would be one more than max; -ENOMEM. */
static int seen__add(struct seen *s, uint64_t hash, size_t max, uint64_t now_ns, uint64_t window_ns)
{
	struct seen_entry *e = s->room ? seen__place(s, hash) : NULL;
	uint64_t from_ns = now_ns > window_ns ? now_ns - window_ns : 0;
	int err = 0;

	if (e && e->hash) {
		e->time_ns = now_ns;
		return 1;
	}
	if (s->n >= max && s->oldest_ns < from_ns)
		err = seen__rebuild(s, s->room, from_ns);
	if (!err && s->n >= max)
		return 0;
	if (!err && 2 * (s->n + 1) > s->room)
		err = seen__rebuild(s, MAX(2 * s->room, 16), 0);
	if (err)
		return err;
	*seen__place(s, hash) = (struct seen_entry){.hash = hash, .time_ns = now_ns};
	s->oldest_ns = MIN(s->oldest_ns, now_ns);
	s->n++;
	return 1;
}

static uint64_t hash_text(uint64_t hash, const char *text)
{
	return hash__mix(hash__text(hash, text));
}

/* In whatever order the labels are. */
static uint64_t hash_set(const struct label_set *s)
{
	uint64_t hash = 0;

	for (size_t i = 0; i < s->n_labels; i++)
		hash += hash_text(hash_text(HASH_START, s->labels[i].name), s->labels[i].value);
	return hash ? hash : 1;
}

int limits__new(struct limits **ret, const struct limits_opts *opts)
{
	struct limits *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->opts = *opts;
	*ret = l;
	return 0;
}

void limits__reset(struct limits *l)
{
	struct guarded_name *g, *next;

	HASH_ITER (hh, l->names, g, next) {
		HASH_DEL(l->names, g);
		seen__free(&g->values);
		free(g->name);
		free(g);
	}
	seen__free(&l->streams);
	l->said_names = false;
	l->said_streams = false;
	l->version++;
}

void limits__free(struct limits *l)
{
	if (!l)
		return;
	limits__reset(l);
	free(l);
}

static bool identity(const char *name)
{
	return strcmp(name, "container") == 0 || strcmp(name, "pod") == 0 ||
	       strcmp(name, "namespace") == 0;
}

static struct guarded_name *find_name(const struct limits *l, const char *name)
{
	struct guarded_name *g;

	HASH_FIND_STR(l->names, name, g);
	return g;
}

/* NULL: no memory. */
static struct guarded_name *add_name(struct limits *l, const char *name)
{
	struct guarded_name *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->name = strdup(name);
	if (g->name) {
		g->identity = identity(name);
		HASH_ADD_KEYPTR(hh, l->names, g->name, strlen(g->name), g);
	}
	if (!g->name || !g->hh.tbl) {
		free(g->name);
		free(g);
		return NULL;
	}
	return g;
}

static void tell(struct limits *l, const struct guarded_name *g)
{
	const struct limits_event event = {
		.name = g->name, .taken = g->guarded, .since_ns = g->since_ns};

	l->version++;
	if (l->observe)
		l->observe(l->observe_ctx, &event);
}

static void trip(struct limits *l, struct guarded_name *g)
{
	g->guarded = true;
	g->since_ns = l->now_ns;
	if (g->identity) {
		l->counters.identity_over++;
		log_warn("label %s has more than %zu values within %llu minutes; it stays a label, "
			 "and so many streams are slow in Loki",
			 g->name, l->opts.identity_values,
			 (unsigned long long)(l->opts.guard_window_ns / (NS_PER_HOUR / 60)));
		return;
	}
	seen__free(&g->values);
	l->counters.guard_trips++;
	tell(l, g);
	log_warn("label %s has more than %zu values within %llu minutes: from now on it is "
		 "structured metadata, no label",
		 g->name, l->opts.label_values,
		 (unsigned long long)(l->opts.guard_window_ns / (NS_PER_HOUR / 60)));
}

static void give_back(struct limits *l, struct guarded_name *g)
{
	if (!g->guarded || !l->opts.guard_reset_ns ||
	    l->now_ns - g->since_ns < l->opts.guard_reset_ns)
		return;
	g->guarded = false;
	if (!g->identity)
		tell(l, g);
}

static bool is_guarded(const struct limits *l, const struct guarded_name *g, const char *name)
{
	if (l->past && !identity(name))
		return l->past(l->past_ctx, name, l->past_state);
	return g && g->guarded && !g->identity;
}

/* 1: the label may stay; 0: not; -ENOMEM. */
static int look_at(struct limits *l, const struct label *label)
{
	struct guarded_name *g = find_name(l, label->name);
	size_t max;
	int in;

	if (!g && HASH_COUNT(l->names) >= MAX_NAMES && !identity(label->name)) {
		if (!l->said_names)
			log_warn("rules and stages make more than %u labels: %s and others become "
				 "structured metadata",
				 MAX_NAMES, label->name);
		l->said_names = true;
		return 0;
	}
	if (!g)
		g = add_name(l, label->name);
	if (!g)
		return -ENOMEM;
	if (!l->held)
		give_back(l, g);
	if (is_guarded(l, g, label->name))
		return 0;
	/* Guarded since. */
	if (l->held && g->guarded && !g->identity)
		return 1;
	max = g->identity ? l->opts.identity_values : l->opts.label_values;
	in = seen__add(&g->values, hash_text(HASH_START, label->value), max, l->now_ns,
		       l->opts.guard_window_ns);
	if (in == 0 && !g->guarded && !l->held)
		trip(l, g);
	return in < 0 ? in : in || g->identity || l->held;
}

/* The label goes to the metadata. */
static int move(struct label_set *s, size_t i)
{
	struct label label = s->labels[i];
	int err = label_set__add_metadata(s, label.name, label.value);

	if (err)
		return err;
	memmove(&s->labels[i], &s->labels[i + 1], (s->n_labels - i - 1) * sizeof(label));
	s->n_labels--;
	free(label.name);
	free(label.value);
	return 0;
}

static int guard(struct limits *l, struct label_set *s, size_t n_own)
{
	for (size_t i = 0; i < s->n_labels;) {
		int stays =
			i < n_own && !identity(s->labels[i].name) ? 1 : look_at(l, &s->labels[i]);
		int err = stays < 0 ? stays : 0;

		if (stays == 0) {
			l->counters.guarded_labels++;
			err = move(s, i);
		}
		if (err)
			return err;
		i += stays == 1;
	}
	return 0;
}

/* Between two characters. */
static void cut(struct limits *l, char *text, size_t max)
{
	size_t len = strlen(text);

	if (len <= max)
		return;
	len = max;
	while (len && ((unsigned char)text[len] & 0xc0) == 0x80)
		len--;
	text[len] = '\0';
	l->counters.cut++;
}

/* A name that is cut may be another's by then: the first keeps it. */
static void cut_all(struct limits *l, struct label_set *s)
{
	for (size_t i = 0; i < s->n_labels; i++) {
		struct label *label = &s->labels[i];
		bool twice = false;

		cut(l, label->name, l->opts.label_name_length);
		cut(l, label->value, l->opts.label_value_length);
		for (size_t j = 0; j < i; j++)
			twice |= strcmp(s->labels[j].name, label->name) == 0;
		if (!twice && *label->value)
			continue;
		free(label->name);
		free(label->value);
		memmove(label, label + 1, (s->n_labels - i - 1) * sizeof(*label));
		s->n_labels--;
		i--;
	}
}

static int fewer_names(struct limits *l, struct label_set *s)
{
	size_t max = l->opts.label_names;
	int err = 0;

	for (size_t i = 0; i < s->n_labels && !err;) {
		bool loki = strcmp(s->labels[i].name, "service_name") == 0;

		max += loki;
		if (loki || i < max) {
			i++;
			continue;
		}
		l->counters.too_many_labels++;
		err = move(s, i);
	}
	return err;
}

/* One stream too many is folded into its container's. */
static int fewer_streams(struct limits *l, struct label_set *s, size_t n_own)
{
	int in = seen__add(&l->streams, hash_set(s), l->opts.streams, l->now_ns,
			   l->opts.guard_window_ns);
	int err = 0;

	if (in)
		return MIN(in, 0);
	if (!l->said_streams)
		log_warn("more than %zu streams within %llu minutes: of new ones, labels of rules "
			 "and stages become structured metadata",
			 l->opts.streams,
			 (unsigned long long)(l->opts.guard_window_ns / (NS_PER_HOUR / 60)));
	l->said_streams = true;
	if (s->n_labels <= n_own)
		return 0;
	l->counters.too_many_streams++;
	for (size_t i = n_own; i < s->n_labels && !err;) {
		if (identity(s->labels[i].name))
			i++;
		else
			err = move(s, i);
	}
	return err;
}

int limits__fit(struct limits *l, struct label_set *s, size_t n_own, uint64_t time_ns)
{
	int err;

	l->now_ns = MAX(l->now_ns, time_ns);
	l->counters.repaired += s->repaired;
	s->repaired = 0;
	n_own = MIN(n_own, s->n_labels);
	err = guard(l, s, n_own);
	if (!err)
		cut_all(l, s);
	if (!err)
		err = fewer_names(l, s);
	if (!err)
		err = fewer_streams(l, s, MIN(n_own, s->n_labels));
	if (!err && !s->n_labels) {
		l->counters.empty_sets++;
		err = label_set__add(s, FALLBACK_NAME, FALLBACK_VALUE);
	}
	return err;
}

bool limits__guarded(const struct limits *l, const char *name)
{
	return is_guarded(l, find_name(l, name), name);
}

void limits__observe(struct limits *l, void (*fn)(void *ctx, const struct limits_event *event),
		     void *ctx)
{
	l->observe = fn;
	l->observe_ctx = ctx;
}

int limits__restore(struct limits *l, const char *name, uint64_t since_ns)
{
	struct guarded_name *g = find_name(l, name);

	if (!g)
		g = add_name(l, name);
	if (!g)
		return -ENOMEM;
	seen__free(&g->values);
	g->guarded = true;
	g->since_ns = since_ns;
	l->now_ns = MAX(l->now_ns, since_ns);
	l->version++;
	return 0;
}

void limits__hold(struct limits *l, bool (*guarded)(void *ctx, const char *name, uint64_t state),
		  void *ctx, uint64_t state)
{
	l->held = true;
	if (l->past == guarded && (!guarded || l->past_state == state))
		return;
	l->past = guarded;
	l->past_ctx = ctx;
	l->past_state = state;
	l->version++;
}

void limits__release(struct limits *l)
{
	limits__hold(l, NULL, NULL, 0);
	l->held = false;
}

uint64_t limits__version(const struct limits *l)
{
	return l->version;
}

const struct limits_counters *limits__counters(const struct limits *l)
{
	return &l->counters;
}

void limits__each(const struct limits *l, void (*fn)(void *ctx, const struct limits_label *label),
		  void *ctx)
{
	struct guarded_name *g, *next;

	HASH_ITER (hh, l->names, g, next) {
		bool guarded = g->guarded && !g->identity;
		const struct limits_label label = {
			.name = g->name,
			.values = guarded ? l->opts.label_values + 1 : g->values.n + g->guarded,
			.identity = g->identity,
			.guarded = guarded,
			.since_ns = g->guarded ? g->since_ns : 0,
		};

		fn(ctx, &label);
	}
}
