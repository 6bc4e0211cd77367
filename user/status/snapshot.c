/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two flat arrays, made in one go: the capture thread has other things to do than to look for
 * memory. Sets and metadata are references. Sorted here, so that every reader shows one order.
 */
#include "status/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "process/preset.h"

int snapshot__new(struct snapshot **ret, unsigned what, size_t targets, size_t streams)
{
	struct snapshot *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->what = what;
	s->size_targets = MIN(targets, (size_t)SNAPSHOT_MAX_TARGETS);
	s->size_streams = MIN(streams, (size_t)SNAPSHOT_MAX_STREAMS);
	s->targets = calloc(s->size_targets + 1, sizeof(*s->targets));
	s->streams = calloc(s->size_streams + 1, sizeof(*s->streams));
	s->labels = calloc(SNAPSHOT_MAX_LABELS, sizeof(*s->labels));
	if (!s->targets || !s->streams || !s->labels) {
		snapshot__free(s);
		return -ENOMEM;
	}
	*ret = s;
	return 0;
}

void snapshot__free(struct snapshot *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_targets; i++)
		meta__unref(s->targets[i].meta);
	for (size_t i = 0; i < s->n_streams; i++)
		label_set__unref(s->streams[i].set);
	for (size_t i = 0; i < s->n_labels; i++)
		free(s->labels[i].name);
	samples__free(&s->samples);
	free(s->targets);
	free(s->streams);
	free(s->labels);
	free(s);
}

size_t snapshot__add_target(struct snapshot *s, const struct snapshot_target *target)
{
	if (s->n_targets == s->size_targets) {
		s->left_out++;
		meta__unref(target->meta);
		return SIZE_MAX;
	}
	s->targets[s->n_targets] = *target;
	return s->n_targets++;
}

void snapshot__add_stream(struct snapshot *s, const struct snapshot_stream *stream)
{
	if (s->n_streams == s->size_streams || stream->target >= s->n_targets) {
		s->left_out++;
		label_set__unref(stream->set);
		return;
	}
	s->streams[s->n_streams++] = *stream;
}

void snapshot__add_label(struct snapshot *s, const char *name, uint64_t since_ns)
{
	char *copy;

	if (s->n_labels == SNAPSHOT_MAX_LABELS) {
		s->left_out++;
		return;
	}
	copy = strdup(name);
	if (copy)
		s->labels[s->n_labels++] = (struct snapshot_label){copy, since_ns};
	else
		s->failed = true;
}

const char *snapshot_target__name(const struct snapshot_target *t)
{
	const struct meta *m = t->meta;

	if (m && m->name && *m->name)
		return m->name;
	if (m && m->id && *m->id)
		return m->id;
	return m && m->cgroup_path ? m->cgroup_path : "";
}

const char *snapshot_stream__file(const struct snapshot_stream *s)
{
	return s->file == LINE_TTY ? "tty" : s->file == LINE_STDERR ? "stderr" : "stdout";
}

/* NULL is behind all texts. */
static int compare(const char *a, const char *b)
{
	return a && b ? strverscmp(a, b) : !a - !b;
}

int snapshot_target__order(const void *a, const void *b)
{
	const struct snapshot_target *x = a, *y = b;
	const struct meta *of_x = x->meta, *of_y = y->meta;
	int order = compare(of_x ? preset__namespace(of_x) : NULL,
			    of_y ? preset__namespace(of_y) : NULL);

	if (!order)
		order = compare(of_x ? preset__pod(of_x) : NULL, of_y ? preset__pod(of_y) : NULL);
	if (!order)
		order = strverscmp(snapshot_target__name(x), snapshot_target__name(y));
	if (order)
		return order;
	return (x->cgroup_id > y->cgroup_id) - (x->cgroup_id < y->cgroup_id);
}

static int by_target(const void *a, const void *b)
{
	const struct snapshot_stream *x = a, *y = b;

	if (x->target != y->target)
		return x->target < y->target ? -1 : 1;
	if (x->session != y->session)
		return x->session - y->session;
	return (x->file > y->file) - (x->file < y->file);
}

static int by_label(const void *a, const void *b)
{
	return strcmp(((const struct snapshot_label *)a)->name,
		      ((const struct snapshot_label *)b)->name);
}

void snapshot__seal(struct snapshot *s)
{
	_free_ size_t *moved = calloc(s->n_targets + 1, sizeof(*moved));

	qsort(s->labels, s->n_labels, sizeof(*s->labels), by_label);
	/* Its place before, until it is that of its streams. */
	for (size_t i = 0; i < s->n_targets; i++)
		s->targets[i].first = i;
	if (moved)
		qsort(s->targets, s->n_targets, sizeof(*s->targets), snapshot_target__order);
	else
		s->failed = true;
	for (size_t i = 0; moved && i < s->n_targets; i++)
		moved[s->targets[i].first] = i;
	for (size_t i = 0; moved && i < s->n_streams; i++)
		s->streams[i].target = moved[s->streams[i].target];
	qsort(s->streams, s->n_streams, sizeof(*s->streams), by_target);
	for (size_t i = 0, t = 0; t < s->n_targets; t++) {
		s->targets[t].first = i;
		while (i < s->n_streams && s->streams[i].target == t)
			i++;
		s->targets[t].n = i - s->targets[t].first;
	}
}
