/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that a stream had and the ring has not: a gap among its lines, counted by its reason. */
#include "streams/internal.h"

#include "assemble/attribute.h"
#include "base/clock.h"
#include "base/log.h"

#define WARN_NS NS_PER_SEC

static const char *const LOST_NAMES[NT_LOST_MAX] = {
	[NT_LOST_RING_FULL] = "ring_full",
	[NT_LOST_UNREADABLE] = "unreadable",
	[NT_LOST_TOO_LONG] = "too_long",
	[NT_LOST_RATE_LIMIT] = "rate_limit",
	[NT_LOST_ORPHANED] = "orphaned",
};

/* The gap tells where; this tells whoever watches notail, and --stdout=raw, which shows no gaps. */
static void stream__warn(struct stream *st, const char *reason)
{
	struct streams *s = st->owner;
	uint64_t now_ns = clock__boot_ns();
	const char *name;

	if (now_ns - s->warned_ns < WARN_NS)
		return;
	name = stream__name(s, st);
	if (!name)
		return;
	s->warned_ns = now_ns;
	log_warn("%s %s: bytes of the log are lost: %s (--stats counts them)", name,
		 stream__file_name(st->file), reason);
}

void stream__tell_gap(struct stream *st, uint64_t bytes, uint64_t calls, const char *reason,
		      uint64_t time_ns, uint64_t pos)
{
	struct counters *counters = st->owner->opts.counters;

	counters__add(counters, gaps, 1);
	counters__add(counters, gap_bytes, bytes);
	stream__warn(st, reason);
	attribute__flush(st->attribute);
	assembler__gap(st->assembler, bytes, calls, reason, time_ns, pos);
}

static void stream__lost(struct stream *st, const struct nt_gap *gap, uint64_t bytes,
			 uint64_t time_ns, uint64_t pos)
{
	const char *reason = gap->reason < NT_LOST_MAX ? LOST_NAMES[gap->reason] : "unknown";
	struct counters *counters = st->owner->opts.counters;

	st->lost_bytes += bytes;
	switch (gap->reason) {
	case NT_LOST_RING_FULL:
		counters__add(counters, lost_ring_full, bytes);
		break;
	case NT_LOST_RATE_LIMIT:
		counters__add(counters, lost_rate_limit, bytes);
		break;
	case NT_LOST_UNREADABLE:
		counters__add(counters, lost_unreadable, bytes);
		break;
	case NT_LOST_ORPHANED:
		counters__add(counters, lost_orphaned, bytes);
		break;
	default:
		counters__add(counters, lost_too_long, bytes);
	}
	stream__tell_gap(st, bytes, gap->calls, reason, time_ns, pos);
}

void stream__gap(struct stream *st, const struct nt_gap *gap, uint64_t time_ns, uint64_t pos)
{
	uint64_t told;

	if (!gap->bytes)
		return;
	told = MIN(st->told_bytes, gap->bytes);
	st->told_bytes -= told;
	if (gap->bytes > told)
		stream__lost(st, gap, gap->bytes - told, time_ns, pos);
}

void stream__open_gap(struct stream *st)
{
	struct streams *s = st->owner;
	struct nt_stream kernel;

	if (s->opts.kernel_stream(s->opts.ctx, &st->key, &kernel) ||
	    kernel.gap.bytes <= st->told_bytes)
		return;
	stream__lost(st, &kernel.gap, kernel.gap.bytes - st->told_bytes, st->last_ns, UINT64_MAX);
	st->told_bytes = kernel.gap.bytes;
}

void stream__skipped(struct stream *st, uint64_t bytes, uint64_t time_ns, uint64_t pos)
{
	st->told += bytes;
	st->lost_bytes += bytes;
	counters__add(st->owner->opts.counters, lost_bad_record, bytes);
	stream__tell_gap(st, bytes, 0, "bad_record", time_ns, pos);
}
