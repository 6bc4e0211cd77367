/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container that no engine named is called by the first digits of its id, as docker ps shows
 * them; what is no container and has no name either by its cgroup. What lacks a name or an id has
 * its cgroup's path in the metadata, so that somebody can find out.
 *
 * service_name is what Loki itself would call the stream (discover_service_name) but for compose
 * services, so that the same container has the same name with and without notail's help.
 *
 * A pod's labels are those that dashboards query which were made for Grafana's charts: preset
 * kubernetes follows k8s-monitoring (job, service_name) and has promtail's app besides, promtail
 * the chart of that name. A controller's name is without what its pods' generations add, so that
 * each run of a CronJob has the same app. Of a pod of which nothing but names is known, its name
 * gives the controller's.
 */
#include "process/preset.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "containers/pod.h"
#include "containers/workload.h"
#include "process/discovered.h"

#define SHORT_ID_LEN 12
#define MAX_DISPLAY 256
/* podman-compose sets both, but not all of them in every version. */
#define DOCKER_COMPOSE "com.docker.compose."
#define PODMAN_COMPOSE "io.podman.compose."

/* What to call it. Borrows from m or `buf`. */
static const char *container_name(const struct meta *m, char *buf, size_t size)
{
	const char *base;

	if (m->name)
		return m->name;
	if (m->id) {
		snprintf(buf, size, "%.*s", SHORT_ID_LEN, m->id);
		return buf;
	}
	base = m->cgroup_path ? strrchr(m->cgroup_path, '/') : NULL;
	base = base ? base + 1 : m->cgroup_path;
	return base && *base ? base : "unknown";
}

/* The first of the engine's labels that has a value. */
static const char *first_label(const struct meta *m, const char *a, const char *b)
{
	const char *value = meta__label(m, a);

	if (value && *value)
		return value;
	value = b ? meta__label(m, b) : NULL;
	return value && *value ? value : NULL;
}

/* The first of the pod's labels that has a value, or of the engine's. */
static const char *pod_label(const struct meta *m, const char *const *names)
{
	for (; *names; names++) {
		const char *value = m->pod ? pod__label(m->pod, *names) : NULL;

		if (!value || !*value)
			value = first_label(m, *names, NULL);
		if (value)
			return value;
	}
	return NULL;
}

static const char *annotation(const struct meta *m, const char *name)
{
	const char *value = m->pod ? pod__annotation(m->pod, name) : NULL;

	return value && *value ? value : NULL;
}

const char *preset__namespace(const struct meta *m)
{
	const char *namespace = first_label(m, META_POD_NAMESPACE_LABEL, NULL);

	return namespace || !m->pod ? namespace : m->pod->namespace;
}

const char *preset__pod(const struct meta *m)
{
	const char *name = first_label(m, META_POD_NAME_LABEL, NULL);

	return name || !m->pod ? name : m->pod->name;
}

static const char *kube_container(const struct meta *m)
{
	const char *name = first_label(m, META_POD_CONTAINER_LABEL, NULL);

	for (size_t i = 0; !name && m->id && m->pod && i < m->pod->n_containers; i++)
		if (m->pod->containers[i].id && !strcmp(m->pod->containers[i].id, m->id))
			name = m->pod->containers[i].name;
	return name;
}

static int add_display(struct label_set *s, const struct meta *m, const char *container)
{
	const char *service = first_label(m, DOCKER_COMPOSE "service", PODMAN_COMPOSE "service");
	const char *number = first_label(m, DOCKER_COMPOSE "container-number", NULL);
	char display[MAX_DISPLAY];

	if (!service || !number)
		return label_set__display(s, container);
	snprintf(display, sizeof(display), "%s-%s", service, number);
	return label_set__display(s, display);
}

static const char *const STRICT_LABELS[] = {"app", "env", "service", "stream", NULL};

/* What labels are made of; NULL: not known. */
struct facts {
	const char *container; /* never NULL */
	const char *stream;
	const char *project, *service; /* compose's */
	const char *stack, *swarm;     /* swarm's stack and service */
	const char *namespace, *pod;
	const char *kube_container;
	const char *app, *app_name, *component, *instance; /* labels */
	const char *any_app;			/* app, or what else its labels may call it */
	char owner[WORKLOAD_NAME_LEN + 1];	/* what made the pod; "": not known */
	char controller[WORKLOAD_NAME_LEN + 1]; /* the same, as promtail's chart has it */
	const char *service_name, *job;		/* annotations */
	const char *node, *host;
	char short_id[SHORT_ID_LEN + 1];
};

#define LABELS(...) ((const char *const[]){__VA_ARGS__, NULL})

