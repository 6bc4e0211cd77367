/* SPDX-License-Identifier: Apache-2.0 */
/* A template, a NUL, then a line and fields, each ended by a NUL: it runs twice with the same
 * result, and what fails says why. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "process/template.h"

#define FIELDS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(struct template *t, struct slots *slots, const char *p, const char *end)
{
	_arena_ struct arena arena = {.max = 64u << 20};
	struct value values[FIELDS_MAX] = {0};
	struct template_data d = {.values = values, .n_values = slots__count(slots)};
	const char *first, *second;
	size_t len, second_len;
	int err;

	d.n_values = MIN(d.n_values, FIELDS_MAX);
	d.entry = p;
	d.entry_len = strnlen(p, (size_t)(end - p));
	for (size_t i = 0; i < d.n_values && p < end; i++) {
		size_t n = strnlen(p, (size_t)(end - p));

		values[i] = (struct value){.kind = VALUE_STRING, .text = p, .len = n};
		d.value = values[i];
		p += n + 1;
	}
	err = template__run(t, &d, &arena, &first, &len);
	if (err == -EINVAL && !*template__why(t))
		abort();
	if (err)
		return;
	if (len > TEMPLATE_TEXT_MAX || first[len])
		abort();
	if (template__run(t, &d, &arena, &second, &second_len) == 0 &&
	    (len != second_len || memcmp(first, second, len) != 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct syntax_error error = {.offset = SIZE_MAX};
	_free_ char *text = malloc(size + 1);
	struct template *t = NULL;
	struct slots *slots = NULL;
	size_t len;
	int err;

	if (!text || slots__new(&slots))
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	len = strlen(text);
	err = template__new(&t, text, slots, &error);
	if (err == -EINVAL && (error.offset > len || !*error.text))
		abort();
	if (!err)
		run(t, slots, len < size ? text + len + 1 : text + size, text + size);
	template__free(t);
	slots__free(slots);
	return 0;
}
