/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Marks are made each MARK_NS of reading, and each 1/64 of the ring; there are MARKS_MAX at most,
 * and the one goes whose neighbours are nearest. The newest that no batch, parked or held line is
 * below is tried. What stands in its way then are half lines over MAX_HALF: an older mark, from
 * before they began, is tried next. When they hold more than half of the ring they are copied too,
 * as far as there is room, and beyond that delivered as they are; so is what stages hold.
 *
 * Writing what is known at the mark comes first, freeing the ring second: who dies in between
 * leaves a mark that is ahead of the consumer's position, and that is the one that counts.
 */
#include "commit.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

#define MARK_NS (100 * NS_PER_MS)
#define RETRY_NS (100 * NS_PER_MS)
#define MARKS_IN_RING 64
#define MAX_HALF 4096
#define MIN_READ 65536
#define MAX_COPIES (256u * 1024)
#define MAX_TRIES 8

struct commit {
	struct counters *counters;
	struct commit_opts opts;
	struct marks marks; /* behind `position` */
	uint64_t position;  /* that the state has, and up to which the ring is free */
	uint64_t read;
	uint64_t marked_ns;
	uint64_t retry_ns; /* something was in the way */
	struct buf buf;
	bool said_full;
};

int commit__new(struct commit **ret, struct counters *counters)
{
	struct commit *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->counters = counters;
	*ret = c;
	return 0;
}

void commit__free(struct commit *c)
{
	if (!c)
		return;
	buf__free(&c->buf);
	free(c);
}

const struct marks *commit__marks(const struct commit *c)
{
	return &c->marks;
}

static void say_damaged(struct commit *c, unsigned n)
{
	if (!n)
		return;
	counters__add(c->counters, state_damaged, n);
	log_warn("what the process before left is damaged: lines that it was in the middle of may "
		 "be cut, or sent twice");
}

uint64_t commit__restore(struct commit *c, struct streams *s, const struct commit_opts *opts)
{
	struct state_mark m;
	int err = 0;

	c->opts = *opts;
	say_damaged(c, state__damaged(opts->state));
	while (state__newest(c->opts.state, &m) == 0 &&
	       (m.position < opts->consumer || m.position > opts->producer)) {
		if (m.position > opts->producer)
			say_damaged(c, 1); /* it is of another ring */
		state__discard(c->opts.state, &m);
	}
	c->position = c->read = opts->consumer;
	if (state__newest(c->opts.state, &m) == 0) {
		c->position = c->read = m.position;
		err = streams__restore(s, m.position, m.bytes, m.len);
	}
	if (err == -ENOMEM)
		log_error("what the process before was in the middle of is not known: out of "
			  "memory");
	else if (err)
		say_damaged(c, 1);
	return c->position;
}

void commit__reading(struct commit *c, uint64_t pos)
{
	state__read(c->opts.state, pos);
}

size_t commit__read_bytes(const struct commit *c)
{
	return MAX(c->opts.ring_bytes / MARKS_IN_RING, (size_t)MIN_READ);
}

/* Room for one more: the one goes that leaves the smallest hole. */
static void thin_out(struct marks *m, uint64_t begin)
{
	uint64_t hole, least = UINT64_MAX, before = begin;
	size_t at = 0;

	for (size_t i = 0; i + 1 < m->n; i++) {
		hole = m->pos[i + 1] - before;
		if (hole < least) {
			least = hole;
			at = i;
		}
		before = m->pos[i];
	}
	m->n--;
	memmove(&m->pos[at], &m->pos[at + 1], (m->n - at) * sizeof(m->pos[0]));
}

static void make_mark(struct commit *c, uint64_t now_ns)
{
	uint64_t newest = MAX(marks__newest(&c->marks), c->position);

	if (c->read == newest || (now_ns - c->marked_ns < MARK_NS &&
				  c->read - newest < c->opts.ring_bytes / MARKS_IN_RING))
		return;
	if (c->marks.n == MARKS_MAX)
		thin_out(&c->marks, c->position);
	c->marks.pos[c->marks.n++] = c->read;
	c->marked_ns = now_ns;
}

