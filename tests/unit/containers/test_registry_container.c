/* SPDX-License-Identifier: Apache-2.0 */
/* How much is kept. */
#include "containers/registry_world.h"

static void least_recently_used_go_first(void **state)
{
	char id[65];

	publish(*state, ID, "in use");
	cgroup_new(*state, 1, "/docker/" ID);
	publish(*state, OTHER, "published again");
	for (unsigned i = 0; i < REGISTRY_MAX - 2; i++) {
		id_of(i, id);
		publish(*state, id, "x");
	}
	id_of(0, id);
	assert_true(registry__known(*state, id));
	publish(*state, OTHER, "published again");
	id_of(REGISTRY_MAX, id);
	publish(*state, id, "one more");
	assert_true(registry__known(*state, id));
	id_of(0, id);
	assert_false(registry__known(*state, id));
	id_of(1, id);
	assert_true(registry__known(*state, id));
	assert_true(registry__known(*state, OTHER));
	expect(*state, 1, REGISTRY_KNOWN, "in use");
}

static void gone_ones_are_bounded(void **state)
{
	char id[65];

	publish(*state, OTHER, "there");
	for (unsigned i = 0; i < 2000; i++) {
		id_of(i, id);
		publish(*state, id, "x");
		registry__gone(*state, id);
	}
	assert_true(registry__known(*state, id));
	id_of(1000, id);
	assert_false(registry__known(*state, id));
	assert_true(registry__known(*state, OTHER));
}

static void more_in_use_than_the_bound(void **state)
{
	char path[128], id[65];

	for (unsigned i = 0; i < REGISTRY_MAX + 100; i++) {
		id_of(i, id);
		snprintf(path, sizeof(path), "/docker/%s", id);
		publish(*state, id, "x");
		cgroup_new(*state, i, path);
	}
	for (unsigned i = 0; i < REGISTRY_MAX + 100; i++)
		expect(*state, i, REGISTRY_KNOWN, "x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(least_recently_used_go_first),
		TEST(gone_ones_are_bounded),
		TEST(more_in_use_than_the_bound),
	};

	return cmocka_run_group_tests_name("registry_container", tests, NULL, NULL);
}
