/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where lines leave the capture thread: batches by output and tenant, open, sealed and under way.
 * Sealed batches cross to the I/O thread by a queue of each output and come back by one of all, as
 * soon as their part of the ring is not needed any more. All functions are for the capture thread
 * unless they say otherwise.
 *
 * The I/O thread says which streams have older lines waiting (a backlog): from then on their lines
 * are in batches of their own, so that those of other streams need not wait with them.
 */
#ifndef NOTAIL_OUTPUTS_H
#define NOTAIL_OUTPUTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "batch/batch.h"
#include "delivery/backlog.h"
#include "sink/sink.h"
#include "status/counters.h"

/* PIPELINE_LOKI is the first profile, behind it the others: what clients share that agree. */
enum pipeline_output { PIPELINE_STDOUT, PIPELINE_LOKI, PIPELINE_OUTPUTS = 17 };

struct outputs_opts {
	struct counters *counters;
	const struct clock_anchor *anchor;
	size_t max_memory; /* of what is sealed and not freed; 0: 64 MiB */
	uint64_t seed;	   /* of the waits' jitter; 0: none */
	bool enabled[PIPELINE_OUTPUTS];
	struct batch_opts batch[PIPELINE_OUTPUTS]; /* anchor is set here */
};

struct outputs;

/* Everything borrowed in opts must outlive them. */
int outputs__new(struct outputs **ret, const struct outputs_opts *opts);
/* No thread uses them any more. NULL is fine. */
void outputs__free(struct outputs *o);

/* To the open batch of each output; what cannot be added is counted. */
void outputs__add(struct outputs *o, struct label_set *set, const struct line *line);
/* Frees the batches that came back. */
void outputs__take_acknowledgements(struct outputs *o);
/* Readable when there is one. Any thread. */
int outputs__done_fd(const struct outputs *o);
/* By age, text always, or all. CLOCK_BOOTTIME ns of the next deadline; UINT64_MAX: none. */
uint64_t outputs__seal(struct outputs *o, uint64_t now_ns, bool all);
/* The least ring position that a batch, open or under way, needs; UINT64_MAX: there is none. */
uint64_t outputs__oldest(const struct outputs *o);
/* More may be read. */
bool outputs__have_room(const struct outputs *o);
/*
 * How far the ring was read. Where what batches need of it passes half of its size, a quarter is
 * asked for: see outputs__wanted.
 */
void outputs__look(struct outputs *o, uint64_t read_pos, size_t ring_bytes);
/* What is sealed, and not freed. Any thread. */
size_t outputs__memory(const struct outputs *o);
/* Where batches count it: see batch__account. */
_Atomic size_t *outputs__account(struct outputs *o);
/* Where those who deliver count lines that memory alone has. */
_Atomic size_t *outputs__at_risk(struct outputs *o);
/* Batches, and lines in them and at risk; 0 where there is neither. */
size_t outputs__in_flight(const struct outputs *o, size_t *ret_lines);

/* I/O side. The queue of sealed batches of one output; level-triggered. */
int outputs__fd(const struct outputs *o, size_t output);
/* NULL: none. The caller owns it until outputs__done. */
struct batch *outputs__next(struct outputs *o, size_t output);
/* Gives a batch back, delivered or not to be, and counts it. Others may have references. */
void outputs__done(struct outputs *o, struct batch *b, enum sink_result result);
/* Batches that need the ring before this position keep others from it; 0: none. It only grows. */
uint64_t outputs__wanted(const struct outputs *o);
/* Likewise, and they have little time left: they need more than five eighths of the ring. */
uint64_t outputs__pressed(const struct outputs *o);
/* Readable when it grew; read by outputs__wanted's caller until it is not. */
int outputs__wanted_fd(const struct outputs *o);
/* Takes it over: in force soon. NULL: no stream has one. */
void outputs__use_backlog(struct outputs *o, struct backlog *b);

#endif
