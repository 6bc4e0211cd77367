/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that the page and /targets show, gathered for one answer: what the capture thread said, and
 * what the I/O thread knows itself. Everything is borrowed.
 */
#ifndef NOTAIL_STATUS_VIEW_H
#define NOTAIL_STATUS_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "sink/sink.h"
#include "status/samples.h"
#include "status/snapshot.h"

#define VIEW_MAX_CLIENTS 16

struct view_engine {
	const char *host;    /* NULL: none is asked */
	const char *version; /* of its API; NULL: not connected */
	const char *problem; /* NULL: all is well */
	const char *unasked; /* why none is; static */
};

/* Where pods' labels come from. */
struct view_source {
	const char *kind; /* "api", "kubelet"; NULL: none is asked */
	const char *url;
	bool up;
	uint64_t since_ns;   /* wall clock: it answers, or does not */
	const char *problem; /* NULL: all is well */
	size_t pods;
};

/* What of a client's lines lies in files. */
struct view_spool {
	bool used;			       /* it has one */
	uint64_t bytes, batches;	       /* that are there now */
	uint64_t lines;			       /* written to it, ever */
	uint64_t sent_lines;		       /* of those, read back and acknowledged */
	uint64_t dropped_lines, dropped_bytes; /* since it was full */
	uint64_t oldest_real_ns;	       /* wall clock, of what lies there; 0: nothing does */
	const char *problem;		       /* NULL: none */
};

/* All of it, of all clients. */
struct view_spool_files {
	bool used;
	uint64_t bytes;
	uint64_t corrupt;	 /* segments that could not be read */
	uint64_t errors;	 /* of system calls */
	uint64_t leftover_bytes; /* of clients that are none any more */
};

/* Whether what is captured outlives the process. */
enum durable { DURABLE_PRIVATE, DURABLE_YES, DURABLE_NO };

struct view_durable {
	enum durable state; /* private: it is not to */
	const char *why;    /* it does not; NULL: it does, or is not to */
	bool adopted;	    /* the ring of a run before goes on */
};

struct view_client {
	const char *name; /* NULL: none */
	const char *url;
	const char *problem; /* of the last try; NULL: none */
	uint64_t lines, batches, bytes, retries, dropped_lines, queued_bytes;
	uint64_t overflow_lines; /* of dropped_lines: for want of memory, without a spool */
	uint64_t oldest_ns;	 /* CLOCK_BOOTTIME, of a line that it has not taken; 0: none */
	const struct sink_stats *stats; /* NULL: none but the above */
	struct view_spool spool;
};

struct view_config {
	const char *file;    /* NULL: none */
	uint64_t since_ns;   /* in force; wall clock, as all here */
	const char *problem; /* of the last reload that failed since then; NULL: none */
	uint64_t problem_ns;
};

struct view {
	const char *host;
	uint64_t started_ns;
	const char *hooks, *hooks_why; /* the set, and why no better one; the latter may be empty */
	struct view_engine engine;
	struct view_source source;
	struct view_client clients[VIEW_MAX_CLIENTS];
	size_t n_clients;
	bool prints; /* --stdout */
	struct view_durable durable;
	struct view_spool_files spool;
	struct view_config config;
	struct log_message messages[LOG_RECENT]; /* newest first */
	size_t n_messages;
	const struct snapshot *now;    /* with targets */
	const struct snapshot *before; /* an earlier one, for rates; NULL: none */
	const struct samples *samples; /* all */
};

#endif
