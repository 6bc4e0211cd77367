/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of a configuration's jobs a container belongs to: as Promtail's discovery would have found
 * it, or as its globs would have matched the container's log file. Any thread.
 */
#ifndef NOTAIL_PROCESS_JOB_H
#define NOTAIL_PROCESS_JOB_H

#include "config/config.h"
#include "containers/meta.h"
#include "process/label_list.h"

/*
 * False: Promtail would not have had it for this job. What is not known of a container fits no
 * filter that asks for it. *ret_static, if not NULL: the static_config that it is selected by, NULL
 * for the others.
 */
bool job__selects(const struct config_job *job, const struct meta *m,
		  const struct config_static **ret_static);
/* The labels that a static_config gives, before relabelling. 0 or -ENOMEM. */
int job__static_labels(const struct config_static *s, struct label_list *labels);

#endif
