/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage: calls [--hooks SET] [--rounds N] [--bursts N] [--lines N] [--crowd N]
 *
 * What the programs cost those who make system calls. Variants are loaded in turn, round after
 * round, so that a slow minute of the machine hits all of them; the least of each figure counts.
 *
 *   none     nothing attached            off, stream  notail, by attribution
 *   empty    programs of the same kind   crowd        stream, with N more containers registered:
 *            that return at once                      two pipes and a reader each
 *
 * A child is the container: a known reader's own calls cost more than a stranger's, and this
 * process is the reader. Calls are timed in bursts that fit into the pipe, which is drained in
 * between, so that nobody ever waits. --lines: that many lines of 100 bytes through a pipe with
 * writer, reader and consumer at the same time; the figures are CPU time of each.
 *
 * Prints `VARIANT FIGURE VALUE`, ns per call (per line), bytes, or reads for 1,000 lines. Under
 * qemu's -icount they are instructions. Exit status 1: what was captured is not what was written.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "assemble/assemble.h"
#include "base/util.h"
#include "capture/capture.h"

#define LINE_BYTES 100
#define BURST 600	/* lines that a pipe of 16 pages has room for: 40 in a page */
#define READ_BYTES 4096 /* what containerd's shim reads at once */
#define CGROUP_ID 4242	/* no real cgroup has it */
#define RING_BYTES (32u << 20)
#define ROUND_MS 5	       /* notail's own */
#define READER_BASE (1u << 23) /* no process has a number over 2^22 */
#define QUIET_S 4
#define MAX_IDS 512

enum variant { NONE, EMPTY, OFF, STREAM, CROWD, VARIANTS };
enum figure {
	GETPPID,
	DEVNULL,
	DEVZERO,
	STRANGER,
	WRITE,
	READ,
	WRITER,
	READER,
	CAPTURE,
	LINES,
	READS,
	FIGURES
};

static const char *const variant_names[] = {"none", "empty", "off", "stream", "crowd"};
static const char *const figure_names[] = {"getppid", "devnull", "devzero", "stranger",
					   "write",   "read",	 "writer",  "reader",
					   "capture", "lines",	 "reads"};

static struct settings {
	enum hook_set hooks;
	unsigned rounds, bursts, lines, crowd;
} settings = {.hooks = HOOKS_SYSCALL, .rounds = 5, .bursts = 60, .crowd = 1000};

/* 0: not measured. [1]: while programs of somebody else were attached, too. */
static double best[2][VARIANTS][FIGURES];
static double sample[FIGURES];
static bool memory_told;
static char line[LINE_BYTES];

struct load {
	int pipe[2]; /* the container's stdout */
	int ask[2], answer[2];
	pid_t child;
};

/* What is attached now. */
struct attached {
	struct capture *capture;
	int links[2]; /* of `empty` */
	size_t n_links;
	struct assembler *assembler;
	uint64_t bytes, lines; /* of our container, captured */
	uint64_t gaps;	       /* bytes that its records say are lost */
};

static uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "calls: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void note_least(double *least, double value)
{
	if (value && (!*least || value < *least))
		*least = value;
}

static void note(enum figure f, double value)
{
	note_least(&sample[f], value);
}

/* ---- the container ---- */

/* No streams. */
struct files {
	int null, zero, pipe[2];
};

static double burst(enum figure figure, const struct load *l, const struct files *own)
{
	uint64_t begin = now_ns(CLOCK_MONOTONIC);
	char buf[LINE_BYTES];
	ssize_t n = 1;

	for (int i = 0; i < BURST && n > 0; i++) {
		switch (figure) {
		case GETPPID:
			n = syscall(SYS_getppid);
			break;
		case DEVNULL:
			n = write(own->null, line, LINE_BYTES);
			break;
		case DEVZERO:
			n = read(own->zero, buf, LINE_BYTES);
			break;
		case WRITE:
			n = write(l->pipe[1], line, LINE_BYTES);
			break;
		default:
			if (write(own->pipe[1], line, LINE_BYTES) == LINE_BYTES)
				n = read(own->pipe[0], buf, LINE_BYTES);
		}
	}
	if (n <= 0)
		_exit(1);
	return (double)(now_ns(CLOCK_MONOTONIC) - begin) / BURST;
}

