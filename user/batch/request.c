/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The message is walked twice: once to see that all of it is sound and how many streams and entries
 * there are, once to note them. What may follow is only what notail's encoder writes: a field that
 * it does not know would be lost when the message is encoded again, so that it makes the payload a
 * foreign one.
 *
 * An entry that nobody changes is copied as it is. Of one that is changed, the Timestamp is.
 */
#include "batch/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <snappy-c.h>

#include "base/clock.h"
#include "base/hash.h"

#define VARINT_MAX 10
#define FIELD_BYTES(field) ((field) << 3 | 2)
#define FIELD_VARINT(field) ((field) << 3)
#define TRUNCATED "truncated"
#define GAP "notail_gap"
/* A block of snappy's says at most 64 bytes with three. */
#define MAX_RATIO 22

struct reader {
	const char *p, *end;
};

/* Minimal or not; below 2^64. */
static bool read_varint(struct reader *r, uint64_t *ret)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 70 && r->p < r->end; shift += 7) {
		unsigned char c = (unsigned char)*r->p++;

		if (shift == 63 && c > 1)
			return false;
		value |= (uint64_t)(c & 0x7f) << shift;
		if (c < 0x80) {
			*ret = value;
			return true;
		}
	}
	return false;
}

/* The next field, length-delimited. */
static bool read_bytes(struct reader *r, unsigned *field, struct reader *ret)
{
	uint64_t tag, len;

	if (!read_varint(r, &tag) || !read_varint(r, &len) || tag > 0xff ||
	    len > (uint64_t)(r->end - r->p))
		return false;
	*field = (unsigned)tag;
	*ret = (struct reader){r->p, r->p + len};
	r->p += len;
	return true;
}

static bool read_timestamp(struct reader r, uint64_t *ret_ns)
{
	uint64_t seconds = 0, nanos = 0, tag, value;

	while (r.p < r.end) {
		if (!read_varint(&r, &tag) || !read_varint(&r, &value))
			return false;
		if (tag == FIELD_VARINT(1))
			seconds = value;
		else if (tag == FIELD_VARINT(2))
			nanos = value;
		else
			return false;
	}
	if (nanos >= NS_PER_SEC || seconds > (UINT64_MAX - nanos) / NS_PER_SEC)
		seconds = nanos = 0;
	*ret_ns = seconds * NS_PER_SEC + nanos;
	return true;
}

static bool read_pair(struct reader r, struct request_span *name, struct request_span *value)
{
	struct reader bytes;
	unsigned field;

	*name = *value = (struct request_span){"", 0};
	while (r.p < r.end) {
		if (!read_bytes(&r, &field, &bytes))
			return false;
		if (field == FIELD_BYTES(1))
			*name = (struct request_span){bytes.p, (size_t)(bytes.end - bytes.p)};
		else if (field == FIELD_BYTES(2))
			*value = (struct request_span){bytes.p, (size_t)(bytes.end - bytes.p)};
		else
			return false;
	}
	return true;
}

static bool read_entry(struct reader r, struct request_entry *ret)
{
	struct request_entry e = {.line = "", .body = r.p, .body_len = (uint32_t)(r.end - r.p)};
	bool stamped = false, lined = false;
	struct request_span name, value;
	struct reader bytes;
	unsigned field;

	while (r.p < r.end) {
		if (!read_bytes(&r, &field, &bytes))
			return false;
		if (field == FIELD_BYTES(1) && !stamped) {
			stamped = read_timestamp(bytes, &e.time_ns);
			if (!stamped)
				return false;
		} else if (field == FIELD_BYTES(2) && !lined) {
			lined = true;
			e.line = bytes.p;
			e.line_len = (uint32_t)(bytes.end - bytes.p);
		} else if (field != FIELD_BYTES(3) || !read_pair(bytes, &name, &value)) {
			return false;
		}
	}
	*ret = e;
	return stamped;
}

