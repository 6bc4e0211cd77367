/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What records that the ring had no room for would have told. Cgroups and streams whose end was one
 * would stay for ever: the kernel side is asked from time to time. What it does not know any more
 * is over when everything is read that was in the ring when that was seen.
 */
#include "streams/internal.h"

#include "base/clock.h"

#define RECONCILE_NS (2 * NS_PER_SEC)

void stream__end_untold(struct streams *s, struct stream *st)
{
	struct verdict v = {.pos = UINT64_MAX};
	struct nt_stream kernel;
	uint64_t there;

	if (st->container->excluded || s->opts.kernel_stream(s->opts.ctx, &st->key, &kernel) ||
	    kernel.cgroup_id != st->container->cgroup_id) {
		if (!st->container->excluded)
			stream__flush(st, 0);
		stream__free(s, st);
		return;
	}
	v.written = kernel.written;
	v.seen = kernel.seen;
	v.before = kernel.before;
	v.foreign = kernel.foreign;
	there = kernel.seen + kernel.foreign + kernel.unexplained;
	if (!kernel.reader && kernel.tap == NT_TAP_READ && kernel.written > there)
		v.unread = kernel.written - there;
	stream__gap(st, &kernel.gap, st->last_ns, UINT64_MAX);
	stream__finish(s, st, &v);
	stream__free(s, st);
}

bool stream__goes_on(struct streams *s, const struct stream *st)
{
	struct nt_stream kernel;

	if (!s->opts.reads)
		return false;
	if (s->opts.kernel_stream(s->opts.ctx, &st->key, &kernel) ||
	    kernel.cgroup_id != st->container->cgroup_id)
		return true;
	return kernel.reader && s->opts.reads(s->opts.ctx, kernel.reader);
}

/*
 * A reader that serves several containers outlives them, and hooks that are skipped now and then
 * may miss its last read. Only asked when the stream should be over.
 */
static bool is_read(struct streams *s, const struct stream *st, const struct nt_stream *kernel)
{
	return kernel->reader && s->opts.reads(s->opts.ctx, kernel->reader) &&
	       s->opts.holds(s->opts.ctx, kernel->reader, &st->key);
}

/* A stream whose cgroup is gone, and that nobody reads: what was told of it is read first. */
static void reconcile_stream(struct streams *s, struct stream *st, const struct streams_ring *ring)
{
	struct container *c = st->container;
	struct nt_stream kernel;

	if (!c->vanished || (s->opts.kernel_stream(s->opts.ctx, &st->key, &kernel) == 0 &&
			     kernel.cgroup_id == c->cgroup_id && is_read(s, st, &kernel)))
		return;
	if (!st->over_pos)
		st->over_pos = ring->written;
	else if (ring->read >= st->over_pos)
		stream__end_untold(s, st);
}

/* No record told of it at all. */
static void reconcile_orphan(void *arg, const struct nt_stream_key *key,
			     const struct nt_stream *kernel)
{
	struct streams *s = arg;
	struct stream *st = stream__find(s, key);

	if (st)
		return;
	st = stream__new(s, key, kernel->cgroup_id, kernel->file, kernel->tap);
	if (st)
		stream__end_untold(s, st);
}

void streams__reconcile(struct streams *s, uint64_t now_ns)
{
	struct container *c, *c_next;
	struct stream *st, *st_next;
	struct streams_ring ring;

	if (!s->opts.ring || now_ns < s->reconcile_ns)
		return;
	s->reconcile_ns = now_ns + RECONCILE_NS;
	s->opts.ring(s->opts.ctx, &ring);
	HASH_ITER (hh, s->by_key, st, st_next)
		reconcile_stream(s, st, &ring);
	if (s->orphans_pos && ring.read >= s->orphans_pos) {
		s->orphans_pos = 0;
		s->opts.orphans(s->opts.ctx, reconcile_orphan, s);
	}
	if (ring.events_lost != s->events_lost)
		s->orphans_pos = ring.written;
	s->events_lost = ring.events_lost;
	HASH_ITER (hh, s->by_cgroup, c, c_next) {
		if (c->vanished && ring.read >= c->vanished_pos)
			c->gone = true;
		if (!c->vanished && !s->opts.lives(s->opts.ctx, c->cgroup_id)) {
			c->vanished = true;
			c->vanished_pos = ring.written;
		}
		container__try_free(s, c);
	}
}
