/* SPDX-License-Identifier: Apache-2.0 */
/* Both sources of pods, against a server that says what an API server and a kubelet said. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "containers/pod.h"
#include "containers/pods.h"
#include "io/http.h"
#include "io/loop.h"
#include "kube/source.h"

#include "fake_api.h"

#define DATA "tests/data/kubernetes/"
#define WAIT_NS (20 * NS_PER_MS)
#define DEADLINE_NS (60 * NS_PER_SEC)
#define UID "ef09fbcd-9f55-44f1-a058-967fb35b0e91"
#define UID_2 "0bf89f47-2a2e-4e5e-9c1c-6ef3fd3e1f3a"
#define ID "adf904d3cc1af41eb70ecb71c96ffed0e5406647a32e9d31a368f9abe94d0947"
#define POD(uid, label)                                                          \
	"{\"metadata\":{\"uid\":\"" uid "\",\"namespace\":\"n\",\"name\":\"p\"," \
	"\"resourceVersion\":\"9\",\"labels\":{\"l\":\"" label                   \
	"\"}},\"spec\":{\"nodeName\":\"node-1\"}}"

struct test {
	struct fake *fake;
	struct loop *loop;
	struct http *http;
	struct registry *registry;
	struct pods *pods;
	struct kube_source *source;
	struct loop_timer *timer;
	uint64_t began_ns;
	bool (*is_done)(struct test *t);
	bool late;
};

static void on_timer(void *ctx)
{
	struct test *t = ctx;

	t->late = clock__boot_ns() - t->began_ns > DEADLINE_NS;
	if (t->late || t->is_done(t))
		loop__stop(t->loop);
	else
		loop_timer__set(t->timer, WAIT_NS);
}

static struct test *begin(void)
{
	struct test *t = calloc(1, sizeof(*t));

	t->fake = fake__new();
	assert_int_equal(loop__new(&t->loop), 0);
	assert_int_equal(http__new(&t->http, t->loop), 0);
	assert_int_equal(registry__new(&t->registry), 0);
	assert_int_equal(pods__new(&t->pods, t->registry), 0);
	assert_int_equal(loop__timer(t->loop, on_timer, t, &t->timer), 0);
	return t;
}

static void wait_until(struct test *t, bool (*is_done)(struct test *t))
{
	t->is_done = is_done;
	t->began_ns = clock__boot_ns();
	loop_timer__set(t->timer, 0);
	assert_int_equal(loop__run(t->loop), 0);
	assert_false(t->late);
}

static void go(struct test *t, enum kube_source_kind kind, uint64_t poll_ns)
{
	char url[64];
	struct kube_source_opts opts = {
		.kind = kind,
		.client = {.url = url, .direct = true},
		.node_name = "node-1",
		.poll_ns = poll_ns,
	};

	snprintf(url, sizeof(url), "http://127.0.0.1:%u", t->fake->port);
	fake__start(t->fake);
	assert_int_equal(kube_source__new(&t->source, t->loop, t->http, t->pods, &opts), 0);
}

static void end(struct test *t)
{
	kube_source__free(t->source);
	loop_timer__free(t->timer);
	pods__free(t->pods);
	registry__free(t->registry);
	http__free(t->http);
	loop__free(t->loop);
	fake__free(t->fake);
	free(t);
}

static struct kube_source_state state_of(struct test *t)
{
	struct kube_source_state s;

	kube_source__state(t->source, &s);
	return s;
}

static bool is_up(struct test *t)
{
	return state_of(t).up;
}

static bool has_problem(struct test *t)
{
	struct kube_source_state s = state_of(t);

	return s.problem && strcmp(s.problem, "not answered yet") != 0;
}

static bool has_ten(struct test *t)
{
	return state_of(t).pods == 10;
}

static bool has_two(struct test *t)
{
	return state_of(t).pods == 2;
}

static bool has_one(struct test *t)
{
	return state_of(t).pods == 1;
}

static void answer_file(struct test *t, const char *path)
{
	_buf_ struct buf text = {0};

	assert_int_equal(buf__read_file(&text, path, 1 << 20), 0);
	fake__answer(t->fake, "200 OK", "", text.data, text.len);
}

static void container(struct test *t, const char *uid)
{
	struct meta *m = meta__new();

	m->id = strdup(ID);
	m->pod_uid = strdup(uid);
	assert_int_equal(pods__container(t->pods, m), 0);
}

static void the_api_server(void **state _unused_)
{
	struct test *t = begin();

	answer_file(t, DATA "pods-list.json");
	fake__stream(
		t->fake, true,
		"{\"type\":\"ADDED\",\"object\":" POD(
			"u", "1") "}\n"
				  "{\"type\":\"DELETED\",\"object\":" POD(
					  "u",
					  "1") "}\n"
					       "{\"type\":\"DELETED\",\"object\":" POD(
						       UID,
						       "1") "}\n"
							    "{\"type\":\"ADDED\",\"object\":{"
							    "\"metadata\":{\"uid\":\"x\","
							    "\"namespace\":\"n\",\"name\":\"p\"},"
							    "\"spec\":{\"nodeName\":\"other\"}}}\n"
							    "{\"type\":\"ADDED\",\"object\":{"
							    "\"metadata\":{}}}\n"
							    "{\"type\":\"ADDED\",\"object\":" POD(
								    "v", "1") "}\n");
	go(t, KUBE_SOURCE_API, 0);
	wait_until(t, is_up);
	wait_until(t, has_ten);
	assert_string_equal(state_of(t).kind, "api");
	assert_null(state_of(t).problem);
	assert_non_null(strstr(t->fake->steps[0].request,
			       "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-1&"));
	end(t);
}

/* A pod's container gets what the pod says, and what it says next. */
static void change_of_a_label(void **state _unused_)
{
	struct test *t = begin();
	_meta_ struct meta *m = NULL;

	fake__json(t->fake, "200 OK",
		   "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[" POD(UID, "old") "]}");
	fake__stream(t->fake, true,
		     "{\"type\":\"MODIFIED\",\"object\":" POD(
			     UID, "new") "}\n"
					 "{\"type\":\"ADDED\",\"object\":" POD("v", "1") "}\n");
	assert_int_equal(registry__cgroup_new(t->registry, 7, "/docker/" ID, 8 + strlen(ID)), 0);
	go(t, KUBE_SOURCE_API, 0);
	container(t, UID);
	wait_until(t, has_two);
	assert_int_equal(registry__lookup(t->registry, 7, &m), REGISTRY_KNOWN);
	assert_string_equal(pod__label(m->pod, "l"), "new");
	end(t);
}

