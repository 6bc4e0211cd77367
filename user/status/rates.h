/* SPDX-License-Identifier: Apache-2.0 */
/* Rates are those between two snapshots of a view; with one alone there are none. */
#ifndef NOTAIL_STATUS_RATES_H
#define NOTAIL_STATUS_RATES_H

#include "status/snapshot.h"
#include "status/view.h"

struct rates {
	bool known;
	double bytes, lines; /* a second */
};

/* Between the two; 0: there is one alone. */
double rates__seconds(const struct view *v);
/* Of one of v->now. */
struct rates rates__of(const struct view *v, const struct snapshot_target *t,
		       const struct snapshot_stream *s);

#endif
