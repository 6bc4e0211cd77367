/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel that writes records of a few containers to a ring, a daemon that is killed at any moment
 * and whose successor goes on, and a receiver that knows each line by labels, time and text. What
 * it has in the end is what one daemon makes of the same records that is never killed.
 *
 * All that happens is chosen by model__pick: of random numbers, or of a fuzzer's bytes. Wrong is
 * what MODEL_CHECK says.
 */
#ifndef NOTAIL_TESTS_REPLAY_MODEL_H
#define NOTAIL_TESTS_REPLAY_MODEL_H

#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/log.h"
#include "capture/ring.h"
#include "commit.h"
#include "state/state.h"
#include "streams/streams.h"

#include "no_kernel.h"

static unsigned model_seed; /* for the message */

#define MODEL_CHECK(condition)                                                                  \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: seed %u: %s\n", __FILE__, __LINE__, model_seed, \
				#condition);                                                    \
			abort();                                                                \
		}                                                                               \
	} while (0)

#define MODEL_RING_MAX (1024u * 1024)
#define MODEL_BEGIN 8192u /* a position, so that not all are small */
#define MODEL_CONTAINERS 5
#define MODEL_STREAMS (2 * MODEL_CONTAINERS)
#define MODEL_RECORDS 4096
#define MODEL_FLIGHTS 64
#define MODEL_LABEL_SETS 64

struct model_opts {
	const char *yaml; /* NULL: no stages */
	size_t max_line_size, max_record;
	size_t ring_bytes; /* a power of two, MODEL_RING_MAX at most */
	unsigned records, kills;
};

struct model_line {
	uint64_t hash, pos;
};

struct model_lines {
	struct model_line *items;
	size_t n, size;
};

struct model_flight {
	struct model_lines lines;
	bool stored; /* the receiver has it */
};

struct model_daemon {
	struct registry *registry;
	struct streams *streams;
	struct commit *commit;
	struct state *state;
	struct ring *ring;
	struct counters counters;
	bool published[MODEL_CONTAINERS];
	struct model_lines open;
	struct model_flight flights[MODEL_FLIGHTS];
	size_t n_flights;
	struct {
		uint64_t labels, time_ns;
	} last[MODEL_LABEL_SETS];
	size_t n_last;
	bool dead;
};

struct model {
	struct model_opts opts;
	/* Of what is chosen. */
	const uint8_t *bytes; /* NULL: random numbers */
	size_t n_bytes;
	uint64_t random;
	/* The kernel. */
	struct {
		bool registered;
		uint64_t seen;
		struct nt_gap gap;
		bool later; /* its last record's writer may still be told */
	} streams[MODEL_STREAMS];
	uint64_t time_ns;
	uint8_t *records[MODEL_RECORDS];
	uint32_t sizes[MODEL_RECORDS];
	uint64_t times[MODEL_RECORDS];
	size_t n_records, pushed;
	uint8_t *ring; /* mapped twice */
	uint64_t consumer, producer;
	char *memory; /* the state's */
	struct clock_anchor anchor;
	uint64_t now_ns;
	struct model_daemon *daemon;
	struct model_lines loki;
	unsigned kills;
	bool show; /* all lines of all daemons, and which are wrong */
};

static inline unsigned model__pick(struct model *m, unsigned n)
{
	if (m->bytes) {
		if (!m->n_bytes)
			return 0;
		m->n_bytes--;
		return *m->bytes++ % n;
	}
	m->random ^= m->random << 13;
	m->random ^= m->random >> 7;
	m->random ^= m->random << 17;
	return (unsigned)(m->random >> 33) % n;
}

static inline void model_lines__add(struct model_lines *l, struct model_line line)
{
	if (l->n == l->size) {
		l->size = l->size ? 2 * l->size : 64;
		l->items = realloc(l->items, l->size * sizeof(*l->items));
	}
	l->items[l->n++] = line;
}

static inline uint64_t model__hash(uint64_t hash, const void *data, size_t len)
{
	const unsigned char *p = data;

	while (len--)
		hash = (hash ^ *p++) * 0x100000001b3;
	return hash;
}

/* The kernel */

