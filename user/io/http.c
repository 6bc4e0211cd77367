/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl's multi interface driven by the loop: curl says which sockets and which timeout it waits
 * for, the loop says when they are due.
 *
 * curl may not be entered from its own callbacks. on_body is such a callback, and it may want to
 * cancel requests or start new ones: while curl runs (in_curl) these are only marked, and settled
 * as soon as it returns. `done` is never called from inside curl. The body is given to curl by a
 * read callback, not by pointer, so that curl cannot look at the body of a request that was
 * cancelled a moment ago, and which its owner may have freed.
 */
#include "io/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/util.h"
#include "io/http_tls.h"
#include "io/loop.h"
#include "io/server_name.h"

#define MAX_IDLE_CONNECTIONS 8L
#define DEFAULT_CONNECT_NS (10 * NS_PER_SEC)
#define DEFAULT_MAX_BODY (1u << 20)
#define MAX_RETRY_AFTER_S (365 * 86400L)
#define MAX_HEADERS ((size_t)256 << 10)
#define KEEPALIVE_IDLE_S 30L
#define KEEPALIVE_INTERVAL_S 10L
#define UNANSWERED_MS 60000U

struct http_socket {
	struct http *http;
	struct loop_watch *watch;
	struct http_socket *next, **link;
};

struct http {
	struct loop *loop;
	CURLM *multi;
	struct loop_timer *timer;
	struct http_request *requests;
	struct http_socket *sockets;
	bool in_curl;
	bool unsettled; /* some request is cancelled or not added yet */
};

struct http_request {
	struct http *http;
	struct http_request *next, **link;
	CURL *easy;
	struct curl_slist *headers;
	struct curl_slist *connect_to;
	const char *body;
	size_t body_len, body_sent;
	size_t max_body, headers_len;
	struct buf answer;
	bool added, cancelled, finished;
	bool too_big, ended, open;
	void (*on_open)(void *ctx);
	int (*on_body)(void *ctx, const char *data, size_t len);
	void (*done)(void *ctx, const struct http_answer *answer);
	void *ctx;
	char error[CURL_ERROR_SIZE + 64];
};

#define LIST_ADD(head, item)                          \
	do {                                          \
		(item)->next = (head);                \
		(item)->link = &(head);               \
		if ((head))                           \
			(head)->link = &(item)->next; \
		(head) = (item);                      \
	} while (0)

#define LIST_DEL(item)                                     \
	do {                                               \
		*(item)->link = (item)->next;              \
		if ((item)->next)                          \
			(item)->next->link = (item)->link; \
	} while (0)

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_ready;

static void curl_init(void)
{
	curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static void http_request__free(struct http_request *r)
{
	if (r->link)
		LIST_DEL(r);
	if (r->added)
		curl_multi_remove_handle(r->http->multi, r->easy);
	curl_easy_cleanup(r->easy);
	curl_slist_free_all(r->headers);
	curl_slist_free_all(r->connect_to);
	buf__free(&r->answer);
	free(r);
}

static int error_of_connect(CURL *easy, char *text, size_t size)
{
	size_t len = strlen(text);
	long os_error = 0;

	curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &os_error);
	if (os_error <= 0)
		return -ECONNREFUSED;
	snprintf(text + len, size - len, ": %s", strerror((int)os_error));
	switch (os_error) {
	case ENETUNREACH:
	case EHOSTUNREACH:
		return -EHOSTUNREACH;
	case ENOENT:
	case EACCES:
	case ETIMEDOUT:
		return (int)-os_error;
	default:
		return -ECONNREFUSED;
	}
}

