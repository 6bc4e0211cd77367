/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with a key or a value, what was expected, and which name may have been meant. */
#include "config/schema_internal.h"

#include <string.h>
#include <strings.h>

#include "base/util.h"

#define WORD_MAX 40
#define NAMES_MAX 64
#define PREFIX_MIN 4 /* so much of a name is near it */

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

const char *schema__kind_name(const struct node *n)
{
	static const char *const NAMES[] = {
		[NODE_NULL] = "empty",
		[NODE_SCALAR] = "a single value",
		[NODE_SEQUENCE] = "a list",
		[NODE_MAPPING] = "a mapping",
	};

	return NAMES[n->kind];
}

/* How a number is written depends on what it counts. */
void schema__describe_range(const struct field *f, char *out, size_t size)
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

void schema__describe(const struct field *f, char *out, size_t size)
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

void schema__tell_wrong(const struct field *f, const struct node *n, struct diag *diag)
{
	char expected[400];

	schema__describe(f, expected, sizeof(expected));
	if (n->kind != NODE_SCALAR)
		diag__error(diag, n, "%s, expected %s", schema__kind_name(n), expected);
	else if (f->flags & FIELD_SECRET)
		diag__error(diag, n, "malformed, expected %s", expected);
	else
		diag__error(diag, n, "\"%.*s\"%s, expected %s", SHOWN_MAX, n->text,
			    strlen(n->text) > SHOWN_MAX ? "..." : "", expected);
}

void schema__tell_unknown(const struct schema *s, const struct node *value, struct diag *diag)
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
