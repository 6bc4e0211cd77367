/* SPDX-License-Identifier: Apache-2.0 */
/* Who is asked for what, and what look-ups wait for. */
#include "containers/registry_world.h"

static void wanted_once(void **state)
{
	registry__engine(*state, "docker", true);
	assert_false(readable(*state));
	cgroup_new(*state, 1, "/docker/" ID);
	expect(*state, 1, REGISTRY_PENDING, NULL);
	assert_true(readable(*state));
	assert_true(wanted(*state, ID));
	assert_false(readable(*state));
	assert_false(wanted(*state, ID));
	cgroup_new(*state, 1, "/docker/" ID);
	cgroup_new(*state, 2, "/docker/" ID "/docker/" OTHER);
	assert_true(wanted(*state, OTHER));
	assert_false(wanted(*state, ID));
	expect(*state, 1, REGISTRY_PENDING, NULL);
}

static void too_small_a_buffer_takes_nothing(void **state)
{
	const char *engine;
	char id[64];

	registry__engine(*state, "docker", true);
	cgroup_new(*state, 1, "/docker/" ID);
	assert_false(registry__next_wanted(*state, REGISTRY_DOCKER, id, sizeof(id), &engine));
	assert_true(wanted(*state, ID));
}

static void who_is_asked(void **state)
{
	registry__engine(*state, "docker", true);
	cgroup_new(*state, 1,
		   "/kubepods.slice/kubepods-pod11111111_2222_3333_4444_555555555555.slice/"
		   "cri-containerd-" OTHER ".scope");
	expect(*state, 1, REGISTRY_NEVER, NULL);
	assert_false(wanted(*state, OTHER));
	cgroup_new(*state, 3, "/machine.slice/libpod-" THIRD ".scope");
	expect(*state, 3, REGISTRY_PENDING, NULL);
	assert_true(wanted(*state, THIRD));
	cgroup_new(*state, 2, "/kubepods/pod" UID "/" ID);
	expect(*state, 2, REGISTRY_PENDING, NULL);
	assert_true(wanted(*state, ID));
	registry__engine(*state, "containerd", true);
	expect(*state, 1, REGISTRY_NEVER, NULL);
}

static void never(void **state)
{
	registry__engine(*state, "docker", true);
	cgroup_new(*state, 1, "/docker/" ID);
	registry__never(*state, OTHER);
	expect(*state, 1, REGISTRY_PENDING, NULL);
	registry__never(*state, ID);
	expect(*state, 1, REGISTRY_NEVER, NULL);
	assert_false(readable(*state));
	registry__engine(*state, "docker", true);
	expect(*state, 1, REGISTRY_NEVER, NULL);
	assert_false(wanted(*state, ID));
	/* It came to be known after all. */
	publish(*state, ID, "web");
	expect(*state, 1, REGISTRY_KNOWN, "web");
	registry__never(*state, ID);
	expect(*state, 1, REGISTRY_KNOWN, "web");
}

static void engine_goes_and_comes(void **state)
{
	registry__engine(*state, "docker", true);
	cgroup_new(*state, 1, "/docker/" ID);
	publish(*state, OTHER, "web");
	cgroup_new(*state, 2, "/docker/" OTHER);
	assert_true(wanted(*state, ID));
	registry__engine(*state, "docker", false);
	expect(*state, 1, REGISTRY_NEVER, NULL);
	expect(*state, 2, REGISTRY_KNOWN, "web");
	assert_false(readable(*state));
	/* The question that nobody answered is asked again. */
	registry__engine(*state, "docker", true);
	expect(*state, 1, REGISTRY_PENDING, NULL);
	assert_true(readable(*state));
	assert_true(wanted(*state, ID));
	assert_false(wanted(*state, OTHER));
}

static void publish_detailed(struct registry *r, const char *id, const char *ip, bool over)
{
	struct meta *m = named(id, "x");

	m->detailed = ip != NULL;
	m->over = over;
	m->network_ip = ip ? strdup(ip) : NULL;
	assert_int_equal(registry__publish(r, m), 0);
}

