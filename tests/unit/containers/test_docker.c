/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client on a real loop and real HTTP against an engine that is a thread. The test waits by
 * running the loop until a condition holds, at most a minute.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "containers/data.h"
#include "containers/docker.h"
#include "containers/fake_docker.h"
#include "containers/pods.h"
#include "io/http.h"
#include "io/loop.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define CREATE(id, name) EVENT("create", id, name)
#define EVENT(action, id, name)                                                     \
	"{\"Type\":\"container\",\"Action\":\"" action "\",\"Actor\":{\"ID\":\"" id \
	"\",\"Attributes\":{\"name\":\"" name "\",\"image\":\"i\"}},\"time\":1}\n"
#define LISTED(id, name) "{\"Id\":\"" id "\",\"Names\":[\"/" name "\"],\"Image\":\"i\"}"

struct fixture {
	struct fake *fake;
	struct loop *loop;
	struct http *http;
	struct registry *registry;
	struct docker *docker;
	struct loop_timer *timer;
	bool (*until)(struct fixture *f);
	uint64_t deadline_ns;
	bool in_time;
	unsigned ready;
	bool answered;
	const char *name; /* what is waited for */
	unsigned count;
	char *list; /* what the engine answers, as long as it runs */
	bool details;
	struct pods *pods;
	int log_fd;
	int stderr_fd;
};

static void on_ready(void *ctx, bool answered)
{
	struct fixture *f = ctx;

	f->ready++;
	f->answered = answered;
}

static void on_timer(void *ctx)
{
	struct fixture *f = ctx;

	f->in_time = f->until(f);
	if (f->in_time || clock__boot_ns() > f->deadline_ns)
		loop__stop(f->loop);
	else
		loop_timer__set(f->timer, NS_PER_MS);
}

static void wait_until(struct fixture *f, bool (*until)(struct fixture *f))
{
	f->until = until;
	f->deadline_ns = clock__boot_ns() + 60 * NS_PER_SEC;
	loop_timer__set(f->timer, 0);
	assert_int_equal(loop__run(f->loop), 0);
	assert_true(f->in_time);
}

/* The messages go to a file that a test can read. */
static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->fake = fake__new();
	assert_int_equal(registry__new(&f->registry), 0);
	assert_int_equal(loop__new(&f->loop), 0);
	assert_int_equal(http__new(&f->http, f->loop), 0);
	assert_int_equal(loop__timer(f->loop, on_timer, f, &f->timer), 0);
	f->log_fd = memfd_create("log", MFD_CLOEXEC);
	f->stderr_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	assert_int_equal(dup2(f->log_fd, STDERR_FILENO), STDERR_FILENO);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	docker__free(f->docker);
	pods__free(f->pods);
	loop_timer__free(f->timer);
	http__free(f->http);
	loop__free(f->loop);
	registry__free(f->registry);
	fake__free(f->fake);
	free(f->list);
	dup2(f->stderr_fd, STDERR_FILENO);
	close(f->stderr_fd);
	close(f->log_fd);
	free(f);
	return 0;
}

/* How many messages have this text. */
static unsigned said(struct fixture *f, const char *text)
{
	char log[65536];
	ssize_t n = pread(f->log_fd, log, sizeof(log) - 1, 0);
	unsigned count = 0;

	assert_true(n >= 0);
	log[n] = '\0';
	for (const char *p = log; (p = strstr(p, text)); p++)
		count++;
	return count;
}

static void connect_docker(struct fixture *f)
{
	struct docker_opts opts = {
		.ready = on_ready, .ctx = f, .details = f->details, .pods = f->pods};
	char host[128];

	snprintf(host, sizeof(host), "unix://%s", f->fake->path);
	opts.host = host;
	assert_int_equal(docker__new(&f->docker, f->loop, f->http, f->registry, &opts), 0);
	assert_int_equal(f->ready, 0);
}

