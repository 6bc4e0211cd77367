/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is wrong is said when it changes, and that it is mended when it was said; of one that comes
 * and goes, once in SAID_NS. The page and a metric have it all the time.
 */
#include "kube/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "containers/pod.h"
#include "containers/pods.h"
#include "io/loop.h"
#include "kube/json_walk.h"
#include "kube/pod_json.h"
#include "kube/source_internal.h"

/* One that restarts is waited for; one that is away longer parks nobody's lines. */
#define AWAY_NS (10 * NS_PER_SEC)
#define SAID_NS (60 * NS_PER_SEC)

const char *const KUBE_SOURCE_KINDS[] = {
	[KUBE_SOURCE_NONE] = "none",
	[KUBE_SOURCE_KUBELET] = "kubelet",
	[KUBE_SOURCE_API] = "api",
	NULL,
};

static const char *called(const struct kube_source *s)
{
	return s->kind == KUBE_SOURCE_API ? "the API server" : "the kubelet";
}

static void on_away(void *ctx)
{
	struct kube_source *s = ctx;

	s->present = false;
	pods__source(s->pods, false);
	log_info("kubernetes: %s is away: pods have what their bundles say", called(s));
}

static void kube_source__up(struct kube_source *s)
{
	loop_timer__cancel(s->away);
	if (!s->present)
		pods__source(s->pods, true);
	s->present = true;
	if (!s->quiet)
		log_info("kubernetes: %s %s answers", called(s), kube__url(s->kube));
	s->quiet = true;
}

/* But for numbers, which may be times, and what follows a semicolon: advice, or what time it is. */
static bool is_same(const char *a, const char *b)
{
	while (true) {
		a += strspn(a, "0123456789");
		b += strspn(b, "0123456789");
		if (!*a || *a == ';')
			return !*b || *b == ';';
		if (*a++ != *b++)
			return false;
	}
}

static void kube_source__say(struct kube_source *s, const char *problem)
{
	uint64_t now_ns = clock__boot_ns();

	if (is_same(problem, s->said) && (!s->quiet || now_ns - s->said_ns < SAID_NS))
		return;
	log_warn("kubernetes: %s %s: %s", called(s), kube__url(s->kube), problem);
	snprintf(s->said, sizeof(s->said), "%s", problem);
	s->said_ns = now_ns;
	s->quiet = false;
}

void kube_source__set_state(struct kube_source *s, bool up, const char *problem)
{
	if (problem)
		kube_source__say(s, problem);
	snprintf(s->problem, sizeof(s->problem), "%s", problem ? problem : "");
	if (up == s->up)
		return;
	s->up = up;
	s->since_ns = clock__real_ns();
	if (up)
		kube_source__up(s);
	else
		loop_timer__set(s->away, AWAY_NS);
}

static void kube_source__put(struct kube_source *s, struct pod *pod)
{
	int err;

	if (s->node_name && pod->node_name && strcmp(s->node_name, pod->node_name) != 0) {
		pod__unref(pod);
		return;
	}
	err = pods__put(s->pods, pod);
	if (err == -ENOMEM)
		log_warn("kubernetes: no memory for a pod");
}

void kube_source__take(struct kube_source *s, const char *json, size_t len)
{
	struct pod *pod;
	int err = pod_json__parse(json, len, &pod);

	if (!err) {
		kube_source__put(s, pod);
		return;
	}
	if (!s->said_pod)
		log_warn("kubernetes: %s: a pod that cannot be understood is left out", called(s));
	s->said_pod = true;
}

void kube_source__drop(struct kube_source *s, const char *json, size_t len)
{
	struct json_span metadata = json_span__member((struct json_span){json, len}, "metadata");
	_free_ char *uid = json_span__string(json_span__member(metadata, "uid"));

	if (uid)
		pods__gone(s->pods, uid);
}

int kube_source__new(struct kube_source **ret, struct loop *loop, struct http *http,
		     struct pods *pods, const struct kube_source_opts *opts)
{
	struct kube_source *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->kind = opts->kind;
	s->loop = loop;
	s->pods = pods;
	s->since_ns = clock__real_ns();
	s->node_name = opts->node_name ? strdup(opts->node_name) : NULL;
	snprintf(s->problem, sizeof(s->problem), "not answered yet");
	err = opts->node_name && !s->node_name ? -ENOMEM : 0;
	if (!err)
		err = kube__new(&s->kube, loop, http, &opts->client);
	if (!err)
		err = loop__timer(loop, on_away, s, &s->away);
	if (!err && s->kind == KUBE_SOURCE_API)
		err = source_api__new(&s->api, s);
	else if (!err)
		err = source_kubelet__new(&s->kubelet, s, opts->poll_ns);
	if (err) {
		kube_source__free(s);
		return err;
	}
	s->present = true;
	pods__source(pods, true);
	loop_timer__set(s->away, AWAY_NS);
	*ret = s;
	return 0;
}

void kube_source__free(struct kube_source *s)
{
	if (!s)
		return;
	source_api__free(s->api);
	source_kubelet__free(s->kubelet);
	loop_timer__free(s->away);
	kube__free(s->kube);
	free(s->node_name);
	free(s);
}

void kube_source__state(const struct kube_source *s, struct kube_source_state *ret_state)
{
	*ret_state = (struct kube_source_state){
		.kind = KUBE_SOURCE_KINDS[s->kind],
		.url = kube__url(s->kube),
		.up = s->up,
		.since_ns = s->since_ns,
		.problem = *s->problem ? s->problem : NULL,
		.pods = pods__count(s->pods),
	};
	for (enum kube_answer a = KUBE_OK; a < KUBE_ANSWERS; a++)
		ret_state->answers[a] = kube__answers(s->kube, a);
}
