/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "batch/request.h"
#include "delivery/delivery.h"
#include "delivery/fake_spool.h"
#include "io/loop.h"
#include "status/counters.h"

#define MAX_CLIENTS 2
#define MAX_SENT 8192
#define MINUTE_NS (60 * NS_PER_SEC)
#define REAL_NS (1795236000 * NS_PER_SEC)
#define MEMORY (1u << 20)

static uint64_t now_ns, real_ns;

static uint64_t boot_clock(void)
{
	return now_ns;
}

static uint64_t real_clock(void)
{
	return real_ns;
}

struct sink {
	struct world *w;
	struct delivery_client *client;
	struct batch *has[MAX_SENT]; /* in order, from `done` on */
	size_t n, done;
	bool failing;
};

struct world {
	struct loop *loop;
	struct delivery *d;
	struct counters counters;
	_Atomic size_t memory, at_risk;
	struct sink sinks[MAX_CLIENTS];
	struct delivery_client *clients[MAX_CLIENTS];
	size_t n_clients;
	struct backlog *backlog;
	size_t n_told;
	size_t n_safe, n_made;
	uint64_t safe[MAX_SENT]; /* sequences */
};

static void on_send(void *ctx, struct batch *b)
{
	struct sink *s = ctx;

	assert_true(s->n < MAX_SENT);
	s->has[s->n++] = b;
}

static bool is_failing(void *ctx)
{
	return ((struct sink *)ctx)->failing;
}

static void on_safe(void *ctx, struct batch *b)
{
	struct world *w = ctx;

	w->safe[w->n_safe++] = b->sequence;
	batch__free(b);
}

static void on_backlog(void *ctx, struct backlog *b)
{
	struct world *w = ctx;

	free(w->backlog);
	w->backlog = b;
	w->n_told++;
}

static const struct delivery_ops OPS = {.safe = on_safe, .backlog = on_backlog};

static void setup(struct world *w, size_t n_clients, struct delivery_opts opts)
{
	memset(w, 0, sizeof(*w));
	n_fakes = 0;
	now_ns = 1000 * NS_PER_SEC;
	real_ns = REAL_NS;
	assert_int_equal(loop__new(&w->loop), 0);
	opts.loop = w->loop;
	opts.counters = &w->counters;
	opts.memory = &w->memory;
	opts.at_risk = &w->at_risk;
	opts.max_memory = opts.max_memory ? opts.max_memory : MEMORY;
	opts.n_clients = n_clients;
	opts.boot_ns = boot_clock;
	opts.real_ns = real_clock;
	opts.ops = &OPS;
	opts.ctx = w;
	assert_int_equal(delivery__new(&w->d, &opts), 0);
	w->n_clients = n_clients;
	for (size_t i = 0; i < n_clients; i++) {
		const struct delivery_client_opts client = {
			.key = i ? "b" : "a",
			.send = on_send,
			.failing = is_failing,
			.ctx = &w->sinks[i],
		};

		w->sinks[i].w = w;
		assert_int_equal(delivery__add_client(w->d, &client, &w->clients[i]), 0);
		w->sinks[i].client = w->clients[i];
	}
	now_ns += 10 * NS_PER_SEC;
}

/* The real one is not looked at: any address says that there is one. */
static struct delivery_opts with_spool(void)
{
	return (struct delivery_opts){.spool = (struct spool *)&OPS, .durable = true};
}

static void teardown(struct world *w)
{
	delivery__close(w->d);
	for (size_t i = 0; i < w->n_clients; i++) {
		struct sink *s = &w->sinks[i];

		while (s->done < s->n)
			delivery__sent(s->client, s->has[s->done++], SINK_UNDELIVERED);
	}
	delivery__free(w->d);
	loop__free(w->loop);
	free(w->backlog);
	assert_int_equal(w->memory, 0);
	assert_int_equal(w->at_risk, 0);
}

static void pass(struct world *w, uint64_t ns)
{
	now_ns += ns;
	real_ns += ns;
	delivery__tick(w->d);
}

/* Of 1 or 2 streams (0: none), with `len` bytes; its place in the ring is its sequence. */
static struct batch *make(struct world *w, uint64_t a, uint64_t b, size_t len)
{
	struct batch *batch = calloc(1, sizeof(*batch));

