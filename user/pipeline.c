/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One round: acknowledgements, the ring, what is parked, batches by age; then sleep. While lines
 * come the thread looks every ROUND_NS, so that the writers never pay for a wake-up; after
 * IDLE_ROUNDS empty rounds it asks the kernel to be woken by the next record and sleeps for as long
 * as nothing is due.
 *
 * The position to commit is the least that an open or an unacknowledged batch needs; where another
 * run follows (durable.h), the newest mark below that at which it can go on. Without one, parked
 * and half lines, and those that stages hold, are copies and hold nothing.
 */
#include "pipeline.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "durable.h"
#include "canary.h"
#include "status/snapshot.h"
#include "streams/streams.h"

#define ROUND_NS (10 * NS_PER_MS)
#define ROUND_BYTES (4u * 1024 * 1024)
#define IDLE_ROUNDS 10
#define ASKED 0x80000000u
#define CLOCK_CHECK_NS (10 * NS_PER_SEC)

struct pipeline {
	struct pipeline_opts opts;
	struct capture *capture;
	struct streams *streams;
	struct outputs *outputs;
	struct durable *durable; /* NULL: not asked for */
	struct clock_anchor anchor;
	pthread_t thread;
	bool started;
	_Atomic(struct routing *) next_routing; /* NULL: none */
	_Atomic unsigned asked;		     /* what a snapshot is to have, with ASKED; 0: none */
	_Atomic(struct snapshot *) snapshot; /* NULL: none, or it was taken */
	int use_fd;		     /* eventfd: there is something of these for the thread */
	int snapshot_fd;	     /* eventfd: there is a snapshot */
	int stop_fd;		     /* eventfd: somebody asked for the end */
	int stopped_fd;		     /* eventfd: the thread is through */
	_Atomic uint64_t stop_at_ns; /* CLOCK_BOOTTIME; 0: not asked for */
	size_t at_risk;		     /* of the next */
	size_t undelivered;	     /* lines, at the end */
	size_t ring_bytes;
	size_t round_bytes; /* read at once, at most */
	unsigned idle_rounds;
	uint64_t clock_checked_ns;
	struct canary *canary;	   /* NULL: none */
	_Atomic uint64_t round_ns; /* when the last round began */
	_Atomic uint64_t full_ns;  /* since when the ring is nearly full; 0: it is not */
	bool scan;		   /* containers are to be registered again */
};

static void on_line(void *ctx, struct label_set *set, const struct line *line)
{
	struct pipeline *p = ctx;

	counters__add_alone(p->opts.counters, processed, 1);
	counters__add_alone(p->opts.counters, processed_bytes, line->len);
	outputs__add(p->outputs, set, line);
}

/* It is no container's: rules and stages do not see it. */
static void on_canary(void *ctx, struct label_set *set, const struct line *line)
{
	struct pipeline *p = ctx;

	counters__add_alone(p->opts.counters, canaries, 1);
	outputs__add(p->outputs, set, line);
}

static int kernel_stream(void *ctx, const struct nt_stream_key *key, struct nt_stream *ret)
{
	struct pipeline *p = ctx;

	return p->capture ? capture__stream(p->capture, key, ret) : -ENOENT;
}

static int cgroup_path(void *ctx, uint64_t cgroup_id, char *ret_path, size_t size)
{
	struct pipeline *p = ctx;

	return p->capture ? capture__cgroup_path(p->capture, cgroup_id, ret_path, size) : -ENOENT;
}

static uint64_t misses(void *ctx, enum nt_tap tap)
{
	struct pipeline *p = ctx;

	return p->capture ? capture__misses(p->capture, tap) : 0;
}

static void forget(void *ctx, uint64_t cgroup_id)
{
	struct pipeline *p = ctx;

	if (p->capture)
		capture__forget(p->capture, cgroup_id);
}

static void exclude(void *ctx, uint64_t cgroup_id, bool excluded)
{
	struct pipeline *p = ctx;
	int err = excluded ? capture__exclude(p->capture, cgroup_id)
			   : capture__include(p->capture, cgroup_id);

	p->scan = p->scan || !excluded;
	if (err)
		log_warn("a container cannot be %s: %s", excluded ? "unregistered" : "registered",
			 strerror(-err));
}

