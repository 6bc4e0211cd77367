/* SPDX-License-Identifier: Apache-2.0 */
/* OpenMetrics 1.0 of what is there in Prometheus' text format 0.0.4. */
#ifndef NOTAIL_STATUS_OPENMETRICS_H
#define NOTAIL_STATUS_OPENMETRICS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define OPENMETRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* Whether an Accept header asks for it, rather than for text. NULL: it asks for nothing. */
bool openmetrics__wanted(const char *accept);
/*
 * Appends it: families of counters without _total, units where a name ends in one, # EOF at the
 * end. `text` is what samples and custom metrics print, HELP before TYPE. 0 or -ENOMEM.
 */
int openmetrics__from_text(const char *text, size_t len, struct buf *out);

#endif