	batch->sequence = batch->oldest_pos = ++w->n_made;
	batch->sealed_ns = now_ns;
	batch->lines = 10;
	batch->log_bytes = 1000;
	batch->oldest_ns = batch->newest_ns = real_ns;
	batch->streams = calloc(2, sizeof(*batch->streams));
	for (uint64_t s = 0; s < 2; s++)
		if (s ? b : a)
			batch->streams[batch->n_streams++] = s ? b : a;
	batch->payload.data = calloc(1, len);
	batch->payload.len = batch->payload.size = len;
	memcpy(batch->payload.data, &batch->sequence, MIN(len, sizeof(batch->sequence)));
	batch__account(batch, &w->memory);
	return batch;
}

static void give(struct world *w, struct batch *b)
{
	delivery__submit(w->d, b, w->clients, w->n_clients);
}

static void submit(struct world *w, uint64_t stream)
{
	give(w, make(w, stream, 0, 100));
}

static uint64_t name(const struct batch *b)
{
	uint64_t sequence;

	memcpy(&sequence, b->payload.data, sizeof(sequence));
	return sequence;
}

/* Loki has the oldest one that it was sent; which one that was. */
static uint64_t take(struct sink *s)
{
	struct batch *b;
	uint64_t sequence;

	assert_true(s->done < s->n);
	b = s->has[s->done++];
	sequence = name(b);
	delivery__sent(s->client, b, SINK_DELIVERED);
	return sequence;
}

static void assert_sent(const struct sink *s, size_t n)
{
	assert_int_equal(s->n - s->done, n);
}

static struct delivery_stats stats(struct world *w, size_t client)
{
	struct delivery_stats s;

	delivery_client__stats(w->clients[client], &s);
	return s;
}

static void test_live(void **state _unused_)
{
	struct world w;

	setup(&w, 1, with_spool());
	for (uint64_t i = 1; i <= 20; i++)
		submit(&w, i % 3 + 1);
	assert_sent(&w.sinks[0], 8);
	assert_int_equal(w.n_safe, 0);
	for (uint64_t i = 1; i <= 20; i++) {
		assert_int_equal(take(&w.sinks[0]), i);
		assert_int_equal(w.n_safe, i);
	}
	assert_sent(&w.sinks[0], 0);
	assert_int_equal(fakes[0]->n, 0);
	assert_int_equal(w.n_told, 0);
	teardown(&w);
}

/* One that is down takes nothing from the other, and holds the ring. */
static void test_two_clients(void **state _unused_)
{
	struct world w;

	setup(&w, 2, with_spool());
	w.sinks[1].failing = true;
	for (uint64_t i = 1; i <= 30; i++) {
		submit(&w, 1);
		assert_int_equal(take(&w.sinks[0]), i);
	}
	assert_int_equal(w.n_safe, 0);
	assert_int_equal(stats(&w, 1).queued_batches, 30);
	assert_int_equal(stats(&w, 0).queued_batches, 0);
	delivery__want(w.d, 21);
	assert_int_equal(fakes[0]->n, 0);
	fake__write(fakes[1]);
	assert_int_equal(w.n_safe, 20);
	assert_int_equal(stats(&w, 1).spooled_lines, 200);
	for (uint64_t i = 1; i <= 30; i++)
		assert_int_equal(take(&w.sinks[1]), i);
	assert_int_equal(w.n_safe, 30);
	assert_true(spool_queue__empty(fakes[1]));
	teardown(&w);
}

static void test_tenants(void **state _unused_)
{
	struct batch *b;
	struct world w;

	setup(&w, 1, with_spool());
	for (uint64_t i = 1; i <= 20; i++)
		submit(&w, i);
	b = make(&w, 30, 0, 100);
	b->tenant = strdup("shop");
	give(&w, b);
	assert_sent(&w.sinks[0], 9);
	assert_int_equal(name(w.sinks[0].has[8]), 21);
	teardown(&w);
}

/* What the sink has is written, and not sent again when it gets through. */
static void test_ring_is_wanted(void **state _unused_)
{
	struct world w;

	setup(&w, 1, with_spool());
	w.sinks[0].failing = true;
	for (uint64_t i = 1; i <= 20; i++)
		submit(&w, 1);
	delivery__want(w.d, 11);
	assert_int_equal(fakes[0]->n, 10);
	assert_int_equal(w.n_safe, 0);
	fake__write(fakes[0]);
	assert_int_equal(w.n_safe, 10);
	for (uint64_t i = 0; i < 10; i++)
		assert_int_equal(w.safe[i], i + 1);
	submit(&w, 1);
	assert_true(stats(&w, 0).backlog);
	for (uint64_t i = 1; i <= 21; i++)
		assert_int_equal(take(&w.sinks[0]), i);
	assert_sent(&w.sinks[0], 0);
	assert_int_equal(w.n_safe, 21);
	assert_true(spool_queue__empty(fakes[0]));
	assert_false(stats(&w, 0).backlog);
	teardown(&w);
}

