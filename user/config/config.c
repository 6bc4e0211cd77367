/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of notail.yaml, of sections (section_*.c; those that are a few values are here), and
 * what they cannot say: checks between sections. scrape_configs are in promtail.c.
 *
 * FIELD_LATER marks what has no effect yet; a section that gets one loses its mark, and the default
 * file (made from these tables) shows it from then on.
 */
#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "config/print.h"
#include "config/promtail.h"
#include "config/sections.h"
#include "config/values.h"
#include "kube/source.h"
#include "security/filter.h"
#include "process/relabel.h"

#define FILE_MAX_BYTES (16u << 20)
#define CLIENTS_MAX 16

struct loaded {
	struct config config;
	struct arena arena;
	struct document *document;
	unsigned refs; /* besides the first */
};

static const char *const LEVELS[] = {[LOG_ERROR] = "error",
				     [LOG_WARN] = "warn",
				     [LOG_INFO] = "info",
				     [LOG_DEBUG] = "debug",
				     NULL};
static const char *const FORMATS[] = {
	[LOG_TEXT] = "text", [LOG_LOGFMT] = "logfmt", [LOG_JSON] = "json", NULL};
const char *const config_presets[] = {[PRESET_AUTO] = "auto",
				      [PRESET_DOCKER] = "docker",
				      [PRESET_KUBERNETES] = "kubernetes",
				      [PRESET_ALLOY] = "alloy",
				      [PRESET_PROMTAIL] = "promtail",
				      [PRESET_STRICT] = "strict",
				      [PRESET_NONE] = "none",
				      NULL};
static const char *const POD_NAMES[] = {
	[POD_NAME_LABEL] = "label", [POD_NAME_METADATA] = "metadata", NULL};

static const struct field LIMITS_FIELDS[] = {
	FIELD(struct config_limits, memory, FIELD_SIZE, .dflt = "64MiB", .min = 8 << 20,
	      .max = 4ll << 30,
	      .doc = "Memory of batches that are not delivered; past it they wait in the ring."),
	FIELD(struct config_limits, label_values, FIELD_INT, .dflt = "100", .min = 1,
	      .max = 1000000,
	      .doc = "A label that stages or rules make and that has more values than this in "
		     "guard_window becomes structured metadata."),
	FIELD(struct config_limits, identity_values, FIELD_INT, .dflt = "2000", .min = 1,
	      .max = 1000000, .doc = "The same for container, pod and namespace, which only warn."),
	FIELD(struct config_limits, guard_window, FIELD_DURATION, .dflt = "1h", .min = NS_PER_SEC,
	      .max = 24 * HOUR_NS, .doc = "The time in which values are counted."),
	FIELD(struct config_limits, guard_reset, FIELD_DURATION, .dflt = "24h", .min = NS_PER_SEC,
	      .max = 365 * 24 * HOUR_NS,
	      .doc = "When such a label is one again; a reload does it too."),
	FIELD(struct config_limits, label_names, FIELD_INT, .dflt = "15", .min = 1, .max = 100,
	      .doc = "Labels of a stream; the others become metadata."),
	FIELD(struct config_limits, label_name_length, FIELD_SIZE, .dflt = "1024", .min = 1,
	      .max = 65536, .doc = "Longer names are cut."),
	FIELD(struct config_limits, label_value_length, FIELD_SIZE, .dflt = "2048", .min = 1,
	      .max = 65536, .doc = "Longer values are cut."),
	FIELD(struct config_limits, streams, FIELD_INT, .dflt = "10000", .min = 1, .max = 10000000,
	      .doc = "Streams of a client."),
	{0},
};

static const struct schema LIMITS = {
	.name = "limits",
	.size = sizeof(struct config_limits),
	.fields = LIMITS_FIELDS,
};

static const struct field CANARY_FIELDS[] = {
	FIELD(struct config_canary, interval, FIELD_DURATION, .dflt = "0s", .max = HOUR_NS,
	      .doc = "How often a line of notail's own is pushed, {job=\"notail_canary\", host}, "
		     "whose age when Loki has it is a metric; 0: never."),
	{0},
};

static const struct schema CANARY = {
	.name = "canary",
	.size = sizeof(struct config_canary),
	.fields = CANARY_FIELDS,
};

static const char *const FILTER_MODES[] = {
	[FILTER_OFF] = "off", [FILTER_ON] = "on", [FILTER_KILL] = "kill", NULL};

