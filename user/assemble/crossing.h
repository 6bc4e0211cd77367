/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a stream had begun at a mark and ended behind it: for who goes on from that mark. Few at a
 * time: a stream has at most one for each mark.
 */
#ifndef NOTAIL_ASSEMBLE_CROSSING_H
#define NOTAIL_ASSEMBLE_CROSSING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/marks.h"

struct crossing {
	uint64_t from, to; /* it holds for the marks behind `from`, up to `to` */
	/* The line is done: what the stream's records have up to `end_pos`, and of that one what is
	 * below the offset `end`, is not to be read again. */
	uint64_t end_pos, end;
	size_t half;   /* bytes that the line had by then, if `open` */
	bool open;     /* the line is not done */
	bool skipping; /* what comes then is the rest of a cut line */
};

struct crossings {
	struct crossing *items; /* rising */
	size_t n, size;
};

void crossings__free(struct crossings *c);
/* -ENOMEM: it is not noted. */
int crossings__add(struct crossings *c, const struct marks *marks, const struct crossing *item);
/* What holds for no mark any more goes. */
void crossings__tidy(struct crossings *c, const struct marks *marks);
/* The newest open ones, of one line, are done. */
void crossings__close(struct crossings *c);
/* NULL: nothing was under way at the mark. */
const struct crossing *crossings__at(const struct crossings *c, uint64_t mark);

#endif
