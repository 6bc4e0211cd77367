/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is sealed is remembered as a flight until it comes back: the position to commit is the least
 * that an open batch or a flight needs. Batchers of tenants that lines name, and of streams with a
 * backlog, are made when they are needed and freed when they were not for IDLE_NS.
 *
 * What is open is bounded too: over a quarter of max_memory, everything is sealed.
 */
#include "outputs.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <utlist.h>

#include "base/log.h"
#include "base/queue.h"

#define MAX_MEMORY (64u * 1024 * 1024)
#define QUEUE_ITEMS 4096
#define TENANTS_MAX 256
#define TENANT_MAX_BYTES 150 /* Loki's own bound */
#define IDLE_NS (60 * NS_PER_SEC)
#define LOOK_NS NS_PER_SEC

struct flight {
	struct batch *batch; /* compared only */
	uint64_t oldest_pos;
	size_t lines;
	struct flight *prev, *next;
};

/* Of the lines of one tenant; the first of an output has those that name none. */
struct tenant {
	struct batcher *batcher;
	struct batcher *behind; /* of streams with a backlog; NULL: none yet */
	size_t len;
	struct tenant *next;
	char said[]; /* `len` bytes; behind them, with a NUL, what is sent */
};

struct output {
	struct outputs *o;
	struct tenant *tenants; /* NULL: not enabled */
	size_t n_tenants;
	struct queue *sealed;
};

struct outputs {
	struct outputs_opts opts;
	struct output outputs[PIPELINE_OUTPUTS];
	size_t n_outputs;	/* up to the last one that is enabled */
	struct queue *done;	/* acknowledgements */
	struct flight *flights; /* oldest first */
	size_t n_flights;
	struct backlog *backlog;		/* in force; NULL: none */
	_Atomic(struct backlog *) next_backlog; /* &no_backlog: none; NULL: as it is */
	_Atomic size_t memory;
	_Atomic size_t at_risk; /* lines */
	_Atomic uint64_t wanted, pressed;
	int wanted_fd;
	uint64_t looked_ns; /* for what is idle */
};

static struct backlog no_backlog;

static void on_sealed(void *ctx, struct batch *b)
{
	struct output *out = ctx;
	struct outputs *o = out->o;
	struct flight *f = malloc(sizeof(*f));

	if (f) {
		*f = (struct flight){.batch = b, .oldest_pos = b->oldest_pos, .lines = b->lines};
		batch__account(b, &o->memory);
	}
	/* Behind it the batch is the other thread's. */
	if (!f || queue__push(out->sealed, b)) {
		counters__add(o->opts.counters, dropped_no_memory, b->lines);
		log_error("%zu lines dropped: %s", b->lines, f ? "too many batches" : "no memory");
		free(f);
		batch__free(b);
		return;
	}
	DL_APPEND(o->flights, f);
	o->n_flights++;
}

/* What a header may hold: a line may have said anything. */
static void name_tenant(char *out, const char *said, size_t len)
{
	for (size_t i = 0; i < len; i++)
		out[i] = said[i] < ' ' || said[i] >= 0x7f ? '_' : said[i];
	out[len] = '\0';
}

static int new_batcher(struct batcher **ret, struct output *out, const struct tenant *t)
{
	struct outputs *o = out->o;
	struct batch_opts opts = o->opts.batch[out - o->outputs];

	opts.anchor = o->opts.anchor;
	opts.tenant = t->len ? t->said + t->len : NULL;
	if (o->opts.seed)
		opts.jitter = o->opts.seed++;
	return batcher__new(ret, &opts, on_sealed, out);
}

static void free_tenant(struct tenant *t)
{
	batcher__free(t->batcher);
	batcher__free(t->behind);
	free(t);
}

/* NULL: no memory, or too many of them. */
static struct tenant *new_tenant(struct output *out, const char *said, size_t len)
{
	struct tenant *t;

	if (out->n_tenants == TENANTS_MAX)
		return NULL;
	t = calloc(1, sizeof(*t) + 2 * len + 1);
	if (!t)
		return NULL;
	t->len = len;
	if (len)
		memcpy(t->said, said, len);
	name_tenant(t->said + len, said, len);
	if (new_batcher(&t->batcher, out, t)) {
		free(t);
		return NULL;
	}
	LL_APPEND(out->tenants, t);
	out->n_tenants++;
	return t;
}

static struct tenant *tenant_of(struct output *out, const struct line *line)
{
	size_t len = line->tenant ? MIN(line->tenant_len, (size_t)TENANT_MAX_BYTES) : 0;
	struct tenant *t;

	if (!len || out == &out->o->outputs[PIPELINE_STDOUT])
		return out->tenants;
	for (t = out->tenants->next; t; t = t->next)
		if (t->len == len && !memcmp(t->said, line->tenant, len))
			return t;
	return new_tenant(out, line->tenant, len);
}

