/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A section is one block of comments: without the first `#` of its lines it is YAML that says the
 * defaults, and what is for people is still a comment in it.
 */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/util.h"
#include "config/print.h"

#define WIDTH 100
#define NOT_SHOWN (FIELD_IGNORED | FIELD_LATER | FIELD_UNDONE | FIELD_HIDDEN)

static void wrap(FILE *out, unsigned indent, const char *text)
{
	size_t column = 0;

	while (*text) {
		size_t len = strcspn(text, " ");

		if (column && column + 1 + len > WIDTH) {
			fputc('\n', out);
			column = 0;
		}
		if (!column)
			column = (size_t)(indent ? fprintf(out, "#%*s#", (int)indent, "")
						 : fprintf(out, "#"));
		column += (size_t)fprintf(out, " %.*s", (int)len, text);
		text += len + (text[len] == ' ');
	}
	fputc('\n', out);
}

static void print_choices(FILE *out, unsigned indent, const struct field *f)
{
	char text[200] = "One of";

	for (size_t i = 0; f->names[i]; i++) {
		size_t len = strlen(text);

		snprintf(text + len, sizeof(text) - len, "%s %s", i ? "," : "", f->names[i]);
	}
	strncat(text, ".", sizeof(text) - strlen(text) - 1);
	wrap(out, indent, text);
}

static const char *default_text(const struct field *f)
{
	if (f->example)
		return f->example;
	if (f->dflt)
		return f->dflt;
	switch (f->type) {
	case FIELD_STRINGS:
	case FIELD_NODE:
	case FIELD_STAGES:
		return "[]";
	case FIELD_MAP:
		return "{}";
	case FIELD_STRING:
		return "null";
	default:
		return "0";
	}
}

static bool is_shown(const struct field *f)
{
	if (f->flags & NOT_SHOWN || !f->doc)
		return false;
	if (f->type != FIELD_OBJECT && f->type != FIELD_OBJECTS)
		return true;
	for (const struct field *inner = f->object->fields; inner->name; inner++)
		if (is_shown(inner))
			return true;
	return false;
}

/* `dash`: the first setting begins an item of a list. */
static void print_fields(FILE *out, const struct schema *s, unsigned indent, bool dash)
{
	for (const struct field *f = s->fields; f->name; f++) {
		unsigned here = dash ? indent - 2 : indent;

		if (!is_shown(f))
			continue;
		if (!indent)
			fputc('\n', out);
		wrap(out, here, f->doc);
		if (f->type == FIELD_ENUM)
			print_choices(out, here, f);
		fprintf(out, "#%*s%s%s:", (int)here, "", dash ? "- " : "", f->name);
		dash = false;
		if (f->type == FIELD_OBJECT || f->type == FIELD_OBJECTS) {
			fputc('\n', out);
			print_fields(out, f->object, indent + (f->type == FIELD_OBJECT ? 2 : 4),
				     f->type == FIELD_OBJECTS);
		} else {
			fprintf(out, " %s\n", default_text(f));
		}
	}
}

int print__default_file(const struct schema *s, FILE *out)
{
	fputs("# notail's configuration, /etc/notail/notail.yaml. Each setting is optional and "
	      "shown "
	      "with its default\n"
	      "# or, where it has none, with an example. Options of the command line come first.\n"
	      "# ${NAME}, ${NAME:-default} and ${NAME:?message} are variables of the environment, "
	      "$${ is a plain ${.\n"
	      "# Durations: 500ms, 1h30m, 1d. Sizes: 64KiB, 1MiB. `notail check-config FILE` tells "
	      "what is wrong with one.\n",
	      out);
	print_fields(out, s, 0, false);
	return fflush(out) || ferror(out) ? -EIO : 0;
}
