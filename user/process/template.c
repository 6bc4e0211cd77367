/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser: a recursive descent over the text, the tokens of an action made as they are asked
 * for. The result is a list of statements over expressions, in the template's arena; a pipe becomes
 * the last argument of the call behind it. What Go finds out only when it runs (the number of
 * arguments, the pattern of a regex) is found out here wherever the template alone shows it.
 */
#include "process/template.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
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
	struct template_error *error;
	const char *text;
	size_t len, pos;
	bool trim;	/* the action that ended last asked for the text behind it to be trimmed */
	bool in_with;	/* the dot is a value */
	unsigned depth; /* of parentheses and controls */
	struct token token;
	struct variable vars[TEMPLATE_VARS];
	size_t n_vars; /* in scope */
};

enum ending { ENDING_TEXT, ENDING_END, ENDING_ELSE };

static int parse_pipeline(struct parser *p, bool declares, enum token_kind until,
			  struct expr **ret);
static int parse_list(struct parser *p, struct stmt **ret, enum ending *ret_ending);

static int _printf_(3, 4) fail_at(struct parser *p, size_t offset, const char *fmt, ...)
{
	va_list args;

	p->error->offset = offset;
	va_start(args, fmt);
	vsnprintf(p->error->text, sizeof(p->error->text), fmt, args);
	va_end(args);
	return -EINVAL;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Letters of other alphabets are taken as they come: every byte over 0x7f. */
static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) ||
	       is_digit(c);
}

static char peek_char(const struct parser *p, size_t ahead)
{
	return p->pos + ahead < p->len ? p->text[p->pos + ahead] : '\0';
}

static bool looking_at(const struct parser *p, const char *what)
{
	size_t len = strlen(what);

	return p->len - p->pos >= len && memcmp(p->text + p->pos, what, len) == 0;
}

static struct expr *new_expr(struct parser *p, enum expr_kind kind, size_t offset)
{
	struct expr *e = arena__zalloc(&p->t->arena, sizeof(*e));

	if (e) {
		e->kind = kind;
		e->offset = offset;
	}
	return e;
}

/* `n` digits from p->pos on. */
static int read_digits(struct parser *p, unsigned n, int base, uint32_t *ret)
{
	char digits[9], *end;

	if (p->len - p->pos < n)
		return -EINVAL;
	memcpy(digits, p->text + p->pos, n);
	digits[n] = '\0';
	for (unsigned i = 0; i < n; i++)
		if (!strchr(base == 8 ? "01234567" : "0123456789abcdefABCDEF", digits[i]) ||
		    !digits[i])
			return -EINVAL;
	*ret = (uint32_t)strtoul(digits, &end, base);
	p->pos += n;
	return 0;
}

/* Behind a backslash. What an escape stands for is never longer than the escape. */
static int read_escape(struct parser *p, char quote, char **out)
{
	static const char names[] = "abfnrtv\\", values[] = "\a\b\f\n\r\t\v\\";
	char c = peek_char(p, 0);
	const char *at = c ? strchr(names, c) : NULL;
	uint32_t code;

	if (at || (c && c == quote)) {
		*(*out)++ = at ? values[at - names] : quote;
		p->pos++;
		return 0;
	}
	if (c >= '0' && c <= '7') {
		if (read_digits(p, 3, 8, &code) || code > 255)
			return -EINVAL;
		*(*out)++ = (char)code;
		return 0;
	}
	if (c != 'x' && c != 'u' && c != 'U')
		return -EINVAL;
	p->pos++;
	if (read_digits(p, c == 'x' ? 2 : c == 'u' ? 4 : 8, 16, &code))
		return -EINVAL;
	if (c == 'x') {
		*(*out)++ = (char)code;
		return 0;
	}
	if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return -EINVAL;
	*out += utf8__encode(code, *out);
	return 0;
}

static int lex_quoted(struct parser *p, struct token *token)
{
	char quote = p->text[p->pos++], *copy, *out;
	size_t end = p->pos;

	while (end < p->len && p->text[end] != quote && p->text[end] != '\n')
		end += p->text[end] == '\\' ? 2 : 1;
	if (end >= p->len || p->text[end] != quote)
		return fail_at(p, token->offset, "unterminated quoted string");
	copy = out = arena__alloc(&p->t->arena, end - p->pos + 1);
	if (!copy)
		return -ENOMEM;
	while (p->pos < end) {
		size_t at = p->pos++;

		if (p->text[at] != '\\')
			*out++ = p->text[at];
		else if (read_escape(p, quote, &out))
			return fail_at(p, at, "invalid escape in a quoted string");
	}
	p->pos = end + 1;
	*out = '\0';
	token->literal.kind = T_STRING;
	token->literal.text = copy;
	token->literal.len = (size_t)(out - copy);
	return 0;
}

