/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of a request by its answer.
 *
 * Refused for its entries (400, 413, 422), it is sent again without those that Loki's text blames,
 * or with what was repaired; where the text blames none for certain it is halved, so that in the
 * end an entry is refused alone. The good part of most such requests is stored in spite of the
 * refusal, but not of all: a second time it does no harm, and its answer is the proof.
 *
 * A request that is too much for what is behind Loki's door (rates, time-outs, resets) is halved
 * too, now and then, down to SMALL_BYTES or SMALL_BURST. One that is answered by 5xx again and
 * again, while others get through, has something in it that the server cannot bear: it is halved,
 * and an entry that is alone at last is given up when Loki would not take it any more anyway.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "sink/loki_internal.h"
#include "sink/oauth2.h"

#define SHOWN_TEXT 300
#define REFUSED_LOG_NS (60 * NS_PER_SEC)
#define FAILED_LOG_NS (10 * NS_PER_SEC)
#define MAX_RAW ((size_t)256 << 20)
#define MAX_REPAIRS 16 /* of one item; each took something away */
/* For one batch; an entry that no text blames for certain costs two for each halving. */
#define MAX_REFUSALS 2000
#define SMALL_BYTES ((size_t)64 << 10)
/* Of a rate: what is larger than the burst that it allows never gets through. */
#define SMALL_BURST ((size_t)2 << 10)
#define HALVE_TRIES 4
#define SUSPICIONS 4 /* then it is halved */
#define STRANGE_TRIES 5
#define LAST_STRANGE_TRIES 20 /* of a single entry: more than an hour */
#define SUSPECT_MAX_NS (60 * NS_PER_SEC)
/* A single entry is given up then; what is so far behind Loki would not take any more. */
#define LAST_SUSPICIONS 30
#define LAST_SUSPICION_NS (3600 * NS_PER_SEC)

enum verdict {
	VERDICT_OK,
	VERDICT_REFUSED, /* for what is in it */
	VERDICT_LIMITED, /* 429 */
	VERDICT_RETRY,	 /* an answer, but none that ends it */
	VERDICT_BROKEN,	 /* no answer */
};

static bool is_success(const struct http_answer *a)
{
	size_t i = 0;

	if (a->error)
		return false;
	while (i < a->body_len && a->body[i] && strchr(" \t\r\n", a->body[i]))
		i++;
	return i == a->body_len || a->body[i] == '{' || a->body[i] == '[' || a->body[i] == '"';
}

static enum verdict judge(const struct http_answer *a)
{
	/* A long answer is still an answer. */
	if (a->error && a->error != -EFBIG)
		return VERDICT_BROKEN;
	if (a->status / 100 == 2)
		return is_success(a) ? VERDICT_OK : VERDICT_RETRY;
	if (a->status == 429)
		return VERDICT_LIMITED;
	if (a->status == 413)
		return VERDICT_REFUSED;
	if ((a->status == 400 || a->status == 422) && !loki_repair__is_page(a->body, a->body_len))
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

/* What the operator may look at; "": nothing. */
static const char *hint(const struct http_answer *a)
{
	switch (a->status) {
	case 401:
		return " (the login or the tenant is missing or wrong)";
	case 403:
		return " (the login may not push here)";
	case 404:
	case 405:
		return " (there is no push API at this URL)";
	default:
		break;
	}
	if (a->status / 100 == 3)
		return " (a redirect, which is not followed: give the URL that it leads to)";
	if (a->status / 100 == 2 || loki_repair__is_page(a->body, a->body_len))
		return " (this is not Loki's answer: the URL or a proxy in front of it is wrong)";
	return "";
}

static void describe(const struct http_answer *a, char out[LOKI_PROBLEM_LEN])
{
	char text[SHOWN_TEXT + 1];

	show_text(a, text);
	if (a->error && a->error != -EFBIG)
		snprintf(out, LOKI_PROBLEM_LEN, "%s", a->error_text);
	else
		snprintf(out, LOKI_PROBLEM_LEN, "status %ld%s%s%s", a->status, text[0] ? ": " : "",
			 text, hint(a));
}

static void log_refusal(struct loki_sink *s, const struct http_answer *a, const char *what,
			size_t lines, enum sink_reason reason)
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
	log_warn("loki: it refused %zu lines, %s (%s), status %ld%s: %s", lines, what,
		 sink_reason__name(reason), a->status, more, text);
	s->refusal_logged_ns = now_ns;
	s->refusals_unlogged = 0;
}