static const struct field SECURITY_FIELDS[] = {
	FIELD(struct config_security, seccomp, FIELD_ENUM, .names = FILTER_MODES, .dflt = "on",
	      .doc = "A filter of the system calls that a run does not need: on refuses them, and "
		     "the kernel logs it; kill ends notail."),
	{0},
};

static const struct schema SECURITY = {
	.name = "security",
	.size = sizeof(struct config_security),
	.fields = SECURITY_FIELDS,
};

static const struct field LOG_FIELDS[] = {
	FIELD(struct config_log, level, FIELD_ENUM, .names = LEVELS, .dflt = "info",
	      .doc = "notail's own messages, on stderr."),
	FIELD(struct config_log, format, FIELD_ENUM, .names = FORMATS, .dflt = "text",
	      .doc = "How they look."),
	{0},
};

static const struct schema LOG = {
	.name = "log",
	.size = sizeof(struct config_log),
	.fields = LOG_FIELDS,
};

static const struct field CONFIG_FIELDS[] = {
	FIELD(struct config, clients, FIELD_OBJECTS, .object = &config_client_schema,
	      .doc = "Where lines go: Lokis."),
	FIELD(struct config, client, FIELD_OBJECT, .object = &config_client_schema,
	      .flags = FIELD_HIDDEN, .doc = "One more of clients."),
	FIELD(struct config, external_labels, FIELD_MAP, .doc = "Labels of every line."),
	FIELD(struct config, host, FIELD_STRING,
	      .doc = "Value of the label host, where it is not the host's name."),
	FIELD(struct config, capture, FIELD_OBJECT, .object = &config_capture_schema,
	      .doc = "What is captured, and how."),
	FIELD(struct config, discovery, FIELD_OBJECT, .object = &config_discovery_schema,
	      .doc = "What containers are called."),
	FIELD(struct config, preset, FIELD_ENUM, .names = config_presets, .dflt = "auto",
	      .doc = "Labels to begin with; auto is kubernetes for pods and docker for others, and "
		     "none beside scrape_configs."),
	FIELD(struct config, preset_pod, FIELD_ENUM, .names = POD_NAMES, .dflt = "label",
	      .doc = "What a pod's name is: a label, or metadata, where pods come and go too fast "
		     "for one."),
	FIELD(struct config, relabel_configs, FIELD_OBJECTS, .object = &relabel_rule_schema,
	      .doc = "Rules over labels, as Prometheus has them."),
	FIELD(struct config, pipeline_stages, FIELD_STAGES,
	      .doc = "What is done with each line, as Promtail has it."),
	FIELD(struct config, scrape_configs, FIELD_OBJECTS, .object = &promtail_job_schema),
	FIELD(struct config, limits, FIELD_OBJECT, .object = &LIMITS, .doc = "Bounds."),
	FIELD(struct config, spool, FIELD_OBJECT, .object = &config_spool_schema,
	      .doc = "Files for what Loki has not taken."),
	FIELD(struct config, shutdown_timeout, FIELD_DURATION, .dflt = "10s", .min = NS_PER_MS,
	      .max = 300 * NS_PER_SEC,
	      .doc = "At the end what there is is delivered for so long; the rest goes to the "
		     "spool."),
	FIELD(struct config, server, FIELD_OBJECT, .object = &config_server_schema,
	      .doc = "Status and metrics."),
	FIELD(struct config, canary, FIELD_OBJECT, .object = &CANARY,
	      .doc = "A line that shows that all is well."),
	FIELD(struct config, events, FIELD_OBJECT, .object = &config_events_schema,
	      .doc = "What `notail events' sends of a cluster."),
	FIELD(struct config, security, FIELD_OBJECT, .object = &SECURITY,
	      .doc = "What notail denies itself."),
	FIELD(struct config, log, FIELD_OBJECT, .object = &LOG, .doc = "Messages."),
	IGNORED(struct config, "positions", .flags = FIELD_IGNORED,
		.doc = "there are no files whose ends would have to be known"),
	IGNORED(struct config, "target_config", .flags = FIELD_IGNORED,
		.doc = "there are no files to look for"),
	IGNORED(struct config, "global", .flags = FIELD_IGNORED,
		.doc = "there are no files to look at"),
	IGNORED(struct config, "limits_config", .flags = FIELD_UNDONE,
		.doc = "capture.rate_limit, capture.max_line_size and limits are notail's"),
	IGNORED(struct config, "limit_config", .flags = FIELD_UNDONE,
		.doc = "capture.rate_limit, capture.max_line_size and limits are notail's"),
	IGNORED(struct config, "options", .flags = FIELD_IGNORED),
	IGNORED(struct config, "tracing", .flags = FIELD_IGNORED, .doc = "notail traces nothing"),
	IGNORED(struct config, "wal", .flags = FIELD_IGNORED, .doc = "see spool"),
	{0},
};

