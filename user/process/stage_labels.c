/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stages that change labels and metadata: labels, labelallow, labeldrop, static_labels,
 * structured_metadata. A value that is not UTF-8 sets nothing, as in Promtail.
 */
#include <errno.h>

#include "base/buf.h"
#include "process/stages.h"

struct pair {
	size_t name, source;
	const char *text; /* of static_labels */
	size_t len;
};

struct pairs {
	size_t n;
	struct pair pairs[];
};

static bool is_label_name(const char *name)
{
	if (!*name || (*name >= '0' && *name <= '9'))
		return false;
	for (; *name; name++)
		if (!(*name == '_' || (*name >= '0' && *name <= '9') ||
		      (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z')))
			return false;
	return true;
}

static struct pairs *make_pairs(const struct stage_env *env, size_t n)
{
	struct pairs *p = arena__zalloc(env->arena, sizeof(*p) + n * sizeof(p->pairs[0]));

	if (p)
		p->n = n;
	return p;
}

/* name: source, or the name alone. */
static int compile_sources(const struct stage_env *env, const void *options,
			   const struct node *node, void **ret)
{
	const struct string_map *map = options;
	struct pairs *p = make_pairs(env, map->n);
	int err = 0, bad = 0;

	if (!map->n)
		diag__warn(env->diag, node,
			   "names no label: does nothing, expected `name: source` or `name:`");
	if (!p)
		return -ENOMEM;
	for (size_t i = 0; i < map->n && !err; i++) {
		const struct string_pair *from = &map->items[i];

		if (!is_label_name(from->name)) {
			diag__error(env->diag, from->node,
				    "`%s` is no label name, expected letters, digits and _",
				    from->name);
			bad = -EINVAL;
			continue;
		}
		err = stage_env__slot(env, from->name, &p->pairs[i].name);
		if (!err)
			err = stage_env__slot(env, *from->value ? from->value : from->name,
					      &p->pairs[i].source);
	}
	*ret = p;
	return err ? err : bad;
}

static enum stage_result run_labels(void *stage, struct entry *e)
{
	const struct pairs *p = stage;
	const char *text;
	size_t len;

	for (size_t i = 0; i < p->n; i++)
		if (entry__text(e, p->pairs[i].source, &text, &len) && utf8__valid(text, len))
			entry__set_label(e, p->pairs[i].name, text, len);
	return STAGE_CONTINUE;
}

const struct stage_type stage_labels = {
	.options = {.name = "labels",
		    .type = FIELD_MAP,
		    .doc = "Makes labels of extracted values: `name: source`, or `name:` alone."},
	.options_size = sizeof(struct string_map),
	.compile = compile_sources,
	.run = run_labels,
};

static enum stage_result run_structured_metadata(void *stage, struct entry *e)
{
	const struct pairs *p = stage;

	for (size_t i = 0; i < p->n; i++) {
		const struct pair *pair = &p->pairs[i];
		const char *text, *label;
		size_t len, label_len;
		bool labelled = entry__label(e, pair->source, &label, &label_len);

		if (entry__text(e, pair->source, &text, &len)) {
			if (!utf8__valid(text, len))
				continue;
		} else if (labelled) {
			text = label;
			len = label_len;
		} else {
			continue;
		}
		entry__set_metadata(e, pair->name, text, len);
		if (labelled && len == label_len && !memcmp(text, label, len))
			entry__remove_label(e, pair->source);
	}
	return STAGE_CONTINUE;
}

const struct stage_type stage_structured_metadata = {
	.options = {.name = "structured_metadata",
		    .type = FIELD_MAP,
		    .doc = "Makes structured metadata of extracted values or labels, which are "
			   "then no labels any more."},
	.options_size = sizeof(struct string_map),
	.compile = compile_sources,
	.run = run_structured_metadata,
};

/* Its name before Loki 3. */
const struct stage_type stage_non_indexed_labels = {
	.options = {.name = "non_indexed_labels",
		    .type = FIELD_MAP,
		    .doc = "An old name of structured_metadata."},
	.options_size = sizeof(struct string_map),
	.compile = compile_sources,
	.run = run_structured_metadata,
};

static int compile_static_labels(const struct stage_env *env, const void *options,
				 const struct node *node, void **ret)
{
	const struct string_map *map = options;
	struct pairs *p = make_pairs(env, map->n);
	int err = 0, bad = 0;

	if (!map->n)
		diag__warn(env->diag, node, "names no label: does nothing, expected `name: value`");
	if (!p)
		return -ENOMEM;
	p->n = 0;
	for (size_t i = 0; i < map->n && !err; i++) {
		const struct string_pair *from = &map->items[i];

		if (!*from->name || !utf8__valid(from->name, strlen(from->name))) {
			diag__error(env->diag, from->node, "an empty label name");
			bad = -EINVAL;
		}
		if (!*from->value || !utf8__valid(from->value, strlen(from->value)))
			continue;
		p->pairs[p->n].text = from->value;
		p->pairs[p->n].len = strlen(from->value);
		err = stage_env__slot(env, from->name, &p->pairs[p->n++].name);
	}
	*ret = p;
	return err ? err : bad;
}

static enum stage_result run_static_labels(void *stage, struct entry *e)
{
	const struct pairs *p = stage;

	for (size_t i = 0; i < p->n; i++)
		entry__set_label(e, p->pairs[i].name, p->pairs[i].text, p->pairs[i].len);
	return STAGE_CONTINUE;
}

const struct stage_type stage_static_labels = {
	.options = {.name = "static_labels",
		    .type = FIELD_MAP,
		    .doc = "Sets labels to fixed values."},
	.options_size = sizeof(struct string_map),
	.compile = compile_static_labels,
	.run = run_static_labels,
	.gaps = true,
};

static int compile_names(const struct stage_env *env, const void *options, const struct node *node,
			 void **ret)
{
	const struct string_list *names = options;
	struct pairs *p = make_pairs(env, names->n);
	int err = 0;

	if (!names->n) {
		diag__error(env->diag, node, "names no label, expected a list of names");
		return -EINVAL;
	}
	if (!p)
		return -ENOMEM;
	for (size_t i = 0; i < names->n && !err; i++)
		err = stage_env__slot(env, names->items[i], &p->pairs[i].name);
	*ret = p;
	return err;
}

static enum stage_result run_labeldrop(void *stage, struct entry *e)
{
	const struct pairs *p = stage;

	for (size_t i = 0; i < p->n; i++)
		entry__remove_label(e, p->pairs[i].name);
	return STAGE_CONTINUE;
}

const struct stage_type stage_labeldrop = {
	.options = {.name = "labeldrop", .type = FIELD_STRINGS, .doc = "Removes these labels."},
	.options_size = sizeof(struct string_list),
	.compile = compile_names,
	.run = run_labeldrop,
	.gaps = true,
};

static bool is_named(const struct pairs *p, size_t slot)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->pairs[i].name == slot)
			return true;
	return false;
}

/* A name without a slot is not in the list. */
static enum stage_result run_labelallow(void *stage, struct entry *e)
{
	const struct pairs *p = stage;

	e->strangers_dropped = true;
	for (size_t slot = 0; slot < e->n_values; slot++)
		if (!is_named(p, slot))
			entry__remove_label(e, slot);
	return STAGE_CONTINUE;
}

const struct stage_type stage_labelallow = {
	.options = {.name = "labelallow",
		    .type = FIELD_STRINGS,
		    .doc = "Removes all labels but these."},
	.options_size = sizeof(struct string_list),
	.compile = compile_names,
	.run = run_labelallow,
	.gaps = true,
};
