/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request at a time: the batch at the head of the queue is sent until Loki has taken or refused
 * it, then the next. What a failure means is decided by the status alone, and by the text of a
 * refusal: Loki refuses a request as a whole when it cannot read it, and drops only single entries
 * or streams when they break its limits, with the same status 400.
 *
 * A status that is neither known as success nor as final is tried again: a wrong path, a proxy or a
 * missing tenant can be put right while the lines wait.
 */
#include "sink/loki.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "io/backoff.h"
#include "io/http.h"
#include "io/loop.h"
#include "sink/pending.h"

#define TENANT_HEADER "X-Scope-OrgID"
#define PUSH_PATH "/loki/api/v1/push"
#define DEFAULT_MIN_BACKOFF_NS (500 * NS_PER_MS)
#define DEFAULT_MAX_BACKOFF_NS (300 * NS_PER_SEC)
#define DEFAULT_TIMEOUT_NS (10 * NS_PER_SEC)
#define MAX_ANSWER ((size_t)64 << 10)
#define SHOWN_TEXT 300
#define PROBLEM_LEN (SHOWN_TEXT + 64)
#define REFUSED_LOG_NS (60 * NS_PER_SEC)
#define FAILED_LOG_NS (10 * NS_PER_SEC)

struct loki_sink {
	struct http *http;
	sink_done_fn done;
	void *ctx;
	char *url;
	char **headers; /* those that never change, NULL behind them and room for two more */
	size_t n_headers;
	char *tenant_header;   /* of batches that name none; NULL: none */
	struct auth *auth;     /* NULL: none */
	struct oauth2 *oauth2; /* NULL: none */
	bool token_renewed;    /* since the last push that got through */
	const struct http_tls *tls;
	const char *proxy, *no_proxy;
	bool drop_rate_limited;
	uint64_t timeout_ns;
	uint64_t max_backoff_ns;
	struct pending queue;
	struct http_request *request; /* of the queue's first batch */
	uint64_t sent_ns;	      /* when it was, CLOCK_BOOTTIME */
	struct loop_timer *timer;
	bool waiting; /* the timer is armed */
	struct backoff backoff;
	unsigned failures; /* since the last answer that was not one */
	bool failure_logged;
	uint64_t failure_logged_ns; /* 0: never */
	uint64_t refusal_logged_ns; /* 0: never */
	unsigned refusals_unlogged;
	char problem[PROBLEM_LEN]; /* of the last try; empty: none */
	struct sink_stats stats;
};

enum verdict { VERDICT_OK, VERDICT_PARTIAL, VERDICT_REFUSED, VERDICT_RETRY };

static void loki_sink__send(struct loki_sink *s);

#define stat_add(field, n) atomic_fetch_add_explicit(&(field), (n), memory_order_relaxed)

/* Loki's distributor names the stream of what it left out; its parser knows none. */
static bool refused_in_part(const char *text, size_t len)
{
	static const char *const whole[] = {"couldn't parse", "snappy:", "proto:"};
	static const char *const part[] = {"for stream", "stream '", "errors like",
					   "ignored, reason"};

	for (size_t i = 0; i < ARRAY_SIZE(whole); i++)
		if (len >= strlen(whole[i]) && !memcmp(text, whole[i], strlen(whole[i])))
			return false;
	for (size_t i = 0; i < ARRAY_SIZE(part); i++)
		if (memmem(text, len, part[i], strlen(part[i])))
			return true;
	return false;
}

static enum verdict judge(const struct http_answer *a)
{
	/* A long answer is still an answer. */
	if (a->error && a->error != -EFBIG)
		return VERDICT_RETRY;
	if (a->status / 100 == 2)
		return VERDICT_OK;
	if (a->status == 400 && refused_in_part(a->body, a->body_len))
		return VERDICT_PARTIAL;
	if (a->status == 400 || a->status == 413 || a->status == 422)
		return VERDICT_REFUSED;
	return VERDICT_RETRY;
}

/* The beginning of an answer as one line without control characters. */
static void show_text(const struct http_answer *a, char out[SHOWN_TEXT + 1])
{
	size_t len = MIN(a->body_len, (size_t)SHOWN_TEXT);

	while (len < a->body_len && len > 0 && ((unsigned char)a->body[len] & 0xc0) == 0x80)
		len--;
	while (len > 0 && (unsigned char)a->body[len - 1] <= ' ')
		len--;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)a->body[i];

		out[i] = c < ' ' || c == 0x7f ? ' ' : (char)c;
	}
	out[len] = 0;
}

