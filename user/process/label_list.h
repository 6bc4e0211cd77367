/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The labels that relabelling works on: a few dozen pairs, as discovered. Names and values are
 * borrowed or in the arena: nothing is freed with the list. A label without a value is none.
 */
#ifndef NOTAIL_PROCESS_LABEL_LIST_H
#define NOTAIL_PROCESS_LABEL_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

/* More are left out: rules can double them, and again. */
#define LABEL_LIST_MAX 2048

struct label_pair {
	const char *name;
	const char *value;
};

struct label_list {
	struct arena *arena; /* of the array, and for new names and values; not NULL */
	struct label_pair *items;
	size_t n;
	size_t n_discovered; /* the first ones: there before rules changed the list */
	size_t room;
	size_t left_out; /* over LABEL_LIST_MAX */
};

/* Borrows both. The order of Prometheus' own: what was not changed since label_list__sort, then
 * what was, in the order of its setting. An empty value deletes. 0 or -ENOMEM. */
int label_list__set(struct label_list *l, const char *name, const char *value);
/* Copies both into the arena. */
int label_list__set_copy(struct label_list *l, const char *name, const char *value);
void label_list__delete(struct label_list *l, const char *name);
/* "" when there is none. */
const char *label_list__get(const struct label_list *l, const char *name);
/* By name: where the rules begin. */
void label_list__sort(struct label_list *l);
/* Characters that no label of Prometheus' has become `_`, as its discoveries do. Copied. NULL: no
 * memory. */
char *label_list__sanitized(struct arena *arena, const char *prefix, const char *name);

#endif
