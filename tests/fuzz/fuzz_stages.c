/* SPDX-License-Identifier: Apache-2.0 */
/* A line through one pipeline of all the stages that read and change text. */
// sources: user/base/arena.c user/base/buf.c user/base/regex.c user/base/regex_syntax.c
// sources: user/base/clock.c user/base/letter_case.c user/config/diag.c user/config/node.c
// sources: user/config/schema.c user/config/values.c user/process/decolorize.c
// sources: user/process/derive.c user/process/entry.c user/process/health.c user/process/hold.c
// sources: user/process/json_path.c user/process/json_text.c user/process/labels.c
// sources: user/process/logfmt.c user/process/logql.c user/process/metrics.c
// sources: user/process/program.c user/process/redact.c user/process/stage_decolorize.c
// sources: user/process/stage_drop.c user/process/stage_json.c user/process/stage_labels.c
// sources: user/process/stage_logfmt.c user/process/stage_match.c user/process/stage_output.c
// sources: user/process/stage_redact.c user/process/stage_regex.c user/process/stage_replace.c
// sources: user/process/template.c user/process/template_format.c user/process/template_funcs.c
// sources: user/process/template_run.c user/process/value.c
// libs: -lyaml -lpcre2-8 -lcrypto -lm
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "process/program.h"
#include "process/stages.h"

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

/* In place of the whole list, which would need every stage's sources. */
const struct stage_type *const stage_types[] = {
	&stage_json,	   &stage_logfmt, &stage_regex,	 &stage_replace,
	&stage_decolorize, &stage_redact, &stage_labels, &stage_structured_metadata,
	&stage_output,	   &stage_match,  &stage_drop,	 NULL,
};

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
	struct line line = {.bytes = (const char *)data, .len = size, .cgroup_id = 1};
	struct program_stream *stream;

	if (!program)
		start();
	if (program_stream__new(&stream, program))
		return 0;
	program_stream__run(stream, set, &line, 1);
	program_stream__run(stream, set, &line, 2);
	program__flush(program);
	program_stream__free(stream);
	return 0;
}
