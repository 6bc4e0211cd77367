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

struct ruleset {
	const struct options *opts;
	struct config *config; /* notail was started with; NULL: none */
	struct custom_metrics *metrics;
	struct inspect *inspect; /* NULL: not asked for */
	bool details;
	char host[sizeof(((struct utsname *)0)->nodename)];
};

static int load(struct config **ret, const char *path)
{
	struct diag *diag;
	int err = diag__new(&diag, path);

	if (!err)
		err = check__load(ret, path, diag);
	if (err != -ENOMEM)
		diag__print(diag, stderr);
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
		err = load(&r->config, opts->config);
	if (!err && opts->config && options__apply(opts, r->config))
		err = -EDOM;
	if (!err)
		err = custom_metrics__new(&r->metrics);
	if (!err && opts->inspect)
		err = inspect__new(&r->inspect, stderr, isatty(STDERR_FILENO));
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
	config__free(r->config);
	free(r);
}

const struct config *ruleset__config(const struct ruleset *r)
{
	return r->config;
}

/* Takes the configuration over. */
static int compile(struct ruleset *r, struct config *config, struct routing **ret)
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
		diag__print(diag, stderr);
	diag__free(diag);
	return err;
}

int ruleset__routing(struct ruleset *r, struct routing **ret)
{
	int err = compile(r, config__ref(r->config), ret);

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

int ruleset__reload(struct ruleset *r, struct pipeline *p, const char *hook_set,
		    struct counters *counters)
{
	const char *path = r->opts->config, *what = NULL;
	struct routing *routing = NULL;
	struct config *config = NULL;
	int err = load(&config, path);

	if (!err)
		err = compile(r, config__ref(config), &routing);
	if (!err) {
		routing__hook_set(routing, hook_set);
		what = needs_restart(r, config, routing);
	}
	if (err || what) {
		counters__add(counters, reloads_failed, 1);
		if (what)
			log_error("%s is not used: a change of %s takes a restart; what was in "
				  "force stays",
				  path, what);
		else
			log_error("%s is not used: %s; what was in force stays", path,
				  err == -EINVAL ? "it is wrong" : strerror(-err));
		routing__free(routing);
		config__free(config);
		return err ? err : -EBUSY;
	}
	if (!r->opts->given.log_level)
		log__level((enum log_level)config->log.level);
	config__free(config);
	pipeline__use(p, routing);
	counters__add(counters, reloads, 1);
	log_info("%s is in force", path);
	return 0;
}

void ruleset__print_metrics(const struct ruleset *r, FILE *out)
{
	_buf_ struct buf custom = {0};

	if (custom_metrics__print(r->metrics, &custom, clock__real_ns()) == 0)
		fwrite(custom.data, 1, custom.len, out);
}
