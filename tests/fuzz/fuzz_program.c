/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any lines at any times through pipelines that hold, join, delay and rewrite: no line is lost or
 * doubled by those that drop none, and what comes out goes through the encoders. Half of them are
 * inspected, which changes nothing, and prints nothing that a terminal obeys.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "batch/batch.h"
#include "process/inspect.h"
#include "process/program.h"

#define N_STREAMS 3
#define N_SETS 2

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
	const char *yaml;
	bool keeps; /* every line comes out, in its order, and its bytes as they were */
} pipelines[] = {
	{"[{multiline: {firstline: '^[A-Z]', max_lines: 3, max_wait_time: 2s}}]", true},
	{"[{limit: {rate: 2, burst: 2}}]", true},
	{"[{multiline: {firstline: '^[A-Z]', max_wait_time: 1s}}, {limit: {rate: 1, burst: 1}},"
	 " {multiline: {firstline: '^A', max_wait_time: 5s}}]",
	 true},
	{"[{json: {expressions: {a: , b: 'c.d[0]'}}}, {logfmt: {mapping: {e: , f: g}}},"
	 " {labels: {a: , e: }}, {structured_metadata: {b: , f: }}, {tenant: {source: e}},"
	 " {match: {selector: '{a=~\"x.*\"} |= \"y\"', stages: [{multiline: {firstline: ^A}},"
	 " {pack: {labels: [a, b]}}]}}, {labelallow: [e, app]}, {output: {source: f}},"
	 " {metrics: {n: {type: histogram, source: b, config: {}}, m: {type: counter, source: e,"
	 " config: {action: add}}}}, {drop: {source: [a, e], expression: z}},"
	 " {limit: {rate: 5, burst: 5, drop: true, by_label_name: e}}, {sampling: {rate: 0.9}}]",
	 false},
};

struct world {
	struct batcher *batchers[2];
	struct inspect *inspect; /* NULL: not inspected */
	FILE *shown;
	uint64_t lines_in, lines_out;
};

static void on_sealed(void *ctx _unused_, struct batch *b)
{
	batch__free(b);
}

static void on_line(void *ctx, struct label_set *set, const struct line *line)
{
	struct world *w = ctx;

	w->lines_out++;
	for (size_t i = 0; i < line->len; i++)
		w->lines_out += line->bytes[i] == '\n';
	for (size_t i = 0; i < ARRAY_SIZE(w->batchers); i++)
		if (batcher__add(w->batchers[i], set, line))
			abort();
}

static ssize_t on_shown(void *ctx _unused_, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((uint8_t)text[i] < ' ' && text[i] != '\n' && text[i] != '\t')
			abort();
	if (!utf8__valid(text, len))
		abort();
	return (ssize_t)len;
}

static void inspect(struct world *w)
{
	w->shown = fopencookie(NULL, "w", (cookie_io_functions_t){.write = on_shown});
	if (!w->shown || setvbuf(w->shown, NULL, _IONBF, 0) ||
	    inspect__new(&w->inspect, w->shown, false))
		abort();
}

static struct program *make(struct world *w, const char *yaml)
{
	struct program_opts opts = {.line = on_line,
				    .ctx = w,
				    .inspect = w->inspect,
				    .max_line_size = 64,
				    .max_held_bytes = 1 << 20,
				    .max_label_sets = 8};
	struct document *document;
	struct program *p;
	struct diag *diag;

	if (diag__new(&diag, "f") ||
	    document__parse(&document, yaml, strlen(yaml), NULL, NULL, diag) ||
	    program__new(&p, document__root(document), &opts, diag)) {
		diag__print(diag, stderr);
		abort();
	}
	document__free(document);
	diag__free(diag);
	return p;
}

static struct label_set *make_set(const char *app)
{
	struct label_set *set = label_set__new();

	if (label_set__add(set, "app", app) || label_set__add_metadata(set, "f", app) ||
	    label_set__seal(set))
		abort();
	return set;
}

/* A line's first byte says whose it is and when; the others are the line. */
static void run(struct world *w, struct program *p, const uint8_t *data, size_t size)
{
	struct label_set *sets[N_SETS] = {make_set("one"), make_set("two")};
	struct program_stream *streams[N_STREAMS];
	struct line line = {.time_ns = 1000 * NS_PER_SEC};
	const uint8_t *end = data + size, *newline;

	for (size_t i = 0; i < N_STREAMS; i++)
		if (program_stream__new(&streams[i], p))
			abort();
	for (; data < end; data = newline + 1) {
		uint8_t how = *data++;

		newline = memchr(data, '\n', (size_t)(end - data));
		newline = newline ? newline : end;
		line.bytes = (const char *)data;
		line.len = (size_t)(newline - data);
		line.time_ns += (how & 15) * 300 * NS_PER_MS;
		line.real_ns = line.time_ns;
		line.gap = how == 255 ? "ring_full" : NULL;
		program_stream__run(streams[how / 16 % N_STREAMS], sets[how / 64 % N_SETS], &line);
		w->lines_in++;
		if (how & 16)
			program__tick(p, line.time_ns);
		if (newline == end)
			break;
	}
	program__flush(p);
	if (program__tick(p, line.time_ns) != UINT64_MAX)
		abort();
	for (size_t i = 0; i < N_STREAMS; i++)
		program_stream__free(streams[i]);
	for (size_t i = 0; i < N_SETS; i++)
		label_set__unref(sets[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct clock_anchor anchor;
	struct world w = {0};
	struct program *p;
	size_t which;

	if (!size)
		return 0;
	which = data[0] % ARRAY_SIZE(pipelines);
	for (size_t i = 0; i < ARRAY_SIZE(w.batchers); i++) {
		struct batch_opts opts = {.encoding = i ? BATCH_JSON : BATCH_LOKI,
					  .anchor = &anchor};

		if (batcher__new(&w.batchers[i], &opts, on_sealed, NULL))
			abort();
	}
	if (data[0] & 128)
		inspect(&w);
	p = make(&w, pipelines[which].yaml);
	run(&w, p, data + 1, size - 1);
	if (pipelines[which].keeps && w.lines_in != w.lines_out)
		abort();
	for (size_t i = 0; i < ARRAY_SIZE(w.batchers); i++) {
		batcher__seal(w.batchers[i]);
		batcher__free(w.batchers[i]);
	}
	program__free(p);
	inspect__free(w.inspect);
	if (w.shown)
		fclose(w.shown);
	return 0;
}
