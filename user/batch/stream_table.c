/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chained hash table by the labels' hash, which the set brings along. A stream is found by its
 * set's address, which cannot be another set's while the table holds a reference; a group by the
 * labels' text, in the same chain. The last stream found is looked at first, for lines come in
 * runs.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "batch/stream_table.h"

#define MIN_BUCKETS 64

struct stream_table {
	struct stream **buckets;
	size_t n_buckets; /* a power of two */
	size_t n_streams;
	struct stream *last;
};

int stream_table__new(struct stream_table **ret)
{
	struct stream_table *t;

	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->buckets = calloc(MIN_BUCKETS, sizeof(*t->buckets));
	if (!t->buckets) {
		free(t);
		return -ENOMEM;
	}
	t->n_buckets = MIN_BUCKETS;
	*ret = t;
	return 0;
}

static struct stream **bucket(const struct stream_table *t, const struct label_set *set)
{
	return &t->buckets[(set->hash ^ set->hash >> 32) & (t->n_buckets - 1)];
}

static void stream__free(struct stream *s)
{
	if (!s)
		return;
	if (s->group && !--s->group->refs) {
		buf__free(&s->group->head);
		free(s->group);
	}
	buf__free(&s->encoded);
	label_set__unref(s->set);
	free(s);
}

void stream_table__free(struct stream_table *t)
{
	struct stream *s, *next;

	if (!t)
		return;
	for (size_t i = 0; i < t->n_buckets; i++) {
		for (s = t->buckets[i]; s; s = next) {
			next = s->chain;
			stream__free(s);
		}
	}
	free(t->buckets);
	free(t);
}

/* More buckets when there are as many streams; without memory for them the chains grow instead. */
static void grow(struct stream_table *t)
{
	struct stream_table bigger = {.n_buckets = t->n_buckets * 2};
	struct stream *s, *next, **to;

	if (t->n_streams < t->n_buckets)
		return;
	bigger.buckets = calloc(bigger.n_buckets, sizeof(*bigger.buckets));
	if (!bigger.buckets)
		return;
	for (size_t i = 0; i < t->n_buckets; i++) {
		for (s = t->buckets[i]; s; s = next) {
			next = s->chain;
			to = bucket(&bigger, s->set);
			s->chain = *to;
			*to = s;
		}
	}
	free(t->buckets);
	t->buckets = bigger.buckets;
	t->n_buckets = bigger.n_buckets;
}

struct stream *stream_table__find(struct stream_table *t, const struct label_set *set)
{
	struct stream *s = t->last;

	if (!s || s->set != set) {
		for (s = *bucket(t, set); s && s->set != set; s = s->chain)
			;
		if (!s)
			return NULL;
		t->last = s;
	}
	s->used = true;
	return s;
}

static struct group *find_group(const struct stream_table *t, const struct label_set *set)
{
	struct stream *s;

	for (s = *bucket(t, set); s; s = s->chain)
		if (s->set->hash == set->hash && !strcmp(s->set->text, set->text))
			return s->group;
	return NULL;
}

int stream_table__add(struct stream_table *t, struct label_set *set, struct stream **ret)
{
	struct stream *s, **to;

	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->group = find_group(t, set);
	if (!s->group)
		s->group = calloc(1, sizeof(*s->group));
	if (!s->group) {
		free(s);
		return -ENOMEM;
	}
	s->group->refs++;
	s->set = label_set__ref(set);
	s->used = true;
	grow(t);
	to = bucket(t, set);
	s->chain = *to;
	*to = s;
	t->n_streams++;
	t->last = s;
	*ret = s;
	return 0;
}

static void unlink_stream(struct stream_table *t, struct stream **at)
{
	struct stream *s = *at;

	*at = s->chain;
	t->n_streams--;
	if (t->last == s)
		t->last = NULL;
	stream__free(s);
}

void stream_table__remove(struct stream_table *t, struct stream *s)
{
	struct stream **at = bucket(t, s->set);

	while (*at != s)
		at = &(*at)->chain;
	unlink_stream(t, at);
}

void stream_table__sweep(struct stream_table *t)
{
	struct stream **at;

	for (size_t i = 0; i < t->n_buckets; i++) {
		at = &t->buckets[i];
		while (*at) {
			if (!(*at)->used) {
				unlink_stream(t, at);
				continue;
			}
			(*at)->used = false;
			at = &(*at)->chain;
		}
	}
}
