/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promtail's scrape_configs. notail captures containers, so of each is kept what says which: Docker
 * and Kubernetes discovery, and paths below the directories where engines keep containers' files.
 * Everything else that Promtail can read is accepted and told with its line, for a file that works
 * there must not be refused here.
 */
#include "config/promtail.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "config/sections.h"
#include "config/values.h"
#include "process/relabel.h"
#include "process/selector.h"

#define JOBS_MAX 1000

#define NEEDLESS(s, key) IGNORED(s, key, .flags = FIELD_IGNORED)
#define LATER(s, key) IGNORED(s, key, .flags = FIELD_LATER)
#define UNDONE(key, what)                                      \
	IGNORED(struct config_job, key, .flags = FIELD_UNDONE, \
		.doc = "it captures containers, " what)

/* What Promtail has for each HTTP client. */
#define HTTP_CLIENT(s)                                                                            \
	LATER(s, "basic_auth"), LATER(s, "authorization"), LATER(s, "oauth2"),                    \
		LATER(s, "bearer_token"), LATER(s, "bearer_token_file"), LATER(s, "proxy_url"),   \
		LATER(s, "tls_config"), LATER(s, "no_proxy"), LATER(s, "proxy_from_environment"), \
		LATER(s, "proxy_connect_header"), LATER(s, "http_headers"),                       \
		NEEDLESS(s, "follow_redirects"), NEEDLESS(s, "enable_http2")

static const char *const FILTERS[] = {"id", "name", "label", "network", "ancestor", "status"};

static const struct field FILTER_FIELDS[] = {
	FIELD(struct config_docker_filter, name, FIELD_STRING, .flags = FIELD_REQUIRED),
	FIELD(struct config_docker_filter, values, FIELD_STRINGS, .flags = FIELD_REQUIRED),
	{0},
};

static void check_filter(const void *object, const struct node *node, struct diag *diag)
{
	const struct config_docker_filter *f = object;

	for (size_t i = 0; i < ARRAY_SIZE(FILTERS); i++)
		if (!strcmp(f->name, FILTERS[i]))
			return;
	diag__warn(diag, node__get(node, "name"),
		   "notail does not do this: it filters by id, name, label, network, ancestor and "
		   "status");
}

static const struct schema FILTER = {
	.name = "filter",
	.size = sizeof(struct config_docker_filter),
	.fields = FILTER_FIELDS,
	.check = check_filter,
};

static const struct field DOCKER_SD_FIELDS[] = {
	FIELD(struct config_docker_sd, host, FIELD_STRING, .flags = FIELD_REQUIRED,
	      .doc = "Docker's API; the first is discovery.docker.host, unless that is set."),
	FIELD(struct config_docker_sd, filters, FIELD_OBJECTS, .object = &FILTER,
	      .doc = "Only containers that all of these fit."),
	NEEDLESS(struct config_docker_sd, "refresh_interval"),
	NEEDLESS(struct config_docker_sd, "port"),
	NEEDLESS(struct config_docker_sd, "host_networking_host"),
	NEEDLESS(struct config_docker_sd, "match_first_network"),
	HTTP_CLIENT(struct config_docker_sd),
	{0},
};

/* http:// is tcp:// there. */
static const char *check_docker_host(const char *host)
{
	char tcp[300];

	if (strncmp(host, "http://", 7))
		return values__check_docker_host(host);
	snprintf(tcp, sizeof(tcp), "tcp://%.*s", (int)strcspn(host + 7, "/"), host + 7);
	return values__check_docker_host(tcp);
}

int promtail__docker_host(const char *host, struct arena *arena, const char **ret)
{
	size_t len = strcspn(host + MIN(strlen(host), 7), "/");
	char *tcp;

	if (strncmp(host, "http://", 7)) {
		*ret = host;
		return 0;
	}
	tcp = arena__alloc(arena, 6 + len + 1);
	if (!tcp)
		return -ENOMEM;
	memcpy(tcp, "tcp://", 6);
	memcpy(tcp + 6, host + 7, len);
	tcp[6 + len] = '\0';
	*ret = tcp;
	return 0;
}

static void check_docker_sd(const void *object, const struct node *node, struct diag *diag)
{
	const struct config_docker_sd *d = object;
	const char *wrong = check_docker_host(d->host);

	if (wrong)
		diag__error(diag, node__get(node, "host"), "\"%s\": %s", d->host, wrong);
}

