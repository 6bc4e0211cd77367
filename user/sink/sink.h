/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where batches go. The capture thread submits, the I/O thread delivers and returns each batch by
 * the queue of acknowledgements, from which the capture thread alone moves the ring's position and
 * frees the batch.
 */
#ifndef NOTAIL_SINK_SINK_H
#define NOTAIL_SINK_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "batch/batch.h"

enum sink_result {
	SINK_DELIVERED,
	SINK_REFUSED,	  /* by the receiver, for good */
	SINK_UNDELIVERED, /* the sink ended or failed before */
};

/* On the I/O thread. Takes the batch over. */
typedef void (*sink_done_fn)(void *ctx, struct batch *b, enum sink_result result);

struct sink_stats {
	_Atomic uint64_t batches;
	_Atomic uint64_t lines;
	_Atomic uint64_t bytes; /* sent, compressed */
	_Atomic uint64_t retries;
	_Atomic uint64_t dropped_lines;
	_Atomic uint64_t partial; /* requests that the receiver took in part */
};

#endif
