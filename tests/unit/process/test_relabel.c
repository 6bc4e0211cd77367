/* SPDX-License-Identifier: Apache-2.0 */
/* Relabelling rules as Prometheus documents and tests them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "base/buf.h"
#include "base/util.h"
#include "process/relabel.h"
#include "config/parse.h"

#define DROPPED "dropped"

struct list {
	struct object_list rules;
};

static const struct field LIST_FIELDS[] = {
	FIELD(struct list, rules, FIELD_OBJECTS, .object = &relabel_rule_schema),
	{0},
};

static const struct schema LIST = {
	.name = "list", .size = sizeof(struct list), .fields = LIST_FIELDS};

struct world {
	struct arena arena;
	struct diag *diag;
	struct document *document;
	struct relabel *relabel;
	char messages[2000];
};

static int set_up(void **state)
{
	*state = calloc(1, sizeof(struct world));
	return *state ? 0 : -1;
}

static void reset(struct world *w)
{
	relabel__free(TAKE_PTR(w->relabel));
	document__free(TAKE_PTR(w->document));
	diag__free(TAKE_PTR(w->diag));
	arena__reset(&w->arena);
}

static int tear_down(void **state)
{
	struct world *w = *state;

	reset(w);
	arena__free(&w->arena);
	free(w);
	return 0;
}

static int compile(struct world *w, const char *yaml)
{
	_buf_ struct buf text = {0};
	struct list list;
	int err;

	reset(w);
	assert_int_equal(diag__new(&w->diag, "f"), 0);
	assert_int_equal(buf__printf(&text, "rules:\n%s", yaml), 0);
	err = document__parse(&w->document, text.data, text.len, NULL, NULL, w->diag);
	if (!err)
		err = schema__decode(&LIST, document__root(w->document), &list, &w->arena, w->diag);
	if (!err)
		err = relabel__new(&w->relabel, list.rules.items, list.rules.n, w->diag);
	messages(w->diag, w->messages, sizeof(w->messages));
	return err;
}

/* `a=1,b=2`; ~ is a newline in a value. */
static void read_labels(struct world *w, struct label_list *l, const char *labels)
{
	char *copy = arena__copy(&w->arena, labels, strlen(labels)), *rest = copy;

	*l = (struct label_list){.arena = &w->arena};
	for (char *pair; (pair = strtok_r(NULL, ",", &rest));) {
		char *value = strchr(pair, '=');

		*value++ = '\0';
		for (char *p = value; *p; p++)
			*p = *p == '~' ? '\n' : *p;
		assert_int_equal(label_list__set(l, pair, value), 0);
	}
	label_list__sort(l);
}

static const char *run(struct world *w, const char *labels)
{
	struct label_list l, sorted;
	_buf_ struct buf out = {0};
	int kept;

	read_labels(w, &l, labels);
	kept = relabel__apply(w->relabel, &l, NULL);
	if (kept == 0)
		return DROPPED;
	assert_int_equal(kept, 1);
	sorted = l;
	label_list__sort(&sorted);
	for (size_t i = 0; i < l.n; i++)
		buf__printf(&out, "%s%s=%s", i ? "," : "", sorted.items[i].name,
			    sorted.items[i].value);
	for (size_t i = 0; i < out.len; i++)
		out.data[i] = out.data[i] == '\n' ? '~' : out.data[i];
	return arena__copy(&w->arena, out.data, out.len);
}

static void check(struct world *w, const char *yaml, const char *labels, const char *expected)
{
	if (compile(w, yaml) != 0)
		fail_msg("%s%s", yaml, w->messages);
	assert_string_equal(w->messages, "");
	if (strcmp(run(w, labels), expected) != 0)
		fail_msg("%s%s: %s instead of %s", yaml, labels, run(w, labels), expected);
}

