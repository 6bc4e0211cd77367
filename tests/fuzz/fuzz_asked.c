/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a stranger writes at a pod: lines of NAME=VALUE, each an annotation and a label of it. What
 * is taken of them is what it may be; a selector, the values, is understood or fits nothing.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "containers/pod.h"
#include "process/asked.h"
#include "process/selector.h"

#define MAX_SIZE 1024

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_tenant(const char *tenant)
{
	if (!*tenant || strlen(tenant) > 150 || strncmp(tenant, "team-", 5))
		abort();
	for (const char *p = tenant; *p; p++)
		if (*p <= ' ' || *p >= 0x7f || strchr("|/:\"", *p))
			abort();
}

static void check_pattern(const char *pattern, const char *line)
{
	const struct regex_span *spans;
	struct regex *re = NULL;
	bool continues;
	const char *why = NULL;

	if (asked_multiline__new(&re, pattern, &continues, &why))
		abort();
	if (regex__match(re, line, MIN(strlen(line), ASKED_MULTILINE_BYTES), 0, &spans) == 1 &&
	    spans[0].text != line)
		abort();
	regex__free(re);
}

/* What is wrong with it fits nothing; as labels too, since fields are less. */
static void check_selector(const char *text, const struct meta *m)
{
	const char *wrong = selector__check_labels(text);
	bool unknown;

	selector__check_fields(text, &unknown);
	if (wrong && (selector__fits_labels(text, m) || selector__fits_fields(text, m)))
		abort();
}

static void check(const struct meta *m)
{
	static const char *const globs[] = {"team-*"};
	const struct string_list allowed = {.items = (const char **)globs, .n = 1};
	struct asked a;

	for (enum line_stream stream = LINE_STDOUT; stream <= LINE_TTY; stream++)
		asked__excluded(m, stream);
	if (asked__read(m, &allowed, &a))
		return;
	if (a.preset < -1 || a.preset >= PRESET_NONE || a.n_problems > ASKED_PROBLEMS_MAX)
		abort();
	if (a.tenant)
		check_tenant(a.tenant);
	for (size_t i = 0; i < m->pod->n_annotations; i++) {
		const char *value = m->pod->annotations[i].value;

		check_selector(value, m);
		if (a.pattern)
			check_pattern(a.pattern, value);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_meta_ struct meta *m = meta__new();
	_free_ char *text = size > MAX_SIZE ? NULL : strndup((const char *)data, size);
	char *save = NULL;

	if (!m || !text || !(m->pod = pod__new()) ||
	    meta__add_label(m, META_POD_CONTAINER_LABEL, "web"))
		return 0;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *value = strchr(line, '=');

		if (!value)
			continue;
		*value++ = '\0';
		if (pod__add_annotation(m->pod, line, value) || pod__add_label(m->pod, line, value))
			return 0;
	}
	check(m);
	return 0;
}