const struct schema config_schema = {
	.name = "notail",
	.size = sizeof(struct config),
	.fields = CONFIG_FIELDS,
};

/*
 * Loading
 */

static const struct node *given(const struct node *root, const char *key)
{
	const struct node *n = node__get(root, key);

	return n && n->kind != NODE_NULL ? n : NULL;
}

static int add_client(struct loaded *l)
{
	struct config *c = &l->config;
	struct config_client *all;

	if (!c->client.url)
		return 0;
	all = arena__alloc(&l->arena, (c->clients.n + 1) * sizeof(*all));
	if (!all)
		return -ENOMEM;
	if (c->clients.n)
		memcpy(all, c->clients.items, c->clients.n * sizeof(*all));
	all[c->clients.n] = c->client;
	c->clients = (struct object_list){.items = all, .n = c->clients.n + 1};
	return 0;
}

/* Without scrape_configs there is one job, for all containers. */
static int make_jobs(struct loaded *l, const struct node *root, struct diag *diag)
{
	static const char *const OWN[] = {"relabel_configs", "pipeline_stages"};
	struct config *c = &l->config;
	struct config_job *job;

	if (given(root, "scrape_configs")) {
		c->promtail = true;
		c->jobs = c->scrape_configs;
		if (c->preset == PRESET_AUTO)
			c->preset = PRESET_NONE;
		for (size_t i = 0; i < ARRAY_SIZE(OWN); i++)
			if (given(root, OWN[i]))
				diag__error(diag, given(root, OWN[i]),
					    "stands beside scrape_configs, expected it in each of "
					    "those");
		promtail__check_jobs(&c->jobs, diag);
		if (c->discovery.kubernetes.source == KUBE_SOURCE_NONE &&
		    promtail__reads_pods(&c->jobs))
			diag__warn(diag, promtail__reads_pods(&c->jobs),
				   "labels and annotations of pods are not known with "
				   "discovery.kubernetes.source none, expected kubelet or api");
		return 0;
	}
	job = arena__zalloc(&l->arena, sizeof(*job));
	if (!job)
		return -ENOMEM;
	job->relabel_configs = c->relabel_configs;
	job->pipeline_stages = c->pipeline_stages;
	c->jobs = (struct object_list){.items = job, .n = 1};
	return 0;
}

/* There is one Docker to ask: that of discovery, or the first that a job names. */
static int take_docker_host(struct config *c, const struct config_docker_sd *docker,
			    struct arena *arena, struct diag *diag)
{
	const char **host = &c->discovery.docker.host, *named;
	int err = promtail__docker_host(docker->host, arena, &named);

	if (err)
		return err;
	if (!*host)
		*host = named;
	else if (strcmp(*host, named))
		diag__warn(diag, docker->node,
			   "notail does not do this: it asks one Docker, and that is %s", *host);
	return 0;
}

static int take_docker_hosts(struct loaded *l, struct diag *diag)
{
	const struct config_job *jobs = l->config.scrape_configs.items;
	int err = 0;

	for (size_t i = 0; i < l->config.scrape_configs.n; i++) {
		const struct config_docker_sd *docker = jobs[i].docker_sd_configs.items;

		for (size_t j = 0; !err && j < jobs[i].docker_sd_configs.n; j++)
			err = take_docker_host(&l->config, &docker[j], &l->arena, diag);
	}
	return err;
}

/* Where it listens in Promtail's words; loopback, where they name no address. */
static int take_listen(struct loaded *l, const struct node *server, struct diag *diag)
{
	struct config_server *s = &l->config.server;
	const struct node *address = given(server, "http_listen_address");
	const struct node *port = given(server, "http_listen_port");
	char *text;
	size_t size;

	s->listen_given = given(server, "listen") || s->disable;
	if (s->disable)
		s->listen = SERVER_OFF;
	if (s->listen_given || (!address && !port))
		return 0;
	s->listen_given = true;
	size = (address ? strlen(s->http_listen_address) : 0) + sizeof("127.0.0.1:65535");
	text = arena__alloc(&l->arena, size);
	if (!text)
		return -ENOMEM;
	snprintf(text, size, "%s:%lld",
		 address && *s->http_listen_address ? s->http_listen_address : "127.0.0.1",
		 (long long)(port ? s->http_listen_port : SERVER_DEFAULT_PORT));
	s->listen = text;
	section__check_address(address ? address : port, text, diag);
	return 0;
}

