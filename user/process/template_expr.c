/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Expressions: a recursive descent over the tokens of one action. A pipe becomes the last argument
 * of the call behind it. What Go finds out only when it runs (the number of arguments, the pattern
 * of a regex) is found out here wherever the template alone shows it.
 */
#include "process/template_parse.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"

static struct expr *new_expr(struct parser *p, enum expr_kind kind, size_t offset)
{
	struct expr *e = arena__zalloc(&p->t->arena, sizeof(*e));

	if (e) {
		e->kind = kind;
		e->offset = offset;
	}
	return e;
}

static int find_variable(struct parser *p, const struct token *token, size_t *ret)
{
	for (size_t i = p->n_vars; i > 0; i--) {
		const struct variable *v = &p->vars[i - 1];

		if (v->len == token->len && memcmp(v->name, token->text, v->len) == 0) {
			*ret = v->index;
			return 0;
		}
	}
	return syntax__fail(p->error, token->offset, "undefined variable \"$%.*s\"",
			    (int)MIN(token->len, 60), token->text);
}

static int field_expr(struct parser *p, const char *name, size_t len, size_t offset,
		      struct expr **ret)
{
	char *copy = arena__copy(&p->t->arena, name, len);
	struct expr *e = new_expr(p, EXPR_FIELD, offset);

	if (!copy || !e)
		return -ENOMEM;
	if (strcmp(copy, "Value") == 0)
		e->kind = EXPR_VALUE;
	else if (strcmp(copy, "Entry") == 0)
		e->kind = EXPR_ENTRY;
	*ret = e;
	return slots__get(p->slots, copy, &e->slot);
}

static struct expr *literal_expr(struct parser *p, const struct token *token)
{
	struct expr *e = new_expr(p, EXPR_LITERAL, token->offset);

	if (e)
		e->literal = token->literal;
	return e;
}

/* What `.` and `$` are outside `with`: all of what was extracted. An operand without a value of its
 * own, for `index` and its kind only; marked by a field without a slot. */
#define SLOT_ALL SIZE_MAX

static struct expr *all_expr(struct parser *p, size_t offset)
{
	struct expr *e = new_expr(p, EXPR_FIELD, offset);

	if (e)
		e->slot = SLOT_ALL;
	return e;
}

static bool is_all(const struct expr *e)
{
	return e->kind == EXPR_FIELD && e->slot == SLOT_ALL;
}

/* One operand without the fields behind it. Takes its tokens. */
static int parse_term(struct parser *p, struct expr **ret)
{
	struct token token = p->token;
	int err = 0;

	switch (token.kind) {
	case TOKEN_LITERAL:
		*ret = literal_expr(p, &token);
		break;
	case TOKEN_DOT:
		*ret = p->in_with ? new_expr(p, EXPR_DOT, token.offset) : all_expr(p, token.offset);
		break;
	case TOKEN_FIELD:
		if (p->in_with)
			*ret = new_expr(p, EXPR_FAIL, token.offset);
		else
			err = field_expr(p, token.text, token.len, token.offset, ret);
		break;
	case TOKEN_VARIABLE:
		if (!token.len) {
			*ret = all_expr(p, token.offset);
			break;
		}
		*ret = new_expr(p, EXPR_VAR, token.offset);
		if (*ret)
			err = find_variable(p, &token, &(*ret)->slot);
		break;
	case TOKEN_OPEN:
		if (++p->depth > TEMPLATE_DEPTH)
			return syntax__fail(p->error, token.offset, "more than %d levels",
					    TEMPLATE_DEPTH);
		err = parser__next(p);
		if (!err)
			err = parser__pipeline(p, false, TOKEN_CLOSE, ret);
		p->depth--;
		break;
	default:
		return syntax__fail(p->error, token.offset, "unexpected token in operand");
	}
	if (err)
		return err;
	return *ret ? parser__next(p) : -ENOMEM;
}

/* A field of something that is not all fields: `_N`, or what a text has not. */
static struct expr *item_expr(struct parser *p, struct expr *of)
{
	const struct token *token = &p->token;
	struct expr *e = new_expr(p, EXPR_FAIL, token->offset);

	if (!e || !(e->args = arena__alloc(&p->t->arena, sizeof(of))))
		return NULL;
	e->args[0] = of;
	e->n_args = 1;
	if (token->len < 2 || token->len > 6 || token->text[0] != '_')
		return e;
	for (size_t i = 1; i < token->len; i++) {
		if (!is_digit(token->text[i]))
			return e;
		e->slot = e->slot * 10 + (size_t)(token->text[i] - '0');
	}
	e->kind = EXPR_ITEM;
	return e;
}

/* Fields right behind an operand: `$.name` is one of what was extracted; a text has none, and Go
 * says so whenever the template runs. */
