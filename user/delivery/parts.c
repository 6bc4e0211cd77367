/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes from the spool as batches. It is opened only where it has to change: a request whose
 * entries Loki may find too old has one stream, so that Loki's answer is about it, and a backlog
 * that is sent out of order is a stream of its own by a label.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "batch/request.h"
#include "delivery/internal.h"

#define RAW_MAX (256u << 20)
#define BACKFILL "backfill"

static struct batch *new_part(const struct spool_record *r, size_t n_streams)
{
	struct batch *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->oldest_pos = UINT64_MAX;
	b->oldest_ns = r->oldest_ns;
	b->newest_ns = r->newest_ns;
	b->sequence = r->sequence;
	b->tenant = r->tenant ? strdup(r->tenant) : NULL;
	b->streams = calloc(n_streams + 1, sizeof(*b->streams));
	if (!b->streams || (r->tenant && !b->tenant)) {
		batch__free(b);
		return NULL;
	}
	return b;
}

static struct batch *as_it_is(const struct spool_record *r)
{
	struct batch *b = new_part(r, r->n_streams);

	if (!b || buf__append(&b->payload, r->payload, r->len)) {
		batch__free(b);
		return NULL;
	}
	b->lines = r->lines;
	b->log_bytes = r->log_bytes;
	b->raw_bytes = r->raw_bytes;
	if (r->n_streams)
		memcpy(b->streams, r->streams, r->n_streams * sizeof(*r->streams));
	b->n_streams = r->n_streams;
	return b;
}

struct pick {
	const struct request *r;
	uint32_t stream; /* UINT32_MAX: all */
};

static bool is_in(void *ctx, size_t i, struct request_edit *edit)
{
	const struct pick *p = ctx;

	(void)edit;
	return p->stream == UINT32_MAX || p->r->entries[i].stream == p->stream;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Of one stream, or of all. */
static struct batch *part_of(const struct spool_record *record, const struct request *r,
			     uint32_t stream)
{
	struct pick pick = {r, stream};
	struct request_sealed sealed;
	struct batch *b = new_part(record, r->n_streams);

	if (!b || request__seal(r, is_in, &pick, &sealed)) {
		batch__free(b);
		return NULL;
	}
	b->payload = sealed.payload;
	b->lines = sealed.lines;
	b->log_bytes = sealed.log_bytes;
	b->raw_bytes = sealed.raw_bytes;
	for (uint32_t i = 0; i < r->n_streams; i++)
		if (stream == UINT32_MAX || i == stream)
			b->streams[b->n_streams++] = request__labels_hash(r->streams[i].labels.data,
									  r->streams[i].labels.len);
	qsort(b->streams, b->n_streams, sizeof(*b->streams), by_value);
	return b;
}

/* {a="b"} gets one more label, unless it has it. To free; NULL: no memory. */
static char *with_backfill(struct request_span *labels)
{
	bool none = labels->len <= 2;
	char *text;
	int len;

	if (memmem(labels->data, labels->len, BACKFILL "=\"", sizeof(BACKFILL) + 1))
		return strndup(labels->data, labels->len);
	len = asprintf(&text, "%.*s%s" BACKFILL "=\"true\"}",
		       (int)(labels->len ? labels->len - 1 : 0), labels->data, none ? "" : ", ");
	if (len < 0)
		return NULL;
	*labels = (struct request_span){text, (size_t)len};
	return text;
}

static void free_texts(char **texts, size_t n)
{
	for (size_t i = 0; texts && i < n; i++)
		free(texts[i]);
	free(texts);
}

static int make(const struct spool_record *record, struct request *r, bool apart, bool backfill,
		struct batch **parts, size_t *ret_n)
{
	char **texts = calloc(r->n_streams, sizeof(*texts));
	size_t n = apart ? r->n_streams : 1;
	int err = texts ? 0 : -ENOMEM;

	for (size_t i = 0; i < r->n_streams && backfill && !err; i++) {
		texts[i] = with_backfill(&r->streams[i].labels);
		err = texts[i] ? 0 : -ENOMEM;
	}
	*ret_n = 0;
	for (size_t i = 0; i < n && !err; i++) {
		parts[i] = part_of(record, r, apart ? (uint32_t)i : UINT32_MAX);
		err = parts[i] ? 0 : -ENOMEM;
		*ret_n += !err;
	}
	free_texts(texts, r->n_streams);
	return err;
}

int parts__make(const struct spool_record *r, bool apart, bool backfill, struct batch ***ret,
		size_t *ret_n)
{
	_request_ struct request request = {0};
	bool open = (apart || backfill) && !r->gap &&
		    !request__open(&request, r->payload, r->len, RAW_MAX) && request.n_streams;
	struct batch **parts = calloc(open ? request.n_streams : 1, sizeof(*parts));
	size_t n = 0;
	int err = parts ? 0 : -ENOMEM;

	if (!err && open) {
		err = make(r, &request, apart, backfill, parts, &n);
	} else if (!err) {
		parts[0] = as_it_is(r);
		err = parts[0] ? 0 : -ENOMEM;
		n = 1;
	}
	if (err) {
		for (size_t i = 0; parts && i < n; i++)
			batch__free(parts[i]);
		free(parts);
		return err;
	}
	*ret = parts;
	*ret_n = n;
	return 0;
}