static void recorded_list(struct fixture *f)
{
	size_t len;

	f->list = data__read("list.json", &len);
	f->fake->list = f->list;
}

static bool is_ready(struct fixture *f)
{
	return f->ready > 0;
}

static void start(struct fixture *f)
{
	fake__start(f->fake);
	connect_docker(f);
	wait_until(f, is_ready);
}

static void cgroup_new(struct fixture *f, uint64_t cgroup_id, const char *id)
{
	char path[128];

	snprintf(path, sizeof(path), "/docker/%s", id);
	assert_int_equal(registry__cgroup_new(f->registry, cgroup_id, path, strlen(path)), 0);
}

static bool name_is(struct fixture *f, uint64_t cgroup_id, const char *name)
{
	_meta_ struct meta *m = NULL;

	return registry__lookup(f->registry, cgroup_id, &m) == REGISTRY_KNOWN && m->name &&
	       strcmp(m->name, name) == 0;
}

static enum registry_answer answer(struct fixture *f, uint64_t cgroup_id)
{
	_meta_ struct meta *m = NULL;

	return registry__lookup(f->registry, cgroup_id, &m);
}

/* Cgroup 1 has the name that the test waits for. */
static bool first_is_named(struct fixture *f)
{
	return name_is(f, 1, f->name);
}

static void wait_name(struct fixture *f, const char *name)
{
	f->name = name;
	wait_until(f, first_is_named);
}

static bool first_is_never(struct fixture *f)
{
	return answer(f, 1) == REGISTRY_NEVER;
}

static bool enough_lists(struct fixture *f)
{
	bool enough;

	fake__lock(f->fake);
	enough = f->fake->lists >= f->count;
	fake__unlock(f->fake);
	return enough;
}

static void list_names_what_runs(void **state)
{
	struct fixture *f = *state;

	recorded_list(f);
	cgroup_new(f, 1, WEB_ID);
	start(f);
	assert_true(f->answered);
	assert_true(name_is(f, 1, "shop_web_1"));
	assert_int_equal(f->fake->inspects, 0);
	assert_non_null(strstr(f->fake->events_url, "since="));
	assert_non_null(strstr(f->fake->events_url,
			       "filters=%7B%22type%22%3A%5B%22container%22%5D%2C%22event%22%3A%5B"
			       "%22create%22%2C%22start%22%2C%22rename%22%2C%22destroy%22%5D%7D"));
	assert_int_equal(said(f, "docker: "), 0);
	assert_int_equal(f->ready, 1);
}

/* By way of cri-dockerd. */
static void containers_of_pods(void **state)
{
	static char list[] = "[{\"Id\":\"" ID "\",\"Names\":[\"/k8s_web\"],\"Image\":\"i\","
			     "\"Labels\":{\"io.kubernetes.pod.uid\":\"uid\"}}]";
	struct fixture *f = *state;
	_meta_ struct meta *m = NULL;
	struct pod *p = pod__new();

	assert_int_equal(pods__new(&f->pods, f->registry), 0);
	pods__source(f->pods, true);
	f->fake->list = list;
	cgroup_new(f, 1, ID);
	start(f);
	assert_int_equal(answer(f, 1), REGISTRY_PENDING);
	p->uid = strdup("uid");
	assert_int_equal(pods__put(f->pods, p), 0);
	wait_name(f, "k8s_web");
	assert_int_equal(registry__lookup(f->registry, 1, &m), REGISTRY_KNOWN);
	assert_string_equal(m->pod->uid, "uid");
	assert_string_equal(m->pod_uid, "uid");
}

static void create_event_needs_no_inspect(void **state)
{
	struct fixture *f = *state;

	start(f);
	fake__push(f->fake, CREATE(ID, "web"));
	cgroup_new(f, 2, WEB_ID);
	wait_until(f, is_ready);
	fake__push(f->fake, CREATE(WEB_ID, "later"));
	cgroup_new(f, 1, WEB_ID);
	wait_name(f, "later");
	cgroup_new(f, 3, ID);
	assert_true(name_is(f, 3, "web"));
}

