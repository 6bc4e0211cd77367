/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entry as it was is a held copy, and is compared with what the stage left. A stage that emits
 * runs the stages behind it in between, which take copies of their own: such a stage always ends
 * with STAGE_HOLD, for which the copy is not needed. That it took the entry is said before what it
 * emits.
 *
 * Text comes from containers: what a terminal would obey is escaped.
 */
#include "process/inspect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "process/hold.h"

#define MAX_TEXT 8192u /* bytes shown of one text */

#define RED "\033[31m"
#define GREEN "\033[32m"
#define YELLOW "\033[33m"
#define BOLD "\033[1m"
#define PLAIN "\033[0m"

struct inspect {
	FILE *out;
	bool color;
	unsigned depth; /* stages that run within each other */
	struct buf text;
	struct held before;
	bool copied;
	bool said_held;			/* of the stage that runs */
	struct stage_counters counters; /* before */
	struct arena arena;		/* of numbers as text */
	bool changed;			/* the stage has its headline */
};

/* NULL: nothing is there. */
struct text {
	const char *data;
	size_t len;
};

int inspect__new(struct inspect **ret, FILE *out, bool color)
{
	struct inspect *in = calloc(1, sizeof(*in));

	if (!in)
		return -ENOMEM;
	in->out = out;
	in->color = color;
	*ret = in;
	return 0;
}

void inspect__free(struct inspect *in)
{
	if (!in)
		return;
	held__free(&in->before);
	arena__free(&in->arena);
	buf__free(&in->text);
	free(in);
}

/* Text */

static void put(struct inspect *in, const char *text)
{
	buf__append_str(&in->text, text);
}

static void put_color(struct inspect *in, const char *color)
{
	if (in->color)
		put(in, color);
}

static void put_escaped(struct inspect *in, const char *p, const char *end)
{
	switch (*p) {
	case '\n':
		put(in, "\\n");
		return;
	case '\r':
		put(in, "\\r");
		return;
	case '\t':
		put(in, "\\t");
		return;
	}
	for (; p < end; p++)
		buf__printf(&in->text, "\\x%02x", (unsigned char)*p);
}

/* Neither C0, DEL nor C1. */
static bool is_printable(const char *p, size_t len)
{
	unsigned char c = (unsigned char)p[0];

	if (len == 1)
		return c >= ' ' && c != 0x7f;
	return len > 2 || c != 0xc2 || (unsigned char)p[1] >= 0xa0;
}

static void put_text(struct inspect *in, struct text text)
{
	const char *p = text.data, *end = p + MIN(text.len, MAX_TEXT), *plain = p;

	while (p < end) {
		size_t n = utf8__sequence(p, end);

		if (n && is_printable(p, n)) {
			p += n;
			continue;
		}
		buf__append(&in->text, plain, (size_t)(p - plain));
		put_escaped(in, p, p + MAX(n, (size_t)1));
		p += MAX(n, (size_t)1);
		plain = p;
	}
	buf__append(&in->text, plain, (size_t)(p - plain));
	if (text.len > MAX_TEXT)
		buf__printf(&in->text, "... (%zu bytes)", text.len);
}

static void put_headline(struct inspect *in, const struct inspect_place *place)
{
	if (in->changed)
		return;
	in->changed = true;
	put(in, "[inspect: ");
	put_color(in, BOLD);
	put(in, place->stage);
	put_color(in, PLAIN);
	put(in, " stage]: ");
	put_text(in, (struct text){place->path, strlen(place->path)});
	put(in, "\n");
}

/* `-: text` or `+: text`. */
static void put_side(struct inspect *in, const char *color, char sign, struct text text)
{
	put_color(in, color);
	buf__printf(&in->text, "\t%c: ", sign);
	put_text(in, text);
	put_color(in, PLAIN);
	put(in, "\n");
}

static void put_title(struct inspect *in, const char *color, const char *what, const char *name)
{
	put_color(in, color);
	put(in, what);
	if (name) {
		put(in, "[\"");
		put_text(in, (struct text){name, strlen(name)});
		put(in, "\"]");
	}
	put_color(in, PLAIN);
}

/* One that says something besides: `Dropped: why`. */
static void put_note(struct inspect *in, const struct inspect_place *place, const char *color,
		     const char *what, const char *why)
{
	put_headline(in, place);
	put_title(in, color, what, NULL);
	if (why) {
		put(in, ": ");
		put_text(in, (struct text){why, strlen(why)});
	}
	put(in, "\n");
}

/* What belongs together is complete. */
static void finish(struct inspect *in)
{
	in->changed = false;
	if (!in->text.len)
		return;
	fwrite(in->text.data, 1, in->text.len, in->out);
	fflush(in->out);
	in->text.len = 0;
}

/* Differences */

static bool same(struct text a, struct text b)
{
	if (!a.data || !b.data)
		return !a.data && !b.data;
	return a.len == b.len && (!a.len || !memcmp(a.data, b.data, a.len));
}

static void compare(struct inspect *in, const struct inspect_place *place, const char *what,
		    const char *name, struct text before, struct text after)
{
	const char *color = !before.data ? GREEN : after.data ? YELLOW : RED;

	if (same(before, after))
		return;
	put_headline(in, place);
	put_title(in, color, what, name);
	put(in, ":\n");
	if (before.data)
		put_side(in, color, '-', before);
	if (after.data)
		put_side(in, GREEN, '+', after);
}

static uint64_t time_of(const struct entry *e)
{
	return e->resolution_ns ? e->time_ns : e->record_ns;
}

