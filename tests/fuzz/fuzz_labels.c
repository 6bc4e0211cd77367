/* SPDX-License-Identifier: Apache-2.0 */
/* Names and values, each ended by a NUL; what comes out must be what Loki's parser takes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/util.h"
#include "process/labels.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_label(const struct label *l)
{
	const char *letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
	size_t len = strlen(l->name), value_len = strlen(l->value);

	if (!len || len > 1024 || strspn(l->name, letters) != len ||
	    (l->name[0] >= '0' && l->name[0] <= '9'))
		abort();
	if (!value_len || value_len > 2048 || !utf8__valid(l->value, value_len) ||
	    strstr(l->value, "\xef\xbf\xbd"))
		abort();
}

static void check(const struct label_set *s)
{
	if (!s->hash || !s->display || !utf8__valid(s->text, strlen(s->text)))
		abort();
	for (const char *p = s->text; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			abort();
	}
	for (size_t i = 0; i < s->n_labels; i++) {
		check_label(&s->labels[i]);
		if (i && strcmp(s->labels[i - 1].name, s->labels[i].name) >= 0)
			abort();
	}
	for (size_t i = 0; i < s->n_metadata; i++)
		check_label(&s->metadata[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_label_set_ struct label_set *s = label_set__new();
	_free_ char *text = malloc(size + 2);
	const char *p = text, *end;

	if (!s || !text)
		return 0;
	memcpy(text, data, size);
	text[size] = text[size + 1] = '\0';
	end = text + size;
	while (p < end) {
		const char *name = p, *value = name + strlen(name) + 1;

		if (value > end)
			break;
		if (label_set__add(s, name, value) || label_set__add_metadata(s, value, name))
			return 0;
		p = value + strlen(value) + 1;
	}
	if (label_set__display(s, text) == 0 && label_set__seal(s) == 0)
		check(s);
	return 0;
}
