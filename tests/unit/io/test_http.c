/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "io/deadline.h"
#include "io/http.h"
#include "io/loop.h"
#include "io/server.h"

struct fixture {
	struct loop *loop;
	struct http *http;
	struct deadline deadline;
	struct server *server;
	struct http_request *request, *other;
	int outstanding; /* the loop stops at none */
	int done;
	/* Of the last answer. */
	int error;
	long status;
	int64_t retry_after_ns;
	char error_text[256];
	struct buf body;
	struct buf streamed;
	int stop_after; /* on_body ends the request at its n-th piece */
	int pieces;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	if (loop__new(&f->loop) || http__new(&f->http, f->loop) ||
	    deadline__init(&f->deadline, f->loop))
		return -1;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	http__free(f->http);
	if (f->server)
		server__free(f->server);
	deadline__done(&f->deadline);
	loop__free(f->loop);
	buf__free(&f->body);
	buf__free(&f->streamed);
	free(f);
	return 0;
}

static void on_done(void *ctx, const struct http_answer *a)
{
	struct fixture *f = ctx;

	f->done++;
	f->error = a->error;
	f->status = a->status;
	f->retry_after_ns = a->retry_after_ns;
	snprintf(f->error_text, sizeof(f->error_text), "%s", a->error_text);
	buf__free(&f->body);
	buf__append(&f->body, a->body, a->body_len);
	if (--f->outstanding == 0)
		loop__stop(f->loop);
}

static int on_body(void *ctx, const char *data, size_t len)
{
	struct fixture *f = ctx;

	buf__append(&f->streamed, data, len);
	return ++f->pieces == f->stop_after;
}

static void serve(struct fixture *f, const struct server_step *steps, size_t n)
{
	f->server = server__new(steps, n, NULL);
	server__start(f->server);
}

static struct http_opts options(struct fixture *f)
{
	return (struct http_opts){.url = f->server->url, .done = on_done, .ctx = f};
}

static void start(struct fixture *f, const struct http_opts *opts, struct http_request **ret)
{
	assert_int_equal(http__request(f->http, opts, ret), 0);
	f->outstanding++;
}

static void run(struct fixture *f)
{
	deadline__run(&f->deadline);
}

static void assert_buf(const struct buf *b, const char *text)
{
	assert_int_equal(b->len, strlen(text));
	assert_memory_equal(b->data ? b->data : "", text, b->len);
}

