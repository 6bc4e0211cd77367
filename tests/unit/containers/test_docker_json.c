/* SPDX-License-Identifier: Apache-2.0 */
/* What an engine answered, what it may answer, and what it must not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "containers/data.h"
#include "containers/docker_json.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct listed {
	struct meta *metas[8];
	size_t n;
};

static void collect(void *ctx, struct meta *m)
{
	struct listed *l = ctx;

	assert_in_range(l->n, 0, 7);
	l->metas[l->n++] = m;
}

static int list(const char *text, struct listed *ret)
{
	return docker_json__list(text, strlen(text), collect, ret);
}

static void listed__free(struct listed *l)
{
	for (size_t i = 0; i < l->n; i++)
		meta__unref(l->metas[i]);
}

static int inspect(const char *text, struct meta **ret)
{
	return docker_json__inspect(text, strlen(text), ret);
}

static int event(const char *text, enum docker_event_action *ret_action, char **ret_id,
		 struct meta **ret)
{
	return docker_json__event(text, strlen(text), ret_action, ret_id, ret);
}

static void check_web(const struct meta *m, bool all_labels)
{
	assert_string_equal(m->engine, "docker");
	assert_string_equal(m->id, WEB_ID);
	assert_string_equal(m->name, "shop_web_1");
	assert_string_equal(m->image, "busybox:1.36");
	assert_null(m->cgroup_path);
	assert_null(m->pod_uid);
	assert_int_equal(m->refs, 1);
	assert_int_equal(m->n_labels, all_labels ? 7 : 6);
	assert_string_equal(meta__label(m, "com.docker.compose.project"), "shop");
	assert_string_equal(meta__label(m, "com.docker.compose.service"), "web");
	assert_string_equal(meta__label(m, "com.docker.compose.container-number"), "1");
	assert_string_equal(meta__label(m, "note"), "grüße\nsecond line");
	assert_string_equal(meta__label(m, "vendor"), "A \"quoted\" one");
	if (all_labels)
		assert_string_equal(meta__label(m, "name"), "busy");
	else
		assert_null(meta__label(m, "name"));
}

static void recorded_version(void **state _unused_)
{
	_free_ char *version = NULL;
	size_t len;
	_free_ char *data = data__read("version.json", &len);

	assert_int_equal(docker_json__version(data, len, &version), 0);
	assert_string_equal(version, "1.41");
}

static void recorded_inspect(void **state _unused_)
{
	_meta_ struct meta *m = NULL;
	size_t len;
	_free_ char *data = data__read("inspect.json", &len);

	assert_int_equal(docker_json__inspect(data, len, &m), 0);
	check_web(m, true);
}

static void recorded_list(void **state _unused_)
{
	struct listed l = {0};
	size_t len;
	_free_ char *data = data__read("list.json", &len);

	assert_int_equal(docker_json__list(data, len, collect, &l), 0);
	assert_int_equal(l.n, 3);
	assert_string_equal(l.metas[0]->name, "sweet_sinoussi");
	assert_string_equal(l.metas[1]->name, "terminal");
	check_web(l.metas[2], true);
	listed__free(&l);
}

static void recorded_events(void **state _unused_)
{
	static const struct {
		enum docker_event_action action;
		const char *id;
		const char *name;
	} expected[] = {
		{DOCKER_EVENT_CREATE, WEB_ID, "shop_web_1"},
		{DOCKER_EVENT_START, WEB_ID, "shop_web_1"},
		{DOCKER_EVENT_CREATE, TERMINAL_ID, "term"},
		{DOCKER_EVENT_START, TERMINAL_ID, "term"},
		{DOCKER_EVENT_CREATE, BRIEF_ID, "brief"},
		{DOCKER_EVENT_START, BRIEF_ID, "brief"},
		{DOCKER_EVENT_DESTROY, BRIEF_ID, NULL},
		{DOCKER_EVENT_RENAME, TERMINAL_ID, "terminal"},
		{DOCKER_EVENT_CREATE, CREATED_ID, "sweet_sinoussi"},
		{DOCKER_EVENT_DESTROY, TERMINAL_ID, NULL},
		{DOCKER_EVENT_DESTROY, WEB_ID, NULL},
	};
	size_t len;
	_free_ char *data = data__read("events.jsonl", &len);
	char *line = data, *saved;

	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		enum docker_event_action action;
		_free_ char *id = NULL;
		_meta_ struct meta *m = NULL;

		line = strtok_r(i ? NULL : data, "\n", &saved);
		assert_non_null(line);
		assert_int_equal(event(line, &action, &id, &m), 0);
		assert_int_equal(action, expected[i].action);
		assert_string_equal(id, expected[i].id);
		assert_int_equal(!m, !expected[i].name);
		if (!m)
			continue;
		assert_string_equal(m->id, expected[i].id);
		assert_string_equal(m->name, expected[i].name);
		/* What the event says of itself is no label. */
		assert_null(meta__label(m, "image"));
		assert_null(meta__label(m, "oldName"));
		if (i < 2)
			check_web(m, false);
	}
}

