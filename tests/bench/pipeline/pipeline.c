/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one core does from assembled lines to sealed, compressed batches: printed, not judged.
 *
 *     pipeline [SECONDS [ROW]]       of CPU for each row, default 2; one row only, from 0
 *
 * Time is the thread's CPU time, so that others on the machine change little. `memcpy + snappy`
 * copies the same lines to a buffer of a batch's size and compresses it: what there is no way
 * around. notail's requests have each line's time, container and writer besides: the same of their
 * bytes is a row of its own. Each row is run in
 * turns with it; the medians are printed. Every malloc of the process is counted while lines run.
 */
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <snappy-c.h>

#include "base/clock.h"
#include "batch/batch.h"
#include "config/node.h"
#include "process/program.h"

#define LINE_BYTES 200
#define N_LINES 20000 /* different ones: 4 MB, more than a core's own caches hold */
#define MAX_STREAMS 1000
#define WARM_UP 8
#define TURNS 9
#define BATCH_BYTES (1024 * 1024)
#define BUFFER_BYTES (2 * BATCH_BYTES)

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

static uint64_t n_mallocs;

void *malloc(size_t size)
{
	n_mallocs++;
	return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	n_mallocs++;
	return __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	n_mallocs++;
	return __libc_realloc(p, size);
}

struct row {
	const char *name;
	const char *stages; /* NULL: memcpy + snappy */
	bool json;
	size_t n_streams, run; /* lines of one stream behind each other */
};

static const char json_stages[] = "- json: {expressions: {level: , status: }}\n"
				  "- labels: {level: , status: }\n"
				  "- drop: {source: level, value: debug}\n";
static const char regex_stages[] =
	"- regex: {expression: '^(?P<ip>\\S+) \\S+ \\S+ \\[[^]]+\\] \"(?P<method>\\S+) "
	"(?P<path>\\S+)'}\n";

#define OF_REQUESTS "memcpy + snappy of its requests"

static const struct row rows[] = {
	{"memcpy + snappy", NULL, false, 1, 1},
	{"no stages", "", false, 1, 1},
	{OF_REQUESTS, NULL, false, 1, 1},
	{"no stages, 1,000 streams by 16 lines", "", false, MAX_STREAMS, 16},
	{"no stages, 1,000 streams line by line", "", false, MAX_STREAMS, 1},
	{"regex, 3 groups", regex_stages, false, 1, 1},
	{"memcpy + snappy, JSON lines", NULL, true, 1, 1},
	{"json + 2 labels + drop", json_stages, true, 1, 1},
	{"json..., 1,000 streams by 16 lines", json_stages, true, MAX_STREAMS, 16},
	{"json..., 1,000 streams line by line", json_stages, true, MAX_STREAMS, 1},
};
#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

struct result {
	double rates[TURNS]; /* lines/s */
	uint64_t lines, mallocs, batches;
	size_t raw, packed;
};

struct bench {
	char *lines[2]; /* plain, JSON */
	struct clock_anchor anchor;
	struct label_set *sets[MAX_STREAMS];
	struct batcher *batcher;
	struct program *program;
	struct program_stream *streams[MAX_STREAMS];
	struct result *result;
	char *buffer, *packed;
	char *request; /* one of notail's */
	size_t request_bytes, request_lines;
	uint64_t time_ns;
	size_t turn;
};

static uint64_t seed = 1;

static uint32_t number(uint32_t below)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % below;
}

static const char *pick(const char *const *words, size_t n)
{
	return words[number((uint32_t)n)];
}
#define PICK(words) pick((words), sizeof(words) / sizeof((words)[0]))

static const char *const methods[] = {"GET", "GET", "GET", "POST", "DELETE"};
static const char *const paths[] = {"/api/v1/items",  "/api/v1/orders", "/api/v1/customers",
				    "/static/app.js", "/login",		"/api/v2/cart/checkout"};
static const char *const agents[] = {
	"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/126.0", "curl/7.88.1",
	"kube-probe/1.30", "python-requests/2.32.3"};
static const char *const levels[] = {"info", "info", "info", "warn", "debug"};
static const char *const messages[] = {"order accepted", "customer not found", "cache miss",
				       "payment provider answered late, trying again",
				       "session renewed"};

