/* SPDX-License-Identifier: Apache-2.0 */
/* The server sends the pods of this node alone; the first list is from its cache, which all the
 * nodes of a cluster that starts can afford. */
#include "kube/source_internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/util.h"
#include "containers/pods.h"
#include "kube/watch.h"

struct source_api {
	struct kube_source *source;
	struct kube_watch *watch;
};

static void on_begin(void *ctx)
{
	struct source_api *a = ctx;

	pods__list_begin(a->source->pods);
}

static void on_end(void *ctx)
{
	struct source_api *a = ctx;

	pods__list_end(a->source->pods);
}

static void on_pod(void *ctx, enum kube_change change, const char *json, size_t len)
{
	struct source_api *a = ctx;

	if (change == KUBE_DELETED)
		kube_source__drop(a->source, json, len);
	else
		kube_source__take(a->source, json, len);
}

static void on_state(void *ctx, bool up, const char *problem)
{
	struct source_api *a = ctx;

	kube_source__set_state(a->source, up, problem);
}

static int selector(const char *node_name, struct buf *out)
{
	int err = buf__append_str(out, "fieldSelector=spec.nodeName%3D");

	for (const char *p = node_name; *p && !err; p++) {
		if (isalnum((unsigned char)*p) || strchr("-._", *p))
			err = buf__append(out, p, 1);
		else
			err = buf__printf(out, "%%%02X", (unsigned char)*p);
	}
	return err ? err : buf__append(out, "", 1);
}

int source_api__new(struct source_api **ret, struct kube_source *s)
{
	struct source_api *a = calloc(1, sizeof(*a));
	_buf_ struct buf query = {0};
	struct kube_watch_opts opts = {
		.kube = s->kube,
		.path = "/api/v1/pods",
		.from_cache = true,
		.list_begin = on_begin,
		.item = on_pod,
		.list_end = on_end,
		.state = on_state,
		.ctx = a,
	};
	int err = a ? selector(s->node_name, &query) : -ENOMEM;

	if (!err) {
		a->source = s;
		opts.query = query.data;
		err = kube_watch__new(&a->watch, &opts);
	}
	if (err)
		free(a);
	else
		*ret = a;
	return err;
}

void source_api__free(struct source_api *a)
{
	if (!a)
		return;
	kube_watch__free(a->watch);
	free(a);
}
