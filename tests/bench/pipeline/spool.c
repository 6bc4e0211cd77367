/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the spool does with a disk: printed, not judged.
 *
 *     spool DIRECTORY [MIB [KIB]]     so much in all, default 1024, in payloads of so much, 1024
 *
 * Appends with at most 8 under way, then a restart, then everything is read back and consumed; the
 * same bytes written to one file by plain calls, and synced once at the end, are the first row. CPU
 * is the process's, all threads; RSS is the most that it ever was.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"
#include "io/loop.h"
#include "spool/spool.h"

#define IN_FLIGHT 8

struct bench {
	struct loop *loop;
	struct spool_queue *queue;
	struct spool_record record;
	unsigned left, in_flight, n;
	bool opening, reading;
};

static double seconds(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void report(const char *name, double bytes, double wall, double cpu)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	printf("%-28s %8.0f MB/s %8.2f s CPU per GB   RSS at most %ld MB\n", name,
	       bytes / wall / 1e6, cpu / bytes * 1e9, usage.ru_maxrss / 1024);
}

static void append(struct bench *b);

static void on_done(void *ctx, int err)
{
	struct bench *b = ctx;

	if (err) {
		fprintf(stderr, "spool: %s\n", strerror(-err));
		exit(1);
	}
	b->in_flight--;
	append(b);
	if (!b->in_flight)
		loop__stop(b->loop);
}

static void append(struct bench *b)
{
	while (b->left && b->in_flight < IN_FLIGHT) {
		if (spool_queue__append(b->queue, &b->record, on_done, b)) {
			fprintf(stderr, "spool: append\n");
			exit(1);
		}
		b->left--;
		b->in_flight++;
	}
}

static void on_change(void *ctx)
{
	struct bench *b = ctx;
	struct spool_record *r;

	if (b->opening && spool_queue__state(b->queue) == SPOOL_READY)
		loop__stop(b->loop);
	while (b->reading && (r = spool_queue__next(b->queue))) {
		spool_queue__consumed(b->queue, r);
		b->n++;
	}
	if (b->reading && spool_queue__empty(b->queue))
		loop__stop(b->loop);
}

static const struct spool_queue_ops OPS = {.changed = on_change, .ready = on_change};

static void plain(const char *directory, const char *payload, size_t len, unsigned n)
{
	double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/plain", directory);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	for (unsigned i = 0; i < n; i++)
		if (write(fd, payload, len) != (ssize_t)len)
			exit(1);
	if (fdatasync(fd))
		exit(1);
	close(fd);
	unlink(path);
	report("plain writes, one fdatasync", (double)len * n, seconds(CLOCK_MONOTONIC) - wall,
	       seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
}

static int remove_one(const char *path, const struct stat *st _unused_, int what _unused_,
		      struct FTW *ftw _unused_)
{
	return remove(path);
}

static void remove_files(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void open_queue(struct bench *b, struct spool **ret, const struct spool_opts *opts)
{
	b->opening = true;
	if (spool__new(ret, b->loop, opts) || spool_queue__new(&b->queue, *ret, "bench", &OPS, b))
		exit(1);
	loop__run(b->loop);
	b->opening = false;
}

int main(int argc, char **argv)
{
	size_t total = (argc > 2 ? strtoul(argv[2], NULL, 10) : 1024) << 20;
	size_t len = (argc > 3 ? strtoul(argv[3], NULL, 10) : 1024) << 10;
	unsigned n = (unsigned)(total / len);
	uint64_t streams[] = {1, 2, 3};
	char *payload = malloc(len), path[4096];
	struct bench b = {0};
	struct spool *s;
	struct spool_opts opts = {.directory = path, .max_bytes = 2 * total + (64 << 20)};
	double wall, cpu;

	if (argc < 2 || !payload || loop__new(&b.loop)) {
		fprintf(stderr, "usage: spool DIRECTORY [MIB [KIB]]\n");
		return 2;
	}
	for (size_t i = 0; i < len; i++)
		payload[i] = (char)rand();
	b.record = (struct spool_record){
		.payload = payload, .len = len, .lines = 5000, .streams = streams, .n_streams = 3};
	snprintf(path, sizeof(path), "%s/bench-spool", argv[1]);
	plain(argv[1], payload, len, n);

	open_queue(&b, &s, &opts);
	wall = seconds(CLOCK_MONOTONIC);
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	b.left = n;
	append(&b);
	loop__run(b.loop);
	spool_queue__free(b.queue);
	report("append", (double)total, seconds(CLOCK_MONOTONIC) - wall,
	       seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
	spool__free(s);

	wall = seconds(CLOCK_MONOTONIC);
	b.n = 0;
	open_queue(&b, &s, &opts);
	printf("%-28s %8.1f ms\n", "open again", (seconds(CLOCK_MONOTONIC) - wall) * 1e3);
	wall = seconds(CLOCK_MONOTONIC);
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	b.reading = true;
	on_change(&b);
	if (!spool_queue__empty(b.queue))
		loop__run(b.loop);
	report("read back and consume", (double)total, seconds(CLOCK_MONOTONIC) - wall,
	       seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
	spool_queue__free(b.queue);
	spool__free(s);
	if (b.n != n)
		fprintf(stderr, "%u of %u records came back\n", b.n, n);
	remove_files(path);
	loop__free(b.loop);
	free(payload);
	return b.n != n;
}
