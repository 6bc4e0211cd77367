/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server sends the pods of this node alone; the first list is from its cache, which all the
 * nodes of a cluster that starts can afford.
 *
 * A watch that has nothing to say cannot be told from one that nobody serves any more. But the
 * server knows a pod before its node does: a container whose pod is not known for LATE_NS has all
 * pods listed again. Of a pod that no list knows (another node's name, a static pod without a
 * mirror) the next one waits ever longer.
 */
#include "kube/source_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/util.h"
#include "containers/cgroup.h"
#include "containers/pods.h"
#include "io/http.h"
#include "io/loop.h"
#include "kube/watch.h"

#define LATE_NS (5 * NS_PER_SEC)
#define LATE_MAX_NS (600 * NS_PER_SEC)

struct source_api {
	struct kube_source *source;
	struct kube_watch *watch;
	struct loop_timer *late;
	uint64_t late_ns;
	char missing[POD_UID_LEN + 1]; /* is waited for; "": none is */
	char next[POD_UID_LEN + 1];    /* was asked for meanwhile; "": none was */
	bool renewed;		       /* and is listed for */
};

static void source_api__await(struct source_api *a, const char *uid)
{
	strcpy(a->missing, uid);
	loop_timer__set(a->late, a->late_ns);
}

static void on_unknown(void *ctx, const char *uid)
{
	struct source_api *a = ctx;

	if (strlen(uid) > POD_UID_LEN)
		return;
	if (*a->missing)
		strcpy(a->next, uid);
	else
		source_api__await(a, uid);
}

/* It is known, or was listed for. */
static void source_api__settle(struct source_api *a)
{
	char next[sizeof(a->next)];

	a->late_ns = pods__knows(a->source->pods, a->missing) ? LATE_NS
							      : MIN(2 * a->late_ns, LATE_MAX_NS);
	a->missing[0] = '\0';
	a->renewed = false;
	strcpy(next, a->next);
	a->next[0] = '\0';
	if (*next && !pods__knows(a->source->pods, next))
		source_api__await(a, next);
}

static void on_late(void *ctx)
{
	static const char why[] = "a pod that runs here is not among those it told of";
	struct source_api *a = ctx;

	if (pods__knows(a->source->pods, a->missing))
		source_api__settle(a);
	else if (kube_watch__renew(a->watch, why))
		a->renewed = true;
	else
		loop_timer__set(a->late, LATE_NS);
}

static void on_begin(void *ctx)
{
	struct source_api *a = ctx;

	pods__list_begin(a->source->pods);
}

static void on_end(void *ctx)
{
	struct source_api *a = ctx;

	pods__list_end(a->source->pods);
	if (a->renewed)
		source_api__settle(a);
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

	if (!err)
		err = http__append_escaped(out, node_name);
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
		a->late_ns = LATE_NS;
		err = loop__timer(s->loop, on_late, a, &a->late);
	}
	if (!err)
		err = kube_watch__new(&a->watch, &opts);
	if (err) {
		source_api__free(a);
		return err;
	}
	pods__on_unknown(s->pods, on_unknown, a);
	*ret = a;
	return 0;
}

void source_api__free(struct source_api *a)
{
	if (!a)
		return;
	if (a->source)
		pods__on_unknown(a->source->pods, NULL, NULL);
	loop_timer__free(a->late);
	kube_watch__free(a->watch);
	free(a);
}
