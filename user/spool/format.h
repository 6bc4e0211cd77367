/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is in the spool's files. A segment: its head, records, and when it is full a summary of them
 * (a record too) and a tail that says where. All in the machine's byte order; a file from one with
 * another order has no magic here.
 *
 * A record has two checksums, so that what is damaged in its payload does not hide where the next
 * one begins. It also has the segment's random salt: the bytes of a payload are the containers'
 * own, and none of them must be taken for a record where one is looked for behind a damage.
 */
#ifndef NOTAIL_SPOOL_FORMAT_H
#define NOTAIL_SPOOL_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "spool/spool.h"
#include "spool/stream_map.h"

#define FORMAT_VERSION 1
#define FORMAT_ALIGN 8u
#define FORMAT_TENANT_MAX 1024u
#define FORMAT_STREAMS_MAX 65536u
#define FORMAT_PAYLOAD_MAX (256u << 20)

struct disk_segment {
	uint64_t magic;
	uint32_t crc; /* of all of it, this 0 */
	uint32_t version;
	uint64_t salt;
	uint64_t queue; /* whose it is */
	uint64_t number;
	uint64_t reserved[3];
};

enum record_kind { RECORD_BATCH, RECORD_GAP, RECORD_SUMMARY };

/* Behind it the streams, the tenant, filled up, the payload, filled up. */
struct disk_record {
	uint64_t magic;
	uint64_t salt;
	uint32_t head_crc; /* of this, with 0 here, the streams and the tenant with its filling */
	uint32_t payload_crc;
	uint32_t kind;
	uint32_t tenant_len; /* 0: the client's */
	uint32_t n_streams;
	uint32_t payload_len;
	uint64_t id;
	uint64_t first_id; /* a gap's: the first that it is in place of */
	uint64_t sequence;
	uint64_t lines, log_bytes, raw_bytes;
	uint64_t oldest_ns, newest_ns;
};

struct disk_summary {
	uint64_t first_id, last_id;
	struct spool_count batches, gaps;
	uint64_t oldest_ns, newest_ns;
};

struct disk_tail {
	uint64_t magic;
	uint64_t salt;
	uint64_t summary; /* where it is in the file */
	uint32_t crc;
	uint32_t reserved;
};

/* Everything before it was acknowledged. */
struct disk_cursor {
	uint64_t magic;
	uint32_t crc;
	uint32_t version;
	uint64_t queue;
	uint64_t low; /* the least id that is still held */
	uint64_t end; /* the next one: those before it were written */
};

_Static_assert(sizeof(struct disk_segment) == 64, "layout");
_Static_assert(sizeof(struct disk_record) == 104, "layout");
_Static_assert(sizeof(struct disk_tail) == 32, "layout");
_Static_assert(sizeof(struct disk_cursor) == 40, "layout");

static inline size_t format__align(size_t n)
{
	return (n + FORMAT_ALIGN - 1) & ~(size_t)(FORMAT_ALIGN - 1);
}

void format__segment(struct disk_segment *ret, uint64_t queue, uint64_t number, uint64_t salt);
/* -EBADMSG: it is none; -EPROTO: it is one of another version. */
int format__check_segment(const struct disk_segment *s);

#define FORMAT_IOV 6

/*
 * The pieces of a record in the file: `iov` borrows from all arguments. Returns its length there.
 * `head` is filled in from `r`; kind, salt, id and first_id are the caller's.
 */
size_t format__record(struct disk_record *head, const struct spool_record *r,
		      struct iovec iov[FORMAT_IOV], int *ret_n);
/* Bytes of streams and tenant behind the head. */
size_t format__rest_len(const struct disk_record *head);
/* Of head and rest. */
size_t format__head_len(const struct disk_record *head);
/* Of all. */
size_t format__record_len(const struct disk_record *head);
/* Its lengths are possible ones and its magic and salt right: there is a rest to read. */
bool format__plausible(const struct disk_record *head, uint64_t salt);
/* `rest`: what format__rest_len says. */
bool format__check_head(const struct disk_record *head, const void *rest);

void format__tail(struct disk_tail *ret, uint64_t salt, uint64_t summary);
bool format__check_tail(const struct disk_tail *t);
void format__cursor(struct disk_cursor *ret, uint64_t queue, uint64_t low, uint64_t end);
/* -EBADMSG, -EPROTO as above; -ESTALE: another queue's. */
int format__check_cursor(const struct disk_cursor *c, uint64_t queue);

#endif
