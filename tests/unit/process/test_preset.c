/* SPDX-License-Identifier: Apache-2.0 */
/* Exactly which labels and metadata a line has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "containers/pod.h"
#include "process/discovered.h"
#include "process/preset.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define PATH "/docker/" ID

static struct meta *meta(const char *id, const char *name, const char *path)
{
	struct meta *m = meta__new();

	m->engine = id ? strdup("docker") : NULL;
	m->id = id ? strdup(id) : NULL;
	m->name = name ? strdup(name) : NULL;
	m->cgroup_path = path ? strdup(path) : NULL;
	return m;
}

static void label(struct meta *m, const char *name, const char *value)
{
	assert_int_equal(meta__add_label(m, name, value), 0);
}

static const char *pairs(const struct label *labels, size_t n)
{
	static char text[1024];
	size_t used = 0;

	*text = '\0';
	for (size_t i = 0; i < n; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s=%s ", labels[i].name,
					 labels[i].value);
	return text;
}

static const struct label_pair EXTERNAL[] = {{"cluster", "eu"}, {"stream", "never"}};

/* What a preset makes with two external labels, and no rules. */
static struct label_set *build(const struct preset_opts *opts, const struct meta *m,
			       unsigned *ret_missing)
{
	struct arena arena = {0};
	struct label_list l = {.arena = &arena};
	const struct discovered_opts discovered = {.host = opts->host};
	struct label_set *s = NULL;
	size_t n_own;

	assert_int_equal(discovered__add(&l, m, LINE_STDERR, &discovered), 0);
	assert_int_equal(preset__add(&l, opts, m, LINE_STDERR), 0);
	label_list__sort(&l);
	assert_int_equal(preset__build(&l, opts, m, LINE_STDERR, ret_missing, &n_own, &s), 0);
	assert_int_equal(label_set__seal(s), 0);
	arena__free(&arena);
	return s;
}

/* Takes the metadata over. */
static void expect_preset(enum config_preset preset, struct meta *m, const char *labels)
{
	const struct preset_opts opts = {.preset = preset,
					 .host = "node1",
					 .external_labels = EXTERNAL,
					 .n_external_labels = 2};
	unsigned missing = 7;
	_label_set_ struct label_set *s = build(&opts, m, &missing);

	meta__unref(m);
	assert_string_equal(s->text, labels);
	assert_int_equal(missing, 0);
}

/* Takes the metadata over. The metadata of the set as name=value pairs in their order. */
static void expect(struct meta *m, enum line_stream stream, const char *labels,
		   const char *metadata, const char *display)
{
	_label_set_ struct label_set *s = NULL;

	assert_int_equal(preset__docker(m, stream, "node1", &s), 0);
	meta__unref(m);
	assert_string_equal(s->text, labels);
	assert_string_equal(pairs(s->metadata, s->n_metadata), metadata);
	assert_string_equal(s->display, display);
}

static void compose_service(void **state _unused_)
{
	struct meta *m = meta(ID, "shop_web_2", PATH);

	m->image = strdup("nginx:1.25");
	label(m, "com.docker.compose.project", "shop");
	label(m, "com.docker.compose.service", "web");
	label(m, "com.docker.compose.container-number", "2");
	label(m, "maintainer", "nobody");
	expect(m, LINE_STDERR,
	       "{compose_project=\"shop\", compose_service=\"web\", container=\"shop_web_2\", "
	       "host=\"node1\", job=\"docker\", service_name=\"web\", stream=\"stderr\"}",
	       "container_id=" ID " image=nginx:1.25 engine=docker ", "web-2");
}

static void plain_container(void **state _unused_)
{
	expect(meta(ID, "web", PATH), LINE_STDOUT,
	       "{container=\"web\", host=\"node1\", job=\"docker\", service_name=\"web\", "
	       "stream=\"stdout\"}",
	       "container_id=" ID " engine=docker ", "web");
}

