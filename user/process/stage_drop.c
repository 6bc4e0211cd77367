/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stages that drop lines by what they are: drop, whose conditions must all hold, and sampling,
 * which is a hash of the line's stream and its offset there, so that the same bytes have the same
 * fate.
 */
#include <errno.h>
#include <string.h>

#include "base/regex.h"
#include "process/health.h"
#include "process/stages.h"

struct drop_options {
	struct string_list source;
	const char *separator, *value, *expression, *drop_counter_reason;
	uint64_t older_than, longer_than;
	int preset;
};

static const char *const presets[] = {"health", NULL};

static const struct field drop_fields[] = {
	FIELD(struct drop_options, source, FIELD_STRINGS,
	      .doc = "Extracted values: that they are there, or what `value` or `expression` is "
		     "compared with."),
	FIELD(struct drop_options, separator, FIELD_STRING, .dflt = ";",
	      .doc = "Joins the values of several sources."),
	FIELD(struct drop_options, value, FIELD_STRING, .doc = "What the source must be."),
	FIELD(struct drop_options, expression, FIELD_STRING,
	      .doc = "A regular expression that matches the source, or the line."),
	FIELD(struct drop_options, older_than, FIELD_DURATION,
	      .doc = "The line's time is so long ago."),
	FIELD(struct drop_options, longer_than, FIELD_SIZE, .doc = "The line is longer."),
	FIELD(struct drop_options, preset, FIELD_ENUM, .names = presets,
	      .doc = "The line is of this kind: `health`, a health check that went well."),
	FIELD(struct drop_options, drop_counter_reason, FIELD_STRING, .dflt = "drop_stage",
	      .doc = "The reason that the line is counted with."),
	{0},
};

static const struct schema drop_schema = {
	.name = "drop", .size = sizeof(struct drop_options), .fields = drop_fields};

struct drop {
	const char *reason, *separator, *value;
	size_t separator_len, value_len;
	struct regex *regex;
	bool by_age, by_length, by_preset;
	uint64_t older_than, longer_than;
	size_t n;
	size_t sources[];
};

static int check(const struct drop_options *o, const struct node *node, struct diag *diag)
{
	if (!o->source.n && !o->expression && !node__get(node, "older_than") &&
	    !node__get(node, "longer_than") && !node__get(node, "preset")) {
		diag__error(diag, node,
			    "no condition, expected at least one of `source`, `expression`, "
			    "`older_than`, `longer_than` and `preset`");
		return -EINVAL;
	}
	if (o->value && o->expression) {
		diag__error(diag, node__get(node, "value"),
			    "`value` and `expression` together, expected one of them");
		return -EINVAL;
	}
	if (o->value && !o->source.n) {
		diag__error(diag, node__get(node, "value"),
			    "a value of nothing, expected `source`");
		return -EINVAL;
	}
	return 0;
}

static int compile_expression(struct drop *d, const char *expression, const struct node *node,
			      struct diag *diag)
{
	struct regex_error why;
	int err = regex__new(&d->regex, expression, false, &why);

	if (err == -EINVAL)
		diag__error(diag, node__get(node, "expression"), "invalid regex at offset %zu: %s",
			    why.offset, why.text);
	return err;
}

static int compile_drop(const struct stage_env *env, const void *options, const struct node *node,
			void **ret)
{
	const struct drop_options *o = options;
	struct drop *d = arena__zalloc(env->arena, sizeof(*d) + o->source.n * sizeof(size_t));
	int err = check(o, node, env->diag);

	if (err)
		return err;
	if (!d)
		return -ENOMEM;
	d->reason = o->drop_counter_reason && *o->drop_counter_reason ? o->drop_counter_reason
								      : "drop_stage";
	d->separator = o->separator;
	d->separator_len = strlen(o->separator);
	d->value = o->value;
	d->value_len = o->value ? strlen(o->value) : 0;
	d->by_age = node__get(node, "older_than");
	d->older_than = o->older_than;
	d->by_preset = node__get(node, "preset");
	d->by_length = node__get(node, "longer_than");
	d->longer_than = o->longer_than;
	d->n = o->source.n;
	for (size_t i = 0; i < d->n && !err; i++)
		err = stage_env__slot(env, o->source.items[i], &d->sources[i]);
	if (!err && o->expression)
		err = compile_expression(d, o->expression, node, env->diag);
	if (!err)
		*ret = d;
	return err;
}

static void free_drop(void *stage)
{
	regex__free(((struct drop *)stage)->regex);
}

