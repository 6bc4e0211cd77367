/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pushes lines that it makes itself, as notail would: batcher and Loki sink, and what they counted
 * as JSON in the end.
 *
 *     push URL LINES STREAMS [option=value...] <LIST
 *
 * Line n says `n` and is of stream n % STREAMS, a nanosecond younger than the one before it. LIST
 * has lines `N AGE_S PAIRS LEN`: line N is so much older, has so many pairs of metadata, and is
 * padded to LEN bytes. Options: batch_bytes, in_flight, max_retries, timeout_ms, backoff_ms (the
 * longest), tenants (stream s is of tenant s % tenants), drop (=1: 429 is final), ca, cert, key and
 * token (files).
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "batch/batch.h"
#include "io/http.h"
#include "io/loop.h"
#include "sink/loki.h"

#define QUEUED_MAX ((size_t)16 << 20)
#define PAIRS_MAX 1000
#define LISTED_MAX 1000
#define TENANTS_MAX 16
#define FEED_NS (2 * NS_PER_MS)
#define FEED_LINES 20000

struct listed {
	uint64_t n, age_s, pairs, len;
};

struct push {
	struct loop *loop;
	struct http *http;
	struct loop_timer *feed;
	struct loki_sink *sink;
	struct clock_anchor anchor;
	struct batcher *batcher[TENANTS_MAX];
	size_t n_tenants;
	struct label_set **sets;
	size_t n_streams;
	uint64_t lines, next;
	struct listed listed[LISTED_MAX];
	size_t n_listed;
	uint64_t begin_ns;
	uint64_t refused_batches;
};

static struct line_pair pairs[PAIRS_MAX];
static char names[PAIRS_MAX][16];
static char text[1 << 20];

static void die(const char *what)
{
	fprintf(stderr, "push: %s\n", what);
	exit(1);
}

static void on_sealed(void *ctx, struct batch *b)
{
	struct push *p = ctx;

	loki_sink__submit(p->sink, b);
}

static void on_done(void *ctx, struct batch *b, enum sink_result result)
{
	struct push *p = ctx;

	p->refused_batches += result == SINK_REFUSED;
	batch__free(b);
}

static void add_line(struct push *p, uint64_t n)
{
	size_t stream = n % p->n_streams;
	struct line line = {.bytes = text, .time_ns = p->begin_ns + n, .stream = LINE_STDOUT};

	line.len = (size_t)snprintf(text, sizeof(text), "%" PRIu64, n);
	for (size_t i = 0; i < p->n_listed; i++) {
		const struct listed *l = &p->listed[i];

		if (l->n != n)
			continue;
		if (l->age_s)
			line.real_ns =
				clock__to_real(&p->anchor, line.time_ns) - l->age_s * NS_PER_SEC;
		line.metadata = pairs;
		line.n_metadata = l->pairs;
		if (l->len > line.len) {
			text[line.len] = ' ';
			memset(text + line.len + 1, 'x', l->len - line.len - 1);
			line.len = l->len;
		}
	}
	if (batcher__add(p->batcher[stream % p->n_tenants], p->sets[stream], &line))
		die("no memory");
}

static void on_feed(void *ctx)
{
	struct push *p = ctx;

	for (size_t i = 0; i < FEED_LINES && p->next < p->lines; i++) {
		if (loki_sink__queued_bytes(p->sink) > QUEUED_MAX)
			break;
		add_line(p, p->next++);
	}
	if (p->next == p->lines) {
		for (size_t i = 0; i < p->n_tenants; i++)
			batcher__seal(p->batcher[i]);
		if (loki_sink__idle(p->sink)) {
			loop__stop(p->loop);
			return;
		}
	}
	loop_timer__set(p->feed, FEED_NS);
}

static void print_stats(const struct push *p)
{
	const struct sink_stats *s = loki_sink__stats(p->sink);

	printf("{\"lines\": %" PRIu64 ", \"batches\": %" PRIu64 ", \"retries\": %" PRIu64
	       ", \"dropped\": %" PRIu64 ", \"partial\": %" PRIu64 ", \"cut_lines\": %" PRIu64
	       ", \"cut_metadata\": %" PRIu64 ", \"refused_batches\": %" PRIu64 ", \"reasons\": {",
	       s->lines, s->batches, s->retries, s->dropped_lines, s->partial, s->cut_lines,
	       s->cut_metadata, p->refused_batches);
	for (int i = 0, n = 0; i < SINK_REASONS; i++)
		if (s->dropped[i])
			printf("%s\"%s\": %" PRIu64, n++ ? ", " : "",
			       sink_reason__name((enum sink_reason)i), s->dropped[i]);
	printf("}}\n");
}

