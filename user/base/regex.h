/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular expressions as Go writes them (RE2), matched by PCRE2 with its JIT and a match limit.
 * Subjects are bytes: invalid UTF-8 never fails a match. One thread for each regex.
 */
#ifndef NOTAIL_BASE_REGEX_H
#define NOTAIL_BASE_REGEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct regex;

struct regex_error {
	size_t offset; /* in the pattern, bytes */
	char text[128];
};

struct regex_span {
	const char *text; /* NULL: the group took no part */
	size_t len;
};

/* `anchored`: the whole subject must match and a dot may be a newline, as in relabelling rules and
 * label matchers. -EINVAL: *ret_error says why; -ENOMEM. */
int regex__new(struct regex **ret, const char *pattern, bool anchored,
	       struct regex_error *ret_error);
void regex__free(struct regex *re); /* NULL is fine */
/* Groups, the whole match not counted; a group's name, "" when it has none. From 1 to n. As in Go,
 * names may begin with a digit, and several groups may have the same. */
size_t regex__groups(const struct regex *re);
const char *regex__group_name(const struct regex *re, size_t group);
/*
 * From `start` on (in the middle of a character: from the next one). With start > 0 and the pointer
 * and length of the call before, the bytes have to be those of the call before. The match's spans
 * (0: the whole) stay valid until the next call; they point into the subject, of which each byte
 * that is no part of valid UTF-8 counts as one U+FFFD. 1: it matches; 0: not; -EOVERFLOW: the match
 * limit was reached (counted); -ENOMEM: for a subject that is not valid UTF-8.
 */
int regex__match(struct regex *re, const char *subject, size_t len, size_t start,
		 const struct regex_span **ret_spans);
/* A lower limit than the usual one, for patterns of people who are not to be trusted. */
void regex__limit(struct regex *re, uint32_t limit);
/* Bytes that it takes, about. */
size_t regex__size(const struct regex *re);
/* Matches that hit the limit, in all. */
uint64_t regex__limited(const struct regex *re);

#endif
