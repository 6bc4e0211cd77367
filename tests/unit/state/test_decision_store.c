/* SPDX-License-Identifier: Apache-2.0 */
/* What was decided is found by who comes next, within the room that there is. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/util.h"
#include "containers/pod.h"
#include "state/decisions.h"
#include "state/internal.h"
#include "state/meta_record.h"

#define HALF 8192u

struct world {
	unsigned char *memory;
	size_t half;
	struct counters counters;
	struct decisions *d;
	size_t n; /* that `each` told of */
	char text[256];
};

static void open_again(struct world *w)
{
	void *halves[2] = {w->memory, w->memory + w->half};

	decisions__free(w->d);
	w->d = NULL;
	assert_int_equal(decisions__new(&w->d, halves, w->half, &w->counters), 0);
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	log__level(LOG_ERROR);
	w->half = HALF;
	w->memory = calloc(2, HALF);
	open_again(w);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	decisions__free(w->d);
	free(w->memory);
	free(w);
	return 0;
}

static struct meta *named(const char *name)
{
	struct meta *m = meta__new();

	m->engine = strdup("docker");
	m->id = strdup("0123456789abcdef");
	m->name = strdup(name);
	meta__add_label(m, "tier", name);
	return m;
}

static bool add(struct world *w, uint64_t cgroup_id, enum line_stream file, uint64_t from_ns,
		const char *name)
{
	_meta_ struct meta *m = named(name);

	return decisions__add(
		w->d,
		&(struct decision){
			.cgroup_id = cgroup_id, .file = file, .from_ns = from_ns, .pos = from_ns},
		m);
}

static const char *name_at(struct world *w, uint64_t cgroup_id, enum line_stream file,
			   uint64_t time_ns)
{
	struct decided was;

	if (!decisions__find(w->d, cgroup_id, file, time_ns, &was))
		return "-";
	return was.excluded ? "excluded" : was.meta->name;
}

static void the_greatest_time_before(void **state)
{
	struct world *w = *state;

	add(w, 1, LINE_STDOUT, 100, "a");
	add(w, 1, LINE_STDERR, 150, "a");
	add(w, 1, LINE_STDOUT, 200, "b");
	add(w, 2, LINE_STDOUT, 120, "other");
	for (int i = 0; i < 2; i++) {
		assert_string_equal(name_at(w, 1, LINE_STDOUT, 100), "a");
		assert_string_equal(name_at(w, 1, LINE_STDOUT, 199), "a");
		assert_string_equal(name_at(w, 1, LINE_STDOUT, 200), "b");
		assert_string_equal(name_at(w, 1, LINE_STDOUT, UINT64_MAX), "b");
		assert_string_equal(name_at(w, 1, LINE_STDERR, 500), "a");
		assert_string_equal(name_at(w, 2, LINE_STDOUT, 500), "other");
		/* It was not sent then: the first there is. */
		assert_string_equal(name_at(w, 1, LINE_STDOUT, 1), "a");
		assert_string_equal(name_at(w, 1, LINE_TTY, 500), "-");
		assert_string_equal(name_at(w, 3, LINE_STDOUT, 500), "-");
		open_again(w);
	}
}

static void what_is_said_is_not_said_again(void **state)
{
	struct world *w = *state;
	struct journal_stats before, after;

	add(w, 1, LINE_STDOUT, 100, "a");
	decisions__stats(w->d, &before);
	assert_true(add(w, 1, LINE_STDOUT, 300, "a"));
	decisions__stats(w->d, &after);
	assert_int_equal(before.used, after.used);
	/* The metadata is there already. */
	add(w, 1, LINE_STDERR, 300, "a");
	decisions__stats(w->d, &after);
	assert_true(after.used - before.used < 80);
	before = after;
	decisions__guard_take(w->d, "user", 310);
	add(w, 1, LINE_STDOUT, 320, "a");
	decisions__stats(w->d, &after);
	assert_true(after.used > before.used);
}