static void be_container(const struct load *l)
{
	struct files own = {.null = open("/dev/null", O_WRONLY | O_CLOEXEC),
			    .zero = open("/dev/zero", O_RDONLY | O_CLOEXEC)};
	unsigned char figure;

	if (own.null < 0 || own.zero < 0 || pipe2(own.pipe, O_CLOEXEC) < 0)
		_exit(1);
	while (read(l->ask[0], &figure, 1) == 1) {
		double ns = burst(figure, l, &own);

		if (write(l->answer[1], &ns, sizeof(ns)) != sizeof(ns))
			_exit(1);
	}
	_exit(0);
}

static void start_container(struct load *l)
{
	if (pipe2(l->pipe, O_CLOEXEC) < 0 || pipe2(l->ask, O_CLOEXEC) < 0 ||
	    pipe2(l->answer, O_CLOEXEC) < 0)
		die("pipe");
	l->child = fork();
	if (l->child < 0)
		die("fork");
	if (l->child == 0) {
		close(l->ask[1]);
		be_container(l);
	}
}

/* ---- variants ---- */

static void on_line(void *ctx, const struct line *l)
{
	struct attached *a = ctx;

	(void)l;
	a->lines++;
}

static void on_data(void *ctx, uint64_t pos, const struct nt_data *rec)
{
	struct chunk chunk = {.bytes = (const char *)rec->bytes,
			      .len = rec->len,
			      .time_ns = rec->hdr.time_ns,
			      .ring_pos = pos,
			      .pid = rec->pid,
			      .comm = rec->comm};
	struct attached *a = ctx;

	if (rec->hdr.cgroup_id != CGROUP_ID)
		return;
	a->bytes += rec->len;
	a->gaps += rec->gap.bytes;
	assembler__feed(a->assembler, &chunk);
}

static void on_end(void *ctx, uint64_t pos, const struct nt_end *rec)
{
	struct attached *a = ctx;

	(void)pos;
	if (rec->hdr.cgroup_id == CGROUP_ID)
		a->gaps += rec->gap.bytes;
}

static size_t consume(struct attached *a)
{
	uint64_t pos;
	size_t n = capture__read(a->capture, SIZE_MAX / 2, &pos);

	capture__commit(a->capture, pos);
	return n;
}

static bool empty_program(struct attached *a, const char *target, enum bpf_attach_type at)
{
	const struct bpf_insn program[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = at);
	int type = libbpf_find_vmlinux_btf_id(target, at), program_fd, link = -1;

	if (type < 0)
		return false;
	opts.attach_btf_id = (uint32_t)type;
	program_fd = bpf_prog_load(BPF_PROG_TYPE_TRACING, "nt_empty", "GPL", program,
				   ARRAY_SIZE(program), &opts);
	if (program_fd >= 0)
		link = bpf_raw_tracepoint_open(NULL, program_fd);
	close_p(&program_fd); /* the link holds it */
	if (link >= 0)
		a->links[a->n_links++] = link;
	return link >= 0;
}

static void attach_empty(struct attached *a)
{
	static const char *const functions[][2] = {{"pipe_write", "anon_pipe_write"},
						   {"pipe_read", "anon_pipe_read"}};

	for (int i = 0; i < 2 && settings.hooks == HOOKS_FEXIT; i++)
		if (!empty_program(a, functions[i][0], BPF_TRACE_FEXIT) &&
		    !empty_program(a, functions[i][1], BPF_TRACE_FEXIT))
			die("an empty program at a pipe's function");
	if (settings.hooks == HOOKS_SYSCALL && !empty_program(a, "sys_exit", BPF_TRACE_RAW_TP))
		die("an empty program at sys_exit");
}

/*
 * The numbers behind `key` in the descriptions of our own descriptors of a kind. Those of links
 * must not be read: 6.18 follows a NULL pointer for a kprobe.multi link without cookies.
 */
static size_t own_numbers(const char *kind, const char *key, uint64_t *numbers, size_t size)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	size_t n = 0;

	while (dir && (entry = readdir(dir))) {
		char path[300], text[128] = "";
		FILE *file;

		if (readlinkat(dirfd(dir), entry->d_name, text, sizeof(text) - 1) < 0 ||
		    strcmp(text, kind) != 0)
			continue;
		snprintf(path, sizeof(path), "/proc/self/fdinfo/%s", entry->d_name);
		file = fopen(path, "re");
		while (file && fgets(text, sizeof(text), file))
			if (strncmp(text, key, strlen(key)) == 0 && n < size)
				numbers[n++] = strtoull(text + strlen(key), NULL, 10);
		if (file)
			fclose(file);
	}
	if (dir)
		closedir(dir);
	return n;
}

