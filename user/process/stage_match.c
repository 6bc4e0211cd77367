/* SPDX-License-Identifier: Apache-2.0 */
/*
 * match: the stages within it are for the lines that a LogQL selector takes, or those lines are
 * dropped. A gap is no line to drop, but goes the way that its labels say.
 */
#include <errno.h>
#include <string.h>

#include "process/logql.h"
#include "process/stages.h"

enum { KEEP, DROP };

struct match_options {
	const char *pipeline_name, *selector, *drop_counter_reason;
	const struct node *stages;
	int action;
};

static const char *const actions[] = {"keep", "drop", NULL};

static const struct field match_fields[] = {
	FIELD(struct match_options, selector, FIELD_STRING, .flags = FIELD_REQUIRED,
	      .doc = "A LogQL stream selector, with line filters."),
	FIELD(struct match_options, stages, FIELD_NODE, .doc = "The stages for what it takes."),
	FIELD(struct match_options, action, FIELD_ENUM, .names = actions, .dflt = "keep",
	      .doc = "What becomes of it; `drop` has no stages."),
	FIELD(struct match_options, drop_counter_reason, FIELD_STRING, .dflt = "match_stage",
	      .doc = "The reason that dropped lines are counted with."),
	FIELD(struct match_options, pipeline_name, FIELD_STRING, .doc = "A name for people."),
	{0},
};

static const struct schema match_schema = {
	.name = "match", .size = sizeof(struct match_options), .fields = match_fields};

struct match {
	struct logql *selector;
	bool drop;
	const char *reason;
	size_t n;
	size_t slots[]; /* of the matchers' labels */
};

static const struct node *nested(const void *options)
{
	const struct match_options *o = options;

	return o->action == KEEP ? o->stages : NULL;
}

static int check(const struct match_options *o, const struct node *node, struct diag *diag)
{
	bool any = o->stages && o->stages->n_items;

	if (!o->selector || !*o->selector) {
		diag__error(diag, node, "no selector, expected one like `{app=\"web\"}`");
		return -EINVAL;
	}
	if (o->action == KEEP && !any) {
		diag__error(diag, node, "no stages, expected at least one, or `action: drop`");
		return -EINVAL;
	}
	if (o->action == DROP && any) {
		diag__error(diag, o->stages, "stages for lines that are dropped, expected none");
		return -EINVAL;
	}
	return 0;
}

static int compile_match(const struct stage_env *env, const void *options, const struct node *node,
			 void **ret)
{
	const struct match_options *o = options;
	struct syntax_error why;
	struct logql *selector;
	struct match *m;
	int err = check(o, node, env->diag);

	if (err)
		return err;
	err = logql__new(&selector, o->selector, &why);
	if (err == -EINVAL)
		diag__error(env->diag, node__get(node, "selector"),
			    "invalid selector at offset %zu: %s", why.offset, why.text);
	if (err)
		return err;
	m = arena__zalloc(env->arena, sizeof(*m) + logql__matchers(selector) * sizeof(m->slots[0]));
	if (!m) {
		logql__free(selector);
		return -ENOMEM;
	}
	m->selector = selector;
	m->drop = o->action == DROP;
	m->reason = o->drop_counter_reason && *o->drop_counter_reason ? o->drop_counter_reason
								      : "match_stage";
	m->n = logql__matchers(selector);
	*ret = m;
	for (size_t i = 0; i < m->n && !err; i++)
		err = stage_env__slot(env, logql__label(selector, i), &m->slots[i]);
	return err;
}

static void free_match(void *stage)
{
	logql__free(((struct match *)stage)->selector);
}

static bool matches(const struct match *m, const struct entry *e)
{
	for (size_t i = 0; i < m->n; i++) {
		const char *text = "";
		size_t len = 0;

		entry__label(e, m->slots[i], &text, &len);
		if (!logql__label_matches(m->selector, i, text, len))
			return false;
	}
	return logql__line_matches(m->selector, e->line, e->len);
}

/* As in Promtail the stages within are a pipeline: its values begin with the labels of now. */
static void take_labels(struct entry *e)
{
	const char *text;
	size_t len;

	for (size_t slot = 0; slot < e->n_values; slot++)
		if (entry__label(e, slot, &text, &len))
			entry__set_value(e, slot, text, len);
}

static enum stage_result run_match(void *stage, struct entry *e)
{
	const struct match *m = stage;
	uint64_t limited = logql__limited(m->selector);
	bool yes = matches(m, e);

	e->counters->regex_limited += logql__limited(m->selector) - limited;
	if (!m->drop) {
		if (yes)
			take_labels(e);
		return yes ? STAGE_CONTINUE : STAGE_SKIP;
	}
	if (!yes || e->record.gap)
		return STAGE_CONTINUE;
	e->dropped = m->reason;
	return STAGE_DROP;
}

const struct stage_type stage_match = {
	.options = {.name = "match",
		    .type = FIELD_OBJECT,
		    .object = &match_schema,
		    .doc = "Stages for the lines that a selector takes, or drops them."},
	.options_size = sizeof(struct match_options),
	.compile = compile_match,
	.run = run_match,
	.free = free_match,
	.nested = nested,
	.gaps = true,
};