static bool read_stream(struct request *r, struct reader message)
{
	struct request_stream s = {.labels = {"", 0}, .first = r->n_entries};
	bool labelled = false;
	struct reader bytes;
	unsigned field;

	while (message.p < message.end) {
		struct request_entry entry;

		if (!read_bytes(&message, &field, &bytes))
			return false;
		if (field == FIELD_BYTES(1) && !labelled) {
			labelled = true;
			s.labels = (struct request_span){bytes.p, (size_t)(bytes.end - bytes.p)};
			continue;
		}
		if (field != FIELD_BYTES(2) || !read_entry(bytes, &entry))
			return false;
		entry.stream = (uint32_t)r->n_streams;
		if (r->entries)
			r->entries[r->n_entries] = entry;
		r->n_entries++;
	}
	s.n = r->n_entries - s.first;
	if (r->streams)
		r->streams[r->n_streams] = s;
	r->n_streams++;
	return true;
}

/* Notes streams and entries where there is an array for them. */
static bool read_request(struct request *r)
{
	struct reader message = {r->raw.data, r->raw.data + r->raw.len}, bytes;
	unsigned field;

	r->n_streams = r->n_entries = 0;
	while (message.p < message.end) {
		if (!read_bytes(&message, &field, &bytes) || field != FIELD_BYTES(1) ||
		    !read_stream(r, bytes))
			return false;
	}
	return true;
}

static int uncompress(struct buf *raw, const char *payload, size_t len, size_t max_raw)
{
	size_t raw_len;
	int err;

	if (snappy_uncompressed_length(payload, len, &raw_len) != SNAPPY_OK)
		return -EBADMSG;
	/* Or a few bytes could ask for gigabytes. */
	if (raw_len / MAX_RATIO > len)
		return -EBADMSG;
	if (raw_len > max_raw || raw_len > UINT32_MAX)
		return -EFBIG;
	err = buf__reserve(raw, raw_len + 1);
	if (err)
		return err;
	if (snappy_uncompress(payload, len, raw->data, &raw_len) != SNAPPY_OK)
		return -EBADMSG;
	raw->len = raw_len;
	return 0;
}

int request__open(struct request *ret, const char *payload, size_t len, size_t max_raw)
{
	_request_ struct request r = {0};
	int err = uncompress(&r.raw, payload, len, max_raw);

	if (err)
		return err;
	if (!read_request(&r))
		return -EBADMSG;
	r.streams = calloc(r.n_streams + 1, sizeof(*r.streams));
	r.entries = calloc(r.n_entries + 1, sizeof(*r.entries));
	if (!r.streams || !r.entries)
		return -ENOMEM;
	read_request(&r);
	*ret = r;
	r = (struct request){0};
	return 0;
}

void request__close(struct request *r)
{
	buf__free(&r->raw);
	free(TAKE_PTR(r->streams));
	free(TAKE_PTR(r->entries));
	r->n_streams = r->n_entries = 0;
}

bool request_entry__pair(const struct request_entry *e, size_t *cursor, struct request_span *name,
			 struct request_span *value)
{
	struct reader r = {e->body + *cursor, e->body + e->body_len}, bytes;
	unsigned field;

	while (r.p < r.end && read_bytes(&r, &field, &bytes)) {
		*cursor = (size_t)(r.p - e->body);
		if (field == FIELD_BYTES(3))
			return read_pair(bytes, name, value);
	}
	return false;
}

static int put_varint(struct buf *out, uint64_t value)
{
	char bytes[VARINT_MAX];
	size_t n = 0;

	for (; value >= 0x80; value >>= 7)
		bytes[n++] = (char)(value | 0x80);
	bytes[n++] = (char)value;
	return buf__append(out, bytes, n);
}

/* The head of a length-delimited field; its bytes come later. */
static int put_head(struct buf *out, unsigned field, size_t len)
{
	char tag = (char)FIELD_BYTES(field);
	int err = buf__append(out, &tag, 1);

	return err ? err : put_varint(out, len);
}

static int put_field(struct buf *out, unsigned field, const void *data, size_t len)
{
	int err = put_head(out, field, len);

	return err ? err : buf__append(out, data, len);
}

