/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients whose batches would be the same share an output of what makes them. The tenant of a
 * client is no part of a batch.
 */
#include "clients.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "config/values.h"
#include "delivery/delivery.h"
#include "io/loop.h"
#include "loki_client.h"
#include "spool/spool.h"

#define CLIENTS_MAX (PIPELINE_OUTPUTS - PIPELINE_LOKI)
#define DEFAULT_DRAIN_RATE (64ull << 20) /* as the configuration has it */
/* Of the end, for the spool to be written; less of a short one. */
#define SPOOL_TIME_NS (2 * NS_PER_SEC)

struct client {
	struct clients *all;
	struct loki_client setup;
	struct loki_sink *loki;
	struct delivery_client *delivery;
};

/* Clients that share their batches. */
struct profile {
	struct clients *all;
	size_t output;
	struct batch_opts batch;
	size_t n;
	struct client *clients[CLIENTS_MAX];
	struct loop_watch *sealed;
};

struct clients {
	const struct options *opts;
	struct loop *loop;
	struct http *http;
	struct outputs *outputs;
	struct counters *counters;
	size_t n;
	struct client client[CLIENTS_MAX];
	size_t n_profiles;
	struct profile profiles[CLIENTS_MAX];
	struct spool *spool; /* NULL: none */
	struct delivery *delivery;
	struct loop_watch *wanted;
};

int clients__new(struct clients **ret, const struct options *opts)
{
	struct clients *c = calloc(1, sizeof(*c));
	int err = 0;

	if (!c)
		return -ENOMEM;
	c->opts = opts;
	c->n = opts->clients ? opts->clients->n : opts->loki_url ? 1 : 0;
	c->n = MIN(c->n, (size_t)CLIENTS_MAX);
	for (size_t i = 0; i < c->n && !err; i++) {
		c->client[i].all = c;
		err = loki_client__init(
			&c->client[i].setup, opts,
			opts->clients ? (struct config_client *)opts->clients->items + i : NULL);
	}
	if (err)
		clients__free(c);
	else
		*ret = c;
	return err;
}

void clients__disconnect(struct clients *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_profiles; i++)
		loop_watch__free(TAKE_PTR(c->profiles[i].sealed));
	loop_watch__free(TAKE_PTR(c->wanted));
	if (c->delivery)
		delivery__close(c->delivery);
	for (size_t i = 0; i < c->n; i++)
		loki_sink__free(TAKE_PTR(c->client[i].loki));
	delivery__free(TAKE_PTR(c->delivery));
	spool__free(TAKE_PTR(c->spool));
}

void clients__free(struct clients *c)
{
	if (!c)
		return;
	clients__disconnect(c);
	for (size_t i = 0; i < c->n; i++)
		loki_client__done(&c->client[i].setup);
	free(c);
}

static bool is_same(const struct batch_opts *a, const struct batch_opts *b)
{
	if (a->max_bytes != b->max_bytes || a->max_wait_ns != b->max_wait_ns ||
	    a->n_external_labels != b->n_external_labels)
		return false;
	for (size_t i = 0; i < a->n_external_labels; i++)
		if (strcmp(a->external_labels[i].name, b->external_labels[i].name) ||
		    strcmp(a->external_labels[i].value, b->external_labels[i].value))
			return false;
	return true;
}

static struct profile *profile_of(struct clients *c, const struct batch_opts *batch)
{
	struct profile *p;

	for (size_t i = 0; i < c->n_profiles; i++)
		if (is_same(&c->profiles[i].batch, batch))
			return &c->profiles[i];
	p = &c->profiles[c->n_profiles];
	*p = (struct profile){.all = c, .output = PIPELINE_LOKI + c->n_profiles++, .batch = *batch};
	return p;
}

void clients__outputs(struct clients *c, bool enabled[PIPELINE_OUTPUTS],
		      struct batch_opts batches[PIPELINE_OUTPUTS])
{
	for (size_t i = 0; i < c->n; i++) {
		struct batch_opts batch = loki_client__batch(&c->client[i].setup);
		struct profile *p = profile_of(c, &batch);

		p->clients[p->n++] = &c->client[i];
		enabled[p->output] = true;
		batches[p->output] = batch;
	}
}