static int parse_fields(struct parser *p, struct expr **operand)
{
	struct expr *e = *operand;
	bool literal = e->kind == EXPR_LITERAL;
	unsigned n = 0;
	int err;

	while (p->token.kind == TOKEN_FIELD && !p->token.spaced) {
		if (literal)
			return syntax__fail(p->error, p->token.offset,
					    "unexpected . after a constant");
		if (is_all(e)) {
			err = field_expr(p, p->token.text, p->token.len, p->token.offset, &e);
			if (err)
				return err;
		} else {
			if (++n > TEMPLATE_DEPTH)
				return syntax__fail(p->error, p->token.offset,
						    "more than %d levels", TEMPLATE_DEPTH);
			e = item_expr(p, e);
			if (!e)
				return -ENOMEM;
		}
		err = parser__next(p);
		if (err)
			return err;
	}
	*operand = e;
	return 0;
}

/* A name, called with nothing when it stands as an argument. */
static int function_expr(struct parser *p, struct expr **ret)
{
	struct token *token = &p->token;
	struct expr *e;

	if (token__is(token, "and") || token__is(token, "or")) {
		e = new_expr(p, token->len == 3 ? EXPR_AND : EXPR_OR, token->offset);
	} else {
		const struct tfunc *f = template_func__find(token->text, token->len);

		if (!f)
			return syntax__fail(p->error, token->offset, "function \"%.*s\" not known",
					    (int)MIN(token->len, 60), token->text);
		e = new_expr(p, EXPR_CALL, token->offset);
		if (e)
			e->func = f;
	}
	if (!e)
		return -ENOMEM;
	*ret = e;
	return parser__next(p);
}

static int compile_regex(struct parser *p, struct expr *e)
{
	const struct expr *pattern = e->args[0];
	struct regex_error error;
	int err;

	if (pattern->kind != EXPR_LITERAL || pattern->literal.kind != T_STRING)
		return syntax__fail(p->error, pattern->offset,
				    "%s: the regular expression must be a constant", e->func->name);
	if (strlen(pattern->literal.text) != pattern->literal.len)
		return syntax__fail(p->error, pattern->offset, "NUL in a regular expression");
	err = regex__new(&e->regex, pattern->literal.text, false, &error);
	if (err == -EINVAL)
		return syntax__fail(p->error, pattern->offset, "regular expression, at %zu: %s",
				    error.offset, error.text);
	return err;
}

/* The type that Go would ask of a constant. */
static int check_constants(struct parser *p, const struct expr *e)
{
	const char *params = e->func->params;

	for (size_t i = 0; i < e->n_args; i++) {
		const struct expr *arg = e->args[i];
		char type = *params;

		if (params[1] && !strchr("*+", params[1]))
			params++;
		if (arg->kind != EXPR_LITERAL)
			continue;
		if (type == 's' && arg->literal.kind != T_STRING)
			return syntax__fail(p->error, arg->offset, "%s: expected string",
					    e->func->name);
		if (type == 'i' && arg->literal.kind != T_INT && arg->literal.kind != T_FLOAT)
			return syntax__fail(p->error, arg->offset, "%s: expected integer",
					    e->func->name);
	}
	return 0;
}

static int check_call(struct parser *p, struct expr *e)
{
	size_t min, max;
	int err;

	for (size_t i = 0; i < e->n_args; i++)
		if (is_all(e->args[i]))
			return syntax__fail(p->error, e->args[i]->offset,
					    "all fields at once are no value here; name one");
	if (e->kind != EXPR_CALL)
		return e->n_args ? 0 : syntax__fail(p->error, e->offset, "and, or: no arguments");
	template_func__arity(e->func, &min, &max);
	if (e->n_args < min || e->n_args > max)
		return syntax__fail(p->error, e->offset,
				    "wrong number of args for %s: want %s%zu got %zu",
				    e->func->name,
				    min == max	      ? ""
				    : e->n_args < min ? "at least "
						      : "at most ",
				    e->n_args < min ? min : max, e->n_args);
	err = check_constants(p, e);
	if (err)
		return err;
	if (*e->func->params == 'r') {
		err = compile_regex(p, e);
		if (err)
			return err;
	}
	err = template_func__prepare(e);
	if (e->regex || e->md || e->md_ctx) {
		e->next_owner = p->t->owners;
		p->t->owners = e;
	}
	return err;
}

/* index . "name", get . "name", hasKey . "name": fields whose names are no words. */
static int fold_lookup(struct parser *p, struct expr **command)
{
	struct expr *e = *command;
	const struct expr *name;
	bool has;
	int err;

	if (e->kind != EXPR_CALL || !e->n_args || !is_all(e->args[0]))
		return 0;
	has = strcmp(e->func->name, "hasKey") == 0;
	if (!has && strcmp(e->func->name, "get") != 0 && strcmp(e->func->name, "index") != 0)
		return 0;
	name = e->n_args == 2 ? e->args[1] : NULL;
	if (!name || name->kind != EXPR_LITERAL || name->literal.kind != T_STRING ||
	    strlen(name->literal.text) != name->literal.len)
		return syntax__fail(p->error, e->offset,
				    "%s of all fields: the name must be one constant",
				    e->func->name);
	err = field_expr(p, name->literal.text, name->literal.len, name->offset, command);
	if (!err && has)
		(*command)->kind = EXPR_HAS;
	return err;
}