static int lex_raw(struct parser *p, struct token *token)
{
	const char *begin = p->text + p->pos + 1, *end, *c;
	char *copy, *out;

	end = memchr(begin, '`', p->len - p->pos - 1);
	if (!end)
		return fail_at(p, token->offset, "unterminated raw quoted string");
	copy = out = arena__alloc(&p->t->arena, (size_t)(end - begin) + 1);
	if (!copy)
		return -ENOMEM;
	for (c = begin; c < end; c++)
		if (*c != '\r')
			*out++ = *c;
	*out = '\0';
	token->literal.kind = T_STRING;
	token->literal.text = copy;
	token->literal.len = (size_t)(out - copy);
	p->pos += (size_t)(end - begin) + 2;
	return 0;
}

static int lex_char(struct parser *p, struct token *token)
{
	const unsigned char *s;
	size_t len;
	uint32_t code;
	int err = lex_quoted(p, token);

	if (err)
		return err;
	s = (const unsigned char *)token->literal.text;
	len = token->literal.len;
	if (!len || (len > 1 && utf8__sequence((const char *)s, (const char *)s + len) != len))
		return fail_at(p, token->offset, "malformed character constant");
	code = len == 1	  ? s[0]
	       : len == 2 ? (s[0] & 0x1fu) << 6 | (s[1] & 0x3fu)
	       : len == 3 ? (s[0] & 0xfu) << 12 | (s[1] & 0x3fu) << 6 | (s[2] & 0x3fu)
			  : (s[0] & 7u) << 18 | (s[1] & 0x3fu) << 12 | (s[2] & 0x3fu) << 6 |
				    (s[3] & 0x3fu);
	token->literal.kind = T_INT;
	token->literal.integer = code;
	return 0;
}

/* As a Go constant: 0x, 0o, 0b and a leading 0 choose the base. */
static bool read_integer(const char *digits, int64_t *ret)
{
	const char *d = digits + (*digits == '-' || *digits == '+');
	int base = 10;
	long long value;
	char *end;

	if (d[0] == '0' && d[1]) {
		base = d[1] == 'x' || d[1] == 'X' ? 16 : d[1] == 'b' || d[1] == 'B' ? 2 : 8;
		d += base != 8 || d[1] == 'o' || d[1] == 'O' ? 2 : 1;
	}
	if (!is_letter(*d))
		return false;
	errno = 0;
	value = strtoll(d, &end, base);
	if (*end || errno)
		return false;
	*ret = *digits == '-' ? -value : value;
	return true;
}

static int lex_number(struct parser *p, struct token *token)
{
	char digits[64], *end;
	size_t n = 0;
	bool hex = false;

	for (; n < sizeof(digits) - 1; p->pos++) {
		char c = peek_char(p, 0);
		bool exponent = n && strchr(hex ? "pP" : "eEpP", digits[n - 1]);

		if (c == '_')
			continue;
		if (!((is_letter(c) && !(c & 0x80)) || c == '.' ||
		      ((c == '+' || c == '-') && (!n || exponent))))
			break;
		hex = hex || c == 'x' || c == 'X';
		digits[n++] = c;
	}
	digits[n] = '\0';
	if (read_integer(digits, &token->literal.integer)) {
		token->literal.kind = T_INT;
		return 0;
	}
	token->literal.number = strtod(digits, &end);
	token->literal.kind = T_FLOAT;
	if (*end || end == digits || !strpbrk(digits, ".eEpP"))
		return fail_at(p, token->offset, "bad number syntax: \"%.40s\"", digits);
	return 0;
}

static void take_name(struct parser *p, struct token *token)
{
	token->text = p->text + p->pos;
	while (p->pos < p->len && is_letter(p->text[p->pos]))
		p->pos++;
	token->len = (size_t)(p->text + p->pos - token->text);
}

