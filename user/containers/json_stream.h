/* SPDX-License-Identifier: Apache-2.0 */
/* JSON objects back to back, as an HTTP stream brings them: cut anywhere, with or without white
 * space between them. Pure; what is inside an object is not looked at beyond its strings and
 * brackets. */
#ifndef NOTAIL_CONTAINERS_JSON_STREAM_H
#define NOTAIL_CONTAINERS_JSON_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/json_scan.h"

/* All zero is an empty one, with max_bytes set. The owner of the struct owns the bytes. */
struct json_stream {
	struct buf object; /* what there is of the object under way */
	size_t max_bytes;  /* of one object */
	/* An object over max_bytes is left out and counted while it has no more than these; 0: it
	 * is an error. */
	size_t drop_bytes;
	size_t dropped;	 /* objects that were left out */
	size_t dropping; /* bytes of the object under way, which is to be left out; 0: it is not */
	struct json_scan scan; /* of the object under way; depth 0: there is none */
};

/* Calls fn with each object that is complete (borrowed). 0; -EBADMSG: something other than white
 * space between objects, -EMSGSIZE: an object that is too large, -ENOMEM: the stream is of no use
 * any more. */
int json_stream__feed(struct json_stream *s, const char *data, size_t len,
		      void (*fn)(void *ctx, const char *object, size_t len), void *ctx);
/* The same, up to the end of one object (or array) that is under way or begins with data's first
 * byte: there are *ret_used bytes of it here, and it is complete when scan.depth is 0 again. */
int json_stream__one(struct json_stream *s, const char *data, size_t len, size_t *ret_used,
		     void (*fn)(void *ctx, const char *object, size_t len), void *ctx);
/* Empty again, for another stream; frees its memory. */
void json_stream__reset(struct json_stream *s);

#endif
