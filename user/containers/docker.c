/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection's life: GET /version, then the events stream and the list at once, then an inspect
 * for each id that a cgroup wants and neither of them named. The events are asked for from a second
 * before there was no connection on, so that nothing falls between two connections, or between the
 * list and the stream's start. A create event carries name, image and labels: most containers are
 * known before their cgroup exists, without an inspect.
 *
 * Whatever breaks ends the whole connection (docker__lost) and is tried again with backoff; only an
 * answer that cannot be understood costs itself alone: the list is asked for again while events and
 * inspects go on. What is wrong is said once, when it begins and when it is over.
 */
#include "containers/docker_internal.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "containers/docker_json.h"
#include "containers/pods.h"
#include "io/loop.h"

#define MAX_EVENT (1u << 20)
#define MAX_LIST (32u << 20)
/* An engine that restarts is waited for; one that is away longer parks nobody's lines. */
#define AWAY_NS (10 * NS_PER_SEC)
/* Longer ago than lines wait for a name, whatever the engine's load. */
#define EVENTS_BACK_NS (60 * NS_PER_SEC)
/* A connection that lasted this long was none of a row of failures. */
#define STABLE_NS (10 * NS_PER_SEC)

/* {"type":["container"],"event":["create","start","rename","destroy"]} */
#define EVENTS_FILTER                                               \
	"%7B%22type%22%3A%5B%22container%22%5D%2C%22event%22%3A%5B" \
	"%22create%22%2C%22start%22%2C%22rename%22%2C%22destroy%22%5D%7D"

#define DETAILS_FILTER                                                                 \
	"%7B%22type%22%3A%5B%22container%22%2C%22network%22%5D%2C%22event%22%3A%5B"    \
	"%22create%22%2C%22start%22%2C%22rename%22%2C%22destroy%22%2C%22connect%22%2C" \
	"%22disconnect%22%5D%7D"
#define MAX_NETWORKS 4096

static void docker__start(struct docker *d);
static void docker__list(struct docker *d);

static void docker__ready(struct docker *d, bool answered)
{
	void (*ready)(void *ctx, bool answered) = d->ready;

	d->ready = NULL;
	if (ready)
		ready(d->ctx, answered);
}

static void docker__cancel(struct docker *d)
{
	http_request__cancel(TAKE_PTR(d->request));
	http_request__cancel(TAKE_PTR(d->events));
	http_request__cancel(TAKE_PTR(d->networks_request));
	for (size_t i = 0; i < MAX_INSPECTS; i++)
		inspect__end(&d->inspects[i]);
	loop_watch__free(TAKE_PTR(d->watch));
	json_stream__reset(&d->stream);
}

/* The connection is of no use: all of it again, later. */
void docker__lost(struct docker *d, const char *why)
{
	uint64_t now = clock__boot_ns();

	docker__cancel(d);
	snprintf(d->problem, sizeof(d->problem), "%s", why);
	if (d->up) {
		if (now - d->since_ns > STABLE_NS)
			backoff__reset(&d->backoff);
		d->up = false;
		d->since_ns = now;
	}
	if (!d->said_away)
		log_warn("docker: %s: %s; containers it has not named yet are shown by their id "
			 "until it answers (another engine: --docker HOST; none: --no-docker)",
			 d->host, why);
	d->said_away = true;
	if (!d->answered || now - d->since_ns > AWAY_NS)
		registry__engine(d->registry, "docker", false);
	loop_timer__set(d->retry, backoff__next(&d->backoff));
	docker__ready(d, false);
}

/* A failed request ends the connection. True: it was one. */
static bool docker__failed(struct docker *d, const char *what, const struct http_answer *answer)
{
	char why[256];

	/* curl would speak of a host and a port, which a unix socket has not. */
	if (d->socket && (answer->error == -ENOENT || answer->error == -EACCES ||
			  answer->error == -ECONNREFUSED))
		snprintf(why, sizeof(why), "%s", strerror(-answer->error));
	else if (answer->error)
		snprintf(why, sizeof(why), "%s: %s", what, answer->error_text);
	else if (answer->status != 200)
		snprintf(why, sizeof(why), "%s: status %ld", what, answer->status);
	else
		return false;
	docker__lost(d, why);
	return true;
}

