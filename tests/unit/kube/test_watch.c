/* SPDX-License-Identifier: Apache-2.0 */
/* A watch against an API server that does, step by step, what servers do at their worst. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/clock.h"
#include "io/http.h"
#include "io/loop.h"
#include "kube/client.h"
#include "kube/watch.h"

#include "fake_api.h"

#define LIST(version, ...)                                                 \
	"{\"kind\":\"XList\",\"metadata\":{\"resourceVersion\":\"" version \
	"\"},\"items\":[" __VA_ARGS__ "]}"
#define ITEM(name, version) \
	"{\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"" version "\"}}"
#define CHANGE(type, object) "{\"type\":\"" type "\",\"object\":" object "}\n"
#define S16 "0123456789abcdef"
#define S64 S16 S16 S16 S16
#define DEADLINE_NS (60 * NS_PER_SEC)

struct test {
	struct fake *fake;
	struct loop *loop;
	struct http *http;
	struct kube *kube;
	struct kube_watch *watch;
	struct loop_timer *deadline;
	struct buf log;	   /* what was called, in order */
	const char *until; /* the loop stops when the log has it */
	bool late;
};

static void said(struct test *t, const char *kind, const char *text, size_t len)
{
	buf__printf(&t->log, "%s%.*s|", kind, (int)MIN(len, (size_t)400), text);
	if (memmem(t->log.data, t->log.len, t->until, strlen(t->until)))
		loop__stop(t->loop);
}

static void on_begin(void *ctx)
{
	said(ctx, "begin", "", 0);
}

static void on_end(void *ctx)
{
	said(ctx, "end", "", 0);
}

static void on_item(void *ctx, enum kube_change change, const char *json, size_t len)
{
	const char *kinds[] = {"=", "+", "~", "-"};
	const char *name = memmem(json, len, "\"name\":\"", 8);

	name = name ? name + 8 : json;
	said(ctx, kinds[change], name, strcspn(name, "\""));
}

static void on_version(void *ctx, const char *version)
{
	said(ctx, "v", version, strlen(version));
}

static void on_state(void *ctx, bool up, const char *problem)
{
	said(ctx, up ? "up:" : "down:", problem ? problem : "", problem ? strlen(problem) : 0);
}

static void on_deadline(void *ctx)
{
	struct test *t = ctx;

	t->late = true;
	loop__stop(t->loop);
}

static struct test *begin(void)
{
	struct test *t = calloc(1, sizeof(*t));

	t->fake = fake__new();
	assert_int_equal(loop__new(&t->loop), 0);
	assert_int_equal(http__new(&t->http, t->loop), 0);
	assert_int_equal(loop__timer(t->loop, on_deadline, t, &t->deadline), 0);
	return t;
}

/* The version of another run is looked at first. */
static struct test *begin_again(void)
{
	struct test *t = begin();

	fake__json(t->fake, "200 OK", LIST("5", ITEM("x", "1")));
	return t;
}

static void go_from(struct test *t, const char *until, const char *version)
{
	struct kube_watch_opts opts = {
		.path = "/api/v1/pods",
		.query = "fieldSelector=spec.nodeName%3Dn",
		.from_cache = true,
		.resource_version = version,
		.max_item = 4096,
		.list_begin = on_begin,
		.item = on_item,
		.list_end = on_end,
		.version = on_version,
		.state = on_state,
		.ctx = t,
	};
	struct kube_opts kube = {.direct = true};
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", t->fake->port);
	kube.url = url;
	fake__start(t->fake);
	assert_int_equal(kube__new(&t->kube, t->loop, t->http, &kube), 0);
	opts.kube = t->kube;
	assert_int_equal(kube_watch__new(&t->watch, &opts), 0);
	t->until = until;
	loop_timer__set(t->deadline, DEADLINE_NS);
	assert_int_equal(loop__run(t->loop), 0);
	buf__append(&t->log, "", 1);
	if (t->late)
		fail_msg("not in time: %s", t->log.data);
}

static void go(struct test *t, const char *until)
{
	go_from(t, until, NULL);
}

static void asked(struct test *t, size_t step, const char *what)
{
	if (!strstr(t->fake->steps[step].request, what))
		fail_msg("request %zu: %s\ndoes not have %s", step, t->fake->steps[step].request,
			 what);
}

