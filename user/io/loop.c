/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libevent, wrapped so that nobody else includes it. A stop goes through an eventfd: it may then
 * come from any thread, or before loop__run, and is not lost. The base has no lock, since all the
 * rest happens on one thread. A callback may free the object that it was called for, so nothing of
 * the object is touched after the call.
 */
#include "io/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/time.h>

#include "base/log.h"
#include "base/util.h"
#include "io/loop_base.h"

struct loop {
	struct event_base *base;
	int stop_fd;
	struct event *stop_event;
};

struct loop_watch {
	struct event *event;
	void (*fn)(void *ctx, int fd, int what);
	void *ctx;
};

struct loop_timer {
	struct event *event;
	void (*fn)(void *ctx);
	void *ctx;
};

struct loop_signal {
	struct event *event;
	void (*fn)(void *ctx, int signo);
	void *ctx;
};

/* libevent's own messages would go to stderr as they are; callers read errno after them. */
static void loop__on_libevent_log(int severity, const char *text)
{
	int saved = errno;

	if (severity >= EVENT_LOG_ERR)
		log_error("event loop: %s", text);
	else
		log_debug("event loop: %s", text);
	errno = saved;
}

static void loop__on_stop(evutil_socket_t fd, short what _unused_, void *ctx)
{
	struct loop *l = ctx;
	eventfd_t count;

	eventfd_read((int)fd, &count);
	event_base_loopbreak(l->base);
}

static int loop__init(struct loop *l)
{
	struct event_config *config;

	l->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->stop_fd < 0)
		return -errno;
	config = event_config_new();
	if (!config)
		return -ENOMEM;
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV);
	l->base = event_base_new_with_config(config);
	event_config_free(config);
	if (!l->base)
		return -ENOMEM;
	l->stop_event = event_new(l->base, l->stop_fd, EV_READ | EV_PERSIST, loop__on_stop, l);
	if (!l->stop_event || event_add(l->stop_event, NULL))
		return -ENOMEM;
	return 0;
}

int loop__new(struct loop **ret)
{
	struct loop *l;
	int err;

	event_set_log_callback(loop__on_libevent_log);
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->stop_fd = -1;
	err = loop__init(l);
	if (err) {
		loop__free(l);
		return err;
	}
	*ret = l;
	return 0;
}

void loop__free(struct loop *l)
{
	if (!l)
		return;
	if (l->stop_event)
		event_free(l->stop_event);
	if (l->base)
		event_base_free(l->base);
	close_p(&l->stop_fd);
	free(l);
}

struct event_base *loop__base(struct loop *l)
{
	return l->base;
}

int loop__run(struct loop *l)
{
	return event_base_loop(l->base, EVLOOP_NO_EXIT_ON_EMPTY) < 0 ? -EIO : 0;
}

void loop__stop(struct loop *l)
{
	eventfd_write(l->stop_fd, 1);
}

static void loop_watch__on_event(evutil_socket_t fd, short what, void *ctx)
{
	struct loop_watch *w = ctx;

	w->fn(w->ctx, (int)fd,
	      (what & EV_READ ? LOOP_READ : 0) | (what & EV_WRITE ? LOOP_WRITE : 0));
}

/* The owner of a half-built object frees it; 0 or -errno of event_add. */
static int loop__add(struct event *event)
{
	if (!event)
		return -ENOMEM;
	errno = 0;
	if (event_add(event, NULL))
		return errno ? -errno : -EIO;
	return 0;
}

int loop__watch(struct loop *l, int fd, int what, void (*fn)(void *ctx, int fd, int what),
		void *ctx, struct loop_watch **ret)
{
	short flags = EV_PERSIST;
	struct loop_watch *w;
	int err;

	flags |= what & LOOP_READ ? EV_READ : 0;
	flags |= what & LOOP_WRITE ? EV_WRITE : 0;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->fn = fn;
	w->ctx = ctx;
	w->event = event_new(l->base, fd, flags, loop_watch__on_event, w);
	err = loop__add(w->event);
	if (err) {
		loop_watch__free(w);
		return err;
	}
	*ret = w;
	return 0;
}

void loop_watch__free(struct loop_watch *w)
{
	if (!w)
		return;
	if (w->event)
		event_free(w->event);
	free(w);
}

static void loop_timer__on_event(evutil_socket_t fd _unused_, short what _unused_, void *ctx)
{
	struct loop_timer *t = ctx;

	t->fn(t->ctx);
}

int loop__timer(struct loop *l, void (*fn)(void *ctx), void *ctx, struct loop_timer **ret)
{
	struct loop_timer *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->fn = fn;
	t->ctx = ctx;
	t->event = event_new(l->base, -1, 0, loop_timer__on_event, t);
	if (!t->event) {
		free(t);
		return -ENOMEM;
	}
	*ret = t;
	return 0;
}

void loop_timer__set(struct loop_timer *t, uint64_t delay_ns)
{
	uint64_t delay_us = delay_ns / 1000 + (delay_ns % 1000 != 0);
	struct timeval tv = {.tv_sec = (time_t)(delay_us / 1000000),
			     .tv_usec = (suseconds_t)(delay_us % 1000000)};

	if (event_add(t->event, &tv))
		log_error("event loop: no memory for a timer");
}

void loop_timer__cancel(struct loop_timer *t)
{
	event_del(t->event);
}

void loop_timer__free(struct loop_timer *t)
{
	if (!t)
		return;
	event_free(t->event);
	free(t);
}

static void loop_signal__on_event(evutil_socket_t signo, short what _unused_, void *ctx)
{
	struct loop_signal *s = ctx;

	s->fn(s->ctx, (int)signo);
}

int loop__signal(struct loop *l, int signo, void (*fn)(void *ctx, int signo), void *ctx,
		 struct loop_signal **ret)
{
	struct loop_signal *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->fn = fn;
	s->ctx = ctx;
	s->event = evsignal_new(l->base, signo, loop_signal__on_event, s);
	err = loop__add(s->event);
	if (err) {
		loop_signal__free(s);
		return err;
	}
	*ret = s;
	return 0;
}

void loop_signal__free(struct loop_signal *s)
{
	if (!s)
		return;
	if (s->event)
		event_free(s->event);
	free(s);
}
