/* SPDX-License-Identifier: Apache-2.0 */
/* Requests as bytes over a real socket, by a thread; the capture thread is a timer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "a_view.h"
#include "base/log.h"
#include "io/httpd.h"
#include "io/loop.h"
#include "status/origin.h"
#include "status/server.h"

#define PATIENCE_MS 60000
#define LOCAL "Host: localhost\r\n"

struct fixture {
	struct loop *loop;
	struct loop_timer *capture;
	struct server *server;
	uint16_t port[2]; /* of the status page, of metrics alone */
	unsigned asked;
	bool silent; /* the capture thread */
	bool unready;
	int reload_error;
	uint64_t age_ns; /* of snapshots */
	unsigned share;	 /* 1/share of that was work */
	int asks, reloads;
	/* Of the client's thread. */
	size_t to; /* which port */
	const char *request;
	size_t len;
	bool ends;   /* it has no more to say */
	size_t idle; /* connections that it holds besides */
	size_t most; /* descriptors that were open meanwhile */
	char answer[1 << 18];
};

static const char *unready(void *ctx)
{
	return ((struct fixture *)ctx)->unready ? "it rests" : NULL;
}

static void on_capture(void *ctx)
{
	struct fixture *f = ctx;
	struct snapshot *s = a_snapshot("web", 10, 100, 3);

	s->what = f->asked;
	s->boot_ns = clock__boot_ns() - f->age_ns;
	s->took_ns = f->age_ns / f->share;
	samples__add(&s->samples, SAMPLE_GAUGE, "from_capture", "c", 1);
	server__deliver(f->server, s);
}

static void ask(void *ctx, unsigned what)
{
	struct fixture *f = ctx;

	f->asked = what;
	f->asks++;
	if (!f->silent)
		loop_timer__set(f->capture, NS_PER_MS);
}

static void look(void *ctx, struct view *v)
{
	struct view all = a_view(v->now, v->samples);

	(void)ctx;
	all.before = v->before;
	*v = all;
}

static void add_counts(void *ctx, struct samples *s)
{
	(void)ctx;
	samples__add(s, SAMPLE_GAUGE, "from_loop", "l", 2);
}

static int custom_metrics(void *ctx, struct buf *out)
{
	(void)ctx;
	return buf__append_str(out, "custom 3\n");
}

static int config(void *ctx, struct buf *out)
{
	(void)ctx;
	return buf__append_str(out, "preset: docker\n");
}

static int reload_config(void *ctx, struct buf *out)
{
	struct fixture *f = ctx;

	f->reloads++;
	buf__append_str(out, f->reload_error ? "it is wrong\n" : "in force\n");
	return f->reload_error;
}

/* A port that was free a moment ago. */
static uint16_t free_port(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(to);

	assert_int_equal(bind(fd, (struct sockaddr *)&to, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&to, &len), 0);
	close(fd);
	return ntohs(to.sin_port);
}

static void listen_on(struct fixture *f, size_t which)
{
	char address[HTTPD_ADDRESS_LEN];
	int err = -EADDRINUSE;

	for (int i = 0; i < 20 && err == -EADDRINUSE; i++) {
		f->port[which] = free_port();
		snprintf(address, sizeof(address), "127.0.0.1:%u", f->port[which]);
		err = server__listen(f->server, address, which);
	}
	assert_int_equal(err, 0);
}

static int set_up_with(void **state, bool reload)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct server_opts opts = {
		.reload = reload,
		.unready = unready,
		.ask = ask,
		.look = look,
		.count = add_counts,
		.custom_metrics = custom_metrics,
		.config = config,
		.reload_config = reload_config,
		.ctx = f,
	};

	f->share = 1;
	signal(SIGPIPE, SIG_IGN);
	log__level(LOG_ERROR);
	*state = f;
	assert_int_equal(loop__new(&f->loop), 0);
	opts.loop = f->loop;
	assert_int_equal(loop__timer(f->loop, on_capture, f, &f->capture), 0);
	assert_int_equal(server__new(&f->server, &opts), 0);
	listen_on(f, 0);
	listen_on(f, 1);
	return 0;
}