static void recorded_events_cut_at_every_byte(void **state)
{
	struct fixture *f = *state;
	size_t len;
	_free_ char *events = data__read("events.jsonl", &len);

	f->fake->piece = 1;
	start(f);
	fake__push(f->fake, events);
	fake__push(f->fake, CREATE(ID, "last"));
	cgroup_new(f, 2, TERMINAL_ID);
	cgroup_new(f, 3, BRIEF_ID);
	cgroup_new(f, 1, ID);
	wait_name(f, "last");
	assert_true(name_is(f, 2, "terminal"));
	/* Destroyed for the engine; its lines may still come. */
	assert_true(name_is(f, 3, "brief"));
	assert_int_equal(said(f, "docker: "), 0);
}

/* Its attributes hide labels that the list had. */
static void rename_is_followed(void **state)
{
	struct fixture *f = *state;
	_meta_ struct meta *m = NULL;

	recorded_list(f);
	cgroup_new(f, 1, WEB_ID);
	start(f);
	assert_true(name_is(f, 1, "shop_web_1"));
	fake__push(f->fake, EVENT("rename", WEB_ID, "two"));
	wait_name(f, "two");
	assert_int_equal(registry__lookup(f->registry, 1, &m), REGISTRY_KNOWN);
	assert_string_equal(meta__label(m, "name"), "busy");
	assert_string_equal(m->cgroup_path, "/docker/" WEB_ID);
}

static void rename_of_an_unknown_one_makes_it_known(void **state)
{
	struct fixture *f = *state;

	start(f);
	fake__push(f->fake, EVENT("rename", ID, "two"));
	cgroup_new(f, 1, ID);
	wait_name(f, "two");
}

static void hold_lists(struct fixture *f, bool hold)
{
	fake__lock(f->fake);
	f->fake->hold_list = hold;
	fake__unlock(f->fake);
}

/* The engine made the list before it renamed the container. */
static void name_of_a_list_that_is_late(void **state)
{
	struct fixture *f = *state;

	f->fake->list = "[" LISTED(WEB_ID, "before") "," LISTED(ID, "other") "]";
	cgroup_new(f, 1, WEB_ID);
	f->fake->hold_list = true;
	fake__start(f->fake);
	connect_docker(f);
	f->count = 1;
	wait_until(f, enough_lists);
	fake__lock(f->fake);
	f->fake->list = "[" LISTED(WEB_ID, "after") "," LISTED(ID, "other") "]";
	fake__unlock(f->fake);
	fake__push(f->fake, CREATE(WEB_ID, "before") EVENT("rename", WEB_ID, "after"));
	wait_name(f, "after");
	hold_lists(f, false);
	wait_until(f, is_ready);
	assert_true(name_is(f, 1, "after"));
	cgroup_new(f, 2, ID);
	assert_true(name_is(f, 2, "other"));
	f->count = 2;
	wait_until(f, enough_lists);
}

/* A start's attributes hide labels that the list had. */
static void start_of_a_known_one_changes_nothing(void **state)
{
	struct fixture *f = *state;
	_meta_ struct meta *m = NULL;

	recorded_list(f);
	cgroup_new(f, 2, WEB_ID);
	cgroup_new(f, 1, ID);
	start(f);
	fake__push(f->fake, EVENT("start", WEB_ID, "shop_web_1") EVENT("start", ID, "new"));
	wait_name(f, "new");
	assert_int_equal(registry__lookup(f->registry, 2, &m), REGISTRY_KNOWN);
	assert_string_equal(meta__label(m, "name"), "busy");
}

static const char *inspect_web(const char *id)
{
	static char *body;
	size_t len;

	if (!body)
		body = data__read("inspect.json", &len);
	return strcmp(id, WEB_ID) == 0 ? body : NULL;
}

