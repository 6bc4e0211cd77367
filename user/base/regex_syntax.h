/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Go's regular expressions (RE2) in PCRE2's words. What Go refuses is refused: backreferences,
 * look-around, possessive and nested repetition, repeats over 1000. Groups have no names in what
 * comes out, since PCRE2 takes fewer names than Go does: they are listed beside it.
 */
#ifndef NOTAIL_BASE_REGEX_SYNTAX_H
#define NOTAIL_BASE_REGEX_SYNTAX_H

#include "base/buf.h"
#include "base/regex.h"

struct regex_syntax {
	struct buf out; /* for PCRE2_UTF */
	char **names;	/* of the groups, from 1: names[0] is the first group's; "" for none */
	size_t n_groups;
	bool ascii; /* the pattern speaks of ASCII only: on ASCII subjects it may be matched as
		       bytes */
};

/* 0; -EINVAL and *ret_error; -ENOMEM. To be freed in every case; zeroed at start. */
int regex_syntax__translate(struct regex_syntax *s, const char *pattern,
			    struct regex_error *ret_error);
void regex_syntax__free(struct regex_syntax *s);

#endif