static inline void *model__record(struct model *m, enum nt_kind kind, unsigned container,
				  size_t size)
{
	struct nt_hdr *hdr = calloc(1, size);

	MODEL_CHECK(m->n_records < MODEL_RECORDS);
	hdr->kind = kind;
	hdr->size = (uint32_t)size;
	hdr->time_ns = m->time_ns;
	hdr->cgroup_id = 100 + container;
	m->records[m->n_records] = (uint8_t *)hdr;
	m->times[m->n_records] = m->time_ns;
	m->sizes[m->n_records++] = (uint32_t)size;
	return hdr;
}

static inline struct nt_stream_key model__key(unsigned i)
{
	return (struct nt_stream_key){.ino = 1000 + i, .dev = 14};
}

static inline void model__registered(struct model *m, unsigned i)
{
	struct nt_register *r = model__record(m, NT_KIND_REGISTER, i / 2, sizeof(*r));

	r->key = model__key(i);
	r->file = (uint8_t)(NT_FILE_STDOUT + i % 2);
	r->tap = NT_TAP_READ;
	memset(&m->streams[i], 0, sizeof(m->streams[i]));
	m->streams[i].registered = true;
}

static inline void model__data(struct model *m, unsigned i, size_t len)
{
	static const char letters[] = "ab#\n\nxyz#a\n";
	struct nt_data *d = model__record(m, NT_KIND_DATA, i / 2, sizeof(*d) + len);
	unsigned known = model__pick(m, 8);

	d->key = model__key(i);
	d->file = (uint8_t)(NT_FILE_STDOUT + i % 2);
	d->tap = NT_TAP_READ;
	d->len = (uint32_t)len;
	d->gap = m->streams[i].gap;
	m->streams[i].seen += d->gap.bytes;
	m->streams[i].gap = (struct nt_gap){0};
	d->offset = m->streams[i].seen;
	d->from = d->offset;
	d->known = known == 0 ? NT_KNOWN_LATER : known == 1 ? NT_KNOWN : NT_KNOWN_NOT;
	d->pid = known == 1 ? 77 : 0;
	for (size_t at = 0; at < len; at++)
		d->bytes[at] = (uint8_t)letters[model__pick(m, sizeof(letters) - 1)];
	m->streams[i].seen += len;
	m->time_ns += len;
}

static inline void model__end(struct model *m, unsigned i)
{
	struct nt_end *e = model__record(m, NT_KIND_END, i / 2, sizeof(*e));

	e->key = model__key(i);
	e->file = (uint8_t)(NT_FILE_STDOUT + i % 2);
	e->tap = NT_TAP_READ;
	e->gap = m->streams[i].gap;
	e->seen = m->streams[i].seen + e->gap.bytes;
	e->written = e->seen + (model__pick(m, 4) == 0 ? 5 : 0); /* five are missing */
	e->cause = NT_END_EOF;
	m->streams[i].registered = false;
}

static inline void model__script(struct model *m)
{
	static const uint64_t pauses_ns[] = {1,	    1000,   1000,	   50000,
					     50000, 500000, 3 * NS_PER_MS, 400 * NS_PER_MS};

	m->time_ns = 1000 * NS_PER_SEC;
	for (unsigned i = 0; i < MODEL_STREAMS; i++)
		model__registered(m, i);
	while (m->n_records < m->opts.records && (!m->bytes || m->n_bytes)) {
		unsigned i = model__pick(m, MODEL_STREAMS), what = model__pick(m, 32);

		m->time_ns += pauses_ns[model__pick(m, ARRAY_SIZE(pauses_ns))];
		if (!m->streams[i].registered)
			model__registered(m, i);
		else if (what == 0)
			model__end(m, i);
		else if (what == 1)
			m->streams[i].gap =
				(struct nt_gap){.bytes = m->streams[i].gap.bytes + 100, .calls = 1};
		else if (what < 10)
			model__data(m, i, 1);
		else
			model__data(m, i,
				    model__pick(m, 1 + (unsigned)MIN(m->opts.max_record, 250)) *
					    (1 + m->opts.max_record / 250));
	}
	for (unsigned i = 0; i < MODEL_STREAMS; i++) {
		m->time_ns += 1000;
		if (m->streams[i].registered)
			model__end(m, i);
	}
}

