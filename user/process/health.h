/* SPDX-License-Identifier: Apache-2.0 */
/* Lines that say no more than that something asked whether all is well. */
#ifndef NOTAIL_PROCESS_HEALTH_H
#define NOTAIL_PROCESS_HEALTH_H

#include <stdbool.h>
#include <stddef.h>

/*
 * An access log's line, plain, logfmt or JSON, of a GET or HEAD of /health, /healthz, /ready,
 * /readyz, /livez (and what is below them), /-/healthy, /-/ready, /actuator/health or /metrics, or
 * of any request by kube-probe. One that was answered with 4xx or 5xx is none: somebody will want
 * to read it.
 */
bool health__is_check(const char *line, size_t len);

#endif
