/* SPDX-License-Identifier: Apache-2.0 */
/* Of all programs together, and of those before a reload. */
#include "process/routing_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "process/program.h"
#include "process/relabel.h"

#define MAX_METRIC 512

static void add_drop(void *ctx, const char *reason, uint64_t lines, uint64_t bytes)
{
	struct totals *t = ctx;
	struct total *d = t->drops;

	while (d < t->drops + t->n_drops && strcmp(d->reason, reason))
		d++;
	if (d == t->drops + MAX_REASONS)
		d--;
	if (d == t->drops + t->n_drops) {
		d->reason = strdup(reason);
		if (!d->reason)
			return;
		t->n_drops++;
	}
	d->lines += lines;
	d->bytes += bytes;
}

static void add_limits(struct limits_counters *to, const struct limits_counters *c)
{
	to->guard_trips += c->guard_trips;
	to->guarded_labels += c->guarded_labels;
	to->identity_over += c->identity_over;
	to->repaired += c->repaired;
	to->cut += c->cut;
	to->too_many_labels += c->too_many_labels;
	to->too_many_streams += c->too_many_streams;
	to->empty_sets += c->empty_sets;
}

static void add_totals(struct totals *t, const struct routing *r)
{
	for (size_t i = 0; i < r->before.n_drops; i++)
		add_drop(t, r->before.drops[i].reason, r->before.drops[i].lines,
			 r->before.drops[i].bytes);
	add_limits(&t->limits, &r->before.limits);
	if (r->limits)
		add_limits(&t->limits, limits__counters(r->limits));
	t->stages.regex_limited += r->before.stages.regex_limited;
	t->stages.no_memory += r->before.stages.no_memory;
	t->stages.failed += r->before.stages.failed;
	t->relabel_limited += r->before.relabel_limited;
	for (size_t i = 0; i < r->n_jobs; i++)
		t->relabel_limited += relabel__limited(r->compiled[i].relabel);
	for (size_t i = 0; i < routing__n_programs(r); i++) {
		const struct stage_counters *c;

		if (!routing__program(r, i))
			continue;
		c = program__counters(routing__program(r, i));
		program__drops(routing__program(r, i), add_drop, t);
		t->stages.regex_limited += c->regex_limited;
		t->stages.no_memory += c->no_memory;
		t->stages.failed += c->failed;
	}
}

void routing__inherit(struct routing *r, const struct routing *before)
{
	add_totals(&r->before, before);
}

/* A label's value: the configuration may have said anything. */
static void name_drop(char *out, size_t size, const char *reason)
{
	size_t len = (size_t)snprintf(out, size, "notail_stage_dropped_lines_total{reason=\"");

	for (const char *p = reason; *p && len + 5 < size; p++) {
		if (*p == '"' || *p == '\\')
			out[len++] = '\\';
		out[len++] = (unsigned char)*p < ' ' ? '?' : *p;
	}
	snprintf(out + len, size - len, "\"}");
	utf8__clean(out, strlen(out));
}

void routing__count(const struct routing *r,
		    void (*fn)(void *ctx, const char *metric, const char *help, uint64_t value),
		    void *ctx)
{
	struct totals t = {0};
	char metric[MAX_METRIC];

	add_totals(&t, r);
	for (size_t i = 0; i < t.n_drops; i++) {
		name_drop(metric, sizeof(metric), t.drops[i].reason);
		fn(ctx, metric, "lines that stages dropped", t.drops[i].lines);
		free(t.drops[i].reason);
	}
	fn(ctx, "notail_stage_regex_limited_total", "regular expressions of stages given up",
	   t.stages.regex_limited);
	fn(ctx, "notail_stage_no_memory_total", "stages that had no memory", t.stages.no_memory);
	fn(ctx, "notail_stage_failed_total", "stages that could not do their work on a line",
	   t.stages.failed);
	fn(ctx, "notail_relabel_regex_limited_total", "regular expressions of rules given up",
	   t.relabel_limited);
	fn(ctx, "notail_guard_trips_total", "labels with too many values that the guard moved",
	   t.limits.guard_trips);
	fn(ctx, "notail_guarded_labels_total",
	   "labels of sets that became structured metadata by it", t.limits.guarded_labels);
	fn(ctx, "notail_identity_labels_over_total",
	   "identity labels that got more values than they should", t.limits.identity_over);
	fn(ctx, "notail_labels_repaired_total",
	   "labels that Loki would not have taken as they were", t.limits.repaired);
	fn(ctx, "notail_labels_cut_total", "labels cut at their greatest length", t.limits.cut);
	fn(ctx, "notail_labels_moved_total{reason=\"too_many_labels\"}",
	   "labels that became structured metadata", t.limits.too_many_labels);
	fn(ctx, "notail_labels_moved_total{reason=\"too_many_streams\"}",
	   "labels that became structured metadata", t.limits.too_many_streams);
	fn(ctx, "notail_empty_label_sets_total", "streams that had no label left",
	   t.limits.empty_sets);
}

static void print_one(void *ctx, const char *metric, const char *help, uint64_t value)
{
	(void)help;
	if (value)
		fprintf(ctx, "%s %" PRIu64 "\n", metric, value);
}

void routing__print(const struct routing *r, FILE *out)
{
	routing__count(r, print_one, out);
}