static void test_get_and_keep_alive(void **state)
{
	static const struct server_step steps[] = {
		{.answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"},
		{.answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"},
	};
	struct fixture *f = *state;
	static const char *const headers[] = {"X-Test: yes", NULL};
	struct http_opts opts;

	serve(f, steps, ARRAY_SIZE(steps));
	opts = options(f);
	opts.headers = headers;
	start(f, &opts, &f->request);
	run(f);
	assert_int_equal(f->error, 0);
	assert_string_equal(f->error_text, "");
	assert_int_equal(f->status, 200);
	assert_int_equal(f->retry_after_ns, -1);
	assert_buf(&f->body, "hello");
	start(f, &opts, &f->request);
	run(f);
	assert_int_equal(f->status, 404);
	assert_buf(&f->body, "no");
	server__stop(f->server);
	assert_int_equal(f->server->n_connections, 1);
	assert_non_null(strstr(f->server->requests[0].head, "GET / HTTP/1.1\r\n"));
	assert_non_null(strstr(f->server->requests[0].head, "\r\nX-Test: yes\r\n"));
	assert_non_null(strstr(f->server->requests[0].head,
			       "\r\nUser-Agent: notail/" NOTAIL_VERSION "\r\n"));
}

static void test_post_over_unix_socket(void **state)
{
	static const struct server_step steps[] = {{.answer = NO_CONTENT}, {.answer = NO_CONTENT}};
	struct fixture *f = *state;
	size_t size = 3 << 20;
	char dir[] = "/tmp/notail-test-XXXXXX", path[64];
	_free_ char *body = malloc(size);
	struct http_opts opts;

	for (size_t i = 0; i < size; i++)
		body[i] = (char)(i * 31 + i / 256);
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	f->server = server__new(steps, ARRAY_SIZE(steps), path);
	server__start(f->server);
	opts = options(f);
	opts.unix_socket = path;
	opts.body = body;
	opts.body_len = size;
	start(f, &opts, &f->request);
	run(f);
	assert_int_equal(f->status, 204);
	opts.body = NULL;
	opts.method = "POST";
	start(f, &opts, &f->request);
	run(f);
	assert_int_equal(f->status, 204);
	server__stop(f->server);
	assert_int_equal(f->server->requests[0].body_len, size);
	assert_memory_equal(f->server->requests[0].body, body, size);
	assert_null(strcasestr(f->server->requests[0].head, "expect:"));
	assert_non_null(strstr(f->server->requests[1].head, "POST / HTTP/1.1\r\n"));
	assert_non_null(strcasestr(f->server->requests[1].head, "\r\nContent-Length: 0\r\n"));
	unlink(path);
	rmdir(dir);
}

static void test_no_redirects(void **state)
{
	static const struct server_step steps[] = {
		{.answer = "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"}};
	struct fixture *f = *state;
	struct http_opts opts;

	serve(f, steps, 1);
	opts = options(f);
	start(f, &opts, &f->request);
	run(f);
	assert_int_equal(f->status, 302);
	assert_int_equal(f->server->n_requests, 1);
}

static void test_body_over_max(void **state)
{
	static const struct server_step steps[] = {
		{.answer = "HTTP/1.1 400 Bad\r\nContent-Length: 10\r\n\r\n0123456789"},
		{.answer = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"}};
	struct fixture *f = *state;
	struct http_opts opts;

	serve(f, steps, ARRAY_SIZE(steps));
	opts = options(f);
	opts.max_body = 9;
	start(f, &opts, &f->request);
	run(f);
	assert_int_equal(f->error, -EFBIG);
	assert_int_equal(f->status, 400);
	assert_buf(&f->body, "012345678");
	opts.max_body = 10;
	start(f, &opts, &f->request);
	run(f);
	assert_int_equal(f->error, 0);
	assert_buf(&f->body, "0123456789");
}

#define CHUNKS "5\r\nhello\r\n1\r\n,\r\n6\r\n world\r\n"
#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

static void test_stream(void **state)
{
	static const struct server_step steps[] = {
		{.answer = CHUNKED CHUNKS "0\r\n\r\n"},
		{.answer = CHUNKED CHUNKS, .after = SERVER_HANG},
		{.answer = CHUNKED CHUNKS, .after = SERVER_CLOSE},
		{.answer = "HTTP/1.1 500 Bad\r\nContent-Length: 3\r\n\r\nwhy"},
	};
	struct fixture *f = *state;
	struct http_opts opts;

	serve(f, steps, ARRAY_SIZE(steps));
	opts = options(f);
	opts.on_body = on_body;
	opts.max_body = 4;
	start(f, &opts, &f->request);
	run(f);
	assert_int_equal(f->error, 0);
	assert_int_equal(f->body.len, 0);
	assert_buf(&f->streamed, "hello, world");
	/* Ended by the reader while the server waits. */
	f->stop_after = f->pieces + 1;
	start(f, &opts, &f->request);
	run(f);
	assert_int_equal(f->error, -ECANCELED);
	/* Cut short. */
	f->stop_after = 0;
	start(f, &opts, &f->request);
	run(f);
	assert_true(f->error == -EIO || f->error == -EPROTO);
	assert_string_not_equal(f->error_text, "");
	/* What is no success is no part of the stream. */
	buf__free(&f->streamed);
	start(f, &opts, &f->request);
	run(f);
	assert_int_equal(f->status, 500);
	assert_int_equal(f->streamed.len, 0);
	assert_buf(&f->body, "why");
}

static void test_reset_and_garbage(void **state)
{
	static const struct server_step steps[] = {
		{.after = SERVER_RESET},
		{.answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", .after = SERVER_RESET},
		{.answer = "SSH-2.0-OpenSSH\r\n", .after = SERVER_CLOSE},
	};
	struct fixture *f = *state;
	struct http_opts opts;

	serve(f, steps, ARRAY_SIZE(steps));
	opts = options(f);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		start(f, &opts, &f->request);
		run(f);
		assert_int_equal(f->error, i == 2 ? -EPROTO : -EIO);
		assert_string_not_equal(f->error_text, "");
	}
}

static void test_timeout(void **state)
{
	static const struct server_step steps[] = {{.after = SERVER_HANG}};
	struct fixture *f = *state;
	struct http_opts opts;

	serve(f, steps, 1);
	opts = options(f);
	opts.timeout_ns = 1;
	start(f, &opts, &f->request);
	run(f);
	assert_int_equal(f->error, -ETIMEDOUT);
}

static void test_connection_errors(void **state)
{
	struct fixture *f = *state;
	struct http_opts opts;

	f->server = server__new(NULL, 0, NULL);
	opts = options(f);
	start(f, &opts, &f->request);
	run(f);
	assert_int_equal(f->error, -ECONNREFUSED);
	assert_int_equal(f->status, 0);
	assert_non_null(strstr(f->error_text, "refused"));
	opts.unix_socket = "/nonexistent/socket";
	start(f, &opts, &f->request);
	run(f);
	assert_int_equal(f->error, -ENOENT);
	opts.unix_socket = NULL;
	opts.url = "ftp://127.0.0.1/";
	start(f, &opts, &f->request);
	run(f);
	assert_int_equal(f->error, -EPROTO);
}

static void test_retry_after(void **state)
{
	static const char *const form = "HTTP/1.1 429 Slow\r\nRetry-After: %s\r\n"
					"Content-Length: 0\r\n\r\n";
	struct server_step steps[4] = {0};
	char answers[4][160], date[64];
	time_t later = time(NULL) + 3600;
	struct fixture *f = *state;
	struct http_opts opts;
	struct tm tm;

	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&later, &tm));
	snprintf(answers[0], sizeof(answers[0]), form, "17");
	snprintf(answers[1], sizeof(answers[1]), form, date);
	snprintf(answers[2], sizeof(answers[2]), form, "Thu, 01 Jan 1998 00:00:00 GMT");
	snprintf(answers[3], sizeof(answers[3]), form, "soon");
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		steps[i].answer = answers[i];
	serve(f, steps, ARRAY_SIZE(steps));
	opts = options(f);
	start(f, &opts, &f->request);
	run(f);
	assert_int_equal(f->retry_after_ns, 17 * NS_PER_SEC);
	start(f, &opts, &f->request);
	run(f);
	assert_in_range(f->retry_after_ns, 3000 * NS_PER_SEC, 3600 * NS_PER_SEC);
	for (int i = 0; i < 2; i++) {
		start(f, &opts, &f->request);
		run(f);
		assert_int_equal(f->retry_after_ns, -1);
	}
}

static void on_done_cancel_other(void *ctx, const struct http_answer *a)
{
	struct fixture *f = ctx;

	http_request__cancel(f->request); /* itself: nothing left to cancel */
	http_request__cancel(f->other);
	f->outstanding--;
	on_done(ctx, a);
}

static void test_cancel_in_done(void **state)
{
	static const struct server_step steps[] = {{.answer = NO_CONTENT, .after = SERVER_CLOSE},
						   {.answer = NO_CONTENT, .after = SERVER_CLOSE}};
	struct fixture *f = *state;
	struct http_opts opts;

	serve(f, steps, ARRAY_SIZE(steps));
	opts = options(f);
	start(f, &opts, &f->other);
	http_request__cancel(f->other);
	f->outstanding--;
	assert_int_equal(f->done, 0);
	opts.timeout_ns = 3600 * NS_PER_SEC;
	start(f, &opts, &f->other);
	opts.done = on_done_cancel_other;
	opts.unix_socket = "/nonexistent/socket"; /* fails at once, so it is the first */
	start(f, &opts, &f->request);
	run(f);
	assert_int_equal(f->done, 1);
	http_request__cancel(NULL);
}

/* Cancels itself and the other one, whose body is gone at once, and starts a third. */
static int on_body_cancel(void *ctx, const char *data, size_t len)
{
	struct fixture *f = ctx;
	struct http_opts opts = options(f);

	(void)data;
	(void)len;
	http_request__cancel(f->request);
	http_request__cancel(f->other);
	assert_int_equal(http__request(f->http, &opts, &f->request), 0);
	f->outstanding = 1;
	return 0;
}

static void test_cancel_and_start_in_on_body(void **state)
{
	static const struct server_step steps[] = {
		{.answer = CHUNKED CHUNKS, .after = SERVER_HANG},
		{.answer = NO_CONTENT},
		{.answer = NO_CONTENT},
	};
	struct fixture *f = *state;
	struct http_opts opts;
	char *body;

	serve(f, steps, ARRAY_SIZE(steps));
	body = strdup("body");
	opts = options(f);
	opts.on_body = on_body_cancel;
	start(f, &opts, &f->request);
	opts.on_body = NULL;
	opts.body = body;
	opts.body_len = 4;
	start(f, &opts, &f->other);
	run(f);
	free(body);
	assert_int_equal(f->done, 1);
	assert_int_equal(f->status, 204);
}

static void test_free_cancels(void **state)
{
	static const struct server_step steps[] = {{.after = SERVER_HANG}};
	struct fixture *f = *state;
	struct http_opts opts;

	serve(f, steps, 1);
	opts = options(f);
	start(f, &opts, &f->request);
	start(f, &opts, &f->other);
	http__free(f->http);
	f->http = NULL;
	assert_int_equal(f->done, 0);
	http__free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_get_and_keep_alive),
		TEST(test_post_over_unix_socket),
		TEST(test_no_redirects),
		TEST(test_body_over_max),
		TEST(test_stream),
		TEST(test_reset_and_garbage),
		TEST(test_timeout),
		TEST(test_connection_errors),
		TEST(test_retry_after),
		TEST(test_cancel_in_done),
		TEST(test_cancel_and_start_in_on_body),
		TEST(test_free_cancels),
	};

	signal(SIGPIPE, SIG_IGN);
	/* A proxy of the environment would take the requests. */
	setenv("no_proxy", "*", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
