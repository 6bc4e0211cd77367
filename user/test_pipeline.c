/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each line of standard input is a line of one container, whose discovered labels are told on the
 * command line. Jobs are asked in their order; the first whose rules keep the container has it, as
 * in a run. What survives is printed as --stdout=json prints it.
 *
 * A line's time is when it was read. Lines that were read at once differ by a nanosecond, so that
 * what depends on time depends on nothing else; the end of the input sends what stages hold.
 */
#include "test_pipeline.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "batch/batch.h"
#include "config/config.h"
#include "process/label_list.h"
#include "process/metrics.h"
#include "process/program.h"
#include "process/relabel.h"

#define READ_BYTES (64u * 1024)
#define MAX_LINE_SIZE (256u * 1024)
#define TENANT_LABEL "__tenant_id__"

enum { STATUS_OK, STATUS_FAILED, STATUS_USAGE };

static const char help[] =
	"Usage: notail test-pipeline -c FILE [--set NAME=VALUE]... [--metrics-file=FILE] [--job "
	"NAME]\n"
	"Runs relabelling rules and stages on standard input; prints what comes of each line as "
	"JSON.\n\n"
	"  -c, --config=FILE        notail.yaml, or a Promtail file\n"
	"      --set=NAME=VALUE     A discovered label of the container the lines are of; "
	"repeatable\n"
	"      --job=NAME           This one of several scrape_configs\n"
	"      --metrics-file=FILE  Where custom metrics go, in Prometheus' text format\n"
	"  -h, --help               This text\n";

static const struct option options[] = {
	{"config", required_argument, NULL, 'c'}, {"set", required_argument, NULL, 's'},
	{"job", required_argument, NULL, 'j'},	  {"metrics-file", required_argument, NULL, 'm'},
	{"help", no_argument, NULL, 'h'},	  {0},
};

struct job {
	struct relabel *relabel;
	struct program *program;
};

struct test {
	const char *file, *job_name, *metrics_file;
	struct arena arena;
	struct label_pair *set; /* as said */
	size_t n_set;
	struct diag *diag;
	struct config *config;
	struct custom_metrics *metrics;
	struct job *jobs; /* as config->jobs */
	size_t n_jobs;
	struct program *program; /* the job's that has the container */
	struct program_stream *stream;
	struct label_set *labels;
	const char *tenant; /* that rules gave; NULL: none */
	enum line_stream which;
	struct clock_anchor anchor;
	struct batcher *batcher;
	uint64_t now_ns;
	struct buf pending; /* a line's beginning */
	bool cut;	    /* its rest is not wanted */
	bool help;
	int failed; /* of writing */
};

static int usage(const char *what)
{
	log_error("test-pipeline: %s, see notail test-pipeline --help", what);
	return -EINVAL;
}

