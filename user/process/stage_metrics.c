/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics: counters, gauges and histograms of extracted values, with the entry's labels of the
 * moment. Their names begin with notail_custom_ unless a prefix is given.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "process/hold.h"
#include "process/metrics.h"
#include "process/stages.h"

#define PREFIX "notail_custom_"
#define OWN "notail_"
#define NUMBER_MAX 64

struct metric_stage_options {
	const char *type, *description, *source, *prefix;
	uint64_t max_idle_duration;
	const struct node *config;
};

static const struct field metric_fields[] = {
	FIELD(struct metric_stage_options, type, FIELD_STRING, .flags = FIELD_REQUIRED,
	      .doc = "counter, gauge or histogram."),
	FIELD(struct metric_stage_options, description, FIELD_STRING, .doc = "The metric's help."),
	FIELD(struct metric_stage_options, source, FIELD_STRING,
	      .doc = "The extracted value; the metric's name when absent."),
	FIELD(struct metric_stage_options, prefix, FIELD_STRING, .dflt = PREFIX,
	      .doc = "What the name begins with."),
	FIELD(struct metric_stage_options, max_idle_duration, FIELD_DURATION, .dflt = "5m",
	      .doc = "A series that does not change for so long goes."),
	FIELD(struct metric_stage_options, config, FIELD_NODE, .doc = "What depends on the type."),
	{0},
};

static const struct schema metric_schema = {
	.name = "metric", .size = sizeof(struct metric_stage_options), .fields = metric_fields};

struct config_options {
	const char *action, *value;
	bool match_all, count_entry_bytes;
	struct string_list buckets;
};

static const struct field counter_fields[] = {
	FIELD(struct config_options, match_all, FIELD_BOOL,
	      .doc = "Counts each line, whether or not the source is there."),
	FIELD(struct config_options, count_entry_bytes, FIELD_BOOL,
	      .doc = "Adds the length of the line."),
	FIELD(struct config_options, value, FIELD_STRING, .doc = "Counts only this value."),
	FIELD(struct config_options, action, FIELD_STRING, .flags = FIELD_REQUIRED,
	      .doc = "inc or add."),
	{0},
};

static const struct field gauge_fields[] = {
	FIELD(struct config_options, value, FIELD_STRING, .doc = "Looks at this value only."),
	FIELD(struct config_options, action, FIELD_STRING, .flags = FIELD_REQUIRED,
	      .doc = "set, inc, dec, add or sub."),
	{0},
};

static const struct field histogram_fields[] = {
	FIELD(struct config_options, value, FIELD_STRING, .doc = "Looks at this value only."),
	FIELD(struct config_options, buckets, FIELD_STRINGS,
	      .doc = "Upper bounds, rising; Prometheus' own when absent."),
	{0},
};

static const struct schema config_schemas[] = {
	[METRIC_COUNTER] = {"counter", sizeof(struct config_options), .fields = counter_fields},
	[METRIC_GAUGE] = {"gauge", sizeof(struct config_options), .fields = gauge_fields},
	[METRIC_HISTOGRAM] = {"histogram", sizeof(struct config_options),
			      .fields = histogram_fields},
};

enum action { ACTION_SET, ACTION_INC, ACTION_DEC, ACTION_ADD, ACTION_SUB, ACTION_OBSERVE };

static const char *const type_names[] = {"counter", "gauge", "histogram", NULL};
static const char *const action_names[] = {"set", "inc", "dec", "add", "sub", NULL};

struct rule {
	struct metric *metric;
	enum metric_type type;
	enum action action;
	size_t source;
	const char *value; /* NULL: any */
	size_t value_len;
	bool match_all, count_entry_bytes;
};

struct rules {
	size_t n;
	struct rule rules[];
};

static int find_word(const char *word, const char *const *words)
{
	for (int i = 0; words[i]; i++)
		if (!strcasecmp(word, words[i]))
			return i;
	return -1;
}

static bool is_metric_name(const char *name)
{
	if (!*name || (*name >= '0' && *name <= '9'))
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:") ==
	       strlen(name);
}

static int set_action(const struct config_options *c, struct rule *r, const struct node *node,
		      struct diag *diag)
{
	const struct node *at = node__get(node, "action");
	int action;

	if (r->type == METRIC_HISTOGRAM) {
		r->action = ACTION_OBSERVE;
		return 0;
	}
	action = c->action ? find_word(c->action, action_names) : -1;
	if (action < 0 ||
	    (r->type == METRIC_COUNTER && action != ACTION_INC && action != ACTION_ADD)) {
		diag__error(diag, at ? at : node, "no action of a %s, expected %s",
			    type_names[r->type],
			    r->type == METRIC_COUNTER ? "inc or add" : "set, inc, dec, add or sub");
		return -EINVAL;
	}
	r->action = (enum action)action;
	return 0;
}

