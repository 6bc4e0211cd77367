/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stage timestamp: the line's time is what an extracted value says. Below the unit of its last
 * digit the record's own digits are kept; a line without a time that can be read is 1 ns behind
 * the one before it with the same labels, as that one is sent.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/hash.h"
#include "base/util.h"
#include "process/go_time.h"
#include "process/stages.h"

#define FORMATS_MAX 64
#define LAST_TIMES 16 /* label sets of a stream whose last time is kept */

enum { ACTION_FUDGE, ACTION_SKIP };

static const char *const actions[] = {[ACTION_FUDGE] = "fudge", [ACTION_SKIP] = "skip", NULL};

struct timestamp_options {
	const char *source, *format;
	struct string_list fallback_formats;
	const char *location;
	int action_on_failure;
};

static const struct field timestamp_fields[] = {
	FIELD(struct timestamp_options, source, FIELD_STRING, .flags = FIELD_REQUIRED,
	      .doc = "The extracted value that holds the time."),
	FIELD(struct timestamp_options, format, FIELD_STRING, .flags = FIELD_REQUIRED,
	      .doc = "A layout of Go's reference time, Mon Jan 2 15:04:05 MST 2006, or ANSIC, "
		     "UnixDate, RubyDate, RFC822, RFC822Z, RFC850, RFC1123, RFC1123Z, RFC3339, "
		     "RFC3339Nano, Unix, UnixMs, UnixUs, UnixNs."),
	FIELD(struct timestamp_options, fallback_formats, FIELD_STRINGS,
	      .doc = "Formats that are tried in turn where `format` does not fit."),
	FIELD(struct timestamp_options, location, FIELD_STRING,
	      .doc = "The time zone, as the IANA calls it, of times that have none of their own."),
	FIELD(struct timestamp_options, action_on_failure, FIELD_ENUM, .dflt = "fudge",
	      .names = actions,
	      .doc = "Without a time that can be read: `fudge` takes the one of the line before "
		     "with "
		     "the same labels and 1 ns, `skip` the record's."),
	{0},
};

static const struct schema timestamp_schema = {
	.name = "timestamp", .size = sizeof(struct timestamp_options), .fields = timestamp_fields};

struct timestamp {
	size_t source;
	bool fudge, whole_times;
	struct time_zone *zone;
	size_t n;
	struct go_time *formats[];
};

struct last_time {
	uint64_t labels; /* the hash of what stages changed of them, and of the tenant */
	uint64_t ns;	 /* as it is sent */
};

/* Of a stream: the one used last is the first. */
struct last_times {
	size_t n;
	struct last_time items[LAST_TIMES];
};

static void free_timestamp(void *stage)
{
	struct timestamp *t = stage;

	for (size_t i = 0; i < t->n; i++)
		go_time__free(t->formats[i]);
	time_zone__free(t->zone);
}

static const struct node *place(const struct node *node, const char *key)
{
	const struct node *at = node__get(node, key);

	return at ? at : node;
}

static int load_zone(struct timestamp *t, const char *name, const struct node *at,
		     struct diag *diag)
{
	int err = time_zone__load(&t->zone, name, NULL);

	if (!err || err == -ENOMEM)
		return err;
	if (err == -ENOENT && time_zone__missing())
		diag__error(diag, at,
			    "time zone \"%s\" unknown: this host has no time zone database", name);
	else
		diag__error(diag, at,
			    "time zone \"%s\" unknown, expected an IANA name like `Europe/Berlin`",
			    name);
	return -EINVAL;
}

static bool is_word(const char *format)
{
	const char *p = format;

	while (isalnum((unsigned char)*p) || *p == '_')
		p++;
	return !*p && isalpha((unsigned char)*format);
}

static bool is_name(const char *format)
{
	for (size_t i = 0; go_time_names[i]; i++)
		if (strcmp(go_time_names[i], format) == 0)
			return true;
	return false;
}

static int add_format(struct timestamp *t, const char *format, const struct node *at,
		      struct diag *diag)
{
	int err = go_time__new(&t->formats[t->n], format, t->zone);

	if (err == -EINVAL)
		diag__error(diag, at,
			    "\"%s\" has nothing of Go's reference time, expected a name like "
			    "`RFC3339` or a layout like `2006-01-02 15:04:05`",
			    format);
	if (err)
		return err;
	if (is_word(format) && !is_name(format))
		diag__warn(diag, at,
			   "\"%s\" is taken as a layout; of named formats there are `RFC3339`, "
			   "`RFC3339Nano`, `Unix`, `UnixMs` and others",
			   format);
	if (go_time__ignores_zone(t->formats[t->n]))
		diag__warn(diag, at,
			   "the format \"%s\" takes no notice of `location`, as in Promtail",
			   format);
	t->n++;
	return 0;
}

static int add_formats(struct timestamp *t, const struct timestamp_options *o,
		       const struct node *node, struct diag *diag)
{
	const struct node *list = place(node, "fallback_formats");
	int err = add_format(t, o->format, place(node, "format"), diag), more;

	for (size_t i = 0; i < o->fallback_formats.n; i++) {
		const struct node *at = list->kind == NODE_SEQUENCE ? list->items[i] : list;

		more = add_format(t, o->fallback_formats.items[i], at, diag);
		err = err ? err : more;
	}
	return err;
}