static void excluded_and_wanted_again(void **state)
{
	struct world *w = *state;
	_meta_ struct meta *m = named("a");
	struct decision d = {.cgroup_id = 1, .excluded = true, .from_ns = 200, .pos = 200};
	bool since;

	add(w, 1, LINE_STDOUT, 100, "a");
	decisions__add(w->d, &d, m);
	d = (struct decision){.cgroup_id = 1, .from_ns = 300, .pos = 300};
	decisions__add(w->d, &d, m);
	for (int i = 0; i < 2; i++) {
		assert_string_equal(name_at(w, 1, LINE_STDOUT, 150), "a");
		assert_string_equal(name_at(w, 1, LINE_STDOUT, 250), "excluded");
		assert_string_equal(name_at(w, 1, LINE_STDERR, 250), "excluded");
		assert_string_equal(name_at(w, 1, LINE_STDERR, 350), "a");
		assert_false(decisions__excluded_at(w->d, 1, 0, 200, &since) || since);
		assert_true(decisions__excluded_at(w->d, 1, 0, 201, &since) && since);
		assert_true(decisions__excluded_at(w->d, 1, 250, 300, &since) && !since);
		assert_false(decisions__excluded_at(w->d, 1, 150, 400, &since) || !since);
		assert_false(decisions__excluded_at(w->d, 2, 0, 400, NULL));
		open_again(w);
	}
}

static void count(void *ctx, uint64_t cgroup_id, const struct meta *m)
{
	struct world *w = ctx;

	w->n++;
	snprintf(w->text, sizeof(w->text), "%u %s", (unsigned)cgroup_id, m->name);
}

/* As notail's own container is, from its first record to where it was denied. */
static void excluded_and_gone(void **state)
{
	struct world *w = *state;
	const struct decision d = {.cgroup_id = 1, .excluded = true};
	_meta_ struct meta *nothing = meta__new();

	assert_true(decisions__add(w->d, &d, nothing));
	decisions__gone(w->d, 1, 500);
	open_again(w);
	assert_true(decisions__excluded_at(w->d, 1, 0, 100, NULL));
	decisions__each(w->d, count, w);
	assert_int_equal(w->n, 0);
}

/* A thousand times what there is room for, of which little is needed at a time. */
static void what_is_not_needed_goes(void **state)
{
	struct world *w = *state;
	char name[16];

	for (unsigned i = 1; i <= 20000; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		assert_true(add(w, 1, LINE_STDOUT, i, name));
		assert_true(add(w, 1000 + i, LINE_STDOUT, i, name));
		decisions__gone(w->d, 1000 + i, i);
		decisions__committed(w->d, i - MIN(i, 5u));
		if (i % 1000)
			continue;
		open_again(w);
		decisions__committed(w->d, i - 5);
		for (unsigned at = i - 4; at <= i; at++) {
			snprintf(name, sizeof(name), "n%u", at);
			assert_string_equal(name_at(w, 1, LINE_STDOUT, at), name);
			assert_string_equal(name_at(w, 1000 + at, LINE_STDOUT, at), name);
		}
		w->n = 0;
		decisions__each(w->d, count, w);
		assert_int_equal(w->n, 1);
		assert_memory_equal(w->text, "1 n", 3);
	}
	assert_int_equal(counters__get(&w->counters, journal_dropped), 0);
	assert_int_equal(counters__get(&w->counters, journal_damaged), 0);
}

static void what_has_no_room_is_counted(void **state)
{
	struct world *w = *state;
	char name[16];
	size_t found = 0;

	for (unsigned i = 1; i <= 500; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		assert_true(add(w, i, LINE_STDOUT, i, name));
	}
	open_again(w);
	for (unsigned i = 1; i <= 500; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		found += !strcmp(name_at(w, i, LINE_STDOUT, i), name);
	}
	assert_true(found > 10);
	assert_int_equal(counters__get(&w->counters, journal_dropped), 500 - found);
	assert_string_equal(name_at(w, 500, LINE_STDOUT, 500), "n500"); /* the newest stay */
	assert_string_equal(name_at(w, 1, LINE_STDOUT, 1), "-");
}

static void what_is_too_long_costs_itself(void **state)
{
	struct world *w = *state;
	char *name = malloc(HALF);

	memset(name, 'x', HALF - 1);
	name[HALF - 1] = '\0';
	add(w, 1, LINE_STDOUT, 1, "a");
	assert_false(add(w, 2, LINE_STDOUT, 2, name));
	decisions__guard_take(w->d, name, 3);
	assert_int_equal(counters__get(&w->counters, journal_dropped), 2);
	add(w, 3, LINE_STDOUT, 4, "c");
	open_again(w);
	assert_string_equal(name_at(w, 1, LINE_STDOUT, 1), "a");
	assert_string_equal(name_at(w, 2, LINE_STDOUT, 2), "-");
	assert_string_equal(name_at(w, 3, LINE_STDOUT, 4), "c");
	free(name);
}