/* The mark and all before it are behind us. */
static void forget(struct commit *c, struct streams *s, uint64_t mark)
{
	size_t n = 0;

	while (n < c->marks.n && c->marks.pos[n] <= mark)
		n++;
	c->marks.n -= n;
	memmove(&c->marks.pos[0], &c->marks.pos[n], c->marks.n * sizeof(c->marks.pos[0]));
	streams__forget_marks(s);
}

/* Half of the ring waits for what is at `oldest`. */
static bool is_pressed(const struct commit *c, uint64_t oldest)
{
	return c->read > oldest && c->read - oldest > c->opts.ring_bytes / 2;
}

/* 0; -EAGAIN: *oldest is what is in the way; -ENOSPC, -ENOMEM. */
static int save(struct commit *c, struct streams *s, uint64_t mark, bool pressed, uint64_t *oldest)
{
	int err;

	c->buf.len = 0;
	err = streams__save(s, mark, pressed ? SIZE_MAX : MAX_HALF, MAX_COPIES, &c->buf, oldest);
	return err ? err : state__save(c->opts.state, mark, c->buf.data, c->buf.len);
}

/* The newest mark that can be written, from `mark` down. False: none. */
static bool save_one(struct commit *c, struct streams *s, uint64_t mark, uint64_t *ret_blocked)
{
	bool pressed = false;
	int err;

	for (unsigned i = 0; i < MAX_TRIES && mark > c->position; i++) {
		uint64_t oldest = UINT64_MAX;

		err = save(c, s, mark, pressed, &oldest);
		if (!err) {
			c->position = mark;
			return true;
		}
		if (err == -EAGAIN) {
			*ret_blocked = MIN(*ret_blocked, oldest);
			if (!pressed && is_pressed(c, oldest)) {
				pressed = true;
				continue;
			}
		}
		if (err != -EAGAIN && !c->said_full) {
			c->said_full = true;
			log_warn("a mark of the ring is not written: %s", strerror(-err));
		}
		mark = marks__before(&c->marks, MIN(oldest, mark - 1));
	}
	return false;
}

/* What holds the ring for too long goes as it is, and is delivered by the next rounds. */
static void relieve(struct commit *c, struct streams *s, uint64_t blocked)
{
	uint64_t oldest = streams__oldest(s);
	size_t n = 0;

	if (is_pressed(c, oldest))
		streams__flush_stages(s, c->read - c->opts.ring_bytes / 2);
	if (blocked != UINT64_MAX && is_pressed(c, blocked))
		n = streams__cut_half_lines(s, blocked + 1, MAX_HALF);
	counters__add(c->counters, ring_relief, n);
}

static bool try_marks(struct commit *c, struct streams *s, uint64_t held)
{
	uint64_t blocked = UINT64_MAX, oldest;

	if (marks__before(&c->marks, held) <= c->position)
		return true;
	oldest = streams__oldest(s);
	if (save_one(c, s, marks__before(&c->marks, MIN(held, oldest)), &blocked)) {
		forget(c, s, c->position);
		return true;
	}
	relieve(c, s, blocked);
	return false;
}

uint64_t commit__round(struct commit *c, struct streams *s, uint64_t read, uint64_t held,
		       uint64_t now_ns)
{
	c->read = read;
	commit__reading(c, read);
	make_mark(c, now_ns);
	if (now_ns >= c->retry_ns)
		c->retry_ns = try_marks(c, s, held) ? 0 : now_ns + RETRY_NS;
	return c->position;
}

uint64_t commit__due_ns(const struct commit *c)
{
	uint64_t newest = MAX(marks__newest(&c->marks), c->position);
	uint64_t due_ns = c->read == newest ? UINT64_MAX : c->marked_ns + MARK_NS;

	return c->retry_ns ? MIN(due_ns, c->retry_ns) : due_ns;
}
