/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A YAML document as a tree whose nodes know their places. Aliases are copies of what they name
 * (bounded: a bomb is an error), merge keys (`<<`) are applied, duplicate keys are errors,
 * ${VAR}, ${VAR:-default} and ${VAR:?message} in scalars are replaced after parsing, so that a
 * value cannot change the structure. Everything belongs to the document.
 */
#ifndef NOTAIL_CONFIG_NODE_H
#define NOTAIL_CONFIG_NODE_H

#include <stdbool.h>
#include <stddef.h>

#include "config/diag.h"

enum node_kind { NODE_NULL, NODE_SCALAR, NODE_SEQUENCE, NODE_MAPPING };

struct node {
	enum node_kind kind;
	bool quoted;	       /* a scalar in quotes or a block: a string, whatever it looks like */
	unsigned line, column; /* from 1 */
	const struct node *parent;   /* NULL: the root */
	const char *key;	     /* of a mapping's value; NULL: none */
	size_t index;		     /* of a sequence's item */
	const char *text;	     /* scalars: NUL-terminated, no NUL within */
	const struct node *key_node; /* of a mapping's value: where the key stands */
	struct node **items;	     /* of a sequence; the values of a mapping, in order */
	size_t n_items;
};

struct document;

/* Returns the variable's value or NULL. */
typedef const char *(*node_env_fn)(void *ctx, const char *name);

/* `env` NULL: ${...} stays as it is. Problems go to `diag`: then -EINVAL. -ENOMEM. An empty text is
 * a NODE_NULL. */
int document__parse(struct document **ret, const char *text, size_t len, node_env_fn env,
		    void *env_ctx, struct diag *diag);
void document__free(struct document *d); /* NULL is fine */
const struct node *document__root(const struct document *d);

/* The value of a mapping's key, NULL: none (or not a mapping). */
const struct node *node__get(const struct node *mapping, const char *key);
/* Item i of the sequence that is the value of a key; of what is no sequence, that itself. */
const struct node *node__item(const struct node *mapping, const char *key, size_t i);

#endif