/* An access log's line, and one of a JSON logger's; filled up, or cut, to LINE_BYTES. */
static void make_line(char *plain, char *json, size_t i)
{
	char line[2 * LINE_BYTES];
	int n;

	n = snprintf(
		line, sizeof(line),
		"10.0.%u.%u - - [21/Nov/2026:04:%02zu:%02zu +0000] \"%s %s/%u HTTP/1.1\" %u %u "
		"\"-\" \"%s\" ",
		number(4), number(256), i / 60 % 60, i % 60, PICK(methods), PICK(paths),
		number(10000), 200 + number(2) * 204, number(10000), PICK(agents));
	memset(line + n, '-', sizeof(line) - (size_t)n);
	memcpy(plain, line, LINE_BYTES);
	n = snprintf(line, sizeof(line),
		     "{\"level\":\"%s\",\"time\":17322000%05zu,\"pid\":%u,\"hostname\":\"node1\","
		     "\"req\":{\"method\":\"%s\",\"url\":\"%s/%u\"},\"status\":%u,\"ms\":%u.%u,"
		     "\"msg\":\"%s",
		     PICK(levels), i, 70 + number(4), PICK(methods), PICK(paths), number(10000),
		     200 + number(2) * 204, number(100), number(10), PICK(messages));
	memset(line + n, '.', sizeof(line) - (size_t)n);
	memcpy(json, line, LINE_BYTES);
	memcpy(json + LINE_BYTES - 2, "\"}", 2);
}

static void make_lines(struct bench *b)
{
	b->lines[0] = malloc((size_t)N_LINES * LINE_BYTES);
	b->lines[1] = malloc((size_t)N_LINES * LINE_BYTES);
	if (!b->lines[0] || !b->lines[1])
		abort();
	for (size_t i = 0; i < N_LINES; i++)
		make_line(b->lines[0] + i * LINE_BYTES, b->lines[1] + i * LINE_BYTES, i);
}

static void on_sealed(void *ctx, struct batch *batch)
{
	struct bench *b = ctx;

	b->result->batches++;
	b->result->raw += batch->raw_bytes;
	b->result->packed += batch->payload.len;
	if (!b->request) {
		b->request = malloc(batch->raw_bytes);
		b->request_bytes = batch->raw_bytes;
		b->request_lines = batch->lines;
		if (!b->request || snappy_uncompress(batch->payload.data, batch->payload.len,
						     b->request, &b->request_bytes) != SNAPPY_OK)
			abort();
	}
	batch__free(batch);
}

static void on_line(void *ctx, struct label_set *set, const struct line *line)
{
	struct bench *b = ctx;

	if (batcher__add(b->batcher, set, line))
		abort();
}

static void open_row(struct bench *b, const struct row *row)
{
	const struct batch_opts batch = {
		.encoding = BATCH_LOKI, .max_bytes = BATCH_BYTES, .anchor = &b->anchor};
	const struct program_opts opts = {.line = on_line, .ctx = b};
	struct document *document;
	struct diag *diag;

	if (!row->stages)
		return;
	if (diag__new(&diag, row->name) || batcher__new(&b->batcher, &batch, on_sealed, b) ||
	    document__parse(&document, row->stages, strlen(row->stages), NULL, NULL, diag) ||
	    program__new(&b->program, document__root(document), &opts, diag)) {
		diag__print(diag, stderr);
		exit(EXIT_FAILURE);
	}
	document__free(document);
	diag__free(diag);
	for (size_t i = 0; i < row->n_streams; i++)
		if (program_stream__new(&b->streams[i], b->program))
			abort();
}

static void close_row(struct bench *b, const struct row *row)
{
	if (!row->stages)
		return;
	for (size_t i = 0; i < row->n_streams; i++)
		program_stream__free(b->streams[i]);
	program__free(b->program);
	batcher__free(b->batcher);
	b->program = NULL;
	b->batcher = NULL;
}

/* All lines once; streams come in turn. */
static void run_lines(struct bench *b, const struct row *row)
{
	const char *lines = b->lines[row->json];
	struct line line = {.len = LINE_BYTES, .stream = LINE_STDOUT, .pid = 71, .comm = "nginx"};

	for (size_t i = 0; i < N_LINES; i++) {
		size_t s = b->turn++ / row->run % row->n_streams;

		line.bytes = lines + i * LINE_BYTES;
		line.time_ns = b->time_ns++;
		line.real_ns = clock__to_real(&b->anchor, line.time_ns);
		program_stream__run(b->streams[s], b->sets[s], &line);
	}
}

/* Of lengths that the compiler does not know. */
static void run_memcpy(struct bench *b, const struct row *row)
{
	const char *lines = b->lines[row->json];
	volatile size_t line_bytes = LINE_BYTES;
	size_t used = 0, packed;

	for (size_t i = 0; i < N_LINES; i++) {
		size_t len = line_bytes;

		memcpy(b->buffer + used, lines + i * LINE_BYTES, len);
		used += len;
		if (used + len <= BATCH_BYTES && i + 1 < N_LINES)
			continue;
		packed = snappy_max_compressed_length(BATCH_BYTES);
		snappy_compress(b->buffer, used, b->packed, &packed);
		b->result->batches++;
		b->result->raw += used;
		b->result->packed += packed;
		used = 0;
	}
}