static void end(struct test *t)
{
	kube_watch__free(t->watch);
	kube__free(t->kube);
	loop_timer__free(t->deadline);
	http__free(t->http);
	loop__free(t->loop);
	fake__free(t->fake);
	buf__free(&t->log);
	free(t);
}

static void list_then_watch(void **state _unused_)
{
	struct test *t = begin();

	fake__json(t->fake, "200 OK", LIST("7", ITEM("a", "3") "," ITEM("b", "4")));
	fake__stream(t->fake, false,
		     CHANGE("ADDED", ITEM("c", "8")) CHANGE("MODIFIED", ITEM("a", "9"))
			     CHANGE("DELETED", ITEM("b", "10")) CHANGE("BOOKMARK", ITEM("", "12")));
	fake__stream(t->fake, true, CHANGE("ADDED", ITEM("d", "13")));
	go(t, "v13|");
	assert_string_equal(t->log.data, "begin|=a|=b|end|up:|v7|+c|v8|~a|v9|-b|v10|v12|+d|v13|");
	asked(t, 0, "GET /api/v1/pods?fieldSelector=spec.nodeName%3Dn&resourceVersion=0 HTTP/1.1");
	asked(t, 0, "Accept-Encoding: gzip");
	asked(t, 1, "&resourceVersion=7 ");
	asked(t, 1, "watch=1&allowWatchBookmarks=true&timeoutSeconds=");
	asked(t, 2, "&resourceVersion=12 ");
	end(t);
}

static void goes_on_without_a_list(void **state _unused_)
{
	struct test *t = begin_again();

	fake__stream(t->fake, true, CHANGE("ADDED", ITEM("c", "8")));
	go_from(t, "v8|", "5");
	assert_string_equal(t->log.data, "up:|+c|v8|");
	asked(t, 0, "&limit=1 ");
	asked(t, 1, "&resourceVersion=5 ");
	end(t);
}

/* A watch from there would say nothing until it has come that far again. */
static void set_back_before_it_goes_on(void **state _unused_)
{
	struct test *t = begin();

	fake__json(t->fake, "200 OK", LIST("999", ITEM("never", "998")));
	fake__json(t->fake, "200 OK", LIST("999", ITEM("a", "998")));
	go_from(t, "v999|", "1000");
	assert_string_equal(t->log.data, "begin|=a|end|up:|v999|");
	asked(t, 0, "&limit=1 ");
	asked(t, 1, "&limit=500 ");
	end(t);
}

static void set_back_while_it_watches(void **state _unused_)
{
	struct test *t = begin();

	fake__json(t->fake, "200 OK", LIST("1000", ITEM("a", "3")));
	fake__stream(t->fake, false, CHANGE("MODIFIED", ITEM("a", "1001")));
	fake__stream(t->fake, false, "");
	fake__json(t->fake, "200 OK", LIST("999", ITEM("never", "998")));
	fake__json(t->fake, "200 OK", LIST("999", ITEM("a", "998")));
	go(t, "v999|");
	assert_string_equal(t->log.data, "begin|=a|end|up:|v1000|~a|v1001|begin|=a|end|v999|");
	asked(t, 2, "&resourceVersion=1001 ");
	asked(t, 3, "&limit=1 ");
	end(t);
}

/* Whoever looks and is refused asks again; versions that are no numbers are not compared. */
static void looks_until_it_is_answered(void **state _unused_)
{
	struct test *t = begin();

	fake__json(t->fake, "403 Forbidden", "{}");
	fake__json(t->fake, "200 OK", "garbage");
	fake__json(t->fake, "200 OK", LIST("2"));
	fake__stream(t->fake, true, CHANGE("ADDED", ITEM("c", "y8")));
	go_from(t, "vy8|", "x5");
	assert_string_equal(t->log.data, "down:needs list on pods (403)|"
					 "down:the list cannot be understood|up:|+c|vy8|");
	asked(t, 2, "&limit=1 ");
	asked(t, 3, "&resourceVersion=x5 ");
	end(t);
}

static void gone_as_status(void **state _unused_)
{
	struct test *t = begin_again();

	fake__json(t->fake, "410 Gone", "{\"kind\":\"Status\",\"code\":410}");
	fake__json(t->fake, "200 OK", LIST("20", ITEM("a", "3")));
	go_from(t, "v20|", "5");
	assert_string_equal(t->log.data, "begin|=a|end|up:|v20|");
	asked(t, 2, "&limit=500 ");
	assert_int_equal(kube__answers(t->kube, KUBE_GONE), 1);
	end(t);
}