static void inspects_what_is_wanted(void **state)
{
	struct fixture *f = *state;

	f->fake->inspect = inspect_web;
	start(f);
	cgroup_new(f, 1, WEB_ID);
	assert_int_equal(answer(f, 1), REGISTRY_PENDING);
	wait_name(f, "shop_web_1");
	assert_int_equal(f->fake->inspects, 1);
}

#define NETWORK "77"
#define NETWORK_EVENT(action, id)                                                      \
	"{\"Type\":\"network\",\"Action\":\"" action "\",\"Actor\":{\"ID\":\"" NETWORK \
	"\",\"Attributes\":{\"container\":\"" id "\",\"name\":\"shop\"}},\"time\":1}\n"
#define INSPECTED(name, status, ip)                                                               \
	"{\"Id\":\"" ID "\",\"Name\":\"/" name "\",\"Config\":{},\"State\":{\"Status\":\"" status \
	"\"},\"NetworkSettings\":{\"Networks\":{\"shop\":{\"NetworkID\":\"" NETWORK               \
	"\",\"IPAddress\":\"" ip "\"}}}}"

static const char *inspect_starting(const char *id)
{
	static unsigned asked;

	assert_string_equal(id, ID);
	return asked++ ? INSPECTED("web", "running", "10.0.0.2") : INSPECTED("web", "created", "");
}

/* An event says nothing of networks, nor does an inspect that comes before them. */
static void details_are_waited_for(void **state)
{
	struct fixture *f = *state;
	_meta_ struct meta *m = NULL;

	f->details = true;
	f->fake->inspect = inspect_starting;
	f->fake->networks = "[{\"Id\":\"" NETWORK "\",\"Name\":\"shop\",\"Scope\":\"local\"}]";
	start(f);
	assert_non_null(strstr(f->fake->events_url, "disconnect"));
	fake__push(f->fake, CREATE(ID, "web") CREATE(WEB_ID, "later"));
	cgroup_new(f, 1, ID);
	wait_name(f, "web");
	assert_int_equal(registry__lookup(f->registry, 1, &m), REGISTRY_KNOWN);
	assert_string_equal(m->network_ip, "10.0.0.2");
	assert_string_equal(m->network->scope, "local");
	assert_int_equal(f->fake->network_lists, 1);
}

static bool named_later(struct fixture *f)
{
	return registry__known(f->registry, WEB_ID) && answer(f, 1) == REGISTRY_PENDING;
}

/* What lived too short for an inspect has what its event said. */
static void details_that_never_come(void **state)
{
	struct fixture *f = *state;

	f->details = true;
	start(f);
	fake__lock(f->fake);
	f->fake->hold = 1000;
	fake__unlock(f->fake);
	cgroup_new(f, 1, WEB_ID);
	fake__push(f->fake, CREATE(WEB_ID, "web"));
	wait_until(f, named_later);
	fake__lock(f->fake);
	f->fake->hold = 0;
	fake__unlock(f->fake);
	wait_name(f, "web");
}

static const char *inspected_name = "web", *address = "10.0.0.2";

static const char *inspect_running(const char *id)
{
	static char text[512];

	assert_string_equal(id, ID);
	snprintf(text, sizeof(text), INSPECTED("%s", "running", "%s"), inspected_name, address);
	return text;
}

static bool has_address(struct fixture *f)
{
	_meta_ struct meta *m = NULL;

	return registry__lookup(f->registry, 1, &m) == REGISTRY_KNOWN && m->network_ip &&
	       strcmp(m->network_ip, f->name) == 0;
}