static int http_request__error(struct http_request *r, CURLcode code)
{
	if (!r->error[0])
		snprintf(r->error, sizeof(r->error), "%s", curl_easy_strerror(code));
	if (r->too_big) {
		snprintf(r->error, sizeof(r->error), "the answer is longer than %zu bytes",
			 r->max_body);
		return -EFBIG;
	}
	if (r->headers_len > MAX_HEADERS) {
		snprintf(r->error, sizeof(r->error),
			 "the answer's headers have more than %zu bytes", MAX_HEADERS);
		return -EPROTO;
	}
	if (r->ended) {
		snprintf(r->error, sizeof(r->error), "ended by the reader");
		return -ECANCELED;
	}
	switch (code) {
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_COULDNT_CONNECT:
		return error_of_connect(r->easy, r->error, sizeof(r->error));
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return -EHOSTUNREACH;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_PARTIAL_FILE:
	case CURLE_GOT_NOTHING:
	case CURLE_WRITE_ERROR:
	case CURLE_FAILED_INIT:
		return -EIO;
	default:
		return -EPROTO;
	}
}

static void http_request__finish(struct http_request *r, CURLcode code)
{
	struct http_answer answer = {.error_text = "", .body = "", .retry_after_ns = -1};
	curl_off_t retry_after_s = 0;

	r->finished = true;
	curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &answer.status);
	curl_easy_getinfo(r->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
	if (retry_after_s > 0)
		answer.retry_after_ns =
			(int64_t)MIN(retry_after_s, MAX_RETRY_AFTER_S) * (int64_t)NS_PER_SEC;
	if (code != CURLE_OK) {
		answer.error = http_request__error(r, code);
		answer.error_text = r->error;
	}
	if (r->answer.len) {
		answer.body = r->answer.data;
		answer.body_len = r->answer.len;
	}
	if (!r->cancelled)
		r->done(r->ctx, &answer);
	http_request__free(r);
}

static void http_request__add(struct http_request *r)
{
	CURLMcode code = curl_multi_add_handle(r->http->multi, r->easy);

	if (code == CURLM_OK) {
		r->added = true;
		return;
	}
	snprintf(r->error, sizeof(r->error), "%s", curl_multi_strerror(code));
	http_request__finish(r, CURLE_FAILED_INIT);
}

/* One that needs settling, or NULL. The list may change as a whole while one is settled. */
static struct http_request *http__next_unsettled(struct http *h)
{
	for (struct http_request *r = h->requests; r; r = r->next)
		if (!r->finished && (r->cancelled || !r->added))
			return r;
	h->unsettled = false;
	return NULL;
}

static void http__settle(struct http *h)
{
	struct http_request *r;
	CURLMsg *msg;
	int left;

	do {
		while (h->unsettled && (r = http__next_unsettled(h))) {
			if (r->cancelled)
				http_request__free(r);
			else
				http_request__add(r);
		}
		msg = curl_multi_info_read(h->multi, &left);
		if (msg && msg->msg == CURLMSG_DONE) {
			curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &r);
			http_request__finish(r, msg->data.result);
		}
	} while (msg);
}

static void http__act(struct http *h, curl_socket_t fd, int events)
{
	int running;

	h->in_curl = true;
	curl_multi_socket_action(h->multi, fd, events, &running);
	h->in_curl = false;
	http__settle(h);
}

static void http__on_fd(void *ctx, int fd, int what)
{
	struct http_socket *s = ctx;

	http__act(s->http, fd,
		  (what & LOOP_READ ? CURL_CSELECT_IN : 0) |
			  (what & LOOP_WRITE ? CURL_CSELECT_OUT : 0));
}

static void http__on_timer(void *ctx)
{
	http__act(ctx, CURL_SOCKET_TIMEOUT, 0);
}

static int http__set_timer(CURLM *multi _unused_, long timeout_ms, void *ctx)
{
	struct http *h = ctx;

	if (timeout_ms < 0)
		loop_timer__cancel(h->timer);
	else
		loop_timer__set(h->timer, (uint64_t)timeout_ms * NS_PER_MS);
	return 0;
}

static void http_socket__free(struct http_socket *s)
{
	LIST_DEL(s);
	loop_watch__free(s->watch);
	free(s);
}

