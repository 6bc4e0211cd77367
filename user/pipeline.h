/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The capture thread: drains the ring, makes lines and batches of it, and moves the ring's position
 * when the sinks have what came from it. It never waits for a network or a disk: sealed batches go
 * to the I/O thread by one queue and come back, delivered, by another. When max_in_flight bytes are
 * under way it stops reading: the ring holds the rest.
 */
#ifndef NOTAIL_PIPELINE_H
#define NOTAIL_PIPELINE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/clock.h"
#include "batch/batch.h"
#include "capture/capture.h"
#include "containers/registry.h"
#include "outputs.h"
#include "process/routing.h"
#include "process/select.h"
#include "sink/sink.h"
#include "status/counters.h"

struct pipeline_opts {
	struct registry *registry;
	struct counters *counters;
	const struct selection *selection;
	struct routing *routing; /* as in struct streams_opts: taken over, also on failure */
	bool excludes;		 /* containers that rules drop are unregistered */
	size_t max_line_size;
	uint64_t park_max_ns; /* lines wait for a name; 0: 10 s */
	size_t max_in_flight; /* bytes of payload; 0: 64 MiB */
	FILE *stats;	      /* NULL: no statistics of streams */
	bool uncounted;	      /* as in struct streams_opts */
	bool durable; /* where capture has memory for it, another run goes on with what is open */
	const char *host;	     /* of the canary; NULL: its name */
	uint64_t canary_interval_ns; /* 0: none */
	struct clock_anchor anchor;
	bool enabled[PIPELINE_OUTPUTS];
	struct batch_opts batch[PIPELINE_OUTPUTS]; /* anchor is set here */
};

struct pipeline;
struct samples;
struct snapshot;

/* Everything borrowed in opts must outlive it. */
int pipeline__new(struct pipeline **ret, const struct pipeline_opts *opts);
/* After pipeline__stop, or before pipeline__start. */
void pipeline__free(struct pipeline *p);

/* The handlers to open a capture with; the context is the pipeline. */
const struct record_ops *pipeline__record_ops(void);
void *pipeline__record_ctx(struct pipeline *p);
/* Before anything is read, and before privileges go: where the run before ended, if this one is
 * durable. */
int pipeline__go_on(struct pipeline *p, struct capture *c);
/* Before pipeline__start: the thread owns the capture from then on, until it was joined. */
int pipeline__start(struct pipeline *p, struct capture *c);

/* I/O side. The queue of sealed batches of one output; level-triggered. */
int pipeline__fd(const struct pipeline *p, size_t output);
/* NULL: none. The caller owns it until pipeline__done. */
struct batch *pipeline__next(struct pipeline *p, size_t output);
/* Gives a batch back, delivered or not to be, and counts it: a sink_done_fn of a pipeline. */
void pipeline__done(void *pipeline, struct batch *b, enum sink_result result);

/* Their I/O side, for what is not above. */
struct outputs *pipeline__outputs(const struct pipeline *p);

/* Takes it over: in force from the thread's next round on. Any thread but the pipeline's. */
void pipeline__use(struct pipeline *p, struct routing *routing);
/* Asks the thread to look at itself in its next round: enum snapshot_what. I/O side. */
void pipeline__ask(struct pipeline *p, unsigned what);
/* CLOCK_BOOTTIME ns. */
struct pipeline_health {
	uint64_t round_ns; /* when the thread's last round began; 0: none did */
	uint64_t full_ns;  /* since when the ring is nearly full; 0: it is not */
};

/* Any thread. */
void pipeline__health(const struct pipeline *p, struct pipeline_health *ret);
/* Readable when a snapshot is there. */
int pipeline__snapshot_fd(const struct pipeline *p);
/* The newest one, the caller's; NULL: none. */
struct snapshot *pipeline__snapshot(struct pipeline *p);

/* After pipeline__join: what is in force. */
const struct routing *pipeline__routing(const struct pipeline *p);

/*
 * Drains what is in the ring, delivers what is open, then the descriptor of pipeline__stopped_fd
 * becomes readable; at the latest after `deadline_ns` from now. Again, it may be earlier. Any
 * thread.
 */
void pipeline__stop(struct pipeline *p, uint64_t deadline_ns);
int pipeline__stopped_fd(const struct pipeline *p);
/* After pipeline__join: lines that were neither delivered nor spooled by the end, and how many of
 * them the ring has. */
size_t pipeline__undelivered(const struct pipeline *p, size_t *ret_in_ring);
/* What the kernel side lost or refused: for the page and for --stats. */
void pipeline__count_losses(struct samples *to, const struct capture_counters *c);
/* Waits for the thread; nothing to do when there is none. */
void pipeline__join(struct pipeline *p);

#endif
