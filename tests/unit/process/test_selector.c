/* SPDX-License-Identifier: Apache-2.0 */
/* What Kubernetes' own documentation says of selectors, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/util.h"
#include "containers/pod.h"
#include "process/selector.h"

static struct meta *web(void)
{
	struct meta *m = meta__new();

	m->pod = pod__new();
	m->pod->namespace = strdup("shop");
	m->pod->name = strdup("web-0");
	m->pod->node_name = strdup("node-1");
	m->pod->phase = strdup("Pending");
	m->pod->ip = strdup("10.0.0.7");
	assert_int_equal(pod__add_label(m->pod, "app", "web"), 0);
	assert_int_equal(pod__add_label(m->pod, "app.kubernetes.io/name", "shop"), 0);
	assert_int_equal(pod__add_label(m->pod, "empty", ""), 0);
	return m;
}

static void labels(void **state _unused_)
{
	static const struct {
		const char *selector;
		bool fits;
	} rows[] = {
		{"", true},
		{" ", true},
		{"app", true},
		{"tier", false},
		{"!tier", true},
		{"! app", false},
		{"app=web", true},
		{"app = web", true},
		{"app==web", true},
		{"app=web2", false},
		{"app=we", false},
		{"ap=web", false},
		{"app!=web", false},
		{"app!=db", true},
		{"tier!=db", true},
		{"app in (web)", true},
		{"app in (db, web)", true},
		{"app in (db,cache)", false},
		{"app in(web,db)", true},
		{"tier in (web)", false},
		{"app notin (db)", true},
		{"app notin (db, web)", false},
		{"tier notin (web)", true},
		{"empty=", true},
		{"empty", true},
		{"empty in (,a)", true},
		{"empty in (a)", false},
		{"empty in ()", true},
		{"app=", false},
		{"app=web,app.kubernetes.io/name=shop", true},
		{"app=web, app.kubernetes.io/name in (shop), !tier", true},
		{"app=web,tier", false},
		{"tier,app=web", false},
	};
	_meta_ struct meta *m = web();

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_null(selector__check_labels(rows[i].selector));
		if (selector__fits_labels(rows[i].selector, m) != rows[i].fits)
			fail_msg("%s", rows[i].selector);
	}
	assert_true(selector__fits_labels(NULL, m));
}

static void fields(void **state _unused_)
{
	static const struct {
		const char *selector;
		bool fits, fits_unknown, unknown;
	} rows[] = {
		{"", true, true, false},
		{"metadata.name=web-0", true, true, false},
		{"metadata.name!=web-0", false, false, false},
		{"metadata.namespace==shop", true, true, false},
		{"metadata.namespace!=shop", false, false, false},
		{"spec.nodeName=node-1", true, true, false},
		{"spec.nodeName=node-2", false, true, false},
		{"spec.nodeName!=node-2", true, false, false},
		{"status.phase=Pending", true, false, false},
		{"status.phase!=Pending,metadata.name=web-0", false, true, false},
		{"status.podIP=10.0.0.7", true, false, false},
		{"spec.restartPolicy=Never", true, true, true},
		{"spec.restartPolicy=Never,metadata.name=db", false, false, true},
	};
	_meta_ struct meta *m = web(), *named = meta__new();

	meta__add_label(named, "io.kubernetes.pod.namespace", "shop");
	meta__add_label(named, "io.kubernetes.pod.name", "web-0");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bool unknown = false;

		assert_null(selector__check_fields(rows[i].selector, &unknown));
		if (unknown != rows[i].unknown ||
		    selector__fits_fields(rows[i].selector, m) != rows[i].fits ||
		    selector__fits_fields(rows[i].selector, named) != rows[i].fits_unknown)
			fail_msg("%s", rows[i].selector);
	}
}

static void nothing_is_known_of_the_pod(void **state _unused_)
{
	_meta_ struct meta *m = meta__new();

	assert_true(selector__fits_labels("", m));
	assert_false(selector__fits_labels("app=web", m));
	assert_false(selector__fits_labels("!tier", m));
}

static void no_selectors(void **state _unused_)
{
	static const char *const rows[] = {
		"=",	     "app=a b", "app in", "app in (", "app in (a",  "app on (a)",
		"app in a",  "app (a)", "a,,b",	  "a,",	      ",a",	    "!",
		"a!",	     "a!==b",	"a===b",  "a>1",      "a in (b) c", "a in ((b))",
		"a in (b))", "(a)",	"a=b=c",  "!a=b",     "a b",
	};
	_meta_ struct meta *m = web();
	bool unknown;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!selector__check_labels(rows[i]) || !selector__check_fields(rows[i], &unknown))
			fail_msg("%s", rows[i]);
		selector__fits_labels(rows[i], m);
		selector__fits_fields(rows[i], m);
	}
	assert_non_null(selector__check_fields("metadata.name", &unknown));
	assert_non_null(selector__check_fields("!metadata.name", &unknown));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(labels),
		cmocka_unit_test(fields),
		cmocka_unit_test(nothing_is_known_of_the_pod),
		cmocka_unit_test(no_selectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
