/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pod is one of: its controller, and the Deployment or CronJob behind that, which nobody is
 * asked for: their controllers name what they make by a rule.
 */
#ifndef NOTAIL_CONTAINERS_WORKLOAD_H
#define NOTAIL_CONTAINERS_WORKLOAD_H

#include "containers/pod.h"

#define WORKLOAD_NAME_LEN 253

/* "": none, or not certain. */
struct workload {
	char controller_kind[WORKLOAD_NAME_LEN + 1];
	char controller_name[WORKLOAD_NAME_LEN + 1];
	char deployment[WORKLOAD_NAME_LEN + 1];
	char job[WORKLOAD_NAME_LEN + 1];
	char cronjob[WORKLOAD_NAME_LEN + 1];
};

/* `p` NULL, or without a controller: as far as the pod's name alone says it for certain (NULL: it
 * is not known). */
void workload__of(const struct pod *p, const char *pod_name, struct workload *ret);

#endif
