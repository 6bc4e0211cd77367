/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of the registry share. */
#ifndef NOTAIL_TESTS_CONTAINERS_REGISTRY_WORLD_H
#define NOTAIL_TESTS_CONTAINERS_REGISTRY_WORLD_H

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "containers/registry.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define THIRD "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define UID "e38a4778-d966-4016-84bc-e0b7dd5090fa"

static inline int set_up(void **state)
{
	return registry__new((struct registry **)state);
}

static inline int tear_down(void **state)
{
	registry__free(*state);
	return 0;
}

static inline void cgroup_new(struct registry *r, uint64_t cgroup_id, const char *path)
{
	assert_int_equal(registry__cgroup_new(r, cgroup_id, path, strlen(path)), 0);
}

static inline struct meta *named(const char *id, const char *name)
{
	struct meta *m = meta__new();

	m->engine = strdup("docker");
	m->id = strdup(id);
	m->name = strdup(name);
	m->image = strdup("image");
	assert_int_equal(meta__add_label(m, "label", "value"), 0);
	return m;
}

static inline void publish(struct registry *r, const char *id, const char *name)
{
	assert_int_equal(registry__publish(r, named(id, name)), 0);
}

static inline void id_of(unsigned i, char *ret)
{
	snprintf(ret, 65, "%064x", i);
}

/* The name in force, or NULL; checks the answer. */
static inline void expect(struct registry *r, uint64_t cgroup_id, enum registry_answer answer,
			  const char *name)
{
	_meta_ struct meta *m = NULL;

	assert_int_equal(registry__lookup(r, cgroup_id, &m), answer);
	assert_non_null(m);
	if (name)
		assert_string_equal(m->name, name);
	else
		assert_null(m->name);
}

static inline bool readable(struct registry *r)
{
	struct pollfd p = {.fd = registry__wanted_fd(r, REGISTRY_DOCKER), .events = POLLIN};

	assert_in_range(poll(&p, 1, 0), 0, 1);
	return p.revents & POLLIN;
}

static inline bool wanted(struct registry *r, const char *id)
{
	char next[65];
	const char *engine;

	if (!registry__next_wanted(r, REGISTRY_DOCKER, next, sizeof(next), &engine))
		return false;
	assert_string_equal(next, id);
	assert_non_null(engine);
	return true;
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

#endif