/* Of one kind of pairs, as many as there is room for. */
struct room {
	size_t pairs, bytes;
};

static bool room__take(struct room *r, size_t len)
{
	if (!r->pairs || len > r->bytes)
		return false;
	r->pairs--;
	r->bytes -= len;
	return true;
}

static bool is_own(struct request_span name)
{
	return (name.len == strlen(TRUNCATED) && !memcmp(name.data, TRUNCATED, name.len)) ||
	       (name.len >= 7 && !memcmp(name.data, "notail_", 7));
}

static bool has_pair(const struct request_entry *e, const char *wanted)
{
	struct request_span name, value;

	for (size_t cursor = 0; request_entry__pair(e, &cursor, &name, &value);)
		if (name.len == strlen(wanted) && !memcmp(name.data, wanted, name.len))
			return true;
	return false;
}

static int put_pair(struct buf *out, struct buf *scratch, struct request_span name,
		    struct request_span value)
{
	int err;

	scratch->len = 0;
	err = put_field(scratch, 1, name.data, name.len);
	if (!err)
		err = put_field(scratch, 2, value.data, value.len);
	return err ? err : put_field(out, 3, scratch->data, scratch->len);
}

/* What the edit adds to an entry's metadata. */
struct added {
	struct request_span name[2], value[2];
	size_t n;
};

static void added__put(struct added *a, const char *name, const char *value)
{
	a->name[a->n] = (struct request_span){name, strlen(name)};
	a->value[a->n++] = (struct request_span){value, strlen(value)};
}

/* Notail's own pairs, those of the edit first, have the first claim to the room. */
static struct room room_of_own(const struct request_entry *e, const struct request_edit *edit,
			       const struct added *added)
{
	struct room room = {edit->pairs_max, edit->metadata_max};
	struct request_span name, value;

	for (size_t i = 0; i < added->n; i++)
		room__take(&room, added->name[i].len + added->value[i].len);
	for (size_t cursor = 0; request_entry__pair(e, &cursor, &name, &value);)
		if (is_own(name))
			room__take(&room, name.len + value.len);
	return room;
}

static int put_metadata(struct buf *out, struct buf *scratch, const struct request_entry *e,
			const struct request_edit *edit, const struct added *added)
{
	struct room own = {edit->pairs_max, edit->metadata_max};
	struct room others = room_of_own(e, edit, added);
	bool fits[ARRAY_SIZE(added->name)];
	struct request_span name, value;
	int err = 0;

	for (size_t i = 0; i < added->n; i++)
		fits[i] = room__take(&own, added->name[i].len + added->value[i].len);
	for (size_t cursor = 0; !err && request_entry__pair(e, &cursor, &name, &value);)
		if (room__take(is_own(name) ? &own : &others, name.len + value.len))
			err = put_pair(out, scratch, name, value);
	for (size_t i = 0; i < added->n && !err; i++)
		if (fits[i])
			err = put_pair(out, scratch, added->name[i], added->value[i]);
	return err;
}

/* Not within a character, if it is one. */
static size_t cut_at(const char *line, size_t len, size_t max)
{
	size_t at = max;

	if (len <= max)
		return len;
	while (at && max - at < 3 && ((unsigned char)line[at] & 0xc0) == 0x80)
		at--;
	return ((unsigned char)line[at] & 0xc0) == 0x80 ? max : at;
}

static int put_stamp(struct buf *out, const struct request_entry *e)
{
	struct reader r = {e->body, e->body + e->body_len}, bytes;
	unsigned field;

	while (r.p < r.end && read_bytes(&r, &field, &bytes))
		if (field == FIELD_BYTES(1))
			return put_field(out, 1, bytes.p, (size_t)(bytes.end - bytes.p));
	return 0;
}

struct sealing {
	struct buf request;
	struct buf entries; /* of the stream that is being made */
	struct buf entry;
	struct buf scratch;
	size_t lines, log_bytes;
};

