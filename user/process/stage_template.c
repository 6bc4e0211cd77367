/* SPDX-License-Identifier: Apache-2.0 */
/* The stage template: an extracted value becomes what a template makes of all of them. */
#include <errno.h>
#include <string.h>

#include "process/stages.h"
#include "process/template.h"

struct template_options {
	const char *source, *template;
};

static const struct field template_fields[] = {
	FIELD(struct template_options, source, FIELD_STRING, .flags = FIELD_REQUIRED,
	      .doc = "The extracted value that is set; what it was is `.Value`."),
	FIELD(struct template_options, template, FIELD_STRING, .dflt = "",
	      .doc = "A Go template over the extracted values and `.Entry`, the line. One that "
		     "gives nothing removes the value."),
	{0},
};

static const struct schema template_schema = {
	.name = "template", .size = sizeof(struct template_options), .fields = template_fields};

struct template_stage {
	struct template *template;
	size_t source;
};

static const struct node *place(const struct node *node, const char *key)
{
	const struct node *at = node__get(node, key);

	return at ? at : node;
}

static int compile_template(const struct stage_env *env, const void *options,
			    const struct node *node, void **ret)
{
	const struct template_options *o = options;
	struct template_stage *t = arena__zalloc(env->arena, sizeof(*t));
	struct syntax_error why;
	int err;

	if (!t)
		return -ENOMEM;
	if (!*o->source) {
		diag__error(env->diag, place(node, "source"), "empty, expected a name");
		return -EINVAL;
	}
	err = stage_env__slot(env, o->source, &t->source);
	if (!err)
		err = template__new(&t->template, o->template, env->slots, &why);
	if (err == -EINVAL)
		diag__error(env->diag, place(node, "template"),
			    "invalid template at offset %zu: %s", why.offset, why.text);
	if (!err)
		*ret = t;
	return err;
}

static enum stage_result run_template(void *stage, struct entry *e)
{
	const struct template_stage *t = stage;
	struct template_data data = {
		.values = e->values,
		.n_values = e->n_values,
		.value = e->values[t->source],
		.entry = e->len ? e->line : "", /* an empty one may be NULL */
		.entry_len = e->len,
	};
	const char *text;
	size_t len;
	int err = template__run(t->template, &data, e->arena, &text, &len);

	if (err == -EOVERFLOW)
		e->counters->regex_limited++;
	else if (err == -ENOMEM)
		e->counters->no_memory++;
	else if (err)
		e->counters->failed++;
	else if (len)
		entry__set_value(e, t->source, text, len);
	else
		e->values[t->source] = (struct value){.kind = VALUE_ABSENT};
	return STAGE_CONTINUE;
}

static void free_template(void *stage)
{
	template__free(((struct template_stage *)stage)->template);
}

const struct stage_type stage_template = {
	.options = {.name = "template",
		    .type = FIELD_OBJECT,
		    .object = &template_schema,
		    .doc = "Makes an extracted value from others, by a Go template."},
	.options_size = sizeof(struct template_options),
	.compile = compile_template,
	.run = run_template,
	.free = free_template,
};
