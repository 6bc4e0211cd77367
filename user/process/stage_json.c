/* SPDX-License-Identifier: Apache-2.0 */
/* The stage json. Promtail sets null for what it did not find; here nothing is set then. */
#include "process/json_path.h"
#include "process/source.h"
#include "process/stages.h"

struct json_options {
	struct string_map expressions;
	const char *source;
	bool drop_malformed;
};

static const struct field json_fields[] = {
	FIELD(struct json_options, expressions, FIELD_MAP, .flags = FIELD_REQUIRED,
	      .doc = "The names of what is extracted, each with a JMESPath expression (names, "
		     "indexes and alternatives); without one, the name is it."),
	FIELD(struct json_options, source, FIELD_STRING, .doc = SOURCE_DOC),
	FIELD(struct json_options, drop_malformed, FIELD_BOOL,
	      .doc = "Drops what is no JSON object."),
	{0},
};

static const struct schema json_schema = {
	.name = "json", .size = sizeof(struct json_options), .fields = json_fields};

struct json_stage {
	struct json_paths *paths;
	struct source source;
	bool drop_malformed;
	struct value *values; /* of the line at hand */
	size_t n;
	size_t slots[];
};

static int add_expression(struct json_stage *s, size_t i, const struct string_pair *pair,
			  const struct stage_env *env)
{
	const char *expression = *pair->value ? pair->value : pair->name;
	struct syntax_error why;
	int err = json_paths__add(s->paths, expression, &why);

	if (err == -EINVAL)
		diag__error(env->diag, pair->node, "invalid expression `%s` at offset %zu: %s",
			    expression, why.offset, why.text);
	return err ? err : stage_env__slot(env, pair->name, &s->slots[i]);
}

static int compile_json(const struct stage_env *env, const void *options, const struct node *node,
			void **ret)
{
	const struct json_options *o = options;
	size_t n = o->expressions.n;
	struct json_stage *s = arena__zalloc(env->arena, sizeof(*s) + n * sizeof(s->slots[0]));
	int err;

	if (!s)
		return -ENOMEM;
	if (!n) {
		diag__error(env->diag, node__get(node, "expressions"),
			    "none, expected at least one `name: expression` or `name:`");
		return -EINVAL;
	}
	*ret = s;
	s->n = n;
	s->drop_malformed = o->drop_malformed;
	s->values = arena__zalloc(env->arena, n * sizeof(*s->values));
	if (!s->values)
		return -ENOMEM;
	err = json_paths__new(&s->paths);
	for (size_t i = 0; i < n && err != -ENOMEM; i++)
		err = source__worse(err, add_expression(s, i, &o->expressions.items[i], env));
	return source__worse(err, source__compile(env, o->source, node, &s->source));
}

static void free_json(void *stage)
{
	json_paths__free(((struct json_stage *)stage)->paths);
}

static enum stage_result run_json(void *stage, struct entry *e)
{
	struct json_stage *s = stage;
	const char *text;
	size_t len;
	int err;

	if (!source__text(&s->source, e, &text, &len))
		return STAGE_CONTINUE;
	err = json_paths__find(s->paths, text, len, e->arena, s->values);
	if (err == -ENOMEM)
		e->counters->no_memory++;
	if (err == -EINVAL && s->drop_malformed) {
		e->dropped = "malformed_json";
		return STAGE_DROP;
	}
	for (size_t i = 0; i < s->n; i++)
		if (s->values[i].kind != VALUE_ABSENT)
			e->values[s->slots[i]] = s->values[i];
	return STAGE_CONTINUE;
}

const struct stage_type stage_json = {
	.options = {.name = "json",
		    .type = FIELD_OBJECT,
		    .object = &json_schema,
		    .doc = "Extracts values from a JSON object."},
	.options_size = sizeof(struct json_options),
	.compile = compile_json,
	.run = run_json,
	.free = free_json,
};
