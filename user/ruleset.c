/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Custom metrics and the place where --inspect prints outlive what a reload replaces. What takes a
 * restart (clients, capture, discovery) is compared with the file that notail was started with.
 */
#include "ruleset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "config/check.h"
#include "process/inspect.h"
#include "process/metrics.h"

#define PROBLEM_LEN 2048

struct ruleset {
	const struct options *opts;
	struct config *config;	   /* notail was started with; NULL: none */
	struct config *now;	   /* in force */
	uint64_t since_ns;	   /* wall clock */
	char problem[PROBLEM_LEN]; /* of the last reload; empty: none */
	uint64_t problem_ns;
	struct custom_metrics *metrics;
	struct inspect *inspect; /* NULL: not asked for */
	bool details;
	char host[sizeof(((struct utsname *)0)->nodename)];
};

/* On stderr, and in the status page's text, where there is one. */
static void tell(const struct diag *diag, char *ret_problem)
{
	_free_ char *text = NULL;
	FILE *out = NULL;
	size_t len;

	diag__print(diag, stderr);
	if (ret_problem && diag__errors(diag))
		out = open_memstream(&text, &len);
	if (!out)
		return;
	diag__print(diag, out);
	if (fclose(out) == 0)
		snprintf(ret_problem, PROBLEM_LEN, "%.*s", (int)strcspn(text, "\n"), text);
}

static int load(struct config **ret, const char *path, char *ret_problem)
{
	struct diag *diag;
	int err = diag__new(&diag, path);

	if (!err)
		err = check__load(ret, path, diag);
	if (err != -ENOMEM)
		tell(diag, ret_problem);
	diag__free(diag);
	if (err == -ENOMEM)
		log_error("%s: %s", path, strerror(ENOMEM));
	return err;
}

int ruleset__new(struct ruleset **ret, struct options *opts)
{
	struct ruleset *r = calloc(1, sizeof(*r));
	struct utsname name;
	int err = 0;

	if (!r)
		return -ENOMEM;
	r->opts = opts;
	if (uname(&name) == 0)
		memcpy(r->host, name.nodename, sizeof(r->host));
	if (opts->config)
		err = load(&r->config, opts->config, NULL);
	if (!err && opts->config && options__apply(opts, r->config))
		err = -EDOM;
	if (!err)
		err = custom_metrics__new(&r->metrics);
	if (!err && opts->inspect)
		err = inspect__new(&r->inspect, stderr, isatty(STDERR_FILENO));
	r->now = config__ref(r->config);
	r->since_ns = clock__real_ns();
	if (err)
		ruleset__free(r);
	else
		*ret = r;
	return err;
}

void ruleset__free(struct ruleset *r)
{
	if (!r)
		return;
	custom_metrics__free(r->metrics);
	inspect__free(r->inspect);
	config__free(r->now);
	config__free(r->config);
	free(r);
}

const struct config *ruleset__config(const struct ruleset *r)
{
	return r->config;
}

/* Takes the configuration over. */
static int compile(struct ruleset *r, struct config *config, struct routing **ret,
		   char *ret_problem)
{
	const struct routing_opts opts = {
		.host = r->opts->host ? r->opts->host : r->host,
		.metrics = r->metrics,
		.max_line_size = r->opts->max_line_size,
		.inspect = r->inspect,
	};
	struct diag *diag = NULL;
	int err = diag__new(&diag, r->opts->config ? r->opts->config : "");

	if (err) {
		config__free(config);
		return err;
	}
	err = routing__new(ret, config, &opts, diag);
	if (err == -EINVAL)
		tell(diag, ret_problem);
	diag__free(diag);
	return err;
}

int ruleset__routing(struct ruleset *r, struct routing **ret)
{
	int err = compile(r, config__ref(r->config), ret, NULL);

	if (!err)
		r->details = routing__needs_details(*ret);
	return err;
}

bool ruleset__needs_details(const struct ruleset *r)
{
	return r->details;
}

/* Why the configuration cannot be used without a restart; NULL: it can. */
static const char *needs_restart(const struct ruleset *r, const struct config *config,
				 const struct routing *routing)
{
	const char *what = config__restart(r->config, config);

	if (!what && routing__needs_details(routing) && !r->details)
		return "rules that read networks or ports";
	return what;
}

/* `what`: takes a restart; NULL: it failed with err. */
static void refuse(struct ruleset *r, const char *what, int err)
{
	char why[256];

	if (what)
		snprintf(why, sizeof(why), "a change of %s takes a restart", what);
	else
		snprintf(why, sizeof(why), "%s", err == -EINVAL ? "it is wrong" : strerror(-err));
	log_error("%s is not used: %s; what was in force stays", r->opts->config, why);
	if (!*r->problem)
		memcpy(r->problem, why, sizeof(why));
	r->problem_ns = clock__real_ns();
}

static void take(struct ruleset *r, struct config *config)
{
	if (!r->opts->given.log_level)
		log__level((enum log_level)config->log.level);
	if (!r->opts->given.log_format)
		log__format((enum log_format)config->log.format);
	config__free(r->now);
	r->now = config;
	r->since_ns = clock__real_ns();
	log_info("%s is in force", r->opts->config);
}

int ruleset__reload(struct ruleset *r, struct pipeline *p, const char *hook_set,
		    struct counters *counters)
{
	struct routing *routing = NULL;
	struct config *config = NULL;
	const char *what = NULL;
	int err;

	r->problem[0] = '\0';
	err = load(&config, r->opts->config, r->problem);
	if (!err)
		err = compile(r, config__ref(config), &routing, r->problem);
	if (!err) {
		routing__hook_set(routing, hook_set);
		what = needs_restart(r, config, routing);
	}
	if (err || what) {
		counters__add(counters, reloads_failed, 1);
		refuse(r, what, err);
		routing__free(routing);
		config__free(config);
		return err ? err : -EBUSY;
	}
	pipeline__use(p, routing);
	counters__add(counters, reloads, 1);
	take(r, config);
	return 0;
}

void ruleset__look(const struct ruleset *r, struct view_config *ret)
{
	*ret = (struct view_config){
		.file = r->config ? r->opts->config : NULL,
		.since_ns = r->since_ns,
		.problem = *r->problem ? r->problem : NULL,
		.problem_ns = r->problem_ns,
	};
}

/* What a file without a word in it says. */
static int defaults(struct config **ret)
{
	struct diag *diag;
	int err = diag__new(&diag, "");

	if (err)
		return err;
	err = config__parse(ret, "", 0, NULL, NULL, NULL, diag);
	diag__free(diag);
	return err;
}

int ruleset__print_config(const struct ruleset *r, struct buf *out)
{
	struct config *c = config__ref(r->now);
	_free_ char *text = NULL;
	FILE *stream = NULL;
	size_t len = 0;
	int err = c ? 0 : defaults(&c);

	if (!err) {
		stream = open_memstream(&text, &len);
		err = stream ? config__print(c, stream) : -ENOMEM;
	}
	if (stream && fclose(stream) && !err)
		err = -ENOMEM;
	config__free(c);
	return err ? err : buf__append(out, text, len);
}

int ruleset__custom_metrics(const struct ruleset *r, struct buf *out)
{
	return custom_metrics__print(r->metrics, out, clock__real_ns());
}

void ruleset__print_metrics(const struct ruleset *r, FILE *out)
{
	_buf_ struct buf custom = {0};

	if (ruleset__custom_metrics(r, &custom) == 0 && custom.len)
		fwrite(custom.data, 1, custom.len, out);
}