static void gone_in_the_stream(void **state _unused_)
{
	struct test *t = begin_again();

	fake__stream(t->fake, true,
		     CHANGE("ADDED", ITEM("a", "6")) CHANGE("ERROR", "{\"code\":410}")
			     CHANGE("ADDED", ITEM("never", "7")));
	fake__json(t->fake, "200 OK", LIST("20", ITEM("a", "3")));
	go_from(t, "v20|", "5");
	assert_string_equal(t->log.data, "up:|+a|v6|begin|=a|end|v20|");
	assert_int_equal(kube__answers(t->kube, KUBE_GONE), 1);
	end(t);
}

static void pages(void **state _unused_)
{
	struct test *t = begin_again();

	fake__json(t->fake, "410 Gone", "{}");
	fake__json(
		t->fake, "200 OK",
		"{\"metadata\":{\"continue\":\"a/b=\",\"resourceVersion\":\"30\"},\"items\":[" ITEM(
			"a", "1") "]}");
	fake__json(t->fake, "200 OK", LIST("30", ITEM("b", "2")));
	go_from(t, "v30|", "5");
	assert_string_equal(t->log.data, "begin|=a|=b|end|up:|v30|");
	asked(t, 3, "&limit=500&continue=a%2Fb%3D ");
	end(t);
}

/* The list's version went while it was read: it begins again. */
static void gone_between_pages(void **state _unused_)
{
	struct test *t = begin();

	fake__json(t->fake, "200 OK",
		   "{\"metadata\":{\"continue\":\"c\",\"resourceVersion\":\"30\"},\"items\":[" ITEM(
			   "a", "1") "]}");
	fake__json(t->fake, "410 Gone", "{\"kind\":\"Status\",\"code\":410}");
	fake__json(t->fake, "200 OK", LIST("40", ITEM("b", "2")));
	go(t, "v40|");
	assert_string_equal(t->log.data, "begin|=a|down:status 410|begin|=b|end|up:|v40|");
	asked(t, 1, "&continue=c ");
	asked(t, 2, "&limit=500 ");
	end(t);
}

/* What is wrong is said; then the list comes. */
static void list_after(const char *status, const char *headers, const char *body, const char *log)
{
	struct test *t = begin();

	fake__answer(t->fake, status, headers, body, strlen(body));
	fake__json(t->fake, "200 OK", LIST("20", ITEM("a", "3")));
	go(t, "v20|");
	assert_string_equal(t->log.data, log);
	end(t);
}

static void refusals(void **state _unused_)
{
	list_after("401 Unauthorized", "", "{\"kind\":\"Status\",\"message\":\"Unauthorized\"}",
		   "begin|down:it wants a token, and there is none to send (401): "
		   "Unauthorized|begin|=a|end|up:|"
		   "v20|");
	list_after("403 Forbidden", "", "{\"message\":\"User \\\"x\\\"\\ncannot\"}",
		   "begin|down:needs list on pods (403): User \"x\"|begin|=a|end|up:|v20|");
	list_after("404 Not Found", "", "<html>",
		   "begin|down:it has no /api/v1/pods (404)|begin|=a|end|up:|v20|");
	list_after(
		"302 Found", "Location: http://127.0.0.1:1/\r\n", "",
		"begin|down:status 302, a redirect, which is not followed|begin|=a|end|up:|v20|");
	list_after("500 X", "", "\x1b[1mhe", "begin|down:status 500: ?[1mhe|begin|=a|end|up:|v20|");
}

static void retry_after_is_obeyed(void **state _unused_)
{
	uint64_t before_ns = clock__boot_ns();

	list_after("429 X", "Retry-After: 2\r\n", "",
		   "begin|down:it is too busy (429)|begin|=a|end|up:|v20|");
	assert_true(clock__boot_ns() - before_ns >= 2 * NS_PER_SEC);
}