/* The daemon */

static inline void model__check_order(struct model_daemon *d, uint64_t labels, uint64_t time_ns)
{
	size_t i = 0;

	while (i < d->n_last && d->last[i].labels != labels)
		i++;
	if (i == MODEL_LABEL_SETS)
		return;
	if (i == d->n_last)
		d->last[d->n_last++].labels = labels;
	else
		MODEL_CHECK(time_ns > d->last[i].time_ns);
	d->last[i].time_ns = time_ns;
}

static inline void model__on_line(void *ctx, struct label_set *set, const struct line *line)
{
	struct model *m = ctx;
	uint64_t labels = model__hash(1, set->text, strlen(set->text));
	uint64_t hash = model__hash(labels, &line->time_ns, sizeof(line->time_ns));

	if (m->daemon->dead)
		return;
	/* A gap does not wait for the lines before it that a limit delays. */
	if (!line->gap || !m->opts.yaml)
		model__check_order(m->daemon, labels, line->time_ns);
	hash = model__hash(hash, line->bytes, line->len);
	if (m->show)
		fprintf(stderr, "%016llx %s %llu pos %llu %.*s\n", (unsigned long long)hash,
			set->text, (unsigned long long)line->time_ns,
			(unsigned long long)line->ring_pos, (int)line->len, line->bytes);
	model_lines__add(&m->daemon->open, (struct model_line){hash, line->ring_pos});
}

static inline int model__kernel_stream(void *ctx, const struct nt_stream_key *key,
				       struct nt_stream *ret)
{
	(void)ctx;
	(void)key;
	(void)ret;
	return -ENOENT;
}

static inline void model__path(char *path, uint64_t cgroup_id)
{
	snprintf(path, 80, "/docker/%064llx", (unsigned long long)cgroup_id);
}

static inline int model__cgroup_path(void *ctx, uint64_t cgroup_id, char *ret_path, size_t size)
{
	(void)ctx;
	MODEL_CHECK(size >= 80);
	model__path(ret_path, cgroup_id);
	return 0;
}

static inline void model__publish(struct model_daemon *d, unsigned container)
{
	static const char *const names[MODEL_CONTAINERS] = {"plain", "multi", "levels", "delayed",
							    "sampled"};
	struct meta *meta = meta__new();
	char id[80];

	if (d->published[container]) {
		meta__unref(meta);
		return;
	}
	d->published[container] = true;
	model__path(id, 100 + container);
	meta->engine = strdup("docker");
	meta->id = strdup(id + strlen("/docker/"));
	meta->name = strdup(names[container]);
	MODEL_CHECK(registry__publish(d->registry, meta) == 0);
}

static inline struct routing *model__routing(const char *yaml)
{
	const struct routing_opts opts = {.host = "h"};
	struct routing *routing = NULL;
	struct config *config = NULL;
	struct diag *diag;

	if (!yaml)
		return NULL;
	MODEL_CHECK(diag__new(&diag, "f") == 0);
	MODEL_CHECK(config__parse(&config, yaml, strlen(yaml), NULL, NULL, NULL, diag) == 0);
	MODEL_CHECK(routing__new(&routing, config, &opts, diag) == 0);
	diag__free(diag);
	return routing;
}

