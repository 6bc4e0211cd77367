/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes on behind a mark: of each stream what it was in the middle of, of stages what they know
 * of the past. Everything else is made again from the records. Written when a mark is chosen, not
 * when it is made: by then most of what was open is done, and a number says where.
 *
 * Items side by side, native, each a multiple of 8 bytes.
 */
#include "streams/internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "assemble/attribute.h"
#include "base/log.h"

enum saved_kind { SAVED_STREAM = 1, SAVED_STAGES = 2 };

struct saved_item {
	uint32_t size; /* with this, and what fills it up */
	uint32_t len;  /* of the bytes behind the struct of its kind */
	uint8_t kind;
	uint8_t file, tap, session;
	uint8_t skipping;
	uint8_t pad[3];
	uint64_t cgroup_id;
};

struct saved_stream {
	struct saved_item item;
	struct nt_stream_key key;
	uint64_t end_pos, end;
	/* Of the half line, whose bytes follow. */
	uint64_t ring_pos, time_ns, half_end;
	uint32_t pid, tid;
	char comm[LINE_COMM_LEN];
	struct line_trace trace;
};

static_assert(sizeof(struct saved_item) % 8 == 0 && sizeof(struct saved_stream) % 8 == 0,
	      "items are aligned");

static size_t round_up(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

/* `size`: of the struct at `head`. */
static int put(struct buf *out, struct saved_item *head, size_t size, const char *bytes)
{
	static const char zeros[8];
	int err;

	head->size = (uint32_t)round_up(size + head->len);
	err = buf__reserve(out, head->size);
	if (err)
		return err;
	buf__append(out, head, size);
	if (head->len)
		buf__append(out, bytes, head->len);
	return buf__append(out, zeros, head->size - size - head->len);
}

static int put_stream(struct buf *out, const struct relic *r, const struct assemble_seed *seed)
{
	struct saved_stream to;

	memset(&to, 0, sizeof(to));
	to.item.kind = SAVED_STREAM;
	to.item.file = (uint8_t)r->file;
	to.item.tap = r->tap;
	to.item.session = r->session;
	to.item.skipping = seed->skipping;
	to.item.cgroup_id = r->cgroup_id;
	to.item.len = (uint32_t)seed->half.len;
	to.key = r->key;
	to.end_pos = seed->end_pos;
	to.end = seed->end;
	if (seed->half.len) {
		to.ring_pos = seed->half.ring_pos;
		to.time_ns = seed->half.time_ns;
		to.half_end = seed->half.end;
		to.pid = seed->half.pid;
		to.tid = seed->half.tid;
		memcpy(to.comm, seed->half.comm, sizeof(to.comm));
		to.trace = seed->half.trace;
	}
	return put(out, &to.item, sizeof(to), seed->half.bytes);
}

static int put_stages(struct buf *out, uint64_t cgroup_id, enum line_stream file,
		      const struct program_stream *stages, const struct saved_state *saved,
		      uint64_t mark)
{
	_buf_ struct buf state = {0};
	struct saved_item to;
	int err = stages ? program_stream__at_mark(stages, mark, &state)
			 : saved_state__at(saved, mark, &state);

	if (err || !state.len)
		return err;
	memset(&to, 0, sizeof(to));
	to.kind = SAVED_STAGES;
	to.file = (uint8_t)file;
	to.cgroup_id = cgroup_id;
	to.len = (uint32_t)state.len;
	return put(out, &to, sizeof(to), state.data);
}

static struct relic like(const struct stream *st)
{
	return (struct relic){.key = st->key,
			      .cgroup_id = st->cgroup_id,
			      .file = st->file,
			      .tap = st->tap,
			      .session = st->session};
}

static int save_streams(struct streams *s, uint64_t mark, size_t max_half, size_t max_copies,
			struct buf *out, uint64_t *oldest)
{
	struct assemble_seed seed;
	struct stream *st, *next;
	struct relic of_stream;
	size_t copies = 0;
	int err = 0;

	HASH_ITER (hh, s->by_key, st, next) {
		if (st->container->excluded || !assembler__at_mark(st->assembler, mark, &seed))
			continue;
		if (seed.half.len > max_half || seed.half.len > max_copies - copies) {
			*oldest = MIN(*oldest, seed.half.ring_pos);
			continue;
		}
		copies += seed.half.len;
		of_stream = like(st);
		err = put_stream(out, &of_stream, &seed);
		if (err)
			return err;
	}
	return *oldest == UINT64_MAX ? 0 : -EAGAIN;
}

static int save_relics(struct streams *s, uint64_t mark, struct buf *out)
{
	struct assemble_seed seed;
	const struct crossing *x;
	struct relic *r;
	int err = 0;

	DL_FOREACH (s->relics, r) {
		x = crossings__at(&r->crossings, mark);
		if (r->stages) {
			err = put_stages(out, r->cgroup_id, r->file, NULL, r->stages, mark);
		} else if (x) {
			seed = (struct assemble_seed){
				.end_pos = x->end_pos, .end = x->end, .skipping = x->skipping};
			err = put_stream(out, r, &seed);
		}
		if (err)
			break;
	}
	return err;
}

static int save_stages(struct streams *s, uint64_t mark, struct buf *out)
{
	struct container *c, *next;
	int err = 0;

	HASH_ITER (hh, s->by_cgroup, c, next) {
		for (size_t i = LINE_STDOUT; i < ARRAY_SIZE(c->by_file) && !err; i++)
			if (c->by_file[i].stages)
				err = put_stages(out, c->cgroup_id, (enum line_stream)i,
						 c->by_file[i].stages, NULL, mark);
		if (err)
			break;
	}
	return err;
}

/* Those that no line has asked for yet. */
static int save_seeds(struct streams *s, struct buf *out)
{
	const struct stage_seed *seed;
	struct saved_item to;
	int err = 0;

	LL_FOREACH(s->stage_seeds, seed)
	{
		memset(&to, 0, sizeof(to));
		to.kind = SAVED_STAGES;
		to.file = (uint8_t)seed->file;
		to.cgroup_id = seed->cgroup_id;
		to.len = (uint32_t)seed->len;
		err = put(out, &to, sizeof(to), seed->bytes);
		if (err)
			break;
	}
	return err;
}

int streams__save(struct streams *s, uint64_t mark, size_t max_half, size_t max_copies,
		  struct buf *out, uint64_t *ret_oldest)
{
	uint64_t oldest = UINT64_MAX;
	int err = save_streams(s, mark, max_half, max_copies, out, &oldest);

	if (err == -EAGAIN)
		*ret_oldest = oldest;
	if (!err)
		err = save_relics(s, mark, out);
	if (!err)
		err = save_stages(s, mark, out);
	return err ? err : save_seeds(s, out);
}

static int restore_stream(struct streams *s, uint64_t mark, const struct saved_stream *from)
{
	const struct saved_item *item = &from->item;
	struct assemble_seed seed = {.end_pos = from->end_pos,
				     .end = from->end,
				     .skipping = item->skipping,
				     .half = {.bytes = (const char *)(from + 1),
					      .len = item->len,
					      .ring_pos = from->ring_pos,
					      .time_ns = from->time_ns,
					      .end = from->half_end,
					      .pid = from->pid,
					      .tid = from->tid,
					      .trace = from->trace}};
	struct stream *st = stream__find(s, &from->key);

	if (from->key.type > NT_KEY_TTY || from->comm[LINE_COMM_LEN - 1] ||
	    (item->tap != NT_TAP_READ && item->tap != NT_TAP_WRITE))
		return -EINVAL;
	/* The kernel has another one by now, or this one, of which nothing was read yet. */
	if (st && (st->cgroup_id != item->cgroup_id || st->file != item->file))
		stream__free(s, TAKE_PTR(st));
	if (!st)
		st = stream__new(s, &from->key, item->cgroup_id, item->file, item->tap);
	if (!st)
		return -ENOMEM;
	st->session = item->session;
	memcpy(seed.half.comm, from->comm, sizeof(from->comm));
	return assembler__restore(st->assembler, mark, &seed);
}

static int restore_stages(struct streams *s, const struct saved_item *item)
{
	struct stage_seed *seed = malloc(sizeof(*seed) + item->len);

	if (!seed)
		return -ENOMEM;
	seed->cgroup_id = item->cgroup_id;
	seed->file = (enum line_stream)item->file;
	seed->len = item->len;
	memcpy(seed->bytes, item + 1, item->len);
	LL_PREPEND(s->stage_seeds, seed);
	return 0;
}

static int restore_item(struct streams *s, uint64_t mark, const struct saved_item *item)
{
	if (item->file < LINE_STDOUT || item->file > LINE_TTY || item->session > 1 ||
	    item->skipping > 1)
		return -EINVAL;
	if (item->kind == SAVED_STREAM && item->size >= sizeof(struct saved_stream) &&
	    item->len <= item->size - sizeof(struct saved_stream))
		return restore_stream(s, mark, (const struct saved_stream *)item);
	if (item->kind == SAVED_STAGES && item->len <= item->size - sizeof(*item))
		return restore_stages(s, item);
	return -EINVAL;
}

int streams__restore(struct streams *s, uint64_t mark, const char *bytes, size_t len)
{
	const struct saved_item *item;
	int err = 0, e;

	while (len >= sizeof(*item)) {
		item = (const struct saved_item *)bytes;
		if (item->size < sizeof(*item) || item->size > len || item->size % 8)
			return -EINVAL;
		e = restore_item(s, mark, item);
		if (e == -ENOMEM)
			return e;
		if (e)
			log_debug(
				"mark at %llu: item of %u bytes, kind %u, cgroup %llu, file %u: %d",
				(unsigned long long)mark, item->size, item->kind,
				(unsigned long long)item->cgroup_id, item->file, e);
		err = err ? err : e;
		bytes += item->size;
		len -= item->size;
	}
	return len ? -EINVAL : err;
}

uint64_t streams__oldest(const struct streams *s)
{
	uint64_t pos = routing__oldest(s->routing), oldest;
	const struct container *c;
	const struct stream *st;

	DL_FOREACH (s->parked, c)
		pos = MIN(pos, c->parked_pos);
	DL_FOREACH (s->waiting, st) {
		oldest = attribute__oldest(st->attribute);
		pos = MIN(pos, oldest);
	}
	return pos;
}

static bool relic__tidy(struct relic *r, const struct marks *marks)
{
	crossings__tidy(&r->crossings, marks);
	saved_state__tidy(&r->stages, marks);
	return !r->crossings.n && !r->stages;
}

static void relic__free(struct streams *s, struct relic *r)
{
	DL_DELETE(s->relics, r);
	crossings__free(&r->crossings);
	saved_state__tidy(&r->stages, NULL);
	free(r);
}

void streams__forget_marks(struct streams *s)
{
	struct relic *r, *next;

	DL_FOREACH_SAFE (s->relics, r, next)
		if (relic__tidy(r, s->opts.marks))
			relic__free(s, r);
}

/* Takes over what the relic has. */
static void add_relic(struct streams *s, struct relic *r)
{
	struct relic *new = NULL;

	if (!relic__tidy(r, s->opts.marks))
		new = malloc(sizeof(*new));
	if (!new) {
		crossings__free(&r->crossings);
		saved_state__tidy(&r->stages, NULL);
		return;
	}
	*new = *r;
	DL_APPEND(s->relics, new);
}

void stream__leave_relic(struct streams *s, struct stream *st)
{
	struct relic r = like(st);

	if (!s->opts.marks || st->container->excluded)
		return;
	r.crossings = assembler__take_crossings(st->assembler);
	add_relic(s, &r);
}

void container__leave_relics(struct streams *s, struct container *c)
{
	if (!s->opts.marks || c->excluded)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(c->by_file); i++) {
		struct relic r = {.cgroup_id = c->cgroup_id, .file = (enum line_stream)i};

		if (!c->by_file[i].stages)
			continue;
		r.stages = program_stream__take_saved(c->by_file[i].stages);
		add_relic(s, &r);
	}
}

