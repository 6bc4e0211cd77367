/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Either a line for fixed expressions, or an expression (to the first newline) and a line for it.
 * What another parser takes has to be taken, with the same answers.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/util.h"
#include "process/json_path.h"

#define DEPTH 500

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const expressions[] = {"a", "a.b",	  "a[0]", "a[-1]", "b || c || 'x'",
					  "@", "a.b[1].c"};

static json_t *at(json_t *json, long index)
{
	long n = (long)json_array_size(json);

	index = index < 0 ? index + n : index;
	return index < 0 ? NULL : json_array_get(json, (size_t)index);
}

static void compare(const struct value *v, json_t *json)
{
	switch (json ? json_typeof(json) : JSON_NULL) {
	case JSON_STRING:
		if (v->kind != VALUE_STRING || v->len != json_string_length(json) ||
		    memcmp(v->text, json_string_value(json), v->len) != 0)
			abort();
		break;
	case JSON_INTEGER:
	case JSON_REAL:
		if (v->kind != VALUE_NUMBER || v->number != json_number_value(json))
			abort();
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		if (v->kind != VALUE_BOOL || v->boolean != json_is_true(json))
			abort();
		break;
	case JSON_NULL:
		if (v->kind != (json ? VALUE_NULL : VALUE_ABSENT))
			abort();
		break;
	default:
		if (v->kind != VALUE_STRING)
			abort();
		json = json_loadb(v->text, v->len, JSON_ALLOW_NUL, NULL);
		if (!json)
			abort();
		json_decref(json);
	}
}

static void oracle(const char *text, size_t len, const struct value *values, int result)
{
	json_t *json = json_loadb(text, len, JSON_ALLOW_NUL, NULL), *a;
	size_t depth = 0;

	for (size_t i = 0; i < len; i++)
		depth += text[i] == '{' || text[i] == '[';
	/* Jansson goes over a NUL behind a number. */
	if (json_is_object(json) && depth < DEPTH && !memchr(text, '\0', len)) {
		if (result)
			abort();
		a = json_object_get(json, "a");
		compare(&values[0], a);
		compare(&values[1], json_object_get(a, "b"));
		compare(&values[2], at(a, 0));
		compare(&values[3], at(a, -1));
		compare(&values[6], json_object_get(at(json_object_get(a, "b"), 1), "c"));
	}
	json_decref(json);
}

static void fixed(const char *text, size_t len)
{
	struct value values[ARRAY_SIZE(expressions)];
	_arena_ struct arena arena = {0};
	struct syntax_error error;
	struct json_paths *p;
	int result;

	if (json_paths__new(&p))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(expressions); i++)
		if (json_paths__add(p, expressions[i], &error))
			abort();
	result = json_paths__find(p, text, len, &arena, values);
	for (size_t i = 0; i < ARRAY_SIZE(expressions); i++)
		if (result == -EINVAL && values[i].kind != VALUE_ABSENT)
			abort();
	oracle(text, len, values, result);
	json_paths__free(p);
}

static void free_form(const char *text, size_t len)
{
	const char *line = memchr(text, '\n', len);
	_arena_ struct arena arena = {0};
	struct syntax_error error;
	struct json_paths *p;
	struct value value;
	_free_ char *expression = line ? strndup(text, (size_t)(line - text)) : NULL;

	if (!expression || json_paths__new(&p))
		return;
	if (json_paths__add(p, expression, &error) == 0)
		json_paths__find(p, line + 1, len - (size_t)(line + 1 - text), &arena, &value);
	else if (error.offset > strlen(expression) || !*error.text)
		abort();
	json_paths__free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size && data[0] == '{')
		fixed((const char *)data, size);
	else
		free_form((const char *)data, size);
	return 0;
}