static inline void model__start(struct model *m, bool durable)
{
	struct model_daemon *d = calloc(1, sizeof(*d));
	struct streams_opts opts = {.counters = &d->counters,
				    .host = "h",
				    .anchor = &m->anchor,
				    .max_line_size = m->opts.max_line_size,
				    .park_max_ns = UINT64_MAX / 4,
				    .line = model__on_line,
				    .kernel_stream = model__kernel_stream,
				    .cgroup_path = model__cgroup_path,
				    .forget = no_kernel__forget,
				    .ctx = m};
	struct commit_opts c = {
		.ring_bytes = m->opts.ring_bytes, .consumer = m->consumer, .producer = m->producer};
	enum state_found found;

	m->daemon = d;
	MODEL_CHECK(registry__new(&d->registry) == 0);
	registry__engine(d->registry, "docker", true);
	opts.registry = d->registry;
	opts.routing = model__routing(m->opts.yaml);
	if (durable) {
		MODEL_CHECK(state__new(&d->state, m->memory, STATE_BYTES, &found) == 0);
		c.state = d->state;
		MODEL_CHECK(commit__new(&d->commit, &d->counters) == 0);
		opts.marks = commit__marks(d->commit);
	}
	MODEL_CHECK(streams__new(&d->streams, &opts) == 0);
	if (!durable)
		return;
	m->consumer = commit__restore(d->commit, d->streams, &c);
	MODEL_CHECK(!counters__get(&d->counters, state_damaged));
	MODEL_CHECK(ring__new_memory(&d->ring, m->ring, m->opts.ring_bytes, &m->consumer,
				     &m->producer) == 0);
}

static inline void model__kill(struct model *m)
{
	struct model_daemon *d = m->daemon;

	d->dead = true; /* what is freed goes nowhere */
	if (m->show)
		fprintf(stderr, "-- killed, consumer at %llu\n", (unsigned long long)m->consumer);
	streams__free(d->streams);
	commit__free(d->commit);
	state__free(d->state);
	ring__free(d->ring);
	registry__free(d->registry);
	free(d->open.items);
	for (size_t i = 0; i < d->n_flights; i++)
		free(d->flights[i].lines.items);
	free(d);
	m->daemon = NULL;
}

static inline void model__on_record(void *ctx, uint64_t pos, uint64_t next, const void *data,
				    size_t size)
{
	struct model_daemon *d = ctx;
	const char *why;

	(void)next;
	MODEL_CHECK(record__dispatch(data, size, pos, &streams_record_ops, d->streams, &why) == 0);
}

static inline uint64_t model_lines__oldest(const struct model_lines *l)
{
	uint64_t pos = UINT64_MAX;

	for (size_t i = 0; i < l->n; i++)
		pos = MIN(pos, l->items[i].pos);
	return pos;
}

static inline uint64_t model__held(const struct model_daemon *d)
{
	uint64_t held = model_lines__oldest(&d->open), pos;

	for (size_t i = 0; i < d->n_flights; i++) {
		pos = model_lines__oldest(&d->flights[i].lines);
		held = MIN(held, pos);
	}
	return held;
}

/* As the pipeline's. `moves`: the process lives until it has moved the consumer's position. */
static inline void model__round(struct model *m, size_t bytes, bool moves)
{
	struct model_daemon *d = m->daemon;
	uint64_t skipped, tick_ns, position;
	bool drained;

	m->now_ns += model__pick(m, 100) * NS_PER_MS;
	MODEL_CHECK(ring__read(d->ring, bytes, model__on_record, d, &skipped) >= 0);
	drained = ring__position(d->ring) == m->producer;
	tick_ns = m->pushed < m->n_records ? m->times[m->pushed] : m->time_ns + NS_PER_SEC;
	if (m->show)
		fprintf(stderr, "-- read up to %llu, tick at %llu%s\n",
			(unsigned long long)ring__position(d->ring), (unsigned long long)tick_ns,
			drained ? ", drained" : "");
	streams__tick(d->streams, tick_ns, drained);
	/* A name may wait for longer than the next record, which is late for want of room. */
	if (m->producer - m->consumer > m->opts.ring_bytes / 2 || m->pushed == m->n_records)
		streams__tick(d->streams, tick_ns + 60 * NS_PER_MS, false);
	position = commit__round(d->commit, d->streams, ring__position(d->ring), model__held(d),
				 m->now_ns);
	MODEL_CHECK(position <= ring__position(d->ring));
	if (moves)
		ring__commit(d->ring, position);
}

static inline void model__push(struct model *m)
{
	uint32_t size, words[2] = {0}, at;
	uint64_t total;

	if (m->pushed == m->n_records)
		return;
	size = m->sizes[m->pushed];
	total = (size + 8 + 7) & ~7u;
	if (m->producer - m->consumer + total > m->opts.ring_bytes)
		return;
	at = m->producer & (m->opts.ring_bytes - 1);
	words[0] = size;
	memcpy(m->ring + at, words, sizeof(words));
	memcpy(m->ring + at + 8, m->records[m->pushed++], size);
	m->producer += total;
}

