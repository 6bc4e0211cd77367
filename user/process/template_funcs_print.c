/* SPDX-License-Identifier: Apache-2.0 */
/* Functions that print values as Go does: side by side, formatted, quoted, escaped. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "process/template_funcs.h"

enum { PRINT, PRINTLN, PRINT_SPACED };

/* print: a space between two that are both no texts; println: between all. */
static int print_all(struct buf *b, const struct tvalue *args, size_t n, int how)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		if (i &&
		    (how != PRINT || (args[i].kind != T_STRING && args[i - 1].kind != T_STRING)))
			err = tbuf__char(b, ' ', 1);
		if (!err)
			err = tbuf__value(b, &args[i], "<nil>");
	}
	return err || how != PRINTLN ? err : tbuf__char(b, '\n', 1);
}

CALL(call_print)
{
	return give_scratch(r, print_all(scratch(r), args, n, e->func->number), ret);
}

CALL(call_printf)
{
	int err = tbuf__format(scratch(r), args[0].text, args[0].len, args + 1, n - 1);

	return give_scratch(r, err, ret);
}

/* What is printed, each byte as `put` has it. What is not there is a text here, unlike to print. */
static int escape(struct trun *r, struct tvalue *args, size_t n, int (*put)(struct buf *b, char c),
		  struct tvalue *ret)
{
	struct buf *b = scratch(r);
	struct tvalue text;
	int err;

	for (size_t i = 0; i < n; i++)
		if (args[i].kind == T_NONE)
			give_part(&args[i], "<no value>", strlen("<no value>"));
	err = give_scratch(r, print_all(b, args, n, PRINT), &text);
	scratch(r);
	for (size_t i = 0; !err && i < text.len; i++)
		err = put(b, text.text[i]);
	return give_scratch(r, err, ret);
}

static int put_html(struct buf *b, char c)
{
	static const char from[] = "<>&'\"";
	static const char *const to[] = {"&lt;", "&gt;", "&amp;", "&#39;", "&#34;"};
	const char *at = c ? strchr(from, c) : NULL;
	const char *as = at ? to[at - from] : NULL;

	return as ? tbuf__put(b, as, strlen(as)) : tbuf__char(b, c, 1);
}

CALL(call_html)
{
	return escape(r, args, n, put_html, ret);
}

static int put_query(struct buf *b, char c)
{
	unsigned char byte = (unsigned char)c;
	char code[4];

	if ((isascii(byte) && isalnum(byte)) || (c && strchr("-_.~", c)))
		return tbuf__char(b, c, 1);
	if (c == ' ')
		return tbuf__char(b, '+', 1);
	return tbuf__put(b, code, (size_t)snprintf(code, sizeof(code), "%%%02X", byte));
}

CALL(call_urlquery)
{
	return escape(r, args, n, put_query, ret);
}

/* quote, and with number 1 squote */
CALL(call_quote)
{
	char mark = e->func->number ? '\'' : '"';
	struct buf *b = scratch(r);
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		if (args[i].kind == T_NONE)
			continue;
		if (b->len)
			err = tbuf__char(b, ' ', 1);
		if (err)
			break;
		if (mark == '"' && args[i].kind == T_STRING)
			err = tbuf__quote(b, args[i].text, args[i].len);
		else
			err = tbuf__char(b, mark, 1) ?: tbuf__value(b, &args[i], "") ?:
			      tbuf__char(b, mark, 1);
	}
	return give_scratch(r, err, ret);
}

CALL(call_cat)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (args[i].kind != T_NONE)
			args[kept++] = args[i];
	return give_scratch(r, print_all(scratch(r), args, kept, PRINT_SPACED), ret);
}

CALL(call_to_string)
{
	return give_scratch(r, tbuf__value(scratch(r), &args[0], "<nil>"), ret);
}

const struct tfunc template_funcs_print[] = {
	{"print", "a*", call_print, PRINT},   {"println", "a*", call_print, PRINTLN},
	{"printf", "sa*", call_printf, 0},    {"html", "a*", call_html, 0},
	{"urlquery", "a*", call_urlquery, 0}, {"quote", "a*", call_quote, 0},
	{"squote", "a*", call_quote, 1},      {"cat", "a*", call_cat, 0},
	{"toString", "a", call_to_string, 0}, {0},
};