static void on_sealed(void *ctx, int fd, int what)
{
	struct delivery_client *to[CLIENTS_MAX];
	const struct profile *p = ctx;
	struct batch *b;

	(void)fd;
	(void)what;
	for (size_t i = 0; i < p->n; i++)
		to[i] = p->clients[i]->delivery;
	while ((b = outputs__next(p->all->outputs, p->output)))
		delivery__submit(p->all->delivery, b, to, p->n);
}

static void on_wanted(void *ctx, int fd, int what)
{
	struct clients *c = ctx;

	(void)fd;
	(void)what;
	delivery__press(c->delivery, outputs__pressed(c->outputs));
	delivery__want(c->delivery, outputs__wanted(c->outputs));
}

static void on_safe(void *ctx, struct batch *b)
{
	struct clients *c = ctx;

	outputs__done(c->outputs, b, SINK_DELIVERED);
}

static void on_backlog(void *ctx, struct backlog *b)
{
	struct clients *c = ctx;

	outputs__use_backlog(c->outputs, b);
}

static void on_sent(void *ctx, struct batch *b, enum sink_result result)
{
	struct client *c = ctx;

	if (result == SINK_DELIVERED)
		counters__add(c->all->counters, dropped_refused, loki_sink__dropped(c->loki));
	delivery__sent(c->delivery, b, result);
}

static void send_batch(void *ctx, struct batch *b)
{
	struct client *c = ctx;

	loki_sink__submit(c->loki, b);
}

static bool is_held(void *ctx, const struct batch *b)
{
	struct client *c = ctx;

	return loki_sink__is_held(c->loki, b);
}

static bool is_failing(void *ctx)
{
	struct client *c = ctx;

	return loki_sink__problem(c->loki);
}

static int client__connect(struct client *c, const char **ret_why)
{
	struct delivery_client_opts opts = {
		/* The next ones are there when an answer comes. */
		.window = c->setup.config ? 2 * (size_t)c->setup.config->max_in_flight : 0,
		.send = send_batch,
		.held = is_held,
		.failing = is_failing,
		.ctx = c,
	};
	_free_ char *key = NULL;
	int err;

	err = loki_client__sink(&c->setup, c->all->loop, c->all->http, on_sent, c, &c->loki,
				ret_why);
	if (err)
		return err;
	key = loki_client__key(&c->setup, loki_sink__url(c->loki));
	if (!key)
		return -ENOMEM;
	opts.key = key;
	err = delivery__add_client(c->all->delivery, &opts, &c->delivery);
	if (err == -EEXIST)
		*ret_why = "another client has its name, or its URL and tenant";
	return err;
}

/* The run of a service has one, others where they are asked. */
static int make_spool(struct clients *c)
{
	const struct options *o = c->opts;
	const char *directory = o->spool_directory;
	const struct config_spool *config = o->spool;
	const struct spool_opts opts = {
		.directory = directory ? directory : SPOOL_DEFAULT_DIRECTORY,
		.max_bytes = config ? config->max_size : 0,
		.segment_bytes = config ? config->segment_size : 0,
		.fsync = config ? (enum spool_fsync)config->fsync : SPOOL_FSYNC_INTERVAL,
	};

	if (!c->n || (directory ? !values__spools(directory) : !o->service))
		return 0;
	return spool__new(&c->spool, c->loop, &opts);
}

static int make_delivery(struct clients *c)
{
	static const struct delivery_ops ops = {.safe = on_safe, .backlog = on_backlog};
	static const enum delivery_order orders[] = {
		[SPOOL_OLDEST_FIRST] = DELIVERY_OLDEST_FIRST,
		[SPOOL_LIVE_FIRST] = DELIVERY_LIVE_FIRST,
		[SPOOL_BACKFILL] = DELIVERY_BACKFILL,
	};
	const struct config_spool *config = c->opts->spool;
	const struct delivery_opts opts = {
		.loop = c->loop,
		.spool = c->spool,
		.counters = c->counters,
		.memory = outputs__account(c->outputs),
		.at_risk = outputs__at_risk(c->outputs),
		.max_memory = c->opts->max_in_flight,
		.n_clients = c->n,
		.order = config ? orders[config->order] : DELIVERY_OLDEST_FIRST,
		.drain_rate = config ? config->drain_rate : DEFAULT_DRAIN_RATE,
		.ops = &ops,
		.ctx = c,
	};

	return delivery__new(&c->delivery, &opts);
}