static void compare_times(struct inspect *in, const struct inspect_place *place,
			  const struct entry *e)
{
	char before[RFC3339_LEN], after[RFC3339_LEN];

	clock__rfc3339(time_of(&in->before.entry), before);
	clock__rfc3339(time_of(e), after);
	compare(in, place, "Timestamp", NULL, (struct text){before, sizeof(before)},
		(struct text){after, sizeof(after)});
}

static struct text value_text(struct inspect *in, const struct value *v)
{
	struct text t = {NULL, 0};

	if (v->kind == VALUE_NULL)
		return (struct text){"null", 4};
	if (!value__text(v, &in->arena, &t.data, &t.len) && !t.data)
		t.data = ""; /* an empty text may be of no memory */
	return t;
}

static struct text held_value(struct inspect *in, size_t slot)
{
	const struct held *h = &in->before;

	for (size_t i = 0; i < h->n_values; i++)
		if (h->values[i].slot == slot)
			return value_text(in, &h->values[i].value);
	return (struct text){NULL, 0};
}

static struct text label_text(const struct entry *e, size_t slot)
{
	struct text t = {NULL, 0};

	entry__label(e, slot, &t.data, &t.len);
	return t;
}

static struct text metadata_text(const struct entry *e, size_t slot)
{
	for (size_t i = 0; i < e->n_metadata; i++)
		if (e->metadata[i].slot == slot)
			return (struct text){e->metadata[i].text ? e->metadata[i].text : "",
					     e->metadata[i].len};
	return (struct text){NULL, 0};
}

static bool has_slot(const struct slots *slots, const char *name)
{
	for (size_t i = 0; i < slots__count(slots); i++)
		if (!strcmp(slots__name(slots, i), name))
			return true;
	return false;
}

/* Labels that no stage has by name, which only go all at once. */
static void compare_strangers(struct inspect *in, const struct inspect_place *place,
			      const struct entry *e)
{
	if (e->strangers_dropped == in->before.entry.strangers_dropped)
		return;
	for (size_t i = 0; i < e->base->n_labels; i++) {
		const struct label *l = &e->base->labels[i];

		if (!has_slot(place->slots, l->name))
			compare(in, place, "Labels", l->name,
				(struct text){l->value, strlen(l->value)}, (struct text){NULL, 0});
	}
}

static void compare_failures(struct inspect *in, const struct inspect_place *place,
			     const struct stage_counters *c)
{
	if (c->failed != in->counters.failed)
		put_note(in, place, RED, "Failed", NULL);
	if (c->regex_limited != in->counters.regex_limited)
		put_note(in, place, RED, "Failed", "the regex hit its match limit");
	if (c->no_memory != in->counters.no_memory)
		put_note(in, place, RED, "Failed", "no memory");
}

static void compare_all(struct inspect *in, const struct inspect_place *place,
			const struct entry *e)
{
	const struct held *h = &in->before;

	arena__reset(&in->arena);
	compare(in, place, "Line", NULL,
		(struct text){h->line.data ? h->line.data : "", h->line.len},
		(struct text){e->line ? e->line : "", e->len});
	compare_times(in, place, e);
	for (size_t i = 0; i < e->n_values; i++)
		compare(in, place, "Extracted", slots__name(place->slots, i), held_value(in, i),
			value_text(in, &e->values[i]));
	for (size_t i = 0; i < e->n_values; i++)
		compare(in, place, "Labels", slots__name(place->slots, i), label_text(&h->entry, i),
			label_text(e, i));
	compare_strangers(in, place, e);
	for (size_t i = 0; i < e->n_values; i++)
		compare(in, place, "StructuredMetadata", slots__name(place->slots, i),
			metadata_text(&h->entry, i), metadata_text(e, i));
	compare(in, place, "Tenant", NULL, (struct text){h->entry.tenant, h->entry.tenant_len},
		(struct text){e->tenant, e->tenant_len});
	compare_failures(in, place, e->counters);
}

/* Entries */

static void put_line(struct inspect *in, const struct entry *e)
{
	put_text(in, (struct text){e->line ? e->line : "", e->len});
}

void inspect__entry(struct inspect *in, const struct entry *e)
{
	const char *labels = e->base->text ? e->base->text : "{}";

	put(in, "[inspect: ");
	put_color(in, BOLD);
	put(in, "entry");
	put_color(in, PLAIN);
	put(in, "]: ");
	put_text(in, (struct text){labels, strlen(labels)});
	put(in, " ");
	put_line(in, e);
	put(in, "\n");
	finish(in);
}

bool inspect__before(struct inspect *in, const struct entry *e)
{
	bool outer = in->said_held;

	in->depth++;
	in->said_held = false;
	in->copied = held__take(&in->before, e) == 0;
	in->counters = *e->counters;
	return outer;
}

static void say_held(struct inspect *in, const struct inspect_place *place)
{
	if (!in->said_held)
		put_note(in, place, YELLOW, "Held", NULL);
	in->said_held = true;
	in->changed = false;
}

void inspect__after(struct inspect *in, const struct inspect_place *place, bool outer,
		    const struct entry *e, enum stage_result result)
{
	if (result == STAGE_HOLD)
		say_held(in, place);
	else if (in->copied)
		compare_all(in, place, e);
	else
		put_note(in, place, RED, "Could not copy entry", NULL);
	if (result == STAGE_DROP)
		put_note(in, place, RED, "Dropped", e->dropped ? e->dropped : "unknown");
	in->depth--;
	in->said_held = outer;
	finish(in);
}

void inspect__emitted(struct inspect *in, const struct inspect_place *place, const struct entry *e)
{
	if (in->depth)
		say_held(in, place);
	put_headline(in, place);
	put_title(in, GREEN, "Emitted", NULL);
	put(in, ":\n");
	put_side(in, GREEN, '+', (struct text){e->line ? e->line : "", e->len});
	finish(in);
}