static const struct schema DOCKER_SD = {
	.name = "docker_sd_config",
	.size = sizeof(struct config_docker_sd),
	.fields = DOCKER_SD_FIELDS,
	.node_offset = offsetof(struct config_docker_sd, node),
	.check = check_docker_sd,
};

static const struct field NAMESPACES_FIELDS[] = {
	FIELD(struct config_namespaces, names, FIELD_STRINGS),
	FIELD(struct config_namespaces, own_namespace, FIELD_BOOL, .dflt = "false",
	      .doc = "notail's own, which the environment's POD_NAMESPACE says."),
	{0},
};

static const struct schema NAMESPACES = {
	.name = "namespaces",
	.size = sizeof(struct config_namespaces),
	.fields = NAMESPACES_FIELDS,
};

static const struct field SELECTOR_FIELDS[] = {
	FIELD(struct config_selector, role, FIELD_STRING, .flags = FIELD_REQUIRED,
	      .doc = "pod; the others select no containers."),
	FIELD(struct config_selector, label, FIELD_STRING, .doc = "Of the pod's labels."),
	FIELD(struct config_selector, field, FIELD_STRING,
	      .doc = "Of metadata.name and .namespace, spec.nodeName, status.phase and .podIP."),
	{0},
};

static void check_selector(const void *object, const struct node *node, struct diag *diag)
{
	const struct config_selector *s = object;
	const char *wrong = s->label ? selector__check_labels(s->label) : NULL;
	bool unknown = false;

	if (wrong)
		diag__error(diag, node__get(node, "label"), "\"%s\", %s", s->label, wrong);
	wrong = s->field ? selector__check_fields(s->field, &unknown) : NULL;
	if (wrong)
		diag__error(diag, node__get(node, "field"), "\"%s\", %s", s->field, wrong);
	if (unknown)
		diag__warn(diag, node__get(node, "field"),
			   "notail does not do this: it looks at metadata.name, "
			   "metadata.namespace, spec.nodeName, status.phase and status.podIP");
	if (s->role && strcmp(s->role, "pod"))
		diag__warn(diag, node__get(node, "role"),
			   "notail does not do this: it looks at selectors of role pod");
}

static const struct schema SELECTOR = {
	.name = "selector",
	.size = sizeof(struct config_selector),
	.fields = SELECTOR_FIELDS,
	.node_offset = offsetof(struct config_selector, node),
	.check = check_selector,
};

static const struct field KUBERNETES_SD_FIELDS[] = {
	FIELD(struct config_kubernetes_sd, role, FIELD_STRING, .flags = FIELD_REQUIRED,
	      .doc = "pod; the others find no containers."),
	FIELD(struct config_kubernetes_sd, namespaces, FIELD_OBJECT, .object = &NAMESPACES,
	      .doc = "Only these."),
	NEEDLESS(struct config_kubernetes_sd, "api_server"),
	NEEDLESS(struct config_kubernetes_sd, "kubeconfig_file"),
	NEEDLESS(struct config_kubernetes_sd, "attach_metadata"),
	FIELD(struct config_kubernetes_sd, selectors, FIELD_OBJECTS, .object = &SELECTOR,
	      .doc = "Only pods that all of these fit."),
	HTTP_CLIENT(struct config_kubernetes_sd),
	{0},
};

static void check_kubernetes_sd(const void *object, const struct node *node, struct diag *diag)
{
	static const char *const ROLES[] = {"node",	     "pod",	"service", "endpoints",
					    "endpointslice", "ingress", NULL};
	const struct config_kubernetes_sd *k = object;

	if (k->namespaces.own_namespace && !getenv("POD_NAMESPACE"))
		diag__warn(diag, node__get(node__get(node, "namespaces"), "own_namespace"),
			   "the environment has no POD_NAMESPACE, so none is notail's own");
	if (!strcmp(k->role, "pod"))
		return;
	for (size_t i = 0; ROLES[i]; i++) {
		if (strcmp(k->role, ROLES[i]))
			continue;
		diag__warn(diag, node__get(node, "role"),
			   "notail does not do this: it captures containers, which role pod finds");
		return;
	}
	diag__error(diag, node__get(node, "role"), "\"%s\", expected pod", k->role);
}

