/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An index over the journal's records. Metadata is written once for the files of a container that
 * share it, and what equals the newest is not written at all.
 */
#include "state/decisions.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "state/internal.h"
#include "state/meta_record.h"

void decisions__committed(struct decisions *d, uint64_t pos)
{
	d->committed = pos;
}

/* Metadata */

/* The newest that holds for the file, or for any. */
static struct entry *newest(const struct known_container *c, enum line_stream file)
{
	struct entry *e, *found = NULL;

	DL_FOREACH (c->entries, e)
		if (e->file == file || !e->file)
			found = e;
	return found;
}

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
	struct known_container *c = decisions__find_container(d, decision->cgroup_id);
	struct known_meta *m = c ? same_meta(c, bytes) : NULL;
	struct entry_record r = {.cgroup_id = decision->cgroup_id,
				 .from_ns = decision->from_ns,
				 .pos = decision->pos,
				 .guard = d->guard,
				 .file = (uint8_t)decision->file,
				 .excluded = decision->excluded};
	size_t need = decisions__entry_cost() +
		      (m ? 0 : journal__cost(sizeof(struct meta_header) + bytes->len));
	struct journal_stats stats;
	struct entry *e;
	int err;

	journal__stats(d->journal, &stats);
	if (need > stats.size - stats.used) {
		err = decisions__compact(d, need);
		if (err)
			return err;
		c = decisions__find_container(d, decision->cgroup_id);
		m = c ? same_meta(c, bytes) : NULL;
	}
	if (!m) {
		m = decisions__new_meta(d, ++d->last_meta, bytes->data, bytes->len);
		if (!m)
			return -ENOMEM;
	}
	m->refs++;
	e = decisions__append_entry(d, &r, m);
	err = e ? decisions__write_entry(d, r.cgroup_id, e) : -ENOMEM;
	c = decisions__find_container(d, r.cgroup_id);
	if (e && err)
		decisions__drop_entry(d, c, e);
	if (c && !c->entries)
		decisions__drop_container(d, c);
	decisions__put_meta(d, m);
	return err;
}

bool decisions__add(struct decisions *d, const struct decision *decision, const struct meta *m)
{
	struct known_container *c = decisions__find_container(d, decision->cgroup_id);
	_buf_ struct buf bytes = {0};
	int err = meta_record__write(&bytes, m);

	if (!err && c && is_said(d, decision, c, &bytes))
		return true;
	if (!err)
		err = add_entry(d, decision, &bytes);
	if (err)
		decisions__say_full(d, 1);
	return !err;
}

bool decisions__find(struct decisions *d, uint64_t cgroup_id, enum line_stream file,
		     uint64_t time_ns, struct decided *ret)
{
	const struct known_container *c = decisions__find_container(d, cgroup_id);
	const struct entry *e, *found = NULL;
	struct meta *m;

	if (!c)
		return false;
	/* One that holds for a time before the first is of a line that was never sent. */
	DL_FOREACH (c->entries, e)
		if ((e->file == file || e->file == DECISIONS_ALL_FILES) &&
		    (!found || e->from_ns <= time_ns))
			found = e;
	m = found ? decisions__get_meta(d, found->meta) : NULL;
	if (!m)
		return false;
	*ret = (struct decided){.meta = m, .guard = found->guard, .excluded = found->excluded};
	return true;
}

bool decisions__excluded_at(const struct decisions *d, uint64_t cgroup_id, uint64_t from,
			    uint64_t pos, bool *ret_since)
{
	const struct known_container *c = decisions__find_container(d, cgroup_id);
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
	const struct known_container *c = decisions__find_container(d, cgroup_id);
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
	return decisions__find_container(d, cgroup_id);
}

uint64_t decisions__gone(struct decisions *d, uint64_t cgroup_id, uint64_t pos)
{
	struct known_container *c = decisions__find_container(d, cgroup_id);
	struct gone_record r = {.cgroup_id = cgroup_id, .pos = pos, .guard = d->guard};

	if (!c)
		return d->guard;
	if (c->gone)
		return c->gone_guard;
	c->gone = true;
	c->gone_pos = pos;
	c->gone_guard = d->guard;
	decisions__append(d, RECORD_GONE, &r, sizeof(r));
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
		m = last && !c->gone ? decisions__get_meta(d, last->meta) : NULL;
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
			err = decisions__write_span(d, s);
	if (err == -ENOSPC)
		err = decisions__compact(d, decisions__entry_cost());
	if (err)
		decisions__say_full(d, 1);
}

void decisions__guard_take(struct decisions *d, const char *name, uint64_t since_ns)
{
	const struct span_record r = {
		.since_ns = since_ns, .from = d->guard + 1, .until = UINT64_MAX};
	size_t len = strnlen(name, NAME_MAX_BYTES + 1);

	d->guard++;
	decisions__prune_spans(d);
	if (len <= NAME_MAX_BYTES && decisions__add_span(d, &r, name, len))
		write_changed_spans(d);
	else
		decisions__say_full(d, 1);
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

	decisions__prune_flushes(d);
	decisions__keep_flush(d, &f);
	if (decisions__append(d, RECORD_FLUSH, &f, sizeof(f)))
		decisions__say_full(d, 1);
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
	if (decisions__append(d, RECORD_CLOCK, &newest, sizeof(newest)))
		decisions__say_full(d, 1);
}

void decisions__stats(const struct decisions *d, struct journal_stats *ret)
{
	journal__stats(d->journal, ret);
}