static int check_counter(const struct config_options *c, const struct rule *r,
			 const struct node *node, struct diag *diag)
{
	if (c->match_all && c->value) {
		diag__error(diag, node__get(node, "value"),
			    "`value` and `match_all` together, expected one of them");
		return -EINVAL;
	}
	if (c->count_entry_bytes && (!c->match_all || r->action != ACTION_ADD)) {
		diag__error(diag, node__get(node, "count_entry_bytes"),
			    "bytes are added for each line, expected `match_all: true` and "
			    "`action: add`");
		return -EINVAL;
	}
	return 0;
}

static int read_buckets(const struct config_options *c, double *buckets, const struct node *node,
			struct diag *diag)
{
	const struct node *at = node__get(node, "buckets");
	char *end;

	for (size_t i = 0; i < c->buckets.n; i++) {
		buckets[i] = strtod(c->buckets.items[i], &end);
		if (!*c->buckets.items[i] || *end || (i && buckets[i] <= buckets[i - 1])) {
			diag__error(diag, at ? at : node,
				    "`%s` is no bound, expected rising numbers",
				    c->buckets.items[i]);
			return -EINVAL;
		}
	}
	/* The last one is there anyway. */
	return 0;
}

static int make_metric(const struct stage_env *env, const struct metric_stage_options *o,
		       const struct config_options *c, const struct node *node, struct rule *r)
{
	const char *prefix = o->prefix && *o->prefix ? o->prefix : PREFIX;
	size_t size = strlen(prefix) + strlen(node->key) + 1;
	struct metric_opts opts = {
		.help = o->description, .type = r->type, .max_idle_ns = o->max_idle_duration};
	double *buckets = arena__alloc(env->arena, c->buckets.n * sizeof(double));
	char *name = arena__alloc(env->arena, size);
	int err;

	if (!buckets || !name)
		return -ENOMEM;
	err = read_buckets(c, buckets, o->config ? o->config : node, env->diag);
	if (err)
		return err;
	snprintf(name, size, "%s%s", prefix, node->key);
	opts.name = name;
	opts.buckets = buckets;
	opts.n_buckets = c->buckets.n;
	if (opts.n_buckets && isinf(buckets[opts.n_buckets - 1]))
		opts.n_buckets--;
	if (!is_metric_name(name)) {
		diag__error(env->diag, node,
			    "`%s` is no metric name, expected letters, digits, _ and :", name);
		return -EINVAL;
	}
	if (!strncmp(name, OWN, strlen(OWN)) && strncmp(name, PREFIX, strlen(PREFIX))) {
		diag__error(env->diag, node,
			    "`%s` may be one of notail's own, expected a prefix "
			    "that does not begin with " OWN,
			    name);
		return -EINVAL;
	}
	err = custom_metrics__add(env->metrics, &opts, &r->metric);
	if (err == -EEXIST)
		diag__error(env->diag, node, "there is a metric `%s` of another kind already",
			    name);
	else if (err == -EINVAL)
		diag__error(env->diag, node, "too many buckets, expected at most %d",
			    METRIC_MAX_BUCKETS);
	return err == -ENOMEM ? err : err ? -EINVAL : 0;
}

static int compile_rule(const struct stage_env *env, const struct node *node, struct rule *r)
{
	struct metric_stage_options o = {0};
	struct config_options c = {0};
	const struct node *config;
	int err, type;

	err = schema__decode(&metric_schema, node, &o, env->arena, env->diag);
	if (err)
		return err;
	type = o.type ? find_word(o.type, type_names) : -1;
	if (type < 0) {
		config = node__get(node, "type");
		diag__error(env->diag, config ? config : node,
			    "no type of metric, expected counter, gauge or histogram");
		return -EINVAL;
	}
	if (o.max_idle_duration < NS_PER_SEC) {
		diag__error(env->diag, node__get(node, "max_idle_duration"),
			    "too short, expected at least 1s");
		return -EINVAL;
	}
	r->type = (enum metric_type)type;
	config = o.config ? o.config : node;
	if (o.config)
		err = schema__decode(&config_schemas[type], o.config, &c, env->arena, env->diag);
	if (!err)
		err = set_action(&c, r, config, env->diag);
	if (!err && r->type == METRIC_COUNTER)
		err = check_counter(&c, r, config, env->diag);
	if (err)
		return err;
	r->match_all = c.match_all;
	r->count_entry_bytes = c.count_entry_bytes;
	r->value = c.value;
	r->value_len = c.value ? strlen(c.value) : 0;
	err = make_metric(env, &o, &c, node, r);
	return err ? err : stage_env__slot(env, o.source ? o.source : node->key, &r->source);
}

