/* SPDX-License-Identifier: Apache-2.0 */
/* Text without the escape sequences of terminals. */
#ifndef NOTAIL_PROCESS_DECOLORIZE_H
#define NOTAIL_PROCESS_DECOLORIZE_H

#include <stdbool.h>
#include <stddef.h>

/* There may be something to take out. */
bool decolorize__wanted(const char *text, size_t len);
/* `out` needs `len` bytes. Returns how many it has. */
size_t decolorize__text(char *out, const char *text, size_t len);

#endif
