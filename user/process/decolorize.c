/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a sequence is, says the expression that Loki's decolorize has, written out: ESC or U+009B,
 * any of `[]()#;?`, and then either letters, digits and `;` up to a BEL, or numbers of up to four
 * digits with `;` between, and one last character. A last character that is missing is made up for
 * by the last digit.
 */
#include "process/decolorize.h"

#include <string.h>

#define ESC '\x1b'
#define BEL '\x07'

bool decolorize__wanted(const char *text, size_t len)
{
	return memchr(text, ESC, len) || memmem(text, len, "\xc2\x9b", 2);
}

static bool one_of(char c, const char *set)
{
	return c && strchr(set, c);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool ends_sequence(char c)
{
	return is_digit(c) || (c >= 'A' && c <= 'P') || (c >= 'f' && c <= 'n') ||
	       one_of(c, "RZctqry=><~");
}

static const char *skip_number(const char *p, const char *end)
{
	for (int i = 0; i < 4 && p < end && is_digit(*p); i++)
		p++;
	return p;
}

/* Behind the sequence that begins at p; p: there is none. */
static const char *skip_sequence(const char *p, const char *end)
{
	const char *start = p, *numbers, *q;

	if (*p == ESC)
		p++;
	else if (end - p > 1 && p[0] == '\xc2' && p[1] == '\x9b')
		p += 2;
	else
		return start;
	while (p < end && one_of(*p, "[]()#;?"))
		p++;
	for (q = p; q < end && (is_letter(*q) || is_digit(*q) || *q == ';');)
		q++;
	if (q < end && *q == BEL)
		return q + 1;
	numbers = p;
	p = skip_number(p, end);
	while (p > numbers && p < end && *p == ';')
		p = skip_number(p + 1, end);
	if (p < end && ends_sequence(*p))
		return p + 1;
	while (p > numbers && !is_digit(p[-1]))
		p--;
	return p > numbers ? p : start;
}

size_t decolorize__text(char *out, const char *text, size_t len)
{
	const char *end = text + len, *next;
	size_t n = 0;

	while (text < end) {
		next = skip_sequence(text, end);
		if (next == text)
			out[n++] = *text++;
		text = next > text ? next : text;
	}
	return n;
}
