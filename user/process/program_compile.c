/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a list of stages to operations. Stages within a match stand behind it in one array; the
 * match says how many it may skip. So a place in the program is a number.
 */
#include "process/program_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "process/stages.h"

#define MAX_STAGES 1000
#define MAX_DEPTH 16

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

static void sign(struct program *p)
{
	p->signature = HASH_START;
	for (size_t i = 0; i < p->n_ops; i++) {
		p->signature = hash__text(p->signature, p->ops[i].type->options.name);
		p->remembers |= p->ops[i].type->save != NULL;
	}
	for (size_t i = 0; i < p->n_slots; i++)
		p->signature = hash__text(p->signature, slots__name(p->slots, i));
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

int program__compile(struct program *p, const struct node *stages, struct diag *diag)
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
