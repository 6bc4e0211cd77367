/* SPDX-License-Identifier: Apache-2.0 */
/* What can be made of the tables besides decoding, in text. All return 0, -EIO or -ENOMEM. */
#ifndef NOTAIL_CONFIG_PRINT_H
#define NOTAIL_CONFIG_PRINT_H

#include "config/schema.h"

/*
 * The values of a decoded object as YAML that decodes to the same, but for secrets, which are
 * masked, and fields without an effect, which are left out.
 */
int print__values(const struct schema *s, const void *object, FILE *out);
/* JSON Schema (draft 7) of a file. `stages`: the options of the pipeline's stages, NULL at the end.
 */
int print__json_schema(const struct schema *s, const struct field *const *stages, FILE *out);
/* A file that says every default, commented out, each under what it means. */
int print__default_file(const struct schema *s, FILE *out);

/* As one would write them: `1m30s`, `64KiB`. */
void print__duration(uint64_t ns, char *out, size_t size);
void print__size(uint64_t bytes, char *out, size_t size);

#endif
