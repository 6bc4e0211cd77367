/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Presets: the label sets that people already query. `docker`: container, stream, compose_project,
 * compose_service, service_name (compose service, or the container's name), job="docker", host;
 * structured metadata: container_id, image, engine, pod_uid, outer_container_id (of one within a
 * container), and for a tty tty="true" (whose stream label is stdout, as runtimes do). A container
 * without a name is called by the first 12 digits of its id, and has its cgroup_path in the
 * metadata, as what has no id has.
 */
#ifndef NOTAIL_PROCESS_PRESET_H
#define NOTAIL_PROCESS_PRESET_H

#include "base/line.h"
#include "containers/meta.h"
#include "process/labels.h"

/* `host`: value of the label host. A sealed set, one reference to the caller. 0 or -ENOMEM. */
int preset__docker(const struct meta *m, enum line_stream stream, const char *host,
		   struct label_set **ret);

#endif