static void garbage(void **state _unused_)
{
#define NOT_UNDERSTOOD "begin|down:the list cannot be understood|begin|=a|end|up:|v20|"
	list_after("200 OK", "", "<html>sign in</html>", NOT_UNDERSTOOD);
	list_after("200 OK", "", "{\"kind\":\"Status\"}", NOT_UNDERSTOOD);
	list_after("200 OK", "", "{\"items\":[]}", NOT_UNDERSTOOD);
	list_after("200 OK", "", "", NOT_UNDERSTOOD);
	list_after("200 OK", "", LIST(""), NOT_UNDERSTOOD);
	list_after("200 OK", "", LIST(S64), NOT_UNDERSTOOD);
	list_after("200 OK", "", "{\"metadata\":{\"resourceVersion\":7},\"items\":[]}",
		   NOT_UNDERSTOOD);
	list_after("200 OK", "", "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[{\"met",
		   NOT_UNDERSTOOD);
	list_after("200 OK", "Content-Encoding: gzip\r\n", "no gzip",
		   "begin|down:Error while processing content unencoding: incorrect header check|"
		   "begin|=a|end|up:|v20|");
}

static void garbage_in_the_stream(void **state _unused_)
{
	struct test *t = begin_again();

	fake__stream(t->fake, true, CHANGE("ADDED", ITEM("a", "6")) "nonsense");
	fake__json(t->fake, "200 OK", LIST("20", ITEM("a", "3")));
	go_from(t, "v20|", "5");
	assert_string_equal(t->log.data, "up:|+a|v6|down:the watch cannot be understood|"
					 "begin|=a|end|up:|v20|");
	assert_int_equal(kube__answers(t->kube, KUBE_INVALID), 1);
	end(t);
}