static void terminal(void **state _unused_)
{
	expect(meta(ID, "web", PATH), LINE_TTY,
	       "{container=\"web\", host=\"node1\", job=\"docker\", service_name=\"web\", "
	       "stream=\"stdout\"}",
	       "container_id=" ID " engine=docker tty=true ", "web");
}

static void nobody_named_it(void **state _unused_)
{
	struct meta *m = meta(ID, NULL, PATH);

	m->pod_uid = strdup("e38a4778-d966-4016-84bc-e0b7dd5090fa");
	expect(m, LINE_STDOUT,
	       "{container=\"0123456789ab\", host=\"node1\", job=\"docker\", "
	       "service_name=\"0123456789ab\", stream=\"stdout\"}",
	       "container_id=" ID " engine=docker pod_uid=e38a4778-d966-4016-84bc-e0b7dd5090fa "
	       "cgroup_path=" PATH " ",
	       "0123456789ab");
}

static void no_container_at_all(void **state _unused_)
{
	expect(meta(NULL, NULL, "/system.slice/cron.service"), LINE_STDOUT,
	       "{container=\"cron.service\", host=\"node1\", job=\"docker\", "
	       "service_name=\"cron.service\", stream=\"stdout\"}",
	       "cgroup_path=/system.slice/cron.service ", "cron.service");
	expect(meta(NULL, NULL, "/"), LINE_STDOUT,
	       "{container=\"unknown\", host=\"node1\", job=\"docker\", "
	       "service_name=\"unknown\", stream=\"stdout\"}",
	       "cgroup_path=/ ", "unknown");
	expect(meta(NULL, NULL, NULL), LINE_STDOUT,
	       "{container=\"unknown\", host=\"node1\", job=\"docker\", "
	       "service_name=\"unknown\", stream=\"stdout\"}",
	       "", "unknown");
	expect(meta(NULL, "sh", NULL), LINE_STDOUT,
	       "{container=\"sh\", host=\"node1\", job=\"docker\", service_name=\"sh\", "
	       "stream=\"stdout\"}",
	       "", "sh");
}

static void compose_of_podman(void **state _unused_)
{
	struct meta *m = meta(ID, "shop_web_2", PATH);

	label(m, "io.podman.compose.project", "shop");
	label(m, "io.podman.compose.service", "web");
	label(m, "com.docker.compose.service", "");
	label(m, "com.docker.compose.container-number", "2");
	expect(m, LINE_STDOUT,
	       "{compose_project=\"shop\", compose_service=\"web\", container=\"shop_web_2\", "
	       "host=\"node1\", job=\"docker\", service_name=\"web\", stream=\"stdout\"}",
	       "container_id=" ID " engine=docker ", "web-2");
	m = meta(ID, "shop_web_2", PATH);
	label(m, "io.podman.compose.service", "web");
	label(m, "com.docker.compose.service", "api");
	expect(m, LINE_STDOUT,
	       "{compose_service=\"api\", container=\"shop_web_2\", host=\"node1\", "
	       "job=\"docker\", service_name=\"api\", stream=\"stdout\"}",
	       "container_id=" ID " engine=docker ", "shop_web_2");
}

static void compose_without_a_number(void **state _unused_)
{
	struct meta *m = meta(ID, "one_off", PATH);

	label(m, "com.docker.compose.service", "web");
	expect(m, LINE_STDOUT,
	       "{compose_service=\"web\", container=\"one_off\", host=\"node1\", job=\"docker\", "
	       "service_name=\"web\", stream=\"stdout\"}",
	       "container_id=" ID " engine=docker ", "one_off");
}

static void empty_compose_labels(void **state _unused_)
{
	struct meta *m = meta(ID, "web", PATH);

	label(m, "com.docker.compose.project", "");
	label(m, "com.docker.compose.service", "");
	label(m, "com.docker.compose.container-number", "1");
	expect(m, LINE_STDOUT,
	       "{container=\"web\", host=\"node1\", job=\"docker\", service_name=\"web\", "
	       "stream=\"stdout\"}",
	       "container_id=" ID " engine=docker ", "web");
}