static int compile_timestamp(const struct stage_env *env, const void *options,
			     const struct node *node, void **ret)
{
	const struct timestamp_options *o = options;
	size_t n = 1 + o->fallback_formats.n;
	struct timestamp *t;
	int err, formats_err;

	if (!*o->source) {
		diag__error(env->diag, place(node, "source"), "empty, expected a name");
		return -EINVAL;
	}
	if (n > FORMATS_MAX) {
		diag__error(env->diag, place(node, "fallback_formats"),
			    "%zu formats, expected at most %d", n - 1, FORMATS_MAX - 1);
		return -EINVAL;
	}
	t = arena__zalloc(env->arena, sizeof(*t) + n * sizeof(t->formats[0]));
	if (!t)
		return -ENOMEM;
	t->fudge = o->action_on_failure == ACTION_FUDGE;
	t->whole_times = env->whole_times;
	err = stage_env__slot(env, o->source, &t->source);
	if (!err && o->location)
		err = load_zone(t, o->location, place(node, "location"), env->diag);
	formats_err = add_formats(t, o, node, env->diag);
	err = err ? err : formats_err;
	if (err)
		free_timestamp(t);
	else
		*ret = t;
	return err;
}

static bool parse(const struct timestamp *t, struct entry *e, struct go_time_result *ret)
{
	const char *text;
	size_t len;

	if (!entry__text(e, t->source, &text, &len))
		return false;
	for (size_t i = 0; i < t->n; i++)
		if (go_time__parse(t->formats[i], text, len, e->record_ns, ret) == 0)
			return true;
	e->counters->failed++;
	return false;
}

/* Stages may have made the same labels in another order, hence a sum. A tenant is like a label. */
static uint64_t hash_labels(const struct entry *e)
{
	uint64_t sum = hash__bytes(e->strangers_dropped, e->tenant, e->tenant_len), hash;

	for (size_t i = 0; i < e->n_labels; i++) {
		const struct entry_pair *p = &e->labels[i];
		const char *base = e->inherited[p->slot];

		if (p->text ? base && strlen(base) == p->len && !memcmp(base, p->text, p->len)
			    : !base)
			continue;
		hash = ((uint64_t)p->slot << 1 | !p->text) * 0x9e3779b97f4a7c15;
		hash = hash__bytes(hash ^ HASH_START, p->text, p->len);
		sum += hash ^ hash >> 32;
	}
	return sum;
}

/* As the first of the list; NULL: it is not known. */
static struct last_time *find_last(struct last_times *l, uint64_t labels)
{
	for (size_t i = 0; i < l->n; i++) {
		struct last_time found = l->items[i];

		if (found.labels != labels)
			continue;
		memmove(&l->items[1], &l->items[0], i * sizeof(found));
		l->items[0] = found;
		return &l->items[0];
	}
	return NULL;
}

/* The one that was not used for longest goes. */
static struct last_time *add_last(struct last_times *l, uint64_t labels)
{
	l->n = MIN(l->n + 1, LAST_TIMES);
	memmove(&l->items[1], &l->items[0], (l->n - 1) * sizeof(l->items[0]));
	l->items[0].labels = labels;
	return &l->items[0];
}

static enum stage_result run_timestamp(void *stage, struct entry *e)
{
	const struct timestamp *t = stage;
	struct last_times *times = e->state;
	struct last_time *last = NULL;
	struct go_time_result r;
	bool parsed = parse(t, e, &r);
	uint64_t labels = t->fudge ? hash_labels(e) : 0;

	if (t->fudge)
		last = find_last(times, labels);
	if (parsed) {
		e->time_ns = r.ns;
		e->resolution_ns = r.resolution_ns;
		if (t->fudge && !last)
			last = add_last(times, labels);
		if (last)
			last->ns = r.ns + (t->whole_times ? 0 : e->record_ns % r.resolution_ns);
	} else if (last) {
		e->time_ns = ++last->ns;
		e->resolution_ns = 1;
	}
	return STAGE_CONTINUE;
}

static int save_timestamp(const void *stage _unused_, const void *state, struct buf *out)
{
	const struct last_times *times = state;

	return buf__append(out, times->items, times->n * sizeof(times->items[0]));
}

static void load_timestamp(void *stage _unused_, void *state,
			   struct program_stream *stream _unused_, struct label_set *set _unused_,
			   const char *bytes, size_t len)
{
	struct last_times *times = state;

	times->n = MIN(len / sizeof(times->items[0]), (size_t)LAST_TIMES);
	memcpy(times->items, bytes, times->n * sizeof(times->items[0]));
}

const struct stage_type stage_timestamp = {
	.options = {.name = "timestamp",
		    .type = FIELD_OBJECT,
		    .object = &timestamp_schema,
		    .doc = "Takes the line's time from an extracted value."},
	.options_size = sizeof(struct timestamp_options),
	.compile = compile_timestamp,
	.run = run_timestamp,
	.free = free_timestamp,
	.state_size = sizeof(struct last_times),
	.save = save_timestamp,
	.load = load_timestamp,
};
