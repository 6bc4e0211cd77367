/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Late names: between a stream's records and its assembler.
 *
 * The kernel names the writer of a record where it can prove it when the record is made. Where a
 * write that the record has bytes of has not returned, the next proof may reach back over it. Such
 * records wait here for one, in order, for at most ATTRIBUTE_WAIT_NS of record time and
 * ATTRIBUTE_MAX_BYTES; then they go on without a name. All others pass through without a copy.
 */
#ifndef NOTAIL_ASSEMBLE_ATTRIBUTE_H
#define NOTAIL_ASSEMBLE_ATTRIBUTE_H

#include <stdbool.h>

#include "assemble/assemble.h"
#include "event.h"

#define ATTRIBUTE_WAIT_NS 50000000ull
#define ATTRIBUTE_MAX_BYTES 65536

struct attribute;

/* What a record says of its writer: the fields of struct nt_data. */
struct attribute_note {
	uint64_t offset; /* of the chunk in the stream */
	uint64_t from;	 /* NT_KNOWN: chunk.pid wrote everything from here to the chunk's end */
	enum nt_known known;
};

/* Chunks go to `to`, which is borrowed. 0 or -ENOMEM. */
int attribute__new(struct attribute **ret, struct assembler *to);
void attribute__free(struct attribute *a);

/* As assembler__feed. What waits is delivered first when this chunk decides about it. */
int attribute__feed(struct attribute *a, const struct chunk *chunk,
		    const struct attribute_note *note);
/* `pid` wrote everything from this offset on that came so far: delivers what waits. */
void attribute__prove(struct attribute *a, uint64_t from, uint32_t pid, const char *comm);
/* Delivers what waits without a name: before a gap, and at the end. */
void attribute__flush(struct attribute *a);
/* CLOCK_BOOTTIME ns at which what waits is to be flushed; UINT64_MAX: nothing waits. */
uint64_t attribute__due_ns(const struct attribute *a);

#endif
