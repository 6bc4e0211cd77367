/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LogQL as a match stage has it: a stream selector and line filters, such as
 * `{app="web", env=~"prod|test"} |= "error" !~ "debug.*"`. One thread.
 */
#ifndef NOTAIL_PROCESS_LOGQL_H
#define NOTAIL_PROCESS_LOGQL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "process/syntax.h"

struct logql;

/* 0; -EINVAL: *ret_error says why; -ENOMEM. */
int logql__new(struct logql **ret, const char *text, struct syntax_error *ret_error);
void logql__free(struct logql *q); /* NULL is fine */

/* The selector's matchers, and the label that each looks at. */
size_t logql__matchers(const struct logql *q);
const char *logql__label(const struct logql *q, size_t matcher);
/* The label's value passes the matcher; one that is not there is "". */
bool logql__label_matches(struct logql *q, size_t matcher, const char *value, size_t len);
/* The line passes all filters. One that hits the match limit of a regular expression does not. */
bool logql__line_matches(struct logql *q, const char *line, size_t len);

/* Matches that hit the limit, in all. */
uint64_t logql__limited(const struct logql *q);

#endif
