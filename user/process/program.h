/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pipeline: a configuration's list of stages, compiled once, run for each line of the streams
 * that it is for. It is driven by the records' time, so that the same records give the same lines.
 * One thread.
 */
#ifndef NOTAIL_PROCESS_PROGRAM_H
#define NOTAIL_PROCESS_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/line.h"
#include "config/preset.h"
#include "config/diag.h"
#include "config/node.h"
#include "process/labels.h"
#include "process/stage.h"

struct program;
struct program_stream;
struct custom_metrics;
struct inspect;
struct limits;

struct program_opts {
	const struct stage_type *const *types; /* NULL: stage_types */
	/* Of the metrics stages. Borrowed; NULL: counted for nobody. */
	struct custom_metrics *metrics;
	/* What is over is not joined, not parked: bytes. 0: 256 KiB for a block of lines, 16 MiB
	 * for all that is delayed. */
	size_t max_line_size, max_held_bytes;
	/* A stage's time has zeros below its unit, not the record's digits. */
	bool whole_times;
	size_t max_label_sets; /* that stages made; 0: DERIVE_MAX */
	/* That the label sets go through which stages made. Borrowed; NULL: none. */
	struct limits *limits;
	/* That is shown what each stage does. Borrowed; NULL: none. */
	struct inspect *inspect;
	enum config_preset preset; /* strict: what is not its own label becomes metadata */
	/* A line that is through. All is borrowed until it returns. */
	void (*line)(void *ctx, struct label_set *set, const struct line *line);
	void *ctx;
};

/*
 * `stages`: the sequence; NULL or null: none, and lines go through as they are. All that is wrong
 * with it goes to diag: then -EINVAL. -ENOMEM. The document is not needed afterwards.
 */
int program__new(struct program **ret, const struct node *stages, const struct program_opts *opts,
		 struct diag *diag);
/* After its streams. NULL is fine. */
void program__free(struct program *p);
/* There are none: streams need not be told of it. */
bool program__is_empty(const struct program *p);

/* A container's stdout or stderr. */
int program_stream__new(struct program_stream **ret, struct program *p);
/* What it holds is dropped: flush before. NULL is fine. */
void program_stream__free(struct program_stream *s);
/* `set`: the stream's labels now. The line has its real_ns. What comes of it goes to opts.line, now
 * or later. */
void program_stream__run(struct program_stream *s, struct label_set *set, const struct line *line);
/* What stages hold goes on. */
void program_stream__flush(struct program_stream *s);

/* What is due goes on. No line with an earlier record time than now_ns (CLOCK_BOOTTIME) comes.
 * Returns when something is due next; UINT64_MAX: nothing is. */
uint64_t program__tick(struct program *p, uint64_t now_ns);
void program__flush(struct program *p);

const struct stage_counters *program__counters(const struct program *p);
/* Lines that stages dropped, by reason. */
void program__drops(const struct program *p,
		    void (*fn)(void *ctx, const char *reason, uint64_t lines, uint64_t bytes),
		    void *ctx);

#endif
