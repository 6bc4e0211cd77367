/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoding walks the file's mapping, not the table: each key finds its field, what has none is
 * told. Then it looks for what is required and did not come. Errors never end it, so that all of
 * them are told at once; only memory does.
 */
#include "config/schema.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/util.h"
#include "config/schema_internal.h"

struct decode {
	struct arena *arena;
	struct diag *diag;
};

static int decode_object(struct decode *d, const struct schema *s, const struct node *node,
			 void *object, bool *ret_sound);

static void *member(void *object, const struct field *f)
{
	return (char *)object + f->offset;
}

static bool in_range(const struct field *f, uint64_t value)
{
	if (!f->min && !f->max)
		return true;
	return value <= INT64_MAX && (int64_t)value >= f->min && (int64_t)value <= f->max;
}

/* 0, -EINVAL, -ERANGE or -ENOMEM. */
static int set_number(const struct field *f, const char *text, void *out)
{
	uint64_t number = 0;
	int64_t whole = 0;
	double real;
	int err;

	switch (f->type) {
	case FIELD_INT:
		err = schema__int(text, &whole);
		if (err)
			return err;
		if ((f->min || f->max) && (whole < f->min || whole > f->max))
			return -ERANGE;
		*(int64_t *)out = whole;
		return 0;
	case FIELD_FLOAT:
		err = schema__float(text, &real);
		if (err)
			return err;
		if ((f->min || f->max) && (real < (double)f->min || real > (double)f->max))
			return -ERANGE;
		*(double *)out = real;
		return 0;
	default:
		err = f->type == FIELD_SIZE ? schema__size(text, &number)
					    : schema__duration(text, &number);
		if (err)
			return err;
		if (!in_range(f, number))
			return -ERANGE;
		*(uint64_t *)out = number;
		return 0;
	}
}

/* The same, of every type that is one scalar. */
static int set_scalar(struct arena *arena, const struct field *f, const char *text, void *out)
{
	const char *copy;

	switch (f->type) {
	case FIELD_BOOL:
		return schema__bool(text, out);
	case FIELD_STRING:
		copy = arena__copy(arena, text, strlen(text));
		if (!copy)
			return -ENOMEM;
		*(const char **)out = copy;
		return 0;
	case FIELD_ENUM:
		for (int i = 0; f->names[i]; i++) {
			if ((f->flags & FIELD_ANY_CASE) ? strcasecmp(f->names[i], text)
							: strcmp(f->names[i], text))
				continue;
			*(int *)out = i;
			return 0;
		}
		return -EINVAL;
	default:
		return set_number(f, text, out);
	}
}

static int decode_scalar(struct decode *d, const struct field *f, const struct node *n, void *out)
{
	char range[80];
	int err;

	if (n->kind != NODE_SCALAR) {
		schema__tell_wrong(f, n, d->diag);
		return 0;
	}
	err = set_scalar(d->arena, f, n->text, out);
	if (err == -ERANGE) {
		schema__describe_range(f, range, sizeof(range));
		diag__error(d->diag, n, "%.*s is out of range, expected %s", SHOWN_MAX, n->text,
			    range);
	} else if (err == -EINVAL) {
		schema__tell_wrong(f, n, d->diag);
	}
	return err == -ENOMEM ? err : 0;
}

static int decode_strings(struct decode *d, const struct field *f, const struct node *n,
			  struct string_list *out)
{
	const struct node *const one[] = {n};
	const struct node *const *items = one;
	size_t n_items = 1;
	const char **list;

	if (n->kind == NODE_MAPPING) {
		schema__tell_wrong(f, n, d->diag);
		return 0;
	}
	if (n->kind == NODE_SEQUENCE) {
		items = (const struct node *const *)n->items;
		n_items = n->n_items;
	}
	list = arena__alloc(d->arena, n_items * sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < n_items; i++) {
		const struct node *item = items[i];

		if (item->kind == NODE_SEQUENCE || item->kind == NODE_MAPPING) {
			diag__error(d->diag, item, "%s, expected a string",
				    schema__kind_name(item));
			n_items = 0;
			break;
		}
		list[i] = item->kind == NODE_NULL
				  ? arena__copy(d->arena, "", 0)
				  : arena__copy(d->arena, item->text, strlen(item->text));
		if (!list[i])
			return -ENOMEM;
	}
	*out = (struct string_list){.items = list, .n = n_items};
	return 0;
}