static void loki_sink__log_refusal(struct loki_sink *s, const struct http_answer *a,
				   const struct batch *b, bool in_part)
{
	uint64_t now_ns = clock__boot_ns();
	char text[SHOWN_TEXT + 1], more[64] = "";

	if (s->refusal_logged_ns && now_ns - s->refusal_logged_ns < REFUSED_LOG_NS) {
		s->refusals_unlogged++;
		return;
	}
	show_text(a, text);
	if (s->refusals_unlogged)
		snprintf(more, sizeof(more), " (and %u refusals before it)", s->refusals_unlogged);
	if (in_part)
		log_warn("loki: it left out a part of %zu lines, status %ld%s: %s", b->lines,
			 a->status, more, text);
	else
		log_warn("loki: it refused %zu lines, status %ld%s: %s", b->lines, a->status, more,
			 text);
	s->refusal_logged_ns = now_ns;
	s->refusals_unlogged = 0;
}

static void loki_sink__log_failure(struct loki_sink *s, const char *what, uint64_t delay_ns)
{
	uint64_t now_ns = clock__boot_ns();

	if (s->failures > 1 ||
	    (s->failure_logged_ns && now_ns - s->failure_logged_ns < FAILED_LOG_NS)) {
		log_debug("loki: %s: %s; next try in %llu ms", s->url, what, delay_ns / NS_PER_MS);
		return;
	}
	log_warn("loki: %s: %s; keeping the lines and trying again", s->url, what);
	s->failure_logged = true;
	s->failure_logged_ns = now_ns;
}

static void loki_sink__answered(struct loki_sink *s)
{
	if (s->failure_logged)
		log_info("loki: %s: it answers again (failures: %u)", s->url, s->failures);
	s->failure_logged = false;
	s->token_renewed = false;
	s->problem[0] = '\0';
	s->failures = 0;
	backoff__reset(&s->backoff);
}

static void loki_sink__retry(struct loki_sink *s, const char *what, int64_t retry_after_ns)
{
	uint64_t delay_ns = backoff__next(&s->backoff);

	if (retry_after_ns >= 0)
		delay_ns = MIN((uint64_t)retry_after_ns, s->max_backoff_ns);
	s->failures++;
	snprintf(s->problem, sizeof(s->problem), "%s", what);
	stat_add(s->stats.retries, 1);
	loki_sink__log_failure(s, what, delay_ns);
	s->waiting = true;
	loop_timer__set(s->timer, delay_ns);
}

static void loki_sink__drop(struct loki_sink *s, struct batch *b, enum sink_result why)
{
	stat_add(s->stats.dropped_lines, b->lines);
	s->done(s->ctx, b, why);
}

/* Another token, and no pause before it is tried. */
static bool loki_sink__renews_token(struct loki_sink *s, const struct http_answer *a)
{
	bool again = !s->token_renewed;

	if (a->error || a->status != 401 || !s->oauth2)
		return false;
	oauth2__refused(s->oauth2);
	s->token_renewed = true;
	return again;
}

static void loki_sink__on_token(void *ctx, const char *error)
{
	struct loki_sink *s = ctx;

	if (error)
		loki_sink__retry(s, error, -1);
	else
		loki_sink__send(s);
}

static void loki_sink__no_header(struct loki_sink *s, int err)
{
	const char *file = s->oauth2 ? oauth2__file(s->oauth2) : auth__file(s->auth);
	char why[SHOWN_TEXT];

	snprintf(why, sizeof(why), "%s: %s", file ? file : "the password",
		 err == -EINVAL ? "no secret in it" : strerror(-err));
	loki_sink__retry(s, why, -1);
}

static void loki_sink__on_done(void *ctx, const struct http_answer *a)
{
	struct loki_sink *s = ctx;
	bool limited = !a->error && a->status == 429 && s->drop_rate_limited;
	enum verdict verdict = limited ? VERDICT_REFUSED : judge(a);
	char what[PROBLEM_LEN], text[SHOWN_TEXT + 1];
	struct batch *b;

	s->request = NULL;
	sink_stats__answered(&s->stats, a->status, a->error, clock__boot_ns() - s->sent_ns,
			     pending__first(&s->queue)->payload.len);
	if (loki_sink__renews_token(s, a)) {
		loki_sink__send(s);
		return;
	}
	if (verdict == VERDICT_RETRY) {
		show_text(a, text);
		if (a->error)
			snprintf(what, sizeof(what), "%s", a->error_text);
		else
			snprintf(what, sizeof(what), "status %ld%s%s", a->status,
				 text[0] ? ": " : "", text);
		sink_stats__failed(&s->stats, a->status, a->error);
		loki_sink__retry(s, what, a->retry_after_ns);
		return;
	}
	loki_sink__answered(s);
	b = pending__pop(&s->queue);
	stat_add(s->stats.batches, 1);
	stat_add(s->stats.bytes, b->payload.len);
	if (verdict != VERDICT_OK)
		loki_sink__log_refusal(s, a, b, verdict == VERDICT_PARTIAL);
	if (verdict == VERDICT_REFUSED) {
		loki_sink__drop(s, b, SINK_REFUSED);
	} else {
		stat_add(s->stats.partial, verdict == VERDICT_PARTIAL);
		stat_add(s->stats.lines, b->lines);
		sink_stats__delivered(&s->stats, b);
		s->done(s->ctx, b, SINK_DELIVERED);
	}
	loki_sink__send(s);
}

