/* SPDX-License-Identifier: Apache-2.0 */
/* What a parsing stage reads: the line, or the extracted value that its option `source` names. */
#ifndef NOTAIL_PROCESS_SOURCE_H
#define NOTAIL_PROCESS_SOURCE_H

#include <errno.h>

#include "process/stage.h"

#define SOURCE_DOC "The extracted value to read; without it, the line."

struct source {
	bool named;
	size_t slot;
};

/* `name` NULL: the line. `options`: of the stage. 0, -EINVAL, -ENOMEM. */
static inline int source__compile(const struct stage_env *env, const char *name,
				  const struct node *options, struct source *ret)
{
	if (name && !*name) {
		diag__error(env->diag, node__get(options, "source"),
			    "empty, expected the name of an extracted value");
		return -EINVAL;
	}
	ret->named = name;
	return name ? stage_env__slot(env, name, &ret->slot) : 0;
}

/* Of two results of compiling the one to return, so that a stage can say all that is wrong. */
static inline int source__worse(int a, int b)
{
	return a == -ENOMEM || !b ? a : b;
}

/* False: there is nothing to read. */
static inline bool source__text(const struct source *s, struct entry *e, const char **ret,
				size_t *ret_len)
{
	if (s->named)
		return entry__text(e, s->slot, ret, ret_len);
	*ret = e->line;
	*ret_len = e->len;
	return true;
}

static inline void source__set(const struct source *s, struct entry *e, const char *text,
			       size_t len)
{
	if (s->named) {
		entry__set_value(e, s->slot, text, len);
		return;
	}
	e->line = text;
	e->len = len;
}

#endif
