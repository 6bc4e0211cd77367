/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stage replace: each group of each match becomes what the template makes of it, the rest of
 * the text stays. A group that begins before the last one ended (one within another) is left, but
 * extracted if it has a name. Nothing happens at all when one of the templates fails.
 */
#include <string.h>

#include "base/buf.h"
#include "process/expression.h"
#include "process/source.h"
#include "process/stages.h"
#include "process/template.h"

struct replace_options {
	const char *expression, *source, *replace;
};

static const struct field replace_fields[] = {
	FIELD(struct replace_options, expression, FIELD_STRING, .flags = FIELD_REQUIRED,
	      .doc = "A regular expression; what its groups match is replaced, and extracted under "
		     "their names."),
	FIELD(struct replace_options, source, FIELD_STRING,
	      .doc = "The extracted value to change; without it, the line."),
	FIELD(struct replace_options, replace, FIELD_STRING,
	      .doc = "What takes their place: a template, in which .Value is what was there."),
	{0},
};

static const struct schema replace_schema = {
	.name = "replace", .size = sizeof(struct replace_options), .fields = replace_fields};

struct replace {
	struct regex *regex;
	struct template *template; /* NULL: the text as it is */
	struct source source;
	const char *text;
	size_t text_len;
	size_t n_groups;
	size_t *slots;	     /* by group; NO_SLOT */
	struct value *named; /* by group, of the first match */
	struct buf out;
};

#define NO_SLOT SIZE_MAX

static int compile_groups(struct replace *r, const struct stage_env *env)
{
	int err = 0;

	r->n_groups = regex__groups(r->regex);
	r->slots = arena__alloc(env->arena, (r->n_groups + 1) * sizeof(*r->slots));
	r->named = arena__zalloc(env->arena, (r->n_groups + 1) * sizeof(*r->named));
	if (!r->slots || !r->named)
		return -ENOMEM;
	for (size_t i = 1; i <= r->n_groups && !err; i++) {
		const char *name = regex__group_name(r->regex, i);

		r->slots[i] = NO_SLOT;
		if (*name)
			err = stage_env__slot(env, name, &r->slots[i]);
	}
	return err;
}

static int compile_expression(struct replace *r, const struct stage_env *env,
			      const char *expression, const struct node *options)
{
	int err = expression__compile(env, expression, options, &r->regex);

	if (!err)
		err = compile_groups(r, env);
	if (!err && !r->n_groups)
		diag__warn(env->diag, node__get(options, "expression"),
			   "replaces nothing: it has no group, such as (...)");
	return err;
}

static int compile_template(struct replace *r, const struct stage_env *env, const char *text,
			    const struct node *options)
{
	struct syntax_error why;
	int err;

	r->text = text ? text : "";
	r->text_len = strlen(r->text);
	if (!strstr(r->text, "{{"))
		return 0;
	err = template__new(&r->template, r->text, env->slots, &why);
	if (err == -EINVAL)
		diag__error(env->diag, node__get(options, "replace"),
			    "invalid template at offset %zu: %s", why.offset, why.text);
	return err;
}

static int compile_replace(const struct stage_env *env, const void *options,
			   const struct node *node, void **ret)
{
	const struct replace_options *o = options;
	struct replace *r = arena__zalloc(env->arena, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	*ret = r;
	err = compile_expression(r, env, o->expression, node);
	err = source__worse(err, compile_template(r, env, o->replace, node));
	return source__worse(err, source__compile(env, o->source, node, &r->source));
}

static void free_replace(void *stage)
{
	struct replace *r = stage;

	regex__free(r->regex);
	template__free(r->template);
	buf__free(&r->out);
}

/* What takes the group's place. */
static int make(struct replace *r, struct entry *e, const struct regex_span *group,
		const char **ret, size_t *ret_len)
{
	struct template_data data = {
		.values = e->values,
		.n_values = e->n_values,
		.value = {.kind = VALUE_STRING, .text = group->text, .len = group->len},
	};

	*ret = r->text;
	*ret_len = r->text_len;
	return r->template ? template__run(r->template, &data, e->arena, ret, ret_len) : 0;
}

/* *done: how far the text is in r->out. */
static int replace_groups(struct replace *r, struct entry *e, const char *text, size_t *done,
			  const struct regex_span *spans, bool first)
{
	int err = 0;

	for (size_t i = 1; i <= r->n_groups && !err; i++) {
		size_t start = (size_t)(spans[i].text - text), len;
		const char *made;

		if (!spans[i].text)
			continue;
		err = make(r, e, &spans[i], &made, &len);
		if (err)
			break;
		if (first)
			r->named[i] =
				(struct value){.kind = VALUE_STRING, .text = made, .len = len};
		if (start < *done)
			continue;
		err = buf__append(&r->out, text + *done, start - *done);
		if (!err)
			err = buf__append(&r->out, made, len);
		*done = start + spans[i].len;
	}
	return err ? err : r->out.len > TEMPLATE_TEXT_MAX ? -E2BIG : 0;
}

/* As Go finds all matches: an empty one does not follow another directly. 1: there was one. */
static int replace_all(struct replace *r, struct entry *e, const char *text, size_t len)
{
	size_t at = 0, done = 0, last_end = SIZE_MAX;
	const struct regex_span *spans;
	bool any = false;
	int result = 0;

	r->out.len = 0;
	while (at <= len && (result = regex__match(r->regex, text, len, at, &spans)) == 1) {
		size_t start = (size_t)(spans[0].text - text), end = start + spans[0].len;
		bool counts = end > at || start != last_end;

		if (counts)
			result = replace_groups(r, e, text, &done, spans, !any);
		if (counts && result)
			return result;
		any |= counts;
		at = end > at ? end : at + 1;
		last_end = end;
	}
	if (result < 0 || !any)
		return result;
	result = buf__append(&r->out, text + done, len - done);
	return result ? result : 1;
}

static void failed(struct entry *e, int err)
{
	if (err == -EOVERFLOW)
		e->counters->regex_limited++;
	else if (err == -ENOMEM)
		e->counters->no_memory++;
	else
		e->counters->failed++;
}

static enum stage_result run_replace(void *stage, struct entry *e)
{
	struct replace *r = stage;
	const char *text;
	size_t len;
	char *copy;
	int result;

	if (!source__text(&r->source, e, &text, &len))
		return STAGE_CONTINUE;
	for (size_t i = 1; i <= r->n_groups; i++)
		r->named[i].kind = VALUE_ABSENT;
	result = replace_all(r, e, text, len);
	if (result < 0)
		failed(e, result);
	if (result != 1)
		return STAGE_CONTINUE;
	copy = arena__copy(e->arena, r->out.data, r->out.len);
	if (!copy) {
		e->counters->no_memory++;
		return STAGE_CONTINUE;
	}
	source__set(&r->source, e, copy, r->out.len);
	for (size_t i = 1; i <= r->n_groups; i++)
		if (r->slots[i] != NO_SLOT && r->named[i].kind != VALUE_ABSENT)
			e->values[r->slots[i]] = r->named[i];
	return STAGE_CONTINUE;
}

const struct stage_type stage_replace = {
	.options = {.name = "replace",
		    .type = FIELD_OBJECT,
		    .object = &replace_schema,
		    .doc = "Replaces what the groups of a regular expression match."},
	.options_size = sizeof(struct replace_options),
	.compile = compile_replace,
	.run = run_replace,
	.free = free_replace,
};
