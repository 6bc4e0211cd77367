/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The request is written by hand, as the protobuf message is small and its parts are there: labels
 * as the lost lines had them, a timestamp, a text, one pair of metadata.
 */
#include "spool/gap.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <snappy-c.h>
#include <uthash.h>

#include "base/buf.h"
#include "base/clock.h"
#include "batch/request.h"

#define RAW_MAX (256u << 20) /* that a payload may decode to */
#define RECORD_RAW (256u << 10)
#define REASON_NAME "notail_gap"
#define TEXT "notail: %" PRIu64 " lines (%" PRIu64 " bytes) lost here: spool full"
#define TEXT_MAX 120

struct gap_stream {
	UT_hash_handle hh;
	uint64_t lines, bytes;
	uint64_t oldest_ns, newest_ns;
	size_t tenant_len, labels_len;
	char key[]; /* tenant, NUL, labels */
};

void gap_table__free(struct gap_table *t)
{
	struct gap_stream *s, *next;

	HASH_ITER (hh, t->streams, s, next) {
		HASH_DEL(t->streams, s);
		free(s);
	}
	*t = (struct gap_table){0};
}

/* NULL: no memory, or too many. */
static struct gap_stream *get(struct gap_table *t, const char *tenant,
			      const struct request_span *labels)
{
	size_t tenant_len = tenant ? strlen(tenant) : 0, len = tenant_len + 1 + labels->len;
	struct gap_stream *made = malloc(sizeof(*made) + len), *found;

	if (!made)
		return NULL;
	memset(made, 0, sizeof(*made));
	memcpy(made->key, tenant ? tenant : "", tenant_len + 1);
	memcpy(made->key + tenant_len + 1, labels->data, labels->len);
	made->tenant_len = tenant_len;
	made->labels_len = labels->len;
	HASH_FIND(hh, t->streams, made->key, len, found);
	if (found || t->n == GAP_STREAMS_MAX) {
		free(made);
		return found;
	}
	HASH_ADD_KEYPTR(hh, t->streams, made->key, len, made);
	t->n++;
	return made;
}

/* What an entry stands for: itself, or the lines that it says are gone. */
static void weigh(const struct request_entry *e, bool gap, uint64_t *ret_lines, uint64_t *ret_bytes)
{
	char text[TEXT_MAX + 1];

	*ret_lines = 1;
	*ret_bytes = e->line_len;
	if (!gap || e->line_len > TEXT_MAX)
		return;
	memcpy(text, e->line, e->line_len);
	text[e->line_len] = '\0';
	if (sscanf(text, "notail: %" SCNu64 " lines (%" SCNu64 " bytes)", ret_lines, ret_bytes) !=
	    2) {
		*ret_lines = 1;
		*ret_bytes = e->line_len;
	}
}

static void add_stream(struct gap_table *t, const struct request *request,
		       const struct request_stream *s, const struct spool_record *r)
{
	struct gap_stream *g = s->labels.len ? get(t, r->tenant, &s->labels) : NULL;

	for (size_t i = s->first; i < s->first + s->n; i++) {
		const struct request_entry *e = &request->entries[i];
		uint64_t lines, bytes;

		weigh(e, r->gap, &lines, &bytes);
		if (!g) {
			t->unnamed_lines += lines;
			continue;
		}
		g->lines += lines;
		g->bytes += bytes;
		g->newest_ns = MAX(g->newest_ns, e->time_ns);
		if (!g->oldest_ns || e->time_ns < g->oldest_ns)
			g->oldest_ns = e->time_ns;
	}
}

int gap_table__add(struct gap_table *t, const struct spool_record *r)
{
	_request_ struct request request = {0};
	int err = request__open(&request, r->payload, r->len, RAW_MAX);

	if (err) {
		t->unnamed_lines += r->gap ? 0 : r->lines;
		return err == -ENOMEM ? err : -EBADMSG;
	}
	for (size_t i = 0; i < request.n_streams; i++)
		add_stream(t, &request, &request.streams[i], r);
	return 0;
}

static int put_varint(struct buf *out, uint64_t value)
{
	char bytes[10];
	size_t n = 0;

	for (; value >= 0x80; value >>= 7)
		bytes[n++] = (char)(value | 0x80);
	bytes[n++] = (char)value;
	return buf__append(out, bytes, n);
}

static int put_bytes(struct buf *out, unsigned field, const void *data, size_t len)
{
	char tag = (char)(field << 3 | 2);
	int err = buf__append(out, &tag, 1);

	if (!err)
		err = put_varint(out, len);
	return err ? err : buf__append(out, data, len);
}

