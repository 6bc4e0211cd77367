/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order for a (container, stream): discovered labels and the preset's, those of a static
 * config, then the job's rules; what is left is the set, made to fit the limits. The next job is
 * asked when one does not select the container or its rules drop it.
 *
 * When the guard takes a label, the version moves, and whoever asked for routes asks again; from
 * time to time too, so that a set that stays in use stays counted.
 */
#include "process/routing_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/glob.h"
#include "base/log.h"
#include "base/util.h"
#include "process/discovered.h"
#include "process/job.h"
#include "process/relabel.h"

#define TENANT_LABEL "__tenant_id__"
#define ARENA_MAX (64u << 20)

static void on_line(void *ctx, struct label_set *set, const struct line *line)
{
	struct routing *r = ctx;

	r->line(r->ctx, set, line);
}

/* The job's own. */
static unsigned own_variant(const struct routing *r)
{
	return r->preset.preset == PRESET_STRICT ? VARIANT_STRICT : 0;
}

static int make_program(struct routing *r, size_t job, unsigned variant, struct diag *diag)
{
	const struct program_opts opts = {
		.metrics = r->opts.metrics,
		.max_line_size = r->opts.max_line_size,
		.inspect = r->opts.inspect,
		.whole_times = r->opts.is_test,
		.limits = r->limits,
		.preset = variant & VARIANT_STRICT ? PRESET_STRICT : PRESET_AUTO,
		.asked_multiline = variant & VARIANT_MULTILINE,
		.line = on_line,
		.ctx = r,
	};
	struct program **p = &r->compiled[job].programs[variant];
	int err = program__new(p, r->jobs[job].pipeline_stages, &opts, diag);

	if (!err && r->marks)
		program__marks(*p, r->marks);
	return err;
}

static int compile(struct routing *r, struct diag *diag)
{
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
			e = make_program(r, i, own_variant(r), diag);
		err = e ? e : err;
	}
	return err;
}

/* The job's stages, as the container asks for them. What was compiled once is not wrong. */
static int get_program(struct routing *r, size_t job, unsigned variant, struct program **ret)
{
	struct program *p = r->compiled[job].programs[variant];
	struct diag *diag = NULL;
	int err = 0;

	if (!p)
		err = diag__new(&diag, "");
	if (!p && !err)
		err = make_program(r, job, variant, diag);
	diag__free(diag);
	if (!err)
		*ret = r->compiled[job].programs[variant];
	return err;
}

static const char *node_name(const struct routing *r)
{
	const char *name = r->config ? r->config->discovery.kubernetes.node_name : NULL;

	if (!name || !*name)
		name = getenv("NODE_NAME");
	return name && *name ? name : NULL;
}

