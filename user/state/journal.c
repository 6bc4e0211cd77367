/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A half is a header and records behind each other, each with a checksum over its use, type, length
 * and bytes. The use, a time, tells a record from one that an earlier use of the half left there,
 * also one that came to no header; the records end where none is valid. A record is written before
 * its checksum, a half before its header: whoever dies in between has written nothing.
 *
 * Where bytes in the middle were damaged, the next valid record is looked for at each place where
 * one may begin, for some way: what was never used is not touched.
 */
#include "state/journal.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/clock.h"
#include "base/util.h"

#define MAGIC 0x6c6e726a6c69746eull /* "ntiljrnl" */
#define RECORD_MAGIC 0x4a52u
#define ALIGN 8u
#define SCAN_MAX 8u	    /* times the half's size: bytes looked at */
#define GAP_MAX (64u << 10) /* bytes without a record */

struct half_header {
	uint64_t magic;
	uint64_t generation; /* the greater one is the newer */
	uint64_t use;
	uint32_t version;
	uint32_t crc; /* of the fields before */
};

struct record_header {
	uint32_t crc; /* of all that follows, and of the use */
	uint32_t len;
	uint16_t magic;
	uint16_t type;
	uint32_t use; /* its lower half */
};

_Static_assert(sizeof(struct half_header) == 32, "a stable layout");
_Static_assert(sizeof(struct record_header) == 16, "a stable layout");

struct journal {
	unsigned char *halves[2];
	size_t size;
	unsigned now; /* the half that is in use */
	uint64_t generation;
	uint64_t use;
	size_t end; /* of its records */
	bool begun; /* and it has no header yet */
	unsigned damaged, abandoned;
};

