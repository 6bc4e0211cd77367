/* SPDX-License-Identifier: Apache-2.0 */
/* Which trace a thread works for, from the map that OpenTelemetry's eBPF instrumentation pins. */
#ifndef NOTAIL_CAPTURE_TRACES_H
#define NOTAIL_CAPTURE_TRACES_H

struct bpf_map;

#define TRACES_PATH "/sys/fs/bpf/otel/traces_ctx_v1"

/*
 * Before load: `map` becomes the map that is pinned at `path` (NULL: TRACES_PATH). -ENOENT: there
 * is none; -EINVAL: what is there is no such map (said in the log). In both cases `map` stays one
 * of its own, and empty.
 */
int traces__use(struct bpf_map *map, const char *path);

#endif
