/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What templates can call: Go's own functions, Promtail's, and of sprig those of texts, numbers and
 * lists. Not the ones that read the host (env, now, getHostByName), that are random, or that make
 * keys. Each template_funcs_KIND.c has a table of its own at its end.
 */
#include "process/template_funcs.h"

#include <string.h>

#include "base/util.h"

const struct tfunc *template_func__find(const char *name, size_t len)
{
	static const struct tfunc *const tables[] = {
		template_funcs_text,   template_funcs_regex, template_funcs_logic,
		template_funcs_number, template_funcs_list,  template_funcs_print,
	};

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		for (const struct tfunc *f = tables[i]; f->name; f++)
			if (strlen(f->name) == len && memcmp(f->name, name, len) == 0)
				return f;
	return NULL;
}

void template_func__arity(const struct tfunc *f, size_t *ret_min, size_t *ret_max)
{
	size_t n = strcspn(f->params, "*+");
	char more = f->params[n];

	*ret_min = more == '*' ? n - 1 : n;
	*ret_max = more ? TEMPLATE_ARGS : n;
}
