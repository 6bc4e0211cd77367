/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oldest segment goes. What is left of it is a small file of the same number, a remnant: the
 * records that are out (somebody is sending them just now, and a crash must not lose them) and one
 * gap record for all that was dropped. The next time a remnant is dropped along with the segment
 * behind it, so that there is one at most, in front of everything else, and what it says adds up.
 *
 * The new file replaces the segment by rename; those before it go afterwards. A gap record says
 * from which id on it is the truth, so that what a crash leaves of them is known to be gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "spool/gap.h"
#include "spool/internal.h"

#define TELL_NS (60 * NS_PER_SEC)

struct drop {
	struct store_queue *q;
	struct segment *victim;
	bool copies; /* of what is out go, too */
	struct gap_table table;
	struct spool_count lost;
	uint64_t first_id, last_id;
	/* The new file. */
	int fd;
	uint64_t salt, size;
	uint64_t gap_at; /* where the gap records begin */
	struct spool_count held, held_gaps;
	uint64_t oldest_ns, newest_ns;
	unsigned outs;
};

static int lose_record(struct drop *d, const struct disk_record *head, const char *rest)
{
	struct segment_reader *reader = &d->q->reader;
	_buf_ struct buf payload = {0}, tenant = {0};
	struct spool_count lost = {1, head->lines, head->payload_len};
	struct spool_record r = {
		.lines = head->lines, .len = head->payload_len, .gap = head->kind == RECORD_GAP};
	int err;

	err = buf__reserve(&payload, head->payload_len + 1);
	if (!err)
		err = buf__append(&tenant, rest + head->n_streams * sizeof(uint64_t),
				  head->tenant_len);
	if (!err)
		err = buf__append(&tenant, "", 1);
	if (!err)
		err = segment_reader__payload(reader, head, payload.data);
	segment_reader__skip(reader, head);
	d->q->read_id = MAX(d->q->read_id, head->id);
	if (err)
		return err;
	r.payload = payload.data;
	r.tenant = head->tenant_len ? tenant.data : NULL;
	gap_table__add(&d->table, &r);
	d->last_id = MAX(d->last_id, head->id);
	if (!r.gap)
		spool_count__add(&d->lost, &lost);
	return 0;
}

/* What of `s` was not returned yet. */
static void lose_segment(struct drop *d, struct segment *s)
{
	struct spool_count lost, unreadable = s->held;
	struct store_queue *q = d->q;
	struct disk_record head;
	const struct item *i;
	const char *rest;

	d->lost = (struct spool_count){0};
	if (!s->read && (q->reading == s || !store_queue__open_reader(q, s))) {
		q->reader.end = s->size;
		while (!segment_reader__head(&q->reader, &head, &rest)) {
			if (head.id < q->start_low)
				segment_reader__skip(&q->reader, &head);
			else
				lose_record(d, &head, rest);
		}
		store_queue__close_reader(q);
	}
	lost = d->lost;
	DL_FOREACH (q->memory->outs, i) {
		struct spool_count c = spool_count__of(&i->record);

		if (i->segment == s && !i->record.gap)
			spool_count__sub(&unreadable, &c);
	}
	spool_count__sub(&unreadable, &lost);
	spool_count__add(&q->memory->stats.lost[SPOOL_LOSS_FULL], &lost);
	spool_count__add(&q->memory->stats.lost[SPOOL_LOSS_CORRUPT], &unreadable);
	s->held = (struct spool_count){0};
	if (!d->first_id || (s->first_id && s->first_id < d->first_id))
		d->first_id = s->first_id;
	d->last_id = MAX(d->last_id, s->last_id);
}

static int put_record(struct drop *d, const struct spool_record *r, uint64_t id, uint64_t first_id)
{
	struct disk_record head = {.kind = r->gap ? RECORD_GAP : RECORD_BATCH,
				   .salt = d->salt,
				   .id = id,
				   .first_id = first_id};
	struct spool_count c = spool_count__of(r);
	int err = store_queue__put(d->q, d->fd, &d->size, &head, r);

	if (err)
		return err;
	spool_count__add(r->gap ? &d->held_gaps : &d->held, &c);
	if (r->oldest_ns && (!d->oldest_ns || r->oldest_ns < d->oldest_ns))
		d->oldest_ns = r->oldest_ns;
	d->newest_ns = MAX(d->newest_ns, r->newest_ns);
	return 0;
}

static int put_gap(void *ctx, const struct spool_record *r)
{
	struct drop *d = ctx;

	return put_record(d, r, d->last_id, d->first_id);
}

static bool is_source(const struct drop *d, const struct segment *s)
{
	return s && s->number <= d->victim->number;
}

/* The new file, as NAME.new. */
static int write_remnant(struct drop *d, const char *name)
{
	struct store_queue *q = d->q;
	struct item *i;
	int err = 0;

	unlinkat(q->dirfd, name, 0);
	d->held = d->held_gaps = (struct spool_count){0};
	d->outs = 0;
	d->fd = store_queue__begin_file(q, name, d->victim->number, &d->salt);
	if (d->fd < 0)
		return d->fd;
	d->size = sizeof(struct disk_segment);
	DL_FOREACH (q->memory->outs, i) {
		if (err || d->copies || !is_source(d, i->segment))
			continue;
		err = put_record(d, &i->record, i->record.id, i->first_id);
		d->outs++;
	}
	d->gap_at = d->size;
	if (!err)
		err = gap_table__records(&d->table, put_gap, d);
	close_p(&d->fd);
	if (err)
		unlinkat(q->dirfd, name, 0);
	return err;
}

