/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An index over the journal's records. Metadata is written once for the files of a container that
 * share it, and stays where it is in the journal: the index points to it.
 *
 * An entry is needed until the ring's committed position has passed the record at which its
 * successor was made, the newest one of each file until the container is gone and that has been
 * passed. When the journal is full, what is needed is written anew; if that is more than three
 * quarters of a half, entries go that are needed least: of containers that are gone, then those
 * with a successor, then the oldest.
 */
#include "state/decisions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
/* uthash calls this when there is no memory; the entry is then not in the map (hh.tbl NULL). */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>

#include "base/log.h"
#include "base/util.h"
#include "state/meta_record.h"

#define SPANS_MAX 1024
#define FLUSHES_MAX 256
#define NAME_MAX_BYTES 4096
#define NOT_THE_REGISTRYS (1ull << 63) /* versions of metadata */

enum record_type {
	RECORD_CLOCK = 1,
	RECORD_META,
	RECORD_ENTRY,
	RECORD_GONE,
	RECORD_SPAN,
	RECORD_FLUSH,
};

struct meta_header { /* the metadata behind it */
	uint32_t id;
	uint32_t zero;
};

struct entry_record {
	uint64_t cgroup_id;
	uint64_t from_ns;
	uint64_t pos;
	uint64_t guard;
	uint32_t meta;
	uint8_t file;
	uint8_t excluded;
	uint16_t zero;
};

struct gone_record {
	uint64_t cgroup_id;
	uint64_t pos;
	uint64_t guard;
};

struct span_record { /* the name behind it */
	uint64_t since_ns;
	uint64_t from, until;
};

struct known_meta {
	uint32_t id;
	unsigned refs;
	const void *bytes; /* in the journal, without the header */
	size_t len;
	struct meta *meta; /* NULL: not looked at */
	bool bad;	   /* it is none */
	bool written;	   /* to the half that is in use */
	UT_hash_handle hh;
};

struct entry {
	struct known_meta *meta;
	uint64_t from_ns, pos, guard;
	enum line_stream file;
	bool excluded;
	struct entry *prev, *next;
};

struct known_container {
	uint64_t cgroup_id;
	struct entry *entries; /* oldest first */
	bool gone;
	uint64_t gone_pos, gone_guard;
	UT_hash_handle hh;
};

/* A label that is guarded in the states from `from` on, before `until`. */
struct span {
	char *name;
	uint64_t since_ns, from, until;
	struct span *prev, *next;
};

struct decisions {
	struct journal *journal;
	struct counters *counters;
	struct known_container *containers;
	struct known_meta *metas;
	uint32_t last_meta;
	struct span *spans; /* oldest first */
	unsigned n_spans;
	uint64_t guard;
	struct decided_flush flushes[FLUSHES_MAX]; /* oldest first */
	size_t n_flushes;
	struct clock_anchor clock;
	bool has_clock;
	uint64_t committed;
	bool said;
	unsigned unreadable;
	struct buf scratch;
};

/* What there is */

static struct known_container *find_container(const struct decisions *d, uint64_t cgroup_id)
{
	struct known_container *c;

	HASH_FIND(hh, d->containers, &cgroup_id, sizeof(cgroup_id), c);
	return c;
}

/* NULL: no memory. */
static struct known_container *get_container(struct decisions *d, uint64_t cgroup_id)
{
	struct known_container *c = find_container(d, cgroup_id);

	if (c)
		return c;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->cgroup_id = cgroup_id;
	HASH_ADD(hh, d->containers, cgroup_id, sizeof(c->cgroup_id), c);
	if (!c->hh.tbl) {
		free(c);
		return NULL;
	}
	return c;
}

static struct known_meta *find_meta(const struct decisions *d, uint32_t id)
{
	struct known_meta *m;

	HASH_FIND(hh, d->metas, &id, sizeof(id), m);
	return m;
}

/* No references yet. NULL: no memory. */
static struct known_meta *new_meta(struct decisions *d, uint32_t id, const void *bytes, size_t len)
{
	struct known_meta *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->id = id;
	m->bytes = bytes;
	m->len = len;
	HASH_ADD(hh, d->metas, id, sizeof(m->id), m);
	if (!m->hh.tbl) {
		free(m);
		return NULL;
	}
	return m;
}