static int compile_metrics(const struct stage_env *env, const void *options,
			   const struct node *node, void **ret)
{
	const struct node *map = *(const struct node *const *)options;
	struct rules *rules;
	size_t n = map && map->kind == NODE_MAPPING ? map->n_items : 0;
	int err = 0, e;

	if (map && map->kind != NODE_MAPPING && map->kind != NODE_NULL) {
		diag__error(env->diag, node, "no metrics, expected `name:` with its options");
		return -EINVAL;
	}
	if (!n)
		diag__warn(env->diag, node, "no metrics, expected `name:` with its options");
	rules = arena__zalloc(env->arena, sizeof(*rules) + n * sizeof(struct rule));
	if (!rules)
		return -ENOMEM;
	rules->n = n;
	for (size_t i = 0; i < rules->n && err != -ENOMEM; i++) {
		e = compile_rule(env, map->items[i], &rules->rules[i]);
		err = e ? e : err;
	}
	*ret = rules;
	return err;
}

/* Underscores stand between digits, or behind 0x. false: one does not; they are gone else. */
static bool drop_underscores(char *text, bool hex)
{
	char *out = text, before = '\0';

	for (const char *p = text; *p; before = *p++) {
		if (*p != '_')
			*out++ = *p;
		else if (hex ? !isxdigit((unsigned char)p[1]) ||
					 !(isxdigit((unsigned char)before) || (before | 32) == 'x')
			     : !isdigit((unsigned char)p[1]) || !isdigit((unsigned char)before))
			return false;
	}
	*out = '\0';
	return true;
}

/* As strconv.ParseFloat: unlike strtod, hexadecimal with an exponent only, and nothing too great.
 */
static bool read_float(const char *text, double *ret)
{
	const char *digits = text + (*text == '-' || *text == '+');
	bool hex = *digits == '0' && (digits[1] | 32) == 'x';
	char copy[NUMBER_MAX], *end;

	if (!strchr(".0123456789iInN", *digits) || strchr(text, '(') ||
	    (hex && !strpbrk(digits, "pP")))
		return false;
	snprintf(copy, sizeof(copy), "%s", text);
	if (!drop_underscores(copy, hex))
		return false;
	*ret = strtod(copy, &end);
	return !*end && end > copy && (!isinf(*ret) || (*digits | 32) == 'i');
}

/* A number, or else a duration in seconds, as Go reads them. */
static bool read_number(const char *text, size_t len, double *ret)
{
	char copy[NUMBER_MAX], *p = copy;
	bool minus;
	uint64_t ns;

	if (!len || len >= sizeof(copy) || memchr(text, '\0', len))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (read_float(copy, ret))
		return true;
	minus = *p == '-';
	p += minus || *p == '+';
	if (strpbrk(p, "dw") || schema__duration(p, &ns)) /* days are not Go's */
		return false;
	*ret = (double)ns / (double)NS_PER_SEC * (minus ? -1 : 1);
	return true;
}

static bool number(const struct value *v, double *ret)
{
	switch (v->kind) {
	case VALUE_NUMBER:
		*ret = v->number;
		return true;
	case VALUE_BOOL:
		*ret = v->boolean;
		return true;
	case VALUE_STRING:
		return read_number(v->text, v->len, ret);
	case VALUE_ABSENT:
	case VALUE_NULL:
		break;
	}
	return false;
}

/* What the entry says to the rule; false: nothing. */
static bool measure(const struct rule *r, struct entry *e, double *ret)
{
	const struct value *v = &e->values[r->source];
	const char *text;
	size_t len;

	if (r->match_all && r->type == METRIC_COUNTER) {
		*ret = r->count_entry_bytes ? (double)e->len : 1;
		return r->count_entry_bytes || r->action == ACTION_INC;
	}
	if (v->kind == VALUE_ABSENT || v->kind == VALUE_NULL)
		return false;
	if (r->value && (!entry__text(e, r->source, &text, &len) || len != r->value_len ||
			 memcmp(text, r->value, len)))
		return false;
	*ret = 1;
	if (r->action == ACTION_INC || r->action == ACTION_DEC)
		return true;
	if (!number(v, ret) || (r->type == METRIC_COUNTER && !(*ret >= 0))) {
		e->counters->failed++;
		return false;
	}
	return true;
}

static enum stage_result run_metrics(void *stage, struct entry *e)
{
	const struct rules *rules = stage;
	struct label_set *set = NULL;
	double value;

	for (size_t i = 0; i < rules->n; i++) {
		const struct rule *r = &rules->rules[i];

		if (!measure(r, e, &value))
			continue;
		set = set ? set : entry__label_set(e);
		if (!set)
			break;
		if (r->action == ACTION_SET)
			metric__set(r->metric, set, value, e->record_ns);
		else if (r->action == ACTION_OBSERVE)
			metric__observe(r->metric, set, value, e->record_ns);
		else if (r->action == ACTION_DEC || r->action == ACTION_SUB)
			metric__add(r->metric, set, -value, e->record_ns);
		else
			metric__add(r->metric, set, value, e->record_ns);
	}
	return STAGE_CONTINUE;
}

const struct stage_type stage_metrics = {
	.options = {.name = "metrics",
		    .type = FIELD_NODE,
		    .doc = "Keeps counters, gauges and histograms: `name:` with type, source and "
			   "config."},
	.options_size = sizeof(const struct node *),
	.compile = compile_metrics,
	.run = run_metrics,
};
