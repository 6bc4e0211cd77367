/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots are few and asked for at compile time only: an array is searched. A number's text is the
 * shortest that reads back as the same, in plain notation, as Go's FormatFloat(v, 'f', -1, 64).
 */
#include "process/value.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define DIGITS_MAX 17
#define NUMBER_TEXT 400 /* 309 digits before the point, or as many zeros behind it */

struct slots {
	char **names;
	size_t n;
};

int slots__new(struct slots **ret)
{
	struct slots *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	*ret = s;
	return 0;
}

void slots__free(struct slots *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++)
		free(s->names[i]);
	free(s->names);
	free(s);
}

int slots__get(struct slots *s, const char *name, size_t *ret_slot)
{
	char **grown;

	for (size_t i = 0; i < s->n; i++) {
		if (strcmp(s->names[i], name) == 0) {
			*ret_slot = i;
			return 0;
		}
	}
	grown = reallocarray(s->names, s->n + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	s->names = grown;
	grown[s->n] = strdup(name);
	if (!grown[s->n])
		return -ENOMEM;
	*ret_slot = s->n++;
	return 0;
}

size_t slots__count(const struct slots *s)
{
	return s->n;
}

const char *slots__name(const struct slots *s, size_t slot)
{
	return s->names[slot];
}

static size_t print_integer(int64_t number, char text[NUMBER_TEXT])
{
	uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
	char digits[24], *first = digits + sizeof(digits);
	size_t len;

	do {
		*--first = (char)('0' + rest % 10);
	} while (rest /= 10);
	if (number < 0)
		*--first = '-';
	len = (size_t)(digits + sizeof(digits) - first);
	memcpy(text, first, len);
	return len;
}

/* Returns the length. */
static size_t print_number(double number, char text[NUMBER_TEXT])
{
	char digits[32];
	int precision = 1, exponent, len;

	if (isnan(number))
		return (size_t)snprintf(text, NUMBER_TEXT, "NaN");
	if (isinf(number))
		return (size_t)snprintf(text, NUMBER_TEXT, "%cInf", number < 0 ? '-' : '+');
	if (number == trunc(number) && fabs(number) < 1e15 && (number != 0 || !signbit(number)))
		return print_integer((int64_t)number, text);
	do {
		snprintf(digits, sizeof(digits), "%.*e", precision - 1, number);
	} while (strtod(digits, NULL) != number && precision++ < DIGITS_MAX);
	exponent = atoi(strchr(digits, 'e') + 1);
	if (exponent >= precision - 1) {
		/* The digits that count, then zeros: printf would go on with the exact ones. */
		char *d = digits, *out = text;

		for (; *d != 'e'; d++)
			if (*d != '.')
				*out++ = *d;
		for (int i = precision - 1; i < exponent; i++)
			*out++ = '0';
		return (size_t)(out - text);
	}
	len = snprintf(text, NUMBER_TEXT, "%.*f", precision - 1 - exponent, number);
	return (size_t)len;
}

int value__text(const struct value *v, struct arena *arena, const char **ret, size_t *ret_len)
{
	char text[NUMBER_TEXT];
	size_t len;
	char *copy;

	switch (v->kind) {
	case VALUE_STRING:
		*ret = v->text;
		*ret_len = v->len;
		return 0;
	case VALUE_BOOL:
		*ret = v->boolean ? "true" : "false";
		*ret_len = strlen(*ret);
		return 0;
	case VALUE_NUMBER:
		len = print_number(v->number, text);
		copy = arena__copy(arena, text, len);
		if (!copy)
			return -ENOMEM;
		*ret = copy;
		*ret_len = len;
		return 0;
	case VALUE_ABSENT:
	case VALUE_NULL:
		break;
	}
	return -ENOENT;
}