static void remove_files(struct drop *d, bool victim_too)
{
	struct segment *s, *next;
	char name[NAME_LEN];

	DL_FOREACH_SAFE (d->q->segments, s, next) {
		if (!is_source(d, s) || (s == d->victim && !victim_too))
			continue;
		store__name(name, sizeof(name), s->number, ".seg");
		unlinkat(d->q->dirfd, name, 0);
		if (s != d->victim)
			store_queue__forget(d->q, s);
	}
}

/* The victim is the remnant from now on. */
static void take_over(struct drop *d)
{
	struct store_queue *q = d->q;
	struct segment *s = d->victim;
	struct item *i;

	DL_FOREACH (q->memory->outs, i) {
		struct spool_count c = spool_count__of(&i->record);

		if (!is_source(d, i->segment))
			continue;
		i->segment = d->copies ? NULL : s;
		if (d->copies && !i->record.gap)
			spool_count__add(&q->memory->orphans, &c);
	}
	q->store->used += d->size - s->size;
	*s = (struct segment){
		.number = s->number,
		.size = d->size,
		.begin = d->gap_at,
		.first_id = d->first_id,
		.last_id = d->last_id,
		.held = d->held,
		.held_gaps = d->held_gaps,
		.oldest_ns = d->oldest_ns,
		.newest_ns = d->newest_ns,
		.outs = d->outs,
		.remnant = true,
		.prev = s->prev,
		.next = s->next,
	};
	spool_count__add(&q->memory->stats.gaps, &d->held_gaps);
}

static void replace(struct drop *d)
{
	char name[NAME_LEN], next[NAME_LEN];
	struct store_queue *q = d->q;
	int err;

	store__name(name, sizeof(name), d->victim->number, ".seg");
	store__name(next, sizeof(next), d->victim->number, ".new");
	err = write_remnant(d, next);
	if (err) {
		/* The disk may be full, too, and now it has room. */
		remove_files(d, true);
		err = write_remnant(d, next);
	}
	if (!err && renameat(q->dirfd, next, q->dirfd, name))
		err = -errno;
	if (err) {
		store__failed(q->store, err, "%s: no gap record for what was dropped", q->name);
		remove_files(d, true);
		store_queue__forget(q, d->victim);
		return;
	}
	take_over(d);
	remove_files(d, false);
	if (d->outs || d->held_gaps.batches)
		return;
	unlinkat(q->dirfd, name, 0);
	store_queue__forget(q, d->victim);
}

/* The first that nobody has read to its end; a remnant goes with the one behind it. With `copies`
 * the last before that one, if there is any. */
static struct segment *find_victim(const struct store_queue *q, bool copies)
{
	struct segment *s, *before = NULL;

	DL_FOREACH (q->segments, s) {
		if (!s->remnant && !s->read)
			break;
		before = s;
	}
	return copies && before ? before : s;
}

/* Each time would be often. */
static void tell(struct store_queue *q, uint64_t lines)
{
	struct store *s = q->store;
	uint64_t now_ns = clock__boot_ns();

	s->dropped_lines += lines;
	if (!s->dropped_lines || (s->dropped_told_ns && now_ns - s->dropped_told_ns < TELL_NS))
		return;
	log_warn("spool: %s is full: %" PRIu64 " lines, the oldest, are dropped", s->path,
		 s->dropped_lines);
	s->dropped_lines = 0;
	s->dropped_told_ns = now_ns;
}

int store_queue__drop(struct store_queue *q, bool copies)
{
	struct drop d = {.q = q, .victim = find_victim(q, copies), .copies = copies, .fd = -1};
	uint64_t lines = q->memory->stats.lost[SPOOL_LOSS_FULL].lines;
	struct segment *s;

	if (!d.victim)
		return -ENOSPC;
	if (d.victim == q->active)
		store_queue__close_active(q);
	DL_FOREACH (q->segments, s)
		if (is_source(&d, s))
			lose_segment(&d, s);
	replace(&d);
	gap_table__free(&d.table);
	tell(q, q->memory->stats.lost[SPOOL_LOSS_FULL].lines - lines);
	return 0;
}

/* Of those that have not been found of no use. */
static struct store_queue *largest(struct store *s)
{
	struct store_queue *q, *found = NULL;
	uint64_t bytes, most = 0;

	DL_FOREACH (s->queues, q) {
		bytes = q->exhausted ? 0 : store_queue__file_bytes(q);
		if (bytes <= most)
			continue;
		most = bytes;
		found = q;
	}
	return found;
}

/* Their copies are no use where they are most of it: newer records would have no room. */
static uint64_t out_bytes(const struct store *s)
{
	const struct store_queue *q;
	const struct item *i;
	uint64_t bytes = 0;

	DL_FOREACH (s->queues, q)
		DL_FOREACH (q->memory->outs, i)
			bytes += i->segment ? i->record.len : 0;
	return bytes;
}

static void forget_exhausted(struct store *s)
{
	struct store_queue *q;

	DL_FOREACH (s->queues, q)
		q->exhausted = false;
}

int store__make_room(struct store *s, uint64_t bytes)
{
	struct store_queue *q;
	bool copies = out_bytes(s) > s->opts.max_bytes / 2;

	forget_exhausted(s);
	while (s->used + bytes > s->opts.max_bytes) {
		uint64_t used = s->used;

		if (!store__drop_leftover(s) || !store__drop_aside(s))
			continue;
		q = largest(s);
		if (!q && copies)
			return -ENOBUFS;
		if (!q) {
			copies = true;
			forget_exhausted(s);
			continue;
		}
		q->exhausted = store_queue__drop(q, copies) || s->used >= used;
	}
	return 0;
}
