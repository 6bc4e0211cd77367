/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of docker.h share. */
#ifndef NOTAIL_CONTAINERS_DOCKER_INTERNAL_H
#define NOTAIL_CONTAINERS_DOCKER_INTERNAL_H

#include "base/clock.h"
#include "containers/cgroup.h"
#include "containers/docker.h"
#include "containers/json_stream.h"
#include "containers/registry.h"
#include "io/backoff.h"
#include "io/http.h"

#define MAX_INSPECTS 8
#define BACKOFF_MIN_NS (200 * NS_PER_MS)
#define BACKOFF_MAX_NS (30 * NS_PER_SEC)

struct inspect {
	struct docker *docker;
	struct http_request *request; /* NULL: between two tries */
	struct loop_timer *timer;
	struct backoff backoff;
	unsigned tries;
	bool busy;
	bool patient; /* podman's events come late: a container may be gone before its own */
	char id[CONTAINER_ID_LEN + 1];
};

struct docker {
	struct loop *loop;
	struct http *http;
	struct registry *registry;
	char *host;
	char *base_url;
	const char *socket; /* into host; NULL: tcp */
	bool with_tls;
	struct http_tls tls; /* its strings are this struct's */
	bool details;
	struct pods *pods; /* NULL: none */
	void (*ready)(void *ctx, bool answered);
	void *ctx;

	char *version;
	struct http_request *request; /* version, then networks, then list */
	struct http_request *networks_request;
	struct meta_network **networks;
	size_t n_networks;
	bool networks_refused; /* by a proxy before the socket, say: their names will do */
	struct http_request *events;
	struct json_stream stream;
	struct loop_watch *watch; /* of the registry's wishes; NULL: all inspects are busy */
	struct inspect inspects[MAX_INSPECTS];
	struct loop_timer *retry;
	struct backoff backoff;
	uint64_t since_ns; /* boot time: when the connection came up, or when it was lost */
	bool up;
	bool answered;	 /* once at least */
	bool listed;	 /* the list was asked for on this connection */
	bool list_again; /* a name changed while the list was under way */
	bool events_broken;
	char problem[256]; /* "": none */
	bool said_away;
	bool said_list;
	bool said_event;
	bool said_inspect;
};

/* docker.c */

/* The connection is of no use: all of it again, later. */
void docker__lost(struct docker *d, const char *why);
/* GET of a path of the API. 0 or -ENOMEM. */
int docker__get(struct docker *d, struct http_opts *opts, const char *path,
		struct http_request **ret);
/* Takes the reference over. */
void docker__publish(struct docker *d, struct meta *m);
/* NULL: it is not known. */
struct meta_network *docker__network(const struct docker *d, const char *id);
/* 0 or -ENOMEM. */
int docker__ask_networks(struct docker *d);

/* docker_host.c: 0; -EINVAL: it is neither form; -ENOMEM. */
int docker__parse_host(struct docker *d, const char *host);
/* The same. Before the host. */
int docker__copy_tls(struct docker *d, const struct http_tls *tls);

/* docker_inspect.c: 0 or -errno. */
int docker__init_inspects(struct docker *d, uint64_t seed);
/* Asks for what the registry wants, as far as there are inspects to be had. */
void docker__serve(struct docker *d);
/* Those of the container. There were any. */
bool docker__end_inspects(struct docker *d, const char *id);
void inspect__end(struct inspect *i);

#endif