static void meta__put(struct decisions *d, struct known_meta *m)
{
	if (--m->refs)
		return;
	HASH_DEL(d->metas, m);
	meta__unref(m->meta);
	free(m);
}

/* NULL: it cannot be read. */
static struct meta *meta__get(struct decisions *d, struct known_meta *m)
{
	int err;

	if (m->meta || m->bad)
		return m->meta;
	err = meta_record__read(m->bytes, m->len, &m->meta);
	if (!err)
		m->meta->version = NOT_THE_REGISTRYS | m->id;
	m->bad = err == -EBADMSG;
	d->unreadable += m->bad;
	return m->meta;
}

static void drop_entry(struct decisions *d, struct known_container *c, struct entry *e)
{
	DL_DELETE(c->entries, e);
	meta__put(d, e->meta);
	free(e);
}

static void drop_container(struct decisions *d, struct known_container *c)
{
	struct entry *e, *next;

	DL_FOREACH_SAFE (c->entries, e, next)
		drop_entry(d, c, e);
	HASH_DEL(d->containers, c);
	free(c);
}

static void drop_span(struct decisions *d, struct span *s)
{
	DL_DELETE(d->spans, s);
	d->n_spans--;
	free(s->name);
	free(s);
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

/* The newest that holds for the file, or for any. */
static struct entry *newest(const struct known_container *c, enum line_stream file)
{
	struct entry *e, *found = NULL;

	DL_FOREACH (c->entries, e)
		if (e->file == file || !e->file)
			found = e;
	return found;
}

/* Reading */

static void load_meta(struct decisions *d, const struct journal_record *r)
{
	struct meta_header h;
	struct known_meta *m;

	if (r->len < sizeof(h))
		return;
	memcpy(&h, r->bytes, sizeof(h));
	if (find_meta(d, h.id))
		return;
	d->last_meta = MAX(d->last_meta, h.id);
	m = new_meta(d, h.id, (const char *)r->bytes + sizeof(h), r->len - sizeof(h));
	if (m)
		m->written = true;
}

/* Takes no reference when it fails. NULL: no memory. */
static struct entry *append_entry(struct decisions *d, const struct entry_record *r,
				  struct known_meta *m)
{
	struct known_container *c = get_container(d, r->cgroup_id);
	struct entry *e = c ? malloc(sizeof(*e)) : NULL;

	if (!e) {
		if (c && !c->entries)
			drop_container(d, c);
		return NULL;
	}
	*e = (struct entry){.meta = m,
			    .from_ns = r->from_ns,
			    .pos = r->pos,
			    .guard = r->guard,
			    .file = (enum line_stream)r->file,
			    .excluded = r->excluded};
	m->refs++;
	DL_APPEND(c->entries, e);
	d->guard = MAX(d->guard, r->guard);
	return e;
}

static void load_entry(struct decisions *d, const struct journal_record *r)
{
	struct entry_record record;
	struct known_meta *m;

	if (r->len < sizeof(record))
		return;
	memcpy(&record, r->bytes, sizeof(record));
	m = find_meta(d, record.meta);
	if (!m || record.file > LINE_TTY || record.guard == UINT64_MAX) {
		d->unreadable++;
		return;
	}
	append_entry(d, &record, m);
}

static void load_gone(struct decisions *d, const struct journal_record *r)
{
	struct gone_record record;
	struct known_container *c;

	if (r->len < sizeof(record))
		return;
	memcpy(&record, r->bytes, sizeof(record));
	c = find_container(d, record.cgroup_id);
	if (!c)
		return;
	c->gone = true;
	c->gone_pos = record.pos;
	c->gone_guard = record.guard;
}

static struct span *find_span(const struct decisions *d, const char *name, uint64_t from)
{
	struct span *s;

	DL_FOREACH (d->spans, s)
		if (s->from == from && !strcmp(s->name, name))
			return s;
	return NULL;
}

/* NULL: no memory. */
static struct span *add_span(struct decisions *d, const struct span_record *r, const char *name,
			     size_t len)
{
	struct span *s = calloc(1, sizeof(*s));

	if (s)
		s->name = strndup(name, len);
	if (!s || !s->name) {
		free(s);
		return NULL;
	}
	s->since_ns = r->since_ns;
	s->from = r->from;
	s->until = r->until;
	DL_APPEND(d->spans, s);
	d->n_spans++;
	if (d->n_spans > SPANS_MAX)
		drop_span(d, d->spans);
	return s;
}

static void load_span(struct decisions *d, const struct journal_record *r)
{
	char name[NAME_MAX_BYTES + 1];
	struct span_record record;
	struct span *s;
	size_t len;

	if (r->len <= sizeof(record) || r->len > sizeof(record) + NAME_MAX_BYTES)
		return;
	memcpy(&record, r->bytes, sizeof(record));
	len = r->len - sizeof(record);
	memcpy(name, (const char *)r->bytes + sizeof(record), len);
	name[len] = '\0';
	if (strlen(name) != len || record.from == UINT64_MAX || record.from > record.until) {
		d->unreadable++;
		return;
	}
	s = find_span(d, name, record.from);
	if (s)
		s->until = record.until;
	else
		add_span(d, &record, name, len);
	d->guard = MAX(d->guard, record.from);
	if (record.until != UINT64_MAX)
		d->guard = MAX(d->guard, record.until);
}

static void load_clock(struct decisions *d, const struct journal_record *r)
{
	struct clock_step step;

	if (r->len != sizeof(step))
		return;
	memcpy(&step, r->bytes, sizeof(step));
	if (!d->has_clock)
		d->clock =
			(struct clock_anchor){.from_ns = step.from_ns, .offset_ns = step.offset_ns};
	else if (clock__add_step(&d->clock, &step))
		d->unreadable++;
	d->has_clock = true;
}

static void keep_flush(struct decisions *d, const struct decided_flush *r)
{
	if (d->n_flushes == FLUSHES_MAX) {
		d->n_flushes--;
		memmove(d->flushes, d->flushes + 1, d->n_flushes * sizeof(*d->flushes));
	}
	d->flushes[d->n_flushes++] = *r;
}

static void load_flush(struct decisions *d, const struct journal_record *r)
{
	struct decided_flush record;

	if (r->len != sizeof(record))
		return;
	memcpy(&record, r->bytes, sizeof(record));
	keep_flush(d, &record);
}

/* Types of a later version are passed over. */
static void load(void *ctx, const struct journal_record *r)
{
	switch (r->type) {
	case RECORD_CLOCK:
		load_clock(ctx, r);
		break;
	case RECORD_META:
		load_meta(ctx, r);
		break;
	case RECORD_ENTRY:
		load_entry(ctx, r);
		break;
	case RECORD_GONE:
		load_gone(ctx, r);
		break;
	case RECORD_SPAN:
		load_span(ctx, r);
		break;
	case RECORD_FLUSH:
		load_flush(ctx, r);
		break;
	}
}

static void drop_unused_metas(struct decisions *d)
{
	struct known_meta *m, *next;

	HASH_ITER (hh, d->metas, m, next) {
		if (m->refs)
			continue;
		m->refs = 1;
		meta__put(d, m);
	}
}

int decisions__new(struct decisions **ret, void *const halves[2], size_t half_bytes,
		   struct counters *counters)
{
	struct decisions *d = calloc(1, sizeof(*d));
	struct journal_stats stats;
	int err;

	if (!d)
		return -ENOMEM;
	d->counters = counters;
	err = journal__new(&d->journal, halves, half_bytes);
	if (err) {
		free(d);
		return err;
	}
	journal__each(d->journal, load, d);
	drop_unused_metas(d);
	journal__stats(d->journal, &stats);
	if (stats.damaged || stats.abandoned || d->unreadable) {
		log_warn("the journal of the process before is damaged: some of its last lines may "
			 "come twice");
		counters__add(counters, journal_damaged,
			      stats.damaged + stats.abandoned + d->unreadable);
	}
	*ret = d;
	return 0;
}

void decisions__free(struct decisions *d)
{
	struct known_container *c, *next;
	struct span *s, *next_span;

	if (!d)
		return;
	HASH_ITER (hh, d->containers, c, next)
		drop_container(d, c);
	drop_unused_metas(d);
	DL_FOREACH_SAFE (d->spans, s, next_span)
		drop_span(d, s);
	buf__free(&d->scratch);
	journal__free(d->journal);
	free(d);
}

/* Writing anew */

static size_t entry_cost(void)
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
	return entry_cost() + (e->meta->refs == 1 ? meta_cost(e->meta) : 0);
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
		cost += entry_cost() + (other == e ? meta_cost(e->meta) : 0);
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

/* States of the guard that nothing needs are told from no other. */
static void prune_spans(struct decisions *d)
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
			drop_span(d, s);
	}
}