static bool word_is(const struct token *token, const char *word)
{
	return token->kind == TOKEN_WORD && token->len == strlen(word) &&
	       memcmp(token->text, word, token->len) == 0;
}

static int lex_word(struct parser *p, struct token *token)
{
	take_name(p, token);
	token->kind = TOKEN_WORD;
	if (word_is(token, "true") || word_is(token, "false")) {
		token->kind = TOKEN_LITERAL;
		token->literal.kind = T_BOOL;
		token->literal.boolean = token->len == 4;
	} else if (word_is(token, "nil")) {
		token->kind = TOKEN_LITERAL;
		token->literal.kind = T_NONE;
	}
	return 0;
}

/* A dot that no number begins with, or a dollar. */
static int lex_named(struct parser *p, struct token *token)
{
	bool dot = p->text[p->pos++] == '.';

	take_name(p, token);
	token->kind = !dot ? TOKEN_VARIABLE : token->len ? TOKEN_FIELD : TOKEN_DOT;
	return 0;
}

static int lex_sign(struct parser *p, struct token *token)
{
	static const struct {
		char c;
		enum token_kind kind;
	} signs[] = {{'(', TOKEN_OPEN},	  {')', TOKEN_CLOSE}, {'|', TOKEN_PIPE},
		     {'=', TOKEN_ASSIGN}, {',', TOKEN_COMMA}, {':', TOKEN_DECLARE}};
	char c = peek_char(p, 0);

	for (size_t i = 0; i < ARRAY_SIZE(signs); i++) {
		if (signs[i].c != c || (c == ':' && peek_char(p, 1) != '='))
			continue;
		token->kind = signs[i].kind;
		p->pos += c == ':' ? 2 : 1;
		return 0;
	}
	if (p->pos >= p->len)
		return fail_at(p, p->pos, "unclosed action");
	return fail_at(p, p->pos, "unexpected character in an action");
}

/* The next token of an action into p->token. */
static int next_token(struct parser *p)
{
	struct token *token = &p->token;
	char c;

	memset(token, 0, sizeof(*token));
	while (p->pos < p->len && is_space(p->text[p->pos])) {
		p->pos++;
		token->spaced = true;
	}
	token->offset = p->pos;
	c = peek_char(p, 0);
	if (looking_at(p, "}}") || (token->spaced && looking_at(p, "-}}"))) {
		p->trim = c == '-';
		p->pos += p->trim ? 3 : 2;
		token->kind = TOKEN_END;
		return 0;
	}
	token->kind = TOKEN_LITERAL;
	if (c == '"')
		return lex_quoted(p, token);
	if (c == '`')
		return lex_raw(p, token);
	if (c == '\'')
		return lex_char(p, token);
	if (is_digit(c) || c == '+' || c == '-' || (c == '.' && is_digit(peek_char(p, 1))))
		return lex_number(p, token);
	if (c == '.' || c == '$')
		return lex_named(p, token);
	if (is_letter(c))
		return lex_word(p, token);
	return lex_sign(p, token);
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
	return fail_at(p, token->offset, "undefined variable \"$%.*s\"", (int)MIN(token->len, 60),
		       token->text);
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
			return fail_at(p, token.offset, "more than %d levels", TEMPLATE_DEPTH);
		err = next_token(p);
		if (!err)
			err = parse_pipeline(p, false, TOKEN_CLOSE, ret);
		p->depth--;
		break;
	default:
		return fail_at(p, token.offset, "unexpected token in operand");
	}
	if (err)
		return err;
	return *ret ? next_token(p) : -ENOMEM;
}

/* A field of something that is not all fields: `_N`, or what a text has not. */
static struct expr *item_expr(struct parser *p, struct expr *of)
{
	const struct token *token = &p->token;
	struct expr *e = new_expr(p, EXPR_FAIL, token->offset);

	if (!e || token->len < 2 || token->len > 6 || token->text[0] != '_')
		return e;
	for (size_t i = 1; i < token->len; i++) {
		if (!is_digit(token->text[i]))
			return e;
		e->slot = e->slot * 10 + (size_t)(token->text[i] - '0');
	}
	e->args = arena__alloc(&p->t->arena, sizeof(of));
	if (!e->args)
		return NULL;
	e->kind = EXPR_ITEM;
	e->args[0] = of;
	e->n_args = 1;
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
			return fail_at(p, p->token.offset, "unexpected . after a constant");
		if (is_all(e)) {
			err = field_expr(p, p->token.text, p->token.len, p->token.offset, &e);
			if (err)
				return err;
		} else {
			if (++n > TEMPLATE_DEPTH)
				return fail_at(p, p->token.offset, "more than %d levels",
					       TEMPLATE_DEPTH);
			e = item_expr(p, e);
			if (!e)
				return -ENOMEM;
		}
		err = next_token(p);
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

