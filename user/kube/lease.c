/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Lease is kept as the API server sent it, and sent back with what changes: its resourceVersion
 * makes the server refuse an update of something that somebody else has changed meanwhile. After
 * any failure it is read again before it is written: the request may have been done all the same.
 */
#include "kube/lease.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

#define NOTE "notail.io/position"
#define MAX_DURATION_S 3600

struct lease {
	char *namespace, *name, *identity;
	char *note; /* to be written; NULL: as it was read */
	uint64_t duration_ns;
	json_t *object;	     /* as last read; NULL: never, or there is none */
	bool absent;	     /* there is none */
	bool stale;	     /* it has to be read again */
	uint64_t changed_ns; /* when it was first seen as it is */
	uint64_t retry_at_ns;
	uint64_t until_ns; /* it is ours; 0: it is not */
};

int lease__new(struct lease **ret, const struct lease_opts *opts)
{
	struct lease *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->duration_ns = opts->duration_ns;
	l->namespace = strdup(opts->namespace);
	l->name = strdup(opts->name);
	l->identity = strdup(opts->identity);
	l->stale = true;
	if (!l->namespace || !l->name || !l->identity) {
		lease__free(l);
		return -ENOMEM;
	}
	*ret = l;
	return 0;
}

void lease__free(struct lease *l)
{
	if (!l)
		return;
	json_decref(l->object);
	free(l->namespace);
	free(l->name);
	free(l->identity);
	free(l->note);
	free(l);
}

uint64_t lease__timeout_ns(const struct lease *l)
{
	return l->duration_ns / 3;
}

/* client-go: 2 s of 15 */
uint64_t lease__retry_ns(const struct lease *l)
{
	return l->duration_ns * 2 / 15;
}

static const json_t *spec(const struct lease *l)
{
	return json_object_get(l->object, "spec");
}

const char *lease__holder(const struct lease *l)
{
	const char *s = json_string_value(json_object_get(spec(l), "holderIdentity"));

	return s ? s : "";
}

static bool is_ours(const struct lease *l)
{
	return !strcmp(lease__holder(l), l->identity);
}

/* What another that holds it has asked for. */
static uint64_t holders_duration_ns(const struct lease *l)
{
	json_int_t s = json_integer_value(json_object_get(spec(l), "leaseDurationSeconds"));

	return s > 0 && s <= MAX_DURATION_S ? (uint64_t)s * NS_PER_SEC : l->duration_ns;
}

static bool is_free(const struct lease *l, uint64_t now_ns)
{
	return !*lease__holder(l) || is_ours(l) || now_ns >= l->changed_ns + holders_duration_ns(l);
}

enum lease_do lease__next(struct lease *l, uint64_t now_ns, uint64_t *ret_due_ns)
{
	if (now_ns < l->retry_at_ns) {
		*ret_due_ns = l->retry_at_ns;
		return LEASE_WAIT;
	}
	if (l->stale)
		return LEASE_GET;
	if (l->absent)
		return LEASE_CREATE;
	if (is_free(l, now_ns))
		return LEASE_UPDATE;
	l->stale = true;
	return LEASE_GET;
}

static void keep(struct lease *l, json_t *object, uint64_t now_ns)
{
	if (!l->object || !json_equal(l->object, object))
		l->changed_ns = now_ns;
	json_decref(l->object);
	l->object = object;
	l->absent = false;
	l->stale = false;
}

static json_t *parse(const char *body, size_t len)
{
	json_t *object = json_loadb(body, len, JSON_ALLOW_NUL, NULL);
	const json_t *version =
		json_object_get(json_object_get(object, "metadata"), "resourceVersion");
	const json_t *s = json_object_get(object, "spec");

	/* Of one that somebody made by hand there may be no spec. */
	if (json_is_string(version) && (!s || json_is_object(s)))
		return object;
	json_decref(object);
	return NULL;
}

/* What took long has waited already: a lease that is ours has no time for more. */
static void fail(struct lease *l, enum lease_do asked, long status, uint64_t sent_ns,
		 uint64_t now_ns)
{
	l->absent = asked == LEASE_GET && status == 404;
	l->stale = !l->absent;
	l->retry_at_ns = l->absent ? now_ns : MAX(now_ns, sent_ns + lease__retry_ns(l));
}

