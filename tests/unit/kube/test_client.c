/* SPDX-License-Identifier: Apache-2.0 */
/* What a client of the API says to whom, and what it makes of answers. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "io/http.h"
#include "io/loop.h"
#include "kube/client.h"

#include "fake_api.h"

struct test {
	struct fake *fake;
	struct loop *loop;
	struct http *http;
	struct kube *kube;
	struct http_request *request;
	struct buf body;
	char problem[512]; /* "": none */
};

static struct test *begin(void)
{
	struct test *t = calloc(1, sizeof(*t));

	t->fake = fake__new();
	assert_int_equal(loop__new(&t->loop), 0);
	assert_int_equal(http__new(&t->http, t->loop), 0);
	return t;
}

static void end(struct test *t)
{
	http_request__cancel(t->request);
	kube__free(t->kube);
	http__free(t->http);
	loop__free(t->loop);
	fake__free(t->fake);
	buf__free(&t->body);
	free(t);
}

static void on_done(void *ctx, const struct http_answer *answer)
{
	struct test *t = ctx;
	const char *problem = kube__judge(t->kube, answer, "list", "/api/v1/pods?a=b");

	t->request = NULL;
	snprintf(t->problem, sizeof(t->problem), "%s", problem ? problem : "");
	buf__append(&t->body, answer->body, answer->body_len);
	loop__stop(t->loop);
}

/* One request, whose answer the fake has. */
static void ask(struct test *t, const struct kube_opts *opts, const char *body)
{
	struct kube_request_opts request = {
		.path = "/api/v1/pods?a=b",
		.body = body,
		.body_len = body ? strlen(body) : 0,
		.timeout_ns = 30000000000ull,
		.done = on_done,
		.ctx = t,
	};

	assert_int_equal(kube__new(&t->kube, t->loop, t->http, opts), 0);
	fake__start(t->fake);
	assert_int_equal(kube__request(t->kube, &request, &t->request), 0);
	assert_int_equal(loop__run(t->loop), 0);
}

static const char *asked(const struct test *t)
{
	return t->fake->steps[0].request;
}

static void no_token_in_the_clear(void **state _unused_)
{
	struct test *t = begin();
	char path[] = "/tmp/notail-test-XXXXXX", url[64];
	int fd = mkstemp(path);
	struct kube_opts opts = {.url = url, .token_file = path, .direct = true};

	assert_int_equal(write(fd, "secret", 6), 6);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u", t->fake->port);
	fake__json(t->fake, "200 OK", "{}");
	ask(t, &opts, "{\"a\":1}");
	assert_string_equal(t->problem, "");
	assert_memory_equal(asked(t), "POST /api/v1/pods?a=b HTTP/1.1\r\n", 32);
	assert_non_null(strstr(asked(t), "\r\nContent-Type: application/json\r\n"));
	assert_null(strstr(asked(t), "Authorization"));
	end(t);
	close(fd);
	unlink(path);
}

static void a_token_that_cannot_be_read(void **state _unused_)
{
	struct test *t = begin();
	const struct kube_opts opts = {.url = "https://127.0.0.1:1", .token_file = "/nowhere/t"};
	const struct kube_request_opts request = {.path = "/", .done = on_done, .ctx = t};

	fake__start(t->fake);
	assert_int_equal(kube__new(&t->kube, t->loop, t->http, &opts), 0);
	assert_int_equal(kube__request(t->kube, &request, &t->request), -ENOENT);
	assert_string_equal(kube__problem(t->kube), "/nowhere/t: No such file or directory");
	assert_int_equal(kube__answers(t->kube, KUBE_NO_ANSWER), 1);
	end(t);
}

static void compressed(void **state _unused_)
{
	const char *text = "{\"kind\":\"PodList\"}";
	struct test *t = begin();
	unsigned char gz[256];
	z_stream z = {.next_in = (unsigned char *)text,
		      .avail_in = (unsigned)strlen(text),
		      .next_out = gz,
		      .avail_out = sizeof(gz)};
	char url[64];
	const struct kube_opts opts = {.url = url, .direct = true};

	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u", t->fake->port);
	fake__answer(t->fake, "200 OK", "Content-Encoding: gzip\r\n", (char *)gz, z.total_out);
	deflateEnd(&z);
	ask(t, &opts, NULL);
	assert_int_equal(t->body.len, strlen(text));
	assert_memory_equal(t->body.data, text, t->body.len);
	end(t);
}