static bool ends_command(const struct token *token)
{
	return token->kind == TOKEN_END || token->kind == TOKEN_CLOSE || token->kind == TOKEN_PIPE;
}

/* One command of a pipe: operands side by side. `piped`: what comes through the pipe, or NULL. */
static int parse_command(struct parser *p, struct expr *piped, struct expr **ret)
{
	struct expr *args[TEMPLATE_ARGS], *e;
	bool call = p->token.kind == TOKEN_WORD;
	size_t offset = p->token.offset, n = 0;
	int err;

	err = call ? function_expr(p, &e) : (parse_term(p, &e) ?: parse_fields(p, &e));
	if (err)
		return err;
	if (!call && (piped || !ends_command(&p->token)))
		return piped ? syntax__fail(p->error, offset, "non executable command in pipeline")
			     : syntax__fail(p->error, offset,
					    "can't give arguments to what is no function");
	if (!call) {
		*ret = e;
		return 0;
	}
	while (!ends_command(&p->token) || piped) {
		bool last = ends_command(&p->token);

		if (n == TEMPLATE_ARGS)
			return syntax__fail(p->error, offset, "more than %d arguments",
					    TEMPLATE_ARGS);
		if (last) {
			args[n++] = piped;
			break;
		}
		if (!p->token.spaced)
			return syntax__fail(p->error, p->token.offset,
					    "expected a space before an argument");
		if (p->token.kind == TOKEN_WORD)
			err = function_expr(p, &args[n]) ?: check_call(p, args[n]);
		else
			err = parse_term(p, &args[n]) ?: parse_fields(p, &args[n]);
		if (err)
			return err;
		n++;
	}
	e->args = arena__alloc(&p->t->arena, n * sizeof(*args));
	if (!e->args)
		return -ENOMEM;
	memcpy(e->args, args, n * sizeof(*args));
	e->n_args = n;
	*ret = e;
	err = fold_lookup(p, ret);
	return err || *ret != e ? err : check_call(p, e);
}

/* `$x :=` or `$x =` in front of a pipe. What is new is known only behind the pipe. */
static int parse_declaration(struct parser *p, bool *ret_any, size_t *ret_index,
			     struct token *ret_new)
{
	struct token variable = p->token;
	struct parser ahead;
	int err;

	*ret_any = false;
	ret_new->text = NULL;
	if (variable.kind != TOKEN_VARIABLE || !variable.len)
		return 0;
	ahead = *p;
	err = parser__next(p);
	if (err)
		return err;
	if (p->token.kind != TOKEN_DECLARE && p->token.kind != TOKEN_ASSIGN) {
		*p = ahead;
		return 0;
	}
	*ret_any = true;
	if (p->token.kind == TOKEN_ASSIGN) {
		err = find_variable(p, &variable, ret_index);
	} else {
		if (p->t->n_vars == TEMPLATE_VARS)
			return syntax__fail(p->error, variable.offset, "more than %d variables",
					    TEMPLATE_VARS);
		*ret_index = p->t->n_vars++;
		*ret_new = variable;
	}
	return err ? err : parser__next(p);
}

int parser__pipeline(struct parser *p, bool declares, enum token_kind until, struct expr **ret)
{
	struct expr *e = NULL, *set;
	struct token declared = {.text = NULL};
	size_t index = 0, offset = p->token.offset;
	bool sets = false;
	unsigned n = 0;
	int err;

	if (declares) {
		err = parse_declaration(p, &sets, &index, &declared);
		if (err)
			return err;
	}
	do {
		if (n && (err = parser__next(p)))
			return err;
		if (++n > TEMPLATE_DEPTH)
			return syntax__fail(p->error, p->token.offset,
					    "more than %d commands in a pipe", TEMPLATE_DEPTH);
		if (ends_command(&p->token))
			return syntax__fail(p->error, p->token.offset, "missing value");
		err = parse_command(p, e, &e);
		if (err)
			return err;
	} while (p->token.kind == TOKEN_PIPE);
	if (p->token.kind != until)
		return syntax__fail(p->error, p->token.offset, "unexpected %s",
				    until == TOKEN_END ? ")" : "end of the action: unclosed (");
	if (is_all(e))
		return syntax__fail(p->error, e->offset,
				    "all fields at once are no value here; name one");
	if (sets) {
		set = new_expr(p, EXPR_SET, offset);
		if (!set || !(set->args = arena__alloc(&p->t->arena, sizeof(e))))
			return -ENOMEM;
		set->args[0] = e;
		set->n_args = 1;
		set->slot = index;
		e = set;
		if (declared.text)
			p->vars[p->n_vars++] =
				(struct variable){declared.text, declared.len, index};
	}
	*ret = e;
	return 0;
}