static void ring(void *ctx, struct streams_ring *ret)
{
	struct pipeline *p = ctx;

	capture__positions(p->capture, &ret->read, &ret->written);
	ret->events_lost = capture__events_lost(p->capture);
}

static bool lives(void *ctx, uint64_t cgroup_id)
{
	struct pipeline *p = ctx;

	return capture__cgroup_lives(p->capture, cgroup_id);
}

static bool reads(void *ctx, uint32_t tgid)
{
	struct pipeline *p = ctx;

	return p->capture && capture__reads(p->capture, tgid);
}

static bool holds(void *ctx, uint32_t tgid, const struct nt_stream_key *key)
{
	(void)ctx;
	return capture__holds(tgid, key);
}

static void orphans(void *ctx, stream_fn fn, void *arg)
{
	struct pipeline *p = ctx;

	capture__orphans(p->capture, fn, arg);
}

static int make_outputs(struct pipeline *p)
{
	struct outputs_opts opts = {
		.counters = p->opts.counters,
		.anchor = &p->anchor,
		.max_memory = p->opts.max_in_flight,
		.seed = clock__real_ns(),
	};

	memcpy(opts.enabled, p->opts.enabled, sizeof(opts.enabled));
	memcpy(opts.batch, p->opts.batch, sizeof(opts.batch));
	return outputs__new(&p->outputs, &opts);
}

static int make_streams(struct pipeline *p)
{
	const struct streams_opts opts = {
		.registry = p->opts.registry,
		.counters = p->opts.counters,
		.selection = p->opts.selection,
		.routing = p->opts.routing,
		.anchor = &p->anchor,
		.max_line_size = p->opts.max_line_size,
		.park_max_ns = p->opts.park_max_ns,
		.stats = p->opts.stats,
		.uncounted = p->opts.uncounted,
		.line = on_line,
		.kernel_stream = kernel_stream,
		.cgroup_path = cgroup_path,
		.misses = misses,
		.forget = forget,
		.exclude = p->opts.excludes ? exclude : NULL,
		.marks = p->durable ? durable__marks(p->durable) : NULL,
		.ring = ring,
		.lives = lives,
		.reads = reads,
		.holds = holds,
		.orphans = orphans,
		.ctx = p,
	};

	p->opts.routing = NULL;
	return streams__new(&p->streams, &opts);
}

int pipeline__new(struct pipeline **ret, const struct pipeline_opts *opts)
{
	struct pipeline *p = calloc(1, sizeof(*p));
	int err = -ENOMEM;

	if (!p) {
		routing__free(opts->routing);
		return err;
	}
	p->opts = *opts;
	p->anchor = opts->anchor;
	p->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	p->stopped_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	p->use_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	p->snapshot_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->stop_fd < 0 || p->stopped_fd < 0 || p->use_fd < 0 || p->snapshot_fd < 0) {
		err = -errno;
		goto err_out;
	}
	err = make_outputs(p);
	if (err)
		goto err_out;
	err = canary__new(&p->canary, p->opts.host, p->opts.canary_interval_ns);
	if (err)
		goto err_out;
	if (p->opts.durable)
		err = durable__new(&p->durable, p->opts.counters);
	if (err)
		goto err_out;
	err = make_streams(p);
	if (err)
		goto err_out;
	*ret = p;
	return 0;

err_out:
	pipeline__free(p);
	return err;
}

void pipeline__free(struct pipeline *p)
{
	if (!p)
		return;
	canary__free(p->canary);
	streams__free(p->streams);
	durable__free(p->durable);
	routing__free(p->opts.routing);
	routing__free(atomic_load(&p->next_routing));
	snapshot__free(atomic_load(&p->snapshot));
	outputs__free(p->outputs);
	close_p(&p->stop_fd);
	close_p(&p->stopped_fd);
	close_p(&p->use_fd);
	close_p(&p->snapshot_fd);
	free(p);
}

const struct record_ops *pipeline__record_ops(void)
{
	return &streams_record_ops;
}

void *pipeline__record_ctx(struct pipeline *p)
{
	return p->streams;
}

static void check_clock(struct pipeline *p, uint64_t now_ns)
{
	if (now_ns - p->clock_checked_ns < CLOCK_CHECK_NS)
		return;
	p->clock_checked_ns = now_ns;
	if (clock__check(&p->anchor)) {
		counters__add(p->opts.counters, clock_steps, 1);
		log_warn("the wall clock stepped: later lines follow the new time");
		if (durable__is_on(p->durable))
			durable__clock_stepped(p->durable, &p->anchor);
	}
}

