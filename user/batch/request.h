/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sealed payload opened again: streams and entries as spans of the decoded bytes, to be encoded
 * anew in part or with single entries changed. For what Loki refused, and for what comes from disk:
 * the bytes are not trusted.
 */
#ifndef NOTAIL_BATCH_REQUEST_H
#define NOTAIL_BATCH_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct request_span {
	const char *data; /* not NUL-terminated */
	size_t len;
};

struct request_stream {
	struct request_span labels; /* {a="b", c="d"}; empty: none */
	size_t first, n;	    /* its entries */
};

struct request_entry {
	uint64_t time_ns; /* Unix; 0: none, or none that fits */
	const char *line;
	const char *body; /* the whole message, encoded */
	uint32_t line_len;
	uint32_t body_len;
	uint32_t stream;
};

/* All spans are valid until request__close. */
struct request {
	struct buf raw;
	struct request_stream *streams;
	size_t n_streams;
	struct request_entry *entries; /* as encoded; a stream's are in one piece */
	size_t n_entries;
};

/* Of what one entry becomes. REQUEST_AS_IT_IS leaves it, byte by byte. */
struct request_edit {
	const char *line; /* in place of its own; NULL: its own */
	size_t line_len;
	size_t line_max;     /* a longer line is cut, at a character's border, and its metadata says
				truncated="true" */
	size_t pairs_max;    /* of metadata, in all; what notail says of a line comes first */
	size_t metadata_max; /* bytes of names and values, likewise */
	const char *gap;     /* its metadata has notail_gap, with this value; NULL: as it is */
};

#define REQUEST_AS_IT_IS        \
	((struct request_edit){ \
		.line_max = SIZE_MAX, .pairs_max = SIZE_MAX, .metadata_max = SIZE_MAX})

/* Whether entry `i` is in. *edit is REQUEST_AS_IT_IS before the call. */
typedef bool (*request_pick_fn)(void *ctx, size_t i, struct request_edit *edit);

struct request_sealed {
	struct buf payload;
	size_t raw_bytes;
	size_t lines;
	size_t log_bytes;
};

/*
 * Copies what it needs. -EBADMSG: it is no payload of notail's; -EFBIG: decoded it has more than
 * `max_raw` bytes; -ENOMEM.
 */
int request__open(struct request *ret, const char *payload, size_t len, size_t max_raw);
/* What request__open made, or all zero. */
void request__close(struct request *r);
#define _request_ _cleanup_(request__close)

/* The entry's metadata, one pair for each call; *cursor is 0 at first. False: no more. */
bool request_entry__pair(const struct request_entry *e, size_t *cursor, struct request_span *name,
			 struct request_span *value);

/*
 * A payload of the entries that `pick` wants, in their order; `pick` NULL: of all. It is asked once
 * for each. No entry at all is fine: an empty payload, lines 0. The payload is the caller's. 0 or
 * -ENOMEM.
 */
int request__seal(const struct request *r, request_pick_fn pick, void *ctx,
		  struct request_sealed *ret);

/* Of a stream's labels as they are sent: the same in every process and version. */
uint64_t request__labels_hash(const char *labels, size_t len);

#endif
