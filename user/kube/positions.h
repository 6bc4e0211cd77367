/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far the events of each namespace were delivered, and the text and the file that say so. A
 * position is the version of the API server up to which everything was; versions of one server only
 * grow.
 */
#ifndef NOTAIL_KUBE_POSITIONS_H
#define NOTAIL_KUBE_POSITIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct positions;

struct position {
	uint64_t revision; /* 0: none */
	uint64_t time_ns;  /* of the newest event until then, Unix; 0: not known */
};

int positions__new(struct positions **ret);
void positions__free(struct positions *p); /* NULL is fine */

/* `namespace` "" is all of them: what is known of all holds for one of which nothing is. */
struct position positions__get(const struct positions *p, const char *namespace);
/* 0 or -ENOMEM. */
int positions__set(struct positions *p, const char *namespace, struct position at);

/* In the place of what it had. "" is none. 0; -EBADMSG: not what positions__text wrote; -ENOMEM. */
int positions__parse(struct positions *p, const char *text, size_t len);
/* The same, but what is further than the text stays. */
int positions__merge(struct positions *p, const char *text, size_t len);
/* Appends it. 0 or -ENOMEM. */
int positions__text(const struct positions *p, struct buf *out);

/* Of a file in `directory`: -ENOENT is no error. */
int positions__load(struct positions *p, const char *directory);
/* Whole or not at all, whatever happens meanwhile. -errno. */
int positions__save(const struct positions *p, const char *directory);

#endif
