/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal is full: what is needed is written anew.
 *
 * An entry is needed until the ring's committed position has passed the record at which its
 * successor was made, the newest one of each file until the container is gone and that has been
 * passed. If what is needed is more than three quarters of a half, entries go that are needed
 * least: of containers that are gone, then those with a successor, then the oldest.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "state/internal.h"

size_t decisions__entry_cost(void)
{
	return journal__cost(sizeof(struct entry_record));
}

static size_t meta_cost(const struct known_meta *m)
{
	return journal__cost(sizeof(struct meta_header) + m->len);
}

/* Also what goes with it. */
static size_t cost_of(const struct entry *e)
{
	return decisions__entry_cost() + (e->meta->refs == 1 ? meta_cost(e->meta) : 0);
}

static size_t container_cost(const struct known_container *c)
{
	size_t cost = c->gone ? journal__cost(sizeof(struct gone_record)) : 0;
	const struct entry *e;

	/* A container's metadata is its own. */
	DL_FOREACH (c->entries, e) {
		const struct entry *other = c->entries;

		while (other->meta != e->meta)
			other = other->next;
		cost += decisions__entry_cost() + (other == e ? meta_cost(e->meta) : 0);
	}
	return cost;
}

static size_t total_cost(const struct decisions *d)
{
	size_t cost = (d->clock.n_before + 1) * journal__cost(sizeof(struct clock_step)) +
		      d->n_flushes * journal__cost(sizeof(*d->flushes));
	struct known_container *c;
	const struct span *s;

	for (c = d->containers; c; c = c->hh.next)
		cost += container_cost(c);
	DL_FOREACH (d->spans, s)
		cost += journal__cost(sizeof(struct span_record) + strlen(s->name));
	return cost;
}

void decisions__prune_spans(struct decisions *d)
{
	uint64_t least = d->guard;
	struct known_container *c;
	struct span *s, *next;
	const struct entry *e;

	for (c = d->containers; c; c = c->hh.next) {
		least = MIN(least, c->gone ? c->gone_guard : least);
		DL_FOREACH (c->entries, e)
			least = MIN(least, e->guard);
	}
	for (size_t i = 0; i < d->n_flushes; i++)
		least = MIN(least, d->flushes[i].guard);
	DL_FOREACH_SAFE (d->spans, s, next) {
		if (s->until <= least)
			decisions__drop_span(d, s);
	}
}

void decisions__prune_flushes(struct decisions *d)
{
	size_t n = 0;

	while (n < d->n_flushes && d->flushes[n].pos < d->committed)
		n++;
	d->n_flushes -= n;
	memmove(d->flushes, d->flushes + n, d->n_flushes * sizeof(*d->flushes));
}

/* Holds for all that `e` holds for, and later. */
static bool follows(const struct entry *later, const struct entry *e)
{
	return later->file == e->file || later->file == DECISIONS_ALL_FILES;
}

static const struct entry *successor(const struct entry *e)
{
	for (const struct entry *later = e->next; later; later = later->next)
		if (follows(later, e))
			return later;
	return NULL;
}

static void prune(struct decisions *d)
{
	struct known_container *c, *next;
	struct entry *e, *next_entry;

	HASH_ITER (hh, d->containers, c, next) {
		if (c->gone && c->gone_pos < d->committed) {
			decisions__drop_container(d, c);
			continue;
		}
		DL_FOREACH_SAFE (c->entries, e, next_entry) {
			const struct entry *later = successor(e);

			if (later && later->pos < d->committed)
				decisions__drop_entry(d, c, e);
		}
	}
	decisions__prune_flushes(d);
	decisions__prune_spans(d);
}

void decisions__say_full(struct decisions *d, size_t n)
{
	counters__add(d->counters, journal_dropped, n);
	if (!d->said)
		log_warn("the journal has no room for all labels in use: after a kill, lines that "
			 "were not acknowledged may come twice");
	d->said = true;
}

/* What is needed least goes, until `total` is not over `max`. */
static void make_room(struct decisions *d, size_t total, size_t max)
{
	struct known_container *c, *next;
	struct entry *e, *next_entry;
	size_t n = 0;

	HASH_ITER (hh, d->containers, c, next) {
		if (total <= max || !c->gone)
			continue;
		total -= container_cost(c);
		decisions__drop_container(d, c);
		n++;
	}
	HASH_ITER (hh, d->containers, c, next) {
		DL_FOREACH_SAFE (c->entries, e, next_entry) {
			if (total <= max || !successor(e))
				continue;
			total -= cost_of(e);
			decisions__drop_entry(d, c, e);
			n++;
		}
	}
	HASH_ITER (hh, d->containers, c, next) {
		if (total <= max)
			continue;
		total -= container_cost(c);
		decisions__drop_container(d, c);
		n++;
	}
	if (n)
		decisions__say_full(d, n);
}

