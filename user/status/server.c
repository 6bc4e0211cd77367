/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request that needs a snapshot waits for it, ANSWER_NS at most; all that wait are answered from
 * the same one, and so are those that come within FRESH_NS, or within FRESH_SHARE times what the
 * capture thread needed for it: however often somebody asks, it has other things to do.
 *
 * The last two snapshots of targets are kept for rates, for KEEP_NS after the last request.
 */
#include "status/server.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>
#include <strings.h>
#include <utlist.h>

#include "base/clock.h"
#include "io/httpd.h"
#include "io/loop.h"
#include "sink/auth.h"
#include "status/openmetrics.h"
#include "status/origin.h"
#include "status/page.h"
#include "status/targets.h"

#define ANSWER_NS (5 * NS_PER_SEC)
#define FRESH_NS (200 * NS_PER_MS)
#define FRESH_SHARE 20
#define RATE_NS NS_PER_SEC
#define KEEP_NS (60 * NS_PER_SEC)
#define LISTENERS 2
#define TEXT "text/plain; charset=utf-8"
#define METRICS "text/plain; version=0.0.4; charset=utf-8"
#define DISABLED "not enabled: see server.enable_runtime_reload\n"
#define YAML "text/plain; charset=utf-8"

struct listener {
	struct server *server;
	struct httpd *httpd;
	bool metrics;
	char address[HTTPD_ADDRESS_LEN]; /* as it was configured */
};

struct waiter {
	struct server *server;
	struct httpd_request *rq;
	const struct route *route;
	uint64_t deadline_ns;
	struct waiter *prev, *next;
};

struct server {
	struct server_opts opts;
	struct listener listeners[LISTENERS];
	size_t n_listeners;
	struct waiter *waiters; /* oldest first */
	unsigned asked;		/* what has been asked for and not come; with ASKED */
	struct loop_timer *deadline;
	struct loop_timer *keep;
	struct snapshot *last;	  /* of anything; NULL: none, or it is `targets` */
	struct snapshot *targets; /* the last with them; NULL: none */
	struct snapshot *before;
};

#define ASKED 0x80000000u

enum route_flag {
	ROUTE_METRICS = 1, /* there where only metrics are */
	ROUTE_OPEN = 2,	   /* to those without a name, too */
	ROUTE_POST = 4,
	ROUTE_WAITS = 8, /* for a snapshot */
};

struct route {
	const char *path;
	unsigned flags;
	unsigned what; /* of it */
	/* `now` is NULL where it does not wait. Fills in the reply, whose body is empty. */
	int (*answer)(struct server *s, const struct snapshot *now, const struct httpd_request *rq,
		      struct httpd_reply *reply);
};

/* Answers */

static int gather(struct server *s, const struct snapshot *now, struct samples *samples)
{
	s->opts.count(s->opts.ctx, samples);
	samples__add_all(samples, &now->samples);
	return samples->failed ? -ENOMEM : 0;
}

static int answer_metrics(struct server *s, const struct snapshot *now,
			  const struct httpd_request *rq, struct httpd_reply *reply)
{
	_samples_ struct samples samples = {0};
	_buf_ struct buf text = {0};
	const char *accept;
	int err = gather(s, now, &samples);

	httpd_request__header(rq, "Accept", &accept);
	reply->type = openmetrics__wanted(accept) ? OPENMETRICS_TYPE : METRICS;
	if (!err)
		err = samples__text(&samples, &text);
	if (!err)
		err = s->opts.custom_metrics(s->opts.ctx, &text);
	if (!err && openmetrics__wanted(accept))
		return openmetrics__from_text(text.data, text.len, reply->body);
	if (!err) {
		*reply->body = text;
		text = (struct buf){0};
	}
	return err;
}

static int make_view(struct server *s, const struct snapshot *now, struct view *v,
		     struct samples *samples)
{
	*v = (struct view){.now = now, .before = s->before, .samples = samples};
	s->opts.look(s->opts.ctx, v);
	v->n_messages = log__recent(v->messages);
	return gather(s, now, samples);
}

static int answer_targets(struct server *s, const struct snapshot *now,
			  const struct httpd_request *rq _unused_, struct httpd_reply *reply)
{
	_samples_ struct samples samples = {0};
	struct view v;
	int err = make_view(s, now, &v, &samples);

	reply->type = "application/json";
	return err ? err : targets__json(&v, reply->body);
}

