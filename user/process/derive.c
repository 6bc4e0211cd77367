/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chained hash table whose key is the base set's address (which the entry's reference keeps) and
 * the changes, in the order in which stages made them: the same stages make them in the same order.
 * When the table is full what was not used goes, and if that is little, everything: sets are shared
 * by reference, and one that is made again costs what it cost the first time.
 */
#include "process/derive.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "process/preset.h"

#define N_BUCKETS 4096u /* a power of two */
#define MOVED_MAX 64

struct known {
	struct derived derived; /* first */
	struct known *chain;
	uint64_t hash;
	struct label_set *base; /* a reference */
	bool strangers_dropped;
	bool used;
	uint64_t made_ns; /* by the records' time */
	size_t n;
	struct entry_pair pairs[]; /* their text behind them */
};

struct derivations {
	struct derive_opts opts;
	struct known **buckets; /* NULL before the first set */
	size_t n;
	uint64_t generation;
	uint64_t version; /* of the limits */
	struct buf text;  /* a value with its NUL */
};

int derivations__new(struct derivations **ret, const struct derive_opts *opts)
{
	struct derivations *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->opts = *opts;
	if (!d->opts.max)
		d->opts.max = DERIVE_MAX;
	*ret = d;
	return 0;
}

static void known__free(struct known *n)
{
	label_set__unref(n->base);
	label_set__unref(n->derived.set);
	free(n);
}

/* Those that were not used, or all. */
static void drop(struct derivations *d, bool all)
{
	size_t before = d->n;

	for (size_t i = 0; d->buckets && i < N_BUCKETS; i++) {
		struct known **at = &d->buckets[i], *n;

		while ((n = *at)) {
			if (!all && n->used) {
				n->used = false;
				at = &n->chain;
				continue;
			}
			*at = n->chain;
			known__free(n);
			d->n--;
		}
	}
	if (d->n != before)
		d->generation++;
}

void derivations__free(struct derivations *d)
{
	if (!d)
		return;
	drop(d, true);
	free(d->buckets);
	buf__free(&d->text);
	free(d);
}

void derivations__sweep(struct derivations *d)
{
	drop(d, false);
}

uint64_t derivations__generation(const struct derivations *d)
{
	return d->generation;
}

size_t derivations__count(const struct derivations *d)
{
	return d->n;
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15;
	return hash ^ hash >> 29;
}

static uint64_t mix_text(uint64_t hash, const char *text, size_t len)
{
	uint64_t word;

	for (; len >= sizeof(word); text += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, text, sizeof(word));
		hash = mix(hash, word);
	}
	word = len;
	while (len)
		word = word << 8 | (unsigned char)text[--len];
	return mix(hash, word);
}

static uint64_t hash_of(const struct entry *e)
{
	uint64_t hash = mix(e->strangers_dropped, (uintptr_t)e->base);

	for (size_t i = 0; i < e->n_labels; i++) {
		const struct entry_pair *p = &e->labels[i];

		hash = mix(hash, p->slot << 1 | !p->text);
		if (p->text)
			hash = mix_text(hash, p->text, p->len);
	}
	return hash ^ hash >> 32;
}

static bool equal(const struct known *n, const struct entry *e)
{
	if (n->base != e->base || n->n != e->n_labels ||
	    n->strangers_dropped != e->strangers_dropped)
		return false;
	for (size_t i = 0; i < n->n; i++) {
		const struct entry_pair *a = &n->pairs[i], *b = &e->labels[i];

		if (a->slot != b->slot || a->len != b->len || !a->text != !b->text)
			return false;
		if (a->text && memcmp(a->text, b->text, a->len))
			return false;
	}
	return true;
}

/* To go through the limits again. */
static bool is_stale(const struct derivations *d, const struct known *n, const struct entry *e)
{
	const struct limits *l = d->opts.limits;

	return l && (d->version != limits__version(l) ||
		     (e->record.time_ns > n->made_ns &&
		      e->record.time_ns - n->made_ns >= LIMITS_RECHECK_NS));
}

bool derivations__is(struct derivations *d, const struct derived *derived, uint64_t generation,
		     const struct entry *e)
{
	struct known *n = (struct known *)derived;

	if (!n || generation != d->generation || !equal(n, e) || is_stale(d, n, e))
		return false;
	n->used = true;
	return true;
}

/* The pair that says something of a label of base; false: the label stays as it is. */
static bool is_changed(const struct derivations *d, const struct entry *e, const char *name)
{
	size_t n_slots = slots__count(d->opts.slots), slot;

	for (slot = 0; slot < n_slots; slot++)
		if (!strcmp(slots__name(d->opts.slots, slot), name))
			break;
	if (slot == n_slots)
		return e->strangers_dropped;
	for (size_t i = 0; i < e->n_labels; i++)
		if (e->labels[i].slot == slot)
			return true;
	return false;
}

