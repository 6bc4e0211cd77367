/* SPDX-License-Identifier: Apache-2.0 */
/* Heads and checksums; no input or output. */
#include "spool/format.h"

#include <errno.h>
#include <string.h>

#include <zlib.h>

#include "base/util.h"

#define SEGMENT_MAGIC 0x314c4f4f5053746eull /* "ntSPOOL1" */
#define RECORD_MAGIC 0x0a8d4543521a9bf3ull
#define TAIL_MAGIC 0x0a9c4c49415417d5ull
#define CURSOR_MAGIC 0x3152535543530a74ull

static uint32_t crc(uint32_t seed, const void *data, size_t len)
{
	/* zlib begins anew where there is no pointer. */
	return len ? (uint32_t)crc32_z(seed, data, len) : seed;
}

void format__segment(struct disk_segment *ret, uint64_t queue, uint64_t number, uint64_t salt)
{
	*ret = (struct disk_segment){
		.magic = SEGMENT_MAGIC,
		.version = FORMAT_VERSION,
		.salt = salt,
		.queue = queue,
		.number = number,
	};
	ret->crc = crc(0, ret, sizeof(*ret));
}

int format__check_segment(const struct disk_segment *s)
{
	struct disk_segment copy = *s;

	copy.crc = 0;
	if (s->magic != SEGMENT_MAGIC || s->crc != crc(0, &copy, sizeof(copy)))
		return -EBADMSG;
	return s->version == FORMAT_VERSION ? 0 : -EPROTO;
}

size_t format__rest_len(const struct disk_record *head)
{
	return head->n_streams * sizeof(uint64_t) + format__align(head->tenant_len);
}

size_t format__head_len(const struct disk_record *head)
{
	return sizeof(*head) + format__rest_len(head);
}

size_t format__record_len(const struct disk_record *head)
{
	return format__head_len(head) + format__align(head->payload_len);
}

bool format__plausible(const struct disk_record *head, uint64_t salt)
{
	return head->magic == RECORD_MAGIC && head->salt == salt && head->kind <= RECORD_SUMMARY &&
	       head->tenant_len <= FORMAT_TENANT_MAX && head->n_streams <= FORMAT_STREAMS_MAX &&
	       head->payload_len <= FORMAT_PAYLOAD_MAX;
}

bool format__check_head(const struct disk_record *head, const void *rest)
{
	struct disk_record copy = *head;
	uint32_t sum;

	copy.head_crc = 0;
	sum = crc(0, &copy, sizeof(copy));
	return head->head_crc == crc(sum, rest, format__rest_len(head)) && head->id &&
	       head->first_id && head->first_id <= head->id;
}

size_t format__record(struct disk_record *head, const struct spool_record *r,
		      struct iovec iov[FORMAT_IOV], int *ret_n)
{
	static const char FILLING[FORMAT_ALIGN];
	size_t tenant_len = r->tenant ? strlen(r->tenant) : 0;
	struct iovec pieces[FORMAT_IOV];
	int n = 0;

	head->magic = RECORD_MAGIC;
	head->head_crc = 0;
	head->payload_crc = crc(0, r->payload, r->len);
	head->tenant_len = (uint32_t)tenant_len;
	head->n_streams = (uint32_t)r->n_streams;
	head->payload_len = (uint32_t)r->len;
	head->sequence = r->sequence;
	head->lines = r->lines;
	head->log_bytes = r->log_bytes;
	head->raw_bytes = r->raw_bytes;
	head->oldest_ns = r->oldest_ns;
	head->newest_ns = r->newest_ns;
	pieces[0] = (struct iovec){head, sizeof(*head)};
	pieces[1] = (struct iovec){(void *)r->streams, r->n_streams * sizeof(*r->streams)};
	pieces[2] = (struct iovec){(void *)r->tenant, tenant_len};
	pieces[3] = (struct iovec){(void *)FILLING, format__align(tenant_len) - tenant_len};
	pieces[4] = (struct iovec){(void *)r->payload, r->len};
	pieces[5] = (struct iovec){(void *)FILLING, format__align(r->len) - r->len};
	for (int i = 0; i < 4; i++)
		if (pieces[i].iov_len)
			head->head_crc = crc(head->head_crc, pieces[i].iov_base, pieces[i].iov_len);
	for (int i = 0; i < FORMAT_IOV; i++)
		if (pieces[i].iov_len)
			iov[n++] = pieces[i];
	*ret_n = n;
	return format__record_len(head);
}

void format__tail(struct disk_tail *ret, uint64_t salt, uint64_t summary)
{
	*ret = (struct disk_tail){.magic = TAIL_MAGIC, .salt = salt, .summary = summary};
	ret->crc = crc(0, ret, sizeof(*ret));
}

bool format__check_tail(const struct disk_tail *t)
{
	struct disk_tail copy = *t;

	copy.crc = 0;
	return t->magic == TAIL_MAGIC && t->crc == crc(0, &copy, sizeof(copy));
}

void format__cursor(struct disk_cursor *ret, uint64_t queue, uint64_t low, uint64_t end)
{
	*ret = (struct disk_cursor){.magic = CURSOR_MAGIC,
				    .version = FORMAT_VERSION,
				    .queue = queue,
				    .low = low,
				    .end = end};
	ret->crc = crc(0, ret, sizeof(*ret));
}

int format__check_cursor(const struct disk_cursor *c, uint64_t queue)
{
	struct disk_cursor copy = *c;

	copy.crc = 0;
	if (c->magic != CURSOR_MAGIC || c->crc != crc(0, &copy, sizeof(copy)))
		return -EBADMSG;
	if (c->version != FORMAT_VERSION)
		return -EPROTO;
	return c->queue == queue ? 0 : -ESTALE;
}
