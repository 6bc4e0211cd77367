/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the command line says of all clients (--tenant, --batch-size, --batch-wait) comes before
 * what the file says of each.
 */
#include "clients.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"
#include "io/loop.h"
#include "sink/loki.h"

#define CLIENTS_MAX (PIPELINE_OUTPUTS - PIPELINE_LOKI)

struct client {
	struct clients *all;
	const struct config_client *config; /* NULL: --loki's */
	size_t output;			    /* of the pipeline */
	struct loki_sink *loki;
	struct loop_watch *sealed;
	struct label *external_labels;
	struct http_tls tls, oauth2_tls;
};

struct clients {
	const struct options *opts;
	struct loop *loop;
	struct http *http;
	struct pipeline *pipeline;
	size_t n;
	struct client client[CLIENTS_MAX];
};

struct http_tls clients__tls(const struct config_tls *t)
{
	return (struct http_tls){
		.ca_file = t->ca_file,
		.cert_file = t->cert_file,
		.key_file = t->key_file,
		.server_name = t->server_name,
		.ca = t->ca,
		.cert = t->cert,
		.key = t->key,
		.min_version = t->min_version ? 9 + t->min_version : 0,
		.max_version = t->max_version ? 9 + t->max_version : 0,
		.insecure = t->insecure_skip_verify,
	};
}

static int client__configure(struct client *c, const struct config_client *config)
{
	c->config = config;
	c->tls = clients__tls(&config->tls_config);
	c->oauth2_tls = clients__tls(&config->oauth2.tls_config);
	c->external_labels = calloc(config->external_labels.n + 1, sizeof(*c->external_labels));
	if (!c->external_labels)
		return -ENOMEM;
	for (size_t i = 0; i < config->external_labels.n; i++) {
		c->external_labels[i].name = (char *)config->external_labels.items[i].name;
		c->external_labels[i].value = (char *)config->external_labels.items[i].value;
	}
	return 0;
}

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
		c->client[i].output = PIPELINE_LOKI + i;
		if (opts->clients)
			err = client__configure(&c->client[i],
						(struct config_client *)opts->clients->items + i);
	}
	if (err)
		clients__free(c);
	else
		*ret = c;
	return err;
}

void clients__disconnect(struct clients *c)
{
	for (size_t i = 0; c && i < c->n; i++) {
		loop_watch__free(TAKE_PTR(c->client[i].sealed));
		loki_sink__free(TAKE_PTR(c->client[i].loki));
	}
}

void clients__free(struct clients *c)
{
	if (!c)
		return;
	clients__disconnect(c);
	for (size_t i = 0; i < c->n; i++)
		free(c->client[i].external_labels);
	free(c);
}

void clients__outputs(const struct clients *c, struct pipeline_opts *ret_opts)
{
	for (size_t i = 0; i < c->n; i++) {
		const struct client *client = &c->client[i];
		const struct config_client *config = client->config;
		struct batch_opts *b = &ret_opts->batch[client->output];

		ret_opts->enabled[client->output] = true;
		*b = (struct batch_opts){
			.encoding = BATCH_LOKI,
			.max_bytes = c->opts->batch_bytes,
			.max_wait_ns = c->opts->batch_wait_ns,
			.external_labels = client->external_labels,
			.n_external_labels = config ? config->external_labels.n : 0,
		};
		if (config && !b->max_bytes)
			b->max_bytes = config->batchsize;
		if (config && !b->max_wait_ns)
			b->max_wait_ns = config->batchwait;
	}
}

static void on_sealed(void *ctx, int fd, int what)
{
	struct client *c = ctx;
	struct batch *b;

	(void)fd;
	(void)what;
	while ((b = pipeline__next(c->all->pipeline, c->output)))
		loki_sink__submit(c->loki, b);
}

static int client__new_sink(struct client *c, const char **ret_why)
{
	const struct options *o = c->all->opts;
	const struct loki_opts opts = {.url = o->loki_url, .tenant = o->tenant};

	return loki_sink__new(&c->loki, c->all->loop, c->all->http, &opts, pipeline__done,
			      c->all->pipeline, ret_why);
}

static struct oauth2_opts client__oauth2(const struct client *c, struct oauth2_param *params)
{
	const struct config_oauth2 *o = &c->config->oauth2;

