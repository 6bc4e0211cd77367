/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>

#include "base/clock.h"
#include "base/log.h"
#include "io/deadline.h"
#include "io/http.h"
#include "io/loop.h"
#include "io/server.h"
#include "sink/batches.h"
#include "sink/loki.h"

#define TEXT_ANSWER(status, text) \
	"HTTP/1.1 " status " Status\r\nConnection: close\r\n\r\n" text "\n"

struct fixture {
	struct loop *loop;
	struct http *http;
	struct deadline deadline;
	struct loop_timer *poll;
	struct server *server;
	struct loki_sink *sink;
	struct results results;
	size_t wanted;	    /* the loop stops at so many results */
	struct batch *next; /* submitted from the first result's callback */
	int log_fd, saved_stderr;
};

/* The server comes up once the sink has failed twice. */
static void on_poll(void *ctx)
{
	struct fixture *f = ctx;

	if (loki_sink__stats(f->sink)->retries >= 2) {
		assert_non_null(loki_sink__problem(f->sink));
		server__start(f->server);
	} else {
		loop_timer__set(f->poll, NS_PER_MS);
	}
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	f->saved_stderr = -1;
	if (loop__new(&f->loop) || http__new(&f->http, f->loop) ||
	    deadline__init(&f->deadline, f->loop) || loop__timer(f->loop, on_poll, f, &f->poll))
		return -1;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	loki_sink__free(f->sink);
	http__free(f->http);
	if (f->server)
		server__free(f->server);
	deadline__done(&f->deadline);
	loop_timer__free(f->poll);
	loop__free(f->loop);
	free(f);
	return 0;
}

static void on_done(void *ctx, struct batch *b, enum sink_result result)
{
	struct fixture *f = ctx;

	results__add(&f->results, b, result);
	if (f->next)
		loki_sink__submit(f->sink, TAKE_PTR(f->next));
	if (f->results.n == f->wanted)
		loop__stop(f->loop);
}

static struct loki_opts options(struct fixture *f)
{
	return (struct loki_opts){.url = f->server->url,
				  .min_backoff_ns = NS_PER_MS,
				  .max_backoff_ns = 4 * NS_PER_MS};
}

static void make_sink(struct fixture *f, const struct loki_opts *opts)
{
	const char *why = NULL;

	assert_int_equal(loki_sink__new(&f->sink, f->loop, f->http, opts, on_done, f, &why), 0);
}

static void serve(struct fixture *f, const struct server_step *steps, size_t n)
{
	struct loki_opts opts;

	f->server = server__new(steps, n, NULL);
	server__start(f->server);
	opts = options(f);
	make_sink(f, &opts);
}

static void submit(struct fixture *f, uint64_t sequence)
{
	char text[32];

	snprintf(text, sizeof(text), "payload %d", (int)sequence);
	loki_sink__submit(f->sink, make_batch(sequence, text, strlen(text)));
	f->wanted++;
}

static void run(struct fixture *f)
{
	deadline__run(&f->deadline);
}

static const char *sent_head(struct fixture *f, size_t i)
{
	server__stop(f->server);
	assert_true(i < f->server->n_requests);
	return f->server->requests[i].head;
}

static void assert_sent(struct fixture *f, size_t i, const char *body)
{
	sent_head(f, i);
	assert_string_equal(f->server->requests[i].body, body);
}

/* log__print writes to stderr: what it says goes to a file from here on. */
static void catch_log(struct fixture *f)
{
	FILE *file = tmpfile();

	fflush(stderr);
	f->log_fd = dup(fileno(file));
	f->saved_stderr = dup(2);
	fclose(file);
	dup2(f->log_fd, 2);
}

static char *caught_log(struct fixture *f)
{
	static char text[8192];
	ssize_t n;

	fflush(stderr);
	dup2(f->saved_stderr, 2);
	close(f->saved_stderr);
	n = pread(f->log_fd, text, sizeof(text) - 1, 0);
	close(f->log_fd);
	text[n > 0 ? n : 0] = 0;
	return text;
}

static int occurrences(const char *text, const char *word)
{
	int n = 0;

	for (const char *p = text; (p = strstr(p, word)); p++)
		n++;
	return n;
}

