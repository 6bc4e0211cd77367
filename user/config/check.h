/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration as a whole: the file's own form, and what its rules and stages make of it. */
#ifndef NOTAIL_CONFIG_CHECK_H
#define NOTAIL_CONFIG_CHECK_H

#include "config/config.h"

struct options;

/* Every relabelling rule and stage compiles, every file that is named can be read: a
 * config_check_fn. */
int check__all(const struct config *c, struct diag *diag);
/* config__load with check__all. */
int check__load(struct config **ret, const char *path, struct diag *diag);
/* The JSON Schema of a file, its stages included; the documented default file. 0, -EIO, -ENOMEM. */
int check__print_schema(FILE *out);
int check__print_defaults(FILE *out);
/* `notail check-config`: messages go to stderr, what is asked for to stdout. 0: nothing is wrong;
 * -EINVAL, -EIO, -ENOMEM. */
int check__config(const struct options *o);

#endif