static size_t aligned(size_t n)
{
	return (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

size_t journal__cost(size_t len)
{
	return aligned(sizeof(struct record_header) + len);
}

size_t journal__room(const struct journal *j)
{
	return j->size - sizeof(struct half_header);
}

static uint32_t header_crc(const struct half_header *h)
{
	return (uint32_t)crc32(0, (const void *)h, offsetof(struct half_header, crc));
}

static uint32_t record_crc(const struct record_header *h, const void *bytes, uint64_t use)
{
	uLong crc = crc32(0, (const void *)&use, sizeof(use));

	crc = crc32(crc, (const unsigned char *)h + sizeof(h->crc), sizeof(*h) - sizeof(h->crc));
	return (uint32_t)(h->len ? crc32(crc, bytes, h->len) : crc);
}

static bool may_be_record(const struct journal *j, size_t at, struct record_header *ret)
{
	memcpy(ret, j->halves[j->now] + at, sizeof(*ret));
	return ret->magic == RECORD_MAGIC && ret->use == (uint32_t)j->use &&
	       ret->len <= j->size - at - sizeof(*ret);
}

/* Returns where they end. */
static size_t walk(const struct journal *j, unsigned *damaged,
		   void (*fn)(void *ctx, const struct journal_record *record), void *ctx)
{
	size_t at = sizeof(struct half_header), end = at, looked = 0, limit = at + GAP_MAX;
	struct journal_record record;
	struct record_header h;

	while (at + sizeof(h) <= MIN(j->size, limit) && looked <= SCAN_MAX * j->size) {
		if (!may_be_record(j, at, &h)) {
			at += ALIGN;
			continue;
		}
		record = (struct journal_record){
			.type = h.type, .len = h.len, .bytes = j->halves[j->now] + at + sizeof(h)};
		looked += h.len;
		limit = MAX(limit, at + journal__cost(h.len) + GAP_MAX);
		if (h.crc != record_crc(&h, record.bytes, j->use)) {
			at += ALIGN;
			continue;
		}
		*damaged += at != end;
		if (fn)
			fn(ctx, &record);
		at += journal__cost(h.len);
		end = at;
	}
	return end;
}

/* False: it is none. */
static bool read_header(struct journal *j, unsigned half, struct half_header *ret)
{
	memcpy(ret, j->halves[half], sizeof(*ret));
	if (ret->magic == MAGIC && ret->version == JOURNAL_VERSION && ret->crc == header_crc(ret))
		return true;
	j->abandoned += ret->magic || ret->generation || ret->use || ret->version || ret->crc;
	/* Whoever could read it shall not take it for newer than what follows. */
	memset(j->halves[half], 0, sizeof(*ret));
	return false;
}

/* The half that is in use. False: there is none. */
static bool choose(struct journal *j)
{
	struct half_header h[2];
	bool is[2] = {read_header(j, 0, &h[0]), read_header(j, 1, &h[1])};

	if (!is[0] && !is[1])
		return false;
	j->now = is[1] && (!is[0] || h[1].generation > h[0].generation);
	j->generation = h[j->now].generation;
	j->use = h[j->now].use;
	return true;
}

static void write_header(struct journal *j)
{
	struct half_header h = {.magic = MAGIC,
				.version = JOURNAL_VERSION,
				.generation = j->generation,
				.use = j->use};

	h.crc = header_crc(&h);
	/* What it stands for is there before it is. */
	atomic_signal_fence(memory_order_seq_cst);
	memcpy(j->halves[j->now], &h, sizeof(h));
	atomic_signal_fence(memory_order_seq_cst);
}

int journal__new(struct journal **ret, void *const halves[2], size_t size)
{
	struct journal *j;

	size &= ~(size_t)(ALIGN - 1);
	if (size < JOURNAL_HALF_MIN || size > UINT32_MAX)
		return -EINVAL;
	j = calloc(1, sizeof(*j));
	if (!j)
		return -ENOMEM;
	j->halves[0] = halves[0];
	j->halves[1] = halves[1];
	j->size = size;
	if (choose(j)) {
		j->end = walk(j, &j->damaged, NULL, NULL);
	} else {
		journal__begin(j);
		journal__end(j);
	}
	*ret = j;
	return 0;
}

void journal__free(struct journal *j)
{
	free(j);
}

void journal__each(const struct journal *j,
		   void (*fn)(void *ctx, const struct journal_record *record), void *ctx)
{
	unsigned damaged = 0;

	walk(j, &damaged, fn, ctx);
}

int journal__append(struct journal *j, uint16_t type, const void *bytes, size_t len,
		    const void **ret_bytes)
{
	struct record_header h = {.magic = RECORD_MAGIC, .type = type, .use = (uint32_t)j->use};
	unsigned char *p = j->halves[j->now] + j->end;

	if (len > j->size || journal__cost(len) > j->size - j->end)
		return -ENOSPC;
	h.len = (uint32_t)len;
	h.crc = record_crc(&h, bytes, j->use);
	memcpy(p + sizeof(h.crc), (const unsigned char *)&h + sizeof(h.crc),
	       sizeof(h) - sizeof(h.crc));
	if (len)
		memcpy(p + sizeof(h), bytes, len);
	/* Valid with its checksum, not before. */
	atomic_signal_fence(memory_order_seq_cst);
	memcpy(p, &h.crc, sizeof(h.crc));
	atomic_signal_fence(memory_order_seq_cst);
	j->end += journal__cost(len);
	if (ret_bytes)
		*ret_bytes = p + sizeof(h);
	return 0;
}

void journal__begin(struct journal *j)
{
	static const struct half_header none;

	if (!j->begun) {
		j->now = !j->now;
		j->generation++;
	}
	memcpy(j->halves[j->now], &none, sizeof(none));
	atomic_signal_fence(memory_order_seq_cst);
	j->use = MAX(clock__boot_ns(), j->use + 1);
	j->end = sizeof(none);
	j->begun = true;
}

void journal__end(struct journal *j)
{
	if (!j->begun)
		return;
	write_header(j);
	j->begun = false;
	j->damaged = 0;
}

void journal__stats(const struct journal *j, struct journal_stats *ret)
{
	*ret = (struct journal_stats){
		.used = j->end, .size = j->size, .damaged = j->damaged, .abandoned = j->abandoned};
}
