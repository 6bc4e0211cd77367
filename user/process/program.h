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

#include "base/buf.h"
#include "base/line.h"
#include "base/marks.h"
#include "config/preset.h"
#include "config/diag.h"
#include "config/node.h"
#include "process/labels.h"
#include "process/stage.h"

struct program;
struct program_stream;
struct saved_state;
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
	/* A first stage, before all others, that joins lines as a stream's container asks for
	 * (process/asked.h). */
	bool asked_multiline;
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
/* Before the first line, with opts.asked_multiline: the pattern, copied. As asked_multiline__new.
 */
int program_stream__ask(struct program_stream *s, const char *multiline);
/* That pattern; NULL: none. */
const char *program_stream__asks(const struct program_stream *s);
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

/*
 * Of the ring (base/marks.h): streams note what their stages have to know of the past at each.
 * Before the first stream, borrowed. Lines come in the order of the ring but for those that have
 * waited.
 */
void program__marks(struct program *p, const struct marks *marks);
/* What stages of a stream hold goes on, where they hold something from before `pos`. */
void program__flush_before(struct program *p, uint64_t pos);
/* The least ring position of what stages hold; UINT64_MAX: nothing. */
uint64_t program__oldest(const struct program *p);
/* Appends what there is to know at a mark before which all lines have come; nothing when there is
 * none. 0; -ENOMEM. */
int program_stream__at_mark(const struct program_stream *s, uint64_t mark, struct buf *out);
/* What program_stream__at_mark wrote, or any bytes, before the first line. */
void program_stream__restore(struct program_stream *s, struct label_set *set, const char *bytes,
			     size_t len);
/* What there is to know at the marks so far, for when the stream is freed: the caller's. */
struct saved_state *program_stream__take_saved(struct program_stream *s);
int saved_state__at(const struct saved_state *list, uint64_t mark, struct buf *out);
/* What holds for none of the marks is freed; NULL: all. */
void saved_state__tidy(struct saved_state **list, const struct marks *marks);

const struct stage_counters *program__counters(const struct program *p);
/* Lines that stages dropped, by reason. */
void program__drops(const struct program *p,
		    void (*fn)(void *ctx, const char *reason, uint64_t lines, uint64_t bytes),
		    void *ctx);

#endif
