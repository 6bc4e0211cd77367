/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole of it: made, freed, looked at between records (streams__tick), ended. Rules, stages and
 * names change while streams live: what holds a decision of them is asked again here.
 */
#include "streams/internal.h"

#include <errno.h>

#include "assemble/attribute.h"
#include "base/clock.h"
#include "state/decisions.h"

#define PARK_MAX_NS (10 * NS_PER_SEC)
#define PARK_MAX_BYTES (16u * 1024 * 1024)
/* So late may a record be read after its time, or a line wait for its writer's name. */
#define TICK_LAG_NS (200 * NS_PER_MS)

/* Rules and stages, of which there are none, cannot be wrong. */
static int no_configuration(struct streams *s)
{
	const struct routing_opts opts = {.host = s->opts.host};

	return routing__new(&s->routing, NULL, &opts, NULL);
}

int streams__new(struct streams **ret, const struct streams_opts *opts)
{
	struct streams *s = calloc(1, sizeof(*s));
	int err = 0;

	if (!s) {
		routing__free(opts->routing);
		return -ENOMEM;
	}
	s->opts = *opts;
	s->routing = opts->routing;
	if (!s->routing)
		err = no_configuration(s);
	if (err) {
		free(s);
		return err;
	}
	routing__output(s->routing, s->opts.line, s->opts.ctx);
	if (s->opts.marks)
		routing__marks(s->routing, s->opts.marks);
	s->routing_version = routing__version(s->routing);
	s->flush.pos = UINT64_MAX;
	if (!s->opts.park_max_ns)
		s->opts.park_max_ns = PARK_MAX_NS;
	if (!s->opts.park_max_bytes)
		s->opts.park_max_bytes = PARK_MAX_BYTES;
	s->assemble.max_line_size = opts->max_line_size;
	s->assemble.marks = opts->marks;
	*ret = s;
	return 0;
}

void streams__free(struct streams *s)
{
	struct stream *st, *st_next;
	struct container *c, *c_next;

	if (!s)
		return;
	HASH_ITER (hh, s->by_key, st, st_next)
		stream__free(s, st);
	HASH_ITER (hh, s->by_cgroup, c, c_next)
		container__free(s, c);
	streams__free_marks(s);
	routing__free(s->routing);
	free(s);
}

/* Names that did not come. */
static uint64_t tick_waiting(struct streams *s, uint64_t now_ns)
{
	uint64_t next_ns = UINT64_MAX, due_ns;
	struct stream *st, *next;

	DL_FOREACH_SAFE (s->waiting, st, next) {
		attribute__expire(st->attribute, now_ns);
		due_ns = attribute__due_ns(st->attribute);
		if (due_ns != UINT64_MAX) {
			next_ns = MIN(next_ns, due_ns);
			continue;
		}
		DL_DELETE(s->waiting, st);
		st->waits = false;
	}
	return next_ns;
}

static uint64_t tick_parked(struct streams *s, uint64_t now_ns)
{
	uint64_t deadline, next_ns = UINT64_MAX;
	struct container *c, *next;

	DL_FOREACH_SAFE (s->parked, c, next) {
		container__look_up(s, c);
		deadline = c->parked_since_ns + s->opts.park_max_ns;
		if (c->pending && now_ns < deadline) {
			next_ns = MIN(next_ns, deadline);
			continue;
		}
		if (c->pending)
			container__stop_waiting(s, c);
		container__decide(s, c, NULL);
		if (!c->excluded)
			container__unpark(s, c);
		container__try_free(s, c);
	}
	return next_ns;
}

/* A container that has not written, and one that is excluded, are decided on without a line. */
static void tick_excluded(struct streams *s)
{
	uint64_t version = registry__version(s->opts.registry);
	struct container *c, *c_next;
	struct stream *st, *st_next;

	if (s->opts.exclude && s->decided_at != version) {
		s->decided_at = version;
		DL_FOREACH_SAFE2(s->open, c, c_next, open_next)
		{
			if (!c->decided || c->excluded) {
				container__look_up(s, c);
				container__decide(s, c, NULL);
				continue;
			}
			DL_DELETE2(s->open, c, open_prev, open_next);
			c->open = false;
		}
	}
	if (!s->newly_excluded)
		return;
	s->newly_excluded = false;
	HASH_ITER (hh, s->by_key, st, st_next) {
		c = st->container;
		if (!c->excluded)
			continue;
		stream__free(s, st);
		container__try_free(s, c);
	}
}

