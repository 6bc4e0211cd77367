/* SPDX-License-Identifier: Apache-2.0 */
/* JSON objects back to back, as an HTTP stream brings them: cut anywhere, with or without white
 * space between them. Pure; what is inside an object is not looked at beyond its strings and
 * brackets. */
#ifndef NOTAIL_CONTAINERS_JSON_STREAM_H
#define NOTAIL_CONTAINERS_JSON_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* All zero is an empty one, with max_bytes set. The owner of the struct owns the bytes. */
struct json_stream {
	struct buf object; /* what there is of the object under way */
	size_t max_bytes;  /* of one object */
	unsigned depth;	   /* brackets open */
	bool in_string;
	bool escaped;
};

/* Calls fn with each object that is complete (borrowed). 0; -EBADMSG: something other than white
 * space between objects, -EMSGSIZE: an object over max_bytes, -ENOMEM: the stream is of no use any
 * more. */
int json_stream__feed(struct json_stream *s, const char *data, size_t len,
		      void (*fn)(void *ctx, const char *object, size_t len), void *ctx);
/* Empty again, for another stream; frees its memory. */
void json_stream__reset(struct json_stream *s);

#endif