static int add_set(struct test *t, const char *arg)
{
	const char *equals = strchr(arg, '=');
	struct label_pair *grown;

	if (!equals || equals == arg)
		return usage("--set takes NAME=VALUE");
	grown = reallocarray(t->set, t->n_set + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	t->set = grown;
	grown[t->n_set].name = arena__copy(&t->arena, arg, (size_t)(equals - arg));
	grown[t->n_set].value = equals + 1;
	return grown[t->n_set++].name ? 0 : -ENOMEM;
}

static int read_options(struct test *t, int argc, char **argv)
{
	int c, err = 0;

	optind = 0;
	opterr = 0;
	while (!err && (c = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			t->file = optarg;
			break;
		case 's':
			err = add_set(t, optarg);
			break;
		case 'j':
			t->job_name = optarg;
			break;
		case 'm':
			t->metrics_file = optarg;
			break;
		case 'h':
			t->help = true;
			return 0;
		default:
			return usage("an unknown option, or one without its value");
		}
	}
	if (!err && optind < argc)
		return usage("takes no arguments, lines come on standard input");
	if (!err && !t->file)
		return usage("needs -c FILE");
	return err;
}

/* The configuration */

static void on_line(void *ctx, struct label_set *set, const struct line *line)
{
	struct test *t = ctx;
	struct line copy = *line;

	if (!copy.tenant && t->tenant) {
		copy.tenant = t->tenant;
		copy.tenant_len = strlen(t->tenant);
	}
	if (batcher__add(t->batcher, set, &copy) && !t->failed)
		t->failed = -ENOMEM;
}

static int make_jobs(struct test *t)
{
	const struct config_job *configs = t->config->jobs.items;
	const struct program_opts opts = {.metrics = t->metrics,
					  .whole_times = true,
					  .preset = t->config->preset,
					  .line = on_line,
					  .ctx = t};
	int err = 0, e;

	t->n_jobs = t->config->jobs.n;
	t->jobs = calloc(t->n_jobs + 1, sizeof(*t->jobs));
	if (!t->jobs)
		return -ENOMEM;
	for (size_t i = 0; i < t->n_jobs; i++) {
		e = relabel__new(&t->jobs[i].relabel, configs[i].relabel_configs.items,
				 configs[i].relabel_configs.n, t->diag);
		err = e ? e : err;
		e = program__new(&t->jobs[i].program, configs[i].pipeline_stages, &opts, t->diag);
		err = e ? e : err;
	}
	return err;
}

static int load(struct test *t)
{
	int err = diag__new(&t->diag, t->file), e;

	if (!err)
		err = custom_metrics__new(&t->metrics);
	if (err)
		return err;
	err = config__load(&t->config, t->file, NULL, t->diag);
	if (!err) {
		e = make_jobs(t);
		err = e ? e : err;
	}
	diag__print(t->diag, stderr);
	if (err == -EINVAL && !diag__errors(t->diag))
		log_error("%s: cannot be used", t->file);
	return err;
}

/* The container */

static int discover(struct test *t, const struct config_job *job, struct label_list *list)
{
	const struct config_static *fixed =
		job->static_configs.n ? job->static_configs.items : NULL;
	int err = 0;

	for (size_t i = 0; fixed && i < fixed->labels.n && !err; i++)
		err = label_list__set(list, fixed->labels.items[i].name,
				      fixed->labels.items[i].value);
	for (size_t i = 0; i < t->n_set && !err; i++)
		err = label_list__set(list, t->set[i].name, t->set[i].value);
	label_list__sort(list);
	return err;
}

static int make_stream(struct test *t, const struct label_list *list, struct program *program)
{
	int err = 0;

	t->labels = label_set__new();
	if (!t->labels)
		return -ENOMEM;
	for (size_t i = 0; i < list->n && !err; i++) {
		if (!strcmp(list->items[i].name, TENANT_LABEL))
			t->tenant = list->items[i].value;
		if (strncmp(list->items[i].name, "__", 2))
			err = label_set__add(t->labels, list->items[i].name, list->items[i].value);
	}
	if (!err)
		err = label_set__seal(t->labels);
	t->program = program;
	return err ? err : program_stream__new(&t->stream, program);
}

/* t->stream stays NULL when the container is dropped. -ENOENT: no such job. */
static int choose(struct test *t)
{
	const struct config_job *configs = t->config->jobs.items;
	bool found = !t->job_name;

	for (size_t i = 0; i < t->n_jobs; i++) {
		struct label_list list = {.arena = &t->arena};
		int err;

		if (t->job_name &&
		    (!configs[i].job_name || strcmp(configs[i].job_name, t->job_name)))
			continue;
		found = true;
		err = discover(t, &configs[i], &list);
		if (!err)
			err = relabel__apply(t->jobs[i].relabel, &list, NULL);
		if (err < 0)
			return err;
		if (err)
			return make_stream(t, &list, t->jobs[i].program);
	}
	return found ? 0 : -ENOENT;
}

static void find_stream(struct test *t)
{
	static const char *const names[] = {"__meta_docker_container_log_stream",
					    "__meta_notail_stream"};

	t->which = LINE_STDOUT;
	for (size_t i = 0; i < t->n_set; i++)
		for (size_t j = 0; j < ARRAY_SIZE(names); j++)
			if (!strcmp(t->set[i].name, names[j]) && !strcmp(t->set[i].value, "stderr"))
				t->which = LINE_STDERR;
}

/* Lines */

static void on_sealed(void *ctx, struct batch *b)
{
	struct test *t = ctx;
	bool written = fwrite(b->payload.data, 1, b->payload.len, stdout) == b->payload.len;

	if ((!written || fflush(stdout)) && !t->failed)
		t->failed = errno ? -errno : -EIO;
	batch__free(b);
}

static void run_line(struct test *t, const char *bytes, size_t len, bool unterminated)
{
	const struct line line = {.bytes = bytes,
				  .len = len,
				  .time_ns = t->now_ns,
				  .real_ns = clock__to_real(&t->anchor, t->now_ns),
				  .stream = t->which,
				  .truncated = t->cut,
				  .unterminated = unterminated};

	t->now_ns++;
	program_stream__run(t->stream, t->labels, &line);
}

/* Up to MAX_LINE_SIZE of it. */
static int keep(struct test *t, const char *bytes, size_t len)
{
	size_t room = MAX_LINE_SIZE - t->pending.len;

	t->cut |= len > room;
	return buf__append(&t->pending, bytes, MIN(len, room));
}

static int take(struct test *t, const char *bytes, size_t len)
{
	const char *end = bytes + len, *newline;
	int err = 0;

	t->now_ns = MAX(t->now_ns, clock__boot_ns());
	while (!err && (newline = memchr(bytes, '\n', (size_t)(end - bytes)))) {
		err = keep(t, bytes, (size_t)(newline - bytes));
		if (!err)
			run_line(t, t->pending.data, t->pending.len, false);
		t->pending.len = 0;
		t->cut = false;
		bytes = newline + 1;
	}
	return err ? err : keep(t, bytes, (size_t)(end - bytes));
}

/* Until something can be read; what is due meanwhile goes on. */
static void wait_for_input(struct test *t)
{
	struct pollfd fd = {.fd = STDIN_FILENO, .events = POLLIN};
	uint64_t due_ns, now_ns;

	while (poll(&fd, 1, 0) == 0 && !t->failed) {
		now_ns = clock__boot_ns();
		due_ns = program__tick(t->program, now_ns);
		batcher__seal(t->batcher);
		if (due_ns == UINT64_MAX)
			poll(&fd, 1, -1);
		else
			poll(&fd, 1, (int)((due_ns - MIN(now_ns, due_ns)) / NS_PER_MS) + 1);
	}
}

static int read_lines(struct test *t)
{
	static char bytes[READ_BYTES];
	ssize_t n;
	int err = 0;

	do {
		wait_for_input(t);
		n = read(STDIN_FILENO, bytes, sizeof(bytes));
		if (n < 0 && errno != EINTR) {
			err = -errno;
			log_error("reading standard input: %s", strerror(errno));
		}
		if (n > 0 && t->stream)
			err = take(t, bytes, (size_t)n);
		batcher__seal(t->batcher);
	} while (n && !err && !t->failed);
	if (t->stream && t->pending.len && !err)
		run_line(t, t->pending.data, t->pending.len, true);
	program__flush(t->program);
	batcher__seal(t->batcher);
	return err ? err : t->failed;
}

static int write_metrics(struct test *t)
{
	_fclose_ FILE *f = NULL;
	_buf_ struct buf text = {0};
	uint64_t now_ns = clock__to_real(&t->anchor, MAX(t->now_ns, clock__boot_ns()));
	int err;

	if (!t->metrics_file)
		return 0;
	err = custom_metrics__print(t->metrics, &text, now_ns);
	if (err)
		return err;
	f = fopen(t->metrics_file, "we");
	if (!f || fwrite(text.data, 1, text.len, f) != text.len || fflush(f)) {
		err = -errno;
		log_error("%s: %s", t->metrics_file, strerror(errno));
	}
	return err;
}

static int run(struct test *t)
{
	const struct batch_opts opts = {.encoding = BATCH_JSON, .anchor = &t->anchor};
	int err = load(t);

	if (!err)
		err = clock__anchor(&t->anchor);
	if (!err)
		err = batcher__new(&t->batcher, &opts, on_sealed, t);
	if (err)
		return err;
	err = choose(t);
	if (err == -ENOENT)
		log_error("%s: no job is called %s", t->file, t->job_name);
	if (err)
		return err;
	find_stream(t);
	if (t->stream)
		err = read_lines(t);
	if (err == -ENOMEM || t->failed)
		log_error("%s", strerror(err ? -err : -t->failed));
	return err ? err : write_metrics(t);
}

static void tear_down(struct test *t)
{
	program_stream__free(t->stream);
	for (size_t i = 0; i < t->n_jobs; i++) {
		program__free(t->jobs[i].program);
		relabel__free(t->jobs[i].relabel);
	}
	free(t->jobs);
	batcher__free(t->batcher);
	label_set__unref(t->labels);
	custom_metrics__free(t->metrics);
	config__free(t->config);
	diag__free(t->diag);
	free(t->set);
	buf__free(&t->pending);
	arena__free(&t->arena);
}

int test_pipeline__main(int argc, char **argv)
{
	struct test t = {0};
	int err = read_options(&t, argc, argv), status = STATUS_OK;

	if (err)
		status = err == -EINVAL ? STATUS_USAGE : STATUS_FAILED;
	else if (t.help)
		status = fputs(help, stdout) < 0 || fflush(stdout) ? STATUS_FAILED : STATUS_OK;
	else if (run(&t))
		status = STATUS_FAILED;
	tear_down(&t);
	return status;
}
