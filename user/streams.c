/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams are found by their key, containers by their cgroup's id. A record of an unknown stream
 * makes one: the registration's own record may have found the ring full.
 *
 * Labels are built when a stream's first line is sent, and again when the registry has published
 * since: a rename applies to the next line. So are stages chosen; a line that has none costs the
 * look at a pointer. A container of which rules want nothing is told to the kernel side when its
 * metadata is there, before it wrote if it can be, and what the ring still has of it is skipped.
 *
 * A container is kept until its cgroup is gone and its streams have ended, in either order: a
 * runtime under load removes the cgroup before it has read the last bytes. What the ring had no
 * room to tell of is found by asking the kernel side from time to time (streams__reconcile).
 */
#include "streams.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* uthash calls this when there is no memory; the entry is then not in the map (hh.tbl NULL). */
#define HASH_NONFATAL_OOM 1
/* Keys are of 8 or 16 bytes, and looked for with each record: uthash's own takes as long as all
 * else that is done for one. */
#define HASH_FUNCTION(key, len, hash) ((hash) = hash_key(key, len))
#include <uthash.h>
/* Chains of up to ten: each entry on the way is a line of memory. */
#undef HASH_BKT_CAPACITY_THRESH
#define HASH_BKT_CAPACITY_THRESH 4u
#include <utlist.h>

#include "assemble/assemble.h"
#include "assemble/attribute.h"
#include "base/clock.h"
#include "base/log.h"
#include "capture/proc.h"

#define PARK_MAX_NS (10 * NS_PER_SEC)
#define MISSES_NS NS_PER_SEC
#define WARN_NS NS_PER_SEC
#define RECONCILE_NS (2 * NS_PER_SEC)
#define PARK_MAX_BYTES (16u * 1024 * 1024)
/* So late may a record be read after its time, or a line wait for its writer's name. */
#define TICK_LAG_NS (200 * NS_PER_MS)

struct container;

/* With many streams one is in none of the nearer caches: what each record needs lies together, from
 * the middle of hh on. */
struct stream {
	struct container *container;
	struct attribute *attribute; /* before the assembler */
	struct stream *prev, *next;
	UT_hash_handle hh;
	struct nt_stream_key key;
	uint64_t cgroup_id; /* the container's */
	struct streams *owner;
	struct assembler *assembler;
	uint64_t told;	  /* bytes that records were here for, gaps included */
	uint64_t last_ns; /* end of the stream's newest record */
	/* What the last line was sent with, the container's, and the registry's version that it
	 * holds for; 0: none. */
	struct labelled *labelled; /* NULL: not wanted */
	uint64_t set_version;
	enum line_stream file;
	uint8_t tap;
	bool copied_at_write;			 /* now, or once */
	bool registered;			 /* so its first byte is the stream's first */
	bool session;				 /* docker exec's */
	bool waits;				 /* among those with records that wait for a name */
	char why[48];				 /* it has this tap */
	uint64_t first_misses[NT_TAP_WRITE + 1]; /* when it was registered, or before */
	uint64_t lost_bytes;
	uint64_t told_bytes; /* of the kernel's gap, at shutdown, before a record does */
	uint64_t over_pos; /* of the ring, when its end was found to be told of, or lost; 0: not */
};

struct parked {
	struct line line; /* its bytes are behind the struct */
	struct parked *next;
};

/* The labels of a (container, file): they outlive the stream while lines of it are parked. */
struct labelled {
	bool built, wanted;
	bool plain;	       /* its lines go as they are: no stages, no tenant */
	uint64_t version;      /* of the metadata that it was built from */
	struct label_set *set; /* NULL: not built yet, or dropped by rules */
	char *tenant;	       /* NULL: the client's */
	struct program *program;
	struct program_stream *stages; /* NULL: none */
};

