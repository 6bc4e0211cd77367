/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several complaints come as `2 errors like: A; 1 errors like: B`. Which one it is, is said outside
 * of the stream's labels, by words that did not change for years; the first of them decides, for
 * behind them a text may show values.
 */
#include "sink/loki_text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/util.h"

#define LIKE " errors like: "
#define SERVICE_NAME "service_name="
#define TIME_MAX 40

struct text {
	const char *p, *end;
};

static const struct {
	const char *words;
	enum loki_fault fault;
} faults[] = {
	{"timestamp too old", LOKI_TOO_OLD},
	{"timestamp too new", LOKI_TOO_NEW},
	{"Per stream rate limit exceeded", LOKI_STREAM_RATE},
	{"entry too far behind", LOKI_TOO_FAR_BEHIND},
	{"entry out of order", LOKI_TOO_FAR_BEHIND},
	{"max entry size", LOKI_LINE_TOO_LONG},
	{"too many structured metadata labels", LOKI_METADATA_PAIRS},
	{"structured metadata too large", LOKI_METADATA_BYTES},
	{"structured metadata, but this feature is disallowed", LOKI_METADATA_DISALLOWED},
	{" label names; limit", LOKI_LABEL_NAMES},
	{"label name too long", LOKI_LABEL_NAME_LENGTH},
	{"label value too long", LOKI_LABEL_VALUE_LENGTH},
	{"duplicate label name", LOKI_DUPLICATE_LABEL},
	{"couldn't parse labels", LOKI_BAD_LABELS},
	{"error parsing labels", LOKI_BAD_LABELS},
	{"at least one label pair is required", LOKI_BAD_LABELS},
	{"maximum active stream limit exceeded", LOKI_STREAM_LIMIT},
	{"ingestion rate limit exceeded", LOKI_TENANT_RATE},
	{"tenant ID '", LOKI_TENANT_NAME},
	{"request body too large", LOKI_TOO_LARGE},
	{"message larger than max", LOKI_TOO_LARGE},
	{"HTTP request to an HTTPS server", LOKI_UNREADABLE},
	{"snappy:", LOKI_UNREADABLE},
	{"proto:", LOKI_UNREADABLE},
	{"unexpected EOF", LOKI_UNREADABLE},
};

static const char *find(struct text t, const char *words)
{
	return t.p < t.end ? memmem(t.p, (size_t)(t.end - t.p), words, strlen(words)) : NULL;
}

/* What is behind the words, or nothing. */
static struct text behind(struct text t, const char *words)
{
	const char *at = find(t, words);

	return (struct text){at ? at + strlen(words) : t.end, t.end};
}

static uint64_t read_number(struct text *t)
{
	uint64_t value = 0;

	for (; t->p < t->end && *t->p >= '0' && *t->p <= '9'; t->p++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*t->p - '0'), &value))
			value = UINT64_MAX;
	return value;
}

/* Quoted or not. */
static uint64_t number_behind(struct text t, const char *words)
{
	struct text rest = behind(t, words);

	if (rest.p < rest.end && *rest.p == '\'')
		rest.p++;
	return read_number(&rest);
}

/* RFC 3339; 0: it is none, or before 1970. */
static uint64_t time_behind(struct text t, const char *words)
{
	struct text rest = behind(t, words);
	size_t len = MIN((size_t)(rest.end - rest.p), (size_t)TIME_MAX);
	unsigned hours = 0, minutes = 0;
	char copy[TIME_MAX + 1], sign;
	struct tm tm = {0};
	int64_t seconds;
	int n = 0;

	memcpy(copy, rest.p, len);
	copy[len] = '\0';
	if (sscanf(copy, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
		   &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &n) != 6)
		return 0;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	seconds = timegm(&tm);
	n += copy[n] == '.' ? 1 + (int)strspn(copy + n + 1, "0123456789") : 0;
	if (sscanf(copy + n, "%c%2u:%2u", &sign, &hours, &minutes) == 3 &&
	    (sign == '+' || sign == '-'))
		seconds -= (sign == '+' ? 1 : -1) * (int64_t)(hours * 3600 + minutes * 60);
	return seconds > 0 ? (uint64_t)seconds : 0;
}

/* Past the closing brace; NULL: there is none. Braces may stand in values. */
static const char *end_of_labels(struct text t)
{
	bool quoted = false;

	for (const char *p = t.p; p < t.end; p++) {
		if (quoted && *p == '\\')
			p++;
		else if (*p == '"')
			quoted = !quoted;
		else if (*p == '}' && !quoted)
			return p + 1;
	}
	return NULL;
}