/* They tell the clients apart, in metrics too; those without one have a number. */
static void check_client_names(const struct config *c, struct diag *diag)
{
	const struct config_client *clients = c->clients.items;

	for (size_t i = 0; i < c->clients.n; i++) {
		const char *name = clients[i].name;
		const struct node *at = node__get(clients[i].node, "name");

		if (name && strspn(name, "0123456789") == strlen(name))
			diag__error(diag, at, "expected a name that is no number");
		for (size_t j = 0; name && j < i; j++)
			if (clients[j].name && !strcmp(name, clients[j].name))
				diag__error(diag, at,
					    "`%s` is another client's, expected a name "
					    "of its own",
					    name);
	}
}

static int finish(struct loaded *l, const struct node *root, struct diag *diag)
{
	struct config *c = &l->config;
	int err = add_client(l);

	if (!err)
		err = take_listen(l, given(root, "server"), diag);
	if (!err)
		err = take_docker_hosts(l, diag);
	if (err)
		return err;
	check_client_names(c, diag);
	if (c->clients.n > CLIENTS_MAX)
		diag__error(diag, ((struct config_client *)c->clients.items)[CLIENTS_MAX].node,
			    "%zu clients, expected at most %d", c->clients.n, CLIENTS_MAX);
	if (c->server.log_level && !given(given(root, "log"), "level"))
		c->log.level = c->server.log_level - 1;
	if (c->server.log_format && !given(given(root, "log"), "format"))
		c->log.format = c->server.log_format - 1;
	if (c->host && !values__is_name(c->host))
		diag__error(diag, given(root, "host"),
			    "expected a name without control characters");
	return make_jobs(l, root, diag);
}

int config__parse(struct config **ret, const char *text, size_t len, node_env_fn env, void *env_ctx,
		  config_check_fn check, struct diag *diag)
{
	struct loaded *l = calloc(1, sizeof(*l));
	size_t errors = diag__errors(diag);
	const struct node *root;
	int err;

	if (!l)
		return -ENOMEM;
	err = document__parse(&l->document, text, len, env, env_ctx, diag);
	if (err)
		goto out;
	root = document__root(l->document);
	err = schema__decode(&config_schema, root, &l->config, &l->arena, diag);
	if (!err || err == -EINVAL)
		err = finish(l, root, diag);
	if (!err && check)
		err = check(&l->config, diag);
	if (!err && diag__errors(diag) != errors)
		err = -EINVAL;
out:
	if (err)
		config__free(&l->config);
	else
		*ret = &l->config;
	return err;
}

static const char *environment(void *ctx, const char *name)
{
	(void)ctx;
	return getenv(name);
}

static int read_file(const char *path, struct buf *text)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	do {
		int err = buf__reserve(text, 64 * 1024);

		if (err)
			return err;
		n = read(fd, text->data + text->len, text->size - text->len);
		if (n < 0 && errno != EINTR)
			return -errno;
		text->len += n > 0 ? (size_t)n : 0;
	} while (n && text->len <= FILE_MAX_BYTES);
	return 0;
}

int config__load(struct config **ret, const char *path, config_check_fn check, struct diag *diag)
{
	_buf_ struct buf text = {0};
	int err = read_file(path, &text);

	if (err == -ENOMEM)
		return err;
	if (err) {
		diag__error(diag, NULL, "%s, expected a file that can be read", strerror(-err));
		return -EINVAL;
	}
	return config__parse(ret, text.data, text.len, environment, NULL, check, diag);
}

struct config *config__ref(struct config *c)
{
	if (c)
		__atomic_fetch_add(&((struct loaded *)c)->refs, 1, __ATOMIC_RELAXED);
	return c;
}

void config__free(struct config *c)
{
	struct loaded *l = (struct loaded *)c;

	if (!l || __atomic_fetch_sub(&l->refs, 1, __ATOMIC_ACQ_REL))
		return;
	document__free(l->document);
	arena__free(&l->arena);
	free(l);
}

int config__print(const struct config *c, FILE *out)
{
	return print__values(&config_schema, c, out);
}
