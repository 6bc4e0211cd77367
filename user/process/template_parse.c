/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser: a list of statements over expressions, in the template's arena. Words that begin a
 * statement are known here, what an action computes is template_expr.c's.
 */
#include "process/template_parse.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"

enum ending { ENDING_TEXT, ENDING_END, ENDING_ELSE };

static int parse_list(struct parser *p, struct stmt **ret, enum ending *ret_ending);

static struct stmt *new_stmt(struct parser *p, enum stmt_kind kind)
{
	struct stmt *s = arena__zalloc(&p->t->arena, sizeof(*s));

	if (s)
		s->kind = kind;
	return s;
}

/* Behind the word `if` or `with`, up to its end. `else if` shares it. */
static int parse_control(struct parser *p, enum stmt_kind kind, size_t offset, struct stmt **ret)
{
	struct stmt *s = new_stmt(p, kind);
	size_t n_vars = p->n_vars;
	bool in_with = p->in_with;
	enum ending ending;
	int err;

	if (!s)
		return -ENOMEM;
	if (++p->depth > TEMPLATE_DEPTH)
		return syntax__fail(p->error, offset, "more than %d levels", TEMPLATE_DEPTH);
	err = parser__next(p) ?: parser__pipeline(p, true, TOKEN_END, &s->expr);
	if (err)
		return err;
	p->in_with = in_with || kind == STMT_WITH;
	err = parse_list(p, &s->body, &ending);
	p->in_with = in_with;
	if (err)
		return err;
	if (ending == ENDING_ELSE && p->token.kind == TOKEN_END) {
		err = parse_list(p, &s->otherwise, &ending);
		if (!err && ending == ENDING_ELSE)
			return syntax__fail(p->error, p->token.offset, "a second else");
	} else if (ending == ENDING_ELSE) {
		if (!token__is(&p->token, kind == STMT_IF ? "if" : "with"))
			return syntax__fail(p->error, p->token.offset,
					    "unexpected word behind else");
		err = parse_control(p, kind, p->token.offset, &s->otherwise);
		ending = ENDING_END;
	}
	if (err)
		return err;
	if (ending != ENDING_END)
		return syntax__fail(p->error, offset, "no {{end}}");
	p->depth--;
	p->n_vars = n_vars;
	*ret = s;
	return 0;
}

/* The token behind {{ is there. *ret NULL: nothing to run, or what *ret_ending says. */
static int parse_action(struct parser *p, struct stmt **ret, enum ending *ret_ending)
{
	static const char *const refused[] = {"range", "define",   "template",
					      "block", "continue", "break"};
	struct token word = p->token;
	int err;

	*ret = NULL;
	if (token__is(&word, "end")) {
		*ret_ending = ENDING_END;
		err = parser__next(p);
		if (!err && p->token.kind != TOKEN_END)
			return syntax__fail(p->error, p->token.offset,
					    "unexpected word behind end");
		return err;
	}
	if (token__is(&word, "else")) {
		*ret_ending = ENDING_ELSE;
		return parser__next(p);
	}
	if (token__is(&word, "if") || token__is(&word, "with"))
		return parse_control(p, word.len == 2 ? STMT_IF : STMT_WITH, word.offset, ret);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (token__is(&word, refused[i]))
			return syntax__fail(p->error, word.offset, "%s is not supported",
					    refused[i]);
	*ret = new_stmt(p, STMT_PRINT);
	if (!*ret)
		return -ENOMEM;
	return parser__pipeline(p, true, TOKEN_END, &(*ret)->expr);
}

static int parse_list(struct parser *p, struct stmt **ret, enum ending *ret_ending)
{
	struct stmt **tail = ret, *s;
	bool action, comment;
	const char *text;
	size_t len;
	int err;

	*ret = NULL;
	for (;;) {
		parser__take_text(p, &text, &len, &action);
		if (len) {
			*tail = s = new_stmt(p, STMT_TEXT);
			if (!s)
				return -ENOMEM;
			s->text = text;
			s->len = len;
			tail = &s->next;
		}
		*ret_ending = ENDING_TEXT;
		if (!action)
			return 0;
		err = parser__take_comment(p, &comment);
		if (err || comment) {
			if (err)
				return err;
			continue;
		}
		err = parser__next(p) ?: parse_action(p, &s, ret_ending);
		if (err || *ret_ending != ENDING_TEXT)
			return err;
		*tail = s;
		tail = &s->next;
	}
}

int template__parse(struct template *t, const char *text, struct slots *slots,
		    struct syntax_error *ret_error)
{
	struct parser p = {.t = t, .slots = slots, .error = ret_error, .len = strlen(text)};
	enum ending ending;
	int err;

	p.text = arena__copy(&t->arena, text, p.len);
	if (!p.text)
		return -ENOMEM;
	err = parse_list(&p, &t->first, &ending);
	if (!err && ending != ENDING_TEXT)
		return syntax__fail(p.error, p.token.offset, "unexpected {{%s}}",
				    ending == ENDING_END ? "end" : "else");
	return err;
}
