/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of `name=value` are labels, lines with tabs are rules: action, sources (by commas),
 * separator, regex, target, replacement. No label is empty or twice there afterwards. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/util.h"
#include "process/relabel.h"

#define MAX_INPUT 600
#define MAX_RULES 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add_rule(struct arena *arena, char *line, struct relabel_rule *r)
{
	char *fields[6] = {line};
	size_t n = 1;

	for (char *p = line; *p && n < ARRAY_SIZE(fields); p++) {
		if (*p == '\t') {
			*p = '\0';
			fields[n++] = p + 1;
		}
	}
	for (; n < ARRAY_SIZE(fields); n++)
		fields[n] = line + strlen(line);
	r->action = line[0] % (RELABEL_UPPERCASE + 1);
	r->modulus = (unsigned char)line[0] + 1;
	r->separator = *fields[2] ? fields[2] : ";";
	r->regex = *fields[3] ? fields[3] : "(.*)";
	r->target_label = *fields[4] ? fields[4] : NULL;
	r->replacement = *fields[5] ? fields[5] : "$1";
	r->source_labels.items = arena__alloc(arena, 8 * sizeof(char *));
	for (char *p; (p = strsep(&fields[1], ",")) && *p && r->source_labels.n < 8;)
		r->source_labels.items[r->source_labels.n++] = p;
}

static void check(const struct label_list *l)
{
	if (l->n_discovered > l->n)
		abort();
	for (size_t i = 0; i < l->n; i++) {
		if (!*l->items[i].name || !*l->items[i].value)
			abort();
		for (size_t j = 0; j < i; j++) {
			if (strcmp(l->items[i].name, l->items[j].name) == 0)
				abort();
		}
	}
}

static void run(char *text, struct arena *arena, struct diag *diag)
{
	struct label_list labels = {.arena = arena};
	struct relabel_rule rules[MAX_RULES] = {0};
	struct relabel *relabel = NULL;
	size_t n = 0;

	for (char *line; (line = strsep(&text, "\n"));) {
		char *value = strchr(line, '=');

		if (strchr(line, '\t') && n < MAX_RULES) {
			add_rule(arena, line, &rules[n++]);
		} else if (value && value > line) {
			*value = '\0';
			label_list__set(&labels, line, value + 1);
		}
	}
	label_list__sort(&labels);
	if (relabel__new(&relabel, rules, n, diag) != 0) {
		if (!diag__errors(diag))
			abort();
		return;
	}
	if (relabel__apply(relabel, &labels, NULL) == 1)
		check(&labels);
	relabel__free(relabel);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = {0};
	struct diag *diag = NULL;
	_free_ char *text = NULL;

	if (size > MAX_INPUT)
		return 0;
	text = malloc(size + 1);
	if (!text || diag__new(&diag, "fuzz") != 0)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	run(text, &arena, diag);
	diag__free(diag);
	arena__free(&arena);
	return 0;
}