/* What the server says of its error, in words. */
static void error_in_the_stream(void **state _unused_)
{
	static const char *const all[][2] = {
		{"{\"kind\":\"Status\",\"message\":\"etcd\\u0000\\nfailed\",\"code\":500}",
		 "the watch ended with an error (500): etcd?"},
		{"{\"code\":\"x\",\"message\":7}", "the watch ended with an error"},
		{"[]", "the watch ended with an error: []"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		struct test *t = begin_again();
		char text[256];

		snprintf(text, sizeof(text), "{\"type\":\"ERROR\",\"object\":%s}\n", all[i][0]);
		fake__stream(t->fake, true, text);
		fake__json(t->fake, "200 OK", LIST("20", ITEM("a", "3")));
		go_from(t, "v20|", "5");
		snprintf(text, sizeof(text), "up:|down:%s|begin|=a|end|up:|v20|", all[i][1]);
		assert_string_equal(t->log.data, text);
		assert_int_equal(kube__answers(t->kube, KUBE_INVALID), 1);
		end(t);
	}
}

/* Objects that miss what they ought to have: nothing is known by then, and nothing breaks. */
static void odd_changes(void **state _unused_)
{
	struct test *t = begin_again();

	fake__stream(t->fake, true,
		     CHANGE("BOOKMARK", "{}") CHANGE("BOOKMARK", "{\"metadata\":null}") CHANGE(
			     "BOOKMARK", ITEM("", S64)) CHANGE("UNHEARD", ITEM("x", "6"))
			     CHANGE("ADDED", "{\"metadata\":[]}") CHANGE("ADDED", ITEM("a", ""))
				     CHANGE("ADDED", ITEM("b", "7/\\u0026x=\\u00e9")));
	t->fake->steps[1].hold = false;
	buf__append_str(&t->fake->steps[1].answer, "0\r\n\r\n");
	fake__stream(t->fake, true, CHANGE("ADDED", ITEM("c", "8")));
	go_from(t, "v8|", "5");
	assert_string_equal(t->log.data, "up:|v6|+{|+a|+b|v7/&x=\xc3\xa9|+c|v8|");
	asked(t, 2, "&resourceVersion=7%2F%26x%3D%C3%A9 ");
	end(t);
}

/* As if it were whole: what has come of the object comes again. */
static void half_an_object(void **state _unused_)
{
	struct test *t = begin_again();

	fake__stream(t->fake, false, CHANGE("ADDED", ITEM("a", "6")) "{\"type\":\"ADDED\",\"obj");
	fake__stream(t->fake, true, CHANGE("ADDED", ITEM("b", "7")));
	go_from(t, "v7|", "5");
	assert_string_equal(t->log.data,
			    "up:|+a|v6|down:the watch ended in the middle of an object|"
			    "up:|+b|v7|");
	asked(t, 2, "&resourceVersion=6 ");
	assert_int_equal(kube__answers(t->kube, KUBE_INVALID), 1);
	end(t);
}

/* No watch gets on: lists do, from the server's cache, and each attempt waits longer. */
static void watches_in_vain(void **state _unused_)
{
	uint64_t before_ns = clock__boot_ns();
	struct test *t = begin_again();

	fake__stream(t->fake, false, "{\"type\":");
	fake__stream(t->fake, false, "");
	fake__json(t->fake, "200 OK", LIST("5"));
	fake__stream(t->fake, false, "{\"type\":");
	fake__json(t->fake, "200 OK", LIST("20", ITEM("a", "3")));
	fake__stream(t->fake, false, "{\"type\":");
	fake__json(t->fake, "200 OK", LIST("21", ITEM("a", "3")));
	go_from(t, "v21|", "5");
	asked(t, 4, "watch=1");
	asked(t, 5, "&resourceVersion=5 ");
	asked(t, 6, "watch=1");
	asked(t, 7, "&resourceVersion=20 ");
	/* A half, one, two and four seconds, each at least half of it. */
	assert_true(clock__boot_ns() - before_ns >= 3750 * NS_PER_MS);
	end(t);
}

static void pages_without_end(void **state _unused_)
{
#define PAGE_OF(next, ...) "{\"metadata\":{\"continue\":\"" next "\"},\"items\":[" __VA_ARGS__ "]}"
	struct test *t = begin();

	fake__json(t->fake, "200 OK", PAGE_OF("n", ITEM("a", "1")));
	fake__json(t->fake, "200 OK", PAGE_OF("n", ITEM("a", "1")));
	fake__json(t->fake, "200 OK", LIST("20", ITEM("a", "3")));
	go(t, "v20|");
	assert_string_equal(t->log.data,
			    "begin|=a|=a|down:the list does not end|begin|=a|end|up:|v20|");
	end(t);
	t = begin();
	for (int i = 0; i < 24; i++)
		fake__json(t->fake, "200 OK", i % 2 ? PAGE_OF("a") : PAGE_OF("b"));
	go(t, "down:");
	assert_string_equal(t->log.data, "begin|down:the list does not end|");
	assert_int_equal(t->fake->answered, 21);
	end(t);
}

/* 50 MB of which 50 KB are sent; and one that is cut. */
static void a_bomb(void **state _unused_)
{
	static const char head[] = "{\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[{\"x\":\"";
	static const char tail[] = "\"},{\"name\":\"a\"}]}";
	const size_t size = (size_t)1 << 17, half = size / 4;
	char *gz = malloc(size), *blanks = calloc(1, 1 << 20);
	z_stream z = {.next_in = (unsigned char *)head, .avail_in = sizeof(head) - 1};
	struct test *t = begin();

	memset(blanks, 'x', 1 << 20);
	z.next_out = (unsigned char *)gz;
	z.avail_out = (unsigned)size;
	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_NO_FLUSH), Z_OK);
	for (int i = 0; i < 50; i++) {
		z.next_in = (unsigned char *)blanks;
		z.avail_in = 1 << 20;
		assert_int_equal(deflate(&z, Z_NO_FLUSH), Z_OK);
	}
	z.next_in = (unsigned char *)tail;
	z.avail_in = sizeof(tail) - 1;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	assert_true(z.total_out < size);
	fake__answer(t->fake, "200 OK", "Content-Encoding: gzip\r\n", gz, half);
	fake__answer(t->fake, "200 OK", "Content-Encoding: gzip\r\n", gz, z.total_out);
	deflateEnd(&z);
	go(t, "v7|");
	assert_string_equal(t->log.data, "begin|down:the list cannot be understood|begin|=a|"
					 "up:an object is too large: it is left out|end|v7|");
	free(gz);
	free(blanks);
	end(t);
}

/* What was too large and is there no more is no problem any more. */
static void mended(void **state _unused_)
{
	struct test *t = begin();
	_buf_ struct buf list = {0};
	char blanks[8192];

	memset(blanks, ' ', sizeof(blanks));
	buf__printf(&list, "{\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[{%.*s}]}",
		    (int)sizeof(blanks), blanks);
	fake__answer(t->fake, "200 OK", "", list.data, list.len);
	fake__stream(t->fake, true, CHANGE("ERROR", "{\"code\":410}"));
	fake__json(t->fake, "200 OK", LIST("20"));
	go(t, "v20|");
	assert_string_equal(t->log.data, "begin|up:an object is too large: it is left out|end|v7|"
					 "begin|end|up:|v20|");
	end(t);
}

