/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program, one stream of it, and what comes out, as text: for each line its labels, the line,
 * then [metadata], and what stages set of tenant and time. Time passes only as the test says.
 */
#ifndef TESTS_UNIT_PROCESS_PIPELINE_WORLD_H
#define TESTS_UNIT_PROCESS_PIPELINE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "process/metrics.h"
#include "process/program.h"

#define WORLD_START_NS (1000 * NS_PER_SEC)
#define WORLD_WALL_NS (1700000000 * NS_PER_SEC) /* of boot time 0 */

struct world {
	struct diag *diag;
	struct custom_metrics *metrics;
	struct program_opts opts;
	struct program *program;
	struct program_stream *stream;
	struct label_set *set;
	struct buf out;
	char *messages; /* of diag */
	uint64_t now_ns;
	uint64_t end; /* of the line, in its stream */
	size_t lines;
	struct line last; /* its borrowed parts are not to be looked at */
};

static void world__append(struct world *w, const char *text, size_t len)
{
	assert_int_equal(buf__append(&w->out, text, len), 0);
	for (char *p; len && (p = memchr(w->out.data, '\0', w->out.len));)
		*p = '^';
}

static void world__on_line(void *ctx, struct label_set *set, const struct line *line)
{
	struct world *w = ctx;
	char text[64];

	w->lines++;
	w->last = *line;
	world__append(w, set->text, strlen(set->text));
	world__append(w, " ", 1);
	world__append(w, line->bytes, line->len);
	for (size_t i = 0; i < line->n_metadata; i++) {
		world__append(w, i ? " " : " [", i ? 1 : 2);
		world__append(w, line->metadata[i].name, strlen(line->metadata[i].name));
		world__append(w, "=", 1);
		world__append(w, line->metadata[i].value, line->metadata[i].len);
	}
	if (line->n_metadata)
		world__append(w, "]", 1);
	if (line->tenant) {
		world__append(w, " tenant=", 8);
		world__append(w, line->tenant, line->tenant_len);
	}
	if (line->gap)
		world__append(w, " gap", 4);
	if (line->real_ns != WORLD_WALL_NS + line->time_ns) {
		snprintf(text, sizeof(text), " @%lu", line->real_ns);
		world__append(w, text, strlen(text));
	}
	world__append(w, "\n", 1);
}

/* `labels`: "a=1,b=2". */
static inline struct label_set *world__set(const char *labels)
{
	struct label_set *set = label_set__new();
	char copy[512], *save = NULL;

	assert_non_null(set);
	snprintf(copy, sizeof(copy), "%s", labels);
	for (char *pair = strtok_r(copy, ",", &save); pair; pair = strtok_r(NULL, ",", &save)) {
		char *value = strchr(pair, '=');

		*value++ = '\0';
		assert_int_equal(label_set__add(set, pair, value), 0);
	}
	assert_int_equal(label_set__seal(set), 0);
	return set;
}

/* As program__new; what is wrong is in w->messages. w->opts may be set before. */
static inline int world__try(struct world *w, const char *yaml)
{
	struct document *document;
	struct node *root;
	size_t size;
	FILE *f;
	int err;

	assert_int_equal(diag__new(&w->diag, "t.yaml"), 0);
	assert_int_equal(document__parse(&document, yaml, strlen(yaml), NULL, NULL, w->diag), 0);
	root = (struct node *)document__root(document);
	assert_int_equal(custom_metrics__new(&w->metrics), 0);
	w->opts.metrics = w->metrics;
	if (!w->opts.line)
		w->opts.line = world__on_line;
	w->opts.ctx = w;
	w->now_ns = WORLD_START_NS;
	err = program__new(&w->program, root, &w->opts, w->diag);
	f = open_memstream(&w->messages, &size);
	diag__print(w->diag, f);
	fclose(f);
	document__free(document);
	return err;
}

static inline void world__open(struct world *w, const char *labels, const char *yaml)
{
	int err = world__try(w, yaml);

	if (err)
		print_error("%s", w->messages);
	assert_int_equal(err, 0);
	w->set = world__set(labels);
	assert_int_equal(program_stream__new(&w->stream, w->program), 0);
}

static inline void world__close(struct world *w)
{
	program_stream__free(w->stream);
	program__free(w->program);
	custom_metrics__free(w->metrics);
	label_set__unref(w->set);
	diag__free(w->diag);
	buf__free(&w->out);
	free(w->messages);
	*w = (struct world){0};
}

#define _world_ _cleanup_(world__close)

/* What is said of a program: 0 or -EINVAL, and the messages. `types` NULL: notail's own stages. */
static inline void world__says(const struct stage_type *const *types, const char *yaml, int err,
			       const char *messages)
{
	_world_ struct world w = {.opts.types = types};

	assert_int_equal(world__try(&w, yaml), err);
	if (err)
		assert_null(w.program);
	assert_string_equal(w.messages, messages);
}

static inline void world__bytes(struct world *w, const char *bytes, size_t len)
{
	struct line line = {.bytes = bytes,
			    .len = len,
			    .time_ns = w->now_ns,
			    .real_ns = WORLD_WALL_NS + w->now_ns,
			    .cgroup_id = 7,
			    .end = w->end + len + 1,
			    .stream = LINE_STDOUT};

	w->end = line.end;
	program_stream__run(w->stream, w->set, &line);
}

static inline void world__line(struct world *w, const char *text)
{
	/* Of just its size: a sanitizer sees what reads behind it. */
	char *copy = malloc(strlen(text) + !*text);

	assert_non_null(copy);
	memcpy(copy, text, strlen(text));
	world__bytes(w, copy, strlen(text));
	free(copy);
}

static inline void world__wait(struct world *w, uint64_t ns)
{
	w->now_ns += ns;
	program__tick(w->program, w->now_ns);
}

/* All that came since the last time. */
static inline void world__expect(struct world *w, const char *expected)
{
	assert_int_equal(buf__append(&w->out, "", 1), 0);
	assert_string_equal(w->out.data, expected);
	w->out.len = 0;
}

static inline void world__expect_metrics(struct world *w, const char *expected)
{
	_buf_ struct buf out = {0};

	assert_int_equal(custom_metrics__print(w->metrics, &out, WORLD_WALL_NS + w->now_ns), 0);
	assert_int_equal(buf__append(&out, "", 1), 0);
	assert_string_equal(out.data, expected);
}

#endif
