/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records that wait lie behind each other in one buffer, each a struct waiting and its bytes.
 * Few streams have any at a time and they wait for microseconds at full speed, so a buffer that
 * grew is given back when it is empty.
 */
#include "assemble/attribute.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/util.h"

#define KEEP_BYTES 16384

struct waiting {
	struct chunk chunk; /* without bytes, pid and comm */
	uint64_t offset;
};

struct attribute {
	struct assembler *to;
	struct buf queue;
	uint64_t first_ns; /* of the oldest record that waits */
};

int attribute__new(struct attribute **ret, struct assembler *to)
{
	struct attribute *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->to = to;
	*ret = a;
	return 0;
}

void attribute__free(struct attribute *a)
{
	if (!a)
		return;
	buf__free(&a->queue);
	free(a);
}

void attribute__prove(struct attribute *a, uint64_t from, uint32_t pid, const char *comm)
{
	struct waiting w;

	for (size_t at = 0; at < a->queue.len; at += sizeof(w) + w.chunk.len) {
		memcpy(&w, a->queue.data + at, sizeof(w));
		w.chunk.bytes = a->queue.data + at + sizeof(w);
		if (pid && w.offset >= from) {
			w.chunk.pid = pid;
			w.chunk.comm = comm;
		}
		assembler__feed(a->to, &w.chunk);
	}
	a->queue.len = 0;
	if (a->queue.size > KEEP_BYTES)
		buf__free(&a->queue);
}

void attribute__flush(struct attribute *a)
{
	attribute__prove(a, 0, 0, NULL);
}

static int wait_for_proof(struct attribute *a, const struct chunk *chunk, uint64_t offset)
{
	struct waiting w = {.chunk = *chunk, .offset = offset};
	int err = buf__reserve(&a->queue, sizeof(w) + chunk->len);

	if (err)
		return err;
	w.chunk.pid = 0;
	w.chunk.comm = NULL;
	if (!a->queue.len)
		a->first_ns = chunk->time_ns;
	buf__append(&a->queue, &w, sizeof(w));
	buf__append(&a->queue, chunk->bytes, chunk->len);
	return 0;
}

int attribute__feed(struct attribute *a, const struct chunk *chunk,
		    const struct attribute_note *note)
{
	if (a->queue.len && chunk->time_ns >= attribute__due_ns(a))
		attribute__flush(a);
	if (note->known == NT_KNOWN_LATER) {
		if (a->queue.len + chunk->len > ATTRIBUTE_MAX_BYTES)
			attribute__flush(a);
		if (wait_for_proof(a, chunk, note->offset) == 0)
			return 0;
		attribute__flush(a);
	}
	if (a->queue.len && note->known == NT_KNOWN)
		attribute__prove(a, note->from, chunk->pid, chunk->comm);
	else if (a->queue.len)
		attribute__flush(a);
	return assembler__feed(a->to, chunk);
}

uint64_t attribute__due_ns(const struct attribute *a)
{
	return a->queue.len ? a->first_ns + ATTRIBUTE_WAIT_NS : UINT64_MAX;
}