static const struct schema KUBERNETES_SD = {
	.name = "kubernetes_sd_config",
	.size = sizeof(struct config_kubernetes_sd),
	.fields = KUBERNETES_SD_FIELDS,
	.check = check_kubernetes_sd,
};

static const struct field STATIC_FIELDS[] = {
	FIELD(struct config_static, targets, FIELD_STRINGS, .doc = "Promtail's rest, localhost."),
	FIELD(struct config_static, labels, FIELD_MAP,
	      .doc = "Labels, and __path__: the files of the containers that are meant."),
	{0},
};

static const struct schema STATIC = {
	.name = "static_config",
	.size = sizeof(struct config_static),
	.fields = STATIC_FIELDS,
	.node_offset = offsetof(struct config_static, node),
};

static const struct field JOB_FIELDS[] = {
	FIELD(struct config_job, job_name, FIELD_STRING, .flags = FIELD_REQUIRED,
	      .doc = "What messages call it."),
	FIELD(struct config_job, docker_sd_configs, FIELD_OBJECTS, .object = &DOCKER_SD,
	      .doc = "Docker's containers."),
	FIELD(struct config_job, kubernetes_sd_configs, FIELD_OBJECTS, .object = &KUBERNETES_SD,
	      .doc = "Pods' containers."),
	FIELD(struct config_job, static_configs, FIELD_OBJECTS, .object = &STATIC,
	      .doc = "Containers by where engines keep their files."),
	FIELD(struct config_job, relabel_configs, FIELD_OBJECTS, .object = &relabel_rule_schema,
	      .doc = "Rules over labels."),
	FIELD(struct config_job, pipeline_stages, FIELD_STAGES, .doc = "What is done with a line."),
	IGNORED(struct config_job, "encoding", .flags = FIELD_UNDONE,
		.doc = "lines are taken as they are"),
	IGNORED(struct config_job, "decompression", .flags = FIELD_UNDONE,
		.doc = "lines are taken as they are"),
	UNDONE("journal", "no journal"),
	UNDONE("syslog", "and is no receiver of syslog"),
	UNDONE("loki_push_api", "and is no receiver of pushes"),
	UNDONE("windows_events", "no events of Windows"),
	UNDONE("kafka", "and is no consumer of Kafka"),
	UNDONE("azure_event_hubs", "and is no consumer of Event Hubs"),
	UNDONE("gelf", "and is no receiver of GELF"),
	UNDONE("cloudflare", "and pulls no logs of Cloudflare"),
	UNDONE("gcplog", "and pulls no logs of GCP"),
	UNDONE("heroku_drain", "and is no drain of Heroku"),
	UNDONE("file_sd_configs", "no other files"),
	UNDONE("consul_sd_configs", "found by Docker or Kubernetes"),
	UNDONE("consulagent_sd_configs", "found by Docker or Kubernetes"),
	UNDONE("dns_sd_configs", "found by Docker or Kubernetes"),
	UNDONE("digitalocean_sd_configs", "found by Docker or Kubernetes"),
	UNDONE("dockerswarm_sd_configs", "found by Docker or Kubernetes"),
	UNDONE("serverset_sd_configs", "found by Docker or Kubernetes"),
	UNDONE("nerve_sd_configs", "found by Docker or Kubernetes"),
	UNDONE("marathon_sd_configs", "found by Docker or Kubernetes"),
	UNDONE("gce_sd_configs", "found by Docker or Kubernetes"),
	UNDONE("ec2_sd_configs", "found by Docker or Kubernetes"),
	UNDONE("openstack_sd_configs", "found by Docker or Kubernetes"),
	UNDONE("azure_sd_configs", "found by Docker or Kubernetes"),
	UNDONE("triton_sd_configs", "found by Docker or Kubernetes"),
	{0},
};

const struct schema promtail_job_schema = {
	.name = "scrape_config",
	.size = sizeof(struct config_job),
	.fields = JOB_FIELDS,
	.node_offset = offsetof(struct config_job, node),
};

bool promtail__names_containers(const char *path)
{
	static const char *const DIRECTORIES[] = {"/var/log/pods/", "/var/log/containers/",
						  "/var/lib/docker/containers/"};

	for (size_t i = 0; i < ARRAY_SIZE(DIRECTORIES); i++)
		if (!strncmp(path, DIRECTORIES[i], strlen(DIRECTORIES[i])))
			return true;
	return false;
}