/* Streams without a backlog go live; the capture thread knows which have one. */
static void test_backlog(void **state _unused_)
{
	struct world w;

	setup(&w, 1, with_spool());
	for (uint64_t i = 1; i <= 20; i++)
		submit(&w, i % 2 + 1);
	delivery__want(w.d, 21);
	fake__write(fakes[0]);
	pass(&w, NS_PER_SEC);
	assert_int_equal(w.n_safe, 20);
	assert_non_null(w.backlog);
	assert_int_equal(w.backlog->n, 2);
	assert_true(backlog__has(w.backlog, 1) && backlog__has(w.backlog, 2));
	assert_false(backlog__has(w.backlog, 3));
	for (uint64_t i = 1; i <= 4; i++)
		assert_int_equal(take(&w.sinks[0]), i);
	submit(&w, 1); /* 21 */
	give(&w, make(&w, 3, 0, 100));
	give(&w, make(&w, 3, 2, 100)); /* 23 has one of both */
	give(&w, make(&w, 3, 0, 100)); /* 24: behind that */
	for (uint64_t i = 5; i <= 12; i++)
		assert_int_equal(take(&w.sinks[0]), i);
	assert_int_equal(take(&w.sinks[0]), 22); /* before what was in the backlog already */
	for (uint64_t i = 13; i <= 21; i++)
		assert_int_equal(take(&w.sinks[0]), i);
	assert_int_equal(take(&w.sinks[0]), 23);
	assert_int_equal(take(&w.sinks[0]), 24);
	pass(&w, NS_PER_SEC);
	assert_null(w.backlog);
	assert_int_equal(w.n_safe, 24);
	teardown(&w);
}

/* What goes past the backlog is left to the sink, or the next lines of its stream would wait. */
static void test_ring_is_wanted_while_draining(void **state _unused_)
{
	struct world w;

	setup(&w, 1, with_spool());
	for (uint64_t i = 1; i <= 20; i++)
		submit(&w, 1);
	delivery__want(w.d, 21);
	fake__write(fakes[0]);
	submit(&w, 2); /* 21 */
	submit(&w, 1);
	delivery__want(w.d, 23);
	fake__write(fakes[0]);
	assert_int_equal(fakes[0]->n, 21);
	assert_int_equal(w.n_safe, 21);
	submit(&w, 2); /* 23: live, as the one before it */
	assert_int_equal(stats(&w, 0).queued_batches, 10);
	give(&w, make(&w, 1, 2, 100)); /* 24: not without those two */
	delivery__want(w.d, 25);
	fake__write(fakes[0]);
	assert_int_equal(fakes[0]->n, 24);
	assert_int_equal(fakes[0]->records[21]->r.streams[0], 2);
	assert_int_equal(fakes[0]->records[22]->r.streams[0], 2);
	assert_int_equal(w.n_safe, 24);
	submit(&w, 3); /* 25 */
	delivery__want(w.d, 26);
	assert_int_equal(fakes[0]->n, 24);
	delivery__press(w.d, 26);
	assert_int_equal(fakes[0]->n, 25);
	fake__write(fakes[0]);
	submit(&w, 4); /* 26 */
	w.sinks[0].failing = true;
	delivery__want(w.d, 27);
	assert_int_equal(fakes[0]->n, 26);
	teardown(&w);
}

static void test_memory(void **state _unused_)
{
	struct world w;

	setup(&w, 1, with_spool()); /* a share of 768 KiB */
	w.sinks[0].failing = true;
	for (uint64_t i = 1; i <= 40; i++) {
		give(&w, make(&w, 1, 0, 64 << 10));
		fake__write(fakes[0]);
		assert_true(w.memory < MEMORY);
	}
	assert_true(stats(&w, 0).spool_batches > 20);
	for (uint64_t i = 1; i <= 40; i++)
		assert_int_equal(take(&w.sinks[0]), i);
	assert_int_equal(w.n_safe, 40);
	assert_int_equal(w.memory, 0);
	teardown(&w);
}

