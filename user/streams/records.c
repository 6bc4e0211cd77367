/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handlers of the ring's records. A record of an unknown stream makes one: the registration's
 * own record may have found the ring full.
 *
 * on_data and what it calls for each record are here, or inline: it runs once for each write of
 * each container.
 */
#include "streams/internal.h"

#include <inttypes.h>
#include <string.h>

#include "assemble/attribute.h"
#include "base/log.h"
#include "state/decisions.h"

static bool is_excluded(struct streams *s, uint64_t cgroup_id)
{
	const struct container *c = container__find(s, cgroup_id);

	if (c && c->excluded)
		return true;
	/* What notail's container of before wrote may lie behind what that notail had read. */
	return s->decisions && !s->replaying &&
	       decisions__excluded_at(s->decisions, cgroup_id, 0, UINT64_MAX, NULL);
}

static void on_registered(void *ctx, uint64_t pos, const struct nt_register *rec)
{
	struct streams *s = ctx;
	struct stream *st;

	streams__at(s, pos);
	st = stream__find(s, &rec->key);
	if (st) { /* its end found no room in the ring */
		stream__flush(st, rec->hdr.time_ns);
		stream__free(s, st);
	}
	if (is_excluded(s, rec->hdr.cgroup_id))
		return;
	st = stream__new(s, &rec->key, rec->hdr.cgroup_id, rec->file, rec->tap);
	if (!st) {
		log_error("a stream of cgroup %" PRIu64 " is not followed: out of memory",
			  (uint64_t)rec->hdr.cgroup_id);
		return;
	}
	st->session = rec->origin == NT_ORIGIN_SESSION;
	st->registered = true;
	memcpy(st->first_misses, streams__misses_at(s, rec->hdr.time_ns), sizeof(st->first_misses));
	stream__explain(st, rec);
}

/* What was told of it before is not known here, nor how often hooks had been skipped then. */
static void on_known(void *ctx, uint64_t pos, const struct nt_register *rec)
{
	struct streams *s = ctx;
	struct stream *st = stream__find(s, &rec->key);

	(void)pos;
	if (st || is_excluded(s, rec->hdr.cgroup_id))
		return;
	st = stream__new(s, &rec->key, rec->hdr.cgroup_id, rec->file, rec->tap);
	if (!st)
		return;
	st->session = rec->origin == NT_ORIGIN_SESSION;
	stream__explain(st, rec);
}

/*
 * Is the record of the stream that its key names? If not, the end and the registration in between
 * found no room in the ring, and the key has another stream now; or the record is none to believe.
 */
static bool stream__is_of(struct streams *s, struct stream **st, const struct nt_hdr *hdr,
			  uint8_t file)
{
	uint64_t cgroup_id = hdr->cgroup_id;
	char path[NT_PATH_LEN];

	if (!*st || ((*st)->cgroup_id == cgroup_id && (*st)->file == file))
		return true;
	if (!container__find(s, cgroup_id) &&
	    (!s->opts.cgroup_path ||
	     s->opts.cgroup_path(s->opts.ctx, cgroup_id, path, sizeof(path)))) {
		counters__add(s->opts.counters, strays, 1);
		return false;
	}
	stream__flush(*st, hdr->time_ns);
	stream__free(s, *st);
	*st = NULL;
	return true;
}

/* Its bytes go on where they were. */
static void on_tap(void *ctx, uint64_t pos, const struct nt_register *rec)
{
	struct streams *s = ctx;
	struct stream *st;

	streams__at(s, pos);
	st = stream__find(s, &rec->key);
	if (!stream__is_of(s, &st, &rec->hdr, rec->file))
		return;
	if (!st) {
		on_registered(ctx, pos, rec);
		return;
	}
	stream__set_tap(st, rec->tap);
	stream__explain(st, rec);
}

/*
 * A reader's records follow each other without a hole, but for the gaps that they tell of. Those of
 * racing writers may change places in the ring, so only the sum says something there, at the end.
 */
static void stream__follow(struct stream *st, const struct nt_data *rec, uint64_t pos)
{
	uint64_t begin = rec->offset - MIN(rec->offset, rec->gap.bytes);

	if (!st->registered || (rec->tap == NT_TAP_READ && begin < st->told)) {
		st->told = begin; /* the key's next stream, or nobody knows what was before */
		st->registered = true;
	}
	if (rec->tap == NT_TAP_READ && begin > st->told)
		stream__skipped(st, begin - st->told, rec->hdr.time_ns, pos);
	st->told += rec->gap.bytes + rec->len;
}

