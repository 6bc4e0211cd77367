/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heads are read through a window, since records may be small and many. Behind something that is no
 * record every place where one could begin is looked at, for the salt that nobody else knows.
 */
#include "spool/segment.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <zlib.h>

#define WINDOW_BYTES (8u * 1024)

/* `len` bytes at `offset`, or NULL and *ret_err: -ENODATA where the file is shorter. */
static const char *look(struct segment_reader *r, uint64_t offset, size_t len, int *ret_err)
{
	size_t wanted = MAX(len, (size_t)WINDOW_BYTES);
	ssize_t n;

	if (offset > r->end || len > r->end - offset) {
		*ret_err = -ENODATA;
		return NULL;
	}
	if (offset >= r->window_offset && offset + len <= r->window_offset + r->window.len)
		return r->window.data + (offset - r->window_offset);
	r->window.len = 0;
	*ret_err = buf__reserve(&r->window, wanted);
	if (*ret_err)
		return NULL;
	n = spool_io__read(r->io, r->fd, r->window.data, MIN(wanted, r->end - offset), offset);
	if (n < (ssize_t)len) {
		*ret_err = n < 0 ? (int)n : -ENODATA;
		return NULL;
	}
	r->window.len = (size_t)n;
	r->window_offset = offset;
	return r->window.data;
}

/* From the first record, or the tail, where the head does not say. */
static int find_salt(struct segment_reader *r)
{
	struct disk_record record;
	struct disk_tail tail;
	const char *bytes, *rest;
	int err;

	bytes = look(r, sizeof(struct disk_segment), sizeof(record), &err);
	if (bytes) {
		memcpy(&record, bytes, sizeof(record));
		r->salt = record.salt;
		r->offset = sizeof(struct disk_segment);
		if (format__plausible(&record, record.salt)) {
			rest = look(r, r->offset + sizeof(record), format__rest_len(&record), &err);
			if (rest && format__check_head(&record, rest))
				return 0;
		}
	}
	bytes = r->end < sizeof(tail) ? NULL : look(r, r->end - sizeof(tail), sizeof(tail), &err);
	if (!bytes)
		return err == -ENOMEM ? err : -EBADMSG;
	memcpy(&tail, bytes, sizeof(tail));
	r->salt = tail.salt;
	return format__check_tail(&tail) ? 0 : -EBADMSG;
}

int segment_reader__open(struct segment_reader *ret, const struct spool_io *io, int fd)
{
	struct segment_reader r = {.io = io, .fd = fd, .offset = sizeof(struct disk_segment)};
	struct disk_segment head;
	const char *bytes;
	struct stat st;
	int err = 0;

	if (fstat(fd, &st))
		return -errno;
	r.end = (uint64_t)st.st_size;
	bytes = look(&r, 0, sizeof(head), &err);
	if (bytes) {
		memcpy(&head, bytes, sizeof(head));
		r.salt = head.salt;
		err = format__check_segment(&head);
		if (err == -EBADMSG) {
			r.damaged = true;
			err = find_salt(&r);
			r.offset = sizeof(head);
		}
	}
	if (err) {
		buf__free(&r.window);
		return err;
	}
	*ret = r;
	return 0;
}

void segment_reader__close(struct segment_reader *r)
{
	buf__free(&r->window);
}

/* 0; -EBADMSG: no record; -ENODATA: the file ends in it. */
static int head_at(struct segment_reader *r, uint64_t offset, struct disk_record *ret,
		   const char **ret_rest)
{
	const char *bytes, *rest;
	int err = 0;

	bytes = look(r, offset, sizeof(*ret), &err);
	if (!bytes)
		return err;
	memcpy(ret, bytes, sizeof(*ret));
	if (!format__plausible(ret, r->salt))
		return -EBADMSG;
	rest = look(r, offset + sizeof(*ret), format__rest_len(ret), &err);
	if (!rest)
		return err;
	if (!format__check_head(ret, rest))
		return -EBADMSG;
	if (format__record_len(ret) > r->end - offset)
		return -ENODATA;
	*ret_rest = rest;
	return 0;
}

/* Somewhere behind r->offset. */
static int find_head(struct segment_reader *r, struct disk_record *ret, const char **ret_rest)
{
	int err;

	for (uint64_t at = format__align(r->offset + 1); at + sizeof(*ret) <= r->end;
	     at += FORMAT_ALIGN) {
		err = head_at(r, at, ret, ret_rest);
		if (!err)
			r->offset = at;
		if (err != -EBADMSG && err != -ENODATA)
			return err;
	}
	r->offset = r->end;
	return -ENODATA;
}