static void networks_are_followed(void **state)
{
	struct fixture *f = *state;
	_meta_ struct meta *m = NULL;

	f->details = true;
	f->fake->inspect = inspect_running;
	start(f);
	cgroup_new(f, 1, ID);
	f->name = "10.0.0.2";
	wait_until(f, has_address);
	/* No list of networks is to be had: what the container says is enough. */
	assert_int_equal(registry__lookup(f->registry, 1, &m), REGISTRY_KNOWN);
	assert_string_equal(m->network_name, "shop");
	assert_null(m->network);
	fake__lock(f->fake);
	address = "10.0.0.3";
	fake__unlock(f->fake);
	fake__push(f->fake, NETWORK_EVENT("connect", ID));
	f->name = "10.0.0.3";
	wait_until(f, has_address);
	fake__lock(f->fake);
	address = "10.0.0.4";
	fake__unlock(f->fake);
	fake__push(f->fake, EVENT("start", ID, "web"));
	f->name = "10.0.0.4";
	wait_until(f, has_address);
}

static bool enough_inspects(struct fixture *f)
{
	bool enough;

	fake__lock(f->fake);
	enough = f->fake->inspects >= f->count;
	fake__unlock(f->fake);
	return enough;
}

/* The answer that is under way has the name before. */
static void rename_asks_again(void **state)
{
	struct fixture *f = *state;
	_meta_ struct meta *m = NULL;

	f->details = true;
	f->fake->inspect = inspect_running;
	start(f);
	cgroup_new(f, 1, ID);
	wait_name(f, "web");
	fake__lock(f->fake);
	address = "10.0.0.5";
	f->fake->hold = 1000;
	f->count = f->fake->inspects + 1;
	fake__unlock(f->fake);
	fake__push(f->fake, NETWORK_EVENT("connect", ID));
	wait_until(f, enough_inspects);
	fake__lock(f->fake);
	inspected_name = "other";
	fake__unlock(f->fake);
	fake__push(f->fake, EVENT("rename", ID, "other"));
	wait_name(f, "other");
	fake__lock(f->fake);
	f->fake->hold = 0;
	fake__unlock(f->fake);
	f->name = "10.0.0.5";
	wait_until(f, has_address);
	assert_int_equal(registry__lookup(f->registry, 1, &m), REGISTRY_KNOWN);
	assert_string_equal(m->name, "other");
}

static const char *inspect_joined(const char *id)
{
	static char text[512];

	if (strcmp(id, WEB_ID) == 0)
		return "{\"Id\":\"" WEB_ID "\",\"Name\":\"/joined\",\"Config\":{},\"State\":{"
		       "\"Status\":\"running\"},\"HostConfig\":{\"NetworkMode\":\"container:" ID
		       "\"},\"NetworkSettings\":{\"Networks\":{}}}";
	assert_string_equal(id, ID);
	snprintf(text, sizeof(text), INSPECTED("web", "running", "%s"), address);
	return text;
}

/* Nothing of the other one is captured: it is asked for all the same, and again when it starts. */
static void networks_of_another_are_asked_for(void **state)
{
	struct fixture *f = *state;
	_meta_ struct meta *m = NULL;

	f->details = true;
	f->fake->inspect = inspect_joined;
	address = "10.0.1.2";
	start(f);
	cgroup_new(f, 1, WEB_ID);
	f->name = "10.0.1.2";
	wait_until(f, has_address);
	assert_int_equal(registry__lookup(f->registry, 1, &m), REGISTRY_KNOWN);
	assert_string_equal(m->name, "joined");
	assert_string_equal(m->network_name, "shop");
	fake__lock(f->fake);
	address = "10.0.1.3";
	fake__unlock(f->fake);
	fake__push(f->fake, EVENT("start", ID, "web"));
	f->name = "10.0.1.3";
	wait_until(f, has_address);
	assert_int_equal(f->fake->inspects, 3);
}

static void state_is_told(void **state)
{
	struct fixture *f = *state;
	struct docker_state s;

	connect_docker(f);
	docker__state(f->docker, &s);
	assert_null(s.version);
	assert_string_equal(s.problem, "not answered yet");
	wait_until(f, is_ready);
	docker__state(f->docker, &s);
	assert_non_null(s.problem);
	assert_string_not_equal(s.problem, "not answered yet");
	fake__start(f->fake);
	cgroup_new(f, 1, ID);
	fake__push(f->fake, CREATE(ID, "web"));
	wait_name(f, "web");
	f->count = 1;
	wait_until(f, enough_lists);
	fake__push(f->fake, EVENT("rename", ID, "other"));
	wait_name(f, "other");
	docker__state(f->docker, &s);
	assert_string_equal(s.version, "1.41");
	assert_non_null(strstr(s.host, f->fake->path));
}