	for (size_t i = 0; i < o->endpoint_params.n; i++)
		params[i] = (struct oauth2_param){o->endpoint_params.items[i].name,
						  o->endpoint_params.items[i].value};
	return (struct oauth2_opts){
		.token_url = o->token_url,
		.client_id = o->client_id,
		.client_secret = o->client_secret,
		.client_secret_file = o->client_secret_file,
		.scopes = o->scopes.items,
		.n_scopes = o->scopes.n,
		.params = params,
		.n_params = o->endpoint_params.n,
		.tls = &c->oauth2_tls,
		.proxy = o->proxy_url,
		.no_proxy = o->no_proxy,
		.timeout_ns = c->config->timeout,
	};
}

static const char *first(const char *a, const char *b)
{
	return a ? a : b;
}

/* Of the file. */
static int client__new_configured(struct client *c, const char **ret_why)
{
	const struct config_client *config = c->config;
	const struct config_authorization *a = &config->authorization;
	const char *tenant = config->tenant_id && *config->tenant_id ? config->tenant_id : NULL;
	_free_ struct loki_header *headers = calloc(config->headers.n + 1, sizeof(*headers));
	_free_ struct oauth2_param *params =
		calloc(config->oauth2.endpoint_params.n + 1, sizeof(*params));
	struct oauth2_opts oauth2;
	const struct loki_opts opts = {
		.url = config->url,
		.oauth2 = config->oauth2.token_url ? &oauth2 : NULL,
		.tenant = c->all->opts->tenant ? c->all->opts->tenant : tenant,
		.auth =
			{
				.username = config->basic_auth.username,
				.username_file = config->basic_auth.username_file,
				.password = config->basic_auth.password,
				.password_file = config->basic_auth.password_file,
				.bearer_token = first(config->bearer_token, a->credentials),
				.bearer_token_file =
					first(config->bearer_token_file, a->credentials_file),
				.token_type = a->type,
			},
		.headers = headers,
		.n_headers = config->headers.n,
		.tls = &c->tls,
		.proxy = config->proxy_url,
		.no_proxy = config->no_proxy,
		.drop_rate_limited = config->drop_rate_limited_batches,
		.max_in_flight = (unsigned)config->max_in_flight,
		.max_retries = (unsigned)config->backoff_config.max_retries,
		.min_backoff_ns = config->backoff_config.min_period,
		.max_backoff_ns = config->backoff_config.max_period,
		.timeout_ns = config->timeout,
	};

	*ret_why = "no memory";
	if (!headers || !params)
		return -ENOMEM;
	oauth2 = client__oauth2(c, params);
	for (size_t i = 0; i < config->headers.n; i++)
		headers[i] = (struct loki_header){config->headers.items[i].name,
						  config->headers.items[i].value};
	return loki_sink__new(&c->loki, c->all->loop, c->all->http, &opts, pipeline__done,
			      c->all->pipeline, ret_why);
}

int clients__connect(struct clients *c, struct loop *loop, struct http *http, struct pipeline *p,
		     char *ret_why, size_t size)
{
	int err = 0;

	c->loop = loop;
	c->http = http;
	c->pipeline = p;
	for (size_t i = 0; i < c->n && !err; i++) {
		struct client *client = &c->client[i];
		const char *why = "";

		if (client->config)
			err = client__new_configured(client, &why);
		else
			err = client__new_sink(client, &why);
		if (err && client->config)
			snprintf(ret_why, size, "clients[%zu]: %s", i, why);
		else if (err)
			snprintf(ret_why, size, "--loki: %s", why);
		else
			err = loop__watch(loop, pipeline__fd(p, client->output), LOOP_READ,
					  on_sealed, client, &client->sealed);
	}
	return err;
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
			.name = client->config ? client->config->name : NULL,
			.url = loki_sink__url(client->loki),
			.problem = loki_sink__problem(client->loki),
			.lines = stats->lines,
			.batches = stats->batches,
			.bytes = stats->bytes,
			.retries = stats->retries,
			.dropped_lines = stats->dropped_lines,
			.queued_bytes = loki_sink__queued_bytes(client->loki),
			.oldest_ns = loki_sink__oldest_ns(client->loki),
			.stats = stats,
		};
	}
	return n;
}
