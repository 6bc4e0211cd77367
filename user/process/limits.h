/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What keeps Loki's index small, and its receiver content. A set of labels goes through it when it
 * is made, and again when it has been in use for LIMITS_RECHECK_NS of record time since, or when
 * limits__version has moved:
 *
 * - the guard: a label that rules or stages made and that gets more than label_values values within
 *   guard_window becomes structured metadata in all sets, until limits__reset (a reload) or for
 *   guard_reset; identity labels (container, pod, namespace) only warn, over identity_values;
 * - label_names labels at most (service_name, which Loki would add, not counted), names and values
 *   no longer than they may be; what is too much becomes metadata, what is too long is cut;
 * - streams streams at most that were seen within guard_window: of one more, labels that rules or
 *   stages made become metadata;
 * - never a set without a label.
 *
 * All by the time of records, so that the same records have the same labels again. Bounded memory.
 * One thread.
 */
#ifndef NOTAIL_PROCESS_LIMITS_H
#define NOTAIL_PROCESS_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "process/labels.h"

#define LIMITS_RECHECK_NS (600ull * 1000000000)

struct limits_opts {
	size_t label_values;	  /* of a label that rules or stages made */
	size_t identity_values;	  /* of an identity label */
	uint64_t guard_window_ns; /* an hour */
	uint64_t guard_reset_ns;  /* 0: only limits__reset */
	size_t label_names;
	size_t label_name_length;  /* bytes */
	size_t label_value_length; /* bytes */
	size_t streams;
};

/* 100, 2000, 1 h, 24 h, 15, 1024, 2048, 10000. */
extern const struct limits_opts limits_defaults;

struct limits_counters {
	uint64_t guard_trips;	   /* labels that the guard took */
	uint64_t guarded_labels;   /* labels of sets that became metadata by it */
	uint64_t identity_over;	   /* identity labels over their number */
	uint64_t repaired;	   /* names and values that were not as Loki takes them */
	uint64_t cut;		   /* too long */
	uint64_t too_many_labels;  /* labels that became metadata */
	uint64_t too_many_streams; /* sets that lost labels to metadata for it */
	uint64_t empty_sets;
};

struct limits;

int limits__new(struct limits **ret, const struct limits_opts *opts);
void limits__free(struct limits *l); /* NULL is fine */

/*
 * Changes a set that is not sealed; its first n_own labels are no rule's and no stage's.
 * time_ns: of the record that it is made for. 0 or -ENOMEM.
 */
int limits__fit(struct limits *l, struct label_set *s, size_t n_own, uint64_t time_ns);
/* The guard has it: for those who make sets, so that a changing value costs no set each. */
bool limits__guarded(const struct limits *l, const char *name);
/* Moves when the guard takes a label or gives it back, or is held at what it had. */
uint64_t limits__version(const struct limits *l);
/* Forgets all that was seen and guarded. */
void limits__reset(struct limits *l);

/* The guard took a label, or gave it back; called when it did, before the set has changed. The name
 * is valid within fn. */
struct limits_event {
	const char *name;
	bool taken;
	uint64_t since_ns; /* of the record that made it so */
};
void limits__observe(struct limits *l, void (*fn)(void *ctx, const struct limits_event *event),
		     void *ctx);
/* It took the label in another life. 0 or -ENOMEM. */
int limits__restore(struct limits *l, const char *name, uint64_t since_ns);
/*
 * For lines that somebody decided on before: while it is held, it takes nothing and gives nothing
 * back. With `guarded` it has what that says, which is told from others by `state`; NULL: what it
 * has. May be called again; limits__release ends it.
 */
void limits__hold(struct limits *l, bool (*guarded)(void *ctx, const char *name, uint64_t state),
		  void *ctx, uint64_t state);
void limits__release(struct limits *l);
const struct limits_counters *limits__counters(const struct limits *l);

struct limits_label {
	const char *name;
	size_t values; /* within the window, at most one over its number */
	bool identity;
	bool guarded;
	uint64_t since_ns; /* of the record that made it so */
};
/* Every label that is looked at, in no order; name is valid within fn. */
void limits__each(const struct limits *l, void (*fn)(void *ctx, const struct limits_label *label),
		  void *ctx);

#endif
