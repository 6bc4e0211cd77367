/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Late names: between a stream's records and its assembler.
 *
 * By stream: the kernel names the writer of a record where it can prove it when the record is made.
 * Where a write that the record has bytes of has not returned, the next proof may reach back over
 * it. By line: notes say who wrote how much, and names follow from them. Either way records wait
 * here, in order, for at most ATTRIBUTE_WAIT_NS of record time and ATTRIBUTE_MAX_BYTES; then they
 * go on without a name. What need not wait passes through without a copy.
 */
#ifndef NOTAIL_ASSEMBLE_ATTRIBUTE_H
#define NOTAIL_ASSEMBLE_ATTRIBUTE_H

#include <stdbool.h>

#include "assemble/assemble.h"
#include "event.h"

#define ATTRIBUTE_WAIT_NS 50000000ull
#define ATTRIBUTE_MAX_BYTES (256 * 1024)
#define ATTRIBUTE_MAX_NOTES 4096 /* of a stream, waiting for their bytes */

struct attribute;

/* What a record says of its writer: the fields of struct nt_data. */
struct attribute_note {
	uint64_t offset; /* of the chunk in the stream */
	uint64_t from;	 /* NT_KNOWN: chunk.pid wrote everything from here to the chunk's end */
	enum nt_known known;
	enum nt_tap tap;
};

/* Chunks go to `to`, which is borrowed. 0 or -ENOMEM. */
int attribute__new(struct attribute **ret, struct assembler *to);
void attribute__free(struct attribute *a);

/* As assembler__feed. What waits is delivered first when this chunk decides about it. */
int attribute__feed(struct attribute *a, const struct chunk *chunk,
		    const struct attribute_note *note);
/* `pid` wrote everything from this offset on that came so far: delivers what waits. */
void attribute__prove(struct attribute *a, uint64_t from, uint32_t pid, const char *comm);
/* A write. May deliver. */
void attribute__note(struct attribute *a, const struct nt_note *note);
/* Up to this offset the stream is what the notes before it wrote, all of it: may deliver. */
void attribute__settle(struct attribute *a, uint64_t offset);
/* Delivers what has waited for too long at this CLOCK_BOOTTIME. */
void attribute__expire(struct attribute *a, uint64_t now_ns);
/* Delivers what waits without a name: before a gap, and at the end. */
void attribute__flush(struct attribute *a);
/* CLOCK_BOOTTIME ns at which what waits is to be delivered by attribute__expire; UINT64_MAX:
 * nothing waits. */
uint64_t attribute__due_ns(const struct attribute *a);
/* Ring position of the oldest record that waits; UINT64_MAX: nothing does. */
uint64_t attribute__oldest(const struct attribute *a);

#endif
