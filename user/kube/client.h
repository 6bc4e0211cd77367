/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to a Kubernetes API server, or to a kubelet: where it is, the service account's token
 * and authority, which are read anew for each request since they are renewed in place. The token
 * goes nowhere but over TLS, and is never logged. On the loop's thread.
 */
#ifndef NOTAIL_KUBE_CLIENT_H
#define NOTAIL_KUBE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http;
struct http_answer;
struct http_request;
struct http_tls;
struct loop;
struct kube;

#define KUBE_ACCOUNT_DIR "/var/run/secrets/kubernetes.io/serviceaccount"
#define KUBE_TOKEN_FILE KUBE_ACCOUNT_DIR "/token"
#define KUBE_CA_FILE KUBE_ACCOUNT_DIR "/ca.crt"

/* All is copied. */
struct kube_opts {
	const char *url;	/* NULL: what the environment of a pod says */
	const char *token_file; /* NULL: the service account's, where there is one */
	/* NULL, or without a ca_file of its own: the service account's, where there is one. */
	const struct http_tls *tls;
	const char *proxy;    /* NULL: the environment's */
	const char *no_proxy; /* hosts that `proxy` is not for; NULL: none */
	bool direct;	      /* no proxy, whatever the environment says */
};

/* How requests were answered. */
enum kube_answer {
	KUBE_OK,
	KUBE_UNAUTHORIZED,
	KUBE_FORBIDDEN,
	KUBE_NOT_FOUND,
	KUBE_GONE,
	KUBE_TOO_MANY,
	KUBE_SERVER_ERROR,
	KUBE_OTHER_STATUS,
	KUBE_NO_ANSWER, /* no connection, cut off, too slow, a wrong certificate */
	KUBE_INVALID,	/* not what the API promises */
	KUBE_ANSWERS,
};

/* "ok", "unauthorized", ...: as in metrics. */
extern const char *const KUBE_ANSWER_NAMES[KUBE_ANSWERS];

/* All of loop and http must outlive it. 0; -ENOENT: no url, and none in the environment; -EINVAL:
 * the url is none; -ENOMEM. */
int kube__new(struct kube **ret, struct loop *loop, struct http *http,
	      const struct kube_opts *opts);
void kube__free(struct kube *k); /* NULL is fine */
/* As it was given, or made of the environment. */
const char *kube__url(const struct kube *k);
struct loop *kube__loop(const struct kube *k);

/* As struct http_opts has them. */
struct kube_request_opts {
	const char *method;	  /* NULL: GET, or POST with a body */
	const char *path;	  /* "/api/v1/pods?limit=1" */
	const char *content_type; /* of the body; NULL: application/json */
	const void *body;
	size_t body_len;
	uint64_t timeout_ns;
	size_t max_body;
	void (*on_open)(void *ctx);
	int (*on_body)(void *ctx, const char *data, size_t len);
	void (*done)(void *ctx, const struct http_answer *answer);
	void *ctx;
};

/* -errno, and a line in kube__problem: the token cannot be read, no memory. */
int kube__request(struct kube *k, const struct kube_request_opts *opts, struct http_request **ret);
/*
 * What is wrong with an answer, for people: one line, valid until the next call; a 403's names
 * `verb` ("list") and the resource of the path. NULL: nothing. Each answer is judged, and so
 * counted, once.
 */
const char *kube__judge(struct kube *k, const struct http_answer *answer, const char *verb,
			const char *path);
#define KUBE_MESSAGE_SIZE 208
/* ": " and what a Status says, or a kubelet in plain text, as one line; "": nothing. */
void kube__message(const char *body, size_t len, char ret[KUBE_MESSAGE_SIZE]);
/* The body of one that was judged well is not what the API promises. */
void kube__invalid(struct kube *k);
/* What kube__request or kube__judge had to say last; "": nothing. */
const char *kube__problem(const struct kube *k);
uint64_t kube__answers(const struct kube *k, enum kube_answer answer);

#endif
