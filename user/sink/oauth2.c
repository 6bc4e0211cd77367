/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's name and secret go into a Basic header, as RFC 6749 wants it. A server that refuses
 * that gets them in the body once, and whatever it took it gets from then on.
 */
#include "sink/oauth2.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/util.h"
#include "io/http.h"
#include "sink/auth.h"

#define DEFAULT_TIMEOUT_NS (10 * NS_PER_SEC)
#define MAX_ANSWER ((size_t)1 << 20)
#define MIN_LIFE_S 1.0 /* what expires at once would be asked for without end */
#define MAX_LIFE_S (365 * 86400.0)
/* A token that expires on its way is refused; one of few seconds is still used for half of them. */
#define MARGIN_NS (10 * NS_PER_SEC)
#define SHOWN_WORDS 200

enum style { STYLE_UNKNOWN, STYLE_HEADER, STYLE_BODY };

struct oauth2 {
	struct http *http;
	oauth2_ready_fn ready;
	void *ctx;
	char *token_url;
	char *client_id;
	char *secret; /* NULL: in the file */
	char *file;   /* NULL: none */
	struct buf form;
	const struct http_tls *tls;
	const char *proxy, *no_proxy;
	uint64_t timeout_ns;
	enum style style, tried;
	struct http_request *request;
	struct buf body;   /* of the request */
	char *header;	   /* NULL: no token */
	uint64_t until_ns; /* boot time; 0: no end is known */
};

static void json__unref_p(json_t **j)
{
	json_decref(*j);
}
#define _json_ _cleanup_(json__unref_p)

/* As in a form. */
static int append_escaped(struct buf *b, const char *text)
{
	int err = 0;

	for (const char *p = text; *p && !err; p++) {
		unsigned char c = (unsigned char)*p;

		if (isalnum(c) || strchr("-._~", c))
			err = buf__append(b, p, 1);
		else if (c == ' ')
			err = buf__append(b, "+", 1);
		else
			err = buf__printf(b, "%%%02X", c);
	}
	return err;
}

static int append_pair(struct buf *b, const char *name, const char *value)
{
	int err = b->len ? buf__append(b, "&", 1) : 0;

	if (!err)
		err = append_escaped(b, name);
	if (!err)
		err = buf__append(b, "=", 1);
	return err ? err : append_escaped(b, value);
}

static int append_scopes(struct buf *b, const struct oauth2_opts *opts)
{
	_buf_ struct buf joined = {0};
	int err = 0;

	for (size_t i = 0; i < opts->n_scopes && !err; i++) {
		if (i)
			err = buf__append(&joined, " ", 1);
		if (!err)
			err = buf__append_str(&joined, opts->scopes[i]);
	}
	if (!err)
		err = buf__append(&joined, "", 1);
	return err ? err : append_pair(b, "scope", joined.data);
}

static int make_form(struct buf *b, const struct oauth2_opts *opts)
{
	const char *grant = "client_credentials";
	int err;

	for (size_t i = 0; i < opts->n_params; i++)
		if (!strcmp(opts->params[i].name, "grant_type"))
			grant = opts->params[i].value;
	err = append_pair(b, "grant_type", grant);
	if (!err && opts->n_scopes)
		err = append_scopes(b, opts);
	for (size_t i = 0; i < opts->n_params && !err; i++)
		if (strcmp(opts->params[i].name, "grant_type"))
			err = append_pair(b, opts->params[i].name, opts->params[i].value);
	return err;
}

static int copy(char **to, const char *from)
{
	if (!from)
		return 0;
	*to = strdup(from);
	return *to ? 0 : -ENOMEM;
}

int oauth2__new(struct oauth2 **ret, struct http *http, const struct oauth2_opts *opts,
		oauth2_ready_fn ready, void *ctx)
{
	struct oauth2 *o = calloc(1, sizeof(*o));
	int err;

	if (!o)
		return -ENOMEM;
	o->http = http;
	o->ready = ready;
	o->ctx = ctx;
	o->tls = opts->tls;
	o->proxy = opts->proxy;
	o->no_proxy = opts->no_proxy;
	o->timeout_ns = opts->timeout_ns ? opts->timeout_ns : DEFAULT_TIMEOUT_NS;
	err = copy(&o->token_url, opts->token_url);
	if (!err)
		err = copy(&o->client_id, opts->client_id);
	if (!err)
		err = copy(&o->secret, opts->client_secret_file ? opts->client_secret
				       : opts->client_secret	? opts->client_secret
								: "");
	if (!err)
		err = copy(&o->file, opts->client_secret_file);
	if (!err)
		err = make_form(&o->form, opts);
	if (err)
		oauth2__free(o);
	else
		*ret = o;
	return err;
}

void oauth2__free(struct oauth2 *o)
{
	if (!o)
		return;
	http_request__cancel(o->request);
	free(o->token_url);
	free(o->client_id);
	free(o->secret);
	free(o->file);
	free(o->header);
	buf__free(&o->form);
	buf__free(&o->body);
	free(o);
}

/* "Bearer", "bearer" and nothing are the same. */
static const char *canonical(const char *type)
{
	return !type || !*type || !strcasecmp(type, "bearer") ? "Bearer" : type;
}

static bool is_clean(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	return true;
}

/* Some write it as a string. */
static double number_of(const json_t *j)
{
	return json_is_string(j) ? strtod(json_string_value(j), NULL) : json_number_value(j);
}

