/* SPDX-License-Identifier: Apache-2.0 */
/* A file of the time zone database: what is taken has sane offsets and names at all times. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "process/time_zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct time_zone *z;
	const char *name;
	int32_t offset;

	if (time_zone__parse(&z, data, size))
		return 0;
	for (int64_t t = -5000000000; t < 12000000000; t += 86413 * 211) {
		offset = time_zone__offset(z, t, &name);
		if (offset > 26 * 3600 || offset < -26 * 3600 || strlen(name) > 15)
			abort();
		if (labs(time_zone__offset_of_local(z, t)) > 26 * 3600)
			abort();
		time_zone__abbreviation(z, name, strlen(name), t, &offset);
	}
	time_zone__free(z);
	return 0;
}
