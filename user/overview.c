/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What belongs to the capture thread comes as a snapshot by an eventfd; everything else is of this
 * thread, or atomic.
 */
#include "overview.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/clock.h"
#include "base/log.h"
#include "config/values.h"
#include "containers/bundle.h"
#include "guards.h"
#include "io/httpd.h"
#include "io/loop.h"
#include "kube/source.h"
#include "status/client_samples.h"
#include "status/process_samples.h"
#include "status/server.h"

/* The capture thread goes round every 10 s at least. */
#define STUCK_NS (30 * NS_PER_SEC)
#define FULL_NS (10 * NS_PER_SEC)

struct overview {
	const struct options *opts;
	struct overview_sources of;
	struct loop *loop;
	struct server *server;
	struct guards guards;
	struct loop_watch *snapshots;
	uint64_t started_ns; /* wall clock */
	char host[sizeof(((struct utsname *)0)->nodename)];
};

/* The loop's thread is the one that asks. */
static const char *why_unready(void *ctx)
{
	const struct overview *o = ctx;
	struct pipeline_health health;
	uint64_t now_ns = clock__boot_ns();

	if (!o->of.pipeline)
		return "starting";
	if (*o->of.ending)
		return "ending";
	pipeline__health(o->of.pipeline, &health);
	if (!health.round_ns)
		return "starting";
	if (now_ns - MIN(health.round_ns, now_ns) > STUCK_NS)
		return "the capture thread does not get on";
	if (health.full_ns && now_ns - MIN(health.full_ns, now_ns) > FULL_NS)
		return "the ring is full: see the receivers on the status page";
	return NULL;
}

static void ask(void *ctx, unsigned what)
{
	const struct overview *o = ctx;

	pipeline__ask(o->of.pipeline, what);
}

static void on_snapshot(void *ctx, int fd, int what)
{
	struct overview *o = ctx;
	struct snapshot *s = pipeline__snapshot(o->of.pipeline);

	(void)fd;
	(void)what;
	if (s)
		server__deliver(o->server, s);
}

static struct view_engine look_at_engine(const struct overview *o)
{
	struct docker_state state;

	if (!o->of.docker)
		return (struct view_engine){
			.unasked = o->opts->no_docker ? "not asked: containers have their ids alone"
						      : "not asked for a single process"};
	docker__state(o->of.docker, &state);
	return (struct view_engine){
		.host = state.host, .version = state.version, .problem = state.problem};
}

static struct view_source look_at_source(const struct overview *o)
{
	struct kube_source_state state;

	if (!o->of.source)
		return (struct view_source){0};
	kube_source__state(o->of.source, &state);
	return (struct view_source){
		.kind = state.kind,
		.url = state.url,
		.up = state.up,
		.since_ns = state.since_ns,
		.problem = state.problem,
		.pods = state.pods,
	};
}

static struct view_durable look_at_pins(const struct overview *o)
{
	const char *why = "";
	bool durable = capture__durable(o->of.capture, &why);

	return (struct view_durable){
		.state = durable       ? DURABLE_YES
			 : why && *why ? DURABLE_NO
				       : DURABLE_PRIVATE,
		.why = durable || !why || !*why ? NULL : why,
		.adopted = capture__adopted(o->of.capture),
	};
}

static void look(void *ctx, struct view *v)
{
	const struct overview *o = ctx;

	v->host = o->opts->host ? o->opts->host : o->host;
	v->started_ns = o->started_ns;
	v->hooks = hook_set__name(capture__hooks(o->of.capture));
	v->hooks_why = capture__why(o->of.capture);
	v->durable = look_at_pins(o);
	v->engine = look_at_engine(o);
	v->source = look_at_source(o);
	v->n_clients = clients__look(o->of.clients, v->clients);
	clients__look_at_spool(o->of.clients, &v->spool);
	v->prints = o->opts->to_stdout;
	ruleset__look(o->of.ruleset, &v->config);
}

