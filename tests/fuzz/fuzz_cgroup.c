/* SPDX-License-Identifier: Apache-2.0 */
/* A cgroup's path as a container's user may choose it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "containers/cgroup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *text, size_t size)
{
	if (strnlen(text, size) == size)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cgroup_identity id;

	if (!cgroup__identify((const char *)data, size, &id))
		return 0;
	if (strlen(id.container_id) != CONTAINER_ID_LEN || !id.engine)
		abort();
	check(id.container_id, sizeof(id.container_id));
	check(id.outer_id, sizeof(id.outer_id));
	check(id.pod_uid, sizeof(id.pod_uid));
	check(id.qos, sizeof(id.qos));
	return 0;
}