static void read_list(struct push *p)
{
	struct listed l;

	while (p->n_listed < LISTED_MAX && scanf("%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
						 &l.n, &l.age_s, &l.pairs, &l.len) == 4) {
		if (l.pairs > PAIRS_MAX || l.len > sizeof(text))
			die("too many pairs, or too long");
		p->listed[p->n_listed++] = l;
	}
	for (size_t i = 0; i < PAIRS_MAX; i++) {
		snprintf(names[i], sizeof(names[i]), "pair_%zu", i);
		pairs[i] = (struct line_pair){names[i], "value", 5};
	}
}

static uint64_t option(int argc, char **argv, const char *name, uint64_t value)
{
	size_t len = strlen(name);

	for (int i = 4; i < argc; i++)
		if (!strncmp(argv[i], name, len) && argv[i][len] == '=')
			value = strtoull(argv[i] + len + 1, NULL, 10);
	return value;
}

static const char *file_option(int argc, char **argv, const char *name)
{
	size_t len = strlen(name);

	for (int i = 4; i < argc; i++)
		if (!strncmp(argv[i], name, len) && argv[i][len] == '=')
			return argv[i] + len + 1;
	return NULL;
}

static void make_streams(struct push *p, int argc, char **argv)
{
	static char tenants[TENANTS_MAX][32];
	struct batch_opts opts = {.encoding = BATCH_LOKI,
				  .max_bytes = option(argc, argv, "batch_bytes", 0),
				  .anchor = &p->anchor};
	char name[32];

	p->sets = calloc(p->n_streams, sizeof(struct label_set *));
	for (size_t i = 0; i < p->n_streams; i++) {
		p->sets[i] = label_set__new();
		snprintf(name, sizeof(name), "c%zu", i);
		if (!p->sets[i] || label_set__add(p->sets[i], "container", name) ||
		    label_set__seal(p->sets[i]))
			die("no memory");
	}
	for (size_t i = 0; i < p->n_tenants; i++) {
		snprintf(tenants[i], sizeof(tenants[i]), "team%zu", i);
		opts.tenant = p->n_tenants > 1 ? tenants[i] : NULL;
		if (batcher__new(&p->batcher[i], &opts, on_sealed, p))
			die("no memory");
	}
}

int main(int argc, char **argv)
{
	static struct push p;
	const struct http_tls tls = {
		.ca_file = file_option(argc, argv, "ca"),
		.cert_file = file_option(argc, argv, "cert"),
		.key_file = file_option(argc, argv, "key"),
	};
	struct loki_opts opts = {.tls = &tls,
				 .auth.bearer_token_file = file_option(argc, argv, "token")};
	const char *why = "";

	if (argc < 4)
		die("URL LINES STREAMS [option=value...] <LIST");
	signal(SIGPIPE, SIG_IGN);
	p.lines = strtoull(argv[2], NULL, 10);
	p.n_streams = strtoull(argv[3], NULL, 10);
	p.n_tenants = MIN(option(argc, argv, "tenants", 1), (uint64_t)TENANTS_MAX);
	p.begin_ns = clock__boot_ns();
	p.anchor.offset_ns = (int64_t)(clock__real_ns() - p.begin_ns);
	opts.url = argv[1];
	opts.max_in_flight = (unsigned)option(argc, argv, "in_flight", 0);
	opts.max_retries = (unsigned)option(argc, argv, "max_retries", 0);
	opts.timeout_ns = option(argc, argv, "timeout_ms", 0) * NS_PER_MS;
	opts.min_backoff_ns = 5 * NS_PER_MS;
	opts.max_backoff_ns = option(argc, argv, "backoff_ms", 100) * NS_PER_MS;
	opts.drop_rate_limited = option(argc, argv, "drop", 0);
	read_list(&p);
	make_streams(&p, argc, argv);
	if (loop__new(&p.loop) || http__new(&p.http, p.loop) ||
	    loop__timer(p.loop, on_feed, &p, &p.feed) ||
	    loki_sink__new(&p.sink, p.loop, p.http, &opts, on_done, &p, &why))
		die(why);
	loop_timer__set(p.feed, 0);
	loop__run(p.loop);
	print_stats(&p);
	loki_sink__free(p.sink);
	http__free(p.http);
	loop_timer__free(p.feed);
	loop__free(p.loop);
	for (size_t i = 0; i < p.n_tenants; i++)
		batcher__free(p.batcher[i]);
	for (size_t i = 0; i < p.n_streams; i++)
		label_set__unref(p.sets[i]);
	free(p.sets);
	return 0;
}