static void log_failure(struct loki_sink *s, const char *what)
{
	uint64_t now_ns = clock__boot_ns();

	s->failures++;
	if (s->failure_logged ||
	    (s->failure_logged_ns && now_ns - s->failure_logged_ns < FAILED_LOG_NS)) {
		log_debug("loki: %s: %s", s->url, what);
		return;
	}
	log_warn("loki: %s: %s; keeping the lines and trying again", s->url, what);
	s->failure_logged = true;
	s->failure_logged_ns = now_ns;
}

/* There was an answer, whatever it said. */
static void loki_sink__reached(struct loki_sink *s)
{
	s->problem[0] = '\0';
	loki_pause__end(&s->pause);
}

/* The request is over, one way or the other. */
static void loki_sink__answered(struct loki_sink *s, struct loki_item *item)
{
	if (s->failure_logged)
		log_info("loki: %s: it answers again (failures: %u)", s->url, s->failures);
	s->failures = 0;
	s->failure_logged = false;
	s->token_renewed = false;
	item->lane->problem[0] = '\0';
	loki_pause__end(&item->lane->pause);
	loki_sink__reached(s);
}

static void loki_sink__end(struct loki_sink *s, struct loki_item *item)
{
	struct loki_origin origin;
	struct batch *b = loki_item__end(item, &origin);

	if (!b)
		return;
	stat_add(s->stats.batches, 1);
	stat_add(s->stats.bytes, b->payload.len);
	stat_add(s->stats.partial, origin.changed && origin.dropped < b->lines);
	if (origin.dropped < b->lines)
		sink_stats__delivered(&s->stats, b);
	stat_add(s->stats.cut_metadata, b->cut_metadata);
	s->dropped = origin.dropped;
	s->done(s->ctx, b, origin.dropped < b->lines ? SINK_DELIVERED : SINK_REFUSED);
}

static void loki_sink__count_dropped(struct loki_sink *s, struct loki_item *item, size_t lines,
				     enum sink_reason reason)
{
	if (!lines)
		return;
	item->origin->dropped += lines;
	item->origin->changed = true;
	stat_add(s->stats.dropped_lines, lines);
	stat_add(s->stats.dropped[reason], lines);
}

static void loki_sink__drop(struct loki_sink *s, struct loki_item *item,
			    const struct http_answer *a, enum sink_reason reason)
{
	size_t lines = loki_item__lines(item);

	log_refusal(s, a, "dropped", lines, reason);
	loki_sink__count_dropped(s, item, lines, reason);
	loki_sink__end(s, item);
}

static int open_item(const struct loki_item *item, struct request *ret)
{
	const struct buf *payload = loki_item__payload(item);

	return request__open(ret, payload->data, payload->len, MAX_RAW);
}

/* By the marks: what is kept goes on, and what is held is an item behind it. -ENOENT: one of them
 * is empty. */
static int divide(struct loki_item *item, const struct loki_repair *repair,
		  struct loki_item **ret_held)
{
	_cleanup_(loki_part__free) struct loki_part kept = {0}, held = {0};
	int err = loki_repair__seal(repair, LOKI_KEPT, &kept);

	if (!err)
		err = loki_repair__seal(repair, LOKI_HELD, &held);
	if (!err && (!kept.sealed.lines || !held.sealed.lines))
		err = -ENOENT;
	if (!err)
		err = loki_item__divide(item, &kept, &held);
	if (!err)
		*ret_held = item->next;
	return err;
}