static void not_found_is_never(void **state)
{
	struct fixture *f = *state;

	start(f);
	cgroup_new(f, 1, ID);
	assert_int_equal(answer(f, 1), REGISTRY_PENDING);
	wait_until(f, first_is_never);
	assert_int_equal(f->fake->inspects, 1);
	assert_int_equal(said(f, "docker: "), 0);
}

static const char *inspect_any(const char *id)
{
	static char body[256];

	snprintf(body, sizeof(body), "{\"Id\":\"%s\",\"Name\":\"/n%.2s\",\"Config\":{}}", id,
		 id + 62);
	return body;
}

static bool all_named(struct fixture *f)
{
	for (unsigned i = 0; i < 64; i++) {
		char name[8];

		snprintf(name, sizeof(name), "n%02x", i);
		if (!name_is(f, i, name))
			return false;
	}
	return true;
}

static bool eight_asked(struct fixture *f)
{
	bool eight;

	fake__lock(f->fake);
	eight = f->fake->inspects >= 8;
	fake__unlock(f->fake);
	return eight;
}

static void at_most_eight_at_once(void **state)
{
	struct fixture *f = *state;
	const char *engine;
	unsigned left = 0;
	char id[65];

	f->fake->hold = 64;
	start(f);
	for (unsigned i = 0; i < 20; i++) {
		snprintf(id, sizeof(id), "%064x", i);
		cgroup_new(f, i, id);
	}
	wait_until(f, eight_asked);
	while (registry__next_wanted(f->registry, REGISTRY_DOCKER, id, sizeof(id), &engine))
		left++;
	assert_int_equal(left, 12);
}

static void more_than_eight_get_their_answers(void **state)
{
	struct fixture *f = *state;

	f->fake->inspect = inspect_any;
	f->fake->hold = 8;
	start(f);
	for (unsigned i = 0; i < 64; i++) {
		char id[65];

		snprintf(id, sizeof(id), "%064x", i);
		cgroup_new(f, i, id);
	}
	wait_until(f, all_named);
	assert_int_equal(f->fake->inspects, 64);
}

static void lost_connection_lists_again(void **state)
{
	struct fixture *f = *state;

	start(f);
	fake__lock(f->fake);
	f->fake->list = "[" LISTED(ID, "meanwhile") "]";
	f->fake->end_events = true;
	fake__unlock(f->fake);
	cgroup_new(f, 1, ID);
	f->count = 2;
	wait_until(f, enough_lists);
	wait_name(f, "meanwhile");
	assert_int_equal(f->fake->lists, 2);
	assert_int_equal(f->ready, 1);
	assert_int_equal(said(f, "the stream of events ended"), 1);
	assert_int_equal(said(f, ".sock answers\n"), 1);
	/* And the new stream is heard. */
	fake__push(f->fake, EVENT("rename", ID, "renamed"));
	wait_name(f, "renamed");
}

static void unanswered_question_is_asked_again(void **state)
{
	struct fixture *f = *state;

	f->fake->inspect = inspect_web;
	f->fake->hold = 2;
	start(f);
	cgroup_new(f, 1, WEB_ID);
	fake__lock(f->fake);
	f->fake->end_events = true;
	fake__unlock(f->fake);
	wait_name(f, "shop_web_1");
	assert_int_equal(f->fake->inspects, 2);
}

static bool three_connects(struct fixture *f)
{
	bool enough;

	fake__lock(f->fake);
	enough = f->fake->connects >= 3;
	fake__unlock(f->fake);
	return enough;
}

