/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Loki's texts say of the entries that it left out. The text is foreign: what is not there is
 * 0 or NULL, and a text that nobody knows is LOKI_UNKNOWN.
 */
#ifndef NOTAIL_SINK_LOKI_TEXT_H
#define NOTAIL_SINK_LOKI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum loki_fault {
	LOKI_UNKNOWN,
	/* An entry's. */
	LOKI_TOO_OLD,
	LOKI_TOO_NEW,
	LOKI_TOO_FAR_BEHIND,
	LOKI_LINE_TOO_LONG,
	LOKI_METADATA_PAIRS,
	LOKI_METADATA_BYTES,
	LOKI_METADATA_DISALLOWED,
	/* A stream's. */
	LOKI_LABEL_NAMES,
	LOKI_LABEL_NAME_LENGTH,
	LOKI_LABEL_VALUE_LENGTH,
	LOKI_DUPLICATE_LABEL,
	LOKI_BAD_LABELS, /* the whole request is refused for them */
	LOKI_STREAM_RATE,
	LOKI_STREAM_LIMIT,
	/* The request's. */
	LOKI_TENANT_RATE,
	LOKI_TENANT_NAME,
	LOKI_TOO_LARGE,
	LOKI_UNREADABLE,
	LOKI_FAULTS,
};

struct loki_complaint {
	enum loki_fault fault;
	uint64_t count;	    /* of entries that it is said of, at least 1 */
	const char *stream; /* {a="b", ...} as Loki shows it; NULL: none */
	size_t stream_len;
	uint64_t limit;
	uint64_t time_s;      /* of the entry, Unix */
	uint64_t oldest_s;    /* that would have been taken */
	uint64_t ignored, of; /* entries of the stream */
};

/* The complaints of an answer, one for each call; *cursor is 0 at first. False: no more. */
bool loki_text__next(const char *text, size_t len, size_t *cursor, struct loki_complaint *ret);
/* The labels are those that were sent, but for a service_name that Loki gave them. */
bool loki_text__is_stream(const struct loki_complaint *c, const char *labels, size_t len);

#endif
