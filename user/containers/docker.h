/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Docker Engine API client on the I/O thread (podman's socket speaks it too): the events stream
 * first, then the list, then an inspect for each id that the registry wants. Publishes to the
 * registry. A lost connection: backoff, events again, list again; what the list has not any more is
 * gone. An answer cut short or not JSON is logged once, and asked for again; capture goes on
 * meanwhile.
 *
 * API: https://docs.docker.com/engine/api/v1.41/ ; of what GET /version says the newest version
 * that both sides know.
 */
#ifndef NOTAIL_CONTAINERS_DOCKER_H
#define NOTAIL_CONTAINERS_DOCKER_H

#include "containers/registry.h"

struct loop;
struct http;
struct http_tls;
struct docker;
struct pods;

#define DOCKER_DEFAULT_HOST "unix:///var/run/docker.sock"
#define DOCKER_PODMAN_HOST "unix:///run/podman/podman.sock"

struct docker_opts {
	const char *host;	    /* unix://PATH or tcp://HOST:PORT; copied */
	const struct http_tls *tls; /* not NULL: tcp is https; copied */
	/* Labels need networks and ports: an inspect for each container that starts, and the list
	 * of networks. */
	bool details;
	/* Containers of pods have what these say of them; NULL: they have their labels alone. */
	struct pods *pods;
	/* Called once on the loop when the first list is through, or when the engine did not answer
	 * (then again never). */
	void (*ready)(void *ctx, bool answered);
	void *ctx;
};

/* Where nothing else is said: docker's socket; podman's where there is that one alone. Static. */
const char *docker__default_host(void);
/* -EACCES, with one line in ret_why: a socket that notail may not open, so that waiting for it is
 * in vain. One that is not there yet is waited for. */
int docker__check(const char *host, char *ret_why, size_t size);
/* All of loop, http and registry must outlive it. -EINVAL: the host is neither form. */
int docker__new(struct docker **ret, struct loop *loop, struct http *http,
		struct registry *registry, const struct docker_opts *opts);
void docker__free(struct docker *d);

/* For the status page, on the I/O thread; valid until the loop goes on. */
struct docker_state {
	const char *host;
	const char *version; /* of the API; NULL: not connected */
	const char *problem; /* why it is not, or why names are missing; NULL: all is well */
};
void docker__state(const struct docker *d, struct docker_state *ret_state);

#endif