static void loki_sink__send(struct loki_sink *s)
{
	struct batch *b = pending__first(&s->queue);
	struct http_opts opts = {
		.url = s->url,
		.tls = s->tls,
		.proxy = s->proxy,
		.no_proxy = s->no_proxy,
		.headers = (const char *const *)s->headers,
		.timeout_ns = s->timeout_ns,
		.max_body = MAX_ANSWER,
		.done = loki_sink__on_done,
		.ctx = s,
	};
	_buf_ struct buf tenant = {0};
	const char *header = NULL;
	char **last;
	int err = 0;

	if (!b || s->request || s->waiting)
		return;
	if (s->oauth2)
		err = oauth2__header(s->oauth2, &header);
	else if (s->auth)
		err = auth__header(s->auth, &header);
	if (err == -EAGAIN && s->oauth2)
		return;
	if (err) {
		loki_sink__no_header(s, err);
		return;
	}
	if (b->tenant)
		err = buf__printf(&tenant, TENANT_HEADER ": %s", b->tenant);
	last = s->headers + s->n_headers;
	if (b->tenant || s->tenant_header)
		*last++ = b->tenant ? tenant.data : s->tenant_header;
	*last = (char *)header;
	opts.body = b->payload.len ? b->payload.data : "";
	opts.body_len = b->payload.len;
	s->sent_ns = clock__boot_ns();
	if (!err)
		err = http__request(s->http, &opts, &s->request);
	s->headers[s->n_headers] = s->headers[s->n_headers + 1] = NULL;
	if (err)
		loki_sink__retry(s, strerror(-err), -1);
}

static void loki_sink__on_timer(void *ctx)
{
	struct loki_sink *s = ctx;

	s->waiting = false;
	loki_sink__send(s);
}

int loki__push_url(const char *url, char **ret_url, const char **ret_why)
{
	const char *host, *rest;
	int err = http__check_url(url, ret_why);

	if (err)
		return err;
	host = strstr(url, "://") + 3;
	rest = host + strcspn(host, "/?#");
	if (*rest == '/' && rest[1] != 0 && rest[1] != '?' && rest[1] != '#') {
		*ret_url = strdup(url);
		return *ret_url ? 0 : -ENOMEM;
	}
	if (asprintf(ret_url, "%.*s" PUSH_PATH "%s", (int)(rest - url), url,
		     *rest == '/' ? rest + 1 : rest) < 0) {
		*ret_why = "no memory";
		return -ENOMEM;
	}
	return 0;
}

/* From `user:password` of the URL, unless there is something better. */
static int loki_sink__set_auth(struct loki_sink *s, const struct auth_opts *opts, char *userinfo)
{
	struct auth_opts auth = *opts;
	char *colon = userinfo ? strchr(userinfo, ':') : NULL;

	if (userinfo && !auth__given(&auth)) {
		if (colon)
			*colon = '\0';
		auth.username = userinfo;
		auth.password = colon ? colon + 1 : "";
	}
	return auth__new(&s->auth, &auth);
}

static int loki_sink__add_header(struct loki_sink *s, const char *name, const char *value,
				 const char **ret_why)
{
	for (const char *p = value; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f) {
			*ret_why = "the tenant or a header has a control character in it";
			return -EINVAL;
		}
	}
	if (asprintf(&s->headers[s->n_headers], "%s: %s", name, value) < 0) {
		s->headers[s->n_headers] = NULL;
		return -ENOMEM;
	}
	s->n_headers++;
	return 0;
}

/* The sink's own cannot be replaced. */
static bool is_own_header(const char *name)
{
	return !strcasecmp(name, "Content-Type") || !strcasecmp(name, TENANT_HEADER) ||
	       !strcasecmp(name, "Authorization") || !strcasecmp(name, "Content-Length");
}

