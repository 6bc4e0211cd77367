/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decisions about lines that a successor has to make again. What a (container, file) is sent with
 * is journalled when it changes, before the line goes; nothing is done for a line that goes with
 * what the one before it had.
 *
 * Records that another process read before are read again: their lines go by what that process
 * decided, whatever is known of the container by now, and nothing new is decided about it until
 * they are through. A line of which nothing was journalled was not sent then.
 */
#include "streams/internal.h"

#include "base/log.h"
#include "state/decisions.h"

static bool was_guarded(void *ctx, const char *name, uint64_t state)
{
	return decisions__guarded(ctx, name, state);
}

static void tell(struct streams *s, struct container *c, const struct decision *d)
{
	decisions__add(s->decisions, d, c->meta);
}

/* In the middle of a line, whose labels it may be about. */
static void on_guard(void *ctx, const struct limits_event *event)
{
	struct streams *s = ctx;

	if (event->taken)
		decisions__guard_take(s->decisions, event->name, event->since_ns);
	else
		decisions__guard_give(s->decisions, event->name);
	streams__forget_labels(s);
	if (s->sent && s->sent_of->meta)
		tell(s, s->sent_of,
		     &(struct decision){.cgroup_id = s->sent_of->cgroup_id,
					.file = s->sent->stream,
					.from_ns = s->sent->time_ns,
					.pos = s->pos});
}

static void next_flush(struct streams *s, uint64_t pos)
{
	if (!decisions__next_flush(s->decisions, pos, &s->flush))
		s->flush.pos = UINT64_MAX;
}

static void hold_guard(struct streams *s, uint64_t state)
{
	bool past = state != decisions__guard(s->decisions);

	routing__hold_guard(s->routing, past ? was_guarded : NULL, s->decisions, state);
}

void streams__hold_guard(struct streams *s)
{
	if (s->replaying && s->was_replayed)
		hold_guard(s, s->replayed_guard);
	else
		routing__hold_guard(s->routing, NULL, NULL, 0);
}

static void restore_guard(void *ctx, const char *name, uint64_t since_ns)
{
	struct streams *s = ctx;

	if (routing__restore_guard(s->routing, name, since_ns))
		log_error("label %s is not guarded: out of memory", name);
}

void streams__follow_guard(struct streams *s)
{
	routing__observe_guard(s->routing, on_guard, s);
}

static void restore_container(void *ctx, uint64_t cgroup_id, const struct meta *m)
{
	struct streams *s = ctx;

	if (registry__restore(s->opts.registry, cgroup_id, m))
		log_error("what was known of a container is not: out of memory");
}

/* The kernel side knows it, too: it is told when it is wanted again. */
static void exclude_again(void *ctx, uint64_t cgroup_id, const struct meta *m)
{
	struct streams *s = ctx;
	struct container *c;

	(void)m;
	if (!decisions__excluded_at(s->decisions, cgroup_id, 0, UINT64_MAX, NULL))
		return;
	c = container__find(s, cgroup_id);
	if (!c && s->opts.lives(s->opts.ctx, cgroup_id))
		c = container__get(s, cgroup_id);
	if (!c)
		return;
	c->excluded = true;
	c->decided = 0;
	container__reopen(s, c);
}

void streams__decide_by(struct streams *s, struct decisions *decisions, uint64_t until)
{
	s->decisions = decisions;
	s->decided_until = until;
	s->replaying = until > 0;
	decisions__each_guarded(decisions, restore_guard, s);
	decisions__each(decisions, restore_container, s);
	if (s->replaying)
		next_flush(s, 0);
	else
		decisions__each(decisions, exclude_again, s);
	streams__follow_guard(s);
}

/* Streams of the container that have it at hand look again. */
static void forget_at_hand(struct streams *s, const struct container *c)
{
	struct stream *st, *next;

	HASH_ITER (hh, s->by_key, st, next)
		if (st->container == c)
			st->set_version = 0;
}

