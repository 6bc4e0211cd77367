/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of the entries of a request that Loki did not take as it was: by its text, as far as
 * that is certain. Entries that nobody blames stay, and are sent again with what was repaired: what
 * Loki has already of them it knows by time and line.
 */
#ifndef NOTAIL_SINK_LOKI_REPAIR_H
#define NOTAIL_SINK_LOKI_REPAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "batch/request.h"
#include "sink/loki_text.h"
#include "sink/sink.h"

enum loki_mark {
	LOKI_KEPT,
	LOKI_GONE, /* dropped, or taken by Loki for sure */
	LOKI_HELD, /* its stream waits on its own */
};

struct loki_repair {
	const struct request *request;
	uint8_t *marks; /* enum loki_mark, for each entry */
	size_t gone, held;
	size_t dropped[SINK_REASONS]; /* of those gone */
	size_t line_max, pairs_max, metadata_max;
	size_t cut_lines, cut_metadata; /* of those kept */
	enum sink_reason reason;	/* of the text as a whole */
};

/* A request of some of the entries. */
struct loki_part {
	struct request_sealed sealed;
	uint64_t *streams; /* request__labels_hash of each, sorted */
	size_t n_streams;
};

/* `r` is borrowed until loki_repair__free. 0 or -ENOMEM. */
int loki_repair__new(struct loki_repair *ret, const struct request *r);
void loki_repair__free(struct loki_repair *repair);
#define _loki_repair_ _cleanup_(loki_repair__free)

/* A 400, 413 or 422 with its text. Whether it got on: some entry goes or is cut. */
bool loki_repair__refused(struct loki_repair *repair, const char *text, size_t len);
/* A 429: the streams that it names are held. Whether there is one. */
bool loki_repair__limited(struct loki_repair *repair, const char *text, size_t len);
/* Those that `wanted` names by their hashes, sorted, are held. Whether there is one. */
bool loki_repair__hold(struct loki_repair *repair, const uint64_t *wanted, size_t n);
/* Between two streams, where there are two, or else entries: the second half is held. */
void loki_repair__halve(struct loki_repair *repair);
/* The entries of one mark, with what is cut. lines 0: there is none. 0 or -ENOMEM. */
int loki_repair__seal(const struct loki_repair *repair, enum loki_mark mark, struct loki_part *ret);
void loki_part__free(struct loki_part *part);
/* The text is none of Loki's: it is a page for people. */
bool loki_repair__is_page(const char *text, size_t len);

#endif
