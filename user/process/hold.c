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

/* As bytes: native, unaligned, each text behind its length. */

#define NO_TEXT UINT32_MAX

struct saved_entry {
	uint64_t time_ns, resolution_ns, record_ns;
	struct line record; /* without what it points to */
	uint32_t n_labels, n_metadata, n_values;
	bool strangers_dropped;
};

struct saved_value {
	uint32_t slot;
	uint8_t kind, boolean;
	double number;
};

static int put_text(struct buf *out, const char *text, size_t len)
{
	uint32_t n = text ? (uint32_t)len : NO_TEXT;
	int err = buf__append(out, &n, sizeof(n));

	return err || !text || !len ? err : buf__append(out, text, len);
}

static int put_pairs(struct buf *out, const struct entry_pair *pairs, size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		uint32_t slot = (uint32_t)pairs[i].slot;

		err = buf__append(out, &slot, sizeof(slot));
		if (!err)
			err = put_text(out, pairs[i].text, pairs[i].len);
	}
	return err;
}

static int put_values(struct buf *out, const struct held *h)
{
	int err = 0;

	for (size_t i = 0; i < h->n_values && !err; i++) {
		const struct value *v = &h->values[i].value;
		struct saved_value saved;

		memset(&saved, 0, sizeof(saved));
		saved.slot = (uint32_t)h->values[i].slot;
		saved.kind = (uint8_t)v->kind;
		saved.boolean = v->boolean;
		saved.number = v->number;
		err = buf__append(out, &saved, sizeof(saved));
		if (!err && v->kind == VALUE_STRING)
			err = put_text(out, v->text ? v->text : "", v->len);
	}
	return err;
}

int held__save(const struct held *h, struct buf *out)
{
	const struct entry *e = &h->entry;
	struct saved_entry saved;
	int err;

	memset(&saved, 0, sizeof(saved));
	saved.time_ns = e->time_ns;
	saved.resolution_ns = e->resolution_ns;
	saved.record_ns = e->record_ns;
	memcpy(&saved.record, &e->record, sizeof(saved.record));
	saved.n_labels = (uint32_t)e->n_labels;
	saved.n_metadata = (uint32_t)e->n_metadata;
	saved.n_values = (uint32_t)h->n_values;
	saved.strangers_dropped = e->strangers_dropped;
	saved.record.bytes = NULL;
	saved.record.len = 0;
	saved.record.gap = NULL;
	saved.record.metadata = NULL;
	saved.record.n_metadata = 0;
	saved.record.tenant = NULL;
	saved.record.tenant_len = 0;
	err = buf__append(out, &saved, sizeof(saved));
	if (!err)
		err = put_pairs(out, e->labels, e->n_labels);
	if (!err)
		err = put_pairs(out, e->metadata, e->n_metadata);
	if (!err)
		err = put_values(out, h);
	return err ? err : put_text(out, e->tenant, e->tenant_len);
}

struct reader {
	const char *at, *end;
	bool bad;
};

static void get(struct reader *r, void *to, size_t size)
{
	if (r->bad || (size_t)(r->end - r->at) < size) {
		r->bad = true;
		memset(to, 0, size);
		return;
	}
	memcpy(to, r->at, size);
	r->at += size;
}

static const char *get_text(struct reader *r, size_t *ret_len)
{
	const char *text = r->at;
	uint32_t len;

	*ret_len = 0;
	get(r, &len, sizeof(len));
	text = r->at;
	if (r->bad || len == NO_TEXT)
		return NULL;
	if ((size_t)(r->end - r->at) < len) {
		r->bad = true;
		return NULL;
	}
	r->at += len;
	*ret_len = len;
	return text;
}

static void get_pairs(struct reader *r, struct entry_pair *pairs, size_t n, size_t n_slots)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t slot;

		get(r, &slot, sizeof(slot));
		pairs[i].slot = slot;
		pairs[i].text = get_text(r, &pairs[i].len);
		r->bad |= slot >= n_slots;
		for (size_t j = 0; j < i; j++)
			r->bad |= pairs[j].slot == slot;
	}
}

static void get_values(struct reader *r, struct value *values, size_t n, size_t n_slots)
{
	struct saved_value v;

	for (size_t i = 0; i < n && !r->bad; i++) {
		get(r, &v, sizeof(v));
		if (v.slot >= n_slots || v.kind > VALUE_NULL || v.boolean > 1) {
			r->bad = true;
			return;
		}
		values[v.slot].kind = (enum value_kind)v.kind;
		values[v.slot].boolean = v.boolean;
		values[v.slot].number = v.number;
		if (v.kind == VALUE_STRING)
			values[v.slot].text = get_text(r, &values[v.slot].len);
		r->bad |= v.kind == VALUE_STRING && !values[v.slot].text;
	}
}

/* The bytes of bools that are none would be no values of that type. */
static bool is_line(const struct line *l)
{
	const bool *bools[] = {&l->truncated, &l->unterminated, &l->session};
	uint8_t byte;

	for (size_t i = 0; i < ARRAY_SIZE(bools); i++) {
		memcpy(&byte, bools[i], 1);
		if (byte > 1)
			return false;
	}
	return l->stream >= LINE_STDOUT && l->stream <= LINE_TTY && !l->comm[LINE_COMM_LEN - 1];
}

int held__load(struct held *h, const char *bytes, size_t len, size_t n_slots,
	       struct label_set *base)
{
	struct reader r = {.at = bytes, .end = bytes + len};
	_free_ struct entry_pair *pairs = calloc(2 * n_slots + 1, sizeof(*pairs));
	_free_ struct value *values = calloc(n_slots + 1, sizeof(*values));
	struct saved_entry saved;
	struct entry e = {.base = base, .values = values, .n_values = n_slots};
	uint8_t dropped;

	if (!pairs || !values)
		return -ENOMEM;
	get(&r, &saved, sizeof(saved));
	memcpy(&dropped, &saved.strangers_dropped, 1);
	if (r.bad || dropped > 1 || saved.n_labels > n_slots || saved.n_metadata > n_slots ||
	    saved.n_values > n_slots || !is_line(&saved.record))
		return -EINVAL;
	e.time_ns = saved.time_ns;
	e.resolution_ns = saved.resolution_ns;
	e.record_ns = saved.record_ns;
	e.record = saved.record;
	e.record.bytes = e.record.gap = NULL;
	e.record.len = e.record.n_metadata = e.record.tenant_len = 0;
	e.record.metadata = NULL;
	e.record.tenant = NULL;
	e.strangers_dropped = saved.strangers_dropped;
	e.labels = pairs;
	e.n_labels = saved.n_labels;
	e.metadata = pairs + n_slots;
	e.n_metadata = saved.n_metadata;
	get_pairs(&r, e.labels, e.n_labels, n_slots);
	get_pairs(&r, e.metadata, e.n_metadata, n_slots);
	get_values(&r, values, saved.n_values, n_slots);
	e.tenant = get_text(&r, &e.tenant_len);
	if (r.bad)
		return -EINVAL;
	return held__take(h, &e);
}