static int set_up(void **state)
{
	return set_up_with(state, true);
}

static int set_up_without_reload(void **state)
{
	return set_up_with(state, false);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	server__free(f->server);
	loop_timer__free(f->capture);
	loop__free(f->loop);
	free(f);
	return 0;
}

static int connect_to(uint16_t port)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				 .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&to, sizeof(to)))
		abort();
	return fd;
}

static size_t open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void receive(struct fixture *f, int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	size_t len = 0;
	ssize_t n = 1;

	while (n > 0 && len < sizeof(f->answer) - 1 && poll(&p, 1, PATIENCE_MS) > 0) {
		n = recv(fd, f->answer + len, sizeof(f->answer) - 1 - len, 0);
		len += n > 0 ? (size_t)n : 0;
	}
	f->answer[len] = '\0';
}

/* One that holds many connections, and waits for as many to be taken as there may be. */
static void crowd(struct fixture *f, int *fds)
{
	size_t before = open_descriptors(), full = before + f->idle + HTTPD_MAX_CONNECTIONS;

	for (size_t i = 0; i < f->idle; i++)
		fds[i] = connect_to(f->port[f->to]);
	for (int i = 0; i < PATIENCE_MS && f->most < full; i++) {
		f->most = MAX(f->most, open_descriptors());
		poll(NULL, 0, 1);
	}
	poll(NULL, 0, 50); /* for more that should not come */
	f->most = MAX(f->most, open_descriptors()) - before - f->idle;
}

static void *client(void *arg)
{
	struct fixture *f = arg;
	int fds[2 * HTTPD_MAX_CONNECTIONS], fd;

	if (f->idle)
		crowd(f, fds);
	fd = connect_to(f->port[f->to]);
	if (send(fd, f->request, f->len, MSG_NOSIGNAL) < 0)
		abort();
	for (size_t i = 0; i < f->idle; i++)
		close(fds[i]);
	if (f->ends)
		shutdown(fd, SHUT_WR);
	receive(f, fd);
	close(fd);
	loop__stop(f->loop);
	return NULL;
}

static const char *send_bytes(struct fixture *f, size_t to, const char *request, size_t len)
{
	pthread_t thread;

	f->to = to;
	f->request = request;
	f->len = len;
	assert_int_equal(pthread_create(&thread, NULL, client, f), 0);
	assert_int_equal(loop__run(f->loop), 0);
	pthread_join(thread, NULL);
	return f->answer;
}

static const char *send_to(struct fixture *f, size_t to, const char *line, const char *headers)
{
	char request[1024];
	int len = snprintf(request, sizeof(request), "%s HTTP/1.1\r\n%s\r\n", line, headers);

	return send_bytes(f, to, request, (size_t)len);
}

static void expect(struct fixture *f, const char *line, const char *headers, int status)
{
	char begin[32];

	send_to(f, 0, line, headers);
	snprintf(begin, sizeof(begin), "HTTP/1.1 %d ", status);
	if (strncmp(f->answer, begin, strlen(begin)) != 0)
		fail_msg("%s: %.200s", line, f->answer);
}

static void expect_in(const struct fixture *f, const char *text)
{
	if (!strstr(f->answer, text))
		fail_msg("no %s in: %s", text, f->answer);
}

static const char *body(const struct fixture *f)
{
	const char *end = strstr(f->answer, "\r\n\r\n");

	assert_non_null(end);
	return end + 4;
}

