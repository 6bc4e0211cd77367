/* SPDX-License-Identifier: Apache-2.0 */
/* What a configuration file says goes where the command line says nothing. */
#include "config/options_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/values.h"

/* The command line's list comes first, and alone. */
static int take_list(const char ***list, size_t *n, const struct string_list *from)
{
	const char **copy;

	if (*n || !from->n)
		return 0;
	copy = reallocarray(NULL, from->n, sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	memcpy(copy, from->items, from->n * sizeof(*copy));
	*list = copy;
	*n = from->n;
	return 0;
}

static int apply_capture(struct options *o, const struct config_capture *c)
{
	bool containers = !o->command && !o->pid;
	int err = 0;

	if (!o->given.tap)
		o->tap = (enum tap_mode)c->tap;
	if (!o->given.hooks)
		o->hooks = (enum hook_set)c->hooks;
	if (!o->given.attribution)
		o->attribution = (enum attribution)c->attribution;
	if (!o->ring_bytes)
		o->ring_bytes = c->ring_size;
	if (!o->max_line_size)
		o->max_line_size = c->max_line_size;
	o->orphan_timeout_ns = c->orphan_timeout;
	if (o->may_pin && !o->given.pins && c->pins)
		o->pins = values__pins(c->pins) ? c->pins : NULL;
	o->detach_on_exit = o->detach_on_exit || (o->may_pin && c->detach_on_exit);
	if (!containers)
		return 0;
	if (!o->rate_limit) {
		o->rate_limit = c->rate_limit;
		o->rate_burst = c->rate_burst;
	}
	o->exec_sessions = o->exec_sessions || c->exec_sessions;
	err = take_list(&o->containers, &o->n_containers, &c->containers);
	if (!err)
		err = take_list(&o->labels, &o->n_labels, &c->labels);
	if (!err)
		err = take_list(&o->streams, &o->n_streams, &c->streams);
	if (!err)
		err = take_list(&o->cgroups, &o->n_cgroups, &c->cgroups);
	return err;
}

static void apply_server(struct options *o, const struct config_server *c)
{
	o->server = c;
	o->runtime_reload = c->enable_runtime_reload;
	o->metrics_listen = c->metrics_listen;
	/* The run of the same file has the other one. */
	if (o->given.listen || o->action == ACTION_EVENTS)
		return;
	/* The service of the same file may have it already. */
	o->must_listen = options__is_service(o) && c->listen_given;
	o->listen = options__is_service(o) || c->listen_given ? c->listen : NULL;
}

int options__apply(struct options *o, const struct config *c)
{
	int err = apply_capture(o, &c->capture);

	if (err)
		return err;
	apply_server(o, &c->server);
	if (!o->loki_url && !o->to_stdout && c->clients.n)
		o->clients = &c->clients;
	if (!o->docker_host && !o->no_docker) {
		o->docker_host = c->discovery.docker.host;
		o->no_docker = !c->discovery.docker.enabled;
	}
	if (!o->host)
		o->host = c->host;
	if (!o->given.log_level)
		o->log_level = (enum log_level)c->log.level;
	o->seccomp = c->security.seccomp;
	o->canary_interval_ns = o->to_stdout ? 0 : c->canary.interval;
	if (!o->given.log_format)
		o->log_format = (enum log_format)c->log.format;
	o->park_max_ns = c->discovery.max_wait;
	o->max_in_flight = c->limits.memory;
	o->spool = &c->spool;
	if (!o->shutdown_ns)
		o->shutdown_ns = c->shutdown_timeout;
	if (!o->spool_directory && o->service)
		o->spool_directory = c->spool.directory ? c->spool.directory : SPOOL_OFF;
	if (o->loki_url || o->to_stdout || o->clients)
		return 0;
	fprintf(stderr,
		"notail: nowhere to send the lines: %s has no clients, add some, or --stdout, or "
		"--loki URL\n",
		o->config);
	return -EINVAL;
}