bool stream__send_again(struct stream *st, const struct line *line)
{
	struct streams *s = st->owner;
	struct container *c = st->container;
	struct labelled *l = &c->by_file[line->stream];
	uint64_t version = l->version;
	struct decided was;

	if (!decisions__find(s->decisions, c->cgroup_id, line->stream, line->time_ns, &was))
		return false;
	if (was.excluded) {
		counters__add(s->opts.counters, excluded, line->len);
		return true;
	}
	hold_guard(s, was.guard);
	s->replayed_guard = s->was_replayed ? MAX(s->replayed_guard, was.guard) : was.guard;
	s->was_replayed = true;
	if (l->guard != was.guard)
		l->version = 0;
	l = container__labels_by(s, c, line->stream, line->time_ns, was.meta);
	if (l) {
		l->guard = was.guard;
		if (l->version != version)
			forget_at_hand(s, c);
	}
	if (!l)
		counters__add(s->opts.counters, dropped_no_memory, 1);
	else if (l->wanted)
		labelled__send(s, c, l, line);
	routing__release_guard(s->routing);
	return true;
}

void labelled__tell(struct streams *s, struct container *c, struct labelled *l,
		    const struct line *line)
{
	uint64_t guard = decisions__guard(s->decisions), hash = l->set ? l->set->hash : 0;
	bool same = l->told_version == c->meta->version;

	if (same && l->told_guard == guard)
		return;
	/* What the guard took is no label of it. */
	if (!same || l->stages || l->told_hash != hash)
		tell(s, c,
		     &(struct decision){.cgroup_id = c->cgroup_id,
					.file = line->stream,
					.from_ns = line->time_ns,
					.pos = s->pos});
	l->told_version = c->meta->version;
	l->told_guard = l->guard = guard;
	l->told_hash = hash;
}

/* From behind all that was read on, but for the rest of what the line is of. */
void container__tell_excluded(struct streams *s, struct container *c, const struct line *line)
{
	struct decision d = {.cgroup_id = c->cgroup_id, .excluded = c->excluded, .pos = s->pos};

	if (!s->decisions)
		return;
	if (line) {
		d.file = line->stream;
		d.from_ns = line->time_ns;
		tell(s, c, &d);
	}
	d.file = DECISIONS_ALL_FILES;
	d.from_ns = s->newest_ns + 1;
	tell(s, c, &d);
}

bool container__is_decided(const struct streams *s, const struct container *c)
{
	return s->replaying && decisions__knows(s->decisions, c->cgroup_id);
}

void container__tell_gone(struct streams *s, const struct container *c)
{
	if (s->decisions)
		hold_guard(s, decisions__gone(s->decisions, c->cgroup_id, s->pos));
}

/* Lines that had waited for a name came to the stages later than they do now. */
static void leave_again(struct streams *s, struct container *c)
{
	for (enum line_stream file = LINE_STDOUT; file <= LINE_TTY; file++)
		if (decisions__first_pos(s->decisions, c->cgroup_id, file) <= s->flush.pos)
			labelled__leave(&c->by_file[file]);
}

bool stream__was_excluded(struct streams *s, struct stream **st, uint64_t cgroup_id, uint64_t pos)
{
	bool since, now = decisions__excluded_at(s->decisions, cgroup_id, *st ? (*st)->last_pos : 0,
						 pos, &since);

	/* With the half line that it had. */
	if (*st && (now || since))
		stream__free(s, TAKE_PTR(*st));
	return now;
}

/* A flush of before the first record that is read again has nothing to send. */
static void flush_again(struct streams *s, uint64_t pos)
{
	struct container *c, *next;

	while (s->flush.pos < pos) {
		hold_guard(s, s->flush.guard);
		if (s->flush.before != UINT64_MAX)
			routing__flush_before(s->routing, s->flush.before);
		HASH_ITER (hh, s->by_cgroup, c, next)
			if (s->flush.before == UINT64_MAX)
				leave_again(s, c);
		routing__release_guard(s->routing);
		streams__forget_labels(s);
		next_flush(s, s->flush.pos + 1);
	}
}

static void end_replay(struct streams *s)
{
	struct stream *st, *next;

	flush_again(s, s->decided_until);
	HASH_ITER (hh, s->by_key, st, next)
		stream__was_excluded(s, &st, st->cgroup_id, s->decided_until);
	s->replaying = false;
	s->decided_at = 0;
	decisions__each(s->decisions, exclude_again, s);
	decisions__settle(s->decisions);
}

void streams__replay(struct streams *s, uint64_t pos)
{
	flush_again(s, MIN(pos, s->decided_until));
	if (pos >= s->decided_until)
		end_replay(s);
}

void streams__tick_replay(struct streams *s)
{
	struct streams_ring ring;

	if (!s->replaying)
		return;
	s->opts.ring(s->opts.ctx, &ring);
	if (ring.read >= s->decided_until)
		end_replay(s);
}