static int http__set_socket(CURL *easy _unused_, curl_socket_t fd, int what, void *ctx,
			    void *socket_ctx)
{
	struct http_socket *s = socket_ctx;
	struct http *h = ctx;
	int wanted = 0;

	if (what == CURL_POLL_REMOVE) {
		if (s)
			http_socket__free(s);
		curl_multi_assign(h->multi, fd, NULL);
		return 0;
	}
	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return -1;
		s->http = h;
		LIST_ADD(h->sockets, s);
		curl_multi_assign(h->multi, fd, s);
	}
	wanted |= what & CURL_POLL_IN ? LOOP_READ : 0;
	wanted |= what & CURL_POLL_OUT ? LOOP_WRITE : 0;
	loop_watch__free(TAKE_PTR(s->watch));
	return loop__watch(h->loop, fd, wanted, http__on_fd, s, &s->watch) ? -1 : 0;
}

static int http__init(struct http *h)
{
	int err = loop__timer(h->loop, http__on_timer, h, &h->timer);

	if (err)
		return err;
	h->multi = curl_multi_init();
	if (!h->multi)
		return -ENOMEM;
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, http__set_socket);
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, http__set_timer);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
	curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, MAX_IDLE_CONNECTIONS);
	return 0;
}

int http__new(struct http **ret, struct loop *loop)
{
	struct http *h;
	int err;

	pthread_once(&curl_once, curl_init);
	if (curl_ready != CURLE_OK)
		return -EIO;
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	h->loop = loop;
	err = http__init(h);
	if (err) {
		http__free(h);
		return err;
	}
	*ret = h;
	return 0;
}

void http__free(struct http *h)
{
	if (!h)
		return;
	while (h->requests)
		http_request__free(h->requests);
	if (h->multi)
		curl_multi_cleanup(h->multi);
	while (h->sockets)
		http_socket__free(h->sockets);
	loop_timer__free(h->timer);
	free(h);
}

static size_t http_request__on_write(char *data, size_t one _unused_, size_t len, void *ctx)
{
	struct http_request *r = ctx;
	long status = 0;

	if (r->cancelled)
		return CURL_WRITEFUNC_ERROR;
	curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
	if (r->on_body && status / 100 == 2) {
		r->ended = r->on_body(r->ctx, data, len) != 0;
		return r->ended || r->cancelled ? CURL_WRITEFUNC_ERROR : len;
	}
	r->too_big = len > r->max_body - r->answer.len;
	if (buf__append(&r->answer, data, MIN(len, r->max_body - r->answer.len)) || r->too_big)
		return CURL_WRITEFUNC_ERROR;
	return len;
}

/* curl keeps headers for as long as they come. The last is an empty line. */
static size_t http_request__on_header(char *data, size_t one _unused_, size_t len, void *ctx)
{
	struct http_request *r = ctx;
	long status = 0;

	if (r->cancelled)
		return CURL_WRITEFUNC_ERROR;
	r->headers_len += len;
	if (r->headers_len > MAX_HEADERS)
		return CURL_WRITEFUNC_ERROR;
	if (!r->on_open || r->open || (*data != '\r' && *data != '\n'))
		return len;
	curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
	r->open = status / 100 == 2;
	if (r->open)
		r->on_open(r->ctx);
	return r->cancelled ? CURL_WRITEFUNC_ERROR : len;
}

static size_t http_request__on_read(char *out, size_t one _unused_, size_t size, void *ctx)
{
	struct http_request *r = ctx;
	size_t len;

	if (r->cancelled)
		return CURL_READFUNC_ABORT;
	len = MIN(size, r->body_len - r->body_sent);
	if (len)
		memcpy(out, r->body + r->body_sent, len);
	r->body_sent += len;
	return len;
}

