/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For stages that keep entries and send them on later, joined or delayed. What is emitted goes
 * through the stages behind the one that emits, as the entry it was when it was held.
 *
 * One entry is worked on at a time: emitting in a run function ends the life of the entry that the
 * function was given. Hold it first if it is still needed, and return STAGE_HOLD.
 */
#ifndef NOTAIL_PROCESS_HOLD_H
#define NOTAIL_PROCESS_HOLD_H

#include "base/buf.h"
#include "process/stage.h"

struct held_value {
	size_t slot;
	struct value value;
};

/* A copy of an entry with all that it borrowed. Zeroed at first; may be taken again. */
struct held {
	struct buf memory; /* of everything below but the line */
	struct entry entry;
	struct held_value *values; /* those that are not absent */
	size_t n_values;
	struct buf line; /* its owner may change it */
};

/* 0; -ENOMEM: there is nothing in it. */
int held__take(struct held *h, const struct entry *e);
void held__free(struct held *h);
/* Nothing in it any more; its memory stays. */
void held__clear(struct held *h);

/* As bytes, without the line. 0; -ENOMEM. */
int held__save(const struct held *h, struct buf *out);
/* From what held__save wrote, or any bytes; `base`: the labels that the entry changes. 0; -EINVAL;
 * -ENOMEM. */
int held__load(struct held *h, const char *bytes, size_t len, size_t n_slots,
	       struct label_set *base);

/* Bytes that a stage holds, of all that its program may hold. False: no room, nothing was taken. */
bool program_stream__reserve(struct program_stream *s, size_t bytes);
void program_stream__release(struct program_stream *s, size_t bytes);
/* Of one line, or of lines that are joined. */
size_t program_stream__max_line_size(const struct program_stream *s);

/* The stream's stage that runs or ticks sends it on. `h` stays as it is. */
void program_stream__emit(struct program_stream *s, const struct held *h);
/* As entry__label_set, of an entry that is held: that ends the life of the one at work. */
struct label_set *program_stream__label_set(struct program_stream *s, const struct held *h);
/* Slots of its program. */
size_t program_stream__n_slots(const struct program_stream *s);
/* What program_stream__ask was given; NULL: nothing. */
struct regex *program_stream__asked(struct program_stream *s, bool *ret_continues);
/* The stage wants a tick then (CLOCK_BOOTTIME ns). */
void program_stream__due(struct program_stream *s, uint64_t due_ns);
/* The entry's labels as they are now, interned: the same labels of the same stream are the same
 * set. Borrowed until the next tick. NULL: no memory. */
struct label_set *entry__label_set(struct entry *e);

#endif
