/* SPDX-License-Identifier: Apache-2.0 */
/* Stages of the tests' own, in front of the real ones that need no parser. */
#ifndef TESTS_UNIT_PROCESS_OWN_STAGES_H
#define TESTS_UNIT_PROCESS_OWN_STAGES_H

#include <errno.h>

#include "pipeline_world.h"
#include "process/stages.h"

/* Extracts what the test says: `name: text`, `name: =1.5` a number, `name: !` null. */
struct extraction {
	size_t n;
	size_t slots[32];
	const struct string_pair *pairs;
};

static int compile_extract(const struct stage_env *env, const void *options,
			   const struct node *node _unused_, void **ret)
{
	const struct string_map *map = options;
	struct extraction *x = arena__zalloc(env->arena, sizeof(*x));

	x->n = map->n;
	x->pairs = map->items;
	for (size_t i = 0; i < x->n; i++)
		assert_int_equal(stage_env__slot(env, map->items[i].name, &x->slots[i]), 0);
	*ret = x;
	return 0;
}

static enum stage_result run_extract(void *stage, struct entry *e)
{
	const struct extraction *x = stage;

	for (size_t i = 0; i < x->n; i++) {
		const char *text = x->pairs[i].value;

		if (*text == '=')
			e->values[x->slots[i]] =
				(struct value){.kind = VALUE_NUMBER, .number = atof(text + 1)};
		else if (*text == '!')
			e->values[x->slots[i]] = (struct value){.kind = VALUE_NULL};
		else if (!strcmp(text, "line"))
			entry__set_value(e, x->slots[i], e->line, e->len);
		else
			entry__set_value(e, x->slots[i], text, strlen(text));
	}
	return STAGE_CONTINUE;
}

/* A time of whole seconds. */
static enum stage_result run_time(void *stage _unused_, struct entry *e)
{
	e->time_ns = 42 * NS_PER_SEC;
	e->resolution_ns = NS_PER_SEC;
	return STAGE_CONTINUE;
}

static const struct stage_type extract = {
	.options = {.name = "extract", .type = FIELD_MAP},
	.options_size = sizeof(struct string_map),
	.compile = compile_extract,
	.run = run_extract,
};

static const struct stage_type set_time = {
	.options = {.name = "set_time", .type = FIELD_NODE},
	.options_size = sizeof(const struct node *),
	.run = run_time,
};

static const struct stage_type *const test_types[] = {
	&extract,
	&set_time,
	&stage_labels,
	&stage_structured_metadata,
	&stage_static_labels,
	&stage_labeldrop,
	&stage_labelallow,
	&stage_tenant,
	&stage_output,
	&stage_pack,
	&stage_drop,
	&stage_match,
	&stage_limit,
	&stage_sampling,
	&stage_multiline,
	&stage_metrics,
	NULL,
};

/* As world__open, with these stages. */
static inline void open_with(struct world *w, const char *labels, const char *yaml)
{
	w->opts.types = test_types;
	world__open(w, labels, yaml);
}

static inline void refused(const char *yaml, const char *expected)
{
	world__says(test_types, yaml, -EINVAL, expected);
}

#endif
