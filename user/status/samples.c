/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The help of a sample says what that one value is; a metric that has several has one HELP for all
 * of them, which FAMILIES knows.
 */
#include "status/samples.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

static const struct {
	const char *name, *help;
} FAMILIES[] = {
	{"notail_lost_bytes_total", "bytes of log that were lost, each with a gap in its place"},
	{"notail_difference_bytes_total",
	 "bytes that were written and not captured, and are no loss"},
	{"notail_dropped_lines_total", "lines that were assembled and not delivered"},
};

static void add(struct samples *s, const struct sample *sample)
{
	struct sample *grown;
	char *metric;

	if (s->n == s->size) {
		size_t size = s->size ? 2 * s->size : 64;

		grown = reallocarray(s->items, size, sizeof(*grown));
		s->failed |= !grown;
		if (!grown)
			return;
		s->items = grown;
		s->size = size;
	}
	metric = strdup(sample->metric);
	s->failed |= !metric;
	if (!metric)
		return;
	s->items[s->n] = *sample;
	s->items[s->n++].metric = metric;
}

void samples__add(struct samples *s, enum sample_type type, const char *metric, const char *help,
		  uint64_t value)
{
	const struct sample sample = {(char *)metric, strcspn(metric, "{"), help, type, false,
				      value};

	add(s, &sample);
}

void samples__add_ns(struct samples *s, enum sample_type type, const char *metric, const char *help,
		     uint64_t ns)
{
	const struct sample sample = {(char *)metric, strcspn(metric, "{"), help, type, true, ns};

	add(s, &sample);
}

static int append_label(struct buf *b, char before, const struct sample_label *l)
{
	_free_ char *clean = strdup(l->value);
	int err = clean ? buf__printf(b, "%c%s=\"", before, l->name) : -ENOMEM;

	if (clean)
		utf8__clean(clean, strlen(clean));
	for (const char *p = clean; !err && *p; p++) {
		if (*p == '\n')
			err = buf__append_str(b, "\\n");
		else
			err = buf__printf(b, *p == '"' || *p == '\\' ? "\\%c" : "%c", *p);
	}
	return err ? err : buf__append_str(b, "\"");
}

/* `le`: one more label; NULL: none. */
static void add_part(struct samples *s, const struct sample *like, const char *suffix,
		     const struct sample_label *labels, size_t n, const char *le)
{
	const struct sample_label last = {"le", le};
	struct sample sample = *like;
	_buf_ struct buf b = {0};
	int err = buf__printf(&b, "%s%s", like->metric, suffix);

	for (size_t i = 0; i < n && !err; i++)
		err = append_label(&b, i ? ',' : '{', &labels[i]);
	if (le && !err)
		err = append_label(&b, n ? ',' : '{', &last);
	if (!err && (n || le))
		err = buf__append_str(&b, "}");
	if (!err)
		err = buf__append(&b, "", 1);
	sample.metric = b.data;
	sample.name_len = strlen(like->metric);
	s->failed |= err;
	if (!err)
		add(s, &sample);
}

void samples__add_labels(struct samples *s, enum sample_type type, bool ns, const char *name,
			 const struct sample_label *labels, size_t n, const char *help,
			 uint64_t value)
{
	const struct sample sample = {(char *)name, 0, help, type, ns, value};

	add_part(s, &sample, "", labels, n, NULL);
}

void samples__add_labelled(struct samples *s, enum sample_type type, const char *name,
			   const char *label, const char *label_value, const char *help,
			   uint64_t value)
{
	const struct sample_label one = {label, label_value};

	samples__add_labels(s, type, false, name, &one, 1, help, value);
}

static void name_bound(const struct histogram_shape *shape, size_t i, char *out, size_t size)
{
	if (i == shape->n)
		snprintf(out, size, "+Inf");
	else
		snprintf(out, size, "%.15g", (double)shape->bounds[i] / (shape->ns ? 1e9 : 1));
}

void samples__add_histogram(struct samples *s, const char *name, const struct sample_label *labels,
			    size_t n, const char *help, const struct histogram *h)
{
	struct sample sample = {(char *)name, 0, help, SAMPLE_HISTOGRAM, false, 0};
	char le[32];

	if (!h->shape)
		return;
	for (size_t i = 0; i <= h->shape->n; i++) {
		sample.value += atomic_load_explicit(&h->counts[i], memory_order_relaxed);
		name_bound(h->shape, i, le, sizeof(le));
		add_part(s, &sample, "_bucket", labels, n, le);
	}
	add_part(s, &sample, "_count", labels, n, NULL);
	sample.value = atomic_load_explicit(&h->sum, memory_order_relaxed);
	sample.ns = h->shape->ns;
	add_part(s, &sample, "_sum", labels, n, NULL);
}

void samples__add_all(struct samples *s, const struct samples *from)
{
	s->failed |= from->failed;
	for (size_t i = 0; i < from->n; i++)
		add(s, &from->items[i]);
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

int sample__value(const struct sample *s, struct buf *out)
{
	if (s->ns)
		return buf__printf(out, "%llu.%09llu", s->value / NS_PER_SEC,
				   s->value % NS_PER_SEC);
	return buf__printf(out, "%" PRIu64, s->value);
}

static bool same_name(const struct sample *a, const struct sample *b)
{
	return a->name_len == b->name_len && !memcmp(a->metric, b->metric, a->name_len);
}

static const char *family_help(const struct sample *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(FAMILIES); i++)
		if (strlen(FAMILIES[i].name) == s->name_len &&
		    !memcmp(FAMILIES[i].name, s->metric, s->name_len))
			return FAMILIES[i].help;
	return s->help;
}

static int print_sample(const struct sample *s, struct buf *out)
{
	int err = buf__printf(out, "%s ", s->metric);

	if (!err)
		err = sample__value(s, out);
	return err ? err : buf__append_str(out, "\n");
}

static int print_family(const struct samples *s, size_t at, bool *printed, struct buf *out)
{
	static const char *const TYPES[] = {[SAMPLE_COUNTER] = "counter",
					    [SAMPLE_GAUGE] = "gauge",
					    [SAMPLE_HISTOGRAM] = "histogram"};
	const struct sample *first = &s->items[at];
	int len = (int)first->name_len;
	int err = buf__printf(out, "# HELP %.*s %s\n# TYPE %.*s %s\n", len, first->metric,
			      family_help(first), len, first->metric, TYPES[first->type]);

	for (size_t i = at; i < s->n && !err; i++) {
		if (printed[i] || !same_name(first, &s->items[i]))
			continue;
		printed[i] = true;
		err = print_sample(&s->items[i], out);
	}
	return err;
}

int samples__text(const struct samples *s, struct buf *out)
{
	_free_ bool *printed = calloc(s->n + 1, sizeof(*printed));
	int err = s->failed || !printed ? -ENOMEM : 0;

	for (size_t i = 0; i < s->n && !err; i++)
		if (!printed[i])
			err = print_family(s, i, printed, out);
	return err;
}

void samples__free(struct samples *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->items[i].metric);
	free(s->items);
	*s = (struct samples){0};
}