/* Small ones are many before they are much. */
static void test_many(void **state _unused_)
{
	struct world w;

	setup(&w, 1, with_spool());
	for (uint64_t i = 1; i <= 1500; i++) {
		submit(&w, 1);
		fake__write(fakes[0]);
		assert_true(stats(&w, 0).queued_batches <= 1040);
	}
	assert_true(stats(&w, 0).spool_batches > 200);
	for (uint64_t i = 1; i <= 1500; i++)
		assert_int_equal(take(&w.sinks[0]), i);
	teardown(&w);
	setup(&w, 2, (struct delivery_opts){.durable = true});
	for (uint64_t i = 1; i <= 600; i++) {
		submit(&w, 1);
		take(&w.sinks[0]);
	}
	assert_true(w.n_safe > 500); /* the ring is free, and memory has them */
	for (uint64_t i = 1; i <= 600; i++)
		assert_int_equal(take(&w.sinks[1]), i);
	teardown(&w);
}

/* One alone: the ring holds it, if that is worth something. */
static void test_no_spool(void **state _unused_)
{
	struct world w;

	setup(&w, 1, (struct delivery_opts){.durable = true});
	w.sinks[0].failing = true;
	for (uint64_t i = 1; i <= 40; i++)
		give(&w, make(&w, 1, 0, 64 << 10));
	delivery__want(w.d, 30);
	assert_int_equal(w.n_safe, 0);
	for (uint64_t i = 1; i <= 40; i++)
		assert_int_equal(take(&w.sinks[0]), i);
	teardown(&w);
	setup(&w, 1, (struct delivery_opts){.durable = false});
	for (uint64_t i = 1; i <= 20; i++)
		submit(&w, 1);
	delivery__want(w.d, 11);
	assert_int_equal(w.n_safe, 10);
	assert_int_equal(w.at_risk, 100);
	for (uint64_t i = 1; i <= 20; i++)
		assert_int_equal(take(&w.sinks[0]), i);
	assert_int_equal(w.n_safe, 20);
	assert_int_equal(w.at_risk, 0);
	teardown(&w);
	assert_int_equal(w.counters.dropped_undelivered, 0);
}

/* Of several, one that is down loses its oldest, and one that is slow nothing. */
static void test_no_spool_for_two(void **state _unused_)
{
	struct world w;
	uint64_t i, last;

	setup(&w, 2, (struct delivery_opts){.durable = true}); /* 384 KiB each */
	w.sinks[1].failing = true;
	for (i = 1; i <= 20; i++) {
		give(&w, make(&w, 1, 0, 64 << 10));
		delivery__want(w.d, i);
		assert_int_equal(take(&w.sinks[0]), i);
	}
	assert_int_equal(w.counters.dropped_queue_full, stats(&w, 1).dropped_lines);
	assert_in_range(w.counters.dropped_queue_full, 100, 190);
	assert_true(w.n_safe >= 18);
	w.sinks[1].failing = false;
	last = 0;
	for (i = 0; w.sinks[1].done < w.sinks[1].n; i++) {
		uint64_t taken = take(&w.sinks[1]);

		assert_true(taken > last);
		last = taken;
	}
	assert_int_equal(last, 20);
	assert_int_equal(i * 10 + w.counters.dropped_queue_full, 200);
	for (i = 21; i <= 40; i++)
		give(&w, make(&w, 1, 0, 64 << 10));
	assert_int_equal(i * 0 + stats(&w, 0).dropped_lines, 0);
	teardown(&w);
}

/* A disk that fails costs nothing while there is memory. */
static void test_spool_fails(void **state _unused_)
{
	struct world w;

	setup(&w, 1, with_spool());
	w.sinks[0].failing = true;
	for (uint64_t i = 1; i <= 20; i++)
		submit(&w, 1);
	delivery__want(w.d, 16);
	assert_true(fake__write_one(fakes[0], 0));
	fakes[0]->state = SPOOL_FAILED;
	while (fake__write_one(fakes[0], -ENOSPC))
		;
	assert_int_equal(w.n_safe, 1);
	fake__become(fakes[0], SPOOL_FAILED);
	pass(&w, 2 * NS_PER_SEC);
	assert_int_equal(w.n_safe, 1);
	fake__become(fakes[0], SPOOL_READY);
	fake__write(fakes[0]);
	assert_int_equal(w.n_safe, 15);
	for (uint64_t i = 1; i <= 20; i++)
		assert_int_equal(take(&w.sinks[0]), i);
	assert_int_equal(w.n_safe, 20);
	assert_true(spool_queue__empty(fakes[0]));
	teardown(&w);
}

