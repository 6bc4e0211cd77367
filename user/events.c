/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread and one loop. Without a Lease there is one session, for as long as the process lives;
 * with one, a session begins and ends with each term of leadership.
 *
 * Where the position is: in the Lease, as an annotation that each renewal brings up to date; in a
 * file; or nowhere. Then a start begins with all that the API server still has: a line and its time
 * are functions of the event, so that Loki knows what it has already.
 */
#include "events.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "base/clock.h"
#include "base/log.h"
#include "clients.h"
#include "cluster.h"
#include "config/values.h"
#include "confine.h"
#include "event_session.h"
#include "guards.h"
#include "io/http.h"
#include "io/loop.h"
#include "kube/client.h"
#include "kube/election.h"
#include "process/metrics.h"
#include "status/client_samples.h"
#include "status/process_samples.h"
#include "status/server.h"

#define SHUTDOWN_NS (10 * NS_PER_SEC)
#define SAVE_NS (5 * NS_PER_SEC)
#define WHY_LEN 512
#define NAMESPACE_FILE KUBE_ACCOUNT_DIR "/namespace"
#define NAMESPACE_MAX 253

struct events {
	struct options *opts;
	const struct ruleset *ruleset;
	struct config *config; /* the file's, or defaults */
	struct counters counters;
	struct loop *loop;
	struct http *http;
	struct kube *kube;
	struct custom_metrics *metrics;
	struct guards guards;
	struct server *server;
	struct positions *positions;
	const char *directory; /* NULL: none */
	int lock_fd;
	char *spool_directory;		/* ours */
	struct election *election;	/* NULL: nobody else works */
	struct event_session *session;	/* NULL: another works, or it is over */
	struct event_feed_stats before; /* of sessions that are over */
	struct loop_signal *signals[3];
	size_t n_signals;
	struct loop_timer *save;
	bool to_save;
	int save_error; /* of the last time; 0: none */
	bool ending;
	uint64_t started_ns; /* wall clock */
	int status;
};

/* Positions */

static void save(void *ctx)
{
	struct events *e = ctx;
	int err;

	if (!e->to_save)
		return;
	err = positions__save(e->positions, e->directory);
	e->to_save = err != 0;
	if (err != e->save_error && err)
		log_error("%s: how far events were delivered is not kept: %s", e->directory,
			  strerror(-err));
	else if (err != e->save_error)
		log_info("%s: how far events were delivered is kept again", e->directory);
	e->save_error = err;
	if (err)
		loop_timer__set(e->save, SAVE_NS);
}

static void note_position(struct events *e)
{
	_buf_ struct buf text = {0};
	int err = positions__text(e->positions, &text);

	if (!err)
		err = buf__append(&text, "", 1);
	if (!err)
		err = election__set_note(e->election, text.data);
	if (err)
		log_error("how far events were delivered is not kept: %s", strerror(-err));
}

static void on_moved(void *ctx)
{
	struct events *e = ctx;

	if (e->election)
		note_position(e);
	if (!e->directory || e->to_save)
		return;
	e->to_save = true;
	loop_timer__set(e->save, SAVE_NS);
}

/* Sessions */

static bool may_send(void *ctx)
{
	struct events *e = ctx;

	return !e->election || election__leads(e->election);
}

static void on_given_up(void *ctx)
{
	struct events *e = ctx;

	loop__stop(e->loop);
}

static void on_session_ended(void *ctx)
{
	struct events *e = ctx;

	save(e);
	if (e->election)
		election__release(e->election, on_given_up);
	else
		loop__stop(e->loop);
}

static int begin_session(struct events *e, char *why, size_t size)
{
	const struct event_session_opts opts = {
		.options = e->opts,
		.config = e->config,
		.loop = e->loop,
		.http = e->http,
		.kube = e->kube,
		.counters = &e->counters,
		.metrics = e->metrics,
		.positions = e->positions,
		.keeps = e->election || e->directory,
		.may_send = may_send,
		.moved = on_moved,
		.ended = on_session_ended,
		.ctx = e,
	};

	return event_session__new(&e->session, &opts, why, size);
}

