/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON Schema (draft 7) for editors. A variable may stand for any number or boolean, so a text with
 * ${ in it is one too; null is as if the key were not there.
 */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "config/print.h"

struct schema_printer {
	FILE *out;
	int err;
};

static void newline(struct schema_printer *p, unsigned depth)
{
	fprintf(p->out, "\n%*s", (int)depth * 2, "");
}

static void print_string(struct schema_printer *p, const char *text)
{
	_buf_ struct buf b = {0};

	if (buf__append_json(&b, text, strlen(text)))
		p->err = -ENOMEM;
	fprintf(p->out, "\"%.*s\"", (int)b.len, b.len ? b.data : "");
}

static void print_object(struct schema_printer *p, const struct schema *s, unsigned depth);

static void print_names(struct schema_printer *p, const struct field *f)
{
	fputs("\"enum\": [", p->out);
	for (size_t i = 0; f->names[i]; i++) {
		if (!*f->names[i])
			continue;
		print_string(p, f->names[i]);
		fputs(", ", p->out);
	}
	fputs("null]", p->out);
}

/* Schemas have no way to say that letters' case does not matter. */
static void print_any_case(struct schema_printer *p, const struct field *f)
{
	fputs("\"type\": [\"string\", \"null\"], \"pattern\": \"^(", p->out);
	for (size_t i = 0; f->names[i]; i++) {
		fputs(i ? "|" : "", p->out);
		for (const char *c = f->names[i]; *c; c++) {
			char other = (char)(*c ^ 0x20);
			bool letter = (*c | 0x20) >= 'a' && (*c | 0x20) <= 'z';

			if (letter)
				fprintf(p->out, "[%c%c]", *c, other);
			else
				fputc(*c, p->out);
		}
	}
	fputs(")$\"", p->out);
}

static void print_bounds(struct schema_printer *p, const struct field *f)
{
	if (f->min || f->max)
		fprintf(p->out, ", \"minimum\": %lld, \"maximum\": %lld", (long long)f->min,
			(long long)f->max);
}

static void print_items(struct schema_printer *p, const struct schema *s, unsigned depth)
{
	fputs("\"type\": [\"array\", \"null\"], \"items\": ", p->out);
	print_object(p, s, depth);
}

/* What stands between the braces of a field. */
static void print_type(struct schema_printer *p, const struct field *f, unsigned depth)
{
	switch (f->type) {
	case FIELD_BOOL:
		fputs("\"anyOf\": [{\"type\": [\"boolean\", \"null\"]}, {\"$ref\": "
		      "\"#/definitions/variable\"}]",
		      p->out);
		break;
	case FIELD_INT:
	case FIELD_FLOAT:
		fprintf(p->out, "\"anyOf\": [{\"type\": [\"%s\", \"null\"]",
			f->type == FIELD_INT ? "integer" : "number");
		print_bounds(p, f);
		fputs("}, {\"$ref\": \"#/definitions/variable\"}]", p->out);
		break;
	case FIELD_STRING:
		fputs("\"type\": [\"string\", \"number\", \"boolean\", \"null\"]", p->out);
		break;
	case FIELD_DURATION:
		fputs("\"$ref\": \"#/definitions/duration\"", p->out);
		break;
	case FIELD_SIZE:
		fputs("\"$ref\": \"#/definitions/size\"", p->out);
		break;
	case FIELD_ENUM:
		fputs("\"anyOf\": [{", p->out);
		if (f->flags & FIELD_ANY_CASE)
			print_any_case(p, f);
		else
			print_names(p, f);
		fputs("}, {\"$ref\": \"#/definitions/variable\"}]", p->out);
		break;
	case FIELD_STRINGS:
		fputs("\"$ref\": \"#/definitions/strings\"", p->out);
		break;
	case FIELD_MAP:
		fputs("\"$ref\": \"#/definitions/map\"", p->out);
		break;
	case FIELD_OBJECTS:
		print_items(p, f->object, depth);
		break;
	case FIELD_STAGES:
		fputs("\"type\": [\"array\", \"null\"], \"items\": {\"$ref\": "
		      "\"#/definitions/stage\"}",
		      p->out);
		break;
	case FIELD_NODE:
		if (f->object)
			print_items(p, f->object, depth);
		break;
	case FIELD_OBJECT:
		break;
	}
}

static void print_default(struct schema_printer *p, const struct field *f)
{
	bool bare = f->type == FIELD_BOOL || f->type == FIELD_INT || f->type == FIELD_FLOAT;

	if (!f->dflt || f->type == FIELD_STRINGS)
		return;
	fputs(", \"default\": ", p->out);
	if (bare)
		fputs(f->dflt, p->out);
	else
		print_string(p, f->dflt);
}

static void print_field(struct schema_printer *p, const struct field *f, unsigned depth)
{
	_buf_ struct buf doc = {0};
	int err = 0;

	if (f->flags & FIELD_IGNORED)
		err = buf__append_str(&doc, "Not needed. ");
	else if (f->flags & FIELD_UNDONE)
		err = buf__append_str(&doc, "notail does not do this. ");
	else if (f->flags & FIELD_LATER)
		err = buf__append_str(&doc, "No effect yet. ");
	if (!err && f->doc)
		err = buf__append_str(&doc, f->doc);
	while (doc.len && doc.data[doc.len - 1] == ' ')
		doc.len--;
	if (!err)
		err = buf__append(&doc, "", 1);
	if (err) {
		p->err = err;
		return;
	}
	print_string(p, f->name);
	fputs(": ", p->out);
	if (f->type == FIELD_OBJECT) {
		print_object(p, f->object, depth);
		return;
	}
	fputs("{\"description\": ", p->out);
	print_string(p, doc.data);
	if (f->type != FIELD_NODE || f->object)
		fputs(", ", p->out);
	print_type(p, f, depth);
	print_default(p, f);
	fputc('}', p->out);
}

static void print_required(struct schema_printer *p, const struct schema *s)
{
	bool any = false;

	for (const struct field *f = s->fields; f->name; f++) {
		if (!(f->flags & FIELD_REQUIRED))
			continue;
		fputs(any ? ", " : ", \"required\": [", p->out);
		print_string(p, f->name);
		any = true;
	}
	if (any)
		fputc(']', p->out);
}

static void print_object(struct schema_printer *p, const struct schema *s, unsigned depth)
{
	if (s->short_form)
		fputs("{\"anyOf\": [{\"type\": [\"string\", \"number\", \"boolean\", \"array\"]}, ",
		      p->out);
	fputs("{\"type\": [\"object\", \"null\"], \"additionalProperties\": false", p->out);
	print_required(p, s);
	fputs(", \"properties\": {", p->out);
	for (const struct field *f = s->fields; f->name; f++) {
		newline(p, depth + 1);
		print_field(p, f, depth + 1);
		if (f[1].name)
			fputc(',', p->out);
	}
	newline(p, depth);
	fputs("}}", p->out);
	if (s->short_form)
		fputs("]}", p->out);
}

static void print_stages(struct schema_printer *p, const struct field *const *stages)
{
	fputs("    \"stage\": {\"type\": \"object\", \"minProperties\": 1, \"maxProperties\": 1, "
	      "\"additionalProperties\": false, \"properties\": {",
	      p->out);
	for (size_t i = 0; stages && stages[i]; i++) {
		newline(p, 3);
		print_field(p, stages[i], 3);
		if (stages[i + 1])
			fputc(',', p->out);
	}
	fputs("\n    }}\n", p->out);
}

int print__json_schema(const struct schema *s, const struct field *const *stages, FILE *out)
{
	struct schema_printer p = {.out = out};

	fputs("{\n"
	      "  \"$schema\": \"http://json-schema.org/draft-07/schema#\",\n"
	      "  \"title\": ",
	      out);
	print_string(&p, s->name);
	fputs(",\n"
	      "  \"definitions\": {\n"
	      "    \"variable\": {\"type\": \"string\", \"pattern\": \"\\\\$\\\\{\"},\n"
	      "    \"duration\": {\"type\": [\"string\", \"integer\", \"null\"], \"pattern\": "
	      "\"^(0|([0-9.]+(ns|us|\xc2\xb5s|\xce\xbcs|ms|s|m|h|d|w|y))+)$|\\\\$\\\\{\", "
	      "\"maximum\": 0, \"minimum\": 0},\n"
	      "    \"size\": {\"type\": [\"string\", \"integer\", \"null\"], \"pattern\": "
	      "\"^[0-9.]+ *([kKmMgGtT]i?)?[bB]?$|\\\\$\\\\{\", \"minimum\": 0},\n"
	      "    \"scalar\": {\"type\": [\"string\", \"number\", \"boolean\", \"null\"]},\n"
	      "    \"strings\": {\"anyOf\": [{\"$ref\": \"#/definitions/scalar\"}, {\"type\": "
	      "\"array\", \"items\": {\"$ref\": \"#/definitions/scalar\"}}]},\n"
	      "    \"map\": {\"type\": [\"object\", \"null\"], \"additionalProperties\": "
	      "{\"$ref\": "
	      "\"#/definitions/scalar\"}},\n",
	      out);
	print_stages(&p, stages);
	fputs("  },\n  \"allOf\": [", out);
	print_object(&p, s, 1);
	fputs("]\n}\n", out);
	if (p.err)
		return p.err;
	return fflush(out) || ferror(out) ? -EIO : 0;
}
