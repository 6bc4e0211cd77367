/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limit: token buckets on the records' time. With drop: true there is one for the stage, or one for
 * each value of a label; with drop: false one for each stream, whose lines wait in order, so that a
 * stream delays only itself. What finds no room to wait is dropped.
 *
 * A successor goes on with the buckets as they were. Each stream saves the one that it shares
 * before its first line behind a mark, and the first of them to do so has it as of the mark; its
 * line is the first that comes again, and later streams find the bucket in use.
 * Of streams that share one, lines that were half written at the mark may count twice, or not.
 */
#include <errno.h>
#include <stdlib.h>

#include <utlist.h>

#include "base/clock.h"
#include "process/hold.h"
#include "process/stages.h"

#define MIN_DISTINCT 10000
#define MAX_WAIT_NS 1e18
#define N_CHAINS 1024u /* a power of two */

static const char REASON[] = "ratelimit_drop_stage";

struct limit_options {
	double rate;
	int64_t burst;
	bool drop;
	const char *by_label_name;
	int64_t max_distinct_labels;
};

static const struct field limit_fields[] = {
	FIELD(struct limit_options, rate, FIELD_FLOAT, .flags = FIELD_REQUIRED,
	      .doc = "Lines per second."),
	FIELD(struct limit_options, burst, FIELD_INT, .flags = FIELD_REQUIRED, .min = 1,
	      .max = INT32_MAX, .doc = "Lines at once."),
	FIELD(struct limit_options, drop, FIELD_BOOL, .dflt = "false",
	      .doc = "Drops what is over; else it is delayed, each stream by itself."),
	FIELD(struct limit_options, by_label_name, FIELD_STRING,
	      .doc = "A limit for each value of this label; lines without it have none."),
	FIELD(struct limit_options, max_distinct_labels, FIELD_INT, .dflt = "10000",
	      .doc = "How many values of it are remembered, at least 10000."),
	{0},
};

static const struct schema limit_schema = {
	.name = "limit", .size = sizeof(struct limit_options), .fields = limit_fields};

/* Empty at time 0: full when first used. */
struct bucket {
	double tokens;
	uint64_t last_ns; /* 0: not used yet */
};

/* The bucket of a label's value. */
struct valued {
	struct valued *chain;
	struct bucket bucket;
	bool used; /* since the last sweep */
	size_t len;
	char text[];
};

struct limit {
	double rate, burst;
	bool drop, by_label;
	size_t label;
	struct bucket bucket;
	struct valued **chains; /* by_label */
	size_t n, max;
};

struct waiting {
	struct held held;
	size_t bytes;
	struct waiting *prev, *next;
};

/* Of a stream. */
struct state {
	struct bucket bucket;
	struct buf value; /* by_label: its last line's */
	bool limited;	  /* a line of it took, or was to take, of a bucket */
	struct waiting *waiting;
	uint64_t oldest_pos; /* of those that wait, or waited among them */
};

static int check(const struct limit_options *o, const struct node *node, struct diag *diag)
{
	const struct node *rate = node__get(node, "rate"), *by = node__get(node, "by_label_name");
	const struct node *distinct = node__get(node, "max_distinct_labels");

	if (!(o->rate > 0)) {
		diag__error(diag, rate ? rate : node, "no rate, expected more than 0");
		return -EINVAL;
	}
	if (o->burst <= 0) {
		diag__error(diag, node, "no burst, expected at least 1");
		return -EINVAL;
	}
	if (o->by_label_name && *o->by_label_name && !o->drop) {
		diag__error(diag, by, "a limit by label delays nothing, expected `drop: true`");
		return -EINVAL;
	}
	if (by && distinct && o->max_distinct_labels < MIN_DISTINCT)
		diag__warn(diag, distinct, "raised to %d", MIN_DISTINCT);
	return 0;
}