/* A connection that was kept alive may turn out to be dead: curl then sends it all again. */
static int http_request__on_seek(void *ctx, curl_off_t offset, int origin)
{
	struct http_request *r = ctx;

	if (origin != SEEK_SET || offset < 0 || (size_t)offset > r->body_len)
		return CURL_SEEKFUNC_FAIL;
	r->body_sent = (size_t)offset;
	return CURL_SEEKFUNC_OK;
}

/* What is sent and not acknowledged: a peer that is gone without a word would cost a stream the
 * quarter of an hour that TCP tries. Not of a unix socket. */
static int on_socket(void *ctx _unused_, curl_socket_t fd, curlsocktype purpose _unused_)
{
	unsigned ms = UNANSWERED_MS;

	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
	return CURL_SOCKOPT_OK;
}

static int add_to(struct curl_slist **list, const char *text)
{
	struct curl_slist *head = curl_slist_append(*list, text);

	if (!head)
		return -ENOMEM;
	*list = head;
	return 0;
}

static int http_request__set_headers(struct http_request *r, const char *const *headers)
{
	/* A server that does not know `Expect: 100-continue` costs a second for each request. */
	static const char *const own[] = {"Expect:", NULL};
	const char *const *lists[] = {own, headers};

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		for (const char *const *p = lists[i]; p && *p; p++) {
			if (add_to(&r->headers, *p))
				return -ENOMEM;
		}
	}
	return 0;
}

static void http_request__set_method(struct http_request *r, const struct http_opts *opts)
{
	const char *method = opts->method ? opts->method : opts->body ? "POST" : "GET";

	if (opts->body || !strcmp(method, "POST")) {
		curl_easy_setopt(r->easy, CURLOPT_POST, 1L);
		curl_easy_setopt(r->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_len);
		curl_easy_setopt(r->easy, CURLOPT_READFUNCTION, http_request__on_read);
		curl_easy_setopt(r->easy, CURLOPT_READDATA, r);
		curl_easy_setopt(r->easy, CURLOPT_SEEKFUNCTION, http_request__on_seek);
		curl_easy_setopt(r->easy, CURLOPT_SEEKDATA, r);
		if (strcmp(method, "POST"))
			curl_easy_setopt(r->easy, CURLOPT_CUSTOMREQUEST, method);
	} else if (!strcmp(method, "HEAD")) {
		curl_easy_setopt(r->easy, CURLOPT_NOBODY, 1L);
	} else if (strcmp(method, "GET")) {
		curl_easy_setopt(r->easy, CURLOPT_CUSTOMREQUEST, method);
	}
}

static int http_request__set_url(struct http_request *r, const struct http_opts *opts)
{
	_cleanup_(server_name__free) struct server_name s = {0};
	const char *name = opts->tls ? opts->tls->server_name : NULL;
	CURLcode code;
	int err;

	if (name && *name && strncasecmp(opts->url, "https://", 8) == 0) {
		err = server_name__apply(opts->url, name, &s);
		if (!err)
			err = add_to(&r->headers, s.host_header);
		if (!err)
			err = add_to(&r->connect_to, s.connect_to);
		if (err)
			return err;
		curl_easy_setopt(r->easy, CURLOPT_CONNECT_TO, r->connect_to);
	}
	code = curl_easy_setopt(r->easy, CURLOPT_URL, s.url ? s.url : opts->url);
	return code ? -ENOMEM : 0;
}

/* curl's 0 means "none" or "the default": a time that is set is at least 1 ms. */
static long to_ms(uint64_t ns)
{
	uint64_t ms = (ns + NS_PER_MS - 1) / NS_PER_MS;

	return (long)MIN(ms, (uint64_t)INT32_MAX);
}

