/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of options.h share. */
#ifndef NOTAIL_CONFIG_OPTIONS_INTERNAL_H
#define NOTAIL_CONFIG_OPTIONS_INTERNAL_H

#include <argp.h>

#include "config/options.h"

enum {
	KEY_HELP = 'h',
	KEY_TIMES = 't',
	KEY_CONFIG = 'c',
	KEY_STDOUT = 256,
	KEY_LOKI,
	KEY_TENANT,
	KEY_INSPECT,
	KEY_CONTAINER,
	KEY_CGROUP,
	KEY_LABEL,
	KEY_STREAM,
	KEY_PID,
	KEY_DOCKER,
	KEY_NO_DOCKER,
	KEY_EXEC_SESSIONS,
	KEY_TAP,
	KEY_HOOKS,
	KEY_ATTRIBUTION,
	KEY_RATE_LIMIT,
	KEY_RING_SIZE,
	KEY_MAX_LINE_SIZE,
	KEY_BATCHWAIT,
	KEY_BATCHSIZE,
	KEY_PINS,
	KEY_DETACH_ON_EXIT,
	KEY_FORCE,
	KEY_HOST,
	KEY_LISTEN,
	KEY_SPOOL_DIR,
	KEY_SHUTDOWN_TIMEOUT,
	KEY_LOG_LEVEL,
	KEY_LOG_FORMAT,
	KEY_STATS,
	KEY_JSON,
	KEY_REGISTERED,
	KEY_EFFECTIVE,
	KEY_SCHEMA,
	KEY_DEFAULTS,
	KEY_VERSION,
};

/* options_help.c: for argp. */
extern const struct argp_option options_table[];
extern const char options_args_doc[];
extern const char options_doc[];

#endif
