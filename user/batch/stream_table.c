/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream is found by its set's address, which cannot be another set's while the table holds a
 * reference: in an open table that has the addresses, so that neither the set nor another stream is
 * looked at. The last stream found is looked at first, for lines come in runs. Groups are chained
 * by the labels' hash, which the set brings along, and found when a stream is new.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "batch/stream_table.h"

#define MIN_PLACES 128
#define CACHE_LINE 64
#define GROWTH_MIN 128

struct place {
	const struct label_set *set; /* NULL: empty */
	struct stream *stream;
};

struct stream_table {
	struct place last;
	struct place *places;
	struct group **groups; /* as many */
	size_t n_places;       /* a power of two, at least twice n_streams */
	size_t n_streams;
	size_t n_swept; /* what the last sweep left */
};

static int make_places(struct stream_table *t, size_t n)
{
	t->places = calloc(n, sizeof(*t->places));
	t->groups = calloc(n, sizeof(*t->groups));
	t->n_places = n;
	if (t->places && t->groups)
		return 0;
	free(t->places);
	free(t->groups);
	return -ENOMEM;
}

int stream_table__new(struct stream_table **ret)
{
	struct stream_table *t;

	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	if (make_places(t, MIN_PLACES)) {
		free(t);
		return -ENOMEM;
	}
	*ret = t;
	return 0;
}

/* Where the set is, or would be. */
static struct place *find_place(const struct stream_table *t, const struct label_set *set)
{
	uint64_t hash = (uintptr_t)set * 0x9e3779b97f4a7c15;
	size_t at = hash >> 32 & (t->n_places - 1);

	while (t->places[at].set && t->places[at].set != set)
		at = (at + 1) & (t->n_places - 1);
	return &t->places[at];
}

static struct group **bucket(const struct stream_table *t, const struct label_set *set)
{
	return &t->groups[(set->hash ^ set->hash >> 32) & (t->n_places - 1)];
}

static void leave_group(struct stream_table *t, struct group *g)
{
	struct group **at;

	if (--g->refs)
		return;
	for (at = bucket(t, g->set); *at != g; at = &(*at)->chain)
		;
	*at = g->chain;
	buf__free(&g->head);
	label_set__unref(g->set);
	free(g);
}

static void free_stream(struct stream_table *t, struct stream *s)
{
	leave_group(t, s->group);
	buf__free(&s->encoded);
	label_set__unref(s->set);
	free(s);
}

void stream_table__free(struct stream_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_places; i++)
		if (t->places[i].set)
			free_stream(t, t->places[i].stream);
	free(t->places);
	free(t->groups);
	free(t);
}

static int grow(struct stream_table *t)
{
	struct stream_table bigger = {0};
	struct group *g, *next, **to;
	int err;

	if (t->n_streams < t->n_places / 2)
		return 0;
	err = make_places(&bigger, t->n_places * 2);
	if (err)
		return err;
	for (size_t i = 0; i < t->n_places; i++) {
		if (t->places[i].set)
			*find_place(&bigger, t->places[i].set) = t->places[i];
		for (g = t->groups[i]; g; g = next) {
			next = g->chain;
			to = bucket(&bigger, g->set);
			g->chain = *to;
			*to = g;
		}
	}
	free(t->places);
	free(t->groups);
	t->places = bigger.places;
	t->groups = bigger.groups;
	t->n_places = bigger.n_places;
	return 0;
}

struct stream *stream_table__find(struct stream_table *t, const struct label_set *set)
{
	if (t->last.set != set) {
		const struct place *p = find_place(t, set);

		if (!p->set)
			return NULL;
		t->last = *p;
	}
	t->last.stream->used = true;
	return t->last.stream;
}

static struct group *join_group(struct stream_table *t, struct label_set *set)
{
	struct group *g, **to = bucket(t, set);

	for (g = *to; g; g = g->chain)
		if (g->set->hash == set->hash && !strcmp(g->set->text, set->text))
			break;
	if (!g) {
		g = calloc(1, sizeof(*g));
		if (!g)
			return NULL;
		g->set = label_set__ref(set);
		g->chain = *to;
		*to = g;
	}
	g->refs++;
	return g;
}

int stream_table__add(struct stream_table *t, struct label_set *set, struct stream **ret)
{
	size_t size = (sizeof(struct stream) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
	struct stream *s;
	int err;

	err = grow(t);
	if (err)
		return err;
	s = aligned_alloc(CACHE_LINE, size);
	if (!s)
		return -ENOMEM;
	*s = (struct stream){.group = join_group(t, set)};
	if (!s->group) {
		free(s);
		return -ENOMEM;
	}
	s->set = label_set__ref(set);
	s->used = true;
	t->n_streams++;
	t->last = *find_place(t, set) = (struct place){set, s};
	*ret = s;
	return 0;
}

/* The one, or without one those that were not used; what stays goes to where it is found then. */
static void drop(struct stream_table *t, const struct stream *one)
{
	size_t begin = 0;

	t->last = (struct place){0};
	/* From an empty place on: no stream that is looked at later belongs in front of it. */
	while (t->places[begin].set)
		begin++;
	for (size_t i = 0; i < t->n_places; i++) {
		struct place *p = &t->places[(begin + i) & (t->n_places - 1)], taken = *p;

		*p = (struct place){0};
		if (!taken.set)
			continue;
		if (one ? taken.stream == one : !taken.stream->used) {
			free_stream(t, taken.stream);
			t->n_streams--;
			continue;
		}
		if (!one)
			taken.stream->used = false;
		*find_place(t, taken.set) = taken;
	}
}

void stream_table__remove(struct stream_table *t, struct stream *s)
{
	drop(t, s);
}

bool stream_table__has_grown(const struct stream_table *t)
{
	return t->n_streams >= t->n_swept + t->n_swept / 2 + GROWTH_MIN;
}

void stream_table__sweep(struct stream_table *t)
{
	drop(t, NULL);
	t->n_swept = t->n_streams;
}
