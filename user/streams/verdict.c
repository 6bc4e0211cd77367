/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said of a stream at its end: whether all that was written was seen, what is missing, and
 * its line of statistics.
 */
#include "streams/internal.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"

#define MISSES_NS NS_PER_SEC

void streams__read_misses(struct streams *s)
{
	uint64_t now_ns = clock__boot_ns();

	if (!s->opts.misses || now_ns - s->misses[0].time_ns < MISSES_NS)
		return;
	s->misses[1] = s->misses[0];
	s->misses[0].time_ns = now_ns;
	for (enum nt_tap tap = NT_TAP_READ; tap <= NT_TAP_WRITE; tap++)
		s->misses[0].by_tap[tap] = s->opts.misses(s->opts.ctx, tap);
}

const uint64_t *streams__misses_at(const struct streams *s, uint64_t time_ns)
{
	static const uint64_t none[NT_TAP_WRITE + 1];

	for (size_t i = 0; i < ARRAY_SIZE(s->misses); i++)
		if (s->misses[i].time_ns <= time_ns)
			return s->misses[i].by_tap;
	return none;
}

bool stream__incomplete(struct streams *s, struct stream *st)
{
	enum nt_tap tap = st->copied_at_write ? NT_TAP_WRITE : NT_TAP_READ;

	return s->opts.misses && s->opts.misses(s->opts.ctx, tap) != st->first_misses[tap];
}

static void add_named(char *text, size_t size, const char *name, uint64_t bytes)
{
	size_t len = strlen(text);

	if (bytes)
		snprintf(text + len, size - len, " %s=%" PRIu64, name, bytes);
}

void stream__print_stats(struct streams *s, struct stream *st, const struct verdict *v)
{
	char proof[128] = "missing=- uncounted=-", written[24] = "-", why[64] = "";
	char named[128] = "";
	const char *name = s->opts.stats ? stream__name(s, st) : NULL;

	if (!name)
		return;
	if (st->why[0])
		snprintf(why, sizeof(why), " (%s)", st->why);
	if (!s->opts.uncounted) {
		snprintf(written, sizeof(written), "%" PRIu64, v->written);
		snprintf(proof, sizeof(proof), "missing=%" PRIu64 " uncounted=%" PRIu64, v->missing,
			 v->uncounted);
	}
	add_named(named, sizeof(named), "preexisting", v->before);
	add_named(named, sizeof(named), "unread_at_end", v->unread);
	add_named(named, sizeof(named), "foreign_reader", v->foreign);
	fprintf(s->opts.stats,
		"stream %s %s tap=%s%s written=%s copied=%" PRIu64 " lost=%" PRIu64 " %s%s%s%s%s\n",
		name, stream__file_name(st->file), stream__tap_name(st->tap), why, written,
		v->seen - MIN(v->seen, st->lost_bytes), st->lost_bytes, proof, named,
		st->session ? " exec" : "", v->incomplete ? " incomplete" : "",
		v->open ? " open" : "");
	fflush(s->opts.stats);
}

/*
 * Who took what was written, if the tap did not see it; what was seen, if it was written before
 * registration; then what is left.
 */
static void verdict__compare(struct verdict *v)
{
	uint64_t out = v->seen + v->unread + v->foreign;

	if (v->written > out) {
		v->missing = v->written - out;
		v->before = 0;
	} else {
		v->before = MIN(v->before, out - v->written);
		v->uncounted = out - v->written - v->before;
	}
}

/*
 * The proof: at a pipe's end what the container wrote and what the reader's tap saw must be equal,
 * but for what has a name: it lay there before, nobody read it, somebody else did. More written is
 * missing here; more seen is a write that could not be counted. A terminal has no such proof: the
 * kernel echoes and translates. Nor has a stream that hooks were skipped for: both sides may have
 * missed the same bytes.
 */
void stream__finish(struct streams *s, struct stream *st, const struct verdict *counts)
{
	struct verdict v = {.written = counts->written, .seen = counts->seen};

	if (st->file != LINE_TTY && !s->opts.uncounted) {
		v = *counts;
		if (st->tap == NT_TAP_WRITE)
			v.foreign = 0; /* copied before anybody could take it */
		verdict__compare(&v);
	}
	v.incomplete = stream__incomplete(s, st);
	counters__add(s->opts.counters, incomplete, v.incomplete);
	counters__add(s->opts.counters, missing, v.missing);
	counters__add(s->opts.counters, uncounted, v.uncounted);
	counters__add(s->opts.counters, preexisting, v.before);
	counters__add(s->opts.counters, unread_at_end, v.unread);
	counters__add(s->opts.counters, foreign_reader, v.foreign);
	if (v.missing)
		stream__tell_gap(st, v.missing, 0, "missing", st->last_ns, counts->pos);
	stream__flush(st, st->last_ns);
	stream__print_stats(s, st, &v);
}