/* With its NUL, and without others. */
static int set_text(struct buf *b, const char *text, size_t len)
{
	char *nul;

	b->len = 0;
	if (buf__append(b, text, len) || buf__append(b, "", 1))
		return -ENOMEM;
	while ((nul = memchr(b->data, '\0', len)))
		*nul = '?';
	return 0;
}

static bool may_be_label(const struct derivations *d, const char *name)
{
	return preset__allows(d->opts.preset, name) &&
	       !(d->opts.limits && limits__guarded(d->opts.limits, name));
}

static int add_changes(struct derivations *d, const struct entry *e, struct derived *out)
{
	int err = 0;

	for (size_t i = 0; i < e->n_labels && !err; i++) {
		const struct entry_pair *p = &e->labels[i];
		const char *name = slots__name(d->opts.slots, p->slot);

		if (!p->text)
			continue;
		err = set_text(&d->text, p->text, p->len);
		if (err)
			break;
		if (i < MOVED_MAX && !may_be_label(d, name))
			out->moved |= 1ull << i;
		else
			err = label_set__add(out->set, name, d->text.data);
	}
	return err;
}

static int make_set(struct derivations *d, const struct entry *e, struct derived *out)
{
	const struct label_set *base = e->base;
	size_t n_own;
	int err = 0;

	out->set = label_set__new();
	if (!out->set)
		return -ENOMEM;
	for (size_t i = 0; i < base->n_labels && !err; i++)
		if (!is_changed(d, e, base->labels[i].name))
			err = label_set__add(out->set, base->labels[i].name, base->labels[i].value);
	n_own = out->set->n_labels;
	for (size_t i = 0; i < base->n_metadata && !err; i++)
		err = label_set__add_metadata(out->set, base->metadata[i].name,
					      base->metadata[i].value);
	if (!err && base->display)
		err = label_set__display(out->set, base->display);
	if (!err)
		err = add_changes(d, e, out);
	if (!err && d->opts.limits)
		err = limits__fit(d->opts.limits, out->set, n_own, e->record.time_ns);
	return err ? err : label_set__seal(out->set);
}

static struct known *make_known(struct derivations *d, const struct entry *e, uint64_t hash)
{
	size_t size = sizeof(struct known) + e->n_labels * sizeof(struct entry_pair);
	struct known *n;
	char *text;

	for (size_t i = 0; i < e->n_labels; i++)
		size += e->labels[i].len;
	n = calloc(1, size);
	if (!n)
		return NULL;
	n->hash = hash;
	n->made_ns = e->record.time_ns;
	n->base = label_set__ref(e->base);
	n->strangers_dropped = e->strangers_dropped;
	n->n = e->n_labels;
	text = (char *)(n->pairs + n->n);
	for (size_t i = 0; i < n->n; i++) {
		n->pairs[i] = e->labels[i];
		if (!n->pairs[i].text)
			continue;
		n->pairs[i].text = memcpy(text, e->labels[i].text, e->labels[i].len);
		text += e->labels[i].len;
	}
	if (make_set(d, e, &n->derived)) {
		known__free(n);
		return NULL;
	}
	return n;
}

/* Without memory it stays as it is. */
static void make_again(struct derivations *d, struct known *n, const struct entry *e)
{
	struct derived made = {0};

	n->made_ns = e->record.time_ns;
	if (make_set(d, e, &made)) {
		label_set__unref(made.set);
		return;
	}
	label_set__unref(n->derived.set);
	n->derived = made;
}

static int make_room(struct derivations *d)
{
	if (!d->buckets)
		d->buckets = calloc(N_BUCKETS, sizeof(*d->buckets));
	if (!d->buckets)
		return -ENOMEM;
	if (d->n < d->opts.max)
		return 0;
	drop(d, false);
	if (d->n > d->opts.max / 4 * 3)
		drop(d, true);
	return 0;
}

const struct derived *derivations__get(struct derivations *d, const struct entry *e)
{
	uint64_t hash = hash_of(e);
	struct known *n;

	if (d->opts.limits && d->version != limits__version(d->opts.limits)) {
		d->version = limits__version(d->opts.limits);
		drop(d, true);
	}
	for (n = d->buckets ? d->buckets[hash & (N_BUCKETS - 1)] : NULL; n; n = n->chain) {
		if (n->hash == hash && equal(n, e)) {
			n->used = true;
			if (is_stale(d, n, e))
				make_again(d, n, e);
			return &n->derived;
		}
	}
	if (make_room(d))
		return NULL;
	n = make_known(d, e, hash);
	if (!n)
		return NULL;
	n->used = true;
	n->chain = d->buckets[hash & (N_BUCKETS - 1)];
	d->buckets[hash & (N_BUCKETS - 1)] = n;
	d->n++;
	return &n->derived;
}
