/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line on its way out: labels, stages, the output.
 *
 * Labels are built when a stream's first line is sent, and again when the registry has published
 * since: a rename applies to the next line. So are stages chosen; a line that has none costs the
 * look at a pointer.
 */
#include "streams/internal.h"

#include <string.h>

#include "base/clock.h"

void labelled__leave(struct labelled *l)
{
	if (l->stages)
		program_stream__flush(l->stages);
	program_stream__free(TAKE_PTR(l->stages));
	l->program = NULL;
}

void labelled__clear(struct labelled *l)
{
	labelled__leave(l);
	label_set__unref(l->set);
	free(l->tenant);
	*l = (struct labelled){0};
}

static bool asks_for(const struct labelled *l, const char *multiline)
{
	const char *asks = l->stages ? program_stream__asks(l->stages) : NULL;

	return asks && multiline ? !strcmp(asks, multiline) : asks == multiline;
}

static int labelled__join(struct labelled *l, const struct route *route)
{
	int err = program_stream__new(&l->stages, route->program);

	if (!err && route->multiline)
		err = program_stream__ask(l->stages, route->multiline);
	if (err)
		program_stream__free(TAKE_PTR(l->stages));
	return err;
}

/* Takes the route over. */
static int labelled__adopt(struct labelled *l, struct route *route)
{
	int err = 0;

	if (l->program != route->program || !asks_for(l, route->multiline)) {
		labelled__leave(l);
		if (route->program)
			err = labelled__join(l, route);
	}
	free(route->multiline);
	if (err) {
		label_set__unref(route->set);
		free(route->tenant);
		return err;
	}
	l->program = route->program;
	/* What is kept of a set is found by its address. */
	if (l->set && label_set__same(l->set, route->set)) {
		label_set__unref(route->set);
	} else {
		label_set__unref(l->set);
		l->set = route->set;
	}
	free(l->tenant);
	l->tenant = route->tenant;
	l->plain = !l->stages && !l->tenant;
	return 0;
}

struct labelled *container__labels_by(struct streams *s, struct container *c, enum line_stream file,
				      uint64_t time_ns, const struct meta *m)
{
	struct labelled *l = &c->by_file[file];
	struct route route;
	int kept;

	if (l->built && (!m || l->version == m->version))
		return l;
	if (!m)
		return l->built ? l : NULL;
	kept = routing__route(s->routing, m, file, time_ns, &route);
	if (kept < 0 || (kept && labelled__adopt(l, &route)))
		return l->built ? l : NULL;
	if (!kept)
		labelled__leave(l);
	l->built = true;
	l->version = m->version;
	l->wanted = kept &&
		    (!s->opts.selection || selection__wants(s->opts.selection, m, l->set, file));
	return l;
}

struct labelled *container__labels(struct streams *s, struct container *c, enum line_stream file,
				   uint64_t time_ns)
{
	return container__labels_by(s, c, file, time_ns, c->meta);
}

static void send_through(struct streams *s, struct container *c, struct labelled *l,
			 const struct line *line)
{
	struct line of_tenant = *line;

	if (l->tenant) {
		of_tenant.tenant = l->tenant;
		of_tenant.tenant_len = strlen(l->tenant);
	}
	s->sent = line;
	s->sent_of = c;
	if (l->stages) {
		of_tenant.real_ns = clock__to_real(s->opts.anchor, line->time_ns);
		if (s->stage_seeds)
			container__seed_stages(s, c, line->stream, l);
		program_stream__run(l->stages, l->set, &of_tenant);
	} else {
		s->opts.line(s->opts.ctx, l->set, &of_tenant);
	}
	s->sent = NULL;
}

void labelled__send(struct streams *s, struct container *c, struct labelled *l,
		    const struct line *line)
{
	counters__add_alone(s->opts.counters, lines, 1);
	counters__add_alone(s->opts.counters, bytes, line->len);
	counters__add_alone(s->opts.counters, truncated, line->truncated);
	if (l->plain)
		s->opts.line(s->opts.ctx, l->set, line);
	else
		send_through(s, c, l, line);
}

struct labelled *container__send(struct streams *s, struct container *c, const struct line *line)
{
	struct labelled *l = container__labels(s, c, line->stream, line->time_ns);

	if (!l) {
		counters__add(s->opts.counters, dropped_no_memory, 1);
		return NULL;
	}
	if (s->decisions && c->meta)
		labelled__tell(s, c, l, line);
	if (l->wanted)
		labelled__send(s, c, l, line);
	return l;
}

void stream__on_line(void *ctx, const struct line *line)
{
	struct stream *st = ctx;
	struct streams *s = st->owner;
	struct container *c = st->container;
	struct labelled *l;
	struct line of_session;

	st->lines++;
	if (st->session) {
		of_session = *line;
		of_session.session = true;
		line = &of_session;
	}
	if (streams__was_read(s, line) && stream__send_again(st, line))
		return;
	if (st->set_version == registry__version(s->opts.registry)) {
		if (st->labelled)
			labelled__send(s, c, st->labelled, line);
		return;
	}
	container__look_up(s, c);
	if (c->pending && container__park(s, c, line) == 0)
		return;
	if (c->pending)
		container__stop_waiting(s, c);
	container__decide(s, c, line);
	if (c->excluded) {
		counters__add(s->opts.counters, excluded, line->len);
		return;
	}
	if (c->listed)
		container__unpark(s, c);
	l = container__send(s, c, line);
	if (!l)
		return;
	st->labelled = l->wanted ? l : NULL;
	/* The guard may have taken a label meanwhile: the next line has a set without it. */
	st->set_version = l->version ? c->looked_up : 0;
}
