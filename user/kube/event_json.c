/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is missing, null or of another type is left out: an event is worth a line whatever else is
 * wrong with it. Only what is no object, or has no resourceVersion, is no event.
 *
 * Alloy writes values bare and the message as Go quotes it; here a value is quoted where logfmt
 * needs it, as JSON quotes, which is what parsers of logfmt undo.
 */
#include "kube/event_json.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

#define MAX_COUNT 1e15
/* Loki refuses what is older than a week; the API server keeps an event for hours. */
#define TOO_OLD_NS (6 * 24 * 3600 * NS_PER_SEC)

static const char *text(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "";
}

/* The first of them that says something. */
static const char *either(const json_t *object, const char *key, const char *other)
{
	const char *s = text(object, key);

	return *s ? s : text(object, other);
}

static const json_t *part(const json_t *object, const char *key, const char *other)
{
	const json_t *j = json_object_get(object, key);

	return json_is_object(j) ? j : json_object_get(object, other);
}

static int digits(const char *s, size_t n, int *ret)
{
	*ret = 0;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -EINVAL;
		*ret = *ret * 10 + (s[i] - '0');
	}
	return 0;
}

/* .5 is 500,000,000; *s is moved behind it. */
static uint64_t fraction(const char **s)
{
	uint64_t unit = NS_PER_SEC, ns = 0;

	if (**s != '.')
		return 0;
	for ((*s)++; **s >= '0' && **s <= '9'; (*s)++) {
		unit /= 10;
		ns += (uint64_t)(**s - '0') * unit;
	}
	return ns;
}

/* Seconds that the zone is east of UTC: Z, or +hh:mm. */
static int zone(const char *s, time_t *ret)
{
	int hours, minutes;

	*ret = 0;
	if (!strcmp(s, "Z"))
		return 0;
	if (strlen(s) != 6 || (*s != '+' && *s != '-') || s[3] != ':' || digits(s + 1, 2, &hours) ||
	    digits(s + 4, 2, &minutes) || hours > 23 || minutes > 59)
		return -EINVAL;
	*ret = (*s == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
	return 0;
}

/* 2026-11-22T06:43:15Z, with a fraction or without. 0: it is none that Unix ns can say. */
static uint64_t parse_time(const char *s)
{
	static const char SHAPE[] = "0000-00-00T00:00:00";
	struct tm tm = {0};
	uint64_t ns;
	time_t seconds, east;

	if (strlen(s) < strlen(SHAPE) + 1 || s[4] != '-' || s[7] != '-' || s[10] != 'T' ||
	    s[13] != ':' || s[16] != ':' || digits(s, 4, &tm.tm_year) ||
	    digits(s + 5, 2, &tm.tm_mon) || digits(s + 8, 2, &tm.tm_mday) ||
	    digits(s + 11, 2, &tm.tm_hour) || digits(s + 14, 2, &tm.tm_min) ||
	    digits(s + 17, 2, &tm.tm_sec))
		return 0;
	if (tm.tm_year < 1970 || tm.tm_year > 2261)
		return 0;
	s += strlen(SHAPE);
	ns = fraction(&s);
	if (zone(s, &east))
		return 0;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	seconds = timegm(&tm) - east;
	return seconds > 0 ? (uint64_t)seconds * NS_PER_SEC + ns : 0;
}

static void read_times(const json_t *root, const json_t *series, struct event *e)
{
	const char *times[] = {
		text(series, "lastObservedTime"),
		text(root, "eventTime"),
		either(root, "deprecatedLastTimestamp", "lastTimestamp"),
		either(root, "deprecatedFirstTimestamp", "firstTimestamp"),
	};
	uint64_t created_ns =
		parse_time(text(json_object_get(root, "metadata"), "creationTimestamp"));

	for (size_t i = 0; i < ARRAY_SIZE(times); i++)
		e->time_ns = MAX(e->time_ns, parse_time(times[i]));
	/* The API server's own time, where whose event it is has none, or a clock that is wrong. */
	if (!e->time_ns || created_ns > e->time_ns + TOO_OLD_NS)
		e->time_ns = created_ns;
	e->whole_seconds = e->time_ns % NS_PER_SEC == 0;
}

/* Integers are read as doubles, so that one that no int64 holds does not cost the event. */
static int64_t read_count(const json_t *root, const json_t *series)
{
	double counts[] = {
		json_number_value(json_object_get(series, "count")),
		json_number_value(json_object_get(root, "deprecatedCount")),
		json_number_value(json_object_get(root, "count")),
	};
	double most = 0;

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		most = MAX(most, counts[i]);
	return (int64_t)MIN(most, MAX_COUNT);
}

uint64_t event_json__revision(const char *s)
{
	char *end;
	uint64_t n;

	if (*s < '0' || *s > '9')
		return 0;
	errno = 0;
	n = strtoull(s, &end, 10);
	return errno || *end ? 0 : n;
}

int event_json__parse(const char *json, size_t len, struct event *ret)
{
	json_t *root = json_loadb(json, len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
	const json_t *series = json_object_get(root, "series");
	const json_t *about = part(root, "regarding", "involvedObject");
	const json_t *source = part(root, "deprecatedSource", "source");
	struct event e = {
		.tree = root,
		.resource_version = text(json_object_get(root, "metadata"), "resourceVersion"),
		.namespace = text(about, "namespace"),
		.kind = text(about, "kind"),
		.name = text(about, "name"),
		.api_version = text(about, "apiVersion"),
		.object_version = text(about, "resourceVersion"),
		.action = text(root, "action"),
		.reason = text(root, "reason"),
		.type = text(root, "type"),
		.message = either(root, "note", "message"),
		.controller = either(root, "reportingController", "reportingComponent"),
		.instance = text(root, "reportingInstance"),
		.source_component = text(source, "component"),
		.source_host = text(source, "host"),
	};

	if (!*e.resource_version) {
		json_decref(root);
		return -EBADMSG;
	}
	e.revision = event_json__revision(e.resource_version);
	read_times(root, series, &e);
	e.count = read_count(root, series);
	*ret = e;
	return 0;
}

void event__free(struct event *e)
{
	json_decref(e->tree);
	*e = (struct event){0};
}

/* What logfmt reads to its end without quotes. */
static bool is_bare(const char *s)
{
	if (!*s)
		return false;
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || *s == '"' || *s == '=' || *s == '\\' || *s == 0x7f)
			return false;
	return true;
}

static int quoted(struct buf *out, const char *s, size_t len)
{
	int err = buf__append(out, "\"", 1);

	if (!err)
		err = buf__append_json(out, s, len);
	return err ? err : buf__append(out, "\"", 1);
}

static size_t message_len(const char *s)
{
	size_t len = strnlen(s, EVENT_MAX_MESSAGE + 1);

	if (len <= EVENT_MAX_MESSAGE)
		return len;
	for (len = EVENT_MAX_MESSAGE; len && ((unsigned char)s[len] & 0xc0) == 0x80; len--)
		;
	return len;
}

struct pair {
	const char *key, *value;
};

static int logfmt(const struct pair *pairs, size_t n, int64_t count, const char *message,
		  struct buf *out)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		/* Alloy's lines begin with the name, whatever it is. */
		if (!*pairs[i].value && i)
			continue;
		err = buf__printf(out, "%s%s=", i ? " " : "", pairs[i].key);
		if (!err && is_bare(pairs[i].value))
			err = buf__append_str(out, pairs[i].value);
		else if (!err)
			err = quoted(out, pairs[i].value, strlen(pairs[i].value));
	}
	if (!err && count)
		err = buf__printf(out, " count=%lld", (long long)count);
	if (!err)
		err = buf__append_str(out, " msg=");
	return err ? err : quoted(out, message, message_len(message));
}

