/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop of the I/O thread (libevent stays inside). One thread runs it; only loop__stop and
 * wake-ups through file descriptors may come from others. Watches, timers and signals are owned by
 * who made them, and must be freed before the loop.
 */
#ifndef NOTAIL_IO_LOOP_H
#define NOTAIL_IO_LOOP_H

#include <stdint.h>

struct loop;
struct loop_watch;
struct loop_timer;
struct loop_signal;

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

int loop__new(struct loop **ret);
void loop__free(struct loop *l);
/* Runs until loop__stop. 0 or -errno. */
int loop__run(struct loop *l);
void loop__stop(struct loop *l);

/* The fd stays the caller's. `what`: LOOP_READ | LOOP_WRITE, level-triggered, persistent. */
int loop__watch(struct loop *l, int fd, int what, void (*fn)(void *ctx, int fd, int what),
		void *ctx, struct loop_watch **ret);
void loop_watch__free(struct loop_watch *w);
/* One shot; not armed until loop_timer__set. Setting again moves it. */
int loop__timer(struct loop *l, void (*fn)(void *ctx), void *ctx, struct loop_timer **ret);
void loop_timer__set(struct loop_timer *t, uint64_t delay_ns);
void loop_timer__cancel(struct loop_timer *t);
void loop_timer__free(struct loop_timer *t);
int loop__signal(struct loop *l, int signo, void (*fn)(void *ctx, int signo), void *ctx,
		 struct loop_signal **ret);
void loop_signal__free(struct loop_signal *s);

#endif
