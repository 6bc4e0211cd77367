/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests are made of what the queue says may go, up to max_in_flight at once; while nothing gets
 * through, one at a time tries. What becomes of an answer is loki_answer.c's.
 */
#include "sink/loki_internal.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "io/backoff.h"
#include "io/loop.h"

#define TENANT_HEADER "X-Scope-OrgID"
#define DEFAULT_MIN_BACKOFF_NS (500 * NS_PER_MS)
#define DEFAULT_MAX_BACKOFF_NS (300 * NS_PER_SEC)
#define DEFAULT_TIMEOUT_NS (10 * NS_PER_SEC)
#define DEFAULT_IN_FLIGHT 4
#define MAX_ANSWER ((size_t)64 << 10)

static void loki_sink__on_token(void *ctx, const char *error)
{
	struct loki_sink *s = ctx;

	if (error)
		loki_sink__no_request(s, error);
	else
		loki_sink__send(s);
}

int loki_sink__header(struct loki_sink *s, const char **ret)
{
	*ret = NULL;
	if (s->oauth2)
		return oauth2__header(s->oauth2, ret);
	return s->auth ? auth__header(s->auth, ret) : 0;
}

/* -EAGAIN: a token is asked for; other failures are said. */
static int loki_sink__authorization(struct loki_sink *s, const char **ret)
{
	int err = loki_sink__header(s, ret);
	char why[LOKI_PROBLEM_LEN];
	const char *file;

	if (!err || (err == -EAGAIN && s->oauth2))
		return err;
	file = s->oauth2 ? oauth2__file(s->oauth2) : auth__file(s->auth);
	snprintf(why, sizeof(why), "%s: %s", file ? file : "the password",
		 err == -EINVAL ? "no secret in it" : strerror(-err));
	loki_sink__no_request(s, why);
	return err;
}

int loki_sink__ask(struct loki_sink *s, struct http_opts *opts, const char *tenant,
		   const char *authorization, struct http_request **ret)
{
	char **last = s->headers + s->n_headers;
	int err;

	opts->tls = s->tls;
	opts->proxy = s->proxy;
	opts->no_proxy = s->no_proxy;
	opts->headers = (const char *const *)s->headers;
	opts->timeout_ns = s->timeout_ns;
	if (tenant)
		*last++ = (char *)tenant;
	*last = (char *)authorization;
	err = http__request(s->http, opts, ret);
	s->headers[s->n_headers] = s->headers[s->n_headers + 1] = NULL;
	return err;
}

static int loki_sink__request(struct loki_sink *s, struct loki_item *item, const char *header)
{
	const struct buf *payload = loki_item__payload(item);
	const char *name = item->lane->tenant;
	struct http_opts opts = {
		.url = s->url,
		.max_body = MAX_ANSWER,
		.done = loki_sink__on_done,
		.ctx = item,
		.body = payload->len ? payload->data : "",
		.body_len = payload->len,
	};
	_buf_ struct buf tenant = {0};
	int err = name ? buf__printf(&tenant, TENANT_HEADER ": %s", name) : 0;

	if (err)
		return err;
	return loki_sink__ask(s, &opts, name ? tenant.data : s->tenant_header, header,
			      &item->request);
}

/* Whether there may be more to send. */
static bool loki_sink__send_next(struct loki_sink *s, uint64_t *ret_until_ns)
{
	size_t at_once = s->pause.failures ? 1 : s->max_in_flight;
	uint64_t now_ns = clock__boot_ns();
	const struct loki_item *behind;
	struct loki_item *item;
	const char *header;
	int err;

	*ret_until_ns = s->pause.until_ns;
	if (s->pause.until_ns > now_ns)
		return false;
	*ret_until_ns = UINT64_MAX;
	if (s->queue.in_flight >= at_once)
		return false;
	item = loki_queue__next(&s->queue, now_ns, &behind, ret_until_ns);
	if (!item)
		return false;
	if (behind) {
		loki_sink__divide_behind(s, item, behind);
		return true;
	}
	err = loki_sink__authorization(s, &header);
	if (err)
		return err != -EAGAIN;
	item->token = s->token;
	err = loki_sink__request(s, item, header);
	if (err)
		loki_sink__no_request(s, strerror(-err));
	else
		loki_item__started(item, now_ns);
	return true;
}