static inline void model__seal(struct model *m)
{
	struct model_daemon *d = m->daemon;

	if (!d->open.n || d->n_flights == MODEL_FLIGHTS)
		return;
	d->flights[d->n_flights++] = (struct model_flight){.lines = d->open};
	d->open = (struct model_lines){0};
}

static inline void model__store(struct model *m, size_t i)
{
	struct model_daemon *d = m->daemon;

	if (i >= d->n_flights || d->flights[i].stored)
		return;
	for (size_t l = 0; l < d->flights[i].lines.n; l++)
		model_lines__add(&m->loki, d->flights[i].lines.items[l]);
	d->flights[i].stored = true;
}

static inline void model__acknowledge(struct model *m, size_t i)
{
	struct model_daemon *d = m->daemon;

	if (i >= d->n_flights || !d->flights[i].stored)
		return;
	free(d->flights[i].lines.items);
	d->n_flights--;
	memmove(&d->flights[i], &d->flights[i + 1], (d->n_flights - i) * sizeof(d->flights[0]));
}

/* The process dies while it writes into the older slot. */
static inline void model__tear(struct model *m)
{
	struct state_slot *slots[2];
	struct state_slot *older;

	for (unsigned i = 0; i < 2; i++)
		slots[i] = (struct state_slot *)(m->memory + STATE_SLOTS + i * STATE_SLOT_BYTES);
	if (!slots[0]->generation || !slots[1]->generation)
		return;
	older = slots[slots[0]->generation > slots[1]->generation];
	older->generation = 0;
	memset(older + 1, 0x5a, 8);
}

static inline void model__step(struct model *m)
{
	unsigned what = model__pick(m, 64);

	if (what < 20) {
		for (unsigned n = 1 + model__pick(m, 8); n; n--)
			model__push(m);
	} else if (what < 40) {
		model__round(m, 1 + model__pick(m, 4) * 150, true);
	} else if (what < 46) {
		model__seal(m);
	} else if (what < 52) {
		model__store(m, model__pick(m, 3));
	} else if (what < 58) {
		model__acknowledge(m, model__pick(m, 3));
	} else if (what < 62) {
		model__publish(m->daemon, model__pick(m, MODEL_CONTAINERS));
	} else if (m->kills < m->opts.kills &&
		   model__pick(m, 1 + m->opts.records / m->opts.kills) < 15) {
		m->kills++;
		if (model__pick(m, 4) == 0)
			model__round(m, 300, false);
		if (model__pick(m, 4) == 0)
			model__tear(m);
		model__kill(m);
		model__start(m, true);
	}
}

/* All that is written is delivered and acknowledged. */
static inline void model__settle(struct model *m)
{
	struct model_daemon *d = m->daemon;

	for (unsigned i = 0; i < MODEL_CONTAINERS; i++)
		model__publish(d, i);
	for (unsigned idle = 0;
	     idle < 5000 && (m->pushed < m->n_records || m->consumer != m->producer); idle++) {
		uint64_t before = m->consumer + m->pushed;

		model__push(m);
		m->now_ns += NS_PER_SEC;
		m->time_ns += m->pushed == m->n_records ? NS_PER_SEC : 0;
		model__round(m, SIZE_MAX, true);
		model__seal(m);
		while (d->n_flights) {
			model__store(m, 0);
			model__acknowledge(m, 0);
		}
		if (m->consumer + m->pushed != before)
			idle = 0;
	}
	MODEL_CHECK(m->pushed == m->n_records);
	/* Nothing holds the ring any more. */
	MODEL_CHECK(m->consumer == m->producer);
}

static inline int model__compare(const void *left, const void *right)
{
	const struct model_line *a = left, *b = right;

	return a->hash < b->hash ? -1 : a->hash > b->hash;
}

