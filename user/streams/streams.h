/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the capture thread knows of containers and their streams: ring records in, labelled lines
 * out.
 *
 * A container is known by its cgroup from its first record on. Lines of one whose metadata is on
 * its way are parked, in order, bounded by bytes and by time, then sent with what is known. When a
 * stream ends its half line is delivered and its counts are compared (written by the container,
 * seen by the tap that copies): what is missing becomes a gap. One thread.
 */
#ifndef NOTAIL_STREAMS_H
#define NOTAIL_STREAMS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/line.h"
#include "base/marks.h"
#include "capture/record.h"
#include "containers/registry.h"
#include "process/labels.h"
#include "process/routing.h"
#include "process/select.h"
#include "status/counters.h"

struct decisions;
struct snapshot;
struct streams;

struct streams_ring {
	uint64_t read, written; /* positions */
	uint64_t events_lost;
};

struct streams_opts {
	struct registry *registry;
	struct counters *counters;
	const struct selection *selection;
	/* What is done with containers and lines: taken over, also on failure. NULL: no
	 * configuration. */
	struct routing *routing;
	const char *host;		   /* value of the label host, without a routing */
	const struct clock_anchor *anchor; /* for stages; NULL: there are none */
	size_t max_line_size;		   /* bytes; 0: the assembler's default */
	uint64_t park_max_ns;		   /* 0: 10 s */
	size_t park_max_bytes;		   /* of all parked lines; 0: 16 MiB */
	/* Of the ring, for streams__save. Borrowed; NULL: no process follows this one. */
	const struct marks *marks;
	FILE *stats;	/* one line for each wanted stream at its end; NULL: none */
	bool uncounted; /* the write tap is off: there is no `written` to compare with */
	/* A line that is wanted. All is borrowed. */
	void (*line)(void *ctx, struct label_set *set, const struct line *line);
	/* The kernel's counts of a stream; -ENOENT. */
	int (*kernel_stream)(void *ctx, const struct nt_stream_key *key, struct nt_stream *ret);
	/* A number that moves when the kernel skipped what copies at this tap, of any stream. NULL:
	 * not known. */
	uint64_t (*misses)(void *ctx, enum nt_tap tap);
	/* The path of a cgroup that no record told of; -ENOENT. NULL: none is known. */
	int (*cgroup_path)(void *ctx, uint64_t cgroup_id, char *ret_path, size_t size);
	/* The last record of the cgroup is through. */
	void (*forget)(void *ctx, uint64_t cgroup_id);
	/* Nothing of the container is wanted, by rules or its own label; or it is again. NULL: its
	 * lines are dropped, no more. */
	void (*exclude)(void *ctx, uint64_t cgroup_id, bool excluded);
	/*
	 * What records that the ring had no room for would have told. `ring`: how far it was read
	 * and written, and how many records of registrations and ends it had no room for. `lives`:
	 * the kernel side knows the cgroup. `reads`: it knows the process as a reader. `holds`:
	 * that process has the stream's file open. `orphans`: calls fn for each stream whose cgroup
	 * and reader are both gone. All or none are NULL.
	 */
	void (*ring)(void *ctx, struct streams_ring *ret);
	bool (*lives)(void *ctx, uint64_t cgroup_id);
	bool (*reads)(void *ctx, uint32_t tgid);
	bool (*holds)(void *ctx, uint32_t tgid, const struct nt_stream_key *key);
	void (*orphans)(void *ctx, stream_fn fn, void *arg);
	void *ctx;
};

/* Everything in opts is borrowed for the streams' life. */
int streams__new(struct streams **ret, const struct streams_opts *opts);
void streams__free(struct streams *s);

/*
 * What is decided about lines is journalled from now on, and what was decided about those of
 * records before `until`, a position of the ring, holds for them. `decisions` is borrowed. Before
 * the first record.
 */
void streams__decide_by(struct streams *s, struct decisions *decisions, uint64_t until);

/* Record handlers for capture, whose context is a struct streams. */
extern const struct record_ops streams_record_ops;

/* Takes over what is in force from now on, for the next line of each stream; what the stages of
 * before hold goes out first. */
void streams__use(struct streams *s, struct routing *routing);
/* Borrowed until the next streams__use. */
const struct routing *streams__routing(const struct streams *s);
/* Sends what was parked and can go, and what stages held until now. `drained`: no record of before
 * now_ns is to come, but for the latest ones. Returns CLOCK_BOOTTIME ns of the next deadline,
 * UINT64_MAX: none. */
uint64_t streams__tick(struct streams *s, uint64_t now_ns, bool drained);
/* Shutdown: half lines, parked lines and gaps that no record told of go out with what is known.
 * May be repeated. */
void streams__finish(struct streams *s);
/* As all is now, for others to read: enum snapshot_what. The caller's. 0 or -ENOMEM. */
int streams__snapshot(struct streams *s, unsigned what, struct snapshot **ret);
/*
 * What a process needs to know that goes on from a mark, at which all that came before is
 * delivered but for half lines: those that are no longer than max_half are copied, up to max_copies
 * bytes of them all. Appends it. 0; -EAGAIN: a half line is longer, and *ret_oldest is the ring
 * position that it begins at (of several, the least); -ENOMEM.
 */
int streams__save(struct streams *s, uint64_t mark, size_t max_half, size_t max_copies,
		  struct buf *out, uint64_t *ret_oldest);
/* What streams__save wrote, or any bytes, before the first record, which is at the mark or behind.
 * 0; -EINVAL: not all of it could be understood; -ENOMEM. */
int streams__restore(struct streams *s, uint64_t mark, const char *bytes, size_t len);
/* The least ring position that anything but half lines needs: lines that wait, parked or held.
 * UINT64_MAX: nothing does. */
uint64_t streams__oldest(const struct streams *s);
/* Marks have gone: what was kept for them may. */
void streams__forget_marks(struct streams *s);
/* Half lines that begin before `pos` and are longer than max_half are delivered as they are.
 * Returns how many. */
size_t streams__cut_half_lines(struct streams *s, uint64_t pos, size_t max_half);
/* What stages hold from before `pos` goes on, whatever it waited for. */
void streams__flush_stages(struct streams *s, uint64_t pos);

/* The statistics of the streams that have not ended. */
void streams__print_open(struct streams *s);

#endif
