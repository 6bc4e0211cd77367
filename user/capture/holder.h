/* SPDX-License-Identifier: Apache-2.0 */
/* Who has a file locked (flock), for who has to be told. */
#ifndef NOTAIL_CAPTURE_HOLDER_H
#define NOTAIL_CAPTURE_HOLDER_H

#include <stddef.h>

/* "DIR is in use by ...": pid, name, since when, and its container's id where it has one. */
void holder__say(const char *dir, char *ret_text, size_t size);

#endif