	if (word_is(token, "and") || word_is(token, "or")) {
		e = new_expr(p, token->len == 3 ? EXPR_AND : EXPR_OR, token->offset);
	} else {
		const struct tfunc *f = template_func__find(token->text, token->len);

		if (!f)
			return fail_at(p, token->offset, "function \"%.*s\" not known",
				       (int)MIN(token->len, 60), token->text);
		e = new_expr(p, EXPR_CALL, token->offset);
		if (e)
			e->func = f;
	}
	if (!e)
		return -ENOMEM;
	*ret = e;
	return next_token(p);
}

static int compile_regex(struct parser *p, struct expr *e)
{
	const struct expr *pattern = e->args[0];
	struct regex_error error;
	int err;

	if (pattern->kind != EXPR_LITERAL || pattern->literal.kind != T_STRING)
		return fail_at(p, pattern->offset, "%s: the regular expression must be a constant",
			       e->func->name);
	if (strlen(pattern->literal.text) != pattern->literal.len)
		return fail_at(p, pattern->offset, "NUL in a regular expression");
	err = regex__new(&e->regex, pattern->literal.text, false, &error);
	if (err == -EINVAL)
		return fail_at(p, pattern->offset, "regular expression, at %zu: %s", error.offset,
			       error.text);
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
			return fail_at(p, arg->offset, "%s: expected string", e->func->name);
		if (type == 'i' && arg->literal.kind != T_INT && arg->literal.kind != T_FLOAT)
			return fail_at(p, arg->offset, "%s: expected integer", e->func->name);
	}
	return 0;
}

static int check_call(struct parser *p, struct expr *e)
{
	size_t min, max;
	int err;

	for (size_t i = 0; i < e->n_args; i++)
		if (is_all(e->args[i]))
			return fail_at(p, e->args[i]->offset,
				       "all fields at once are no value here; name one");
	if (e->kind != EXPR_CALL)
		return e->n_args ? 0 : fail_at(p, e->offset, "and, or: no arguments");
	template_func__arity(e->func, &min, &max);
	if (e->n_args < min || e->n_args > max)
		return fail_at(p, e->offset, "wrong number of args for %s: want %s%zu got %zu",
			       e->func->name,
			       min == max	 ? ""
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
		return fail_at(p, e->offset, "%s of all fields: the name must be one constant",
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
		return piped ? fail_at(p, offset, "non executable command in pipeline")
			     : fail_at(p, offset, "can't give arguments to what is no function");
	if (!call) {
		*ret = e;
		return 0;
	}
	while (!ends_command(&p->token) || piped) {
		bool last = ends_command(&p->token);

		if (n == TEMPLATE_ARGS)
			return fail_at(p, offset, "more than %d arguments", TEMPLATE_ARGS);
		if (last) {
			args[n++] = piped;
			break;
		}
		if (!p->token.spaced)
			return fail_at(p, p->token.offset, "expected a space before an argument");
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
	err = next_token(p);
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
			return fail_at(p, variable.offset, "more than %d variables", TEMPLATE_VARS);
		*ret_index = p->t->n_vars++;
		*ret_new = variable;
	}
	return err ? err : next_token(p);
}

/* Up to `until`, which is left as the token for TOKEN_CLOSE and taken for TOKEN_END. */
static int parse_pipeline(struct parser *p, bool declares, enum token_kind until, struct expr **ret)
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
		if (n && (err = next_token(p)))
			return err;
		if (++n > TEMPLATE_DEPTH)
			return fail_at(p, p->token.offset, "more than %d commands in a pipe",
				       TEMPLATE_DEPTH);
		if (ends_command(&p->token))
			return fail_at(p, p->token.offset, "missing value");
		err = parse_command(p, e, &e);
		if (err)
			return err;
	} while (p->token.kind == TOKEN_PIPE);
	if (p->token.kind != until)
		return fail_at(p, p->token.offset, "unexpected %s",
			       until == TOKEN_END ? ")" : "end of the action: unclosed (");
	if (is_all(e))
		return fail_at(p, e->offset, "all fields at once are no value here; name one");
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
		return fail_at(p, offset, "more than %d levels", TEMPLATE_DEPTH);
	err = next_token(p) ?: parse_pipeline(p, true, TOKEN_END, &s->expr);
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
			return fail_at(p, p->token.offset, "a second else");
	} else if (ending == ENDING_ELSE) {
		if (!word_is(&p->token, kind == STMT_IF ? "if" : "with"))
			return fail_at(p, p->token.offset, "unexpected word behind else");
		err = parse_control(p, kind, p->token.offset, &s->otherwise);
		ending = ENDING_END;
	}
	if (err)
		return err;
	if (ending != ENDING_END)
		return fail_at(p, offset, "no {{end}}");
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
	if (word_is(&word, "end")) {
		*ret_ending = ENDING_END;
		err = next_token(p);
		if (!err && p->token.kind != TOKEN_END)
			return fail_at(p, p->token.offset, "unexpected word behind end");
		return err;
	}
	if (word_is(&word, "else")) {
		*ret_ending = ENDING_ELSE;
		return next_token(p);
	}
	if (word_is(&word, "if") || word_is(&word, "with"))
		return parse_control(p, word.len == 2 ? STMT_IF : STMT_WITH, word.offset, ret);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (word_is(&word, refused[i]))
			return fail_at(p, word.offset, "%s is not supported", refused[i]);
	*ret = new_stmt(p, STMT_PRINT);
	if (!*ret)
		return -ENOMEM;
	return parse_pipeline(p, true, TOKEN_END, &(*ret)->expr);
}

