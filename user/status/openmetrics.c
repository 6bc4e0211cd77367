/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One way of printing is enough: the two formats differ in the lines before a family's samples. The
 * HELP waits for the TYPE behind it, which says what the family is called.
 */
#include "status/openmetrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HELP "# HELP "
#define TYPE "# TYPE "
#define TOTAL "_total"

struct span {
	const char *at;
	size_t len;
};

/* In thousandths; a weight that is none is 1. */
static int weight(const char *params, size_t len)
{
	for (const char *p = params, *end = params + len; p < end; p++) {
		if (*p != ';')
			continue;
		p++;
		while (p < end && *p == ' ')
			p++;
		if (end - p > 2 && (*p == 'q' || *p == 'Q') && p[1] == '=')
			return (int)(1000 * strtod(p + 2, NULL));
	}
	return 1000;
}

bool openmetrics__wanted(const char *accept)
{
	static const char OPEN[] = "application/openmetrics-text", PLAIN[] = "text/plain";
	int open = 0, plain = 0;

	for (const char *p = accept; p && *p;) {
		size_t len, name;

		p += strspn(p, " ,");
		len = strcspn(p, ",");
		name = strcspn(p, ",; ");
		if (name == strlen(OPEN) && !strncasecmp(p, OPEN, name))
			open = weight(p, len);
		else if (name == strlen(PLAIN) && !strncasecmp(p, PLAIN, name))
			plain = weight(p, len);
		p += len;
	}
	return open > 0 && open >= plain;
}

static bool ends_with(struct span s, const char *with)
{
	size_t len = strlen(with);

	return s.len > len && !memcmp(s.at + s.len - len, with, len);
}

/* The first word behind the prefix, and the rest. */
static struct span word_of(struct span line, const char *prefix, struct span *rest)
{
	struct span w = {line.at + strlen(prefix), line.len - strlen(prefix)};
	const char *blank = memchr(w.at, ' ', w.len);
	size_t len = blank ? (size_t)(blank - w.at) : w.len;

	*rest = (struct span){w.at + len, w.len - len};
	if (rest->len) {
		rest->at++;
		rest->len--;
	}
	w.len = len;
	return w;
}

static int put(struct buf *out, struct span s)
{
	return buf__append(out, s.at, s.len);
}

static int put_line(struct buf *out, const char *prefix, struct span name, const char *text)
{
	int err = buf__append_str(out, prefix);

	if (!err)
		err = put(out, name);
	return err ? err : buf__printf(out, " %s\n", text);
}

/* Quotes are escaped there. */
static int put_help(struct buf *out, struct span name, struct span text)
{
	int err = put_line(out, HELP, name, "");

	if (!err)
		out->len--; /* the newline */
	for (size_t i = 0; i < text.len && !err; i++) {
		if (text.at[i] == '"')
			err = buf__append_str(out, "\\");
		if (!err)
			err = buf__append(out, text.at + i, 1);
	}
	return err ? err : buf__append_str(out, "\n");
}

static int put_family(struct buf *out, struct span type_line, struct span help_line)
{
	struct span type, help = {0}, name = word_of(type_line, TYPE, &type);
	bool counter = type.len == 7 && !memcmp(type.at, "counter", 7);
	char kind[16];
	int err;

	if (help_line.at)
		word_of(help_line, HELP, &help);
	snprintf(kind, sizeof(kind), "%.*s", (int)MIN(type.len, sizeof(kind) - 1), type.at);
	if (counter && ends_with(name, TOTAL))
		name.len -= strlen(TOTAL);
	else if (counter)
		snprintf(kind, sizeof(kind), "unknown");
	err = put_line(out, TYPE, name, kind);
	if (!err && ends_with(name, "_seconds"))
		err = put_line(out, "# UNIT ", name, "seconds");
	else if (!err && ends_with(name, "_bytes"))
		err = put_line(out, "# UNIT ", name, "bytes");
	if (!err && help.len)
		err = put_help(out, name, help);
	return err;
}

static bool begins(struct span s, const char *with)
{
	return s.len >= strlen(with) && !memcmp(s.at, with, strlen(with));
}

int openmetrics__from_text(const char *text, size_t len, struct buf *out)
{
	struct span help = {0};
	int err = 0;

	for (size_t at = 0; at < len && !err;) {
		const char *newline = memchr(text + at, '\n', len - at);
		struct span line = {text + at, newline ? (size_t)(newline - text) - at : len - at};

		at += line.len + 1;
		if (begins(line, HELP)) {
			help = line;
		} else if (begins(line, TYPE)) {
			err = put_family(out, line, help);
			help = (struct span){0};
		} else if (line.len && *line.at != '#') {
			err = put(out, line);
			if (!err)
				err = buf__append_str(out, "\n");
		}
	}
	return err ? err : buf__append_str(out, "# EOF\n");
}