static void no_host(void **state _unused_)
{
	_meta_ struct meta *m = meta(ID, "web", PATH);
	_label_set_ struct label_set *s = NULL;

	assert_int_equal(preset__docker(m, LINE_STDOUT, NULL, &s), 0);
	assert_null(label_set__get(s, "host"));
	assert_int_equal(s->n_labels, 4);
	assert_int_equal(s->refs, 1);
}

static struct meta *compose(void)
{
	struct meta *m = meta(ID, "shop_web_2", PATH);

	label(m, "com.docker.compose.project", "shop");
	label(m, "com.docker.compose.service", "web");
	label(m, "com.docker.compose.container-number", "2");
	return m;
}

static struct meta *pod(void)
{
	struct meta *m = meta(ID, "k8s_c_p_n_1", PATH);

	label(m, "io.kubernetes.pod.namespace", "prod");
	label(m, "io.kubernetes.pod.name", "web-7d9f");
	label(m, "io.kubernetes.container.name", "nginx");
	label(m, "app.kubernetes.io/name", "web");
	label(m, "app.kubernetes.io/instance", "web-1");
	label(m, "component", "front");
	return m;
}

static struct meta *swarm(void)
{
	struct meta *m = meta(ID, "shop_web.1.x", PATH);

	label(m, "com.docker.stack.namespace", "shop");
	label(m, "com.docker.swarm.service.name", "shop_web");
	return m;
}

static void presets_of_compose(void **state _unused_)
{
	expect_preset(PRESET_DOCKER, compose(),
		      "{cluster=\"eu\", compose_project=\"shop\", compose_service=\"web\", "
		      "container=\"shop_web_2\", host=\"node1\", job=\"docker\", "
		      "service_name=\"web\", stream=\"stderr\"}");
	expect_preset(PRESET_ALLOY, compose(),
		      "{cluster=\"eu\", compose_project=\"shop\", compose_service=\"web\", "
		      "container=\"shop_web_2\", job=\"integrations/docker\", "
		      "service_name=\"shop_web_2\", stream=\"stderr\"}");
	expect_preset(PRESET_PROMTAIL, compose(),
		      "{cluster=\"eu\", container=\"shop_web_2\", job=\"docker\", "
		      "service_name=\"shop_web_2\", stream=\"stderr\"}");
	expect_preset(PRESET_KUBERNETES, compose(),
		      "{cluster=\"eu\", container=\"shop_web_2\", node_name=\"node1\", "
		      "service_name=\"shop_web_2\", stream=\"stderr\"}");
	expect_preset(PRESET_NONE, compose(), "{cluster=\"eu\", stream=\"never\"}");
}

static void presets_of_a_pod(void **state _unused_)
{
	expect_preset(PRESET_KUBERNETES, pod(),
		      "{app=\"web\", cluster=\"eu\", container=\"nginx\", job=\"prod/nginx\", "
		      "namespace=\"prod\", node_name=\"node1\", pod=\"web-7d9f\", "
		      "service_name=\"web\", stream=\"stderr\"}");
	expect_preset(PRESET_PROMTAIL, pod(),
		      "{app=\"web\", cluster=\"eu\", component=\"front\", container=\"nginx\", "
		      "instance=\"web-1\", job=\"prod/web\", namespace=\"prod\", "
		      "node_name=\"node1\", pod=\"web-7d9f\", service_name=\"web\", "
		      "stream=\"stderr\"}");
}

/* A container of which an OCI bundle tells, and its pod. */
static struct meta *with_pod(const char *name, const char *kind, const char *controller)
{
	struct meta *m = meta__new();

	m->engine = strdup("containerd");
	m->id = strdup(ID);
	m->pod_uid = strdup("e38a4778-d966-4016-84bc-e0b7dd5090fa");
	label(m, "io.kubernetes.pod.namespace", "prod");
	label(m, "io.kubernetes.pod.name", name);
	label(m, "io.kubernetes.container.name", "nginx");
	m->pod = pod__new();
	m->pod->uid = strdup(m->pod_uid);
	m->pod->namespace = strdup("prod");
	m->pod->name = strdup(name);
	m->pod->controller_kind = kind ? strdup(kind) : NULL;
	m->pod->controller_name = controller ? strdup(controller) : NULL;
	m->pod->node_name = strdup("worker-1");
	return m;
}