int lease__answer(struct lease *l, enum lease_do asked, uint64_t sent_ns, uint64_t now_ns,
		  long status, const char *body, size_t len)
{
	json_t *object = status / 100 == 2 ? parse(body, len) : NULL;

	if (!object) {
		fail(l, asked, status, sent_ns, now_ns);
		return status / 100 == 2 ? -EBADMSG : 0;
	}
	keep(l, object, now_ns);
	if (asked == LEASE_GET) {
		if (!is_ours(l))
			l->until_ns = 0;
		l->retry_at_ns = is_free(l, now_ns) ? now_ns : now_ns + lease__retry_ns(l);
		return 0;
	}
	l->until_ns = is_ours(l) ? sent_ns + l->duration_ns / 3 * 2 : 0;
	l->retry_at_ns = sent_ns + lease__retry_ns(l);
	return 0;
}

bool lease__leads(const struct lease *l, uint64_t now_ns)
{
	return now_ns < l->until_ns;
}

uint64_t lease__until_ns(const struct lease *l)
{
	return l->until_ns;
}

/* With microseconds, as the API's MicroTime. */
static json_t *micro_time(uint64_t real_ns)
{
	time_t seconds = (time_t)(real_ns / NS_PER_SEC);
	char text[64], second[32];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(second, sizeof(second), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, sizeof(text), "%s.%06uZ", second, (unsigned)(real_ns % NS_PER_SEC / 1000));
	return json_string(text);
}

/* The member, an object that may be changed; NULL: no memory. */
static json_t *object_in(json_t *parent, const char *key)
{
	json_t *child = json_object_get(parent, key);

	if (json_is_object(child))
		return child;
	child = json_object();
	return json_object_set_new(parent, key, child) ? NULL : child;
}

static int set_spec(const struct lease *l, json_t *s, uint64_t real_ns, bool release)
{
	json_int_t n = json_integer_value(json_object_get(s, "leaseTransitions"));
	bool taken = !l->absent && l->object && !is_ours(l);
	json_int_t seconds = release ? 1 : (json_int_t)(l->duration_ns / NS_PER_SEC);
	int err = 0;

	err |= json_object_set_new(s, "holderIdentity", json_string(release ? "" : l->identity));
	err |= json_object_set_new(s, "leaseDurationSeconds", json_integer(seconds));
	err |= json_object_set_new(s, "renewTime", micro_time(real_ns));
	err |= json_object_set_new(s, "leaseTransitions", json_integer(taken ? n + 1 : n));
	if (taken || !json_object_get(s, "acquireTime"))
		err |= json_object_set_new(s, "acquireTime", micro_time(real_ns));
	return err;
}

static int fill(const struct lease *l, json_t *o, uint64_t real_ns, bool release)
{
	json_t *metadata = object_in(o, "metadata"), *s = object_in(o, "spec");
	int err = metadata && s ? 0 : -1;

	err |= json_object_set_new(o, "apiVersion", json_string("coordination.k8s.io/v1"));
	err |= json_object_set_new(o, "kind", json_string("Lease"));
	if (err)
		return err;
	err |= json_object_set_new(metadata, "name", json_string(l->name));
	err |= json_object_set_new(metadata, "namespace", json_string(l->namespace));
	if (l->note && !err) {
		json_t *notes = object_in(metadata, "annotations");

		err = notes ? json_object_set_new(notes, NOTE, json_string(l->note)) : -1;
	}
	return err ? err : set_spec(l, s, real_ns, release);
}

int lease__body(struct lease *l, uint64_t real_ns, bool release, struct buf *out)
{
	json_t *o = l->object && !l->absent ? json_deep_copy(l->object) : json_object();
	_free_ char *text = NULL;

	if (o && !fill(l, o, real_ns, release))
		text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return text ? buf__append_str(out, text) : -ENOMEM;
}

const char *lease__note(const struct lease *l)
{
	const json_t *metadata = json_object_get(l->object, "metadata");
	const char *s =
		json_string_value(json_object_get(json_object_get(metadata, "annotations"), NOTE));

	return s ? s : "";
}

int lease__set_note(struct lease *l, const char *text)
{
	char *copy = text ? strdup(text) : NULL;

	if (text && !copy)
		return -ENOMEM;
	free(l->note);
	l->note = copy;
	return 0;
}
