/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relabel_configs with Prometheus' semantics: rules over a container's discovered labels, in order.
 * Evaluated once for each (container, stream) and version of its metadata. One thread for each
 * struct relabel.
 */
#ifndef NOTAIL_PROCESS_RELABEL_H
#define NOTAIL_PROCESS_RELABEL_H

#include "config/schema.h"
#include "process/label_list.h"

enum relabel_action {
	RELABEL_REPLACE,
	RELABEL_KEEP,
	RELABEL_DROP,
	RELABEL_KEEPEQUAL,
	RELABEL_DROPEQUAL,
	RELABEL_HASHMOD,
	RELABEL_LABELMAP,
	RELABEL_LABELDROP,
	RELABEL_LABELKEEP,
	RELABEL_LOWERCASE,
	RELABEL_UPPERCASE,
};

/* As decoded by relabel_rule_schema, defaults filled in. */
struct relabel_rule {
	struct string_list source_labels;
	const char *separator;
	const char *regex;
	int64_t modulus;
	const char *target_label; /* NULL: none */
	const char *replacement;
	int action;
	const struct node *node; /* NULL: not from a file */
};

extern const struct schema relabel_rule_schema;

struct relabel;

/* Copies what it needs. All that is wrong goes to `diag` at the rule it is wrong in: then -EINVAL.
 * -ENOMEM. */
int relabel__new(struct relabel **ret, const struct relabel_rule *rules, size_t n,
		 struct diag *diag);
void relabel__free(struct relabel *r); /* NULL is fine */
/* It has no rules. */
bool relabel__is_empty(const struct relabel *r);
/*
 * Changes the list, which label_list__sort should have sorted. 1: kept; 0: dropped (*ret_rule, if
 * not NULL, says by which rule, from 0); -ENOMEM: neither.
 */
int relabel__apply(struct relabel *r, struct label_list *labels, size_t *ret_rule);
/* A rule looks at the value of this label: it is a source, or labelmap makes another of it. With
 * `prefix`: of any label whose name begins so. */
bool relabel__reads(struct relabel *r, const char *name, bool prefix);
/* Matches that hit the limit: they count as none. */
uint64_t relabel__limited(const struct relabel *r);

#endif
