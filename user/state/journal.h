/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records that outlive the process, in memory that does. Two halves: records are appended to the
 * newer one; when it is full, what is still needed is written into the other, which then is the
 * newer one. A kill at any byte leaves one valid journal, with all that was appended before or
 * begun to be. Content that is not believable (torn, damaged, another version's) costs itself only.
 * One thread.
 */
#ifndef NOTAIL_STATE_JOURNAL_H
#define NOTAIL_STATE_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

#define JOURNAL_VERSION 1
#define JOURNAL_HALF_MIN 256 /* bytes */

struct journal;

struct journal_record {
	uint16_t type; /* the caller's */
	uint32_t len;
	const void *bytes; /* 8-byte aligned, in the half: valid until the second journal__begin */
};

struct journal_stats {
	size_t used, size;  /* bytes of the half that is in use */
	unsigned damaged;   /* places of it where something else than a record stood */
	unsigned abandoned; /* halves that were none, and not empty */
};

/* The halves are of `size` bytes each, 8-byte aligned, and borrowed. -EINVAL: they are too small;
 * -ENOMEM. */
int journal__new(struct journal **ret, void *const halves[2], size_t size);
void journal__free(struct journal *j); /* NULL is fine */
/* All records, in the order in which they were written. */
void journal__each(const struct journal *j,
		   void (*fn)(void *ctx, const struct journal_record *record), void *ctx);
/* *ret_bytes, if wanted: where the bytes are now, as in struct journal_record. -ENOSPC: the half is
 * full. */
int journal__append(struct journal *j, uint16_t type, const void *bytes, size_t len,
		    const void **ret_bytes);
/* Appended records go to the other half, which is empty, until journal__end makes it the one that
 * is in use. In between, the one before is whole. */
void journal__begin(struct journal *j);
void journal__end(struct journal *j);
/* What a record of `len` bytes takes. */
size_t journal__cost(size_t len);
/* For records, of a half. */
size_t journal__room(const struct journal *j);
void journal__stats(const struct journal *j, struct journal_stats *ret);

#endif
