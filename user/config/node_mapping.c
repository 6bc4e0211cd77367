/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of a mapping when all of it was read: keys that stand twice are told, what `<<`
 * names goes behind its own, and what needs the value beside it is expanded.
 */
#include "config/node_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* By name, then by place in the file. */
static int compare_keys(const void *a, const void *b)
{
	const struct node *x = *(struct node *const *)a, *y = *(struct node *const *)b;
	int order = strcmp(x->key, y->key);

	if (order)
		return order;
	return x->index < y->index ? -1 : x->index > y->index;
}

/* A quoted << is a key like any other. */
static bool is_merge(const struct node *n)
{
	return !strcmp(n->key, "<<") && !n->key_node->quoted;
}

/* Values sorted by name; of those that are equal only the first stays, the others are told, unless
 * they come from a merge. `index` says which was first. */
static int drop_duplicates(struct diag *diag, struct frame *f, size_t n_own)
{
	struct node **sorted;

	if (f->n_items < 2)
		return 0;
	sorted = reallocarray(NULL, f->n_items, sizeof(struct node *));
	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < f->n_items; i++) {
		f->items[i]->index = i;
		sorted[i] = f->items[i];
	}
	qsort(sorted, f->n_items, sizeof(struct node *), compare_keys);
	for (size_t i = 1, first = 0; i < f->n_items; i++) {
		if (strcmp(sorted[i]->key, sorted[first]->key)) {
			first = i;
			continue;
		}
		if (sorted[i]->index < n_own)
			diag__error(diag, sorted[i]->key_node,
				    "duplicate key, expected it once: it stands at line %u already",
				    sorted[first]->key_node->line);
		f->items[sorted[i]->index] = NULL;
	}
	free(sorted);
	return 0;
}

static int merge_mapping(struct diag *diag, struct frame *f, const struct node *from)
{
	int err = 0;

	if (from->kind != NODE_MAPPING) {
		diag__error(diag, from, "expected a mapping to merge, or a list of them");
		return 0;
	}
	for (size_t i = 0; !err && i < from->n_items; i++) {
		from->items[i]->parent = f->node;
		err = frame__append(f, from->items[i]);
	}
	return err;
}

/* What `<<` names goes behind the mapping's own keys. */
static int merge(struct diag *diag, struct frame *f, size_t n_own)
{
	int err = 0;

	for (size_t i = 0; !err && i < n_own; i++) {
		const struct node *from = f->items[i];

		if (!from || !is_merge(from))
			continue;
		f->items[i] = NULL;
		if (from->kind != NODE_SEQUENCE) {
			err = merge_mapping(diag, f, from);
			continue;
		}
		for (size_t j = 0; !err && j < from->n_items; j++)
			err = merge_mapping(diag, f, from->items[j]);
	}
	return err;
}

static void squeeze(struct frame *f)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n_items; i++)
		if (f->items[i])
			f->items[n++] = f->items[i];
	f->n_items = n;
}

int frame__finish_mapping(struct frame *f, const struct node_env *env)
{
	size_t n_own = f->n_items;
	const char *groups = "";
	bool merged;
	int err = drop_duplicates(env->diag, f, n_own);

	if (!err)
		err = merge(env->diag, f, n_own);
	merged = f->n_items > n_own;
	squeeze(f);
	if (!err && merged) {
		err = drop_duplicates(env->diag, f, 0);
		squeeze(f);
	}
	for (size_t i = 0; i < f->n_items; i++)
		if (!strcmp(f->items[i]->key, "regex") && f->items[i]->kind == NODE_SCALAR)
			groups = f->items[i]->text;
	for (size_t i = 0; !err && i < f->n_items; i++)
		if (node__names_groups(f->items[i]->key))
			err = node__expand(f->items[i], groups, env);
	return err;
}