static int loki_sink__set_headers(struct loki_sink *s, const struct loki_opts *opts,
				  const char **ret_why)
{
	int err;

	s->headers = calloc(opts->n_headers + 5, sizeof(*s->headers));
	if (!s->headers)
		return -ENOMEM;
	err = loki_sink__add_header(s, "Content-Type", "application/x-protobuf", ret_why);
	if (!err && opts->tenant) {
		err = loki_sink__add_header(s, TENANT_HEADER, opts->tenant, ret_why);
		if (!err)
			s->tenant_header = TAKE_PTR(s->headers[--s->n_headers]);
	}
	for (size_t i = 0; !err && i < opts->n_headers; i++)
		if (!is_own_header(opts->headers[i].name))
			err = loki_sink__add_header(s, opts->headers[i].name,
						    opts->headers[i].value, ret_why);
	return err;
}

static int loki_sink__set_target(struct loki_sink *s, const struct loki_opts *opts,
				 const char **ret_why)
{
	_free_ char *url = NULL, *userinfo = NULL;
	int err = loki__push_url(opts->url, &url, ret_why);

	if (err)
		return err;
	err = http__split_userinfo(url, &s->url, &userinfo);
	if (err) {
		*ret_why = err == -EINVAL ? "its user or password is malformed" : "no memory";
		return err;
	}
	*ret_why = "no memory";
	if (opts->oauth2)
		err = oauth2__new(&s->oauth2, s->http, opts->oauth2, loki_sink__on_token, s);
	else
		err = loki_sink__set_auth(s, &opts->auth, userinfo);
	return err ? err : loki_sink__set_headers(s, opts, ret_why);
}

int loki_sink__new(struct loki_sink **ret, struct loop *loop, struct http *http,
		   const struct loki_opts *opts, sink_done_fn done, void *ctx, const char **ret_why)
{
	struct loki_sink *s = calloc(1, sizeof(*s));
	uint64_t min_ns = opts->min_backoff_ns ? opts->min_backoff_ns : DEFAULT_MIN_BACKOFF_NS;
	uint64_t seed = clock__real_ns();
	int err;

	*ret_why = "no memory";
	if (!s)
		return -ENOMEM;
	sink_stats__init(&s->stats);
	s->http = http;
	s->tls = opts->tls;
	s->proxy = opts->proxy;
	s->no_proxy = opts->no_proxy;
	s->drop_rate_limited = opts->drop_rate_limited;
	s->done = done;
	s->ctx = ctx;
	s->max_backoff_ns = opts->max_backoff_ns ? opts->max_backoff_ns : DEFAULT_MAX_BACKOFF_NS;
	s->timeout_ns = opts->timeout_ns ? opts->timeout_ns : DEFAULT_TIMEOUT_NS;
	/* Clients that start together must not retry together; without entropy the clock will do.
	 */
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) < 0)
		log_debug("loki: getrandom: %s", strerror(errno));
	backoff__init(&s->backoff, min_ns, s->max_backoff_ns, seed);
	err = loop__timer(loop, loki_sink__on_timer, s, &s->timer);
	if (!err)
		err = loki_sink__set_target(s, opts, ret_why);
	if (err) {
		loki_sink__free(s);
		return err;
	}
	*ret = s;
	return 0;
}

void loki_sink__free(struct loki_sink *s)
{
	struct batch *b;

	if (!s)
		return;
	http_request__cancel(s->request);
	while ((b = pending__pop(&s->queue)))
		loki_sink__drop(s, b, SINK_UNDELIVERED);
	loop_timer__free(s->timer);
	auth__free(s->auth);
	oauth2__free(s->oauth2);
	free(s->tenant_header);
	for (size_t i = 0; i < s->n_headers; i++)
		free(s->headers[i]);
	free(s->headers);
	free(s->url);
	free(s);
}

void loki_sink__submit(struct loki_sink *s, struct batch *b)
{
	if (pending__push(&s->queue, b)) {
		log_error("loki: no memory for the queue: %zu lines dropped", b->lines);
		loki_sink__drop(s, b, SINK_UNDELIVERED);
		return;
	}
	loki_sink__send(s);
}

bool loki_sink__idle(const struct loki_sink *s)
{
	return !pending__first(&s->queue);
}

size_t loki_sink__queued_bytes(const struct loki_sink *s)
{
	return atomic_load_explicit(&s->queue.bytes, memory_order_relaxed);
}

uint64_t loki_sink__oldest_ns(const struct loki_sink *s)
{
	const struct batch *b = pending__first(&s->queue);

	return b ? b->first_ns : 0;
}

const char *loki_sink__url(const struct loki_sink *s)
{
	return s->url;
}

const char *loki_sink__problem(const struct loki_sink *s)
{
	return *s->problem ? s->problem : NULL;
}

const struct sink_stats *loki_sink__stats(const struct loki_sink *s)
{
	return &s->stats;
}
