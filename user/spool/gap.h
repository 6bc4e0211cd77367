/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was dropped, by tenant and stream, and the lines that say so in Loki: one for each stream,
 * with its labels, the time of the last line that is lost and notail_gap="spool_full".
 */
#ifndef NOTAIL_SPOOL_GAP_H
#define NOTAIL_SPOOL_GAP_H

#include <stddef.h>
#include <stdint.h>

#include "spool/spool.h"

#define GAP_REASON "spool_full"
#define GAP_STREAMS_MAX 20000u /* more are counted, and no line says so */

struct gap_stream;

struct gap_table {
	struct gap_stream *streams;
	size_t n;
	uint64_t unnamed_lines; /* of payloads that cannot be opened, and past the bound */
};

/* A record of any kind: what a gap's lines say is added up. -EBADMSG: it is no payload of notail's;
 * -ENOMEM. Then all its lines are unnamed. */
int gap_table__add(struct gap_table *t, const struct spool_record *r);
/* Hands on records of them, as many as it takes; each is valid during its call. 0, -ENOMEM or what
 * `fn` returned. */
int gap_table__records(struct gap_table *t, int (*fn)(void *ctx, const struct spool_record *r),
		       void *ctx);
void gap_table__free(struct gap_table *t);

#endif
