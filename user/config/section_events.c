/* SPDX-License-Identifier: Apache-2.0 */
/* The section events: what `notail events' sends. */
#include "config/sections.h"

#include <string.h>

#include "base/clock.h"
#include "config/config.h"
#include "kube/event_json.h"
#include "process/relabel.h"

static const char *const EVENT_FORMATS[] = {[EVENT_LOGFMT] = "logfmt", [EVENT_JSON] = "json", NULL};

static const struct field LEASE_FIELDS[] = {
	FIELD(struct config_lease, enabled, FIELD_BOOL, .dflt = "false",
	      .doc = "One of several replicas works, and the Lease says how far it came; needs "
		     "get, "
		     "create and update of leases."),
	FIELD(struct config_lease, namespace, FIELD_STRING,
	      .doc = "Where it is, if not in this pod's namespace."),
	FIELD(struct config_lease, name, FIELD_STRING, .dflt = "notail-events",
	      .doc = "What it is called."),
	FIELD(struct config_lease, duration, FIELD_DURATION, .dflt = "15s", .min = 3 * NS_PER_SEC,
	      .max = HOUR_NS, .doc = "When another takes over from one that is gone."),
	{0},
};

/* As the API has them: part of a path. */
static void check_name(const char *name, const struct node *at, struct diag *diag)
{
	static const char ALLOWED[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";

	if (!*name || strlen(name) > 253 || name[strspn(name, ALLOWED)])
		diag__error(diag, at, "\"%s\", expected a name: lower case, digits, - and .", name);
}

static void check_lease(const void *object, const struct node *node, struct diag *diag)
{
	const struct config_lease *l = object;

	if (l->namespace)
		check_name(l->namespace, node__get(node, "namespace"), diag);
	check_name(l->name, node__get(node, "name"), diag);
	if (l->duration % NS_PER_SEC)
		diag__error(diag, node__get(node, "duration"), "expected whole seconds");
}

static const struct schema LEASE = {
	.name = "lease",
	.size = sizeof(struct config_lease),
	.fields = LEASE_FIELDS,
	.check = check_lease,
};

static const struct field EVENTS_FIELDS[] = {
	FIELD(struct config_events, namespaces, FIELD_STRINGS,
	      .doc = "Those of these namespaces; none: of all."),
	FIELD(struct config_events, format, FIELD_ENUM, .names = EVENT_FORMATS, .dflt = "logfmt",
	      .doc = "How a line looks; the keys are those of Grafana Alloy in both."),
	FIELD(struct config_events, job, FIELD_STRING, .dflt = "loki.source.kubernetes_events",
	      .doc = "The label job, and service_name."),
	FIELD(struct config_events, instance, FIELD_STRING,
	      .dflt = "loki.source.kubernetes_events.notail", .doc = "The label instance."),
	FIELD(struct config_events, directory, FIELD_STRING,
	      .doc = "Where a file says how far it came, and what Loki has not taken is spooled; "
		     "in place of lease."),
	FIELD(struct config_events, lease, FIELD_OBJECT, .object = &LEASE,
	      .doc = "Leader election."),
	FIELD(struct config_events, relabel_configs, FIELD_OBJECTS, .object = &relabel_rule_schema,
	      .doc = "Rules over the labels of events."),
	FIELD(struct config_events, pipeline_stages, FIELD_STAGES,
	      .doc = "What is done with each of their lines."),
	{0},
};

/* Two watches of one would send each event twice. */
static void check_twice(const struct config_events *e, size_t i, const struct node *at,
			struct diag *diag)
{
	for (size_t k = 0; k < i; k++) {
		if (!strcmp(e->namespaces.items[k], e->namespaces.items[i])) {
			diag__error(diag, at, "\"%s\" stands there twice", e->namespaces.items[i]);
			return;
		}
	}
}

static void check_events(const void *object, const struct node *node, struct diag *diag)
{
	const struct config_events *e = object;

	for (size_t i = 0; i < e->namespaces.n && i < EVENTS_MAX_NAMESPACES; i++) {
		check_name(e->namespaces.items[i], node__item(node, "namespaces", i), diag);
		check_twice(e, i, node__item(node, "namespaces", i), diag);
	}
	if (e->namespaces.n > EVENTS_MAX_NAMESPACES)
		diag__error(diag, node__get(node, "namespaces"),
			    "%zu namespaces, expected at most %d, or none for all", e->namespaces.n,
			    EVENTS_MAX_NAMESPACES);
	if (!*e->job)
		diag__error(diag, node__get(node, "job"), "empty, expected a name");
	if (e->directory && *e->directory && *e->directory != '/')
		diag__error(diag, node__get(node, "directory"), "\"%s\", expected an absolute path",
			    e->directory);
	if (e->directory && *e->directory && e->lease.enabled)
		diag__error(diag, node__get(node, "directory"),
			    "stands beside lease.enabled, expected one of the two");
}

const struct schema config_events_schema = {
	.name = "events",
	.size = sizeof(struct config_events),
	.fields = EVENTS_FIELDS,
	.check = check_events,
};
