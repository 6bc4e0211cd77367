/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wires the stages and runs the I/O thread's loop: signals, discovery, sinks, the reader of `--
 * CMD`. The capture thread is user/pipeline.c. Only this file decides to exit.
 *
 * The end always goes the same way: end_run asks the pipeline to drain, its stopped_fd ends the
 * loop.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "base/log.h"
#include "capture/capture.h"
#include "capture/command.h"
#include "capture/probe.h"
#include "config/check.h"
#include "config/options.h"
#include "containers/docker.h"
#include "containers/registry.h"
#include "io/http.h"
#include "io/loop.h"
#include "pipeline.h"
#include "process/select.h"
#include "sink/fd.h"
#include "sink/loki.h"
#include "status/counters.h"
#include "test_pipeline.h"

#define EXIT_ENVIRONMENT 1
#define EXIT_USAGE 2
#define DRAIN_NS (5 * NS_PER_SEC)
/* A command's children may hold its pipes after it ended: a runtime would end them with it. */
#define LINGER_NS (2 * NS_PER_SEC)
#define WHY_LEN 512

struct app {
	struct options opts;
	struct config *config; /* NULL: none */
	struct counters counters;
	struct loop *loop;
	struct http *http;
	struct registry *registry;
	struct docker *docker;
	struct selection *selection;
	struct capture *capture;
	struct pipeline *pipeline;
	struct loki_sink *loki;
	struct http_tls loki_tls;
	struct fd_sink *fd;
	struct command *command;
	struct loop_watch *watches[8];
	size_t n_watches;
	struct loop_watch *command_out, *command_err;
	struct loop_signal *signals[4];
	size_t n_signals;
	struct loop_timer *linger;
	int pid_fd; /* of --pid */
	bool ending;
	bool command_eof, command_ended;
	int status;
	char host[sizeof(((struct utsname *)0)->nodename)];
};

static void end_run(struct app *a)
{
	if (a->ending)
		return;
	a->ending = true;
	pipeline__stop(a->pipeline, DRAIN_NS);
}

static void on_signal(void *ctx, int signo)
{
	struct app *a = ctx;

	if (signo == SIGCHLD)
		return;
	if (a->command && !a->command_ended && !a->ending) {
		command__signal(a->command, signo);
		return;
	}
	end_run(a);
}

static void on_stopped(void *ctx, int fd, int what)
{
	struct app *a = ctx;

	(void)fd;
	(void)what;
	loop__stop(a->loop);
}

/* --stdout's reader went away, or its disk is full. */
static void on_output_failed(void *ctx, int error)
{
	struct app *a = ctx;

	if (error != -EPIPE) {
		log_error("writing to stdout: %s", strerror(-error));
		a->status = EXIT_ENVIRONMENT;
	}
	end_run(a);
}

static void on_delivered(void *ctx, struct batch *b, enum sink_result result)
{
	struct app *a = ctx;

	if (result == SINK_REFUSED)
		counters__add(&a->counters, dropped_refused, b->lines);
	else if (result == SINK_UNDELIVERED)
		counters__add(&a->counters, dropped_undelivered, b->lines);
	pipeline__done(a->pipeline, b);
}

static void on_sealed_text(void *ctx, int fd, int what)
{
	struct app *a = ctx;
	struct batch *b;

	(void)fd;
	(void)what;
	while ((b = pipeline__next(a->pipeline, PIPELINE_STDOUT)))
		fd_sink__submit(a->fd, b);
}

static void on_sealed_push(void *ctx, int fd, int what)
{
	struct app *a = ctx;
	struct batch *b;

	(void)fd;
	(void)what;
	while ((b = pipeline__next(a->pipeline, PIPELINE_LOKI)))
		loki_sink__submit(a->loki, b);
}

static void command_progress(struct app *a)
{
	if (a->command_ended && a->command_eof)
		end_run(a);
	else if (a->command_ended)
		loop_timer__set(a->linger, LINGER_NS);
}

static void on_linger(void *ctx)
{
	end_run(ctx);
}

static void on_command_output(void *ctx, int fd, int what)
{
	struct app *a = ctx;

	(void)fd;
	(void)what;
	if (command__drain(a->command) != 1)
		return;
	loop_watch__free(TAKE_PTR(a->command_out));
	loop_watch__free(TAKE_PTR(a->command_err));
	a->command_eof = true;
	command_progress(a);
}

static void on_command_signal(void *ctx, int signo)
{
	struct app *a = ctx;

	(void)signo;
	if (a->command_ended || !command__wait(a->command, &a->status))
		return;
	a->command_ended = true;
	command_progress(a);
}

static void on_pid_ended(void *ctx, int fd, int what)
{
	struct app *a = ctx;

	(void)fd;
	(void)what;
	end_run(a);
}

static int watch(struct app *a, int fd, void (*fn)(void *ctx, int fd, int what))
{
	int err = loop__watch(a->loop, fd, LOOP_READ, fn, a, &a->watches[a->n_watches]);

	if (!err)
		a->n_watches++;
	return err;
}

static int make_selection(struct app *a)
{
	const struct options *o = &a->opts;
	int err = selection__new(&a->selection);

	for (size_t i = 0; !err && i < o->n_containers; i++)
		err = selection__add_container(a->selection, o->containers[i]);
	for (size_t i = 0; !err && i < o->n_labels; i++)
		err = selection__add_label(a->selection, o->labels[i]);
	for (size_t i = 0; !err && i < o->n_streams; i++)
		err = selection__add_stream(a->selection, o->streams[i]);
	return err;
}

static int make_pipeline(struct app *a)
{
	const struct options *o = &a->opts;
	struct utsname name;
	struct pipeline_opts opts = {
		.registry = a->registry,
		.counters = &a->counters,
		.selection = a->selection,
		.host = o->host ? o->host : a->host,
		.max_line_size = o->max_line_size,
		.park_max_ns = o->park_max_ns,
		.max_in_flight = o->max_in_flight,
		.stats = o->stats ? stderr : NULL,
		.uncounted = o->attribution == ATTRIBUTION_OFF,
		.enabled = {[PIPELINE_STDOUT] = o->to_stdout, [PIPELINE_LOKI] = o->loki_url},
		.batch =
			{
				[PIPELINE_STDOUT] =
					{
						.encoding = o->format,
						.times = o->times,
						.color = isatty(STDOUT_FILENO),
					},
				[PIPELINE_LOKI] =
					{
						.encoding = BATCH_LOKI,
						.max_bytes = o->batch_bytes,
						.max_wait_ns = o->batch_wait_ns,
					},
			},
	};
	int err = uname(&name) ? -errno : 0;

	if (err)
		return err;
	memcpy(a->host, name.nodename, sizeof(a->host));
	err = clock__anchor(&opts.anchor);
	if (err)
		return err;
	return pipeline__new(&a->pipeline, &opts);
}

static struct http_tls tls_of(const struct config_tls *t)
{
	return (struct http_tls){
		.ca_file = t->ca_file,
		.cert_file = t->cert_file,
		.key_file = t->key_file,
		.insecure = t->insecure_skip_verify,
	};
}

static int make_loki(struct app *a, const char **ret_why)
{
	const struct config_client *c = a->opts.client;
	_free_ struct loki_header *headers = NULL;
	struct loki_opts opts = {
		.url = a->opts.loki_url,
		.tenant = a->opts.tenant,
		.min_backoff_ns = a->opts.min_backoff_ns,
		.max_backoff_ns = a->opts.max_backoff_ns,
		.timeout_ns = a->opts.timeout_ns,
	};

	*ret_why = "no memory";
	if (!c)
		return loki_sink__new(&a->loki, a->loop, a->http, &opts, on_delivered, a, ret_why);
	headers = calloc(c->headers.n + 1, sizeof(*headers));
	if (!headers)
		return -ENOMEM;
	for (size_t i = 0; i < c->headers.n; i++)
		headers[i] =
			(struct loki_header){c->headers.items[i].name, c->headers.items[i].value};
	a->loki_tls = tls_of(&c->tls_config);
	opts.tls = &a->loki_tls;
	opts.proxy = c->proxy_url;
	opts.drop_rate_limited = c->drop_rate_limited_batches;
	opts.headers = headers;
	opts.n_headers = c->headers.n;
	opts.auth = (struct auth_opts){
		.username = c->basic_auth.username,
		.password = c->basic_auth.password,
		.password_file = c->basic_auth.password_file,
		.bearer_token = c->bearer_token,
		.bearer_token_file = c->bearer_token_file,
	};
	return loki_sink__new(&a->loki, a->loop, a->http, &opts, on_delivered, a, ret_why);
}

static int make_sinks(struct app *a, char *why, size_t size)
{
	const struct fd_sink_opts fd_opts = {
		.fd = STDOUT_FILENO,
		.failed = on_output_failed,
	};
	const char *bad_url;
	int err = 0;

	if (a->opts.to_stdout) {
		err = fd_sink__new(&a->fd, a->loop, &fd_opts, on_delivered, a);
		if (err)
			snprintf(why, size, "--stdout: standard output cannot be written to: %s",
				 strerror(-err));
		else
			err = watch(a, pipeline__fd(a->pipeline, PIPELINE_STDOUT), on_sealed_text);
	}
	if (!err && a->opts.loki_url) {
		err = make_loki(a, &bad_url);
		if (err)
			snprintf(why, size, "%s: %s", a->opts.client ? "clients[0]" : "--loki",
				 bad_url);
		else
			err = watch(a, pipeline__fd(a->pipeline, PIPELINE_LOKI), on_sealed_push);
	}
	return err;
}

static int make_signals(struct app *a)
{
	static const int STOP_SIGNALS[] = {SIGTERM, SIGINT, SIGHUP};
	int err;

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < ARRAY_SIZE(STOP_SIGNALS); i++) {
		err = loop__signal(a->loop, STOP_SIGNALS[i], on_signal, a,
				   &a->signals[a->n_signals]);
		if (err)
			return err;
		a->n_signals++;
	}
	return 0;
}

/* No engine is no error: capture goes on with ids. */
static int make_docker(struct app *a, char *why, size_t size)
{
	const struct config_docker *c = a->config ? &a->config->discovery.docker : NULL;
	const struct http_tls tls = c ? tls_of(&c->tls_config) : (struct http_tls){0};
	const bool is_tls = tls.ca_file || tls.cert_file || tls.insecure;
	const struct docker_opts opts = {
		.host = a->opts.docker_host ? a->opts.docker_host : docker__default_host(),
		.tls = is_tls ? &tls : NULL,
	};
	int err;

	if (a->opts.no_docker || a->opts.pid || a->opts.command)
		return 0;
	err = docker__check(opts.host, why, size);
	if (err)
		return err;
	return docker__new(&a->docker, a->loop, a->http, a->registry, &opts);
}

static int make_capture(struct app *a, char *why, size_t size)
{
	const struct capture_opts opts = {
		.hooks = a->opts.hooks,
		.tap = a->opts.tap,
		.ring_bytes = a->opts.ring_bytes,
		.containers = !a->opts.pid && !a->opts.command,
		.exec_sessions = a->opts.exec_sessions,
		.cgroups = a->opts.cgroups,
		.n_cgroups = a->opts.n_cgroups,
		.attribution = a->opts.attribution,
		.rate_limit = a->opts.rate_limit,
		.rate_burst = a->opts.rate_burst,
	};
	int err = capture__new(&a->capture, &opts, pipeline__record_ops(),
			       pipeline__record_ctx(a->pipeline), why, size);

	if (err)
		return err;
	err = capture__self_test(a->capture, why, size);
	if (err)
		return err;
	if (*capture__why(a->capture))
		log_debug("hook set %s: %s", hook_set__name(capture__hooks(a->capture)),
			  capture__why(a->capture));
	return 0;
}

static int add_pid(struct app *a, char *why, size_t size)
{
	char name[LINE_COMM_LEN + 1] = "", path[64];
	_fclose_ FILE *comm = NULL;
	uint64_t cgroup_id;
	int err;

	a->pid_fd = (int)syscall(SYS_pidfd_open, a->opts.pid, 0);
	if (a->pid_fd < 0) {
		err = -errno;
		snprintf(why, size, "--pid %d: %s", a->opts.pid, strerror(errno));
		return err;
	}
	err = capture__add_pid(a->capture, a->opts.pid, &cgroup_id, why, size);
	if (err)
		return err;
	snprintf(path, sizeof(path), "/proc/%d/comm", a->opts.pid);
	comm = fopen(path, "re");
	if (!comm || !fgets(name, sizeof(name), comm))
		snprintf(name, sizeof(name), "%d", a->opts.pid);
	name[strcspn(name, "\n")] = '\0';
	err = registry__cgroup_named(a->registry, cgroup_id, name);
	return err ? err : watch(a, a->pid_fd, on_pid_ended);
}

static int add_command(struct app *a)
{
	const char *name = strrchr(a->opts.command[0], '/');
	uint64_t cgroup_id = command__cgroup_id(a->command);
	int err;

	err = registry__cgroup_named(a->registry, cgroup_id, name ? name + 1 : a->opts.command[0]);
	if (!err)
		err = capture__add_pipe(a->capture, command__stdout(a->command), getpid(),
					NT_FILE_STDOUT, cgroup_id);
	if (!err)
		err = capture__add_pipe(a->capture, command__stderr(a->command), getpid(),
					NT_FILE_STDERR, cgroup_id);
	if (!err)
		err = loop__watch(a->loop, command__stdout(a->command), LOOP_READ,
				  on_command_output, a, &a->command_out);
	if (!err)
		err = loop__watch(a->loop, command__stderr(a->command), LOOP_READ,
				  on_command_output, a, &a->command_err);
	if (!err)
		err = loop__timer(a->loop, on_linger, a, &a->linger);
	if (!err)
		err = loop__signal(a->loop, SIGCHLD, on_command_signal, a,
				   &a->signals[a->n_signals]);
	if (!err)
		a->n_signals++;
	return err;
}

/* *why stays empty when strerror says enough. */
static int set_up(struct app *a, char *why, size_t size)
{
	int err = 0;

	/* First, for it inherits what is open: libcurl's sockets are not close-on-exec. */
	if (a->opts.command)
		err = command__new(&a->command, a->opts.command, why, size);
	if (!err)
		err = loop__new(&a->loop);
	if (!err)
		err = http__new(&a->http, a->loop);
	if (!err)
		err = registry__new(&a->registry);
	if (!err)
		err = make_selection(a);
	if (!err)
		err = make_pipeline(a);
	if (!err)
		err = make_sinks(a, why, size);
	if (!err)
		err = make_docker(a, why, size);
	if (!err)
		err = make_signals(a);
	if (!err)
		err = make_capture(a, why, size);
	if (!err && a->opts.pid)
		err = add_pid(a, why, size);
	if (!err && a->opts.command)
		err = add_command(a);
	if (!err)
		err = watch(a, pipeline__stopped_fd(a->pipeline), on_stopped);
	if (!err)
		err = pipeline__start(a->pipeline, a->capture);
	return err;
}

static void print_counters(struct app *a)
{
	struct capture_counters c;

	capture__counters(a->capture, &c);
	atomic_store(&a->counters.corrupt, c.corrupt);
	counters__print(&a->counters, stderr);
	if (c.events_lost)
		fprintf(stderr, "notail_lost_events_total %lu\n", c.events_lost);
	if (c.streams_full)
		fprintf(stderr, "notail_streams_refused_total %lu\n", c.streams_full);
	if (c.cgroups_full)
		fprintf(stderr, "notail_containers_refused_total %lu\n", c.cgroups_full);
	if (c.notes_lost)
		fprintf(stderr, "notail_lost_notes_total %lu\n", c.notes_lost);
	if (c.recursion_misses)
		fprintf(stderr, "notail_recursion_misses_total %lu\n", c.recursion_misses);
}

static void tear_down(struct app *a)
{
	pipeline__join(a->pipeline);
	docker__free(a->docker);
	loki_sink__free(a->loki); /* counts what it could not deliver */
	fd_sink__free(a->fd);
	if (a->opts.stats && a->capture)
		print_counters(a);
	capture__free(a->capture);
	loop_watch__free(a->command_out);
	loop_watch__free(a->command_err);
	for (size_t i = 0; i < a->n_watches; i++)
		loop_watch__free(a->watches[i]);
	for (size_t i = 0; i < a->n_signals; i++)
		loop_signal__free(a->signals[i]);
	loop_timer__free(a->linger);
	command__free(a->command);
	pipeline__free(a->pipeline);
	selection__free(a->selection);
	http__free(a->http);
	registry__free(a->registry);
	loop__free(a->loop);
	close_p(&a->pid_fd);
}

/* A program that cannot run ends with the shell's status for that, which the loop collects. */
static void go(struct app *a)
{
	int err = command__go(a->command);

	if (err)
		log_error("cannot run %s: %s", a->opts.command[0], strerror(-err));
}

static int run(struct app *a)
{
	char why[WHY_LEN] = "";
	int err = set_up(a, why, sizeof(why));

	if (err) {
		log_error("%s", *why ? why : strerror(-err));
		a->status = EXIT_ENVIRONMENT;
		goto out;
	}
	malloc_trim(0); /* loading parsed the kernel's types: 20 MiB that are free now */
	log__print(LOG_INFO, "ready");
	if (a->command)
		go(a);
	err = loop__run(a->loop);
	if (err) {
		log_error("%s", strerror(-err));
		a->status = EXIT_ENVIRONMENT;
		pipeline__stop(a->pipeline, 0);
	}
out:
	tear_down(a);
	return a->status;
}

/*
 * Where one of them is closed, the next file that is opened would take its number, and get what is
 * printed. Opened the wrong way round they still fail when they are used.
 */
static int hold_stdio(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		int how = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;

		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", how) != fd)
			return -EBADF;
	}
	return 0;
}

/* 0, or the exit status: what is wrong was printed. */
static int read_config(struct app *a)
{
	struct diag *diag;
	int err;

	if (!a->opts.config)
		return 0;
	err = diag__new(&diag, a->opts.config);
	if (!err)
		err = check__load(&a->config, a->opts.config, diag);
	if (err != -ENOMEM)
		diag__print(diag, stderr);
	diag__free(diag);
	if (!err && options__apply(&a->opts, a->config))
		return EXIT_USAGE;
	if (err == -ENOMEM)
		log_error("%s: %s", a->opts.config, strerror(ENOMEM));
	return err ? EXIT_ENVIRONMENT : 0;
}

static int flush_stdout(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return EXIT_SUCCESS;
	log_error("writing to stdout: %s", strerror(errno));
	return EXIT_ENVIRONMENT;
}

int main(int argc, char **argv)
{
	struct app a = {.pid_fd = -1};
	int err, status = EXIT_SUCCESS;

	if (hold_stdio())
		return EXIT_ENVIRONMENT;

	if (argc > 1 && !strcmp(argv[1], "test-pipeline"))
		return test_pipeline__main(argc - 1, argv + 1);
	err = options__parse(&a.opts, argc, argv);
	if (err)
		return err < 0 ? EXIT_USAGE : flush_stdout();
	if (a.opts.action == ACTION_RUN)
		status = read_config(&a);
	log__level(a.opts.log_level);
	switch (a.opts.action) {
	case ACTION_VERSION:
		puts("notail " NOTAIL_VERSION);
		break;
	case ACTION_PROBE:
		status = probe__print(stdout, a.opts.json) ? EXIT_ENVIRONMENT : EXIT_SUCCESS;
		break;
	case ACTION_CHECK_CONFIG:
		status = check__config(&a.opts) ? EXIT_ENVIRONMENT : EXIT_SUCCESS;
		break;
	case ACTION_RUN:
		if (!status)
			status = run(&a);
		break;
	}
	options__free(&a.opts);
	config__free(a.config);
	return status ? status : flush_stdout();
}
