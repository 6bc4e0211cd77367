/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies in files is read for each request: requests are few, and a token or authority that was
 * renewed a moment ago is the only one that is still good. Nothing here goes by a clock, so that
 * one that is wrong costs nothing but the check of certificates, which says so.
 */
#include "kube/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/util.h"
#include "io/http.h"
#include "kube/json_walk.h"
#include "sink/auth.h"

#define MESSAGE_SHOWN (KUBE_MESSAGE_SIZE - 8)
#define MAX_PATH 4096

const char *const KUBE_ANSWER_NAMES[KUBE_ANSWERS] = {
	[KUBE_OK] = "ok",
	[KUBE_UNAUTHORIZED] = "unauthorized",
	[KUBE_FORBIDDEN] = "forbidden",
	[KUBE_NOT_FOUND] = "not_found",
	[KUBE_GONE] = "gone",
	[KUBE_TOO_MANY] = "too_many_requests",
	[KUBE_SERVER_ERROR] = "server_error",
	[KUBE_OTHER_STATUS] = "other_status",
	[KUBE_NO_ANSWER] = "none",
	[KUBE_INVALID] = "invalid",
};

struct kube {
	struct loop *loop;
	struct http *http;
	char *url; /* without a slash at its end */
	char *proxy, *no_proxy;
	struct auth *auth; /* NULL: none is sent */
	bool own_token;	   /* it was named: to do without it is an error */
	bool has_token;	   /* the last request had one */
	bool own_ca;
	struct http_tls tls; /* its strings are this struct's, but for KUBE_CA_FILE */
	uint64_t answers[KUBE_ANSWERS];
	char problem[512];
};

/* The address may be one of IPv6. */
static int url_of_pod(char **ret)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST");
	const char *port = getenv("KUBERNETES_SERVICE_PORT");
	bool v6;

	if (!host || !*host)
		return -ENOENT;
	v6 = strchr(host, ':') != NULL;
	if (asprintf(ret, "https://%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "",
		     port && *port ? port : "443") < 0)
		return -ENOMEM;
	return 0;
}

static int copy(char **to, const char *from)
{
	if (!from)
		return 0;
	*to = strdup(from);
	return *to ? 0 : -ENOMEM;
}

static int kube__set_url(struct kube *k, const char *url)
{
	_free_ char *made = NULL;
	const char *why;
	int err = url && *url ? copy(&made, url) : url_of_pod(&made);

	if (err)
		return err;
	for (size_t len = strlen(made); len && made[len - 1] == '/'; len--)
		made[len - 1] = '\0';
	err = http__check_url(made, &why);
	if (!err)
		k->url = TAKE_PTR(made);
	return err;
}

static int kube__set_auth(struct kube *k, const char *token_file)
{
	struct auth_opts opts = {.bearer_token_file = token_file ? token_file : KUBE_TOKEN_FILE};

	k->own_token = token_file != NULL;
	/* In the clear it would be anybody's. */
	if (strncasecmp(k->url, "https://", 8) != 0)
		return 0;
	return auth__new(&k->auth, &opts);
}

static int kube__copy_tls(struct kube *k, const struct http_tls *tls)
{
	const struct {
		const char *from, **to;
	} strings[] = {
		{tls->ca_file, &k->tls.ca_file},
		{tls->cert_file, &k->tls.cert_file},
		{tls->key_file, &k->tls.key_file},
		{tls->server_name, &k->tls.server_name},
		{tls->ca, &k->tls.ca},
		{tls->cert, &k->tls.cert},
		{tls->key, &k->tls.key},
	};
	int err = 0;

	k->own_ca = tls->ca_file || tls->ca;
	k->tls.insecure = tls->insecure;
	k->tls.min_version = tls->min_version;
	k->tls.max_version = tls->max_version;
	for (size_t i = 0; i < ARRAY_SIZE(strings) && !err; i++)
		err = copy((char **)strings[i].to, strings[i].from);
	return err;
}

