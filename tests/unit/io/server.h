/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A scripted HTTP server on a thread, for the tests of what talks HTTP: the n-th request gets the
 * n-th step's bytes. One connection after the other.
 */
#ifndef TEST_IO_SERVER_H
#define TEST_IO_SERVER_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/util.h"

/* What happens to the connection behind the answer. */
enum server_after { SERVER_KEEP, SERVER_CLOSE, SERVER_RESET, SERVER_HANG };

struct server_step {
	const char *answer; /* NULL: none */
	size_t len;	    /* 0: strlen */
	enum server_after after;
};

#define SERVER_MAX_REQUESTS 32

struct server {
	int listen_fd;
	int stop_fd;
	char url[128];
	char path[108]; /* of the unix socket; empty: TCP */
	const struct server_step *steps;
	size_t n_steps;
	pthread_t thread;
	bool running;
	struct server_request {
		char head[4096];
		char *body;
		size_t body_len;
	} requests[SERVER_MAX_REQUESTS];
	_Atomic size_t n_requests;
	_Atomic size_t n_connections;
};

#define NO_CONTENT "HTTP/1.1 204 No Content\r\n\r\n"

/* False: the peer or the test has had enough. */
static inline bool server__readable(struct server *s, int fd)
{
	struct pollfd p[] = {{.fd = fd, .events = POLLIN}, {.fd = s->stop_fd, .events = POLLIN}};

	while (poll(p, 2, -1) < 0 && errno == EINTR)
		;
	return !p[1].revents;
}

static inline size_t content_length(const char *head)
{
	const char *p = strcasestr(head, "\r\ncontent-length:");

	return p ? strtoul(p + 17, NULL, 10) : 0;
}

static inline bool server__read_request(struct server *s, int fd, struct server_request *rq)
{
	size_t len = 0;

	while (!memmem(rq->head, len, "\r\n\r\n", 4)) {
		if (len == sizeof(rq->head) - 1 || !server__readable(s, fd) ||
		    read(fd, rq->head + len, 1) != 1)
			return false;
		rq->head[++len] = 0;
	}
	rq->body_len = content_length(rq->head);
	rq->body = calloc(1, rq->body_len + 1);
	for (len = 0; len < rq->body_len;) {
		ssize_t n =
			server__readable(s, fd) ? read(fd, rq->body + len, rq->body_len - len) : 0;

		if (n <= 0)
			return false;
		len += (size_t)n;
	}
	return true;
}

static inline void server__send(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		data += n;
		len -= (size_t)n;
	}
}

static inline void server__serve(struct server *s, int fd)
{
	const struct linger reset = {.l_onoff = 1};
	enum server_after after = SERVER_KEEP;
	char byte;

	while (after == SERVER_KEEP) {
		size_t i = atomic_load(&s->n_requests);
		const struct server_step *step = &s->steps[i];

		if (i == SERVER_MAX_REQUESTS || !server__read_request(s, fd, &s->requests[i])) {
			if (i < SERVER_MAX_REQUESTS) {
				free(s->requests[i].body);
				s->requests[i].body = NULL;
			}
			return;
		}
		atomic_store(&s->n_requests, i + 1);
		if (i >= s->n_steps)
			return;
		if (step->answer)
			server__send(fd, step->answer,
				     step->len ? step->len : strlen(step->answer));
		after = step->after;
	}
	if (after == SERVER_RESET)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	while (after == SERVER_HANG && server__readable(s, fd) && read(fd, &byte, 1) == 1)
		;
}

static inline void *server__main(void *ctx)
{
	struct server *s = ctx;

	while (server__readable(s, s->listen_fd)) {
		_close_ int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			continue;
		atomic_fetch_add(&s->n_connections, 1);
		server__serve(s, fd);
	}
	return NULL;
}

/* Bound, and refusing connections until server__start. `path` NULL: 127.0.0.1, any port. */
static inline struct server *server__new(const struct server_step *steps, size_t n_steps,
					 const char *path)
{
	struct server *s = calloc(1, sizeof(*s));
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	socklen_t len = sizeof(in);
	int err;

	s->steps = steps;
	s->n_steps = n_steps;
	s->stop_fd = eventfd(0, EFD_CLOEXEC);
	s->listen_fd = socket(path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (path) {
		snprintf(s->path, sizeof(s->path), "%s", path);
		snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
		err = bind(s->listen_fd, (struct sockaddr *)&un, sizeof(un));
		snprintf(s->url, sizeof(s->url), "http://localhost");
	} else {
		err = bind(s->listen_fd, (struct sockaddr *)&in, sizeof(in));
		getsockname(s->listen_fd, (struct sockaddr *)&in, &len);
		snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%u", ntohs(in.sin_port));
	}
	if (err || s->stop_fd < 0)
		abort();
	return s;
}

static inline void server__start(struct server *s)
{
	if (listen(s->listen_fd, 16) || pthread_create(&s->thread, NULL, server__main, s))
		abort();
	s->running = true;
}

/* What the requests said may be read from here on. */
static inline void server__stop(struct server *s)
{
	if (!s->running)
		return;
	eventfd_write(s->stop_fd, 1);
	pthread_join(s->thread, NULL);
	s->running = false;
}

static inline void server__free(struct server *s)
{
	server__stop(s);
	for (size_t i = 0; i < SERVER_MAX_REQUESTS; i++)
		free(s->requests[i].body);
	if (s->path[0])
		unlink(s->path);
	close(s->listen_fd);
	close(s->stop_fd);
	free(s);
}

#endif
