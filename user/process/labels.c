/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever a container's engine says becomes something that Loki's label parser takes: names of
 * [a-zA-Z_][a-zA-Z0-9_]*, values of valid UTF-8 without U+FFFD, and in `text` quoted as Go's
 * strconv.Quote does, for that is what the parser undoes. Characters that its scanner takes as they
 * are stay as they are.
 */
#include "process/labels.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/util.h"

#define MAX_NAME 1024
#define MAX_VALUE 2048

struct label_set *label_set__new(void)
{
	struct label_set *s = calloc(1, sizeof(*s));

	if (s)
		s->refs = 1;
	return s;
}

struct label_set *label_set__ref(struct label_set *s)
{
	__atomic_fetch_add(&s->refs, 1, __ATOMIC_RELAXED);
	return s;
}

static void labels__free(struct label *labels, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(labels[i].name);
		free(labels[i].value);
	}
	free(labels);
}

void label_set__unref(struct label_set *s)
{
	if (!s || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	labels__free(s->labels, s->n_labels);
	labels__free(s->metadata, s->n_metadata);
	free(s->text);
	free(s->display);
	free(s);
}

static bool continuation(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

/* Length of the character at s, its code in *ret_code; 0: not valid UTF-8, or the string's end. */
static size_t character(const char *s, uint32_t *ret_code)
{
	size_t len = *s ? utf8__sequence(s, s + strnlen(s, 4)) : 0;

	if (len)
		*ret_code = utf8__code(s, len);
	return len;
}

static char *clean_name(const char *name)
{
	char *ret = malloc(MIN(strlen(name), MAX_NAME) + 1);
	size_t n = 0;

	for (; ret && *name && n < MAX_NAME; name++) {
		bool letter = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z');
		bool digit = *name >= '0' && *name <= '9';

		/* One _ for a character, however many bytes it has. */
		if (continuation((unsigned char)*name) && n)
			continue;
		ret[n] = letter || (digit && n) ? *name : '_';
		n++;
	}
	if (ret)
		ret[n] = '\0';
	return ret;
}

static char *clean_value(const char *value)
{
	char *ret = malloc(MIN(strlen(value), MAX_VALUE) + 1);
	size_t n = 0;

	while (ret && *value) {
		uint32_t code;
		size_t len = character(value, &code);
		size_t out = len && code != 0xfffd ? len : 1;

		if (n + out > MAX_VALUE)
			break;
		if (len && code != 0xfffd)
			memcpy(ret + n, value, len);
		else
			ret[n] = '?';
		n += out;
		value += len ? len : 1;
	}
	if (ret)
		ret[n] = '\0';
	return ret;
}

static int labels__add(struct label **labels, size_t *n_labels, unsigned *repaired,
		       const char *name, const char *value)
{
	_free_ char *clean_n = NULL, *clean_v = NULL;
	struct label *grown;

	if (!*name || !*value)
		return 0;
	clean_n = clean_name(name);
	clean_v = clean_value(value);
	if (!clean_n || !clean_v)
		return -ENOMEM;
	*repaired += (strcmp(name, clean_n) != 0) + (strcmp(value, clean_v) != 0);
	for (size_t i = 0; i < *n_labels; i++) {
		if (strcmp((*labels)[i].name, clean_n) == 0) {
			free((*labels)[i].value);
			(*labels)[i].value = TAKE_PTR(clean_v);
			return 0;
		}
	}
	grown = reallocarray(*labels, *n_labels + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	*labels = grown;
	grown[*n_labels].name = TAKE_PTR(clean_n);
	grown[*n_labels].value = TAKE_PTR(clean_v);
	(*n_labels)++;
	return 0;
}

int label_set__add(struct label_set *s, const char *name, const char *value)
{
	return labels__add(&s->labels, &s->n_labels, &s->repaired, name, value);
}

int label_set__add_metadata(struct label_set *s, const char *name, const char *value)
{
	return labels__add(&s->metadata, &s->n_metadata, &s->repaired, name, value);
}

int label_set__display(struct label_set *s, const char *text)
{
	char *clean = clean_value(text);

	if (!clean)
		return -ENOMEM;
	/* It goes to a terminal. Both bytes of a C1 control are replaced. */
	for (char *p = clean; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
		else if ((unsigned char)p[0] == 0xc2 && (unsigned char)p[1] < 0xa0)
			p[0] = p[1] = '?';
	}
	free(s->display);
	s->display = clean;
	return 0;
}

/* Line and paragraph separators, a byte order mark, C1 controls: nothing that anybody wants raw in
 * a selector that is shown or copied. */
static bool unprintable(uint32_t code)
{
	return (code >= 0x80 && code < 0xa0) || code == 0x2028 || code == 0x2029 || code == 0xfeff;
}

static int quote(struct buf *out, const char *value)
{
	static const char letters[] = "abtnvfr"; /* of \a to \r, which follow each other */
	int err = buf__append_str(out, "\"");

	while (*value && !err) {
		uint32_t code = 0;
		size_t len = character(value, &code);

		if (code == '"' || code == '\\')
			err = buf__printf(out, "\\%c", (char)code);
		else if (code >= '\a' && code <= '\r')
			err = buf__printf(out, "\\%c", letters[code - '\a']);
		else if (code < ' ' || code == 0x7f)
			err = buf__printf(out, "\\x%02x", code);
		else if (unprintable(code))
			err = buf__printf(out, "\\u%04x", code);
		else
			err = buf__append(out, value, len);
		value += len;
	}
	return err ? err : buf__append_str(out, "\"");
}

static int make_text(const struct label_set *s, char **ret)
{
	_buf_ struct buf out = {0};
	int err = buf__append_str(&out, "{");

	for (size_t i = 0; i < s->n_labels && !err; i++) {
		err = buf__printf(&out, "%s%s=", i ? ", " : "", s->labels[i].name);
		if (!err)
			err = quote(&out, s->labels[i].value);
	}
	if (!err)
		err = buf__append(&out, "}", 2);
	if (!err)
		*ret = TAKE_PTR(out.data);
	return err;
}

static uint64_t make_hash(const struct label_set *s)
{
	uint64_t hash = HASH_START;

	for (size_t i = 0; i < s->n_labels; i++)
		hash = hash__text(hash__text(hash, s->labels[i].name), s->labels[i].value);
	return hash__mix(hash);
}

static int label__cmp(const void *a, const void *b)
{
	return strcmp(((const struct label *)a)->name, ((const struct label *)b)->name);
}

int label_set__seal(struct label_set *s)
{
	_free_ char *text = NULL;
	int err;

	if (s->n_labels)
		qsort(s->labels, s->n_labels, sizeof(*s->labels), label__cmp);
	err = make_text(s, &text);
	if (!err && !s->display)
		err = label_set__display(s, "");
	if (err)
		return err;
	free(s->text);
	s->text = TAKE_PTR(text);
	s->hash = make_hash(s);
	return 0;
}

bool label_set__same(const struct label_set *a, const struct label_set *b)
{
	if (a->hash != b->hash || a->n_metadata != b->n_metadata || a->repaired != b->repaired ||
	    strcmp(a->text, b->text) != 0 || strcmp(a->display, b->display) != 0)
		return false;
	for (size_t i = 0; i < a->n_metadata; i++) {
		if (strcmp(a->metadata[i].name, b->metadata[i].name) != 0 ||
		    strcmp(a->metadata[i].value, b->metadata[i].value) != 0)
			return false;
	}
	return true;
}

const char *label_set__get(const struct label_set *s, const char *name)
{
	for (size_t i = 0; i < s->n_labels; i++) {
		if (strcmp(s->labels[i].name, name) == 0)
			return s->labels[i].value;
	}
	return NULL;
}
