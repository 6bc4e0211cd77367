/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order for a (container, stream): discovered labels and the preset's, those of a static
 * config, then the job's rules; what is left is the set, made to fit the limits. The next job is
 * asked when one does not select the container or its rules drop it.
 *
 * When the guard takes a label, the version moves, and whoever asked for routes asks again; from
 * time to time too, so that a set that stays in use stays counted.
 */
#include "process/routing.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/util.h"
#include "process/discovered.h"
#include "process/job.h"
#include "process/limits.h"
#include "process/preset.h"
#include "process/relabel.h"

#define TENANT_LABEL "__tenant_id__"
#define MAX_REASONS 64
#define MAX_METRIC 512
#define ARENA_MAX (64u << 20)

struct compiled {
	struct relabel *relabel;
	struct program *program;
};

struct total {
	char *reason;
	uint64_t lines, bytes;
};

struct totals {
	struct total drops[MAX_REASONS];
	size_t n_drops;
	struct stage_counters stages;
	struct limits_counters limits;
	uint64_t relabel_limited;
};

struct routing {
	struct config *config; /* NULL: none */
	struct routing_opts opts;
	char *host;
	const char *hook_set;
	struct preset_opts preset;
	struct label_pair *external_labels;
	struct config_job any; /* without a configuration: every container */
	const struct config_job *jobs;
	struct compiled *compiled; /* as jobs */
	size_t n_jobs;
	struct limits *limits; /* NULL: none */
	struct arena arena;    /* of one route */
	void (*line)(void *ctx, struct label_set *set, const struct line *line);
	void *ctx;
	uint64_t checked_ns;
	uint64_t checks;
	unsigned said_missing;
	bool said_left_out;
	struct totals before;
};

static void on_line(void *ctx, struct label_set *set, const struct line *line)
{
	struct routing *r = ctx;

	r->line(r->ctx, set, line);
}

static int compile(struct routing *r, struct diag *diag)
{
	const struct program_opts opts = {
		.metrics = r->opts.metrics,
		.max_line_size = r->opts.max_line_size,
		.inspect = r->opts.inspect,
		.whole_times = r->opts.is_test,
		.limits = r->limits,
		.preset = r->preset.preset,
		.line = on_line,
		.ctx = r,
	};
	int err = 0, e;

	r->compiled = calloc(r->n_jobs + 1, sizeof(*r->compiled));
	if (!r->compiled)
		return -ENOMEM;
	for (size_t i = 0; i < r->n_jobs && err != -ENOMEM; i++) {
		const struct config_job *job = &r->jobs[i];

		e = relabel__new(&r->compiled[i].relabel, job->relabel_configs.items,
				 job->relabel_configs.n, diag);
		err = e ? e : err;
		if (e != -ENOMEM)
			e = program__new(&r->compiled[i].program, job->pipeline_stages, &opts,
					 diag);
		err = e ? e : err;
	}
	return err;
}

static int take_config(struct routing *r)
{
	const struct string_map *external;

	r->preset = (struct preset_opts){
		.preset = PRESET_AUTO, .host = r->host, .env = getenv("APP_ENV")};
	r->jobs = &r->any;
	r->n_jobs = 1;
	if (!r->config)
		return 0;
	external = &r->config->external_labels;
	r->jobs = r->config->jobs.items;
	r->n_jobs = r->config->jobs.n;
	r->preset.preset = (enum config_preset)r->config->preset;
	r->external_labels = calloc(external->n + 1, sizeof(*r->external_labels));
	if (!r->external_labels)
		return -ENOMEM;
	for (size_t i = 0; i < external->n; i++)
		r->external_labels[i] = (struct label_pair){.name = external->items[i].name,
							    .value = external->items[i].value};
	r->preset.external_labels = r->external_labels;
	r->preset.n_external_labels = external->n;
	return 0;
}