/* Promtail reads stages as YAML 1.1 with keys of any type, and takes only strings. */
static bool is_boolean_key(const struct node *value)
{
	bool is;

	if (value->key_node->quoted || schema__bool(value->key, &is))
		return false;
	for (const struct node *p = value->parent; p; p = p->parent)
		if (p->key && !strcmp(p->key, "pipeline_stages"))
			return true;
	return false;
}

static int decode_map(struct decode *d, const struct field *f, const struct node *n,
		      struct string_map *out)
{
	struct string_pair *pairs;
	size_t n_pairs = 0;

	if (n->kind != NODE_MAPPING) {
		schema__tell_wrong(f, n, d->diag);
		return 0;
	}
	pairs = arena__alloc(d->arena, n->n_items * sizeof(*pairs));
	if (!pairs)
		return -ENOMEM;
	for (size_t i = 0; i < n->n_items; i++) {
		const struct node *value = n->items[i];
		struct string_pair *p = &pairs[n_pairs];
		const char *text = value->kind == NODE_NULL ? "" : value->text;

		if (value->kind == NODE_SEQUENCE || value->kind == NODE_MAPPING) {
			diag__error(d->diag, value, "%s, expected a string",
				    schema__kind_name(value));
			continue;
		}
		if (is_boolean_key(value)) {
			diag__error(d->diag, value->key_node,
				    "a boolean in YAML 1.1, expected a name: write \"%s\"",
				    value->key);
			continue;
		}
		p->name = arena__copy(d->arena, value->key, strlen(value->key));
		p->value = arena__copy(d->arena, text, strlen(text));
		p->node = value;
		if (!p->name || !p->value)
			return -ENOMEM;
		n_pairs++;
	}
	*out = (struct string_map){.items = pairs, .n = n_pairs};
	return 0;
}

/* What is not sound was told and is left out: the others can still be looked at. */
static int decode_objects(struct decode *d, const struct field *f, const struct node *n,
			  struct object_list *out)
{
	size_t n_sound = 0;
	char *items;

	if (n->kind != NODE_SEQUENCE) {
		schema__tell_wrong(f, n, d->diag);
		return 0;
	}
	items = arena__zalloc(d->arena, n->n_items * f->object->size);
	if (!items)
		return -ENOMEM;
	for (size_t i = 0; i < n->n_items; i++) {
		bool sound = false;
		int err;

		if (n->items[i]->kind == NODE_NULL) {
			diag__error(d->diag, n->items[i], "empty, expected a mapping");
			continue;
		}
		err = decode_object(d, f->object, n->items[i], items + n_sound * f->object->size,
				    &sound);
		if (err)
			return err;
		n_sound += sound;
	}
	*out = (struct object_list){.items = items, .n = n_sound};
	return 0;
}

static int decode_field(struct decode *d, const struct field *f, const struct node *n, void *object)
{
	const struct node *at = n->key_node ? n->key_node : n;
	void *out = member(object, f);
	bool sound;

	if (n->kind == NODE_NULL) {
		if (f->type == FIELD_NODE)
			*(const struct node **)out = n;
		return 0;
	}
	if (f->flags & FIELD_IGNORED)
		diag__warn(d->diag, at, "not needed here%s%s", f->doc ? ": " : "",
			   f->doc ? f->doc : "");
	else if (f->flags & FIELD_UNDONE)
		diag__warn(d->diag, at, "notail does not do this%s%s", f->doc ? ": " : "",
			   f->doc ? f->doc : "");
	else if (f->flags & FIELD_LATER)
		diag__warn(d->diag, at, "has no effect yet in this version");
	switch (f->type) {
	case FIELD_STRINGS:
		return decode_strings(d, f, n, out);
	case FIELD_MAP:
		return decode_map(d, f, n, out);
	case FIELD_OBJECT:
		return decode_object(d, f->object, n, out, &sound);
	case FIELD_OBJECTS:
		return decode_objects(d, f, n, out);
	case FIELD_STAGES:
		if (n->kind != NODE_SEQUENCE) {
			schema__tell_wrong(f, n, d->diag);
			return 0;
		}
		*(const struct node **)out = n;
		return 0;
	case FIELD_NODE:
		*(const struct node **)out = n;
		return 0;
	default:
		return decode_scalar(d, f, n, out);
	}
}

