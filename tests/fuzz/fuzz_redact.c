/* SPDX-License-Identifier: Apache-2.0 */
/* Hits lie in the text, one behind the other; each is found again alone, from where it begins. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "process/redact.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct redact_hit hit, again;
	_buf_ struct buf rest = {0};
	size_t at = 0;

	while (redact__find(REDACT_ALL, text, size, at, &hit)) {
		if (hit.start < at || hit.end <= hit.start || hit.end > size ||
		    hit.pattern >= REDACT_PATTERNS)
			abort();
		if (!redact__find(1u << hit.pattern, text, size, at, &again) ||
		    again.start > hit.start)
			abort();
		buf__append(&rest, text + at, hit.start - at);
		at = hit.end;
	}
	buf__append(&rest, text + at, size - at);
	/* Characters stay whole. */
	if (utf8__valid(text, size) && !utf8__valid(rest.data ? rest.data : "", rest.len))
		abort();
	return 0;
}