/*
 * Of nobody but the name: what is before what its controller adds for each pod, characters that
 * make no word, or a number.
 */
static size_t made_name(const char *pod)
{
	const char *dash = strrchr(pod, '-');
	size_t len = dash ? strlen(dash + 1) : 0;

	if (!dash || dash == pod)
		return 0;
	if ((len == 5 && strspn(dash + 1, "bcdfghjklmnpqrstvwxz2456789") == len) ||
	    (len >= 1 && len <= 3 && strspn(dash + 1, "0123456789") == len))
		return (size_t)(dash - pod);
	return 0;
}

/* A static pod's controller is its node, whose name is behind its own. */
static size_t static_name(const char *pod, const char *node)
{
	size_t len = strlen(pod), behind = node ? strlen(node) + 1 : len;

	return len > behind && pod[len - behind] == '-' && !strcmp(pod + len - behind + 1, node)
		       ? len - behind
		       : 0;
}

static const char *first_name(const char *a, const char *b, const char *c)
{
	if (*a)
		return a;
	return *b ? b : c;
}

static void take(char to[WORKLOAD_NAME_LEN + 1], const char *name, size_t len)
{
	snprintf(to, WORKLOAD_NAME_LEN + 1, "%.*s", (int)MIN(len, WORKLOAD_NAME_LEN), name);
}

/* Up to the hash at its end: ([0-9a-z-.]+?)(-[0-9a-f]{8,10})? */
static size_t without_hash(const char *name)
{
	const char *dash = strrchr(name, '-');
	size_t len = dash ? strlen(dash + 1) : 0;

	if (!dash || dash == name || len < 8 || len > 10 ||
	    strspn(dash + 1, "0123456789abcdef") != len)
		return strlen(name);
	return (size_t)(dash - name);
}

static void facts__read_owner(struct facts *f, const struct meta *m)
{
	struct workload w;
	const char *name;
	size_t len = 0;

	workload__of(m->pod, f->pod, &w);
	take(f->controller, w.controller_name, without_hash(w.controller_name));
	name = first_name(w.cronjob, w.deployment, w.controller_name);
	if (!f->pod || (*name && strcmp(w.controller_kind, "Node"))) {
		take(f->owner, name, strlen(name));
		return;
	}
	if (*name)
		len = static_name(f->pod, name);
	else if (m->pod && m->pod->config_hash && f->node) /* the kubelet tells of no controller */
		len = static_name(f->pod, f->node);
	else if (!m->pod || m->pod->from_bundle)
		len = static_name(f->pod, f->node) ?: made_name(f->pod);
	take(f->owner, f->pod, len);
	if (!*f->controller)
		take(f->controller, f->pod, len);
}

static void facts__read_pod(struct facts *f, const struct preset_opts *opts, const struct meta *m)
{
	f->namespace = preset__namespace(m);
	f->pod = preset__pod(m);
	f->kube_container = kube_container(m);
	f->app_name = pod_label(m, LABELS("app.kubernetes.io/name"));
	f->app = pod_label(m, LABELS("app.kubernetes.io/name", "app"));
	f->any_app = pod_label(m, LABELS("app.kubernetes.io/name", "app", "k8s-app", "name"));
	f->component = pod_label(m, LABELS("app.kubernetes.io/component", "component"));
	f->instance = pod_label(m, LABELS("app.kubernetes.io/instance", "instance"));
	f->service_name = annotation(m, "resource.opentelemetry.io/service.name");
	f->job = annotation(m, "k8s.grafana.com/logs.job");
	f->node = m->pod ? m->pod->node_name : NULL;
	if (!f->node)
		f->node = opts->node ? opts->node : opts->host;
	facts__read_owner(f, m);
}

static void facts__read(struct facts *f, const struct preset_opts *opts, const struct meta *m,
			enum line_stream stream)
{
	*f = (struct facts){
		.stream = discovered__stream(stream),
		.project = first_label(m, DOCKER_COMPOSE "project", PODMAN_COMPOSE "project"),
		.service = first_label(m, DOCKER_COMPOSE "service", PODMAN_COMPOSE "service"),
		.stack = first_label(m, "com.docker.stack.namespace", NULL),
		.swarm = first_label(m, "com.docker.swarm.service.name", NULL),
		.host = opts->host,
	};
	facts__read_pod(f, opts, m);
	f->container = container_name(m, f->short_id, sizeof(f->short_id));
}

/* The first that is known. */
static const char *first(const char *a, const char *b, const char *c)
{
	if (a)
		return a;
	return b ? b : c;
}