/* What the kernel says of all maps that we hold. */
static int64_t map_bytes(void)
{
	uint64_t ids[MAX_IDS];
	size_t n = own_numbers("anon_inode:bpf-map", "map_id:", ids, MAX_IDS);
	int64_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		_close_ int fd = bpf_map_get_fd_by_id((uint32_t)ids[i]);
		uint64_t bytes = 0;
		char path[64], text[128];
		FILE *file;

		for (size_t k = 0; k < i; k++)
			if (ids[k] == ids[i])
				ids[i] = 0;
		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
		file = ids[i] && fd >= 0 ? fopen(path, "re") : NULL;
		while (file && fgets(text, sizeof(text), file))
			sscanf(text, "memlock: %" SCNu64, &bytes);
		if (file)
			fclose(file);
		sum += (int64_t)bytes;
	}
	return sum;
}

static int own_map(const char *name)
{
	uint64_t ids[MAX_IDS];
	size_t n = own_numbers("anon_inode:bpf-map", "map_id:", ids, MAX_IDS);

	for (size_t i = 0; i < n; i++) {
		struct bpf_map_info info = {};
		uint32_t len = sizeof(info);
		int fd = bpf_map_get_fd_by_id((uint32_t)ids[i]);

		if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &len) == 0 &&
		    strcmp(info.name, name) == 0)
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return -1;
}

static void add_crowd(struct attached *a, enum variant v)
{
	_close_ int cgroups = own_map("nt_cgroups");
	int64_t before = map_bytes(), after;

	for (unsigned i = 0; i < settings.crowd; i++) {
		const struct nt_cgroup init = {.init_pid = READER_BASE + i};
		uint64_t id = (1ull << 40) + i;

		if (cgroups >= 0)
			bpf_map_update_elem(cgroups, &id, &init, BPF_ANY);
		for (int file = NT_FILE_STDOUT; file <= NT_FILE_STDERR; file++) {
			int fds[2];

			if (pipe2(fds, O_CLOEXEC) < 0 ||
			    capture__add_pipe(a->capture, fds[0], (pid_t)(READER_BASE + i), file,
					      id) < 0)
				die("a stream of the crowd");
			/* The number of a pipe's inode does not come again soon. */
			close(fds[0]);
			close(fds[1]);
		}
	}
	after = map_bytes();
	if (!memory_told)
		printf("%s memory_added %" PRId64 "\n%s memory_maps %" PRId64 "\n",
		       variant_names[v], after - before, variant_names[v], after);
	memory_told = true;
}

/* False: this variant cannot be loaded here. */
static bool attach(struct attached *a, enum variant v)
{
	const struct record_ops ops = {.data = on_data, .end = on_end};
	struct capture_opts opts = {.hooks = settings.hooks, .ring_bytes = RING_BYTES};
	const struct assemble_opts lines = {};
	char why[512];

	memset(a, 0, sizeof(*a));
	if (v == EMPTY)
		attach_empty(a);
	if (v < OFF)
		return true;
	if (assembler__new(&a->assembler, &lines, CGROUP_ID, LINE_STDOUT, on_line, a) < 0 ||
	    attribution__parse(v == OFF ? "off" : "stream", &opts.attribution) < 0)
		die(variant_names[v]);
	if (capture__new(&a->capture, &opts, &ops, a, why, sizeof(why)) < 0) {
		fprintf(stderr, "calls: %s\n", why);
		return false;
	}
	if (v == CROWD)
		add_crowd(a, v);
	return true;
}

static void detach(struct attached *a)
{
	while (a->n_links)
		close(a->links[--a->n_links]);
	capture__free(a->capture);
	assembler__free(a->assembler);
}

