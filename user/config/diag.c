/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries are kept as they come and sorted when they are printed. Errors and warnings have a bound
 * each, so that many warnings cannot hide an error. Memory that is not there costs an entry, never
 * the count.
 */
#include "config/diag.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/buf.h"
#include "config/node.h"

#define TEXT_MAX 1000
#define PATH_DEPTH_MAX 100

struct entry {
	unsigned line, column;
	size_t number; /* keeps those of one place in order */
	bool warning;
	char *text;
};

struct diag {
	char *file;
	struct entry *entries;
	size_t n_entries, room;
	size_t errors, warnings;
};

int diag__new(struct diag **ret, const char *file)
{
	struct diag *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->file = strdup(file);
	if (!d->file) {
		free(d);
		return -ENOMEM;
	}
	*ret = d;
	return 0;
}

void diag__free(struct diag *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->n_entries; i++)
		free(d->entries[i].text);
	free(d->entries);
	free(d->file);
	free(d);
}

static bool is_plain(const char *key)
{
	for (const char *c = key; *c; c++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-/",
			    *c))
			return false;
	return *key;
}

/* `clients[0].external_labels["a b"]`. */
int diag__path(struct buf *b, const struct node *at)
{
	const struct node *chain[PATH_DEPTH_MAX];
	size_t n = 0;
	int err = 0;

	for (; at && at->parent && n < PATH_DEPTH_MAX; at = at->parent)
		chain[n++] = at;
	while (!err && n--) {
		const struct node *c = chain[n];

		if (!c->key)
			err = buf__printf(b, "[%zu]", c->index);
		else if (is_plain(c->key))
			err = buf__printf(b, "%s%.80s", b->len ? "." : "", c->key);
		else
			err = buf__printf(b, "[\"%.80s\"]", c->key);
	}
	return err;
}

/* One line, whatever was quoted from the file. */
static void clean(char *text)
{
	utf8__clean(text, strlen(text));
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
}

static void add(struct diag *d, bool warning, unsigned line, unsigned column, const struct node *at,
		const char *fmt, va_list args)
{
	size_t *count = warning ? &d->warnings : &d->errors;
	char text[TEXT_MAX];
	_buf_ struct buf b = {0};
	struct entry *e;
	int err;

	if ((*count)++ >= DIAG_MAX)
		return;
	if (d->n_entries == d->room) {
		size_t room = d->room ? d->room * 2 : 16;

		e = reallocarray(d->entries, room, sizeof(*e));
		if (!e)
			return;
		d->entries = e;
		d->room = room;
	}
	vsnprintf(text, sizeof(text), fmt, args);
	err = diag__path(&b, at);
	if (!err && b.len)
		err = buf__append_str(&b, ": ");
	if (!err)
		err = buf__append(&b, text, strlen(text) + 1);
	if (err)
		return;
	clean(b.data);
	e = &d->entries[d->n_entries];
	*e = (struct entry){
		.line = line,
		.column = column,
		.number = d->n_entries,
		.warning = warning,
		.text = b.data,
	};
	d->n_entries++;
	b = (struct buf){0};
}

void diag__error(struct diag *d, const struct node *at, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	add(d, false, at ? at->line : 0, at ? at->column : 0, at, fmt, args);
	va_end(args);
}

void diag__warn(struct diag *d, const struct node *at, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	add(d, true, at ? at->line : 0, at ? at->column : 0, at, fmt, args);
	va_end(args);
}

void diag__error_at(struct diag *d, unsigned line, unsigned column, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	add(d, false, line, column, NULL, fmt, args);
	va_end(args);
}

size_t diag__errors(const struct diag *d)
{
	return d->errors;
}

size_t diag__warnings(const struct diag *d)
{
	return d->warnings;
}

static int compare(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	if (x->column != y->column)
		return x->column < y->column ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

static void print_entry(const struct diag *d, const struct entry *e, FILE *out)
{
	fputs(d->file, out);
	if (e->line)
		fprintf(out, ":%u:%u", e->line, e->column);
	fprintf(out, ": %s%s\n", e->warning ? "warning: " : "", e->text);
}

void diag__print(const struct diag *d, FILE *out)
{
	size_t left = d->errors + d->warnings - d->n_entries;

	if (d->n_entries)
		qsort(d->entries, d->n_entries, sizeof(*d->entries), compare);
	for (size_t i = 0; i < d->n_entries; i++)
		print_entry(d, &d->entries[i], out);
	if (left)
		fprintf(out, "%s: %zu more\n", d->file, left);
}
