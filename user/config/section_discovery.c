/* SPDX-License-Identifier: Apache-2.0 */
/* The section discovery; kubernetes in it has a file of its own. */
#include "config/sections.h"

#include "base/clock.h"
#include "config/config.h"
#include "config/values.h"

static const struct field DOCKER_FIELDS[] = {
	FIELD(struct config_docker, enabled, FIELD_BOOL, .dflt = "true",
	      .doc = "Ask Docker; without it lines carry ids only."),
	FIELD(struct config_docker, host, FIELD_STRING, .example = "unix:///var/run/docker.sock",
	      .doc = "Docker's API, unix:///PATH or tcp://HOST:PORT; podman's socket works too."),
	FIELD(struct config_docker, tls_config, FIELD_OBJECT, .object = &config_tls_schema,
	      .doc = "Certificates; with any, tcp:// is TLS."),
	{0},
};

static void check_docker(const void *object, const struct node *node, struct diag *diag)
{
	const struct config_docker *d = object;
	const char *wrong = d->host ? values__check_docker_host(d->host) : NULL;

	if (wrong)
		diag__error(diag, node__get(node, "host"), "\"%s\": %s", d->host, wrong);
}

static const struct schema DOCKER = {
	.name = "docker",
	.size = sizeof(struct config_docker),
	.fields = DOCKER_FIELDS,
	.check = check_docker,
};

static const struct field ANNOTATIONS_FIELDS[] = {
	FIELD(struct config_annotations, enabled, FIELD_BOOL, .dflt = "true",
	      .flags = FIELD_RELOADED,
	      .doc = "Do what notail.io/exclude, /preset, /multiline and other agents' exclude "
		     "say."),
	FIELD(struct config_annotations, tenants, FIELD_STRINGS, .flags = FIELD_RELOADED,
	      .doc = "Tenants that notail.io/tenant may name, patterns like team-* too; none: it "
		     "is not obeyed."),
	{0},
};

static const struct schema ANNOTATIONS = {
	.name = "annotations",
	.size = sizeof(struct config_annotations),
	.fields = ANNOTATIONS_FIELDS,
};

static const struct field DISCOVERY_FIELDS[] = {
	FIELD(struct config_discovery, docker, FIELD_OBJECT, .object = &DOCKER,
	      .doc = "Where names and labels come from."),
	FIELD(struct config_discovery, kubernetes, FIELD_OBJECT,
	      .object = &config_kubernetes_schema, .doc = "What the cluster says of pods."),
	FIELD(struct config_discovery, bundle, FIELD_BOOL, .dflt = "true",
	      .doc = "Read containers' OCI bundles: names of pods and containers with no "
		     "permission."),
	FIELD(struct config_discovery, bundles, FIELD_STRINGS,
	      .example = "[/run/other/io.containerd.runtime.v2.task/k8s.io]",
	      .doc = "Further directories that have ID/config.json or ID/userdata/config.json."),
	FIELD(struct config_discovery, annotations, FIELD_OBJECT, .object = &ANNOTATIONS,
	      .doc = "What containers ask for by their pod's annotations, or by labels of "
		     "their own."),
	FIELD(struct config_discovery, max_wait, FIELD_DURATION, .dflt = "10s", .min = NS_PER_MS,
	      .max = HOUR_NS,
	      .doc = "How long lines wait for their container's name; then they go with its id."),
	{0},
};

const struct schema config_discovery_schema = {
	.name = "discovery",
	.size = sizeof(struct config_discovery),
	.fields = DISCOVERY_FIELDS,
};