int clients__connect(struct clients *c, struct loop *loop, struct http *http,
		     struct outputs *outputs, struct counters *counters, char *ret_why, size_t size)
{
	int err;

	c->loop = loop;
	c->http = http;
	c->outputs = outputs;
	c->counters = counters;
	err = make_spool(c);
	if (!err)
		err = make_delivery(c);
	for (size_t i = 0; i < c->n && !err; i++) {
		const char *why = "";

		err = client__connect(&c->client[i], &why);
		if (err && *why && c->client[i].setup.config)
			snprintf(ret_why, size, "clients[%zu]: %s", i, why);
		else if (err && *why)
			snprintf(ret_why, size, "--loki: %s", why);
	}
	for (size_t i = 0; i < c->n_profiles && !err; i++)
		err = loop__watch(loop, outputs__fd(outputs, c->profiles[i].output), LOOP_READ,
				  on_sealed, &c->profiles[i], &c->profiles[i].sealed);
	if (!err)
		err = loop__watch(loop, outputs__wanted_fd(outputs), LOOP_READ, on_wanted, c,
				  &c->wanted);
	return err;
}

void clients__durable(struct clients *c, bool durable)
{
	delivery__durable(c->delivery, durable);
}

void clients__end(struct clients *c, uint64_t timeout_ns)
{
	uint64_t spool_ns = MIN(SPOOL_TIME_NS, timeout_ns / 4);

	delivery__end(c->delivery, clock__boot_ns() + timeout_ns - spool_ns);
}

static void look_at_delivery(const struct client *c, struct view_client *v)
{
	uint64_t real_ns = clock__real_ns(), boot_ns = clock__boot_ns();
	struct delivery_stats s;

	delivery_client__stats(c->delivery, &s);
	v->queued_bytes = s.queued_bytes;
	if (s.oldest_ns)
		v->oldest_ns = boot_ns - MIN(boot_ns - 1, real_ns - MIN(real_ns, s.oldest_ns));
	v->dropped_lines += s.dropped_lines;
	v->overflow_lines = s.dropped_lines;
	v->spool = (struct view_spool){
		.used = c->all->spool,
		.bytes = s.spool_bytes,
		.batches = s.spool_batches,
		.lines = s.spooled_lines,
		.sent_lines = s.drained_lines,
		.dropped_lines = s.spool_lost_lines,
		.dropped_bytes = s.spool_lost_bytes,
		.oldest_real_ns = s.spool_oldest_ns,
		.problem = s.spool_problem,
	};
}

void clients__look_at_spool(const struct clients *c, struct view_spool_files *ret)
{
	struct spool_stats s;

	*ret = (struct view_spool_files){0};
	if (!c->spool)
		return;
	spool__stats(c->spool, &s);
	*ret = (struct view_spool_files){
		.used = true,
		.bytes = s.bytes,
		.corrupt = s.corrupt_found,
		.errors = s.errors,
		.leftover_bytes = s.leftover_bytes,
	};
}

size_t clients__look(const struct clients *c, struct view_client *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n && n < VIEW_MAX_CLIENTS; i++) {
		const struct client *client = &c->client[i];
		const struct sink_stats *stats;

		if (!client->loki)
			continue;
		stats = loki_sink__stats(client->loki);
		ret[n++] = (struct view_client){
			.name = client->setup.config ? client->setup.config->name : NULL,
			.url = loki_sink__url(client->loki),
			.problem = loki_sink__problem(client->loki),
			.lines = stats->lines,
			.batches = stats->batches,
			.bytes = stats->bytes,
			.retries = stats->retries,
			.dropped_lines = stats->dropped_lines,
			.stats = stats,
		};
		look_at_delivery(client, &ret[n - 1]);
	}
	return n;
}

size_t clients__count(const struct clients *c)
{
	return c->n;
}

int clients__sink(struct clients *c, size_t i, struct loop *loop, struct http *http,
		  sink_done_fn done, void *ctx, struct loki_sink **ret, const char **ret_why)
{
	return loki_client__sink(&c->client[i].setup, loop, http, done, ctx, ret, ret_why);
}