/* Is a program of somebody else's notail or benchmark in the way of every system call? */
static bool strangers_attached(void)
{
	uint64_t own[MAX_IDS];
	size_t n = own_numbers("anon_inode:bpf-prog", "prog_id:", own, MAX_IDS);
	uint32_t id = 0;

	while (bpf_prog_get_next_id(id, &id) == 0) {
		_close_ int fd = bpf_prog_get_fd_by_id(id);
		struct bpf_prog_info info = {};
		uint32_t len = sizeof(info);
		bool ours = false;

		for (size_t i = 0; i < n; i++)
			ours |= own[i] == id;
		if (!ours && fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &len) == 0 &&
		    (strcmp(info.name, "nt_sys_exit") == 0 || strcmp(info.name, "nt_empty") == 0))
			return true;
	}
	return false;
}

static void wait_for_quiet(void)
{
	const struct timespec pause = {.tv_nsec = 100000000};
	uint64_t begin = now_ns(CLOCK_MONOTONIC);

	if (settings.hooks != HOOKS_SYSCALL)
		return;
	while (strangers_attached() && now_ns(CLOCK_MONOTONIC) - begin < QUIET_S * 1000000000ull)
		nanosleep(&pause, NULL);
}

/* ---- figures ---- */

static double ask(const struct load *l, enum figure f)
{
	unsigned char figure = f;
	double ns;

	if (write(l->ask[1], &figure, 1) != 1 || read(l->answer[0], &ns, sizeof(ns)) != sizeof(ns))
		die("the container");
	return ns;
}

/* ns per read. */
static double drain(const struct load *l)
{
	static char buf[READ_BYTES];
	size_t left = (size_t)BURST * LINE_BYTES;
	uint64_t begin = now_ns(CLOCK_MONOTONIC), reads = 0;

	while (left) {
		ssize_t n = read(l->pipe[0], buf, sizeof(buf));

		if (n <= 0)
			die("read");
		left -= (size_t)n;
		reads++;
	}
	return (double)(now_ns(CLOCK_MONOTONIC) - begin) / (double)reads;
}

/* False: the ring ran over, as it does where nobody lets this program run. */
static bool check(const struct attached *a, enum variant v, uint64_t bytes)
{
	if (!a->capture || (a->bytes == bytes && a->lines == bytes / LINE_BYTES))
		return true;
	fprintf(stderr,
		"calls: %s: %" PRIu64 " bytes written, %" PRIu64 " captured, %" PRIu64
		" said to be lost\n",
		variant_names[v], bytes, a->bytes, a->gaps);
	if (a->bytes + a->gaps != bytes)
		exit(1);
	return false;
}

static void measure_calls(struct attached *a, const struct load *l, enum variant v)
{
	if (a->capture &&
	    capture__add_pipe(a->capture, l->pipe[0], getpid(), NT_FILE_STDOUT, CGROUP_ID) < 0)
		die("the stream");
	for (unsigned i = 0; i < settings.bursts; i++) {
		for (enum figure f = GETPPID; f <= WRITE; f++)
			note(f, ask(l, f));
		note(READ, drain(l));
		if (a->capture)
			consume(a);
	}
	check(a, v, (uint64_t)settings.bursts * BURST * LINE_BYTES);
}

static pid_t start_reader(const int pipe_fds[2], volatile uint64_t *reads)
{
	static char buf[READ_BYTES];
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid)
		return pid;
	close(pipe_fds[1]);
	while (read(pipe_fds[0], buf, sizeof(buf)) > 0)
		++*reads;
	_exit(0);
}

static pid_t start_writer(const int pipe_fds[2])
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid)
		return pid;
	for (unsigned i = 0; i < settings.lines; i++)
		if (write(pipe_fds[1], line, LINE_BYTES) != LINE_BYTES)
			_exit(1);
	_exit(0);
}

static double cpu_ns(const struct rusage *u)
{
	return 1e9 * (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) +
	       1e3 * (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec);
}

/* As notail's capture thread: a look at the ring every few ms, or when it fills up. */
static void wait_round(struct attached *a)
{
	struct pollfd fd = {.fd = capture__wake_fd(a->capture), .events = POLLIN};

	poll(&fd, 1, ROUND_MS);
	consume(a);
}

static double wait_lines(struct attached *a, pid_t pid)
{
	struct rusage used;
	int status = 0;
	pid_t ended = 0;

	while (ended == 0) {
		ended = wait4(pid, &status, a->capture ? WNOHANG : 0, &used);
		if (ended == 0)
			wait_round(a);
	}
	if (ended < 0 || status)
		die("a process of the lines");
	return cpu_ns(&used);
}

