/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that make nodes of a text share. */
#ifndef NOTAIL_CONFIG_NODE_INTERNAL_H
#define NOTAIL_CONFIG_NODE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <yaml.h>

#include "base/arena.h"
#include "config/diag.h"
#include "config/node.h"

/* A collection whose end has not come. */
struct frame {
	struct node *node;
	struct node **items;
	size_t n_items, room;
	const struct node *key; /* of a mapping: read, its value not */
};

/* Where variables come from; what their values need, and what is wrong with them, goes. */
struct node_env {
	node_env_fn get; /* NULL: ${...} stays as it is */
	void *ctx;
	struct arena *arena;
	struct diag *diag;
};

int frame__append(struct frame *f, struct node *n);

/* node_env.c */

/* Of a relabelling rule: expanded when its regex is known. `key` may be NULL. */
bool node__names_groups(const char *key);
/* A plain scalar that is empty afterwards is as if nothing stood there. `groups`: a regex whose
 * groups' names are no variables; NULL: none. 0 or -ENOMEM. */
int node__expand(struct node *n, const char *groups, const struct node_env *env);

/* node_mapping.c */

/* Of a mapping whose end has come. 0 or -ENOMEM. */
int frame__finish_mapping(struct frame *f, const struct node_env *env);

/* node_syntax.c */

/* Bytes that are no text. */
void node__tell_unreadable(struct diag *d, const yaml_parser_t *p, const char *text,
			   const char *end);
void node__tell_syntax(struct diag *d, const yaml_parser_t *p, const char *text, const char *end);

#endif