/* As the environment says, or the configuration, or none at all. */
static void proxies(void **state _unused_)
{
	struct kube_opts opts = {.url = "https://10.96.0.1:443"};
	char proxy[64], url[64];
	struct test *t = begin();

	snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%u", t->fake->port);
	setenv("HTTPS_PROXY", proxy, 1);
	unsetenv("NO_PROXY");
	unsetenv("no_proxy");
	fake__json(t->fake, "502 Bad", "");
	ask(t, &opts, NULL);
	assert_memory_equal(asked(t), "CONNECT 10.96.0.1:443 HTTP/1.1\r\n", 32);
	assert_non_null(strstr(t->problem, "502"));
	end(t);
	unsetenv("HTTPS_PROXY");

	t = begin();
	snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%u", t->fake->port);
	opts = (struct kube_opts){.url = "http://api.example:8080", .proxy = proxy};
	fake__json(t->fake, "200 OK", "{}");
	ask(t, &opts, NULL);
	assert_memory_equal(asked(t), "GET http://api.example:8080/api/v1/pods?a=b HTTP/1.1\r\n",
			    54);
	end(t);

	t = begin();
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u", t->fake->port);
	opts = (struct kube_opts){.url = url, .direct = true};
	fake__json(t->fake, "200 OK", "{}");
	ask(t, &opts, NULL);
	assert_string_equal(t->problem, "");
	end(t);
	unsetenv("http_proxy");
}

static void what_a_role_has_to_name(void **state _unused_)
{
	static const struct {
		const char *path, *problem;
	} all[] = {
		{"/api/v1/pods?watch=1", "needs list on pods (403)"},
		{"/api/v1/namespaces/a/pods", "needs list on pods in namespace a (403)"},
		{"/apis/events.k8s.io/v1/events", "needs list on events.events.k8s.io (403)"},
		{"/apis/coordination.k8s.io/v1/namespaces/a/leases/b",
		 "needs list on leases.coordination.k8s.io in namespace a (403)"},
		{"/api/v1/namespaces/a", "needs list on namespaces (403)"},
		{"/pods", "needs list on nodes/pods or nodes/proxy (403)"},
		{"/", "needs list on nodes/pods or nodes/proxy (403)"},
		{"", "needs list on nodes/pods or nodes/proxy (403)"},
		{"/apis", "needs list on nodes/pods or nodes/proxy (403)"},
		{"/apis/a", "needs list on nodes/pods or nodes/proxy (403)"},
		{"/api/a/b/c/d/e/f/g/h/i/j/k", "needs list on b (403)"},
	};
	const struct http_answer answer = {.error_text = "", .status = 403, .body = ""};
	const struct kube_opts opts = {.url = "https://a"};
	struct test *t = begin();

	fake__start(t->fake);
	assert_int_equal(kube__new(&t->kube, t->loop, t->http, &opts), 0);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		assert_string_equal(kube__judge(t->kube, &answer, "list", all[i].path),
				    all[i].problem);
	assert_int_equal(kube__answers(t->kube, KUBE_FORBIDDEN), ARRAY_SIZE(all));
	end(t);
}

/* Of any length, of any bytes: one line. */
static void messages(void **state _unused_)
{
	char body[4096] = "{\"message\":\"\\u0000\\n";
	struct http_answer answer = {.error_text = "", .status = 500, .body = body};
	const struct kube_opts opts = {.url = "https://a"};
	struct test *t = begin();
	const char *problem;

	memset(body + strlen(body), 0xff, 3000);
	answer.body_len = sizeof(body);
	fake__start(t->fake);
	assert_int_equal(kube__new(&t->kube, t->loop, t->http, &opts), 0);
	problem = kube__judge(t->kube, &answer, "list", "/x");
	assert_string_equal(problem, "status 500");
	memset(body, 0xff, sizeof(body));
	body[0] = 'a';
	problem = kube__judge(t->kube, &answer, "list", "/x");
	assert_true(strlen(problem) < 300);
	assert_memory_equal(problem, "status 500: a????", 17);
	body[3] = '\n';
	problem = kube__judge(t->kube, &answer, "list", "/x");
	assert_string_equal(problem, "status 500: a??");
	end(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_token_in_the_clear),
		cmocka_unit_test(a_token_that_cannot_be_read),
		cmocka_unit_test(compressed),
		cmocka_unit_test(proxies),
		cmocka_unit_test(what_a_role_has_to_name),
		cmocka_unit_test(messages),
	};

	return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