static int take_config(struct routing *r)
{
	const struct string_map *external;

	r->preset = (struct preset_opts){
		.preset = PRESET_AUTO,
		.host = r->host,
		.node = node_name(r),
		.env = getenv("APP_ENV"),
	};
	r->jobs = &r->any;
	r->n_jobs = 1;
	if (!r->config)
		return 0;
	external = &r->config->external_labels;
	r->jobs = r->config->jobs.items;
	r->n_jobs = r->config->jobs.n;
	r->preset.preset = (enum config_preset)r->config->preset;
	r->preset.pod = (enum config_pod_name)r->config->preset_pod;
	if (r->config->discovery.kubernetes.node_name)
		r->preset.node = r->config->discovery.kubernetes.node_name;
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
	for (size_t i = 0; i < routing__n_programs(r); i++)
		program__free(routing__program(r, i));
	for (size_t i = 0; r->compiled && i < r->n_jobs; i++)
		relabel__free(r->compiled[i].relabel);
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

/* What a container asks for, and the preset with that. */
struct wish {
	struct asked asked;
	struct preset_opts preset;
};

static bool obeys(const struct routing *r)
{
	return !r->opts.is_test && (!r->config || r->config->discovery.annotations.enabled);
}

static void tell_problems(struct routing *r, const struct meta *m, const struct asked *a)
{
	const char *namespace = preset__namespace(m), *name = preset__pod(m);

	if (!name)
		name = m->name ? m->name : "a container";
	for (size_t i = 0; i < a->n_problems; i++) {
		const struct asked_problem *p = &a->problems[i];

		if (asked_told__first(&r->told, m, p))
			log_warn("%s%s%s: %s: \"%.80s\" is left out: %s",
				 namespace ? namespace : "", namespace ? "/" : "", name, p->key,
				 p->value, p->why);
	}
}

static int make_wish(struct routing *r, const struct meta *m, struct wish *ret)
{
	static const struct string_list nobody;
	int err;

	*ret = (struct wish){.asked = {.preset = -1}, .preset = r->preset};
	if (!obeys(r))
		return 0;
	err = asked__read(m, r->config ? &r->config->discovery.annotations.tenants : &nobody,
			  &ret->asked);
	if (err)
		return err;
	tell_problems(r, m, &ret->asked);
	if (ret->asked.preset >= 0)
		ret->preset.preset = (enum config_preset)ret->asked.preset;
	return 0;
}

/* What is discovered is for rules alone. */
static int discover(struct routing *r, const struct meta *m, enum line_stream stream,
		    const struct wish *wish, bool rules, struct label_list *list)
{
	const struct discovered_opts opts = {
		.host = r->host, .node = r->preset.node, .hook_set = r->hook_set};
	int err = preset__add(list, &wish->preset, m, stream);

	/* For rules to see, and to decide otherwise. */
	if (!err && wish->asked.tenant)
		err = label_list__set(list, TENANT_LABEL, wish->asked.tenant);
	for (size_t i = 0; i < r->opts.n_discovered && !err; i++)
		err = label_list__set(list, r->opts.discovered[i].name,
				      r->opts.discovered[i].value);
	return err || !rules || r->opts.is_test ? err : discovered__add(list, m, stream, &opts);
}

/* 1: it is the job's, and the list is what its rules made; 0; -ENOMEM. */
static int try_job(struct routing *r, size_t i, const struct meta *m, enum line_stream stream,
		   const struct wish *wish, struct label_list *list)
{
	const struct config_job *job = &r->jobs[i];
	struct relabel *rules = r->compiled[i].relabel;
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
		err = discover(r, m, stream, wish, !relabel__is_empty(rules), list);
	if (err)
		return err;
	label_list__sort(list);
	return relabel__apply(rules, list, NULL);
}

static bool any_fits(const struct string_list *globs, const char *text)
{
	for (size_t i = 0; i < globs->n; i++)
		if (glob__match(globs->items[i], text))
			return true;
	return false;
}

static bool is_namespace_wanted(const struct routing *r, const struct meta *m)
{
	const struct config_globs *g =
		r->config ? &r->config->discovery.kubernetes.namespaces : NULL;
	const char *namespace = preset__namespace(m);

	if (!g || !namespace)
		return true;
	return (!g->include.n || any_fits(&g->include, namespace)) &&
	       !any_fits(&g->exclude, namespace);
}

static const char *unwanted(const struct routing *r, const struct meta *m, enum line_stream stream)
{
	if (!is_namespace_wanted(r, m))
		return "discovery.kubernetes.namespaces";
	return obeys(r) ? asked__excluded(m, stream) : NULL;
}

const char *routing__opt_out(const struct routing *r, const struct meta *m)
{
	const char *why = unwanted(r, m, LINE_STDOUT);

	return why && unwanted(r, m, LINE_STDERR) ? why : NULL;
}

/* 1: *ret_job has it. */
static int choose(struct routing *r, const struct meta *m, enum line_stream stream,
		  const struct wish *wish, struct label_list *list, size_t *ret_job)
{
	int kept = 0;

	if (unwanted(r, m, stream))
		return 0;
	for (size_t i = 0; i < r->n_jobs && !kept; i++) {
		kept = try_job(r, i, m, stream, wish, list);
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

static int build(struct routing *r, const struct label_list *list, const struct preset_opts *preset,
		 const struct meta *m, enum line_stream stream, uint64_t time_ns,
		 struct label_set **ret)
{
	_label_set_ struct label_set *set = NULL;
	unsigned missing = 0;
	size_t n_own;
	int err = preset__build(list, preset, m, stream, &missing, &n_own, &set);

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

static void route__clear(struct route *route)
{
	label_set__unref(route->set);
	free(route->tenant);
	free(route->multiline);
}

/* What the list and the wish say, but for the labels. */
static int add_way(struct routing *r, const struct label_list *list, const struct wish *wish,
		   size_t job, struct route *route)
{
	const char *tenant = label_list__get(list, TENANT_LABEL);
	unsigned variant = wish->preset.preset == PRESET_STRICT ? VARIANT_STRICT : 0;
	struct program *program;
	int err;

	if (wish->asked.pattern)
		variant |= VARIANT_MULTILINE;
	err = get_program(r, job, variant, &program);
	if (err)
		return err;
	if (!program__is_empty(program))
		route->program = program;
	if (*tenant && !(route->tenant = strdup(tenant)))
		return -ENOMEM;
	if (wish->asked.pattern && !(route->multiline = strdup(wish->asked.pattern)))
		return -ENOMEM;
	return 0;
}

int routing__route(struct routing *r, const struct meta *m, enum line_stream stream,
		   uint64_t time_ns, struct route *ret)
{
	struct label_list list;
	struct route route = {0};
	struct wish wish;
	size_t job = 0;
	int kept, err;

	err = make_wish(r, m, &wish);
	if (err)
		return err;
	kept = choose(r, m, stream, &wish, &list, &job);
	if (kept != 1)
		return kept;
	if (list.left_out && !r->said_left_out)
		log_warn("%s: rules made more than %u labels: others are left out",
			 m->name ? m->name : "a container", LABEL_LIST_MAX);
	r->said_left_out |= list.left_out > 0;
	err = add_way(r, &list, &wish, job, &route);
	if (!err)
		err = build(r, &list, &wish.preset, m, stream, time_ns, &route.set);
	if (err) {
		route__clear(&route);
		return err;
	}
	*ret = route;
	return 1;
}

bool routing__excludes(struct routing *r, const struct meta *m)
{
	static const enum line_stream streams[] = {LINE_STDOUT, LINE_STDERR, LINE_TTY};
	struct label_list list;
	struct wish wish;
	size_t job;

	if (make_wish(r, m, &wish))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(streams); i++)
		if (choose(r, m, streams[i], &wish, &list, &job))
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
	for (size_t i = 0; i < routing__n_programs(r); i++) {
		struct program *p = routing__program(r, i);

		if (!p || program__is_empty(p))
			continue;
		next_ns = program__tick(p, now_ns);
		due_ns = MIN(due_ns, next_ns);
	}
	return due_ns;
}

void routing__flush(struct routing *r)
{
	for (size_t i = 0; i < routing__n_programs(r); i++)
		if (routing__program(r, i))
			program__flush(routing__program(r, i));
}

void routing__marks(struct routing *r, const struct marks *marks)
{
	r->marks = marks;
	for (size_t i = 0; i < routing__n_programs(r); i++)
		if (routing__program(r, i))
			program__marks(routing__program(r, i), marks);
}

uint64_t routing__oldest(const struct routing *r)
{
	uint64_t pos = UINT64_MAX, oldest;

	for (size_t i = 0; i < routing__n_programs(r); i++) {
		oldest = routing__program(r, i) ? program__oldest(routing__program(r, i))
						: UINT64_MAX;
		pos = MIN(pos, oldest);
	}
	return pos;
}

void routing__flush_before(struct routing *r, uint64_t pos)
{
	for (size_t i = 0; i < routing__n_programs(r); i++)
		if (routing__program(r, i))
			program__flush_before(routing__program(r, i), pos);
}

uint64_t routing__version(const struct routing *r)
{
	return r->checks + (r->limits ? limits__version(r->limits) : 0);
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
