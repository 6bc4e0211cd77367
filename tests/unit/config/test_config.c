/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole files: those in broken/ with the messages that stand beside them (NAME.txt), those in
 * accepted/ likewise, with the warnings. Warnings of what has no effect yet are not compared: they
 * go away one by one. To see what a file gives:
 *   (cd tests/unit/config/broken && HOST=db-1 ... notail check-config NAME.yaml)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "config/check.h"
#include "config/options.h"
#include "config/print.h"
#include "config/promtail.h"
#include "kube/source.h"
#include "parse.h"
#include "process/relabel.h"

#define DIRECTORY "tests/unit/config/"

static struct diag *diag;
static struct config *config;

static void clear(void)
{
	config__free(config);
	diag__free(diag);
	config = NULL;
	diag = NULL;
}

static int tear_down(void **state)
{
	(void)state;
	clear();
	return 0;
}

static char *read_file(const char *path, size_t *ret_len)
{
	_fclose_ FILE *f = fopen(path, "re");
	struct buf b = {0};
	size_t n;

	if (!f)
		print_message("%s: %s\n", path, strerror(errno));
	assert_non_null(f);
	do {
		assert_int_equal(buf__reserve(&b, 65536), 0);
		n = fread(b.data + b.len, 1, b.size - b.len - 1, f);
		b.len += n;
	} while (n);
	b.data[b.len] = '\0';
	if (ret_len)
		*ret_len = b.len;
	return b.data;
}

static int parse_as(const char *name, const char *yaml, size_t len)
{
	clear();
	assert_int_equal(diag__new(&diag, name), 0);
	return config__parse(&config, yaml, len, test_env, NULL, check__all, diag);
}

static void accept(const char *yaml)
{
	char text[4096];

	if (parse_as("f", yaml, strlen(yaml))) {
		messages(diag, text, sizeof(text));
		fail_msg("%s", text);
	}
}

static void without_lines_of(char *text, const char *phrase)
{
	char *out = text;

	for (char *line = text, *end; *line; line = end) {
		end = strchrnul(line, '\n');
		end += *end == '\n';
		if (!memmem(line, (size_t)(end - line), phrase, strlen(phrase))) {
			memmove(out, line, (size_t)(end - line));
			out += end - line;
		}
	}
	*out = '\0';
}

/* Whether the file gives what is expected; says so if not. */
static bool check_golden(const char *directory, const char *name, int expected_err)
{
	char path[300], text[16384];
	_free_ char *yaml = NULL, *expected = NULL;
	size_t len;
	int err;

	snprintf(path, sizeof(path), DIRECTORY "%s/%s", directory, name);
	yaml = read_file(path, &len);
	strcpy(strrchr(path, '.'), ".txt");
	expected = read_file(path, NULL);
	err = parse_as(name, yaml, len);
	messages(diag, text, sizeof(text));
	without_lines_of(text, "no effect yet in this version");
	if (err == expected_err && !strcmp(text, expected))
		return true;
	print_message("%s/%s: %d, and said\n%sinstead of\n%s", directory, name, err, text,
		      expected);
	return false;
}

static size_t check_directory(const char *directory, int expected_err)
{
	char path[300];
	struct dirent **entries;
	size_t n_files = 0, wrong = 0;
	int n;

	snprintf(path, sizeof(path), DIRECTORY "%s", directory);
	n = scandir(path, &entries, NULL, alphasort);
	assert_true(n > 0);
	for (int i = 0; i < n; i++) {
		const char *suffix = strrchr(entries[i]->d_name, '.');

		if (suffix && !strcmp(suffix, ".yaml")) {
			n_files++;
			wrong += !check_golden(directory, entries[i]->d_name, expected_err);
		}
		free(entries[i]);
	}
	free(entries);
	assert_int_equal(wrong, 0);
	return n_files;
}

static void broken_files(void **state)
{
	(void)state;
	assert_true(check_directory("broken", -EINVAL) >= 40);
}

static void accepted_files(void **state)
{
	(void)state;
	assert_true(check_directory("accepted", 0) >= 4);
}

