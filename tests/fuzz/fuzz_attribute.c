/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records in any order of names, times and proofs: no byte is lost, doubled or moved, nothing waits
 * longer or with more than it may, and a line has a name only if a proof covers its record.
 */
// sources: user/assemble/attribute.c user/assemble/assemble.c user/base/buf.c
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "assemble/attribute.h"
#include "base/buf.h"

#define NAMED 4096 /* offsets that a name was ever proven for */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
	struct assembler *assembler;
	struct attribute *a;
	struct buf in, out;
	uint32_t proven[NAMED]; /* pid by offset; 0: none */
	uint64_t offset, time_ns;
};

static void on_line(void *ctx, const struct line *line)
{
	struct world *w = ctx;
	size_t at = w->out.len;

	if (line->pid && at < NAMED)
		assert(w->proven[at] == line->pid);
	buf__append(&w->out, line->bytes, line->len);
	buf__append(&w->out, "\n", 1);
}

static void prove(struct world *w, uint64_t from, uint64_t to, uint32_t pid)
{
	for (uint64_t i = from; i < to && i < NAMED; i++)
		w->proven[i] = pid;
}

/* A record of whole lines, one byte each. */
static void feed(struct world *w, const uint8_t *step)
{
	size_t lines = 1 + (step[0] & 15), len = 2 * lines;
	struct attribute_note note = {.offset = w->offset, .known = step[0] >> 4 & 3};
	char *bytes = malloc(len);
	struct chunk chunk = {.bytes = bytes, .len = len, .time_ns = w->time_ns};

	for (size_t i = 0; i < lines; i++) {
		bytes[2 * i] = (char)('a' + (step[1] + i) % 26);
		bytes[2 * i + 1] = '\n';
	}
	if (note.known == NT_KNOWN) {
		note.from = w->offset - (step[1] < w->offset ? step[1] : w->offset);
		chunk.pid = 1 + (step[2] & 3);
		chunk.comm = "sh";
		prove(w, note.from, w->offset + len, chunk.pid);
	}
	buf__append(&w->in, bytes, len);
	assert(!attribute__feed(w->a, &chunk, &note));
	w->offset += len;
	free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct assemble_opts opts = {0};
	struct world w = {.time_ns = 1000};

	assert(!assembler__new(&w.assembler, &opts, 1, LINE_STDOUT, on_line, &w));
	assert(!attribute__new(&w.a, w.assembler));
	for (; size >= 3 && w.offset < NAMED; data += 3, size -= 3) {
		if (data[0] >= 0xc0) {
			uint64_t from = data[1] < w.offset ? w.offset - data[1] : 0;

			prove(&w, from, w.offset, 1 + (data[2] & 3));
			attribute__prove(w.a, from, 1 + (data[2] & 3), "sh");
		} else {
			feed(&w, data);
		}
		assert(w.in.len - w.out.len <= ATTRIBUTE_MAX_BYTES);
		assert((attribute__due_ns(w.a) == UINT64_MAX) == (w.in.len == w.out.len));
		assert(w.in.len == w.out.len || attribute__due_ns(w.a) > w.time_ns);
		w.time_ns += 64 + (uint64_t)data[2] * (ATTRIBUTE_WAIT_NS / 200);
	}
	attribute__flush(w.a);
	assert(w.in.len == w.out.len);
	assert(!w.in.len || !memcmp(w.in.data, w.out.data, w.in.len));
	attribute__free(w.a);
	assembler__free(w.assembler);
	buf__free(&w.in);
	buf__free(&w.out);
	return 0;
}