static int http_request__set(struct http_request *r, const struct http_opts *opts)
{
	uint64_t connect_ns =
		opts->connect_timeout_ns ? opts->connect_timeout_ns : DEFAULT_CONNECT_NS;
	CURLcode code = CURLE_OK;
	int err = http_request__set_url(r, opts);

	if (err)
		return err;
	if (opts->unix_socket) {
		code = curl_easy_setopt(r->easy, CURLOPT_UNIX_SOCKET_PATH, opts->unix_socket);
		curl_easy_setopt(r->easy, CURLOPT_PROXY, "");
	} else if (opts->proxy) {
		code = curl_easy_setopt(r->easy, CURLOPT_PROXY, opts->proxy);
		curl_easy_setopt(r->easy, CURLOPT_NOPROXY, opts->no_proxy ? opts->no_proxy : "");
	}
	if (!code)
		code = curl_easy_setopt(r->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	if (!code)
		code = http_tls__set(opts->tls, r->easy);
	if (!code)
		code = curl_easy_setopt(r->easy, CURLOPT_USERAGENT, "notail/" NOTAIL_VERSION);
	if (code)
		return code == CURLE_OUT_OF_MEMORY ? -ENOMEM : -EINVAL;
	http_request__set_method(r, opts);
	curl_easy_setopt(r->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, r->headers);
	curl_easy_setopt(r->easy, CURLOPT_WRITEFUNCTION, http_request__on_write);
	curl_easy_setopt(r->easy, CURLOPT_WRITEDATA, r);
	curl_easy_setopt(r->easy, CURLOPT_HEADERFUNCTION, http_request__on_header);
	curl_easy_setopt(r->easy, CURLOPT_HEADERDATA, r);
	curl_easy_setopt(r->easy, CURLOPT_ERRORBUFFER, r->error);
	curl_easy_setopt(r->easy, CURLOPT_PRIVATE, r);
	curl_easy_setopt(r->easy, CURLOPT_NOSIGNAL, 1L);
	/* A request that ends while its host is being looked up would wait for the resolver's
	 * thread, and the loop with it: that thread is left to end by itself. */
	curl_easy_setopt(r->easy, CURLOPT_QUICK_EXIT, 1L);
	/* A stream whose peer is gone without a word ends within minutes. */
	curl_easy_setopt(r->easy, CURLOPT_SOCKOPTFUNCTION, on_socket);
	curl_easy_setopt(r->easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(r->easy, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
	curl_easy_setopt(r->easy, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
	if (opts->compressed)
		curl_easy_setopt(r->easy, CURLOPT_ACCEPT_ENCODING, "gzip");
	/* Those of a proxy's answer to CONNECT are not the server's. */
	curl_easy_setopt(r->easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(r->easy, CURLOPT_TIMEOUT_MS, to_ms(opts->timeout_ns));
	curl_easy_setopt(r->easy, CURLOPT_CONNECTTIMEOUT_MS, to_ms(connect_ns));
	return 0;
}

int http__request(struct http *h, const struct http_opts *opts, struct http_request **ret)
{
	struct http_request *r = calloc(1, sizeof(*r));
	int err = -ENOMEM;

	if (!r)
		return -ENOMEM;
	r->http = h;
	r->body = opts->body;
	r->body_len = opts->body ? opts->body_len : 0;
	r->max_body = opts->max_body ? opts->max_body : DEFAULT_MAX_BODY;
	r->on_body = opts->on_body;
	r->on_open = opts->on_open;
	r->done = opts->done;
	r->ctx = opts->ctx;
	r->easy = curl_easy_init();
	if (!r->easy || http_request__set_headers(r, opts->headers))
		goto err_out;
	err = http_request__set(r, opts);
	if (err)
		goto err_out;
	if (h->in_curl) {
		h->unsettled = true;
	} else if (curl_multi_add_handle(h->multi, r->easy) != CURLM_OK) {
		err = -EIO;
		goto err_out;
	} else {
		r->added = true;
	}
	LIST_ADD(h->requests, r);
	*ret = r;
	return 0;
err_out:
	http_request__free(r);
	return err;
}

void http_request__cancel(struct http_request *r)
{
	if (!r || r->finished)
		return;
	if (!r->http->in_curl) {
		http_request__free(r);
		return;
	}
	r->cancelled = true;
	r->http->unsettled = true;
}
