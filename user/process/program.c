/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A place in the program is a number (program_compile.c), so an entry that was held goes on behind
 * the stage that held it, however deep that stands.
 *
 * There is one entry, whose arrays have room for each slot. It is loaded with a line, or with a
 * held entry; a stage that emits gives up the entry that it was run with (hold.h).
 */
#include "process/program_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "process/asked.h"
#include "process/stages.h"

#define MAX_ARENA (64u * 1024 * 1024)
#define MAX_LINE_SIZE (256u * 1024)
#define MAX_HELD_BYTES (16u * 1024 * 1024)
#define SWEEP_NS (600ull * 1000 * 1000 * 1000)

int program__new(struct program **ret, const struct node *stages, const struct program_opts *opts,
		 struct diag *diag)
{
	static const struct marks no_marks;
	struct program *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	p->opts = *opts;
	p->marks = &no_marks;
	if (!p->opts.types)
		p->opts.types = stage_types;
	if (!p->opts.max_line_size)
		p->opts.max_line_size = MAX_LINE_SIZE;
	if (!p->opts.max_held_bytes)
		p->opts.max_held_bytes = MAX_HELD_BYTES;
	p->due_ns = UINT64_MAX;
	p->arena.max = MAX_ARENA;
	err = program__compile(p, stages, diag);
	if (err) {
		program__free(p);
		return err;
	}
	*ret = p;
	return 0;
}

static void base__free(struct base *b)
{
	label_set__unref(b->set);
	free(b->labels);
	*b = (struct base){0};
}

void program__free(struct program *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n_ops; i++)
		if (p->ops[i].type->free && p->ops[i].stage)
			p->ops[i].type->free(p->ops[i].stage);
	for (size_t i = 0; p->names && i < p->n_slots; i++)
		label_set__unref(p->names[i]);
	derivations__free(p->derivations);
	custom_metrics__free(p->own_metrics);
	base__free(&p->other);
	free(p->names);
	free(p->metadata);
	free(p->inherited);
	free(p->entry.values);
	free(p->entry.labels);
	free(p->entry.metadata);
	free(p->places);
	free(p->ops);
	slots__free(p->slots);
	arena__free(&p->arena);
	arena__free(&p->options);
	free(p);
}

bool program__is_empty(const struct program *p)
{
	return p->n_ops == 0;
}

/* Streams */

int program_stream__new(struct program_stream **ret, struct program *p)
{
	struct program_stream *s = calloc(1, sizeof(*s) + p->state_size);

	if (!s)
		return -ENOMEM;
	s->program = p;
	s->saved_to = p->remembers ? 0 : UINT64_MAX;
	s->due_ns = UINT64_MAX;
	DL_APPEND(p->streams, s);
	*ret = s;
	return 0;
}

int program_stream__ask(struct program_stream *s, const char *multiline)
{
	const char *why;
	int err = asked_multiline__new(&s->asked_regex, multiline, &s->asked_continues, &why);

	if (err)
		return err;
	s->asked = strdup(multiline);
	return s->asked ? 0 : -ENOMEM;
}

const char *program_stream__asks(const struct program_stream *s)
{
	return s->asked;
}

struct regex *program_stream__asked(struct program_stream *s, bool *ret_continues)
{
	*ret_continues = s->asked_continues;
	return s->asked_regex;
}

static void unload(struct program *p)
{
	for (size_t i = 0; p->loaded && i < p->loaded->n; i++)
		p->inherited[p->loaded->labels[i].slot] = NULL;
	p->loaded = NULL;
}

void program_stream__free(struct program_stream *s)
{
	struct program *p;

	if (!s)
		return;
	p = s->program;
	saved_state__tidy(&s->saved, NULL);
	for (size_t i = 0; i < p->n_ops; i++)
		if (p->ops[i].type->end)
			p->ops[i].type->end(p->ops[i].stage, s->states + p->ops[i].state_offset, s);
	if (p->loaded == &s->base)
		unload(p);
	base__free(&s->base);
	regex__free(s->asked_regex);
	free(s->asked);
	DL_DELETE(p->streams, s);
	free(s);
}

