/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loki's PushRequest, snappy-compressed. What is the same for all lines of a stream is packed once
 * by protobuf-c (labels, structured metadata); the entries, one for each line, are written by hand
 * as protobuf-c would write them.
 *
 * Entries lie in one arena in the order in which they came, however many streams there are, so that
 * memory is bounded by the batch and not by streams x batch. Consecutive entries of one group (the
 * lines of equal labels) make a run. Sealing goes through the runs in their order, and each goes to
 * where its group's next entries belong; one run alone stays where it is, for there is room for its
 * labels in front of it. Then one call compresses it all: snappy wants its input in one piece.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <snappy-c.h>

#include "batch/encode.h"
#include "batch/request.h"
#include "batch/writer_pairs.h"
#include "push.pb-c.h"

/* Loki's limits on structured metadata; a pair too many costs the whole line. */
#define MAX_METADATA 128
#define MAX_METADATA_BYTES 65536
#define LINE_METADATA_BYTES 256 /* more than the writer and a line's own pairs together */

#define TAG(field) ((char)((field) << 3 | 2)) /* length-delimited */
#define TAG_VARINT(field) ((char)((field) << 3))
#define VARINT_MAX 10
#define TIMESTAMP_MAX (4 + 2 * VARINT_MAX)
#define PAIR_MAX 128 /* a metadata pair of the line's own, encoded */
/* All of an entry but its line and its stream's bytes. */
#define ENTRY_MAX (3 * (1 + VARINT_MAX) + TIMESTAMP_MAX + 3 * PAIR_MAX)
#define ROOM_STEP 65536u
#define GROUP_MAX (1 + VARINT_MAX) /* a StreamAdapter's tag and length */

struct run {
	struct group *group;
	size_t len; /* of its entries, which lie behind those of the run before */
};

struct loki {
	struct encoder encoder;
	const struct clock_anchor *anchor;
	size_t max_bytes;
	const struct label *external_labels;
	size_t n_external_labels;
	struct buf arena;
	size_t front;		    /* in the arena, for the labels of a run that is alone */
	struct buf runs;	    /* struct run each */
	struct group *first, *last; /* with lines in the open batch */
	size_t raw_bytes;	    /* of the request so far */
	struct buf pairs;	    /* of one line that has metadata of its own */
	bool pairs_cut;		    /* it has more than fits */
	size_t cut_metadata;	    /* lines that had */
	struct buf request;
	struct buf packed;
	size_t room;	 /* raw bytes that both are large enough for */
	uint64_t second; /* that `stamp` is of */
	char stamp[16];	 /* a Timestamp with its tag as far as it is the same for a second */
	size_t stamp_len;
};

static size_t varint_len(uint64_t value)
{
	return (size_t)(70 - __builtin_clzll(value | 1)) / 7;
}

static char *put_varint(char *out, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		*out++ = (char)(value | 0x80);
	*out++ = (char)value;
	return out;
}

static char *put_bytes(char *out, const void *data, size_t len)
{
	if (len)
		memcpy(out, data, len);
	return out + len;
}

/* A LabelPairAdapter as field 3 of an EntryAdapter. Short: all lengths fit one byte. */
static char *put_pair(char *out, const char *name, const char *value)
{
	size_t name_len = strlen(name), value_len = strnlen(value, PAIR_MAX - 16 - name_len);

	*out++ = TAG(3);
	*out++ = (char)(name_len + value_len + 4);
	*out++ = TAG(1);
	*out++ = (char)name_len;
	out = put_bytes(out, name, name_len);
	*out++ = TAG(2);
	*out++ = (char)value_len;
	return put_bytes(out, value, value_len);
}

static void loki__free(struct encoder *e)
{
	struct loki *l = (struct loki *)e;

	buf__free(&l->arena);
	buf__free(&l->runs);
	buf__free(&l->pairs);
	buf__free(&l->request);
	buf__free(&l->packed);
	free(l);
}

