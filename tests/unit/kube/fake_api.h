/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An API server on a thread and a port of 127.0.0.1 that answers by a script: one answer after the
 * other, each on a connection of its own. Requests are recorded. When the script is over,
 * connections are accepted and nothing is said.
 */
#ifndef TEST_KUBE_FAKE_API_H
#define TEST_KUBE_FAKE_API_H

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/util.h"
#include "io/server.h"

#define FAKE_STEPS 24

struct fake_step {
	struct buf answer; /* from the status line on */
	bool hold;	   /* the connection stays until the client or the test ends it */
	char request[4096];
};

struct fake {
	int listen_fd;
	int stop[2];
	unsigned port;
	pthread_t thread;
	struct fake_step steps[FAKE_STEPS];
	size_t n_steps;
	_Atomic size_t answered; /* requests that are recorded */
};

/* The test is over. */
static inline bool fake__stopped(struct fake *f, int fd)
{
	struct pollfd p[2] = {{.fd = f->stop[0], .events = POLLIN}, {.fd = fd, .events = POLLIN}};

	while (poll(p, 2, -1) < 0)
		;
	return p[0].revents;
}

static inline void fake__serve(struct fake *f, int fd, struct fake_step *s)
{
	size_t len = 0;
	char rest[512];
	ssize_t n = 1;

	while (n > 0 && len < sizeof(s->request) - 1 && !strstr(s->request, "\r\n\r\n")) {
		n = fake__stopped(f, fd) ? 0
					 : read(fd, s->request + len, sizeof(s->request) - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	f->answered++;
	server__send(fd, s->answer.data, s->answer.len);
	while (s->hold && !fake__stopped(f, fd) && read(fd, rest, sizeof(rest)) > 0)
		;
}

static inline void *fake__main(void *ctx)
{
	static struct fake_step silent;
	struct fake *f = ctx;

	for (size_t i = 0; !fake__stopped(f, f->listen_fd); i++) {
		int fd = accept4(f->listen_fd, NULL, NULL, SOCK_CLOEXEC);

		silent = (struct fake_step){.hold = true};
		fake__serve(f, fd, i < f->n_steps ? &f->steps[i] : &silent);
		close(fd);
	}
	return NULL;
}

static inline struct fake *fake__new(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(in);
	struct fake *f = calloc(1, sizeof(*f));

	if (!f || pipe(f->stop))
		abort();
	f->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(f->listen_fd, (struct sockaddr *)&in, size) || listen(f->listen_fd, 16) ||
	    getsockname(f->listen_fd, (struct sockaddr *)&in, &size))
		abort();
	f->port = ntohs(in.sin_port);
	return f;
}

/* The next answer, whole, with headers of its own ("" or "Name: value\r\n"). */
static inline void fake__answer(struct fake *f, const char *status, const char *headers,
				const char *body, size_t len)
{
	struct fake_step *s = &f->steps[f->n_steps++];

	buf__printf(&s->answer, "HTTP/1.1 %s\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n",
		    status, headers, len);
	buf__append(&s->answer, body, len);
}

static inline void fake__json(struct fake *f, const char *status, const char *body)
{
	fake__answer(f, status, "", body, strlen(body));
}

/* A stream of what is printed; held, or ended as it ought to be. */
static inline void fake__stream(struct fake *f, bool hold, const char *text)
{
	struct fake_step *s = &f->steps[f->n_steps++];

	s->hold = hold;
	buf__append_str(&s->answer, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (size_t len; *text; text += len) {
		len = MIN(strlen(text), (size_t)7);
		buf__printf(&s->answer, "%zx\r\n%.*s\r\n", len, (int)len, text);
	}
	if (!hold)
		buf__append_str(&s->answer, "0\r\n\r\n");
}

static inline void fake__start(struct fake *f)
{
	if (pthread_create(&f->thread, NULL, fake__main, f))
		abort();
}

static inline void fake__free(struct fake *f)
{
	close(f->stop[1]);
	pthread_join(f->thread, NULL);
	for (size_t i = 0; i < FAKE_STEPS; i++)
		buf__free(&f->steps[i].answer);
	close(f->stop[0]);
	close(f->listen_fd);
	free(f);
}

#endif