static struct meta *bundle_alone(const char *name)
{
	struct meta *m = with_pod(name, NULL, NULL);

	pod__unref(m->pod);
	m->pod = NULL;
	return m;
}

static const char *made(enum config_preset preset, const struct meta *m, const char *name)
{
	const struct preset_opts opts = {.preset = preset, .host = "host1", .node = "node1"};
	static char value[128];
	unsigned missing;
	_label_set_ struct label_set *s = build(&opts, m, &missing);
	const char *text = label_set__get(s, name);

	snprintf(value, sizeof(value), "%s", text ? text : "-");
	return value;
}

static void pod_label(struct meta *m, const char *name, const char *value)
{
	assert_int_equal(pod__add_label(m->pod, name, value), 0);
}

/* The later ones come before the earlier ones. */
static void names_of_an_app(void **state _unused_)
{
	static const char *const rows[][4] = {
		/* label, app and service_name of kubernetes, app of promtail */
		{"other", "web", "nginx", "web"},
		{"name", "v-name", "nginx", "web"},
		{"k8s-app", "v-k8s-app", "nginx", "web"},
		{"app", "v-app", "nginx", "v-app"},
		{"app.kubernetes.io/name", "v-app.kubernetes.io/name", "v-app.kubernetes.io/name",
		 "v-app.kubernetes.io/name"},
	};
	_meta_ struct meta *m = with_pod("web-0", "StatefulSet", "web");
	char value[64];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		snprintf(value, sizeof(value), "v-%s", rows[i][0]);
		pod_label(m, rows[i][0], value);
		assert_string_equal(made(PRESET_KUBERNETES, m, "app"), rows[i][1]);
		assert_string_equal(made(PRESET_KUBERNETES, m, "service_name"), rows[i][2]);
		assert_string_equal(made(PRESET_KUBERNETES, m, "job"), "prod/nginx");
		assert_string_equal(made(PRESET_PROMTAIL, m, "app"), rows[i][3]);
		assert_string_equal(made(PRESET_PROMTAIL, m, "service_name"), rows[i][3]);
	}
	assert_string_equal(made(PRESET_PROMTAIL, m, "job"), "prod/v-app.kubernetes.io/name");
	pod__add_annotation(m->pod, "resource.opentelemetry.io/service.name", "checkout");
	pod__add_annotation(m->pod, "k8s.grafana.com/logs.job", "shop/logs");
	assert_string_equal(made(PRESET_KUBERNETES, m, "service_name"), "checkout");
	assert_string_equal(made(PRESET_KUBERNETES, m, "job"), "shop/logs");
	assert_string_equal(made(PRESET_KUBERNETES, m, "app"), "v-app.kubernetes.io/name");
}

static void a_pod_of_the_cluster(void **state _unused_)
{
	struct meta *m = with_pod("web-0", "StatefulSet", "web");

	pod_label(m, "component", "front");
	pod_label(m, "app.kubernetes.io/instance", "web-1");
	expect_preset(PRESET_AUTO, meta__ref(m),
		      "{app=\"web\", cluster=\"eu\", container=\"nginx\", job=\"prod/nginx\", "
		      "namespace=\"prod\", node_name=\"worker-1\", pod=\"web-0\", "
		      "service_name=\"nginx\", stream=\"stderr\"}");
	expect_preset(PRESET_PROMTAIL, m,
		      "{app=\"web\", cluster=\"eu\", component=\"front\", container=\"nginx\", "
		      "instance=\"web-1\", job=\"prod/web\", namespace=\"prod\", "
		      "node_name=\"worker-1\", pod=\"web-0\", service_name=\"web\", "
		      "stream=\"stderr\"}");
}

