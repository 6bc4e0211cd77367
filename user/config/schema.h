/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table for each part of the configuration: what its keys are called, what they hold, where that
 * goes in a struct, what it is when absent and one sentence for people. Decoding, check-config,
 * --effective, the JSON Schema and the documented default file all come from the same tables.
 *
 * Decoded strings and arrays belong to the caller's arena; structs may be used while it lives.
 */
#ifndef NOTAIL_CONFIG_SCHEMA_H
#define NOTAIL_CONFIG_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "config/node.h"

enum field_type {
	FIELD_BOOL,   /* bool */
	FIELD_INT,    /* int64_t; see min, max */
	FIELD_FLOAT,  /* double */
	FIELD_STRING, /* const char *; NULL: absent. Numbers and booleans are taken as they stand */
	FIELD_DURATION, /* uint64_t ns: `500ms`, `1h30m`, `1d`, `0` */
	FIELD_SIZE,	/* uint64_t bytes: `1MiB`, `1MB`, `4096` */
	FIELD_ENUM,	/* int: index in names */
	FIELD_STRINGS,	/* struct string_list; one scalar is a list of one */
	FIELD_MAP,	/* struct string_map: name -> scalar (null: ""), in the file's order */
	FIELD_OBJECT,	/* the struct of `object`, inline */
	FIELD_OBJECTS,	/* struct object_list of `object`s */
	FIELD_NODE,	/* const struct node *: decoded by somebody else */
	FIELD_STAGES,	/* the same, a sequence: a pipeline's stages */
};

enum field_flags {
	FIELD_REQUIRED = 1,
	FIELD_SECRET = 2,  /* masked wherever it is shown */
	FIELD_IGNORED = 4, /* Promtail's, of no use here: accepted, a warning says so, and `doc` */
	FIELD_LATER = 8,   /* has no effect in this version: accepted, a warning says so */
	FIELD_ANY_CASE = 16, /* an enum whose names may be written in either case */
	FIELD_UNDONE = 32,   /* Promtail's, and not what notail does: accepted, a warning says so */
	FIELD_HIDDEN = 64,   /* another word for what has a field: not in the default file */
	FIELD_RELOADED = 128, /* of a section that takes a restart, this does not */
};

struct string_list {
	const char **items;
	size_t n;
};

struct string_pair {
	const char *name, *value;
	const struct node *node; /* of the value */
};

struct string_map {
	struct string_pair *items;
	size_t n;
};

struct object_list {
	void *items; /* of object->size each */
	size_t n;
};

struct schema;

struct field {
	const char *name;
	enum field_type type;
	size_t offset;
	unsigned flags;
	const char *dflt;    /* as one would write it; NULL: zero */
	const char *doc;     /* one sentence; NULL: not in the default file */
	const char *example; /* what the default file shows where there is no default */
	const struct schema *object;
	const char *const *names; /* of an enum, NULL-terminated */
	int64_t min, max;	  /* both 0: no bounds */
};

struct schema {
	const char *name; /* what it is called in messages and the JSON Schema */
	size_t size;
	const struct field *fields; /* the end has no name */
	/* Where the struct keeps the node it came from (const struct node *), for later messages;
	 * 0: it does not. */
	size_t node_offset;
	/* What a scalar or a sequence in the object's place means, for those that have a short
	 * form. NULL: an error. */
	int (*short_form)(void *object, const struct node *node, struct arena *arena,
			  struct diag *diag);
	/* Checks that need more than one field. NULL: none. */
	void (*check)(const void *object, const struct node *node, struct diag *diag);
};

#define FIELD(s, member, t, ...)                                                         \
	{                                                                                \
		.name = #member, .type = (t), .offset = offsetof(s, member), __VA_ARGS__ \
	}

/*
 * Fills in the struct of `s`, defaults first; unknown keys (with the nearest known one), wrong
 * types and missing ones are errors of diag, all of them. A NULL or NODE_NULL node leaves the
 * defaults. 0; -EINVAL: diag says why; -ENOMEM.
 */
int schema__decode(const struct schema *s, const struct node *node, void *ret_object,
		   struct arena *arena, struct diag *diag);

/* The values themselves, for those who decode by hand: 0 or -EINVAL, *ret untouched. */
int schema__duration(const char *text, uint64_t *ret_ns);
int schema__size(const char *text, uint64_t *ret_bytes);
int schema__bool(const char *text, bool *ret);
/* The one of `names` that is nearest to a misspelt word; NULL: none is near. */
const char *schema__nearest(const char *word, const char *const *names);

#endif
