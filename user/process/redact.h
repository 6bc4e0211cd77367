/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds what should not be in a log: addresses, card numbers, keys and tokens, by what they look
 * like. Made for lines of log: what is in doubt between a secret and an ordinary word or number is
 * left (see redact.c for what each pattern asks for). Linear in the text.
 */
#ifndef NOTAIL_PROCESS_REDACT_H
#define NOTAIL_PROCESS_REDACT_H

#include <stdbool.h>
#include <stddef.h>

enum redact_pattern {
	REDACT_EMAIL,
	REDACT_IPV4,
	REDACT_IPV6,
	REDACT_CARD,
	REDACT_JWT,
	REDACT_BEARER,
	REDACT_AWS_KEY,
	REDACT_PATTERNS,
};

#define REDACT_ALL ((1u << REDACT_PATTERNS) - 1)

/* By pattern; the end is NULL. */
extern const char *const redact__names[REDACT_PATTERNS + 1];

struct redact_hit {
	size_t start, end;
	enum redact_pattern pattern;
};

/* The first one at or behind `from` of those whose bits `patterns` has. Nothing before `from` is
 * part of it. */
bool redact__find(unsigned patterns, const char *text, size_t len, size_t from,
		  struct redact_hit *ret);

#endif
