/* SPDX-License-Identifier: Apache-2.0 */
/* Lower and upper case of UTF-8, letter by letter, in no particular language. */
#ifndef NOTAIL_BASE_LETTER_CASE_H
#define NOTAIL_BASE_LETTER_CASE_H

#include <stdbool.h>

#include "base/buf.h"

/* Appends. What is not valid UTF-8 stays as it is. 0 or -ENOMEM. Thread-safe. */
int letter_case__append(struct buf *out, const char *text, size_t len, bool upper);

#endif
