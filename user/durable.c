/* SPDX-License-Identifier: Apache-2.0 */
/* The rooms that it takes: the kernel's pins, the layout of the memory, marks, the journal. */
#include "durable.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "commit.h"
#include "state/decisions.h"
#include "state/state.h"

struct durable {
	struct counters *counters;
	struct commit *commit;
	struct capture *capture; /* NULL: nothing outlives this process */
	struct streams *streams;
	struct state *state;
	struct decisions *decisions;
};

int durable__new(struct durable **ret, struct counters *counters)
{
	struct durable *d = calloc(1, sizeof(*d));
	int err;

	if (!d)
		return -ENOMEM;
	d->counters = counters;
	err = commit__new(&d->commit, counters);
	if (err)
		durable__free(d);
	else
		*ret = d;
	return err;
}

void durable__free(struct durable *d)
{
	if (!d)
		return;
	decisions__free(d->decisions);
	commit__free(d->commit);
	state__free(d->state);
	free(d);
}

const struct marks *durable__marks(const struct durable *d)
{
	return commit__marks(d->commit);
}

/* The steps that are journalled hold for the records of then; a later one may have come since. */
static void take_clock(struct durable *d, struct clock_anchor *anchor)
{
	bool known = decisions__clock(d->decisions, anchor) == 0;
	bool stepped = known && clock__check(anchor);

	counters__add(d->counters, clock_steps, stepped);
	if (!known || stepped)
		decisions__add_clock(d->decisions, anchor);
}

static int open_state(struct durable *d, struct capture *c)
{
	enum state_found found;
	void *memory, *halves[2];
	bool adopted;
	size_t size;
	int err = capture__state(c, &memory, &size, &adopted);

	if (!err)
		err = state__new(&d->state, memory, size, &found);
	if (err)
		return err;
	if (found == STATE_FOREIGN) {
		counters__add(d->counters, state_damaged, 1);
		log_warn("what the run before left is another version's: lines that it was in the "
			 "middle of may be cut, or sent twice");
	}
	state__own(d->state, (uint32_t)getpid(), clock__boot_ns());
	for (unsigned i = 0; i < 2; i++)
		halves[i] = state__journal(d->state, i);
	return decisions__new(&d->decisions, halves, STATE_JOURNAL_BYTES, d->counters);
}

/* What notail's container wrote, up to `end` of the ring, before programs of a run before knew it
 * for notail's: a successor in another container would send it as that one's. */
static void exclude_own(struct durable *d, uint64_t cgroup_id, uint64_t end)
{
	const struct decision own = {.cgroup_id = cgroup_id, .excluded = true};
	_meta_ struct meta *nothing = cgroup_id ? meta__new() : NULL;

	if (nothing && decisions__add(d->decisions, &own, nothing))
		decisions__gone(d->decisions, cgroup_id, end);
}

int durable__start(struct durable *d, struct capture *c, struct streams *s,
		   struct clock_anchor *anchor)
{
	struct commit_opts opts = {0};
	struct capture_counters counters;
	uint64_t read, until, position;
	int err;

	if (!capture__durable(c, &(const char *){NULL}))
		return 0;
	err = open_state(d, c);
	if (err == -ENOENT)
		return 0;
	if (err)
		return err;
	capture__counters(c, &counters);
	capture__positions(c, &read, &opts.producer);
	opts.consumer = capture__committed(c);
	opts.ring_bytes = counters.ring_bytes;
	opts.state = d->state;
	if (state__was_read(d->state) > opts.producer)
		state__forget_read(d->state);
	until = state__was_read(d->state);
	take_clock(d, anchor);
	position = commit__restore(d->commit, s, &opts);
	err = capture__seek(c, position);
	if (err)
		return err;
	if (until > position)
		log_info("going on where the run before ended: %" PRIu64
			 " bytes of the ring are read again",
			 until - position);
	exclude_own(d, capture__own_cgroup(c), opts.producer);
	streams__decide_by(s, d->decisions, until > position ? until : 0);
	d->streams = s;
	d->capture = c;
	return 0;
}

bool durable__is_on(const struct durable *d)
{
	return d && d->capture;
}

size_t durable__read_bytes(const struct durable *d)
{
	return commit__read_bytes(d->commit);
}

void durable__before_read(struct durable *d)
{
	uint64_t read, written;

	capture__positions(d->capture, &read, &written);
	commit__reading(d->commit, MIN(written, read + 2 * commit__read_bytes(d->commit)));
}

void durable__after_read(struct durable *d, uint64_t position)
{
	commit__reading(d->commit, position);
}

void durable__clock_stepped(struct durable *d, const struct clock_anchor *anchor)
{
	decisions__add_clock(d->decisions, anchor);
}

uint64_t durable__round(struct durable *d, uint64_t read, uint64_t held, uint64_t now_ns)
{
	uint64_t position = commit__round(d->commit, d->streams, read, held, now_ns);

	decisions__committed(d->decisions, position);
	return position;
}

uint64_t durable__due_ns(const struct durable *d)
{
	return commit__due_ns(d->commit);
}