static void add_name(void *ctx, const char *name, uint64_t since_ns)
{
	struct world *w = ctx;
	size_t len = strlen(w->text);

	snprintf(w->text + len, sizeof(w->text) - len, "%s@%u ", name, (unsigned)since_ns);
}

static const char *guarded(struct world *w)
{
	w->text[0] = '\0';
	decisions__each_guarded(w->d, add_name, w);
	return w->text;
}

static void states_of_the_guard(void **state)
{
	struct world *w = *state;
	uint64_t none = decisions__guard(w->d), user, both, one, reset;

	add(w, 1, LINE_STDOUT, 5, "a");
	decisions__guard_take(w->d, "user", 10);
	user = decisions__guard(w->d);
	decisions__guard_take(w->d, "path", 20);
	both = decisions__guard(w->d);
	decisions__guard_give(w->d, "user");
	one = decisions__guard(w->d);
	for (int i = 0; i < 2; i++) {
		assert_string_equal(guarded(w), "path@20 ");
		assert_false(decisions__guarded(w->d, "user", none));
		assert_true(decisions__guarded(w->d, "user", user));
		assert_false(decisions__guarded(w->d, "path", user));
		assert_true(decisions__guarded(w->d, "user", both));
		assert_true(decisions__guarded(w->d, "path", both));
		assert_false(decisions__guarded(w->d, "user", one));
		assert_true(decisions__guarded(w->d, "path", one));
		assert_int_equal(decisions__guard(w->d), one);
		open_again(w);
	}
	decisions__guard_reset(w->d);
	reset = decisions__guard(w->d);
	open_again(w);
	assert_string_equal(guarded(w), "");
	assert_true(decisions__guarded(w->d, "path", one));
	assert_false(decisions__guarded(w->d, "path", reset));
	assert_int_equal(decisions__guard(w->d), reset);
}

/* A label that comes and goes for months. */
static void old_states_of_the_guard_go(void **state)
{
	struct world *w = *state;

	for (unsigned i = 1; i <= 5000; i++) {
		decisions__guard_take(w->d, "user", i);
		add(w, 1, LINE_STDOUT, i, "a");
		decisions__guard_give(w->d, "user");
		add(w, 1, LINE_STDOUT, i, "a");
		decisions__committed(w->d, i);
	}
	decisions__guard_take(w->d, "user", 6000);
	open_again(w);
	assert_string_equal(guarded(w), "user@6000 ");
	assert_int_equal(counters__get(&w->counters, journal_dropped), 0);
}

/* What no process writes: a number of a state that has no next one. */
static void states_without_end(void **state)
{
	static const struct span_record odd[] = {
		{.from = UINT64_MAX - 1, .until = UINT64_MAX},
		{.from = UINT64_MAX, .until = UINT64_MAX},
		{.from = 1, .until = UINT64_MAX - 1},
		{.from = 7, .until = 6},
	};
	struct world *w = *state;
	void *halves[2] = {w->memory, w->memory + w->half};
	struct {
		struct span_record r;
		char name[8];
	} record = {.name = "username"};

	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		struct journal *j;

		memset(w->memory, 0, 2 * w->half);
		record.r = odd[i];
		assert_int_equal(journal__new(&j, halves, w->half), 0);
		assert_int_equal(journal__append(j, RECORD_SPAN, &record, sizeof(record), NULL), 0);
		journal__free(j);
		open_again(w);
		assert_int_equal(decisions__guard(w->d), 0);
		decisions__guard_take(w->d, "user", 1);
		assert_true(decisions__guarded(w->d, "user", decisions__guard(w->d)));
		assert_int_equal(counters__get(&w->counters, journal_damaged), i + 1);
	}
}