static int make_limits(struct routing *r)
{
	const struct config_limits *c = r->config ? &r->config->limits : NULL;
	struct limits_opts opts = limits_defaults;

	if (r->opts.is_test)
		return 0;
	if (c)
		opts = (struct limits_opts){
			.label_values = (size_t)c->label_values,
			.identity_values = (size_t)c->identity_values,
			.guard_window_ns = c->guard_window,
			.guard_reset_ns = c->guard_reset,
			.label_names = (size_t)c->label_names,
			.label_name_length = c->label_name_length,
			.label_value_length = c->label_value_length,
			.streams = (size_t)c->streams,
		};
	return limits__new(&r->limits, &opts);
}

int routing__new(struct routing **ret, struct config *config, const struct routing_opts *opts,
		 struct diag *diag)
{
	struct routing *r = calloc(1, sizeof(*r));
	int err;

	if (!r) {
		config__free(config);
		return -ENOMEM;
	}
	r->config = config;
	r->opts = *opts;
	r->arena.max = ARENA_MAX;
	r->host = opts->host ? strdup(opts->host) : NULL;
	err = opts->host && !r->host ? -ENOMEM : take_config(r);
	/* What test-pipeline is told of is all there is, unless the file asks for a preset. */
	if (r->opts.is_test && r->preset.preset == PRESET_AUTO)
		r->preset.preset = PRESET_NONE;
	if (!err)
		err = make_limits(r);
	if (!err)
		err = compile(r, diag);
	if (err) {
		routing__free(r);
		return err;
	}
	*ret = r;
	return 0;
}

void routing__free(struct routing *r)
{
	if (!r)
		return;
	for (size_t i = 0; r->compiled && i < r->n_jobs; i++) {
		program__free(r->compiled[i].program);
		relabel__free(r->compiled[i].relabel);
	}
	for (size_t i = 0; i < r->before.n_drops; i++)
		free(r->before.drops[i].reason);
	limits__free(r->limits);
	arena__free(&r->arena);
	free(r->compiled);
	free(r->external_labels);
	free(r->host);
	config__free(r->config);
	free(r);
}

const struct config *routing__config(const struct routing *r)
{
	return r->config;
}

static bool filters_need_details(const struct config_job *job)
{
	const struct config_docker_sd *docker = job->docker_sd_configs.items;

	for (size_t i = 0; i < job->docker_sd_configs.n; i++) {
		const struct config_docker_filter *f = docker[i].filters.items;

		for (size_t j = 0; j < docker[i].filters.n; j++)
			if (!strcmp(f[j].name, "network") || !strcmp(f[j].name, "ancestor"))
				return true;
	}
	return false;
}

bool routing__needs_details(const struct routing *r)
{
	for (size_t i = 0; i < r->n_jobs; i++)
		if (discovered__needs_details(r->compiled[i].relabel) ||
		    filters_need_details(&r->jobs[i]))
			return true;
	return false;
}

void routing__hook_set(struct routing *r, const char *name)
{
	r->hook_set = name;
}

void routing__output(struct routing *r,
		     void (*line)(void *ctx, struct label_set *set, const struct line *line),
		     void *ctx)
{
	r->line = line;
	r->ctx = ctx;
}

/* Routes */

static int discover(struct routing *r, const struct meta *m, enum line_stream stream,
		    struct label_list *list)
{
	const struct discovered_opts opts = {.host = r->host, .hook_set = r->hook_set};
	int err = preset__add(list, &r->preset, m, stream);

	for (size_t i = 0; i < r->opts.n_discovered && !err; i++)
		err = label_list__set(list, r->opts.discovered[i].name,
				      r->opts.discovered[i].value);
	return err || r->opts.is_test ? err : discovered__add(list, m, stream, &opts);
}

/* 1: it is the job's, and the list is what its rules made; 0; -ENOMEM. */
static int try_job(struct routing *r, size_t i, const struct meta *m, enum line_stream stream,
		   struct label_list *list)
{
	const struct config_job *job = &r->jobs[i];
	const struct config_static *fixed = NULL;
	int err;