/* The version is still good. */
static void cut_stream(void **state _unused_)
{
	struct test *t = begin_again();

	fake__stream(t->fake, true, CHANGE("ADDED", ITEM("a", "6")) "{\"type\":\"ADDED\",\"obj");
	t->fake->steps[1].hold = false;
	fake__stream(t->fake, true, CHANGE("ADDED", ITEM("b", "7")));
	go_from(t, "v7|", "5");
	assert_non_null(strstr(t->log.data, "up:|+a|v6|down:"));
	assert_non_null(strstr(t->log.data, "|up:|+b|v7|"));
	assert_null(strstr(t->log.data, "begin"));
	asked(t, 2, "&resourceVersion=6 ");
	assert_int_equal(kube__answers(t->kube, KUBE_NO_ANSWER), 1);
	end(t);
}

static void too_large_is_left_out(void **state _unused_)
{
	struct test *t = begin();
	_buf_ struct buf list = {0}, lines = {0};
	char blanks[16384];

	memset(blanks, ' ', sizeof(blanks));
	buf__append_str(&list, "{\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[");
	buf__printf(&list, "%s,{\"name\":\"large\",\"x\":\"%.*s\"},", ITEM("a", "1"),
		    (int)sizeof(blanks), blanks);
	buf__append_str(&list, ITEM("b", "2") "]}");
	fake__answer(t->fake, "200 OK", "", list.data, list.len);
	buf__printf(&lines, "{\"type\":\"ADDED\",\"object\":{\"name\":\"%.*s\"}}\n",
		    (int)sizeof(blanks), blanks);
	buf__append(&lines, CHANGE("ADDED", ITEM("c", "8")),
		    sizeof(CHANGE("ADDED", ITEM("c", "8"))));
	fake__stream(t->fake, true, lines.data);
	go(t, "v8|");
	assert_non_null(strstr(t->log.data, "begin|=a|=b|up:an object is too large"));
	assert_non_null(strstr(t->log.data, "|end|v7|up:an object is too large"));
	assert_non_null(strstr(t->log.data, "|+c|v8|"));
	end(t);
}

static void nobody_listens(void **state _unused_)
{
	struct test *t = begin();

	close(t->fake->listen_fd);
	t->fake->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	go(t, "begin|down:");
	assert_non_null(strstr(t->log.data, "onnection refused"));
	end(t);
}

static void no_such_version(void **state _unused_)
{
	struct test *t = begin();
	struct kube_opts kube = {.url = "http://127.0.0.1:1"};
	struct kube_watch_opts opts = {.path = "/x", .resource_version = "1 2", .item = on_item};

	fake__start(t->fake);
	assert_int_equal(kube__new(&t->kube, t->loop, t->http, &kube), 0);
	opts.kube = t->kube;
	assert_int_equal(kube_watch__new(&t->watch, &opts), -EINVAL);
	end(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(list_then_watch),
		cmocka_unit_test(goes_on_without_a_list),
		cmocka_unit_test(set_back_before_it_goes_on),
		cmocka_unit_test(set_back_while_it_watches),
		cmocka_unit_test(looks_until_it_is_answered),
		cmocka_unit_test(gone_as_status),
		cmocka_unit_test(gone_in_the_stream),
		cmocka_unit_test(pages),
		cmocka_unit_test(gone_between_pages),
		cmocka_unit_test(refusals),
		cmocka_unit_test(retry_after_is_obeyed),
		cmocka_unit_test(garbage),
		cmocka_unit_test(garbage_in_the_stream),
		cmocka_unit_test(error_in_the_stream),
		cmocka_unit_test(odd_changes),
		cmocka_unit_test(half_an_object),
		cmocka_unit_test(watches_in_vain),
		cmocka_unit_test(pages_without_end),
		cmocka_unit_test(a_bomb),
		cmocka_unit_test(mended),
		cmocka_unit_test(cut_stream),
		cmocka_unit_test(too_large_is_left_out),
		cmocka_unit_test(nobody_listens),
		cmocka_unit_test(no_such_version),
	};

	return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