static void test_delivers_in_order(void **state)
{
	static const struct server_step steps[] = {
		{.answer = NO_CONTENT}, {.answer = NO_CONTENT}, {.answer = NO_CONTENT}};
	struct fixture *f = *state;
	const struct sink_stats *stats;

	serve(f, steps, ARRAY_SIZE(steps));
	assert_true(loki_sink__idle(f->sink));
	submit(f, 1);
	submit(f, 2);
	f->next = make_batch(3, "payload 3", 9);
	f->wanted++;
	assert_false(loki_sink__idle(f->sink));
	run(f);
	assert_true(loki_sink__idle(f->sink));
	assert_int_equal(loki_sink__queued_bytes(f->sink), 0);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(f->results.sequence[i], i + 1);
		assert_int_equal(f->results.result[i], SINK_DELIVERED);
	}
	stats = loki_sink__stats(f->sink);
	assert_int_equal(stats->batches, 3);
	assert_int_equal(stats->lines, 11 + 12 + 13);
	assert_int_equal(stats->bytes, 27);
	assert_int_equal(stats->retries + stats->dropped_lines + stats->partial, 0);
	assert_sent(f, 0, "payload 1");
	assert_sent(f, 1, "payload 2");
	assert_sent(f, 2, "payload 3");
	assert_non_null(strstr(sent_head(f, 0), "POST /loki/api/v1/push HTTP/1.1\r\n"));
	assert_non_null(strstr(sent_head(f, 0), "\r\nContent-Type: application/x-protobuf\r\n"));
	assert_null(strstr(sent_head(f, 0), "X-Scope-OrgID"));
	assert_null(strstr(sent_head(f, 0), "Authorization"));
}

static void test_retries_keep_order(void **state)
{
	static const struct server_step steps[] = {
		{.answer = TEXT_ANSWER("503", "no"), .after = SERVER_CLOSE},
		{.answer = TEXT_ANSWER("401", "no org id"), .after = SERVER_CLOSE},
		{.answer = TEXT_ANSWER("500", "empty ring"), .after = SERVER_CLOSE},
		{.after = SERVER_RESET},
		{.answer = TEXT_ANSWER("302", "elsewhere"), .after = SERVER_CLOSE},
		{.answer = NO_CONTENT},
		{.answer = NO_CONTENT},
	};
	struct fixture *f = *state;
	char *log;

	serve(f, steps, ARRAY_SIZE(steps));
	catch_log(f);
	submit(f, 1);
	submit(f, 2);
	run(f);
	log = caught_log(f);
	assert_int_equal(f->results.sequence[0], 1);
	assert_int_equal(f->results.sequence[1], 2);
	assert_int_equal(f->results.result[0], SINK_DELIVERED);
	assert_int_equal(loki_sink__stats(f->sink)->retries, 5);
	assert_int_equal(loki_sink__stats(f->sink)->dropped_lines, 0);
	assert_null(loki_sink__problem(f->sink));
	for (size_t i = 0; i < 6; i++)
		assert_sent(f, i, "payload 1");
	assert_sent(f, 6, "payload 2");
	/* Once when it begins, once when it is over. */
	assert_int_equal(occurrences(log, "\n"), 2);
	assert_int_equal(occurrences(log, "status 503: no;"), 1);
	assert_int_equal(occurrences(log, "answers again"), 1);
}

/* Its own backoff would outlast the test: only the server's word can be what it waits for. */
static void test_retry_after_is_obeyed(void **state)
{
	static const struct server_step steps[] = {
		{.answer = "HTTP/1.1 429 Slow\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"},
		{.answer = NO_CONTENT}};
	struct fixture *f = *state;
	struct loki_opts opts;

	f->server = server__new(steps, ARRAY_SIZE(steps), NULL);
	server__start(f->server);
	opts = options(f);
	opts.min_backoff_ns = opts.max_backoff_ns = 3600 * NS_PER_SEC;
	make_sink(f, &opts);
	submit(f, 1);
	run(f);
	assert_int_equal(f->results.result[0], SINK_DELIVERED);
	assert_int_equal(loki_sink__stats(f->sink)->retries, 1);
}

static void test_retry_after_is_bounded(void **state)
{
	static const struct server_step steps[] = {
		{.answer = "HTTP/1.1 429 Slow\r\nRetry-After: 86400\r\nContent-Length: 0\r\n\r\n"},
		{.answer = NO_CONTENT}};
	struct fixture *f = *state;

	serve(f, steps, ARRAY_SIZE(steps));
	submit(f, 1);
	run(f);
	assert_int_equal(f->results.result[0], SINK_DELIVERED);
}