	if (r->opts.is_test) {
		fixed = job->static_configs.n ? job->static_configs.items : NULL;
		if (r->opts.job_name && (!job->job_name || strcmp(job->job_name, r->opts.job_name)))
			return 0;
	} else if (!job__selects(job, m, &fixed)) {
		return 0;
	}
	arena__reset(&r->arena);
	*list = (struct label_list){.arena = &r->arena};
	err = fixed ? job__static_labels(fixed, list) : 0;
	if (!err)
		err = discover(r, m, stream, list);
	if (err)
		return err;
	label_list__sort(list);
	return relabel__apply(r->compiled[i].relabel, list, NULL);
}

const char *routing__opt_out(const struct meta *m)
{
	static const char *const opt_outs[] = {"notail.io/exclude", "fluentbit.io/exclude",
					       "vector.dev/exclude"};

	for (size_t i = 0; i < ARRAY_SIZE(opt_outs); i++) {
		const char *value = meta__label(m, opt_outs[i]);

		if (value && !strcmp(value, "true"))
			return opt_outs[i];
	}
	return NULL;
}

/* 1: *ret_job has it. */
static int choose(struct routing *r, const struct meta *m, enum line_stream stream,
		  struct label_list *list, size_t *ret_job)
{
	int kept = 0;

	if (routing__opt_out(m))
		return 0;
	for (size_t i = 0; i < r->n_jobs && !kept; i++) {
		kept = try_job(r, i, m, stream, list);
		if (kept == 1)
			*ret_job = i;
	}
	return kept;
}

static void say_missing(struct routing *r, unsigned missing)
{
	unsigned fresh = missing & ~r->said_missing;

	if (fresh & PRESET_NO_APP)
		log_warn("preset strict: nothing says what `app` is of some containers: they have "
			 "no such label; an external label app gives one");
	if (fresh & PRESET_NO_ENV)
		log_warn("preset strict: nothing says what `env` is: there is no such label; an "
			 "external label env or the variable APP_ENV gives one");
	r->said_missing |= missing;
}

static int build(struct routing *r, const struct label_list *list, const struct meta *m,
		 enum line_stream stream, uint64_t time_ns, struct label_set **ret)
{
	_label_set_ struct label_set *set = NULL;
	unsigned missing = 0;
	size_t n_own;
	int err = preset__build(list, &r->preset, m, stream, &missing, &n_own, &set);

	if (!err && r->limits)
		err = limits__fit(r->limits, set, n_own, time_ns);
	if (!err)
		err = label_set__seal(set);
	if (err)
		return err;
	say_missing(r, missing);
	*ret = TAKE_PTR(set);
	return 0;
}

int routing__route(struct routing *r, const struct meta *m, enum line_stream stream,
		   uint64_t time_ns, struct route *ret)
{
	struct label_list list;
	struct route route = {0};
	const char *tenant;
	size_t job = 0;
	int kept, err;

	kept = choose(r, m, stream, &list, &job);
	if (kept != 1)
		return kept;
	if (list.left_out && !r->said_left_out)
		log_warn("%s: rules made more than %u labels: others are left out",
			 m->name ? m->name : "a container", LABEL_LIST_MAX);
	r->said_left_out |= list.left_out > 0;
	tenant = label_list__get(&list, TENANT_LABEL);
	if (*tenant) {
		route.tenant = strdup(tenant);
		if (!route.tenant)
			return -ENOMEM;
	}
	err = build(r, &list, m, stream, time_ns, &route.set);
	if (err) {
		free(route.tenant);
		return err;
	}
	if (!program__is_empty(r->compiled[job].program))
		route.program = r->compiled[job].program;
	*ret = route;
	return 1;
}

bool routing__excludes(struct routing *r, const struct meta *m)
{
	static const enum line_stream streams[] = {LINE_STDOUT, LINE_STDERR, LINE_TTY};
	struct label_list list;
	size_t job;

	for (size_t i = 0; i < ARRAY_SIZE(streams); i++)
		if (choose(r, m, streams[i], &list, &job))
			return false;
	return true;
}