static void prune_flushes(struct decisions *d)
{
	size_t n = 0;

	while (n < d->n_flushes && d->flushes[n].pos < d->committed)
		n++;
	d->n_flushes -= n;
	memmove(d->flushes, d->flushes + n, d->n_flushes * sizeof(*d->flushes));
}

static void prune(struct decisions *d)
{
	struct known_container *c, *next;
	struct entry *e, *next_entry;

	HASH_ITER (hh, d->containers, c, next) {
		if (c->gone && c->gone_pos < d->committed) {
			drop_container(d, c);
			continue;
		}
		DL_FOREACH_SAFE (c->entries, e, next_entry) {
			const struct entry *later = successor(e);

			if (later && later->pos < d->committed)
				drop_entry(d, c, e);
		}
	}
	prune_flushes(d);
	prune_spans(d);
}

static void say_full(struct decisions *d, size_t n)
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
		drop_container(d, c);
		n++;
	}
	HASH_ITER (hh, d->containers, c, next) {
		DL_FOREACH_SAFE (c->entries, e, next_entry) {
			if (total <= max || !successor(e))
				continue;
			total -= cost_of(e);
			drop_entry(d, c, e);
			n++;
		}
	}
	HASH_ITER (hh, d->containers, c, next) {
		if (total <= max)
			continue;
		total -= container_cost(c);
		drop_container(d, c);
		n++;
	}
	if (n)
		say_full(d, n);
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

