/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of a few streams, some of them skipped, some of other containers, some with wrong fields:
 * the streams go on. What a stream's end says it saw is what its records had and what the gaps say,
 * to the byte, as long as its records are its own.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "streams/streams.h"

#include "../unit/streams/no_kernel.h"

#define CGROUP 4711u
#define PATH "/docker/00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define STREAMS 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The kernel's side of a stream. */
struct kernel {
	uint64_t seen;
	struct nt_gap gap;
	bool registered, wild; /* a record of it was a wrong one: nothing is claimed */
	uint64_t absent;       /* bytes that no record has */
};

struct world {
	struct streams *streams;
	struct kernel kernel[STREAMS];
	struct counters counters;
	uint64_t absent, time_ns;
	bool wild;
	union {
		struct nt_hdr hdr;
		struct nt_data data;
		uint8_t bytes[sizeof(struct nt_data) + 256];
	} room;
};

static void on_line(void *ctx, struct label_set *set, const struct line *line)
{
	(void)ctx;
	(void)set;
	assert(line->len <= 64 || line->gap);
}

static struct nt_hdr header(struct world *w, enum nt_kind kind, size_t size)
{
	w->time_ns += 1000;
	return (struct nt_hdr){
		.kind = kind, .size = (uint32_t)size, .time_ns = w->time_ns, .cgroup_id = CGROUP};
}

static struct nt_stream_key key_of(unsigned i)
{
	return (struct nt_stream_key){.ino = 100 + i, .dev = 14};
}

static uint8_t file_of(unsigned i)
{
	return (uint8_t)(NT_FILE_STDOUT + i % 2);
}

static void dispatch(struct world *w, const void *rec, size_t size)
{
	const char *why = NULL;

	if (record__dispatch(rec, size, 0, &streams_record_ops, w->streams, &why) < 0)
		assert(why);
}

static void registered(struct world *w, unsigned i)
{
	struct nt_register r = {.hdr = header(w, NT_KIND_REGISTER, sizeof(r)),
				.key = key_of(i),
				.file = file_of(i),
				.tap = NT_TAP_READ};

	if (w->kernel[i].registered || w->kernel[i].seen)
		w->wild = true; /* its end was never told */
	w->kernel[i] = (struct kernel){.registered = true};
	dispatch(w, &r, sizeof(r));
}

/* `how`: 0 to 3: as it should be; 4: the ring has no room; 5: skipped; then wrong ones. */
static void piece(struct world *w, unsigned i, unsigned how, uint8_t len)
{
	struct kernel *k = &w->kernel[i];
	struct nt_data *rec = &w->room.data;
	size_t size = sizeof(*rec) + len;

	if (how == 4) {
		k->gap.bytes += len;
		k->gap.calls++;
		k->seen += len;
		k->absent += len;
		return;
	}
	memset(rec, 0, sizeof(*rec));
	rec->hdr = header(w, NT_KIND_DATA, size);
	rec->key = key_of(i);
	rec->file = file_of(i);
	rec->tap = NT_TAP_READ;
	rec->len = len;
	rec->gap = k->gap;
	rec->offset = k->seen;
	memset(rec->bytes, 'x', len);
	if (len)
		rec->bytes[len / 2] = '\n';
	k->gap = (struct nt_gap){0};
	k->seen += len;
	if (how == 5) {
		k->absent += len;
		return;
	}
	if (how == 6)
		rec->hdr.cgroup_id = 99; /* nobody's: skipped */
	if (how == 7)
		rec->hdr.size = (uint32_t)size + 9; /* longer than its room: skipped */
	if (how == 6 || how == 7)
		k->absent += len;
	if ((how == 6 && !k->registered) || how > 7)
		w->wild = true;
	if (how == 8)
		rec->offset += 1000;
	if (how == 9)
		rec->offset /= 2;
	if (how == 10)
		rec->file ^= 3;
	if (how == 11)
		rec->key.ino++;
	dispatch(w, rec, size);
}

static void end(struct world *w, unsigned i)
{
	struct kernel *k = &w->kernel[i];
	struct nt_end e = {.hdr = header(w, NT_KIND_END, sizeof(e)),
			   .key = key_of(i),
			   .file = file_of(i),
			   .tap = NT_TAP_READ,
			   .gap = k->gap,
			   .seen = k->seen,
			   .written = k->seen,
			   .cause = NT_END_EOF};

	dispatch(w, &e, sizeof(e));
	if (!k->registered)
		w->wild = w->wild || k->seen; /* begun by a record: what was before is not known */
	w->absent += k->absent;
	*k = (struct kernel){0};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world w = {0};
	struct streams_opts opts = {.counters = &w.counters,
				    .host = "h",
				    .max_line_size = 64,
				    .line = on_line,
				    .kernel_stream = no_kernel__stream,
				    .forget = no_kernel__forget,
				    .ctx = &w};
	struct registry *registry;

	log__level(LOG_ERROR);
	if (registry__new(&registry))
		return 0;
	assert(registry__cgroup_new(registry, CGROUP, PATH, strlen(PATH)) == 0);
	opts.registry = registry;
	assert(streams__new(&w.streams, &opts) == 0);
	for (unsigned i = 0; i < STREAMS; i++)
		registered(&w, i);
	for (size_t at = 0; at + 2 <= size; at += 2) {
		unsigned i = data[at] % STREAMS, how = data[at] / STREAMS % 16;

		if (how < 12)
			piece(&w, i, how, data[at + 1]);
		else if (how < 14)
			end(&w, i);
		else
			registered(&w, i);
	}
	for (unsigned i = 0; i < STREAMS; i++)
		end(&w, i);
	if (!w.wild)
		assert(counters__get(&w.counters, gap_bytes) == w.absent);
	streams__finish(w.streams);
	streams__free(w.streams);
	registry__free(registry);
	return 0;
}
