// SPDX-License-Identifier: Apache-2.0
/*
 * Load for `notail --stdout=json` where no container engine is: this program is the runtime.
 *
 *     soak [-e] [-t SECONDS] NOTAIL [OPTION...]      options of notail: --hooks fexit
 *
 * A few containers at a time, each a cgroup with a container's name and an init with a mount
 * namespace of its own, whose threads write lines at full speed to two pipes. Their reader, a
 * thread a pipe, adds up what it got, and the collector what notail printed of it. When a container
 * has ended, both are compared with what notail says of its streams (--stats):
 *
 * - nothing was printed twice, or in another order than it was read;
 * - the stream's end was noticed, or misses are told of it when notail ends;
 * - what was read and is in neither notail's `copied` nor its `lost` was missed: the stream has to
 *   be called incomplete, and the kernel has to have counted misses. With -e that is a failure too.
 *
 * Prints what it compared, and exits with 0 when all that was so, 1 if not, 2 when it could not
 * run.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define AT_ONCE 6
#define THREADS 2     /* of a container, for each of its pipes */
#define MAX_RUNS 4096 /* containers of one process of this program */
#define LINE_MAX_BYTES 3000
#define LEAST_BYTES (64u << 10) /* of a thread */
#define AHEAD_BYTES (8u << 20)	/* that readers may be ahead of what was printed */
#define DEADLINE_S 60
#define CGROUPS "/sys/fs/cgroup"
#define STREAMS 2

struct side {
	_Atomic uint64_t bytes;
	uint64_t hash;
};

struct stream {
	struct side got;     /* by the reader */
	struct side printed; /* by notail */
	uint64_t written, copied, lost;
	bool incomplete, open;
	_Atomic bool told; /* by --stats: the five above are valid */
	pthread_t reader;
	int fd;
};

struct run {
	struct stream streams[STREAMS];
	char dir[128];
	pid_t init;
};

static struct run runs[MAX_RUNS];
static char prefix[17]; /* of the names of this program's containers */
static _Atomic uint64_t got_bytes, printed_bytes, forgiven_bytes;
static _Atomic bool ready, notail_ended;

static struct {
	unsigned streams, differ, incomplete, bad;
	uint64_t bytes, missed, lost, misses;
} sum;

