/* SPDX-License-Identifier: Apache-2.0 */
/* The section clients: of one Loki. */
#include "config/sections.h"

#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "config/config.h"
#include "config/values.h"

static const struct field BACKOFF_FIELDS[] = {
	FIELD(struct config_backoff, min_period, FIELD_DURATION, .dflt = "500ms", .min = NS_PER_MS,
	      .max = HOUR_NS, .doc = "The first pause; each further one is up to twice as long."),
	FIELD(struct config_backoff, max_period, FIELD_DURATION, .dflt = "5m", .min = NS_PER_MS,
	      .max = 24 * HOUR_NS, .doc = "The longest pause."),
	FIELD(struct config_backoff, max_retries, FIELD_INT, .dflt = "0", .min = 0, .max = 1000000,
	      .doc = "Give a batch up after so many; 0: never."),
	{0},
};

static void check_backoff(const void *object, const struct node *node, struct diag *diag)
{
	const struct config_backoff *b = object;

	if (b->min_period > b->max_period)
		diag__error(diag, node, "min_period is over max_period, expected at most that");
	if (b->max_retries)
		diag__warn(diag, node__get(node, "max_retries"),
			   "lines are lost after %lld tries; without it notail tries until "
			   "Loki has them",
			   (long long)b->max_retries);
}

static const struct schema BACKOFF = {
	.name = "backoff_config",
	.size = sizeof(struct config_backoff),
	.fields = BACKOFF_FIELDS,
	.check = check_backoff,
};

static const struct field CLIENT_FIELDS[] = {
	FIELD(struct config_client, url, FIELD_STRING, .flags = FIELD_REQUIRED,
	      .example = "http://localhost:3100",
	      .doc = "Loki's address, with or without /loki/api/v1/push; a user and password may "
		     "stand in it."),
	FIELD(struct config_client, name, FIELD_STRING,
	      .doc = "What the status page and metrics call it."),
	FIELD(struct config_client, tenant_id, FIELD_STRING,
	      .doc = "Loki's tenant (X-Scope-OrgID)."),
	FIELD(struct config_client, basic_auth, FIELD_OBJECT, .object = &config_basic_auth_schema,
	      .doc = "User and password."),
	FIELD(struct config_client, bearer_token, FIELD_STRING, .flags = FIELD_SECRET,
	      .doc = "A token itself; better in a file."),
	FIELD(struct config_client, bearer_token_file, FIELD_STRING,
	      .doc = "A file that has a token, read again when it changes."),
	FIELD(struct config_client, authorization, FIELD_OBJECT,
	      .object = &config_authorization_schema,
	      .doc = "An Authorization header of any type."),
	FIELD(struct config_client, oauth2, FIELD_OBJECT, .object = &config_oauth2_schema,
	      .doc = "Tokens by OAuth 2's client credentials."),
	FIELD(struct config_client, tls_config, FIELD_OBJECT, .object = &config_tls_schema,
	      .doc = "Certificates."),
	FIELD(struct config_client, proxy_url, FIELD_STRING, .example = "null",
	      .doc = "A proxy in place of the environment's, such as http://proxy:3128."),
	FIELD(struct config_client, no_proxy, FIELD_STRING,
	      .doc = "Hosts that it is not for, by commas."),
	FIELD(struct config_client, headers, FIELD_MAP, .flags = FIELD_SECRET,
	      .doc = "Headers of each request."),
	FIELD(struct config_client, batchwait, FIELD_DURATION, .dflt = "1s", .min = NS_PER_MS,
	      .max = 300 * (int64_t)NS_PER_SEC,
	      .doc = "Push a line at the latest so long after it came."),
	FIELD(struct config_client, batchsize, FIELD_SIZE, .dflt = "1MiB", .min = 1024,
	      .max = 64 << 20, .doc = "Push when so much has come."),
	FIELD(struct config_client, backoff_config, FIELD_OBJECT, .object = &BACKOFF,
	      .doc = "Pauses between tries, jittered."),
	FIELD(struct config_client, timeout, FIELD_DURATION, .dflt = "10s", .min = NS_PER_MS,
	      .max = HOUR_NS, .doc = "How long a push may take."),
	FIELD(struct config_client, external_labels, FIELD_MAP,
	      .doc = "Labels of every line that goes to this client."),
	FIELD(struct config_client, max_in_flight, FIELD_INT, .dflt = "4", .min = 1, .max = 64,
	      .doc = "Pushes that are under way at once; those of one stream go one by one."),
	FIELD(struct config_client, drop_rate_limited_batches, FIELD_BOOL, .dflt = "false",
	      .doc = "Give up what Loki answers with 429."),
	PROXIES(struct config_client),
	IGNORED(struct config_client, "http_headers", .flags = FIELD_LATER),
	IGNORED(struct config_client, "follow_redirects", .flags = FIELD_IGNORED,
		.doc = "redirects are not followed"),
	IGNORED(struct config_client, "enable_http2", .flags = FIELD_IGNORED,
		.doc = "it is negotiated"),
	{0},
};

static void check_logins(const struct config_client *c, struct diag *diag)
{
	const struct config_authorization *a = &c->authorization;
	const struct {
		bool given;
		const struct node *node;
		const char *name;
	} ways[] = {
		{c->bearer_token || c->bearer_token_file, NULL, "a bearer token"},
		{c->basic_auth.username || c->basic_auth.username_file, c->basic_auth.node,
		 "basic_auth"},
		{a->type || a->credentials || a->credentials_file, a->node, "authorization"},
		{section__is_oauth2(&c->oauth2), c->oauth2.node, "oauth2"},
	};
	const char *other = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		if (!ways[i].given)
			continue;
		if (other)
			diag__error(diag, ways[i].node, "stands beside %s, expected one of the two",
				    other);
		other = other ? other : ways[i].name;
	}
}

static void check_client(const void *object, const struct node *node, struct diag *diag)
{
	const struct config_client *c = object;

	section__check_url(node__get(node, "url"), c->url, "http://localhost:3100", diag);
	section__check_url(node__get(node, "proxy_url"), c->proxy_url, "http://proxy:3128", diag);
	if (c->bearer_token && c->bearer_token_file)
		diag__error(diag, node__get(node, "bearer_token_file"),
			    "stands beside bearer_token, expected one of the two");
	check_logins(c, diag);
	if (c->tenant_id && !values__is_name(c->tenant_id))
		diag__error(diag, node__get(node, "tenant_id"),
			    "expected a name without control characters");
	for (size_t i = 0; i < c->headers.n; i++)
		if (!values__is_name(c->headers.items[i].name) ||
		    !values__is_name(c->headers.items[i].value) ||
		    strpbrk(c->headers.items[i].name, ": "))
			diag__error(diag, c->headers.items[i].node,
				    "malformed, expected a header's name and value");
}

const struct schema config_client_schema = {
	.name = "client",
	.size = sizeof(struct config_client),
	.fields = CLIENT_FIELDS,
	.node_offset = offsetof(struct config_client, node),
	.check = check_client,
};
