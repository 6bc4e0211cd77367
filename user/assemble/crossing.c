/* SPDX-License-Identifier: Apache-2.0 */
/* In the order of the ring, looked for from the end. Marks go; what held for them alone goes when
 * room is needed. */
#include "assemble/crossing.h"

#include <errno.h>
#include <stdlib.h>

void crossings__free(struct crossings *c)
{
	free(c->items);
	*c = (struct crossings){0};
}

void crossings__tidy(struct crossings *c, const struct marks *marks)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++)
		if (marks__between(marks, c->items[i].from, c->items[i].to))
			c->items[n++] = c->items[i];
	c->n = n;
}

int crossings__add(struct crossings *c, const struct marks *marks, const struct crossing *item)
{
	if (c->n == c->size) {
		size_t size = c->size ? 2 * c->size : 4;
		struct crossing *grown;

		crossings__tidy(c, marks);
		if (c->n > c->size / 2 || !c->size) {
			grown = reallocarray(c->items, size, sizeof(*grown));
			if (!grown && c->n == c->size)
				return -ENOMEM;
			if (grown) {
				c->items = grown;
				c->size = size;
			}
		}
	}
	c->items[c->n++] = *item;
	return 0;
}

void crossings__close(struct crossings *c)
{
	while (c->n && c->items[c->n - 1].open)
		c->n--;
}

const struct crossing *crossings__at(const struct crossings *c, uint64_t mark)
{
	for (size_t i = c->n; i-- > 0;)
		if (c->items[i].from < mark && mark <= c->items[i].to)
			return &c->items[i];
	return NULL;
}
