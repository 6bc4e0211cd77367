/* SPDX-License-Identifier: Apache-2.0 */
/* A question to the Loki that a sink pushes to, with all that a push of it has. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sink/loki_internal.h"

#define MAX_ANSWER ((size_t)1 << 20)

int loki_sink__get(struct loki_sink *s, const char *path,
		   void (*done)(void *ctx, const struct http_answer *answer), void *ctx,
		   struct http_request **ret)
{
	size_t len = strcspn(s->url, "?#"), suffix = strlen(PUSH_PATH);
	struct http_opts opts = {.max_body = MAX_ANSWER, .done = done, .ctx = ctx};
	const char *header = NULL;
	_free_ char *url = NULL;
	int err;

	if (len < suffix || memcmp(s->url + len - suffix, PUSH_PATH, suffix))
		return -ENOTSUP;
	if (asprintf(&url, "%.*s%s", (int)(len - suffix), s->url, path) < 0) {
		url = NULL;
		return -ENOMEM;
	}
	opts.url = url;
	err = loki_sink__header(s, &header);
	return err ? err : loki_sink__ask(s, &opts, s->tenant_header, header, ret);
}
