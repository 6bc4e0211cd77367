/* SPDX-License-Identifier: Apache-2.0 */
/* A question to the Loki that a sink pushes to, with all that a push of it has. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sink/loki_internal.h"

#define PUSH_PATH "/loki/api/v1/push"
#define MAX_ANSWER ((size_t)1 << 20)

int loki_sink__get(struct loki_sink *s, const char *path,
		   void (*done)(void *ctx, const struct http_answer *answer), void *ctx,
		   struct http_request **ret)
{
	size_t len = strcspn(s->url, "?#"), suffix = strlen(PUSH_PATH);
	char **last = s->headers + s->n_headers;
	const char *header = NULL;
	_free_ char *url = NULL;
	struct http_opts opts = {
		.tls = s->tls,
		.proxy = s->proxy,
		.no_proxy = s->no_proxy,
		.headers = (const char *const *)s->headers,
		.timeout_ns = s->timeout_ns,
		.max_body = MAX_ANSWER,
		.done = done,
		.ctx = ctx,
	};
	int err = 0;

	if (len < suffix || memcmp(s->url + len - suffix, PUSH_PATH, suffix))
		return -ENOTSUP;
	if (asprintf(&url, "%.*s%s", (int)(len - suffix), s->url, path) < 0) {
		url = NULL;
		return -ENOMEM;
	}
	opts.url = url;
	if (s->oauth2)
		err = oauth2__header(s->oauth2, &header);
	else if (s->auth)
		err = auth__header(s->auth, &header);
	if (err)
		return err;
	if (s->tenant_header)
		*last++ = s->tenant_header;
	*last = (char *)header;
	err = http__request(s->http, &opts, ret);
	s->headers[s->n_headers] = s->headers[s->n_headers + 1] = NULL;
	return err;
}