/* The set with the external labels. NULL: no memory. */
static struct label_set *with_external(const struct loki *l, struct label_set *set)
{
	_label_set_ struct label_set *all = l->n_external_labels ? label_set__new() : NULL;
	int err = all ? 0 : -ENOMEM;

	if (!l->n_external_labels)
		return label_set__ref(set);
	for (size_t i = 0; i < l->n_external_labels && !err; i++)
		err = label_set__add(all, l->external_labels[i].name, l->external_labels[i].value);
	for (size_t i = 0; i < set->n_labels && !err; i++)
		err = label_set__add(all, set->labels[i].name, set->labels[i].value);
	if (!err)
		err = label_set__seal(all);
	return err ? NULL : TAKE_PTR(all);
}

static int pack_labels(const struct loki *l, struct stream *s)
{
	Logproto__StreamAdapter message = LOGPROTO__STREAM_ADAPTER__INIT;
	_label_set_ struct label_set *set = NULL;
	struct buf *head = &s->group->head;
	int err;

	if (head->len)
		return 0;
	set = with_external(l, s->set);
	if (!set)
		return -ENOMEM;
	message.labels = set->text;
	err = buf__reserve(head, logproto__stream_adapter__get_packed_size(&message));
	if (!err)
		head->len = logproto__stream_adapter__pack(&message, (uint8_t *)head->data);
	s->group->labels_hash = request__labels_hash(set->text, strlen(set->text));
	return err;
}

static int loki__stream(struct encoder *e, struct stream *s)
{
	Logproto__LabelPairAdapter pairs[MAX_METADATA], *pointers[MAX_METADATA];
	Logproto__EntryAdapter message = LOGPROTO__ENTRY_ADAPTER__INIT;
	size_t bytes = LINE_METADATA_BYTES, n = 0;
	int err;

	for (size_t i = 0; i < s->set->n_metadata; i++) {
		const struct label *label = &s->set->metadata[i];

		bytes += strlen(label->name) + strlen(label->value);
		if (!label->name[0] || !label->value[0])
			continue;
		if (n == MAX_METADATA - ENCODE_LINE_METADATA || bytes > MAX_METADATA_BYTES)
			break;
		logproto__label_pair_adapter__init(&pairs[n]);
		pairs[n].name = label->name;
		pairs[n].value = label->value;
		pointers[n] = &pairs[n];
		n++;
	}
	message.structured_metadata = pointers;
	message.n_structured_metadata = n;
	err = buf__reserve(&s->encoded, logproto__entry_adapter__get_packed_size(&message));
	if (err)
		return err;
	s->encoded.len = logproto__entry_adapter__pack(&message, (uint8_t *)s->encoded.data);
	return pack_labels((struct loki *)e, s);
}

static int loki__writer(struct encoder *e _unused_, struct stream *s)
{
	char pairs[WRITER_PAIRS * PAIR_MAX], *out = pairs;
	struct writer_pair writer[WRITER_PAIRS];
	size_t n = writer_pairs(s, writer);

	for (size_t i = 0; i < n; i++)
		out = put_pair(out, writer[i].name, writer[i].value);
	return buf__append(&s->encoded, pairs, (size_t)(out - pairs));
}

/* Room for the line in the arena and for the whole of it when sealed. */
static int reserve(struct loki *l, struct stream *s, size_t entry_bytes)
{
	size_t head = GROUP_MAX + s->group->head.len, raw = l->raw_bytes + head + entry_bytes;
	int err;

	err = buf__reserve(&l->arena, head + entry_bytes);
	if (!err)
		err = buf__reserve(&l->runs, sizeof(struct run));
	if (err || raw <= l->room)
		return err;
	raw += ROOM_STEP;
	err = buf__reserve(&l->request, raw);
	if (!err)
		err = buf__reserve(&l->packed, snappy_max_compressed_length(raw));
	if (!err)
		l->room = raw;
	return err;
}

