/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a run leaves to its successor besides the ring: a plain block of memory that outlives the
 * process (a pinned map, mapped), or any other one in tests. Native byte order, for it never leaves
 * the machine's memory.
 *
 *   0                  struct state_header
 *   STATE_SLOTS        two slots for marks: struct state_slot, then its bytes
 *   STATE_JOURNALS     two halves of the journal; what is in them is user/state/journal.h's
 *   ... STATE_BYTES    reserve
 *
 * A mark is a position of the ring and what has to be known to go on from there. It is written to
 * the slot that the newest one is not in, so a process that dies on the way leaves the newest as it
 * was. What is torn, foreign or of another version costs itself only. One thread.
 */
#ifndef NOTAIL_STATE_STATE_H
#define NOTAIL_STATE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATE_MAGIC 0x6574617473746e01ull /* "\1ntstate" */
#define STATE_VERSION 1u		  /* of the layout and of all that lies in it */

#define STATE_SLOT_BYTES (512u * 1024) /* struct state_slot included */
#define STATE_JOURNAL_BYTES (1024u * 1024)
#define STATE_SLOTS 4096u
#define STATE_JOURNALS (STATE_SLOTS + 2 * STATE_SLOT_BYTES)
#define STATE_BYTES (4u * 1024 * 1024)
#define STATE_MARK_MAX (STATE_SLOT_BYTES - sizeof(struct state_slot))

struct state_header {
	uint64_t magic;
	uint32_t version;
	uint32_t owner_pid;	 /* of the process that writes; 0: none does */
	uint64_t owner_start_ns; /* when it started, CLOCK_BOOTTIME */
	/* Records before it were read by the process that wrote last: what was decided about them
	 * is in the journal. */
	uint64_t read_pos;
	uint64_t generation; /* processes that had it so far */
};

struct state_slot {
	uint64_t magic;
	uint32_t version;
	uint32_t len;	     /* of the bytes behind this */
	uint64_t generation; /* the greater one is the newer; 0: nothing is in it */
	uint64_t position;   /* of the ring */
	uint32_t crc;	     /* of this struct with crc 0, then the bytes */
	uint32_t pad;
};

enum state_found {
	STATE_EMPTY, /* nobody had it before */
	STATE_KEPT,
	STATE_FOREIGN, /* of another version, or not one at all: it was wiped */
};

struct state_mark {
	uint64_t position;
	const void *bytes; /* in the memory, until the next but one state__save */
	size_t len;
};

struct state;

/* `memory` is borrowed, zeroed when it is new, aligned to 8. *ret_found says what was in it. 0;
 * -EINVAL: smaller than STATE_BYTES; -ENOMEM. */
int state__new(struct state **ret, void *memory, size_t size, enum state_found *ret_found);
/* The memory stays as it is. NULL is fine. */
void state__free(struct state *s);

/* Who writes from now on; once. */
void state__own(struct state *s, uint32_t pid, uint64_t start_ns);
/* Of the process before, as it was when state__new looked. */
uint64_t state__was_read(const struct state *s);
/* How far the ring was read: each round. It only grows, over restarts too. */
void state__read(struct state *s, uint64_t position);
/* It was of another ring. */
void state__forget_read(struct state *s);

/* The newest mark that is whole. -ENOENT: there is none. Slots that were damaged are told by
 * state__damaged. */
int state__newest(const struct state *s, struct state_mark *ret);
/* The mark is not to be believed: as if it had never been written. */
void state__discard(struct state *s, const struct state_mark *m);
/* 0; -ENOSPC: longer than STATE_MARK_MAX. */
int state__save(struct state *s, uint64_t position, const void *bytes, size_t len);
/* Slots that were found damaged by state__new, 0 to 2. */
unsigned state__damaged(const struct state *s);

/* One half of the journal, 0 or 1: STATE_JOURNAL_BYTES bytes. */
void *state__journal(struct state *s, unsigned half);

#endif