/* Values may be NULL: nothing is added. */
static int add_all(struct label_list *l, const struct label_pair *pairs, size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		if (pairs[i].value && *pairs[i].value)
			err = label_list__set_copy(l, pairs[i].name, pairs[i].value);
	}
	return err;
}

static int add_docker(struct label_list *l, const struct facts *f)
{
	const struct label_pair pairs[] = {
		{"container", f->container},
		{"stream", f->stream},
		{"compose_project", f->project},
		{"compose_service", f->service},
		{"swarm_stack", f->stack},
		{"swarm_service", f->swarm},
		{"service_name", first(f->service, f->swarm, f->container)},
		{"job", "docker"},
		{"host", f->host},
	};

	return add_all(l, pairs, ARRAY_SIZE(pairs));
}

/* `a/b`. */
static int add_job(struct label_list *l, const char *a, const char *b)
{
	size_t size = strlen(a) + strlen(b) + 2;
	char *job = arena__alloc(l->arena, size);

	if (!job)
		return -ENOMEM;
	snprintf(job, size, "%s/%s", a, b);
	return label_list__set(l, "job", job);
}

static int add_kubernetes(struct label_list *l, const struct preset_opts *opts,
			  const struct facts *f)
{
	const char *container = f->kube_container ? f->kube_container : f->container;
	/* A name that is no label is none for an app. */
	const char *nobody = opts->pod == POD_NAME_LABEL ? f->pod : container;
	const struct label_pair pairs[] = {
		{"namespace", f->namespace},
		{"pod", f->pod},
		{"container", container},
		{"app", first(f->any_app, *f->owner ? f->owner : NULL, f->pod ? nobody : NULL)},
		{"service_name", first(f->service_name, f->app_name, container)},
		{"node_name", f->node},
		{"stream", f->stream},
		{"job", f->job},
	};
	int err = add_all(l, pairs, ARRAY_SIZE(pairs));

	return err || !f->namespace || f->job ? err : add_job(l, f->namespace, container);
}

static int add_alloy(struct label_list *l, const struct facts *f)
{
	const struct label_pair pairs[] = {
		{"container", f->container},	 {"compose_service", f->service},
		{"compose_project", f->project}, {"stream", f->stream},
		{"job", "integrations/docker"},	 {"service_name", f->container},
	};

	return add_all(l, pairs, ARRAY_SIZE(pairs));
}

static int add_promtail(struct label_list *l, const struct facts *f)
{
	const char *app = first(f->app, *f->controller ? f->controller : NULL, f->pod);
	const struct label_pair pod[] = {
		{"namespace", f->namespace},
		{"pod", f->pod},
		{"container", f->kube_container ? f->kube_container : f->container},
		{"app", app},
		{"component", f->component},
		{"instance", f->instance},
		{"node_name", f->node},
		{"service_name", app},
		{"stream", f->stream},
	};
	const struct label_pair other[] = {
		{"container", f->container},
		{"stream", f->stream},
		{"job", "docker"},
		{"service_name", f->container},
	};
	int err;

	if (!f->pod)
		return add_all(l, other, ARRAY_SIZE(other));
	err = add_all(l, pod, ARRAY_SIZE(pod));
	return err || !f->namespace ? err : add_job(l, f->namespace, app);
}

static const char *external(const struct preset_opts *opts, const char *name)
{
	for (size_t i = 0; i < opts->n_external_labels; i++) {
		if (strcmp(opts->external_labels[i].name, name) == 0)
			return opts->external_labels[i].value;
	}
	return NULL;
}

/* The others are to be metadata: rules may read and change them all the same. */
static int add_strict(struct label_list *l, const struct preset_opts *opts, const struct facts *f)
{
	const char *app = external(opts, "app"), *env = external(opts, "env");
	const char *container = f->kube_container ? f->kube_container : f->container;
	const struct label_pair pairs[] = {
		{"app", first(app, f->project,
			      first(f->stack, f->any_app, *f->owner ? f->owner : f->pod))},
		{"env", env ? env : opts->env},
		{"service", first(f->service, f->swarm, container)},
		{"stream", f->stream},
		{"container", f->container},
		{"compose_project", f->project},
		{"compose_service", f->service},
		{"swarm_stack", f->stack},
		{"swarm_service", f->swarm},
		{"namespace", f->namespace},
		{"pod", f->pod},
		{"host", f->host},
	};

	return add_all(l, pairs, ARRAY_SIZE(pairs));
}

int preset__add(struct label_list *l, const struct preset_opts *opts, const struct meta *m,
		enum line_stream stream)
{
	struct facts f;

