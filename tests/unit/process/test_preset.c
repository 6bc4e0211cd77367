/* SPDX-License-Identifier: Apache-2.0 */
/* Exactly which labels and metadata a line has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
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

/* Takes the metadata over. The metadata of the set as name=value pairs in their order. */
static void expect(struct meta *m, enum line_stream stream, const char *labels,
		   const char *metadata, const char *display)
{
	_label_set_ struct label_set *s = NULL;
	_buf_ struct buf pairs = {0};

	assert_int_equal(preset__docker(m, stream, "node1", &s), 0);
	meta__unref(m);
	for (size_t i = 0; i < s->n_metadata; i++)
		buf__printf(&pairs, "%s=%s ", s->metadata[i].name, s->metadata[i].value);
	buf__append(&pairs, "", 1);
	assert_string_equal(s->text, labels);
	assert_string_equal(pairs.data, metadata);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compose_service),
		cmocka_unit_test(plain_container),
		cmocka_unit_test(terminal),
		cmocka_unit_test(nobody_named_it),
		cmocka_unit_test(no_container_at_all),
		cmocka_unit_test(compose_without_a_number),
		cmocka_unit_test(empty_compose_labels),
		cmocka_unit_test(no_host),
	};

	return cmocka_run_group_tests_name("preset", tests, NULL, NULL);
}
