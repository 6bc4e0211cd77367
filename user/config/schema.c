/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoding walks the file's mapping, not the table: each key finds its field, what has none is
 * told. Then it looks for what is required and did not come. Errors never end it, so that all of
 * them are told at once; only memory does.
 */
#include "config/schema.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/util.h"

#define WORD_MAX 40
#define NAMES_MAX 64
#define DAY_NS (24 * 3600 * NS_PER_SEC)
#define SHOWN_MAX 60
#define PREFIX_MIN 4 /* so much of a name is near it */

/*
 * Values
 */

static const struct {
	const char *suffix;
	uint64_t ns;
} TIME_UNITS[] = {
	{"ns", 1},	   {"us", 1000},      {"\xc2\xb5s", 1000},    {"\xce\xbcs", 1000},
	{"ms", NS_PER_MS}, {"s", NS_PER_SEC}, {"m", 60 * NS_PER_SEC}, {"h", 3600 * NS_PER_SEC},
	{"d", DAY_NS},	   {"w", 7 * DAY_NS}, {"y", 365 * DAY_NS},
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Digits with at most one dot among or around them, as exact as 18 digits are. */
static int read_decimal(const char **text, uint64_t *ret_whole, uint64_t *ret_fraction,
			uint64_t *ret_scale)
{
	uint64_t whole = 0, fraction = 0, scale = 1;
	const char *p = *text;
	size_t digits = 0;

	for (; is_digit(*p); p++, digits++)
		if (__builtin_mul_overflow(whole, 10, &whole) ||
		    __builtin_add_overflow(whole, (uint64_t)(*p - '0'), &whole))
			return -EINVAL;
	if (*p == '.') {
		for (p++; is_digit(*p); p++, digits++) {
			if (scale >= 1000000000)
				continue;
			fraction = fraction * 10 + (uint64_t)(*p - '0');
			scale *= 10;
		}
	}
	if (!digits)
		return -EINVAL;
	*text = p;
	*ret_whole = whole;
	*ret_fraction = fraction;
	*ret_scale = scale;
	return 0;
}

static int add_scaled(uint64_t *sum, uint64_t whole, uint64_t fraction, uint64_t scale,
		      uint64_t unit)
{
	uint64_t product;

	if (__builtin_mul_overflow(whole, unit, &product) ||
	    __builtin_add_overflow(*sum, product, sum))
		return -EINVAL;
	product = (uint64_t)((unsigned __int128)fraction * unit / scale);
	return __builtin_add_overflow(*sum, product, sum) ? -EINVAL : 0;
}

int schema__duration(const char *text, uint64_t *ret_ns)
{
	uint64_t sum = 0, whole, fraction, scale;
	size_t i, len;

	if (!strcmp(text, "0")) {
		*ret_ns = 0;
		return 0;
	}
	if (!*text)
		return -EINVAL;
	while (*text) {
		if (read_decimal(&text, &whole, &fraction, &scale))
			return -EINVAL;
		for (len = 0; text[len] && !is_digit(text[len]) && text[len] != '.';)
			len++;
		for (i = 0; i < ARRAY_SIZE(TIME_UNITS); i++)
			if (strlen(TIME_UNITS[i].suffix) == len &&
			    !strncmp(TIME_UNITS[i].suffix, text, len))
				break;
		if (i == ARRAY_SIZE(TIME_UNITS) ||
		    add_scaled(&sum, whole, fraction, scale, TIME_UNITS[i].ns))
			return -EINVAL;
		text += len;
	}
	if (sum > INT64_MAX)
		return -EINVAL;
	*ret_ns = sum;
	return 0;
}

int schema__size(const char *text, uint64_t *ret_bytes)
{
	static const char PREFIXES[] = "kmgt";
	uint64_t sum = 0, whole, fraction, scale, unit = 1;
	const char *prefix;

	if (read_decimal(&text, &whole, &fraction, &scale))
		return -EINVAL;
	while (*text == ' ')
		text++;
	prefix = *text ? strchr(PREFIXES, *text | 0x20) : NULL;
	if (prefix) {
		unit = 1ull << (10 * (prefix - PREFIXES + 1));
		text++;
		if (*text == 'i')
			text++;
		else if (!*text)
			text = "b";
	}
	if ((*text && strcasecmp(text, "b")) || (!prefix && scale > 1) ||
	    add_scaled(&sum, whole, fraction, scale, unit) || sum > INT64_MAX)
		return -EINVAL;
	*ret_bytes = sum;
	return 0;
}

int schema__bool(const char *text, bool *ret)
{
	static const char *const YES[] = {"true", "yes", "on", "y"};
	static const char *const NO[] = {"false", "no", "off", "n"};

	for (size_t i = 0; i < ARRAY_SIZE(YES); i++) {
		if (!strcasecmp(text, YES[i]) || !strcasecmp(text, NO[i])) {
			*ret = !strcasecmp(text, YES[i]);
			return 0;
		}
	}
	return -EINVAL;
}

static int read_int(const char *text, int64_t *ret)
{
	char *end;
	long long value;

	if (!is_digit(*text) && !((*text == '-' || *text == '+') && is_digit(text[1])))
		return -EINVAL;
	errno = 0;
	value = strtoll(text, &end, text[0] == '0' && (text[1] | 0x20) == 'x' ? 16 : 10);
	if (errno || *end)
		return -EINVAL;
	*ret = value;
	return 0;
}

static int read_float(const char *text, double *ret)
{
	char *end;
	double value;

	if (strspn(text, "+-.0123456789eE") != strlen(text) || !*text)
		return -EINVAL;
	value = strtod(text, &end);
	if (*end || !isfinite(value))
		return -EINVAL;
	*ret = value;
	return 0;
}

/* Insertions, deletions, changes and swaps of neighbours. */
static size_t distance(const char *a, const char *b)
{
	size_t rows[3][WORD_MAX + 1], m = strlen(a), n = strlen(b);

	if (m > WORD_MAX || n > WORD_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= n; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= m; i++) {
		size_t *row = rows[i % 3], *before = rows[(i - 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t change = before[j - 1] + (a[i - 1] != b[j - 1]);

			row[j] = MIN(MIN(before[j], row[j - 1]) + 1, change);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = MIN(row[j], rows[(i - 2) % 3][j - 2] + 1);
		}
	}
	return rows[m % 3][n];
}

const char *schema__nearest(const char *word, const char *const *names)
{
	size_t best = MAX(strlen(word) / 3, 1) + 1;
	const char *nearest = NULL;

	for (; *names; names++) {
		size_t d = distance(word, *names);

		if (!strcasecmp(word, *names))
			d = 0;
		else if (strlen(word) >= PREFIX_MIN && !strncmp(word, *names, strlen(word)))
			d = MIN(d, 1);
		if (d >= best)
			continue;
		best = d;
		nearest = *names;
	}
	return nearest;
}

/*
 * Messages
 */

static const char *kind_name(const struct node *n)
{
	static const char *const NAMES[] = {
		[NODE_NULL] = "empty",
		[NODE_SCALAR] = "a single value",
		[NODE_SEQUENCE] = "a list",
		[NODE_MAPPING] = "a mapping",
	};

	return NAMES[n->kind];
}

/* `a, b or c`; how a number is written depends on what it counts. */
static void describe_range(const struct field *f, char *out, size_t size)
{
	static const struct {
		int64_t unit;
		const char *name;
	} SIZES[] = {{1ll << 30, "GiB"}, {1ll << 20, "MiB"}, {1ll << 10, "KiB"}, {1, ""}},
	  TIMES[] = {{DAY_NS, "d"},	{3600 * NS_PER_SEC, "h"}, {60 * NS_PER_SEC, "m"},
		     {NS_PER_SEC, "s"}, {NS_PER_MS, "ms"},	  {1, "ns"}};
	const int64_t ends[] = {f->min, f->max};
	char texts[2][32];

	for (size_t e = 0; e < 2; e++) {
		int64_t unit = 1;
		const char *name = "";

		for (size_t i = 0; f->type == FIELD_SIZE && i < ARRAY_SIZE(SIZES); i++)
			if (!(ends[e] % SIZES[i].unit) && ends[e]) {
				unit = SIZES[i].unit;
				name = SIZES[i].name;
				break;
			}
		for (size_t i = 0; f->type == FIELD_DURATION && i < ARRAY_SIZE(TIMES); i++)
			if (!(ends[e] % TIMES[i].unit) && ends[e]) {
				unit = TIMES[i].unit;
				name = TIMES[i].name;
				break;
			}
		snprintf(texts[e], sizeof(texts[e]), "%lld%s", (long long)(ends[e] / unit), name);
	}
	snprintf(out, size, "%s to %s", texts[0], texts[1]);
}

static void join_names(const char *const *names, char *out, size_t size)
{
	size_t len = 0;

	for (size_t i = 0; names[i] && len < size; i++) {
		const char *glue = !i ? "" : names[i + 1] ? ", " : " or ";
		int n = snprintf(out + len, size - len, "%s%s", glue,
				 *names[i] ? names[i] : "nothing");

		len += n > 0 ? (size_t)n : 0;
	}
}

static void describe(const struct field *f, char *out, size_t size)
{
	static const char *const TYPES[] = {
		[FIELD_BOOL] = "true or false",
		[FIELD_INT] = "a whole number",
		[FIELD_FLOAT] = "a number",
		[FIELD_STRING] = "a string",
		[FIELD_DURATION] = "a duration like 500ms or 1h30m",
		[FIELD_SIZE] = "a size in bytes like 64KiB",
		[FIELD_ENUM] = "",
		[FIELD_STRINGS] = "a list of strings",
		[FIELD_MAP] = "a mapping of names to values",
		[FIELD_OBJECT] = "a mapping",
		[FIELD_OBJECTS] = "a list of mappings",
		[FIELD_NODE] = "a value",
		[FIELD_STAGES] = "a list of stages",
	};

	if (f->type == FIELD_ENUM)
		join_names(f->names, out, size);
	else
		snprintf(out, size, "%s", TYPES[f->type]);
}

static void tell_wrong(const struct field *f, const struct node *n, struct diag *diag)
{
	char expected[400];

	describe(f, expected, sizeof(expected));
	if (n->kind != NODE_SCALAR)
		diag__error(diag, n, "%s, expected %s", kind_name(n), expected);
	else if (f->flags & FIELD_SECRET)
		diag__error(diag, n, "malformed, expected %s", expected);
	else
		diag__error(diag, n, "\"%.*s\"%s, expected %s", SHOWN_MAX, n->text,
			    strlen(n->text) > SHOWN_MAX ? "..." : "", expected);
}

static void tell_unknown(const struct schema *s, const struct node *value, struct diag *diag)
{
	const unsigned side = FIELD_IGNORED | FIELD_UNDONE | FIELD_HIDDEN;
	const char *names[NAMES_MAX], *shown[NAMES_MAX], *nearest;
	size_t n = 0, n_shown = 0;
	char all[400];

	if (diag__errors(diag) >= DIAG_MAX) { /* counted only: not worth a search */
		diag__error(diag, value->key_node, "unknown key");
		return;
	}
	for (const struct field *f = s->fields; f->name && n < NAMES_MAX - 1; f++) {
		names[n++] = f->name;
		if (!(f->flags & side))
			shown[n_shown++] = f->name;
	}
	names[n] = NULL;
	shown[n_shown] = NULL;
	nearest = schema__nearest(value->key, names);
	if (nearest) {
		diag__error(diag, value->key_node, "unknown key, expected %s?", nearest);
		return;
	}
	join_names(n_shown ? shown : names, all, sizeof(all));
	diag__error(diag, value->key_node, "unknown key, expected %s", n ? all : "none");
}

/*
 * Decoding
 */

struct decode {
	struct arena *arena;
	struct diag *diag;
};

static int decode_object(struct decode *d, const struct schema *s, const struct node *node,
			 void *object, bool *ret_sound);

static void *member(void *object, const struct field *f)
{
	return (char *)object + f->offset;
}

static bool in_range(const struct field *f, uint64_t value)
{
	if (!f->min && !f->max)
		return true;
	return value <= INT64_MAX && (int64_t)value >= f->min && (int64_t)value <= f->max;
}

/* 0, -EINVAL, -ERANGE or -ENOMEM. */
static int set_number(const struct field *f, const char *text, void *out)
{
	uint64_t number = 0;
	int64_t whole = 0;
	double real;
	int err;

	switch (f->type) {
	case FIELD_INT:
		err = read_int(text, &whole);
		if (err)
			return err;
		if ((f->min || f->max) && (whole < f->min || whole > f->max))
			return -ERANGE;
		*(int64_t *)out = whole;
		return 0;
	case FIELD_FLOAT:
		err = read_float(text, &real);
		if (err)
			return err;
		if ((f->min || f->max) && (real < (double)f->min || real > (double)f->max))
			return -ERANGE;
		*(double *)out = real;
		return 0;
	default:
		err = f->type == FIELD_SIZE ? schema__size(text, &number)
					    : schema__duration(text, &number);
		if (err)
			return err;
		if (!in_range(f, number))
			return -ERANGE;
		*(uint64_t *)out = number;
		return 0;
	}
}

/* The same, of every type that is one scalar. */
static int set_scalar(struct arena *arena, const struct field *f, const char *text, void *out)
{
	const char *copy;

	switch (f->type) {
	case FIELD_BOOL:
		return schema__bool(text, out);
	case FIELD_STRING:
		copy = arena__copy(arena, text, strlen(text));
		if (!copy)
			return -ENOMEM;
		*(const char **)out = copy;
		return 0;
	case FIELD_ENUM:
		for (int i = 0; f->names[i]; i++) {
			if ((f->flags & FIELD_ANY_CASE) ? strcasecmp(f->names[i], text)
							: strcmp(f->names[i], text))
				continue;
			*(int *)out = i;
			return 0;
		}
		return -EINVAL;
	default:
		return set_number(f, text, out);
	}
}

static int decode_scalar(struct decode *d, const struct field *f, const struct node *n, void *out)
{
	char range[80];
	int err;

	if (n->kind != NODE_SCALAR) {
		tell_wrong(f, n, d->diag);
		return 0;
	}
	err = set_scalar(d->arena, f, n->text, out);
	if (err == -ERANGE) {
		describe_range(f, range, sizeof(range));
		diag__error(d->diag, n, "%.*s is out of range, expected %s", SHOWN_MAX, n->text,
			    range);
	} else if (err == -EINVAL) {
		tell_wrong(f, n, d->diag);
	}
	return err == -ENOMEM ? err : 0;
}

static int decode_strings(struct decode *d, const struct field *f, const struct node *n,
			  struct string_list *out)
{
	const struct node *const one[] = {n};
	const struct node *const *items = one;
	size_t n_items = 1;
	const char **list;

	if (n->kind == NODE_MAPPING) {
		tell_wrong(f, n, d->diag);
		return 0;
	}
	if (n->kind == NODE_SEQUENCE) {
		items = (const struct node *const *)n->items;
		n_items = n->n_items;
	}
	list = arena__alloc(d->arena, n_items * sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < n_items; i++) {
		const struct node *item = items[i];

		if (item->kind == NODE_SEQUENCE || item->kind == NODE_MAPPING) {
			diag__error(d->diag, item, "%s, expected a string", kind_name(item));
			n_items = 0;
			break;
		}
		list[i] = item->kind == NODE_NULL
				  ? arena__copy(d->arena, "", 0)
				  : arena__copy(d->arena, item->text, strlen(item->text));
		if (!list[i])
			return -ENOMEM;
	}
	*out = (struct string_list){.items = list, .n = n_items};
	return 0;
}

/* Promtail reads stages as YAML 1.1 with keys of any type, and takes only strings. */
static bool is_boolean_key(const struct node *value)
{
	bool is;

	if (value->key_node->quoted || schema__bool(value->key, &is))
		return false;
	for (const struct node *p = value->parent; p; p = p->parent)
		if (p->key && !strcmp(p->key, "pipeline_stages"))
			return true;
	return false;
}

static int decode_map(struct decode *d, const struct field *f, const struct node *n,
		      struct string_map *out)
{
	struct string_pair *pairs;
	size_t n_pairs = 0;

	if (n->kind != NODE_MAPPING) {
		tell_wrong(f, n, d->diag);
		return 0;
	}
	pairs = arena__alloc(d->arena, n->n_items * sizeof(*pairs));
	if (!pairs)
		return -ENOMEM;
	for (size_t i = 0; i < n->n_items; i++) {
		const struct node *value = n->items[i];
		struct string_pair *p = &pairs[n_pairs];
		const char *text = value->kind == NODE_NULL ? "" : value->text;

		if (value->kind == NODE_SEQUENCE || value->kind == NODE_MAPPING) {
			diag__error(d->diag, value, "%s, expected a string", kind_name(value));
			continue;
		}
		if (is_boolean_key(value)) {
			diag__error(d->diag, value->key_node,
				    "a boolean in YAML 1.1, expected a name: write \"%s\"",
				    value->key);
			continue;
		}
		p->name = arena__copy(d->arena, value->key, strlen(value->key));
		p->value = arena__copy(d->arena, text, strlen(text));
		p->node = value;
		if (!p->name || !p->value)
			return -ENOMEM;
		n_pairs++;
	}
	*out = (struct string_map){.items = pairs, .n = n_pairs};
	return 0;
}

/* What is not sound was told and is left out: the others can still be looked at. */
static int decode_objects(struct decode *d, const struct field *f, const struct node *n,
			  struct object_list *out)
{
	size_t n_sound = 0;
	char *items;

	if (n->kind != NODE_SEQUENCE) {
		tell_wrong(f, n, d->diag);
		return 0;
	}
	items = arena__zalloc(d->arena, n->n_items * f->object->size);
	if (!items)
		return -ENOMEM;
	for (size_t i = 0; i < n->n_items; i++) {
		bool sound = false;
		int err;

		if (n->items[i]->kind == NODE_NULL) {
			diag__error(d->diag, n->items[i], "empty, expected a mapping");
			continue;
		}
		err = decode_object(d, f->object, n->items[i], items + n_sound * f->object->size,
				    &sound);
		if (err)
			return err;
		n_sound += sound;
	}
	*out = (struct object_list){.items = items, .n = n_sound};
	return 0;
}

static int decode_field(struct decode *d, const struct field *f, const struct node *n, void *object)
{
	const struct node *at = n->key_node ? n->key_node : n;
	void *out = member(object, f);
	bool sound;

	if (n->kind == NODE_NULL) {
		if (f->type == FIELD_NODE)
			*(const struct node **)out = n;
		return 0;
	}
	if (f->flags & FIELD_IGNORED)
		diag__warn(d->diag, at, "not needed here%s%s", f->doc ? ": " : "",
			   f->doc ? f->doc : "");
	else if (f->flags & FIELD_UNDONE)
		diag__warn(d->diag, at, "notail does not do this%s%s", f->doc ? ": " : "",
			   f->doc ? f->doc : "");
	else if (f->flags & FIELD_LATER)
		diag__warn(d->diag, at, "has no effect yet in this version");
	switch (f->type) {
	case FIELD_STRINGS:
		return decode_strings(d, f, n, out);
	case FIELD_MAP:
		return decode_map(d, f, n, out);
	case FIELD_OBJECT:
		return decode_object(d, f->object, n, out, &sound);
	case FIELD_OBJECTS:
		return decode_objects(d, f, n, out);
	case FIELD_STAGES:
		if (n->kind != NODE_SEQUENCE) {
			tell_wrong(f, n, d->diag);
			return 0;
		}
		*(const struct node **)out = n;
		return 0;
	case FIELD_NODE:
		*(const struct node **)out = n;
		return 0;
	default:
		return decode_scalar(d, f, n, out);
	}
}

/* `[a, b]` of a table, which has no quotes in it. */
static int default_strings(struct arena *arena, const char *text, struct string_list *out)
{
	size_t n = 0;
	char *copy = arena__copy(arena, text, strlen(text)), *rest = copy;
	const char **items = arena__alloc(arena, (strlen(text) + 1) * sizeof(*items));

	if (!copy || !items)
		return -ENOMEM;
	for (char *word; (word = strtok_r(NULL, "[], ", &rest));)
		items[n++] = word;
	*out = (struct string_list){.items = items, .n = n};
	return 0;
}

static int set_defaults(struct arena *arena, const struct schema *s, void *object)
{
	int err = 0;

	memset(object, 0, s->size);
	for (const struct field *f = s->fields; !err && f->name; f++) {
		void *out = member(object, f);

		if (f->type == FIELD_OBJECT)
			err = set_defaults(arena, f->object, out);
		else if (f->dflt && f->type == FIELD_STRINGS)
			err = default_strings(arena, f->dflt, out);
		else if (f->dflt && f->type != FIELD_MAP && f->type != FIELD_OBJECTS &&
			 f->type != FIELD_NODE && f->type != FIELD_STAGES)
			err = set_scalar(arena, f, f->dflt, out);
	}
	return err;
}

static const struct field *find_field(const struct schema *s, const char *name)
{
	for (const struct field *f = s->fields; f->name; f++)
		if (!strcmp(f->name, name))
			return f;
	return NULL;
}

static void require(struct decode *d, const struct schema *s, const struct node *node)
{
	char expected[400];

	for (const struct field *f = s->fields; f->name; f++) {
		const struct node *value = node__get(node, f->name);

		if (!(f->flags & FIELD_REQUIRED) || (value && value->kind != NODE_NULL))
			continue;
		describe(f, expected, sizeof(expected));
		diag__error(d->diag, value ? value : node, "%s%s, expected %s",
			    value ? "" : f->name, value ? "empty" : " is missing", expected);
	}
}

/* Those of nested objects are not the object's own. */
static int decode_fields(struct decode *d, const struct schema *s, const struct node *node,
			 void *object, size_t *ret_errors)
{
	size_t own = 0;

	for (size_t i = 0; i < node->n_items; i++) {
		const struct field *f = find_field(s, node->items[i]->key);
		size_t before = diag__errors(d->diag);
		int err = 0;

		if (f)
			err = decode_field(d, f, node->items[i], object);
		else
			tell_unknown(s, node->items[i], d->diag);
		if (err)
			return err;
		if (!f || (f->type != FIELD_OBJECT && f->type != FIELD_OBJECTS))
			own += diag__errors(d->diag) - before;
	}
	*ret_errors = own;
	return 0;
}

/* Sound: without errors but those of nested objects. */
static int decode_object(struct decode *d, const struct schema *s, const struct node *node,
			 void *object, bool *ret_sound)
{
	size_t before = diag__errors(d->diag), own = 0;
	int err = set_defaults(d->arena, s, object);

	*ret_sound = true;
	if (err || !node || node->kind == NODE_NULL)
		return err;
	if (s->node_offset)
		*(const struct node **)((char *)object + s->node_offset) = node;
	if (node->kind != NODE_MAPPING) {
		if (s->short_form)
			err = s->short_form(object, node, d->arena, d->diag);
		else
			diag__error(d->diag, node, "%s, expected a mapping", kind_name(node));
		*ret_sound = diag__errors(d->diag) == before;
		return err == -EINVAL ? 0 : err;
	}
	err = decode_fields(d, s, node, object, &own);
	if (err)
		return err;
	before = diag__errors(d->diag);
	require(d, s, node);
	own += diag__errors(d->diag) - before;
	if (s->check && !own) {
		s->check(object, node, d->diag);
		own = diag__errors(d->diag) - before;
	}
	*ret_sound = !own;
	return 0;
}

int schema__decode(const struct schema *s, const struct node *node, void *ret_object,
		   struct arena *arena, struct diag *diag)
{
	struct decode d = {.arena = arena, .diag = diag};
	size_t errors = diag__errors(diag);
	bool sound;
	int err = decode_object(&d, s, node, ret_object, &sound);

	if (err)
		return err;
	return diag__errors(diag) != errors ? -EINVAL : 0;
}
