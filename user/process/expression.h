/* SPDX-License-Identifier: Apache-2.0 */
/* The option `expression` of the stages that have one. */
#ifndef NOTAIL_PROCESS_EXPRESSION_H
#define NOTAIL_PROCESS_EXPRESSION_H

#include <errno.h>

#include "base/regex.h"
#include "process/stage.h"

/* `options`: of the stage. To free. 0, -EINVAL, -ENOMEM. */
static inline int expression__compile(const struct stage_env *env, const char *expression,
				      const struct node *options, struct regex **ret)
{
	const struct node *node = node__get(options, "expression");
	struct regex_error why;
	int err;

	if (!expression || !*expression) {
		diag__error(env->diag, node ? node : options,
			    "empty, expected a regular expression");
		return -EINVAL;
	}
	err = regex__new(ret, expression, false, &why);
	if (err == -EINVAL)
		diag__error(env->diag, node, "invalid regex at offset %zu: %s", why.offset,
			    why.text);
	return err;
}

#endif