static __attribute__((noreturn, format(printf, 1, 2))) void die(const char *fmt, ...)
{
	__builtin_va_list args;

	__builtin_va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	fprintf(stderr, "\n");
	exit(2);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void pause_ms(int ms)
{
	poll(NULL, 0, ms);
}

static void add(struct side *side, const char *bytes, size_t n)
{
	uint64_t hash = side->hash;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001b3;
	side->hash = hash;
	side->bytes += n;
}

/* ---- the container ---- */

struct writer {
	pthread_t thread;
	int fd;
	unsigned seed;
};

/* Letters and digits only: as they are in JSON. */
static void *write_lines(void *arg)
{
	struct writer *w = arg;
	size_t left = LEAST_BYTES + (size_t)rand_r(&w->seed) % (3 * LEAST_BYTES);
	char line[LINE_MAX_BYTES + 1];
	unsigned n = 0;

	while (left) {
		size_t len = 20 + (size_t)rand_r(&w->seed) % 200, done = 0;

		if (rand_r(&w->seed) % 50 == 0)
			len = LINE_MAX_BYTES;
		memset(line, 'a' + (int)(n % 26), len);
		snprintf(line, sizeof(line), "%u %u", w->seed, n++);
		line[strlen(line)] = ' ';
		line[len - 1] = '\n';
		while (done < len) {
			ssize_t r = write(w->fd, line + done, len - done);

			if (r < 0)
				_exit(1);
			done += (size_t)r;
		}
		left -= left < len ? left : len;
	}
	return NULL;
}

static int be_container(unsigned seed)
{
	struct writer writers[STREAMS * THREADS];

	for (unsigned i = 0; i < STREAMS * THREADS; i++) {
		writers[i].fd = STDOUT_FILENO + (int)(i % STREAMS);
		writers[i].seed = seed * 16 + i;
		if (pthread_create(&writers[i].thread, NULL, write_lines, &writers[i]))
			return 1;
	}
	for (unsigned i = 0; i < STREAMS * THREADS; i++)
		pthread_join(writers[i].thread, NULL);
	return 0;
}

/* ---- the runtime ---- */

/* A slow notail must not have its ring overflow: that loses, visibly, what is to be compared here.
 */
static void keep_pace(void)
{
	uint64_t begin = now_ns(), ahead;

	for (;;) {
		ahead = got_bytes - printed_bytes - forgiven_bytes;
		if (ahead < AHEAD_BYTES || ahead > UINT64_MAX / 2)
			return;
		if (now_ns() - begin > 2000000000) {
			forgiven_bytes += ahead; /* they were missed */
			return;
		}
		pause_ms(5);
	}
}

static void *read_stream(void *arg)
{
	struct stream *s = arg;
	char buf[8192];
	ssize_t n;

	for (;;) {
		keep_pace();
		n = read(s->fd, buf, sizeof(buf));
		if (n <= 0)
			break;
		add(&s->got, buf, (size_t)n);
		got_bytes += (uint64_t)n;
	}
	close(s->fd);
	return NULL;
}

/* Between fork and exec: nothing here may take a lock. */
static __attribute__((noreturn)) void enter(const char *procs, const int fds[STREAMS],
					    char *const argv[])
{
	int fd = open(procs, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "0", 1) != 1 || unshare(CLONE_NEWNS) < 0)
		_exit(120);
	dup2(fds[0], STDOUT_FILENO);
	dup2(fds[1], STDERR_FILENO);
	execv("/proc/self/exe", argv);
	_exit(121);
}

static void start_run(unsigned n)
{
	struct run *run = &runs[n];
	char seed[16], procs[160];
	char *argv[] = {"soak", "--container", seed, NULL};
	int pipes[STREAMS][2], ends[STREAMS];

	snprintf(run->dir, sizeof(run->dir), CGROUPS "/%s%048x", prefix, n);
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", run->dir);
	snprintf(seed, sizeof(seed), "%u", n + 1);
	if (mkdir(run->dir, 0755) < 0)
		die("%s: %s", run->dir, strerror(errno));
	for (int i = 0; i < STREAMS; i++) {
		if (pipe2(pipes[i], O_CLOEXEC) < 0)
			die("pipe: %s", strerror(errno));
		ends[i] = pipes[i][1];
		run->streams[i].fd = pipes[i][0];
	}
	run->init = fork();
	if (run->init == 0)
		enter(procs, ends, argv);
	for (int i = 0; i < STREAMS; i++) {
		close(ends[i]);
		if (pthread_create(&run->streams[i].reader, NULL, read_stream, &run->streams[i]))
			die("no thread");
	}
}

/* ---- notail's output ---- */

/* What is between `before` and the next `end`; NULL: nothing. */
static const char *field(const char *text, const char *before, char end, size_t *ret_len)
{
	const char *begin = strstr(text, before), *stop;

	if (!begin)
		return NULL;
	begin += strlen(before);
	stop = strchr(begin, end);
	if (!stop)
		return NULL;
	*ret_len = (size_t)(stop - begin);
	return begin;
}

static struct stream *find(const char *id, bool is_err)
{
	unsigned long n;

	if (strncmp(id, prefix, strlen(prefix)) != 0)
		return NULL;
	n = strtoul(id + strlen(prefix), NULL, 16);
	return n < MAX_RUNS ? &runs[n].streams[is_err] : NULL;
}