/* Lines */

uint64_t routing__tick(struct routing *r, uint64_t now_ns)
{
	uint64_t due_ns = UINT64_MAX, next_ns;

	if (!r->checked_ns)
		r->checked_ns = now_ns;
	if (now_ns > r->checked_ns + LIMITS_RECHECK_NS) {
		r->checked_ns = now_ns;
		r->checks++;
	}
	for (size_t i = 0; i < r->n_jobs; i++) {
		if (program__is_empty(r->compiled[i].program))
			continue;
		next_ns = program__tick(r->compiled[i].program, now_ns);
		due_ns = MIN(due_ns, next_ns);
	}
	return due_ns;
}

void routing__flush(struct routing *r)
{
	for (size_t i = 0; i < r->n_jobs; i++)
		program__flush(r->compiled[i].program);
}

void routing__marks(struct routing *r, const struct marks *marks)
{
	for (size_t i = 0; i < r->n_jobs; i++)
		program__marks(r->compiled[i].program, marks);
}

uint64_t routing__oldest(const struct routing *r)
{
	uint64_t pos = UINT64_MAX, oldest;

	for (size_t i = 0; i < r->n_jobs; i++) {
		oldest = program__oldest(r->compiled[i].program);
		pos = MIN(pos, oldest);
	}
	return pos;
}

void routing__flush_before(struct routing *r, uint64_t pos)
{
	for (size_t i = 0; i < r->n_jobs; i++)
		program__flush_before(r->compiled[i].program, pos);
}

uint64_t routing__version(const struct routing *r)
{
	return r->checks + (r->limits ? limits__version(r->limits) : 0);
}

/* Counters */

static void add_drop(void *ctx, const char *reason, uint64_t lines, uint64_t bytes)
{
	struct totals *t = ctx;
	struct total *d = t->drops;

	while (d < t->drops + t->n_drops && strcmp(d->reason, reason))
		d++;
	if (d == t->drops + MAX_REASONS)
		d--;
	if (d == t->drops + t->n_drops) {
		d->reason = strdup(reason);
		if (!d->reason)
			return;
		t->n_drops++;
	}
	d->lines += lines;
	d->bytes += bytes;
}

static void add_limits(struct limits_counters *to, const struct limits_counters *c)
{
	to->guard_trips += c->guard_trips;
	to->guarded_labels += c->guarded_labels;
	to->identity_over += c->identity_over;
	to->repaired += c->repaired;
	to->cut += c->cut;
	to->too_many_labels += c->too_many_labels;
	to->too_many_streams += c->too_many_streams;
	to->empty_sets += c->empty_sets;
}

static void add_totals(struct totals *t, const struct routing *r)
{
	for (size_t i = 0; i < r->before.n_drops; i++)
		add_drop(t, r->before.drops[i].reason, r->before.drops[i].lines,
			 r->before.drops[i].bytes);
	add_limits(&t->limits, &r->before.limits);
	if (r->limits)
		add_limits(&t->limits, limits__counters(r->limits));
	t->stages.regex_limited += r->before.stages.regex_limited;
	t->stages.no_memory += r->before.stages.no_memory;
	t->stages.failed += r->before.stages.failed;
	t->relabel_limited += r->before.relabel_limited;
	for (size_t i = 0; i < r->n_jobs; i++) {
		const struct stage_counters *c = program__counters(r->compiled[i].program);

		program__drops(r->compiled[i].program, add_drop, t);
		t->stages.regex_limited += c->regex_limited;
		t->stages.no_memory += c->no_memory;
		t->stages.failed += c->failed;
		t->relabel_limited += relabel__limited(r->compiled[i].relabel);
	}
}

void routing__inherit(struct routing *r, const struct routing *before)
{
	add_totals(&r->before, before);
}