/* What the bundle does not say the pod does. */
static void a_pod_without_a_bundle(void **state _unused_)
{
	_meta_ struct meta *m = meta(ID, NULL, PATH);
	struct pod_container *c;

	m->pod = pod__new();
	m->pod->namespace = strdup("prod");
	m->pod->name = strdup("web-0");
	c = pod__add_container(m->pod, "sidecar");
	c->id = strdup("ffff");
	c = pod__add_container(m->pod, "nginx");
	c->id = strdup(ID);
	assert_string_equal(made(PRESET_AUTO, m, "job"), "prod/nginx");
	assert_string_equal(made(PRESET_AUTO, m, "container"), "nginx");
	assert_string_equal(made(PRESET_AUTO, m, "pod"), "web-0");
	assert_string_equal(made(PRESET_AUTO, m, "node_name"), "node1");
	assert_string_equal(preset__namespace(m), "prod");
}

static void a_bundle_without_a_pod(void **state _unused_)
{
	_meta_ struct meta *m = bundle_alone("db-0");

	assert_string_equal(made(PRESET_AUTO, m, "app"), "db");
	assert_string_equal(made(PRESET_AUTO, m, "job"), "prod/nginx");
	assert_string_equal(made(PRESET_AUTO, m, "service_name"), "nginx");
	assert_string_equal(made(PRESET_AUTO, m, "node_name"), "node1");
	assert_string_equal(made(PRESET_PROMTAIL, m, "node_name"), "node1");
	assert_string_equal(preset__namespace(m), "prod");
}

