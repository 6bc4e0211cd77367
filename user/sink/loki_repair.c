/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A complaint names a limit, a time or a stream; all entries that break the limit, are older or are
 * of the stream are dealt with at once, for Loki may have named only the first of them. Where a
 * complaint fits no entry for certain, nothing is done: who asked halves the request until the
 * entry is alone.
 */
#include "sink/loki_repair.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

static const enum sink_reason reasons[LOKI_FAULTS] = {
	[LOKI_UNKNOWN] = SINK_REFUSED_OTHER,
	[LOKI_TOO_OLD] = SINK_TOO_OLD,
	[LOKI_TOO_NEW] = SINK_TOO_NEW,
	[LOKI_TOO_FAR_BEHIND] = SINK_TOO_FAR_BEHIND,
	[LOKI_LINE_TOO_LONG] = SINK_LINE_TOO_LONG,
	[LOKI_METADATA_PAIRS] = SINK_METADATA,
	[LOKI_METADATA_BYTES] = SINK_METADATA,
	[LOKI_METADATA_DISALLOWED] = SINK_METADATA,
	[LOKI_LABEL_NAMES] = SINK_LABEL_NAMES,
	[LOKI_LABEL_NAME_LENGTH] = SINK_LABEL_LENGTH,
	[LOKI_LABEL_VALUE_LENGTH] = SINK_LABEL_LENGTH,
	[LOKI_DUPLICATE_LABEL] = SINK_LABELS,
	[LOKI_BAD_LABELS] = SINK_LABELS,
	[LOKI_STREAM_RATE] = SINK_RATE_LIMITED,
	[LOKI_STREAM_LIMIT] = SINK_RATE_LIMITED,
	[LOKI_TENANT_RATE] = SINK_RATE_LIMITED,
	[LOKI_TENANT_NAME] = SINK_TENANT,
	[LOKI_TOO_LARGE] = SINK_TOO_LARGE,
	[LOKI_UNREADABLE] = SINK_REFUSED_OTHER,
};

int loki_repair__new(struct loki_repair *ret, const struct request *r)
{
	uint8_t *marks = calloc(r->n_entries + 1, sizeof(*marks));

	if (!marks)
		return -ENOMEM;
	*ret = (struct loki_repair){
		.request = r,
		.marks = marks,
		.line_max = SIZE_MAX,
		.pairs_max = SIZE_MAX,
		.metadata_max = SIZE_MAX,
		.reason = SINK_REFUSED_OTHER,
	};
	return 0;
}

void loki_repair__free(struct loki_repair *repair)
{
	free(TAKE_PTR(repair->marks));
}

static void drop(struct loki_repair *repair, size_t i, enum sink_reason reason)
{
	if (repair->marks[i] == LOKI_GONE)
		return;
	repair->marks[i] = LOKI_GONE;
	repair->gone++;
	repair->dropped[reason]++;
}

/* NULL: none, or it is not certain. */
static const struct request_stream *find_stream(const struct request *r,
						const struct loki_complaint *c)
{
	for (size_t i = 0; i < r->n_streams; i++)
		if (loki_text__is_stream(c, r->streams[i].labels.data, r->streams[i].labels.len))
			return &r->streams[i];
	return r->n_streams == 1 ? r->streams : NULL;
}

static void drop_stream(struct loki_repair *repair, const struct loki_complaint *c)
{
	const struct request_stream *s = find_stream(repair->request, c);

	for (size_t i = 0; s && i < s->n; i++)
		drop(repair, s->first + i, reasons[c->fault]);
}

/* Those of the second that it names, if they are as many as it says. */
static void drop_second(struct loki_repair *repair, const struct loki_complaint *c)
{
	const struct request_stream *s = find_stream(repair->request, c);
	size_t n = 0;

	for (size_t pass = 0; s && pass < 2; pass++) {
		if (pass && n != c->count)
			return;
		for (size_t i = s->first; i < s->first + s->n; i++) {
			if (repair->request->entries[i].time_ns / NS_PER_SEC != c->time_s)
				continue;
			n++;
			if (pass)
				drop(repair, i, reasons[c->fault]);
		}
	}
}

