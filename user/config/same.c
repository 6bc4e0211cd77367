/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which settings differ between two configurations, of those that are looked at only when notail
 * starts. By the tables: a section that is added is compared unless it is named here.
 */
#include <string.h>

#include "config/config.h"

static const char *const RELOADED[] = {"external_labels",
				       "preset",
				       "preset_pod",
				       "relabel_configs",
				       "pipeline_stages",
				       "scrape_configs",
				       "limits",
				       "log",
				       "client",
				       "events", /* another process has them */
				       NULL};

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool same_strings(const struct string_list *a, const struct string_list *b)
{
	for (size_t i = 0; i < a->n && i < b->n; i++)
		if (!same_text(a->items[i], b->items[i]))
			return false;
	return a->n == b->n;
}

static bool same_maps(const struct string_map *a, const struct string_map *b)
{
	for (size_t i = 0; i < a->n && i < b->n; i++)
		if (!same_text(a->items[i].name, b->items[i].name) ||
		    !same_text(a->items[i].value, b->items[i].value))
			return false;
	return a->n == b->n;
}

static bool same_objects(const struct schema *s, const void *a, const void *b);

static bool same_lists(const struct schema *s, const struct object_list *a,
		       const struct object_list *b)
{
	for (size_t i = 0; i < a->n && i < b->n; i++)
		if (!same_objects(s, (const char *)a->items + i * s->size,
				  (const char *)b->items + i * s->size))
			return false;
	return a->n == b->n;
}

static bool same_field(const struct field *f, const void *a, const void *b)
{
	a = (const char *)a + f->offset;
	b = (const char *)b + f->offset;
	switch (f->type) {
	case FIELD_BOOL:
		return *(const bool *)a == *(const bool *)b;
	case FIELD_INT:
	case FIELD_DURATION:
	case FIELD_SIZE:
		return *(const uint64_t *)a == *(const uint64_t *)b;
	case FIELD_FLOAT:
		return *(const double *)a == *(const double *)b;
	case FIELD_ENUM:
		return *(const int *)a == *(const int *)b;
	case FIELD_STRING:
		return same_text(*(const char *const *)a, *(const char *const *)b);
	case FIELD_STRINGS:
		return same_strings(a, b);
	case FIELD_MAP:
		return same_maps(a, b);
	case FIELD_OBJECT:
		return same_objects(f->object, a, b);
	case FIELD_OBJECTS:
		return same_lists(f->object, a, b);
	case FIELD_NODE:
	case FIELD_STAGES:
		break;
	}
	return true;
}

static bool same_objects(const struct schema *s, const void *a, const void *b)
{
	for (const struct field *f = s->fields; f->name; f++)
		if (!(f->flags & (FIELD_IGNORED | FIELD_LATER | FIELD_UNDONE | FIELD_RELOADED)) &&
		    !same_field(f, a, b))
			return false;
	return true;
}

static bool is_reloaded(const char *name)
{
	for (const char *const *p = RELOADED; *p; p++)
		if (!strcmp(*p, name))
			return true;
	return false;
}

const char *config__restart(const struct config *a, const struct config *b)
{
	for (const struct field *f = config_schema.fields; f->name; f++)
		if (!is_reloaded(f->name) &&
		    !(f->flags & (FIELD_IGNORED | FIELD_LATER | FIELD_UNDONE)) &&
		    !same_field(f, a, b))
			return f->name;
	return a->limits.memory == b->limits.memory ? NULL : "limits.memory";
}
