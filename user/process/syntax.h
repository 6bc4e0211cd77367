/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with an expression in a stage's options, and where in it. */
#ifndef NOTAIL_PROCESS_SYNTAX_H
#define NOTAIL_PROCESS_SYNTAX_H

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "base/util.h"

struct syntax_error {
	size_t offset; /* in the expression, bytes */
	char text[160];
};

/* Returns -EINVAL. */
static inline int _printf_(3, 4)
	syntax__fail(struct syntax_error *e, size_t offset, const char *fmt, ...)
{
	va_list args;

	e->offset = offset;
	va_start(args, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, args);
	va_end(args);
	return -EINVAL;
}

#endif