static void on_data(void *ctx, uint64_t pos, const struct nt_data *rec)
{
	struct streams *s = ctx;
	struct stream *st;
	struct chunk chunk = {
		.bytes = (const char *)rec->bytes,
		.len = rec->len,
		.time_ns = rec->hdr.time_ns,
		.ring_pos = pos,
		.offset = rec->offset,
		.pid = rec->pid,
		.comm = rec->comm,
	};
	const struct attribute_note note = {
		.offset = rec->offset,
		.from = rec->from,
		.known = (enum nt_known)rec->known,
		.tap = (enum nt_tap)rec->tap,
	};

	streams__at(s, pos);
	st = stream__find(s, &rec->key);
	if (!stream__is_of(s, &st, &rec->hdr, rec->file))
		return;
	if (s->replaying && stream__was_excluded(s, &st, rec->hdr.cgroup_id, pos)) {
		counters__add(s->opts.counters, excluded, rec->len);
		return;
	}
	if (st ? st->container->excluded : is_excluded(s, rec->hdr.cgroup_id)) {
		counters__add(s->opts.counters, excluded, rec->len);
		return;
	}
	if (!st)
		st = stream__new(s, &rec->key, rec->hdr.cgroup_id, rec->file, rec->tap);
	if (!st) {
		counters__add(s->opts.counters, dropped_no_memory, 1);
		return;
	}
	if (s->replaying)
		st->last_pos = pos;
	stream__set_tap(st, rec->tap);
	stream__follow(st, rec, pos);
	if (rec->gap.bytes)
		stream__gap(st, &rec->gap, rec->hdr.time_ns, pos);
	st->last_ns = rec->hdr.time_ns + rec->len;
	s->newest_ns = MAX(s->newest_ns, st->last_ns);
	/* What has a name, or will have none, waits only behind what does. */
	if (!st->waits && (rec->known == NT_KNOWN || rec->known == NT_KNOWN_NOT)) {
		assembler__feed(st->assembler, &chunk);
		return;
	}
	attribute__feed(st->attribute, &chunk, &note);
	if (!st->waits && attribute__due_ns(st->attribute) != UINT64_MAX) {
		DL_APPEND(s->waiting, st);
		st->waits = true;
	}
}

static void on_note(void *ctx, uint64_t pos, const struct nt_note *rec)
{
	struct stream *st = stream__find(ctx, &rec->key);

	(void)pos;
	if (st && st->container->cgroup_id == rec->hdr.cgroup_id)
		attribute__note(st->attribute, rec);
}

static void on_end(void *ctx, uint64_t pos, const struct nt_end *rec)
{
	struct streams *s = ctx;
	struct container *c;
	struct stream *st;

	streams__at(s, pos);
	st = stream__find(s, &rec->key);
	if (!stream__is_of(s, &st, &rec->hdr, rec->file))
		return;
	/* A process before read its other records: what the end tells is this one's. */
	if (!st && s->opts.marks && !is_excluded(s, rec->hdr.cgroup_id))
		st = stream__new(s, &rec->key, rec->hdr.cgroup_id, rec->file, rec->tap);
	if (!st)
		return;
	c = st->container;
	if (c->excluded) {
		stream__free(s, st);
		container__try_free(s, c);
		return;
	}
	stream__set_tap(st, rec->tap);
	st->told += rec->gap.bytes;
	stream__gap(st, &rec->gap, rec->hdr.time_ns, pos);
	if (st->registered && rec->seen > st->told)
		stream__skipped(st, rec->seen - st->told, rec->hdr.time_ns, pos);
	st->last_ns = MAX(st->last_ns, rec->hdr.time_ns);
	if (rec->cause == NT_END_EOF && rec->seen == rec->written)
		attribute__settle(st->attribute, rec->seen);
	attribute__prove(st->attribute, rec->from, rec->pid, rec->comm);
	stream__finish(s, st,
		       &(struct verdict){.written = rec->written,
					 .seen = rec->seen,
					 .before = rec->before,
					 .unread = rec->unread,
					 .foreign = rec->foreign,
					 .pos = pos});
	stream__free(s, st);
	container__try_free(s, c);
}

static void on_cgroup_new(void *ctx, uint64_t pos, const struct nt_cgroup_event *rec)
{
	struct streams *s = ctx;

	streams__at(s, pos);
	if (registry__cgroup_new(s->opts.registry, rec->hdr.cgroup_id, rec->path, rec->path_len))
		log_error("cgroup %.*s has no name: out of memory", (int)rec->path_len, rec->path);
	container__get(s, rec->hdr.cgroup_id);
}

/* Streams that never saw an end (a killed reader) end with their cgroup. */
static void on_cgroup_gone(void *ctx, uint64_t pos, const struct nt_cgroup_event *rec)
{
	struct streams *s = ctx;
	struct container *c = container__find(s, rec->hdr.cgroup_id);
	struct stream *st, *next;

	streams__at(s, pos);
	if (!c)
		return;
	HASH_ITER (hh, s->by_key, st, next) {
		if (st->container == c && !stream__goes_on(s, st))
			stream__end_untold(s, st);
	}
	c->gone = true;
	container__try_free(s, c);
}

const struct record_ops streams_record_ops = {
	.data = on_data,
	.registered = on_registered,
	.known = on_known,
	.tap = on_tap,
	.end = on_end,
	.cgroup_new = on_cgroup_new,
	.cgroup_gone = on_cgroup_gone,
	.note = on_note,
};
