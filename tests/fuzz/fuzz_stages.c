/* SPDX-License-Identifier: Apache-2.0 */
/* A line through one pipeline of all the stages that read and change text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "process/program.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char yaml[] =
	"- decolorize:\n"
	"- json: {expressions: {a: , b: 'b[-1].c || level', all: '@'}}\n"
	"- json: {expressions: {inner: a}, source: a}\n"
	"- logfmt: {mapping: {level: , msg: message, path: }}\n"
	"- logfmt: {mapping: {user: }, source: msg}\n"
	"- regex: {expression: '^(?P<ip>\\S+) (?P<rest>.*)$'}\n"
	"- regex: {expression: '(?P<first>\\w+)|(?P<other>\\W)', source: rest}\n"
	"- replace: {expression: '(?P<word>[a-z]+)=(\\S*)', replace: '{{ .Value | ToUpper }}'}\n"
	"- replace: {expression: '(x*)', replace: '<{{ .level }}>', source: msg}\n"
	"- redact: {expressions: {pw: 'password=(\\S+)(?:;(\\S+))?', n: '\\d{9}'}}\n"
	"- match: {selector: '{app=\"x\"} |= \"a\" !~ `b+`', stages: [{labels: {level: , user: "
	"}}]}\n"
	"- drop: {preset: health}\n"
	"- structured_metadata: {ip: , first: , word: , inner: , b: }\n"
	"- output: {source: all}\n";

static struct program *program;
static struct label_set *set;

static void on_line(void *ctx, struct label_set *labels, const struct line *line)
{
	volatile unsigned sum = 0;

	(void)ctx;
	for (size_t i = 0; i < line->len; i++)
		sum += (unsigned char)line->bytes[i];
	for (size_t i = 0; i < line->n_metadata; i++)
		for (size_t j = 0; j < line->metadata[i].len; j++)
			sum += (unsigned char)line->metadata[i].value[j];
	if (!labels->text)
		abort();
}

static void start(void)
{
	static const struct program_opts opts = {.line = on_line};
	struct document *document;
	struct diag *diag;

	if (diag__new(&diag, "fuzz") ||
	    document__parse(&document, yaml, sizeof(yaml) - 1, NULL, NULL, diag) ||
	    program__new(&program, document__root(document), &opts, diag))
		abort();
	document__free(document);
	diag__free(diag);
	set = label_set__new();
	if (label_set__add(set, "app", "x") || label_set__seal(set))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct line line = {.bytes = (const char *)data, .len = size, .cgroup_id = 1, .time_ns = 1};
	struct program_stream *stream;

	if (!program)
		start();
	if (program_stream__new(&stream, program))
		return 0;
	program_stream__run(stream, set, &line);
	line.time_ns = 2;
	program_stream__run(stream, set, &line);
	program__flush(program);
	program_stream__free(stream);
	return 0;
}
