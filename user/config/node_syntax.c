/* SPDX-License-Identifier: Apache-2.0 */
/* What libyaml could not read, told so that it can be found and mended. */
#include "config/node_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/util.h"

/* The line `number` (from 0) begins here; the end when there is none. */
static const char *find_line(const char *text, const char *end, size_t number)
{
	for (; number && text < end; text++)
		if (*text == '\n')
			number--;
	return text;
}

static bool indented_by_tab(const char *line, const char *end)
{
	for (; line < end && (*line == ' ' || *line == '\t'); line++)
		if (*line == '\t')
			return true;
	return false;
}

void node__tell_unreadable(struct diag *d, const yaml_parser_t *p, const char *text,
			   const char *end)
{
	const char *at = text, *begin = text;
	unsigned line = 1, column = 1;
	size_t len;

	while (at < end && (len = utf8__sequence(at, end)))
		at += len;
	if (at < end)
		end = at;
	else
		end = text + MIN(p->problem_offset, (size_t)(end - text));
	for (const char *c = text; c < end; c++)
		if (*c == '\n') {
			line++;
			begin = c + 1;
		}
	for (; begin < end; begin++)
		column += (*begin & 0xc0) != 0x80;
	diag__error_at(d, line, column, "%s, expected text in UTF-8",
		       at == end    ? "a byte that is no UTF-8"
		       : p->problem ? p->problem
				    : "unreadable");
}

void node__tell_syntax(struct diag *d, const yaml_parser_t *p, const char *text, const char *end)
{
	const yaml_mark_t *mark = &p->problem_mark;
	const char *problem = p->problem ? p->problem : "it cannot be read", *begin;
	char where[40] = "";
	size_t column = 0;

	begin = find_line(text, end, mark->line);
	if (indented_by_tab(begin, end)) {
		while (begin[column] == ' ')
			column++;
		diag__error_at(d, (unsigned)mark->line + 1, (unsigned)column + 1,
			       "a tab, expected spaces to indent with");
		return;
	}
	/* What was not ended is where it began. */
	if (p->context && strstr(problem, "end of stream"))
		mark = &p->context_mark;
	else if (p->context && p->context_mark.line != mark->line)
		snprintf(where, sizeof(where), " from line %zu on", p->context_mark.line + 1);
	diag__error_at(d, (unsigned)mark->line + 1, (unsigned)mark->column + 1,
		       "no YAML: %s%s%s%s, expected another form or quotes here", problem,
		       p->context ? " " : "", p->context ? p->context : "", where);
}
