/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the command line says of all clients (--tenant, --batch-size, --batch-wait) comes before
 * what the file says of each.
 */
#include "loki_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "config/config.h"
#include "config/options.h"

int loki_client__init(struct loki_client *c, const struct options *options,
		      const struct config_client *config)
{
	*c = (struct loki_client){.options = options, .config = config};
	if (!config)
		return 0;
	c->tls = config__http_tls(&config->tls_config);
	c->oauth2_tls = config__http_tls(&config->oauth2.tls_config);
	c->external_labels = calloc(config->external_labels.n + 1, sizeof(*c->external_labels));
	if (!c->external_labels)
		return -ENOMEM;
	for (size_t i = 0; i < config->external_labels.n; i++) {
		c->external_labels[i].name = (char *)config->external_labels.items[i].name;
		c->external_labels[i].value = (char *)config->external_labels.items[i].value;
	}
	return 0;
}

void loki_client__done(struct loki_client *c)
{
	free(TAKE_PTR(c->external_labels));
}

struct batch_opts loki_client__batch(const struct loki_client *client)
{
	const struct config_client *config = client->config;
	struct batch_opts b = {
		.encoding = BATCH_LOKI,
		.max_bytes = client->options->batch_bytes,
		.max_wait_ns = client->options->batch_wait_ns,
		.external_labels = client->external_labels,
		.n_external_labels = config ? config->external_labels.n : 0,
	};

	if (config && !b.max_bytes)
		b.max_bytes = config->batchsize;
	if (config && !b.max_wait_ns)
		b.max_wait_ns = config->batchwait;
	return b;
}

static int new_plain(const struct loki_client *c, struct loop *loop, struct http *http,
		     sink_done_fn done, void *ctx, struct loki_sink **ret, const char **ret_why)
{
	const struct options *o = c->options;
	const struct loki_opts opts = {.url = o->loki_url, .tenant = o->tenant};

	return loki_sink__new(ret, loop, http, &opts, done, ctx, ret_why);
}

static struct oauth2_opts oauth2_of(const struct loki_client *c, struct oauth2_param *params)
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
static int new_configured(const struct loki_client *c, struct loop *loop, struct http *http,
			  sink_done_fn done, void *ctx, struct loki_sink **ret,
			  const char **ret_why)
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
		.tenant = c->options->tenant ? c->options->tenant : tenant,
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
	oauth2 = oauth2_of(c, params);
	for (size_t i = 0; i < config->headers.n; i++)
		headers[i] = (struct loki_header){config->headers.items[i].name,
						  config->headers.items[i].value};
	return loki_sink__new(ret, loop, http, &opts, done, ctx, ret_why);
}

int loki_client__sink(const struct loki_client *c, struct loop *loop, struct http *http,
		      sink_done_fn done, void *ctx, struct loki_sink **ret, const char **ret_why)
{
	return c->config ? new_configured(c, loop, http, done, ctx, ret, ret_why)
			 : new_plain(c, loop, http, done, ctx, ret, ret_why);
}

char *loki_client__key(const struct loki_client *c, const char *url)
{
	const struct config_client *config = c->config;
	const char *tenant = config && config->tenant_id ? config->tenant_id : "";
	char *key;

	if (c->options->tenant)
		tenant = c->options->tenant;
	if (config && config->name && *config->name)
		return strdup(config->name);
	if (asprintf(&key, "%s%s%s", url, *tenant ? " " : "", tenant) < 0)
		return NULL;
	return key;
}
