/* SPDX-License-Identifier: Apache-2.0 */
/* Changes are few: lists are searched. They have room for every slot once. */
#include <errno.h>
#include <string.h>

#include "process/stage.h"

bool entry__text(struct entry *e, size_t slot, const char **ret, size_t *ret_len)
{
	int err = value__text(&e->values[slot], e->arena, ret, ret_len);

	if (err == -ENOMEM)
		e->counters->no_memory++;
	return err == 0;
}

static struct entry_pair *find(struct entry_pair *pairs, size_t n, size_t slot)
{
	for (size_t i = 0; i < n; i++)
		if (pairs[i].slot == slot)
			return &pairs[i];
	return NULL;
}

static void set(struct entry_pair *pairs, size_t *n, size_t slot, const char *text, size_t len)
{
	struct entry_pair *p = find(pairs, *n, slot);

	if (!p)
		p = &pairs[(*n)++];
	*p = (struct entry_pair){.slot = slot, .text = text, .len = len};
}

bool entry__label(const struct entry *e, size_t slot, const char **ret, size_t *ret_len)
{
	const struct entry_pair *p = find(e->labels, e->n_labels, slot);
	const char *text = p ? p->text : e->inherited[slot];

	if (!text)
		return false;
	*ret = text;
	*ret_len = p ? p->len : strlen(text);
	return true;
}

void entry__set_label(struct entry *e, size_t slot, const char *text, size_t len)
{
	set(e->labels, &e->n_labels, slot, len ? text : NULL, len);
}

void entry__remove_label(struct entry *e, size_t slot)
{
	struct entry_pair *p = find(e->labels, e->n_labels, slot);

	if (p || e->inherited[slot])
		set(e->labels, &e->n_labels, slot, NULL, 0);
}

void entry__set_metadata(struct entry *e, size_t slot, const char *text, size_t len)
{
	set(e->metadata, &e->n_metadata, slot, text, len);
}
