/* SPDX-License-Identifier: Apache-2.0 */
#include "status/rates.h"

#include "base/clock.h"

static const struct snapshot_stream *earlier(const struct view *v, const struct snapshot_target *t,
					     const struct snapshot_stream *s)
{
	const struct snapshot *b = v->before;
	size_t low = 0, high = b ? b->n_targets : 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct snapshot_target *other = &b->targets[middle];
		int order = snapshot_target__order(other, t);

		if (!order) {
			for (size_t i = 0; i < other->n; i++) {
				const struct snapshot_stream *old = &b->streams[other->first + i];

				if (old->file == s->file && old->session == s->session)
					return old;
			}
			return NULL;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

double rates__seconds(const struct view *v)
{
	return v->before ? (double)(v->now->boot_ns - v->before->boot_ns) / NS_PER_SEC : 0;
}

struct rates rates__of(const struct view *v, const struct snapshot_target *t,
		       const struct snapshot_stream *s)
{
	const struct snapshot_stream *old = earlier(v, t, s);
	double elapsed = rates__seconds(v);

	if (elapsed <= 0 || !old || old->read > s->read || old->lines > s->lines)
		return (struct rates){0};
	return (struct rates){
		.known = true,
		.bytes = (double)(s->read - old->read) / elapsed,
		.lines = (double)(s->lines - old->lines) / elapsed,
	};
}
