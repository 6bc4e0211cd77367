/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams are found by their key, containers by their cgroup's id. A record of an unknown stream
 * makes one: the registration's own record may have found the ring full.
 *
 * Labels are built when a stream's first line is sent, and again when the registry has published
 * since: a rename applies to the next line.
 */
#include "streams.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <uthash.h>
#include <utlist.h>

#include "assemble/assemble.h"
#include "base/clock.h"
#include "base/log.h"
#include "process/preset.h"

#define PARK_MAX_NS (10 * NS_PER_SEC)
#define PARK_MAX_BYTES (16u * 1024 * 1024)

struct container;

struct stream {
	struct nt_stream_key key;
	struct streams *owner;
	struct container *container;
	struct assembler *assembler;
	enum line_stream file;
	uint8_t tap;
	uint64_t lost_bytes;
	uint64_t last_ns; /* end of the stream's newest record */
	UT_hash_handle hh;
};

struct parked {
	struct line line; /* its bytes are behind the struct */
	struct parked *next;
};

/* The labels of a (container, file): they outlive the stream while lines of it are parked. */
struct labelled {
	struct label_set *set; /* NULL: not built yet */
	uint64_t version;      /* of the metadata that it was built from */
	bool wanted;
};

struct container {
	uint64_t cgroup_id;
	struct meta *meta;
	uint64_t looked_up; /* the registry's version at the last look-up */
	struct labelled by_file[LINE_TTY + 1];
	bool pending; /* an engine may still say more */
	bool waited;  /* for as long or as much as the bounds allow: never parked again */
	bool gone;    /* the cgroup was removed */
	bool listed;  /* among the parked */
	unsigned n_streams;
	uint64_t parked_since_ns;
	struct parked *park_head, *park_tail;
	size_t parked_bytes;
	struct container *prev, *next;
	UT_hash_handle hh;
};

struct streams {
	struct streams_opts opts;
	struct assemble_opts assemble;
	struct stream *by_key;
	struct container *by_cgroup;
	struct container *parked;
	size_t parked_bytes;
};

static const char *const LOST_NAMES[NT_LOST_MAX] = {
	[NT_LOST_RING_FULL] = "ring_full",
	[NT_LOST_UNREADABLE] = "unreadable",
	[NT_LOST_TOO_LONG] = "too_long",
};

static const char *file_name(enum line_stream file)
{
	switch (file) {
	case LINE_STDERR:
		return "stderr";
	case LINE_TTY:
		return "tty";
	default:
		return "stdout";
	}
}

int streams__new(struct streams **ret, const struct streams_opts *opts)
{
	struct streams *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->opts = *opts;
	if (!s->opts.park_max_ns)
		s->opts.park_max_ns = PARK_MAX_NS;
	if (!s->opts.park_max_bytes)
		s->opts.park_max_bytes = PARK_MAX_BYTES;
	s->assemble.max_line_size = opts->max_line_size;
	*ret = s;
	return 0;
}

static void container__drop_parked(struct streams *s, struct container *c)
{
	struct parked *p, *next;

	for (p = c->park_head; p; p = next) {
		next = p->next;
		free(p);
	}
	s->parked_bytes -= c->parked_bytes;
	c->park_head = c->park_tail = NULL;
	c->parked_bytes = 0;
	if (c->listed)
		DL_DELETE(s->parked, c);
	c->listed = false;
}

static void container__free(struct streams *s, struct container *c)
{
	container__drop_parked(s, c);
	HASH_DEL(s->by_cgroup, c);
	for (size_t i = 0; i < ARRAY_SIZE(c->by_file); i++)
		label_set__unref(c->by_file[i].set);
	meta__unref(c->meta);
	free(c);
}

static void stream__free(struct streams *s, struct stream *st)
{
	HASH_DEL(s->by_key, st);
	st->container->n_streams--;
	assembler__free(st->assembler);
	free(st);
}

void streams__free(struct streams *s)
{
	struct stream *st, *st_next;
	struct container *c, *c_next;

	if (!s)
		return;
	HASH_ITER(hh, s->by_key, st, st_next)
	stream__free(s, st);
	HASH_ITER(hh, s->by_cgroup, c, c_next)
	container__free(s, c);
	free(s);
}

