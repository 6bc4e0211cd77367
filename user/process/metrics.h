/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metrics that users' stages keep: a value for each set of labels, in Prometheus' text format.
 * Bounded in series; a series that nothing changed for its metric's idle time goes. Any thread.
 */
#ifndef NOTAIL_PROCESS_METRICS_H
#define NOTAIL_PROCESS_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "process/labels.h"

#define METRIC_MAX_SERIES 10000 /* of one metric */
#define METRIC_MAX_BUCKETS 256

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric_opts {
	const char *name; /* whole, with its prefix */
	const char *help;
	enum metric_type type;
	const double *buckets; /* of a histogram, rising; none: Prometheus' own */
	size_t n_buckets;
	uint64_t max_idle_ns; /* 0: for ever */
};

struct custom_metrics;
struct metric;

int custom_metrics__new(struct custom_metrics **ret);
void custom_metrics__free(struct custom_metrics *m); /* NULL is fine */
/*
 * opts is copied; *ret lives as long as `m`. A name that is there already is the same metric:
 * -EEXIST when it is of another kind. -EINVAL: buckets that do not rise, or too many. -ENOMEM.
 */
int custom_metrics__add(struct custom_metrics *m, const struct metric_opts *opts,
			struct metric **ret);
/* now_ns: any clock, the same for all calls. What cannot be kept is counted. */
void metric__add(struct metric *metric, struct label_set *labels, double value, uint64_t now_ns);
void metric__set(struct metric *metric, struct label_set *labels, double value, uint64_t now_ns);
void metric__observe(struct metric *metric, struct label_set *labels, double value,
		     uint64_t now_ns);
/* Appends all of them; in the order of their names and labels. 0 or -ENOMEM. */
int custom_metrics__print(struct custom_metrics *m, struct buf *out, uint64_t now_ns);

#endif