static int base__set(struct base *b, struct program *p, struct label_set *set)
{
	if (p->loaded == b)
		unload(p);
	label_set__unref(b->set);
	b->set = NULL;
	b->n = 0;
	if (b->size < set->n_labels) {
		struct inherited *grown =
			reallocarray(b->labels, set->n_labels, sizeof(*b->labels));

		if (!grown)
			return -ENOMEM;
		b->labels = grown;
		b->size = set->n_labels;
	}
	for (size_t i = 0; i < set->n_labels; i++) {
		const struct label *l = &set->labels[i];

		for (size_t slot = 0; slot < p->n_slots; slot++)
			if (!strcmp(slots__name(p->slots, slot), l->name))
				b->labels[b->n++] =
					(struct inherited){slot, l->value, strlen(l->value)};
	}
	b->set = label_set__ref(set);
	return 0;
}

/* The entry begins with the labels of a set. */
static int load_base(struct program_stream *s, struct label_set *set, bool held)
{
	struct program *p = s->program;
	struct base *b = held && s->base.set != set ? &p->other : &s->base;
	int err = b->set == set ? 0 : base__set(b, p, set);

	if (err)
		return err;
	if (p->loaded != b) {
		unload(p);
		for (size_t i = 0; i < b->n; i++)
			p->inherited[b->labels[i].slot] = b->labels[i].text;
		p->loaded = b;
	}
	memset(p->entry.values, 0, p->n_slots * sizeof(*p->entry.values));
	p->entry.base = set;
	p->entry.stream = s;
	arena__reset(&p->arena);
	return 0;
}

/* Running */

static void count_drop(struct program *p, const struct entry *e)
{
	const char *reason = e->dropped ? e->dropped : "unknown";
	size_t i;

	for (i = 0; i < p->n_drops; i++)
		if (p->drops[i].reason == reason || !strcmp(p->drops[i].reason, reason))
			break;
	if (i == MAX_REASONS)
		i--;
	else if (i == p->n_drops)
		p->drops[p->n_drops++].reason = reason;
	p->drops[i].lines++;
	p->drops[i].bytes += e->len;
}

static const struct derived *derive(struct entry *e)
{
	struct program_stream *s = e->stream;
	struct derivations *d = s->program->derivations;

	if (derivations__is(d, s->last, s->last_generation, e))
		return s->last;
	s->last = derivations__get(d, e);
	s->last_generation = derivations__generation(d);
	if (!s->last)
		e->counters->no_memory++;
	return s->last;
}

struct label_set *entry__label_set(struct entry *e)
{
	const struct derived *derived;

	if (!e->n_labels && !e->strangers_dropped)
		return e->base;
	derived = derive(e);
	return derived ? derived->set : NULL;
}

static size_t put_pair(struct program *p, size_t n, const struct entry_pair *pair)
{
	const struct label_set *named = p->names[pair->slot];

	if (!pair->len || !named->n_metadata)
		return n;
	p->metadata[n] = (struct line_pair){
		.name = named->metadata[0].name, .value = pair->text, .len = pair->len};
	return n + 1;
}

static size_t put_metadata(struct program *p, const struct entry *e, uint64_t moved)
{
	size_t n = 0;

	for (size_t i = 0; i < e->n_metadata; i++)
		n = put_pair(p, n, &e->metadata[i]);
	for (size_t i = 0; moved; i++, moved >>= 1)
		if (moved & 1)
			n = put_pair(p, n, &e->labels[i]);
	return n;
}

static uint64_t time_of(const struct program *p, const struct entry *e)
{
	if (!e->resolution_ns)
		return e->record_ns;
	if (p->opts.whole_times)
		return e->time_ns;
	return e->time_ns + e->record_ns % e->resolution_ns;
}

static void send(struct program *p, struct entry *e)
{
	const struct derived *derived = NULL;
	struct line line = e->record;

	if (e->n_labels || e->strangers_dropped) {
		derived = derive(e);
		if (!derived) {
			e->dropped = "no_memory";
			count_drop(p, e);
			return;
		}
	}
	line.bytes = e->line;
	line.len = e->len;
	line.real_ns = time_of(p, e);
	line.metadata = p->metadata;
	line.n_metadata = put_metadata(p, e, derived ? derived->moved : 0);
	line.tenant = e->tenant;
	line.tenant_len = e->tenant_len;
	p->opts.line(p->opts.ctx, derived ? derived->set : e->base, &line);
}