/* `[a, b]` of a table, which has no quotes in it. */
static int default_strings(struct arena *arena, const char *text, struct string_list *out)
{
	size_t n = 0;
	char *copy = arena__copy(arena, text, strlen(text)), *rest = copy;
	const char **items = arena__alloc(arena, (strlen(text) + 1) * sizeof(*items));

	if (!copy || !items)
		return -ENOMEM;
	for (char *word; (word = strtok_r(NULL, "[], ", &rest));)
		items[n++] = word;
	*out = (struct string_list){.items = items, .n = n};
	return 0;
}

static int set_defaults(struct arena *arena, const struct schema *s, void *object)
{
	int err = 0;

	memset(object, 0, s->size);
	for (const struct field *f = s->fields; !err && f->name; f++) {
		void *out = member(object, f);

		if (f->type == FIELD_OBJECT)
			err = set_defaults(arena, f->object, out);
		else if (f->dflt && f->type == FIELD_STRINGS)
			err = default_strings(arena, f->dflt, out);
		else if (f->dflt && f->type != FIELD_MAP && f->type != FIELD_OBJECTS &&
			 f->type != FIELD_NODE && f->type != FIELD_STAGES)
			err = set_scalar(arena, f, f->dflt, out);
	}
	return err;
}

static const struct field *find_field(const struct schema *s, const char *name)
{
	for (const struct field *f = s->fields; f->name; f++)
		if (!strcmp(f->name, name))
			return f;
	return NULL;
}

static void require(struct decode *d, const struct schema *s, const struct node *node)
{
	char expected[400];

	for (const struct field *f = s->fields; f->name; f++) {
		const struct node *value = node__get(node, f->name);

		if (!(f->flags & FIELD_REQUIRED) || (value && value->kind != NODE_NULL))
			continue;
		schema__describe(f, expected, sizeof(expected));
		diag__error(d->diag, value ? value : node, "%s%s, expected %s",
			    value ? "" : f->name, value ? "empty" : " is missing", expected);
	}
}

/* Those of nested objects are not the object's own. */
static int decode_fields(struct decode *d, const struct schema *s, const struct node *node,
			 void *object, size_t *ret_errors)
{
	size_t own = 0;

	for (size_t i = 0; i < node->n_items; i++) {
		const struct field *f = find_field(s, node->items[i]->key);
		size_t before = diag__errors(d->diag);
		int err = 0;

		if (f)
			err = decode_field(d, f, node->items[i], object);
		else
			schema__tell_unknown(s, node->items[i], d->diag);
		if (err)
			return err;
		if (!f || (f->type != FIELD_OBJECT && f->type != FIELD_OBJECTS))
			own += diag__errors(d->diag) - before;
	}
	*ret_errors = own;
	return 0;
}

/* Sound: without errors but those of nested objects. */
static int decode_object(struct decode *d, const struct schema *s, const struct node *node,
			 void *object, bool *ret_sound)
{
	size_t before = diag__errors(d->diag), own = 0;
	int err = set_defaults(d->arena, s, object);

	*ret_sound = true;
	if (err || !node || node->kind == NODE_NULL)
		return err;
	if (s->node_offset)
		*(const struct node **)((char *)object + s->node_offset) = node;
	if (node->kind != NODE_MAPPING) {
		if (s->short_form)
			err = s->short_form(object, node, d->arena, d->diag);
		else
			diag__error(d->diag, node, "%s, expected a mapping",
				    schema__kind_name(node));
		*ret_sound = diag__errors(d->diag) == before;
		return err == -EINVAL ? 0 : err;
	}
	err = decode_fields(d, s, node, object, &own);
	if (err)
		return err;
	before = diag__errors(d->diag);
	require(d, s, node);
	own += diag__errors(d->diag) - before;
	if (s->check && !own) {
		s->check(object, node, d->diag);
		own = diag__errors(d->diag) - before;
	}
	*ret_sound = !own;
	return 0;
}

int schema__decode(const struct schema *s, const struct node *node, void *ret_object,
		   struct arena *arena, struct diag *diag)
{
	struct decode d = {.arena = arena, .diag = diag};
	size_t errors = diag__errors(diag);
	bool sound;
	int err = decode_object(&d, s, node, ret_object, &sound);

	if (err)
		return err;
	return diag__errors(diag) != errors ? -EINVAL : 0;
}
