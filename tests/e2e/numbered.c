// SPDX-License-Identifier: Apache-2.0
/*
 * Writes records that prove themselves: `~ID NUMBER LENGTH CRC PAYLOAD`, where NUMBER counts up
 * from 0, LENGTH and CRC (of zlib, 8 hexadecimal digits) are the payload's. What is lost, double,
 * out of order, cut or put together wrongly shows in what arrived alone, however much that is.
 *
 * A record may be written in two halves with a pause between them (--halves), have lines of its own
 * that begin with a blank (--blocks, as stack traces do) or be large (--large); each is in per
 * mille of the records. With --prompts a second thread writes to stderr, slowly, and nearly always
 * has a half line open. SIGTERM ends it after the record at hand; --report names a file that gets
 * `out COUNT` and `err COUNT` at the end.
 */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PAYLOAD_MAX 65536
#define NS_PER_S 1000000000ull
#define NS_PER_MS 1000000ull

struct options {
	const char *id;
	const char *report;
	uint64_t lines; /* 0: until SIGTERM */
	uint64_t rate;	/* a second; 0: as fast as it goes */
	uint64_t min;	/* bytes of a payload */
	uint64_t max;
	uint64_t halves;
	uint64_t pause_ms; /* of a half, at most */
	uint64_t blocks;
	uint64_t large;
	uint64_t large_bytes;
	uint64_t prompts; /* ms that a half line of stderr is open; 0: nothing is written there */
	uint64_t seed;
	bool random; /* payloads that no compressor makes smaller */
	bool stamp;  /* a payload begins with CLOCK_REALTIME in ns */
};

static volatile sig_atomic_t stopping;
static uint32_t crc_table[256];

static uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
	struct timespec ts = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};

	while (!stopping && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
}

static uint64_t random_next(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*state = x;
	return x;
}

static void make_crc_table(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int k = 0; k < 8; k++)
			c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
		crc_table[i] = c;
	}
}

static uint32_t crc_of(const char *data, size_t size)
{
	uint32_t c = 0xffffffffu;

	for (size_t i = 0; i < size; i++)
		c = crc_table[(c ^ (uint8_t)data[i]) & 0xff] ^ (c >> 8);
	return ~c;
}

static void write_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, data, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			exit(1);
		data += n;
		size -= (size_t)n;
	}
}

/* Words of a small dictionary, as logs are, or bytes of no order. */
static void fill(char *out, size_t size, bool random, uint64_t *state)
{
	static const char words[] = "connection request upstream accepted timeout handler started ";

	if (!random) {
		for (size_t at = 0; at < size;) {
			size_t from = random_next(state) % (sizeof(words) - 9), n = 8;

			if (n > size - at)
				n = size - at;
			memcpy(out + at, words + from, n);
			at += n;
		}
		return;
	}
	for (size_t i = 0; i < size; i++)
		out[i] = (char)('!' + random_next(state) % 94);
}

static bool one_in_mille(uint64_t *state, uint64_t share)
{
	return share && random_next(state) % 1000 < share;
}

/* The payload's size. Newlines within it stand before a blank. */
static size_t make_payload(const struct options *o, char *out, uint64_t *state)
{
	size_t size = o->min + random_next(state) % (o->max - o->min + 1), used = 0;

	if (one_in_mille(state, o->large))
		size = o->large_bytes;
	if (o->stamp)
		used = (size_t)sprintf(out, "%llu ", (unsigned long long)now_ns(CLOCK_REALTIME));
	if (used < size) {
		fill(out + used, size - used, o->random, state);
		used = size;
	}
	if (one_in_mille(state, o->blocks)) {
		int frames = 1 + (int)(random_next(state) % 8);

		for (int i = 0; i < frames; i++)
			used += (size_t)sprintf(out + used, "\n    at frame%d(file.c:%d)", i,
						frames);
	}
	return used;
}

static void write_record(const struct options *o, int fd, const char *id, uint64_t number,
			 uint64_t pause_ms, uint64_t *state)
{
	static __thread char payload[PAYLOAD_MAX + 1024], record[PAYLOAD_MAX + 2048];
	size_t size = make_payload(o, payload, state), used, first;

	used = (size_t)sprintf(record, "~%s %llu %zu %08x ", id, (unsigned long long)number, size,
			       crc_of(payload, size));
	memcpy(record + used, payload, size);
	used += size;
	record[used++] = '\n';
	if (!pause_ms) {
		write_all(fd, record, used);
		return;
	}
	first = 1 + random_next(state) % (used - 1);
	write_all(fd, record, first);
	sleep_until(now_ns(CLOCK_MONOTONIC) + pause_ms * NS_PER_MS);
	write_all(fd, record + first, used - first);
}

