/* SPDX-License-Identifier: Apache-2.0 */
/* Values that the command line and the configuration file have in common. */
#ifndef NOTAIL_CONFIG_VALUES_H
#define NOTAIL_CONFIG_VALUES_H

#include <stdbool.h>

/* NULL: unix:///PATH or tcp://HOST:PORT. Else what is wrong with it or expected of it, a clause. */
const char *values__check_docker_host(const char *host);
/* What may stand in a header or a label: no control characters, and something at all. */
bool values__is_name(const char *text);

/* An address to listen on, and not `off`, NULL or empty. */
bool values__listens(const char *address);

/* NULL: where something can be pinned, `off`, NULL or empty. Else what is expected of it. */
const char *values__check_pins(const char *dir);
/* A directory, and not `off`, NULL or empty. */
bool values__pins(const char *dir);

/* NULL: an absolute path, `off`, NULL or empty. Else what is expected of it. */
const char *values__check_spool_directory(const char *path);
/* A directory, and not `off`, NULL or empty. */
bool values__spools(const char *path);

#endif
