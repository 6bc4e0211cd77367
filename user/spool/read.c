/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A queue, read from its first segment on, head by head. A segment goes when it is read to its end
 * and none of its records is out. What it should have held then and did not was lost to damage.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <utlist.h>

#include "base/log.h"
#include "spool/internal.h"

int store_queue__open_reader(struct store_queue *q, struct segment *s)
{
	char name[NAME_LEN];
	struct stat st;
	int err;

	segment__name(name, s);
	q->reading_fd = openat(q->dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (q->reading_fd < 0)
		return -errno;
	if (fstat(q->reading_fd, &st))
		err = -errno;
	else
		err = S_ISREG(st.st_mode)
			      ? segment_reader__open(&q->reader, q->store->opts.io, q->reading_fd)
			      : -EBADMSG;
	if (err) {
		close_p(&q->reading_fd);
		q->reading_fd = -1;
		return err;
	}
	if (s->begin)
		q->reader.offset = s->begin;
	q->reading = s;
	return 0;
}

/* The segment that is next, opened. -ENODATA: none. */
static int open_next(struct store_queue *q)
{
	struct segment *s, *next;
	int err;

	DL_FOREACH_SAFE (q->segments, s, next) {
		if (s->read)
			continue;
		err = store_queue__open_reader(q, s);
		if (!err || err == -ENOMEM || err == -EMFILE || err == -ENFILE)
			return err;
		s->read = true;
		if (err == -ENOENT) {
			store_queue__lose(q, s, SPOOL_LOSS_REMOVED);
			store_queue__forget(q, s);
			continue;
		}
		store_queue__damaged(q, s, store_queue__describe(err));
		if (s == q->active)
			store_queue__close_active(q);
		store_queue__discard_if_done(q, s);
	}
	return -ENODATA;
}

static struct item *make_item(const struct disk_record *head, const char *rest)
{
	size_t streams = head->n_streams * sizeof(uint64_t);
	size_t bytes = streams + head->payload_len + head->tenant_len + 1;
	struct item *item = malloc(sizeof(*item) + bytes);
	char *payload, *tenant;

	if (!item)
		return NULL;
	payload = item->data + streams;
	tenant = payload + head->payload_len;
	memcpy(item->data, rest, streams);
	memcpy(tenant, rest + streams, head->tenant_len);
	tenant[head->tenant_len] = '\0';
	*item = (struct item){
		.record =
			{
				.payload = payload,
				.len = head->payload_len,
				.tenant = head->tenant_len ? tenant : NULL,
				.sequence = head->sequence,
				.lines = head->lines,
				.log_bytes = head->log_bytes,
				.raw_bytes = head->raw_bytes,
				.oldest_ns = head->oldest_ns,
				.newest_ns = head->newest_ns,
				.streams = (const uint64_t *)(const void *)item->data,
				.n_streams = head->n_streams,
				.id = head->id,
				.gap = head->kind == RECORD_GAP,
			},
		.first_id = head->first_id,
		.memory_bytes = sizeof(*item) + bytes,
	};
	return item;
}

/* The head is sound and its payload is not. */
static void lose_record(struct store_queue *q, struct segment *s, const struct disk_record *head)
{
	struct spool_count lost = {1, head->lines, head->payload_len};

	store_queue__damaged(q, s, "a record is damaged");
	if (head->kind == RECORD_GAP) {
		spool_count__sub(&s->held_gaps, &lost);
		return;
	}
	spool_count__sub(&s->held, &lost);
	spool_count__add(&q->memory->stats.lost[SPOOL_LOSS_CORRUPT], &lost);
	log_error("spool: %s/%s: %llu lines lost: their record is damaged", q->store->path, q->name,
		  (unsigned long long)lost.lines);
}

/* The reader stands before the next record that is not consumed, or -ENODATA at the end of
 * q->reading. */
static int next_head(struct store_queue *q, struct disk_record *ret, const char **ret_rest)
{
	struct segment *s = q->reading;
	int err;

	q->reader.end = s->size;
	while (!(err = segment_reader__head(&q->reader, ret, ret_rest)) && ret->id < q->start_low)
		segment_reader__skip(&q->reader, ret);
	if (q->reader.damaged)
		store_queue__damaged(q, s, "damaged");
	if (q->reader.torn && s != q->active)
		store_queue__damaged(q, s, "it ends within a record");
	return err;
}

/* -EAGAIN: try the next one. */
static int read_record(struct store_queue *q, struct item **ret)
{
	struct segment *s = q->reading;
	struct disk_record head;
	struct item *item;
	const char *rest;
	int err = next_head(q, &head, &rest);

	if (err)
		return err;
	item = make_item(&head, rest);
	if (!item)
		return -ENOMEM;
	err = segment_reader__payload(&q->reader, &head, (char *)item->record.payload);
	segment_reader__skip(&q->reader, &head);
	q->read_id = MAX(q->read_id, head.id);
	if (err) {
		free(item);
		if (err != -EBADMSG)
			store__failed(q->store, err, "%s cannot be read", q->name);
		lose_record(q, s, &head);
		return -EAGAIN;
	}
	item->segment = s;
	s->outs++;
	DL_APPEND(q->memory->outs, item);
	*ret = item;
	return 0;
}

int store_queue__read(struct store_queue *q, struct item **ret)
{
	struct segment *s;
	int err;

	for (;;) {
		err = q->reading ? 0 : open_next(q);
		if (err)
			return err;
		s = q->reading;
		err = read_record(q, ret);
		if (!err || err == -ENOMEM)
			return err;
		if (err == -EAGAIN)
			continue;
		if (err != -ENODATA)
			store_queue__damaged(
				q, s,
				store_queue__describe(store__failed(q->store, err, "%s", q->name)));
		if (s == q->active && err == -ENODATA)
			return err;
		if (s == q->active)
			store_queue__close_active(q);
		s->read = true;
		store_queue__close_reader(q);
		store_queue__discard_if_done(q, s);
	}
}

/* All of it is consumed: nothing needs the file, and the next append makes another. */
static void retire_active(struct store_queue *q)
{
	struct segment *s = q->active;

	if (!s || q->reading != s || s->outs || q->reader.offset < s->size)
		return;
	store_queue__close_reader(q);
	q->dirty = false;
	store_queue__close_active(q);
	s->read = true;
	store_queue__discard_if_done(q, s);
}

void store_queue__consumed(struct store_queue *q, struct store_memory *memory, struct item *item)
{
	struct spool_count c = spool_count__of(&item->record);
	struct segment *s = item->segment;

	DL_DELETE(memory->outs, item);
	if (!item->record.gap)
		spool_count__add(&memory->stats.consumed, &c);
	if (s)
		spool_count__sub(item->record.gap ? &s->held_gaps : &s->held, &c);
	else if (!item->record.gap)
		spool_count__sub(&memory->orphans, &c);
	free(item);
	if (!s)
		return;
	s->outs--;
	store_queue__discard_if_done(q, s);
	retire_active(q);
}

uint64_t store_queue__low(const struct store_queue *q)
{
	const struct segment *s;

	if (q->memory->outs)
		return q->memory->outs->record.id;
	/* The gap records of a remnant have the id of the last that they are in place of. */
	DL_FOREACH (q->segments, s)
		if (!s->read && (s != q->reading || q->reader.offset < s->size))
			return s->remnant ? MIN(q->read_id + 1, s->last_id) : q->read_id + 1;
	return q->memory->next_id;
}
