/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An array that is searched. The order is kept as Prometheus' builder keeps it, for labelmap may
 * write one name twice, and then the last one counts.
 */
#include "process/label_list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

static size_t find(const struct label_list *l, const char *name)
{
	size_t i = 0;

	while (i < l->n && strcmp(l->items[i].name, name) != 0)
		i++;
	return i;
}

static void remove_at(struct label_list *l, size_t i)
{
	memmove(&l->items[i], &l->items[i + 1], (l->n - i - 1) * sizeof(*l->items));
	l->n--;
	if (i < l->n_discovered)
		l->n_discovered--;
}

static int append(struct label_list *l, const char *name, const char *value)
{
	if (l->n == LABEL_LIST_MAX) {
		l->left_out++;
		return 0;
	}
	if (l->n == l->room) {
		size_t room = MAX(2 * l->room, 32);
		struct label_pair *grown = arena__alloc(l->arena, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		if (l->n)
			memcpy(grown, l->items, l->n * sizeof(*grown));
		l->items = grown;
		l->room = room;
	}
	l->items[l->n++] = (struct label_pair){.name = name, .value = value};
	return 0;
}

int label_list__set(struct label_list *l, const char *name, const char *value)
{
	size_t i = find(l, name);

	if (i < l->n && *value && i >= l->n_discovered) {
		l->items[i].value = value;
		return 0;
	}
	if (i < l->n)
		remove_at(l, i);
	return *value ? append(l, name, value) : 0;
}

int label_list__set_copy(struct label_list *l, const char *name, const char *value)
{
	char *n = arena__copy(l->arena, name, strlen(name));
	char *v = arena__copy(l->arena, value, strlen(value));

	return n && v ? label_list__set(l, n, v) : -ENOMEM;
}

void label_list__delete(struct label_list *l, const char *name)
{
	size_t i = find(l, name);

	if (i < l->n)
		remove_at(l, i);
}

const char *label_list__get(const struct label_list *l, const char *name)
{
	size_t i = find(l, name);

	return i < l->n ? l->items[i].value : "";
}

static int pair__cmp(const void *a, const void *b)
{
	return strcmp(((const struct label_pair *)a)->name, ((const struct label_pair *)b)->name);
}

void label_list__sort(struct label_list *l)
{
	if (l->n)
		qsort(l->items, l->n, sizeof(*l->items), pair__cmp);
	l->n_discovered = l->n;
}

char *label_list__sanitized(struct arena *arena, const char *prefix, const char *name)
{
	size_t before = strlen(prefix), len = strlen(name), n = before;
	char *text = arena__alloc(arena, before + len + 1);

	if (!text)
		return NULL;
	memcpy(text, prefix, before);
	for (const char *p = name; *p; p++) {
		bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');

		/* One for a character, however many bytes it has. */
		if (((unsigned char)*p & 0xc0) == 0x80 && p > name)
			continue;
		text[n++] = letter || (*p >= '0' && *p <= '9') ? *p : '_';
	}
	text[n] = '\0';
	return text;
}
