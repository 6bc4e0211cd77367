/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pipeline's stage is, and the entry that it works on. A stage has a field of the
 * configuration (its name and options: decoding, check-config and the JSON Schema know it by that),
 * a compile function (options to a stage, once) and a run function (an entry, for each line).
 *
 * Run functions never fail: what cannot be done leaves the entry as it was, and is counted. They do
 * not malloc: what they make lies in the entry's arena, which is given back after the line.
 *
 * A new stage: one file user/process/stage_<name>.c with one `const struct stage_type`, and its
 * line in stages.c.
 */
#ifndef NOTAIL_PROCESS_STAGE_H
#define NOTAIL_PROCESS_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/line.h"
#include "config/schema.h"
#include "process/labels.h"
#include "process/value.h"

/* Of a program, all its streams together. */
struct stage_counters {
	uint64_t regex_limited; /* a pattern hit the match limit: it did not match */
	uint64_t no_memory;	/* a value, label or pair was left out */
	uint64_t failed;	/* a template or a time that could not be made of what was there */
};

/* A label or a pair of metadata that the line changes: its name is a slot. */
struct entry_pair {
	size_t slot;
	const char *text; /* NULL, of labels only: the label is removed. Not NUL-terminated */
	size_t len;
};

/* Text in it is borrowed from the line, the label set, the stages or the arena. */
struct entry {
	const char *line; /* any bytes, no NUL behind them */
	size_t len;
	/* Wall clock, Unix ns. A stage that sets time_ns also sets resolution_ns: the unit of its
	 * last digit (1 s for `15:04:05`), 1 for an exact time. Below it the record's own digits
	 * are added after the last stage. */
	uint64_t time_ns;
	uint64_t resolution_ns; /* 0: time_ns is record_ns */
	uint64_t record_ns;	/* what "now" is to stages; wall clock */
	struct line record;	/* what the line came as */

	struct value *values; /* what is extracted, by slot; the labels at first */
	size_t n_values;

	struct label_set *base;	      /* the stream's, before any stage */
	const char *const *inherited; /* base's value of the slot's name, by slot; NULL: none */
	struct entry_pair *labels;    /* changes to base; each slot once */
	size_t n_labels;
	bool strangers_dropped; /* labels of base whose names no stage mentions (no slot) are gone
				 */
	struct entry_pair *metadata; /* besides base's; each slot once */
	size_t n_metadata;

	const char *tenant; /* NULL: the client's own */
	size_t tenant_len;
	const char *dropped; /* why, with STAGE_DROP; lives as long as the stage */

	struct arena *arena;
	void *state; /* of the stage that runs and this stream; see stage_type.state_size */
	struct program_stream *stream; /* for hold.h */
	struct stage_counters *counters;
};

enum stage_result {
	STAGE_CONTINUE,
	STAGE_DROP, /* e->dropped says why */
	STAGE_HOLD, /* the stage took it, and will emit it, or something made of it; see hold.h */
	STAGE_SKIP, /* over the stages within this one */
};

/* For compile functions. */
struct stage_env {
	struct arena
		*arena; /* the program's: options, and what compile takes from it, live as long */
	struct slots *slots;
	struct diag *diag;
	struct custom_metrics *metrics;
	bool whole_times; /* as in struct program_opts */
};

struct stage_type {
	/* .name is the stage's; .type is mostly FIELD_OBJECT with .object, but may be anything that
	 * a field can be (labels: FIELD_MAP). .offset stays 0. */
	struct field options;
	size_t options_size; /* of what the field decodes to */
	const char *refused; /* why Promtail's stage of this name is not to be had; NULL: it is */
	/*
	 * `options` as the field decoded them, in env->arena; `node` is theirs, for messages. What
	 * is wrong goes to env->diag, then -EINVAL. *ret_stage may be NULL. 0, -EINVAL, -ENOMEM.
	 */
	int (*compile)(const struct stage_env *env, const void *options, const struct node *node,
		       void **ret_stage);
	enum stage_result (*run)(void *stage, struct entry *e); /* NULL: there is nothing to do */
	void (*free)(void *stage); /* NULL: all of it lies in the arena */
	/* The stages within it, which run may skip; NULL: none. */
	const struct node *(*nested)(const void *options);
	/* Gaps (record.gap) pass over stages but those that look at labels alone. */
	bool gaps;

	/* Of each stream, zeroed when its first line comes: e->state. 0: none. */
	size_t state_size;
	/* Emits (hold.h) what is due at now_ns (CLOCK_BOOTTIME; UINT64_MAX: all of it). Returns
	 * when something is due next, UINT64_MAX: nothing is held. NULL: holds no entries. */
	uint64_t (*tick)(void *stage, void *state, struct program_stream *stream, uint64_t now_ns);
	/* Frees what the state holds. NULL: nothing. */
	void (*end)(void *stage, void *state, struct program_stream *stream);
	/* The least ring position of the entries that it holds; UINT64_MAX: it holds none. NULL:
	 * never. */
	uint64_t (*oldest)(const void *state);
	/* What has to be known of the past to treat the next lines alike, without the lines that
	 * are held: appends it, nothing when nothing is. NULL: nothing ever. 0; -ENOMEM. */
	int (*save)(const void *stage, const void *state, struct buf *out);
	/* What save wrote, of a stream that has had no line yet; `set`: its labels. The bytes are
	 * any. What is wrong is left out. */
	void (*load)(void *stage, void *state, struct program_stream *stream, struct label_set *set,
		     const char *bytes, size_t len);
};

/* All stages, by name; the end is NULL. */
extern const struct stage_type *const stage_types[];

/* The slot of a name, at compile time. 0; -ENOMEM. */
static inline int stage_env__slot(const struct stage_env *env, const char *name, size_t *ret_slot)
{
	return slots__get(env->slots, name, ret_slot);
}

static inline void entry__set_value(struct entry *e, size_t slot, const char *text, size_t len)
{
	e->values[slot] = (struct value){.kind = VALUE_STRING, .text = text, .len = len};
}

/* A value as text: false: it is absent or null (or there is no memory: counted). */
bool entry__text(struct entry *e, size_t slot, const char **ret, size_t *ret_len);
/* The label's value as it is now; false: there is none. */
bool entry__label(const struct entry *e, size_t slot, const char **ret, size_t *ret_len);
/* An empty text removes the label. */
void entry__set_label(struct entry *e, size_t slot, const char *text, size_t len);
void entry__remove_label(struct entry *e, size_t slot);
/* A name that is there is replaced. */
void entry__set_metadata(struct entry *e, size_t slot, const char *text, size_t len);

#endif
