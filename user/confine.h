/* SPDX-License-Identifier: Apache-2.0 */
/* What a run gives up, and when. A command (-- CMD) is left as it is: it is a child of this
 * process. */
#ifndef NOTAIL_CONFINE_H
#define NOTAIL_CONFINE_H

#include "config/options.h"

/* First of all, before there are secrets in memory. */
void confine__begin(const struct options *o);
/* When everything is attached, and before the capture thread runs. What cannot be is said: the run
 * goes on without. */
void confine__run(const struct options *o, const char *docker_host);

#endif
