/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access tokens by the client credentials grant (RFC 6749, 4.4). A token is asked for when it is
 * needed and kept until shortly before it expires. Neither token nor secret is ever logged. On the
 * loop's thread.
 */
#ifndef NOTAIL_SINK_OAUTH2_H
#define NOTAIL_SINK_OAUTH2_H

#include <stddef.h>
#include <stdint.h>

struct http;
struct http_tls;
struct oauth2;

struct oauth2_param {
	const char *name, *value;
};

/* All but the strings of tls and proxy are copied; those are borrowed as long as it lives. */
struct oauth2_opts {
	const char *token_url;
	const char *client_id;
	const char *client_secret, *client_secret_file; /* the file is read for each token */
	const char *const *scopes;
	size_t n_scopes;
	const struct oauth2_param *params; /* besides; grant_type replaces the one of this grant */
	size_t n_params;
	const struct http_tls *tls; /* NULL: defaults */
	const char *proxy;	    /* NULL: the environment's */
	const char *no_proxy;	    /* hosts that it is not for; NULL: none; borrowed too */
	uint64_t timeout_ns;	    /* 0: 10 s */
};

/* What became of the request for a token; NULL: there is one. One line, valid during the call. */
typedef void (*oauth2_ready_fn)(void *ctx, const char *error);

/* 0 or -ENOMEM. */
int oauth2__new(struct oauth2 **ret, struct http *http, const struct oauth2_opts *opts,
		oauth2_ready_fn ready, void *ctx);
void oauth2__free(struct oauth2 *o); /* NULL is fine */
/*
 * "Authorization: ...", valid until the next call. -EAGAIN: a token is being asked for, `ready`
 * comes once, later. -errno of the secret's file; -EINVAL: there is no secret in it; -ENOMEM.
 */
int oauth2__header(struct oauth2 *o, const char **ret);
/* The token was refused: the next header has another. */
void oauth2__refused(struct oauth2 *o);
/* What is read; NULL: no file. */
const char *oauth2__file(const struct oauth2 *o);

#endif