/* False: it is one entry, or there is no memory. */
static bool halve(struct loki_item *item, struct loki_item **ret_second)
{
	_loki_repair_ struct loki_repair repair = {0};
	_request_ struct request r = {0};

	if (loki_item__lines(item) < 2 || open_item(item, &r) || r.n_entries < 2 ||
	    loki_repair__new(&repair, &r))
		return false;
	loki_repair__halve(&repair);
	if (divide(item, &repair, ret_second))
		return false;
	(*ret_second)->held = item->held;
	return true;
}

void loki_sink__divide_behind(struct loki_sink *s, struct loki_item *item,
			      const struct loki_item *other)
{
	_loki_repair_ struct loki_repair repair = {0};
	_request_ struct request r = {0};
	struct loki_item *held;
	const uint64_t *streams;
	size_t n;
	int err;

	(void)s;
	streams = loki_item__streams(other, &n);
	err = open_item(item, &r);
	if (!err)
		err = loki_repair__new(&repair, &r);
	if (!err) {
		loki_repair__hold(&repair, streams, n);
		err = divide(item, &repair, &held);
	}
	if (err)
		item->held = true; /* all of it then, until its turn comes */
	else
		held->held = true;
}

/* For another try, unless it had enough of them. */
static bool loki_sink__tries_again(struct loki_sink *s, struct loki_item *item,
				   const struct http_answer *a)
{
	stat_add(s->stats.retries, 1);
	sink_stats__failed(&s->stats, a->status, a->error == -EFBIG ? 0 : a->error);
	item->tries++;
	item->retries++;
	if (!s->max_retries || item->retries <= s->max_retries)
		return true;
	loki_sink__drop(s, item, a, SINK_MAX_RETRIES);
	return false;
}

static void loki_sink__failed(struct loki_sink *s, struct loki_item *item,
			      const struct http_answer *a)
{
	struct loki_lane *lane = item->lane;

	describe(a, lane->problem);
	log_failure(s, lane->problem);
}

static void halve_now_and_then(struct loki_item *item, size_t small)
{
	struct loki_item *second;

	if (item->tries && item->tries % HALVE_TRIES == 0 && loki_item__raw_bytes(item) > small)
		halve(item, &second);
}

static void loki_sink__on_broken(struct loki_sink *s, struct loki_item *item,
				 const struct http_answer *a)
{
	loki_sink__failed(s, item, a);
	loki_pause__fail(&s->pause, item->sent_ns, clock__boot_ns(), -1);
	if (loki_sink__tries_again(s, item, a) && (a->error == -EIO || a->error == -ETIMEDOUT))
		halve_now_and_then(item, SMALL_BYTES);
}

/* It failed once more. */
static void loki_sink__suspect(struct loki_sink *s, struct loki_item *item,
			       const struct http_answer *a)
{
	uint64_t passes = item->lane->passes, now_ns = clock__boot_ns();
	bool others_passed = item->tries > 1 && passes != item->passes;
	struct loki_item *second;

	item->passes = passes;
	if (!others_passed)
		return;
	item->suspicions++;
	item->suspected_ns = item->suspected_ns ? item->suspected_ns : now_ns;
	if (loki_item__lines(item) == 1 && item->suspicions >= LAST_SUSPICIONS &&
	    now_ns - item->suspected_ns >= LAST_SUSPICION_NS) {
		loki_sink__drop(s, item, a, SINK_SERVER_ERROR);
		return;
	}
	if (item->suspicions >= SUSPICIONS && halve(item, &second)) {
		item->suspicions = second->suspicions = SUSPICIONS - 2;
		item->tries = second->tries = 1;
		return;
	}
	loki_pause__fail(&item->pause, item->sent_ns, now_ns, -1);
	item->pause.until_ns = MIN(item->pause.until_ns, now_ns + SUSPECT_MAX_NS);
}

static void loki_sink__on_retry(struct loki_sink *s, struct loki_item *item,
				const struct http_answer *a)
{
	loki_sink__failed(s, item, a);
	loki_pause__fail(&item->lane->pause, item->sent_ns, clock__boot_ns(), a->retry_after_ns);
	if (!loki_sink__tries_again(s, item, a))
		return;
	if (a->status == 408)
		halve_now_and_then(item, SMALL_BYTES);
	else if (a->status / 100 == 5 || a->status == 400)
		loki_sink__suspect(s, item, a);
}

