/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of a template, cut up: what stands outside the actions, comments, and the tokens of an
 * action, made as they are asked for.
 */
#include "process/template_parse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
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
		return syntax__fail(p->error, token->offset, "unterminated quoted string");
	copy = out = arena__alloc(&p->t->arena, end - p->pos + 1);
	if (!copy)
		return -ENOMEM;
	while (p->pos < end) {
		size_t at = p->pos++;

		if (p->text[at] != '\\')
			*out++ = p->text[at];
		else if (read_escape(p, quote, &out))
			return syntax__fail(p->error, at, "invalid escape in a quoted string");
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
		return syntax__fail(p->error, token->offset, "unterminated raw quoted string");
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
	const char *text;
	size_t len;
	int err = lex_quoted(p, token);

	if (err)
		return err;
	text = token->literal.text;
	len = token->literal.len;
	if (!len || (len > 1 && utf8__sequence(text, text + len) != len))
		return syntax__fail(p->error, token->offset, "malformed character constant");
	token->literal.kind = T_INT;
	token->literal.integer = utf8__code(text, len);
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
		return syntax__fail(p->error, token->offset, "bad number syntax: \"%.40s\"",
				    digits);
	return 0;
}

static void take_name(struct parser *p, struct token *token)
{
	token->text = p->text + p->pos;
	while (p->pos < p->len && is_letter(p->text[p->pos]))
		p->pos++;
	token->len = (size_t)(p->text + p->pos - token->text);
}

bool token__is(const struct token *token, const char *word)
{
	return token->kind == TOKEN_WORD && token->len == strlen(word) &&
	       memcmp(token->text, word, token->len) == 0;
}

static int lex_word(struct parser *p, struct token *token)
{
	take_name(p, token);
	token->kind = TOKEN_WORD;
	if (token__is(token, "true") || token__is(token, "false")) {
		token->kind = TOKEN_LITERAL;
		token->literal.kind = T_BOOL;
		token->literal.boolean = token->len == 4;
	} else if (token__is(token, "nil")) {
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
		return syntax__fail(p->error, p->pos, "unclosed action");
	return syntax__fail(p->error, p->pos, "unexpected character in an action");
}

int parser__next(struct parser *p)
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

void parser__take_text(struct parser *p, const char **ret, size_t *ret_len, bool *ret_action)
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

int parser__take_comment(struct parser *p, bool *ret)
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
		return syntax__fail(p->error, open, "unclosed comment");
	p->pos = (size_t)(end - p->text) + 2;
	*ret = true;
	if (parser__next(p) || p->token.kind != TOKEN_END)
		return syntax__fail(p->error, open, "comment ends before closing delimiter");
	return 0;
}
