/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration in force: which of its jobs a (container, stream) belongs to, the labels that
 * preset and rules give it, the program of stages for its lines. Asked once for each (container,
 * stream) and version of its metadata. Immutable but for what its programs and limits remember; one
 * thread at a time.
 */
#ifndef NOTAIL_PROCESS_ROUTING_H
#define NOTAIL_PROCESS_ROUTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "config/config.h"
#include "config/diag.h"
#include "containers/meta.h"
#include "process/label_list.h"
#include "process/labels.h"
#include "process/limits.h"
#include "process/program.h"

struct routing;

struct routing_opts {
	const char *host;		/* NULL: not known */
	struct custom_metrics *metrics; /* borrowed; NULL: counted for nobody */
	size_t max_line_size;		/* of lines that stages join; 0: default */
	struct inspect *inspect;	/* as in struct program_opts */
	/* For test-pipeline, NULL and false otherwise. */
	const struct label_pair *discovered; /* these alone, and any job that keeps the container */
	size_t n_discovered;
	const char *job_name; /* NULL: the first that keeps the container */
	bool is_test;	      /* no limits; a stage's time has zeros below its unit */
};

/*
 * Takes the configuration over, also when it fails; NULL: none, preset auto. Strings in opts are
 * copied but for `discovered`. What is wrong with rules and stages goes to diag: -EINVAL. -ENOMEM.
 */
int routing__new(struct routing **ret, struct config *config, const struct routing_opts *opts,
		 struct diag *diag);
/* After its programs' streams. NULL is fine. */
void routing__free(struct routing *r);
const struct config *routing__config(const struct routing *r); /* NULL: none */
/* Rules or filters look at networks, ports or image ids. */
bool routing__needs_details(const struct routing *r);
/* The name of the kernel's hooks, for rules; static. Before the first route. */
void routing__hook_set(struct routing *r, const char *name);
/* Where lines go that come out of a program; before the first one. */
void routing__output(struct routing *r,
		     void (*line)(void *ctx, struct label_set *set, const struct line *line),
		     void *ctx);

struct route {
	struct label_set *set;	 /* sealed, a reference of the caller's */
	struct program *program; /* NULL: no stages */
	char *tenant;		 /* to free; NULL: the client's */
	char *multiline;	 /* for program_stream__ask, to free; NULL: it is not asked for */
};

/* time_ns: of the record that asks, CLOCK_BOOTTIME. 1; 0: no job keeps it, *ret is as it was;
 * -ENOMEM. */
int routing__route(struct routing *r, const struct meta *m, enum line_stream stream,
		   uint64_t time_ns, struct route *ret);
/* Nothing of the container is wanted: by rules, its own annotation or label, or its namespace. */
bool routing__excludes(struct routing *r, const struct meta *m);
/* What excludes it whatever rules say, an annotation, a label or a setting; NULL: none. Static. */
const char *routing__opt_out(const struct routing *r, const struct meta *m);
/* As program__tick, of all programs. */
uint64_t routing__tick(struct routing *r, uint64_t now_ns);
/* What programs hold goes on. */
void routing__flush(struct routing *r);
/* As those of a program, of all. */
void routing__marks(struct routing *r, const struct marks *marks);
uint64_t routing__oldest(const struct routing *r);
void routing__flush_before(struct routing *r, uint64_t pos);
/* Moves when routes are to be asked for again. */
uint64_t routing__version(const struct routing *r);
/* What another has counted, that this one takes the place of, counts on. */
void routing__inherit(struct routing *r, const struct routing *before);
/* Each counter; metric has its labels, help is static. */
void routing__count(const struct routing *r,
		    void (*fn)(void *ctx, const char *metric, const char *help, uint64_t value),
		    void *ctx);
/* Of the guard: as limits__observe, limits__restore, limits__hold and limits__release. Without
 * limits: nothing. */
void routing__observe_guard(struct routing *r,
			    void (*fn)(void *ctx, const struct limits_event *event), void *ctx);
int routing__restore_guard(struct routing *r, const char *name, uint64_t since_ns);
void routing__hold_guard(struct routing *r,
			 bool (*guarded)(void *ctx, const char *name, uint64_t state), void *ctx,
			 uint64_t state);
void routing__release_guard(struct routing *r);
/* Each label that the guard moved to structured metadata, with the record's time (CLOCK_BOOTTIME)
 * that made it so. */
void routing__guarded(const struct routing *r,
		      void (*fn)(void *ctx, const char *name, uint64_t since_ns), void *ctx);
/* Counters that are not zero, `metric value` a line each. */
void routing__print(const struct routing *r, FILE *out);

#endif