static int compile_limit(const struct stage_env *env, const void *options, const struct node *node,
			 void **ret)
{
	const struct limit_options *o = options;
	struct limit *l = arena__zalloc(env->arena, sizeof(*l));
	int err = check(o, node, env->diag);

	if (err)
		return err;
	if (!l)
		return -ENOMEM;
	l->rate = o->rate;
	l->burst = (double)o->burst;
	l->drop = o->drop;
	l->by_label = o->by_label_name && *o->by_label_name;
	if (l->by_label) {
		l->max = (size_t)MAX(o->max_distinct_labels, MIN_DISTINCT);
		l->chains = arena__zalloc(env->arena, N_CHAINS * sizeof(struct valued *));
		if (!l->chains)
			return -ENOMEM;
		err = stage_env__slot(env, o->by_label_name, &l->label);
	}
	*ret = l;
	return err;
}

static void drop_values(struct limit *l, bool all)
{
	for (size_t i = 0; l->chains && i < N_CHAINS; i++) {
		struct valued **at = &l->chains[i], *v;

		while ((v = *at)) {
			if (!all && v->used) {
				v->used = false;
				at = &v->chain;
				continue;
			}
			*at = v->chain;
			free(v);
			l->n--;
		}
	}
}

static void free_limit(void *stage)
{
	drop_values(stage, true);
}

static void refill(const struct limit *l, struct bucket *b, uint64_t now_ns)
{
	if (!b->last_ns) {
		b->tokens = l->burst;
		b->last_ns = now_ns;
	}
	if (now_ns <= b->last_ns)
		return;
	b->tokens += (double)(now_ns - b->last_ns) / (double)NS_PER_SEC * l->rate;
	b->tokens = MIN(b->tokens, l->burst);
	b->last_ns = now_ns;
}

static bool take(const struct limit *l, struct bucket *b, uint64_t now_ns)
{
	refill(l, b, now_ns);
	if (b->tokens < 1)
		return false;
	b->tokens -= 1;
	return true;
}

static struct valued **chain_of(const struct limit *l, const char *text, size_t len)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (uint8_t)text[i]) * 16777619u;
	return &l->chains[(hash ^ hash >> 16) & (N_CHAINS - 1)];
}

static struct valued *find(const struct limit *l, const char *text, size_t len)
{
	struct valued *v = *chain_of(l, text, len);

	while (v && (v->len != len || (len && memcmp(v->text, text, len) != 0)))
		v = v->chain;
	return v;
}

/* NULL: no memory. */
static struct bucket *bucket_of(struct limit *l, const char *text, size_t len)
{
	struct valued **chain = chain_of(l, text, len), *v = find(l, text, len);

	if (!v) {
		if (l->n >= l->max)
			drop_values(l, false);
		if (l->n >= l->max)
			drop_values(l, true);
		v = calloc(1, sizeof(*v) + len);
		if (!v)
			return NULL;
		v->len = len;
		if (len)
			memcpy(v->text, text, len);
		v->chain = *chain;
		*chain = v;
		l->n++;
	}
	v->used = true;
	return &v->bucket;
}

static void waiting__free(struct program_stream *stream, struct state *s, struct waiting *w)
{
	DL_DELETE(s->waiting, w);
	program_stream__release(stream, w->bytes);
	held__free(&w->held);
	free(w);
}

/* What may go by now. Returns when the next one may; UINT64_MAX: none waits. */
static uint64_t send_due(const struct limit *l, struct state *s, struct program_stream *stream,
			 uint64_t now_ns)
{
	while (s->waiting) {
		struct waiting *w = s->waiting;

		if (now_ns != UINT64_MAX && !take(l, &s->bucket, now_ns)) {
			double wait_ns = (1 - s->bucket.tokens) / l->rate * (double)NS_PER_SEC;

			return s->bucket.last_ns + 1 + (uint64_t)MIN(wait_ns, MAX_WAIT_NS);
		}
		program_stream__emit(stream, &w->held);
		waiting__free(stream, s, w);
	}
	return UINT64_MAX;
}

static enum stage_result delay(const struct limit *l, struct entry *e)
{
	struct program_stream *stream = e->stream;
	uint64_t now_ns = line__seen_ns(&e->record);
	struct state *s = e->state;
	struct waiting *w;
	uint64_t due_ns;

