/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A BPF ring buffer is three mappings of one file: the consumer's page (ours to write), the
 * producer's page and the data, mapped twice in a row so that a record never wraps in memory.
 * Positions only grow; position & mask is the offset. A record is an 8-byte head (length with two
 * flag bits, page offset) and its payload, rounded up to 8 bytes.
 *
 * The kernel reserves under a lock, moves the producer's position, and clears BUSY when the record
 * is submitted: the acquire load of the head pairs with that store. Reading stops at the first BUSY
 * head, since records are committed out of order but must be read in order.
 */
#include "capture/ring.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/bpf.h>

#include "base/util.h"

struct ring {
	const uint8_t *data;
	size_t size_bytes;
	uint64_t mask;
	uint64_t *consumer_pos;
	const uint64_t *producer_pos;
	uint64_t position;

	/* Our mappings; NULL when the memory is the caller's. */
	void *consumer_map;
	void *producer_map;
	size_t page_bytes;
};

static bool size_valid(size_t size_bytes)
{
	return size_bytes >= BPF_RINGBUF_HDR_SZ && (size_bytes & (size_bytes - 1)) == 0;
}

int ring__new_memory(struct ring **ret, void *data, size_t size_bytes, uint64_t *consumer_pos,
		     const uint64_t *producer_pos)
{
	struct ring *r;

	if (!size_valid(size_bytes))
		return -EINVAL;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->data = data;
	r->size_bytes = size_bytes;
	r->mask = size_bytes - 1;
	r->consumer_pos = consumer_pos;
	r->producer_pos = producer_pos;
	r->position = __atomic_load_n(consumer_pos, __ATOMIC_ACQUIRE);
	*ret = r;
	return 0;
}

int ring__new(struct ring **ret, int map_fd, size_t size_bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *consumer, *producer;
	int r;

	if (!size_valid(size_bytes) || size_bytes % page)
		return -EINVAL;
	consumer = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
	if (consumer == MAP_FAILED)
		return -errno;
	producer = mmap(NULL, page + 2 * size_bytes, PROT_READ, MAP_SHARED, map_fd, (off_t)page);
	if (producer == MAP_FAILED) {
		r = -errno;
		munmap(consumer, page);
		return r;
	}

	r = ring__new_memory(ret, (uint8_t *)producer + page, size_bytes, consumer, producer);
	if (r < 0) {
		munmap(producer, page + 2 * size_bytes);
		munmap(consumer, page);
		return r;
	}
	(*ret)->consumer_map = consumer;
	(*ret)->producer_map = producer;
	(*ret)->page_bytes = page;
	return 0;
}

void ring__free(struct ring *r)
{
	if (!r)
		return;
	if (r->consumer_map)
		munmap(r->consumer_map, r->page_bytes);
	if (r->producer_map)
		munmap(r->producer_map, r->page_bytes + 2 * r->size_bytes);
	free(r);
}

int ring__seek(struct ring *r, uint64_t pos)
{
	if (pos < ring__committed(r) || pos > ring__producer(r) || pos % 8)
		return -EINVAL;
	r->position = pos;
	return 0;
}

uint64_t ring__position(const struct ring *r)
{
	return r->position;
}

uint64_t ring__producer(const struct ring *r)
{
	return __atomic_load_n(r->producer_pos, __ATOMIC_ACQUIRE);
}

uint64_t ring__committed(const struct ring *r)
{
	return __atomic_load_n(r->consumer_pos, __ATOMIC_RELAXED);
}

int64_t ring__read(struct ring *r, size_t max_bytes, ring_fn fn, void *ctx, uint64_t *ret_skipped)
{
	uint64_t start = r->position, producer = ring__producer(r);

	while (r->position < producer && r->position - start < max_bytes) {
		const uint8_t *head = r->data + (r->position & r->mask);
		uint32_t word = __atomic_load_n((const uint32_t *)head, __ATOMIC_ACQUIRE);
		uint32_t len = word & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
		uint64_t pos = r->position,
			 total = ((uint64_t)len + BPF_RINGBUF_HDR_SZ + 7) & ~7ull;

		if (word & BPF_RINGBUF_BUSY_BIT)
			break;
		if (total > producer - pos || total > r->size_bytes) {
			*ret_skipped = producer - pos;
			r->position = producer;
			return -EBADMSG;
		}
		r->position = pos + total;
		if (!(word & BPF_RINGBUF_DISCARD_BIT))
			fn(ctx, pos, r->position, head + BPF_RINGBUF_HDR_SZ, len);
	}
	return (int64_t)(r->position - start);
}

void ring__commit(struct ring *r, uint64_t pos)
{
	if (pos > r->position)
		pos = r->position;
	if (pos > ring__committed(r))
		__atomic_store_n(r->consumer_pos, pos, __ATOMIC_RELEASE);
}

size_t ring__used(const struct ring *r)
{
	return (size_t)(ring__producer(r) - ring__committed(r));
}