static inline void model_lines__sort(struct model_lines *l)
{
	size_t n = 0;

	qsort(l->items, l->n, sizeof(*l->items), model__compare);
	for (size_t i = 0; i < l->n; i++)
		if (!n || l->items[n - 1].hash != l->items[i].hash)
			l->items[n++] = l->items[i];
	l->n = n;
}

/* What one daemon makes of all the records. */
static inline struct model_lines model__reference(struct model *m)
{
	struct model_lines lines;
	uint64_t pos = MODEL_BEGIN;

	model__start(m, false);
	for (unsigned i = 0; i < MODEL_CONTAINERS; i++)
		model__publish(m->daemon, i);
	for (size_t i = 0; i < m->n_records; i++) {
		model__on_record(m->daemon, pos, pos, m->records[i], m->sizes[i]);
		pos += (m->sizes[i] + 8 + 7) & ~7u;
	}
	streams__tick(m->daemon->streams, m->time_ns + 10 * NS_PER_SEC, true);
	streams__finish(m->daemon->streams);
	lines = m->daemon->open;
	m->daemon->open = (struct model_lines){0};
	model__kill(m);
	model_lines__sort(&lines);
	return lines;
}

static inline void model__free(struct model *m)
{
	for (size_t i = 0; i < m->n_records; i++)
		free(m->records[i]);
	free(m->loki.items);
	munmap(m->ring, 2 * m->opts.ring_bytes);
	m->n_records = m->pushed = 0;
	m->loki = (struct model_lines){0};
}

static inline void model__show(const struct model_lines *expected, const struct model_lines *got)
{
	size_t i = 0, j = 0;

	while (i < expected->n || j < got->n) {
		if (j == got->n ||
		    (i < expected->n && expected->items[i].hash < got->items[j].hash))
			fprintf(stderr, "MISSING %016llx\n",
				(unsigned long long)expected->items[i++].hash);
		else if (i == expected->n || expected->items[i].hash > got->items[j].hash)
			fprintf(stderr, "UNKNOWN %016llx\n",
				(unsigned long long)got->items[j++].hash);
		else
			i++, j++;
	}
}

/* Twice in a row. */
static inline uint8_t *model__map(int fd, size_t size)
{
	uint8_t *ring = mmap(NULL, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (size_t i = 0; i < 2; i++)
		MODEL_CHECK(mmap(ring + i * size, size, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED);
	return ring;
}

/* `m`: zeroed but for what is chosen of. The same ring and memory serve all calls. Returns how many
 * lines there were; false in *ret_same: the receiver has others. */
static inline size_t model__run(struct model *m, const struct model_opts *opts, bool *ret_same)
{
	static char *memory;
	static int ring_fd = -1;
	struct model_lines expected;
	size_t n;

	if (!memory) {
		memory = calloc(1, STATE_BYTES);
		ring_fd = memfd_create("ring", MFD_CLOEXEC);
		MODEL_CHECK(ring_fd >= 0 && ftruncate(ring_fd, MODEL_RING_MAX) == 0);
	}
	memset(memory, 0, STATE_SLOTS);
	for (unsigned i = 0; i < 2; i++)
		memset(memory + STATE_SLOTS + i * STATE_SLOT_BYTES, 0, sizeof(struct state_slot));
	m->opts = *opts;
	m->ring = model__map(ring_fd, opts->ring_bytes);
	m->memory = memory;
	m->consumer = m->producer = MODEL_BEGIN;
	m->now_ns = NS_PER_SEC;
	log__level(LOG_ERROR);
	model__script(m);
	expected = model__reference(m);
	model__start(m, true);
	for (unsigned i = 0;
	     i < 20 * opts->records && (m->pushed < m->n_records || m->kills < opts->kills / 2) &&
	     (!m->bytes || m->n_bytes);
	     i++)
		model__step(m);
	model__settle(m);
	model__kill(m);
	model_lines__sort(&m->loki);
	*ret_same = m->loki.n == expected.n;
	for (size_t i = 0; i < expected.n && *ret_same; i++)
		*ret_same = m->loki.items[i].hash == expected.items[i].hash;
	if (m->show)
		model__show(&expected, &m->loki);
	n = expected.n;
	free(expected.items);
	model__free(m);
	return n;
}

#endif
