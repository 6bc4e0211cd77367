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
#include "status/samples.h"
#include "status/snapshot.h"

#define VIEW_MAX_CLIENTS 16

struct view_engine {
	const char *host;    /* NULL: none is asked */
	const char *version; /* of its API; NULL: not connected */
	const char *problem; /* NULL: all is well */
	const char *unasked; /* why none is; static */
};

struct view_client {
	const char *name; /* NULL: none */
	const char *url;
	const char *problem; /* of the last try; NULL: none */
	uint64_t lines, batches, bytes, retries, dropped_lines, queued_bytes;
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
	struct view_client clients[VIEW_MAX_CLIENTS];
	size_t n_clients;
	bool prints; /* --stdout */
	struct view_config config;
	struct log_message messages[LOG_RECENT]; /* newest first */
	size_t n_messages;
	const struct snapshot *now;    /* with targets */
	const struct snapshot *before; /* an earlier one, for rates; NULL: none */
	const struct samples *samples; /* all */
};

#endif
