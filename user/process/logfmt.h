/* SPDX-License-Identifier: Apache-2.0 */
/* Pairs of logfmt, as go-logfmt reads them, one after the other. */
#ifndef NOTAIL_PROCESS_LOGFMT_H
#define NOTAIL_PROCESS_LOGFMT_H

#include <stddef.h>

#include "base/arena.h"

struct logfmt {
	const char *p, *end; /* what is left */
};

struct logfmt_pair {
	const char *key, *value; /* borrowed from the text; a value with escapes is in the arena */
	size_t key_len, value_len;
};

/* 1: a pair; 0: the end; -EINVAL: what follows is no logfmt; -ENOMEM. */
int logfmt__next(struct logfmt *l, struct arena *arena, struct logfmt_pair *ret);

#endif