static void sealing__free(struct sealing *s)
{
	buf__free(&s->request);
	buf__free(&s->entries);
	buf__free(&s->entry);
	buf__free(&s->scratch);
}

static int sealing__add_edited(struct sealing *s, const struct request_entry *e,
			       const struct request_edit *edit)
{
	const char *line = edit->line ? edit->line : e->line;
	size_t whole = edit->line ? edit->line_len : e->line_len;
	size_t len = cut_at(line, whole, edit->line_max);
	struct added added = {0};
	int err;

	if (len < whole && !has_pair(e, TRUNCATED))
		added__put(&added, TRUNCATED, "true");
	if (edit->gap && !has_pair(e, GAP))
		added__put(&added, GAP, edit->gap);
	s->entry.len = 0;
	err = put_stamp(&s->entry, e);
	if (!err && len)
		err = put_field(&s->entry, 2, line, len);
	if (!err)
		err = put_metadata(&s->entry, &s->scratch, e, edit, &added);
	s->log_bytes += len;
	return err ? err : put_field(&s->entries, 2, s->entry.data, s->entry.len);
}

static bool is_as_it_is(const struct request_edit *edit)
{
	return !edit->line && !edit->gap && edit->line_max == SIZE_MAX &&
	       edit->pairs_max == SIZE_MAX && edit->metadata_max == SIZE_MAX;
}

static int sealing__add_stream(struct sealing *s, const struct request *r,
			       const struct request_stream *stream, request_pick_fn pick, void *ctx)
{
	const char tag = (char)FIELD_BYTES(1);
	struct buf labels = {0};
	int err = 0;

	s->entries.len = 0;
	for (size_t i = stream->first; i < stream->first + stream->n && !err; i++) {
		const struct request_entry *e = &r->entries[i];
		struct request_edit edit = REQUEST_AS_IT_IS;

		if (pick && !pick(ctx, i, &edit))
			continue;
		s->lines++;
		if (!is_as_it_is(&edit)) {
			err = sealing__add_edited(s, e, &edit);
			continue;
		}
		s->log_bytes += e->line_len;
		err = put_field(&s->entries, 2, e->body, e->body_len);
	}
	if (err || !s->entries.len)
		return err;
	err = put_field(&labels, 1, stream->labels.data, stream->labels.len);
	if (!err)
		err = buf__append(&s->request, &tag, 1);
	if (!err)
		err = put_varint(&s->request, labels.len + s->entries.len);
	if (!err)
		err = buf__append(&s->request, labels.data, labels.len);
	buf__free(&labels);
	return err ? err : buf__append(&s->request, s->entries.data, s->entries.len);
}

/* Of just its size, for it may wait long. */
static int compress(const struct buf *request, struct buf *ret)
{
	size_t len = snappy_max_compressed_length(request->len);
	_free_ char *packed = malloc(len);
	char *data;

	if (!packed)
		return -ENOMEM;
	/* Its only failure is an output that is too small. */
	snappy_compress(request->data, request->len, packed, &len);
	data = malloc(len);
	if (!data)
		return -ENOMEM;
	memcpy(data, packed, len);
	*ret = (struct buf){.data = data, .len = len, .size = len};
	return 0;
}

int request__seal(const struct request *r, request_pick_fn pick, void *ctx,
		  struct request_sealed *ret)
{
	_cleanup_(sealing__free) struct sealing s = {0};
	struct request_sealed sealed = {0};
	int err = 0;

	for (size_t i = 0; i < r->n_streams && !err; i++)
		err = sealing__add_stream(&s, r, &r->streams[i], pick, ctx);
	if (!err && s.lines)
		err = compress(&s.request, &sealed.payload);
	if (err)
		return err;
	sealed.raw_bytes = s.request.len;
	sealed.lines = s.lines;
	sealed.log_bytes = s.log_bytes;
	*ret = sealed;
	return 0;
}

uint64_t request__labels_hash(const char *labels, size_t len)
{
	uint64_t hash = hash__bytes(HASH_START, labels, len);

	hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccd;
	return hash ^ hash >> 33;
}
