/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A series is found by its labels' text, whose hash the set brings along: sets of different
 * containers with equal labels are one series. One lock for all: lines come from one thread, and a
 * scrape is rare.
 */
#include "process/metrics.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define N_BUCKETS 256u /* of a metric's hash table; a power of two */

struct series {
	struct series *chain;
	struct label_set *set; /* a reference */
	uint64_t changed_ns;
	double value;	   /* a histogram's sum */
	uint64_t counts[]; /* of a histogram: by bucket, then the rest */
};

struct metric {
	struct custom_metrics *owner;
	struct metric *next;
	char *name, *help;
	enum metric_type type;
	double *buckets;
	size_t n_buckets;
	uint64_t max_idle_ns;
	struct series *table[N_BUCKETS];
	size_t n_series;
};

struct custom_metrics {
	pthread_mutex_t lock;
	struct metric *metrics; /* by name */
	uint64_t refused;
};

static const double default_buckets[] = {.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10};

int custom_metrics__new(struct custom_metrics **ret)
{
	struct custom_metrics *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	pthread_mutex_init(&m->lock, NULL);
	*ret = m;
	return 0;
}

static void series__free(struct series *s)
{
	label_set__unref(s->set);
	free(s);
}

static void metric__free(struct metric *metric)
{
	struct series *s, *next;

	for (size_t i = 0; i < N_BUCKETS; i++) {
		for (s = metric->table[i]; s; s = next) {
			next = s->chain;
			series__free(s);
		}
	}
	free(metric->name);
	free(metric->help);
	free(metric->buckets);
	free(metric);
}

