/* SPDX-License-Identifier: Apache-2.0 */
/* Everything but the line lies in one piece of memory: the lists first, then the text. */
#include "process/hold.h"

#include <errno.h>

#define ALIGN 16u

static size_t align(size_t n)
{
	return (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

static size_t pairs_size(const struct entry_pair *pairs, size_t n, size_t *text)
{
	for (size_t i = 0; i < n; i++)
		*text += pairs[i].len;
	return align(n * sizeof(*pairs));
}

/* What the copy needs; how many values there are. */
static size_t size_of(const struct entry *e, size_t *ret_values)
{
	size_t text = e->tenant_len, size, n = 0;

	size = pairs_size(e->labels, e->n_labels, &text);
	size += pairs_size(e->metadata, e->n_metadata, &text);
	for (size_t i = 0; i < e->n_values; i++) {
		n += e->values[i].kind != VALUE_ABSENT;
		text += e->values[i].kind == VALUE_STRING ? e->values[i].len : 0;
	}
	*ret_values = n;
	return size + align(n * sizeof(struct held_value)) + text;
}

static const char *copy(char **text, const char *from, size_t len)
{
	char *to = *text;

	if (len)
		memcpy(to, from, len);
	*text += len;
	return to;
}

static void copy_pairs(struct entry_pair *to, const struct entry_pair *from, size_t n, char **text)
{
	for (size_t i = 0; i < n; i++) {
		to[i] = from[i];
		if (from[i].text)
			to[i].text = copy(text, from[i].text, from[i].len);
	}
}

static void copy_values(struct held *h, const struct entry *e, char **text)
{
	size_t n = 0;

	for (size_t i = 0; i < e->n_values; i++) {
		struct held_value *v = &h->values[n];

		if (e->values[i].kind == VALUE_ABSENT)
			continue;
		*v = (struct held_value){.slot = i, .value = e->values[i]};
		if (v->value.kind == VALUE_STRING)
			v->value.text = copy(text, v->value.text, v->value.len);
		n++;
	}
}

int held__take(struct held *h, const struct entry *e)
{
	size_t n_values, size = size_of(e, &n_values);
	char *at;

	held__clear(h);
	if (buf__reserve(&h->memory, size + 1) || buf__reserve(&h->line, e->len) ||
	    buf__append(&h->line, e->line, e->len))
		return -ENOMEM;
	h->entry = *e;
	h->entry.base = label_set__ref(e->base);
	h->entry.record.bytes = NULL;
	h->entry.line = NULL;
	at = h->memory.data;
	h->entry.labels = (struct entry_pair *)at;
	at += align(e->n_labels * sizeof(struct entry_pair));
	h->entry.metadata = (struct entry_pair *)at;
	at += align(e->n_metadata * sizeof(struct entry_pair));
	h->values = (struct held_value *)at;
	h->n_values = n_values;
	at += align(n_values * sizeof(struct held_value));
	copy_pairs(h->entry.labels, e->labels, e->n_labels, &at);
	copy_pairs(h->entry.metadata, e->metadata, e->n_metadata, &at);
	copy_values(h, e, &at);
	if (e->tenant)
		h->entry.tenant = copy(&at, e->tenant, e->tenant_len);
	return 0;
}

void held__clear(struct held *h)
{
	label_set__unref(h->entry.base);
	h->entry = (struct entry){0};
	h->values = NULL;
	h->n_values = 0;
	h->line.len = 0;
}

void held__free(struct held *h)
{
	held__clear(h);
	buf__free(&h->memory);
	buf__free(&h->line);
}
