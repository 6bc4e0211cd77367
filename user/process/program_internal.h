/* SPDX-License-Identifier: Apache-2.0 */
/* A program and the state of its streams, for the files of program.h. */
#ifndef NOTAIL_PROCESS_PROGRAM_INTERNAL_H
#define NOTAIL_PROCESS_PROGRAM_INTERNAL_H

#include "process/derive.h"
#include "process/hold.h"
#include "process/inspect.h"
#include "process/metrics.h"
#include "process/program.h"

#define MAX_REASONS 64

struct op {
	const struct stage_type *type;
	void *stage;
	size_t behind;	     /* the stages within it */
	size_t state_offset; /* in a stream's states */
};

struct drop {
	const char *reason;
	uint64_t lines, bytes;
};

/* A label of a base set that has a slot. */
struct inherited {
	size_t slot;
	const char *text;
	size_t len;
};

struct base {
	struct label_set *set; /* a reference; NULL: none */
	struct inherited *labels;
	size_t n, size;
};

struct program {
	struct program_opts opts;
	struct arena options; /* of the stages */
	struct slots *slots;
	size_t n_slots;
	struct op *ops;
	size_t n_ops;
	struct inspect_place *places; /* as ops; NULL: nothing is inspected */
	size_t state_size;
	struct custom_metrics *own_metrics; /* where opts has none */
	struct derivations *derivations;
	struct entry entry;
	struct arena arena;	   /* of the entry */
	const char **inherited;	   /* of the entry */
	const struct base *loaded; /* into `inherited`; NULL: nothing is */
	struct base other;	   /* of a held entry whose stream has other labels by now */
	struct label_set *
		*names; /* by slot: a pair of metadata that has the name as Loki takes it */
	struct line_pair *metadata;
	struct program_stream *streams;
	uint64_t due_ns;
	uint64_t swept_ns;
	size_t held_bytes;
	const struct marks *marks;
	bool remembers;	    /* a stage saves something */
	uint64_t signature; /* of stages and slots: what they save means nothing to others */
	struct drop drops[MAX_REASONS];
	size_t n_drops;
	struct stage_counters counters;
};

/* For the marks behind `from`, up to `to`. */
struct saved_state {
	uint64_t from, to;
	size_t len;
	struct saved_state *next;
	char bytes[];
};

struct program_stream {
	struct program *program;
	uint64_t saved_to; /* a mark; UINT64_MAX: there is nothing to save */
	struct saved_state *saved;
	struct program_stream *prev, *next;
	struct base base;
	const struct derived *last;
	uint64_t last_generation;
	uint64_t due_ns;
	size_t at; /* the stage that runs */
	/* What its container asks for; NULL: nothing. */
	char *asked;
	struct regex *asked_regex;
	bool asked_continues;
	_Alignas(16) char states[];
};

/* program_compile.c: operations, slots and the entry. program__free frees them, of half a program
 * too. 0; -EINVAL: diag says why; -ENOMEM. */
int program__compile(struct program *p, const struct node *stages, struct diag *diag);

/* program_save.c: before a line of behind a mark comes. */
void program_stream__save(struct program_stream *s, uint64_t pos);

#endif
