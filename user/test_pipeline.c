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
#include "containers/meta.h"
#include "process/inspect.h"
#include "process/label_list.h"
#include "process/metrics.h"
#include "process/program.h"
#include "process/routing.h"

#define READ_BYTES (64u * 1024)
#define MAX_LINE_SIZE (256u * 1024)
#define CONTAINER_NAME "__meta_docker_container_name"

enum { STATUS_OK, STATUS_FAILED, STATUS_USAGE };

static const char help[] =
	"Usage: notail test-pipeline -c FILE [--set NAME=VALUE]... [--metrics-file=FILE] [--job "
	"NAME] [--inspect]\n"
	"Runs relabelling rules and stages on standard input; prints what comes of each line as "
	"JSON.\n\n"
	"  -c, --config=FILE        notail.yaml, or a Promtail file\n"
	"      --set=NAME=VALUE     A discovered label of the container the lines are of; "
	"repeatable\n"
	"      --job=NAME           This one of several scrape_configs\n"
	"      --inspect            Show on stderr what each stage does to each line\n"
	"      --metrics-file=FILE  Where custom metrics go, in Prometheus' text format\n"
	"  -h, --help               This text\n";

static const struct option options[] = {
	{"config", required_argument, NULL, 'c'},
	{"set", required_argument, NULL, 's'},
	{"job", required_argument, NULL, 'j'},
	{"metrics-file", required_argument, NULL, 'm'},
	{"inspect", no_argument, NULL, 'i'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

struct test {
	const char *file, *job_name, *metrics_file;
	struct arena arena;
	struct label_pair *set; /* as said */
	size_t n_set;
	struct diag *diag;
	struct routing *routing;
	struct custom_metrics *metrics;
	struct inspect *inspect; /* NULL: not asked for */
	struct meta *meta;
	struct route route;	       /* of the job that has the container */
	struct program_stream *stream; /* NULL: it has no stages */
	enum line_stream which;
	struct clock_anchor anchor;
	struct batcher *batcher;
	uint64_t now_ns;
	uint64_t end;	    /* of the line before, in all that is read */
	struct buf pending; /* a line's beginning */
	bool cut;	    /* its rest is not wanted */
	bool help, wants_inspect;
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
		case 'i':
			t->wants_inspect = true;
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

	if (batcher__add(t->batcher, set, line) && !t->failed)
		t->failed = -ENOMEM;
	/* Behind what was shown of it. */
	if (t->inspect)
		batcher__seal(t->batcher);
}

static bool has_job(const struct config *c, const char *name)
{
	const struct config_job *jobs = c->jobs.items;

	for (size_t i = 0; i < c->jobs.n; i++)
		if (!name || (jobs[i].job_name && !strcmp(jobs[i].job_name, name)))
			return true;
	return false;
}

/* Takes the configuration over. */
static int compile(struct test *t, struct config *config)
{
	const struct routing_opts opts = {
		.host = config->host,
		.metrics = t->metrics,
		.inspect = t->inspect,
		.discovered = t->set,
		.n_discovered = t->n_set,
		.job_name = t->job_name,
		.is_test = true,
	};
	int err = routing__new(&t->routing, config, &opts, t->diag);

	if (!err)
		routing__output(t->routing, on_line, t);
	return err;
}

static int load(struct test *t)
{
	struct config *config = NULL;
	int err = diag__new(&t->diag, t->file);

	if (!err)
		err = custom_metrics__new(&t->metrics);
	if (!err && t->wants_inspect)
		err = inspect__new(&t->inspect, stderr, isatty(STDERR_FILENO));
	if (err)
		return err;
	err = config__load(&config, t->file, NULL, t->diag);
	if (!err && !has_job(config, t->job_name)) {
		log_error("%s: no job is called %s", t->file, t->job_name);
		config__free(config);
		return -ENOENT;
	}
	if (!err)
		err = compile(t, config);
	diag__print(t->diag, stderr);
	if (err == -EINVAL && !diag__errors(t->diag))
		log_error("%s: cannot be used", t->file);
	return err;
}

/* The container */

/* What presets look at, of the labels that were said. */
static int make_meta(struct test *t)
{
	static const struct {
		const char *discovered, *name;
	} LABELS[] = {
		{"com_docker_compose_project", "com.docker.compose.project"},
		{"com_docker_compose_service", "com.docker.compose.service"},
		{"com_docker_compose_container_number", "com.docker.compose.container-number"},
		{"com_docker_stack_namespace", "com.docker.stack.namespace"},
		{"com_docker_swarm_service_name", "com.docker.swarm.service.name"},
		{"app_kubernetes_io_name", "app.kubernetes.io/name"},
	};
	struct label_list list = {.arena = &t->arena};
	char name[128];
	int err = 0;

	t->meta = meta__new();
	if (!t->meta)
		return -ENOMEM;
	for (size_t i = 0; i < t->n_set && !err; i++)
		err = label_list__set(&list, t->set[i].name, t->set[i].value);
	for (size_t i = 0; i < ARRAY_SIZE(LABELS) && !err; i++) {
		snprintf(name, sizeof(name), "__meta_docker_container_label_%s",
			 LABELS[i].discovered);
		if (*label_list__get(&list, name))
			err = meta__add_label(t->meta, LABELS[i].name,
					      label_list__get(&list, name));
	}
	if (!err && *label_list__get(&list, CONTAINER_NAME)) {
		t->meta->name = strdup(label_list__get(&list, CONTAINER_NAME) +
				       (*label_list__get(&list, CONTAINER_NAME) == '/'));
		err = t->meta->name ? 0 : -ENOMEM;
	}
	return err;
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
	const struct line line = {
		.bytes = bytes,
		.len = len,
		.time_ns = t->now_ns,
		.real_ns = clock__to_real(&t->anchor, t->now_ns),
		.end = t->end + len + 1,
		.stream = t->which,
		.truncated = t->cut,
		.unterminated = unterminated,
		.tenant = t->route.tenant,
		.tenant_len = t->route.tenant ? strlen(t->route.tenant) : 0,
	};

	t->end = line.end;
	t->now_ns++;
	if (t->stream)
		program_stream__run(t->stream, t->route.set, &line);
	else
		on_line(t, t->route.set, &line);
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
		due_ns = routing__tick(t->routing, now_ns);
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
		if (n > 0 && t->route.set)
			err = take(t, bytes, (size_t)n);
		batcher__seal(t->batcher);
	} while (n && !err && !t->failed);
	if (t->route.set && t->pending.len && !err)
		run_line(t, t->pending.data, t->pending.len, true);
	routing__flush(t->routing);
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
	find_stream(t);
	err = make_meta(t);
	if (!err)
		err = routing__route(t->routing, t->meta, t->which, 0, &t->route);
	if (err > 0)
		err = t->route.program ? program_stream__new(&t->stream, t->route.program) : 0;
	if (!err && t->route.set)
		err = read_lines(t);
	if (err == -ENOMEM || t->failed)
		log_error("%s", strerror(err ? -err : -t->failed));
	return err ? err : write_metrics(t);
}

static void tear_down(struct test *t)
{
	program_stream__free(t->stream);
	label_set__unref(t->route.set);
	free(t->route.tenant);
	routing__free(t->routing);
	meta__unref(t->meta);
	batcher__free(t->batcher);
	custom_metrics__free(t->metrics);
	inspect__free(t->inspect);
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