static enum stage_result run_inspected(struct program *p, size_t at)
{
	const struct op *op = &p->ops[at];
	bool outer = inspect__before(p->opts.inspect, &p->entry);
	enum stage_result result = op->type->run(op->stage, &p->entry);

	inspect__after(p->opts.inspect, &p->places[at], outer, &p->entry, result);
	return result;
}

static void run_from(struct program_stream *s, size_t at)
{
	struct program *p = s->program;
	struct entry *e = &p->entry;

	while (at < p->n_ops) {
		const struct op *op = &p->ops[at];
		enum stage_result result;

		if (e->record.gap && !op->type->gaps) {
			at += 1 + op->behind;
			continue;
		}
		s->at = at;
		e->state = s->states + op->state_offset;
		result = p->places ? run_inspected(p, at) : op->type->run(op->stage, e);
		switch (result) {
		case STAGE_CONTINUE:
			at++;
			break;
		case STAGE_SKIP:
			at += 1 + op->behind;
			break;
		case STAGE_DROP:
			count_drop(p, e);
			return;
		case STAGE_HOLD:
			return;
		}
	}
	send(p, e);
}

void program__marks(struct program *p, const struct marks *marks)
{
	p->marks = marks;
}

static void set_due(struct program *p);

static uint64_t oldest_of(const struct program_stream *s)
{
	const struct program *p = s->program;
	uint64_t pos = UINT64_MAX, oldest;

	for (size_t i = 0; i < p->n_ops && s->due_ns != UINT64_MAX; i++) {
		const struct op *op = &p->ops[i];

		if (!op->type->oldest)
			continue;
		oldest = op->type->oldest(s->states + op->state_offset);
		pos = MIN(pos, oldest);
	}
	return pos;
}

uint64_t program__oldest(const struct program *p)
{
	uint64_t pos = UINT64_MAX, oldest;
	const struct program_stream *s;

	DL_FOREACH (p->streams, s) {
		oldest = oldest_of(s);
		pos = MIN(pos, oldest);
	}
	return pos;
}

void program__flush_before(struct program *p, uint64_t pos)
{
	struct program_stream *s;

	DL_FOREACH (p->streams, s)
		if (oldest_of(s) < pos)
			program_stream__flush(s);
	set_due(p);
}

void program_stream__run(struct program_stream *s, struct label_set *set, const struct line *line)
{
	struct program *p = s->program;
	struct entry *e = &p->entry;

	if (marks__newest(p->marks) > s->saved_to)
		program_stream__save(s, line->ring_pos);
	if (!p->n_ops) {
		p->opts.line(p->opts.ctx, set, line);
		return;
	}
	e->line = line->bytes;
	e->len = line->len;
	e->time_ns = line->real_ns;
	e->record_ns = line->real_ns;
	e->resolution_ns = 0;
	e->record = *line;
	e->n_labels = 0;
	e->strangers_dropped = false;
	e->n_metadata = 0;
	e->tenant = line->tenant;
	e->tenant_len = line->tenant_len;
	e->dropped = NULL;
	if (load_base(s, set, false)) {
		e->dropped = "no_memory";
		p->counters.no_memory++;
		count_drop(p, e);
		return;
	}
	for (size_t i = 0; i < s->base.n; i++)
		entry__set_value(e, s->base.labels[i].slot, s->base.labels[i].text,
				 s->base.labels[i].len);
	if (p->places)
		inspect__entry(p->opts.inspect, e);
	run_from(s, 0);
}

/* hold.h */

static int load_held(struct program_stream *s, const struct held *h)
{
	struct program *p = s->program;
	struct entry *e = &p->entry, of_program = *e;

	if (load_base(s, h->entry.base, true)) {
		p->counters.no_memory++;
		return -ENOMEM;
	}
	*e = h->entry;
	e->line = h->line.data ? h->line.data : "";
	e->len = h->line.len;
	e->values = of_program.values;
	e->labels = of_program.labels;
	e->metadata = of_program.metadata;
	e->n_values = of_program.n_values;
	e->inherited = of_program.inherited;
	e->counters = of_program.counters;
	e->arena = &p->arena;
	e->stream = s;
	if (e->n_labels)
		memcpy(e->labels, h->entry.labels, e->n_labels * sizeof(*e->labels));
	if (e->n_metadata)
		memcpy(e->metadata, h->entry.metadata, e->n_metadata * sizeof(*e->metadata));
	for (size_t i = 0; i < h->n_values; i++)
		e->values[h->values[i].slot] = h->values[i].value;
	return 0;
}

