/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "containers/workload.h"

static void expect(const struct pod *p, const char *name, const char *controller,
		   const char *deployment, const char *job, const char *cronjob)
{
	struct workload w;
	char text[600];

	workload__of(p, name, &w);
	snprintf(text, sizeof(text), "%s/%s", w.controller_kind, w.controller_name);
	assert_string_equal(text, controller);
	assert_string_equal(w.deployment, deployment);
	assert_string_equal(w.job, job);
	assert_string_equal(w.cronjob, cronjob);
}

static struct pod *pod(const char *kind, const char *name, const char *hash)
{
	struct pod *p = pod__new();

	p->controller_kind = strdup(kind);
	p->controller_name = strdup(name);
	if (hash)
		assert_int_equal(pod__add_label(p, "pod-template-hash", hash), 0);
	return p;
}

static void by_controller(void **state _unused_)
{
	_pod_ struct pod *web = pod("ReplicaSet", "web-6d45d4ccfb", "6d45d4ccfb");
	_pod_ struct pod *bare = pod("ReplicaSet", "web-6d45d4ccfb", NULL);
	_pod_ struct pod *other = pod("ReplicaSet", "web-x", "6d45d4ccfb");
	/* Below eight characters it is one all the same. */
	_pod_ struct pod *small = pod("ReplicaSet", "web-9c", "9c");
	_pod_ struct pod *nightly = pod("Job", "backup-29394720", NULL);
	_pod_ struct pod *job = pod("Job", "migrate-20260101", NULL);
	_pod_ struct pod *agent = pod("DaemonSet", "log-agent", NULL);
	_pod_ struct pod *alone = pod__new();

	expect(web, "web-6d45d4ccfb-9w4l7", "ReplicaSet/web-6d45d4ccfb", "web", "", "");
	expect(bare, "web-6d45d4ccfb-9w4l7", "ReplicaSet/web-6d45d4ccfb", "", "", "");
	expect(other, "web-x-9w4l7", "ReplicaSet/web-x", "", "", "");
	expect(small, "web-9c-9w4l7", "ReplicaSet/web-9c", "web", "", "");
	expect(nightly, "x", "Job/backup-29394720", "", "backup-29394720", "backup");
	expect(job, "x", "Job/migrate-20260101", "", "migrate-20260101", "");
	expect(agent, "x", "DaemonSet/log-agent", "", "", "");
	/* A source tells of it: it has none, whatever it is called. */
	expect(alone, "web-6d45d4ccfb-9w4l7", "/", "", "", "");
	alone->from_bundle = true;
	expect(alone, "web-6d45d4ccfb-9w4l7", "ReplicaSet/web-6d45d4ccfb", "web", "", "");
}

static void by_name(void **state _unused_)
{
	static const char *const uncertain[] = {
		"web-0",
		"log-agent-v2zwb",
		"blink-gzctx",
		"web",
		"",
		"-",
		"-6d45d4ccfb-9w4l7",
		"web-6d45d4ccfb-9w4la",	  /* no such character */
		"web-6d45d4ccfb-9w4l",	  /* four of them */
		"web-6d45d4c-9w4l7",	  /* seven: may be a word */
		"web-6d45d4ccfb4-9w4l7",  /* eleven */
		"web-6d45d4ccf0-9w4l7",	  /* no such digit */
		"migrate-20260101-9w4l7", /* a day */
		"report-01122026-9w4l7",
		"web--9w4l7",
	};
	char long_name[64];

	expect(NULL, "web-6d45d4ccfb-9w4l7", "ReplicaSet/web-6d45d4ccfb", "web", "", "");
	expect(NULL, "my-web-app-56789bcd-bcdfg", "ReplicaSet/my-web-app-56789bcd", "my-web-app",
	       "", "");
	expect(NULL, "backup-29394720-9w4l7", "Job/backup-29394720", "", "backup-29394720",
	       "backup");
	for (size_t i = 0; i < ARRAY_SIZE(uncertain); i++)
		expect(NULL, uncertain[i], "/", "", "", "");
	expect(NULL, NULL, "/", "", "", "");
	/* It may be cut. */
	memset(long_name, 'a', sizeof(long_name));
	strcpy(long_name + 63 - strlen("-6d45d4ccfb-9w4l7"), "-6d45d4ccfb-9w4l7");
	expect(NULL, long_name, "/", "", "", "");
	expect(NULL, long_name + 1,
	       "ReplicaSet/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-"
	       "6d45d4ccfb",
	       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_controller),
		cmocka_unit_test(by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
