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
#include "capture/registered.h"
#include "config/check.h"
#include "config/options.h"
#include "containers/cgroup.h"
#include "containers/docker.h"
#include "containers/registry.h"
#include "io/http.h"
#include "io/loop.h"
#include "pipeline.h"
#include "process/inspect.h"
#include "process/metrics.h"
#include "process/routing.h"
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
#define CLIENTS_MAX (PIPELINE_OUTPUTS - PIPELINE_LOKI)

/* One Loki, and what of it has no other owner. */
struct client {
	struct app *app;
	size_t output; /* of the pipeline */
	struct loki_sink *loki;
	struct label *external_labels;
	struct http_tls tls;
};

struct app {
	struct options opts;
	struct config *config; /* notail was started with; NULL: none */
	struct custom_metrics *metrics;
	struct inspect *inspect; /* NULL: not asked for */
	struct routing *routing; /* the first, before the pipeline's thread runs */
	struct counters counters;
	struct loop *loop;
	struct http *http;
	struct registry *registry;
	struct docker *docker;
	struct selection *selection;
	struct capture *capture;
	struct pipeline *pipeline;
	struct client *clients;
	size_t n_clients;
	size_t batch_bytes;	/* on the command line; 0: not */
	uint64_t batch_wait_ns; /* likewise */
	struct fd_sink *fd;
	struct command *command;
	struct loop_watch *watches[8 + PIPELINE_OUTPUTS];
	size_t n_watches;
	struct loop_watch *command_out, *command_err;
	struct loop_signal *signals[4];
	size_t n_signals;
	struct loop_timer *linger;
	int pid_fd;   /* of --pid */
	bool details; /* networks and ports are asked for */
	bool ending;
	bool command_eof, command_ended;
	int status;
	char host[sizeof(((struct utsname *)0)->nodename)];
};

/* What is wrong was printed. */
static int load_config(struct app *a, struct config **ret)
{
	struct diag *diag;
	int err = diag__new(&diag, a->opts.config);

	if (!err)
		err = check__load(ret, a->opts.config, diag);
	if (err != -ENOMEM)
		diag__print(diag, stderr);
	diag__free(diag);
	if (err == -ENOMEM)
		log_error("%s: %s", a->opts.config, strerror(ENOMEM));
	return err;
}

static void end_run(struct app *a)
{
	if (a->ending)
		return;
	a->ending = true;
	pipeline__stop(a->pipeline, DRAIN_NS);
}

/* Compiles what is in the file now. What is wrong was printed. */
static int make_routing(struct app *a, struct config *config, struct routing **ret)
{
	const struct routing_opts opts = {
		.host = a->opts.host ? a->opts.host : a->host,
		.metrics = a->metrics,
		.max_line_size = a->opts.max_line_size,
		.inspect = a->inspect,
	};
	struct diag *diag = NULL;
	int err = diag__new(&diag, a->opts.config ? a->opts.config : "");

	if (err) {
		config__free(config);
		return err;
	}
	err = routing__new(ret, config, &opts, diag);
	if (err == -EINVAL)
		diag__print(diag, stderr);
	diag__free(diag);
	return err;
}

/* Why the configuration cannot be used without a restart; NULL: it can. */
static const char *needs_restart(const struct app *a, const struct config *config,
				 const struct routing *routing)
{
	const char *what = config__restart(a->config, config);

	if (!what && routing__needs_details(routing) && !a->details)
		return "rules that read networks or ports";
	return what;
}

/* The whole file or nothing of it. */
static void reload(struct app *a)
{
	struct routing *routing = NULL;
	struct config *config = NULL;
	const char *what = NULL;
	int err = load_config(a, &config);

	if (!err)
		err = make_routing(a, config__ref(config), &routing);
	if (!err) {
		routing__hook_set(routing, hook_set__name(capture__hooks(a->capture)));
		what = needs_restart(a, config, routing);
	}
	if (err || what) {
		counters__add(&a->counters, reloads_failed, 1);
		if (what)
			log_error("%s is not used: a change of %s takes a restart; what was in "
				  "force stays",
				  a->opts.config, what);
		else
			log_error("%s is not used: %s; what was in force stays", a->opts.config,
				  err == -EINVAL ? "it is wrong" : strerror(-err));
		routing__free(routing);
		config__free(config);
		return;
	}
	if (!a->opts.given.log_level)
		log__level((enum log_level)config->log.level);
	config__free(config);
	pipeline__use(a->pipeline, routing);
	counters__add(&a->counters, reloads, 1);
	log_info("%s is in force", a->opts.config);
}

