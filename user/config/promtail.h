/* SPDX-License-Identifier: Apache-2.0 */
/* The part of the configuration that only Promtail's files have, scrape_configs. */
#ifndef NOTAIL_CONFIG_PROMTAIL_H
#define NOTAIL_CONFIG_PROMTAIL_H

#include "config/config.h"

/* Of struct config_job. */
extern const struct schema promtail_job_schema;

/* What concerns several jobs, and what the table cannot say of one: errors and warnings. Sets
 * `containers` of the static ones. */
void promtail__check_jobs(struct object_list *jobs, struct diag *diag);
/* The first selector or rule that looks at labels or annotations of pods; NULL: none does. */
const struct node *promtail__reads_pods(const struct object_list *jobs);
/* The host of a docker_sd_config as notail writes it; *ret is it, or in the arena. 0 or -ENOMEM. */
int promtail__docker_host(const char *host, struct arena *arena, const char **ret);
/* A `__path__` that can only mean containers' files. */
bool promtail__names_containers(const char *path);

#endif
