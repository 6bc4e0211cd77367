/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of a run: read at the start, and again whole or not at all. What is wrong with
 * a file is printed. Loop's thread.
 */
#ifndef NOTAIL_RULESET_H
#define NOTAIL_RULESET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "config/config.h"
#include "config/options.h"
#include "pipeline.h"
#include "process/routing.h"
#include "status/view.h"

struct ruleset;

/* Reads opts->config, if there is one, and fills in with it what opts left open (options__apply).
 * -EINVAL: the file is wrong; -EDOM: it does not go with the command line. opts is borrowed. */
int ruleset__new(struct ruleset **ret, struct options *opts);
/* After the pipeline. NULL is fine. */
void ruleset__free(struct ruleset *r);
const struct config *ruleset__config(const struct ruleset *r); /* NULL: no file */
/* The first one, the caller's. */
int ruleset__routing(struct ruleset *r, struct routing **ret);
/* The first one's rules or filters look at networks, ports or image ids. */
bool ruleset__needs_details(const struct ruleset *r);
/* What is in the file now comes into force, or what was stays: logged, counted. 0 or -errno. */
int ruleset__reload(struct ruleset *r, struct pipeline *p, const char *hook_set,
		    struct counters *counters);
/* What is in force, and what the last reload found wrong; borrowed until the next one. */
void ruleset__look(const struct ruleset *r, struct view_config *ret);
/* Appends what is in force as YAML, secrets masked: defaults where there is no file. 0 or -errno.
 */
int ruleset__print_config(const struct ruleset *r, struct buf *out);
/* Custom metrics, in Prometheus' text. 0 or -ENOMEM. */
int ruleset__custom_metrics(const struct ruleset *r, struct buf *out);
void ruleset__print_metrics(const struct ruleset *r, FILE *out);

#endif