int segment_reader__head(struct segment_reader *r, struct disk_record *ret, const char **ret_rest)
{
	int err;

	if (r->offset >= r->end)
		return -ENODATA;
	err = head_at(r, r->offset, ret, ret_rest);
	if (err == -ENODATA || err == -EBADMSG) {
		/* What ends within a record is one that was not finished, or a length that lies. */
		bool torn = err == -ENODATA;

		err = find_head(r, ret, ret_rest);
		if (torn && err == -ENODATA)
			r->torn = true;
		else
			r->damaged = true;
	}
	if (!err && ret->kind == RECORD_SUMMARY) {
		r->offset = r->end;
		return -ENODATA;
	}
	return err;
}

void segment_reader__skip(struct segment_reader *r, const struct disk_record *head)
{
	r->offset += format__record_len(head);
}

int segment_reader__payload(struct segment_reader *r, const struct disk_record *head, char *ret)
{
	uint64_t offset = r->offset + format__head_len(head);
	ssize_t n = spool_io__read(r->io, r->fd, ret, head->payload_len, offset);

	if (n < 0)
		return (int)n;
	if ((size_t)n < head->payload_len ||
	    (head->payload_len &&
	     crc32_z(0, (const void *)ret, head->payload_len) != head->payload_crc))
		return -EBADMSG;
	return 0;
}

static void count(struct disk_summary *s, const struct disk_record *head)
{
	struct spool_count *c = head->kind == RECORD_GAP ? &s->gaps : &s->batches;

	c->batches++;
	c->lines += head->lines;
	c->bytes += head->payload_len;
	if (!s->first_id || head->first_id < s->first_id)
		s->first_id = head->first_id;
	if (head->id > s->last_id)
		s->last_id = head->id;
	if (head->oldest_ns && (!s->oldest_ns || head->oldest_ns < s->oldest_ns))
		s->oldest_ns = head->oldest_ns;
	if (head->newest_ns > s->newest_ns)
		s->newest_ns = head->newest_ns;
}

static int put_streams(struct stream_map *streams, const struct disk_record *head, const char *rest,
		       uint64_t id)
{
	int err = 0;

	for (size_t i = 0; streams && i < head->n_streams && !err; i++) {
		uint64_t hash;

		memcpy(&hash, rest + i * sizeof(hash), sizeof(hash));
		err = stream_map__put(streams, hash, id);
	}
	return err;
}

/* By the summary. -ENODATA: there is none of use. */
static int scan_summary(struct segment_reader *r, uint64_t low, struct segment_scan *ret,
			struct stream_map *streams)
{
	struct disk_summary s;
	struct disk_record head;
	struct disk_tail tail;
	const char *bytes, *rest;
	int err = 0;

	bytes = r->end < sizeof(tail) ? NULL : look(r, r->end - sizeof(tail), sizeof(tail), &err);
	if (!bytes)
		return err ? err : -ENODATA;
	memcpy(&tail, bytes, sizeof(tail));
	if (!format__check_tail(&tail) || tail.salt != r->salt || tail.summary < r->offset ||
	    tail.summary % FORMAT_ALIGN)
		return -ENODATA;
	err = head_at(r, tail.summary, &head, &rest);
	if (err)
		return err == -EBADMSG ? -ENODATA : err;
	if (head.kind != RECORD_SUMMARY || head.payload_len != sizeof(s))
		return -ENODATA;
	r->offset = tail.summary;
	err = segment_reader__payload(r, &head, (char *)&s);
	r->offset = sizeof(struct disk_segment);
	if (err)
		return err == -EBADMSG ? -ENODATA : err;
	if (s.first_id < low && s.last_id >= low)
		return -ENODATA;
	ret->summary = s;
	ret->end = tail.summary;
	return put_streams(streams, &head, rest, s.last_id);
}

static int scan_records(struct segment_reader *r, uint64_t low, struct segment_scan *ret,
			struct stream_map *streams)
{
	struct disk_record head;
	const char *rest;
	int err;

	*ret = (struct segment_scan){.end = r->offset};
	while (!(err = segment_reader__head(r, &head, &rest))) {
		if (head.id >= low) {
			count(&ret->summary, &head);
			err = put_streams(streams, &head, rest, head.id);
			if (err)
				return err;
		}
		segment_reader__skip(r, &head);
		ret->end = r->offset;
	}
	return err == -ENODATA ? 0 : err;
}

int segment__scan(const struct spool_io *io, int fd, uint64_t low, struct segment_scan *ret,
		  struct stream_map *streams)
{
	struct segment_reader r;
	int err = segment_reader__open(&r, io, fd);

	if (err)
		return err;
	*ret = (struct segment_scan){0};
	err = scan_summary(&r, low, ret, streams);
	if (err == -ENODATA)
		err = scan_records(&r, low, ret, streams);
	ret->damaged = r.damaged;
	ret->torn = r.torn;
	segment_reader__close(&r);
	return err;
}