/* The one that the arena's end belongs to; there is one. */
static struct run *last_run(struct loki *l)
{
	return (struct run *)(l->runs.data + l->runs.len) - 1;
}

static void begin_run(struct loki *l, struct group *g)
{
	if (l->runs.len && last_run(l)->group == g)
		return;
	if (!l->runs.len)
		l->arena.len = l->front = GROUP_MAX + g->head.len;
	l->runs.len += sizeof(struct run);
	*last_run(l) = (struct run){.group = g};
	if (g->bytes)
		return;
	if (l->last)
		l->last->next = g;
	else
		l->first = g;
	l->last = g;
}

/* Of the group in the request. */
static size_t group_len(const struct group *g, size_t entries)
{
	return 1 + varint_len(g->head.len + entries) + g->head.len + entries;
}

/* What `used` more bytes of entries of the group add to the request. */
static size_t growth(const struct group *g, size_t used)
{
	return group_len(g, g->bytes + used) - (g->bytes ? group_len(g, g->bytes) : 0);
}

static void begin_second(struct loki *l, uint64_t second)
{
	char *out = l->stamp;

	*out++ = TAG(1);
	*out++ = 0; /* the length */
	if (second) {
		*out++ = TAG_VARINT(1);
		out = put_varint(out, second);
	}
	l->stamp_len = (size_t)(out - l->stamp);
	l->second = second;
}

/* A varint below 2^35 without a branch for each byte. Eight bytes are written, whatever it needs.
 */
static char *put_nanos(char *out, uint64_t nanos)
{
	size_t len = varint_len(nanos);
	uint64_t bytes =
		htole64((nanos & 0x7f) | (nanos & 0x7f << 7) << 1 | (nanos & 0x7f << 14) << 2 |
			(nanos & 0x7f << 21) << 3 | (nanos >> 28) << 32 |
			(0x8080808080808080 & ((1ull << 8 * (len - 1)) - 1)));

	memcpy(out, &bytes, sizeof(bytes));
	return out + len;
}

/* Writes the Timestamp with its tag, and up to TIMESTAMP_MAX bytes in all. */
static char *put_timestamp(struct loki *l, char *out, uint64_t real_ns)
{
	uint64_t second = real_ns / NS_PER_SEC, nanos = real_ns % NS_PER_SEC;
	char *begin = out;

	if (second != l->second)
		begin_second(l, second);
	memcpy(out, l->stamp, sizeof(l->stamp));
	out += l->stamp_len;
	if (nanos) {
		*out++ = TAG_VARINT(2);
		out = put_nanos(out, nanos);
	}
	begin[1] = (char)(out - begin - 2);
	return out;
}

/* What fits one byte is the common case; lengths are below 2^63. */
static uint64_t get_varint(const char **p)
{
	uint64_t value = 0;
	unsigned shift = 0;

	do {
		value |= (uint64_t)(**p & 0x7f) << shift;
		shift += 7;
	} while (*(*p)++ & (char)0x80);
	return value;
}

/* The stream's pairs but those that the line has too. Returns how many there are; *bytes is what
 * Loki counts of them. The caller has room. */
static size_t copy_stream_pairs(struct buf *out, const struct stream *s, const struct line *line,
				size_t *bytes)
{
	const char *p = s->encoded.data, *end = p + s->encoded.len;
	size_t n = 0;

	while (p < end) {
		const char *pair = p++, *name;
		size_t len = get_varint(&p), name_len;
		const char *next = p + len;

		p++;
		name_len = get_varint(&p);
		name = p;
		p = next;
		if (line_has(line, name, name_len))
			continue;
		memcpy(out->data + out->len, pair, (size_t)(next - pair));
		out->len += (size_t)(next - pair);
		*bytes += len;
		n++;
	}
	return n;
}

static size_t pair_len(const struct line_pair *p)
{
	size_t name_len = strlen(p->name);

	return 2 + varint_len(name_len) + name_len + varint_len(p->len) + p->len;
}

