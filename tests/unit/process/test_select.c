/* SPDX-License-Identifier: Apache-2.0 */
/* --container, --label and --stream, alone and together. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "process/select.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct fixture {
	struct selection *selection;
	struct meta *m;
	struct label_set *set;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_int_equal(selection__new(&f->selection), 0);
	f->m = meta__new();
	f->m->id = strdup(ID);
	f->m->name = strdup("shop_web_1");
	assert_int_equal(meta__add_label(f->m, "com.docker.compose.service", "web"), 0);
	assert_int_equal(meta__add_label(f->m, "empty", ""), 0);
	f->set = label_set__new();
	assert_int_equal(label_set__add(f->set, "compose_service", "web"), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	selection__free(f->selection);
	selection__free(NULL);
	meta__unref(f->m);
	label_set__unref(f->set);
	free(f);
	return 0;
}

static bool wants(struct fixture *f, enum line_stream stream)
{
	return selection__wants(f->selection, f->m, f->set, stream);
}

static bool container(struct fixture *f, const char *pattern)
{
	struct selection *s;
	bool ret;

	assert_int_equal(selection__new(&s), 0);
	assert_int_equal(selection__add_container(s, pattern), 0);
	ret = selection__wants(s, f->m, f->set, LINE_STDOUT);
	selection__free(s);
	return ret;
}

static bool label(struct fixture *f, const char *pair)
{
	struct selection *s;
	bool ret;

	assert_int_equal(selection__new(&s), 0);
	assert_int_equal(selection__add_label(s, pair), 0);
	ret = selection__wants(s, f->m, f->set, LINE_STDOUT);
	selection__free(s);
	return ret;
}

static void everything(void **state)
{
	_meta_ struct meta *nothing = meta__new();
	struct fixture *f = *state;

	assert_true(wants(f, LINE_STDOUT));
	assert_true(wants(f, LINE_STDERR));
	assert_true(wants(f, LINE_TTY));
	assert_true(selection__wants(f->selection, nothing, NULL, LINE_STDOUT));
}

static void container_patterns(void **state)
{
	assert_true(container(*state, "shop_web_1"));
	assert_true(container(*state, "shop_*"));
	assert_true(container(*state, "*web*"));
	assert_true(container(*state, "shop_web_[0-9]"));
	assert_true(container(*state, "shop_web_?"));
	assert_false(container(*state, "shop_web"));
	assert_false(container(*state, "SHOP_WEB_1"));
	assert_false(container(*state, ""));
	assert_false(container(*state, "[broken"));
}

static void name_as_it_is_shown(void **state)
{
	struct fixture *f = *state;

	assert_false(container(f, "web-1"));
	assert_int_equal(label_set__display(f->set, "web-1"), 0);
	assert_true(container(f, "web-1"));
	assert_true(container(f, "web*"));
	assert_false(container(f, "web"));
}

static void container_ids(void **state)
{
	struct fixture *f = *state;

	assert_true(container(f, "012345"));
	assert_true(container(f, "0123456789ab"));
	assert_true(container(f, ID));
	assert_false(container(f, "01234"));
	assert_false(container(f, "12345678"));
	assert_false(container(f, ID "0"));
	free(TAKE_PTR(f->m->name));
	assert_true(container(f, "0123456789ab"));
	assert_false(container(f, "*"));
	free(TAKE_PTR(f->m->id));
	assert_false(container(f, "0123456789ab"));
}

static void any_container_suffices(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(selection__add_container(f->selection, "other"), 0);
	assert_false(wants(f, LINE_STDOUT));
	assert_int_equal(selection__add_container(f->selection, "shop*"), 0);
	assert_true(wants(f, LINE_STDOUT));
}

static void labels(void **state)
{
	struct fixture *f = *state;

	assert_true(label(f, "compose_service=web"));
	assert_true(label(f, "com.docker.compose.service=web"));
	assert_true(label(f, "empty="));
	assert_false(label(f, "missing="));
	assert_false(label(f, "compose_service=we"));
	assert_false(label(f, "compose_service=w*"));
	label_set__unref(TAKE_PTR(f->set));
	assert_false(label(f, "compose_service=web"));
	assert_true(label(f, "com.docker.compose.service=web"));
}

static void value_with_an_equals_sign(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(meta__add_label(f->m, "opts", "a=b"), 0);
	assert_true(label(f, "opts=a=b"));
}

static void all_labels_must_hold(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(selection__add_label(f->selection, "compose_service=web"), 0);
	assert_true(wants(f, LINE_STDOUT));
	assert_int_equal(selection__add_label(f->selection, "compose_project=shop"), 0);
	assert_false(wants(f, LINE_STDOUT));
}

static void streams(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(selection__add_stream(f->selection, "stderr"), 0);
	assert_true(wants(f, LINE_STDERR));
	assert_false(wants(f, LINE_STDOUT));
	assert_false(wants(f, LINE_TTY));
	assert_int_equal(selection__add_stream(f->selection, "stdout"), 0);
	assert_true(wants(f, LINE_STDERR));
	assert_true(wants(f, LINE_STDOUT));
	assert_true(wants(f, LINE_TTY));
}

static void terminal_is_stdout(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(selection__add_stream(f->selection, "stdout"), 0);
	assert_true(wants(f, LINE_TTY));
	assert_false(wants(f, LINE_STDERR));
}

static void all_kinds_together(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(selection__add_container(f->selection, "shop*"), 0);
	assert_int_equal(selection__add_label(f->selection, "compose_service=web"), 0);
	assert_int_equal(selection__add_stream(f->selection, "stdout"), 0);
	assert_true(wants(f, LINE_STDOUT));
	assert_false(wants(f, LINE_STDERR));
	assert_int_equal(selection__add_label(f->selection, "a=b"), 0);
	assert_false(wants(f, LINE_STDOUT));
}

static void refuses(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(selection__add_label(f->selection, "novalue"), -EINVAL);
	assert_int_equal(selection__add_label(f->selection, "=x"), -EINVAL);
	assert_int_equal(selection__add_label(f->selection, ""), -EINVAL);
	assert_int_equal(selection__add_stream(f->selection, "tty"), -EINVAL);
	assert_int_equal(selection__add_stream(f->selection, ""), -EINVAL);
	assert_true(wants(f, LINE_STDOUT));
	assert_true(wants(f, LINE_STDERR));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
		TEST(everything),
		TEST(container_patterns),
		TEST(name_as_it_is_shown),
		TEST(container_ids),
		TEST(any_container_suffices),
		TEST(labels),
		TEST(value_with_an_equals_sign),
		TEST(all_labels_must_hold),
		TEST(streams),
		TEST(terminal_is_stdout),
		TEST(all_kinds_together),
		TEST(refuses),
#undef TEST
	};

	return cmocka_run_group_tests_name("select", tests, NULL, NULL);
}
