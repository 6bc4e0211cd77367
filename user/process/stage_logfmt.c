/* SPDX-License-Identifier: Apache-2.0 */
/* The stage logfmt. What stands before something that is no logfmt is extracted. */
#include <string.h>

#include "process/logfmt.h"
#include "process/source.h"
#include "process/stages.h"

struct logfmt_options {
	struct string_map mapping;
	const char *source;
};

static const struct field logfmt_fields[] = {
	FIELD(struct logfmt_options, mapping, FIELD_MAP, .flags = FIELD_REQUIRED,
	      .doc = "The names of what is extracted, each with the key that holds it; without "
		     "one, the name is it."),
	FIELD(struct logfmt_options, source, FIELD_STRING, .doc = SOURCE_DOC),
	{0},
};

static const struct schema logfmt_schema = {
	.name = "logfmt", .size = sizeof(struct logfmt_options), .fields = logfmt_fields};

struct mapping {
	const char *key;
	size_t len, slot;
};

struct logfmt_stage {
	struct source source;
	size_t n;
	struct mapping mappings[];
};

static int compile_logfmt(const struct stage_env *env, const void *options, const struct node *node,
			  void **ret)
{
	const struct logfmt_options *o = options;
	size_t n = o->mapping.n;
	struct logfmt_stage *s = arena__zalloc(env->arena, sizeof(*s) + n * sizeof(s->mappings[0]));
	int err;

	if (!s)
		return -ENOMEM;
	if (!n) {
		diag__error(env->diag, node__get(node, "mapping"),
			    "none, expected at least one `name: key` or `name:`");
		return -EINVAL;
	}
	s->n = n;
	*ret = s;
	err = source__compile(env, o->source, node, &s->source);
	for (size_t i = 0; i < n && !err; i++) {
		const struct string_pair *pair = &o->mapping.items[i];

		s->mappings[i].key = *pair->value ? pair->value : pair->name;
		s->mappings[i].len = strlen(s->mappings[i].key);
		err = stage_env__slot(env, pair->name, &s->mappings[i].slot);
	}
	return err;
}

static enum stage_result run_logfmt(void *stage, struct entry *e)
{
	const struct logfmt_stage *s = stage;
	struct logfmt_pair pair;
	struct logfmt l;
	const char *text;
	size_t len;
	int result;

	if (!source__text(&s->source, e, &text, &len))
		return STAGE_CONTINUE;
	l = (struct logfmt){.p = text, .end = text + len};
	while ((result = logfmt__next(&l, e->arena, &pair)) == 1) {
		for (size_t i = 0; i < s->n; i++) {
			const struct mapping *m = &s->mappings[i];

			if (m->len == pair.key_len && memcmp(m->key, pair.key, m->len) == 0)
				entry__set_value(e, m->slot, pair.value, pair.value_len);
		}
	}
	if (result == -ENOMEM)
		e->counters->no_memory++;
	return STAGE_CONTINUE;
}

const struct stage_type stage_logfmt = {
	.options = {.name = "logfmt",
		    .type = FIELD_OBJECT,
		    .object = &logfmt_schema,
		    .doc = "Extracts values from logfmt: key=value."},
	.options_size = sizeof(struct logfmt_options),
	.compile = compile_logfmt,
	.run = run_logfmt,
};