static void on_other_done(void *ctx, const struct http_answer *a)
{
	struct fixture *f = ctx;

	assert_int_equal(a->status, 204);
	loop__stop(f->loop);
}

static void on_poll_failed(void *ctx)
{
	struct fixture *f = ctx;

	if (loki_sink__stats(f->sink)->retries)
		loop__stop(f->loop);
	else
		loop_timer__set(f->poll, NS_PER_MS);
}

/* What is submitted between two tries waits for the second: seen by a request that comes through
 * before it. */
static void test_submit_does_not_end_the_wait(void **state)
{
	static const struct server_step steps[] = {
		{.answer = "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"},
		{.answer = NO_CONTENT},
		{.answer = NO_CONTENT}};
	struct fixture *f = *state;
	struct http_opts other = {.done = on_other_done, .ctx = f};
	struct http_request *request;
	struct loki_opts opts;

	f->server = server__new(steps, ARRAY_SIZE(steps), NULL);
	server__start(f->server);
	opts = options(f);
	opts.min_backoff_ns = opts.max_backoff_ns = 3600 * NS_PER_SEC;
	make_sink(f, &opts);
	loop_timer__free(f->poll);
	assert_int_equal(loop__timer(f->loop, on_poll_failed, f, &f->poll), 0);
	loop_timer__set(f->poll, 0);
	submit(f, 1);
	run(f);
	submit(f, 2);
	other.url = f->server->url;
	assert_int_equal(http__request(f->http, &other, &request), 0);
	run(f);
	assert_int_equal(f->results.n, 0);
	assert_non_null(strstr(sent_head(f, 1), "GET / HTTP/1.1\r\n"));
	assert_int_equal(f->server->n_requests, 2);
}

static void test_comes_up_later(void **state)
{
	static const struct server_step steps[] = {{.answer = NO_CONTENT}, {.answer = NO_CONTENT}};
	struct fixture *f = *state;
	struct loki_opts opts;

	f->server = server__new(steps, ARRAY_SIZE(steps), NULL);
	opts = options(f);
	make_sink(f, &opts);
	submit(f, 1);
	submit(f, 2);
	loop_timer__set(f->poll, NS_PER_MS);
	run(f);
	assert_int_equal(f->results.result[0], SINK_DELIVERED);
	assert_int_equal(f->results.result[1], SINK_DELIVERED);
	assert_true(loki_sink__stats(f->sink)->retries >= 2);
	assert_sent(f, 0, "payload 1");
	assert_sent(f, 1, "payload 2");
}

struct refusal {
	const char *answer;
	enum sink_reason reason;
};

/* Of batches that cannot be looked into: nothing can be repaired. */
static const struct refusal refusals[] = {
	{TEXT_ANSWER("400", "entry for stream '{a=\"b\"}' has timestamp too old: 2020"),
	 SINK_REFUSED_OTHER},
	{TEXT_ANSWER("422", "error at least one valid stream is required for ingestion"),
	 SINK_REFUSED_OTHER},
	{TEXT_ANSWER("400", "no reason"), SINK_REFUSED_OTHER},
	{TEXT_ANSWER("413", "request body too large"), SINK_TOO_LARGE},
	{TEXT_ANSWER("413", "<html>Request Entity Too Large</html>"), SINK_TOO_LARGE},
};

static void test_refusals(void **state)
{
	static struct server_step steps[ARRAY_SIZE(refusals)];
	uint64_t dropped[SINK_REASONS] = {0}, all = 0;
	struct fixture *f = *state;
	char *log;

	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
		steps[i] =
			(struct server_step){.answer = refusals[i].answer, .after = SERVER_CLOSE};
	serve(f, steps, ARRAY_SIZE(steps));
	catch_log(f);
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
		submit(f, i);
	run(f);
	log = caught_log(f);
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		assert_int_equal(f->results.sequence[i], i);
		assert_int_equal(f->results.result[i], SINK_REFUSED);
		dropped[refusals[i].reason] += 10 + i;
		all += 10 + i;
	}
	assert_int_equal(loki_sink__stats(f->sink)->dropped_lines, all);
	for (unsigned i = 0; i < SINK_REASONS; i++)
		assert_int_equal(loki_sink__stats(f->sink)->dropped[i], dropped[i]);
	assert_int_equal(loki_sink__stats(f->sink)->retries, 0);
	/* One message for all of them within the minute. */
	assert_int_equal(occurrences(log, "\n"), 1);
	assert_int_equal(occurrences(log, "timestamp too old: 2020"), 1);
}

