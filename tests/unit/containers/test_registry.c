/* SPDX-License-Identifier: Apache-2.0 */
/* Which answer a cgroup gets, in every order in which path, engine and metadata may come. */
#include <pthread.h>

#include "containers/registry_world.h"

static void nobody_told(void **state)
{
	_meta_ struct meta *m = NULL;

	assert_int_equal(registry__lookup(*state, 1, &m), REGISTRY_NEVER);
	assert_null(m->id);
	assert_null(m->cgroup_path);
}

static void without_an_engine(void **state)
{
	_meta_ struct meta *m = NULL;

	cgroup_new(*state, 1, "/docker/" ID);
	assert_int_equal(registry__lookup(*state, 1, &m), REGISTRY_NEVER);
	assert_string_equal(m->engine, "docker");
	assert_string_equal(m->id, ID);
	assert_string_equal(m->cgroup_path, "/docker/" ID);
	assert_null(m->name);
	assert_null(m->pod_uid);
	assert_false(readable(*state));
	assert_false(wanted(*state, ID));
}

/* Captured since it was asked for: its path names it, and no engine is asked. */
static void unit_and_ctr(void **state)
{
	_meta_ struct meta *unit = NULL, *ctr = NULL;

	registry__engine(*state, "docker", true);
	cgroup_new(*state, 1, "/system.slice/foo.service");
	cgroup_new(*state, 2, "/other/web");
	assert_int_equal(registry__lookup(*state, 1, &unit), REGISTRY_NEVER);
	assert_string_equal(unit->name, "foo.service");
	assert_string_equal(unit->engine, "systemd");
	assert_null(unit->id);
	assert_int_equal(registry__lookup(*state, 2, &ctr), REGISTRY_NEVER);
	assert_string_equal(ctr->name, "other/web");
	assert_string_equal(ctr->engine, "containerd");
	assert_string_equal(ctr->id, "web");
	assert_false(readable(*state));
}

static void container_in_a_container(void **state)
{
	_meta_ struct meta *before = NULL, *after = NULL;

	registry__engine(*state, "docker", true);
	cgroup_new(*state, 1, "/docker/" OTHER "/docker/" ID);
	assert_int_equal(registry__lookup(*state, 1, &before), REGISTRY_PENDING);
	assert_string_equal(before->outer_id, OTHER);
	publish(*state, ID, "inner");
	assert_int_equal(registry__lookup(*state, 1, &after), REGISTRY_KNOWN);
	assert_string_equal(after->id, ID);
	assert_string_equal(after->outer_id, OTHER);
}

static void path_that_no_table_knows(void **state)
{
	_meta_ struct meta *m = NULL;

	registry__engine(*state, "docker", true);
	cgroup_new(*state, 1, "/web");
	assert_int_equal(registry__lookup(*state, 1, &m), REGISTRY_NEVER);
	assert_null(m->id);
	assert_null(m->engine);
	assert_null(m->name);
	assert_string_equal(m->cgroup_path, "/web");
	assert_false(wanted(*state, ID));
}

static void published_after_the_cgroup(void **state)
{
	_meta_ struct meta *m = NULL;

	registry__engine(*state, "docker", true);
	cgroup_new(*state, 1, "/docker/" ID);
	publish(*state, ID, "web");
	assert_false(wanted(*state, ID));
	assert_int_equal(registry__lookup(*state, 1, &m), REGISTRY_KNOWN);
	assert_string_equal(m->name, "web");
	assert_string_equal(m->image, "image");
	assert_string_equal(m->id, ID);
	assert_string_equal(m->cgroup_path, "/docker/" ID);
	assert_string_equal(meta__label(m, "label"), "value");
}

static void published_before_the_cgroup(void **state)
{
	registry__engine(*state, "docker", true);
	publish(*state, ID, "web");
	assert_true(registry__known(*state, ID));
	assert_false(registry__known(*state, OTHER));
	cgroup_new(*state, 1, "/docker/" ID);
	expect(*state, 1, REGISTRY_KNOWN, "web");
	assert_false(readable(*state));
}

