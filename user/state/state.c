/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only one process writes, and what can stop it between two stores is its end: the memory itself
 * does not forget. So the order of stores is enough, and a slot that was half written has a
 * checksum that says so.
 */
#include "state/state.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include <zlib.h>

#include "base/util.h"

static_assert(sizeof(struct state_header) <= STATE_SLOTS, "the header's page");
static_assert(sizeof(struct state_slot) % 8 == 0, "what follows is aligned");
static_assert(STATE_JOURNALS + 2 * STATE_JOURNAL_BYTES <= STATE_BYTES, "all of it");

struct state {
	char *memory;
	uint64_t was_read;
	uint64_t generation; /* of the newest slot */
	unsigned newest;     /* slot; if generation is not 0 */
	unsigned damaged;
};

static struct state_header *header(const struct state *s)
{
	return (struct state_header *)s->memory;
}

static struct state_slot *slot(const struct state *s, unsigned i)
{
	return (struct state_slot *)(s->memory + STATE_SLOTS + (size_t)i * STATE_SLOT_BYTES);
}

static uint32_t checksum(const struct state_slot *from, const void *bytes)
{
	struct state_slot head = *from;
	uLong crc = crc32(0, NULL, 0);

	head.crc = 0;
	crc = crc32(crc, (const Bytef *)&head, sizeof(head));
	return (uint32_t)crc32(crc, bytes, head.len);
}

static bool is_whole(const struct state_slot *s)
{
	return s->magic == STATE_MAGIC && s->version == STATE_VERSION && s->len <= STATE_MARK_MAX &&
	       s->generation && s->crc == checksum(s, s + 1);
}

/* Either is nothing yet, or the memory says what it is. */
static bool is_zero(const void *memory, size_t size)
{
	const char *p = memory;

	return !*p && !memcmp(p, p + 1, size - 1);
}

/* Nothing was ever in it, or its writer ended before it was done. */
static bool is_unwritten(const struct state_slot *s)
{
	return !s->generation && (!s->magic || s->magic == STATE_MAGIC);
}

static void look_at_slots(struct state *s)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct state_slot *at = slot(s, i);

		if (is_whole(at)) {
			if (at->generation > s->generation) {
				s->generation = at->generation;
				s->newest = i;
			}
		} else if (!is_unwritten(at)) {
			s->damaged++;
		}
	}
}

int state__new(struct state **ret, void *memory, size_t size, enum state_found *ret_found)
{
	struct state_header *h = memory;
	enum state_found found = STATE_KEPT;
	struct state *s;

	if (size < STATE_BYTES)
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->memory = memory;
	if (h->magic != STATE_MAGIC || h->version != STATE_VERSION) {
		found = is_zero(memory, STATE_SLOTS) ? STATE_EMPTY : STATE_FOREIGN;
		if (found == STATE_FOREIGN)
			memset(memory, 0, STATE_BYTES);
		h->version = STATE_VERSION;
		atomic_signal_fence(memory_order_release);
		h->magic = STATE_MAGIC;
	}
	s->was_read = h->read_pos;
	look_at_slots(s);
	*ret = s;
	*ret_found = found;
	return 0;
}

void state__free(struct state *s)
{
	free(s);
}

void state__own(struct state *s, uint32_t pid, uint64_t start_ns)
{
	struct state_header *h = header(s);

	h->owner_start_ns = start_ns;
	h->owner_pid = pid;
	h->generation++;
}

uint64_t state__was_read(const struct state *s)
{
	return s->was_read;
}

/* Never backwards: what is read again had been read by then, and may have left. */
void state__read(struct state *s, uint64_t position)
{
	struct state_header *h = header(s);

	if (position > h->read_pos)
		__atomic_store_n(&h->read_pos, position, __ATOMIC_RELAXED);
}

void state__forget_read(struct state *s)
{
	s->was_read = 0;
	__atomic_store_n(&header(s)->read_pos, 0, __ATOMIC_RELAXED);
}

int state__newest(const struct state *s, struct state_mark *ret)
{
	const struct state_slot *at = slot(s, s->newest);

	if (!s->generation)
		return -ENOENT;
	*ret = (struct state_mark){.position = at->position, .bytes = at + 1, .len = at->len};
	return 0;
}

void state__discard(struct state *s, const struct state_mark *m)
{
	for (unsigned i = 0; i < 2; i++)
		if (m->bytes == slot(s, i) + 1)
			memset(slot(s, i), 0, sizeof(struct state_slot));
	s->generation = 0;
	look_at_slots(s);
}

/* The generation goes first and comes last: in between there is nothing in the slot. */
int state__save(struct state *s, uint64_t position, const void *bytes, size_t len)
{
	unsigned i = s->generation ? !s->newest : 0;
	struct state_slot *to = slot(s, i);
	struct state_slot head = {
		.magic = STATE_MAGIC,
		.version = STATE_VERSION,
		.len = (uint32_t)len,
		.generation = s->generation + 1,
		.position = position,
	};

	if (len > STATE_MARK_MAX)
		return -ENOSPC;
	__atomic_store_n(&to->generation, 0, __ATOMIC_RELEASE);
	atomic_signal_fence(memory_order_seq_cst);
	if (len)
		memcpy(to + 1, bytes, len);
	head.crc = checksum(&head, to + 1);
	*to = (struct state_slot){.magic = head.magic,
				  .version = head.version,
				  .len = head.len,
				  .position = head.position,
				  .crc = head.crc};
	__atomic_store_n(&to->generation, head.generation, __ATOMIC_RELEASE);
	s->generation = head.generation;
	s->newest = i;
	return 0;
}

unsigned state__damaged(const struct state *s)
{
	return s->damaged;
}

void *state__journal(struct state *s, unsigned half)
{
	return s->memory + STATE_JOURNALS + (size_t)half * STATE_JOURNAL_BYTES;
}