static void expect_ip(struct registry *r, const char *ip)
{
	_meta_ struct meta *m = NULL;

	assert_int_equal(registry__lookup(r, 1, &m), REGISTRY_KNOWN);
	assert_string_equal(m->network_ip, ip);
}

static void details_are_needed(void **state)
{
	char id[65];
	const char *engine;

	registry__need_details(*state);
	registry__engine(*state, "docker", true);
	publish_detailed(*state, ID, NULL, false);
	cgroup_new(*state, 1, "/docker/" ID);
	expect(*state, 1, REGISTRY_PENDING, "x");
	assert_true(registry__next_wanted(*state, REGISTRY_DOCKER, id, sizeof(id), &engine));
	assert_string_equal(id, ID);
	assert_false(registry__next_wanted(*state, REGISTRY_DOCKER, id, sizeof(id), &engine));
	publish_detailed(*state, ID, "10.0.0.1", false);
	expect_ip(*state, "10.0.0.1");
	/* Another address, perhaps. */
	registry__refresh(*state, ID);
	expect_ip(*state, "10.0.0.1");
	assert_true(registry__next_wanted(*state, REGISTRY_DOCKER, id, sizeof(id), &engine));
	/* Its last lines are still those of this address. */
	publish_detailed(*state, ID, "", true);
	expect_ip(*state, "10.0.0.1");
	registry__cgroup_gone(*state, 1);
	/* It starts again. */
	registry__refresh(*state, ID);
	assert_false(registry__next_wanted(*state, REGISTRY_DOCKER, id, sizeof(id), &engine));
	cgroup_new(*state, 1, "/docker/" ID);
	assert_true(registry__next_wanted(*state, REGISTRY_DOCKER, id, sizeof(id), &engine));
}

static void details_that_will_not_come(void **state)
{
	registry__need_details(*state);
	registry__engine(*state, "docker", true);
	publish_detailed(*state, ID, NULL, false);
	cgroup_new(*state, 1, "/docker/" ID);
	expect(*state, 1, REGISTRY_PENDING, "x");
	registry__never(*state, ID);
	expect(*state, 1, REGISTRY_KNOWN, "x");
	publish_detailed(*state, OTHER, NULL, true);
	cgroup_new(*state, 2, "/docker/" OTHER);
	expect(*state, 2, REGISTRY_KNOWN, "x");
	registry__engine(*state, "docker", false);
	cgroup_new(*state, 3, "/docker/" ID);
	expect(*state, 3, REGISTRY_KNOWN, "x");
}

static void publish_joined(struct registry *r, const char *id, const char *of)
{
	struct meta *m = named(id, "joined");

	m->detailed = true;
	m->network_mode = strdup("container:");
	m->network_of = strdup(of);
	assert_int_equal(registry__publish(r, m), 0);
}

static void expect_no_ip(struct registry *r, enum registry_answer answer)
{
	_meta_ struct meta *m = NULL;

	assert_int_equal(registry__lookup(r, 1, &m), answer);
	assert_string_equal(m->name, "joined");
	assert_null(m->network_ip);
}

/* The other one is in the list, before it or behind it, and starts again. */
static void networks_of_another(void **state)
{
	_meta_ struct meta *m = NULL;
	uint64_t version;

	registry__need_details(*state);
	registry__engine(*state, "docker", true);
	publish_detailed(*state, OTHER, "10.0.0.1", false);
	publish_joined(*state, ID, OTHER);
	cgroup_new(*state, 1, "/docker/" ID);
	expect_ip(*state, "10.0.0.1");
	assert_false(wanted(*state, OTHER));
	version = registry__version(*state);
	registry__refresh(*state, OTHER);
	assert_true(wanted(*state, OTHER));
	expect_ip(*state, "10.0.0.1");
	publish_detailed(*state, OTHER, "10.0.0.2", false);
	expect_ip(*state, "10.0.0.2");
	assert_true(registry__version(*state) > version);
	assert_int_equal(registry__lookup(*state, 1, &m), REGISTRY_KNOWN);
	assert_string_equal(m->name, "joined");
	assert_string_equal(m->network_mode, "container:");
	publish_joined(*state, ID, THIRD);
	expect_no_ip(*state, REGISTRY_PENDING);
	publish_detailed(*state, THIRD, "10.0.0.3", false);
	expect_ip(*state, "10.0.0.3");
	publish_detailed(*state, OTHER, "10.0.0.4", false);
	expect_ip(*state, "10.0.0.3");
}