static int write_entry(struct decisions *d, uint64_t cgroup_id, const struct entry *e)
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

static int write_span(struct decisions *d, const struct span *s)
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
		err = err ? err : write_span(d, s);
	for (c = d->containers; c; c = c->hh.next) {
		DL_FOREACH (c->entries, e)
			err = err ? err : write_entry(d, c->cgroup_id, e);
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
		drop_container(d, c);
	journal__begin(d->journal);
	write_clock(d);
}

/* So that `need` bytes have room. 0; -ENOSPC: they never will; -ENOMEM. */
static int compact(struct decisions *d, size_t need)
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

static int append(struct decisions *d, enum record_type type, const void *bytes, size_t len)
{
	int err = journal__append(d->journal, type, bytes, len, NULL);

	if (err == -ENOSPC) {
		err = compact(d, journal__cost(len));
		if (!err)
			err = journal__append(d->journal, type, bytes, len, NULL);
	}
	return err;
}

void decisions__committed(struct decisions *d, uint64_t pos)
{
	d->committed = pos;
}

/* Metadata */

/* One that the container has already, or NULL. */
static struct known_meta *same_meta(const struct known_container *c, const struct buf *bytes)
{
	struct entry *e;

	DL_FOREACH (c->entries, e)
		if (e->meta->len == bytes->len && !memcmp(e->meta->bytes, bytes->data, bytes->len))
			return e->meta;
	return NULL;
}

static bool is_said(const struct decisions *d, const struct decision *decision,
		    const struct known_container *c, const struct buf *bytes)
{
	const struct entry *e = newest(c, decision->file);

	return e && e->file == decision->file && e->excluded == decision->excluded &&
	       (e->excluded || e->guard == d->guard) && e->meta->len == bytes->len &&
	       !memcmp(e->meta->bytes, bytes->data, bytes->len);
}

