/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The label sets that stages make: a stream's own set with the same changes is the same set, so
 * that batches know it by its address. Bounded; what is not used goes. One thread.
 */
#ifndef NOTAIL_PROCESS_DERIVE_H
#define NOTAIL_PROCESS_DERIVE_H

#include "config/preset.h"
#include "process/limits.h"
#include "process/stage.h"

#define DERIVE_MAX 16384 /* sets, by default */

struct derived {
	struct label_set *set;
	uint64_t moved; /* by index of the pairs: those that may be no labels, for the line's
			 * metadata */
};

struct derive_opts {
	const struct slots *slots; /* borrowed */
	size_t max;		   /* sets; 0: DERIVE_MAX */
	struct limits *limits;	   /* that each set goes through; borrowed. NULL: none */
	enum config_preset preset;
};

struct derivations;

int derivations__new(struct derivations **ret, const struct derive_opts *opts);
void derivations__free(struct derivations *d); /* NULL is fine */
/* The entry's labels as they are now. Borrowed until the next call of any function here. NULL: no
 * memory. */
const struct derived *derivations__get(struct derivations *d, const struct entry *e);
/* Is `derived`, which was got at `generation`, what derivations__get would return? */
bool derivations__is(struct derivations *d, const struct derived *derived, uint64_t generation,
		     const struct entry *e);
/* Moves when sets are dropped: pointers of before are void. */
uint64_t derivations__generation(const struct derivations *d);
/* Drops what was not used since the last sweep. */
void derivations__sweep(struct derivations *d);
size_t derivations__count(const struct derivations *d);

#endif
