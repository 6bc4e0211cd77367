/* SPDX-License-Identifier: Apache-2.0 */
/*
 * evhttp, which counts no connections: so each one's bufferevent is held by a reference in a slot,
 * and listening pauses while all slots are taken. evhttp takes its callbacks from a bufferevent
 * that it lets go of, which is how a slot is seen to be free; a timer looks while there are any.
 * One that is older than MAX_AGE_NS is shut down, however slowly it goes on sending.
 */
#include "io/httpd.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "io/httpd_tls.h"
#include "io/loop.h"
#include "io/loop_base.h"

#define BACKLOG 64
#define IDLE_S 10
#define MAX_AGE_NS (30 * NS_PER_SEC)
#define SWEEP_NS (250 * NS_PER_MS)
#define SWEEP_FULL_NS (20 * NS_PER_MS)
#define ALL_METHODS 0xffff
#define NO_POLICY "default-src 'none'"

struct slot {
	struct bufferevent *bev; /* NULL: free */
	uint64_t since_ns;
	bool aged;
};

struct httpd {
	struct httpd_opts opts;
	struct evhttp *http;
	struct evconnlistener *listener; /* http's */
	struct loop_timer *sweep;
	struct slot slots[HTTPD_MAX_CONNECTIONS];
	size_t n_slots;
	bool full;
	char address[HTTPD_ADDRESS_LEN];
};

struct httpd_request {
	struct httpd *server;
	struct evhttp_request *rq;
	void (*gone)(void *ctx);
	void *gone_ctx;
};

static int parse_port(const char *text, in_port_t *ret)
{
	unsigned long port;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	port = strtoul(text, &end, 10);
	if (*end || port > 65535)
		return -EINVAL;
	*ret = htons((uint16_t)port);
	return 0;
}

int httpd__parse_address(const char *text, struct sockaddr_storage *ret, socklen_t *ret_len)
{
	const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
	const char *colon = strrchr(text, ':');
	struct addrinfo *found;
	char host[HTTPD_ADDRESS_LEN];
	in_port_t port;
	size_t len;

	if (!colon || parse_port(colon + 1, &port) || colon == text)
		return -EINVAL;
	len = (size_t)(colon - text);
	if (*text == '[' && colon[-1] == ']') {
		text++;
		len -= 2;
	} else if (memchr(text, ':', len)) {
		return -EINVAL;
	}
	if (!len || len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = '\0';
	if (getaddrinfo(!strcmp(host, "localhost") ? "127.0.0.1" : host, NULL, &hints, &found))
		return -EINVAL;
	memcpy(ret, found->ai_addr, found->ai_addrlen);
	*ret_len = found->ai_addrlen;
	freeaddrinfo(found);
	/* Both families have it in the same place. */
	((struct sockaddr_in *)ret)->sin_port = port;
	return 0;
}

bool httpd__is_loopback(const char *address)
{
	struct sockaddr_storage to;
	socklen_t len;

	if (httpd__parse_address(address, &to, &len))
		return false;
	if (to.ss_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)&to)->sin6_addr);
	return ntohl(((struct sockaddr_in *)&to)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

static void look_for_free(struct httpd *h)
{
	bufferevent_event_cb fn;

	for (size_t i = 0; i < HTTPD_MAX_CONNECTIONS; i++) {
		struct slot *s = &h->slots[i];

		if (!s->bev)
			continue;
		bufferevent_getcb(s->bev, NULL, NULL, &fn, NULL);
		if (!fn) {
			bufferevent_decref(s->bev);
			*s = (struct slot){0};
			h->n_slots--;
		} else if (!s->aged && clock__boot_ns() - s->since_ns > MAX_AGE_NS) {
			s->aged = true;
			shutdown(bufferevent_getfd(s->bev), SHUT_RDWR);
		}
	}
	if (h->full && h->n_slots < HTTPD_MAX_CONNECTIONS) {
		h->full = false;
		evconnlistener_enable(h->listener);
	}
}

static void on_sweep(void *ctx)
{
	struct httpd *h = ctx;

	look_for_free(h);
	if (h->n_slots)
		loop_timer__set(h->sweep, h->full ? SWEEP_FULL_NS : SWEEP_NS);
}

/* Too many open files, most likely: the connection stays there, and would be tried at once again.
 */
static void on_accept_failed(struct evconnlistener *listener, void *ctx)
{
	struct httpd *h = ctx;

	h->full = true;
	evconnlistener_disable(listener);
	loop_timer__set(h->sweep, SWEEP_NS);
}

/* The session goes with it. */
static struct bufferevent *make_tls(struct event_base *base, struct httpd_tls *tls)
{
	struct ssl_st *ssl = httpd_tls__session(tls);
	struct bufferevent *bev =
		ssl ? bufferevent_openssl_socket_new(base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING,
						     BEV_OPT_CLOSE_ON_FREE)
		    : NULL;

	if (bev)
		bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
	return bev;
}

/* Of a connection that was accepted. NULL: evhttp makes one itself. */
static struct bufferevent *make_bufferevent(struct event_base *base, void *ctx)
{
	struct httpd *h = ctx;
	struct slot *s = h->slots;
	struct bufferevent *bev = h->opts.tls
					  ? make_tls(base, h->opts.tls)
					  : bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);

	if (!bev)
		return NULL;
	while (s->bev)
		s++;
	bufferevent_incref(bev);
	*s = (struct slot){.bev = bev, .since_ns = clock__boot_ns()};
	if (!h->n_slots)
		loop_timer__set(h->sweep, SWEEP_NS);
	if (++h->n_slots < HTTPD_MAX_CONNECTIONS)
		return bev;
	h->full = true;
	evconnlistener_disable(h->listener);
	loop_timer__set(h->sweep, SWEEP_FULL_NS);
	return bev;
}