static void test_end(void **state _unused_)
{
	struct world w;

	setup(&w, 2, with_spool());
	for (uint64_t i = 1; i <= 10; i++)
		submit(&w, 1);
	w.sinks[1].failing = true;
	delivery__end(w.d, now_ns + 5 * NS_PER_SEC);
	assert_int_equal(fakes[0]->n, 0);
	assert_int_equal(fakes[1]->n, 10);
	fake__write(fakes[1]);
	submit(&w, 2);
	assert_int_equal(fakes[1]->n, 11);
	assert_int_equal(take(&w.sinks[0]), 1);
	assert_int_equal(w.n_safe, 1);
	pass(&w, 5 * NS_PER_SEC);
	fake__write(fakes[0]);
	fake__write(fakes[1]);
	assert_int_equal(fakes[0]->n, 10);
	assert_int_equal(w.n_safe, 11);
	teardown(&w);
	assert_int_equal(w.counters.dropped_undelivered, 0);
}

static void test_not_delivered(void **state _unused_)
{
	struct world w;

	setup(&w, 1, (struct delivery_opts){.durable = false});
	for (uint64_t i = 1; i <= 10; i++)
		submit(&w, 1);
	teardown(&w);
	assert_int_equal(w.counters.dropped_undelivered, 100);
	setup(&w, 1, (struct delivery_opts){.durable = true});
	for (uint64_t i = 1; i <= 10; i++)
		submit(&w, 1);
	teardown(&w);
	assert_int_equal(w.counters.dropped_undelivered, 0); /* the ring has them */
}

static void test_refused(void **state _unused_)
{
	struct world w;
	struct sink *s = &w.sinks[0];

	setup(&w, 1, with_spool());
	submit(&w, 1);
	delivery__sent(s->client, s->has[s->done++], SINK_REFUSED);
	assert_int_equal(w.n_safe, 1);
	assert_int_equal(w.counters.dropped_refused, 10);
	teardown(&w);
}

static void test_drain_rate(void **state _unused_)
{
	struct delivery_opts opts = with_spool();
	struct world w;

	opts.drain_rate = 500; /* a batch in two seconds */
	setup(&w, 1, opts);
	for (uint64_t i = 1; i <= 12; i++)
		submit(&w, 1);
	delivery__want(w.d, 100);
	fake__write(fakes[0]);
	for (uint64_t i = 1; i <= 8; i++)
		assert_int_equal(take(&w.sinks[0]), i);
	for (uint64_t i = 9; i <= 12; i++) {
		assert_sent(&w.sinks[0], 1);
		assert_int_equal(take(&w.sinks[0]), i);
		pass(&w, 19 * NS_PER_SEC / 10);
		assert_sent(&w.sinks[0], 0);
		pass(&w, NS_PER_SEC / 10);
	}
	teardown(&w);
}

static struct spool_record record(uint64_t *sequence, const uint64_t *streams, size_t n)
{
	return (struct spool_record){
		.payload = (char *)sequence,
		.len = sizeof(*sequence),
		.lines = 1,
		.sequence = 77,
		.streams = streams,
		.n_streams = n,
	};
}

/* What another process left comes first. */
static void test_leftovers(void **state _unused_)
{
	static uint64_t names[] = {1001, 1002}, streams[] = {1, 2};
	struct world w;

	fake_first_state = SPOOL_LOADING;
	setup(&w, 1, with_spool());
	fake_first_state = SPOOL_READY;
	submit(&w, 1);
	submit(&w, 3);
	assert_sent(&w.sinks[0], 0);
	for (size_t i = 0; i < 2; i++) {
		struct spool_record r = record(&names[i], streams, 2);

		fakes[0]->records[i] = fake__copy(&r);
		fakes[0]->records[i]->place = FAKE_HELD;
		fakes[0]->n++;
	}
	fake__become(fakes[0], SPOOL_READY);
	assert_int_equal(take(&w.sinks[0]), 2);
	assert_int_equal(take(&w.sinks[0]), 1001);
	assert_int_equal(take(&w.sinks[0]), 1002);
	assert_int_equal(take(&w.sinks[0]), 1);
	assert_int_equal(w.n_safe, 2);
	assert_true(spool_queue__empty(fakes[0]));
	teardown(&w);
}