static int add(struct output *out, struct label_set *set, const struct line *line)
{
	const struct backlog *backlog = out->o->backlog;
	struct tenant *t = tenant_of(out, line);
	uint64_t stream;
	int err = t ? 0 : -ENOMEM;

	if (err || !backlog || out == &out->o->outputs[PIPELINE_STDOUT])
		return err ? err : batcher__add(t->batcher, set, line);
	err = batcher__stream(t->batcher, set, &stream);
	if (err || !backlog__has(backlog, stream))
		return err ? err : batcher__add(t->batcher, set, line);
	if (!t->behind)
		err = new_batcher(&t->behind, out, t);
	return err ? err : batcher__add(t->behind, set, line);
}

void outputs__add(struct outputs *o, struct label_set *set, const struct line *line)
{
	for (size_t i = 0; i < o->n_outputs; i++)
		if (o->outputs[i].tenants && add(&o->outputs[i], set, line))
			counters__add(o->opts.counters, dropped_no_memory, 1);
}

static int make_outputs(struct outputs *o)
{
	int err;

	for (int i = 0; i < PIPELINE_OUTPUTS; i++) {
		struct output *out = &o->outputs[i];

		out->o = o;
		if (!o->opts.enabled[i])
			continue;
		o->n_outputs = (size_t)i + 1;
		err = queue__new(&out->sealed, QUEUE_ITEMS);
		if (err)
			return err;
		if (!new_tenant(out, NULL, 0))
			return -ENOMEM;
	}
	return 0;
}

static void free_backlog(struct backlog *b)
{
	if (b != &no_backlog)
		free(b);
}

static void free_batch(void *item)
{
	batch__free(item);
}

int outputs__new(struct outputs **ret, const struct outputs_opts *opts)
{
	struct outputs *o = calloc(1, sizeof(*o));
	int err;

	if (!o)
		return -ENOMEM;
	o->opts = *opts;
	if (!o->opts.max_memory)
		o->opts.max_memory = MAX_MEMORY;
	o->wanted_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = o->wanted_fd < 0 ? -errno : 0;
	if (!err)
		err = queue__new(&o->done, QUEUE_ITEMS * PIPELINE_OUTPUTS);
	if (!err)
		err = make_outputs(o);
	if (err)
		outputs__free(o);
	else
		*ret = o;
	return err;
}

void outputs__free(struct outputs *o)
{
	struct flight *f, *next;
	struct tenant *t, *t_next;

	if (!o)
		return;
	for (int i = 0; i < PIPELINE_OUTPUTS; i++) {
		LL_FOREACH_SAFE(o->outputs[i].tenants, t, t_next)
		free_tenant(t);
		queue__free(o->outputs[i].sealed, free_batch);
	}
	queue__free(o->done, free_batch);
	free(o->backlog);
	free_backlog(atomic_load(&o->next_backlog));
	close_p(&o->wanted_fd);
	DL_FOREACH_SAFE (o->flights, f, next)
		free(f);
	free(o);
}

void outputs__take_acknowledgements(struct outputs *o)
{
	struct batch *b;
	struct flight *f;

	while ((b = queue__pop(o->done))) {
		DL_SEARCH_SCALAR(o->flights, f, batch, b);
		if (f) {
			DL_DELETE(o->flights, f);
			o->n_flights--;
			free(f);
		}
		batch__free(b);
	}
}

static uint64_t oldest_open(const struct outputs *o)
{
	uint64_t position = UINT64_MAX, oldest;
	struct tenant *t;

	for (size_t i = 0; i < o->n_outputs; i++) {
		LL_FOREACH(o->outputs[i].tenants, t)
		{
			oldest = batcher__oldest(t->batcher);
			position = MIN(position, oldest);
			oldest = t->behind ? batcher__oldest(t->behind) : UINT64_MAX;
			position = MIN(position, oldest);
		}
	}
	return position;
}

uint64_t outputs__oldest(const struct outputs *o)
{
	uint64_t position = oldest_open(o);
	struct flight *f;

	DL_FOREACH (o->flights, f)
		position = MIN(position, f->oldest_pos);
	return position;
}

static size_t open_bytes(const struct outputs *o)
{
	const struct tenant *t;
	size_t bytes = 0;

	for (size_t i = 0; i < o->n_outputs; i++) {
		LL_FOREACH(o->outputs[i].tenants, t)
		{
			bytes += batcher__open_bytes(t->batcher);
			bytes += t->behind ? batcher__open_bytes(t->behind) : 0;
		}
	}
	return bytes;
}

static uint64_t seal_one(struct batcher *b, uint64_t now_ns, bool now)
{
	if (!b)
		return UINT64_MAX;
	if (!now)
		return batcher__tick(b, now_ns);
	batcher__seal(b);
	return UINT64_MAX;
}

/* What is behind belongs behind what its streams have in the other. */
static uint64_t seal_tenant(struct tenant *t, uint64_t now_ns, bool now)
{
	uint64_t next_ns = seal_one(t->batcher, now_ns, now);
	uint64_t behind_ns = seal_one(t->behind, now_ns, now);

	return MIN(next_ns, behind_ns);
}

static void seal_all(struct outputs *o)
{
	struct tenant *t;

	for (size_t i = 0; i < o->n_outputs; i++)
		LL_FOREACH(o->outputs[i].tenants, t)
	seal_tenant(t, 0, true);
}