static void away_is_said_once(void **state)
{
	struct fixture *f = *state;

	f->fake->version = NULL;
	cgroup_new(f, 1, ID);
	start(f);
	assert_false(f->answered);
	/* Nobody's lines wait for an engine that is not there. */
	assert_int_equal(answer(f, 1), REGISTRY_NEVER);
	wait_until(f, three_connects);
	assert_int_equal(said(f, "docker: "), 1);
	fake__lock(f->fake);
	f->fake->version = "{\"ApiVersion\":\"1.41\"}";
	f->fake->list = "[" LISTED(ID, "back") "]";
	fake__unlock(f->fake);
	wait_name(f, "back");
	assert_int_equal(f->ready, 1);
	assert_int_equal(said(f, "docker: "), 2);
	assert_int_equal(said(f, ".sock answers\n"), 1);
}

static void missing_socket_is_named(void **state)
{
	struct fixture *f = *state;
	char text[128];

	unlink(f->fake->path);
	connect_docker(f);
	wait_until(f, is_ready);
	assert_false(f->answered);
	snprintf(text, sizeof(text), "warn: docker: unix://%s: No such file or directory;",
		 f->fake->path);
	assert_int_equal(said(f, text), 1);
}

static void waits_while_the_engine_is_being_asked(void **state)
{
	struct fixture *f = *state;

	connect_docker(f);
	cgroup_new(f, 1, ID);
	assert_int_equal(answer(f, 1), REGISTRY_PENDING);
}

static void list_that_is_no_json(void **state)
{
	struct fixture *f = *state;

	f->fake->list = "[{\"Id\":";
	f->fake->inspect = inspect_web;
	start(f);
	assert_false(f->answered);
	/* Inspects and events go on. */
	cgroup_new(f, 1, WEB_ID);
	wait_name(f, "shop_web_1");
	fake__push(f->fake, EVENT("rename", WEB_ID, "by event"));
	wait_name(f, "by event");
	f->count = 3;
	wait_until(f, enough_lists);
	assert_int_equal(said(f, "the list of containers cannot be understood"), 1);
	fake__lock(f->fake);
	f->fake->list = "[" LISTED(WEB_ID, "by list") "]";
	fake__unlock(f->fake);
	wait_name(f, "by list");
	assert_int_equal(f->ready, 1);
	assert_int_equal(f->fake->versions, 1);
	assert_int_equal(said(f, "docker: "), 1);
}

static void list_that_is_refused(void **state)
{
	struct fixture *f = *state;

	f->fake->list_status = 500;
	f->fake->list = "{\"message\":\"no\"}";
	cgroup_new(f, 1, ID);
	start(f);
	assert_false(f->answered);
	assert_int_equal(said(f, "containers: status 500"), 1);
	fake__lock(f->fake);
	f->fake->list_status = 200;
	f->fake->list = "[" LISTED(ID, "web") "]";
	fake__unlock(f->fake);
	wait_name(f, "web");
}

static const char *inspect_garbage(const char *id)
{
	return strcmp(id, ID) == 0 ? "<html>" : NULL;
}

/* The answer is for another container, and then for this one. */
static const char *inspect_at_second_try(const char *id)
{
	static bool asked;
	bool again = asked;

	asked = true;
	return inspect_any(again ? id : WEB_ID);
}

static void inspect_is_tried_again(void **state)
{
	struct fixture *f = *state;

	f->fake->inspect = inspect_at_second_try;
	start(f);
	cgroup_new(f, 1, ID);
	wait_name(f, "nef");
	assert_int_equal(f->fake->inspects, 2);
	assert_int_equal(said(f, "cannot be understood; asking again"), 1);
}

static void inspect_that_never_says_anything(void **state)
{
	struct fixture *f = *state;

	f->fake->inspect = inspect_garbage;
	start(f);
	cgroup_new(f, 1, ID);
	wait_until(f, first_is_never);
	assert_int_equal(f->fake->inspects, 5);
	assert_int_equal(said(f, "docker: "), 1);
}

