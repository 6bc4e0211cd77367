/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inspects: of containers that a cgroup wants and that neither the list nor the events named, a few
 * at a time. What cannot be understood costs itself alone.
 */
#include "containers/docker_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "containers/docker_json.h"
#include "io/loop.h"

#define MAX_INSPECT (4u << 20)
#define INSPECT_TRIES 5

void inspect__end(struct inspect *i)
{
	http_request__cancel(TAKE_PTR(i->request));
	loop_timer__cancel(i->timer);
	i->busy = false;
}

static bool inspect__is(const struct inspect *i, const char *id)
{
	return i->busy && strcmp(i->id, id) == 0;
}

bool docker__end_inspects(struct docker *d, const char *id)
{
	bool any = false;

	for (size_t i = 0; i < MAX_INSPECTS; i++) {
		if (!inspect__is(&d->inspects[i], id))
			continue;
		inspect__end(&d->inspects[i]);
		any = true;
	}
	return any;
}

static void inspect__failed(struct inspect *i, const char *why)
{
	struct docker *d = i->docker;

	if (!d->said_inspect)
		log_warn("docker: %s: container %.12s: %s; asking again", d->host, i->id, why);
	d->said_inspect = true;
	if (++i->tries < INSPECT_TRIES) {
		loop_timer__set(i->timer, backoff__next(&i->backoff));
		return;
	}
	inspect__end(i);
	registry__never(d->registry, i->id);
	docker__serve(d);
}

/* Asked before its networks were made, or before its network's list. */
static bool docker__incomplete(struct docker *d, const struct meta *m)
{
	if (!d->details)
		return false;
	if (!m->detailed)
		return true;
	if (!m->network_id || docker__network(d, m->network_id) || d->networks_refused)
		return false;
	if (!d->networks_request && docker__ask_networks(d) != 0)
		return false;
	return true;
}

static void inspect__done(void *ctx, const struct http_answer *answer)
{
	struct inspect *i = ctx;
	struct docker *d = i->docker;
	_meta_ struct meta *m = NULL;

	i->request = NULL;
	if (answer->error) {
		inspect__failed(i, answer->error_text);
	} else if (answer->status == 404 && i->patient && ++i->tries < INSPECT_TRIES) {
		loop_timer__set(i->timer, backoff__next(&i->backoff));
	} else if (answer->status == 404) {
		inspect__end(i);
		registry__never(d->registry, i->id);
		docker__serve(d);
	} else if (answer->status != 200) {
		inspect__failed(i, "the engine refuses to tell");
	} else if (docker_json__inspect(answer->body, answer->body_len, &m) != 0 ||
		   strcmp(m->id, i->id) != 0) {
		inspect__failed(i, "the answer cannot be understood");
	} else if (docker__incomplete(d, m) && ++i->tries < INSPECT_TRIES) {
		loop_timer__set(i->timer, backoff__next(&i->backoff));
	} else {
		/* No more will be said. */
		m->detailed = true;
		docker__publish(d, TAKE_PTR(m));
		docker__serve(d);
	}
}

static void inspect__ask(void *ctx)
{
	struct inspect *i = ctx;
	struct http_opts opts = {
		.timeout_ns = 30 * NS_PER_SEC,
		.max_body = MAX_INSPECT,
		.done = inspect__done,
		.ctx = i,
	};
	char path[CONTAINER_ID_LEN + 32];

	snprintf(path, sizeof(path), "/containers/%s/json", i->id);
	if (docker__get(i->docker, &opts, path, &i->request) != 0)
		inspect__failed(i, "no memory");
}

static void docker__wanted(void *ctx, int fd _unused_, int what _unused_)
{
	docker__serve(ctx);
}

static struct inspect *docker__idle_inspect(struct docker *d)
{
	for (size_t i = 0; i < MAX_INSPECTS; i++) {
		if (!d->inspects[i].busy)
			return &d->inspects[i];
	}
	return NULL;
}

void docker__serve(struct docker *d)
{
	struct inspect *i;
	const char *engine;

	while ((i = docker__idle_inspect(d)) &&
	       registry__next_wanted(d->registry, REGISTRY_DOCKER, i->id, sizeof(i->id), &engine)) {
		i->busy = true;
		i->tries = 0;
		i->patient = engine && strcmp(engine, "podman") == 0;
		backoff__reset(&i->backoff);
		inspect__ask(i);
	}
	/* The descriptor stays readable while wishes wait: not to be watched with all busy. */
	if (!i) {
		loop_watch__free(TAKE_PTR(d->watch));
	} else if (!d->watch &&
		   loop__watch(d->loop, registry__wanted_fd(d->registry, REGISTRY_DOCKER),
			       LOOP_READ, docker__wanted, d, &d->watch) != 0) {
		d->watch = NULL;
		docker__lost(d, "no memory");
	}
}

int docker__init_inspects(struct docker *d, uint64_t seed)
{
	int err = 0;

	for (size_t i = 0; i < MAX_INSPECTS && !err; i++) {
		struct inspect *in = &d->inspects[i];

		in->docker = d;
		backoff__init(&in->backoff, BACKOFF_MIN_NS, BACKOFF_MAX_NS, seed + i);
		err = loop__timer(d->loop, inspect__ask, in, &in->timer);
	}
	return err;
}