static int json(const struct pair *pairs, size_t n, int64_t count, const char *message,
		struct buf *out)
{
	int err = buf__append_str(out, "{");

	for (size_t i = 0; i < n && !err; i++) {
		if (!*pairs[i].value && i)
			continue;
		err = buf__printf(out, "\"%s\":", pairs[i].key);
		if (!err)
			err = quoted(out, pairs[i].value, strlen(pairs[i].value));
		if (!err)
			err = buf__append(out, ",", 1);
	}
	if (!err && count)
		err = buf__printf(out, "\"count\":%lld,", (long long)count);
	if (!err)
		err = buf__append_str(out, "\"msg\":");
	if (!err)
		err = quoted(out, message, message_len(message));
	return err ? err : buf__append(out, "}", 1);
}

int event__line(const struct event *e, enum event_format format, struct buf *out)
{
	const struct pair pairs[] = {
		{"name", e->name},
		{"kind", e->kind},
		{"action", e->action},
		{"objectAPIversion", e->api_version},
		{"objectRV", e->object_version},
		{"eventRV", e->resource_version},
		{"reportinginstance", e->instance},
		{"reportingcontroller", e->controller},
		{"sourcecomponent", e->source_component},
		{"sourcehost", e->source_host},
		{"reason", e->reason},
		{"type", e->type},
	};

	return (format == EVENT_JSON ? json : logfmt)(pairs, ARRAY_SIZE(pairs), e->count,
						      e->message, out);
}

uint64_t event__time_ns(const struct event *e, uint64_t now_ns)
{
	if (!e->time_ns)
		return now_ns;
	return e->time_ns + e->revision % (e->whole_seconds ? NS_PER_MS : 1000);
}
