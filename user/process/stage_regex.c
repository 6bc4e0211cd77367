/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stage regex. A named group that took no part in the match extracts the empty text, as in
 * Promtail.
 */
#include "process/expression.h"
#include "process/source.h"
#include "process/stages.h"

struct regex_options {
	const char *expression, *source;
};

static const struct field regex_fields[] = {
	FIELD(struct regex_options, expression, FIELD_STRING, .flags = FIELD_REQUIRED,
	      .doc = "A regular expression; what its named groups match is extracted."),
	FIELD(struct regex_options, source, FIELD_STRING, .doc = SOURCE_DOC),
	{0},
};

static const struct schema regex_schema = {
	.name = "regex", .size = sizeof(struct regex_options), .fields = regex_fields};

struct group {
	size_t number, slot;
};

struct regex_stage {
	struct regex *regex;
	struct source source;
	struct group *groups; /* the named ones */
	size_t n;
};

static int compile_groups(struct regex_stage *s, const struct stage_env *env)
{
	size_t n = regex__groups(s->regex);
	int err = 0;

	s->groups = arena__zalloc(env->arena, n * sizeof(*s->groups));
	if (!s->groups)
		return -ENOMEM;
	for (size_t i = 1; i <= n && !err; i++) {
		const char *name = regex__group_name(s->regex, i);

		if (!*name)
			continue;
		s->groups[s->n].number = i;
		err = stage_env__slot(env, name, &s->groups[s->n++].slot);
	}
	return err;
}

static int compile_expression(struct regex_stage *s, const struct stage_env *env,
			      const char *expression, const struct node *options)
{
	int err = expression__compile(env, expression, options, &s->regex);

	if (!err)
		err = compile_groups(s, env);
	if (!err && !s->n)
		diag__warn(env->diag, node__get(options, "expression"),
			   "extracts nothing: it has no named group, such as (?P<name>...)");
	return err;
}

static int compile_regex(const struct stage_env *env, const void *options, const struct node *node,
			 void **ret)
{
	const struct regex_options *o = options;
	struct regex_stage *s = arena__zalloc(env->arena, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	*ret = s;
	err = compile_expression(s, env, o->expression, node);
	return source__worse(err, source__compile(env, o->source, node, &s->source));
}

static void free_regex(void *stage)
{
	regex__free(((struct regex_stage *)stage)->regex);
}

static enum stage_result run_regex(void *stage, struct entry *e)
{
	const struct regex_stage *s = stage;
	const struct regex_span *spans;
	const char *text;
	size_t len;
	int result;

	if (!source__text(&s->source, e, &text, &len))
		return STAGE_CONTINUE;
	result = regex__match(s->regex, text, len, 0, &spans);
	if (result == -EOVERFLOW)
		e->counters->regex_limited++;
	else if (result == -ENOMEM)
		e->counters->no_memory++;
	for (size_t i = 0; i < s->n && result == 1; i++) {
		const struct regex_span *span = &spans[s->groups[i].number];

		entry__set_value(e, s->groups[i].slot, span->text ? span->text : "", span->len);
	}
	return STAGE_CONTINUE;
}

const struct stage_type stage_regex = {
	.options = {.name = "regex",
		    .type = FIELD_OBJECT,
		    .object = &regex_schema,
		    .doc = "Extracts what the groups of a regular expression match."},
	.options_size = sizeof(struct regex_options),
	.compile = compile_regex,
	.run = run_regex,
	.free = free_regex,
};
