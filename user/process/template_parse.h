/* SPDX-License-Identifier: Apache-2.0 */
/* What the lexer and the parser of templates share. */
#ifndef NOTAIL_PROCESS_TEMPLATE_PARSE_H
#define NOTAIL_PROCESS_TEMPLATE_PARSE_H

#include "process/syntax.h"
#include "process/template_internal.h"

enum token_kind {
	TOKEN_END, /* of the action: }} */
	TOKEN_DOT,
	TOKEN_FIELD,	/* .name; the text is the name */
	TOKEN_VARIABLE, /* $name; the text is without the $ */
	TOKEN_WORD,
	TOKEN_LITERAL,
	TOKEN_OPEN,
	TOKEN_CLOSE,
	TOKEN_PIPE,
	TOKEN_DECLARE, /* := */
	TOKEN_ASSIGN,
	TOKEN_COMMA,
};

struct token {
	enum token_kind kind;
	size_t offset;
	bool spaced; /* there is space before it */
	const char *text;
	size_t len;
	struct tvalue literal;
};

struct variable {
	const char *name;
	size_t len;
	size_t index;
};

struct parser {
	struct template *t;
	struct slots *slots;
	struct syntax_error *error;
	const char *text;
	size_t len, pos;
	bool trim;	/* the action that ended last asked for the text behind it to be trimmed */
	bool in_with;	/* the dot is a value */
	unsigned depth; /* of parentheses and controls */
	struct token token;
	struct variable vars[TEMPLATE_VARS];
	size_t n_vars; /* in scope */
};

static inline bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* template_lex.c */

/* The text in front of the next action, or all that is left. */
void parser__take_text(struct parser *p, const char **ret, size_t *ret_len, bool *ret_action);
/* Behind {{: whether a comment was there, and taken. */
int parser__take_comment(struct parser *p, bool *ret);
/* The next token of an action into p->token. */
int parser__next(struct parser *p);
bool token__is(const struct token *token, const char *word);

/* template_expr.c */

/* Up to `until`, which is left as the token for TOKEN_CLOSE and taken for TOKEN_END. `declares`: it
 * may begin with `$x :=`. */
int parser__pipeline(struct parser *p, bool declares, enum token_kind until, struct expr **ret);

#endif