static void engine_of_the_path_unless_it_leaves_it_open(void **state)
{
	_meta_ struct meta *kubelet = NULL, *podman = NULL;

	publish(*state, ID, "one");
	publish(*state, OTHER, "two");
	cgroup_new(*state, 1, "/kubepods/pod" UID "/" ID);
	cgroup_new(*state, 2, "/machine.slice/libpod-" OTHER ".scope");
	assert_int_equal(registry__lookup(*state, 1, &kubelet), REGISTRY_KNOWN);
	assert_string_equal(kubelet->engine, "docker");
	assert_string_equal(kubelet->pod_uid, UID);
	assert_int_equal(registry__lookup(*state, 2, &podman), REGISTRY_KNOWN);
	assert_string_equal(podman->engine, "podman");
}

static void rename_is_a_new_snapshot(void **state)
{
	_meta_ struct meta *before = NULL, *after = NULL;

	publish(*state, ID, "one");
	cgroup_new(*state, 1, "/docker/" ID);
	assert_int_equal(registry__lookup(*state, 1, &before), REGISTRY_KNOWN);
	publish(*state, ID, "two");
	assert_int_equal(registry__lookup(*state, 1, &after), REGISTRY_KNOWN);
	assert_string_equal(before->name, "one");
	assert_string_equal(after->name, "two");
	assert_true(after->version > before->version);
}

static void rename_keeps_the_rest(void **state)
{
	_meta_ struct meta *m = NULL;

	assert_int_equal(registry__rename(*state, ID, "two"), -ENOENT);
	publish(*state, ID, "one");
	cgroup_new(*state, 1, "/docker/" ID);
	assert_int_equal(registry__rename(*state, ID, "two"), 0);
	assert_int_equal(registry__lookup(*state, 1, &m), REGISTRY_KNOWN);
	assert_string_equal(m->name, "two");
	assert_string_equal(m->image, "image");
	assert_string_equal(m->cgroup_path, "/docker/" ID);
	assert_string_equal(meta__label(m, "label"), "value");
}

static void the_same_again_changes_nothing(void **state)
{
	_meta_ struct meta *before = NULL, *after = NULL;
	struct meta *changed = named(ID, "web");
	uint64_t version;

	publish(*state, ID, "web");
	cgroup_new(*state, 1, "/docker/" ID);
	assert_int_equal(registry__lookup(*state, 1, &before), REGISTRY_KNOWN);
	version = registry__version(*state);
	publish(*state, ID, "web");
	assert_int_equal(registry__version(*state), version);
	assert_int_equal(registry__lookup(*state, 1, &after), REGISTRY_KNOWN);
	assert_ptr_equal(before, after);
	free(changed->labels[0].value);
	changed->labels[0].value = strdup("other");
	assert_int_equal(registry__publish(*state, changed), 0);
	assert_true(registry__version(*state) > version);
}

static void version_moves(void **state)
{
	uint64_t before = registry__version(*state);

#define MOVES(call)                                              \
	do {                                                     \
		call;                                            \
		assert_true(registry__version(*state) > before); \
		before = registry__version(*state);              \
	} while (0)
	MOVES(registry__engine(*state, "docker", true));
	MOVES(cgroup_new(*state, 1, "/docker/" ID));
	MOVES(registry__never(*state, ID));
	MOVES(publish(*state, ID, "web"));
	MOVES(registry__engine(*state, "docker", false));
	MOVES(registry__cgroup_named(*state, 2, "cmd"));
#undef MOVES
}

static void versions_are_unique(void **state)
{
	uint64_t seen = 0;

	for (unsigned i = 1; i < 20; i++) {
		_meta_ struct meta *m = NULL, *known = NULL;
		char path[128], id[65];

		id_of(i, id);
		snprintf(path, sizeof(path), "/docker/%s", id);
		cgroup_new(*state, i, path);
		registry__lookup(*state, i, &m);
		assert_true(m->version > seen);
		publish(*state, id, "web");
		registry__lookup(*state, i, &known);
		assert_true(known->version > m->version);
		seen = known->version;
	}
}

static void short_life_seen_late(void **state)
{
	registry__engine(*state, "docker", true);
	publish(*state, ID, "brief");
	registry__gone(*state, ID);
	cgroup_new(*state, 1, "/docker/" ID);
	expect(*state, 1, REGISTRY_KNOWN, "brief");
	registry__cgroup_gone(*state, 1);
	expect(*state, 1, REGISTRY_NEVER, NULL);
	registry__gone(*state, OTHER);
}