/* The streams that a 429 names wait on their own. False: it names none. */
static bool loki_sink__hold_streams(struct loki_sink *s, struct loki_item *item,
				    const struct http_answer *a)
{
	_loki_repair_ struct loki_repair repair = {0};
	_request_ struct request r = {0};
	struct loki_item *held = item;

	if (open_item(item, &r) || loki_repair__new(&repair, &r) ||
	    !loki_repair__limited(&repair, a->body, a->body_len))
		return false;
	if (r.n_entries > repair.held && divide(item, &repair, &held))
		return false;
	if (held != item)
		held->tries = 1;
	held->held = true;
	loki_pause__fail(&held->pause, item->sent_ns, clock__boot_ns(), a->retry_after_ns);
	log_refusal(s, a, "held back", loki_item__lines(held), SINK_RATE_LIMITED);
	return true;
}

static void loki_sink__on_limited(struct loki_sink *s, struct loki_item *item,
				  const struct http_answer *a)
{
	if (s->drop_rate_limited) {
		loki_sink__answered(s, item);
		loki_sink__drop(s, item, a, SINK_RATE_LIMITED);
		return;
	}
	if (!loki_sink__tries_again(s, item, a))
		return;
	if (!loki_sink__hold_streams(s, item, a)) {
		loki_sink__failed(s, item, a);
		loki_pause__fail(&item->lane->pause, item->sent_ns, clock__boot_ns(),
				 a->retry_after_ns);
	}
	halve_now_and_then(item, SMALL_BURST);
}

/* Without what goes, with what is cut. */
static int loki_sink__apply(struct loki_sink *s, struct loki_item *item,
			    const struct http_answer *a, const struct loki_repair *repair)
{
	_cleanup_(loki_part__free) struct loki_part rest = {0};
	size_t dropped = 0;
	int err = loki_repair__seal(repair, LOKI_KEPT, &rest);

	if (err)
		return err;
	loki_sink__answered(s, item);
	for (unsigned i = 0; i < SINK_REASONS; i++) {
		dropped += repair->dropped[i];
		loki_sink__count_dropped(s, item, repair->dropped[i], i);
	}
	stat_add(s->stats.lines, repair->gone - dropped);
	stat_add(s->stats.cut_lines, repair->cut_lines);
	stat_add(s->stats.cut_metadata, repair->cut_metadata);
	if (dropped)
		log_refusal(s, a, "dropped", dropped, repair->reason);
	else
		log_refusal(s, a, "cut", repair->cut_lines + repair->cut_metadata, repair->reason);
	item->origin->changed = true;
	if (rest.sealed.lines)
		loki_item__become(item, &rest);
	else
		loki_sink__end(s, item);
	return 0;
}

/* True: by its text something was done. */
static bool loki_sink__repair(struct loki_sink *s, struct loki_item *item,
			      const struct http_answer *a, const struct request *r,
			      enum sink_reason *ret_reason)
{
	_loki_repair_ struct loki_repair repair = {0};

	if (loki_repair__new(&repair, r))
		return false;
	if (!loki_repair__refused(&repair, a->body, a->body_len) || ++item->repairs > MAX_REPAIRS) {
		*ret_reason = repair.reason;
		return false;
	}
	return !loki_sink__apply(s, item, a, &repair);
}

/* The fault of a text as a whole. */
static enum loki_fault first_fault(const struct http_answer *a)
{
	struct loki_complaint c = {0};
	size_t cursor = 0;

	loki_text__next(a->body, a->body_len, &cursor, &c);
	return c.fault;
}

/* Refused for what nobody knows, by what never took anything: it may be no Loki at all. */
static void loki_sink__on_strange(struct loki_sink *s, struct loki_item *item,
				  const struct http_answer *a)
{
	struct loki_item *second;

	loki_sink__failed(s, item, a);
	loki_pause__fail(&item->lane->pause, item->sent_ns, clock__boot_ns(), -1);
	if (!loki_sink__tries_again(s, item, a) || item->tries % STRANGE_TRIES)
		return;
	if (!halve(item, &second) && item->tries >= LAST_STRANGE_TRIES &&
	    loki_item__lines(item) == 1)
		loki_sink__drop(s, item, a, SINK_REFUSED_OTHER);
}