static void count_spool(struct samples *s, const struct view_spool_files *spool)
{
	if (!spool->used)
		return;
	samples__add(s, SAMPLE_GAUGE, "notail_spool_bytes", "of all files of the spool",
		     spool->bytes);
	samples__add(s, SAMPLE_GAUGE, "notail_spool_leftover_bytes",
		     "of those, what clients left that are none any more", spool->leftover_bytes);
	samples__add(s, SAMPLE_COUNTER, "notail_spool_corrupt_segments_total",
		     "files of the spool that were damaged, and moved aside", spool->corrupt);
	samples__add(s, SAMPLE_COUNTER, "notail_spool_errors_total",
		     "errors of the disk that the spool met", spool->errors);
}

static void count_source(struct samples *s, const struct kube_source *source)
{
	struct kube_source_state state;

	if (!source)
		return;
	kube_source__state(source, &state);
	samples__add_labelled(s, SAMPLE_GAUGE, "notail_kubernetes_up", "source", state.kind,
			      "the source of pods' labels answers", state.up);
	samples__add(s, SAMPLE_GAUGE, "notail_kubernetes_problem",
		     "something is wrong with it, and the status page says what",
		     state.problem != NULL);
	samples__add(s, SAMPLE_GAUGE, "notail_kubernetes_pods", "pods that it told of", state.pods);
	for (enum kube_answer a = KUBE_OK; a < KUBE_ANSWERS; a++)
		samples__add_labelled(s, SAMPLE_COUNTER, "notail_kubernetes_requests_total",
				      "answer", KUBE_ANSWER_NAMES[a], "requests by their answer",
				      state.answers[a]);
}

static void count_bundles(struct samples *s, const struct bundles *bundles)
{
	struct bundles_state state;

	if (!bundles)
		return;
	bundles__state(bundles, &state);
	for (size_t i = 0; i < BUNDLES_RESULTS; i++)
		samples__add_labelled(s, SAMPLE_COUNTER, "notail_bundles_total", "result",
				      BUNDLES_RESULT_NAMES[i],
				      "containers whose OCI bundle was looked for",
				      state.results[i]);
}

static void count(void *ctx, struct samples *s)
{
	const struct overview *o = ctx;
	struct view v = {0};

	look(ctx, &v);
	samples__add_labelled(s, SAMPLE_GAUGE, "notail_build_info", "version", NOTAIL_VERSION,
			      "1, with the version", 1);
	samples__add_labelled(s, SAMPLE_GAUGE, "notail_hook_set_info", "set", v.hooks,
			      "1, with the kernel's hooks that are used", 1);
	samples__add(s, SAMPLE_GAUGE, "notail_durable", "what is captured outlives this process",
		     v.durable.state == DURABLE_YES);
	samples__add(s, SAMPLE_GAUGE, "notail_adopted", "the ring of a run before this one goes on",
		     v.durable.adopted);
	samples__add(s, SAMPLE_GAUGE, "notail_start_time_seconds", "when notail started, Unix time",
		     o->started_ns / NS_PER_SEC);
	samples__add(s, SAMPLE_GAUGE, "notail_config_last_reload_successful",
		     "the configuration that was read last is in force", !v.config.problem);
	if (v.engine.host)
		samples__add(s, SAMPLE_GAUGE, "notail_engine_connected",
			     "the container engine answers", v.engine.version != NULL);
	count_bundles(s, o->of.bundles);
	count_source(s, o->of.source);
	samples__add_counters(s, o->of.counters);
	samples__add(s, SAMPLE_COUNTER, "notail_log_messages_suppressed_total",
		     "notail's own messages that came too often", log__suppressed());
	samples__add(s, SAMPLE_COUNTER, "notail_log_messages_unwritten_total",
		     "notail's own messages that stderr did not take", log__unwritten());
	count_spool(s, &v.spool);
	client_samples__add(s, v.clients, v.n_clients);
	process_samples__add(s);
}