/* The first `stream '{...}'`, `stream: {...}` or `stream {...}`. */
static void find_stream(struct text t, struct loki_complaint *ret)
{
	for (struct text rest = behind(t, "stream"); rest.p < rest.end;
	     rest = behind(rest, "stream")) {
		struct text labels = rest;
		const char *end;

		for (int i = 0; i < 2 && labels.p < labels.end && strchr(": '", *labels.p); i++)
			labels.p++;
		if (labels.p == labels.end || *labels.p != '{')
			continue;
		end = end_of_labels(labels);
		if (end) {
			ret->stream = labels.p;
			ret->stream_len = (size_t)(end - labels.p);
		}
		return;
	}
}

static void find_fault(struct text t, struct loki_complaint *ret, const char **first)
{
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		const char *at = find(t, faults[i].words);

		if (at && (!*first || at < *first)) {
			*first = at;
			ret->fault = faults[i].fault;
		}
	}
}

static void read_complaint(struct text t, struct loki_complaint *ret)
{
	struct text before = t, after = {t.end, t.end};
	const char *first = NULL;

	find_stream(t, ret);
	if (ret->stream) {
		before.end = ret->stream;
		after.p = ret->stream + ret->stream_len;
	}
	find_fault(before, ret, &first);
	if (!first)
		find_fault(after, ret, &first);
	/* Of several reasons in a stream the one that goes by decides. */
	if (ret->fault == LOKI_TOO_FAR_BEHIND && find(before, "Per stream rate limit exceeded"))
		ret->fault = LOKI_STREAM_RATE;
	if (ret->fault == LOKI_LINE_TOO_LONG)
		ret->limit = number_behind(before, "max entry size ");
	else
		ret->limit = number_behind(after, "limit: ");
	if (ret->fault == LOKI_LABEL_NAMES)
		ret->limit = number_behind(after, "limit ");
	ret->time_s = time_behind(after, "timestamp too old: ");
	if (!ret->time_s)
		ret->time_s = time_behind(after, "timestamp too new: ");
	ret->oldest_s = time_behind(after, "oldest acceptable timestamp is: ");
	if (!ret->oldest_s)
		ret->oldest_s = time_behind(before, "oldest acceptable timestamp is: ");
	ret->ignored = number_behind(before, "total ignored: ");
	ret->of = number_behind(behind(before, "total ignored: "), " out of ");
}

/* `; 2 errors like: ` or the end. */
static const char *end_of_complaint(struct text t)
{
	struct text more = {MIN(t.p + 1, t.end), t.end}; /* a complaint is not empty */

	for (struct text rest = behind(more, "; "); rest.p < rest.end; rest = behind(rest, "; ")) {
		struct text number = rest;

		read_number(&number);
		if (number.p > rest.p && (size_t)(number.end - number.p) > strlen(LIKE) &&
		    !memcmp(number.p, LIKE, strlen(LIKE)))
			return rest.p - 2;
	}
	return t.end;
}

bool loki_text__next(const char *text, size_t len, size_t *cursor, struct loki_complaint *ret)
{
	struct text t = {text + *cursor, text + len}, number;
	struct loki_complaint c = {.count = 1};

	if (t.p >= t.end)
		return false;
	if (*cursor)
		t.p += MIN((size_t)(t.end - t.p), (size_t)2);
	number = t;
	c.count = read_number(&number);
	if (number.p > t.p && (size_t)(number.end - number.p) >= strlen(LIKE) &&
	    !memcmp(number.p, LIKE, strlen(LIKE)))
		t.p = number.p + strlen(LIKE);
	else
		c.count = 1;
	c.count = MAX(c.count, (uint64_t)1);
	t.end = end_of_complaint(t);
	read_complaint(t, &c);
	*cursor = (size_t)(t.end - text);
	*ret = c;
	return true;
}

/* `name="value"`; false: no more. */
static bool next_label(struct text *t, struct text *ret)
{
	bool quoted = false;

	while (t->p < t->end && strchr("{}, ", *t->p))
		t->p++;
	ret->p = t->p;
	for (; t->p < t->end && (quoted || !strchr(",}", *t->p)); t->p++) {
		if (quoted && *t->p == '\\' && t->p + 1 < t->end)
			t->p++;
		else if (*t->p == '"')
			quoted = !quoted;
	}
	ret->end = t->p;
	return ret->p < ret->end;
}

static bool same(struct text a, struct text b)
{
	return a.end - a.p == b.end - b.p && !memcmp(a.p, b.p, (size_t)(a.end - a.p));
}

bool loki_text__is_stream(const struct loki_complaint *c, const char *labels, size_t len)
{
	struct text theirs, ours = {labels, labels + len}, a, b;
	bool more = true;

	if (!c->stream)
		return false;
	theirs = (struct text){c->stream, c->stream + c->stream_len};
	while (next_label(&theirs, &a)) {
		struct text before = ours;

		more = next_label(&ours, &b);
		if (more && same(a, b))
			continue;
		if ((size_t)(a.end - a.p) < strlen(SERVICE_NAME) ||
		    memcmp(a.p, SERVICE_NAME, strlen(SERVICE_NAME)))
			return false;
		ours = before;
	}
	return !next_label(&ours, &b);
}