#define LABELS_A "{app=\"a\"}"
#define LABELS_B "{app=\"b\"}"

/* Two streams, one entry each, some minutes old. */
static struct batch *real_batch(struct world *w, uint64_t minutes)
{
	struct batch *b = make(w, 0, 0, 8);
	/* An EntryAdapter: timestamp {seconds: 1}, line "x". */
	static const char entry[] = "\x0a\x02\x08\x01\x12\x01x";
	struct request_stream streams[] = {{{LABELS_A, sizeof(LABELS_A) - 1}, 0, 1},
					   {{LABELS_B, sizeof(LABELS_B) - 1}, 1, 1}};
	struct request_entry entries[2];
	struct request r = {.streams = streams, .n_streams = 2, .entries = entries, .n_entries = 2};
	struct request_sealed sealed;

	for (uint32_t i = 0; i < 2; i++)
		entries[i] = (struct request_entry){.time_ns = NS_PER_SEC,
						    .line = entry + 6,
						    .body = entry,
						    .line_len = 1,
						    .body_len = sizeof(entry) - 1,
						    .stream = i};
	assert_int_equal(request__seal(&r, NULL, NULL, &sealed), 0);
	buf__free(&b->payload);
	b->payload = sealed.payload;
	b->lines = 2;
	b->oldest_ns = b->newest_ns = real_ns - minutes * MINUTE_NS;
	b->n_streams = 2;
	b->streams[0] = request__labels_hash(LABELS_A, sizeof(LABELS_A) - 1);
	b->streams[1] = request__labels_hash(LABELS_B, sizeof(LABELS_B) - 1);
	return b;
}

static void assert_labels(const struct batch *b, size_t stream, const char *labels)
{
	struct request r;

	assert_int_equal(request__open(&r, b->payload.data, b->payload.len, 1 << 20), 0);
	assert_true(stream < r.n_streams);
	assert_int_equal(r.streams[stream].labels.len, strlen(labels));
	assert_memory_equal(r.streams[stream].labels.data, labels, strlen(labels));
	request__close(&r);
}

static void take_all(struct sink *s)
{
	while (s->done < s->n)
		delivery__sent(s->client, s->has[s->done++], SINK_DELIVERED);
}

/* So many batches that the sink has no room, and all in the spool; the last is of `b`. */
static void fill(struct world *w, struct batch *b)
{
	for (size_t i = 0; i < 8; i++)
		submit(w, 9);
	b->oldest_pos = 9;
	give(w, b);
	delivery__want(w->d, 10);
	fake__write(fakes[0]);
	assert_sent(&w->sinks[0], 8);
	pass(w, NS_PER_SEC);
}

static void test_live_first(void **state _unused_)
{
	struct delivery_opts opts = with_spool();
	struct world w;

	opts.order = DELIVERY_LIVE_FIRST;
	setup(&w, 1, opts);
	fill(&w, real_batch(&w, 40));
	assert_null(w.backlog); /* nobody waits behind it */
	take(&w.sinks[0]);
	give(&w, real_batch(&w, 0)); /* younger than 45 minutes: live */
	take_all(&w.sinks[0]);
	assert_int_equal(w.sinks[0].n, 8 + 1 + 2); /* a stream each: they may be too old */
	assert_int_equal(w.n_safe, 10);
	assert_true(spool_queue__empty(fakes[0]));
	teardown(&w);
	setup(&w, 1, opts);
	fill(&w, real_batch(&w, 46));
	assert_non_null(w.backlog);
	give(&w, real_batch(&w, 0));
	assert_int_equal(stats(&w, 0).queued_batches, 9); /* in order, then */
	take_all(&w.sinks[0]);
	assert_int_equal(w.n_safe, 10);
	teardown(&w);
}

