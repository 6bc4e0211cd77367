/* SPDX-License-Identifier: Apache-2.0 */
/* What decoding takes from schema_values.c and schema_messages.c. */
#ifndef NOTAIL_CONFIG_SCHEMA_INTERNAL_H
#define NOTAIL_CONFIG_SCHEMA_INTERNAL_H

#include "base/clock.h"
#include "config/schema.h"

#define DAY_NS (24 * 3600 * NS_PER_SEC)
#define SHOWN_MAX 60

/* 0 or -EINVAL, *ret untouched. */
int schema__int(const char *text, int64_t *ret);
int schema__float(const char *text, double *ret);

/* As in `a list, expected ...`. */
const char *schema__kind_name(const struct node *n);
/* What a field takes: `a whole number`, `a, b or c`. */
void schema__describe(const struct field *f, char *out, size_t size);
/* `1KiB to 1GiB` */
void schema__describe_range(const struct field *f, char *out, size_t size);
/* `n` is not of the field's type. */
void schema__tell_wrong(const struct field *f, const struct node *n, struct diag *diag);
/* The key of `value` is none of the schema's. */
void schema__tell_unknown(const struct schema *s, const struct node *value, struct diag *diag);

#endif