static void drop_by_time(struct loki_repair *repair, const struct loki_complaint *c)
{
	const struct request *r = repair->request;

	for (size_t i = 0; i < r->n_entries; i++) {
		uint64_t time_ns = r->entries[i].time_ns;

		if (c->fault == LOKI_TOO_OLD ? time_ns / NS_PER_SEC < c->oldest_s
					     : c->time_s && time_ns / NS_PER_SEC > c->time_s)
			drop(repair, i, reasons[c->fault]);
	}
	if (c->time_s)
		drop_second(repair, c);
}

/* What Loki did not ignore of the stream it has. */
static void settle_stream(struct loki_repair *repair, const struct loki_complaint *c)
{
	const struct request_stream *s = find_stream(repair->request, c);

	if (!s)
		return;
	if (c->of == s->n && c->ignored && c->ignored <= c->of &&
	    !memchr(repair->marks + s->first, LOKI_GONE, s->n)) {
		memset(repair->marks + s->first, LOKI_GONE, s->n);
		repair->gone += s->n;
		repair->dropped[reasons[c->fault]] += c->ignored;
		return;
	}
	for (size_t i = s->first; i < s->first + s->n; i++)
		if (repair->request->entries[i].time_ns / NS_PER_SEC < c->oldest_s)
			drop(repair, i, reasons[c->fault]);
}

static void blame(struct loki_repair *repair, const struct loki_complaint *c)
{
	switch (c->fault) {
	case LOKI_TOO_OLD:
	case LOKI_TOO_NEW:
		drop_by_time(repair, c);
		break;
	case LOKI_TOO_FAR_BEHIND:
		settle_stream(repair, c);
		break;
	case LOKI_LINE_TOO_LONG:
		if (c->limit)
			repair->line_max = MIN(repair->line_max, c->limit);
		break;
	case LOKI_METADATA_PAIRS:
		if (c->limit)
			repair->pairs_max = MIN(repair->pairs_max, c->limit);
		break;
	case LOKI_METADATA_BYTES:
		if (c->limit)
			repair->metadata_max = MIN(repair->metadata_max, c->limit);
		break;
	case LOKI_METADATA_DISALLOWED:
		repair->pairs_max = 0;
		break;
	case LOKI_LABEL_NAMES:
	case LOKI_LABEL_NAME_LENGTH:
	case LOKI_LABEL_VALUE_LENGTH:
	case LOKI_DUPLICATE_LABEL:
	case LOKI_BAD_LABELS:
		drop_stream(repair, c);
		break;
	default:
		break;
	}
}

static void count_cuts(struct loki_repair *repair)
{
	const struct request *r = repair->request;
	struct request_span name, value;

	repair->cut_lines = repair->cut_metadata = 0;
	for (size_t i = 0; i < r->n_entries; i++) {
		size_t cursor = 0, pairs = 0, bytes = 0;

		if (repair->marks[i] != LOKI_KEPT)
			continue;
		repair->cut_lines += r->entries[i].line_len > repair->line_max;
		if (repair->pairs_max == SIZE_MAX && repair->metadata_max == SIZE_MAX)
			continue;
		while (request_entry__pair(&r->entries[i], &cursor, &name, &value)) {
			pairs++;
			bytes += name.len + value.len;
		}
		repair->cut_metadata += pairs > repair->pairs_max || bytes > repair->metadata_max;
	}
}

static bool gets_on(struct loki_repair *repair)
{
	count_cuts(repair);
	return repair->gone || repair->cut_lines || repair->cut_metadata;
}

bool loki_repair__refused(struct loki_repair *repair, const char *text, size_t len)
{
	struct loki_complaint c;
	size_t cursor = 0;
	bool first = true;

	while (loki_text__next(text, len, &cursor, &c)) {
		if (first)
			repair->reason = reasons[c.fault];
		first = false;
		blame(repair, &c);
	}
	if (gets_on(repair))
		return true;
	/* A Loki that counts metadata as a part of the line. */
	if (repair->request->n_entries == 1 &&
	    (repair->reason == SINK_LINE_TOO_LONG || repair->reason == SINK_METADATA))
		repair->pairs_max = 0;
	return gets_on(repair);
}