struct container {
	uint64_t cgroup_id;
	struct meta *meta;
	uint64_t looked_up; /* the registry's version at the last look-up */
	struct labelled by_file[LINE_TTY + 1];
	bool pending;  /* an engine may still say more */
	bool waited;   /* for as long or as much as the bounds allow: never parked again */
	bool gone;     /* the cgroup was removed, and everything told before that is through */
	bool vanished; /* from the kernel side */
	uint64_t vanished_pos; /* of the ring, when that was seen */
	bool listed;	       /* among the parked */
	bool excluded;
	uint64_t decided; /* the metadata's version that `excluded` was decided with; 0: not yet */
	unsigned n_streams;
	uint64_t parked_since_ns;
	struct parked *park_head, *park_tail;
	size_t parked_bytes;
	struct container *prev, *next;
	UT_hash_handle hh;
};

/* What opts.misses said, and when. */
struct misses {
	uint64_t time_ns;
	uint64_t by_tap[NT_TAP_WRITE + 1];
};

struct streams {
	struct streams_opts opts;
	struct assemble_opts assemble;
	struct stream *by_key;
	struct container *by_cgroup;
	struct container *parked;
	size_t parked_bytes;
	struct stream *waiting;	 /* with records that wait for a name */
	struct misses misses[2]; /* the newer ones first */
	uint64_t warned_ns;	 /* of a loss */
	uint64_t reconcile_ns;
	uint64_t events_lost;
	uint64_t orphans_pos; /* of the ring, when events_lost had moved; 0: it has not since */
	struct routing *routing;
	uint64_t routing_version;
	uint64_t decided_at; /* the registry's version that all containers were looked at with */
	bool newly_excluded; /* streams of excluded containers are there */
};

static unsigned hash_key(const void *key, size_t len)
{
	uint64_t hash = 0, word;

	for (size_t at = 0; at < len; at += sizeof(word)) {
		memcpy(&word, (const char *)key + at, sizeof(word));
		hash = (hash ^ word) * 0x9e3779b97f4a7c15;
		hash ^= hash >> 32;
	}
	return (unsigned)hash;
}

static const char *const LOST_NAMES[NT_LOST_MAX] = {
	[NT_LOST_RING_FULL] = "ring_full",
	[NT_LOST_UNREADABLE] = "unreadable",
	[NT_LOST_TOO_LONG] = "too_long",
	[NT_LOST_RATE_LIMIT] = "rate_limit",
};

static const char *tap_name(uint8_t tap)
{
	return tap == NT_TAP_WRITE ? "write" : "read";
}

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
	s->routing_version = routing__version(s->routing);
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

/* What stages hold goes out. */
static void labelled__leave(struct labelled *l)
{
	if (l->stages)
		program_stream__flush(l->stages);
	program_stream__free(TAKE_PTR(l->stages));
	l->program = NULL;
}

static void labelled__clear(struct labelled *l)
{
	labelled__leave(l);
	label_set__unref(l->set);
	free(l->tenant);
	*l = (struct labelled){0};
}

static void container__free(struct streams *s, struct container *c)
{
	container__drop_parked(s, c);
	HASH_DEL(s->by_cgroup, c);
	for (size_t i = 0; i < ARRAY_SIZE(c->by_file); i++)
		labelled__clear(&c->by_file[i]);
	meta__unref(c->meta);
	free(c);
}

static void stream__free(struct streams *s, struct stream *st)
{
	HASH_DEL(s->by_key, st);
	st->container->n_streams--;
	if (st->waits)
		DL_DELETE(s->waiting, st);
	attribute__free(st->attribute);
	assembler__free(st->assembler);
	free(st);
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
	routing__free(s->routing);
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
	s->decided_at = 0;
	HASH_ADD(hh, s->by_cgroup, cgroup_id, sizeof(cgroup_id), c);
	if (!c->hh.tbl) {
		free(c);
		return NULL;
	}
	return c;
}

/* Its cgroup's record found no room in the ring, or the cgroup is no container's. */
static struct container *container__untold(struct streams *s, uint64_t cgroup_id)
{
	char path[NT_PATH_LEN];