/* l->pairs: the stream's and the line's, as many as Loki takes. */
static int make_pairs(struct loki *l, const struct stream *s, const struct line *line)
{
	size_t bytes = LINE_METADATA_BYTES, n;
	char *out;
	int err;

	l->pairs.len = 0;
	l->pairs_cut = false;
	err = buf__reserve(&l->pairs, s->encoded.len);
	if (err)
		return err;
	n = copy_stream_pairs(&l->pairs, s, line, &bytes);
	for (size_t i = 0; i < line->n_metadata; i++) {
		const struct line_pair *p = &line->metadata[i];
		size_t len = pair_len(p), name_len = strlen(p->name);

		/* An empty name is a 500 for the whole request. */
		if (!name_len || !p->len)
			continue;
		if (n == MAX_METADATA - ENCODE_LINE_METADATA || bytes + len > MAX_METADATA_BYTES) {
			l->pairs_cut = true;
			continue;
		}
		err = buf__reserve(&l->pairs, len + 1 + VARINT_MAX);
		if (err)
			return err;
		out = l->pairs.data + l->pairs.len;
		*out++ = TAG(3);
		out = put_varint(out, len);
		*out++ = TAG(1);
		out = put_varint(out, name_len);
		out = put_bytes(out, p->name, name_len);
		*out++ = TAG(2);
		out = put_varint(out, p->len);
		out = put_bytes(out, p->value, p->len);
		l->pairs.len = (size_t)(out - l->pairs.data);
		bytes += len;
		n++;
	}
	return 0;
}

static int loki__add(struct encoder *e, struct stream *s, const struct line *line)
{
	struct loki *l = (struct loki *)e;
	const struct buf *pairs = line->n_metadata ? &l->pairs : &s->encoded;
	size_t stamp_len, own_len, entry_len, used, more;
	char stamp[TIMESTAMP_MAX] = {0}, own[3 * PAIR_MAX], *out = own;
	int err = line->n_metadata ? make_pairs(l, s, line) : 0;

	if (!err)
		err = reserve(l, s, ENTRY_MAX + line->len + pairs->len);
	if (err)
		return err;
	stamp_len = (size_t)(put_timestamp(l, stamp, line_real_ns(line, l->anchor)) - stamp);
	if (line->truncated)
		out = put_pair(out, "truncated", "true");
	if (line->gap)
		out = put_pair(out, "notail_gap", line->gap);
	if (line->session)
		out = put_pair(out, "notail_exec", "true");
	own_len = (size_t)(out - own);
	entry_len = stamp_len + pairs->len + own_len;
	if (line->len)
		entry_len += 1 + varint_len(line->len) + line->len;
	used = 1 + varint_len(entry_len) + entry_len;
	more = growth(s->group, used);
	if (l->runs.len && l->raw_bytes + more > l->max_bytes)
		return -E2BIG;

	begin_run(l, s->group);
	out = l->arena.data + l->arena.len;
	*out++ = TAG(2);
	out = put_varint(out, entry_len);
	memcpy(out, stamp, sizeof(stamp)); /* there is room, and a constant length costs no call */
	out += stamp_len;
	if (line->len) {
		*out++ = TAG(2);
		out = put_varint(out, line->len);
		out = put_bytes(out, line->bytes, line->len);
	}
	out = put_bytes(out, pairs->data, pairs->len);
	put_bytes(out, own, own_len);
	l->cut_metadata += line->n_metadata && l->pairs_cut;
	l->arena.len += used;
	l->raw_bytes += more;
	last_run(l)->len += used;
	s->group->bytes += used;
	return 0;
}

static size_t loki__bytes(const struct encoder *e)
{
	return ((const struct loki *)e)->raw_bytes;
}

static char *put_head(char *out, const struct group *g)
{
	*out++ = TAG(1);
	out = put_varint(out, g->head.len + g->bytes);
	return put_bytes(out, g->head.data, g->head.len);
}