struct label_set *program_stream__label_set(struct program_stream *s, const struct held *h)
{
	return load_held(s, h) ? NULL : entry__label_set(&s->program->entry);
}

size_t program_stream__n_slots(const struct program_stream *s)
{
	return s->program->n_slots;
}

void program_stream__emit(struct program_stream *s, const struct held *h)
{
	struct program *p = s->program;
	size_t at = s->at;

	if (load_held(s, h))
		return;
	if (p->places)
		inspect__emitted(p->opts.inspect, &p->places[at], &p->entry);
	run_from(s, at + 1);
	s->at = at;
}

void program_stream__due(struct program_stream *s, uint64_t due_ns)
{
	s->due_ns = MIN(s->due_ns, due_ns);
	s->program->due_ns = MIN(s->program->due_ns, due_ns);
}

bool program_stream__reserve(struct program_stream *s, size_t bytes)
{
	struct program *p = s->program;

	if (bytes > p->opts.max_held_bytes - MIN(p->held_bytes, p->opts.max_held_bytes))
		return false;
	p->held_bytes += bytes;
	return true;
}

void program_stream__release(struct program_stream *s, size_t bytes)
{
	s->program->held_bytes -= bytes;
}

size_t program_stream__max_line_size(const struct program_stream *s)
{
	return s->program->opts.max_line_size;
}

/* In the order of the stages: what one emits, the next may hold, and emits when its turn comes. */
static void tick_stream(struct program_stream *s, uint64_t now_ns)
{
	struct program *p = s->program;
	uint64_t due_ns = UINT64_MAX;

	for (size_t i = 0; i < p->n_ops; i++) {
		const struct op *op = &p->ops[i];

		if (!op->type->tick)
			continue;
		s->at = i;
		due_ns = MIN(due_ns,
			     op->type->tick(op->stage, s->states + op->state_offset, s, now_ns));
	}
	s->due_ns = due_ns;
}

static void sweep(struct program *p, uint64_t now_ns)
{
	if (!p->swept_ns)
		p->swept_ns = now_ns;
	if (now_ns == UINT64_MAX || now_ns - p->swept_ns < SWEEP_NS)
		return;
	p->swept_ns = now_ns;
	derivations__sweep(p->derivations);
}

/* After ticks, for stages ask for ticks while entries of others go through them. */
static void set_due(struct program *p)
{
	struct program_stream *s;

	p->due_ns = UINT64_MAX;
	DL_FOREACH (p->streams, s)
		p->due_ns = MIN(p->due_ns, s->due_ns);
}

uint64_t program__tick(struct program *p, uint64_t now_ns)
{
	struct program_stream *s;

	sweep(p, now_ns);
	if (now_ns < p->due_ns)
		return p->due_ns;
	DL_FOREACH (p->streams, s)
		if (s->due_ns <= now_ns && s->due_ns != UINT64_MAX)
			tick_stream(s, now_ns);
	set_due(p);
	return p->due_ns;
}

void program_stream__flush(struct program_stream *s)
{
	if (s->due_ns != UINT64_MAX)
		tick_stream(s, UINT64_MAX);
}

void program__flush(struct program *p)
{
	struct program_stream *s;

	DL_FOREACH (p->streams, s)
		program_stream__flush(s);
	set_due(p);
}

const struct stage_counters *program__counters(const struct program *p)
{
	return &p->counters;
}

void program__drops(const struct program *p,
		    void (*fn)(void *ctx, const char *reason, uint64_t lines, uint64_t bytes),
		    void *ctx)
{
	for (size_t i = 0; i < p->n_drops; i++)
		fn(ctx, p->drops[i].reason, p->drops[i].lines, p->drops[i].bytes);
}