static void on_peer_gone(struct evhttp_connection *connection _unused_, void *ctx)
{
	struct httpd_request *rq = ctx;

	if (rq->gone)
		rq->gone(rq->gone_ctx);
	free(rq);
}

static void on_request(struct evhttp_request *from, void *ctx)
{
	struct httpd *h = ctx;
	struct httpd_request *rq = calloc(1, sizeof(*rq));

	if (!rq) {
		evhttp_send_error(from, 503, NULL);
		return;
	}
	rq->server = h;
	rq->rq = from;
	evhttp_connection_set_closecb(evhttp_request_get_connection(from), on_peer_gone, rq);
	h->opts.request(h->opts.ctx, rq);
}

static int open_socket(const char *address)
{
	struct sockaddr_storage to;
	_close_ int fd = -1;
	socklen_t len;
	int on = 1;

	if (httpd__parse_address(address, &to, &len))
		return -EINVAL;
	fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&to, len) || listen(fd, BACKLOG))
		return -errno;
	return TAKE_FD(fd);
}

static void name_address(struct httpd *h, int fd)
{
	struct sockaddr_storage of = {0};
	socklen_t len = sizeof(of);
	char host[INET6_ADDRSTRLEN] = "?";
	bool six;

	getsockname(fd, (struct sockaddr *)&of, &len);
	getnameinfo((struct sockaddr *)&of, len, host, sizeof(host), NULL, 0, NI_NUMERICHOST);
	six = of.ss_family == AF_INET6;
	snprintf(h->address, sizeof(h->address), "%s%s%s:%u", six ? "[" : "", host, six ? "]" : "",
		 ntohs(((struct sockaddr_in *)&of)->sin_port));
}

static int set_up(struct httpd *h, struct loop *l)
{
	struct evhttp_bound_socket *bound;
	_close_ int fd = open_socket(h->opts.address);
	int err;

	if (fd < 0)
		return fd;
	name_address(h, fd);
	err = loop__timer(l, on_sweep, h, &h->sweep);
	if (err)
		return err;
	h->http = evhttp_new(loop__base(l));
	if (!h->http)
		return -ENOMEM;
	evhttp_set_allowed_methods(h->http, ALL_METHODS);
	evhttp_set_max_headers_size(h->http, HTTPD_MAX_HEADERS);
	evhttp_set_max_body_size(h->http, HTTPD_MAX_BODY);
	evhttp_set_timeout(h->http, IDLE_S);
	evhttp_set_gencb(h->http, on_request, h);
	evhttp_set_bevcb(h->http, make_bufferevent, h);
	bound = evhttp_accept_socket_with_handle(h->http, fd);
	if (!bound)
		return -ENOMEM;
	(void)TAKE_FD(fd);
	h->listener = evhttp_bound_socket_get_listener(bound);
	evconnlistener_set_error_cb(h->listener, on_accept_failed);
	return 0;
}

int httpd__new(struct httpd **ret, struct loop *l, const struct httpd_opts *opts)
{
	struct httpd *h = calloc(1, sizeof(*h));
	int err;

	if (!h)
		return -ENOMEM;
	h->opts = *opts;
	err = set_up(h, l);
	h->opts.address = NULL;
	if (err) {
		httpd__free(h);
		return err;
	}
	*ret = h;
	return 0;
}