/* It captures nothing of the other one: that has no cgroup, and is wanted all the same. */
static void networks_of_one_that_is_not_known(void **state)
{
	registry__need_details(*state);
	registry__engine(*state, "docker", true);
	cgroup_new(*state, 1, "/docker/" ID);
	assert_true(wanted(*state, ID));
	publish_joined(*state, ID, OTHER);
	expect_no_ip(*state, REGISTRY_PENDING);
	assert_true(wanted(*state, OTHER));
	publish_detailed(*state, OTHER, NULL, false);
	expect_no_ip(*state, REGISTRY_PENDING);
	assert_true(wanted(*state, OTHER));
	publish_detailed(*state, OTHER, "10.0.0.1", false);
	expect_ip(*state, "10.0.0.1");
	/* An engine that is away holds nobody up, and is asked again when it is back. */
	publish_joined(*state, ID, THIRD);
	assert_true(wanted(*state, THIRD));
	registry__engine(*state, "docker", false);
	expect_no_ip(*state, REGISTRY_KNOWN);
	registry__engine(*state, "docker", true);
	expect_no_ip(*state, REGISTRY_PENDING);
	assert_true(wanted(*state, THIRD));
	registry__never(*state, THIRD);
	expect_no_ip(*state, REGISTRY_KNOWN);
	assert_false(readable(*state));
}

static void networks_of_one_that_goes(void **state)
{
	registry__need_details(*state);
	registry__engine(*state, "docker", true);
	publish_joined(*state, ID, OTHER);
	cgroup_new(*state, 1, "/docker/" ID);
	expect_no_ip(*state, REGISTRY_PENDING);
	registry__gone(*state, OTHER);
	expect_no_ip(*state, REGISTRY_KNOWN);
	assert_false(readable(*state));
}

static void networks_in_a_row_and_in_a_circle(void **state)
{
	char id[65], next[65];

	registry__need_details(*state);
	registry__engine(*state, "docker", true);
	publish_joined(*state, ID, OTHER);
	publish_joined(*state, OTHER, THIRD);
	cgroup_new(*state, 1, "/docker/" ID);
	expect_no_ip(*state, REGISTRY_PENDING);
	assert_true(wanted(*state, THIRD));
	publish_detailed(*state, THIRD, "10.0.0.1", false);
	expect_ip(*state, "10.0.0.1");
	publish_joined(*state, THIRD, ID);
	expect_no_ip(*state, REGISTRY_KNOWN);
	registry__refresh(*state, OTHER);
	publish_joined(*state, ID, ID);
	expect_no_ip(*state, REGISTRY_KNOWN);
	/* As many that nobody makes. */
	for (unsigned i = 0; i < 100; i++) {
		id_of(i, id);
		id_of(i + 1, next);
		publish_joined(*state, id, next);
	}
	id_of(0, id);
	publish_joined(*state, ID, id);
	expect_no_ip(*state, REGISTRY_KNOWN);
}

/* Where nobody needs them, nobody is asked for them. */
static void networks_of_another_that_nobody_needs(void **state)
{
	registry__engine(*state, "docker", true);
	publish_joined(*state, ID, OTHER);
	cgroup_new(*state, 1, "/docker/" ID);
	expect_no_ip(*state, REGISTRY_KNOWN);
	assert_false(wanted(*state, OTHER));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(wanted_once),
		TEST(too_small_a_buffer_takes_nothing),
		TEST(who_is_asked),
		TEST(never),
		TEST(engine_goes_and_comes),
		TEST(details_are_needed),
		TEST(details_that_will_not_come),
		TEST(networks_of_another),
		TEST(networks_of_one_that_is_not_known),
		TEST(networks_of_one_that_goes),
		TEST(networks_in_a_row_and_in_a_circle),
		TEST(networks_of_another_that_nobody_needs),
	};

	return cmocka_run_group_tests_name("registry_wanted", tests, NULL, NULL);
}