static void load(const char *name)
{
	char path[300];
	_free_ char *yaml = NULL;
	size_t len;

	snprintf(path, sizeof(path), DIRECTORY "accepted/%s", name);
	yaml = read_file(path, &len);
	assert_int_equal(parse_as(name, yaml, len), 0);
}

static void sections(void **state)
{
	const struct config_client *client;
	const struct config_job *job;
	const struct relabel_rule *rules;

	(void)state;
	load("notail.yaml");
	client = config->clients.items;
	assert_string_equal(client->url, "http://loki:3100");
	assert_string_equal(client->tenant_id, "42");
	assert_int_equal(client->batchwait, 500 * NS_PER_MS);
	assert_int_equal(client->batchsize, 512 * 1024);
	assert_int_equal(client->backoff_config.max_period, 180 * NS_PER_SEC);
	assert_string_equal(config->host, "db-1");
	assert_int_equal(config->capture.containers.n, 2);
	assert_int_equal(config->capture.hooks, HOOKS_SYSCALL);
	assert_int_equal(config->capture.attribution, ATTRIBUTION_LINE);
	assert_int_equal(config->capture.tap, TAP_READ);
	assert_int_equal(config->discovery.max_wait, 90 * NS_PER_SEC);
	assert_int_equal(config->discovery.kubernetes.source, KUBE_SOURCE_KUBELET);
	assert_string_equal(config->discovery.kubernetes.node_name, "node-1");
	assert_string_equal(config->discovery.kubernetes.api_server, "https://api.example:6443");
	assert_string_equal(config->discovery.kubernetes.kubelet_url, "https://10.0.0.7:10250");
	assert_true(config->discovery.kubernetes.kubelet_tls_config.insecure_skip_verify);
	assert_int_equal(config->discovery.kubernetes.poll_interval, 30 * NS_PER_SEC);
	assert_string_equal(config->discovery.kubernetes.namespaces.include.items[0], "team-*");
	assert_string_equal(config->discovery.kubernetes.namespaces.exclude.items[0],
			    "kube-system");
	assert_true(config->discovery.annotations.enabled);
	assert_int_equal(config->discovery.annotations.tenants.n, 2);
	assert_int_equal(config->preset_pod, POD_NAME_METADATA);
	assert_int_equal(config->log.level, LOG_DEBUG);
	assert_false(config->promtail);
	assert_int_equal(config->jobs.n, 1);
	job = config->jobs.items;
	assert_null(job->job_name);
	assert_int_equal(job->relabel_configs.n, 2);
	rules = job->relabel_configs.items;
	assert_int_equal(rules[1].action, RELABEL_DROP);
}

static void promtail_jobs(void **state)
{
	const struct config_job *jobs;
	const struct config_docker_sd *docker;
	const struct config_static *statics;
	const struct config_client *client;
	const struct relabel_rule *rules;

	(void)state;
	load("promtail-docker.yaml");
	assert_true(config->promtail);
	assert_int_equal(config->preset, PRESET_NONE);
	assert_string_equal(config->discovery.docker.host, "unix:///var/run/docker.sock");
	jobs = config->jobs.items;
	assert_int_equal(config->jobs.n, 1);
	assert_string_equal(jobs->job_name, "docker");
	docker = jobs->docker_sd_configs.items;
	assert_int_equal(docker->filters.n, 1);
	rules = jobs->relabel_configs.items;
	assert_int_equal(jobs->relabel_configs.n, 5);
	assert_string_equal(rules[4].replacement, "${name}-${2}");
	assert_int_equal(jobs->pipeline_stages->n_items, 2);

	load("promtail-mixed.yaml");
	jobs = config->jobs.items;
	assert_int_equal(config->jobs.n, 7);
	statics = jobs[0].static_configs.items;
	assert_true(statics->containers);
	statics = jobs[2].static_configs.items;
	assert_false(statics->containers);
	assert_int_equal(config->log.level, LOG_WARN);
	assert_int_equal(config->clients.n, 1);
	client = config->clients.items;
	assert_int_equal(client->batchsize, 102400);
}

