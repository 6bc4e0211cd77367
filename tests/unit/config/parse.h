/* SPDX-License-Identifier: Apache-2.0 */
/* A document from a text, with an environment of a few variables, and the messages as one text. */
#ifndef NOTAIL_TESTS_CONFIG_PARSE_H
#define NOTAIL_TESTS_CONFIG_PARSE_H

#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "config/diag.h"
#include "config/node.h"

static inline const char *test_env(void *ctx, const char *name)
{
	static const char *const VARIABLES[][2] = {
		{"HOST", "db-1"},   {"PORT", "3100"},	 {"EMPTY", ""},
		{"TRICK", "a: [b"}, {"app", "variable"},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(VARIABLES); i++)
		if (!strcmp(VARIABLES[i][0], name))
			return VARIABLES[i][1];
	return NULL;
}

static inline void messages(const struct diag *d, char *out, size_t size)
{
	_free_ char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	diag__print(d, f);
	fclose(f);
	snprintf(out, size, "%s", text);
}

#endif