static bool is_idle(const struct batcher *b, uint64_t now_ns)
{
	return !batcher__open_bytes(b) && batcher__used_ns(b) + IDLE_NS < now_ns;
}

static void free_idle(struct outputs *o, uint64_t now_ns)
{
	struct tenant *t, *next;

	if (now_ns - o->looked_ns < LOOK_NS)
		return;
	o->looked_ns = now_ns;
	for (size_t i = 0; i < o->n_outputs; i++) {
		struct output *out = &o->outputs[i];

		LL_FOREACH_SAFE(out->tenants, t, next)
		{
			if (t->behind && !o->backlog && is_idle(t->behind, now_ns))
				batcher__free(TAKE_PTR(t->behind));
			if (t == out->tenants || t->behind || !is_idle(t->batcher, now_ns))
				continue;
			LL_DELETE(out->tenants, t);
			out->n_tenants--;
			free_tenant(t);
		}
	}
}

/* Streams change their batches: what they have in the others has to be in front. */
static void take_backlog(struct outputs *o)
{
	struct backlog *next = atomic_exchange(&o->next_backlog, NULL);

	if (!next)
		return;
	seal_all(o);
	free(o->backlog);
	o->backlog = next == &no_backlog ? NULL : next;
}

/* Text is sealed at the end of each round, a push by age. */
uint64_t outputs__seal(struct outputs *o, uint64_t now_ns, bool all)
{
	uint64_t next_ns = UINT64_MAX, due_ns;
	struct tenant *t;

	take_backlog(o);
	for (size_t i = 0; i < o->n_outputs; i++) {
		LL_FOREACH(o->outputs[i].tenants, t)
		{
			due_ns = seal_tenant(t, now_ns, all || i == PIPELINE_STDOUT);
			next_ns = MIN(next_ns, due_ns);
		}
	}
	free_idle(o, now_ns);
	if (open_bytes(o) > o->opts.max_memory / 4)
		seal_all(o);
	return next_ns;
}

bool outputs__have_room(const struct outputs *o)
{
	return outputs__memory(o) < o->opts.max_memory && o->n_flights < QUEUE_ITEMS / 2;
}

void outputs__look(struct outputs *o, uint64_t read_pos, size_t ring_bytes)
{
	uint64_t oldest = outputs__oldest(o), wanted = read_pos - MIN(read_pos, ring_bytes / 4);

	if (oldest >= read_pos || read_pos - oldest <= ring_bytes / 2)
		return;
	/* In a small ring a batch that is open may be what keeps it. */
	if (oldest_open(o) < wanted)
		seal_all(o);
	if (wanted < atomic_load(&o->wanted) + ring_bytes / 64)
		return;
	if (read_pos - oldest > ring_bytes / 8 * 5)
		atomic_store(&o->pressed, read_pos - ring_bytes / 2);
	atomic_store(&o->wanted, wanted);
	eventfd_write(o->wanted_fd, 1);
}

uint64_t outputs__wanted(const struct outputs *o)
{
	eventfd_t n;

	eventfd_read(o->wanted_fd, &n);
	return atomic_load(&o->wanted);
}

uint64_t outputs__pressed(const struct outputs *o)
{
	return atomic_load(&o->pressed);
}

int outputs__wanted_fd(const struct outputs *o)
{
	return o->wanted_fd;
}

void outputs__use_backlog(struct outputs *o, struct backlog *b)
{
	free_backlog(atomic_exchange(&o->next_backlog, b ? b : &no_backlog));
}

size_t outputs__memory(const struct outputs *o)
{
	return atomic_load_explicit(&o->memory, memory_order_relaxed);
}

_Atomic size_t *outputs__at_risk(struct outputs *o)
{
	return &o->at_risk;
}

_Atomic size_t *outputs__account(struct outputs *o)
{
	return &o->memory;
}

int outputs__done_fd(const struct outputs *o)
{
	return queue__fd(o->done);
}

size_t outputs__in_flight(const struct outputs *o, size_t *ret_lines)
{
	size_t at_risk = atomic_load(&o->at_risk), lines = at_risk;
	struct flight *f;

	DL_FOREACH (o->flights, f)
		lines += f->lines;
	*ret_lines = lines;
	return o->n_flights + (at_risk ? 1 : 0);
}

int outputs__fd(const struct outputs *o, size_t output)
{
	return queue__fd(o->outputs[output].sealed);
}

struct batch *outputs__next(struct outputs *o, size_t output)
{
	return queue__pop(o->outputs[output].sealed);
}

void outputs__done(struct outputs *o, struct batch *b, enum sink_result result)
{
	if (result == SINK_REFUSED)
		counters__add(o->opts.counters, dropped_refused, b->lines);
	else if (result == SINK_UNDELIVERED)
		counters__add(o->opts.counters, dropped_undelivered, b->lines);
	/* Never full: there are no more batches than both queues of sealed ones hold. */
	if (queue__push(o->done, b))
		log_error("an acknowledgement was lost");
}
