/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /pods at an interval. A container whose pod is not known has it asked for at once, but never
 * sooner after the last time than GAP_FACTOR times what that cost, for a node that starts pods all
 * the time: what waits is answered together.
 */
#include "kube/source_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "containers/pods.h"
#include "io/backoff.h"
#include "io/http.h"
#include "io/loop.h"
#include "kube/items.h"

#define PATH "/pods"
#define LIST_NS (30 * NS_PER_SEC)
#define GAP_MIN_NS (500 * NS_PER_MS)
#define GAP_MAX_NS (5 * NS_PER_SEC)
#define GAP_FACTOR 100
#define BACKOFF_MIN_NS (500 * NS_PER_MS)
#define BACKOFF_MAX_NS (30 * NS_PER_SEC)
#define MAX_RETRY_AFTER_NS (600 * (int64_t)NS_PER_SEC)

struct source_kubelet {
	struct kube_source *source;
	uint64_t poll_ns;
	struct http_request *request;
	struct loop_timer *timer;
	struct backoff backoff;
	struct kube_items items;
	const char *broken; /* why its answer was ended; NULL: it was not */
	uint64_t spent_ns;  /* this thread's time for the last answer */
	uint64_t began_ns;  /* the last request */
	bool failing;
	bool again; /* a pod was not known since the request left */
};

static uint64_t thread_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

/* When it may be asked out of turn, from now on. */
static uint64_t kubelet__gap_ns(const struct source_kubelet *k)
{
	uint64_t gap_ns = MIN(MAX(k->spent_ns * GAP_FACTOR, GAP_MIN_NS), GAP_MAX_NS);
	uint64_t passed_ns = clock__boot_ns() - k->began_ns;

	return passed_ns < gap_ns ? gap_ns - passed_ns : 0;
}

static void on_unknown(void *ctx, const char *uid _unused_)
{
	struct source_kubelet *k = ctx;

	k->again = true;
	/* While it fails the backoff says when. */
	if (!k->request && !k->failing)
		loop_timer__set(k->timer, kubelet__gap_ns(k));
}

static void on_pod(void *ctx, const char *json, size_t len)
{
	struct source_kubelet *k = ctx;

	kube_source__take(k->source, json, len);
}

static int kubelet__on_body(void *ctx, const char *data, size_t len)
{
	struct source_kubelet *k = ctx;
	uint64_t began_ns = thread_ns();
	int err = kube_items__feed(&k->items, data, len, on_pod, k);

	k->spent_ns += thread_ns() - began_ns;
	if (err)
		k->broken = err == -EMSGSIZE ? "a pod of its list is too large"
			    : err == -ENOMEM ? "no memory"
					     : "its list of pods cannot be understood";
	return k->broken ? -1 : 0;
}

static void kubelet__failed(struct source_kubelet *k, const char *problem, int64_t retry_after_ns)
{
	uint64_t delay_ns = backoff__next(&k->backoff);

	if (retry_after_ns > 0)
		delay_ns += (uint64_t)MIN(retry_after_ns, MAX_RETRY_AFTER_NS);
	k->failing = true;
	kube_source__set_state(k->source, false, problem);
	loop_timer__set(k->timer, delay_ns);
}

/* Most kubelets sign for themselves. */
static const char *advise(const char *problem, char *out, size_t size)
{
	if (!strstr(problem, "certificate") && !strstr(problem, "SSL"))
		return problem;
	snprintf(out, size,
		 "%s; see kubelet_tls_config: ca_file, server_name or insecure_skip_verify",
		 problem);
	return out;
}

static void kubelet__on_done(void *ctx, const struct http_answer *answer)
{
	struct source_kubelet *k = ctx;
	struct http_answer a = *answer;
	char text[512];
	const char *problem;

	k->request = NULL;
	a.error = k->broken ? 0 : a.error;
	problem = kube__judge(k->source->kube, &a, "get", PATH);
	if (!problem && !k->broken && kube_items__end(&k->items) != 0)
		k->broken = "its list of pods cannot be understood";
	if (k->broken)
		kube__invalid(k->source->kube);
	if (!problem && !k->broken) {
		pods__list_end(k->source->pods);
		backoff__reset(&k->backoff);
		k->failing = false;
		kube_source__set_state(k->source, true,
				       k->items.item.dropped ? "a pod is too large: it is left out"
							     : NULL);
		loop_timer__set(k->timer, k->again ? kubelet__gap_ns(k) : k->poll_ns);
	} else if (k->broken) {
		kubelet__failed(k, k->broken, -1);
	} else {
		kubelet__failed(k, advise(problem, text, sizeof(text)), a.retry_after_ns);
	}
	kube_items__free(&k->items);
}

static void kubelet__ask(void *ctx)
{
	struct source_kubelet *k = ctx;
	struct kube_request_opts opts = {
		.path = PATH,
		.timeout_ns = LIST_NS,
		.on_body = kubelet__on_body,
		.done = kubelet__on_done,
		.ctx = k,
	};

	if (k->request)
		return;
	k->again = false;
	k->broken = NULL;
	k->spent_ns = 0;
	k->began_ns = clock__boot_ns();
	kube_items__begin(&k->items, KUBE_ITEM_BYTES);
	pods__list_begin(k->source->pods);
	if (kube__request(k->source->kube, &opts, &k->request) != 0)
		kubelet__failed(k, kube__problem(k->source->kube), -1);
}

int source_kubelet__new(struct source_kubelet **ret, struct kube_source *s, uint64_t poll_ns)
{
	struct source_kubelet *k = calloc(1, sizeof(*k));
	int err;

	if (!k)
		return -ENOMEM;
	k->source = s;
	k->poll_ns = poll_ns;
	backoff__init(&k->backoff, BACKOFF_MIN_NS, BACKOFF_MAX_NS,
		      clock__boot_ns() ^ (uint64_t)getpid());
	err = loop__timer(s->loop, kubelet__ask, k, &k->timer);
	if (err) {
		free(k);
		return err;
	}
	pods__on_unknown(s->pods, on_unknown, k);
	loop_timer__set(k->timer, 0);
	*ret = k;
	return 0;
}

void source_kubelet__free(struct source_kubelet *k)
{
	if (!k)
		return;
	pods__on_unknown(k->source->pods, NULL, NULL);
	http_request__cancel(k->request);
	loop_timer__free(k->timer);
	kube_items__free(&k->items);
	free(k);
}
