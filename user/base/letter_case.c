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

/* Of the character of len bytes at p. */
static size_t convert(const char *p, size_t len, bool upper, char out[4])
{
	uint32_t code = utf8__code(p, len);

	if (table)
		code = upper ? towupper_l(code, table) : towlower_l(code, table);
	return utf8__encode(code, out);
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
