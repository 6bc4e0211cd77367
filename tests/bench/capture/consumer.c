/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage: consumer [--rounds N] [--streams N]
 *
 * What notail does with a record, stage by stage, over a ring that is full beforehand: no kernel is
 * needed. The stages run in turn over the same memory, the least time of each counts.
 *
 *   copy      the log's bytes are copied, by somebody who knows where they lie
 *   walk      the ring's walk and the checks of each record, with the same copy
 *   assemble  walk, and lines of it
 *   streams   as the capture thread: stream and container looked up, attribution, lines, labels
 *   encode    streams, and the line put into a push to Loki, compressed
 *
 * The ring lies in more memory than the processor's caches hold, as it does when it is filled by
 * another CPU. Prints `STAGE NS RECORDS_PER_SECOND`.
 */
#include <errno.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <linux/bpf.h>

#include "assemble/assemble.h"
#include "base/util.h"
#include "batch/batch.h"
#include "capture/record.h"
#include "capture/ring.h"
#include "streams/streams.h"

#include "../../unit/streams/no_kernel.h"

#define LINE_BYTES 100
#define CLASS_BYTES 128 /* what the programs reserve for such a line */
#define RING_BYTES (32u << 20)
#define STEP ((BPF_RINGBUF_HDR_SZ + sizeof(struct nt_data) + CLASS_BYTES + 7) & ~7ull)
#define CGROUP_ID 4242

enum stage { COPY, WALK, ASSEMBLE, STREAMS, ENCODE, STAGES };
static const char *const stage_names[] = {"copy", "walk", "assemble", "streams", "encode"};

struct bench {
	uint8_t *ring;
	size_t records;
	unsigned streams;
	char copied[LINE_BYTES];
	struct assembler **assemblers; /* by stream */
	struct registry *registry;
	struct selection *selection;
	struct counters counters;
	struct streams *all[2]; /* of the stages STREAMS and ENCODE */
	struct batcher *batcher;
	struct clock_anchor anchor;
	uint64_t lines;
};