static struct container *container__find(struct streams *s, uint64_t cgroup_id)
{
	struct container *c;

	HASH_FIND(hh, s->by_cgroup, &cgroup_id, sizeof(cgroup_id), c);
	return c;
}

static struct container *container__get(struct streams *s, uint64_t cgroup_id)
{
	struct container *c = container__find(s, cgroup_id);

	if (c)
		return c;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->cgroup_id = cgroup_id;
	c->pending = true;
	HASH_ADD(hh, s->by_cgroup, cgroup_id, sizeof(cgroup_id), c);
	return c;
}

/* Asks the registry again when it has published since. */
static void container__look_up(struct streams *s, struct container *c)
{
	uint64_t version = registry__version(s->opts.registry);
	struct meta *m = NULL;

	if (c->meta && c->looked_up == version)
		return;
	c->pending = registry__lookup(s->opts.registry, c->cgroup_id, &m) == REGISTRY_PENDING &&
		     !c->waited;
	if (!m)
		return;
	meta__unref(c->meta);
	c->meta = m;
	c->looked_up = version;
}

/* NULL: no memory. */
static const struct labelled *container__labels(struct streams *s, struct container *c,
						enum line_stream file)
{
	struct labelled *l = &c->by_file[file];
	struct label_set *set;

	if (l->set && (!c->meta || l->version == c->meta->version))
		return l;
	if (!c->meta || preset__docker(c->meta, file, s->opts.host, &set))
		return l->set ? l : NULL;
	label_set__unref(l->set);
	l->set = set;
	l->version = c->meta->version;
	l->wanted = !s->opts.selection || selection__wants(s->opts.selection, c->meta, set, file);
	return l;
}

static void container__send(struct streams *s, struct container *c, const struct line *line)
{
	const struct labelled *l = container__labels(s, c, line->stream);

	if (!l) {
		counters__add(s->opts.counters, dropped_no_memory, 1);
		return;
	}
	if (!l->wanted)
		return;
	counters__add(s->opts.counters, lines, 1);
	counters__add(s->opts.counters, bytes, line->len);
	s->opts.line(s->opts.ctx, l->set, line);
}

/* All that is parked goes out with what is known now. */
static void container__unpark(struct streams *s, struct container *c)
{
	for (struct parked *p = c->park_head; p; p = p->next)
		container__send(s, c, &p->line);
	container__drop_parked(s, c);
}

static int container__park(struct streams *s, struct container *c, const struct line *line)
{
	struct parked *p;

	if (s->parked_bytes + line->len + sizeof(*p) > s->opts.park_max_bytes)
		return -ENOSPC;
	p = malloc(sizeof(*p) + line->len);
	if (!p)
		return -ENOMEM;
	p->line = *line;
	p->line.bytes = memcpy(p + 1, line->bytes, line->len);
	p->next = NULL;
	if (c->park_tail)
		c->park_tail->next = p;
	else
		c->park_head = p;
	c->park_tail = p;
	c->parked_bytes += sizeof(*p) + line->len;
	s->parked_bytes += sizeof(*p) + line->len;
	if (!c->listed) {
		c->parked_since_ns = clock__boot_ns();
		DL_APPEND(s->parked, c);
		c->listed = true;
	}
	counters__add(s->opts.counters, parked, 1);
	return 0;
}

static void stop_waiting(struct streams *s, struct container *c)
{
	c->waited = true;
	c->pending = false;
	for (struct parked *p = c->park_head; p; p = p->next)
		counters__add(s->opts.counters, park_expired, 1);
}

static void on_line(void *ctx, const struct line *line)
{
	struct stream *st = ctx;
	struct streams *s = st->owner;
	struct container *c = st->container;

	container__look_up(s, c);
	if (c->pending && container__park(s, c, line) == 0)
		return;
	if (c->pending)
		stop_waiting(s, c);
	if (c->listed)
		container__unpark(s, c);
	container__send(s, c, line);
}

/* Nothing of it can come any more. */
static void container__try_free(struct streams *s, struct container *c)
{
	if (!c->gone || c->n_streams || c->listed)
		return;
	registry__cgroup_gone(s->opts.registry, c->cgroup_id);
	s->opts.forget(s->opts.ctx, c->cgroup_id);
	container__free(s, c);
}

