/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wires the stages and runs the I/O thread's loop: signals, discovery, sinks. The capture thread is
 * user/pipeline.c. Only this file decides to exit.
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
#include <unistd.h>

#include "base/cgroup_namespace.h"
#include "base/log.h"
#include "capture/capture.h"
#include "capture/probe.h"
#include "capture/unpin.h"
#include "capture/registered.h"
#include "check_loki.h"
#include "clients.h"
#include "cluster.h"
#include "confine.h"
#include "config/check.h"
#include "config/options.h"
#include "containers/bundle.h"
#include "containers/cgroup.h"
#include "containers/docker.h"
#include "containers/pods.h"
#include "containers/registry.h"
#include "events.h"
#include "io/http.h"
#include "io/loop.h"
#include "overview.h"
#include "pipeline.h"
#include "process/routing.h"
#include "process/select.h"
#include "ruleset.h"
#include "single.h"
#include "sink/fd.h"
#include "state/state.h"
#include "status/counters.h"
#include "status/samples.h"
#include "support_bundle.h"
#include "test_pipeline.h"

#define EXIT_ENVIRONMENT 1
#define EXIT_USAGE 2
#define SHUTDOWN_NS (10 * NS_PER_SEC)
#define WHY_LEN 512

struct app {
	struct options opts;
	struct ruleset *ruleset;
	struct routing *routing; /* the first, before the pipeline's thread runs */
	struct counters counters;
	struct loop *loop;
	struct http *http;
	struct registry *registry;
	struct docker *docker;
	struct pods *pods;
	struct kube_source *source; /* of pods; NULL: none */
	struct bundles *bundles;    /* NULL: a single process */
	struct selection *selection;
	struct capture *capture;
	struct pipeline *pipeline;
	struct clients *clients;
	struct overview *overview;
	struct fd_sink *fd;
	struct single *single; /* NULL: containers */
	struct loop_watch *sealed_text, *stopped;
	struct loop_signal *signals[3];
	size_t n_signals;
	bool ending;
	int status;
};

static void end_run(void *ctx)
{
	struct app *a = ctx;
	uint64_t timeout_ns = a->opts.shutdown_ns ? a->opts.shutdown_ns : SHUTDOWN_NS;

	if (a->ending)
		return;
	a->ending = true;
	clients__end(a->clients, timeout_ns);
	pipeline__stop(a->pipeline, timeout_ns);
}

