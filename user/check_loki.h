/* SPDX-License-Identifier: Apache-2.0 */
/* `notail check-loki`: pushes a line to each client, and reads it back. */
#ifndef NOTAIL_CHECK_LOKI_H
#define NOTAIL_CHECK_LOKI_H

#include "config/options.h"

/* To what loki_url or the file says; tells on stdout how long it took, on stderr what is wrong. 0;
 * -EIO: one of them could not; others. */
int check_loki(struct options *o);

#endif