static void measure_lines(struct attached *a, enum variant v)
{
	double writer, reader, capture = 0, total = settings.lines;
	uint64_t *n_reads = mmap(NULL, sizeof(*n_reads), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int fds[2];
	uint64_t begin;
	pid_t reads, writes;

	if (n_reads == MAP_FAILED)
		die("mmap");
	a->bytes = a->lines = a->gaps = 0;
	if (pipe2(fds, O_CLOEXEC) < 0)
		die("pipe");
	reads = start_reader(fds, n_reads);
	if (a->capture &&
	    capture__add_pipe(a->capture, fds[0], reads, NT_FILE_STDOUT, CGROUP_ID) < 0)
		die("the stream");
	writes = start_writer(fds);
	close(fds[0]);
	close(fds[1]);
	begin = now_ns(CLOCK_PROCESS_CPUTIME_ID);
	writer = wait_lines(a, writes);
	reader = wait_lines(a, reads);
	if (a->capture) {
		while (consume(a))
			;
		capture = (double)(now_ns(CLOCK_PROCESS_CPUTIME_ID) - begin);
	}
	if (!check(a, v, (uint64_t)settings.lines * LINE_BYTES))
		goto out;
	note(WRITER, writer / total);
	note(READER, reader / total);
	if (a->capture)
		note(CAPTURE, capture / total);
	note(LINES, (writer + reader + capture) / total);
	note(READS, (double)*n_reads * 1000 / total);
out:
	munmap(n_reads, sizeof(*n_reads));
}

static bool measure(const struct load *l, enum variant v)
{
	struct attached a;
	bool disturbed;

	memset(sample, 0, sizeof(sample));
	wait_for_quiet();
	if (!attach(&a, v)) {
		detach(&a);
		return false;
	}
	disturbed = strangers_attached();
	measure_calls(&a, l, v);
	if (settings.lines)
		measure_lines(&a, v);
	disturbed |= strangers_attached();
	detach(&a);
	for (enum figure f = 0; f < WRITER; f++)
		note_least(&best[disturbed][v][f], sample[f]);
	/* These belong together. */
	if (sample[LINES] &&
	    (!best[disturbed][v][LINES] || sample[LINES] < best[disturbed][v][LINES]))
		for (enum figure f = WRITER; f < FIGURES; f++)
			best[disturbed][v][f] = sample[f];
	return true;
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{"hooks", required_argument, NULL, 'h'},  {"rounds", required_argument, NULL, 'r'},
		{"bursts", required_argument, NULL, 'b'}, {"lines", required_argument, NULL, 'l'},
		{"crowd", required_argument, NULL, 'c'},  {},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		unsigned n = (unsigned)strtoul(optarg ? optarg : "0", NULL, 10);

		if (option == 'h' && hook_set__parse(optarg, &settings.hooks) == 0)
			continue;
		else if (option == 'r')
			settings.rounds = n;
		else if (option == 'b')
			settings.bursts = n;
		else if (option == 'l')
			settings.lines = n;
		else if (option == 'c')
			settings.crowd = n;
		else
			exit(2);
	}
}

static void print(void)
{
	for (enum variant v = 0; v < VARIANTS; v++)
		for (enum figure f = 0; f < FIGURES; f++) {
			if (best[0][v][f] || best[1][v][f])
				printf("%s %s %.1f\n", variant_names[v], figure_names[f],
				       best[0][v][f] ? best[0][v][f] : best[1][v][f]);
			if (!best[0][v][f] && best[1][v][f])
				printf("disturbed %s %s\n", variant_names[v], figure_names[f]);
		}
}

int main(int argc, char **argv)
{
	struct load l = {};
	int fd;

	parse(argc, argv);
	/* Pipes that were this program's stdio would not be captured. */
	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	memset(line, 'x', sizeof(line));
	line[LINE_BYTES - 1] = '\n';
	setvbuf(stdout, NULL, _IOLBF, 0);
	start_container(&l);
	for (unsigned round = 0; round < settings.rounds; round++)
		for (enum variant v = NONE; v < VARIANTS; v++)
			if ((v != EMPTY || settings.hooks != HOOKS_MULTI) &&
			    (v != CROWD || settings.crowd) && !measure(&l, v))
				return 77;
	print();
	close(l.ask[1]);
	waitpid(l.child, NULL, 0);
	return 0;
}
