/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times as Go's time.Parse reads them, and Promtail with it: a layout that says how the reference
 * time (Mon Jan 2 15:04:05 MST 2006) would look, one of the named formats, or Unix, UnixMs, UnixUs,
 * UnixNs. A layout without a year takes the one that is nearest to now.
 */
#ifndef NOTAIL_PROCESS_GO_TIME_H
#define NOTAIL_PROCESS_GO_TIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "process/time_zone.h"

struct go_time;

struct go_time_result {
	uint64_t ns; /* Unix */
	/* The unit of the last digit that was written; of a fraction whose length is not the
	 * layout's (trailing zeros may be left out) a thousandth, or one of that. */
	uint64_t resolution_ns;
};

/* `zone` is borrowed; NULL: UTC. -EINVAL: nothing of the reference time is in the layout, or too
 * much; -ENOMEM. */
int go_time__new(struct go_time **ret, const char *format, const struct time_zone *zone);
void go_time__free(struct go_time *t); /* NULL is fine */
/* The named formats, for messages; the end is NULL. */
extern const char *const go_time_names[];
/* The format takes no notice of the zone although its times may have none of their own: Promtail's
 * named formats. */
bool go_time__ignores_zone(const struct go_time *t);

/* `now_ns`: wall clock, for the year. 0; -EINVAL: not of that form; -ERANGE: it is, but out of what
 * Unix ns can say (1970 to 2262). */
int go_time__parse(const struct go_time *t, const char *text, size_t len, uint64_t now_ns,
		   struct go_time_result *ret);

#endif