static void the_kubelet(void **state _unused_)
{
	struct test *t = begin();

	answer_file(t, DATA "kubelet-pods.json");
	fake__json(t->fake, "200 OK", "{\"kind\":\"PodList\",\"items\":[" POD(UID, "1") "]}");
	go(t, KUBE_SOURCE_KUBELET, 50 * NS_PER_MS);
	wait_until(t, has_ten);
	wait_until(t, has_one);
	assert_string_equal(state_of(t).kind, "kubelet");
	assert_non_null(strstr(t->fake->steps[1].request, "GET /pods HTTP/1.1"));
	end(t);
}

/* Long before the next poll. */
static void an_unknown_pod_at_once(void **state _unused_)
{
	struct test *t = begin();

	fake__json(t->fake, "200 OK", "{\"items\":null}");
	fake__json(t->fake, "200 OK", "{\"items\":[" POD(UID, "1") "]}");
	go(t, KUBE_SOURCE_KUBELET, 3600 * NS_PER_SEC);
	wait_until(t, is_up);
	assert_int_equal(state_of(t).pods, 0);
	container(t, UID);
	wait_until(t, has_one);
	end(t);
}

/* The watch goes on, and says nothing of pods that run, one of which another list tells of. */
static void a_watch_that_is_silent(void **state _unused_)
{
	struct test *t = begin();

	fake__json(t->fake, "200 OK", "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":null}");
	fake__stream(t->fake, true, "");
	fake__json(t->fake, "200 OK",
		   "{\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[" POD(UID, "1") "]}");
	fake__stream(t->fake, true, "");
	fake__json(t->fake, "200 OK",
		   "{\"metadata\":{\"resourceVersion\":\"11\"},\"items\":[" POD(UID, "1") "," POD(
			   UID_2, "2") "]}");
	go(t, KUBE_SOURCE_API, 0);
	wait_until(t, is_up);
	container(t, UID);
	container(t, UID_2);
	wait_until(t, has_one);
	wait_until(t, is_up);
	assert_null(state_of(t).problem);
	assert_null(strstr(t->fake->steps[2].request, "resourceVersion"));
	wait_until(t, has_two);
	end(t);
}

