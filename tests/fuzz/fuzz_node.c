/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration's text: never a crash, and a tree that hangs together. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *env(void *ctx, const char *name)
{
	(void)ctx;
	return strlen(name) == 1 ? "x: ${y}" : NULL;
}

static size_t check(const struct node *n, unsigned depth)
{
	size_t sum = 1;

	if (!n->line || !n->column || depth > 64)
		abort();
	if (n->kind == NODE_SCALAR && !n->text)
		abort();
	if (n->n_items && n->kind != NODE_MAPPING && n->kind != NODE_SEQUENCE)
		abort();
	for (size_t i = 0; i < n->n_items; i++) {
		const struct node *item = n->items[i];

		if (item->parent != n || (n->kind == NODE_MAPPING) != (item->key && item->key_node))
			abort();
		if (n->kind == NODE_MAPPING && node__get(n, item->key) != item)
			abort();
		sum += check(item, depth + 1);
	}
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct document *doc = NULL;
	struct diag *diag;
	FILE *out;

	if (diag__new(&diag, "f"))
		return 0;
	if (!document__parse(&doc, (const char *)data, size, env, NULL, diag)) {
		if (diag__errors(diag) || check(document__root(doc), 0) > 200000)
			abort();
	} else if (!diag__errors(diag)) {
		abort();
	}
	out = fopen("/dev/null", "we");
	if (out) {
		diag__print(diag, out);
		fclose(out);
	}
	document__free(doc);
	diag__free(diag);
	return 0;
}