struct prompter {
	const struct options *opts;
	uint64_t written;
};

static void *prompt(void *arg)
{
	struct prompter *p = arg;
	const struct options *o = p->opts;
	uint64_t state = o->seed * 0x9e3779b97f4a7c15ull | 1;
	char id[64];

	snprintf(id, sizeof(id), "%s-err", o->id);
	while (!stopping) {
		write_record(o, STDERR_FILENO, id, p->written,
			     1 + o->prompts / 2 + random_next(&state) % o->prompts, &state);
		p->written++;
	}
	return NULL;
}

static uint64_t write_lines(const struct options *o)
{
	uint64_t begin = now_ns(CLOCK_MONOTONIC),
		 state = (o->seed + 7919) * 0x9e3779b97f4a7c15ull | 1, n = 0;

	for (; !stopping && (!o->lines || n < o->lines); n++) {
		bool half = one_in_mille(&state, o->halves);

		write_record(o, STDOUT_FILENO, o->id, n,
			     half ? 1 + random_next(&state) % o->pause_ms : 0, &state);
		/* Ten in a row: a sleep a line would cost more than the line. */
		if (o->rate && n % 10 == 9)
			sleep_until(begin + (uint64_t)((__uint128_t)(n + 1) * NS_PER_S / o->rate));
	}
	return n;
}

static void on_term(int signo)
{
	(void)signo;
	stopping = 1;
}

static void report(const struct options *o, uint64_t out, uint64_t err)
{
	FILE *f = fopen(o->report, "w");

	if (!f ||
	    fprintf(f, "out %llu\nerr %llu\n", (unsigned long long)out, (unsigned long long)err) <
		    0 ||
	    fclose(f))
		exit(1);
}

static void usage(void)
{
	fprintf(stderr, "usage: numbered --id ID [--report FILE] [--lines N] [--rate N] [--min "
			"BYTES] [--max BYTES]\n"
			"                [--halves N] [--pause MS] [--blocks N] [--large N] "
			"[--large-bytes BYTES]\n"
			"                [--prompts MS] [--seed N] [--random] [--stamp]\n");
	exit(2);
}

static void parse(int argc, char **argv, struct options *o)
{
	static const struct option known[] = {
		{"id", 1, NULL, 'i'},	  {"report", 1, NULL, 'o'},	 {"lines", 1, NULL, 'l'},
		{"rate", 1, NULL, 'r'},	  {"min", 1, NULL, 'a'},	 {"max", 1, NULL, 'b'},
		{"halves", 1, NULL, 'h'}, {"pause", 1, NULL, 'p'},	 {"blocks", 1, NULL, 'B'},
		{"large", 1, NULL, 'L'},  {"large-bytes", 1, NULL, 'M'}, {"prompts", 1, NULL, 'P'},
		{"seed", 1, NULL, 'e'},	  {"random", 0, NULL, 'R'},	 {"stamp", 0, NULL, 'T'},
		{NULL, 0, NULL, 0},
	};
	uint64_t *numbers[256] = {
		['l'] = &o->lines,   ['r'] = &o->rate,	 ['a'] = &o->min,
		['b'] = &o->max,     ['h'] = &o->halves, ['p'] = &o->pause_ms,
		['B'] = &o->blocks,  ['L'] = &o->large,	 ['M'] = &o->large_bytes,
		['P'] = &o->prompts, ['e'] = &o->seed,
	};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (c == 'R')
			o->random = true;
		else if (c == 'T')
			o->stamp = true;
		else if (c == 'i')
			o->id = optarg;
		else if (c == 'o')
			o->report = optarg;
		else if (c < 256 && numbers[c])
			*numbers[c] = strtoull(optarg, NULL, 10);
		else
			usage();
	}
	if (optind != argc || !o->id || strlen(o->id) > 40 || o->min > o->max ||
	    o->max > PAYLOAD_MAX || o->large_bytes > PAYLOAD_MAX || !o->pause_ms)
		usage();
}

int main(int argc, char **argv)
{
	struct options o = {
		.min = 20, .max = 300, .pause_ms = 200, .large_bytes = 40000, .seed = 1};
	struct prompter prompter = {.opts = &o};
	struct sigaction action = {.sa_handler = on_term};
	pthread_t thread;
	uint64_t written;

	parse(argc, argv, &o);
	make_crc_table();
	sigaction(SIGTERM, &action, NULL);
	if (o.prompts && pthread_create(&thread, NULL, prompt, &prompter))
		return 1;
	written = write_lines(&o);
	stopping = 1;
	if (o.prompts)
		pthread_join(thread, NULL);
	if (o.report)
		report(&o, written, prompter.written);
	return 0;
}