/* The sources that are there, joined. False: one cannot be text, or there is no memory. */
static bool join(const struct drop *d, struct entry *e, const char **ret, size_t *ret_len)
{
	size_t total = 0, len, n = 0;
	const char *text;
	char *joined;

	*ret = "";
	*ret_len = 0;
	for (size_t i = 0; i < d->n; i++) {
		if (e->values[d->sources[i]].kind == VALUE_NULL)
			return false;
		if (!entry__text(e, d->sources[i], &text, &len))
			continue;
		*ret = text;
		*ret_len = len;
		total += len + d->separator_len;
		n++;
	}
	if (n < 2)
		return true;
	joined = arena__alloc(e->arena, total);
	if (!joined) {
		e->counters->no_memory++;
		return false;
	}
	*ret = joined;
	n = 0;
	for (size_t i = 0; i < d->n; i++) {
		if (!entry__text(e, d->sources[i], &text, &len))
			continue;
		if (n++)
			joined = (char *)memcpy(joined, d->separator, d->separator_len) +
				 d->separator_len;
		joined = (char *)memcpy(joined, text, len) + len;
	}
	*ret_len = (size_t)(joined - *ret);
	return true;
}

static bool are_there(const struct drop *d, const struct entry *e)
{
	for (size_t i = 0; i < d->n; i++) {
		enum value_kind kind = e->values[d->sources[i]].kind;

		if (kind == VALUE_ABSENT || kind == VALUE_NULL)
			return false;
	}
	return true;
}

static bool matches(const struct drop *d, struct entry *e)
{
	const char *text = e->line;
	const struct regex_span *spans;
	size_t len = e->len;
	int err;

	if (!d->value && !d->regex)
		return are_there(d, e);
	if (d->n && !join(d, e, &text, &len))
		return false;
	if (d->value)
		return len == d->value_len && !memcmp(text, d->value, len);
	err = regex__match(d->regex, text, len, 0, &spans);
	if (err < 0)
		e->counters->regex_limited++;
	return err == 1;
}

static enum stage_result run_drop(void *stage, struct entry *e)
{
	const struct drop *d = stage;

	if (d->by_length && e->len <= d->longer_than)
		return STAGE_CONTINUE;
	if (d->by_age && (e->time_ns >= e->record_ns || e->record_ns - e->time_ns <= d->older_than))
		return STAGE_CONTINUE;
	if (d->by_preset && !health__is_check(e->line, e->len))
		return STAGE_CONTINUE;
	if (!matches(d, e))
		return STAGE_CONTINUE;
	e->dropped = d->reason;
	return STAGE_DROP;
}

const struct stage_type stage_drop = {
	.options = {.name = "drop",
		    .type = FIELD_OBJECT,
		    .object = &drop_schema,
		    .doc = "Drops lines that meet all of the conditions."},
	.options_size = sizeof(struct drop_options),
	.compile = compile_drop,
	.run = run_drop,
	.free = free_drop,
};

/* sampling */

struct sampling_options {
	double rate;
	const char *drop_counter_reason;
};

static const struct field sampling_fields[] = {
	FIELD(struct sampling_options, rate, FIELD_FLOAT, .flags = FIELD_REQUIRED,
	      .doc = "The share of lines to keep, from 0 to 1."),
	FIELD(struct sampling_options, drop_counter_reason, FIELD_STRING, .dflt = "sampling_stage",
	      .doc = "The reason that dropped lines are counted with."),
	{0},
};

static const struct schema sampling_schema = {
	.name = "sampling", .size = sizeof(struct sampling_options), .fields = sampling_fields};

struct sampling {
	uint64_t boundary; /* hashes below it are kept */
	bool all;
	const char *reason;
};

static int compile_sampling(const struct stage_env *env, const void *options,
			    const struct node *node, void **ret)
{
	const struct sampling_options *o = options;
	struct sampling *s = arena__zalloc(env->arena, sizeof(*s));

	if (!(o->rate >= 0 && o->rate <= 1)) {
		const struct node *rate = node__get(node, "rate");

		diag__error(env->diag, rate ? rate : node, "no share, expected 0 to 1");
		return -EINVAL;
	}
	if (!s)
		return -ENOMEM;
	s->all = o->rate == 1;
	s->boundary = s->all ? UINT64_MAX : (uint64_t)(o->rate * 0x1p64);
	s->reason = o->drop_counter_reason && *o->drop_counter_reason ? o->drop_counter_reason
								      : "sampling_stage";
	*ret = s;
	return 0;
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * 0xff51afd7ed558ccd;
	return hash ^ hash >> 32;
}

/* By the line's place, which is the same whenever the ring is read. */
static uint64_t hash_of(const struct entry *e)
{
	uint64_t hash = mix(mix(e->record.cgroup_id, e->record.stream), e->record.end);

	hash = mix(hash, 0) * 0xc4ceb9fe1a85ec53;
	return hash ^ hash >> 33;
}

static enum stage_result run_sampling(void *stage, struct entry *e)
{
	const struct sampling *s = stage;

	if (s->all || hash_of(e) < s->boundary)
		return STAGE_CONTINUE;
	e->dropped = s->reason;
	return STAGE_DROP;
}

const struct stage_type stage_sampling = {
	.options = {.name = "sampling",
		    .type = FIELD_OBJECT,
		    .object = &sampling_schema,
		    .doc = "Keeps a share of the lines."},
	.options_size = sizeof(struct sampling_options),
	.compile = compile_sampling,
	.run = run_sampling,
};
