/* SPDX-License-Identifier: Apache-2.0 */
/* An expression, to the last newline, and a line for it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "process/logql.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data, *line = memrchr(text, '\n', size);
	struct syntax_error error = {.offset = SIZE_MAX};
	_free_ char *expression = line ? strndup(text, (size_t)(line - text)) : NULL;
	size_t len = line ? size - (size_t)(line + 1 - text) : 0;
	struct logql *q;

	if (!expression)
		return 0;
	if (logql__new(&q, expression, &error)) {
		if (error.offset > strlen(expression) || !*error.text)
			abort();
		return 0;
	}
	if (!logql__matchers(q))
		abort();
	for (size_t i = 0; i < logql__matchers(q); i++) {
		if (!*logql__label(q, i))
			abort();
		logql__label_matches(q, i, line + 1, len);
	}
	logql__line_matches(q, line + 1, len);
	logql__free(q);
	return 0;
}
