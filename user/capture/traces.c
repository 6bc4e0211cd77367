// SPDX-License-Identifier: Apache-2.0
/*
 * The contract is the map's type, its key (tgid << 32 | tid, of the initial pid namespace) and its
 * value (trace id, span id, in the order of W3C's header). What differs in one of them is another
 * version, whose values would be read wrongly: it is left alone. The number of entries is its
 * owner's business.
 */
#include "capture/traces.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "event.h"

static int check(int fd, const char *path)
{
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return -errno;
	if (info.type == BPF_MAP_TYPE_LRU_HASH && info.key_size == sizeof(__u64) &&
	    info.value_size == sizeof(struct nt_trace))
		return 0;
	log_warn("%s is no map of trace contexts that notail knows (type %u, key %u, value %u "
		 "bytes): lines have no trace_id",
		 path, info.type, info.key_size, info.value_size);
	return -EINVAL;
}

int traces__use(struct bpf_map *map, const char *path)
{
	_close_ int fd = -1;
	int r;

	if (!path)
		path = TRACES_PATH;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return -errno;
	r = check(fd, path);
	if (r == 0)
		r = bpf_map__reuse_fd(map, fd);
	if (r == 0)
		log_debug("trace ids are taken from %s", path);
	return r;
}