static void hold(struct loki_repair *repair, const struct request_stream *s)
{
	for (size_t i = s->first; i < s->first + s->n; i++) {
		if (repair->marks[i] != LOKI_KEPT)
			continue;
		repair->marks[i] = LOKI_HELD;
		repair->held++;
	}
}

bool loki_repair__limited(struct loki_repair *repair, const char *text, size_t len)
{
	const struct request_stream *s;
	struct loki_complaint c;
	size_t cursor = 0;

	while (loki_text__next(text, len, &cursor, &c)) {
		if (!c.stream || c.fault == LOKI_TENANT_RATE)
			continue;
		s = find_stream(repair->request, &c);
		if (s)
			hold(repair, s);
	}
	return repair->held;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

bool loki_repair__hold(struct loki_repair *repair, const uint64_t *wanted, size_t n)
{
	const struct request *r = repair->request;

	for (size_t i = 0; i < r->n_streams; i++) {
		uint64_t hash =
			request__labels_hash(r->streams[i].labels.data, r->streams[i].labels.len);

		if (bsearch(&hash, wanted, n, sizeof(hash), by_value))
			hold(repair, &r->streams[i]);
	}
	return repair->held;
}

struct picking {
	const struct loki_repair *repair;
	enum loki_mark mark;
};

static bool pick(void *ctx, size_t i, struct request_edit *edit)
{
	const struct picking *p = ctx;

	edit->line_max = p->repair->line_max;
	edit->pairs_max = p->repair->pairs_max;
	edit->metadata_max = p->repair->metadata_max;
	return p->repair->marks[i] == p->mark;
}

static int note_streams(const struct loki_repair *repair, enum loki_mark mark,
			struct loki_part *part)
{
	const struct request *r = repair->request;

	part->streams = calloc(r->n_streams, sizeof(*part->streams));
	if (!part->streams)
		return -ENOMEM;
	for (size_t i = 0; i < r->n_streams; i++) {
		const struct request_stream *s = &r->streams[i];

		if (s->n && memchr(repair->marks + s->first, mark, s->n))
			part->streams[part->n_streams++] =
				request__labels_hash(s->labels.data, s->labels.len);
	}
	qsort(part->streams, part->n_streams, sizeof(*part->streams), by_value);
	return 0;
}

void loki_part__free(struct loki_part *part)
{
	buf__free(&part->sealed.payload);
	free(TAKE_PTR(part->streams));
	*part = (struct loki_part){0};
}

int loki_repair__seal(const struct loki_repair *repair, enum loki_mark mark, struct loki_part *ret)
{
	_cleanup_(loki_part__free) struct loki_part part = {0};
	struct picking p = {repair, mark};
	int err = request__seal(repair->request, pick, &p, &part.sealed);

	if (!err && part.sealed.lines)
		err = note_streams(repair, mark, &part);
	if (err)
		return err;
	*ret = part;
	part = (struct loki_part){0};
	return 0;
}

static size_t distance(size_t a, size_t b)
{
	return a > b ? a - b : b - a;
}

void loki_repair__halve(struct loki_repair *repair)
{
	const struct request *r = repair->request;
	size_t half = r->n_entries / 2, middle = 0;

	for (size_t i = 0; i < r->n_streams; i++) {
		size_t first = r->streams[i].first;

		if (first && first < r->n_entries &&
		    (!middle || distance(first, half) < distance(middle, half)))
			middle = first;
	}
	middle = middle ? middle : half;
	memset(repair->marks, LOKI_KEPT, middle);
	memset(repair->marks + middle, LOKI_HELD, r->n_entries - middle);
	repair->gone = 0;
	repair->held = r->n_entries - middle;
}

bool loki_repair__is_page(const char *text, size_t len)
{
	size_t i = 0;

	while (i < len && strchr(" \t\r\n", text[i]) && text[i])
		i++;
	return i < len && text[i] == '<';
}
