/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever is taken for an event becomes one line of valid UTF-8. */
#include <stdint.h>
#include <stdlib.h>

#include "kube/event_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_event_ struct event e = {0};

	if (event_json__parse((const char *)data, size, &e))
		return 0;
	for (int format = EVENT_LOGFMT; format <= EVENT_JSON; format++) {
		_buf_ struct buf out = {0};

		if (event__line(&e, (enum event_format)format, &out))
			abort();
		if (!utf8__valid(out.data, out.len) || memchr(out.data, '\n', out.len))
			abort();
	}
	event__time_ns(&e, 1);
	return 0;
}
