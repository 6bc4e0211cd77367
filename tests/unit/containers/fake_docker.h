/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Docker Engine API on a thread and a unix socket. What it answers is set by the test, at any
 * time; what it was asked is counted. Connections are served side by side, as the engine does.
 */
#ifndef TEST_CONTAINERS_FAKE_DOCKER_H
#define TEST_CONTAINERS_FAKE_DOCKER_H

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/util.h"

#define FAKE_CONNECTIONS 32

struct fake_connection {
	int fd; /* -1: free */
	char head[2048];
	size_t len;
	bool events;
	char *held_inspect; /* as held_list; "": 404 */
	char *held_list;    /* what it will say */
};

struct fake {
	char path[64];
	int listen_fd;
	int wake_fd;
	pthread_t thread;
	struct fake_connection connections[FAKE_CONNECTIONS];

	pthread_mutex_t lock; /* of all below */
	/* Answers; borrowed. NULL: the connection is closed without one. */
	const char *version;
	const char *list;
	int list_status;
	const char *networks; /* NULL: 403 */
	/* The body for one id; NULL: 404. */
	const char *(*inspect)(const char *id);
	int inspect_status; /* 0: 200 */
	/* Inspects are answered when so many wait, lists when this ends: with what they would have
	 * been answered at once. */
	unsigned hold;
	bool hold_list;
	/* Sent to the events stream, in pieces of `piece` bytes (0: whole). */
	struct buf events;
	size_t piece;
	bool end_events;
	bool stop;
	/* Counted. */
	unsigned connects, versions, lists, network_lists, streams, inspects, held;
	char events_url[512];
};

static inline void fake__lock(struct fake *f)
{
	pthread_mutex_lock(&f->lock);
}

static inline void fake__unlock(struct fake *f)
{
	pthread_mutex_unlock(&f->lock);
	eventfd_write(f->wake_fd, 1);
}

static inline void fake__send(struct fake_connection *c, const char *data, size_t len)
{
	while (len) {
		ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		data += n;
		len -= (size_t)n;
	}
}

static inline void fake__close(struct fake_connection *c)
{
	close(c->fd);
	free(c->held_list);
	free(c->held_inspect);
	memset(c, 0, sizeof(*c));
	c->fd = -1;
}

static inline void fake__answer(struct fake_connection *c, int status, const char *body)
{
	char head[128];
	int n;

	if (!body) {
		fake__close(c);
		return;
	}
	n = snprintf(head, sizeof(head),
		     "HTTP/1.1 %d X\r\nContent-Type: application/json\r\n"
		     "Content-Length: %zu\r\n\r\n",
		     status, strlen(body));
	fake__send(c, head, (size_t)n);
	fake__send(c, body, strlen(body));
}

static inline void fake__release_lists(struct fake *f)
{
	for (size_t i = 0; i < FAKE_CONNECTIONS && !f->hold_list; i++) {
		struct fake_connection *c = &f->connections[i];
		_free_ char *list = c->held_list;

		c->held_list = NULL;
		if (list)
			fake__answer(c, 200, list);
	}
}

static inline void fake__release(struct fake *f)
{
	fake__release_lists(f);
	if (f->held < f->hold)
		return;
	f->held = 0;
	for (size_t i = 0; i < FAKE_CONNECTIONS; i++) {
		struct fake_connection *c = &f->connections[i];
		_free_ char *inspect = c->held_inspect;
		int status = f->inspect_status ? f->inspect_status : 200;

		c->held_inspect = NULL;
		if (inspect)
			fake__answer(c, *inspect ? status : 404,
				     *inspect ? inspect : "{\"message\":\"No such container\"}");
	}
}

