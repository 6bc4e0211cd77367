/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics as they are now, and Prometheus' text form of them. The owner of the struct owns all. */
#ifndef NOTAIL_STATUS_SAMPLES_H
#define NOTAIL_STATUS_SAMPLES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/histogram.h"
#include "status/counters.h"

enum sample_type { SAMPLE_COUNTER, SAMPLE_GAUGE, SAMPLE_HISTOGRAM };

struct sample {
	char *metric;	  /* with its labels: `name{a="b"}` */
	size_t name_len;  /* of the metric's name: of a histogram, without _bucket, _sum, _count */
	const char *help; /* static */
	enum sample_type type;
	bool ns; /* the value is nanoseconds, and is shown as seconds */
	uint64_t value;
};

struct sample_label {
	const char *name, *value;
};

struct samples {
	struct sample *items;
	size_t n, size;
	bool failed; /* there was no memory for one */
};

/* `metric` is copied. */
void samples__add(struct samples *s, enum sample_type type, const char *metric, const char *help,
		  uint64_t value);
/* name{label="value"}: the value is escaped, what is not UTF-8 in it becomes `?`. */
void samples__add_labelled(struct samples *s, enum sample_type type, const char *name,
			   const char *label, const char *label_value, const char *help,
			   uint64_t value);
/* The same with several labels, and of nanoseconds with `ns`. */
void samples__add_labels(struct samples *s, enum sample_type type, bool ns, const char *name,
			 const struct sample_label *labels, size_t n, const char *help,
			 uint64_t value);
/* Nanoseconds, of a metric in seconds without labels. */
void samples__add_ns(struct samples *s, enum sample_type type, const char *metric, const char *help,
		     uint64_t ns);
/* Nothing of one without a shape. */
void samples__add_histogram(struct samples *s, const char *name, const struct sample_label *labels,
			    size_t n, const char *help, const struct histogram *h);
/* Copies. */
void samples__add_all(struct samples *s, const struct samples *from);
void samples__add_counters(struct samples *s, const struct counters *c);
/* NULL: there is none of this name (with its labels). */
const struct sample *samples__find(const struct samples *s, const char *metric);
/* Appends its value as text. 0 or -ENOMEM. */
int sample__value(const struct sample *s, struct buf *out);
/* Appends them, each metric's values together under its HELP and TYPE. 0 or -ENOMEM. */
int samples__text(const struct samples *s, struct buf *out);
void samples__free(struct samples *s);

#define _samples_ _cleanup_(samples__free)

#endif
