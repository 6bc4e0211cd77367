/* SPDX-License-Identifier: Apache-2.0 */
/* Walks the one table of names; a counter that is not in it does not exist. */
#include <inttypes.h>

#include "status/counters.h"

void counters__print(const struct counters *c, FILE *out)
{
#define PRINT(field, metric, help)                                       \
	do {                                                             \
		uint64_t value = counters__get(c, field);                \
                                                                         \
		if (value)                                               \
			fprintf(out, "%s %" PRIu64 "\n", metric, value); \
	} while (0);
	COUNTERS(PRINT)
#undef PRINT
}
