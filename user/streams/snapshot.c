/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Made between two rounds, at a system call a stream and a reference a set of labels: some
 * milliseconds for thousands of them. Nothing is changed by it, and no labels are made: a stream
 * that has not written has none yet, and its label values count for no guard.
 */
#include "streams/internal.h"

#include "base/clock.h"
#include "process/preset.h"
#include "status/snapshot.h"

/* Containers with series of their own: those that write most. */
#define TOP 100

static void add_container(struct streams *s, struct container *c, struct snapshot *to)
{
	struct snapshot_target t = {
		.cgroup_id = c->cgroup_id,
		.excluded = c->excluded,
		.parked_bytes = c->parked_bytes,
	};

	if (!c->meta)
		container__look_up(s, c);
	if (c->meta) {
		t.meta = meta__ref(c->meta);
		t.opt_out = c->excluded ? routing__opt_out(s->routing, c->meta) : NULL;
	}
	t.waiting = c->pending && !c->excluded;
	c->shown = snapshot__add_target(to, &t);
}

/* As of the last look: what they are now takes a system call a program. */
static bool is_incomplete(const struct streams *s, const struct stream *st)
{
	enum nt_tap tap = st->copied_at_write ? NT_TAP_WRITE : NT_TAP_READ;

	return s->opts.misses && s->misses[0].by_tap[tap] > st->first_misses[tap];
}

static void add_stream(struct streams *s, const struct stream *st, struct snapshot *to)
{
	const struct container *c = st->container;
	const struct labelled *l = &c->by_file[st->file];
	struct snapshot_stream out = {
		.target = c->shown,
		.file = st->file,
		.tap_write = st->tap == NT_TAP_WRITE,
		.session = st->session,
		.dropped = l->built && !l->wanted,
		.incomplete = is_incomplete(s, st),
		.read = st->told,
		.lost = st->lost_bytes,
		.lines = st->lines,
	};
	struct nt_stream kernel;

	memcpy(out.why, st->why, sizeof(out.why));
	if (s->opts.kernel_stream(s->opts.ctx, &st->key, &kernel) == 0 &&
	    kernel.cgroup_id == st->cgroup_id) {
		out.counted = !s->opts.uncounted && st->file != LINE_TTY;
		out.written = kernel.written;
		out.read = kernel.seen;
		out.lost += kernel.gap.bytes - MIN(kernel.gap.bytes, st->told_bytes);
	}
	if (l->set && l->wanted)
		out.set = label_set__ref(l->set);
	snapshot__add_stream(to, &out);
}

struct guarded {
	struct snapshot *to;
	const struct clock_anchor *anchor; /* NULL: none */
};

static void add_label(void *ctx, const char *name, uint64_t since_ns)
{
	const struct guarded *g = ctx;

	snapshot__add_label(g->to, name, g->anchor ? clock__to_real(g->anchor, since_ns) : 0);
}

static void add_count(void *ctx, const char *metric, const char *help, uint64_t value)
{
	struct snapshot *to = ctx;

	samples__add(&to->samples, SAMPLE_COUNTER, metric, help, value);
}

void container_counts__add(struct container_counts *to, const struct stream *st)
{
	to->lines += st->lines;
	to->bytes += st->told - MIN(st->lost_bytes, st->told);
	to->lost_bytes += st->lost_bytes;
}

struct counted {
	const struct container *container;
	struct container_counts counts;
};

static int by_bytes(const void *a, const void *b)
{
	const struct container_counts *x = &((const struct counted *)a)->counts;
	const struct container_counts *y = &((const struct counted *)b)->counts;

	return (x->bytes < y->bytes) - (x->bytes > y->bytes);
}

static const char *name_of(const struct meta *m)
{
	return m->name ? m->name : m->id;
}

static void add_counted(struct snapshot *to, const struct counted *c)
{
	const struct meta *m = c->container->meta;
	const char *namespace = preset__namespace(m), *pod = preset__pod(m);
	const struct sample_label labels[] = {{"container", name_of(m)},
					      {"container_id", m->id ? m->id : ""},
					      {"namespace", namespace ? namespace : ""},
					      {"pod", pod ? pod : ""}};
	size_t n = namespace && pod ? ARRAY_SIZE(labels) : 2;

	samples__add_labels(&to->samples, SAMPLE_COUNTER, false, "notail_container_lines_total",
			    labels, n, "lines assembled, of the 100 that wrote most",
			    c->counts.lines);
	samples__add_labels(&to->samples, SAMPLE_COUNTER, false, "notail_container_bytes_total",
			    labels, n, "bytes captured, of the 100 that wrote most",
			    c->counts.bytes);
	samples__add_labels(&to->samples, SAMPLE_COUNTER, false,
			    "notail_container_lost_bytes_total", labels, n,
			    "bytes lost, of the 100 that wrote most", c->counts.lost_bytes);
}

/* It has a name, wrote something, and none before it is called the same: no series comes twice. */
static bool is_shown(const struct counted *all, size_t i)
{
	const struct meta *m = all[i].container->meta, *other;

	if (all[i].container->excluded || !m || (!m->name && !m->id))
		return false;
	if (!all[i].counts.bytes && !all[i].counts.lost_bytes)
		return false;
	for (size_t j = 0; j < i; j++) {
		other = all[j].container->meta;
		if (other && (other->name || other->id) && !strcmp(name_of(other), name_of(m)) &&
		    !strcmp(other->id ? other->id : "", m->id ? m->id : ""))
			return false;
	}
	return true;
}

/* Without a system call, as far as records have told. */
static void add_top(struct streams *s, struct snapshot *to)
{
	_free_ struct counted *all = calloc(HASH_COUNT(s->by_cgroup) + 1, sizeof(*all));
	struct container *c, *c_next;
	struct stream *st, *st_next;
	size_t n = 0;

	to->failed |= !all;
	if (!all)
		return;
	HASH_ITER (hh, s->by_cgroup, c, c_next) {
		c->shown = n;
		all[n++] = (struct counted){c, c->ended};
	}
	HASH_ITER (hh, s->by_key, st, st_next)
		container_counts__add(&all[st->container->shown].counts, st);
	qsort(all, n, sizeof(*all), by_bytes);
	for (size_t i = 0, shown = 0; i < n && shown < TOP; i++) {
		if (!is_shown(all, i))
			continue;
		add_counted(to, &all[i]);
		shown++;
	}
}

int streams__snapshot(struct streams *s, unsigned what, struct snapshot **ret)
{
	bool targets = what & SNAPSHOT_TARGETS;
	struct guarded guarded = {.anchor = s->opts.anchor};
	struct container *c, *c_next;
	struct stream *st, *st_next;
	struct snapshot *to;
	int err = snapshot__new(&to, what, targets ? HASH_COUNT(s->by_cgroup) : 0,
				targets ? HASH_COUNT(s->by_key) : 0);

	if (err)
		return err;
	to->boot_ns = clock__boot_ns();
	to->real_ns = clock__real_ns();
	if (what & SNAPSHOT_COUNTERS)
		routing__count(s->routing, add_count, to);
	if (what & SNAPSHOT_COUNTERS)
		add_top(s, to);
	if (targets) {
		HASH_ITER (hh, s->by_cgroup, c, c_next)
			add_container(s, c, to);
		HASH_ITER (hh, s->by_key, st, st_next)
			add_stream(s, st, to);
		guarded.to = to;
		routing__guarded(s->routing, add_label, &guarded);
		snapshot__seal(to);
	}
	*ret = to;
	return 0;
}