static void *collect(void *arg)
{
	FILE *in = arg;
	char *text = NULL;
	size_t size = 0, len = 0, id_len;

	while (getline(&text, &size, in) > 0) {
		const char *line = field(text, "\"line\":\"", '"', &len);
		const char *id = field(text, "\"container_id\":\"", '"', &id_len);
		struct stream *s = id ? find(id, strstr(text, "\"stream\":\"stderr\"")) : NULL;

		if (!line || !s || strstr(text, "\"notail_gap\""))
			continue;
		add(&s->printed, line, len);
		add(&s->printed, "\n", 1);
		printed_bytes += len + 1;
	}
	free(text);
	return NULL;
}

static uint64_t number(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/* notail's stderr: `ready`, a line for each stream that ended, the sums. */
static void *listen_to(void *arg)
{
	FILE *in = arg;
	char *text = NULL;
	size_t size = 0;

	while (getline(&text, &size, in) > 0) {
		struct stream *s;

		if (strncmp(text, "stream ", 7) == 0) {
			s = find(text + 7, strstr(text, " stderr "));
			if (!s || s->told)
				continue;
			s->written = number(text, " written=");
			s->copied = number(text, " copied=");
			s->lost = number(text, " lost=");
			s->incomplete = strstr(text, " incomplete");
			s->open = strstr(text, " open");
			s->told = true;
		} else if (strcmp(text, "ready\n") == 0 || strcmp(text, "notail: ready\n") == 0) {
			ready = true;
		} else if (strstr(text, "notail_recursion_misses_total")) {
			sum.misses = number(text, "notail_recursion_misses_total ");
		} else if (strncmp(text, "notail", 6) == 0 && !strstr(text, "_total")) {
			fprintf(stderr, "%s", text);
		}
	}
	notail_ended = true;
	free(text);
	return NULL;
}

static pid_t start_notail(char *const argv[], FILE **ret_out, FILE **ret_err)
{
	int out[2], err[2];
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0)
		die("pipe: %s", strerror(errno));
	pid = fork();
	if (pid == 0) {
		dup2(out[1], STDOUT_FILENO);
		dup2(err[1], STDERR_FILENO);
		execv(argv[0], argv);
		_exit(127);
	}
	close(out[1]);
	close(err[1]);
	*ret_out = fdopen(out[0], "r");
	*ret_err = fdopen(err[0], "r");
	return pid;
}

/* ---- judging ---- */

static bool all_printed(const struct stream *s)
{
	return s->told && s->printed.bytes >= s->copied;
}

static void judge(const struct run *run, int which, bool exact)
{
	const struct stream *s = &run->streams[which];
	uint64_t got = s->got.bytes, seen = s->copied + s->lost;
	const char *wrong = NULL;

	if (!s->told || (s->open && (exact || !s->incomplete)))
		wrong = "its end was not told";
	else if (seen > got)
		wrong = "more was seen than was read";
	else if (!all_printed(s))
		wrong = "what was copied was not printed";
	else if (seen == got && !s->lost &&
		 (s->printed.bytes != got || s->printed.hash != s->got.hash))
		wrong = "other bytes were printed than were read";
	else if (seen < got && !s->incomplete)
		wrong = "bytes were missed, and it is not called incomplete";
	else if (seen < got && exact)
		wrong = "bytes were missed";
	sum.streams++;
	sum.bytes += got;
	sum.lost += s->lost;
	sum.incomplete += s->incomplete;
	sum.differ += seen != got;
	sum.missed += seen < got ? got - seen : 0;
	sum.bad += wrong != NULL;
	if (wrong && sum.bad <= 10)
		fprintf(stderr,
			"FAIL %s %s: %s: read %llu, printed %llu, written %llu, copied %llu, "
			"lost %llu%s\n",
			strrchr(run->dir, '/') + 1, which ? "stderr" : "stdout", wrong,
			(unsigned long long)got, (unsigned long long)s->printed.bytes,
			(unsigned long long)s->written, (unsigned long long)s->copied,
			(unsigned long long)s->lost, s->incomplete ? ", incomplete" : "");
}