	if (s->opts.cgroup_path &&
	    s->opts.cgroup_path(s->opts.ctx, cgroup_id, path, sizeof(path)) == 0 &&
	    registry__cgroup_new(s->opts.registry, cgroup_id, path, strlen(path)))
		log_error("cgroup %s has no name: out of memory", path);
	return container__get(s, cgroup_id);
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

/* Takes the route over. */
static int labelled__adopt(struct labelled *l, struct route *route)
{
	int err = 0;

	if (l->program != route->program) {
		labelled__leave(l);
		if (route->program)
			err = program_stream__new(&l->stages, route->program);
	}
	if (err) {
		label_set__unref(route->set);
		free(route->tenant);
		return err;
	}
	l->program = route->program;
	label_set__unref(l->set);
	free(l->tenant);
	l->set = route->set;
	l->tenant = route->tenant;
	l->plain = !l->stages && !l->tenant;
	return 0;
}

/* NULL: no memory. */
static struct labelled *container__labels(struct streams *s, struct container *c,
					  enum line_stream file, uint64_t time_ns)
{
	struct labelled *l = &c->by_file[file];
	struct route route;
	int kept;

	if (l->built && (!c->meta || l->version == c->meta->version))
		return l;
	if (!c->meta)
		return l->built ? l : NULL;
	kept = routing__route(s->routing, c->meta, file, time_ns, &route);
	if (kept < 0 || (kept && labelled__adopt(l, &route)))
		return l->built ? l : NULL;
	if (!kept)
		labelled__leave(l);
	l->built = true;
	l->version = c->meta->version;
	l->wanted = kept && (!s->opts.selection ||
			     selection__wants(s->opts.selection, c->meta, l->set, file));
	return l;
}

static void send_through(struct streams *s, struct labelled *l, const struct line *line)
{
	struct line of_tenant = *line;

	if (l->tenant) {
		of_tenant.tenant = l->tenant;
		of_tenant.tenant_len = strlen(l->tenant);
	}
	if (l->stages) {
		of_tenant.real_ns = clock__to_real(s->opts.anchor, line->time_ns);
		program_stream__run(l->stages, l->set, &of_tenant);
	} else {
		s->opts.line(s->opts.ctx, l->set, &of_tenant);
	}
}

static void send(struct streams *s, struct labelled *l, const struct line *line)
{
	counters__add_alone(s->opts.counters, lines, 1);
	counters__add_alone(s->opts.counters, bytes, line->len);
	counters__add_alone(s->opts.counters, truncated, line->truncated);
	if (l->plain)
		s->opts.line(s->opts.ctx, l->set, line);
	else
		send_through(s, l, line);
}

/* With what it was sent; NULL: no memory. */
static struct labelled *container__send(struct streams *s, struct container *c,
					const struct line *line)
{
	struct labelled *l = container__labels(s, c, line->stream, line->time_ns);

	if (!l)
		counters__add(s->opts.counters, dropped_no_memory, 1);
	else if (l->wanted)
		send(s, l, line);
	return l;
}

static void discard(struct streams *s, size_t bytes)
{
	counters__add(s->opts.counters, excluded, bytes);
}

/* Whether anything of it is wanted, with what is known now. */
static void container__decide(struct streams *s, struct container *c)
{
	bool excluded;

	if (c->pending || !c->meta || c->decided == c->meta->version || !s->opts.exclude)
		return;
	c->decided = c->meta->version;
	excluded = routing__excludes(s->routing, c->meta);
	if (excluded == c->excluded)
		return;
	log_debug("%s is %s",
		  c->meta->name ? c->meta->name
		  : c->meta->id ? c->meta->id
				: "-",
		  excluded ? "excluded: no rule keeps it, or its label says so" : "captured again");
	c->excluded = excluded;
	s->opts.exclude(s->opts.ctx, c->cgroup_id, excluded);
	if (!excluded)
		return;
	s->newly_excluded = true;
	for (struct parked *p = c->park_head; p; p = p->next)
		discard(s, p->line.len);
	container__drop_parked(s, c);
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
	struct labelled *l;
	struct line of_session;

	if (st->session) {
		of_session = *line;
		of_session.session = true;
		line = &of_session;
	}
	if (st->set_version == registry__version(s->opts.registry)) {
		if (st->labelled)
			send(s, st->labelled, line);
		return;
	}
	container__look_up(s, c);
	if (c->pending && container__park(s, c, line) == 0)
		return;
	if (c->pending)
		stop_waiting(s, c);
	container__decide(s, c);
	if (c->excluded) {
		discard(s, line->len);
		return;
	}
	if (c->listed)
		container__unpark(s, c);
	l = container__send(s, c, line);
	if (!l)
		return;
	st->labelled = l->wanted ? l : NULL;
	st->set_version = c->looked_up;
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

static void read_misses(struct streams *s)
{
	uint64_t now_ns = clock__boot_ns();

	if (!s->opts.misses || now_ns - s->misses[0].time_ns < MISSES_NS)
		return;
	s->misses[1] = s->misses[0];
	s->misses[0].time_ns = now_ns;
	for (enum nt_tap tap = NT_TAP_READ; tap <= NT_TAP_WRITE; tap++)
		s->misses[0].by_tap[tap] = s->opts.misses(s->opts.ctx, tap);
}

/* As they were at a time, or before: then a stream is called incomplete that need not be. */
static const uint64_t *misses_at(const struct streams *s, uint64_t time_ns)
{
	static const uint64_t none[NT_TAP_WRITE + 1];

	for (size_t i = 0; i < ARRAY_SIZE(s->misses); i++)
		if (s->misses[i].time_ns <= time_ns)
			return s->misses[i].by_tap;
	return none;
}

/* Were hooks skipped while it lived? */
static bool stream__incomplete(struct streams *s, struct stream *st)
{
	enum nt_tap tap = st->copied_at_write ? NT_TAP_WRITE : NT_TAP_READ;

	return s->opts.misses && s->opts.misses(s->opts.ctx, tap) != st->first_misses[tap];
}

static void stream__set_tap(struct stream *st, uint8_t tap)
{
	st->tap = tap;
	st->copied_at_write |= tap == NT_TAP_WRITE;
}

static struct stream *stream__new(struct streams *s, const struct nt_stream_key *key,
				  uint64_t cgroup_id, uint8_t file, uint8_t tap)
{
	struct container *c = container__find(s, cgroup_id);
	struct stream *st;

	if (!c)
		c = container__untold(s, cgroup_id);
	if (!c)
		return NULL;
	st = calloc(1, sizeof(*st));
	if (!st)
		return NULL;
	st->key = *key;
	st->owner = s;
	st->container = c;
	st->cgroup_id = cgroup_id;
	st->file = (enum line_stream)file;
	stream__set_tap(st, tap);
	if (assembler__new(&st->assembler, &s->assemble, cgroup_id, st->file, on_line, st) ||
	    attribute__new(&st->attribute, st->assembler))
		goto err_out;
	HASH_ADD(hh, s->by_key, key, sizeof(st->key), st);
	if (!st->hh.tbl)
		goto err_out;
	c->n_streams++;
	counters__add(s->opts.counters, streams, 1);
	return st;

err_out:
	attribute__free(st->attribute);
	assembler__free(st->assembler);
	free(st);
	return NULL;
}

/* NULL: nobody wants its lines. */
static const char *stream__name(struct streams *s, struct stream *st)
{
	struct container *c = st->container;
	const struct labelled *l;

	container__look_up(s, c); /* its name may have come since */
	l = container__labels(s, c, st->file, st->last_ns);
	if (c->excluded || (l && !l->wanted))
		return NULL;
	if (c->meta && c->meta->name)
		return c->meta->name;
	return c->meta && c->meta->id ? c->meta->id : "-";
}

/* The gap tells where; this tells whoever watches notail, and --stdout=raw, which shows no gaps. */
static void stream__warn(struct stream *st, const char *reason)
{
	struct streams *s = st->owner;
	uint64_t now_ns = clock__boot_ns();
	const char *name;

	if (now_ns - s->warned_ns < WARN_NS)
		return;
	name = stream__name(s, st);
	if (!name)
		return;
	s->warned_ns = now_ns;
	log_warn("%s %s: bytes of the log are lost: %s (--stats counts them)", name,
		 file_name(st->file), reason);
}

static void stream__lost(struct stream *st, const struct nt_gap *gap, uint64_t bytes,
			 uint64_t time_ns, uint64_t pos)
{
	const char *reason = gap->reason < NT_LOST_MAX ? LOST_NAMES[gap->reason] : "unknown";
	struct counters *counters = st->owner->opts.counters;

	stream__warn(st, reason);
	attribute__flush(st->attribute);
	st->lost_bytes += bytes;
	switch (gap->reason) {
	case NT_LOST_RING_FULL:
		counters__add(counters, lost_ring_full, bytes);
		break;
	case NT_LOST_RATE_LIMIT:
		counters__add(counters, lost_rate_limit, bytes);
		break;
	case NT_LOST_UNREADABLE:
		counters__add(counters, lost_unreadable, bytes);
		break;
	default:
		counters__add(counters, lost_too_long, bytes);
	}
	counters__add(counters, gaps, 1);
	counters__add(counters, gap_bytes, bytes);
	assembler__gap(st->assembler, bytes, gap->calls, reason, time_ns, pos);
}

/* What a tap saw and the ring does not have. */
static void stream__gap(struct stream *st, const struct nt_gap *gap, uint64_t time_ns, uint64_t pos)
{
	uint64_t told;

	if (!gap->bytes)
		return;
	told = MIN(st->told_bytes, gap->bytes);
	st->told_bytes -= told;
	if (gap->bytes > told)
		stream__lost(st, gap, gap->bytes - told, time_ns, pos);
}

/* The gap that no record has told of yet; one still may, when the ring has room again. */
static void stream__open_gap(struct stream *st)
{
	struct streams *s = st->owner;
	struct nt_stream kernel;

	if (s->opts.kernel_stream(s->opts.ctx, &st->key, &kernel) ||
	    kernel.gap.bytes <= st->told_bytes)
		return;
	stream__lost(st, &kernel.gap, kernel.gap.bytes - st->told_bytes, st->last_ns, UINT64_MAX);
	st->told_bytes = kernel.gap.bytes;
}

/* `bytes` are behind the end of what records have told of: a record was skipped, or overwritten. */
static void stream__skipped(struct stream *st, uint64_t bytes, uint64_t time_ns, uint64_t pos)
{
	struct counters *counters = st->owner->opts.counters;

	st->told += bytes;
	st->lost_bytes += bytes;
	counters__add(counters, lost_bad_record, bytes);
	counters__add(counters, gaps, 1);
	counters__add(counters, gap_bytes, bytes);
	stream__warn(st, "bad_record");
	attribute__flush(st->attribute);
	assembler__gap(st->assembler, bytes, 0, "bad_record", time_ns, pos);
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

/* What is said of a stream at its end. */
struct verdict {
	uint64_t written, seen, missing, uncounted;
	uint64_t before, unread, foreign; /* differences with a name */
	bool incomplete;		  /* hooks were skipped: no proof */
	bool open;
};

static void add_named(char *text, size_t size, const char *name, uint64_t bytes)
{
	size_t len = strlen(text);

	if (bytes)
		snprintf(text + len, size - len, " %s=%" PRIu64, name, bytes);
}

static void print_stats(struct streams *s, struct stream *st, const struct verdict *v)
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
		name, file_name(st->file), tap_name(st->tap), why, written,
		v->seen - MIN(v->seen, st->lost_bytes), st->lost_bytes, proof, named,
		st->session ? " exec" : "", v->incomplete ? " incomplete" : "",
		v->open ? " open" : "");
	fflush(s->opts.stats);
}

/* A half line, and what waits for a name before it, as they are. */
static void stream__flush(struct stream *st)
{
	attribute__flush(st->attribute);
	assembler__flush(st->assembler);
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
static void stream__finish(struct streams *s, struct stream *st, const struct verdict *counts)
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
	if (v.missing) {
		counters__add(s->opts.counters, gaps, 1);
		counters__add(s->opts.counters, gap_bytes, v.missing);
		stream__warn(st, "missing");
		attribute__flush(st->attribute);
		assembler__gap(st->assembler, v.missing, 0, "missing", st->last_ns, UINT64_MAX);
	}
	stream__flush(st);
	print_stats(s, st, &v);
}

static bool is_excluded(struct streams *s, uint64_t cgroup_id)
{
	const struct container *c = container__find(s, cgroup_id);

	return c && c->excluded;
}

/* The reason for the tap, for people. A name may hold anything. */
static void stream__explain(struct stream *st, const struct nt_register *rec)
{
	struct proc_stat reader = {0};

	if (!rec->reader && rec->tap == NT_TAP_WRITE)
		snprintf(st->why, sizeof(st->why), "no reader found");
	else if (!rec->reader && rec->hdr.kind == NT_KIND_TAP)
		snprintf(st->why, sizeof(st->why), "its reader is gone");
	else if (!rec->reader || (rec->tap == NT_TAP_WRITE && rec->hdr.kind != NT_KIND_TAP))
		snprintf(st->why, sizeof(st->why), "asked for");
	else if (proc__stat((pid_t)rec->reader, &reader) < 0)
		snprintf(st->why, sizeof(st->why), "reader %u", rec->reader);
	else
		snprintf(st->why, sizeof(st->why), "reader %u %s", rec->reader, reader.comm);
	for (char *p = st->why; *p; p++)
		if ((unsigned char)*p < ' ' || (unsigned char)*p >= 0x7f)
			*p = '?';
	log_debug("cgroup %" PRIu64 " %s: tap %s: %s", (uint64_t)rec->hdr.cgroup_id,
		  file_name((enum line_stream)rec->file), tap_name(rec->tap), st->why);
}

static void on_registered(void *ctx, uint64_t pos, const struct nt_register *rec)
{
	struct streams *s = ctx;
	struct stream *st = stream__find(s, &rec->key);

	(void)pos;
	if (st) { /* its end found no room in the ring */
		stream__flush(st);
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
	memcpy(st->first_misses, misses_at(s, rec->hdr.time_ns), sizeof(st->first_misses));
	stream__explain(st, rec);
}

/*
 * Is the record of the stream that its key names? If not, the end and the registration in between
 * found no room in the ring, and the key has another stream now; or the record is none to believe.
 */
static bool stream__is_of(struct streams *s, struct stream **st, uint64_t cgroup_id, uint8_t file)
{
	char path[NT_PATH_LEN];

	if (!*st || ((*st)->cgroup_id == cgroup_id && (*st)->file == file))
		return true;
	if (!container__find(s, cgroup_id) &&
	    (!s->opts.cgroup_path ||
	     s->opts.cgroup_path(s->opts.ctx, cgroup_id, path, sizeof(path)))) {
		counters__add(s->opts.counters, strays, 1);
		return false;
	}
	stream__flush(*st);
	stream__free(s, *st);
	*st = NULL;
	return true;
}

/* Its bytes go on where they were. */
static void on_tap(void *ctx, uint64_t pos, const struct nt_register *rec)
{
	struct streams *s = ctx;
	struct stream *st = stream__find(s, &rec->key);

	if (!stream__is_of(s, &st, rec->hdr.cgroup_id, rec->file))
		return;
	if (!st) {
		on_registered(ctx, pos, rec);
		return;
	}
	stream__set_tap(st, rec->tap);
	stream__explain(st, rec);
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
	const struct attribute_note note = {
		.offset = rec->offset,
		.from = rec->from,
		.known = (enum nt_known)rec->known,
		.tap = (enum nt_tap)rec->tap,
	};

	if (!stream__is_of(s, &st, rec->hdr.cgroup_id, rec->file))
		return;
	if (st ? st->container->excluded : is_excluded(s, rec->hdr.cgroup_id)) {
		discard(s, rec->len);
		return;
	}
	if (!st)
		st = stream__new(s, &rec->key, rec->hdr.cgroup_id, rec->file, rec->tap);
	if (!st) {
		counters__add(s->opts.counters, dropped_no_memory, 1);
		return;
	}
	stream__set_tap(st, rec->tap);
	stream__follow(st, rec, pos);
	stream__gap(st, &rec->gap, rec->hdr.time_ns, pos);
	st->last_ns = rec->hdr.time_ns + rec->len;
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
	struct stream *st = stream__find(s, &rec->key);
	struct container *c;

	if (!stream__is_of(s, &st, rec->hdr.cgroup_id, rec->file) || !st)
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
					 .foreign = rec->foreign});
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

/* Its end's record found no room in the ring. */
static void stream__end_untold(struct streams *s, struct stream *st)
{
	struct verdict v = {0};
	struct nt_stream kernel;
	uint64_t there;

	if (st->container->excluded || s->opts.kernel_stream(s->opts.ctx, &st->key, &kernel) ||
	    kernel.cgroup_id != st->container->cgroup_id) {
		if (!st->container->excluded)
			stream__flush(st);
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

/* Its cgroup is gone: its reader has more to read, or its end is told of behind this record. */
static bool stream__goes_on(struct streams *s, const struct stream *st)
{
	struct nt_stream kernel;

	if (!s->opts.reads)
		return false;
	if (s->opts.kernel_stream(s->opts.ctx, &st->key, &kernel) ||
	    kernel.cgroup_id != st->container->cgroup_id)
		return true;
	return kernel.reader && s->opts.reads(s->opts.ctx, kernel.reader);
}

/* Streams that never saw an end (a killed reader) end with their cgroup. */
static void on_cgroup_gone(void *ctx, uint64_t pos, const struct nt_cgroup_event *rec)
{
	struct streams *s = ctx;
	struct container *c = container__find(s, rec->hdr.cgroup_id);
	struct stream *st, *next;

	(void)pos;
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
	.tap = on_tap,
	.end = on_end,
	.cgroup_new = on_cgroup_new,
	.cgroup_gone = on_cgroup_gone,
	.note = on_note,
};

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

/* A stream whose cgroup is gone, and that nobody reads: what was told of it is read first. */
static void reconcile_stream(struct streams *s, struct stream *st, const struct streams_ring *ring)
{
	struct container *c = st->container;
	struct nt_stream kernel;

	if (!c->vanished || (s->opts.kernel_stream(s->opts.ctx, &st->key, &kernel) == 0 &&
			     kernel.cgroup_id == c->cgroup_id && kernel.reader &&
			     s->opts.reads(s->opts.ctx, kernel.reader)))
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

/*
 * Cgroups and streams whose end the ring had no room for would stay for ever. What the kernel side
 * does not know any more is over when everything is read that was in the ring when that was seen.
 */
static void streams__reconcile(struct streams *s, uint64_t now_ns)
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
			stop_waiting(s, c);
		container__decide(s, c);
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
		HASH_ITER (hh, s->by_cgroup, c, c_next) {
			if (c->decided && !c->excluded)
				continue;
			container__look_up(s, c);
			container__decide(s, c);
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

/* The next line of each stream asks for its labels again. */
static void forget_labels(struct streams *s)
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
		forget_labels(s);
	}
	if (!drained)
		return UINT64_MAX;
	due_ns = routing__tick(s->routing, now_ns - lag_ns);
	return due_ns == UINT64_MAX ? due_ns : due_ns + TICK_LAG_NS;
}

uint64_t streams__tick(struct streams *s, uint64_t now_ns, bool drained)
{
	uint64_t next_ns = tick_waiting(s, now_ns), due_ns;

	streams__reconcile(s, now_ns);
	read_misses(s);
	due_ns = tick_parked(s, now_ns);
	next_ns = MIN(next_ns, due_ns);
	tick_excluded(s);
	due_ns = tick_stages(s, now_ns, drained);
	return MIN(next_ns, due_ns);
}

void streams__use(struct streams *s, struct routing *routing)
{
	struct container *c, *next;

	forget_labels(s);
	HASH_ITER (hh, s->by_cgroup, c, next) {
		for (size_t i = 0; i < ARRAY_SIZE(c->by_file); i++)
			labelled__leave(&c->by_file[i]);
		c->decided = 0;
	}
	s->decided_at = 0;
	routing__output(routing, s->opts.line, s->opts.ctx);
	routing__inherit(routing, s->routing);
	routing__free(s->routing);
	s->routing = routing;
	s->routing_version = routing__version(routing);
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
		stream__flush(st);
	}
	DL_FOREACH_SAFE (s->parked, c, c_next) {
		stop_waiting(s, c);
		container__decide(s, c);
		if (!c->excluded)
			container__unpark(s, c);
	}
	routing__flush(s->routing);
}

void streams__print_open(struct streams *s)
{
	struct stream *st, *next;
	struct nt_stream kernel;

	HASH_ITER (hh, s->by_key, st, next) {
		if (s->opts.kernel_stream(s->opts.ctx, &st->key, &kernel) == 0)
			print_stats(s, st,
				    &(struct verdict){.written = kernel.written,
						      .seen = kernel.seen,
						      .incomplete = stream__incomplete(s, st),
						      .open = true});
	}
}