/* Answers that look like one, and are none: it is tried again. */
static void test_lies(void **state)
{
	static const struct server_step steps[] = {
		{.answer = TEXT_ANSWER("200", "<html>It works</html>"), .after = SERVER_CLOSE},
		{.answer = TEXT_ANSWER("200", "welcome"), .after = SERVER_CLOSE},
		{.answer = TEXT_ANSWER("400", "\n<html>plain HTTP to HTTPS port</html>"),
		 .after = SERVER_CLOSE},
		{.answer = TEXT_ANSWER("400", "snappy: corrupt input"), .after = SERVER_CLOSE},
		{.answer = TEXT_ANSWER("400", "unexpected EOF"), .after = SERVER_CLOSE},
		{.answer = TEXT_ANSWER("302", "go there"), .after = SERVER_CLOSE},
		{.answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		 .after = SERVER_CLOSE},
		{.answer = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{", .after = SERVER_CLOSE},
		{.answer = "no HTTP at all", .after = SERVER_CLOSE},
		{.answer = TEXT_ANSWER("200", "{\"status\":\"success\"}"), .after = SERVER_CLOSE},
		{.answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
	};
	struct fixture *f = *state;
	char *log;

	serve(f, steps, ARRAY_SIZE(steps));
	catch_log(f);
	submit(f, 1);
	submit(f, 2);
	run(f);
	log = caught_log(f);
	assert_int_equal(f->results.result[0], SINK_DELIVERED);
	assert_int_equal(f->results.result[1], SINK_DELIVERED);
	assert_int_equal(loki_sink__stats(f->sink)->retries, 9);
	assert_int_equal(loki_sink__stats(f->sink)->dropped_lines, 0);
	assert_int_equal(occurrences(log, "not Loki's answer"), 1);
}

static void test_endless_answers(void **state)
{
	static char body[2 << 20], headers[2 << 20];
	static const struct server_step steps[] = {
		{.answer = body, .len = sizeof(body), .after = SERVER_CLOSE},
		{.answer = headers, .len = sizeof(headers), .after = SERVER_CLOSE},
		{.answer = NO_CONTENT},
	};
	struct fixture *f = *state;
	char *log;

	memset(body, 'x', sizeof(body));
	memset(headers, 'x', sizeof(headers));
	for (size_t i = 0; i < sizeof(headers) - 1000; i += 1000)
		memcpy(headers + i, "\r\nX-More: ", 10);
	memcpy(body, "HTTP/1.1 200 OK\r\n\r\n", 19);
	memcpy(headers, "HTTP/1.1 200 OK\r\nX-More: ", 25);
	serve(f, steps, ARRAY_SIZE(steps));
	log__level(LOG_DEBUG);
	catch_log(f);
	submit(f, 1);
	run(f);
	log = caught_log(f);
	log__level(LOG_INFO);
	assert_int_equal(loki_sink__stats(f->sink)->retries, 2);
	assert_int_equal(f->results.result[0], SINK_DELIVERED);
	assert_non_null(strstr(log, "headers have more than"));
}

static void test_max_retries(void **state)
{
	static const struct server_step steps[] = {
		{.answer = TEXT_ANSWER("503", "no"), .after = SERVER_CLOSE},
		{.answer = TEXT_ANSWER("429", "no"), .after = SERVER_CLOSE},
		{.after = SERVER_RESET},
		{.answer = NO_CONTENT},
	};
	struct fixture *f = *state;
	struct loki_opts opts;

	f->server = server__new(steps, ARRAY_SIZE(steps), NULL);
	server__start(f->server);
	opts = options(f);
	opts.max_retries = 2;
	make_sink(f, &opts);
	submit(f, 1);
	submit(f, 2);
	run(f);
	assert_int_equal(f->results.result[0], SINK_REFUSED);
	assert_int_equal(f->results.result[1], SINK_DELIVERED);
	assert_int_equal(loki_sink__stats(f->sink)->dropped[SINK_MAX_RETRIES], 11);
}

static void test_long_refusal_is_cut(void **state)
{
	static char answer[128 << 10];
	struct server_step steps[1] = {{.answer = answer, .after = SERVER_CLOSE}};
	struct fixture *f = *state;
	char *log;
	int n = snprintf(answer, sizeof(answer), "HTTP/1.1 400 Bad\r\nConnection: close\r\n\r\n");

	memset(answer + n, 'x', sizeof(answer) - 1 - n);
	memcpy(answer + n, "a\tb\033c\n", 6);
	/* A character that the cut at 300 bytes would halve. */
	memcpy(answer + n + 299, "\xc3\xa9", 2);
	serve(f, steps, 1);
	catch_log(f);
	submit(f, 1);
	run(f);
	log = caught_log(f);
	assert_int_equal(f->results.result[0], SINK_REFUSED);
	assert_non_null(strstr(log, ": a b c xxx"));
	assert_int_equal(occurrences(log, "x"), 299 - 6);
	assert_null(strstr(log, "\xc3"));
}

static void test_tenant_and_basic_auth(void **state)
{
	static const struct server_step steps[] = {
		{.answer = TEXT_ANSWER("403", "no"), .after = SERVER_CLOSE},
		{.answer = NO_CONTENT}};
	struct fixture *f = *state;
	struct loki_opts opts;
	char url[256], *log;

	f->server = server__new(steps, ARRAY_SIZE(steps), NULL);
	server__start(f->server);
	snprintf(url, sizeof(url), "http://me:s%%3Acret@%s/my/push", f->server->url + 7);
	opts = options(f);
	opts.url = url;
	opts.tenant = "team-a";
	make_sink(f, &opts);
	catch_log(f);
	submit(f, 1);
	run(f);
	log = caught_log(f);
	assert_non_null(strstr(log, "/my/push: status 403: no"));
	assert_null(strstr(log, "cret"));
	assert_null(strstr(log, "me:"));
	assert_non_null(strstr(sent_head(f, 1), "POST /my/push HTTP/1.1\r\n"));
	assert_non_null(strstr(sent_head(f, 1), "\r\nX-Scope-OrgID: team-a\r\n"));
	assert_non_null(strstr(sent_head(f, 1), "\r\nAuthorization: Basic bWU6czpjcmV0\r\n"));
}

static void test_headers_and_token(void **state)
{
	static const struct loki_header headers[] = {
		{"X-Key", "k"}, {"content-type", "text/plain"}, {"X-Scope-OrgID", "other"}};
	static const struct server_step steps[] = {{.answer = NO_CONTENT}};
	struct fixture *f = *state;
	struct loki_opts opts;
	const char *head;

	f->server = server__new(steps, ARRAY_SIZE(steps), NULL);
	server__start(f->server);
	opts = options(f);
	opts.tenant = "shop";
	opts.headers = headers;
	opts.n_headers = ARRAY_SIZE(headers);
	opts.auth = (struct auth_opts){.bearer_token = "t0ken"};
	make_sink(f, &opts);
	submit(f, 1);
	run(f);
	head = sent_head(f, 0);
	assert_non_null(strstr(head, "\r\nX-Key: k\r\n"));
	assert_non_null(strstr(head, "\r\nX-Scope-OrgID: shop\r\n"));
	assert_non_null(strstr(head, "\r\nContent-Type: application/x-protobuf\r\n"));
	assert_null(strcasestr(head, "text/plain"));
	assert_null(strstr(head, "other"));
	assert_non_null(strstr(head, "\r\nAuthorization: Bearer t0ken\r\n"));
}

static void test_proxy(void **state)
{
	static const struct server_step steps[] = {{.answer = NO_CONTENT}};
	struct fixture *f = *state;
	struct loki_opts opts;

	f->server = server__new(steps, ARRAY_SIZE(steps), NULL);
	server__start(f->server);
	opts = options(f);
	opts.url = "http://loki.invalid:3100";
	opts.proxy = f->server->url;
	make_sink(f, &opts);
	submit(f, 1);
	run(f);
	assert_non_null(strstr(sent_head(f, 0),
			       "POST http://loki.invalid:3100/loki/api/v1/push HTTP/1.1\r\n"));
}

static void test_no_proxy(void **state)
{
	static const struct server_step steps[] = {{.answer = NO_CONTENT}};
	struct fixture *f = *state;
	struct loki_opts opts;

	f->server = server__new(steps, ARRAY_SIZE(steps), NULL);
	server__start(f->server);
	opts = options(f);
	opts.proxy = "http://proxy.invalid:3128";
	opts.no_proxy = "logs.test,127.0.0.0/8";
	make_sink(f, &opts);
	submit(f, 1);
	run(f);
	assert_non_null(strstr(sent_head(f, 0), "POST /loki/api/v1/push HTTP/1.1\r\n"));
}

static void test_rate_limited_is_dropped(void **state)
{
	static const struct server_step steps[] = {
		{.answer = TEXT_ANSWER("429", "slow down"), .after = SERVER_CLOSE}};
	struct fixture *f = *state;
	struct loki_opts opts;

	f->server = server__new(steps, ARRAY_SIZE(steps), NULL);
	server__start(f->server);
	opts = options(f);
	opts.drop_rate_limited = true;
	make_sink(f, &opts);
	catch_log(f);
	submit(f, 1);
	run(f);
	caught_log(f);
	assert_int_equal(f->results.n, 1);
	assert_int_equal(loki_sink__stats(f->sink)->retries, 0);
	assert_true(loki_sink__stats(f->sink)->dropped_lines > 0);
}

/* A file that is not there yet is waited for, as Loki is. */
static void test_token_that_comes_late(void **state)
{
	static const struct server_step steps[] = {{.answer = NO_CONTENT}};
	char directory[] = "/tmp/notail-test-XXXXXX", path[64];
	struct fixture *f = *state;
	struct loki_opts opts;
	FILE *file;

	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/token", directory);
	f->server = server__new(steps, ARRAY_SIZE(steps), NULL);
	server__start(f->server);
	opts = options(f);
	opts.auth = (struct auth_opts){.bearer_token_file = path};
	make_sink(f, &opts);
	catch_log(f);
	submit(f, 1);
	assert_true(loki_sink__stats(f->sink)->retries >= 1);
	file = fopen(path, "we");
	assert_non_null(file);
	fputs("late\n", file);
	fclose(file);
	run(f);
	assert_non_null(strstr(caught_log(f), "/token: No such file or directory; keeping the"));
	assert_non_null(strstr(sent_head(f, 0), "\r\nAuthorization: Bearer late\r\n"));
	unlink(path);
	rmdir(directory);
}

#define TOKEN_ANSWER(token) TEXT_ANSWER("200", "{\"access_token\":\"" token "\"}")

/* Refused, it is renewed at once; the new one too: a pause, and another. */
static void test_tokens(void **state)
{
	static const struct server_step steps[] = {
		{.answer = TEXT_ANSWER("503", "not yet"), .after = SERVER_CLOSE},
		{.answer = TOKEN_ANSWER("one"), .after = SERVER_CLOSE},
		{.answer = NO_CONTENT},
		{.answer = TEXT_ANSWER("401", "expired"), .after = SERVER_CLOSE},
		{.answer = TOKEN_ANSWER("two"), .after = SERVER_CLOSE},
		{.answer = NO_CONTENT},
		{.answer = TEXT_ANSWER("401", "expired"), .after = SERVER_CLOSE},
		{.answer = TOKEN_ANSWER("three"), .after = SERVER_CLOSE},
		{.answer = TEXT_ANSWER("401", "no"), .after = SERVER_CLOSE},
		{.answer = TOKEN_ANSWER("four"), .after = SERVER_CLOSE},
		{.answer = NO_CONTENT},
	};
	static const char *const tokens[] = {NULL,  NULL, "one",   "one", NULL,	 "two",
					     "two", NULL, "three", NULL,  "four"};
	struct fixture *f = *state;
	struct loki_opts opts;
	char url[160], text[64], *log;

	f->server = server__new(steps, ARRAY_SIZE(steps), NULL);
	server__start(f->server);
	snprintf(url, sizeof(url), "%s/token", f->server->url);
	opts = options(f);
	opts.auth = (struct auth_opts){.bearer_token = "not this"};
	opts.oauth2 = &(struct oauth2_opts){
		.token_url = url, .client_id = "me", .client_secret = "s3cret"};
	make_sink(f, &opts);
	catch_log(f);
	for (uint64_t i = 1; i <= 3; i++) {
		submit(f, i);
		run(f);
	}
	log = caught_log(f);
	for (size_t i = 0; i < ARRAY_SIZE(tokens); i++) {
		snprintf(text, sizeof(text), "\r\nAuthorization: Bearer %s\r\n", tokens[i]);
		if (tokens[i])
			assert_non_null(strstr(sent_head(f, i), text));
		else
			assert_non_null(strstr(sent_head(f, i), "POST /token HTTP/1.1\r\n"));
	}
	assert_int_equal(f->server->n_requests, ARRAY_SIZE(steps));
	assert_int_equal(loki_sink__stats(f->sink)->retries, 2);
	assert_int_equal(f->results.n, 3);
	assert_non_null(strstr(log, "no token: status 503"));
	assert_null(strstr(log, "s3cret"));
	assert_null(strstr(log, "one"));
}

static void test_bad_options(void **state)
{
	struct fixture *f = *state;
	struct loki_opts opts = {.url = "localhost:3100"};
	const char *why = NULL;

	assert_int_equal(loki_sink__new(&f->sink, f->loop, f->http, &opts, on_done, f, &why),
			 -EINVAL);
	assert_non_null(why);
	opts = (struct loki_opts){.url = "http://h", .tenant = "a\r\nX-Other: b"};
	assert_int_equal(loki_sink__new(&f->sink, f->loop, f->http, &opts, on_done, f, &why),
			 -EINVAL);
	assert_null(f->sink);
	loki_sink__free(NULL);
}

static void test_free_with_a_queue(void **state)
{
	static const struct server_step steps[] = {{.after = SERVER_HANG}};
	struct fixture *f = *state;
	struct loki_opts opts;

	f->server = server__new(steps, 1, NULL);
	server__start(f->server);
	opts = options(f);
	make_sink(f, &opts);
	submit(f, 1);
	assert_true(loki_sink__queued_bytes(f->sink) >= sizeof(struct batch));
	submit(f, 2);
	submit(f, 3);
	assert_true(loki_sink__queued_bytes(f->sink) >= 3 * sizeof(struct batch));
	loki_sink__free(f->sink);
	f->sink = NULL;
	assert_int_equal(f->results.n, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(f->results.sequence[i], i + 1);
		assert_int_equal(f->results.result[i], SINK_UNDELIVERED);
	}
}

static void test_push_url(void **state)
{
	static const char *const cases[][2] = {
		{"http://h:3100", "http://h:3100/loki/api/v1/push"},
		{"http://h:3100/", "http://h:3100/loki/api/v1/push"},
		{"https://u:p@h", "https://u:p@h/loki/api/v1/push"},
		{"http://h?a=b", "http://h/loki/api/v1/push?a=b"},
		{"http://h/?a=b", "http://h/loki/api/v1/push?a=b"},
		{"http://h/loki/api/v1/push", "http://h/loki/api/v1/push"},
		{"http://h/gateway/push?x=/", "http://h/gateway/push?x=/"},
	};
	const char *why = NULL;
	char *none = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_free_ char *url = NULL;

		assert_int_equal(loki__push_url(cases[i][0], &url, &why), 0);
		assert_string_equal(url, cases[i][1]);
	}
	assert_int_equal(loki__push_url("loki:3100", &none, &why), -EINVAL);
	assert_null(none);
	assert_non_null(why);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_delivers_in_order),
		TEST(test_retries_keep_order),
		TEST(test_retry_after_is_obeyed),
		TEST(test_retry_after_is_bounded),
		TEST(test_submit_does_not_end_the_wait),
		TEST(test_comes_up_later),
		TEST(test_refusals),
		TEST(test_lies),
		TEST(test_endless_answers),
		TEST(test_max_retries),
		TEST(test_long_refusal_is_cut),
		TEST(test_tenant_and_basic_auth),
		TEST(test_headers_and_token),
		TEST(test_proxy),
		TEST(test_no_proxy),
		TEST(test_rate_limited_is_dropped),
		TEST(test_token_that_comes_late),
		TEST(test_tokens),
		TEST(test_bad_options),
		TEST(test_free_with_a_queue),
		cmocka_unit_test(test_push_url),
	};

	signal(SIGPIPE, SIG_IGN);
	setenv("no_proxy", "*", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