/* NULL, or what is wrong with it. */
static const char *oauth2__take(struct oauth2 *o, const json_t *answer)
{
	const char *token = json_string_value(json_object_get(answer, "access_token"));
	const char *type = canonical(json_string_value(json_object_get(answer, "token_type")));
	double life_s = number_of(json_object_get(answer, "expires_in"));
	uint64_t life_ns;
	char *header;

	if (!token || !*token)
		return "its answer has no access_token";
	if (!is_clean(token) || !is_clean(type))
		return "its access_token has a control character in it";
	if (asprintf(&header, "Authorization: %s %s", type, token) < 0)
		return strerror(ENOMEM);
	free(o->header);
	o->header = header;
	o->until_ns = 0;
	if (life_s > 0) {
		life_ns = (uint64_t)(MAX(MIN_LIFE_S, MIN(life_s, MAX_LIFE_S)) * (double)NS_PER_SEC);
		o->until_ns = clock__boot_ns() + life_ns - MIN(MARGIN_NS, life_ns / 2);
	}
	o->style = o->tried;
	return NULL;
}

/* The error that RFC 6749 (5.2) names, and nothing else of the answer. */
static void show_refusal(char *out, size_t size, const struct http_answer *a, const json_t *answer)
{
	const char *word = json_string_value(json_object_get(answer, "error"));
	const char *more = json_string_value(json_object_get(answer, "error_description"));

	snprintf(out, size, "status %ld%s%.*s%s%.*s", a->status, word ? ": " : "", SHOWN_WORDS,
		 word ? word : "", word && more ? ": " : "", SHOWN_WORDS, word && more ? more : "");
	for (char *p = out; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' ';
	utf8__clean(out, strlen(out));
}

static int oauth2__ask(struct oauth2 *o);

static void on_done(void *ctx, const struct http_answer *a)
{
	struct oauth2 *o = ctx;
	char why[2 * SHOWN_WORDS + 64] = "", text[sizeof(why) + 64];
	const char *wrong = NULL;
	_json_ json_t *answer = NULL;
	int err;

	o->request = NULL;
	if (!a->error)
		answer = json_loadb(a->body, a->body_len, JSON_DECODE_INT_AS_REAL, NULL);
	if (a->error)
		wrong = a->error_text;
	else if (a->status / 100 == 2)
		wrong = oauth2__take(o, answer);
	else
		show_refusal(why, sizeof(why), a, answer);
	if (!a->error && a->status / 100 == 4 && o->style == STYLE_UNKNOWN &&
	    o->tried == STYLE_HEADER) {
		o->tried = STYLE_BODY;
		err = oauth2__ask(o);
		if (!err)
			return;
		wrong = strerror(-err);
	}
	if (!wrong && !*why) {
		o->ready(o->ctx, NULL);
		return;
	}
	snprintf(text, sizeof(text), "no token: %.*s", (int)sizeof(why), wrong ? wrong : why);
	o->ready(o->ctx, text);
}

static int make_login(const struct oauth2 *o, const char *secret, struct buf *ret)
{
	_buf_ struct buf pair = {0};
	int err = append_escaped(&pair, o->client_id);

	if (!err)
		err = buf__append(&pair, ":", 1);
	if (!err)
		err = append_escaped(&pair, secret);
	if (!err)
		err = buf__append_str(ret, "Authorization: Basic ");
	if (!err)
		err = buf__append_base64(ret, pair.data, pair.len);
	return err ? err : buf__append(ret, "", 1);
}

static int make_body(struct oauth2 *o, const char *secret)
{
	int err;

	o->body.len = 0;
	err = buf__append(&o->body, o->form.data, o->form.len);
	if (!err && o->tried == STYLE_BODY)
		err = append_pair(&o->body, "client_id", o->client_id);
	if (!err && o->tried == STYLE_BODY)
		err = append_pair(&o->body, "client_secret", secret);
	return err;
}

/* In the style of o->tried. */
static int oauth2__ask(struct oauth2 *o)
{
	const char *headers[] = {"Content-Type: application/x-www-form-urlencoded",
				 "Accept: application/json", NULL, NULL};
	struct http_opts opts = {
		.url = o->token_url,
		.tls = o->tls,
		.proxy = o->proxy,
		.no_proxy = o->no_proxy,
		.headers = headers,
		.timeout_ns = o->timeout_ns,
		.max_body = MAX_ANSWER,
		.done = on_done,
		.ctx = o,
	};
	_buf_ struct buf secret = {0}, login = {0};
	int err =
		o->file ? auth__read_secret(o->file, &secret) : buf__append_str(&secret, o->secret);

	if (!err)
		err = buf__append(&secret, "", 1);
	if (!err)
		err = make_body(o, secret.data);
	if (!err && o->tried == STYLE_HEADER)
		err = make_login(o, secret.data, &login);
	if (err)
		return err;
	headers[2] = login.data;
	opts.body = o->body.data;
	opts.body_len = o->body.len;
	return http__request(o->http, &opts, &o->request);
}

int oauth2__header(struct oauth2 *o, const char **ret)
{
	int err;

	if (o->request)
		return -EAGAIN;
	if (o->header && (!o->until_ns || clock__boot_ns() < o->until_ns)) {
		*ret = o->header;
		return 0;
	}
	o->tried = o->style == STYLE_UNKNOWN ? STYLE_HEADER : o->style;
	err = oauth2__ask(o);
	return err ? err : -EAGAIN;
}

void oauth2__refused(struct oauth2 *o)
{
	free(TAKE_PTR(o->header));
}

const char *oauth2__file(const struct oauth2 *o)
{
	return o->file;
}