void custom_metrics__free(struct custom_metrics *m)
{
	struct metric *next;

	if (!m)
		return;
	for (; m->metrics; m->metrics = next) {
		next = m->metrics->next;
		metric__free(m->metrics);
	}
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static int same_kind(const struct metric *metric, const struct metric_opts *opts)
{
	if (metric->type != opts->type || metric->n_buckets != opts->n_buckets)
		return -EEXIST;
	for (size_t i = 0; i < opts->n_buckets; i++)
		if (metric->buckets[i] != opts->buckets[i])
			return -EEXIST;
	return 0;
}

static struct metric *make(const struct metric_opts *opts)
{
	struct metric *metric = calloc(1, sizeof(*metric));

	if (!metric)
		return NULL;
	metric->name = strdup(opts->name);
	metric->help = strdup(opts->help ? opts->help : "");
	metric->buckets = calloc(opts->n_buckets + 1, sizeof(*metric->buckets));
	if (!metric->name || !metric->help || !metric->buckets) {
		metric__free(metric);
		return NULL;
	}
	metric->type = opts->type;
	metric->max_idle_ns = opts->max_idle_ns;
	metric->n_buckets = opts->n_buckets;
	if (opts->n_buckets)
		memcpy(metric->buckets, opts->buckets, opts->n_buckets * sizeof(*opts->buckets));
	return metric;
}

int custom_metrics__add(struct custom_metrics *m, const struct metric_opts *opts,
			struct metric **ret)
{
	struct metric **at = &m->metrics, *metric;
	struct metric_opts full = *opts;
	int err;

	if (opts->type != METRIC_HISTOGRAM) {
		full.n_buckets = 0;
	} else if (!opts->n_buckets) {
		full.buckets = default_buckets;
		full.n_buckets = ARRAY_SIZE(default_buckets);
	}
	if (full.n_buckets > METRIC_MAX_BUCKETS)
		return -EINVAL;
	for (size_t i = 0; i < full.n_buckets; i++)
		if (isnan(full.buckets[i]) || (i && full.buckets[i] <= full.buckets[i - 1]))
			return -EINVAL;
	while (*at && strcmp((*at)->name, opts->name) < 0)
		at = &(*at)->next;
	if (*at && !strcmp((*at)->name, opts->name)) {
		err = same_kind(*at, &full);
		if (!err)
			*ret = *at;
		return err;
	}
	metric = make(&full);
	if (!metric)
		return -ENOMEM;
	metric->owner = m;
	pthread_mutex_lock(&m->lock);
	metric->next = *at;
	*at = metric;
	pthread_mutex_unlock(&m->lock);
	*ret = metric;
	return 0;
}

/* NULL: no memory, or no room. */
static struct series *find(struct metric *metric, struct label_set *set)
{
	struct series **bucket = &metric->table[set->hash & (N_BUCKETS - 1)], *s;
	size_t n_counts = metric->type == METRIC_HISTOGRAM ? metric->n_buckets + 1 : 0;

	for (s = *bucket; s; s = s->chain)
		if (s->set == set ||
		    (s->set->hash == set->hash && !strcmp(s->set->text, set->text)))
			return s;
	if (metric->n_series < METRIC_MAX_SERIES)
		s = calloc(1, sizeof(*s) + n_counts * sizeof(s->counts[0]));
	if (!s) {
		metric->owner->refused++;
		return NULL;
	}
	s->set = label_set__ref(set);
	s->chain = *bucket;
	*bucket = s;
	metric->n_series++;
	return s;
}

static void change(struct metric *metric, struct label_set *labels, double value, bool add,
		   uint64_t now_ns)
{
	struct series *s;

	pthread_mutex_lock(&metric->owner->lock);
	s = find(metric, labels);
	if (s) {
		s->value = add ? s->value + value : value;
		s->changed_ns = now_ns;
		for (size_t i = 0; metric->type == METRIC_HISTOGRAM; i++) {
			if (i < metric->n_buckets && !(value <= metric->buckets[i]))
				continue;
			s->counts[i]++;
			break;
		}
	}
	pthread_mutex_unlock(&metric->owner->lock);
}

void metric__add(struct metric *metric, struct label_set *labels, double value, uint64_t now_ns)
{
	change(metric, labels, value, true, now_ns);
}

void metric__set(struct metric *metric, struct label_set *labels, double value, uint64_t now_ns)
{
	change(metric, labels, value, false, now_ns);
}

void metric__observe(struct metric *metric, struct label_set *labels, double value, uint64_t now_ns)
{
	change(metric, labels, value, true, now_ns);
}

/* Text */

static int print_escaped(struct buf *out, const char *text, bool quotes)
{
	int err = 0;

	for (; *text && !err; text++) {
		if (*text == '\n')
			err = buf__append_str(out, "\\n");
		else if (*text == '\\' || (*text == '"' && quotes))
			err = buf__printf(out, "\\%c", *text);
		else
			err = buf__append(out, text, 1);
	}
	return err;
}

static int print_number(struct buf *out, double value)
{
	char text[32];

	if (isnan(value))
		return buf__append_str(out, "NaN");
	if (isinf(value))
		return buf__append_str(out, value < 0 ? "-Inf" : "+Inf");
	if (value == trunc(value) && fabs(value) < 1e15)
		return buf__printf(out, "%.0f", value);
	for (int precision = 1; precision <= 17; precision++) {
		snprintf(text, sizeof(text), "%.*g", precision, value);
		if (strtod(text, NULL) == value)
			break;
	}
	return buf__append_str(out, text);
}

/* The name with a suffix and labels, up to the value. */
static int print_name(struct buf *out, const struct metric *metric, const char *suffix,
		      const struct label_set *set, const double *le)
{
	bool any = false;
	int err = buf__printf(out, "%s%s", metric->name, suffix);

	for (size_t i = 0; i < set->n_labels && !err; i++) {
		if (!strncmp(set->labels[i].name, "__", 2))
			continue;
		err = buf__printf(out, "%c%s=\"", any ? ',' : '{', set->labels[i].name);
		if (!err)
			err = print_escaped(out, set->labels[i].value, true);
		if (!err)
			err = buf__append_str(out, "\"");
		any = true;
	}
	if (le && !err) {
		err = buf__printf(out, "%cle=\"", any ? ',' : '{');
		if (!err)
			err = print_number(out, *le);
		if (!err)
			err = buf__append_str(out, "\"");
		any = true;
	}
	return err ? err : buf__append_str(out, any ? "} " : " ");
}

static int print_histogram(struct buf *out, const struct metric *metric, const struct series *s)
{
	uint64_t total = 0;
	int err = 0;

	for (size_t i = 0; i <= metric->n_buckets && !err; i++) {
		double le = i < metric->n_buckets ? metric->buckets[i] : INFINITY;

		total += s->counts[i];
		err = print_name(out, metric, "_bucket", s->set, &le);
		if (!err)
			err = buf__printf(out, "%lu\n", total);
	}
	if (!err)
		err = print_name(out, metric, "_sum", s->set, NULL);
	if (!err)
		err = print_number(out, s->value);
	if (!err)
		err = buf__append_str(out, "\n");
	if (!err)
		err = print_name(out, metric, "_count", s->set, NULL);
	return err ? err : buf__printf(out, "%lu\n", total);
}

static int print_series(struct buf *out, const struct metric *metric, const struct series *s)
{
	int err;

	if (metric->type == METRIC_HISTOGRAM)
		return print_histogram(out, metric, s);
	err = print_name(out, metric, "", s->set, NULL);
	if (!err)
		err = print_number(out, s->value);
	return err ? err : buf__append_str(out, "\n");
}

static void expire(struct metric *metric, uint64_t now_ns)
{
	struct series **at, *s;

	for (size_t i = 0; metric->max_idle_ns && i < N_BUCKETS; i++) {
		at = &metric->table[i];
		while ((s = *at)) {
			if (s->changed_ns >= now_ns ||
			    now_ns - s->changed_ns < metric->max_idle_ns) {
				at = &s->chain;
				continue;
			}
			*at = s->chain;
			series__free(s);
			metric->n_series--;
		}
	}
}

static int by_text(const void *a, const void *b)
{
	return strcmp((*(struct series *const *)a)->set->text,
		      (*(struct series *const *)b)->set->text);
}

static int print_metric(struct buf *out, struct metric *metric)
{
	static const char *const types[] = {"counter", "gauge", "histogram"};
	_free_ struct series **all = NULL;
	size_t n = 0;
	int err;

	if (!metric->n_series)
		return 0;
	all = calloc(metric->n_series, sizeof(struct series *));
	if (!all)
		return -ENOMEM;
	for (size_t i = 0; i < N_BUCKETS; i++)
		for (struct series *s = metric->table[i]; s; s = s->chain)
			all[n++] = s;
	qsort(all, n, sizeof(struct series *), by_text);
	err = buf__printf(out, "# HELP %s ", metric->name);
	if (!err)
		err = print_escaped(out, metric->help, false);
	if (!err)
		err = buf__printf(out, "\n# TYPE %s %s\n", metric->name, types[metric->type]);
	for (size_t i = 0; i < n && !err; i++)
		err = print_series(out, metric, all[i]);
	return err;
}

int custom_metrics__print(struct custom_metrics *m, struct buf *out, uint64_t now_ns)
{
	int err = 0;

	pthread_mutex_lock(&m->lock);
	for (struct metric *metric = m->metrics; metric && !err; metric = metric->next) {
		expire(metric, now_ns);
		err = print_metric(out, metric);
	}
	if (m->refused && !err)
		err = buf__printf(out,
				  "# HELP notail_custom_series_refused_total Values that no series "
				  "was made for: too many.\n"
				  "# TYPE notail_custom_series_refused_total counter\n"
				  "notail_custom_series_refused_total %lu\n",
				  m->refused);
	pthread_mutex_unlock(&m->lock);
	return err;
}