static void docker_hosts(void **state)
{
	(void)state;
	accept("scrape_configs:\n- job_name: a\n  docker_sd_configs: [{host: 'http://h:2375/'}]\n");
	assert_string_equal(config->discovery.docker.host, "tcp://h:2375");
	accept("discovery: {docker: {host: 'tcp://a:1'}}\n"
	       "scrape_configs:\n- job_name: a\n  docker_sd_configs: [{host: 'tcp://b:2'}]\n");
	assert_string_equal(config->discovery.docker.host, "tcp://a:1");
	assert_true(diag__warnings(diag) >= 1);
}

static char *effective(void)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_int_equal(config__print(config, f), 0);
	fclose(f);
	return text;
}

/* What is printed says the same when it is read. */
static void effective_again(void **state)
{
	static const char *const NAMES[] = {"notail.yaml", "promtail-docker.yaml", "empty.yaml"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(NAMES); i++) {
		_free_ char *first = NULL, *second = NULL;

		load(NAMES[i]);
		first = effective();
		accept(first);
		second = effective();
		assert_string_equal(first, second);
	}
}

struct jobs {
	struct object_list scrape_configs;
};

static char *print_jobs(void)
{
	static const struct field FIELDS[] = {
		FIELD(struct jobs, scrape_configs, FIELD_OBJECTS, .object = &promtail_job_schema),
		{0},
	};
	static const struct schema S = {
		.name = "jobs", .size = sizeof(struct jobs), .fields = FIELDS};
	const struct jobs jobs = {config->scrape_configs};
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_int_equal(print__values(&S, &jobs, f), 0);
	fclose(f);
	return text;
}

static void jobs_again(void **state)
{
	static const char *const NAMES[] = {"promtail-docker.yaml", "promtail-helm.yaml",
					    "promtail-stages.yaml"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(NAMES); i++) {
		_free_ char *first = NULL, *second = NULL;

		load(NAMES[i]);
		first = print_jobs();
		accept(first);
		second = print_jobs();
		assert_string_equal(first, second);
		assert_non_null(strstr(first, "scrape_configs:\n  - job_name: "));
		assert_non_null(strstr(first, "\n    pipeline_stages:\n      - "));
	}
}

static void odd_texts_again(void **state)
{
	_free_ char *text = NULL;

	(void)state;
	accept("host: \"a: b # $${HOST} $1 $${ \\\"x\\\" \\u263a\"\n"
	       "capture: {containers: ['yes', 'null', '5', '-', '*', 'a b', ' ']}\n");
	assert_string_equal(config->host, "a: b # ${HOST} $1 ${ \"x\" \u263a");
	text = effective();
	accept(text);
	assert_string_equal(config->host, "a: b # ${HOST} $1 ${ \"x\" \u263a");
	assert_string_equal(config->capture.containers.items[0], "yes");
	assert_string_equal(config->capture.containers.items[6], " ");
}

static void secrets_are_masked(void **state)
{
	_free_ char *text = NULL;

	(void)state;
	accept("clients:\n  - url: https://user:hunter2@loki/x\n    bearer_token: hunter3\n"
	       "    headers: {X-Key: hunter4}\n");
	text = effective();
	assert_null(strstr(text, "hunter"));
	assert_non_null(strstr(text, "url: \"https://user:<secret>@loki/x\"\n"));
}

/* Settings of the default file, their `#` taken away. */
static void uncomment(char *text)
{
	char *out = text;

	for (const char *p = text; *p;) {
		if (*p == '#' && (p[1] != ' ' || p[2] == ' '))
			p++;
		while (*p && *p != '\n')
			*out++ = *p++;
		if (*p)
			*out++ = *p++;
	}
	*out = '\0';
}

static char *printed(int (*print)(FILE *out))
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_int_equal(print(f), 0);
	fclose(f);
	return text;
}

static void default_file(void **state)
{
	_free_ char *file = read_file("deploy/notail.yaml", NULL), *of_file = NULL, *of_none = NULL;
	_free_ char *now = printed(check__print_defaults);

	(void)state;
	if (strcmp(file, now))
		fail_msg("deploy/notail.yaml is not what the tables say: make config-files");
	accept(file);
	of_none = effective();
	uncomment(file);
	accept(file);
	assert_int_equal(config->clients.n, 1);
	assert_int_equal(config->capture.ring_size, 32 << 20);
	config->clients.n = 0;
	config->relabel_configs.n = config->events.relabel_configs.n = 0;
	config->pipeline_stages = config->events.pipeline_stages = NULL;
	config->discovery.docker.host = NULL;
	config->discovery.bundles.n = 0;
	config->discovery.docker.tls_config.node = NULL;
	config->discovery.bundles.n = 0;
	config->discovery.kubernetes.node = NULL;
	config->server.http_tls_config.node = config->server.basic_auth.node = NULL;
	of_file = effective();
	assert_string_equal(of_file, of_none);
}

