/* SPDX-License-Identifier: Apache-2.0 */
/* `notail events`: a cluster's events, as lines. */
#ifndef NOTAIL_EVENTS_H
#define NOTAIL_EVENTS_H

#include "config/options.h"
#include "ruleset.h"

/* The exit status: what was wrong was printed. `opts` had the ruleset's file applied. */
int events__run(struct options *opts, const struct ruleset *ruleset);

#endif
