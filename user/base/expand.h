/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replacements with groups of a match, as Go's regexp.Expand: $1, ${1}, $name, ${name}, $$. $1_x is
 * the group named 1_x. A group that is not there or took no part is empty; a $ that begins none of
 * these is a $.
 */
#ifndef NOTAIL_BASE_EXPAND_H
#define NOTAIL_BASE_EXPAND_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/regex.h"

struct expand;

/* `re` gives the names; it need not outlive this. 0 or -ENOMEM. */
int expand__new(struct expand **ret, const char *text, const struct regex *re);
void expand__free(struct expand *e); /* NULL is fine */
/* Appends. `spans` are of a match of the same regex. 0 or -ENOMEM. */
int expand__append(const struct expand *e, const struct regex_span *spans, struct buf *out);
/* It has no group: the text is always the same. */
bool expand__constant(const struct expand *e);

#endif