static void event_that_cannot_be_understood(void **state)
{
	struct fixture *f = *state;

	start(f);
	cgroup_new(f, 1, ID);
	fake__push(f->fake, "{\"a\":1}{\"Type\":7}\n" CREATE(ID, "web"));
	wait_name(f, "web");
	assert_int_equal(said(f, "left out"), 1);
	assert_int_equal(f->fake->streams, 1);
}

static void stream_that_is_no_json(void **state)
{
	struct fixture *f = *state;

	start(f);
	fake__push(f->fake, "<html>");
	f->count = 2;
	wait_until(f, enough_lists);
	assert_int_equal(said(f, "the stream of events cannot be understood"), 1);
	fake__push(f->fake, CREATE(ID, "web"));
	cgroup_new(f, 1, ID);
	wait_name(f, "web");
}

static void event_over_the_bound(void **state)
{
	struct fixture *f = *state;
	char *huge = malloc((1 << 20) + 16);

	start(f);
	memset(huge, '[', (1 << 20) + 15);
	huge[0] = '{';
	huge[(1 << 20) + 15] = '\0';
	fake__push(f->fake, huge);
	free(huge);
	f->count = 2;
	wait_until(f, enough_lists);
	assert_int_equal(said(f, "the stream of events cannot be understood"), 1);
}

static void version_that_is_none(void **state)
{
	struct fixture *f = *state;

	f->fake->version = "{\"ApiVersion\":\"../..\"}";
	start(f);
	assert_false(f->answered);
	assert_int_equal(f->fake->lists, 0);
	assert_int_equal(said(f, "GET /version cannot be understood"), 1);
}

static void hosts_that_are_none(void **state)
{
	static const char *const hosts[] = {
		"",
		"/var/run/docker.sock",
		"unix://",
		"unix://relative",
		"http://localhost",
		"tcp://",
		"tcp://host:99999",
		"tcp://a b:1",
	};
	struct fixture *f = *state;
	char host[256] = "unix:///";

	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		struct docker_opts opts = {.host = hosts[i]};

		assert_int_equal(docker__new(&f->docker, f->loop, f->http, f->registry, &opts),
				 -EINVAL);
	}
	memset(host + 8, 'a', 108);
	assert_int_equal(docker__new(&f->docker, f->loop, f->http, f->registry,
				     &(struct docker_opts){.host = host}),
			 -EINVAL);
	assert_null(f->docker);
	docker__free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
		TEST(list_names_what_runs),
		TEST(containers_of_pods),
		TEST(create_event_needs_no_inspect),
		TEST(recorded_events_cut_at_every_byte),
		TEST(rename_is_followed),
		TEST(rename_of_an_unknown_one_makes_it_known),
		TEST(name_of_a_list_that_is_late),
		TEST(start_of_a_known_one_changes_nothing),
		TEST(inspects_what_is_wanted),
		TEST(details_are_waited_for),
		TEST(details_that_never_come),
		TEST(networks_are_followed),
		TEST(networks_of_another_are_asked_for),
		TEST(rename_asks_again),
		TEST(state_is_told),
		TEST(not_found_is_never),
		TEST(at_most_eight_at_once),
		TEST(more_than_eight_get_their_answers),
		TEST(lost_connection_lists_again),
		TEST(unanswered_question_is_asked_again),
		TEST(away_is_said_once),
		TEST(missing_socket_is_named),
		TEST(waits_while_the_engine_is_being_asked),
		TEST(list_that_is_no_json),
		TEST(list_that_is_refused),
		TEST(inspect_is_tried_again),
		TEST(inspect_that_never_says_anything),
		TEST(event_that_cannot_be_understood),
		TEST(stream_that_is_no_json),
		TEST(event_over_the_bound),
		TEST(version_that_is_none),
		TEST(hosts_that_are_none),
#undef TEST
	};

	return cmocka_run_group_tests_name("docker", tests, NULL, NULL);
}