/* In the index first, so that writing all anew writes it too. */
static int add_entry(struct decisions *d, const struct decision *decision, const struct buf *bytes)
{
	struct known_container *c = find_container(d, decision->cgroup_id);
	struct known_meta *m = c ? same_meta(c, bytes) : NULL;
	struct entry_record r = {.cgroup_id = decision->cgroup_id,
				 .from_ns = decision->from_ns,
				 .pos = decision->pos,
				 .guard = d->guard,
				 .file = (uint8_t)decision->file,
				 .excluded = decision->excluded};
	size_t need =
		entry_cost() + (m ? 0 : journal__cost(sizeof(struct meta_header) + bytes->len));
	struct journal_stats stats;
	struct entry *e;
	int err;

	journal__stats(d->journal, &stats);
	if (need > stats.size - stats.used) {
		err = compact(d, need);
		if (err)
			return err;
		c = find_container(d, decision->cgroup_id);
		m = c ? same_meta(c, bytes) : NULL;
	}
	if (!m) {
		m = new_meta(d, ++d->last_meta, bytes->data, bytes->len);
		if (!m)
			return -ENOMEM;
	}
	m->refs++;
	e = append_entry(d, &r, m);
	err = e ? write_entry(d, r.cgroup_id, e) : -ENOMEM;
	c = find_container(d, r.cgroup_id);
	if (e && err)
		drop_entry(d, c, e);
	if (c && !c->entries)
		drop_container(d, c);
	meta__put(d, m);
	return err;
}

bool decisions__add(struct decisions *d, const struct decision *decision, const struct meta *m)
{
	struct known_container *c = find_container(d, decision->cgroup_id);
	_buf_ struct buf bytes = {0};
	int err = meta_record__write(&bytes, m);

	if (!err && c && is_said(d, decision, c, &bytes))
		return true;
	if (!err)
		err = add_entry(d, decision, &bytes);
	if (err)
		say_full(d, 1);
	return !err;
}

bool decisions__find(struct decisions *d, uint64_t cgroup_id, enum line_stream file,
		     uint64_t time_ns, struct decided *ret)
{
	const struct known_container *c = find_container(d, cgroup_id);
	const struct entry *e, *found = NULL;
	struct meta *m;

	if (!c)
		return false;
	/* One that holds for a time before the first is of a line that was never sent. */
	DL_FOREACH (c->entries, e)
		if ((e->file == file || e->file == DECISIONS_ALL_FILES) &&
		    (!found || e->from_ns <= time_ns))
			found = e;
	m = found ? meta__get(d, found->meta) : NULL;
	if (!m)
		return false;
	*ret = (struct decided){.meta = m, .guard = found->guard, .excluded = found->excluded};
	return true;
}

bool decisions__excluded_at(const struct decisions *d, uint64_t cgroup_id, uint64_t from,
			    uint64_t pos, bool *ret_since)
{
	const struct known_container *c = find_container(d, cgroup_id);
	bool excluded = false, since = false;
	const struct entry *e;

	DL_FOREACH (c ? c->entries : NULL, e) {
		if (e->pos >= pos)
			continue;
		excluded = e->excluded;
		since |= e->excluded && e->pos >= from;
	}
	if (ret_since)
		*ret_since = since;
	return excluded;
}

uint64_t decisions__first_pos(const struct decisions *d, uint64_t cgroup_id, enum line_stream file)
{
	const struct known_container *c = find_container(d, cgroup_id);
	const struct entry *e;

	if (!c)
		return UINT64_MAX;
	DL_FOREACH (c->entries, e)
		if (e->file == file)
			return e->pos;
	return UINT64_MAX;
}

bool decisions__knows(const struct decisions *d, uint64_t cgroup_id)
{
	return find_container(d, cgroup_id);
}

uint64_t decisions__gone(struct decisions *d, uint64_t cgroup_id, uint64_t pos)
{
	struct known_container *c = find_container(d, cgroup_id);
	struct gone_record r = {.cgroup_id = cgroup_id, .pos = pos, .guard = d->guard};

	if (!c)
		return d->guard;
	if (c->gone)
		return c->gone_guard;
	c->gone = true;
	c->gone_pos = pos;
	c->gone_guard = d->guard;
	append(d, RECORD_GONE, &r, sizeof(r));
	return r.guard;
}