static void every_path(void **state)
{
	struct fixture *f = *state;

	expect(f, "GET /", LOCAL, 200);
	expect_in(f, "Content-Type: text/html; charset=utf-8\r\n");
	expect_in(f, "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'");
	expect_in(f, "<bdi>web</bdi>");
	expect(f, "GET /targets?x=1", LOCAL, 200);
	expect_in(f, "Content-Type: application/json\r\n");
	expect_in(f, "\"name\":\"web\"");
	expect(f, "GET /config", LOCAL, 200);
	expect_in(f, "X-Content-Type-Options: nosniff\r\n");
	assert_string_equal(body(f), "preset: docker\n");
	expect(f, "GET /metrics", LOCAL, 200);
	expect_in(f, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
	expect_in(f, "\nfrom_capture 1\n");
	expect_in(f, "\nfrom_loop 2\n");
	expect_in(f, "\ncustom 3\n");
	expect(f, "GET /ready", LOCAL, 200);
	expect(f, "GET /healthz", LOCAL, 200);
	f->unready = true;
	expect(f, "GET /ready", LOCAL, 503);
	assert_string_equal(body(f), "not ready: it rests\n");
}

static void openmetrics(void **state)
{
	struct fixture *f = *state;

	expect(f, "GET /metrics",
	       LOCAL "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n",
	       200);
	expect_in(f,
		  "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n");
	expect_in(f, "\nfrom_loop 2\n");
	expect_in(f, "\ncustom 3\n# EOF\n");
}

static void log_level(void **state)
{
	struct fixture *f = *state;

	expect(f, "POST /-/log-level?level=error", LOCAL "Content-Length: 0\r\n", 200);
	assert_false(log__enabled(LOG_WARN));
	expect(f, "POST /-/log-level?a=b&level=info", LOCAL "Content-Length: 0\r\n", 200);
	assert_true(log__enabled(LOG_INFO));
	expect(f, "GET /-/log-level?level=debug", LOCAL, 405);
	expect(f, "POST /-/log-level", LOCAL "Content-Length: 0\r\n", 400);
	expect(f, "POST /-/log-level?level=loud", LOCAL "Content-Length: 0\r\n", 400);
	expect(f, "POST /-/log-level?level=debug&level=debug", LOCAL "Content-Length: 0\r\n", 400);
	expect(f, "POST /-/log-level?level=debug",
	       LOCAL "Origin: http://a.example\r\nContent-Length: 0\r\n", 403);
	assert_false(log__enabled(LOG_DEBUG));
}

static void head_has_no_body(void **state)
{
	struct fixture *f = *state;

	expect(f, "HEAD /config", LOCAL, 200);
	expect_in(f, "Content-Length: 15\r\n");
	assert_string_equal(body(f), "");
}

static void not_there(void **state)
{
	static const char *const lines[] = {
		"GET /x",   "GET //",	    "GET /targets/",	     "GET /../targets",
		"GET /%2f", "GET /Targets", "GET http://localhost/", "POST /nothing"};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		expect(f, lines[i], LOCAL, 404);
}

static void other_methods(void **state)
{
	static const char *const lines[] = {"POST /",	 "PUT /targets",   "DELETE /config",
					    "OPTIONS /", "PATCH /metrics", "TRACE /ready"};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		expect(f, lines[i], LOCAL "Content-Length: 0\r\n", 405);
		if (strncmp(lines[i], "OPTIONS", 7) != 0)
			expect_in(f, "Allow: GET, HEAD\r\n");
	}
	expect(f, "GET /-/reload", LOCAL, 405);
	expect_in(f, "Allow: POST\r\n");
	assert_int_equal(f->reloads, 0);
}

static void names_of_others(void **state)
{
	static const char *const refused[] = {
		"Host: evil.example\r\n",
		"Host: evil.example:9464\r\n",
		"",
		"Host: localhost.evil.example\r\n",
		LOCAL "Host: localhost\r\n",
		"Host: 10.0.0.1\r\n",
	};
	static const char *const taken[] = {"Host: 127.0.0.1:80\r\n", "Host: [::1]:9\r\n",
					    "Host: LocalHost:1\r\n"};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		expect(f, "GET /config", refused[i], 403);
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		expect(f, "GET /config", taken[i], 200);
}

