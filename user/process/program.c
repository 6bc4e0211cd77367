/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stages within a match stand behind it in one array; the match says how many it may skip. So a
 * place in the program is a number, and an entry that was held goes on behind the stage that held
 * it, however deep that stands.
 *
 * There is one entry, whose arrays have room for each slot. It is loaded with a line, or with a
 * held entry; a stage that emits gives up the entry that it was run with (hold.h).
 */
#include "process/program.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "base/buf.h"
#include "process/asked.h"
#include "process/derive.h"
#include "process/hold.h"
#include "process/inspect.h"
#include "process/metrics.h"
#include "process/stages.h"

#define MAX_STAGES 1000
#define MAX_DEPTH 16
#define MAX_REASONS 64
#define MAX_ARENA (64u * 1024 * 1024)
#define MAX_LINE_SIZE (256u * 1024)
#define MAX_HELD_BYTES (16u * 1024 * 1024)
#define SWEEP_NS (600ull * 1000 * 1000 * 1000)

struct op {
	const struct stage_type *type;
	void *stage;
	size_t behind;	     /* the stages within it */
	size_t state_offset; /* in a stream's states */
};

struct drop {
	const char *reason;
	uint64_t lines, bytes;
};

/* A label of a base set that has a slot. */
struct inherited {
	size_t slot;
	const char *text;
	size_t len;
};

struct base {
	struct label_set *set; /* a reference; NULL: none */
	struct inherited *labels;
	size_t n, size;
};

struct program {
	struct program_opts opts;
	struct arena options; /* of the stages */
	struct slots *slots;
	size_t n_slots;
	struct op *ops;
	size_t n_ops;
	struct inspect_place *places; /* as ops; NULL: nothing is inspected */
	size_t state_size;
	struct custom_metrics *own_metrics; /* where opts has none */
	struct derivations *derivations;
	struct entry entry;
	struct arena arena;	   /* of the entry */
	const char **inherited;	   /* of the entry */
	const struct base *loaded; /* into `inherited`; NULL: nothing is */
	struct base other;	   /* of a held entry whose stream has other labels by now */
	struct label_set *
		*names; /* by slot: a pair of metadata that has the name as Loki takes it */
	struct line_pair *metadata;
	struct program_stream *streams;
	uint64_t due_ns;
	uint64_t swept_ns;
	size_t held_bytes;
	const struct marks *marks;
	bool remembers;	    /* a stage saves something */
	uint64_t signature; /* of stages and slots: what they save means nothing to others */
	struct drop drops[MAX_REASONS];
	size_t n_drops;
	struct stage_counters counters;
};

/* For the marks behind `from`, up to `to`. */
struct saved_state {
	uint64_t from, to;
	size_t len;
	struct saved_state *next;
	char bytes[];
};

struct program_stream {
	struct program *program;
	uint64_t saved_to; /* a mark; UINT64_MAX: there is nothing to save */
	struct saved_state *saved;
	struct program_stream *prev, *next;
	struct base base;
	const struct derived *last;
	uint64_t last_generation;
	uint64_t due_ns;
	size_t at; /* the stage that runs */
	/* What its container asks for; NULL: nothing. */
	char *asked;
	struct regex *asked_regex;
	bool asked_continues;
	_Alignas(16) char states[];
};

/* Compiling */

static const char *nearest(const struct stage_type *const *types, const char *word)
{
	const char *names[64];
	size_t n = 0;

	for (size_t i = 0; types[i] && n < ARRAY_SIZE(names) - 1; i++)
		if (!types[i]->refused)
			names[n++] = types[i]->options.name;
	names[n] = NULL;
	return schema__nearest(word, names);
}

static const struct stage_type *find_type(const struct stage_type *const *types,
					  const struct node *item, struct diag *diag)
{
	const char *name, *near;

	if (item->kind != NODE_MAPPING || item->n_items != 1) {
		diag__error(diag, item, "not a stage, expected one name with its options");
		return NULL;
	}
	name = item->items[0]->key;
	for (size_t i = 0; types[i]; i++) {
		if (strcmp(types[i]->options.name, name))
			continue;
		if (!types[i]->refused)
			return types[i];
		diag__error(diag, item->items[0]->key_node, "%s", types[i]->refused);
		return NULL;
	}
	near = nearest(types, name);
	if (near)
		diag__error(diag, item->items[0]->key_node, "unknown stage `%s`, expected `%s`?",
			    name, near);
	else
		diag__error(diag, item->items[0]->key_node, "unknown stage `%s`", name);
	return NULL;
}