void decisions__each(struct decisions *d,
		     void (*fn)(void *ctx, uint64_t cgroup_id, const struct meta *m), void *ctx)
{
	struct known_container *c, *next;
	const struct entry *e, *last;
	struct meta *m;

	HASH_ITER (hh, d->containers, c, next) {
		last = NULL;
		DL_FOREACH (c->entries, e)
			last = e;
		m = last && !c->gone ? meta__get(d, last->meta) : NULL;
		if (m)
			fn(ctx, c->cgroup_id, m);
	}
}

void decisions__settle(struct decisions *d)
{
	struct known_meta *m;

	for (m = d->metas; m; m = m->hh.next)
		meta__unref(TAKE_PTR(m->meta));
}

/* The guard */

uint64_t decisions__guard(const struct decisions *d)
{
	return d->guard;
}

/* Those that the state that it is in now began or ended. */
static void write_changed_spans(struct decisions *d)
{
	const struct span *s;
	int err = 0;

	DL_FOREACH (d->spans, s)
		if (!err && (s->from == d->guard || s->until == d->guard))
			err = write_span(d, s);
	if (err == -ENOSPC)
		err = compact(d, entry_cost());
	if (err)
		say_full(d, 1);
}

void decisions__guard_take(struct decisions *d, const char *name, uint64_t since_ns)
{
	const struct span_record r = {
		.since_ns = since_ns, .from = d->guard + 1, .until = UINT64_MAX};
	size_t len = strnlen(name, NAME_MAX_BYTES + 1);

	d->guard++;
	prune_spans(d);
	if (len <= NAME_MAX_BYTES && add_span(d, &r, name, len))
		write_changed_spans(d);
	else
		say_full(d, 1);
}

/* NULL: all. */
static void give_back(struct decisions *d, const char *name)
{
	struct span *s;

	d->guard++;
	DL_FOREACH (d->spans, s)
		if (s->until == UINT64_MAX && (!name || !strcmp(s->name, name)))
			s->until = d->guard;
	write_changed_spans(d);
}

void decisions__guard_give(struct decisions *d, const char *name)
{
	give_back(d, name);
}

void decisions__guard_reset(struct decisions *d)
{
	give_back(d, NULL);
}

bool decisions__guarded(const struct decisions *d, const char *name, uint64_t guard)
{
	const struct span *s;

	DL_FOREACH (d->spans, s)
		if (s->from <= guard && guard < s->until && !strcmp(s->name, name))
			return true;
	return false;
}

void decisions__each_guarded(const struct decisions *d,
			     void (*fn)(void *ctx, const char *name, uint64_t since_ns), void *ctx)
{
	const struct span *s;

	DL_FOREACH (d->spans, s)
		if (s->until == UINT64_MAX)
			fn(ctx, s->name, s->since_ns);
}

void decisions__add_flush(struct decisions *d, uint64_t pos, uint64_t before)
{
	const struct decided_flush f = {.pos = pos, .guard = d->guard, .before = before};

	prune_flushes(d);
	keep_flush(d, &f);
	if (append(d, RECORD_FLUSH, &f, sizeof(f)))
		say_full(d, 1);
}

bool decisions__next_flush(const struct decisions *d, uint64_t pos, struct decided_flush *ret)
{
	for (size_t i = 0; i < d->n_flushes; i++) {
		if (d->flushes[i].pos < pos)
			continue;
		*ret = d->flushes[i];
		return true;
	}
	return false;
}

/* The wall clock */

int decisions__clock(const struct decisions *d, struct clock_anchor *ret)
{
	if (!d->has_clock)
		return -ENOENT;
	*ret = d->clock;
	return 0;
}

void decisions__add_clock(struct decisions *d, const struct clock_anchor *anchor)
{
	const struct clock_step newest = {anchor->from_ns, anchor->offset_ns};

	d->clock = *anchor;
	d->has_clock = true;
	if (append(d, RECORD_CLOCK, &newest, sizeof(newest)))
		say_full(d, 1);
}

void decisions__stats(const struct decisions *d, struct journal_stats *ret)
{
	journal__stats(d->journal, ret);
}