/* Each run has the same app, and so has each rollout. */
static void what_made_the_pod(void **state _unused_)
{
	static const struct {
		const char *pod, *kind, *controller, *app, *of_promtail;
	} rows[] = {
		{"web-6d45d4ccfb-9w4l7", "ReplicaSet", "web-6d45d4ccfb", "web", "web"},
		{"backup-29384720-x7k2p", "Job", "backup-29384720", "backup", "backup"},
		{"backup-29384721-bbbbb", "Job", "backup-29384721", "backup", "backup"},
		{"migrate-gzctx", "Job", "migrate", "migrate", "migrate"},
		{"db-0", "StatefulSet", "db", "db", "db"},
		{"agent-v2zwb", "DaemonSet", "agent", "agent", "agent"},
		{"etcd-node-1", "Node", "node-1", "etcd", "node-1"},
		{"etcd-other", "Node", "node-1", "etcd-other", "node-1"},
		{"db-deadbeef", "Rollout", "db-deadbeef", "db-deadbeef", "db"},
		{"shell-0", NULL, NULL, "shell-0", "shell-0"},
	};
	static const char *const names[][2] = {
		{"web-6d45d4ccfb-9w4l7", "web"},
		{"backup-29384720-x7k2p", "backup"},
		{"migrate-gzctx", "migrate"},
		{"db-0", "db"},
		{"db-12", "db"},
		{"agent-v2zwb", "agent"},
		{"crash", "crash"},
		{"my-batch", "my-batch"},
		{"etcd-node1", "etcd"},
		{"node1", "node1"},
		{"port-9100", "port-9100"},
		{"-0", "-0"},
		{"a-", "a-"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_meta_ struct meta *m = with_pod(rows[i].pod, rows[i].kind, rows[i].controller);

		if (!strcmp(rows[i].pod, "web-6d45d4ccfb-9w4l7"))
			pod_label(m, "pod-template-hash", "6d45d4ccfb");
		assert_string_equal(made(PRESET_KUBERNETES, m, "app"), rows[i].app);
		assert_string_equal(made(PRESET_STRICT, m, "app"), rows[i].app);
		assert_string_equal(made(PRESET_PROMTAIL, m, "app"), rows[i].of_promtail);
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_meta_ struct meta *m = bundle_alone(names[i][0]);

		assert_string_equal(made(PRESET_KUBERNETES, m, "app"), names[i][1]);
		assert_string_equal(made(PRESET_PROMTAIL, m, "app"), names[i][1]);
		m->pod = pod__new();
		m->pod->from_bundle = true;
		assert_string_equal(made(PRESET_KUBERNETES, m, "app"), names[i][1]);
	}
}

/* The kubelet has static pods without a controller. */
static void a_static_pod_of_the_kubelet(void **state _unused_)
{
	_meta_ struct meta *m = with_pod("etcd-worker-1", NULL, NULL);

	assert_string_equal(made(PRESET_KUBERNETES, m, "app"), "etcd-worker-1");
	m->pod->config_hash = strdup("54733a71afbb6bb9006bb96ca9bbfed1");
	assert_string_equal(made(PRESET_KUBERNETES, m, "app"), "etcd");
}

static void a_pods_name_as_metadata(void **state _unused_)
{
	struct preset_opts opts = {.preset = PRESET_AUTO, .pod = POD_NAME_METADATA};
	_meta_ struct meta *m = with_pod("web-0", "StatefulSet", "web");
	unsigned missing;
	_label_set_ struct label_set *s = build(&opts, m, &missing);

	assert_string_equal(s->text, "{app=\"web\", container=\"nginx\", job=\"prod/nginx\", "
				     "namespace=\"prod\", node_name=\"worker-1\", "
				     "service_name=\"nginx\", stream=\"stderr\"}");
	assert_string_equal(pairs(s->metadata, s->n_metadata),
			    "pod=web-0 container_id=" ID " engine=containerd "
			    "pod_uid=e38a4778-d966-4016-84bc-e0b7dd5090fa ");
	/* Nor is it what an app is called. */
	free(m->pod->controller_name);
	m->pod->controller_name = NULL;
	label_set__unref(s);
	s = build(&opts, m, &missing);
	assert_string_equal(label_set__get(s, "app"), "nginx");
}

static void by_container(void **state _unused_)
{
	expect_preset(PRESET_AUTO, pod(),
		      "{app=\"web\", cluster=\"eu\", container=\"nginx\", job=\"prod/nginx\", "
		      "namespace=\"prod\", node_name=\"node1\", pod=\"web-7d9f\", "
		      "service_name=\"web\", stream=\"stderr\"}");
	expect_preset(PRESET_AUTO, meta(ID, "web", PATH),
		      "{cluster=\"eu\", container=\"web\", host=\"node1\", job=\"docker\", "
		      "service_name=\"web\", stream=\"stderr\"}");
}

static void swarm_service(void **state _unused_)
{
	expect_preset(
		PRESET_DOCKER, swarm(),
		"{cluster=\"eu\", container=\"shop_web.1.x\", host=\"node1\", job=\"docker\", "
		"service_name=\"shop_web\", stream=\"stderr\", swarm_service=\"shop_web\", "
		"swarm_stack=\"shop\"}");
}

/* Takes the metadata over. */
static void expect_strict(const struct preset_opts *opts, struct meta *m, const char *labels,
			  const char *metadata, unsigned expected_missing)
{
	unsigned missing = 7;
	_label_set_ struct label_set *s = build(opts, m, &missing);

	meta__unref(m);
	assert_string_equal(s->text, labels);
	assert_string_equal(pairs(s->metadata, s->n_metadata), metadata);
	assert_int_equal(missing, expected_missing);
}

static void strict(void **state _unused_)
{
	static const struct label_pair app[] = {{"app", "store"}, {"env", "prod"}};
	struct preset_opts opts = {.preset = PRESET_STRICT,
				   .host = "node1",
				   .external_labels = EXTERNAL,
				   .n_external_labels = 2,
				   .env = "staging"};

	expect_strict(&opts, compose(),
		      "{app=\"shop\", env=\"staging\", service=\"web\", stream=\"stderr\"}",
		      "compose_project=shop compose_service=web container=shop_web_2 host=node1 "
		      "cluster=eu container_id=" ID " engine=docker ",
		      0);
	expect_strict(&opts, pod(),
		      "{app=\"web\", env=\"staging\", service=\"nginx\", stream=\"stderr\"}",
		      "container=k8s_c_p_n_1 host=node1 namespace=prod pod=web-7d9f cluster=eu "
		      "container_id=" ID " engine=docker ",
		      0);
	expect_strict(&opts, swarm(),
		      "{app=\"shop\", env=\"staging\", service=\"shop_web\", stream=\"stderr\"}",
		      "container=shop_web.1.x host=node1 swarm_service=shop_web swarm_stack=shop "
		      "cluster=eu container_id=" ID " engine=docker ",
		      0);
	opts.env = NULL;
	opts.host = NULL;
	expect_strict(&opts, meta(ID, "web", PATH), "{service=\"web\", stream=\"stderr\"}",
		      "container=web cluster=eu container_id=" ID " engine=docker ",
		      PRESET_NO_APP | PRESET_NO_ENV);
	opts.external_labels = app;
	expect_strict(&opts, meta(ID, "web", PATH),
		      "{app=\"store\", env=\"prod\", service=\"web\", stream=\"stderr\"}",
		      "container=web container_id=" ID " engine=docker ", 0);
}

static void rules_have_the_last_word(void **state _unused_)
{
	static const struct label_pair cluster[] = {{"cluster", "eu"}};
	const struct preset_opts docker = {
		.preset = PRESET_DOCKER, .external_labels = cluster, .n_external_labels = 1};
	const struct preset_opts strictly = {.preset = PRESET_STRICT};
	_meta_ struct meta *m = compose();
	struct arena arena = {0};
	unsigned missing;
	size_t n_own;

	for (int i = 0; i < 2; i++) {
		const struct preset_opts *opts = i ? &strictly : &docker;
		struct label_list l = {.arena = &arena};
		_label_set_ struct label_set *s = NULL;

		assert_int_equal(preset__add(&l, opts, m, LINE_STDOUT), 0);
		label_list__sort(&l);
		label_list__delete(&l, "compose_project");
		assert_int_equal(label_list__set(&l, "team", "a"), 0);
		assert_int_equal(label_list__set(&l, "__tmp", "b"), 0);
		assert_int_equal(label_list__set(&l, "container", "c"), 0);
		assert_int_equal(preset__build(&l, opts, m, LINE_STDOUT, &missing, &n_own, &s), 0);
		/* The order of importance: what the rules made comes last. */
		if (i)
			assert_string_equal(pairs(s->metadata, 3),
					    "compose_service=web team=a container=c ");
		else
			assert_string_equal(pairs(s->labels, s->n_labels),
					    "compose_service=web job=docker service_name=web "
					    "stream=stdout cluster=eu team=a container=c ");
		assert_int_equal(n_own, i ? 3 : 5);
	}
	arena__free(&arena);
}

static void labels_of_strict(void **state _unused_)
{
	assert_true(preset__allows(PRESET_STRICT, "env"));
	assert_false(preset__allows(PRESET_STRICT, "container"));
	assert_true(preset__allows(PRESET_DOCKER, "anything"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compose_service),
		cmocka_unit_test(compose_of_podman),
		cmocka_unit_test(plain_container),
		cmocka_unit_test(terminal),
		cmocka_unit_test(nobody_named_it),
		cmocka_unit_test(no_container_at_all),
		cmocka_unit_test(compose_without_a_number),
		cmocka_unit_test(empty_compose_labels),
		cmocka_unit_test(no_host),
		cmocka_unit_test(presets_of_compose),
		cmocka_unit_test(presets_of_a_pod),
		cmocka_unit_test(names_of_an_app),
		cmocka_unit_test(a_pod_of_the_cluster),
		cmocka_unit_test(a_pod_without_a_bundle),
		cmocka_unit_test(a_bundle_without_a_pod),
		cmocka_unit_test(what_made_the_pod),
		cmocka_unit_test(a_static_pod_of_the_kubelet),
		cmocka_unit_test(a_pods_name_as_metadata),
		cmocka_unit_test(by_container),
		cmocka_unit_test(swarm_service),
		cmocka_unit_test(strict),
		cmocka_unit_test(rules_have_the_last_word),
		cmocka_unit_test(labels_of_strict),
	};

	return cmocka_run_group_tests_name("preset", tests, NULL, NULL);
}
