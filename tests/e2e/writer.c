// SPDX-License-Identifier: Apache-2.0
/*
 * Writes lines to stdout and stderr from several threads, one write(2) a line: the load of the
 * end-to-end tests and of the bench. What it writes is a function of its options (but for --stamp),
 * so that a run can be repeated.
 *
 * A line is `<thread> <number> ` and filling up to its length; --random fills with any byte but a
 * newline, --stamp begins the line with CLOCK_REALTIME in nanoseconds. --rate is the sum of all
 * threads and is kept on average: a thread that was held up catches up.
 */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES (1u << 20)
#define NS_PER_S 1000000000ull

struct options {
	uint64_t threads;
	uint64_t lines; /* of each thread; 0: no end */
	uint64_t min;	/* bytes, newline included */
	uint64_t max;
	uint64_t rate;	/* lines a second, all threads together; 0: as fast as it goes */
	uint64_t burst; /* lines in a row between two waits of --rate; 0: 1 */
	uint64_t seed;
	uint64_t stderr_every; /* every Nth line goes to stderr; 0: none */
	uint64_t seconds;      /* 0: no limit */
	bool random;
	bool stamp;
	bool half; /* the last line of each thread has no newline */
};

struct worker {
	const struct options *opts;
	uint64_t index;
	uint64_t state; /* of the random numbers */
	char *letters;	/* twice the longest line: filling up costs a copy */
};

static uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
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

static void write_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, data, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			exit(errno == EPIPE ? 0 : 1);
		data += n;
		size -= (size_t)n;
	}
}

static size_t make_line(struct worker *w, uint64_t number, char *line)
{
	const struct options *o = w->opts;
	size_t size = o->min + random_next(&w->state) % (o->max - o->min + 1);
	char head[80];
	size_t used = 0;

	if (o->stamp)
		used = (size_t)sprintf(head, "%llu ", (unsigned long long)now_ns(CLOCK_REALTIME));
	used += (size_t)sprintf(head + used, "%llu %llu ", (unsigned long long)w->index,
				(unsigned long long)number);
	if (used > size - 1)
		used = size - 1;
	memcpy(line, head, used);
	if (!o->random)
		memcpy(line + used, w->letters + random_next(&w->state) % o->max, size - 1 - used);
	for (size_t i = used; o->random && i < size - 1; i++) {
		unsigned char c = (unsigned char)(random_next(&w->state) >> 24);

		line[i] = c == '\n' ? 0 : (char)c;
	}
	line[size - 1] = '\n';
	return size;
}

/* Sleeps until the time that line `number` of one thread is due. */
static void pace(const struct options *o, uint64_t begin, uint64_t number)
{
	uint64_t due = begin + (uint64_t)((__uint128_t)number * o->threads * NS_PER_S / o->rate);
	struct timespec ts = {.tv_sec = (time_t)(due / NS_PER_S),
			      .tv_nsec = (long)(due % NS_PER_S)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	const struct options *o = w->opts;
	uint64_t begin = now_ns(CLOCK_MONOTONIC);
	char *line = malloc(o->max);

	w->letters = malloc(2 * o->max);
	if (!line || !w->letters)
		exit(1);
	for (size_t i = 0; i < 2 * o->max; i++)
		w->letters[i] = (char)('a' + random_next(&w->state) % 26);
	for (uint64_t number = 0; !o->lines || number < o->lines; number++) {
		size_t size = make_line(w, number, line);
		int fd = o->stderr_every && number % o->stderr_every == 0 ? 2 : 1;

		if (o->half && o->lines && number == o->lines - 1)
			size--;
		write_all(fd, line, size);
		if (o->rate && (!o->burst || (number + 1) % o->burst == 0))
			pace(o, begin, number + 1);
		if (o->seconds && now_ns(CLOCK_MONOTONIC) - begin >= o->seconds * NS_PER_S)
			break;
	}
	free(w->letters);
	free(line);
	return NULL;
}

static void usage(void)
{
	fprintf(stderr, "usage: writer [--threads N] [--lines N] [--min BYTES] [--max BYTES] "
			"[--size BYTES] [--rate N] [--burst N]\n"
			"              [--seed N] [--stderr-every N] [--seconds N] [--random] "
			"[--stamp] [--half]\n");
	exit(2);
}

static uint64_t number_of(const char *text)
{
	char *end;
	uint64_t value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || *end)
		usage();
	return value;
}

static void parse(int argc, char **argv, struct options *o)
{
	static const struct option known[] = {
		{"threads", 1, NULL, 't'}, {"lines", 1, NULL, 'l'},  {"min", 1, NULL, 'a'},
		{"max", 1, NULL, 'b'},	   {"size", 1, NULL, 's'},   {"rate", 1, NULL, 'r'},
		{"burst", 1, NULL, 'B'},   {"seed", 1, NULL, 'e'},   {"stderr-every", 1, NULL, 'E'},
		{"seconds", 1, NULL, 'S'}, {"random", 0, NULL, 'R'}, {"stamp", 0, NULL, 'T'},
		{"half", 0, NULL, 'H'},	   {NULL, 0, NULL, 0},
	};
	uint64_t *numbers[256] = {
		['t'] = &o->threads, ['l'] = &o->lines,	       ['a'] = &o->min,
		['b'] = &o->max,     ['r'] = &o->rate,	       ['B'] = &o->burst,
		['e'] = &o->seed,    ['E'] = &o->stderr_every, ['S'] = &o->seconds,
	};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (c == 'R')
			o->random = true;
		else if (c == 'T')
			o->stamp = true;
		else if (c == 'H')
			o->half = true;
		else if (c == 's')
			o->min = o->max = number_of(optarg);
		else if (c < 256 && numbers[c])
			*numbers[c] = number_of(optarg);
		else
			usage();
	}
	if (optind != argc || !o->threads || !o->min || o->min > o->max || o->max > LINE_MAX_BYTES)
		usage();
}

int main(int argc, char **argv)
{
	struct options o = {.threads = 1, .lines = 1000, .min = 1, .max = 300, .seed = 1};
	struct worker *workers;
	pthread_t *threads;

	parse(argc, argv, &o);
	workers = calloc(o.threads, sizeof(*workers));
	threads = calloc(o.threads, sizeof(*threads));
	if (!workers || !threads)
		return 1;
	for (uint64_t i = 0; i < o.threads; i++) {
		/* A state of 0 would stay 0. */
		workers[i] =
			(struct worker){.opts = &o,
					.index = i,
					.state = (o.seed * 0x9e3779b97f4a7c15ull + i * 7919) | 1};
		if (pthread_create(&threads[i], NULL, work, &workers[i]))
			return 1;
	}
	for (uint64_t i = 0; i < o.threads; i++)
		pthread_join(threads[i], NULL);
	free(workers);
	free(threads);
	return 0;
}
