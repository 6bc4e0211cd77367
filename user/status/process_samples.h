/* SPDX-License-Identifier: Apache-2.0 */
/* The process_* metrics that every Prometheus client has. */
#ifndef NOTAIL_STATUS_PROCESS_SAMPLES_H
#define NOTAIL_STATUS_PROCESS_SAMPLES_H

#include "status/samples.h"

/* What /proc does not tell is left out. */
void process_samples__add(struct samples *s);

#endif
