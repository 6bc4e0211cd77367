/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Templates as Go's text/template has them, as far as they are of use for text: fields, pipes,
 * calls, if/else, with, variables and the functions that Promtail's documentation names, with the
 * ones of sprig that take and give texts, numbers and lists of them. No loops, so that a run is
 * bounded by the template.
 */
#ifndef NOTAIL_PROCESS_TEMPLATE_H
#define NOTAIL_PROCESS_TEMPLATE_H

#include <stddef.h>

#include "process/syntax.h"
#include "process/value.h"

/* Of a text that a template makes, on the way or at the end; more fails the run. */
#define TEMPLATE_TEXT_MAX (16u << 20)

struct template;

/* What a run reads. All of it is borrowed. */
struct template_data {
	const struct value *values; /* by slot */
	size_t n_values;	    /* slots from here on are absent */
	struct value value; /* `.Value`; absent: what was extracted under that name, if any */
	const char *entry;  /* `.Entry`; NULL: what was extracted under that name, if any */
	size_t entry_len;
};

/* The fields that the template names get their slots from `slots`. -EINVAL: *ret_error says why;
 * -ENOMEM. */
int template__new(struct template **ret, const char *text, struct slots *slots,
		  struct syntax_error *ret_error);
void template__free(struct template *t); /* NULL is fine */

/*
 * *ret is in the arena, NUL-terminated. 0; -EINVAL: it failed as Go's would (template__why);
 * -EOVERFLOW: a regex reached its match limit; -E2BIG: a text was longer than TEMPLATE_TEXT_MAX;
 * -ENOMEM. One thread for each template.
 */
int template__run(struct template *t, const struct template_data *data, struct arena *arena,
		  const char **ret, size_t *ret_len);
/* Why the last run that returned -EINVAL failed. */
const char *template__why(const struct template *t);

#endif