/* Of a rate that one stream exceeds Loki says nothing when another one follows it in the request:
 * the one with the most bytes goes last. */
static void largest_last(struct loki *l)
{
	struct group **largest = &l->first, *g;

	for (struct group **at = &l->first; *at; at = &(*at)->next)
		if ((*at)->bytes >= (*largest)->bytes)
			largest = at;
	g = *largest;
	if (g == l->last)
		return;
	*largest = g->next;
	g->next = NULL;
	l->last->next = g;
	l->last = g;
}

/* The request in one piece. */
static const char *gather(struct loki *l, size_t *ret_len)
{
	const char *entries = l->arena.data + l->front;
	const struct run *runs = (const struct run *)l->runs.data;
	size_t n = l->runs.len / sizeof(*runs);
	char *out = l->request.data;

	if (n == 1) {
		size_t rest = l->first->head.len + l->first->bytes;

		*ret_len = 1 + varint_len(rest) + rest;
		out = l->arena.data + l->arena.len - *ret_len;
		put_head(out, l->first);
		return out;
	}
	largest_last(l);
	for (struct group *g = l->first; g; g = g->next) {
		g->end = put_head(out, g);
		out = g->end + g->bytes;
	}
	for (size_t i = 0; i < n; i++) {
		struct group *g = runs[i].group;

		g->end = put_bytes(g->end, entries, runs[i].len);
		entries += runs[i].len;
	}
	*ret_len = (size_t)(out - l->request.data);
	return l->request.data;
}

/* To a payload of just its size, for batches may wait long; without memory for it, as it is. */
static void take_packed(struct loki *l, struct batch *b, size_t packed)
{
	char *data;

	data = malloc(packed);
	if (data) {
		memcpy(data, l->packed.data, packed);
		b->payload = (struct buf){.data = data, .len = packed, .size = packed};
		return;
	}
	b->payload = l->packed;
	b->payload.len = packed;
	l->packed = (struct buf){0};
	l->room = 0;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Without memory for them, they are not known. */
static void note_streams(const struct loki *l, struct batch *b)
{
	size_t n = 0;

	for (const struct group *g = l->first; g; g = g->next)
		n++;
	b->streams = calloc(n, sizeof(*b->streams));
	if (!b->streams)
		return;
	for (const struct group *g = l->first; g; g = g->next)
		b->streams[b->n_streams++] = g->labels_hash;
	qsort(b->streams, n, sizeof(*b->streams), by_value);
}

static void loki__seal(struct encoder *e, struct batch *b)
{
	struct loki *l = (struct loki *)e;
	const char *request = gather(l, &b->raw_bytes);
	size_t packed = l->packed.size;
	struct group *g, *next;

	note_streams(l, b);
	for (g = l->first; g; g = next) {
		next = g->next;
		g->bytes = 0;
		g->next = NULL;
	}
	/* Its only failure is an output that is too small. */
	snappy_compress(request, b->raw_bytes, l->packed.data, &packed);
	take_packed(l, b, packed);
	b->cut_metadata = l->cut_metadata;
	l->cut_metadata = 0;
	l->arena.len = 0;
	l->runs.len = 0;
	l->raw_bytes = 0;
	l->first = NULL;
	l->last = NULL;
}

static const struct encoder_ops loki_ops = {
	.free = loki__free,
	.stream = loki__stream,
	.writer = loki__writer,
	.add = loki__add,
	.bytes = loki__bytes,
	.seal = loki__seal,
};

int encode_loki__new(struct encoder **ret, const struct batch_opts *opts)
{
	struct loki *l;

	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->encoder.ops = &loki_ops;
	begin_second(l, 0);
	l->anchor = opts->anchor;
	l->max_bytes = opts->max_bytes;
	l->external_labels = opts->external_labels;
	l->n_external_labels = opts->n_external_labels;
	*ret = &l->encoder;
	return 0;
}