static int answer_page(struct server *s, const struct snapshot *now,
		       const struct httpd_request *rq _unused_, struct httpd_reply *reply)
{
	_samples_ struct samples samples = {0};
	struct view v;
	int err = make_view(s, now, &v, &samples);

	reply->type = "text/html; charset=utf-8";
	reply->policy = PAGE_POLICY;
	return err ? err : page__html(&v, reply->body);
}

static int answer_config(struct server *s, const struct snapshot *now,
			 const struct httpd_request *rq _unused_, struct httpd_reply *reply)
{
	(void)now;
	reply->type = YAML;
	return s->opts.config(s->opts.ctx, reply->body);
}

static int answer_ready(struct server *s, const struct snapshot *now _unused_,
			const struct httpd_request *rq _unused_, struct httpd_reply *reply)
{
	const char *why = s->opts.unready(s->opts.ctx);

	reply->status = why ? 503 : 200;
	return why ? buf__printf(reply->body, "not ready: %s\n", why)
		   : buf__append_str(reply->body, "ready\n");
}

/* Both threads go round. */
static int answer_health(struct server *s, const struct snapshot *now,
			 const struct httpd_request *rq _unused_, struct httpd_reply *reply)
{
	(void)s;
	(void)now;
	return buf__append_str(reply->body, "ok\n");
}

static bool is_disabled(const struct server *s, struct httpd_reply *reply)
{
	if (s->opts.reload)
		return false;
	reply->status = 403;
	return true;
}

static int answer_reload(struct server *s, const struct snapshot *now _unused_,
			 const struct httpd_request *rq _unused_, struct httpd_reply *reply)
{
	if (is_disabled(s, reply))
		return buf__append_str(reply->body, DISABLED);
	if (s->opts.reload_config(s->opts.ctx, reply->body))
		reply->status = 500;
	return 0;
}

/* Until the next reload. */
static int answer_log_level(struct server *s, const struct snapshot *now _unused_,
			    const struct httpd_request *rq, struct httpd_reply *reply)
{
	enum log_level level;
	char name[16];

	if (is_disabled(s, reply))
		return buf__append_str(reply->body, DISABLED);
	if (httpd_request__param(rq, "level", name, sizeof(name)) ||
	    log__level_parse(name, &level)) {
		reply->status = 400;
		return buf__append_str(reply->body, "expected ?level=error, warn, info or debug\n");
	}
	log__level(level);
	log_info("log level %s", name);
	return buf__printf(reply->body, "log level %s\n", name);
}

static const struct route ROUTES[] = {
	{"/", ROUTE_WAITS, SNAPSHOT_COUNTERS | SNAPSHOT_TARGETS, answer_page},
	{"/targets", ROUTE_WAITS, SNAPSHOT_COUNTERS | SNAPSHOT_TARGETS, answer_targets},
	{"/config", 0, 0, answer_config},
	{"/-/reload", ROUTE_POST, 0, answer_reload},
	{"/-/log-level", ROUTE_POST, 0, answer_log_level},
	{"/metrics", ROUTE_METRICS | ROUTE_WAITS, SNAPSHOT_COUNTERS, answer_metrics},
	{"/ready", ROUTE_METRICS | ROUTE_OPEN, 0, answer_ready},
	{"/healthz", ROUTE_METRICS | ROUTE_OPEN | ROUTE_WAITS, 0, answer_health},
};

/* In a time that says nothing of how much of it was right. */
static bool is_same_secret(const char *a, const char *b)
{
	unsigned char x[SHA256_DIGEST_LENGTH], y[SHA256_DIGEST_LENGTH];

	SHA256((const unsigned char *)a, strlen(a), x);
	SHA256((const unsigned char *)b, strlen(b), y);
	return !CRYPTO_memcmp(x, y, sizeof(x));
}

/* What cannot be read lets nobody in. */
static bool may_ask(const struct server *s, const struct httpd_request *rq)
{
	static const char NAME[] = "Authorization: ", SCHEME[] = "Basic ";
	const char *given, *wanted;
	int err;

	if (!s->opts.user)
		return true;
	if (httpd_request__header(rq, "Authorization", &given) != 1 ||
	    strncasecmp(given, SCHEME, strlen(SCHEME)))
		return false;
	err = auth__header(s->opts.user, &wanted);
	if (err) {
		log_warn("server.basic_auth: %s: %s", auth__file(s->opts.user),
			 err == -EINVAL ? "no secret in it" : strerror(-err));
		return false;
	}
	return is_same_secret(given + strlen(SCHEME), wanted + strlen(NAME) + strlen(SCHEME));
}