void container__seed_stages(struct streams *s, const struct container *c, enum line_stream file,
			    struct labelled *l)
{
	struct stage_seed **at = &s->stage_seeds, *seed;

	while ((seed = *at)) {
		if (seed->cgroup_id != c->cgroup_id || seed->file != file) {
			at = &seed->next;
			continue;
		}
		program_stream__restore(l->stages, l->set, seed->bytes, seed->len);
		*at = seed->next;
		free(seed);
	}
}

void streams__free_marks(struct streams *s)
{
	struct stage_seed *seed;

	while (s->relics)
		relic__free(s, s->relics);
	while ((seed = s->stage_seeds)) {
		s->stage_seeds = seed->next;
		free(seed);
	}
}

size_t streams__cut_half_lines(struct streams *s, uint64_t pos, size_t max_half)
{
	struct stream *st, *next;
	struct assemble_seed seed;
	size_t n = 0;

	HASH_ITER (hh, s->by_key, st, next) {
		if (assembler__oldest(st->assembler) >= pos ||
		    !assembler__at_mark(st->assembler, UINT64_MAX, &seed) ||
		    seed.half.len <= max_half)
			continue;
		assembler__flush(st->assembler, 0);
		n++;
	}
	return n;
}

void streams__flush_stages(struct streams *s, uint64_t pos)
{
	if (s->decisions)
		decisions__add_flush(s->decisions, s->pos, pos);
	streams__hold_guard(s);
	routing__flush_before(s->routing, pos);
	routing__release_guard(s->routing);
}