static size_t run_requests(struct bench *b)
{
	size_t packed = snappy_max_compressed_length(BUFFER_BYTES), piece, used = 0;

	if (!b->request)
		abort(); /* no row before it made one */
	piece = b->request_bytes / b->request_lines;
	while (used < b->request_bytes) {
		size_t len = MIN(piece, b->request_bytes - used);

		memcpy(b->buffer + used, b->request + used, len);
		used += len;
	}
	snappy_compress(b->buffer, used, b->packed, &packed);
	b->result->batches++;
	b->result->raw += used;
	b->result->packed += packed;
	return b->request_lines;
}

static size_t run_row(struct bench *b, const struct row *row)
{
	if (!strcmp(row->name, OF_REQUESTS))
		return run_requests(b);
	if (row->stages)
		run_lines(b, row);
	else
		run_memcpy(b, row);
	return N_LINES;
}

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void turn(struct bench *b, const struct row *row, struct result *result, size_t n,
		 double seconds)
{
	uint64_t mallocs, lines = 0;
	double start, now;

	b->result = result;
	open_row(b, row);
	/* Label sets, chunks and buffers are there from then on. */
	for (int i = 0; i < WARM_UP && row->stages; i++)
		run_row(b, row);
	mallocs = n_mallocs;
	result->batches = 0;
	result->raw = 0;
	result->packed = 0;
	start = cpu_seconds();
	do {
		lines += run_row(b, row);
		now = cpu_seconds();
	} while (now - start < seconds);
	result->rates[n] = (double)lines / (now - start);
	result->lines = lines;
	result->mallocs = n_mallocs - mallocs;
	close_row(b, row);
}

static int by_rate(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(struct result *r)
{
	qsort(r->rates, TURNS, sizeof(r->rates[0]), by_rate);
	return r->rates[TURNS / 2];
}

static void print(struct result results[N_ROWS])
{
	double base = 0, rate;

	printf("%-38s %12s %10s %10s %14s %15s %7s\n", "", "lines/s", "MB/s", "of memcpy",
	       "mallocs/line", "mallocs/batch", "packed");
	for (size_t i = 0; i < N_ROWS; i++) {
		struct result *r = &results[i];

		if (!r->lines)
			continue;
		rate = median(r);
		if (!rows[i].stages && strcmp(rows[i].name, OF_REQUESTS))
			base = rate;
		printf("%-38s %12.0f %10.0f %9.0f%% %14.5f %15.2f %6.0f%%\n", rows[i].name, rate,
		       rate * LINE_BYTES / 1e6, base > 0 ? 100 * rate / base : 0,
		       (double)r->mallocs / (double)r->lines,
		       (double)r->mallocs / (double)(r->batches ? r->batches : 1),
		       100. * (double)r->packed / (double)r->raw);
	}
}

static struct label_set *make_set(size_t i)
{
	struct label_set *set = label_set__new();
	char text[65];

	snprintf(text, sizeof(text), "shop-web-%zu", i);
	if (!set || label_set__add(set, "container", text) ||
	    label_set__add(set, "compose_project", "shop") ||
	    label_set__add(set, "compose_service", "web") ||
	    label_set__add(set, "stream", "stdout") || label_set__add(set, "host", "node1"))
		abort();
	snprintf(text, sizeof(text), "%064zx", i);
	if (label_set__add_metadata(set, "container_id", text) || label_set__seal(set))
		abort();
	return set;
}

int main(int argc, char **argv)
{
	static struct result results[N_ROWS];
	double seconds = argc > 1 ? atof(argv[1]) : 2;
	int only = argc > 2 ? atoi(argv[2]) : -1;
	struct bench b = {0};
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	clock__anchor(&b.anchor);
	b.time_ns = clock__boot_ns();
	make_lines(&b);
	for (size_t i = 0; i < MAX_STREAMS; i++)
		b.sets[i] = make_set(i);
	b.buffer = malloc(BUFFER_BYTES);
	b.packed = malloc(snappy_max_compressed_length(BUFFER_BYTES));
	if (!b.buffer || !b.packed)
		abort();
	memset(b.buffer, 0, BUFFER_BYTES);
	for (size_t n = 0; n < TURNS; n++)
		for (size_t i = only < 0 ? 0 : (size_t)only;
		     i < (only < 0 ? N_ROWS : (size_t)only + 1); i++)
			turn(&b, &rows[i], &results[i], n, seconds / TURNS);
	print(results);
	for (size_t i = 0; i < MAX_STREAMS; i++)
		label_set__unref(b.sets[i]);
	free(b.lines[0]);
	free(b.lines[1]);
	free(b.buffer);
	free(b.packed);
	free(b.request);
	return EXIT_SUCCESS;
}
