/* SPDX-License-Identifier: Apache-2.0 */
/* Where a JSON object or array ends: by its brackets outside strings alone, in whatever pieces it
 * comes. Whether [ and { pair up, and what else is in it, is not looked at. Pure. */
#ifndef NOTAIL_BASE_JSON_SCAN_H
#define NOTAIL_BASE_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>

/* All zero: before the first bracket. */
struct json_scan {
	unsigned depth; /* brackets open */
	bool in_string;
	bool escaped; /* the next byte follows a backslash */
};

/* How many of the bytes belong to the object: all, or up to the bracket that makes depth 0, which
 * is where the next one begins. Data begins with a bracket, or goes on where depth is not 0. */
size_t json_scan__feed(struct json_scan *s, const char *data, size_t len);

#endif
