/* SPDX-License-Identifier: Apache-2.0 */
/* One stream: made with its assembler and what attributes its lines, found by its key, freed. */
#include "streams/internal.h"

#include <inttypes.h>

#include "assemble/attribute.h"
#include "base/log.h"
#include "capture/proc.h"

const char *stream__tap_name(uint8_t tap)
{
	return tap == NT_TAP_WRITE ? "write" : "read";
}

const char *stream__file_name(enum line_stream file)
{
	switch (file) {
	case LINE_STDERR:
		return "stderr";
	case LINE_TTY:
		return "tty";
	default:
		return "stdout";
	}
}

struct stream *stream__new(struct streams *s, const struct nt_stream_key *key, uint64_t cgroup_id,
			   uint8_t file, uint8_t tap)
{
	struct container *c = container__find(s, cgroup_id);
	struct stream *st;

	if (!c)
		c = container__untold(s, cgroup_id);
	if (!c)
		return NULL;
	st = calloc(1, sizeof(*st));
	if (!st)
		return NULL;
	st->key = *key;
	st->owner = s;
	st->container = c;
	st->cgroup_id = cgroup_id;
	st->file = (enum line_stream)file;
	stream__set_tap(st, tap);
	if (assembler__new(&st->assembler, &s->assemble, cgroup_id, st->file, stream__on_line,
			   st) ||
	    attribute__new(&st->attribute, st->assembler))
		goto err_out;
	HASH_ADD(hh, s->by_key, key, sizeof(st->key), st);
	if (!st->hh.tbl)
		goto err_out;
	c->n_streams++;
	counters__add(s->opts.counters, streams, 1);
	return st;

err_out:
	attribute__free(st->attribute);
	assembler__free(st->assembler);
	free(st);
	return NULL;
}

void stream__free(struct streams *s, struct stream *st)
{
	stream__leave_relic(s, st);
	HASH_DEL(s->by_key, st);
	st->container->n_streams--;
	container_counts__add(&st->container->ended, st);
	if (st->waits)
		DL_DELETE(s->waiting, st);
	attribute__free(st->attribute);
	assembler__free(st->assembler);
	free(st);
}

void stream__flush(struct stream *st, uint64_t time_ns)
{
	attribute__flush(st->attribute);
	assembler__flush(st->assembler, time_ns);
}

const char *stream__name(struct streams *s, struct stream *st)
{
	struct container *c = st->container;
	const struct labelled *l;

	container__look_up(s, c); /* its name may have come since */
	l = container__labels(s, c, st->file, st->last_ns);
	if (c->excluded || (l && !l->wanted))
		return NULL;
	if (c->meta && c->meta->name)
		return c->meta->name;
	return c->meta && c->meta->id ? c->meta->id : "-";
}

void stream__explain(struct stream *st, const struct nt_register *rec)
{
	struct proc_stat reader = {0};

	if (!rec->reader && rec->tap == NT_TAP_WRITE)
		snprintf(st->why, sizeof(st->why), "no reader found");
	else if (!rec->reader && rec->hdr.kind == NT_KIND_TAP)
		snprintf(st->why, sizeof(st->why), "its reader is gone");
	else if (!rec->reader || (rec->tap == NT_TAP_WRITE && rec->hdr.kind != NT_KIND_TAP))
		snprintf(st->why, sizeof(st->why), "asked for");
	else if (proc__stat((pid_t)rec->reader, &reader) < 0)
		snprintf(st->why, sizeof(st->why), "reader %u", rec->reader);
	else
		snprintf(st->why, sizeof(st->why), "reader %u %s", rec->reader, reader.comm);
	/* A name may hold anything. */
	for (char *p = st->why; *p; p++)
		if ((unsigned char)*p < ' ' || (unsigned char)*p >= 0x7f)
			*p = '?';
	log_debug("cgroup %" PRIu64 " %s: tap %s: %s", (uint64_t)rec->hdr.cgroup_id,
		  stream__file_name((enum line_stream)rec->file), stream__tap_name(rec->tap),
		  st->why);
}