int docker__get(struct docker *d, struct http_opts *opts, const char *path,
		struct http_request **ret)
{
	_free_ char *url = NULL;
	int n;

	if (d->version)
		n = asprintf(&url, "%s/v%s%s", d->base_url, d->version, path);
	else
		n = asprintf(&url, "%s%s", d->base_url, path);
	if (n < 0) {
		url = NULL;
		return -ENOMEM;
	}
	opts->url = url;
	opts->unix_socket = d->socket;
	opts->tls = d->with_tls ? &d->tls : NULL;
	return http__request(d->http, opts, ret);
}

struct meta_network *docker__network(const struct docker *d, const char *id)
{
	for (size_t i = 0; i < d->n_networks; i++) {
		if (strcmp(d->networks[i]->id, id) == 0)
			return d->networks[i];
	}
	return NULL;
}

/* A container that a kubelet had made, by way of cri-dockerd. 0 or -ENOMEM. */
static int docker__join_pod(struct docker *d, struct meta *m)
{
	const char *uid = d->pods ? meta__label(m, META_POD_UID_LABEL) : NULL;

	if (!uid || !*uid)
		return 0;
	m->pod_uid = strdup(uid);
	return m->pod_uid ? pods__join(d->pods, m) : -ENOMEM;
}

void docker__publish(struct docker *d, struct meta *m)
{
	struct meta_network *n = m->network_id ? docker__network(d, m->network_id) : NULL;

	if (n)
		m->network = meta_network__ref(n);
	docker__end_inspects(d, m->id);
	if (docker__join_pod(d, m) != 0 || registry__publish(d->registry, meta__ref(m)) != 0)
		log_warn("docker: no memory for a container's name");
	meta__unref(m);
}

/* An answer on its way may have the name before: it is asked for again. False: nothing is known of
 * it. */
static bool docker__rename(struct docker *d, const char *id, const char *name)
{
	bool asked = docker__end_inspects(d, id);

	if (!name || registry__rename(d->registry, id, name) != 0)
		return false;
	if (asked)
		registry__refresh(d->registry, id);
	return true;
}

static void docker__event(void *ctx, const char *object, size_t len)
{
	enum docker_event_action action;
	_meta_ struct meta *m = NULL;
	struct docker *d = ctx;
	_free_ char *id = NULL;

	if (docker_json__event(object, len, &action, &id, &m) != 0) {
		if (!d->said_event)
			log_warn("docker: %s: an event that cannot be understood is left out",
				 d->host);
		d->said_event = true;
		return;
	}
	if (action == DOCKER_EVENT_DESTROY)
		registry__gone(d->registry, id);
	/* One that starts again has another address. */
	if (action == DOCKER_EVENT_NETWORK || (action == DOCKER_EVENT_START && d->details))
		registry__refresh(d->registry, id);
	if (action == DOCKER_EVENT_RENAME && d->request)
		d->list_again = true;
	/* Attributes hide labels called name and image, and say nothing of networks: what is known
	 * already is the better. */
	if (!m || (action != DOCKER_EVENT_RENAME && registry__known(d->registry, id)) ||
	    (action == DOCKER_EVENT_RENAME && docker__rename(d, id, m->name)))
		return;
	docker__publish(d, TAKE_PTR(m));
}

static int docker__on_events(void *ctx, const char *data, size_t len)
{
	struct docker *d = ctx;

	if (json_stream__feed(&d->stream, data, len, docker__event, d) == 0)
		return 0;
	d->events_broken = true;
	return -EBADMSG;
}

static void docker__events_done(void *ctx, const struct http_answer *answer)
{
	struct docker *d = ctx;

	d->events = NULL;
	if (d->events_broken)
		docker__lost(d, "the stream of events cannot be understood");
	else if (!docker__failed(d, "events", answer))
		docker__lost(d, "the stream of events ended");
}

