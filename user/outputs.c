/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is sealed is remembered as a flight until it comes back: the position to commit is the least
 * that an open batch or a flight needs. Batches of tenants that lines name are made when they come,
 * and stay.
 */
#include "outputs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/log.h"
#include "base/queue.h"

#define MAX_IN_FLIGHT (64u * 1024 * 1024)
#define QUEUE_ITEMS 1024
#define TENANTS_MAX 256
#define TENANT_MAX_BYTES 150 /* Loki's own bound */

struct flight {
	struct batch *batch; /* owned by whoever delivers it; compared only */
	uint64_t oldest_pos;
	size_t bytes, lines;
	struct flight *prev, *next;
};

/* Lines that rules or stages gave a tenant of their own. */
struct tenant {
	struct batcher *batcher;
	size_t len;
	struct tenant *next;
	char said[]; /* `len` bytes; behind them, with a NUL, what is sent */
};

struct output {
	struct outputs *o;
	struct batcher *batcher; /* NULL: not enabled */
	struct tenant *tenants;
	size_t n_tenants;
	struct queue *sealed;
};

struct outputs {
	struct outputs_opts opts;
	struct output outputs[PIPELINE_OUTPUTS];
	size_t n_outputs;	/* up to the last one that is enabled */
	struct queue *done;	/* acknowledgements */
	struct flight *flights; /* oldest first */
	size_t in_flight;	/* bytes */
	size_t n_flights;
};

static void on_sealed(void *ctx, struct batch *b)
{
	struct output *out = ctx;
	struct outputs *o = out->o;
	struct flight *f = malloc(sizeof(*f));

	if (!f || queue__push(out->sealed, b)) {
		counters__add(o->opts.counters, dropped_no_memory, b->lines);
		log_error("%zu lines dropped: %s", b->lines, f ? "too many batches" : "no memory");
		free(f);
		batch__free(b);
		return;
	}
	f->batch = b;
	f->oldest_pos = b->oldest_pos;
	f->bytes = b->payload.size;
	f->lines = b->lines;
	DL_APPEND(o->flights, f);
	o->in_flight += f->bytes;
	o->n_flights++;
}

/* What a header may hold: a line may have said anything. */
static void name_tenant(char *out, const char *said, size_t len)
{
	for (size_t i = 0; i < len; i++)
		out[i] = said[i] < ' ' || said[i] >= 0x7f ? '_' : said[i];
	out[len] = '\0';
}

static struct batch_opts batch_opts(const struct outputs *o, const struct output *out)
{
	struct batch_opts opts = o->opts.batch[out - o->outputs];

	opts.anchor = o->opts.anchor;
	return opts;
}

/* NULL: no memory, or too many of them. */
static struct batcher *tenant_batcher(struct outputs *o, struct output *out,
				      const struct line *line)
{
	size_t len = MIN(line->tenant_len, (size_t)TENANT_MAX_BYTES);
	struct batch_opts opts = batch_opts(o, out);
	struct tenant *t;

	for (t = out->tenants; t; t = t->next)
		if (t->len == len && !memcmp(t->said, line->tenant, len))
			return t->batcher;
	if (out->n_tenants == TENANTS_MAX)
		return NULL;
	t = malloc(sizeof(*t) + 2 * len + 1);
	if (!t)
		return NULL;
	t->len = len;
	memcpy(t->said, line->tenant, len);
	name_tenant(t->said + len, line->tenant, len);
	opts.tenant = t->said + len;
	if (batcher__new(&t->batcher, &opts, on_sealed, out)) {
		free(t);
		return NULL;
	}
	LL_PREPEND(out->tenants, t);
	out->n_tenants++;
	return t->batcher;
}

void outputs__add(struct outputs *o, struct label_set *set, const struct line *line)
{
	for (size_t i = 0; i < o->n_outputs; i++) {
		struct output *out = &o->outputs[i];
		struct batcher *b = out->batcher;

		if (b && line->tenant && line->tenant_len && i != PIPELINE_STDOUT)
			b = tenant_batcher(o, out, line);
		if (out->batcher && (!b || batcher__add(b, set, line)))
			counters__add(o->opts.counters, dropped_no_memory, 1);
	}
}

static int make_outputs(struct outputs *o)
{
	int err;

	for (int i = 0; i < PIPELINE_OUTPUTS; i++) {
		struct output *out = &o->outputs[i];
		struct batch_opts opts = batch_opts(o, out);

		out->o = o;
		if (!o->opts.enabled[i])
			continue;
		o->n_outputs = (size_t)i + 1;
		err = queue__new(&out->sealed, QUEUE_ITEMS);
		if (err)
			return err;
		err = batcher__new(&out->batcher, &opts, on_sealed, out);
		if (err)
			return err;
	}
	return 0;
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
	if (!o->opts.max_in_flight)
		o->opts.max_in_flight = MAX_IN_FLIGHT;
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
		batcher__free(o->outputs[i].batcher);
		LL_FOREACH_SAFE(o->outputs[i].tenants, t, t_next)
		batcher__free(t->batcher);
		queue__free(o->outputs[i].sealed, free_batch);
	}
	queue__free(o->done, free_batch);
	for (int i = 0; i < PIPELINE_OUTPUTS; i++)
		LL_FOREACH_SAFE(o->outputs[i].tenants, t, t_next)
	free(t);
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
			o->in_flight -= f->bytes;
			o->n_flights--;
			free(f);
		}
		batch__free(b);
	}
}

uint64_t outputs__oldest(const struct outputs *o)
{
	uint64_t position = UINT64_MAX;
	struct tenant *t;
	struct flight *f;

	DL_FOREACH (o->flights, f)
		position = MIN(position, f->oldest_pos);
	for (size_t i = 0; i < o->n_outputs; i++) {
		if (o->outputs[i].batcher)
			position = MIN(position, batcher__oldest(o->outputs[i].batcher));
		LL_FOREACH(o->outputs[i].tenants, t)
		position = MIN(position, batcher__oldest(t->batcher));
	}
	return position;
}

static uint64_t seal_one(struct batcher *b, uint64_t now_ns, bool now)
{
	if (!now)
		return batcher__tick(b, now_ns);
	batcher__seal(b);
	return UINT64_MAX;
}

/* Text is sealed at the end of each round, a push by age. */
uint64_t outputs__seal(struct outputs *o, uint64_t now_ns, bool all)
{
	uint64_t next_ns = UINT64_MAX, due_ns;
	struct tenant *t;

	for (size_t i = 0; i < o->n_outputs; i++) {
		if (o->outputs[i].batcher) {
			due_ns = seal_one(o->outputs[i].batcher, now_ns,
					  all || i == PIPELINE_STDOUT);
			next_ns = MIN(next_ns, due_ns);
		}
		LL_FOREACH(o->outputs[i].tenants, t)
		{
			due_ns = seal_one(t->batcher, now_ns, all);
			next_ns = MIN(next_ns, due_ns);
		}
	}
	return next_ns;
}

bool outputs__have_room(const struct outputs *o)
{
	return o->in_flight < o->opts.max_in_flight && o->n_flights < QUEUE_ITEMS / 2;
}

int outputs__done_fd(const struct outputs *o)
{
	return queue__fd(o->done);
}

size_t outputs__in_flight_bytes(const struct outputs *o)
{
	return o->in_flight;
}

size_t outputs__in_flight(const struct outputs *o, size_t *ret_lines)
{
	size_t lines = 0;
	struct flight *f;

	DL_FOREACH (o->flights, f)
		lines += f->lines;
	*ret_lines = lines;
	return o->n_flights;
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