/* The text in front of the next action, or all that is left. */
static void take_text(struct parser *p, const char **ret, size_t *ret_len, bool *ret_action)
{
	const char *begin = p->text + p->pos, *end = p->text + p->len;
	const char *open = memmem(begin, (size_t)(end - begin), "{{", 2);

	*ret_action = open;
	if (open) {
		p->pos = (size_t)(open - p->text) + 2;
		end = open;
		if (peek_char(p, 0) == '-' && is_space(peek_char(p, 1))) {
			p->pos++;
			while (end > begin && is_space(end[-1]))
				end--;
		}
	} else {
		p->pos = p->len;
	}
	while (p->trim && begin < end && is_space(*begin))
		begin++;
	p->trim = false;
	*ret = begin;
	*ret_len = (size_t)(end - begin);
}

/* Behind {{: whether a comment was there, and taken. */
static int take_comment(struct parser *p, bool *ret)
{
	size_t skip = p->text[p->pos - 1] == '-', open = p->pos;
	const char *end;

	*ret = false;
	while (skip && is_space(peek_char(p, skip)))
		skip++;
	if (!(peek_char(p, skip) == '/' && peek_char(p, skip + 1) == '*'))
		return 0;
	p->pos += skip + 2;
	end = memmem(p->text + p->pos, p->len - p->pos, "*/", 2);
	if (!end)
		return fail_at(p, open, "unclosed comment");
	p->pos = (size_t)(end - p->text) + 2;
	*ret = true;
	if (next_token(p) || p->token.kind != TOKEN_END)
		return fail_at(p, open, "comment ends before closing delimiter");
	return 0;
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
		take_text(p, &text, &len, &action);
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
		err = take_comment(p, &comment);
		if (err || comment) {
			if (err)
				return err;
			continue;
		}
		err = next_token(p) ?: parse_action(p, &s, ret_ending);
		if (err || *ret_ending != ENDING_TEXT)
			return err;
		*tail = s;
		tail = &s->next;
	}
}

int template__parse(struct template *t, const char *text, struct slots *slots,
		    struct template_error *ret_error)
{
	struct parser p = {.t = t, .slots = slots, .error = ret_error, .len = strlen(text)};
	enum ending ending;
	int err;

	p.text = arena__copy(&t->arena, text, p.len);
	if (!p.text)
		return -ENOMEM;
	err = parse_list(&p, &t->first, &ending);
	if (!err && ending != ENDING_TEXT)
		return fail_at(&p, p.token.offset, "unexpected {{%s}}",
			       ending == ENDING_END ? "end" : "else");
	return err;
}