static void loki_sink__on_refused(struct loki_sink *s, struct loki_item *item,
				  const struct http_answer *a)
{
	enum sink_reason reason = a->status == 413 ? SINK_TOO_LARGE : SINK_REFUSED_OTHER;
	_request_ struct request r = {0};
	struct loki_item *second;
	int err = open_item(item, &r);

	if (err == -ENOMEM) {
		loki_sink__on_retry(s, item, a);
		return;
	}
	if (!err && a->status != 413 && loki_sink__repair(s, item, a, &r, &reason))
		return;
	if (!err && reason == SINK_REFUSED_OTHER && !s->passed) {
		loki_sink__on_strange(s, item, a);
		return;
	}
	loki_sink__answered(s, item);
	if (!err && ++item->origin->refusals < MAX_REFUSALS && halve(item, &second))
		return;
	loki_sink__drop(s, item, a, reason);
}

static void loki_sink__on_ok(struct loki_sink *s, struct loki_item *item)
{
	loki_sink__answered(s, item);
	item->lane->passes++;
	s->passed = true;
	stat_add(s->stats.lines, loki_item__lines(item));
	loki_sink__end(s, item);
}

/* Another token, and no pause before it is tried: once, and for all that went with the old one. */
static bool loki_sink__renews_token(struct loki_sink *s, const struct loki_item *item,
				    const struct http_answer *a)
{
	bool again = !s->token_renewed || item->token != s->token;

	if (a->error || a->status != 401 || !s->oauth2)
		return false;
	if (item->token == s->token) {
		oauth2__refused(s->oauth2);
		s->token++;
	}
	s->token_renewed = true;
	return again;
}

static void loki_sink__act(struct loki_sink *s, struct loki_item *item, const struct http_answer *a)
{
	enum verdict verdict = judge(a);
	enum loki_fault fault = verdict == VERDICT_REFUSED ? first_fault(a) : LOKI_UNKNOWN;

	if (loki_sink__renews_token(s, item, a))
		return;
	/* The whole request came to harm on its way, or the client's own tenant is wrong. */
	if (fault == LOKI_UNREADABLE || (fault == LOKI_TENANT_NAME && !item->lane->tenant))
		verdict = VERDICT_RETRY;
	if (verdict != VERDICT_BROKEN)
		loki_sink__reached(s);
	switch (verdict) {
	case VERDICT_OK:
		loki_sink__on_ok(s, item);
		break;
	case VERDICT_REFUSED:
		if (fault == LOKI_TENANT_NAME)
			loki_sink__drop(s, item, a, SINK_TENANT);
		else
			loki_sink__on_refused(s, item, a);
		break;
	case VERDICT_LIMITED:
		loki_sink__on_limited(s, item, a);
		break;
	case VERDICT_RETRY:
		loki_sink__on_retry(s, item, a);
		break;
	case VERDICT_BROKEN:
		loki_sink__on_broken(s, item, a);
		break;
	}
}

void loki_sink__on_done(void *ctx, const struct http_answer *a)
{
	struct loki_item *item = ctx;
	struct loki_sink *s = item->queue->ctx;

	sink_stats__answered(&s->stats, a->status, a->error, clock__boot_ns() - item->sent_ns,
			     loki_item__payload(item)->len);
	loki_item__landed(item);
	loki_sink__act(s, item, a);
	loki_sink__send(s);
}

void loki_sink__no_request(struct loki_sink *s, const char *why)
{
	uint64_t now_ns = clock__boot_ns();

	snprintf(s->problem, sizeof(s->problem), "%s", why);
	stat_add(s->stats.retries, 1);
	sink_stats__failed(&s->stats, 0, -EIO);
	log_failure(s, why);
	loki_pause__fail(&s->pause, now_ns, now_ns, -1);
	loki_sink__send(s);
}
