/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The C library's own table, of its locale C.UTF-8 whatever the environment says. Without that
 * locale (a C library older than 2.35, files missing) only ASCII has two cases.
 */
#include "base/letter_case.h"

#include <locale.h>
#include <pthread.h>
#include <stdint.h>
#include <wctype.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static locale_t table; /* 0: none */

static void open_table(void)
{
	table = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

static size_t encode(uint32_t code, char out[4])
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xc0 | code >> 6);
		out[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	if (code < 0x10000) {
		out[0] = (char)(0xe0 | code >> 12);
		out[1] = (char)(0x80 | (code >> 6 & 0x3f));
		out[2] = (char)(0x80 | (code & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | code >> 18);
	out[1] = (char)(0x80 | (code >> 12 & 0x3f));
	out[2] = (char)(0x80 | (code >> 6 & 0x3f));
	out[3] = (char)(0x80 | (code & 0x3f));
	return 4;
}

/* Of the character of len bytes at p. */
static size_t convert(const char *p, size_t len, bool upper, char out[4])
{
	uint32_t code = (unsigned char)*p & (0x7fu >> len);

	for (size_t i = 1; i < len; i++)
		code = code << 6 | ((unsigned char)p[i] & 0x3fu);
	if (table)
		code = upper ? towupper_l(code, table) : towlower_l(code, table);
	return encode(code, out);
}

int letter_case__append(struct buf *out, const char *text, size_t len, bool upper)
{
	const char *end = text + len;
	int err = buf__reserve(out, len);

	pthread_once(&once, open_table);
	for (const char *p = text; p < end && !err;) {
		size_t n = utf8__sequence(p, end), m = 1;
		char c[4] = {*p};

		if (n > 1)
			m = convert(p, n, upper, c);
		else if (*p >= 'a' && *p <= 'z' && upper)
			c[0] = (char)(*p - 32);
		else if (*p >= 'A' && *p <= 'Z' && !upper)
			c[0] = (char)(*p + 32);
		err = buf__append(out, c, m);
		p += n ? n : 1;
	}
	return err;
}