static void remember(struct events *e)
{
	struct event_session_stats stats;

	event_session__stats(e->session, &stats);
	e->before.lines += stats.events.lines;
	e->before.lists += stats.events.lists;
	e->before.repeats += stats.events.repeats;
	e->before.invalid += stats.events.invalid;
	e->before.left_out += stats.events.left_out;
	e->before.no_memory += stats.events.no_memory;
}

static void end_session(struct events *e)
{
	if (!e->session)
		return;
	remember(e);
	event_session__free(TAKE_PTR(e->session));
}

static void end_run(struct events *e)
{
	uint64_t timeout_ns = e->opts->shutdown_ns ? e->opts->shutdown_ns : SHUTDOWN_NS;

	if (e->ending)
		timeout_ns = 0;
	e->ending = true;
	if (e->session)
		event_session__end(e->session, timeout_ns);
	else
		on_session_ended(e);
}

static void begin_term(struct events *e)
{
	const char *note = election__note(e->election);
	char why[WHY_LEN] = "";
	int err;

	log_info("leads: the events are this process's to send");
	/* This process may have been the last that led, and known more than it could write. */
	if (positions__merge(e->positions, note, strlen(note)))
		log_warn("what the Lease says of a position cannot be read: events may come twice");
	err = begin_session(e, why, sizeof(why));
	if (!err)
		return;
	log_error("%s", *why ? why : strerror(-err));
	e->status = EXIT_FAILURE;
	loop__stop(e->loop);
}

static void on_leads(void *ctx, bool leads)
{
	struct events *e = ctx;

	if (leads && !e->ending) {
		begin_term(e);
		return;
	}
	if (leads || !e->session)
		return;
	end_session(e);
	log_warn("leads no more: nothing is sent until it does again");
	if (e->ending)
		loop__stop(e->loop);
}

static void on_signal(void *ctx, int signo)
{
	struct events *e = ctx;

	if (signo == SIGHUP && ruleset__config(e->ruleset))
		log_warn("a change of the configuration takes a restart of `notail events'");
	else
		end_run(e);
}

/* Status */

static const char *why_unready(void *ctx)
{
	const struct events *e = ctx;

	if (e->ending)
		return "ending";
	if (e->session)
		return event_session__problem(e->session);
	if (e->election && election__problem(e->election))
		return election__problem(e->election);
	return !e->election || election__knows(e->election) ? NULL : "starting";
}

static void ask(void *ctx, unsigned what)
{
	struct events *e = ctx;
	struct snapshot *s;

	if (snapshot__new(&s, what, 0, 0))
		return;
	snapshot__seal(s);
	server__deliver(e->server, s);
}

static void count_events(const struct events *e, struct samples *s)
{
	struct event_session_stats stats = {0};

	if (e->session)
		event_session__stats(e->session, &stats);
	samples__add(s, SAMPLE_COUNTER, "notail_events_total", "events that became lines",
		     e->before.lines + stats.events.lines);
	samples__add(s, SAMPLE_COUNTER, "notail_events_lists_total",
		     "lists of all events that were asked for",
		     e->before.lists + stats.events.lists);
	samples__add(s, SAMPLE_COUNTER, "notail_events_repeated_total",
		     "events of a list that had been lines before",
		     e->before.repeats + stats.events.repeats);
	samples__add(s, SAMPLE_COUNTER, "notail_events_dropped_total{reason=\"invalid\"}",
		     "objects that were no events", e->before.invalid + stats.events.invalid);
	samples__add(s, SAMPLE_COUNTER, "notail_events_dropped_total{reason=\"too_many\"}",
		     "the oldest events of a list that was too long",
		     e->before.left_out + stats.events.left_out);
	samples__add(s, SAMPLE_COUNTER, "notail_events_dropped_total{reason=\"no_memory\"}",
		     "events dropped: no memory", e->before.no_memory + stats.events.no_memory);
	samples__add(s, SAMPLE_GAUGE, "notail_events_watches", "watches there should be",
		     stats.watches);
	samples__add(s, SAMPLE_GAUGE, "notail_events_watches_up", "watches that events come from",
		     stats.watches_up);
	samples__add(s, SAMPLE_GAUGE, "notail_events_leader", "this process is the one that sends",
		     e->session != NULL);
}