	facts__read(&f, opts, m, stream);
	switch (opts->preset) {
	case PRESET_DOCKER:
		return add_docker(l, &f);
	case PRESET_KUBERNETES:
		return add_kubernetes(l, opts, &f);
	case PRESET_ALLOY:
		return add_alloy(l, &f);
	case PRESET_PROMTAIL:
		return add_promtail(l, &f);
	case PRESET_STRICT:
		return add_strict(l, opts, &f);
	case PRESET_AUTO:
		return f.pod ? add_kubernetes(l, opts, &f) : add_docker(l, &f);
	case PRESET_NONE:
		break;
	}
	return 0;
}

bool preset__allows(enum config_preset preset, const char *name)
{
	if (preset != PRESET_STRICT)
		return true;
	for (const char *const *p = STRICT_LABELS; *p; p++) {
		if (strcmp(*p, name) == 0)
			return true;
	}
	return false;
}

static int add_one(struct label_set *s, const struct preset_opts *opts, const char *name,
		   const char *value)
{
	bool label = preset__allows(opts->preset, name) &&
		     !(opts->pod == POD_NAME_METADATA && !strcmp(name, "pod"));

	return label ? label_set__add(s, name, value) : label_set__add_metadata(s, name, value);
}

/* Those that no rule changed since the preset made them, or those that one did. */
static int add_listed(struct label_set *s, const struct label_list *l,
		      const struct preset_opts *opts, bool changed)
{
	size_t from = changed ? l->n_discovered : 0, to = changed ? l->n : l->n_discovered;
	int err = 0;

	for (size_t i = from; i < to && !err; i++) {
		if (strncmp(l->items[i].name, "__", 2) != 0)
			err = add_one(s, opts, l->items[i].name, l->items[i].value);
	}
	return err;
}

/* What rules made comes last: when there are too many labels, the first ones are kept. */
static int add_labels(struct label_set *s, const struct label_list *l,
		      const struct preset_opts *opts, size_t *ret_n_own)
{
	int err = add_listed(s, l, opts, false);

	for (size_t i = 0; i < opts->n_external_labels && !err; i++) {
		const struct label_pair *p = &opts->external_labels[i];

		if (!*label_list__get(l, p->name) && !label_set__get(s, p->name))
			err = add_one(s, opts, p->name, p->value);
	}
	*ret_n_own = s->n_labels;
	return err ? err : add_listed(s, l, opts, true);
}

static int add_metadata(struct label_set *s, const struct meta *m, enum line_stream stream)
{
	const struct label_pair metadata[] = {
		{"container_id", m->id},
		{"image", m->image},
		{"engine", m->engine},
		{"pod_uid", m->pod_uid},
		{"outer_container_id", m->outer_id},
		{"tty", stream == LINE_TTY ? "true" : NULL},
		{"cgroup_path", m->name && m->id ? NULL : m->cgroup_path},
	};
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(metadata) && !err; i++) {
		if (metadata[i].value)
			err = label_set__add_metadata(s, metadata[i].name, metadata[i].value);
	}
	return err;
}

int preset__build(const struct label_list *l, const struct preset_opts *opts, const struct meta *m,
		  enum line_stream stream, unsigned *ret_missing, size_t *ret_n_own,
		  struct label_set **ret)
{
	_label_set_ struct label_set *s = label_set__new();
	char short_id[SHORT_ID_LEN + 1];
	unsigned missing = 0;
	size_t n_own;
	int err;

	if (!s)
		return -ENOMEM;
	err = add_labels(s, l, opts, &n_own);
	if (!err)
		err = add_metadata(s, m, stream);
	if (!err)
		err = add_display(s, m, container_name(m, short_id, sizeof(short_id)));
	if (err)
		return err;
	if (opts->preset == PRESET_STRICT && !label_set__get(s, "app"))
		missing |= PRESET_NO_APP;
	if (opts->preset == PRESET_STRICT && !label_set__get(s, "env"))
		missing |= PRESET_NO_ENV;
	*ret_missing = missing;
	*ret_n_own = n_own;
	*ret = TAKE_PTR(s);
	return 0;
}

int preset__docker(const struct meta *m, enum line_stream stream, const char *host,
		   struct label_set **ret)
{
	const struct preset_opts opts = {.preset = PRESET_DOCKER, .host = host};
	_label_set_ struct label_set *s = NULL;
	struct arena arena = {0};
	struct label_list l = {.arena = &arena};
	unsigned missing;
	size_t n_own;
	int err;

	err = preset__add(&l, &opts, m, stream);
	if (!err)
		err = preset__build(&l, &opts, m, stream, &missing, &n_own, &s);
	if (!err)
		err = label_set__seal(s);
	arena__free(&arena);
	if (err)
		return err;
	*ret = TAKE_PTR(s);
	return 0;
}