static void restarted_in_another_cgroup(void **state)
{
	publish(*state, ID, "web");
	cgroup_new(*state, 1, "/docker/" ID);
	cgroup_new(*state, 2, "/docker/" ID);
	registry__cgroup_gone(*state, 1);
	registry__cgroup_gone(*state, 1);
	expect(*state, 1, REGISTRY_NEVER, NULL);
	expect(*state, 2, REGISTRY_KNOWN, "web");
	publish(*state, ID, "web2");
	expect(*state, 2, REGISTRY_KNOWN, "web2");
}

static void unknown_container_goes_with_its_cgroup(void **state)
{
	registry__engine(*state, "docker", true);
	cgroup_new(*state, 1, "/docker/" ID);
	registry__never(*state, ID);
	registry__cgroup_gone(*state, 1);
	/* It is not remembered: asked for again. */
	cgroup_new(*state, 2, "/docker/" ID);
	expect(*state, 2, REGISTRY_PENDING, NULL);
	registry__cgroup_gone(*state, 2);
	assert_false(readable(*state));
}

static void a_cgroup_that_has_another_path(void **state)
{
	publish(*state, ID, "one");
	publish(*state, OTHER, "two");
	cgroup_new(*state, 1, "/docker/" ID);
	cgroup_new(*state, 1, "/docker/" OTHER);
	expect(*state, 1, REGISTRY_KNOWN, "two");
	cgroup_new(*state, 1, "/");
	expect(*state, 1, REGISTRY_NEVER, NULL);
}

static void named_without_an_engine(void **state)
{
	_meta_ struct meta *m = NULL;

	assert_int_equal(registry__cgroup_named(*state, 1, "sh"), 0);
	expect(*state, 1, REGISTRY_KNOWN, "sh");
	/* The kernel tells of the cgroup later, or told before. */
	cgroup_new(*state, 1, "/notail/1");
	assert_int_equal(registry__lookup(*state, 1, &m), REGISTRY_KNOWN);
	assert_string_equal(m->name, "sh");
	assert_string_equal(m->cgroup_path, "/notail/1");
	cgroup_new(*state, 2, "/docker/" ID);
	assert_int_equal(registry__cgroup_named(*state, 2, "pid"), 0);
	expect(*state, 2, REGISTRY_KNOWN, "pid");
	publish(*state, ID, "web");
	expect(*state, 2, REGISTRY_KNOWN, "pid");
	registry__cgroup_gone(*state, 1);
	expect(*state, 1, REGISTRY_NEVER, NULL);
}

static void refuses_metadata_without_an_id(void **state)
{
	char long_id[128];

	assert_int_equal(registry__publish(*state, meta__new()), -EINVAL);
	memset(long_id, 'a', sizeof(long_id) - 1);
	long_id[sizeof(long_id) - 1] = '\0';
	assert_int_equal(registry__publish(*state, named(long_id, "x")), -EINVAL);
	assert_false(registry__known(*state, long_id));
}

/* What a list has not any more is gone, and forgotten before what is there. */
static void lists_say_what_is_gone(void **state)
{
	char id[65];

	publish(*state, ID, "kept");
	publish(*state, OTHER, "removed");
	registry__list_begin(*state);
	publish(*state, ID, "kept");
	id_of(1, id);
	publish(*state, id, "new");
	registry__list_end(*state);
	for (unsigned i = 1000; i < 2000; i++) {
		id_of(i, id);
		publish(*state, id, "x");
		registry__gone(*state, id);
	}
	assert_true(registry__known(*state, ID));
	assert_false(registry__known(*state, OTHER));
	id_of(1, id);
	assert_true(registry__known(*state, id));
}

#define ROUNDS 2000

static void *publisher(void *ctx)
{
	char id[65], name[16];
	const char *engine;

	for (unsigned i = 0; i < ROUNDS; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		id_of(i % 7, id);
		publish(ctx, id, name);
		registry__engine(ctx, "docker", i % 3 != 0);
		while (registry__next_wanted(ctx, REGISTRY_DOCKER, id, sizeof(id), &engine))
			registry__never(ctx, id);
		if (i % 5 == 0)
			registry__gone(ctx, id);
	}
	return NULL;
}

