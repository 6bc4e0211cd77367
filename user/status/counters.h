/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What notail counts of itself, by name: written by the stages with relaxed atomics, read by
 * anyone. `COUNTERS` is the one table of names, so that a report can never miss one.
 */
#ifndef NOTAIL_STATUS_COUNTERS_H
#define NOTAIL_STATUS_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

/* X(field, metric, help) */
#define COUNTERS(X)                                                                          \
	X(lines, "notail_lines_total", "lines assembled")                                    \
	X(bytes, "notail_bytes_total", "bytes of log in them")                               \
	X(processed, "notail_processed_lines_total", "lines that stages let through")        \
	X(processed_bytes, "notail_processed_bytes_total", "bytes in them")                  \
	X(truncated, "notail_truncated_lines_total", "lines cut at max_line_size")           \
	X(gaps, "notail_gaps_total", "gap records")                                          \
	X(gap_bytes, "notail_gap_bytes_total", "bytes that the gaps stand for")              \
	X(lost_ring_full, "notail_lost_bytes_total{reason=\"ring_full\"}",                   \
	  "bytes lost: ring full")                                                           \
	X(lost_unreadable, "notail_lost_bytes_total{reason=\"unreadable\"}",                 \
	  "bytes lost: buffer unreadable")                                                   \
	X(lost_too_long, "notail_lost_bytes_total{reason=\"too_long\"}",                     \
	  "bytes lost: call too long")                                                       \
	X(lost_rate_limit, "notail_lost_bytes_total{reason=\"rate_limit\"}",                 \
	  "bytes lost: over the container's rate limit")                                     \
	X(lost_orphaned, "notail_lost_bytes_total{reason=\"orphaned\"}",                     \
	  "bytes lost: no notail read for longer than capture.orphan_timeout")               \
	X(lost_bad_record, "notail_lost_bytes_total{reason=\"bad_record\"}",                 \
	  "bytes lost: their record was skipped")                                            \
	X(missing, "notail_missing_bytes_total",                                             \
	  "bytes written, and never seen by the copying tap")                                \
	X(uncounted, "notail_uncounted_bytes_total",                                         \
	  "bytes captured that the write tap could not count")                               \
	X(preexisting, "notail_difference_bytes_total{reason=\"preexisting\"}",              \
	  "bytes that lay in the pipe before its stream was registered")                     \
	X(unread_at_end, "notail_difference_bytes_total{reason=\"unread_at_end\"}",          \
	  "bytes that nobody read: the reader was killed")                                   \
	X(foreign_reader, "notail_difference_bytes_total{reason=\"foreign_reader\"}",        \
	  "bytes that another process than the runtime read")                                \
	X(incomplete, "notail_incomplete_streams_total",                                     \
	  "streams that ended without proof: the kernel skipped hooks meanwhile")            \
	X(corrupt, "notail_corrupt_records_total", "ring records skipped")                   \
	X(strays, "notail_stray_records_total", "records of another container's stream")     \
	X(excluded, "notail_excluded_bytes_total",                                           \
	  "bytes of excluded containers that were captured before that was known")           \
	X(parked, "notail_parked_lines_total", "lines that waited for metadata")             \
	X(park_expired, "notail_park_expired_lines_total", "lines sent with what was known") \
	X(dropped_no_memory, "notail_dropped_lines_total{reason=\"no_memory\"}",             \
	  "lines dropped: no memory")                                                        \
	X(dropped_queue_full, "notail_dropped_lines_total{reason=\"queue_full\"}",           \
	  "lines for a client that is down, when there was no memory left for it")           \
	X(dropped_refused, "notail_dropped_lines_total{reason=\"refused\"}",                 \
	  "lines the receiver refused")                                                      \
	X(dropped_undelivered, "notail_dropped_lines_total{reason=\"undelivered\"}",         \
	  "lines that were not delivered in time at the end")                                \
	X(journal_dropped, "notail_journal_dropped_total",                                   \
	  "decisions that the journal had no room for: lines may come twice after a kill")   \
	X(journal_damaged, "notail_journal_damaged_total",                                   \
	  "places of the journal that could not be read")                                    \
	X(ring_relief, "notail_ring_relief_total",                                           \
	  "half lines that went as they were, for they held half of the ring")               \
	X(state_damaged, "notail_state_damaged_total",                                       \
	  "marks of the process before that were damaged")                                   \
	X(canaries, "notail_canary_lines_total", "canary lines that were made")              \
	X(streams, "notail_streams_total", "streams registered")                             \
	X(reloads, "notail_reloads_total", "configurations that took another's place")       \
	X(reloads_failed, "notail_reload_failures_total", "configurations that could not")   \
	X(clock_steps, "notail_clock_step_total", "steps of the wall clock")

struct counters {
#define COUNTERS_FIELD(field, metric, help) _Atomic uint64_t field;
	COUNTERS(COUNTERS_FIELD)
#undef COUNTERS_FIELD
};

#define counters__add(c, field, n) atomic_fetch_add_explicit(&(c)->field, (n), memory_order_relaxed)
/* For a field that no other thread adds to: a line has no time for a locked instruction. */
#define counters__add_alone(c, field, n)                                                     \
	atomic_store_explicit(&(c)->field,                                                   \
			      atomic_load_explicit(&(c)->field, memory_order_relaxed) + (n), \
			      memory_order_relaxed)
#define counters__get(c, field) atomic_load_explicit(&(c)->field, memory_order_relaxed)

/* Those that are not zero, `metric value` a line each. */
void counters__print(const struct counters *c, FILE *out);

#endif