static void as_prometheus(void **state)
{
	static const struct {
		const char *yaml, *labels, *expected;
	} rows[] = {
		{"- {source_labels: [a], regex: 'f(.*)', target_label: d, replacement: "
		 "'ch${1}-ch${1}'}",
		 "a=foo,b=bar,c=baz", "a=foo,b=bar,c=baz,d=choo-choo"},
		{"- {source_labels: [a, b], regex: 'f(.*);(.*)r', target_label: a, replacement: "
		 "'b${1}${2}m'}\n"
		 "- {source_labels: [c, a], regex: '(b).*b(.*)ba(.*)', target_label: d, "
		 "replacement: '$1$2$2$3'}",
		 "a=foo,b=bar,c=baz", "a=boobam,b=bar,c=baz,d=boooom"},
		{"- {source_labels: [a], regex: '.*o.*', action: drop}\n"
		 "- {source_labels: [a], regex: 'f(.*)', target_label: d}",
		 "a=foo", DROPPED},
		{"- {source_labels: [a], regex: '.*(b).*', target_label: d}", "a=abc", "a=abc,d=b"},
		{"- {source_labels: [a], regex: 'no-match', action: drop}", "a=foo", "a=foo"},
		{"- {source_labels: [a], regex: 'f|o', action: drop}", "a=foo", "a=foo"},
		{"- {source_labels: [a], regex: 'f|o', action: keep}", "a=foo", DROPPED},
		{"- {source_labels: [a], regex: 'f.*', action: Keep}", "a=foo", "a=foo"},
		{"- {source_labels: [a], regex: 'f', target_label: b, replacement: bar}", "a=boo",
		 "a=boo"},
		{"- {source_labels: [a], regex: '(f).*', target_label: '$1', replacement: '$2'}",
		 "a=foo,f=baz", "a=foo"},
		{"- {source_labels: [c], target_label: d, action: hashmod, modulus: 1000}",
		 "a=foo,b=bar,c=baz", "a=foo,b=bar,c=baz,d=976"},
		{"- {source_labels: [a], target_label: b, action: hashmod, modulus: 1000}",
		 "a=foo~bar", "a=foo~bar,b=734"},
		{"- {regex: '(b.*)', replacement: 'bar_${1}', action: labelmap}",
		 "a=foo,b1=bar,b2=baz", "a=foo,b1=bar,b2=baz,bar_b1=bar,bar_b2=baz"},
		{"- {regex: '__meta_(my.*)', replacement: '${1}', action: labelmap}",
		 "a=foo,__meta_my_bar=aaa,__meta_my_baz=bbb,__meta_other=ccc",
		 "__meta_my_bar=aaa,__meta_my_baz=bbb,__meta_other=ccc,a=foo,my_bar=aaa,my_baz="
		 "bbb"},
		{"- {source_labels: [a], regex: 'some-([^-]+)-([^;]+)', replacement: '${2}', "
		 "target_label: '${1}'}",
		 "a=some-name-value", "a=some-name-value,name=value"},
		{"- {source_labels: [a], regex: 'some-([^-]+)-([^;]+)', replacement: '${3}', "
		 "target_label: '${1}'}",
		 "a=some-name-value", "a=some-name-value"},
		{"- {source_labels: [a], regex: 'some-([^-]+)-([^;]+)', replacement: '${1}', "
		 "target_label: '${3}'}",
		 "a=some-name-0", "a=some-name-0"},
		{"- {source_labels: [t], regex: '(?:.+;|^)label:([^=]+)=([^;]+).*', replacement: "
		 "'${2}', target_label: '${1}'}",
		 "t=path:/secret;job:some-job;label:foo=bar",
		 "foo=bar,t=path:/secret;job:some-job;label:foo=bar"},
		{"- {regex: '^port_name$', action: labeldrop}\n"
		 "- {source_labels: [metrics_port], regex: '(.+)', replacement: metrics, "
		 "target_label: port_name}\n"
		 "- {source_labels: [port_name], regex: '^metrics$', action: keep}",
		 "port_name=foo,metrics_port=9091", "metrics_port=9091,port_name=metrics"},
		{"- {regex: '(b.*)', action: labelkeep}", "a=foo,b1=bar,b2=baz", "b1=bar,b2=baz"},
		{"- {regex: '(b.*)', action: labeldrop}", "a=foo,b1=bar,b2=baz", "a=foo"},
		{"- {source_labels: [foo], action: uppercase, target_label: up}\n"
		 "- {source_labels: [foo], action: lowercase, target_label: low}",
		 "foo=bAr123Foo", "foo=bAr123Foo,low=bar123foo,up=BAR123FOO"},
		{"- {source_labels: [t], action: keepequal, target_label: p1}", "t=1,p1=1,p2=5",
		 "p1=1,p2=5,t=1"},
		{"- {source_labels: [t], action: dropequal, target_label: p1}", "t=1,p1=1,p2=5",
		 DROPPED},
		{"- {source_labels: [t], action: dropequal, target_label: p2}", "t=1,p1=1,p2=5",
		 "p1=1,p2=5,t=1"},
		{"- {source_labels: [t], action: keepequal, target_label: p2}", "t=1,p1=1,p2=5",
		 DROPPED},
		{"- {source_labels: [a], regex: 'line1.*line2', target_label: d, replacement: "
		 "'match${1}'}",
		 "a=line1~line2", "a=line1~line2,d=match"},
		{"- {source_labels: [utf-8.lábel], regex: '(.*)', target_label: 'ü.${1}', "
		 "replacement: 'm$1'}",
		 "utf-8.lábel=x", "utf-8.lábel=x,ü.x=mx"},
		{"- {source_labels: [a], regex: '(line1).*(?<second>line2)', target_label: 'l_$1', "
		 "replacement: 'val_$second'}",
		 "a=line1~line2", "a=line1~line2,l_line1=val_line2"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check(*state, rows[i].yaml, rows[i].labels, rows[i].expected);
}

static void corners(void **state)
{
	static const struct {
		const char *yaml, *labels, *expected;
	} rows[] = {
		/* A constant label needs no source; the regex matches the empty join. */
		{"- {target_label: job, replacement: docker}", "a=1", "a=1,job=docker"},
		{"- {target_label: a, replacement: ''}", "a=1,b=2", "b=2"},
		{"- {source_labels: [none], target_label: a}", "a=1,b=2", "b=2"},
		{"- {source_labels: [none], regex: '(.+)', target_label: a}", "a=1", "a=1"},
		{"- {source_labels: [none], regex: '', action: drop}", "a=1", DROPPED},
		{"- {source_labels: [a, none, b], separator: '@', target_label: c}", "a=1,b=2",
		 "a=1,b=2,c=1@@2"},
		{"- {source_labels: [a, b], separator: '', target_label: c}", "a=1,b=2",
		 "a=1,b=2,c=12"},
		{"- {source_labels: a, target_label: c}", "a=1", "a=1,c=1"},
		/* $1_x is the group named 1_x. */
		{"- {source_labels: [a], target_label: b, replacement: '$1_x'}", "a=1", "a=1"},
		{"- {source_labels: [a], target_label: b, replacement: '${1}_x'}", "a=1",
		 "a=1,b=1_x"},
		{"- {source_labels: [a], target_label: b, replacement: '$$1'}", "a=1", "a=1,b=$1"},
		{"- {source_labels: [a], regex: a, target_label: b, replacement: x}", "a=A", "a=A"},
		{"- {source_labels: [a], regex: '(?i)a', target_label: b, replacement: x}", "a=A",
		 "a=A,b=x"},
		{"- {source_labels: [a], regex: '.', target_label: b, replacement: x}", "a=é",
		 "a=é,b=x"},
		/* An invalid byte is a character. */
		{"- {source_labels: [a], regex: '(.).', target_label: b}", "a=x\xff",
		 "a=x\xff,b=x"},
		{"- {source_labels: [a], regex: 'x(.)', target_label: '$1', replacement: y}",
		 "a=x\xff", "a=x\xff"},
		{"- {source_labels: [a], target_label: b, action: hashmod, modulus: 8}", "c=1",
		 "b=6,c=1"},
		{"- {source_labels: [a], action: lowercase, target_label: a}", "a=GRÜN", "a=grün"},
		{"- {source_labels: [none], action: lowercase, target_label: a}", "a=GRÜN,b=1",
		 "b=1"},
		/* Of two names that become one the last counts. */
		{"- {regex: '(.).', replacement: 'n$1', action: labelmap}", "aa=1,ab=2",
		 "aa=1,ab=2,na=2"},
		{"- {regex: '(.).', replacement: '$2', action: labelmap}", "aa=1", "aa=1"},
		/* Names as they were before the rule: nothing is mapped twice. */
		{"- {regex: '(a+)', replacement: 'a$1', action: labelmap}", "a=1,aa=2",
		 "a=1,aa=1,aaa=2"},
		{"- {regex: '.*', action: labeldrop}", "a=1,b=2", ""},
		{"- {regex: 'a', action: labeldrop}\n- {source_labels: [a], regex: '1', action: "
		 "keep}",
		 "a=1", DROPPED},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check(*state, rows[i].yaml, rows[i].labels, rows[i].expected);
}

static void refused(void **state)
{
	static const struct {
		const char *yaml, *messages;
	} rows[] = {
		{"- {source_labels: [a]}",
		 "f:2:3: rules[0]: replace has no label to set, expected target_label\n"},
		{"- {source_labels: [a], action: keepequal}",
		 "f:2:3: rules[0]: keepequal has no label to compare, expected target_label\n"},
		{"- {source_labels: [a], target_label: b, action: hashmod}",
		 "f:2:3: rules[0]: hashmod has no modulus, expected one over 0\n"},
		{"- {source_labels: [a], regex: 'a(b', action: keep}",
		 "f:2:31: rules[0].regex: missing closing ) at offset 1 of \"a(b\", expected a "
		 "regular "
		 "expression (RE2)\n"},
		{"- {source_labels: [a], regex: '(a)\\1', action: keep}",
		 "f:2:31: rules[0].regex: backreferences are not supported at offset 3 of "
		 "\"(a)\\1\", "
		 "expected a regular expression (RE2)\n"},
		{"- {regex: a, source_labels: [b], action: labeldrop}",
		 "f:2:29: rules[0].source_labels: labeldrop does not use it, expected only "
		 "regex\n"},
		{"- {source_labels: [b], target_label: a, regex: x, action: dropequal}",
		 "f:2:48: rules[0].regex: dropequal does not use it, expected only source_labels "
		 "and "
		 "target_label\n"},
		{"- {source_labels: [b], target_label: a, replacement: x, action: uppercase}",
		 "f:2:54: rules[0].replacement: uppercase does not use it, expected no "
		 "replacement\n"},
		{"- {replacement: '', action: labelmap}",
		 "f:2:17: rules[0].replacement: malformed, expected a name in UTF-8\n"},
		{"- {source_labels: [''], target_label: b}",
		 "f:2:19: rules[0].source_labels: \"\" is no label's name, expected one in "
		 "UTF-8\n"},
		{"- {action: keep, regex: '['}\n- {action: replace}",
		 "f:2:25: rules[0].regex: missing closing ] at offset 0 of \"[\", expected a "
		 "regular "
		 "expression (RE2)\n"
		 "f:3:3: rules[1]: replace has no label to set, expected target_label\n"},
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(compile(w, rows[i].yaml), -EINVAL);
		assert_string_equal(w->messages, rows[i].messages);
	}
	assert_int_equal(compile(w, "- {action: labelmop}"), -EINVAL);
	assert_int_equal(compile(w, "- {target: a}"), -EINVAL);
}

static void which_rule_dropped(void **state)
{
	struct world *w = *state;
	struct label_list l;
	size_t rule = 7;

	assert_int_equal(compile(w, "- {source_labels: [a], regex: b, action: drop}\n"
				    "- {source_labels: [a], regex: b, action: keep}"),
			 0);
	read_labels(w, &l, "a=c");
	assert_int_equal(relabel__apply(w->relabel, &l, &rule), 0);
	assert_int_equal(rule, 1);
}

static void a_limit_is_no_match(void **state)
{
	struct world *w = *state;
	char labels[203] = "a=";

	memset(labels + 2, 'x', 200);
	assert_int_equal(compile(w, "- {source_labels: [a], regex: '(x+x+)+[yz]', action: drop}"),
			 0);
	assert_string_equal(run(w, labels), labels);
	assert_int_equal(relabel__limited(w->relabel), 1);
}

static void no_rules_keep_all(void **state)
{
	struct world *w = *state;

	reset(w);
	assert_int_equal(relabel__new(&w->relabel, NULL, 0, NULL), 0);
	assert_string_equal(run(w, "b=1,a=2"), "a=2,b=1");
	assert_string_equal(run(w, ""), "");
	relabel__free(NULL);
}

static void an_arena_too_small(void **state)
{
	struct arena small = {.max = 64};
	struct label_list l = {.arena = &small};

	(void)state;
	assert_int_equal(label_list__set(&l, "a", "1"), -ENOMEM);
	assert_int_equal(label_list__set_copy(&l, "a", "1"), -ENOMEM);
	assert_int_equal(l.n, 0);
	arena__free(&small);
}

static void sanitized_names(void **state)
{
	struct world *w = *state;

	assert_string_equal(label_list__sanitized(&w->arena, "p_", "com.docker/x-1"),
			    "p_com_docker_x_1");
	assert_string_equal(label_list__sanitized(&w->arena, "p_", "größe"), "p_gr__e");
	assert_string_equal(label_list__sanitized(&w->arena, "p_", "9"), "p_9");
	assert_string_equal(label_list__sanitized(&w->arena, "p_", ""), "p_");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
		TEST(as_prometheus),
		TEST(corners),
		TEST(refused),
		TEST(which_rule_dropped),
		TEST(a_limit_is_no_match),
		TEST(no_rules_keep_all),
		TEST(an_arena_too_small),
		TEST(sanitized_names),
#undef TEST
	};

	return cmocka_run_group_tests_name("relabel", tests, NULL, NULL);
}