static void count(void *ctx, struct samples *s)
{
	struct view_client clients[VIEW_MAX_CLIENTS];
	const struct events *e = ctx;
	size_t n = e->session ? event_session__clients(e->session, clients) : 0;

	samples__add_labelled(s, SAMPLE_GAUGE, "notail_build_info", "version", NOTAIL_VERSION,
			      "1, with the version", 1);
	samples__add(s, SAMPLE_GAUGE, "notail_start_time_seconds", "when notail started, Unix time",
		     e->started_ns / NS_PER_SEC);
	count_events(e, s);
	for (int i = 0; i < KUBE_ANSWERS; i++)
		samples__add_labelled(s, SAMPLE_COUNTER, "notail_kubernetes_requests_total",
				      "answer", KUBE_ANSWER_NAMES[i], "answers of the API server",
				      kube__answers(e->kube, (enum kube_answer)i));
	samples__add_counters(s, &e->counters);
	samples__add(s, SAMPLE_COUNTER, "notail_log_messages_suppressed_total",
		     "notail's own messages that came too often", log__suppressed());
	samples__add(s, SAMPLE_COUNTER, "notail_log_messages_unwritten_total",
		     "notail's own messages that stderr did not take", log__unwritten());
	client_samples__add(s, clients, n);
	process_samples__add(s);
}

static int print_metrics(void *ctx, struct buf *out)
{
	const struct events *e = ctx;

	return custom_metrics__print(e->metrics, out, clock__real_ns());
}

static int make_server(struct events *e, char *why, size_t size)
{
	struct server_opts opts = {
		.loop = e->loop,
		.unready = why_unready,
		.ask = ask,
		.count = count,
		.custom_metrics = print_metrics,
		.ctx = e,
	};
	const char *addresses[] = {e->opts->listen, e->opts->metrics_listen};
	int err = guards__make(&e->guards, e->opts->server, why, size);

	opts.tls = e->guards.tls;
	opts.user = e->guards.user;
	if (!err)
		err = server__new(&e->server, &opts);
	for (size_t i = 0; i < ARRAY_SIZE(addresses) && !err; i++) {
		if (!values__listens(addresses[i]))
			continue;
		err = server__listen(e->server, addresses[i], true);
		if (err)
			snprintf(why, size, "%s: %s", addresses[i], strerror(-err));
	}
	return err;
}

/* Making it */

static int make_config(struct events *e)
{
	struct diag *diag;
	int err;

	e->config = config__ref((struct config *)ruleset__config(e->ruleset));
	if (e->config)
		return 0;
	err = diag__new(&diag, "");
	if (err)
		return err;
	err = config__parse(&e->config, "", 0, NULL, NULL, NULL, diag);
	diag__free(diag);
	return err;
}

/* One process has it, and where it can be written to. */
static int take_directory(struct events *e, char *why, size_t size)
{
	const char *directory = e->config->events.directory;
	int err = 0;

	if (!directory || !*directory)
		return 0;
	if (mkdir(directory, 0700) && errno != EEXIST)
		err = -errno;
	if (!err) {
		e->lock_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		err = e->lock_fd < 0 || flock(e->lock_fd, LOCK_EX | LOCK_NB) ? -errno : 0;
	}
	if (!err)
		err = positions__load(e->positions, directory);
	if (err == -EBADMSG) {
		log_warn("%s: the position cannot be read: all events are sent", directory);
		err = 0;
	}
	if (!err)
		err = positions__save(e->positions, directory);
	if (err)
		snprintf(why, size, "events.directory: %s: %s", directory,
			 err == -EWOULDBLOCK ? "another notail has it" : strerror(-err));
	else
		e->directory = directory;
	return err;
}

static int choose_spool(struct events *e, char *why, size_t size)
{
	if (e->opts->spool_directory && e->config->events.lease.enabled) {
		snprintf(why, size, "--spool-dir: whoever takes the Lease over does not have it");
		return -EINVAL;
	}
	if (!e->directory || e->opts->spool_directory)
		return 0;
	if (asprintf(&e->spool_directory, "%s/spool", e->directory) < 0) {
		e->spool_directory = NULL;
		return -ENOMEM;
	}
	e->opts->spool_directory = e->spool_directory;
	return 0;
}

