/* SPDX-License-Identifier: Apache-2.0 */
/* Which tap each stream of what runs now would have, and why: for `notail probe`. */
#ifndef NOTAIL_CAPTURE_REPORT_H
#define NOTAIL_CAPTURE_REPORT_H

#include <jansson.h>
#include <stdio.h>

/* A table, of nothing if no container runs. -errno: what runs cannot be found out. */
int report__streams(FILE *out);
/* The same as an array of {"container","stream","tap","why"}; "tap" is read, write or none. The
 * caller owns it. NULL: no memory. */
json_t *report__streams_json(void);

#endif