/* The container has ended, or does now. */
static void end_run(struct run *run)
{
	uint64_t deadline;
	int status;

	for (int i = 0; i < STREAMS; i++)
		pthread_join(run->streams[i].reader, NULL);
	if (waitpid(run->init, &status, 0) < 0 || status)
		die("%s ended with status %#x", run->dir, status);
	deadline = now_ns() + DEADLINE_S * 1000000000ull;
	while (rmdir(run->dir) < 0 && now_ns() < deadline)
		pause_ms(5);
	for (int i = 0; i < STREAMS; i++)
		while (!all_printed(&run->streams[i]) && !notail_ended && now_ns() < deadline)
			pause_ms(5);
}

static unsigned run_all(unsigned seconds)
{
	uint64_t end = now_ns() + seconds * 1000000000ull;
	unsigned started = 0, ended = 0;

	while (ended < started || !started || now_ns() < end) {
		while (started < MAX_RUNS && started - ended < AT_ONCE &&
		       (!started || now_ns() < end) && !notail_ended)
			start_run(started++);
		if (ended == started)
			break;
		end_run(&runs[ended++]);
	}
	return ended;
}

static int soak(unsigned seconds, bool exact, char *const notail[], int n)
{
	char *argv[32] = {notail[0],	 "--stdout=json", "--no-docker", "--stats",
			  "--container", prefix,	  "--ring-size", "64MiB"};
	pthread_t collector, listener;
	FILE *out, *err;
	unsigned ended;
	int status = 0;
	pid_t pid;

	for (int i = 1, at = 8; i < n && at < 31; i++)
		argv[at++] = notail[i];
	snprintf(prefix, sizeof(prefix), "50ac%012x", (unsigned)getpid());
	pid = start_notail(argv, &out, &err);
	pthread_create(&collector, NULL, collect, out);
	pthread_create(&listener, NULL, listen_to, err);
	while (!ready && !notail_ended)
		pause_ms(10);
	if (!ready)
		die("notail did not begin");
	ended = run_all(seconds);
	kill(pid, SIGTERM);
	pthread_join(listener, NULL);
	pthread_join(collector, NULL);
	waitpid(pid, &status, 0);
	if (status)
		die("notail ended with status %#x", status);
	for (unsigned n = 0; n < ended; n++)
		for (int i = 0; i < STREAMS; i++)
			judge(&runs[n], i, exact);
	if (sum.missed && !sum.misses) {
		fprintf(stderr, "FAIL bytes were missed, and the kernel counted no misses\n");
		sum.bad++;
	}
	printf("%u containers, %u streams, %llu bytes read; %llu bytes of %u streams missed, "
	       "%llu lost; %u streams incomplete, %llu misses; %u wrong\n",
	       ended, sum.streams, (unsigned long long)sum.bytes, (unsigned long long)sum.missed,
	       sum.differ, (unsigned long long)sum.lost, sum.incomplete,
	       (unsigned long long)sum.misses, sum.bad);
	return sum.bad || !sum.bytes ? 1 : 0;
}

int main(int argc, char *argv[])
{
	unsigned seconds = 20;
	bool exact = false;
	int c;

	if (argc == 3 && strcmp(argv[1], "--container") == 0)
		return be_container((unsigned)atoi(argv[2]));
	while ((c = getopt(argc, argv, "+et:")) != -1) {
		if (c == 'e')
			exact = true;
		else if (c == 't')
			seconds = (unsigned)atoi(optarg);
		else
			die("usage: soak [-e] [-t SECONDS] NOTAIL [OPTION...]");
	}
	if (optind == argc)
		die("usage: soak [-e] [-t SECONDS] NOTAIL [OPTION...]");
	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < MAX_RUNS; i++)
		for (int j = 0; j < STREAMS; j++)
			runs[i].streams[j].got.hash = runs[i].streams[j].printed.hash =
				0xcbf29ce484222325;
	return soak(seconds, exact, argv + optind, argc - optind);
}