static int find_namespace(const struct config_lease *c, struct buf *ret, char *why, size_t size)
{
	const char *name = c->namespace ? c->namespace : getenv("POD_NAMESPACE");
	int err;

	if (name && *name)
		return buf__append(ret, name, strlen(name) + 1);
	err = buf__read_file(ret, NAMESPACE_FILE, NAMESPACE_MAX);
	if (err || !ret->len) {
		snprintf(why, size, "this is no pod: events.lease.namespace is needed");
		return -EINVAL;
	}
	return buf__append(ret, "", 1);
}

static int make_election(struct events *e, char *why, size_t size)
{
	const struct config_lease *c = &e->config->events.lease;
	char identity[sizeof(((struct utsname *)0)->nodename) + 24];
	_buf_ struct buf namespace = {0};
	struct utsname name = {0};
	uint64_t nonce = 0;
	struct election_opts opts = {
		.loop = e->loop,
		.kube = e->kube,
		.name = c->name,
		.identity = identity,
		.duration_ns = c->duration,
		.leads = on_leads,
		.ctx = e,
	};
	int err = find_namespace(c, &namespace, why, size);

	if (err)
		return err;
	/* What ran before under this name may still run. */
	if (getrandom(&nonce, sizeof(nonce), 0) < 0)
		return -errno;
	uname(&name);
	snprintf(identity, sizeof(identity), "%s_%016lx", name.nodename, (unsigned long)nonce);
	opts.namespace = namespace.data;
	return election__new(&e->election, &opts);
}

static int make_signals(struct events *e)
{
	static const int SIGNALS[] = {SIGTERM, SIGINT, SIGHUP};
	int err;

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < ARRAY_SIZE(SIGNALS); i++) {
		err = loop__signal(e->loop, SIGNALS[i], on_signal, e, &e->signals[e->n_signals]);
		if (err)
			return err;
		e->n_signals++;
	}
	return 0;
}

static int set_up(struct events *e, char *why, size_t size)
{
	int err = make_config(e);

	if (!err)
		err = loop__new(&e->loop);
	if (!err)
		err = http__new(&e->http, e->loop);
	if (!err)
		err = cluster__api(&e->kube, e->loop, e->http, &e->config->discovery.kubernetes,
				   why, size);
	if (!err)
		err = custom_metrics__new(&e->metrics);
	if (!err)
		err = positions__new(&e->positions);
	if (!err)
		err = loop__timer(e->loop, save, e, &e->save);
	if (!err)
		err = take_directory(e, why, size);
	if (!err)
		err = choose_spool(e, why, size);
	if (!err)
		err = make_server(e, why, size);
	if (!err)
		err = make_signals(e);
	if (!err && e->config->events.lease.enabled)
		err = make_election(e, why, size);
	else if (!err)
		err = begin_session(e, why, size);
	if (!err)
		confine__run(e->opts, NULL);
	return err;
}

static void check_undelivered(struct events *e)
{
	size_t lines = e->session ? event_session__undelivered(e->session) : 0;

	if (!lines)
		return;
	if (e->election || e->directory) {
		log_info("%zu events were not delivered in time: the next run has them", lines);
		return;
	}
	log_warn("%zu events were not delivered in time", lines);
	if (!e->status)
		e->status = EXIT_FAILURE;
}

static void tear_down(struct events *e)
{
	check_undelivered(e);
	server__free(e->server);
	guards__free(&e->guards);
	end_session(e);
	election__free(e->election);
	for (size_t i = 0; i < e->n_signals; i++)
		loop_signal__free(e->signals[i]);
	loop_timer__free(e->save);
	positions__free(e->positions);
	close_p(&e->lock_fd);
	custom_metrics__free(e->metrics);
	kube__free(e->kube);
	http__free(e->http);
	loop__free(e->loop);
	if (e->spool_directory)
		e->opts->spool_directory = NULL;
	free(e->spool_directory);
	config__free(e->config);
}

int events__run(struct options *opts, const struct ruleset *ruleset)
{
	struct events e = {
		.opts = opts,
		.ruleset = ruleset,
		.lock_fd = -1,
		.started_ns = clock__real_ns(),
	};
	char why[WHY_LEN] = "";
	int err = set_up(&e, why, sizeof(why));

	if (!err) {
		log__print(LOG_INFO, "ready");
		err = loop__run(e.loop);
	}
	if (err) {
		log_error("%s", *why ? why : strerror(-err));
		e.status = EXIT_FAILURE;
	}
	tear_down(&e);
	return e.status;
}