static void refuse_stranger(struct httpd_request *rq)
{
	_buf_ struct buf body = {0};
	struct httpd_reply reply = {.status = 401,
				    .type = TEXT,
				    .authenticate = "Basic realm=\"notail\", charset=\"UTF-8\"",
				    .body = &body};

	if (buf__append_str(&body, "who asks?\n"))
		buf__free(&body);
	httpd_request__reply(rq, &reply);
}

static void refuse(struct httpd_request *rq, int status, const char *allow, const char *why)
{
	_buf_ struct buf body = {0};
	struct httpd_reply reply = {.status = status, .type = TEXT, .allow = allow, .body = &body};

	if (buf__printf(&body, "%s\n", why))
		buf__free(&body);
	httpd_request__reply(rq, &reply);
}

static void answer(struct server *s, const struct route *route, const struct snapshot *now,
		   struct httpd_request *rq)
{
	_buf_ struct buf body = {0};
	struct httpd_reply reply = {.status = 200, .type = TEXT, .body = &body};

	if (route->answer(s, now, rq, &reply))
		refuse(rq, 503, NULL, "no memory");
	else
		httpd_request__reply(rq, &reply);
}

/* Waiting */

static void ask(struct server *s, unsigned what)
{
	if (s->asked & ASKED && (s->asked & what) == what)
		return;
	s->asked |= what | ASKED;
	s->opts.ask(s->opts.ctx, what);
}

static void forget(struct server *s, struct waiter *w)
{
	DL_DELETE(s->waiters, w);
	free(w);
}

static void on_gone(void *ctx)
{
	struct waiter *w = ctx;

	forget(w->server, w);
}

static void set_deadline(struct server *s)
{
	uint64_t now_ns = clock__boot_ns();

	if (s->waiters)
		loop_timer__set(s->deadline,
				s->waiters->deadline_ns - MIN(now_ns, s->waiters->deadline_ns));
}

static void on_deadline(void *ctx)
{
	struct server *s = ctx;
	uint64_t now_ns = clock__boot_ns();
	struct waiter *w, *next;

	DL_FOREACH_SAFE (s->waiters, w, next) {
		struct httpd_request *rq = w->rq;

		if (w->deadline_ns > now_ns)
			break;
		forget(s, w);
		refuse(rq, 503, NULL, "the capture thread does not answer");
	}
	s->asked = 0; /* it may be asked again */
	set_deadline(s);
}

static void wait_for(struct server *s, const struct route *route, struct httpd_request *rq)
{
	struct waiter *w = malloc(sizeof(*w));

	if (!w) {
		refuse(rq, 503, NULL, "no memory");
		return;
	}
	*w = (struct waiter){
		.server = s, .rq = rq, .route = route, .deadline_ns = clock__boot_ns() + ANSWER_NS};
	httpd_request__on_gone(rq, on_gone, w);
	DL_APPEND(s->waiters, w);
	if (w == s->waiters)
		set_deadline(s);
	ask(s, route->what);
}

static const struct snapshot *fresh(const struct server *s, unsigned what)
{
	const struct snapshot *from[] = {s->last, s->targets};
	uint64_t now_ns = clock__boot_ns();

	for (size_t i = 0; i < ARRAY_SIZE(from); i++)
		if (from[i] && (from[i]->what & what) == what &&
		    now_ns - from[i]->boot_ns < MAX(FRESH_NS, FRESH_SHARE * from[i]->took_ns))
			return from[i];
	return NULL;
}

static void on_keep(void *ctx)
{
	struct server *s = ctx;

	snapshot__free(TAKE_PTR(s->last));
	snapshot__free(TAKE_PTR(s->targets));
	snapshot__free(TAKE_PTR(s->before));
}

