/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Made between two rounds, at a system call a stream and a reference a set of labels: some
 * milliseconds for thousands of them. Nothing is changed by it, and no labels are made: a stream
 * that has not written has none yet, and its label values count for no guard.
 */
#include "streams/internal.h"

#include "base/clock.h"
#include "status/snapshot.h"

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
		t.opt_out = c->excluded ? routing__opt_out(c->meta) : NULL;
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
