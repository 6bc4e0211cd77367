/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notail's own reader of a BPF ring buffer: it walks with a private position and moves the
 * consumer's position on command only, since the ring is the write-ahead log (libbpf's
 * ring_buffer__consume moves it at each record). One thread.
 */
#ifndef NOTAIL_CAPTURE_RING_H
#define NOTAIL_CAPTURE_RING_H

#include <stddef.h>
#include <stdint.h>

struct ring;

/* Maps the ring of `map_fd`, which stays the caller's. Reading begins at the kernel's consumer
 * position. */
int ring__new(struct ring **ret, int map_fd, size_t size_bytes);
/* The same walk over memory that a test or a benchmark filled: `data` is mapped twice in a row, as
 * the kernel's is. */
int ring__new_memory(struct ring **ret, void *data, size_t size_bytes, uint64_t *consumer_pos,
		     const uint64_t *producer_pos);
void ring__free(struct ring *r);

/*
 * Calls fn for each record that is ready, up to about `max_bytes`; discarded ones are skipped.
 * `pos` is the record's position, `next` the one after it. Returns the bytes walked, or -EBADMSG
 * when a head cannot be true (the position is then set to the producer's: everything in between is
 * skipped, and its size put into *ret_skipped).
 */
typedef void (*ring_fn)(void *ctx, uint64_t pos, uint64_t next, const void *data, size_t size);
int64_t ring__read(struct ring *r, size_t max_bytes, ring_fn fn, void *ctx, uint64_t *ret_skipped);

/* Reading goes on at `pos`, where a record begins. -EINVAL: it is freed, or not written yet. */
int ring__seek(struct ring *r, uint64_t pos);
uint64_t ring__position(const struct ring *r); /* where reading goes on */
uint64_t ring__producer(const struct ring *r);
uint64_t ring__committed(const struct ring *r);
/* Frees the ring's room up to `pos`; never backwards, never past ring__position. */
void ring__commit(struct ring *r, uint64_t pos);
/* Bytes between the consumer's and the producer's positions. */
size_t ring__used(const struct ring *r);

#endif
