/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP requests on the loop (libcurl multi stays inside). Callbacks come on the loop's thread. TLS
 * is verified by default; redirects are not followed; proxies from the environment as curl does.
 * Header values are never logged.
 */
#ifndef NOTAIL_IO_HTTP_H
#define NOTAIL_IO_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct loop;
struct http;
struct http_request;

struct http_answer {
	int error; /* 0: there is a status; else -errno-like: -ETIMEDOUT, -ECONNREFUSED,
		      -EHOSTUNREACH, -EPROTO, -EIO, -EFBIG, -ENOMEM; -ENOENT and -EACCES of a
		      unix socket; -ECANCELED: on_body ended it */
	const char *error_text; /* one line; "" without an error */
	long status;		/* with an error: of what had come by then, or 0 */
	const char *body;	/* borrowed; at most max_body bytes; empty when on_body took it */
	size_t body_len;
	int64_t retry_after_ns; /* from Retry-After (seconds or HTTP date); -1: none, or not in the
				   future */
};

/* Files are read for each request: with other contents, another connection is made. NULL: the
 * system's, or none. */
struct http_tls {
	const char *ca_file;
	const char *cert_file, *key_file;
	const char *ca, *cert, *key; /* the same themselves, in PEM; copied */
	const char *server_name; /* to ask for and to verify, in place of the URL's host; no_proxy
				    of the environment then means it too */
	bool insecure;		 /* the server's certificate is not verified */
	int min_version, max_version; /* 10 * major + minor, 10 to 13; 0: 1.2 and the
					 library's */
};

struct http_opts {
	const char *method; /* NULL: GET, or POST with a body */
	const char *url;
	const char *unix_socket;    /* NULL: none */
	const struct http_tls *tls; /* of https; NULL: defaults; copied */
	const char *proxy;	    /* a URL; NULL: the environment's, as its no_proxy; copied */
	const char *no_proxy; /* hosts that `proxy` is not for, as the environment's; NULL: none */
	const char *const *headers; /* "Name: value", NULL-terminated; NULL: none; copied */
	const void *body;	    /* borrowed until done */
	size_t body_len;
	uint64_t timeout_ns;	     /* whole request; 0: none (streams) */
	uint64_t connect_timeout_ns; /* 0: 10 s */
	size_t max_body;	     /* an answer over it fails with -EFBIG; 0: 1 MiB */
	bool compressed;	     /* gzip is welcome; pieces and body come without it */
	/* There is a 2xx answer, whatever its body will be. NULL: nobody asks. */
	void (*on_open)(void *ctx);
	/* A stream: gets the pieces of a 2xx answer as they come, nothing is kept; the body of any
	 * other answer is collected. Non-zero ends the request. NULL: body is collected. */
	int (*on_body)(void *ctx, const char *data, size_t len);
	/* Exactly once, unless the request is cancelled. The request is freed when it returns. */
	void (*done)(void *ctx, const struct http_answer *answer);
	void *ctx;
};

int http__new(struct http **ret, struct loop *loop);
/* Cancels what is under way. Not from a callback of a request. */
void http__free(struct http *h);
/* Everything else may be called from callbacks. No callback comes before this returns. */
int http__request(struct http *h, const struct http_opts *opts, struct http_request **ret);
/* `done` will not be called. NULL is fine. */
void http_request__cancel(struct http_request *r);
/* Appends the text as part of a path or a query: percent-encoded but for RFC 3986's unreserved. 0
 * or -ENOMEM. */
int http__append_escaped(struct buf *b, const char *text);
/* http:// or https:// with a host; *ret_why: static text. -EINVAL. */
int http__check_url(const char *url, const char **ret_why);
/*
 * *ret_url: the URL without `user:password@`; *ret_userinfo: `user:password`, percent-decoded, NULL
 * when there is none. Both to free. -EINVAL, -ENOMEM.
 */
int http__split_userinfo(const char *url, char **ret_url, char **ret_userinfo);

#endif