static void wake(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_error("cannot wake a thread: %s", strerror(errno));
}

/* Or it would stay readable, and end every wait at once. */
static void settle(int fd)
{
	uint64_t n;

	if (read(fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		log_error("cannot read an eventfd: %s", strerror(errno));
}

static void take_routing(struct pipeline *p)
{
	struct routing *next = atomic_exchange(&p->next_routing, NULL);

	if (next)
		streams__use(p->streams, next);
}

void pipeline__count_losses(struct samples *to, const struct capture_counters *c)
{
	samples__add(to, SAMPLE_COUNTER, "notail_lost_events_total",
		     "registrations and ends that the ring had no room to tell of", c->events_lost);
	samples__add(to, SAMPLE_COUNTER, "notail_streams_refused_total",
		     "streams that were not registered: too many", c->streams_full);
	samples__add(to, SAMPLE_COUNTER, "notail_containers_refused_total",
		     "containers that were not registered: too many", c->cgroups_full);
	samples__add(to, SAMPLE_COUNTER, "notail_lost_notes_total",
		     "notes of writers that the ring had no room for", c->notes_lost);
	samples__add(to, SAMPLE_COUNTER, "notail_recursion_misses_total",
		     "hooks that the kernel skipped", c->recursion_misses);
	samples__add(to, SAMPLE_COUNTER, "notail_ring_left_bytes_total",
		     "of rings of an older notail that could not be taken over: not delivered",
		     c->unread_bytes);
}

static void add_hook(void *arg, const struct capture_hook *hook)
{
	struct samples *to = arg;

	if (hook->misses)
		samples__add_labelled(to, SAMPLE_COUNTER, "notail_hook_recursion_misses_total",
				      "program", hook->name,
				      "calls of a program that the kernel skipped", hook->misses);
	if (!hook->runs)
		return;
	samples__add_labelled(to, SAMPLE_COUNTER, "notail_hook_runs_total", "program", hook->name,
			      "calls of a program, while kernel.bpf_stats_enabled is on",
			      hook->runs);
	samples__add_labels(to, SAMPLE_COUNTER, true, "notail_hook_run_seconds_total",
			    &(struct sample_label){"program", hook->name}, 1,
			    "time in a program, while kernel.bpf_stats_enabled is on",
			    hook->run_ns);
}

static void add_kernel_counters(struct pipeline *p, struct snapshot *to)
{
	struct capture_counters c;

	capture__counters(p->capture, &c);
	atomic_store(&p->opts.counters->corrupt, c.corrupt);
	to->ring_bytes = c.ring_bytes;
	to->ring_used_bytes = c.ring_used_bytes;
	pipeline__count_losses(&to->samples, &c);
	samples__add(&to->samples, SAMPLE_GAUGE, "notail_ring_bytes", "size of the ring",
		     c.ring_bytes);
	samples__add(&to->samples, SAMPLE_GAUGE, "notail_ring_used_bytes",
		     "what of the ring is not delivered yet", c.ring_used_bytes);
	samples__add(&to->samples, SAMPLE_GAUGE, "notail_in_flight_bytes",
		     "memory of batches that are sealed", outputs__memory(p->outputs));
	capture__hook_stats(p->capture, add_hook, &to->samples);
}

/* Not on a line's way: a look at a number when nobody asks. */
static void look_around(struct pipeline *p)
{
	unsigned what = atomic_load_explicit(&p->asked, memory_order_relaxed);
	struct snapshot *new;

	if (!what)
		return;
	what = atomic_exchange(&p->asked, 0) & ~ASKED;
	if (streams__snapshot(p->streams, what, &new))
		return; /* nothing comes: who asked gives up */
	if (what & SNAPSHOT_COUNTERS)
		add_kernel_counters(p, new);
	new->took_ns = clock__boot_ns() - new->boot_ns;
	snapshot__free(atomic_exchange(&p->snapshot, new));
	wake(p->snapshot_fd);
}

static void scan(struct pipeline *p)
{
	int err;

	if (!p->scan)
		return;
	p->scan = false;
	err = capture__scan(p->capture);
	if (err)
		log_warn("containers that are wanted again are not found: %s", strerror(-err));
}

static void note_health(struct pipeline *p, uint64_t now_ns)
{
	bool full = capture__ring_is_full(p->capture);

	atomic_store_explicit(&p->round_ns, now_ns, memory_order_relaxed);
	if (!full)
		atomic_store_explicit(&p->full_ns, 0, memory_order_relaxed);
	else if (!atomic_load_explicit(&p->full_ns, memory_order_relaxed))
		atomic_store_explicit(&p->full_ns, now_ns, memory_order_relaxed);
}

/* Returns how far. */
static uint64_t read_ring(struct pipeline *p, bool room, size_t *ret_bytes)
{
	bool durable = durable__is_on(p->durable);
	uint64_t position;

	if (durable)
		durable__before_read(p->durable);
	*ret_bytes = capture__read(p->capture, room ? p->round_bytes : 0, &position);
	if (durable)
		durable__after_read(p->durable, position);
	return position;
}

/* Returns when that is due again, though nothing is read. */
static uint64_t commit(struct pipeline *p, uint64_t position, uint64_t now_ns)
{
	uint64_t oldest = outputs__oldest(p->outputs);

	if (!durable__is_on(p->durable)) {
		capture__commit(p->capture, MIN(position, oldest));
		return UINT64_MAX;
	}
	capture__commit(p->capture, durable__round(p->durable, position, oldest, now_ns));
	return durable__due_ns(p->durable);
}

/* Returns when something is due next, and what was read in *ret_bytes. */
static uint64_t round_of_work(struct pipeline *p, bool finish, size_t *ret_bytes)
{
	uint64_t now_ns = clock__boot_ns(), position, next_ns, parked_ns, canary_ns;
	uint64_t commit_ns;
	bool room;

	note_health(p, now_ns);
	outputs__take_acknowledgements(p->outputs);
	take_routing(p);
	look_around(p);
	check_clock(p, now_ns);
	room = outputs__have_room(p->outputs);
	position = read_ring(p, room, ret_bytes);
	parked_ns = streams__tick(p->streams, now_ns, room && *ret_bytes < p->round_bytes);
	scan(p);
	/* Who goes on from here ends what is open. */
	if (finish && !*ret_bytes && !durable__is_on(p->durable))
		streams__finish(p->streams);
	canary_ns = canary__tick(p->canary, now_ns, position, on_canary, p);
	next_ns = outputs__seal(p->outputs, now_ns, finish && !*ret_bytes);
	commit_ns = commit(p, position, now_ns);
	outputs__look(p->outputs, position, p->ring_bytes);
	next_ns = MIN(next_ns, capture__due_ns(p->capture));
	next_ns = MIN(next_ns, canary_ns);
	next_ns = MIN(next_ns, commit_ns);
	return MIN(next_ns, parked_ns);
}

static void wait_for_work(struct pipeline *p, uint64_t next_ns, bool idle)
{
	uint64_t now_ns = clock__boot_ns();
	/* The next round takes acknowledgements: each by itself would make a round of its own. */
	bool done = idle || !outputs__have_room(p->outputs);
	struct pollfd fds[] = {
		{.fd = p->stop_fd, .events = POLLIN},
		{.fd = p->use_fd, .events = POLLIN},
		{.fd = done ? outputs__done_fd(p->outputs) : -1, .events = POLLIN},
		{.fd = capture__wake_fd(p->capture), .events = POLLIN},
	};
	struct timespec timeout;

	if (!idle)
		next_ns = MIN(next_ns, now_ns + ROUND_NS);
	next_ns = MIN(next_ns, now_ns + CLOCK_CHECK_NS);
	next_ns -= MIN(next_ns, now_ns);
	timeout.tv_sec = (time_t)(next_ns / NS_PER_SEC);
	timeout.tv_nsec = (long)(next_ns % NS_PER_SEC);
	if (ppoll(fds, ARRAY_SIZE(fds), &timeout, NULL) > 0 && fds[1].revents)
		settle(p->use_fd);
}

/* Until the ring is empty, everything is delivered, or the deadline. */
static void drain(struct pipeline *p)
{
	uint64_t next_ns, deadline_ns;
	size_t bytes, lines;

	do {
		settle(p->stop_fd);
		deadline_ns = atomic_load(&p->stop_at_ns);
		next_ns = round_of_work(p, true, &bytes);
		if (!bytes && !outputs__in_flight(p->outputs, &lines))
			return;
		if (!bytes)
			wait_for_work(p, MIN(next_ns, deadline_ns), false);
	} while (clock__boot_ns() < deadline_ns);
	outputs__in_flight(p->outputs, &p->undelivered);
	p->at_risk = atomic_load(outputs__at_risk(p->outputs));
}

static void *run(void *arg)
{
	struct pipeline *p = arg;
	uint64_t next_ns, one = 1;
	size_t bytes;
	bool idle;

	while (!atomic_load(&p->stop_at_ns)) {
		idle = p->idle_rounds >= IDLE_ROUNDS;
		if (idle)
			capture__wake_at_next(p->capture);
		next_ns = round_of_work(p, false, &bytes);
		p->idle_rounds = bytes ? 0 : MIN(p->idle_rounds + 1, IDLE_ROUNDS);
		if (bytes < p->round_bytes)
			wait_for_work(p, next_ns, idle && !bytes);
	}
	drain(p);
	streams__print_open(p->streams);
	if (write(p->stopped_fd, &one, sizeof(one)) < 0)
		log_error("cannot say that capture stopped: %s", strerror(errno));
	return NULL;
}

int pipeline__go_on(struct pipeline *p, struct capture *c)
{
	p->capture = c;
	return p->durable ? durable__start(p->durable, c, p->streams, &p->anchor) : 0;
}

int pipeline__start(struct pipeline *p, struct capture *c)
{
	struct capture_counters counters;
	int err;

	p->capture = c;
	capture__counters(c, &counters);
	p->ring_bytes = counters.ring_bytes;
	p->round_bytes = ROUND_BYTES;
	if (durable__is_on(p->durable))
		p->round_bytes = MIN(p->round_bytes, durable__read_bytes(p->durable));
	err = -pthread_create(&p->thread, NULL, run, p);
	if (err)
		return err;
	p->started = true;
	return 0;
}

int pipeline__fd(const struct pipeline *p, size_t output)
{
	return outputs__fd(p->outputs, output);
}

struct batch *pipeline__next(struct pipeline *p, size_t output)
{
	return outputs__next(p->outputs, output);
}

void pipeline__done(void *pipeline, struct batch *b, enum sink_result result)
{
	struct pipeline *p = pipeline;

	outputs__done(p->outputs, b, result);
}

struct outputs *pipeline__outputs(const struct pipeline *p)
{
	return p->outputs;
}

void pipeline__use(struct pipeline *p, struct routing *routing)
{
	/* One that the thread has not seen yet was never in force. */
	routing__free(atomic_exchange(&p->next_routing, routing));
	wake(p->use_fd);
}

void pipeline__ask(struct pipeline *p, unsigned what)
{
	atomic_fetch_or(&p->asked, what | ASKED);
	wake(p->use_fd);
}

void pipeline__health(const struct pipeline *p, struct pipeline_health *ret)
{
	ret->round_ns = atomic_load_explicit(&p->round_ns, memory_order_relaxed);
	ret->full_ns = atomic_load_explicit(&p->full_ns, memory_order_relaxed);
}

int pipeline__snapshot_fd(const struct pipeline *p)
{
	return p->snapshot_fd;
}

struct snapshot *pipeline__snapshot(struct pipeline *p)
{
	settle(p->snapshot_fd);
	return atomic_exchange(&p->snapshot, NULL);
}

const struct routing *pipeline__routing(const struct pipeline *p)
{
	return streams__routing(p->streams);
}

size_t pipeline__undelivered(const struct pipeline *p, size_t *ret_in_ring)
{
	*ret_in_ring = p->undelivered - MIN(p->undelivered, p->at_risk);
	return p->undelivered;
}

void pipeline__stop(struct pipeline *p, uint64_t deadline_ns)
{
	uint64_t at_ns = clock__boot_ns() + deadline_ns, one = 1;
	uint64_t was_ns = atomic_load(&p->stop_at_ns);

	if (!was_ns || at_ns < was_ns)
		atomic_store(&p->stop_at_ns, at_ns);
	if (write(p->stop_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_error("cannot stop capture: %s", strerror(errno));
}

int pipeline__stopped_fd(const struct pipeline *p)
{
	return p->stopped_fd;
}

void pipeline__join(struct pipeline *p)
{
	if (!p || !p->started)
		return;
	pthread_join(p->thread, NULL);
	p->started = false;
}