int kube__new(struct kube **ret, struct loop *loop, struct http *http, const struct kube_opts *opts)
{
	struct kube *k = calloc(1, sizeof(*k));
	int err;

	if (!k)
		return -ENOMEM;
	k->loop = loop;
	k->http = http;
	err = opts->tls ? kube__copy_tls(k, opts->tls) : 0;
	if (!err)
		err = kube__set_url(k, opts->url);
	if (!err)
		err = copy(&k->proxy, opts->direct ? "" : opts->proxy);
	if (!err)
		err = copy(&k->no_proxy, opts->no_proxy);
	if (!err)
		err = kube__set_auth(k, opts->token_file);
	if (err)
		kube__free(k);
	else
		*ret = k;
	return err;
}

void kube__free(struct kube *k)
{
	if (!k)
		return;
	auth__free(k->auth);
	if (k->own_ca)
		free((char *)k->tls.ca_file);
	free((char *)k->tls.cert_file);
	free((char *)k->tls.key_file);
	free((char *)k->tls.server_name);
	free((char *)k->tls.ca);
	free((char *)k->tls.cert);
	free((char *)k->tls.key);
	free(k->url);
	free(k->proxy);
	free(k->no_proxy);
	free(k);
}

const char *kube__url(const struct kube *k)
{
	return k->url;
}

struct loop *kube__loop(const struct kube *k)
{
	return k->loop;
}

static int kube__fail(struct kube *k, int err, const char *what)
{
	k->answers[KUBE_NO_ANSWER]++;
	snprintf(k->problem, sizeof(k->problem), "%s%s%s", what ? what : "", what ? ": " : "",
		 err == -EINVAL ? "it is empty, too long or no text" : strerror(-err));
	return err;
}

/* NULL: none. */
static int kube__authorization(struct kube *k, char **ret)
{
	const char *header;
	int err = k->auth ? auth__header(k->auth, &header) : -ENOENT;

	*ret = NULL;
	k->has_token = !err;
	if (err && k->auth && k->own_token)
		return kube__fail(k, err, auth__file(k->auth));
	if (err)
		return 0;
	*ret = strdup(header);
	return *ret ? 0 : kube__fail(k, -ENOMEM, NULL);
}

int kube__request(struct kube *k, const struct kube_request_opts *opts, struct http_request **ret)
{
	_free_ char *url = NULL, *authorization = NULL, *type = NULL;
	const char *headers[4] = {"Accept: application/json"};
	struct http_opts http = {
		.method = opts->method,
		.proxy = k->proxy,
		.no_proxy = k->no_proxy,
		.headers = headers,
		.body = opts->body,
		.body_len = opts->body_len,
		.timeout_ns = opts->timeout_ns,
		.max_body = opts->max_body,
		.compressed = true,
		.on_open = opts->on_open,
		.on_body = opts->on_body,
		.done = opts->done,
		.ctx = opts->ctx,
	};
	int err = kube__authorization(k, &authorization);

	if (err)
		return err;
	if (!k->own_ca)
		k->tls.ca_file = access(KUBE_CA_FILE, R_OK) == 0 ? KUBE_CA_FILE : NULL;
	http.tls = &k->tls;
	if (asprintf(&url, "%s%s", k->url, opts->path) < 0 ||
	    asprintf(&type, "Content-Type: %s",
		     opts->content_type ? opts->content_type : "application/json") < 0)
		return kube__fail(k, -ENOMEM, NULL);
	http.url = url;
	headers[1] = authorization ? authorization : opts->body ? type : NULL;
	headers[2] = authorization && opts->body ? type : NULL;
	err = http__request(k->http, &http, ret);
	return err ? kube__fail(k, err, NULL) : 0;
}

static enum kube_answer answer_of(const struct http_answer *a)
{
	if (a->error)
		return KUBE_NO_ANSWER;
	switch (a->status) {
	case 401:
		return KUBE_UNAUTHORIZED;
	case 403:
		return KUBE_FORBIDDEN;
	case 404:
		return KUBE_NOT_FOUND;
	case 410:
		return KUBE_GONE;
	case 429:
		return KUBE_TOO_MANY;
	default:
		return a->status / 100 == 2   ? KUBE_OK
		       : a->status / 100 == 5 ? KUBE_SERVER_ERROR
					      : KUBE_OTHER_STATUS;
	}
}

/*
 * "pods", "events.events.k8s.io", "leases.coordination.k8s.io in default": what a role has to name.
 * A kubelet asks for nodes/pods since 1.33, for nodes/proxy before, whatever its path.
 */