static void on_signal(void *ctx, int signo)
{
	struct app *a = ctx;

	if (signo == SIGHUP && ruleset__config(a->ruleset) && !a->single) {
		if (!a->ending)
			ruleset__reload(a->ruleset, a->pipeline,
					hook_set__name(capture__hooks(a->capture)), &a->counters);
		return;
	}
	if (!a->ending && a->single && single__signal(a->single, signo))
		return;
	if (a->ending)
		pipeline__stop(a->pipeline, 0);
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

static void on_printed(void *ctx, struct batch *b, enum sink_result result)
{
	struct app *a = ctx;

	pipeline__done(a->pipeline, b, result);
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
	struct pipeline_opts opts = {
		.excludes = !a->single,
		.registry = a->registry,
		.counters = &a->counters,
		.selection = a->selection,
		.max_line_size = o->max_line_size,
		.park_max_ns = o->park_max_ns,
		.max_in_flight = o->max_in_flight,
		.stats = o->stats ? stderr : NULL,
		.uncounted = o->attribution == ATTRIBUTION_OFF,
		.durable = o->pins != NULL,
		.host = o->host,
		.canary_interval_ns = o->canary_interval_ns,
	};
	int err = clock__anchor(&opts.anchor);

	if (!err)
		err = clients__new(&a->clients, o);
	if (!err)
		err = ruleset__routing(a->ruleset, &opts.routing);
	if (err)
		return err;
	opts.enabled[PIPELINE_STDOUT] = o->to_stdout;
	opts.batch[PIPELINE_STDOUT] = (struct batch_opts){
		.encoding = o->format, .times = o->times, .color = isatty(STDOUT_FILENO)};
	clients__outputs(a->clients, opts.enabled, opts.batch);
	a->routing = opts.routing;
	return pipeline__new(&a->pipeline, &opts);
}

static int make_stdout(struct app *a, char *why, size_t size)
{
	const struct fd_sink_opts opts = {
		.fd = STDOUT_FILENO,
		.failed = on_output_failed,
	};
	int err;

	if (!a->opts.to_stdout)
		return 0;
	err = fd_sink__new(&a->fd, a->loop, &opts, on_printed, a);
	if (err) {
		snprintf(why, size, "--stdout: standard output cannot be written to: %s",
			 strerror(-err));
		return err;
	}
	return loop__watch(a->loop, pipeline__fd(a->pipeline, PIPELINE_STDOUT), LOOP_READ,
			   on_sealed_text, a, &a->sealed_text);
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
	const struct config *config = ruleset__config(a->ruleset);
	const struct config_docker *c = config ? &config->discovery.docker : NULL;
	const struct http_tls tls = c ? config__http_tls(&c->tls_config) : (struct http_tls){0};
	const bool is_tls = tls.ca_file || tls.ca || tls.cert_file || tls.cert || tls.insecure ||
			    (tls.server_name && *tls.server_name);
	const struct docker_opts opts = {
		.host = a->opts.docker_host ? a->opts.docker_host : docker__default_host(),
		.details = ruleset__needs_details(a->ruleset),
		.pods = a->pods,
		.tls = is_tls ? &tls : NULL,
	};
	int err;

	if (a->opts.no_docker || a->single)
		return 0;
	err = docker__check(opts.host, why, size);
	if (err)
		return err;
	return docker__new(&a->docker, a->loop, a->http, a->registry, &opts);
}

static int make_bundles(struct app *a)
{
	const struct config *config = ruleset__config(a->ruleset);
	const struct config_discovery *d = config ? &config->discovery : NULL;
	struct bundles_opts opts = {0};

	if (a->single)
		return 0;
	if (d) {
		opts.none = !d->bundle;
		opts.directories = (const char *const *)d->bundles.items;
		opts.n_directories = d->bundles.n;
	}
	return bundles__new(&a->bundles, a->loop, a->registry, a->pods, &opts);
}

static int make_source(struct app *a, char *why, size_t size)
{
	const struct config *config = ruleset__config(a->ruleset);

	if (a->single || !config)
		return 0;
	return cluster__source(&a->source, a->loop, a->http, a->pods, &config->discovery.kubernetes,
			       &a->opts, why, size);
}

/* The ring of a run may stay, and the next one delivers what is in it. */
static bool ring_stays(const struct app *a)
{
	const char *why;

	return a->capture && !a->opts.detach_on_exit && capture__durable(a->capture, &why);
}

static int make_capture(struct app *a, char *why, size_t size)
{
	const struct capture_opts opts = {
		.hooks = a->opts.hooks,
		.tap = a->opts.tap,
		.ring_bytes = a->opts.ring_bytes,
		.containers = !a->single,
		.exec_sessions = a->opts.exec_sessions,
		.cgroups = a->opts.cgroups,
		.n_cgroups = a->opts.n_cgroups,
		.attribution = a->opts.attribution,
		.rate_limit = a->opts.rate_limit,
		.rate_burst = a->opts.rate_burst,
		.pins = a->opts.pins,
		.state_bytes = STATE_BYTES,
		.orphan_timeout_ns = a->opts.orphan_timeout_ns,
	};
	int err = capture__new(&a->capture, &opts, pipeline__record_ops(),
			       pipeline__record_ctx(a->pipeline), why, size);

	if (err)
		return err;
	routing__hook_set(a->routing, hook_set__name(capture__hooks(a->capture)));
	clients__durable(a->clients, ring_stays(a));
	err = pipeline__go_on(a->pipeline, a->capture);
	if (err) {
		snprintf(why, size, "cannot go on where the run before ended: %s", strerror(-err));
		return err;
	}
	err = capture__self_test(a->capture, why, size);
	if (err)
		return err;
	if (*capture__why(a->capture))
		log_debug("hook set %s: %s", hook_set__name(capture__hooks(a->capture)),
			  capture__why(a->capture));
	return 0;
}

static int start_overview(struct app *a)
{
	const struct overview_sources sources = {
		.ruleset = a->ruleset,
		.clients = a->clients,
		.docker = a->docker,
		.bundles = a->bundles,
		.source = a->source,
		.capture = a->capture,
		.counters = &a->counters,
		.pipeline = a->pipeline,
		.ending = &a->ending,
	};

	return overview__start(a->overview, &sources);
}

/* *why stays empty when strerror says enough. */
static int set_up(struct app *a, char *why, size_t size)
{
	int err = 0;

	/* First, for its command inherits what is open: libcurl's sockets are not close-on-exec. */
	if (a->opts.pid || a->opts.command)
		err = single__new(&a->single, &a->opts, why, size);
	if (!err)
		err = loop__new(&a->loop);
	if (!err)
		err = overview__new(&a->overview, a->loop, &a->opts, why, size);
	if (!err)
		err = http__new(&a->http, a->loop);
	if (!err)
		err = registry__new(&a->registry);
	if (!err)
		err = pods__new(&a->pods, a->registry);
	if (!err)
		err = make_selection(a);
	if (!err)
		err = make_pipeline(a);
	if (!err)
		err = make_stdout(a, why, size);
	if (!err)
		err = clients__connect(a->clients, a->loop, a->http, pipeline__outputs(a->pipeline),
				       &a->counters, why, size);
	if (!err)
		err = make_docker(a, why, size);
	if (!err)
		err = make_bundles(a);
	if (!err)
		err = make_source(a, why, size);
	if (!err)
		err = make_signals(a);
	if (!err)
		err = make_capture(a, why, size);
	if (!err && a->single)
		err = single__attach(a->single, a->loop, a->registry, a->capture, end_run, a, why,
				     size);
	if (!err)
		err = loop__watch(a->loop, pipeline__stopped_fd(a->pipeline), LOOP_READ, on_stopped,
				  a, &a->stopped);
	if (!err)
		err = start_overview(a);
	if (!err)
		confine__run(&a->opts,
			     a->opts.docker_host ? a->opts.docker_host : docker__default_host());
	if (!err)
		err = pipeline__start(a->pipeline, a->capture);
	return err;
}

static void print_counters(struct app *a)
{
	_samples_ struct samples losses = {0};
	struct capture_counters c;

	capture__counters(a->capture, &c);
	atomic_store(&a->counters.corrupt, c.corrupt);
	counters__print(&a->counters, stderr);
	routing__print(pipeline__routing(a->pipeline), stderr);
	ruleset__print_metrics(a->ruleset, stderr);
	pipeline__count_losses(&losses, &c);
	for (size_t i = 0; i < losses.n; i++)
		if (losses.items[i].value)
			fprintf(stderr, "%s %lu\n", losses.items[i].metric, losses.items[i].value);
}

static void check_undelivered(struct app *a)
{
	size_t in_ring = 0, lines;

	lines = a->pipeline ? pipeline__undelivered(a->pipeline, &in_ring) : 0;
	if (in_ring && ring_stays(a)) {
		log_info("%zu lines were not delivered in time: the next run has them", in_ring);
		lines -= in_ring;
	}
	if (!lines)
		return;
	log_warn("%zu lines were not delivered in time", lines);
	if (!a->status && !a->single)
		a->status = EXIT_ENVIRONMENT;
}

static void tear_down(struct app *a)
{
	pipeline__join(a->pipeline);
	check_undelivered(a);
	overview__free(a->overview);
	docker__free(a->docker);
	bundles__free(a->bundles);
	kube_source__free(a->source);
	pods__free(a->pods);
	clients__disconnect(a->clients);
	fd_sink__free(a->fd);
	if (a->opts.stats && a->capture)
		print_counters(a);
	if (a->single)
		a->status = a->status ? a->status : single__status(a->single);
	if (a->opts.detach_on_exit && a->capture)
		capture__unpin(a->capture);
	capture__free(a->capture);
	loop_watch__free(a->sealed_text);
	loop_watch__free(a->stopped);
	for (size_t i = 0; i < a->n_signals; i++)
		loop_signal__free(a->signals[i]);
	single__free(a->single);
	pipeline__free(a->pipeline);
	clients__free(a->clients);
	selection__free(a->selection);
	http__free(a->http);
	registry__free(a->registry);
	loop__free(a->loop);
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
	if (a->single)
		single__go(a->single);
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
	int err = ruleset__new(&a->ruleset, &a->opts);

	if (err == -EDOM)
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

static int unpin(const struct options *o)
{
	char why[WHY_LEN] = "";
	int err = o->pins ? pins__unpin(o->pins, o->force, stdout, why, sizeof(why)) : 0;

	if (err)
		log_error("%s", why);
	return err ? EXIT_ENVIRONMENT : EXIT_SUCCESS;
}

/* Where that cannot be, what follows says what it does not find. */
static void enter_host(void)
{
	int err = cgroup_namespace__enter_host();

	if (err)
		log_debug("the host's cgroup namespace: %s", strerror(-err));
}

int main(int argc, char **argv)
{
	struct app a = {0};
	int err, status = EXIT_SUCCESS;

	if (hold_stdio())
		return EXIT_ENVIRONMENT;

	if (argc > 1 && !strcmp(argv[1], "test-pipeline"))
		return test_pipeline__main(argc - 1, argv + 1);
	err = options__parse(&a.opts, argc, argv);
	if (err)
		return err < 0 ? EXIT_USAGE : flush_stdout();
	if (a.opts.action == ACTION_RUN || a.opts.action == ACTION_EVENTS) {
		confine__begin(&a.opts);
		status = read_config(&a);
	}
	log__level(a.opts.log_level);
	log__format(a.opts.log_format);
	switch (a.opts.action) {
	case ACTION_VERSION:
		puts("notail " NOTAIL_VERSION);
		break;
	case ACTION_PROBE:
		enter_host();
		status = probe(&a.opts);
		break;
	case ACTION_UNPIN:
		status = unpin(&a.opts);
		break;
	case ACTION_CHECK_CONFIG:
		status = check__config(&a.opts) ? EXIT_ENVIRONMENT : EXIT_SUCCESS;
		break;
	case ACTION_CHECK_LOKI:
		status = check_loki(&a.opts) ? EXIT_ENVIRONMENT : EXIT_SUCCESS;
		break;
	case ACTION_SUPPORT_BUNDLE:
		enter_host();
		status = support_bundle(&a.opts, container_id) ? EXIT_ENVIRONMENT : EXIT_SUCCESS;
		break;
	case ACTION_EVENTS:
		if (!status)
			status = events__run(&a.opts, a.ruleset);
		break;
	case ACTION_RUN:
		if (!a.opts.command)
			enter_host();
		if (!status)
			status = run(&a);
		break;
	}
	options__free(&a.opts);
	ruleset__free(a.ruleset);
	return status ? status : flush_stdout();
}