/* A label's value: the configuration may have said anything. */
static void name_drop(char *out, size_t size, const char *reason)
{
	size_t len = (size_t)snprintf(out, size, "notail_stage_dropped_lines_total{reason=\"");

	for (const char *p = reason; *p && len + 5 < size; p++) {
		if (*p == '"' || *p == '\\')
			out[len++] = '\\';
		out[len++] = (unsigned char)*p < ' ' ? '?' : *p;
	}
	snprintf(out + len, size - len, "\"}");
	utf8__clean(out, strlen(out));
}

void routing__count(const struct routing *r,
		    void (*fn)(void *ctx, const char *metric, const char *help, uint64_t value),
		    void *ctx)
{
	struct totals t = {0};
	char metric[MAX_METRIC];

	add_totals(&t, r);
	for (size_t i = 0; i < t.n_drops; i++) {
		name_drop(metric, sizeof(metric), t.drops[i].reason);
		fn(ctx, metric, "lines that stages dropped", t.drops[i].lines);
		free(t.drops[i].reason);
	}
	fn(ctx, "notail_stage_regex_limited_total", "regular expressions of stages given up",
	   t.stages.regex_limited);
	fn(ctx, "notail_stage_no_memory_total", "stages that had no memory", t.stages.no_memory);
	fn(ctx, "notail_stage_failed_total", "stages that could not do their work on a line",
	   t.stages.failed);
	fn(ctx, "notail_relabel_regex_limited_total", "regular expressions of rules given up",
	   t.relabel_limited);
	fn(ctx, "notail_guard_trips_total", "labels with too many values that the guard moved",
	   t.limits.guard_trips);
	fn(ctx, "notail_guarded_labels_total",
	   "labels of sets that became structured metadata by it", t.limits.guarded_labels);
	fn(ctx, "notail_identity_labels_over_total",
	   "identity labels that got more values than they should", t.limits.identity_over);
	fn(ctx, "notail_labels_repaired_total",
	   "labels that Loki would not have taken as they were", t.limits.repaired);
	fn(ctx, "notail_labels_cut_total", "labels cut at their greatest length", t.limits.cut);
	fn(ctx, "notail_labels_moved_total{reason=\"too_many_labels\"}",
	   "labels that became structured metadata", t.limits.too_many_labels);
	fn(ctx, "notail_labels_moved_total{reason=\"too_many_streams\"}",
	   "labels that became structured metadata", t.limits.too_many_streams);
	fn(ctx, "notail_empty_label_sets_total", "streams that had no label left",
	   t.limits.empty_sets);
}

static void print_one(void *ctx, const char *metric, const char *help, uint64_t value)
{
	(void)help;
	if (value)
		fprintf(ctx, "%s %" PRIu64 "\n", metric, value);
}

void routing__print(const struct routing *r, FILE *out)
{
	routing__count(r, print_one, out);
}

struct guarded {
	void (*fn)(void *ctx, const char *name, uint64_t since_ns);
	void *ctx;
};

static void tell_guarded(void *ctx, const struct limits_label *label)
{
	const struct guarded *g = ctx;

	if (label->guarded)
		g->fn(g->ctx, label->name, label->since_ns);
}

void routing__guarded(const struct routing *r,
		      void (*fn)(void *ctx, const char *name, uint64_t since_ns), void *ctx)
{
	struct guarded g = {.fn = fn, .ctx = ctx};

	if (r->limits)
		limits__each(r->limits, tell_guarded, &g);
}

void routing__observe_guard(struct routing *r,
			    void (*fn)(void *ctx, const struct limits_event *event), void *ctx)
{
	if (r->limits)
		limits__observe(r->limits, fn, ctx);
}

int routing__restore_guard(struct routing *r, const char *name, uint64_t since_ns)
{
	return r->limits ? limits__restore(r->limits, name, since_ns) : 0;
}

void routing__hold_guard(struct routing *r,
			 bool (*guarded)(void *ctx, const char *name, uint64_t state), void *ctx,
			 uint64_t state)
{
	if (r->limits)
		limits__hold(r->limits, guarded, ctx, state);
}

void routing__release_guard(struct routing *r)
{
	if (r->limits)
		limits__release(r->limits);
}
