/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML in block style. Text is plain where no reader could take it for anything else, in double
 * quotes with JSON's escapes (which are YAML's too) elsewhere.
 */
#include "config/print.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"

#define MASK "<secret>"
#define NOT_SHOWN (FIELD_IGNORED | FIELD_LATER | FIELD_UNDONE | FIELD_HIDDEN)

void print__duration(uint64_t ns, char *out, size_t size)
{
	static const struct {
		uint64_t ns;
		const char *name;
	} UNITS[] = {{3600 * NS_PER_SEC, "h"}, {60 * NS_PER_SEC, "m"}, {NS_PER_SEC, "s"},
		     {NS_PER_MS, "ms"},	       {1000, "us"},	       {1, "ns"}};
	size_t len = 0;

	if (!ns)
		snprintf(out, size, "0s");
	for (size_t i = 0; ns && i < ARRAY_SIZE(UNITS) && len < size; i++) {
		if (ns < UNITS[i].ns)
			continue;
		len += (size_t)snprintf(out + len, size - len, "%llu%s",
					(unsigned long long)(ns / UNITS[i].ns), UNITS[i].name);
		ns %= UNITS[i].ns;
	}
}

void print__size(uint64_t bytes, char *out, size_t size)
{
	static const char *const UNITS[] = {"", "KiB", "MiB", "GiB", "TiB"};
	size_t i = 0;

	while (bytes && !(bytes % 1024) && i + 1 < ARRAY_SIZE(UNITS)) {
		bytes /= 1024;
		i++;
	}
	snprintf(out, size, "%llu%s", (unsigned long long)bytes, UNITS[i]);
}

struct printer {
	FILE *out;
	int err;
};

static void indent(struct printer *p, unsigned depth)
{
	fprintf(p->out, "%*s", (int)depth * 2, "");
}

