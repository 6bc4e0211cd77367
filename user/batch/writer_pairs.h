/* SPDX-License-Identifier: Apache-2.0 */
/* What a line's metadata says of who wrote it, the same in every encoding; private to this room. */
#ifndef NOTAIL_BATCH_WRITER_PAIRS_H
#define NOTAIL_BATCH_WRITER_PAIRS_H

#include <stdio.h>

#include "batch/stream_table.h"

#define WRITER_PAIRS 5
#define WRITER_VALUE_MAX 33 /* 32 hexadecimal digits */

struct writer_pair {
	const char *name;
	char value[WRITER_VALUE_MAX];
};

/* False: all zero. */
static inline bool put_hex(char *out, const uint8_t *bytes, size_t len)
{
	uint8_t any = 0;

	for (size_t i = 0; i < len; i++) {
		*out++ = "0123456789abcdef"[bytes[i] >> 4];
		*out++ = "0123456789abcdef"[bytes[i] & 15];
		any |= bytes[i];
	}
	*out = '\0';
	return any;
}

/* How many there are. s->comm is valid UTF-8. */
static inline size_t writer_pairs(const struct stream *s, struct writer_pair pairs[WRITER_PAIRS])
{
	size_t n = 0;

	if (s->pid) {
		pairs[n].name = "pid";
		snprintf(pairs[n++].value, WRITER_VALUE_MAX, "%u", s->pid);
	}
	if (s->comm[0]) {
		pairs[n].name = "comm";
		snprintf(pairs[n++].value, WRITER_VALUE_MAX, "%s", s->comm);
	}
	if (s->tid) {
		pairs[n].name = "tid";
		snprintf(pairs[n++].value, WRITER_VALUE_MAX, "%u", s->tid);
	}
	if (put_hex(pairs[n].value, s->trace.trace_id, sizeof(s->trace.trace_id)))
		pairs[n++].name = "trace_id";
	if (put_hex(pairs[n].value, s->trace.span_id, sizeof(s->trace.span_id)))
		pairs[n++].name = "span_id";
	return n;
}

#endif
