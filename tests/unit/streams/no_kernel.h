/* SPDX-License-Identifier: Apache-2.0 */
/* What streams ask of the kernel side, where there is none: it knows no stream, and nothing ends.
 */
#ifndef NOTAIL_TESTS_NO_KERNEL_H
#define NOTAIL_TESTS_NO_KERNEL_H

#include <errno.h>

#include "streams/streams.h"

static inline int no_kernel__stream(void *ctx, const struct nt_stream_key *key,
				    struct nt_stream *ret)
{
	(void)ctx;
	(void)key;
	(void)ret;
	return -ENOENT;
}

static inline void no_kernel__forget(void *ctx, uint64_t cgroup_id)
{
	(void)ctx;
	(void)cgroup_id;
}

static inline void no_kernel__exclude(void *ctx, uint64_t cgroup_id, bool excluded)
{
	(void)ctx;
	(void)cgroup_id;
	(void)excluded;
}

static inline uint64_t no_kernel__misses(void *ctx, enum nt_tap tap)
{
	(void)ctx;
	(void)tap;
	return 0;
}

static inline bool no_kernel__lives(void *ctx, uint64_t cgroup_id)
{
	(void)ctx;
	(void)cgroup_id;
	return true;
}

static inline bool no_kernel__reads(void *ctx, uint32_t tgid)
{
	(void)ctx;
	(void)tgid;
	return true;
}

static inline bool no_kernel__holds(void *ctx, uint32_t tgid, const struct nt_stream_key *key)
{
	(void)ctx;
	(void)tgid;
	(void)key;
	return true;
}

static inline void no_kernel__orphans(void *ctx, stream_fn fn, void *arg)
{
	(void)ctx;
	(void)fn;
	(void)arg;
}

#endif
