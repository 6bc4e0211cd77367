/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small HTTP/1.1 server on the loop (libevent's evhttp stays inside): bounded in connections, in
 * bytes of a request, and in time; one request a connection. On the loop's thread.
 */
#ifndef NOTAIL_IO_HTTPD_H
#define NOTAIL_IO_HTTPD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/buf.h"

struct loop;
struct httpd;
struct httpd_tls;
struct httpd_request;

#define HTTPD_MAX_CONNECTIONS 64
#define HTTPD_MAX_HEADERS 8192
#define HTTPD_MAX_BODY 4096
#define HTTPD_ADDRESS_LEN 64

enum httpd_method { HTTPD_GET, HTTPD_HEAD, HTTPD_POST, HTTPD_OTHER };

struct httpd_opts {
	const char *address;   /* 127.0.0.1:9464, [::1]:9464, localhost:9464; port 0: a free one */
	struct httpd_tls *tls; /* NULL: none; borrowed */
	/* Of each request; it is to be answered once, now or later. */
	void (*request)(void *ctx, struct httpd_request *rq);
	void *ctx;
};

struct httpd_reply {
	int status;
	const char *type;	  /* Content-Type */
	const char *policy;	  /* Content-Security-Policy; NULL: nothing may be loaded */
	const char *allow;	  /* Allow; NULL: no such header */
	const char *authenticate; /* WWW-Authenticate; likewise */
	struct buf *body;	  /* taken over, empty afterwards; NULL: none */
};

/* Listens. -EINVAL: no address; -EADDRINUSE, ... of bind. */
int httpd__new(struct httpd **ret, struct loop *l, const struct httpd_opts *opts);
/* Requests that are not answered are told to be gone. NULL is fine. */
void httpd__free(struct httpd *h);
/* With the port that it has, as in a URL. */
const char *httpd__address(const struct httpd *h);
/* The address, and what it is in a URL. 0 or -EINVAL. */
int httpd__parse_address(const char *text, struct sockaddr_storage *ret, socklen_t *ret_len);

/* Nobody but this host reaches it. */
bool httpd__is_loopback(const char *address);

/* Valid until the request is answered, or gone. */
struct httpd *httpd_request__server(const struct httpd_request *rq);
enum httpd_method httpd_request__method(const struct httpd_request *rq);
/* Without the query. NULL: the request is not for a path of this server. */
const char *httpd_request__path(const struct httpd_request *rq);
/* A parameter of the query, decoded. -ENOENT: it is not there, or more than once; -ENAMETOOLONG.
 */
int httpd_request__param(const struct httpd_request *rq, const char *name, char *ret, size_t size);
/* How often it is there; *ret: the first one's value, NULL: none. */
size_t httpd_request__header(const struct httpd_request *rq, const char *name, const char **ret);
/* fn: the peer went away, or the server is freed; the request must not be answered any more. */
void httpd_request__on_gone(struct httpd_request *rq, void (*fn)(void *ctx), void *ctx);
void httpd_request__reply(struct httpd_request *rq, const struct httpd_reply *reply);

#endif