static void json_schema(void **state)
{
	_free_ char *file = read_file("deploy/notail.schema.json", NULL);
	_free_ char *now = printed(check__print_schema);

	(void)state;
	if (strcmp(file, now))
		fail_msg("deploy/notail.schema.json is not what the tables say: make config-files");
}

static void files_that_cannot_be_read(void **state)
{
	char text[400];

	(void)state;
	assert_int_equal(diag__new(&diag, "x"), 0);
	assert_int_equal(check__load(&config, "/nonexistent/notail.yaml", diag), -EINVAL);
	messages(diag, text, sizeof(text));
	assert_string_equal(text,
			    "x: No such file or directory, expected a file that can be read\n");
	assert_int_equal(check__load(&config, "/tmp", diag), -EINVAL);
	messages(diag, text, sizeof(text));
	assert_non_null(strstr(text, "x: Is a directory, expected a file that can be read\n"));
	assert_null(config);
}

static void options_come_first(void **state)
{
	struct options o = {
		.tap = TAP_WRITE,
		.given = {.tap = true},
		.batch_bytes = 4096,
		.config = "f",
	};
	const char *names[] = {"only"};

	(void)state;
	load("notail.yaml");
	assert_int_equal(options__apply(&o, config), 0);
	assert_int_equal(o.tap, TAP_WRITE);
	assert_int_equal(o.hooks, HOOKS_SYSCALL);
	assert_int_equal(o.batch_bytes, 4096);
	assert_int_equal(o.batch_wait_ns, 0);
	assert_null(o.loki_url);
	assert_ptr_equal(o.clients, &config->clients);
	assert_int_equal(o.n_containers, 2);
	assert_string_equal(o.containers[1], "db-*");
	assert_string_equal(o.streams[0], "stderr");
	assert_int_equal(o.rate_burst, 10 << 20);
	assert_string_equal(o.docker_host, "tcp://127.0.0.1:2375");
	assert_int_equal(o.park_max_ns, 90 * NS_PER_SEC);
	assert_int_equal(o.max_in_flight, 8 << 20);
	assert_int_equal(o.log_level, LOG_DEBUG);
	options__free(&o);

	/* A list on the command line, printing, and a process' own. */
	o = (struct options){.to_stdout = true, .pid = 1, .config = "f"};
	assert_int_equal(options__apply(&o, config), 0);
	assert_null(o.loki_url);
	assert_int_equal(o.n_containers, 0);
	assert_int_equal(o.rate_limit, 0);
	options__free(&o);
	o = (struct options){.loki_url = "http://other", .no_docker = true, .config = "f"};
	o.containers = malloc(sizeof(names));
	assert_non_null(o.containers);
	memcpy(o.containers, names, sizeof(names));
	o.n_containers = 1;
	assert_int_equal(options__apply(&o, config), 0);
	assert_string_equal(o.loki_url, "http://other");
	assert_null(o.tenant);
	assert_int_equal(o.n_containers, 1);
	assert_null(o.docker_host);
	options__free(&o);
}

static void nowhere_to_send(void **state)
{
	struct options o = {.config = "f"};

	(void)state;
	load("empty.yaml");
	assert_int_equal(options__apply(&o, config), -EINVAL);
	o.to_stdout = true;
	assert_int_equal(options__apply(&o, config), 0);
	options__free(&o);
}

#define test(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(broken_files),	  test(accepted_files),	 test(sections),
		test(promtail_jobs),	  test(docker_hosts),	 test(effective_again),
		test(odd_texts_again),	  test(jobs_again),	 test(secrets_are_masked),
		test(default_file),	  test(json_schema),	 test(files_that_cannot_be_read),
		test(options_come_first), test(nowhere_to_send),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
