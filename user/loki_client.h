/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One Loki, as the configuration or --loki has it: what its batches are like, the sink that pushes
 * them, and its name in the spool. Options and configuration are borrowed.
 */
#ifndef NOTAIL_LOKI_CLIENT_H
#define NOTAIL_LOKI_CLIENT_H

#include "batch/batch.h"
#include "io/http.h"
#include "sink/loki.h"

struct config_client;
struct label;
struct options;

struct loki_client {
	const struct options *options;
	const struct config_client *config; /* NULL: --loki's */
	struct label *external_labels;
	struct http_tls tls, oauth2_tls;
};

/* `config` NULL: the one of --loki. loki_client__done in any case. 0 or -ENOMEM. */
int loki_client__init(struct loki_client *c, const struct options *options,
		      const struct config_client *config);
void loki_client__done(struct loki_client *c);
/* Borrows the external labels. */
struct batch_opts loki_client__batch(const struct loki_client *client);
/* A sink of its own; borrows from the client. Errors, with text where strerror does not say enough,
 * as of loki_sink__new. */
int loki_client__sink(const struct loki_client *c, struct loop *loop, struct http *http,
		      sink_done_fn done, void *ctx, struct loki_sink **ret, const char **ret_why);
/* The spool's name of it, whose sink pushes to `url`: what stays the same, and is no secret. To
 * free; NULL: no memory. */
char *loki_client__key(const struct loki_client *c, const char *url);

#endif
