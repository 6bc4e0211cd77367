/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Written as it goes, for there may be thousands of streams. A value begins with a comma unless it
 * is the first of its object or list; the first thing that fails ends the writing.
 */
#include "status/targets.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
#include "process/preset.h"

struct json {
	struct buf *out;
	bool more; /* something stands before in this object or list */
	int err;
};

static void put(struct json *j, const char *text)
{
	if (!j->err)
		j->err = buf__append_str(j->out, text);
}

static void put_text(struct json *j, const char *text)
{
	_free_ char *clean = NULL;
	size_t len = strlen(text);

	if (!utf8__valid(text, len)) {
		clean = strdup(text);
		if (!clean) {
			j->err = -ENOMEM;
			return;
		}
		utf8__clean(clean, len);
		text = clean;
	}
	put(j, "\"");
	if (!j->err)
		j->err = buf__append_json(j->out, text, len);
	put(j, "\"");
}

/* NULL: the next one of a list. */
static void name(struct json *j, const char *key)
{
	if (j->more)
		put(j, ",");
	j->more = true;
	if (key) {
		put_text(j, key);
		put(j, ":");
	}
}

static void open_with(struct json *j, const char *key, const char *bracket)
{
	name(j, key);
	put(j, bracket);
	j->more = false;
}

static void close_with(struct json *j, const char *bracket)
{
	put(j, bracket);
	j->more = true;
}

static void add_text(struct json *j, const char *key, const char *text)
{
	name(j, key);
	if (text)
		put_text(j, text);
	else
		put(j, "null");
}

static void add_bool(struct json *j, const char *key, bool value)
{
	name(j, key);
	put(j, value ? "true" : "false");
}

static void add_number(struct json *j, const char *key, uint64_t value)
{
	name(j, key);
	if (!j->err)
		j->err = buf__printf(j->out, "%" PRIu64, value);
}

static void add_time(struct json *j, const char *key, uint64_t real_ns)
{
	char text[RFC3339_LEN + 1] = "";

	if (real_ns)
		clock__rfc3339(real_ns, text);
	add_text(j, key, real_ns ? text : NULL);
}

static void add_labels(struct json *j, const char *key, const struct label *labels, size_t n)
{
	open_with(j, key, "{");
	for (size_t i = 0; i < n; i++)
		add_text(j, labels[i].name, labels[i].value);
	close_with(j, "}");
}

static void add_stream(struct json *j, const struct snapshot_stream *s)
{
	open_with(j, NULL, "{");
	add_text(j, "stream", snapshot_stream__file(s));
	add_text(j, "state", s->dropped ? "dropped" : s->set ? "captured" : "quiet");
	add_bool(j, "exec", s->session);
	add_text(j, "tap", s->tap_write ? "write" : "read");
	add_text(j, "why", *s->why ? s->why : NULL);
	if (s->counted)
		add_number(j, "written_bytes", s->written);
	else
		add_text(j, "written_bytes", NULL);
	add_number(j, "read_bytes", s->read);
	add_number(j, "lost_bytes", s->lost);
	add_number(j, "lines", s->lines);
	add_bool(j, "incomplete", s->incomplete);
	if (s->set) {
		add_labels(j, "labels", s->set->labels, s->set->n_labels);
		add_labels(j, "metadata", s->set->metadata, s->set->n_metadata);
	} else {
		add_text(j, "labels", NULL);
		add_text(j, "metadata", NULL);
	}
	close_with(j, "}");
}

static void add_target(struct json *j, const struct snapshot *s, const struct snapshot_target *t)
{
	const struct meta *m = t->meta;
	char cgroup[24];

	snprintf(cgroup, sizeof(cgroup), "%" PRIu64, t->cgroup_id);
	open_with(j, NULL, "{");
	add_text(j, "name", snapshot_target__name(t));
	add_text(j, "namespace", m ? preset__namespace(m) : NULL);
	add_text(j, "pod", m ? preset__pod(m) : NULL);
	add_text(j, "container_id", m ? m->id : NULL);
	add_text(j, "engine", m ? m->engine : NULL);
	add_text(j, "image", m ? m->image : NULL);
	add_text(j, "cgroup_id", cgroup);
	add_text(j, "cgroup", m ? m->cgroup_path : NULL);
	add_text(j, "state",
		 t->excluded  ? "excluded"
		 : t->waiting ? "waiting"
		 : t->n	      ? "captured"
			      : "no_streams");
	if (t->excluded)
		add_text(j, "excluded_by", t->opt_out ? t->opt_out : "rules");
	if (t->waiting)
		add_number(j, "parked_bytes", t->parked_bytes);
	open_with(j, "streams", "[");
	for (size_t i = 0; i < t->n; i++)
		add_stream(j, &s->streams[t->first + i]);
	close_with(j, "]");
	close_with(j, "}");
}