static void hosts(void **state)
{
	static const struct {
		const char *host, *address;
		bool ours;
	} cases[] = {
		{"localhost", "127.0.0.1:9464", true},
		{"127.0.0.1", "127.0.0.1:9464", true},
		{"127.0.0.1:1", "[::1]:9464", true},
		{"[::1]:9464", "127.0.0.1:9464", true},
		{"10.0.0.7:9464", "10.0.0.7:9464", true},
		{"10.0.0.8:9464", "10.0.0.7:9464", false},
		{"10.0.0.8:9464", "0.0.0.0:9464", true},
		{"[fe80::1]", "[::]:9464", true},
		{"a.example", "0.0.0.0:9464", false},
		{"10.0.0.8.a.example", "0.0.0.0:9464", false},
		{"", "127.0.0.1:9464", false},
		{"", "0.0.0.0:9464", false},
		{":9464", "0.0.0.0:9464", false},
		{"localhost:80:90", "127.0.0.1:9464", false},
		{"localhost:x", "127.0.0.1:9464", false},
		{"[::1", "127.0.0.1:9464", false},
		{"[", "0.0.0.0:9464", false},
		{"[]", "0.0.0.0:9464", false},
		{"[::1]x", "127.0.0.1:9464", false},
		{"localhost ", "127.0.0.1:9464", false},
		{"a@localhost", "127.0.0.1:9464", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (origin__is_our_host(cases[i].host, cases[i].address) != cases[i].ours)
			fail_msg("%s of %s", cases[i].host, cases[i].address);
	assert_false(origin__is_our_host(NULL, "127.0.0.1:9464"));
}

static void pages_of_others(void **state)
{
	(void)state;
	assert_false(origin__is_foreign("localhost:9464", NULL, NULL, false));
	assert_false(origin__is_foreign("localhost:9464", "http://localhost:9464", "same-origin",
					false));
	assert_false(origin__is_foreign("localhost:9464", NULL, "none", false));
	assert_true(origin__is_foreign("localhost:9464", NULL, "cross-site", false));
	assert_true(origin__is_foreign("localhost:9464", NULL, "same-site", false));
	assert_true(origin__is_foreign("localhost:9464", "http://localhost:8080", NULL, false));
	assert_true(origin__is_foreign("localhost:9464", "http://evil.example", NULL, false));
	assert_true(origin__is_foreign("localhost:9464", "https://localhost:9464", NULL, false));
	assert_false(origin__is_foreign("localhost:9464", "https://localhost:9464", NULL, true));
	assert_true(origin__is_foreign("localhost:9464", "http://localhost:9464", NULL, true));
	assert_true(origin__is_foreign("localhost:9464", "null", NULL, false));
	assert_true(origin__is_foreign("localhost:9464", "", NULL, false));
}

static void reload_when_enabled(void **state)
{
	struct fixture *f = *state;

	expect(f, "POST /-/reload", LOCAL "Content-Length: 0\r\n", 200);
	assert_string_equal(body(f), "in force\n");
	f->reload_error = -EINVAL;
	expect(f, "POST /-/reload", LOCAL "Origin: http://localhost\r\nContent-Length: 0\r\n", 500);
	assert_string_equal(body(f), "it is wrong\n");
	assert_int_equal(f->reloads, 2);
	expect(f, "POST /-/reload", LOCAL "Origin: http://a.example\r\nContent-Length: 0\r\n", 403);
	expect(f, "POST /-/reload", LOCAL "Sec-Fetch-Site: cross-site\r\nContent-Length: 0\r\n",
	       403);
	assert_int_equal(f->reloads, 2);
}

static void no_reload_unless_enabled(void **state)
{
	struct fixture *f = *state;

	expect(f, "POST /-/reload", LOCAL "Content-Length: 0\r\n", 403);
	expect(f, "POST /-/log-level?level=debug", LOCAL "Content-Length: 0\r\n", 403);
	expect_in(f, "server.enable_runtime_reload");
	assert_int_equal(f->reloads, 0);
}

static void metrics_alone(void **state)
{
	static const char *const hidden[] = {"GET /", "GET /targets", "GET /config",
					     "POST /-/reload"};
	static const char *const shown[] = {"GET /metrics", "GET /ready", "GET /healthz"};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(hidden); i++) {
		send_to(f, 1, hidden[i], "Host: pod.example\r\nContent-Length: 0\r\n");
		expect_in(f, "HTTP/1.1 404 ");
	}
	for (size_t i = 0; i < ARRAY_SIZE(shown); i++) {
		send_to(f, 1, shown[i], "Host: pod.example\r\n");
		expect_in(f, "HTTP/1.1 200 ");
	}
	assert_int_equal(f->reloads, 0);
}

/* One snapshot answers those that come shortly after each other. */
static void asked_no_more_than_needed(void **state)
{
	struct fixture *f = *state;

	expect(f, "GET /config", LOCAL, 200);
	expect(f, "GET /ready", LOCAL, 200);
	assert_int_equal(f->asks, 0);
	expect(f, "GET /targets", LOCAL, 200);
	assert_int_equal(f->asks, 1);
	assert_int_equal(f->asked, SNAPSHOT_COUNTERS | SNAPSHOT_TARGETS);
}

/* One that was quick to make is made again, one that was much work serves for longer. */
static void asked_by_what_it_costs(void **state)
{
	struct fixture *f = *state;

	f->age_ns = 1000 * NS_PER_SEC;
	f->share = 1000;
	expect(f, "GET /targets", LOCAL, 200);
	expect(f, "GET /targets", LOCAL, 200);
	assert_int_equal(f->asks, 2);
	f->share = 1;
	expect(f, "GET /targets", LOCAL, 200);
	assert_int_equal(f->asks, 3);
	expect(f, "GET /targets", LOCAL, 200);
	assert_int_equal(f->asks, 3);
}

static void no_answer_of_the_capture_thread(void **state)
{
	struct fixture *f = *state;

	f->silent = true;
	expect(f, "GET /healthz", LOCAL, 503);
	expect_in(f, "the capture thread does not answer");
	f->silent = false;
	expect(f, "GET /healthz", LOCAL, 200);
	assert_int_equal(f->asks, 2);
}

/* While a request waits, the server may end. */
static void on_later(void *ctx)
{
	struct fixture *f = ctx;

	server__free(TAKE_PTR(f->server));
}

static void ends_while_one_waits(void **state)
{
	struct fixture *f = *state;
	struct loop_timer *later;

	f->silent = true;
	assert_int_equal(loop__timer(f->loop, on_later, f, &later), 0);
	loop_timer__set(later, 200 * NS_PER_MS);
	send_to(f, 0, "GET /healthz", LOCAL);
	assert_string_equal(f->answer, "");
	loop_timer__free(later);
}

static void too_long(void **state)
{
	_free_ char *request = malloc(1 << 16);
	struct fixture *f = *state;
	size_t len;

	memset(request, 'x', 1 << 16);
	len = (size_t)sprintf(request, "GET /config HTTP/1.1\r\n" LOCAL "X: ");
	request[len] = 'x';
	memcpy(request + 65000, "\r\n\r\n", 4);
	send_bytes(f, 0, request, 65004);
	assert_null(strstr(f->answer, " 200 "));
	len = (size_t)sprintf(request,
			      "POST /-/reload HTTP/1.1\r\n" LOCAL "Content-Length: 60000\r\n\r\n");
	memset(request + len, 'x', 60000);
	send_bytes(f, 0, request, len + 60000);
	assert_null(strstr(f->answer, " 200 "));
	assert_int_equal(f->reloads, 0);
	expect(f, "GET /config", LOCAL, 200);
}

static void nonsense(void **state)
{
	static const char *const texts[] = {
		"\r\n\r\n",
		"GET\r\n\r\n",
		"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
		"GET / HTTP/1.1\r\nHost\r\n\r\n",
		"FOO / HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
		"GET /config HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
		"chunked\r\n\r\nzz\r\n",
	};
	struct fixture *f = *state;

	f->ends = true;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		send_bytes(f, 0, texts[i], strlen(texts[i]));
		assert_null(strstr(f->answer, " 200 "));
	}
	expect(f, "GET /config", LOCAL, 200);
}