/* The same of metadata: the next one's number would be that of what lies there. */
static void metadata_without_end(void **state)
{
	struct world *w = *state;
	void *halves[2] = {w->memory, w->memory + w->half};
	struct meta_header headers[] = {{.id = 0}, {.id = 1}, {.id = UINT32_MAX}};
	struct journal *j;

	memset(w->memory, 0, 2 * w->half);
	assert_int_equal(journal__new(&j, halves, w->half), 0);
	for (size_t i = 0; i < ARRAY_SIZE(headers); i++)
		assert_int_equal(
			journal__append(j, RECORD_META, &headers[i], sizeof(headers[i]), NULL), 0);
	journal__free(j);
	open_again(w);
	assert_int_equal(counters__get(&w->counters, journal_damaged), 1);
	add(w, 1, LINE_STDOUT, 100, "a");
	add(w, 1, LINE_STDOUT, 200, "b");
	open_again(w);
	assert_string_equal(name_at(w, 1, LINE_STDOUT, 100), "a");
	assert_string_equal(name_at(w, 1, LINE_STDOUT, 200), "b");
}

static void steps_of_the_clock(void **state)
{
	struct world *w = *state;
	struct clock_anchor a = {.offset_ns = 1000}, read;

	assert_int_equal(decisions__clock(w->d, &read), -ENOENT);
	decisions__add_clock(w->d, &a);
	for (uint64_t i = 1; i < 100; i++) {
		assert_true(clock__follow(&a, i * 1000 * NS_PER_SEC, (int64_t)(i * NS_PER_SEC)));
		decisions__add_clock(w->d, &a);
	}
	for (int i = 0; i < 2; i++) {
		assert_int_equal(decisions__clock(w->d, &read), 0);
		assert_int_equal(read.n_before, a.n_before);
		for (uint64_t at = 0; at < 200; at++)
			assert_int_equal(clock__to_real(&read, at * 600 * NS_PER_SEC),
					 clock__to_real(&a, at * 600 * NS_PER_SEC));
		open_again(w);
	}
}

static void flushes(void **state)
{
	struct world *w = *state;
	struct decided_flush f;

	decisions__add_flush(w->d, 100, UINT64_MAX);
	decisions__guard_take(w->d, "user", 1);
	decisions__add_flush(w->d, 200, 150);
	open_again(w);
	assert_true(decisions__next_flush(w->d, 0, &f) && f.pos == 100 && f.before == UINT64_MAX &&
		    !f.guard);
	assert_true(decisions__next_flush(w->d, 101, &f) && f.pos == 200 && f.before == 150 &&
		    f.guard);
	assert_false(decisions__next_flush(w->d, 201, &f));
	decisions__committed(w->d, 150);
	for (unsigned i = 0; i < 1000; i++) {
		decisions__add_flush(w->d, 1000 + i, UINT64_MAX);
		decisions__committed(w->d, 1000 + i - MIN(i, 50u));
	}
	assert_true(decisions__next_flush(w->d, 1999, &f));
	assert_int_equal(counters__get(&w->counters, journal_dropped), 0);
}

static void gone_is_gone(void **state)
{
	struct world *w = *state;
	uint64_t guard;

	add(w, 1, LINE_STDOUT, 100, "a");
	guard = decisions__guard(w->d);
	assert_int_equal(decisions__gone(w->d, 1, 300), guard);
	decisions__guard_take(w->d, "user", 400);
	open_again(w);
	decisions__each(w->d, count, w);
	assert_int_equal(w->n, 0);
	assert_true(decisions__knows(w->d, 1));
	/* Its lines may come again. */
	assert_string_equal(name_at(w, 1, LINE_STDOUT, 100), "a");
	assert_int_equal(decisions__gone(w->d, 1, 500), guard);
	assert_int_equal(decisions__gone(w->d, 2, 500), decisions__guard(w->d));
	assert_false(decisions__knows(w->d, 2));
}

/* Whatever byte is wrong: no more than what it is of is lost. */
static void damage_is_counted(void **state)
{
	struct world *w = *state;
	_free_ unsigned char *whole = malloc(2 * HALF);
	size_t lost = 0;

	for (unsigned i = 1; i <= 10; i++)
		add(w, i, LINE_STDOUT, i, "a");
	memcpy(whole, w->memory, 2 * HALF);
	for (size_t at = 0; at < 2 * HALF; at += 5) {
		size_t found = 0;

		memcpy(w->memory, whole, 2 * HALF);
		w->memory[at] ^= 0x55;
		open_again(w);
		for (unsigned i = 1; i <= 10; i++)
			found += !strcmp(name_at(w, i, LINE_STDOUT, i), "a");
		assert_true(found == 10 || found == 9 || found == 0);
		lost += 10 - found;
	}
	assert_true(lost > 0);
	assert_true(counters__get(&w->counters, journal_damaged) > 0);
}

