/* SPDX-License-Identifier: Apache-2.0 */
/* What is counted of requests, for the status server. */
#include <errno.h>

#include "base/clock.h"
#include "sink/sink.h"

static const char *const NAMES[] = {
	[SINK_FAILED_CONNECTION] = "connection",
	[SINK_FAILED_TIMEOUT] = "timeout",
	[SINK_FAILED_429] = "429",
	[SINK_FAILED_4XX] = "4xx",
	[SINK_FAILED_5XX] = "5xx",
	[SINK_FAILED_OTHER] = "other",
};

_Static_assert(ARRAY_SIZE(NAMES) == SINK_FAILURES, "each failure has a name");

const char *sink_failure__name(enum sink_failure failure)
{
	return NAMES[failure];
}

void sink_stats__init(struct sink_stats *s)
{
	s->request_ns.shape = &histogram_durations;
	s->request_bytes.shape = &histogram_sizes;
	s->age_ns.shape = &histogram_ages;
}

static enum sink_failure classify(long status, int error)
{
	if (error)
		return error == -ETIMEDOUT ? SINK_FAILED_TIMEOUT : SINK_FAILED_CONNECTION;
	if (status == 429)
		return SINK_FAILED_429;
	if (status / 100 == 4)
		return SINK_FAILED_4XX;
	return status / 100 == 5 ? SINK_FAILED_5XX : SINK_FAILED_OTHER;
}

void sink_stats__answered(struct sink_stats *s, long status, int error, uint64_t took_ns,
			  size_t bytes)
{
	if (!s->request_ns.shape)
		return;
	histogram__add(&s->request_ns, took_ns);
	histogram__add(&s->request_bytes, bytes);
	if (error || status / 100 != 2)
		atomic_store_explicit(&s->failed_ns, clock__real_ns(), memory_order_relaxed);
}

void sink_stats__failed(struct sink_stats *s, long status, int error)
{
	atomic_fetch_add_explicit(&s->retries_by[classify(status, error)], 1, memory_order_relaxed);
	atomic_store_explicit(&s->failed_ns, clock__real_ns(), memory_order_relaxed);
}

void sink_stats__delivered(struct sink_stats *s, const struct batch *b)
{
	uint64_t now_ns = clock__boot_ns(), age_ns;

	if (b->canary_ns) {
		age_ns = now_ns - MIN(b->canary_ns, now_ns);
		atomic_store_explicit(&s->canary_age_ns, age_ns, memory_order_relaxed);
		atomic_store_explicit(&s->canary_real_ns, clock__real_ns() - age_ns,
				      memory_order_relaxed);
	}
	if (!b->last_ns || !s->age_ns.shape)
		return;
	histogram__add_range(&s->age_ns, now_ns - MIN(b->last_ns, now_ns),
			     now_ns - MIN(b->first_ns, now_ns), b->lines);
}