static void two_threads(void **state)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, publisher, *state), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		_meta_ struct meta *m = NULL;
		char path[128], id[65];

		id_of(i % 11, id);
		snprintf(path, sizeof(path), "/docker/%s", id);
		cgroup_new(*state, i % 11, path);
		registry__lookup(*state, i % 11, &m);
		assert_string_equal(m->id, id);
		if (m->name)
			assert_int_equal(m->name[0], 'n');
		if (i % 4 == 0)
			registry__cgroup_gone(*state, i % 11);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
}

/* What another life knew of it holds until the engine says something. */
static void restored_until_the_engine_says(void **state)
{
	_meta_ struct meta *before = named(ID, "old");

	before->cgroup_path = strdup("/docker/" ID);
	registry__engine(*state, "docker", true);
	assert_int_equal(registry__restore(*state, 1, before), 0);
	expect(*state, 1, REGISTRY_PENDING, "old");
	assert_false(registry__known(*state, ID));
	assert_true(wanted(*state, ID));
	publish(*state, ID, "new");
	expect(*state, 1, REGISTRY_KNOWN, "new");
	/* It comes too late. */
	assert_int_equal(registry__restore(*state, 1, before), 0);
	expect(*state, 1, REGISTRY_KNOWN, "new");
}

static void restored_and_the_same(void **state)
{
	_meta_ struct meta *before = named(ID, "old"), *a = NULL, *b = NULL;
	uint64_t version;

	before->cgroup_path = strdup("/docker/" ID);
	registry__engine(*state, "docker", true);
	registry__restore(*state, 1, before);
	registry__lookup(*state, 1, &a);
	version = registry__version(*state);
	publish(*state, ID, "old");
	assert_true(registry__version(*state) > version);
	expect(*state, 1, REGISTRY_KNOWN, "old");
	registry__lookup(*state, 1, &b);
	assert_ptr_equal(a, b); /* lines keep their labels */
	assert_false(readable(*state));
}

static void restored_and_gone(void **state)
{
	_meta_ struct meta *before = named(ID, "old");

	before->cgroup_path = strdup("/docker/" ID);
	registry__engine(*state, "docker", true);
	registry__restore(*state, 1, before);
	expect(*state, 1, REGISTRY_PENDING, "old");
	registry__list_begin(*state);
	registry__list_end(*state);
	expect(*state, 1, REGISTRY_PENDING, "old");
	registry__never(*state, ID);
	expect(*state, 1, REGISTRY_KNOWN, "old");
	registry__cgroup_gone(*state, 1);
}

static void restored_without_an_engine(void **state)
{
	_meta_ struct meta *before = named(ID, "old");

	before->cgroup_path = strdup("/docker/" ID);
	registry__restore(*state, 1, before);
	expect(*state, 1, REGISTRY_KNOWN, "old");
	/* What was no container's then is none now. */
	free(before->cgroup_path);
	before->cgroup_path = strdup("/system.slice/x.service");
	registry__restore(*state, 2, before);
	expect(*state, 2, REGISTRY_NEVER, "x.service");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(restored_until_the_engine_says),
		TEST(restored_and_the_same),
		TEST(restored_and_gone),
		TEST(restored_without_an_engine),
		TEST(nobody_told),
		TEST(without_an_engine),
		TEST(path_that_no_table_knows),
		TEST(unit_and_ctr),
		TEST(container_in_a_container),
		TEST(published_after_the_cgroup),
		TEST(published_before_the_cgroup),
		TEST(engine_of_the_path_unless_it_leaves_it_open),
		TEST(rename_is_a_new_snapshot),
		TEST(rename_keeps_the_rest),
		TEST(the_same_again_changes_nothing),
		TEST(version_moves),
		TEST(versions_are_unique),
		TEST(short_life_seen_late),
		TEST(restarted_in_another_cgroup),
		TEST(unknown_container_goes_with_its_cgroup),
		TEST(a_cgroup_that_has_another_path),
		TEST(named_without_an_engine),
		TEST(refuses_metadata_without_an_id),
		TEST(lists_say_what_is_gone),
		TEST(two_threads),
	};

	return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