/* What an engine started and removed while notail was away, or waited for its first answer, is in
 * no list. */
static int docker__events(struct docker *d, uint64_t away_ns)
{
	uint64_t back_ns = MIN(away_ns, EVENTS_BACK_NS) + NS_PER_SEC;
	struct http_opts opts = {
		.on_body = docker__on_events,
		.done = docker__events_done,
		.ctx = d,
	};
	char path[384];

	snprintf(path, sizeof(path), "/events?since=%llu&filters=%s",
		 (unsigned long long)((clock__real_ns() - back_ns) / NS_PER_SEC),
		 d->details ? DETAILS_FILTER : EVENTS_FILTER);
	d->stream.max_bytes = MAX_EVENT;
	d->events_broken = false;
	return docker__get(d, &opts, path, &d->events);
}

/* Names of a list that comes again may be the ones before: what is known stays until then. */
static void docker__listed(void *ctx, struct meta *m)
{
	struct docker *d = ctx;

	if (d->list_again && registry__known(d->registry, m->id))
		meta__unref(m);
	else
		docker__publish(d, m);
}

static void docker__list_done(void *ctx, const struct http_answer *answer)
{
	struct docker *d = ctx;
	int err;

	d->request = NULL;
	/* One that is too large is as good as none, and no reason to do without events. */
	if (answer->error != -EFBIG && docker__failed(d, "containers", answer))
		return;
	err = answer->error ? answer->error
			    : docker_json__list(answer->body, answer->body_len, docker__listed, d);
	if (!err && !d->list_again)
		registry__list_end(d->registry);
	snprintf(d->problem, sizeof(d->problem), "%s",
		 err ? "the list of containers cannot be understood" : "");
	if (err && !d->said_list)
		log_warn("docker: %s: the list of containers cannot be understood; asking again, "
			 "and for each container by itself",
			 d->host);
	d->said_list = err != 0;
	if (d->said_away)
		log_info("docker: %s answers", d->host);
	d->said_away = false;
	d->answered = true;
	registry__engine(d->registry, "docker", true);
	if (err)
		loop_timer__set(d->retry, backoff__next(&d->backoff));
	else if (d->list_again)
		docker__list(d);
	if (d->up)
		docker__serve(d);
	docker__ready(d, err == 0);
}

static void docker__list(struct docker *d)
{
	struct http_opts opts = {
		.timeout_ns = 60 * NS_PER_SEC,
		.max_body = MAX_LIST,
		.done = docker__list_done,
		.ctx = d,
	};

	d->list_again = false;
	d->listed = true;
	registry__list_begin(d->registry);
	if (docker__get(d, &opts, "/containers/json?all=1", &d->request) != 0)
		docker__lost(d, "no memory");
}

static void docker__forget_networks(struct docker *d)
{
	for (size_t i = 0; i < d->n_networks; i++)
		meta_network__unref(d->networks[i]);
	free(TAKE_PTR(d->networks));
	d->n_networks = 0;
}

static void docker__add_network(void *ctx, struct meta_network *n)
{
	struct docker *d = ctx;
	struct meta_network **grown = NULL;

	if (d->n_networks < MAX_NETWORKS)
		grown = reallocarray(d->networks, d->n_networks + 1, sizeof(*grown));
	if (!grown) {
		meta_network__unref(n);
		return;
	}
	d->networks = grown;
	grown[d->n_networks++] = n;
}

static void docker__networks_done(void *ctx, const struct http_answer *answer)
{
	struct docker *d = ctx;
	bool first = !d->request && !d->listed;

	d->networks_request = NULL;
	docker__forget_networks(d);
	d->networks_refused =
		answer->error || answer->status != 200 ||
		docker_json__networks(answer->body, answer->body_len, docker__add_network, d) != 0;
	if (d->networks_refused)
		log_info("docker: %s: no list of networks: labels have their names only", d->host);
	if (first)
		docker__list(d);
}

