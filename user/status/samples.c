/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The help of a sample says what that one value is; a metric that has several has one HELP for all
 * of them, which FAMILIES knows.
 */
#include "status/samples.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const struct {
	const char *name, *help;
} FAMILIES[] = {
	{"notail_lost_bytes_total", "bytes of log that were lost, each with a gap in its place"},
	{"notail_difference_bytes_total",
	 "bytes that were written and not captured, and are no loss"},
	{"notail_dropped_lines_total", "lines that were assembled and not delivered"},
};

void samples__add(struct samples *s, enum sample_type type, const char *metric, const char *help,
		  uint64_t value)
{
	struct sample *grown;

	if (s->n == s->size) {
		size_t size = s->size ? 2 * s->size : 64;

		grown = reallocarray(s->items, size, sizeof(*grown));
		s->failed |= !grown;
		if (!grown)
			return;
		s->items = grown;
		s->size = size;
	}
	s->items[s->n] = (struct sample){strdup(metric), help, type, value};
	if (s->items[s->n].metric)
		s->n++;
	else
		s->failed = true;
}

void samples__add_labelled(struct samples *s, enum sample_type type, const char *name,
			   const char *label, const char *label_value, const char *help,
			   uint64_t value)
{
	_free_ char *clean = strdup(label_value);
	_buf_ struct buf b = {0};
	int err = clean ? buf__printf(&b, "%s{%s=\"", name, label) : -ENOMEM;

	if (clean)
		utf8__clean(clean, strlen(clean));
	for (const char *p = clean; !err && *p; p++) {
		if (*p == '\n')
			err = buf__append_str(&b, "\\n");
		else
			err = buf__printf(&b, *p == '"' || *p == '\\' ? "\\%c" : "%c", *p);
	}
	if (!err)
		err = buf__append(&b, "\"}", 3);
	if (err)
		s->failed = true;
	else
		samples__add(s, type, b.data, help, value);
}

void samples__add_counters(struct samples *s, const struct counters *c)
{
#define ADD(field, metric, help) \
	samples__add(s, SAMPLE_COUNTER, metric, help, counters__get(c, field));
	COUNTERS(ADD)
#undef ADD
}

const struct sample *samples__find(const struct samples *s, const char *metric)
{
	for (size_t i = 0; i < s->n; i++)
		if (!strcmp(s->items[i].metric, metric))
			return &s->items[i];
	return NULL;
}

static bool same_name(const struct sample *a, const struct sample *b)
{
	size_t len = strcspn(a->metric, "{");

	return len == strcspn(b->metric, "{") && !memcmp(a->metric, b->metric, len);
}

static bool seen_before(const struct samples *s, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (same_name(&s->items[i], &s->items[at]))
			return true;
	return false;
}

static const char *family_help(const struct sample *s)
{
	size_t len = strcspn(s->metric, "{");

	for (size_t i = 0; i < ARRAY_SIZE(FAMILIES); i++)
		if (strlen(FAMILIES[i].name) == len && !memcmp(FAMILIES[i].name, s->metric, len))
			return FAMILIES[i].help;
	return s->help;
}

static int print_family(const struct samples *s, size_t at, struct buf *out)
{
	static const char *const TYPES[] = {[SAMPLE_COUNTER] = "counter", [SAMPLE_GAUGE] = "gauge"};
	const struct sample *first = &s->items[at];
	int len = (int)strcspn(first->metric, "{");
	int err = buf__printf(out, "# HELP %.*s %s\n# TYPE %.*s %s\n", len, first->metric,
			      family_help(first), len, first->metric, TYPES[first->type]);

	for (size_t i = at; i < s->n && !err; i++)
		if (same_name(first, &s->items[i]))
			err = buf__printf(out, "%s %" PRIu64 "\n", s->items[i].metric,
					  s->items[i].value);
	return err;
}

int samples__text(const struct samples *s, struct buf *out)
{
	int err = s->failed ? -ENOMEM : 0;

	for (size_t i = 0; i < s->n && !err; i++)
		if (!seen_before(s, i))
			err = print_family(s, i, out);
	return err;
}

void samples__free(struct samples *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->items[i].metric);
	free(s->items);
	*s = (struct samples){0};
}