/* Those that do nothing take no more than there is for them, and the next is answered when they
 * go. */
static void many_connections(void **state)
{
	struct fixture *f = *state;

	f->idle = HTTPD_MAX_CONNECTIONS + 20;
	expect(f, "GET /config", LOCAL, 200);
	assert_int_equal(f->most, HTTPD_MAX_CONNECTIONS);
	f->idle = 0;
	expect(f, "GET /config", LOCAL, 200);
}

static void addresses(void **state)
{
	static const char *const good[] = {"127.0.0.1:9464", "[::1]:0", "localhost:80",
					   "0.0.0.0:65535"};
	static const char *const bad[] = {"",		"9464",	       ":9464",	 "127.0.0.1",
					  "127.0.0.1:", "127.0.0.1:x", "::1:80", "127.0.0.1:65536",
					  "[::1]",	"[]:80",       "a.b:80", "127.0.0.1:-1"};
	struct sockaddr_storage to;
	socklen_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(httpd__parse_address(good[i], &to, &len), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (httpd__parse_address(bad[i], &to, &len) != -EINVAL)
			fail_msg("%s", bad[i]);
}

static void loopback(void **state)
{
	(void)state;
	assert_true(httpd__is_loopback("127.0.0.1:1"));
	assert_true(httpd__is_loopback("127.8.9.1:1"));
	assert_true(httpd__is_loopback("localhost:1"));
	assert_true(httpd__is_loopback("[::1]:1"));
	assert_false(httpd__is_loopback("0.0.0.0:1"));
	assert_false(httpd__is_loopback("128.0.0.1:1"));
	assert_false(httpd__is_loopback("[::]:1"));
	assert_false(httpd__is_loopback("10.0.0.1:1"));
	assert_false(httpd__is_loopback(""));
}

static void port_in_use(void **state)
{
	struct fixture *f = *state;
	char address[HTTPD_ADDRESS_LEN];
	struct server *other;
	const struct server_opts opts = {.loop = f->loop};

	snprintf(address, sizeof(address), "127.0.0.1:%u", f->port[0]);
	assert_int_equal(server__new(&other, &opts), 0);
	assert_int_equal(server__listen(other, address, false), -EADDRINUSE);
	server__free(other);
	assert_int_equal(server__listen(f->server, "127.0.0.1:0", false), -EINVAL);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_path),
		TEST(openmetrics),
		TEST(log_level),
		TEST(head_has_no_body),
		TEST(not_there),
		TEST(other_methods),
		TEST(names_of_others),
		cmocka_unit_test(hosts),
		cmocka_unit_test(pages_of_others),
		TEST(reload_when_enabled),
		cmocka_unit_test_setup_teardown(no_reload_unless_enabled, set_up_without_reload,
						tear_down),
		TEST(metrics_alone),
		TEST(asked_no_more_than_needed),
		TEST(asked_by_what_it_costs),
		TEST(no_answer_of_the_capture_thread),
		TEST(ends_while_one_waits),
		TEST(too_long),
		TEST(nonsense),
		TEST(many_connections),
		cmocka_unit_test(addresses),
		cmocka_unit_test(loopback),
		TEST(port_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