static void add_pod(struct meta *m)
{
	struct pod *p = pod__new();
	struct pod_container *c;

	p->uid = strdup("uid");
	p->namespace = strdup("shop");
	p->name = strdup("web-0");
	p->config_hash = strdup("hash");
	p->node_name = strdup("node-1");
	p->host_ip = strdup("10.99.0.1");
	p->ip = strdup("10.244.0.7");
	p->phase = strdup("Running");
	p->ready = strdup("true");
	p->controller_kind = strdup("StatefulSet");
	p->controller_name = strdup("web");
	p->from_bundle = true;
	pod__add_label(p, "app", "web");
	pod__add_annotation(p, "empty", "");
	c = pod__add_container(p, "web");
	c->kind = POD_CONTAINER_INIT;
	c->id = strdup("0123");
	c->image = strdup("nginx");
	pod_container__add_port(c, "http", 80, "TCP");
	meta__add_label(m, META_POD_CONTAINER_LABEL, "web");
	m->pod = p;
}

/* Of all containers of the pod only its own is a container's; of ports the first. */
static void pods_as_bytes(void **state)
{
	_meta_ struct meta *m = named("web"), *other = named("web"), *read = NULL;
	_buf_ struct buf a = {0}, b = {0};

	(void)state;
	add_pod(m);
	add_pod(other);
	for (int i = 0; i < 50; i++)
		pod__add_container(m->pod, "other");
	pod_container__add_port(&m->pod->containers[0], NULL, 81, NULL);
	assert_int_equal(meta_record__write(&a, m), 0);
	assert_int_equal(meta_record__write(&b, other), 0);
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.data, b.data, a.len);
	assert_int_equal(meta_record__read(a.data, a.len, &read), 0);
	assert_true(meta__same(read, other));
	assert_int_equal(read->pod->containers[0].ports[0].number, 80);
	assert_null(read->network);
}

static void metadata_as_bytes(void **state)
{
	struct world *w = *state;
	_meta_ struct meta *m = named("web"), *read = NULL;
	_buf_ struct buf a = {0}, b = {0};

	(void)w;
	m->image = strdup("nginx:1");
	m->image_id = strdup("sha256:1");
	m->detailed = true;
	m->network_mode = strdup("bridge");
	m->network_of = strdup("fedcba");
	m->network_name = strdup("net");
	m->network_id = strdup("77");
	m->network_ip = strdup("10.0.0.1");
	m->port =
		(struct meta_port){.inside = 80, .outside = 8080, .outside_ip = strdup("0.0.0.0")};
	m->cgroup_path = strdup("/docker/x");
	m->pod_uid = strdup("uid");
	m->outer_id = strdup("outer");
	meta__add_label(m, "empty", "");
	m->network = meta_network__new();
	m->network->id = strdup("77");
	m->network->name = strdup("net");
	m->network->scope = strdup("local");
	m->network->ingress = true;
	meta_network__add_label(m->network, "a", "b");
	add_pod(m);
	assert_int_equal(meta_record__write(&a, m), 0);
	assert_int_equal(meta_record__read(a.data, a.len, &read), 0);
	assert_true(meta__same(m, read));
	assert_string_equal(read->cgroup_path, "/docker/x");
	assert_string_equal(read->pod_uid, "uid");
	assert_string_equal(read->outer_id, "outer");
	assert_int_equal(meta_record__write(&b, read), 0);
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.data, b.data, a.len);
	for (size_t len = 1; len < a.len; len++) {
		struct meta *cut = NULL;

		assert_true(meta_record__read(a.data, len, &cut) == -EBADMSG || cut);
		meta__unref(cut);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(the_greatest_time_before),
		TEST(what_is_said_is_not_said_again),
		TEST(excluded_and_wanted_again),
		TEST(excluded_and_gone),
		TEST(what_is_not_needed_goes),
		TEST(what_has_no_room_is_counted),
		TEST(what_is_too_long_costs_itself),
		TEST(states_of_the_guard),
		TEST(old_states_of_the_guard_go),
		TEST(states_without_end),
		TEST(metadata_without_end),
		TEST(steps_of_the_clock),
		TEST(flushes),
		TEST(gone_is_gone),
		TEST(damage_is_counted),
		TEST(metadata_as_bytes),
		TEST(pods_as_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