static struct stream *stream__find(struct streams *s, const struct nt_stream_key *key)
{
	struct stream *st;

	HASH_FIND(hh, s->by_key, key, sizeof(*key), st);
	return st;
}

static struct stream *stream__new(struct streams *s, const struct nt_stream_key *key,
				  uint64_t cgroup_id, uint8_t file, uint8_t tap)
{
	struct container *c = container__get(s, cgroup_id);
	struct stream *st;

	if (!c)
		return NULL;
	st = calloc(1, sizeof(*st));
	if (!st)
		return NULL;
	st->key = *key;
	st->owner = s;
	st->container = c;
	st->file = (enum line_stream)file;
	st->tap = tap;
	if (assembler__new(&st->assembler, &s->assemble, cgroup_id, st->file, on_line, st)) {
		free(st);
		return NULL;
	}
	c->n_streams++;
	HASH_ADD(hh, s->by_key, key, sizeof(st->key), st);
	counters__add(s->opts.counters, streams, 1);
	return st;
}

/* What a tap saw and the ring does not have. */
static void stream__gap(struct stream *st, const struct nt_gap *gap, uint64_t time_ns, uint64_t pos)
{
	struct counters *counters = st->owner->opts.counters;

	if (!gap->bytes)
		return;
	st->lost_bytes += gap->bytes;
	switch (gap->reason) {
	case NT_LOST_RING_FULL:
		counters__add(counters, lost_ring_full, gap->bytes);
		break;
	case NT_LOST_UNREADABLE:
		counters__add(counters, lost_unreadable, gap->bytes);
		break;
	default:
		counters__add(counters, lost_too_long, gap->bytes);
	}
	counters__add(counters, gaps, 1);
	counters__add(counters, gap_bytes, gap->bytes);
	assembler__gap(st->assembler, gap->bytes, gap->calls,
		       gap->reason < NT_LOST_MAX ? LOST_NAMES[gap->reason] : "unknown", time_ns,
		       pos);
}

static void print_stats(struct streams *s, const struct stream *st, uint64_t written, uint64_t seen,
			uint64_t missing, uint64_t uncounted, bool open)
{
	const struct container *c = st->container;
	const char *name = c->meta && c->meta->name ? c->meta->name : NULL;

	if (!name)
		name = c->meta && c->meta->id ? c->meta->id : "-";
	fprintf(s->opts.stats,
		"stream %s %s tap=%s written=%" PRIu64 " copied=%" PRIu64 " lost=%" PRIu64
		" missing=%" PRIu64 " uncounted=%" PRIu64 "%s\n",
		name, file_name(st->file), st->tap == NT_TAP_WRITE ? "write" : "read", written,
		seen - MIN(seen, st->lost_bytes), st->lost_bytes, missing, uncounted,
		open ? " open" : "");
	fflush(s->opts.stats);
}

/*
 * The proof: at a pipe's end what the container wrote and what the reader's tap saw must be equal.
 * More written is missing here; more seen is a write that could not be counted. A terminal has no
 * such proof: the kernel echoes and translates.
 */
static void stream__finish(struct streams *s, struct stream *st, uint64_t written, uint64_t seen)
{
	uint64_t missing = 0, uncounted = 0;

	if (st->file != LINE_TTY && written > seen)
		missing = written - seen;
	if (st->file != LINE_TTY && seen > written)
		uncounted = seen - written;
	counters__add(s->opts.counters, missing, missing);
	counters__add(s->opts.counters, uncounted, uncounted);
	if (missing) {
		counters__add(s->opts.counters, gaps, 1);
		counters__add(s->opts.counters, gap_bytes, missing);
		assembler__gap(st->assembler, missing, 0, "missing", st->last_ns, UINT64_MAX);
	}
	assembler__flush(st->assembler);
	if (s->opts.stats)
		print_stats(s, st, written, seen, missing, uncounted, false);
}