static void keep(struct server *s, struct snapshot *new)
{
	snapshot__free(TAKE_PTR(s->last));
	loop_timer__set(s->keep, KEEP_NS);
	if (!(new->what &SNAPSHOT_TARGETS)) {
		s->last = new;
		return;
	}
	if (s->targets && new->boot_ns - s->targets->boot_ns >= RATE_NS) {
		snapshot__free(s->before);
		s->before = s->targets;
	} else {
		snapshot__free(s->targets);
	}
	s->targets = new;
}

void server__deliver(struct server *s, struct snapshot *new)
{
	unsigned missing = 0;
	struct waiter *w, *next;
	bool any = false;

	s->asked = 0;
	keep(s, new);
	DL_FOREACH_SAFE (s->waiters, w, next) {
		const struct route *route = w->route;
		struct httpd_request *rq = w->rq;

		if ((new->what & route->what) != route->what) {
			missing |= route->what;
			any = true;
			continue;
		}
		forget(s, w);
		answer(s, route, new, rq);
	}
	if (any)
		ask(s, missing);
	set_deadline(s);
}

/* Requests */

static bool is_refused(const struct listener *l, const struct route *route,
		       struct httpd_request *rq)
{
	enum httpd_method method = httpd_request__method(rq);
	bool post = route && (route->flags & ROUTE_POST);
	const char *host, *origin, *fetch_site;
	size_t hosts = httpd_request__header(rq, "Host", &host);

	httpd_request__header(rq, "Origin", &origin);
	httpd_request__header(rq, "Sec-Fetch-Site", &fetch_site);
	if (!l->metrics && (hosts != 1 || !origin__is_our_host(host, l->address)))
		refuse(rq, 403, NULL, "another host's name: ask for localhost or 127.0.0.1");
	else if ((!route || !(route->flags & ROUTE_OPEN)) && !may_ask(l->server, rq))
		refuse_stranger(rq);
	else if (!route || (l->metrics && !(route->flags & ROUTE_METRICS)))
		refuse(rq, 404, NULL, "not found");
	else if (post && method != HTTPD_POST)
		refuse(rq, 405, "POST", "only POST");
	else if (!post && method != HTTPD_GET && method != HTTPD_HEAD)
		refuse(rq, 405, "GET, HEAD", "only GET and HEAD");
	else if (post && origin__is_foreign(host, origin, fetch_site, l->server->opts.tls))
		refuse(rq, 403, NULL, "sent by another site's page");
	else
		return false;
	return true;
}

static void on_request(void *ctx, struct httpd_request *rq)
{
	const char *path = httpd_request__path(rq);
	const struct route *route = NULL;
	const struct snapshot *now = NULL;
	struct listener *l = ctx;

	for (size_t i = 0; path && i < ARRAY_SIZE(ROUTES); i++)
		if (!strcmp(path, ROUTES[i].path))
			route = &ROUTES[i];
	if (is_refused(l, route, rq))
		return;
	if (route->flags & ROUTE_WAITS)
		now = fresh(l->server, route->what);
	if (route->flags & ROUTE_WAITS && !now)
		wait_for(l->server, route, rq);
	else
		answer(l->server, route, now, rq);
}

int server__new(struct server **ret, const struct server_opts *opts)
{
	struct server *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->opts = *opts;
	err = loop__timer(opts->loop, on_deadline, s, &s->deadline);
	if (!err)
		err = loop__timer(opts->loop, on_keep, s, &s->keep);
	if (err)
		server__free(s);
	else
		*ret = s;
	return err;
}

void server__free(struct server *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_listeners; i++)
		httpd__free(s->listeners[i].httpd);
	on_keep(s);
	loop_timer__free(s->deadline);
	loop_timer__free(s->keep);
	free(s);
}

int server__listen(struct server *s, const char *address, bool metrics)
{
	struct listener *l = &s->listeners[s->n_listeners];
	const struct httpd_opts opts = {
		.address = address, .tls = s->opts.tls, .request = on_request, .ctx = l};
	int err;

	if (s->n_listeners == LISTENERS || strlen(address) >= sizeof(l->address))
		return -EINVAL;
	l->server = s;
	l->metrics = metrics;
	memcpy(l->address, address, strlen(address) + 1);
	err = httpd__new(&l->httpd, s->opts.loop, &opts);
	if (err)
		return err;
	s->n_listeners++;
	log_info("%s at http%s://%s", metrics ? "metrics" : "status page", s->opts.tls ? "s" : "",
		 httpd__address(l->httpd));
	return 0;
}
