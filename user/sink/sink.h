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

#include "base/histogram.h"
#include "batch/batch.h"

enum sink_result {
	SINK_DELIVERED,	  /* but for the lines that sink_stats.dropped has */
	SINK_REFUSED,	  /* all of it, for good */
	SINK_UNDELIVERED, /* the sink ended or failed before; some of it may have arrived */
};

/* Why a receiver does not get a line that it could have been sent. */
enum sink_reason {
	SINK_TOO_OLD,
	SINK_TOO_NEW,
	SINK_TOO_FAR_BEHIND,
	SINK_LINE_TOO_LONG,
	SINK_METADATA,
	SINK_LABEL_NAMES,
	SINK_LABEL_LENGTH,
	SINK_LABELS,
	SINK_RATE_LIMITED, /* where the client is to give such lines up */
	SINK_TENANT,	   /* a name that Loki does not take */
	SINK_TOO_LARGE,	   /* alone, for its request */
	SINK_SERVER_ERROR, /* again and again, while others got through */
	SINK_MAX_RETRIES,
	SINK_REFUSED_OTHER, /* for what it does not say */
	SINK_REASONS,
};

/* As metrics have it. */
const char *sink_reason__name(enum sink_reason reason);

/* On the I/O thread. Takes the batch over. */
typedef void (*sink_done_fn)(void *ctx, struct batch *b, enum sink_result result);

/* Why a request has to be sent again. */
enum sink_failure {
	SINK_FAILED_CONNECTION, /* DNS, TLS, resets, what is no HTTP */
	SINK_FAILED_TIMEOUT,
	SINK_FAILED_429,
	SINK_FAILED_4XX,
	SINK_FAILED_5XX,
	SINK_FAILED_OTHER,
	SINK_FAILURES
};

struct sink_stats {
	_Atomic uint64_t batches;
	_Atomic uint64_t lines; /* delivered */
	_Atomic uint64_t bytes; /* sent, compressed */
	_Atomic uint64_t retries;
	_Atomic uint64_t dropped_lines; /* for any reason */
	_Atomic uint64_t partial;	/* batches of which some lines were dropped or cut */
	_Atomic uint64_t dropped[SINK_REASONS];
	_Atomic uint64_t cut_lines;    /* delivered, but shorter */
	_Atomic uint64_t cut_metadata; /* delivered with less of it */
	/* Of HTTP, sink_stats__init. */
	_Atomic uint64_t retries_by[SINK_FAILURES];
	_Atomic uint64_t failed_ns; /* wall clock, when the last one did; 0: none has */
	struct histogram request_ns, request_bytes;
	struct histogram age_ns; /* of lines, from their record to the acknowledgement */
	/* Of the last of notail's own lines that was acknowledged; 0: none was. */
	_Atomic uint64_t canary_age_ns, canary_real_ns; /* its age then, when it was written */
};

void sink_stats__init(struct sink_stats *s);
/* Of each request that came to an end: `status` 0 and `error` -errno, or its status. */
void sink_stats__answered(struct sink_stats *s, long status, int error, uint64_t took_ns,
			  size_t bytes);
/* Of each request that has to be sent again, besides `retries`. */
void sink_stats__failed(struct sink_stats *s, long status, int error);
/* Of each batch that the receiver took. Its lines are counted as if they lay evenly between the
 * oldest and the newest. */
void sink_stats__delivered(struct sink_stats *s, const struct batch *b);
/* "connection", "timeout", "429", ... */
const char *sink_failure__name(enum sink_failure failure);

#endif