static int put_number(struct buf *out, unsigned field, uint64_t value)
{
	char tag = (char)(field << 3);
	int err = buf__append(out, &tag, 1);

	return err ? err : put_varint(out, value);
}

static int put_entry(struct buf *out, const struct gap_stream *g)
{
	_buf_ struct buf stamp = {0}, pair = {0};
	char text[TEXT_MAX + 1];
	int len, err;

	len = snprintf(text, sizeof(text), TEXT, g->lines, g->bytes);
	err = put_number(&stamp, 1, g->newest_ns / NS_PER_SEC);
	if (!err)
		err = put_number(&stamp, 2, g->newest_ns % NS_PER_SEC);
	if (!err)
		err = put_bytes(&pair, 1, REASON_NAME, strlen(REASON_NAME));
	if (!err)
		err = put_bytes(&pair, 2, GAP_REASON, strlen(GAP_REASON));
	if (!err)
		err = put_bytes(out, 1, stamp.data, stamp.len);
	if (!err)
		err = put_bytes(out, 2, text, (size_t)len);
	return err ? err : put_bytes(out, 3, pair.data, pair.len);
}

static int put_stream(struct buf *out, const struct gap_stream *g)
{
	_buf_ struct buf stream = {0}, entry = {0};
	int err;

	err = put_bytes(&stream, 1, g->key + g->tenant_len + 1, g->labels_len);
	if (!err)
		err = put_entry(&entry, g);
	if (!err)
		err = put_bytes(&stream, 2, entry.data, entry.len);
	return err ? err : put_bytes(out, 1, stream.data, stream.len);
}

/* One record that is being made. */
struct making {
	struct buf raw, packed, hashes;
	struct spool_record record;
};

static void making__free(struct making *m)
{
	buf__free(&m->raw);
	buf__free(&m->packed);
	buf__free(&m->hashes);
}

static int making__add(struct making *m, const struct gap_stream *g)
{
	struct spool_record *r = &m->record;
	uint64_t hash = request__labels_hash(g->key + g->tenant_len + 1, g->labels_len);
	int err = put_stream(&m->raw, g);

	if (!err)
		err = buf__append(&m->hashes, &hash, sizeof(hash));
	if (err)
		return err;
	r->tenant = g->tenant_len ? g->key : NULL;
	r->lines++;
	r->log_bytes += (uint64_t)snprintf(NULL, 0, TEXT, g->lines, g->bytes);
	r->newest_ns = MAX(r->newest_ns, g->newest_ns);
	if (!r->oldest_ns || g->oldest_ns < r->oldest_ns)
		r->oldest_ns = g->oldest_ns;
	return 0;
}

static int making__finish(struct making *m, int (*fn)(void *ctx, const struct spool_record *r),
			  void *ctx)
{
	struct spool_record *r = &m->record;
	size_t len = snappy_max_compressed_length(m->raw.len);
	int err;

	if (!r->lines)
		return 0;
	m->packed.len = 0;
	err = buf__reserve(&m->packed, len);
	if (err)
		return err;
	snappy_compress(m->raw.data, m->raw.len, m->packed.data, &len);
	r->payload = m->packed.data;
	r->len = len;
	r->raw_bytes = m->raw.len;
	r->streams = (const uint64_t *)(const void *)m->hashes.data;
	r->n_streams = m->hashes.len / sizeof(uint64_t);
	r->gap = true;
	err = fn(ctx, r);
	m->raw.len = m->hashes.len = 0;
	m->record = (struct spool_record){0};
	return err;
}

static int by_tenant(const struct gap_stream *a, const struct gap_stream *b)
{
	return strcmp(a->key, b->key);
}

int gap_table__records(struct gap_table *t, int (*fn)(void *ctx, const struct spool_record *r),
		       void *ctx)
{
	_cleanup_(making__free) struct making m = {0};
	const struct gap_stream *last = NULL;
	struct gap_stream *s;
	int err = 0;

	HASH_SORT(t->streams, by_tenant);
	for (s = t->streams; s && !err; s = s->hh.next) {
		if (last && (strcmp(last->key, s->key) || m.raw.len >= RECORD_RAW))
			err = making__finish(&m, fn, ctx);
		if (!err)
			err = making__add(&m, s);
		last = s;
	}
	return err ? err : making__finish(&m, fn, ctx);
}
