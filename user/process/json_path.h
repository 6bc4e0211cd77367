/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JMESPath expressions over a line of JSON, all of a stage's in one pass. Of the language: names
 * (`a`, `"a-b"`), `a.b.c`, indexes (`a[0]`, `a[-1]`), `@`, pipes between these, and alternatives
 * (`level || severity || 'info'`) with literals. Nothing that makes lists or objects, compares or
 * calls.
 */
#ifndef NOTAIL_PROCESS_JSON_PATH_H
#define NOTAIL_PROCESS_JSON_PATH_H

#include "base/arena.h"
#include "process/syntax.h"
#include "process/value.h"

#define JSON_PATH_STEPS 32	  /* of one path */
#define JSON_PATH_ALTERNATIVES 16 /* of one expression */

struct json_paths;

int json_paths__new(struct json_paths **ret);
void json_paths__free(struct json_paths *p); /* NULL is fine */
/* The expressions are numbered in the order in which they are added. 0; -EINVAL: *ret_error says
 * why; -ENOMEM: the set can only be freed. */
int json_paths__add(struct json_paths *p, const char *expression, struct syntax_error *ret_error);
/*
 * Fills in a value for each expression, VALUE_ABSENT where it finds nothing. Text is borrowed from
 * `text`, the arena or the set. 0; -EINVAL: `text` is no JSON object (nor null): nothing is found;
 * -ENOMEM: what there was memory for is.
 */
int json_paths__find(struct json_paths *p, const char *text, size_t len, struct arena *arena,
		     struct value *ret_values);

#endif