static int write_meta(struct decisions *d, struct known_meta *m)
{
	const struct meta_header h = {.id = m->id};
	const void *bytes;
	int err;

	if (m->written)
		return 0;
	d->scratch.len = 0;
	err = buf__append(&d->scratch, &h, sizeof(h));
	if (!err && m->len)
		err = buf__append(&d->scratch, m->bytes, m->len);
	if (!err)
		err = journal__append(d->journal, RECORD_META, d->scratch.data, d->scratch.len,
				      &bytes);
	if (err)
		return err;
	m->bytes = (const char *)bytes + sizeof(h);
	m->written = true;
	return 0;
}

int decisions__write_entry(struct decisions *d, uint64_t cgroup_id, const struct entry *e)
{
	const struct entry_record r = {.cgroup_id = cgroup_id,
				       .from_ns = e->from_ns,
				       .pos = e->pos,
				       .guard = e->guard,
				       .meta = e->meta->id,
				       .file = (uint8_t)e->file,
				       .excluded = e->excluded};
	int err = write_meta(d, e->meta);

	return err ? err : journal__append(d->journal, RECORD_ENTRY, &r, sizeof(r), NULL);
}

static int write_gone(struct decisions *d, const struct known_container *c)
{
	const struct gone_record r = {
		.cgroup_id = c->cgroup_id, .pos = c->gone_pos, .guard = c->gone_guard};

	return journal__append(d->journal, RECORD_GONE, &r, sizeof(r), NULL);
}

int decisions__write_span(struct decisions *d, const struct span *s)
{
	const struct span_record r = {.since_ns = s->since_ns, .from = s->from, .until = s->until};
	int err;

	d->scratch.len = 0;
	err = buf__append(&d->scratch, &r, sizeof(r));
	if (!err)
		err = buf__append(&d->scratch, s->name, strlen(s->name));
	return err ? err
		   : journal__append(d->journal, RECORD_SPAN, d->scratch.data, d->scratch.len,
				     NULL);
}

static int write_clock(struct decisions *d)
{
	const struct clock_step newest = {d->clock.from_ns, d->clock.offset_ns};
	int err = 0;

	if (!d->has_clock)
		return 0;
	for (size_t i = 0; i < d->clock.n_before && !err; i++)
		err = journal__append(d->journal, RECORD_CLOCK, &d->clock.before[i],
				      sizeof(d->clock.before[i]), NULL);
	return err ? err : journal__append(d->journal, RECORD_CLOCK, &newest, sizeof(newest), NULL);
}

static int write_all(struct decisions *d)
{
	struct known_container *c;
	const struct entry *e;
	const struct span *s;
	int err = write_clock(d);

	for (size_t i = 0; i < d->n_flushes && !err; i++)
		err = journal__append(d->journal, RECORD_FLUSH, &d->flushes[i],
				      sizeof(d->flushes[i]), NULL);
	DL_FOREACH (d->spans, s)
		err = err ? err : decisions__write_span(d, s);
	for (c = d->containers; c; c = c->hh.next) {
		DL_FOREACH (c->entries, e)
			err = err ? err : decisions__write_entry(d, c->cgroup_id, e);
		if (c->gone && !err)
			err = write_gone(d, c);
	}
	return err;
}

/* No memory: better nothing than what points to what is overwritten. */
static void start_over(struct decisions *d)
{
	struct known_container *c, *next;

	HASH_ITER (hh, d->containers, c, next)
		decisions__drop_container(d, c);
	journal__begin(d->journal);
	write_clock(d);
}

int decisions__compact(struct decisions *d, size_t need)
{
	size_t max = journal__room(d->journal) / 4 * 3;
	struct known_meta *m;
	int err;

	if (need > max / 2)
		return -ENOSPC;
	prune(d);
	make_room(d, total_cost(d), max - need);
	for (m = d->metas; m; m = m->hh.next)
		m->written = false;
	journal__begin(d->journal);
	err = write_all(d);
	if (err)
		start_over(d);
	journal__end(d->journal);
	return err;
}

int decisions__append(struct decisions *d, enum record_type type, const void *bytes, size_t len)
{
	int err = journal__append(d->journal, type, bytes, len, NULL);

	if (err == -ENOSPC) {
		err = decisions__compact(d, journal__cost(len));
		if (!err)
			err = journal__append(d->journal, type, bytes, len, NULL);
	}
	return err;
}