static const struct string_pair *find_label(const struct string_map *labels, const char *name)
{
	for (size_t i = 0; i < labels->n; i++)
		if (!strcmp(labels->items[i].name, name))
			return &labels->items[i];
	return NULL;
}

/* Discovery makes jobs of kubernetes, whose relabelling makes __path__; a static one has it. */
static void check_static(struct config_static *s, struct diag *diag)
{
	const struct string_pair *path = find_label(&s->labels, "__path__");

	if (!path) {
		diag__warn(diag, s->node,
			   "it has no __path__, so it means no containers; expected a path below "
			   "/var/log/pods, /var/log/containers or /var/lib/docker/containers");
		return;
	}
	s->containers = promtail__names_containers(path->value);
	if (!s->containers)
		diag__warn(diag, path->node,
			   "notail does not do this: it captures containers, whose files are below "
			   "/var/log/pods, /var/log/containers and /var/lib/docker/containers");
}

static bool selects_something(const struct config_job *job)
{
	const struct config_kubernetes_sd *kubernetes = job->kubernetes_sd_configs.items;
	const struct config_static *statics = job->static_configs.items;

	for (size_t i = 0; i < job->kubernetes_sd_configs.n; i++)
		if (kubernetes[i].role && !strcmp(kubernetes[i].role, "pod"))
			return true;
	for (size_t i = 0; i < job->static_configs.n; i++)
		if (statics[i].containers)
			return true;
	return job->docker_sd_configs.n > 0;
}

static void check_job(struct config_job *job, struct diag *diag)
{
	struct config_static *statics = job->static_configs.items;

	for (size_t i = 0; i < job->static_configs.n; i++)
		check_static(&statics[i], diag);
	if (!diag__errors(diag) && !selects_something(job))
		diag__warn(diag, job->node, "it selects no containers, so it captures nothing");
}

void promtail__check_jobs(struct object_list *jobs, struct diag *diag)
{
	struct config_job *items = jobs->items;

	if (jobs->n > JOBS_MAX) {
		diag__error(diag, NULL, "%zu scrape_configs, expected at most %d", jobs->n,
			    JOBS_MAX);
		return;
	}
	for (size_t i = 0; i < jobs->n; i++) {
		if (!items[i].node)
			continue;
		check_job(&items[i], diag);
		for (size_t j = 0; j < i && items[i].job_name; j++) {
			if (!items[j].job_name || strcmp(items[i].job_name, items[j].job_name))
				continue;
			diag__error(diag, node__get(items[i].node, "job_name"),
				    "\"%.60s\" is the name of another, expected names that differ",
				    items[i].job_name);
			break;
		}
	}
}

static const struct node *selects_by_labels(const struct config_job *job)
{
	const struct config_kubernetes_sd *sds = job->kubernetes_sd_configs.items;

	for (size_t i = 0; i < job->kubernetes_sd_configs.n; i++) {
		const struct config_selector *selectors = sds[i].selectors.items;

		for (size_t j = 0; j < sds[i].selectors.n; j++)
			if (selectors[j].role && !strcmp(selectors[j].role, "pod") &&
			    selectors[j].label && *selectors[j].label)
				return node__get(selectors[j].node, "label");
	}
	return NULL;
}

static bool is_of_pod(const char *text)
{
	return text && (strstr(text, "__meta_kubernetes_pod_label") ||
			strstr(text, "__meta_kubernetes_pod_annotation"));
}

static const struct node *rules_read_pods(const struct config_job *job)
{
	const struct relabel_rule *rules = job->relabel_configs.items;

	for (size_t i = 0; i < job->relabel_configs.n; i++) {
		for (size_t j = 0; j < rules[i].source_labels.n; j++)
			if (is_of_pod(rules[i].source_labels.items[j]))
				return node__get(rules[i].node, "source_labels");
		if (rules[i].action == RELABEL_LABELMAP && is_of_pod(rules[i].regex))
			return node__get(rules[i].node, "regex");
	}
	return NULL;
}

const struct node *promtail__reads_pods(const struct object_list *jobs)
{
	const struct config_job *items = jobs->items;
	const struct node *found = NULL;

	for (size_t i = 0; i < jobs->n && !found; i++) {
		found = selects_by_labels(&items[i]);
		if (!found && items[i].kubernetes_sd_configs.n)
			found = rules_read_pods(&items[i]);
	}
	return found;
}