/* 0 or -ENOMEM. */
int docker__ask_networks(struct docker *d)
{
	struct http_opts opts = {
		.timeout_ns = 60 * NS_PER_SEC,
		.max_body = MAX_LIST,
		.done = docker__networks_done,
		.ctx = d,
	};

	return docker__get(d, &opts, "/networks", &d->networks_request);
}

static void docker__version_done(void *ctx, const struct http_answer *answer)
{
	struct docker *d = ctx;
	uint64_t now_ns = clock__boot_ns(), away_ns = now_ns - d->since_ns;

	d->request = NULL;
	if (docker__failed(d, "version", answer))
		return;
	if (docker_json__version(answer->body, answer->body_len, &d->version) != 0) {
		docker__lost(d, "its answer to GET /version cannot be understood");
		return;
	}
	d->up = true;
	d->since_ns = now_ns;
	log_debug("docker: %s: API %s", d->host, d->version);
	d->listed = false;
	if (docker__events(d, away_ns) != 0 || (d->details && docker__ask_networks(d) != 0))
		docker__lost(d, "no memory");
	else if (!d->details)
		docker__list(d);
}

static void docker__start(struct docker *d)
{
	struct http_opts opts = {
		.timeout_ns = 10 * NS_PER_SEC,
		.done = docker__version_done,
		.ctx = d,
	};

	free(TAKE_PTR(d->version));
	if (docker__get(d, &opts, "/version", &d->request) != 0)
		docker__lost(d, "no memory");
}

static void docker__retry(void *ctx)
{
	struct docker *d = ctx;

	if (!d->up)
		docker__start(d);
	else if (!d->request && d->listed)
		docker__list(d);
}

static int docker__timers(struct docker *d)
{
	uint64_t seed = clock__boot_ns() ^ (uint64_t)getpid();
	int err = loop__timer(d->loop, docker__retry, d, &d->retry);

	backoff__init(&d->backoff, BACKOFF_MIN_NS, BACKOFF_MAX_NS, seed);
	return err ? err : docker__init_inspects(d, seed);
}

int docker__new(struct docker **ret, struct loop *loop, struct http *http,
		struct registry *registry, const struct docker_opts *opts)
{
	struct docker *d = calloc(1, sizeof(*d));
	int err;

	if (!d)
		return -ENOMEM;
	d->loop = loop;
	d->http = http;
	d->registry = registry;
	d->ready = opts->ready;
	d->ctx = opts->ctx;
	d->details = opts->details;
	d->pods = opts->pods;
	err = opts->tls ? docker__copy_tls(d, opts->tls) : 0;
	if (!err)
		err = docker__parse_host(d, opts->host);
	if (!err)
		err = docker__timers(d);
	if (err) {
		docker__free(d);
		return err;
	}
	d->since_ns = clock__boot_ns();
	snprintf(d->problem, sizeof(d->problem), "not answered yet");
	if (d->details)
		registry__need_details(registry);
	registry__engine(registry, "docker", true);
	/* On the loop, so that `ready` is never called from in here. */
	loop_timer__set(d->retry, 0);
	*ret = d;
	return 0;
}

void docker__free(struct docker *d)
{
	if (!d)
		return;
	if (d->retry)
		docker__cancel(d);
	loop_timer__free(d->retry);
	for (size_t i = 0; i < MAX_INSPECTS; i++)
		loop_timer__free(d->inspects[i].timer);
	docker__forget_networks(d);
	free((char *)d->tls.ca_file);
	free((char *)d->tls.cert_file);
	free((char *)d->tls.key_file);
	free((char *)d->tls.server_name);
	free((char *)d->tls.ca);
	free((char *)d->tls.cert);
	free((char *)d->tls.key);
	free(d->version);
	free(d->base_url);
	free(d->host);
	free(d);
}

void docker__state(const struct docker *d, struct docker_state *ret_state)
{
	*ret_state = (struct docker_state){
		.host = d->host,
		.version = d->up ? d->version : NULL,
		.problem = *d->problem ? d->problem : NULL,
	};
}