static int add_op(struct program *p, const struct stage_type *type, size_t *ret)
{
	struct op *grown = reallocarray(p->ops, p->n_ops + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	p->ops = grown;
	p->ops[p->n_ops] = (struct op){.type = type, .state_offset = p->state_size};
	p->state_size += (type->state_size + 15) & ~(size_t)15;
	*ret = p->n_ops++;
	return 0;
}

/* The newest op's, for opts.inspect. */
static int add_place(struct program *p, const struct stage_type *type, const struct node *node)
{
	_buf_ struct buf path = {0};
	struct inspect_place *grown;
	int err = diag__path(&path, node);

	if (err)
		return err;
	grown = reallocarray(p->places, p->n_ops, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	p->places = grown;
	grown[p->n_ops - 1] = (struct inspect_place){
		.stage = type->options.name,
		.path = arena__copy(&p->options, path.data, path.len),
		.slots = p->slots,
	};
	return grown[p->n_ops - 1].path ? 0 : -ENOMEM;
}

static int compile_sequence(struct program *p, const struct node *stages, struct diag *diag,
			    unsigned depth);

static int compile_stage(struct program *p, const struct stage_type *type, const struct node *item,
			 struct diag *diag, unsigned depth)
{
	const struct stage_env env = {.arena = &p->options,
				      .slots = p->slots,
				      .diag = diag,
				      .metrics = p->opts.metrics,
				      .whole_times = p->opts.whole_times};
	const struct field fields[] = {type->options, {0}};
	const struct schema schema = {
		.name = type->options.name, .size = type->options_size, .fields = fields};
	size_t size = type->options_size, at;
	const struct node *nested;
	void *options;
	int err;

	options = arena__zalloc(&p->options, size);
	if (!options)
		return -ENOMEM;
	err = schema__decode(&schema, item, options, &p->options, diag);
	if (err || !type->run)
		return err;
	err = add_op(p, type, &at);
	if (!err && p->opts.inspect)
		err = add_place(p, type, item->items[0]);
	if (err)
		return err;
	if (type->compile)
		err = type->compile(&env, options, item->items[0], &p->ops[at].stage);
	nested = type->nested ? type->nested(options) : NULL;
	if (nested && err != -ENOMEM) {
		int inner = compile_sequence(p, nested, diag, depth + 1);

		err = inner ? inner : err;
	}
	p->ops[at].behind = p->n_ops - at - 1;
	return err;
}

static int compile_sequence(struct program *p, const struct node *stages, struct diag *diag,
			    unsigned depth)
{
	const struct stage_type *type;
	int err = 0, e;

	if (stages->kind != NODE_SEQUENCE) {
		diag__error(diag, stages, "not a list of stages, expected `- name:` lines");
		return -EINVAL;
	}
	if (depth > MAX_DEPTH) {
		diag__error(diag, stages, "stages within stages, %u deep, expected at most %u",
			    depth, MAX_DEPTH);
		return -EINVAL;
	}
	for (size_t i = 0; i < stages->n_items && err != -ENOMEM; i++) {
		if (p->n_ops == MAX_STAGES) {
			diag__error(diag, stages->items[i], "too many stages, expected at most %u",
				    MAX_STAGES);
			return -EINVAL;
		}
		type = find_type(p->opts.types, stages->items[i], diag);
		e = type ? compile_stage(p, type, stages->items[i], diag, depth) : -EINVAL;
		err = e ? e : err;
	}
	return err;
}

/* The name of each slot as Loki takes it: a set of one pair does what is to be done to it. */
static int make_names(struct program *p)
{
	int err = 0;

	p->names = calloc(p->n_slots + 1, sizeof(*p->names));
	if (!p->names)
		return -ENOMEM;
	for (size_t i = 0; i < p->n_slots && !err; i++) {
		p->names[i] = label_set__new();
		err = p->names[i]
			      ? label_set__add_metadata(p->names[i], slots__name(p->slots, i), "-")
			      : -ENOMEM;
	}
	return err;
}

/* With at least one element each. */
static int make_entry(struct program *p)
{
	size_t n = p->n_slots + 1;
	struct entry *e = &p->entry;

	p->inherited = calloc(n, sizeof(*p->inherited));
	p->metadata = calloc(2 * n, sizeof(*p->metadata));
	e->values = calloc(n, sizeof(*e->values));
	e->labels = calloc(n, sizeof(*e->labels));
	e->metadata = calloc(n, sizeof(*e->metadata));
	if (!p->inherited || !p->metadata || !e->values || !e->labels || !e->metadata)
		return -ENOMEM;
	e->n_values = p->n_slots;
	e->inherited = p->inherited;
	e->arena = &p->arena;
	e->counters = &p->counters;
	return make_names(p);
}

static void sign_text(struct program *p, const char *text)
{
	do
		p->signature = (p->signature ^ (unsigned char)*text) * 0x100000001b3;
	while (*text++);
}

static void sign(struct program *p)
{
	p->signature = 0xcbf29ce484222325;
	for (size_t i = 0; i < p->n_ops; i++) {
		sign_text(p, p->ops[i].type->options.name);
		p->remembers |= p->ops[i].type->save != NULL;
	}
	for (size_t i = 0; i < p->n_slots; i++)
		sign_text(p, slots__name(p->slots, i));
}

static int add_asked(struct program *p)
{
	const struct stage_env env = {.arena = &p->options, .slots = p->slots};
	size_t at;
	int err = add_op(p, &stage_multiline_asked, &at);

	if (!err && p->opts.inspect) {
		p->places = calloc(1, sizeof(*p->places));
		if (!p->places)
			return -ENOMEM;
		p->places[0] = (struct inspect_place){
			.stage = "multiline", .path = "notail.io/multiline", .slots = p->slots};
	}
	return err ? err : stage_multiline_asked.compile(&env, NULL, NULL, &p->ops[at].stage);
}

static int make(struct program *p, const struct node *stages, struct diag *diag)
{
	struct derive_opts derive = {
		.max = p->opts.max_label_sets, .limits = p->opts.limits, .preset = p->opts.preset};
	int err = slots__new(&p->slots);

	if (!err && !p->opts.metrics) {
		err = custom_metrics__new(&p->own_metrics);
		p->opts.metrics = p->own_metrics;
	}
	if (!err && p->opts.asked_multiline)
		err = add_asked(p);
	if (!err && stages && stages->kind != NODE_NULL)
		err = compile_sequence(p, stages, diag, 1);
	if (err)
		return err;
	p->n_slots = slots__count(p->slots);
	derive.slots = p->slots;
	sign(p);
	err = derivations__new(&p->derivations, &derive);
	return err ? err : make_entry(p);
}

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
	err = make(p, stages, diag);
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

void saved_state__tidy(struct saved_state **list, const struct marks *marks)
{
	struct saved_state **at = list, *old;

	while ((old = *at)) {
		if (marks && marks__between(marks, old->from, old->to)) {
			at = &old->next;
			continue;
		}
		*at = old->next;
		free(old);
	}
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

/* What a stage saved: its place, how much, then that. */
struct saved_op {
	uint32_t at, len;
};

static int save_now(const struct program_stream *s, struct buf *out)
{
	const struct program *p = s->program;
	size_t begin = out->len;
	int err = buf__append(out, &p->signature, sizeof(p->signature));

	for (size_t i = 0; i < p->n_ops && !err; i++) {
		const struct op *op = &p->ops[i];
		struct saved_op head = {.at = (uint32_t)i};
		size_t at = out->len;

		if (!op->type->save)
			continue;
		err = buf__append(out, &head, sizeof(head));
		if (!err)
			err = op->type->save(op->stage, s->states + op->state_offset, out);
		head.len = (uint32_t)(out->len - at - sizeof(head));
		if (!err && head.len)
			memcpy(out->data + at, &head, sizeof(head));
		else
			out->len = at;
	}
	if (err || out->len == begin + sizeof(p->signature))
		out->len = begin;
	return err;
}

/* Before a line of behind a mark comes: once for each mark at most. */
static void save_state(struct program_stream *s, uint64_t pos)
{
	const struct marks *marks = s->program->marks;
	uint64_t mark = marks__before(marks, pos);
	_buf_ struct buf out = {0};
	struct saved_state *new;

	if (mark <= s->saved_to)
		return;
	saved_state__tidy(&s->saved, marks);
	if (save_now(s, &out) || !(new = malloc(sizeof(*new) + out.len))) {
		s->program->counters.no_memory++;
		return;
	}
	new->from = s->saved_to;
	new->to = mark;
	new->len = out.len;
	if (out.len)
		memcpy(new->bytes, out.data, out.len);
	LL_PREPEND(s->saved, new);
	s->saved_to = mark;
}

int saved_state__at(const struct saved_state *list, uint64_t mark, struct buf *out)
{
	for (; list; list = list->next)
		if (list->from < mark && mark <= list->to)
			return list->len ? buf__append(out, list->bytes, list->len) : 0;
	return 0;
}

int program_stream__at_mark(const struct program_stream *s, uint64_t mark, struct buf *out)
{
	return mark > s->saved_to ? save_now(s, out) : saved_state__at(s->saved, mark, out);
}

struct saved_state *program_stream__take_saved(struct program_stream *s)
{
	save_state(s, UINT64_MAX);
	return TAKE_PTR(s->saved);
}

void program_stream__restore(struct program_stream *s, struct label_set *set, const char *bytes,
			     size_t len)
{
	struct program *p = s->program;
	struct saved_op head;

	if (len < sizeof(p->signature) || memcmp(bytes, &p->signature, sizeof(p->signature)))
		return;
	for (size_t at = sizeof(p->signature); len - at > sizeof(head); at += head.len) {
		const struct op *op;

		memcpy(&head, bytes + at, sizeof(head));
		at += sizeof(head);
		if (head.len > len - at || head.at >= p->n_ops)
			return;
		op = &p->ops[head.at];
		if (op->type->load)
			op->type->load(op->stage, s->states + op->state_offset, s, set, bytes + at,
				       head.len);
	}
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
		save_state(s, line->ring_pos);
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
