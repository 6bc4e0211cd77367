/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose bytes are whose: a part of a stream and the notes of the writes that it consists of. Pure.
 * attribute.c says why the result is right.
 */
#ifndef NOTAIL_ASSEMBLE_MATCH_H
#define NOTAIL_ASSEMBLE_MATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/line.h"

/* 0 and empty: not known. Without pid there is no tid and no trace. */
struct match_writer {
	uint32_t pid, tid;
	char comm[LINE_COMM_LEN]; /* all bytes behind the NUL are 0 */
	struct line_trace trace;
};

struct match_note {
	uint64_t at;	/* place in the order of counting */
	uint64_t count; /* not 0 */
	uint64_t hash;	/* of struct nt_note */
	bool hashed;
	struct match_writer writer;
};

typedef void (*match_range_fn)(void *ctx, size_t end, const struct match_writer *writer);

/* Of `len` > 0 bytes, as the kernel makes it for a note. */
uint64_t match__hash(const char *bytes, size_t len);

/*
 * `bytes` are what the `n` notes wrote, all of it and nothing else, in any order; the notes are in
 * the order of `at` and side by side, their counts sum up to `len`. Calls fn with ranges in order,
 * from 0 to `len` without gaps: each one's end, and the writer of all its bytes as far as it is
 * certain.
 */
void match__ranges(const char *bytes, size_t len, const struct match_note *notes, size_t n,
		   match_range_fn fn, void *ctx);

#endif