static void die(const char *what, int err)
{
	fprintf(stderr, "consumer: %s: %s\n", what, strerror(err < 0 ? -err : err));
	exit(2);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

/* ---- the ring, two streams a container ---- */

static uint8_t *map_twice(size_t size)
{
	int fd = memfd_create("ring", MFD_CLOEXEC);
	uint8_t *at = mmap(NULL, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0 || at == MAP_FAILED)
		die("memory for the ring", errno);
	for (int i = 0; i < 2; i++)
		if (mmap(at + (size_t)i * size, size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
			die("mmap", errno);
	close(fd);
	return at;
}

static void put_record(uint8_t *at, uint64_t ino, uint64_t nth, uint64_t of_stream)
{
	struct nt_data *rec = (struct nt_data *)(at + BPF_RINGBUF_HDR_SZ);
	uint32_t len = sizeof(*rec) + CLASS_BYTES;

	memcpy(at, &len, sizeof(len));
	rec->hdr.kind = NT_KIND_DATA;
	rec->hdr.size = sizeof(*rec) + LINE_BYTES;
	rec->hdr.time_ns = (nth + 1) * 1000;
	rec->hdr.cgroup_id = CGROUP_ID + ino / 2;
	rec->key.ino = ino;
	rec->key.dev = 14;
	rec->offset = of_stream * LINE_BYTES;
	rec->len = LINE_BYTES;
	rec->pid = 71;
	strcpy(rec->comm, "writer");
	rec->file = ino % 2 ? NT_FILE_STDERR : NT_FILE_STDOUT;
	rec->tap = NT_TAP_READ;
	rec->known = NT_KNOWN;
	rec->from = 0;
	memset(rec->bytes, 'x', LINE_BYTES - 1);
	rec->bytes[LINE_BYTES - 1] = '\n';
}

static void fill(struct bench *b)
{
	b->ring = map_twice(RING_BYTES);
	b->records = RING_BYTES / STEP;
	for (size_t i = 0; i < b->records; i++)
		put_record(b->ring + i * STEP, i % b->streams, i, i / b->streams);
}

/* ---- the stages ---- */

static void copy_bytes(struct bench *b, const struct nt_data *rec)
{
	memcpy(b->copied, rec->bytes, rec->len);
	/* Or the compiler would leave it out. */
	__asm__ volatile("" : : "r"(b->copied) : "memory");
}

static void walk_data(void *ctx, uint64_t pos, const struct nt_data *rec)
{
	(void)pos;
	copy_bytes(ctx, rec);
}

static void assemble_data(void *ctx, uint64_t pos, const struct nt_data *rec)
{
	struct chunk chunk = {.bytes = (const char *)rec->bytes,
			      .len = rec->len,
			      .time_ns = rec->hdr.time_ns,
			      .ring_pos = pos,
			      .pid = rec->pid,
			      .comm = rec->comm};
	struct bench *b = ctx;

	assembler__feed(b->assemblers[rec->key.ino], &chunk);
}

static void on_assembled(void *ctx, const struct line *line)
{
	struct bench *b = ctx;

	memcpy(b->copied, line->bytes, line->len);
	__asm__ volatile("" : : "r"(b->copied) : "memory");
	b->lines++;
}

static void on_labelled(void *ctx, struct label_set *set, const struct line *line)
{
	(void)set;
	on_assembled(ctx, line);
}

static void on_encoded(void *ctx, struct label_set *set, const struct line *line)
{
	struct bench *b = ctx;

	b->lines++;
	if (batcher__add(b->batcher, set, line))
		die("a batch", ENOMEM);
}

static void on_sealed(void *ctx, struct batch *batch)
{
	(void)ctx;
	batch__free(batch);
}

static void make_streams(struct bench *b)
{
	struct streams_opts opts = {.host = "host",
				    .counters = &b->counters,
				    .line = on_labelled,
				    .kernel_stream = no_kernel__stream,
				    .forget = no_kernel__forget,
				    .misses = no_kernel__misses,
				    .ctx = b};
	const struct batch_opts batch = {.encoding = BATCH_LOKI, .anchor = &b->anchor};
	int r = registry__new(&b->registry);
	char name[24];

	for (unsigned i = 0; i < b->streams && r == 0; i += 2) {
		snprintf(name, sizeof(name), "bench-%u", i / 2);
		r = registry__cgroup_named(b->registry, CGROUP_ID + i / 2, name);
	}
	if (r == 0)
		r = selection__new(&b->selection);
	opts.registry = b->registry;
	opts.selection = b->selection;
	if (r == 0)
		r = streams__new(&b->all[0], &opts);
	opts.line = on_encoded;
	if (r == 0)
		r = streams__new(&b->all[1], &opts);
	if (r == 0)
		r = batcher__new(&b->batcher, &batch, on_sealed, b);
	if (r < 0)
		die("streams", r);
}

static void make_assemblers(struct bench *b)
{
	const struct assemble_opts opts = {};
	int r = 0;

	b->assemblers = calloc(b->streams, sizeof(struct assembler *));
	if (!b->assemblers)
		die("assemblers", ENOMEM);
	for (unsigned i = 0; i < b->streams && r == 0; i++)
		r = assembler__new(&b->assemblers[i], &opts, CGROUP_ID, LINE_STDOUT, on_assembled,
				   b);
	if (r < 0)
		die("assemblers", r);
}

struct pass {
	const struct record_ops *ops;
	void *ctx;
};

static void on_record(void *ctx, uint64_t pos, uint64_t next, const void *data, size_t size)
{
	const struct pass *p = ctx;
	const char *why;

	(void)next;
	if (record__dispatch(data, size, pos, p->ops, p->ctx, &why) < 0) {
		fprintf(stderr, "consumer: %s\n", why);
		exit(1);
	}
}

static void read_all(struct bench *b, struct pass *p)
{
	uint64_t consumer = 0, producer = b->records * STEP, skipped = 0;
	struct ring *ring;

	if (ring__new_memory(&ring, b->ring, RING_BYTES, &consumer, &producer) < 0)
		die("the ring", ENOMEM);
	while (ring__read(ring, 4u << 20, on_record, p, &skipped) > 0)
		ring__commit(ring, ring__position(ring));
	ring__free(ring);
}

/* ns per record. */
static double run(struct bench *b, enum stage stage)
{
	static const struct record_ops walk = {.data = walk_data};
	static const struct record_ops assemble = {.data = assemble_data};
	struct pass passes[STAGES] = {[WALK] = {&walk, b},
				      [ASSEMBLE] = {&assemble, b},
				      [STREAMS] = {&streams_record_ops, b->all[0]},
				      [ENCODE] = {&streams_record_ops, b->all[1]}};
	uint64_t begin = now_ns();

	b->lines = 0;
	if (stage == COPY)
		for (size_t i = 0; i < b->records; i++)
			copy_bytes(b, (void *)(b->ring + i * STEP + BPF_RINGBUF_HDR_SZ));
	else
		read_all(b, &passes[stage]);
	if (stage == ENCODE)
		batcher__seal(b->batcher);
	if (stage >= ASSEMBLE && b->lines != b->records) {
		fprintf(stderr, "consumer: %s: %zu records, %llu lines\n", stage_names[stage],
			b->records, (unsigned long long)b->lines);
		exit(1);
	}
	return (double)(now_ns() - begin) / (double)b->records;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"rounds", required_argument, NULL, 'r'},
						{"streams", required_argument, NULL, 's'},
						{}};
	struct bench b = {.streams = 1};
	double best[STAGES] = {};
	unsigned long rounds = 10;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'r')
			rounds = strtoul(optarg, NULL, 10);
		else if (option == 's')
			b.streams = (unsigned)strtoul(optarg, NULL, 10);
	}
	if (optind < argc || !b.streams || !rounds)
		return 2;
	fill(&b);
	make_assemblers(&b);
	make_streams(&b);
	while (rounds--)
		for (enum stage stage = COPY; stage < STAGES; stage++) {
			double ns = run(&b, stage);

			if (!best[stage] || ns < best[stage])
				best[stage] = ns;
		}
	for (enum stage stage = COPY; stage < STAGES; stage++)
		printf("%s %.1f %.0f\n", stage_names[stage], best[stage], 1e9 / best[stage]);
	return 0;
}