static inline void fake__request(struct fake *f, struct fake_connection *c)
{
	static const char stream[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
	char url[512] = "", id[65] = "";
	const char *body;

	sscanf(c->head, "GET %511s ", url);
	if (strcmp(url, "/version") == 0) {
		f->versions++;
		fake__answer(c, 200, f->version);
	} else if (strcmp(url, "/v1.41/containers/json?all=1") == 0) {
		f->lists++;
		if (f->hold_list && f->list)
			c->held_list = strdup(f->list);
		else
			fake__answer(c, f->list_status ? f->list_status : 200, f->list);
	} else if (strcmp(url, "/v1.41/networks") == 0) {
		f->network_lists++;
		fake__answer(c, f->networks ? 200 : 403, f->networks ? f->networks : "{}");
	} else if (strncmp(url, "/v1.41/events?", 14) == 0) {
		f->streams++;
		strcpy(f->events_url, url);
		c->events = true;
		fake__send(c, stream, sizeof(stream) - 1);
	} else if (sscanf(url, "/v1.41/containers/%64[0-9a-f]/json", id) == 1) {
		f->inspects++;
		f->held++;
		body = f->inspect ? f->inspect(id) : NULL;
		c->held_inspect = strdup(body ? body : "");
	} else {
		fake__answer(c, 400, "{}");
	}
}

static inline void fake__read(struct fake *f, struct fake_connection *c)
{
	ssize_t n = read(c->fd, c->head + c->len, sizeof(c->head) - 1 - c->len);

	if (n <= 0) {
		fake__close(c);
		return;
	}
	c->len += (size_t)n;
	c->head[c->len] = '\0';
	if (!strstr(c->head, "\r\n\r\n"))
		return;
	c->len = 0;
	fake__request(f, c);
}

/* Without the lock: a full socket waits for the client, which may be waiting for the lock. */
static inline void fake__send_events(struct fake_connection *c, const struct buf *events,
				     size_t piece, bool end)
{
	size_t at = 0;

	while (at < events->len) {
		size_t len = MIN(piece ? piece : events->len, events->len - at);
		char head[32];

		fake__send(c, head, (size_t)snprintf(head, sizeof(head), "%zx\r\n", len));
		fake__send(c, events->data + at, len);
		fake__send(c, "\r\n", 2);
		at += len;
	}
	if (end)
		fake__send(c, "0\r\n\r\n", 5);
	c->events = !end;
}

static inline struct fake_connection *fake__stream(struct fake *f)
{
	for (size_t i = 0; i < FAKE_CONNECTIONS; i++) {
		if (f->connections[i].fd >= 0 && f->connections[i].events)
			return &f->connections[i];
	}
	return NULL;
}

static inline void fake__accept(struct fake *f)
{
	int fd = accept4(f->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	f->connects++;
	for (size_t i = 0; i < FAKE_CONNECTIONS && fd >= 0; i++) {
		if (f->connections[i].fd < 0) {
			f->connections[i].fd = fd;
			fd = -1;
		}
	}
	if (fd >= 0)
		abort();
}

static inline void fake__wait(struct fake *f)
{
	struct pollfd p[FAKE_CONNECTIONS + 2];
	eventfd_t count;

	for (size_t i = 0; i < FAKE_CONNECTIONS; i++)
		p[i] = (struct pollfd){.fd = f->connections[i].fd, .events = POLLIN};
	p[FAKE_CONNECTIONS] = (struct pollfd){.fd = f->listen_fd, .events = POLLIN};
	p[FAKE_CONNECTIONS + 1] = (struct pollfd){.fd = f->wake_fd, .events = POLLIN};
	if (poll(p, ARRAY_SIZE(p), -1) < 0)
		return;
	pthread_mutex_lock(&f->lock);
	if (p[FAKE_CONNECTIONS + 1].revents)
		eventfd_read(f->wake_fd, &count);
	for (size_t i = 0; i < FAKE_CONNECTIONS; i++) {
		if (p[i].fd >= 0 && p[i].revents)
			fake__read(f, &f->connections[i]);
	}
	if (p[FAKE_CONNECTIONS].revents)
		fake__accept(f);
	fake__release(f);
	pthread_mutex_unlock(&f->lock);
}

static inline void *fake__main(void *ctx)
{
	struct fake *f = ctx;
	bool stop = false;

	while (!stop) {
		struct fake_connection *stream;
		_buf_ struct buf events = {0};
		bool end = false;

		fake__wait(f);
		pthread_mutex_lock(&f->lock);
		stream = fake__stream(f);
		if (stream) {
			events = f->events;
			f->events = (struct buf){0};
			end = f->end_events;
			f->end_events = false;
		}
		stop = f->stop;
		pthread_mutex_unlock(&f->lock);
		if (stream)
			fake__send_events(stream, &events, f->piece, end);
	}
	return NULL;
}

static inline struct fake *fake__new(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct fake *f = calloc(1, sizeof(*f));
	char dir[] = "/tmp/notail-test-XXXXXX";

	if (!f || !mkdtemp(dir))
		abort();
	for (size_t i = 0; i < FAKE_CONNECTIONS; i++)
		f->connections[i].fd = -1;
	pthread_mutex_init(&f->lock, NULL);
	snprintf(f->path, sizeof(f->path), "%s/docker.sock", dir);
	f->wake_fd = eventfd(0, EFD_CLOEXEC);
	f->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strcpy(un.sun_path, f->path);
	if (bind(f->listen_fd, (struct sockaddr *)&un, sizeof(un)))
		abort();
	f->version = "{\"ApiVersion\":\"1.41\"}";
	f->list = "[]";
	return f;
}

/* Before this connections are refused. */
static inline void fake__start(struct fake *f)
{
	if (listen(f->listen_fd, 64) || pthread_create(&f->thread, NULL, fake__main, f))
		abort();
}

static inline void fake__free(struct fake *f)
{
	fake__lock(f);
	f->stop = true;
	fake__unlock(f);
	if (f->thread)
		pthread_join(f->thread, NULL);
	for (size_t i = 0; i < FAKE_CONNECTIONS; i++) {
		if (f->connections[i].fd >= 0)
			fake__close(&f->connections[i]);
	}
	close(f->listen_fd);
	close(f->wake_fd);
	unlink(f->path);
	*strrchr(f->path, '/') = '\0';
	rmdir(f->path);
	buf__free(&f->events);
	free(f);
}

/* To the events stream that there is, or to the next one. */
static inline void fake__push(struct fake *f, const char *text)
{
	fake__lock(f);
	buf__append_str(&f->events, text);
	fake__unlock(f);
}

#endif
