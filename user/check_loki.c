/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Client by client, through the sink and the encoder of a run, so that what works here works there.
 * A sink tries again for ever; here the first failure is told, since somebody waits. The line is
 * read back by a query for its labels, again and again, until it is there or PATIENCE_NS is over.
 */
#include "check_loki.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/utsname.h>

#include "base/clock.h"
#include "clients.h"
#include "config/check.h"
#include "io/http.h"
#include "io/loop.h"
#include "sink/loki.h"

#define PATIENCE_NS (30 * NS_PER_SEC)
#define LOOK_NS (50 * NS_PER_MS)
#define AGAIN_NS (250 * NS_PER_MS)
#define JOB "notail_check"

struct check {
	struct loop *loop;
	struct http *http;
	struct loki_sink *sink;
	struct loop_timer *timer;
	struct http_request *query;
	const char *host;
	char line[96]; /* as no other */
	uint64_t real_ns, began_ns, pushed_ns;
	bool done;
	char why[512]; /* empty: all is well */
};

static void end(struct check *c, const char *what, const char *why)
{
	c->done = true;
	snprintf(c->why, sizeof(c->why), "%s%s", what, why);
	loop__stop(c->loop);
}

/* What the words of a failure mean for who set this up. */
static const char *advice(const char *problem)
{
	static const struct {
		const char *in, *means;
	} all[] = {
		{"no org id", "it has tenants: --tenant ID, or tenant_id of the client"},
		{"status 401", "the user, password or token is missing or wrong"},
		{"status 403", "who pushes may not, or not for this tenant"},
		{"status 404", "no Loki is at this path: give its base URL"},
		{"status 405", "no Loki is at this path: give its base URL"},
		{"certificate", "see tls_config: ca_file for an authority of your own"},
		{"onnection refused", "nothing listens there"},
		{"resolve", "the host's name is not known"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (strcasestr(problem, all[i].in))
			return all[i].means;
	return NULL;
}

static void fail(struct check *c, const char *what, const char *problem)
{
	const char *means = advice(problem);
	char text[480];

	snprintf(text, sizeof(text), "%s%s%s%s", problem, means ? " (" : "", means ? means : "",
		 means ? ")" : "");
	end(c, what, text);
}

static void ask(struct check *c);

static void on_answer(void *ctx, const struct http_answer *a)
{
	struct check *c = ctx;
	char text[400];

	c->query = NULL;
	if (a->error) {
		fail(c, "it took the line, and cannot be asked for it: ", a->error_text);
	} else if (a->status != 200) {
		snprintf(text, sizeof(text), "status %ld: %.*s", a->status,
			 (int)MIN(a->body_len, (size_t)200), a->body);
		text[strcspn(text, "\r\n")] = '\0';
		fail(c, "it took the line, and cannot be asked for it: ", text);
	} else if (memmem(a->body, a->body_len, c->line, strlen(c->line))) {
		end(c, "", "");
	} else if (clock__boot_ns() - c->began_ns > PATIENCE_NS) {
		end(c, "it took the line, and does not have it", "");
	} else {
		loop_timer__set(c->timer, AGAIN_NS);
	}
}

static void ask(struct check *c)
{
	_buf_ struct buf selector = {0}, path = {0};
	int err = buf__append_str(&selector, "{job=\"" JOB "\",host=\"");

	if (!err)
		err = buf__append_json(&selector, c->host, strlen(c->host));
	if (!err)
		err = buf__append(&selector, "\"}", 3);
	if (!err)
		err = buf__append_str(&path, "/loki/api/v1/query_range?query=");
	if (!err)
		err = http__append_escaped(&path, selector.data);
	if (!err)
		err = buf__printf(&path, "&start=%llu&end=%llu&limit=100", c->real_ns - NS_PER_SEC,
				  c->real_ns + NS_PER_SEC);
	if (!err)
		err = buf__append(&path, "", 1);
	if (!err)
		err = loki_sink__get(c->sink, path.data, on_answer, c, &c->query);
	if (err == -ENOTSUP)
		end(c, "it took the line; reading back is not known for a path of its own", "");
	else if (err)
		end(c, "it took the line, and cannot be asked for it: ", strerror(-err));
}

static void on_timer(void *ctx)
{
	struct check *c = ctx;
	const char *problem = loki_sink__problem(c->sink);

	if (c->done || c->query)
		return;
	if (c->pushed_ns)
		ask(c);
	else if (problem)
		fail(c, "", problem);
	else if (clock__boot_ns() - c->began_ns > PATIENCE_NS)
		end(c, "no answer in 30 s", "");
	else
		loop_timer__set(c->timer, LOOK_NS);
}

static void on_pushed(void *ctx, struct batch *b, enum sink_result result)
{
	struct check *c = ctx;
	const struct sink_stats *stats =
		result == SINK_UNDELIVERED ? NULL : loki_sink__stats(c->sink);

	batch__free(b);
	if (result == SINK_UNDELIVERED)
		return; /* the end was told already */
	c->pushed_ns = clock__boot_ns();
	if (result == SINK_DELIVERED && !stats->dropped_lines) {
		ask(c);
		return;
	}
	for (int i = 0; i < SINK_REASONS; i++)
		if (stats->dropped[i])
			end(c, "it refuses the line: ", sink_reason__name((enum sink_reason)i));
	if (!c->done)
		end(c, "it refuses the line", "");
}

static void on_sealed(void *ctx, struct batch *b)
{
	struct check *c = ctx;

	loki_sink__submit(c->sink, b);
}

static int push(struct check *c)
{
	_label_set_ struct label_set *set = label_set__new();
	struct clock_anchor anchor;
	const struct batch_opts opts = {.encoding = BATCH_LOKI, .anchor = &anchor};
	struct line line = {.bytes = c->line, .stream = LINE_STDOUT};
	struct batcher *batcher = NULL;
	uint64_t nonce = 0;
	int err = set ? clock__anchor(&anchor) : -ENOMEM;

	if (getrandom(&nonce, sizeof(nonce), GRND_NONBLOCK) < 0)
		nonce = clock__real_ns();
	c->began_ns = line.time_ns = clock__boot_ns();
	c->real_ns = clock__real_ns();
	line.len = (size_t)snprintf(c->line, sizeof(c->line),
				    "notail " NOTAIL_VERSION " check %016" PRIx64, nonce);
	if (!err)
		err = label_set__add(set, "job", JOB);
	if (!err)
		err = label_set__add(set, "host", c->host);
	if (!err)
		err = label_set__seal(set);
	if (!err)
		err = batcher__new(&batcher, &opts, on_sealed, c);
	if (!err)
		err = batcher__add(batcher, set, &line);
	if (!err)
		batcher__seal(batcher);
	batcher__free(batcher);
	return err;
}

static int check_one(struct clients *clients, size_t i, const char *host)
{
	const char *why = "";
	struct check c = {.host = host};
	int err = loop__new(&c.loop);

	if (!err)
		err = http__new(&c.http, c.loop);
	if (!err)
		err = loop__timer(c.loop, on_timer, &c, &c.timer);
	if (!err)
		err = clients__sink(clients, i, c.loop, c.http, on_pushed, &c, &c.sink, &why);
	if (!err)
		err = push(&c);
	if (!err) {
		loop_timer__set(c.timer, LOOK_NS);
		err = loop__run(c.loop);
	}
	if (err)
		fprintf(stderr, "notail: %s\n", *why ? why : strerror(-err));
	else if (*c.why)
		fprintf(stderr, "notail: %s: %s\n", loki_sink__url(c.sink), c.why);
	else
		printf("%s: pushed in %.0f ms, read back after %.0f ms\n", loki_sink__url(c.sink),
		       (double)(c.pushed_ns - c.began_ns) / NS_PER_MS,
		       (double)(clock__boot_ns() - c.began_ns) / NS_PER_MS);
	err = err ? err : *c.why ? -EIO : 0;
	http_request__cancel(c.query);
	if (c.sink)
		loki_sink__free(c.sink);
	loop_timer__free(c.timer);
	http__free(c.http);
	loop__free(c.loop);
	return err;
}

static int load(struct options *o, struct config **ret)
{
	struct diag *diag;
	int err;

	if (o->loki_url)
		return 0;
	err = diag__new(&diag, o->config);
	if (err)
		return err;
	err = check__load(ret, o->config, diag);
	diag__print(diag, stderr);
	diag__free(diag);
	if (!err && !(*ret)->clients.n) {
		fprintf(stderr, "notail: %s has no clients\n", o->config);
		err = -EINVAL;
	}
	return err;
}

int check_loki(struct options *o)
{
	struct config *config = NULL;
	struct clients *clients = NULL;
	struct utsname name = {0};
	int err = load(o, &config), one;

	if (!err && config)
		o->clients = &config->clients;
	if (!err)
		err = clients__new(&clients, o);
	uname(&name);
	for (size_t i = 0; clients && i < clients__count(clients); i++) {
		one = check_one(clients, i, o->host ? o->host : name.nodename);
		err = err ? err : one;
	}
	clients__free(clients);
	config__free(config);
	return err;
}
