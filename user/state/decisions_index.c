/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the journal's records say, and how it is found. Metadata stays where it is in the journal:
 * the index points to it. Types of records that a later version wrote are passed over.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "state/internal.h"
#include "state/meta_record.h"

#define SPANS_MAX 1024
/* Numbers of metadata and of states grow one by one: none gets there. */
#define METAS_MAX (UINT32_MAX / 2)
#define GUARDS_MAX (UINT64_MAX / 2)
#define NOT_THE_REGISTRYS (1ull << 63) /* versions of metadata */

struct known_container *decisions__find_container(const struct decisions *d, uint64_t cgroup_id)
{
	struct known_container *c;

	HASH_FIND(hh, d->containers, &cgroup_id, sizeof(cgroup_id), c);
	return c;
}

/* NULL: no memory. */
static struct known_container *get_container(struct decisions *d, uint64_t cgroup_id)
{
	struct known_container *c = decisions__find_container(d, cgroup_id);

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

struct known_meta *decisions__new_meta(struct decisions *d, uint32_t id, const void *bytes,
				       size_t len)
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

void decisions__put_meta(struct decisions *d, struct known_meta *m)
{
	if (--m->refs)
		return;
	HASH_DEL(d->metas, m);
	meta__unref(m->meta);
	free(m);
}

struct meta *decisions__get_meta(struct decisions *d, struct known_meta *m)
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

void decisions__drop_entry(struct decisions *d, struct known_container *c, struct entry *e)
{
	DL_DELETE(c->entries, e);
	decisions__put_meta(d, e->meta);
	free(e);
}

void decisions__drop_container(struct decisions *d, struct known_container *c)
{
	struct entry *e, *next;

	DL_FOREACH_SAFE (c->entries, e, next)
		decisions__drop_entry(d, c, e);
	HASH_DEL(d->containers, c);
	free(c);
}

void decisions__drop_span(struct decisions *d, struct span *s)
{
	DL_DELETE(d->spans, s);
	d->n_spans--;
	free(s->name);
	free(s);
}

static void load_meta(struct decisions *d, const struct journal_record *r)
{
	struct meta_header h;
	struct known_meta *m;

	if (r->len < sizeof(h))
		return;
	memcpy(&h, r->bytes, sizeof(h));
	if (h.id > METAS_MAX) {
		d->unreadable++;
		return;
	}
	if (find_meta(d, h.id))
		return;
	d->last_meta = MAX(d->last_meta, h.id);
	m = decisions__new_meta(d, h.id, (const char *)r->bytes + sizeof(h), r->len - sizeof(h));
	if (m)
		m->written = true;
}

struct entry *decisions__append_entry(struct decisions *d, const struct entry_record *r,
				      struct known_meta *m)
{
	struct known_container *c = get_container(d, r->cgroup_id);
	struct entry *e = c ? malloc(sizeof(*e)) : NULL;

	if (!e) {
		if (c && !c->entries)
			decisions__drop_container(d, c);
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
	if (!m || record.file > LINE_TTY || record.guard > GUARDS_MAX) {
		d->unreadable++;
		return;
	}
	decisions__append_entry(d, &record, m);
}

static void load_gone(struct decisions *d, const struct journal_record *r)
{
	struct gone_record record;
	struct known_container *c;

	if (r->len < sizeof(record))
		return;
	memcpy(&record, r->bytes, sizeof(record));
	c = decisions__find_container(d, record.cgroup_id);
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

struct span *decisions__add_span(struct decisions *d, const struct span_record *r, const char *name,
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
		decisions__drop_span(d, d->spans);
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
	if (strlen(name) != len || record.from > GUARDS_MAX || record.from > record.until ||
	    (record.until > GUARDS_MAX && record.until != UINT64_MAX)) {
		d->unreadable++;
		return;
	}
	s = find_span(d, name, record.from);
	if (s)
		s->until = record.until;
	else
		decisions__add_span(d, &record, name, len);
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

void decisions__keep_flush(struct decisions *d, const struct decided_flush *r)
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
	decisions__keep_flush(d, &record);
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
		decisions__put_meta(d, m);
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
		decisions__drop_container(d, c);
	drop_unused_metas(d);
	DL_FOREACH_SAFE (d->spans, s, next_span)
		decisions__drop_span(d, s);
	buf__free(&d->scratch);
	journal__free(d->journal);
	free(d);
}
