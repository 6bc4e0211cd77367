/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The labels and the structured metadata of a (container, stream): built once for each version of
 * the metadata, then shared by reference count (atomic) among lines and batches.
 */
#ifndef NOTAIL_PROCESS_LABELS_H
#define NOTAIL_PROCESS_LABELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct label {
	char *name;
	char *value;
};

struct label_set {
	unsigned refs;
	uint64_t hash;	      /* of the sorted labels alone */
	struct label *labels; /* sorted by name, names valid for Loki, values valid UTF-8, no
				 duplicates, none empty */
	size_t n_labels;
	char *text; /* the labels in LogQL form: {a="b", c="d"} */
	struct label
		*metadata; /* structured metadata that is the same for all lines of the stream */
	size_t n_metadata;
	char *display; /* never NULL in a sealed set; what --stdout=text shows: compose service +
			  number, container name, short id */
	unsigned repaired; /* names and values that label_set__add had to change */
};

/* One reference, nothing in it. NULL: no memory. */
struct label_set *label_set__new(void);
struct label_set *label_set__ref(struct label_set *s);
void label_set__unref(struct label_set *s); /* NULL is fine */
/* Both are sealed, and nobody could tell one from the other. */
bool label_set__same(const struct label_set *a, const struct label_set *b);
/*
 * Copies. The name is made valid for Loki ([a-zA-Z_][a-zA-Z0-9_]*, other characters become `_`), a
 * value's invalid UTF-8 and U+FFFD become `?` (Loki's label parser refuses U+FFFD), cut at 2048
 * bytes at a character's border; an empty value adds nothing; a name that is there is replaced. 0
 * or -ENOMEM.
 */
int label_set__add(struct label_set *s, const char *name, const char *value);
int label_set__add_metadata(struct label_set *s, const char *name, const char *value);
/* Copies; control characters become `?`. */
int label_set__display(struct label_set *s, const char *text);
/* Sorts, makes text and hash. Call once, before the set is shared. */
int label_set__seal(struct label_set *s);
/* NULL: none. */
const char *label_set__get(const struct label_set *s, const char *name);

static inline void label_set__unref_p(struct label_set **s)
{
	label_set__unref(*s);
}
#define _label_set_ __attribute__((cleanup(label_set__unref_p)))

#endif
