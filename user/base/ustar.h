/* SPDX-License-Identifier: Apache-2.0 */
/* Regular files into a tar archive (ustar), written as it goes. */
#ifndef NOTAIL_BASE_USTAR_H
#define NOTAIL_BASE_USTAR_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* At most 99 bytes of name; mode 0600, root's. 0, -EINVAL or -EIO. */
int ustar__add(FILE *out, const char *name, const void *data, size_t len, uint64_t mtime_s);
/* 0 or -EIO. */
int ustar__end(FILE *out);

#endif