static bool is_plain(const char *text)
{
	static const char LETTERS[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	static const char *const NULLS[] = {"null", "Null", "NULL"};
	bool boolean;

	if (!strchr(LETTERS, *text) && *text != '/' && *text != '_')
		return false;
	for (const char *c = text; *c; c++)
		if (!strchr(LETTERS, *c) && !strchr("0123456789_./-", *c) &&
		    (*c != ':' || !c[1] || c[1] == ' '))
			return false;
	for (size_t i = 0; i < ARRAY_SIZE(NULLS); i++)
		if (!strcmp(text, NULLS[i]))
			return false;
	return *text && schema__bool(text, &boolean);
}

static bool is_name_start(char c)
{
	return c == '_' || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* What a reader would take for a variable, or for how one is not to be one, is escaped. */
static int escape_variables(struct buf *b, const char *text)
{
	int err = 0;

	for (const char *p = text; !err && *p; p++) {
		if (p[0] == '$' && p[1] == '{' &&
		    (is_name_start(p[2]) || (p > text && p[-1] == '$')))
			err = buf__append_str(b, "$");
		if (!err)
			err = buf__append(b, p, 1);
	}
	return err;
}

static void print_text(struct printer *p, const char *text)
{
	_buf_ struct buf escaped = {0}, quoted = {0};

	if (is_plain(text)) {
		fputs(text, p->out);
		return;
	}
	if (escape_variables(&escaped, text) ||
	    buf__append_json(&quoted, escaped.data, escaped.len)) {
		p->err = -ENOMEM;
		return;
	}
	fprintf(p->out, "\"%.*s\"", (int)quoted.len, quoted.len ? quoted.data : "");
}

/* `scheme://user:password@host`. */
static void print_masked(struct printer *p, const char *text)
{
	const char *begin = strstr(text, "://"), *end, *colon;
	_buf_ struct buf b = {0};

	if (begin) {
		begin += 3;
		end = begin + strcspn(begin, "/?#");
		end = memrchr(begin, '@', (size_t)(end - begin));
	}
	if (!begin || !end) {
		print_text(p, text);
		return;
	}
	colon = memchr(begin, ':', (size_t)(end - begin));
	begin = colon ? colon + 1 : begin;
	if (buf__append(&b, text, (size_t)(begin - text)) || buf__append_str(&b, MASK) ||
	    buf__append(&b, end, strlen(end) + 1)) {
		p->err = -ENOMEM;
		return;
	}
	print_text(p, b.data);
}

static void print_node(struct printer *p, const struct node *n, unsigned depth, bool inline_first);

static void print_item(struct printer *p, const struct node *n, unsigned depth)
{
	bool block = (n->kind == NODE_MAPPING || n->kind == NODE_SEQUENCE) && n->n_items;

	if (!block) {
		fputc(' ', p->out);
		print_node(p, n, depth, false);
		fputc('\n', p->out);
		return;
	}
	fputc('\n', p->out);
	print_node(p, n, depth, false);
}

/* `inline_first`: behind a `- `, whose indentation stands already. */
static void print_node(struct printer *p, const struct node *n, unsigned depth, bool inline_first)
{
	switch (n->kind) {
	case NODE_NULL:
		fputs("null", p->out);
		return;
	case NODE_SCALAR:
		if (!n->quoted && *n->text &&
		    strspn(n->text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "_./") == strlen(n->text))
			fputs(n->text, p->out);
		else
			print_text(p, n->text);
		return;
	default:
		break;
	}
	if (!n->n_items)
		fputs(n->kind == NODE_MAPPING ? "{}" : "[]", p->out);
	for (size_t i = 0; i < n->n_items; i++) {
		const struct node *item = n->items[i];

		if (!inline_first || i)
			indent(p, depth);
		if (n->kind == NODE_MAPPING) {
			print_text(p, item->key);
			fputc(':', p->out);
			print_item(p, item, depth + 1);
		} else if (item->kind == NODE_MAPPING && item->n_items) {
			fputs("- ", p->out);
			print_node(p, item, depth + 1, true);
		} else {
			fputc('-', p->out);
			print_item(p, item, depth + 1);
		}
	}
}

static void print_number(struct printer *p, const struct field *f, const void *value)
{
	char text[64];

	switch (f->type) {
	case FIELD_BOOL:
		fputs(*(const bool *)value ? "true" : "false", p->out);
		break;
	case FIELD_INT:
		fprintf(p->out, "%lld", (long long)*(const int64_t *)value);
		break;
	case FIELD_FLOAT:
		fprintf(p->out, "%.17g", *(const double *)value);
		break;
	case FIELD_DURATION:
		print__duration(*(const uint64_t *)value, text, sizeof(text));
		fputs(text, p->out);
		break;
	case FIELD_SIZE:
		print__size(*(const uint64_t *)value, text, sizeof(text));
		fputs(text, p->out);
		break;
	default:
		print_text(p, f->names[*(const int *)value]);
		break;
	}
}

static void print_map(struct printer *p, const struct field *f, const struct string_map *map,
		      unsigned depth)
{
	fputc('\n', p->out);
	for (size_t i = 0; i < map->n; i++) {
		indent(p, depth + 1);
		print_text(p, map->items[i].name);
		fputs(": ", p->out);
		print_text(p, f->flags & FIELD_SECRET ? MASK : map->items[i].value);
		fputc('\n', p->out);
	}
}

static bool print_object(struct printer *p, const struct schema *s, const void *object,
			 unsigned depth, bool inline_first);

static void print_objects(struct printer *p, const struct field *f, const struct object_list *list,
			  unsigned depth)
{
	fputc('\n', p->out);
	for (size_t i = 0; i < list->n; i++) {
		indent(p, depth + 1);
		fputs("- ", p->out);
		if (!print_object(p, f->object, (char *)list->items + i * f->object->size,
				  depth + 2, true))
			fputs("{}\n", p->out);
	}
}

static bool is_absent(const struct field *f, const void *value)
{
	switch (f->type) {
	case FIELD_STRING:
	case FIELD_NODE:
	case FIELD_STAGES:
		return !*(const void *const *)value;
	case FIELD_STRINGS:
		return !((const struct string_list *)value)->n;
	case FIELD_MAP:
		return !((const struct string_map *)value)->n;
	case FIELD_OBJECTS:
		return !((const struct object_list *)value)->n;
	case FIELD_ENUM:
		return !*f->names[*(const int *)value];
	default:
		return false;
	}
}

static void print_strings(struct printer *p, const struct string_list *list, unsigned depth)
{
	fputc('\n', p->out);
	for (size_t i = 0; i < list->n; i++) {
		indent(p, depth + 1);
		fputs("- ", p->out);
		print_text(p, list->items[i]);
		fputc('\n', p->out);
	}
}

/* Behind `name:`. */
static void print_field(struct printer *p, const struct field *f, const void *value, unsigned depth)
{
	switch (f->type) {
	case FIELD_STRINGS:
		print_strings(p, value, depth);
		return;
	case FIELD_MAP:
		print_map(p, f, value, depth);
		return;
	case FIELD_OBJECTS:
		print_objects(p, f, value, depth);
		return;
	case FIELD_NODE:
	case FIELD_STAGES:
		print_item(p, *(const struct node *const *)value, depth + 1);
		return;
	case FIELD_STRING:
		fputc(' ', p->out);
		if (f->flags & FIELD_SECRET)
			print_text(p, MASK);
		else
			print_masked(p, *(const char *const *)value);
		break;
	default:
		fputc(' ', p->out);
		print_number(p, f, value);
		break;
	}
	fputc('\n', p->out);
}

static bool has_something(const struct schema *s, const void *object)
{
	for (const struct field *f = s->fields; f->name; f++) {
		const void *value = (const char *)object + f->offset;

		if (f->flags & NOT_SHOWN)
			continue;
		if (f->type == FIELD_OBJECT ? has_something(f->object, value)
					    : !is_absent(f, value))
			return true;
	}
	return false;
}

/* An object that the file does not have, and whose defaults would say that it does. */
static bool is_left_out(const struct schema *s, const void *object)
{
	return s->node_offset &&
	       !*(const struct node *const *)((const char *)object + s->node_offset);
}

static bool print_object(struct printer *p, const struct schema *s, const void *object,
			 unsigned depth, bool inline_first)
{
	bool any = false;

	for (const struct field *f = s->fields; f->name; f++) {
		const void *value = (const char *)object + f->offset;

		if (f->flags & NOT_SHOWN || is_absent(f, value))
			continue;
		if (f->type == FIELD_OBJECT &&
		    (is_left_out(f->object, value) || !has_something(f->object, value)))
			continue;
		if (any || !inline_first)
			indent(p, depth);
		any = true;
		fprintf(p->out, "%s:", f->name);
		if (f->type == FIELD_OBJECT) {
			fputc('\n', p->out);
			print_object(p, f->object, value, depth + 1, false);
		} else {
			print_field(p, f, value, depth);
		}
	}
	return any;
}

int print__values(const struct schema *s, const void *object, FILE *out)
{
	struct printer p = {.out = out};

	print_object(&p, s, object, 0, false);
	if (p.err)
		return p.err;
	return fflush(out) || ferror(out) ? -EIO : 0;
}