/* Each answer cut at every byte is refused, and nothing of it handed on. */
static void cut_answers(void **state _unused_)
{
	size_t len;
	_free_ char *data = data__read("list.json", &len);
	struct listed l = {0};

	while (len && data[len - 1] == '\n')
		len--;
	for (size_t cut = 0; cut < len; cut += 7)
		assert_int_equal(docker_json__list(data, cut, collect, &l), -EBADMSG);
	assert_int_equal(l.n, 0);
}

static void newest_version_that_both_know(void **state _unused_)
{
	static const struct {
		const char *text, *version;
	} rows[] = {
		{"{\"ApiVersion\":\"1.41\",\"MinAPIVersion\":\"1.12\"}", "1.41"},
		{"{\"ApiVersion\":\"1.24\",\"MinAPIVersion\":null}", "1.24"},
		{"{\"ApiVersion\":\"1.51\",\"MinAPIVersion\":\"1.44\"}", "1.51"},
		{"{\"ApiVersion\":\"1.99\",\"MinAPIVersion\":\"1.44\"}", "1.51"},
		{"{\"ApiVersion\":\"1.100\"}", "1.51"},
		{"{\"ApiVersion\":\"2.0\",\"MinAPIVersion\":\"1.60\"}", "1.60"},
		{"{\"ApiVersion\":\"1.9\"}", "1.9"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_free_ char *version = NULL;

		assert_int_equal(docker_json__version(rows[i].text, strlen(rows[i].text), &version),
				 0);
		assert_string_equal(version, rows[i].version);
	}
}

static void before_and_after(void **state _unused_)
{
	static const struct {
		const char *state;
		bool detailed, over;
	} rows[] = {
		{"\"running\"", true, false},
		{"\"created\"", false, false},
		{"\"exited\"", true, true},
		{"{\"Status\":\"running\"}", true, false},
		{"{\"Status\":\"initialized\"}", false, false},
		{"{\"Status\":\"dead\"}", true, true},
		{"7", true, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct listed l = {0};
		char text[256];

		snprintf(text, sizeof(text), "[{\"Id\":\"" ID "\",\"State\":%s}]", rows[i].state);
		assert_int_equal(list(text, &l), 0);
		assert_int_equal(l.metas[0]->detailed, rows[i].detailed);
		assert_int_equal(l.metas[0]->over, rows[i].over);
		listed__free(&l);
	}
}

static void events_of_networks(void **state _unused_)
{
	enum docker_event_action action;
	_free_ char *id = NULL;
	struct meta *m = NULL;

	assert_int_equal(event("{\"Type\":\"network\",\"Action\":\"disconnect\",\"Actor\":{\"ID\":"
			       "\"77\",\"Attributes\":{\"container\":\"" ID "\"}}}",
			       &action, &id, &m),
			 0);
	assert_int_equal(action, DOCKER_EVENT_NETWORK);
	assert_string_equal(id, ID);
	assert_null(m);
	assert_int_equal(event("{\"Type\":\"network\",\"Action\":\"connect\",\"Actor\":{}}",
			       &action, &id, &m),
			 -EBADMSG);
}

static void versions_that_are_none(void **state _unused_)
{
	static const char *const texts[] = {
		"",
		"null",
		"[]",
		"\"1.41\"",
		"{}",
		"{\"ApiVersion\":null}",
		"{\"ApiVersion\":1.41}",
		"{\"ApiVersion\":\"\"}",
		"{\"ApiVersion\":\"1.41/../..\"}",
		"{\"ApiVersion\":\"v1\"}",
		"{\"ApiVersion\":\"..\"}",
		"{\"ApiVersion\":\"1.0000000000000000\"}",
		"{\"ApiVersion\":\"1.41\"",
		"{\"ApiVersion\":\"1.4\\u0000\"} x",
	};
	char *version = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_int_equal(docker_json__version(texts[i], strlen(texts[i]), &version),
				 -EBADMSG);
	assert_null(version);
}

static void inspect_with_little_in_it(void **state _unused_)
{
	static const char *const texts[] = {
		"{\"Id\":\"" ID "\",\"Config\":{}}",
		"{\"Id\":\"" ID "\",\"Name\":null,\"Config\":{\"Image\":null,\"Labels\":null}}",
		"{\"Id\":\"" ID "\",\"Name\":\"/\",\"Config\":{\"Image\":\"\",\"Labels\":{}}}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_meta_ struct meta *m = NULL;

		assert_int_equal(inspect(texts[i], &m), 0);
		assert_string_equal(m->id, ID);
		assert_null(m->name);
		assert_null(m->image);
		assert_int_equal(m->n_labels, 0);
	}
}

static void inspects_that_are_none(void **state _unused_)
{
	static const char *const texts[] = {
		"",
		"not json",
		"[]",
		"{}",
		"{\"message\":\"No such container: x\"}",
		"{\"Id\":\"" ID "\"}",
		"{\"Id\":\"" ID "\",\"Config\":null}",
		"{\"Id\":\"" ID "\",\"Config\":[]}",
		"{\"Id\":7,\"Config\":{}}",
		"{\"Id\":\"short\",\"Config\":{}}",
		"{\"Id\":\"" ID "0\",\"Config\":{}}",
		"{\"Id\":\"" ID "\\u0000\",\"Name\":{},\"Config\":{}}",
		"{\"Id\":\"" ID "\",\"Name\":7,\"Config\":{}}",
		"{\"Id\":\"" ID "\",\"Config\":{\"Image\":[]}}",
		"{\"Id\":\"" ID "\",\"Config\":{\"Labels\":[]}}",
		"{\"Id\":\"" ID "\",\"Config\":{\"Labels\":{\"a\":1}}}",
		"{\"Id\":\"" ID "\",\"Config\":{\"Labels\":{\"a\":null}}}",
		"{\"Id\":\"" ID "\",\"Config\":{}} {}",
		"{\"Id\":\"" ID "\",\"Name\":\"\xff\",\"Config\":{}}",
	};
	struct meta *m = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_int_equal(inspect(texts[i], &m), -EBADMSG);
	assert_null(m);
}

static void numbers_of_any_size(void **state _unused_)
{
	_meta_ struct meta *m = NULL;

	assert_int_equal(inspect("{\"Id\":\"" ID "\",\"Config\":{},\"Memory\":18446744073709551616,"
				 "\"Share\":1e300}",
				 &m),
			 0);
}

static void list_names(void **state _unused_)
{
	static const struct {
		const char *names;
		const char *name;
	} rows[] = {
		{"[\"/web\"]", "web"},
		{"[\"web\"]", "web"},
		/* A container that links to it calls it by another name. */
		{"[\"/other/alias\",\"/web\"]", "web"},
		{"[\"/other/alias\"]", "other/alias"},
		{"[]", NULL},
		{"null", NULL},
		{"[\"\"]", NULL},
		{"[\"/grüße\"]", "grüße"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct listed l = {0};
		char text[256];

		snprintf(text, sizeof(text), "[{\"Id\":\"" ID "\",\"Names\":%s}]", rows[i].names);
		assert_int_equal(list(text, &l), 0);
		assert_int_equal(l.n, 1);
		if (rows[i].name)
			assert_string_equal(l.metas[0]->name, rows[i].name);
		else
			assert_null(l.metas[0]->name);
		listed__free(&l);
	}
}

static void lists_that_are_none(void **state _unused_)
{
	static const char *const texts[] = {
		"{}",
		"null",
		"[{}]",
		"[7]",
		"[null]",
		"[{\"Id\":\"" ID "\"},{\"Id\":\"no\"}]",
		"[{\"Id\":\"" ID "\",\"Names\":\"/web\"}]",
		"[{\"Id\":\"" ID "\",\"Names\":[7]}]",
		"[{\"Id\":\"" ID "\",\"Names\":{}}]",
		"[{\"Id\":\"" ID "\",\"Image\":7}]",
		"[{\"Id\":\"" ID "\",\"Labels\":\"\"}]",
		"[{\"Id\":\"" ID "\"},",
	};
	struct listed l = {0};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_int_equal(list(texts[i], &l), -EBADMSG);
	assert_int_equal(l.n, 0);
	assert_int_equal(list("[]", &l), 0);
	assert_int_equal(l.n, 0);
}

static void check_details(const struct meta *m, const char *expected)
{
	char text[512];

	snprintf(text, sizeof(text), "%s %s %s %s %u %u %s",
		 m->network_mode ? m->network_mode : "-", m->network_name ? m->network_name : "-",
		 m->network_id ? m->network_id : "-", m->network_ip ? m->network_ip : "-",
		 m->port.inside, m->port.outside, m->port.outside_ip ? m->port.outside_ip : "-");
	assert_string_equal(text, expected);
	assert_true(m->detailed);
}

static void networks_and_ports(void **state _unused_)
{
	static const struct {
		const char *host, *networks, *ports, *expected;
	} rows[] = {
		{"null", "null", "null", "- - - - 0 0 -"},
		{"{\"NetworkMode\":\"host\"}",
		 "{\"host\":{\"NetworkID\":\"n\",\"IPAddress\":\"\"}}", "[]",
		 "host host n - 0 0 -"},
		/* The first by name that is not null. */
		{"{}",
		 "{\"b\":{\"NetworkID\":\"2\",\"IPAddress\":\"10.0.0.2\"},\"0\":null,"
		 "\"a\":{\"NetworkID\":\"1\",\"GlobalIPv6Address\":\"fd00::1\"}}",
		 "[]", "- a 1 fd00::1 0 0 -"},
		{"{}", "{}",
		 "[{\"PrivatePort\":53,\"Type\":\"udp\"},{\"PrivatePort\":443,\"Type\":\"tcp\"},"
		 "{\"IP\":\"::\",\"PrivatePort\":80,\"PublicPort\":8080,\"Type\":\"tcp\"},"
		 "{\"IP\":\"0.0.0.0\",\"PrivatePort\":80,\"PublicPort\":8080,\"Type\":\"tcp\"},"
		 "{\"PrivatePort\":80,\"Type\":\"tcp\"}]",
		 "- - - - 80 8080 0.0.0.0"},
		{"[]", "[7]", "{}", "- - - - 0 0 -"},
		{"{\"NetworkMode\":7}", "{\"a\":7,\"b\":{\"NetworkID\":[]}}",
		 "[7,{\"PrivatePort\":70000,\"Type\":\"tcp\"},{\"PrivatePort\":\"x\",\"Type\":"
		 "\"tcp\"}]",
		 "- b - - 0 0 -"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct listed l = {0};
		char text[1024];

		snprintf(text, sizeof(text),
			 "[{\"Id\":\"" ID "\",\"ImageID\":\"sha256:1\",\"HostConfig\":%s,"
			 "\"NetworkSettings\":{\"Networks\":%s},\"Ports\":%s}]",
			 rows[i].host, rows[i].networks, rows[i].ports);
		assert_int_equal(list(text, &l), 0);
		check_details(l.metas[0], rows[i].expected);
		assert_string_equal(l.metas[0]->image_id, "sha256:1");
		listed__free(&l);
	}
}

/* No other's id, no name: what it becomes a part of is a path. */
static void networks_of_another(void **state _unused_)
{
	static const struct {
		const char *mode, *networks, *expected;
	} rows[] = {
		{"container:" ID, "{}", ID},
		{"container:" ID, "null", ID},
		{"container:" ID, "{\"a\":{\"NetworkID\":\"1\"}}", NULL},
		{"container:web", "{}", NULL},
		{"container:", "{}", NULL},
		{ID, "{}", NULL},
		{"container:" ID "0", "{}", NULL},
		{"container:../" ID, "{}", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_meta_ struct meta *m = NULL;
		char text[512];

		snprintf(text, sizeof(text),
			 "{\"Id\":\"" ID "\",\"Config\":{},\"HostConfig\":{\"NetworkMode\":"
			 "\"%s\"},\"NetworkSettings\":{\"Networks\":%s}}",
			 rows[i].mode, rows[i].networks);
		assert_int_equal(inspect(text, &m), 0);
		if (rows[i].expected)
			assert_string_equal(m->network_of, rows[i].expected);
		else
			assert_null(m->network_of);
	}
}

static void inspected_ports(void **state _unused_)
{
	_meta_ struct meta *m = NULL;

	assert_int_equal(inspect("{\"Id\":\"" ID
				 "\",\"Image\":\"sha256:2\",\"Config\":{\"Image\":\"i\"},"
				 "\"HostConfig\":{\"NetworkMode\":\"bridge\"},\"NetworkSettings\":{"
				 "\"Networks\":"
				 "{\"bridge\":{\"NetworkID\":\"1\",\"IPAddress\":\"172.17.0.2\"}},"
				 "\"Ports\":{"
				 "\"90/tcp\":null,\"53/"
				 "udp\":[{\"HostIp\":\"::\",\"HostPort\":\"53\"}],\"80/tcp\":["
				 "{\"HostIp\":\"::\",\"HostPort\":\"8080\"},"
				 "{\"HostIp\":\"0.0.0.0\",\"HostPort\":\"8080\"}],\"x\":[7]}}}",
				 &m),
			 0);
	check_details(m, "bridge bridge 1 172.17.0.2 80 8080 0.0.0.0");
	assert_string_equal(m->image_id, "sha256:2");
	assert_string_equal(m->image, "i");
}

static struct meta_network *networks[4];
static size_t n_networks;

static void collect_network(void *ctx _unused_, struct meta_network *n)
{
	assert_in_range(n_networks, 0, 3);
	networks[n_networks++] = n;
}

static void networks_of_an_engine(void **state _unused_)
{
	const char *text = "[{\"Name\":\"shop\",\"Id\":\"1\",\"Scope\":\"local\",\"Internal\":true,"
			   "\"Ingress\":false,\"Labels\":{\"b\":\"2\",\"a\":\"1\",\"c\":7}},"
			   "{\"Name\":\"no id\"},7,{\"Id\":\"2\",\"Labels\":[]}]";

	n_networks = 0;
	assert_int_equal(docker_json__networks(text, strlen(text), collect_network, NULL), 0);
	assert_int_equal(n_networks, 2);
	assert_string_equal(networks[0]->name, "shop");
	assert_string_equal(networks[0]->scope, "local");
	assert_true(networks[0]->internal);
	assert_false(networks[0]->ingress);
	assert_int_equal(networks[0]->n_labels, 2);
	assert_string_equal(networks[0]->labels[0].name, "a");
	assert_string_equal(networks[1]->id, "2");
	assert_null(networks[1]->name);
	for (size_t i = 0; i < 2; i++)
		meta_network__unref(networks[i]);
	assert_int_equal(docker_json__networks("{}", 2, collect_network, NULL), -EBADMSG);
	assert_int_equal(docker_json__networks("[", 1, collect_network, NULL), -EBADMSG);
}

static void label_with_a_nul_costs_nobody_else(void **state _unused_)
{
	struct listed l = {0};

	assert_int_equal(list("[{\"Id\":\"" ID "\",\"Labels\":{\"a\":\"b\\u0000c\"}},"
			      "{\"Id\":\"" WEB_ID "\"}]",
			      &l),
			 0);
	assert_int_equal(l.n, 2);
	assert_string_equal(meta__label(l.metas[0], "a"), "b");
	listed__free(&l);
}

static void bounded(void **state _unused_)
{
	_buf_ struct buf text = {0};
	_meta_ struct meta *m = NULL;

	buf__append_str(&text, "{\"Id\":\"" ID "\",\"Name\":\"/");
	/* Two bytes a character, and an odd number before: no cut falls between characters. */
	buf__append_str(&text, "x");
	for (int i = 0; i < 5000; i++)
		buf__append_str(&text, "ü");
	buf__append_str(&text, "\",\"Config\":{\"Labels\":{\"v\":\"x");
	for (int i = 0; i < 5000; i++)
		buf__append_str(&text, "ü");
	buf__append_str(&text, "\",\"");
	for (int i = 0; i < 2000; i++)
		buf__append_str(&text, "n");
	buf__append_str(&text, "\":\"long\"");
	for (int i = 0; i < 1000; i++)
		buf__printf(&text, ",\"l%d\":\"\"", i);
	buf__append_str(&text, "}}}");
	assert_int_equal(docker_json__inspect(text.data, text.len, &m), 0);
	assert_int_equal(strlen(m->name), 1023);
	assert_int_equal(strlen(meta__label(m, "v")), 8191);
	assert_true(utf8__valid(m->name, strlen(m->name)));
	assert_true(utf8__valid(meta__label(m, "v"), 8191));
	assert_int_equal(m->n_labels, 512);
	for (size_t i = 0; i < m->n_labels; i++)
		assert_in_range(strlen(m->labels[i].name), 1, 1024);
}

static void deep(void **state _unused_)
{
	_buf_ struct buf text = {0};
	struct meta *m = NULL;

	for (int i = 0; i < 100000; i++)
		buf__append_str(&text, "[");
	assert_int_equal(docker_json__inspect(text.data, text.len, &m), -EBADMSG);
}

static void events_of_others(void **state _unused_)
{
	enum docker_event_action action = DOCKER_EVENT_CREATE;
	char *id = NULL;
	struct meta *m = NULL;

	assert_int_equal(
		event("{\"Type\":\"network\",\"Action\":\"create\",\"Actor\":7}", &action, &id, &m),
		0);
	assert_int_equal(action, DOCKER_EVENT_OTHER);
	assert_null(id);
	assert_null(m);
	assert_int_equal(event("{\"Type\":\"container\",\"Action\":\"exec_start: sh\",\"Actor\":"
			       "{\"ID\":\"" ID "\",\"Attributes\":null}}",
			       &action, &id, &m),
			 0);
	assert_int_equal(action, DOCKER_EVENT_OTHER);
	assert_string_equal(id, ID);
	assert_null(m);
	free(id);
}

static void events_that_are_none(void **state _unused_)
{
	static const char *const texts[] = {
		"",
		"{}",
		"[]",
		"{\"message\":\"page not found\"}",
		"{\"Type\":\"container\"}",
		"{\"Type\":1,\"Action\":\"create\"}",
		"{\"Type\":\"container\",\"Action\":null}",
		"{\"Type\":\"container\",\"Action\":\"create\"}",
		"{\"Type\":\"container\",\"Action\":\"create\",\"Actor\":[]}",
		"{\"Type\":\"container\",\"Action\":\"destroy\",\"Actor\":{}}",
		"{\"Type\":\"container\",\"Action\":\"create\",\"Actor\":{\"ID\":\"x\"}}",
		"{\"Type\":\"container\",\"Action\":\"create\",\"Actor\":{\"ID\":\"" ID "\"}}",
		"{\"Type\":\"container\",\"Action\":\"create\",\"Actor\":{\"ID\":\"" ID
		"\",\"Attributes\":{\"name\":1}}}",
		"{\"Type\":\"container\",\"Action\":\"create\",\"Actor\":{\"ID\":\"" ID
		"\",\"Attributes\":{\"name\":\"a\",\"label\":{}}}}",
	};
	enum docker_event_action action = DOCKER_EVENT_CREATE;
	char *id = NULL;
	struct meta *m = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_int_equal(event(texts[i], &action, &id, &m), -EBADMSG);
	assert_int_equal(action, DOCKER_EVENT_CREATE);
	assert_null(id);
	assert_null(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recorded_version),
		cmocka_unit_test(recorded_inspect),
		cmocka_unit_test(recorded_list),
		cmocka_unit_test(recorded_events),
		cmocka_unit_test(cut_answers),
		cmocka_unit_test(newest_version_that_both_know),
		cmocka_unit_test(before_and_after),
		cmocka_unit_test(events_of_networks),
		cmocka_unit_test(versions_that_are_none),
		cmocka_unit_test(inspect_with_little_in_it),
		cmocka_unit_test(inspects_that_are_none),
		cmocka_unit_test(numbers_of_any_size),
		cmocka_unit_test(list_names),
		cmocka_unit_test(lists_that_are_none),
		cmocka_unit_test(networks_and_ports),
		cmocka_unit_test(inspected_ports),
		cmocka_unit_test(networks_of_another),
		cmocka_unit_test(networks_of_an_engine),
		cmocka_unit_test(label_with_a_nul_costs_nobody_else),
		cmocka_unit_test(bounded),
		cmocka_unit_test(deep),
		cmocka_unit_test(events_of_others),
		cmocka_unit_test(events_that_are_none),
	};

	return cmocka_run_group_tests_name("docker_json", tests, NULL, NULL);
}