static void on_registered(void *ctx, uint64_t pos, const struct nt_register *rec)
{
	struct streams *s = ctx;
	struct stream *st = stream__find(s, &rec->key);

	(void)pos;
	if (st) { /* its end found no room in the ring */
		assembler__flush(st->assembler);
		stream__free(s, st);
	}
	if (!stream__new(s, &rec->key, rec->hdr.cgroup_id, rec->file, rec->tap))
		log_error("a stream of cgroup %" PRIu64 " is not followed: out of memory",
			  (uint64_t)rec->hdr.cgroup_id);
}

static void on_data(void *ctx, uint64_t pos, const struct nt_data *rec)
{
	struct streams *s = ctx;
	struct stream *st = stream__find(s, &rec->key);
	struct chunk chunk = {
		.bytes = (const char *)rec->bytes,
		.len = rec->len,
		.time_ns = rec->hdr.time_ns,
		.ring_pos = pos,
		.pid = rec->pid,
		.comm = rec->comm,
	};

	if (!st)
		st = stream__new(s, &rec->key, rec->hdr.cgroup_id, rec->file, rec->tap);
	if (!st) {
		counters__add(s->opts.counters, dropped_no_memory, 1);
		return;
	}
	st->tap = rec->tap;
	stream__gap(st, &rec->gap, rec->hdr.time_ns, pos);
	assembler__feed(st->assembler, &chunk);
	st->last_ns = rec->hdr.time_ns + rec->len;
}

static void on_end(void *ctx, uint64_t pos, const struct nt_end *rec)
{
	struct streams *s = ctx;
	struct stream *st = stream__find(s, &rec->key);
	struct container *c;

	if (!st)
		return;
	c = st->container;
	st->tap = rec->tap;
	stream__gap(st, &rec->gap, rec->hdr.time_ns, pos);
	st->last_ns = MAX(st->last_ns, rec->hdr.time_ns);
	container__look_up(s, c); /* the statistics show its name */
	stream__finish(s, st, rec->written, rec->seen);
	stream__free(s, st);
	container__try_free(s, c);
}

static void on_cgroup_new(void *ctx, uint64_t pos, const struct nt_cgroup_event *rec)
{
	struct streams *s = ctx;

	(void)pos;
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
	struct nt_stream kernel;

	(void)pos;
	if (!c)
		return;
	HASH_ITER(hh, s->by_key, st, next)
	{
		if (st->container != c)
			continue;
		container__look_up(s, c);
		if (s->opts.kernel_stream(s->opts.ctx, &st->key, &kernel) == 0) {
			stream__gap(st, &kernel.gap, rec->hdr.time_ns, UINT64_MAX);
			stream__finish(s, st, kernel.written, kernel.seen);
		} else {
			assembler__flush(st->assembler);
		}
		stream__free(s, st);
	}
	c->gone = true;
	container__try_free(s, c);
}

const struct record_ops streams_record_ops = {
	.data = on_data,
	.registered = on_registered,
	.end = on_end,
	.cgroup_new = on_cgroup_new,
	.cgroup_gone = on_cgroup_gone,
};

uint64_t streams__tick(struct streams *s, uint64_t now_ns)
{
	uint64_t deadline, next_ns = UINT64_MAX;
	struct container *c, *next;

	DL_FOREACH_SAFE(s->parked, c, next)
	{
		container__look_up(s, c);
		deadline = c->parked_since_ns + s->opts.park_max_ns;
		if (c->pending && now_ns < deadline) {
			next_ns = MIN(next_ns, deadline);
			continue;
		}
		if (c->pending)
			stop_waiting(s, c);
		container__unpark(s, c);
		container__try_free(s, c);
	}
	return next_ns;
}

void streams__finish(struct streams *s)
{
	struct container *c, *c_next;
	struct stream *st, *st_next;
	struct nt_stream kernel;

	HASH_ITER(hh, s->by_key, st, st_next)
	{
		assembler__flush(st->assembler);
		container__look_up(s, st->container);
		if (s->opts.stats && s->opts.kernel_stream(s->opts.ctx, &st->key, &kernel) == 0)
			print_stats(s, st, kernel.written, kernel.seen, 0, 0, true);
	}
	DL_FOREACH_SAFE(s->parked, c, c_next)
	{
		stop_waiting(s, c);
		container__unpark(s, c);
	}
}
