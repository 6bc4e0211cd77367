/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text is cut into parts once: literals, and groups as the list of those that a name or number
 * may mean, of which the first that took part is meant.
 */
#include "base/expand.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NUMBER 100000000 /* Go's: longer ones are names */

struct part {
	const char *text; /* into expand->text; NULL: a group */
	size_t len;
	size_t number; /* of a group without a name; 0: the whole match */
	char *name;    /* NULL: a number */
};

struct expand {
	char *text;
	struct part *parts;
	size_t n_parts;
	size_t n_groups;
	char **names; /* of the groups, copied */
	bool constant;
};

static struct part *add_part(struct expand *e)
{
	struct part *grown = reallocarray(e->parts, e->n_parts + 1, sizeof(*grown));

	if (!grown)
		return NULL;
	e->parts = grown;
	grown[e->n_parts] = (struct part){0};
	return &grown[e->n_parts++];
}

static int add_text(struct expand *e, const char *text, size_t len)
{
	struct part *p;

	if (!len)
		return 0;
	p = add_part(e);
	if (!p)
		return -ENOMEM;
	p->text = text;
	p->len = len;
	return 0;
}

/* Digits only, no zero in front: a number. */
static bool number(const char *name, size_t len, size_t *ret)
{
	size_t n = 0;

	if (len > 1 && name[0] == '0')
		return false;
	for (size_t i = 0; i < len; i++) {
		if (name[i] < '0' || name[i] > '9' || n >= MAX_NUMBER)
			return false;
		n = n * 10 + (size_t)(name[i] - '0');
	}
	*ret = n;
	return true;
}

static int add_group(struct expand *e, const char *name, size_t len)
{
	struct part *p = add_part(e);

	if (!p)
		return -ENOMEM;
	e->constant = false;
	if (number(name, len, &p->number))
		return 0;
	p->name = strndup(name, len);
	return p->name ? 0 : -ENOMEM;
}

/* Behind a dollar: its length, or 0 when this names no group. */
static size_t reference(struct regex *word, const char *text, const char **ret_name,
			size_t *ret_len)
{
	bool brace = *text == '{';
	const struct regex_span *spans;

	if (regex__match(word, text + brace, strlen(text + brace), 0, &spans) != 1 ||
	    (brace && spans[0].text[spans[0].len] != '}'))
		return 0;
	*ret_name = spans[0].text;
	*ret_len = spans[0].len;
	return spans[0].len + (brace ? 2 : 0);
}

static int parse(struct expand *e, struct regex *word)
{
	const char *p = e->text, *dollar, *name;
	size_t len, n;
	int err = 0;

	while (!err && (dollar = strchr(p, '$'))) {
		n = reference(word, dollar + 1, &name, &len);
		/* Of $$ the first is text, and so is a dollar that names nothing. */
		err = add_text(e, p, (size_t)(dollar - p) + (n == 0));
		p = dollar + 1 + n;
		if (!err && n)
			err = add_group(e, name, len);
		else if (*p == '$')
			p++;
	}
	return err ? err : add_text(e, p, strlen(p));
}

static int copy_names(struct expand *e, const struct regex *re)
{
	e->n_groups = regex__groups(re);
	e->names = calloc(e->n_groups + 1, sizeof(*e->names));
	if (!e->names)
		return -ENOMEM;
	for (size_t i = 0; i <= e->n_groups; i++) {
		e->names[i] = strdup(regex__group_name(re, i));
		if (!e->names[i])
			return -ENOMEM;
	}
	return 0;
}

int expand__new(struct expand **ret, const char *text, const struct regex *re)
{
	struct expand *e = calloc(1, sizeof(*e));
	struct regex_error error;
	struct regex *word = NULL;
	int err;

	if (!e)
		return -ENOMEM;
	e->constant = true;
	e->text = strdup(text);
	err = e->text ? copy_names(e, re) : -ENOMEM;
	/* What Go takes for a name: letters and digits of any script. */
	if (!err)
		err = regex__new(&word, "\\A[_\\p{L}\\p{Nd}]+", false, &error);
	if (!err)
		err = parse(e, word);
	regex__free(word);
	if (err) {
		expand__free(e);
		return -ENOMEM;
	}
	*ret = e;
	return 0;
}

void expand__free(struct expand *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < e->n_parts; i++)
		free(e->parts[i].name);
	for (size_t i = 0; e->names && i <= e->n_groups; i++)
		free(e->names[i]);
	free(e->names);
	free(e->parts);
	free(e->text);
	free(e);
}

static const struct regex_span *find(const struct expand *e, const struct part *p,
				     const struct regex_span *spans)
{
	if (!p->name)
		return p->number <= e->n_groups ? &spans[p->number] : NULL;
	for (size_t i = 1; i <= e->n_groups; i++) {
		if (spans[i].text && strcmp(e->names[i], p->name) == 0)
			return &spans[i];
	}
	return NULL;
}

int expand__append(const struct expand *e, const struct regex_span *spans, struct buf *out)
{
	int err = 0;

	for (size_t i = 0; i < e->n_parts && !err; i++) {
		const struct part *p = &e->parts[i];
		const struct regex_span *span = p->text ? NULL : find(e, p, spans);

		if (p->text)
			err = buf__append(out, p->text, p->len);
		else if (span && span->text)
			err = buf__append(out, span->text, span->len);
	}
	return err;
}

bool expand__constant(const struct expand *e)
{
	return e->constant;
}