static void what_is_wrong_is_told(void **state _unused_)
{
	static const struct {
		const char *status, *body, *problem;
	} all[] = {
		{"401 Unauthorized", "Unauthorized",
		 "it wants a token, and there is none to send (401)"},
		{"403 Forbidden", "Forbidden (user=u, verb=get, resource=nodes, subresource=proxy)",
		 "needs get on nodes/pods or nodes/proxy (403): Forbidden (user=u,"},
		{"404 Not Found", "404 page not found\n", "it has no /pods (404): 404 page not"},
		{"200 OK", "<html>", "its list of pods cannot be understood"},
		{"200 OK", "{\"items\":[{\"metadata\":", "its list of pods cannot be understood"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		struct test *t = begin();

		fake__json(t->fake, all[i].status, all[i].body);
		fake__json(t->fake, "200 OK", "{\"items\":[" POD(UID, "1") "]}");
		go(t, KUBE_SOURCE_KUBELET, 3600 * NS_PER_SEC);
		wait_until(t, has_problem);
		assert_memory_equal(state_of(t).problem, all[i].problem, strlen(all[i].problem));
		assert_false(state_of(t).up);
		wait_until(t, is_up);
		assert_null(state_of(t).problem);
		assert_int_equal(state_of(t).pods, 1);
		end(t);
	}
}

/* Nobody waits for long for one that is away. */
static void away(void **state _unused_)
{
	struct test *t = begin();
	_meta_ struct meta *m = NULL;

	fake__json(t->fake, "200 OK", "{\"items\":[{]}");
	assert_int_equal(registry__cgroup_new(t->registry, 7, "/docker/" ID, 8 + strlen(ID)), 0);
	go(t, KUBE_SOURCE_KUBELET, NS_PER_SEC);
	container(t, UID);
	assert_int_equal(registry__lookup(t->registry, 7, &m), REGISTRY_PENDING);
	meta__unref(TAKE_PTR(m));
	wait_until(t, has_problem);
	while (registry__lookup(t->registry, 7, &m) == REGISTRY_PENDING) {
		meta__unref(TAKE_PTR(m));
		wait_until(t, has_problem);
		usleep(WAIT_NS / 1000);
	}
	assert_null(m->pod);
	end(t);
}

static void in_a_pod(void **state _unused_)
{
	struct kube_opts opts = {0};
	struct loop *loop;
	struct http *http;
	struct kube *k;

	assert_int_equal(loop__new(&loop), 0);
	assert_int_equal(http__new(&http, loop), 0);
	unsetenv("KUBERNETES_SERVICE_HOST");
	assert_int_equal(kube__new(&k, loop, http, &opts), -ENOENT);
	setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
	setenv("KUBERNETES_SERVICE_PORT", "6443", 1);
	assert_int_equal(kube__new(&k, loop, http, &opts), 0);
	assert_string_equal(kube__url(k), "https://[fd00::1]:6443");
	kube__free(k);
	setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1", 1);
	unsetenv("KUBERNETES_SERVICE_PORT");
	assert_int_equal(kube__new(&k, loop, http, &opts), 0);
	assert_string_equal(kube__url(k), "https://10.0.0.1:443");
	kube__free(k);
	opts.url = "https://api.example:6443/";
	assert_int_equal(kube__new(&k, loop, http, &opts), 0);
	assert_string_equal(kube__url(k), "https://api.example:6443");
	kube__free(k);
	opts.url = "api.example";
	assert_int_equal(kube__new(&k, loop, http, &opts), -EINVAL);
	http__free(http);
	loop__free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_api_server),
		cmocka_unit_test(change_of_a_label),
		cmocka_unit_test(the_kubelet),
		cmocka_unit_test(an_unknown_pod_at_once),
		cmocka_unit_test(a_watch_that_is_silent),
		cmocka_unit_test(what_is_wrong_is_told),
		cmocka_unit_test(away),
		cmocka_unit_test(in_a_pod),
	};

	return cmocka_run_group_tests_name("source", tests, NULL, NULL);
}
