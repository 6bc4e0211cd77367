/* SPDX-License-Identifier: Apache-2.0 */
/* A pattern, a NUL, a subject: every match in turn lies in the subject and moves on; what Go's
 * syntax lets through PCRE2 takes, or says why. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/regex.h"
#include "base/util.h"

#define MAX_PATTERN 200
#define MAX_SUBJECT 200

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_spans(const struct regex *re, const struct regex_span *spans, const char *subject,
			size_t len)
{
	for (size_t i = 0; i <= regex__groups(re); i++) {
		if (!spans[i].text)
			continue;
		if (spans[i].text < subject || spans[i].text + spans[i].len > subject + len)
			abort();
	}
	if (!spans[0].text)
		abort();
}

static void match_all(struct regex *re, const char *subject, size_t len)
{
	const struct regex_span *spans;
	size_t start = 0;

	while (start <= len && regex__match(re, subject, len, start, &spans) == 1) {
		size_t end = (size_t)(spans[0].text + spans[0].len - subject);

		check_spans(re, spans, subject, len);
		if (end < start)
			abort();
		start = end + (spans[0].len == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t pattern_len = strnlen((const char *)data, size), len = size - pattern_len;
	_free_ char *subject = NULL;
	struct regex_error error;
	struct regex *re = NULL;
	_free_ char *pattern = NULL;
	int err;

	if (pattern_len > MAX_PATTERN || len > MAX_SUBJECT)
		return 0;
	len -= len > 0;
	pattern = strndup((const char *)data, pattern_len);
	subject = malloc(MAX(len, 1));
	if (!pattern || !subject)
		return 0;
	memcpy(subject, data + size - len, len);
	for (int anchored = 0; anchored < 2; anchored++) {
		err = regex__new(&re, pattern, anchored, &error);
		if (err == -EINVAL && (!error.text[0] || error.offset > pattern_len))
			abort();
		if (err)
			break;
		match_all(re, subject, len);
		regex__free(TAKE_PTR(re));
	}
	return 0;
}