static void add_engine(struct json *j, const struct view_engine *e)
{
	open_with(j, "engine", "{");
	add_text(j, "host", e->host);
	add_bool(j, "connected", e->version);
	add_text(j, "api_version", e->version);
	add_text(j, "problem", e->problem ? e->problem : e->unasked);
	close_with(j, "}");
}

static void add_source(struct json *j, const struct view_source *s)
{
	if (!s->kind)
		return;
	open_with(j, "pods", "{");
	add_text(j, "source", s->kind);
	add_text(j, "url", s->url);
	add_bool(j, "connected", s->up);
	add_time(j, "since", s->since_ns);
	add_text(j, "problem", s->problem);
	add_number(j, "known", s->pods);
	close_with(j, "}");
}

static uint64_t age_s(uint64_t since_ns, uint64_t now_ns)
{
	return (now_ns - MIN(since_ns, now_ns)) / NS_PER_SEC;
}

static void add_spool(struct json *j, const struct view_spool *s)
{
	if (!s->used) {
		add_text(j, "spool", NULL);
		return;
	}
	open_with(j, "spool", "{");
	add_number(j, "bytes", s->bytes);
	add_number(j, "batches", s->batches);
	add_time(j, "oldest", s->oldest_real_ns);
	add_number(j, "dropped_lines", s->dropped_lines);
	add_text(j, "problem", s->problem);
	close_with(j, "}");
}

static void add_client(struct json *j, const struct view_client *c)
{
	open_with(j, NULL, "{");
	add_text(j, "name", c->name);
	add_text(j, "url", c->url);
	add_number(j, "lines", c->lines);
	add_number(j, "batches", c->batches);
	add_number(j, "sent_bytes", c->bytes);
	add_number(j, "retries", c->retries);
	add_number(j, "dropped_lines", c->dropped_lines);
	add_number(j, "queued_bytes", c->queued_bytes);
	add_number(j, "queue_age_seconds",
		   c->oldest_ns ? age_s(c->oldest_ns, clock__boot_ns()) : 0);
	add_spool(j, &c->spool);
	add_text(j, "problem", c->problem);
	close_with(j, "}");
}

static void add_durable(struct json *j, const struct view_durable *d)
{
	static const char *const STATES[] = {
		[DURABLE_PRIVATE] = "private", [DURABLE_YES] = "yes", [DURABLE_NO] = "no"};

	open_with(j, "durable", "{");
	add_text(j, "state", STATES[d->state]);
	add_text(j, "why", d->why);
	add_bool(j, "adopted", d->adopted);
	close_with(j, "}");
}

static void add_config(struct json *j, const struct view_config *c)
{
	open_with(j, "config", "{");
	add_text(j, "file", c->file);
	add_time(j, "since", c->since_ns);
	add_text(j, "problem", c->problem);
	add_time(j, "problem_since", c->problem ? c->problem_ns : 0);
	close_with(j, "}");
}

int targets__json(const struct view *v, struct buf *out)
{
	struct json j = {.out = out};
	const struct snapshot *s = v->now;

	open_with(&j, NULL, "{");
	add_text(&j, "version", NOTAIL_VERSION);
	add_text(&j, "host", v->host);
	add_time(&j, "time", s->real_ns);
	add_text(&j, "hooks", v->hooks);
	add_durable(&j, &v->durable);
	add_config(&j, &v->config);
	add_engine(&j, &v->engine);
	add_source(&j, &v->source);
	open_with(&j, "clients", "[");
	for (size_t i = 0; i < v->n_clients; i++)
		add_client(&j, &v->clients[i]);
	close_with(&j, "]");
	open_with(&j, "guarded_labels", "[");
	for (size_t i = 0; i < s->n_labels; i++) {
		open_with(&j, NULL, "{");
		add_text(&j, "label", s->labels[i].name);
		add_time(&j, "since", s->labels[i].since_ns);
		close_with(&j, "}");
	}
	close_with(&j, "]");
	add_number(&j, "left_out", s->left_out);
	open_with(&j, "targets", "[");
	for (size_t i = 0; i < s->n_targets && !j.err; i++)
		add_target(&j, s, &s->targets[i]);
	close_with(&j, "]");
	close_with(&j, "}");
	put(&j, "\n");
	return j.err;
}
