/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `--inspect`: what each stage did to each entry, as text for people, in the form of Promtail's.
 * One thread; nothing of it fails: what there is no memory for, or cannot be written, is left out.
 */
#ifndef NOTAIL_PROCESS_INSPECT_H
#define NOTAIL_PROCESS_INSPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "process/stage.h"
#include "process/value.h"

struct inspect;

/* Where a stage stands. */
struct inspect_place {
	const char *stage; /* its name */
	const char *path;  /* pipeline_stages[2].json */
	const struct slots *slots;
};

/* `out` is borrowed; each text that belongs together is one write. 0 or -ENOMEM. */
int inspect__new(struct inspect **ret, FILE *out, bool color);
void inspect__free(struct inspect *in); /* NULL is fine */

/* A line begins its way. */
void inspect__entry(struct inspect *in, const struct entry *e);
/* A stage, and all that it emits meanwhile, runs between the two; `outer` is what before gave. */
bool inspect__before(struct inspect *in, const struct entry *e);
void inspect__after(struct inspect *in, const struct inspect_place *place, bool outer,
		    const struct entry *e, enum stage_result result);
/* The stage sends on what it held. */
void inspect__emitted(struct inspect *in, const struct inspect_place *place, const struct entry *e);

#endif