void loki_sink__send(struct loki_sink *s)
{
	uint64_t until_ns, now_ns;

	/* What is submitted from a callback further up is sent when that returns. */
	if (s->sending)
		return;
	s->sending = true;
	while (loki_sink__send_next(s, &until_ns))
		;
	s->sending = false;
	now_ns = clock__boot_ns();
	if (until_ns == UINT64_MAX)
		loop_timer__cancel(s->timer);
	else
		loop_timer__set(s->timer, until_ns > now_ns ? until_ns - now_ns : 0);
}

static void loki_sink__on_timer(void *ctx)
{
	loki_sink__send(ctx);
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
	uint64_t max_ns = opts->max_backoff_ns ? opts->max_backoff_ns : DEFAULT_MAX_BACKOFF_NS;
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
	s->max_retries = opts->max_retries;
	s->max_in_flight = opts->max_in_flight ? opts->max_in_flight : DEFAULT_IN_FLIGHT;
	s->timeout_ns = opts->timeout_ns ? opts->timeout_ns : DEFAULT_TIMEOUT_NS;
	/* Clients that start together must not retry together; without entropy the clock will do.
	 */
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) < 0)
		log_debug("loki: getrandom: %s", strerror(errno));
	s->queue = (struct loki_queue){
		.ctx = s, .min_backoff_ns = min_ns, .max_backoff_ns = max_ns, .seed = seed};
	backoff__init(&s->pause.backoff, min_ns, max_ns, seed);
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

static void loki_sink__give_up(struct loki_sink *s)
{
	struct loki_origin origin;
	struct batch *b;

	for (struct loki_lane *lane = s->queue.lanes; lane; lane = lane->next)
		for (struct loki_item *item = lane->items; item; item = item->next)
			http_request__cancel(item->request);
	while (s->queue.lanes) {
		b = loki_item__end(s->queue.lanes->items, &origin);
		if (b)
			s->done(s->ctx, b, SINK_UNDELIVERED);
	}
}

void loki_sink__free(struct loki_sink *s)
{
	if (!s)
		return;
	loki_sink__give_up(s);
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
	if (loki_queue__push(&s->queue, b)) {
		log_error("loki: no memory for the queue: %zu lines not sent", b->lines);
		s->done(s->ctx, b, SINK_UNDELIVERED);
		return;
	}
	loki_sink__send(s);
}

size_t loki_sink__dropped(const struct loki_sink *s)
{
	return s->dropped;
}

bool loki_sink__is_held(const struct loki_sink *s, const struct batch *b)
{
	size_t held = 0;

	for (const struct loki_lane *lane = s->queue.lanes; lane; lane = lane->next) {
		for (const struct loki_item *item = lane->items; item; item = item->next) {
			if (item->origin->batch != b)
				continue;
			if (!item->held)
				return false;
			held++;
		}
	}
	return held;
}

bool loki_sink__idle(const struct loki_sink *s)
{
	return !s->queue.lanes;
}

size_t loki_sink__queued_bytes(const struct loki_sink *s)
{
	return atomic_load_explicit(&s->queue.bytes, memory_order_relaxed);
}

uint64_t loki_sink__oldest_ns(const struct loki_sink *s)
{
	uint64_t oldest_ns = UINT64_MAX;

	for (const struct loki_lane *lane = s->queue.lanes; lane; lane = lane->next)
		if (lane->items && lane->items->origin->batch->first_ns)
			oldest_ns = MIN(oldest_ns, lane->items->origin->batch->first_ns);
	return oldest_ns == UINT64_MAX ? 0 : oldest_ns;
}

const char *loki_sink__url(const struct loki_sink *s)
{
	return s->url;
}

const char *loki_sink__problem(const struct loki_sink *s)
{
	if (s->problem[0])
		return s->problem;
	for (const struct loki_lane *lane = s->queue.lanes; lane; lane = lane->next)
		if (lane->problem[0])
			return lane->problem;
	return NULL;
}

const struct sink_stats *loki_sink__stats(const struct loki_sink *s)
{
	return &s->stats;
}