	s->limited = true;
	if (!s->waiting && take(l, &s->bucket, now_ns))
		return STAGE_CONTINUE;
	e->dropped = REASON;
	w = calloc(1, sizeof(*w));
	if (!w || held__take(&w->held, e)) {
		free(w);
		return STAGE_DROP;
	}
	w->bytes = sizeof(*w) + w->held.memory.size + w->held.line.size;
	if (!program_stream__reserve(stream, w->bytes)) {
		held__free(&w->held);
		free(w);
		return STAGE_DROP;
	}
	s->oldest_pos = s->waiting ? MIN(s->oldest_pos, e->record.ring_pos) : e->record.ring_pos;
	DL_APPEND(s->waiting, w);
	due_ns = send_due(l, s, stream, now_ns);
	if (due_ns != UINT64_MAX)
		program_stream__due(stream, due_ns);
	return STAGE_HOLD;
}

/* For whoever saves the stream. Without memory its bucket is not saved. */
static void note_value(struct state *s, const char *text, size_t len)
{
	if (s->value.len == len && (!len || !memcmp(s->value.data, text, len)))
		return;
	s->value.len = 0;
	if (len)
		buf__append(&s->value, text, len);
}

static enum stage_result run_limit(void *stage, struct entry *e)
{
	struct limit *l = stage;
	struct bucket *b = &l->bucket;
	struct state *s = e->state;
	const char *text;
	size_t len;

	if (!l->drop)
		return delay(l, e);
	if (l->by_label) {
		if (!entry__label(e, l->label, &text, &len))
			return STAGE_CONTINUE;
		note_value(s, text, len);
		b = bucket_of(l, text, len);
		if (!b) {
			e->counters->no_memory++;
			return STAGE_CONTINUE;
		}
	}
	s->limited = true;
	if (take(l, b, line__seen_ns(&e->record)))
		return STAGE_CONTINUE;
	e->dropped = REASON;
	return STAGE_DROP;
}

static uint64_t tick_limit(void *stage, void *state, struct program_stream *stream, uint64_t now_ns)
{
	return send_due(stage, state, stream, now_ns);
}

static uint64_t oldest_limit(const void *state)
{
	const struct state *s = state;

	return s->waiting ? s->oldest_pos : UINT64_MAX;
}

static void end_limit(void *stage _unused_, void *state, struct program_stream *stream)
{
	struct state *s = state;

	while (s->waiting)
		waiting__free(stream, s, s->waiting);
	buf__free(&s->value);
}

static const struct bucket *shared(const struct limit *l, const struct state *s)
{
	const struct valued *v;

	if (!l->drop)
		return &s->bucket;
	if (!l->by_label)
		return &l->bucket;
	v = find(l, s->value.data, s->value.len);
	return v ? &v->bucket : NULL;
}

/* The bucket, behind it the value that it is for. */
static int save_limit(const void *stage, const void *state, struct buf *out)
{
	const struct state *s = state;
	const struct bucket *b = s->limited ? shared(stage, s) : NULL;
	int err = 0;

	if (!b)
		return 0;
	err = buf__append(out, b, sizeof(*b));
	if (!err && s->value.len)
		err = buf__append(out, s->value.data, s->value.len);
	return err;
}

static void load_limit(void *stage, void *state, struct program_stream *stream _unused_,
		       struct label_set *set _unused_, const char *bytes, size_t len)
{
	struct limit *l = stage;
	struct bucket *b = &l->bucket, saved;
	struct state *s = state;

	if (len < sizeof(saved))
		return;
	memcpy(&saved, bytes, sizeof(saved));
	if (!(saved.tokens >= 0 && saved.tokens <= l->burst))
		return;
	if (!l->drop) {
		b = &s->bucket;
	} else if (l->by_label) {
		note_value(s, bytes + sizeof(saved), len - sizeof(saved));
		b = bucket_of(l, bytes + sizeof(saved), len - sizeof(saved));
	}
	s->limited = b;
	if (b && !b->last_ns)
		*b = saved;
}

const struct stage_type stage_limit = {
	.options = {.name = "limit",
		    .type = FIELD_OBJECT,
		    .object = &limit_schema,
		    .doc = "Drops or delays lines over a rate."},
	.options_size = sizeof(struct limit_options),
	.compile = compile_limit,
	.run = run_limit,
	.free = free_limit,
	.state_size = sizeof(struct state),
	.tick = tick_limit,
	.end = end_limit,
	.oldest = oldest_limit,
	.save = save_limit,
	.load = load_limit,
};
