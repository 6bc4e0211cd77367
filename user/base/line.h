/* SPDX-License-Identifier: Apache-2.0 */
/* One log line on its way from assemble to batch. Everything is borrowed until the callback that
 * got it returns. */
#ifndef NOTAIL_BASE_LINE_H
#define NOTAIL_BASE_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum line_stream {
	LINE_STDOUT = 1,
	LINE_STDERR = 2,
	LINE_TTY = 3
}; /* the values of enum nt_file */

#define LINE_COMM_LEN 16

/* What a thread worked for when it wrote, as OpenTelemetry has it. All zero: nothing, not known. */
struct line_trace {
	uint8_t trace_id[16];
	uint8_t span_id[8];
};

/* Structured metadata of one line. */
struct line_pair {
	const char *name;  /* as Loki takes it, NUL-terminated */
	const char *value; /* valid UTF-8, not empty, no NUL behind it */
	size_t len;
};

struct line {
	const char *bytes; /* without the newline; any bytes */
	size_t len;
	uint64_t time_ns; /* CLOCK_BOOTTIME, strictly increasing within a stream */
	/* When it was known to end, which is later than time_ns if no newline told it; 0: at
	 * time_ns. What waits for a line to come, waits until then. */
	uint64_t seen_ns;
	uint64_t cgroup_id;
	uint64_t ring_pos; /* of the oldest record that the line needs */
	uint64_t end; /* offset in its stream behind its last byte, the newline included; gaps: 0 */
	enum line_stream stream;
	uint32_t pid;		  /* of the writer; 0: not known */
	uint32_t tid;		  /* of its thread; 0: not known */
	char comm[LINE_COMM_LEN]; /* empty: not known */
	struct line_trace trace;
	bool truncated;	   /* cut at max_line_size */
	bool unterminated; /* no newline came: the stream ended, or a gap did */
	bool canary;	   /* notail's own: its age when it is acknowledged is counted */
	bool session;	   /* of docker exec, not of the container's own stdio */
	const char *gap; /* not NULL: a gap record, the reason ("ring_full", ...); bytes say what is
			    lost */
	/* What stages gave it. */
	uint64_t real_ns;		  /* wall clock, Unix ns; 0: as time_ns says */
	const struct line_pair *metadata; /* in front of what else there is of the name */
	size_t n_metadata;
	const char *tenant; /* not NUL-terminated; NULL: the client's */
	size_t tenant_len;
};

static inline uint64_t line__seen_ns(const struct line *l)
{
	return l->seen_ns > l->time_ns ? l->seen_ns : l->time_ns;
}

#endif