static void test_backfill(void **state _unused_)
{
	struct delivery_opts opts = with_spool();
	struct world w;

	opts.order = DELIVERY_BACKFILL;
	setup(&w, 1, opts);
	fill(&w, real_batch(&w, 600));
	take(&w.sinks[0]);
	take(&w.sinks[0]);
	take(&w.sinks[0]);
	assert_int_equal(w.sinks[0].n, 9);
	assert_labels(w.sinks[0].has[8], 0, "{app=\"a\", backfill=\"true\"}");
	assert_labels(w.sinks[0].has[8], 1, "{app=\"b\", backfill=\"true\"}");
	assert_int_equal(w.sinks[0].has[8]->n_streams, 2);
	take_all(&w.sinks[0]);
	assert_true(spool_queue__empty(fakes[0]));
	teardown(&w);
}

struct random {
	uint64_t seed;
};

static unsigned pick(struct random *r, unsigned n)
{
	r->seed = r->seed * 6364136223846793005 + 1442695040888963407;
	return (unsigned)(r->seed >> 33) % n;
}

#define STREAMS 6

/* Delivers one that shares no stream with one before it, as the sink may. */
static void take_any(struct sink *s, struct random *r, uint64_t newest[STREAMS], size_t *n)
{
	size_t at = s->done + pick(r, (unsigned)MIN(s->n - s->done, (size_t)3));
	struct batch *b = s->has[at];

	for (size_t i = s->done; i < at; i++)
		if (batch__shares_stream(s->has[i], b))
			return;
	memmove(s->has + s->done + 1, s->has + s->done, (at - s->done) * sizeof(b));
	s->done++;
	for (size_t i = 0; i < b->n_streams; i++) {
		assert_true(name(b) > newest[b->streams[i] - 1]);
		newest[b->streams[i] - 1] = name(b);
	}
	++*n;
	delivery__sent(s->client, b, SINK_DELIVERED);
}

/* Whatever comes when: each batch once, and each stream in order. */
static void random_events(uint64_t seed)
{
	uint64_t newest[MAX_CLIENTS][STREAMS] = {0};
	size_t taken[MAX_CLIENTS] = {0};
	struct random r = {seed};
	struct world w;

	setup(&w, 2, with_spool());
	for (unsigned i = 0; i < 1500; i++) {
		unsigned c = pick(&r, 2), what = pick(&r, 100);
		struct sink *s = &w.sinks[c];

		if (what < 35 && w.n_made < 500)
			give(&w, make(&w, 1 + pick(&r, STREAMS / 2),
				      pick(&r, 3) ? 0 : 1 + STREAMS / 2 + pick(&r, STREAMS / 2),
				      100 + pick(&r, 40000)));
		else if (what < 65 && s->done < s->n && !s->failing)
			take_any(s, &r, newest[c], &taken[c]);
		else if (what < 80)
			fake__write_one(fakes[c], pick(&r, 10) ? 0 : -ENOBUFS);
		else if (what < 85)
			(pick(&r, 3) ? delivery__want : delivery__press)(
				w.d, w.n_made + 1 - pick(&r, 10) % (w.n_made + 1));
		else if (what < 90)
			s->failing = !s->failing;
		else
			pass(&w, pick(&r, 1000) * NS_PER_MS);
	}
	for (unsigned i = 0; w.n_safe < w.n_made || taken[0] + taken[1] < 2 * w.n_made; i++) {
		struct sink *s = &w.sinks[i % 2];

		assert_true(i < 100000);
		s->failing = false;
		fake__write(fakes[i % 2]);
		if (s->done < s->n)
			take_any(s, &r, newest[i % 2], &taken[i % 2]);
		pass(&w, NS_PER_MS);
	}
	pass(&w, NS_PER_SEC);
	assert_int_equal(taken[0], w.n_made);
	assert_int_equal(taken[1], w.n_made);
	assert_true(spool_queue__empty(fakes[0]) && spool_queue__empty(fakes[1]));
	assert_null(w.backlog);
	teardown(&w);
}

static void test_random_events(void **state _unused_)
{
	for (uint64_t seed = 1; seed <= 40; seed++)
		random_events(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_live),
		cmocka_unit_test(test_two_clients),
		cmocka_unit_test(test_tenants),
		cmocka_unit_test(test_ring_is_wanted),
		cmocka_unit_test(test_backlog),
		cmocka_unit_test(test_ring_is_wanted_while_draining),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_no_spool),
		cmocka_unit_test(test_no_spool_for_two),
		cmocka_unit_test(test_spool_fails),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_not_delivered),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_drain_rate),
		cmocka_unit_test(test_leftovers),
		cmocka_unit_test(test_live_first),
		cmocka_unit_test(test_backfill),
		cmocka_unit_test(test_random_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
