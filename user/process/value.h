/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pipeline has extracted from a line. Names are numbers: each name that a stage mentions has
 * a slot, given out when the pipeline is compiled, so that no line costs a look-up by name. Text is
 * borrowed from the line, the entry's arena or the pipeline.
 */
#ifndef NOTAIL_PROCESS_VALUE_H
#define NOTAIL_PROCESS_VALUE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

enum value_kind { VALUE_ABSENT, VALUE_STRING, VALUE_NUMBER, VALUE_BOOL, VALUE_NULL };

struct value {
	enum value_kind kind;
	bool boolean;
	double number;
	const char *text; /* of a string: any bytes */
	size_t len;
};

/* Names to slots, at compile time. */
struct slots;

int slots__new(struct slots **ret);
void slots__free(struct slots *s); /* NULL is fine */
/* The same name has the same slot. 0 or -ENOMEM. */
int slots__get(struct slots *s, const char *name, size_t *ret_slot);
size_t slots__count(const struct slots *s);
const char *slots__name(const struct slots *s, size_t slot);

/* As Promtail turns it into a string (Go's strconv: 'f', -1): *ret is borrowed or in the arena. 0;
 * -ENOENT: absent or null; -ENOMEM. */
int value__text(const struct value *v, struct arena *arena, const char **ret, size_t *ret_len);

#endif
