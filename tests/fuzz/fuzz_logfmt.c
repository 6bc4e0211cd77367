/* SPDX-License-Identifier: Apache-2.0 */
/* Pairs lie in the text or the arena, and what is left gets shorter with each. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "process/logfmt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data, *before = text;
	struct logfmt l = {.p = text, .end = text + size};
	_arena_ struct arena arena = {0};
	struct logfmt_pair pair;

	while (logfmt__next(&l, &arena, &pair) == 1) {
		if (l.p <= before || l.p > l.end || pair.key < before || !pair.key_len ||
		    pair.key + pair.key_len > l.p || memchr(pair.key, '=', pair.key_len))
			abort();
		/* Reads all of it, under the sanitizer. */
		if (memchr(pair.value, '\n', pair.value_len) && pair.value >= text &&
		    pair.value < l.end)
			abort();
		before = l.p;
	}
	return 0;
}