static void on_signal(void *ctx, int signo)
{
	struct app *a = ctx;

	if (signo == SIGCHLD)
		return;
	if (signo == SIGHUP && a->config && !a->opts.pid && !a->opts.command) {
		if (!a->ending)
			reload(a);
		return;
	}
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
	struct client *c = ctx;
	struct batch *b;

	(void)fd;
	(void)what;
	while ((b = pipeline__next(c->app->pipeline, c->output)))
		loki_sink__submit(c->loki, b);
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

static int watch_with(struct app *a, int fd, void (*fn)(void *ctx, int fd, int what), void *ctx)
{
	int err = loop__watch(a->loop, fd, LOOP_READ, fn, ctx, &a->watches[a->n_watches]);

	if (!err)
		a->n_watches++;
	return err;
}

static int watch(struct app *a, int fd, void (*fn)(void *ctx, int fd, int what))
{
	return watch_with(a, fd, fn, a);
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

static const struct config_client *client_config(const struct app *a, size_t i)
{
	return a->opts.clients ? (const struct config_client *)a->opts.clients->items + i : NULL;
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

/* Of its configuration, where it has one. */
static int make_client(struct app *a, size_t i)
{
	const struct config_client *config = client_config(a, i);
	struct client *c = &a->clients[i];

	c->app = a;
	c->output = PIPELINE_LOKI + i;
	if (!config)
		return 0;
	c->tls = tls_of(&config->tls_config);
	c->external_labels = calloc(config->external_labels.n + 1, sizeof(*c->external_labels));
	if (!c->external_labels)
		return -ENOMEM;
	for (size_t l = 0; l < config->external_labels.n; l++) {
		c->external_labels[l].name = (char *)config->external_labels.items[l].name;
		c->external_labels[l].value = (char *)config->external_labels.items[l].value;
	}
	return 0;
}

static int make_clients(struct app *a)
{
	size_t n = a->opts.clients ? a->opts.clients->n : a->opts.loki_url ? 1 : 0;
	int err = 0;

	n = MIN(n, (size_t)CLIENTS_MAX);
	a->clients = calloc(n + 1, sizeof(*a->clients));
	if (!a->clients)
		return -ENOMEM;
	a->n_clients = n;
	for (size_t i = 0; i < n && !err; i++)
		err = make_client(a, i);
	return err;
}

static void free_client(struct client *c)
{
	free(c->external_labels);
}

static void set_batches(struct app *a, struct pipeline_opts *opts)
{
	const struct options *o = &a->opts;

	opts->enabled[PIPELINE_STDOUT] = o->to_stdout;
	opts->batch[PIPELINE_STDOUT] = (struct batch_opts){
		.encoding = o->format, .times = o->times, .color = isatty(STDOUT_FILENO)};
	for (size_t i = 0; i < a->n_clients; i++) {
		const struct config_client *c = client_config(a, i);
		struct batch_opts *b = &opts->batch[a->clients[i].output];

		opts->enabled[a->clients[i].output] = true;
		*b = (struct batch_opts){
			.encoding = BATCH_LOKI,
			.max_bytes = a->batch_bytes,
			.max_wait_ns = a->batch_wait_ns,
			.external_labels = a->clients[i].external_labels,
			.n_external_labels = c ? c->external_labels.n : 0,
		};
		if (c && !b->max_bytes)
			b->max_bytes = c->batchsize;
		if (c && !b->max_wait_ns)
			b->max_wait_ns = c->batchwait;
	}
}

static int make_pipeline(struct app *a)
{
	const struct options *o = &a->opts;
	struct utsname name;
	struct pipeline_opts opts = {
		.excludes = !o->pid && !o->command,
		.registry = a->registry,
		.counters = &a->counters,
		.selection = a->selection,
		.max_line_size = o->max_line_size,
		.park_max_ns = o->park_max_ns,
		.max_in_flight = o->max_in_flight,
		.stats = o->stats ? stderr : NULL,
		.uncounted = o->attribution == ATTRIBUTION_OFF,
	};
	int err = uname(&name) ? -errno : 0;

	if (err)
		return err;
	memcpy(a->host, name.nodename, sizeof(a->host));
	err = clock__anchor(&opts.anchor);
	if (!err)
		err = make_clients(a);
	if (!err)
		err = custom_metrics__new(&a->metrics);
	if (!err && o->inspect)
		err = inspect__new(&a->inspect, stderr, isatty(STDERR_FILENO));
	if (!err)
		err = make_routing(a, config__ref(a->config), &opts.routing);
	if (err)
		return err;
	set_batches(a, &opts);
	a->routing = opts.routing;
	a->details = routing__needs_details(opts.routing);
	return pipeline__new(&a->pipeline, &opts);
}

/* Of the file. */
static int make_configured(struct app *a, struct client *c, const struct config_client *config,
			   const char **ret_why)
{
	const char *tenant = config->tenant_id && *config->tenant_id ? config->tenant_id : NULL;
	_free_ struct loki_header *headers = calloc(config->headers.n + 1, sizeof(*headers));
	const struct loki_opts opts = {
		.url = config->url,
		.tenant = a->opts.given.tenant ? a->opts.tenant : tenant,
		.auth =
			{
				.username = config->basic_auth.username,
				.password = config->basic_auth.password,
				.password_file = config->basic_auth.password_file,
				.bearer_token = config->bearer_token,
				.bearer_token_file = config->bearer_token_file,
			},
		.headers = headers,
		.n_headers = config->headers.n,
		.tls = &c->tls,
		.proxy = config->proxy_url,
		.drop_rate_limited = config->drop_rate_limited_batches,
		.min_backoff_ns = config->backoff_config.min_period,
		.max_backoff_ns = config->backoff_config.max_period,
		.timeout_ns = config->timeout,
	};

	*ret_why = "no memory";
	if (!headers)
		return -ENOMEM;
	for (size_t i = 0; i < config->headers.n; i++)
		headers[i] = (struct loki_header){config->headers.items[i].name,
						  config->headers.items[i].value};
	return loki_sink__new(&c->loki, a->loop, a->http, &opts, on_delivered, a, ret_why);
}

static int make_loki(struct app *a, size_t i, char *why, size_t size)
{
	const struct config_client *config = client_config(a, i);
	struct client *c = &a->clients[i];
	const struct loki_opts opts = {.url = a->opts.loki_url, .tenant = a->opts.tenant};
	const char *bad_url;
	int err;

	if (config)
		err = make_configured(a, c, config, &bad_url);
	else
		err = loki_sink__new(&c->loki, a->loop, a->http, &opts, on_delivered, a, &bad_url);
	if (err && config)
		snprintf(why, size, "clients[%zu]: %s", i, bad_url);
	else if (err)
		snprintf(why, size, "--loki: %s", bad_url);
	return err ? err : watch_with(a, pipeline__fd(a->pipeline, c->output), on_sealed_push, c);
}

static int make_sinks(struct app *a, char *why, size_t size)
{
	const struct fd_sink_opts fd_opts = {
		.fd = STDOUT_FILENO,
		.failed = on_output_failed,
	};
	int err = 0;

	if (a->opts.to_stdout) {
		err = fd_sink__new(&a->fd, a->loop, &fd_opts, on_delivered, a);
		if (err)
			snprintf(why, size, "--stdout: standard output cannot be written to: %s",
				 strerror(-err));
		else
			err = watch(a, pipeline__fd(a->pipeline, PIPELINE_STDOUT), on_sealed_text);
	}
	for (size_t i = 0; i < a->n_clients && !err; i++)
		err = make_loki(a, i, why, size);
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
		.details = a->details,
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
	routing__hook_set(a->routing, hook_set__name(capture__hooks(a->capture)));
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
	_buf_ struct buf custom = {0};
	struct capture_counters c;

	capture__counters(a->capture, &c);
	atomic_store(&a->counters.corrupt, c.corrupt);
	counters__print(&a->counters, stderr);
	routing__print(pipeline__routing(a->pipeline), stderr);
	if (custom_metrics__print(a->metrics, &custom, clock__real_ns()) == 0)
		fwrite(custom.data, 1, custom.len, stderr);
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
	for (size_t i = 0; i < a->n_clients; i++)
		loki_sink__free(a->clients[i].loki); /* counts what it could not deliver */
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
	custom_metrics__free(a->metrics);
	inspect__free(a->inspect);
	for (size_t i = 0; i < a->n_clients; i++)
		free_client(&a->clients[i]);
	free(a->clients);
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
	int err;

	a->batch_bytes = a->opts.batch_bytes;
	a->batch_wait_ns = a->opts.batch_wait_ns;
	if (!a->opts.config)
		return 0;
	err = load_config(a, &a->config);
	if (!err && options__apply(&a->opts, a->config))
		return EXIT_USAGE;
	return err ? EXIT_ENVIRONMENT : 0;
}

static int flush_stdout(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return EXIT_SUCCESS;
	log_error("writing to stdout: %s", strerror(errno));
	return EXIT_ENVIRONMENT;
}

static bool container_id(const char *path, char *ret_id, size_t size)
{
	struct cgroup_identity identity;

	if (!cgroup__identify(path, strlen(path), &identity) || !*identity.container_id)
		return false;
	snprintf(ret_id, size, "%s", identity.container_id);
	return true;
}

static int probe(const struct options *o)
{
	int err;

	if (!o->registered)
		return probe__print(stdout, o->json) ? EXIT_ENVIRONMENT : EXIT_SUCCESS;
	err = registered__print(stdout, container_id);
	if (err)
		log_error("what is registered cannot be found out: %s", strerror(-err));
	return err ? EXIT_ENVIRONMENT : EXIT_SUCCESS;
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
		status = probe(&a.opts);
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