static void show_resource(const char *path, char *out, size_t size)
{
	_free_ char *copied = strndup(path, MIN(strcspn(path, "?"), (size_t)MAX_PATH));
	const char *parts[8] = {0}, *group, *space = NULL;
	size_t n = 0, at;
	char *save;

	for (char *p = copied ? strtok_r(copied, "/", &save) : NULL; p && n < ARRAY_SIZE(parts);
	     p = strtok_r(NULL, "/", &save))
		parts[n++] = p;
	group = n && strcmp(parts[0], "apis") == 0 ? parts[1] : NULL;
	at = group ? 3 : 2;
	if (n > at + 2 && strcmp(parts[at], "namespaces") == 0) {
		space = parts[at + 1];
		at += 2;
	}
	if (n <= at || strncmp(parts[0], "api", 3) != 0)
		snprintf(out, size, "nodes/pods or nodes/proxy");
	else
		snprintf(out, size, "%s%s%s%s%s", parts[at], group ? "." : "", group ? group : "",
			 space ? " in namespace " : "", space ? space : "");
}

void kube__message(const char *body, size_t body_len, char out[KUBE_MESSAGE_SIZE])
{
	struct json_span text = {body, body_len};
	_free_ char *message = json_span__string(json_span__member(text, "message"));
	size_t len;

	*out = '\0';
	if (!message && body_len && *body != '{' && *body != '<')
		message = strndup(body, MIN(body_len, (size_t)KUBE_MESSAGE_SIZE));
	len = message ? strcspn(message, "\r\n") : 0;
	if (!len)
		return;
	snprintf(out, KUBE_MESSAGE_SIZE, ": %.*s", (int)MIN(len, (size_t)MESSAGE_SHOWN), message);
	for (char *p = out; *p; p++)
		*p = (unsigned char)*p < ' ' || *p == 0x7f ? '?' : *p;
	utf8__clean(out, strlen(out));
}

/* A certificate that is good at another time: it may be this clock that is wrong. */
static void show_error(const char *error, char *out, size_t size)
{
	time_t now = (time_t)(clock__real_ns() / NS_PER_SEC);
	char clock[40];
	struct tm tm;

	if (!strstr(error, "certificate is not yet valid") &&
	    !strstr(error, "certificate has expired")) {
		snprintf(out, size, "%s", error);
		return;
	}
	gmtime_r(&now, &tm);
	strftime(clock, sizeof(clock), "%Y-%m-%d %H:%M:%S", &tm);
	snprintf(out, size, "%s; this node's clock says %s UTC", error, clock);
}

const char *kube__judge(struct kube *k, const struct http_answer *a, const char *verb,
			const char *path)
{
	enum kube_answer answer = answer_of(a);
	char resource[128], message[KUBE_MESSAGE_SIZE];

	k->answers[answer]++;
	if (answer == KUBE_OK)
		return NULL;
	kube__message(a->body, a->body_len, message);
	switch (answer) {
	case KUBE_NO_ANSWER:
		show_error(a->error_text, k->problem, sizeof(k->problem));
		break;
	case KUBE_UNAUTHORIZED:
		snprintf(k->problem, sizeof(k->problem), "%s (401)%s",
			 k->has_token ? "it does not take the token"
				      : "it wants a token, and there is none to send",
			 message);
		break;
	case KUBE_FORBIDDEN:
		show_resource(path, resource, sizeof(resource));
		snprintf(k->problem, sizeof(k->problem), "needs %s on %s (403)%s", verb, resource,
			 message);
		break;
	case KUBE_NOT_FOUND:
		snprintf(k->problem, sizeof(k->problem), "it has no %.*s (404)%s",
			 (int)MIN(strcspn(path, "?"), (size_t)128), path, message);
		break;
	case KUBE_TOO_MANY:
		snprintf(k->problem, sizeof(k->problem), "it is too busy (429)%s", message);
		break;
	default:
		snprintf(k->problem, sizeof(k->problem), "status %ld%s%s", a->status,
			 a->status / 100 == 3 ? ", a redirect, which is not followed" : "",
			 message);
	}
	return k->problem;
}

void kube__invalid(struct kube *k)
{
	k->answers[KUBE_OK]--;
	k->answers[KUBE_INVALID]++;
}

const char *kube__problem(const struct kube *k)
{
	return k->problem;
}

uint64_t kube__answers(const struct kube *k, enum kube_answer answer)
{
	return k->answers[answer];
}