static int custom_metrics(void *ctx, struct buf *out)
{
	const struct overview *o = ctx;

	return ruleset__custom_metrics(o->of.ruleset, out);
}

static int print_config(void *ctx, struct buf *out)
{
	const struct overview *o = ctx;

	return ruleset__print_config(o->of.ruleset, out);
}

static int reload(void *ctx, struct buf *out)
{
	const struct overview *o = ctx;
	struct view_config state;
	int err;

	if (!ruleset__config(o->of.ruleset)) {
		buf__append_str(out, "there is no configuration file\n");
		return -ENOENT;
	}
	err = *o->of.ending ? -ESHUTDOWN
			    : ruleset__reload(o->of.ruleset, o->of.pipeline,
					      hook_set__name(capture__hooks(o->of.capture)),
					      o->of.counters);
	ruleset__look(o->of.ruleset, &state);
	if (!err)
		buf__printf(out, "%s is in force\n", state.file);
	else
		buf__printf(out, "what was in force stays: %s\n",
			    state.problem ? state.problem : strerror(-err));
	return err;
}

/* Both or neither: a password that goes over a network in the clear is everybody's. */
static bool is_guarded(const struct overview *o)
{
	return o->guards.user && o->guards.tls;
}

/* 0, or what there is to say is said. */
static int listen_on(struct overview *o, const char *address, const char *option, bool metrics,
		     bool must, char *why, size_t size)
{
	int err;

	if (!values__listens(address))
		return 0;
	err = server__listen(o->server, address, metrics);
	if (!err && !metrics && !httpd__is_loopback(address) && !is_guarded(o))
		log_warn("%s %s is no loopback address: whoever reaches it sees names, labels and "
			 "the configuration; server.metrics_listen is for networks, or "
			 "server.http_tls_config and server.basic_auth",
			 option, address);
	if (!err)
		return 0;
	if (must) {
		snprintf(why, size, "%s %s: %s", option, address, strerror(-err));
		return err;
	}
	log_warn("no %s: %s: %s (%s says where else)", metrics ? "metrics" : "status page", address,
		 strerror(-err), option);
	return 0;
}

int overview__new(struct overview **ret, struct loop *loop, const struct options *opts,
		  char *ret_why, size_t size)
{
	struct overview *o = calloc(1, sizeof(*o));
	struct server_opts server_opts = {
		.loop = loop,
		.reload = opts->runtime_reload,
		.unready = why_unready,
		.ask = ask,
		.look = look,
		.count = count,
		.custom_metrics = custom_metrics,
		.config = print_config,
		.reload_config = reload,
		.ctx = o,
	};
	struct utsname name;
	int err;

	if (!o)
		return -ENOMEM;
	o->opts = opts;
	o->loop = loop;
	o->started_ns = clock__real_ns();
	if (uname(&name) == 0)
		memcpy(o->host, name.nodename, sizeof(o->host));
	err = guards__make(&o->guards, opts->server, ret_why, size);
	server_opts.tls = o->guards.tls;
	server_opts.user = o->guards.user;
	if (!err)
		err = server__new(&o->server, &server_opts);
	if (!err)
		err = listen_on(o, opts->listen, opts->given.listen ? "--listen" : "server.listen",
				false, opts->must_listen, ret_why, size);
	if (!err)
		err = listen_on(o, opts->metrics_listen, "server.metrics_listen", true,
				options__is_service(opts), ret_why, size);
	if (err)
		overview__free(o);
	else
		*ret = o;
	return err;
}

int overview__start(struct overview *o, const struct overview_sources *sources)
{
	o->of = *sources;
	return loop__watch(o->loop, pipeline__snapshot_fd(sources->pipeline), LOOP_READ,
			   on_snapshot, o, &o->snapshots);
}

void overview__free(struct overview *o)
{
	if (!o)
		return;
	loop_watch__free(o->snapshots);
	server__free(o->server);
	guards__free(&o->guards);
	free(o);
}