void streams__forget_labels(struct streams *s)
{
	struct container *c, *c_next;
	struct stream *st, *st_next;

	HASH_ITER (hh, s->by_cgroup, c, c_next)
		for (size_t i = 0; i < ARRAY_SIZE(c->by_file); i++)
			c->by_file[i].version = 0;
	HASH_ITER (hh, s->by_key, st, st_next)
		st->set_version = 0;
}

static uint64_t tick_stages(struct streams *s, uint64_t now_ns, bool drained)
{
	uint64_t due_ns, lag_ns = MIN(now_ns, TICK_LAG_NS);

	if (routing__version(s->routing) != s->routing_version) {
		s->routing_version = routing__version(s->routing);
		streams__forget_labels(s);
	}
	if (!drained)
		return UINT64_MAX;
	streams__hold_guard(s);
	due_ns = routing__tick(s->routing, now_ns - lag_ns);
	routing__release_guard(s->routing);
	return due_ns == UINT64_MAX ? due_ns : due_ns + TICK_LAG_NS;
}

uint64_t streams__tick(struct streams *s, uint64_t now_ns, bool drained)
{
	uint64_t next_ns = tick_waiting(s, now_ns), due_ns;

	streams__reconcile(s, now_ns);
	streams__read_misses(s);
	streams__tick_replay(s);
	due_ns = tick_parked(s, now_ns);
	next_ns = MIN(next_ns, due_ns);
	tick_excluded(s);
	due_ns = tick_stages(s, now_ns, drained);
	return MIN(next_ns, due_ns);
}

void streams__use(struct streams *s, struct routing *routing)
{
	struct container *c, *next;

	streams__forget_labels(s);
	if (s->decisions)
		decisions__add_flush(s->decisions, s->pos, UINT64_MAX);
	streams__hold_guard(s);
	HASH_ITER (hh, s->by_cgroup, c, next) {
		for (size_t i = 0; i < ARRAY_SIZE(c->by_file); i++)
			labelled__leave(&c->by_file[i]);
		c->decided = 0;
		container__reopen(s, c);
	}
	routing__release_guard(s->routing);
	s->decided_at = 0;
	routing__output(routing, s->opts.line, s->opts.ctx);
	if (s->opts.marks)
		routing__marks(routing, s->opts.marks);
	routing__inherit(routing, s->routing);
	routing__free(s->routing);
	s->routing = routing;
	s->routing_version = routing__version(routing);
	if (s->decisions) {
		decisions__guard_reset(s->decisions);
		streams__follow_guard(s);
	}
}

const struct routing *streams__routing(const struct streams *s)
{
	return s->routing;
}

void streams__finish(struct streams *s)
{
	struct container *c, *c_next;
	struct stream *st, *st_next;

	HASH_ITER (hh, s->by_key, st, st_next) {
		stream__open_gap(st);
		stream__flush(st, 0);
	}
	DL_FOREACH_SAFE (s->parked, c, c_next) {
		container__stop_waiting(s, c);
		container__decide(s, c, NULL);
		if (!c->excluded)
			container__unpark(s, c);
	}
	streams__hold_guard(s);
	routing__flush(s->routing);
	routing__release_guard(s->routing);
}

void streams__print_open(struct streams *s)
{
	struct stream *st, *next;
	struct nt_stream kernel;

	HASH_ITER (hh, s->by_key, st, next) {
		if (s->opts.kernel_stream(s->opts.ctx, &st->key, &kernel) == 0)
			stream__print_stats(
				s, st,
				&(struct verdict){.written = kernel.written,
						  .seen = kernel.seen,
						  .incomplete = stream__incomplete(s, st),
						  .open = true});
	}
}