void httpd__free(struct httpd *h)
{
	if (!h)
		return;
	if (h->http)
		evhttp_free(h->http);
	for (size_t i = 0; i < HTTPD_MAX_CONNECTIONS; i++)
		if (h->slots[i].bev)
			bufferevent_decref(h->slots[i].bev);
	loop_timer__free(h->sweep);
	free(h);
}

const char *httpd__address(const struct httpd *h)
{
	return h->address;
}

struct httpd *httpd_request__server(const struct httpd_request *rq)
{
	return rq->server;
}

enum httpd_method httpd_request__method(const struct httpd_request *rq)
{
	switch (evhttp_request_get_command(rq->rq)) {
	case EVHTTP_REQ_GET:
		return HTTPD_GET;
	case EVHTTP_REQ_HEAD:
		return HTTPD_HEAD;
	case EVHTTP_REQ_POST:
		return HTTPD_POST;
	default:
		return HTTPD_OTHER;
	}
}

const char *httpd_request__path(const struct httpd_request *rq)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(rq->rq);
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL;

	return uri && !evhttp_uri_get_host(uri) && !evhttp_uri_get_scheme(uri) ? path : NULL;
}

int httpd_request__param(const struct httpd_request *rq, const char *name, char *ret, size_t size)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(rq->rq);
	const char *query = uri ? evhttp_uri_get_query(uri) : NULL, *value = NULL;
	const struct evkeyval *param;
	struct evkeyvalq params;
	int err = -ENOENT;

	if (!query || evhttp_parse_query_str(query, &params))
		return err;
	for (param = params.tqh_first; param; param = param->next.tqe_next) {
		if (strcmp(param->key, name))
			continue;
		err = value ? -ENOENT : strlen(param->value) < size ? 0 : -ENAMETOOLONG;
		value = param->value;
	}
	if (!err)
		memcpy(ret, value, strlen(value) + 1);
	evhttp_clear_headers(&params);
	return err;
}

size_t httpd_request__header(const struct httpd_request *rq, const char *name, const char **ret)
{
	const struct evkeyvalq *headers = evhttp_request_get_input_headers(rq->rq);
	const struct evkeyval *header;
	size_t n = 0;

	*ret = NULL;
	for (header = headers->tqh_first; header; header = header->next.tqe_next)
		if (!strcasecmp(header->key, name) && !n++)
			*ret = header->value;
	return n;
}

void httpd_request__on_gone(struct httpd_request *rq, void (*fn)(void *ctx), void *ctx)
{
	rq->gone = fn;
	rq->gone_ctx = ctx;
}

static void free_bytes(const void *data, size_t len _unused_, void *extra _unused_)
{
	free((void *)data);
}

static void add_headers(struct evhttp_request *rq, const struct httpd_reply *reply)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(rq);
	char length[24];

	snprintf(length, sizeof(length), "%zu", reply->body ? reply->body->len : 0);
	evhttp_add_header(headers, "Content-Length", length);
	evhttp_add_header(headers, "Content-Type", reply->type);
	evhttp_add_header(headers, "Connection", "close");
	evhttp_add_header(headers, "Cache-Control", "no-store");
	evhttp_add_header(headers, "Content-Security-Policy",
			  reply->policy ? reply->policy : NO_POLICY);
	evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
	evhttp_add_header(headers, "X-Frame-Options", "DENY");
	evhttp_add_header(headers, "Referrer-Policy", "no-referrer");
	if (reply->authenticate)
		evhttp_add_header(headers, "WWW-Authenticate", reply->authenticate);
	if (reply->allow)
		evhttp_add_header(headers, "Allow", reply->allow);
}

void httpd_request__reply(struct httpd_request *rq, const struct httpd_reply *reply)
{
	struct evhttp_request *to = rq->rq;
	struct evbuffer *out = evbuffer_new();
	struct buf *body = reply->body;

	add_headers(to, reply);
	if (out && body && body->len && httpd_request__method(rq) != HTTPD_HEAD &&
	    !evbuffer_add_reference(out, body->data, body->len, free_bytes, NULL))
		*body = (struct buf){0};
	if (body)
		buf__free(body);
	evhttp_connection_set_closecb(evhttp_request_get_connection(to), NULL, NULL);
	free(rq);
	evhttp_send_reply(to, reply->status, NULL, out);
	if (out)
		evbuffer_free(out);
}
