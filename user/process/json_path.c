/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All paths of a set are one tree, whose nodes are names and indexes. The line is walked once,
 * down the tree where a name or an index is one of its nodes, over everything else; a node keeps
 * where its value stands. Only when the end was reached, and all of it was JSON, are the values
 * that somebody asked for turned into something. Of equal names in one object the last one counts.
 *
 * An index from the end needs the length: such an array is walked over once before. An element is
 * walked once for each node that means it. So a line costs at most its length times the nodes.
 */
#include "process/json_path.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "process/json_text.h"

#define NODES_MAX 4096
#define INDEX_MAX 1000000
#define NAME_MAX_BYTES 256

struct path_node {
	char *name; /* NULL: an index */
	size_t name_len;
	long index;
	size_t children, sibling; /* 0: none */
	bool from_end;		  /* some child's index is negative */
	uint64_t seen;		  /* the run that came by */
	uint64_t found;		  /* the run that found the value: */
	const char *text;
	size_t len;
};

struct alternative {
	bool literal;
	size_t node;
	struct value value; /* of a literal: text in the set's arena */
};

struct path_expression {
	struct alternative alternatives[JSON_PATH_ALTERNATIVES];
	size_t n;
};

struct json_paths {
	struct path_node *nodes; /* the root first */
	size_t n_nodes;
	struct path_expression *expressions;
	size_t n_expressions;
	struct arena arena; /* of names and literals */
	uint64_t run;
	const char *end; /* of the text */
};

struct parser {
	struct json_paths *paths;
	const char *start, *p, *end;
	size_t steps;
	struct syntax_error *error;
};

int json_paths__new(struct json_paths **ret)
{
	struct json_paths *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->nodes = calloc(1, sizeof(*p->nodes));
	if (!p->nodes) {
		free(p);
		return -ENOMEM;
	}
	p->n_nodes = 1;
	*ret = p;
	return 0;
}

void json_paths__free(struct json_paths *p)
{
	if (!p)
		return;
	arena__free(&p->arena);
	free(p->nodes);
	free(p->expressions);
	free(p);
}

static int fail(struct parser *s, const char *what)
{
	return syntax__fail(s->error, (size_t)(s->p - s->start), "%s", what);
}

static bool same_step(const struct path_node *n, const char *name, size_t len, long index)
{
	if (!name)
		return !n->name && n->index == index;
	return n->name && n->name_len == len && memcmp(n->name, name, len) == 0;
}

/* The child of *node that is called so, made if need be, becomes *node. */
static int step(struct parser *s, size_t *node, const char *name, size_t len, long index)
{
	struct json_paths *p = s->paths;
	struct path_node *grown;
	size_t child = p->nodes[*node].children;

	while (child && !same_step(&p->nodes[child], name, len, index))
		child = p->nodes[child].sibling;
	if (!child) {
		if (p->n_nodes == NODES_MAX || s->steps == JSON_PATH_STEPS || len > NAME_MAX_BYTES)
			return fail(s, "too long");
		grown = reallocarray(p->nodes, p->n_nodes + 1, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		p->nodes = grown;
		child = p->n_nodes;
		grown[child] = (struct path_node){
			.name_len = len, .index = index, .sibling = grown[*node].children};
		if (name) {
			grown[child].name = arena__copy(&p->arena, name, len);
			if (!grown[child].name)
				return -ENOMEM;
		}
		p->n_nodes++;
		grown[*node].children = child;
		if (!name && index < 0)
			grown[*node].from_end = true;
	}
	s->steps++;
	*node = child;
	return 0;
}

static bool name_char(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	       (!first && c >= '0' && c <= '9');
}

static void space(struct parser *s)
{
	s->p = json_text__space(s->p, s->end);
}

/* Goes over `text` when it stands there. */
static bool take(struct parser *s, const char *text)
{
	size_t len = strlen(text);

	space(s);
	if ((size_t)(s->end - s->p) < len || memcmp(s->p, text, len) != 0)
		return false;
	s->p += len;
	return true;
}

static int quoted_name(struct parser *s, size_t *node)
{
	const char *key = s->p + 1, *behind;
	bool escaped;
	size_t len;
	char *name;

	behind = json_text__skip_string(key, s->end, &escaped);
	if (!behind)
		return fail(s, "a name in quotes that does not end, or with an unknown escape");
	len = (size_t)(behind - 1 - key);
	name = arena__alloc(&s->paths->arena, len + 1);
	if (!name)
		return -ENOMEM;
	len = json_text__unescape(name, key, len, false);
	s->p = behind;
	return step(s, node, name, len, 0);
}

/* What is JMESPath and not to be had is named, for those who look for their mistake. */
static int refuse(struct parser *s)
{
	if (s->p == s->end)
		return fail(s, "incomplete: expected a name");
	if (strchr("*?:", *s->p) || (*s->p == ']' && s->p > s->start && s->p[-1] == '['))
		return fail(s, "wildcards, slices, filters and flattening are not supported");
	if (*s->p == '(')
		return fail(s, "parentheses and functions are not supported");
	if (strchr("{[", *s->p))
		return fail(s, "lists and objects of expressions are not supported");
	if (strchr("=<>!&", *s->p))
		return fail(s, "comparisons, && and ! are not supported");
	return fail(s, "unexpected character; a name of other characters than letters, digits and "
		       "_ has to stand in double quotes");
}

static int name(struct parser *s, size_t *node)
{
	const char *from;

	space(s);
	if (s->p < s->end && *s->p == '"')
		return quoted_name(s, node);
	from = s->p;
	while (s->p < s->end && name_char(*s->p, s->p == from))
		s->p++;
	if (s->p == from)
		return refuse(s);
	return step(s, node, from, (size_t)(s->p - from), 0);
}

/* Behind the [. */
static int element(struct parser *s, size_t *node)
{
	const char *digits;
	bool minus;
	long index = 0;

	space(s);
	minus = take(s, "-");
	for (digits = s->p; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++) {
		index = index * 10 + (*s->p - '0');
		if (index > INDEX_MAX)
			return fail(s, "too great an index");
	}
	if (s->p == digits && s->p < s->end && strchr("*?:]", *s->p))
		return refuse(s);
	if (s->p == digits)
		return fail(s, "expected an index; lists of expressions are not supported");
	if (!take(s, "]")) {
		if (s->p < s->end && *s->p == ':')
			return refuse(s);
		return fail(s, "expected ]");
	}
	return step(s, node, NULL, 0, minus ? -index : index);
}

/* Names and indexes down from *node. */
static int chain(struct parser *s, size_t *node)
{
	int err = 0;

	if (take(s, "["))
		err = element(s, node);
	else if (!take(s, "@"))
		err = name(s, node);
	while (!err) {
		if (take(s, "["))
			err = element(s, node);
		else if (take(s, "."))
			err = name(s, node);
		else
			break;
	}
	return err;
}

/* Behind the opening '. */
static int raw_literal(struct parser *s, struct value *ret)
{
	char *text = arena__alloc(&s->paths->arena, (size_t)(s->end - s->p) + 1);
	size_t len = 0;

	if (!text)
		return -ENOMEM;
	for (; s->p < s->end && *s->p != '\''; s->p++) {
		if (*s->p == '\\' && s->end - s->p > 1 && s->p[1] == '\'')
			s->p++;
		text[len++] = *s->p;
	}
	if (!take(s, "'"))
		return fail(s, "a literal that does not end");
	*ret = (struct value){.kind = VALUE_STRING, .text = text, .len = len};
	return 0;
}

/* Behind the opening `. */
static int json_literal(struct parser *s, struct value *ret)
{
	char *text = arena__alloc(&s->paths->arena, (size_t)(s->end - s->p) + 1);
	const char *json, *behind;
	size_t len = 0;
	int err;

	if (!text)
		return -ENOMEM;
	for (; s->p < s->end && *s->p != '`'; s->p++) {
		if (*s->p == '\\' && s->end - s->p > 1 && s->p[1] == '`')
			s->p++;
		text[len++] = *s->p;
	}
	json = json_text__space(text, text + len);
	behind = json_text__skip(json, text + len);
	if (!behind || json_text__space(behind, text + len) != text + len)
		return fail(s, "a literal in backquotes is JSON: `1`, `\"text\"`; or use 'text'");
	if (!take(s, "`"))
		return fail(s, "a literal that does not end");
	err = json_text__value(json, (size_t)(behind - json), &s->paths->arena, ret);
	return err == -ERANGE ? fail(s, "a number that is too great") : err;
}

static int one_of(struct parser *s, struct path_expression *e)
{
	struct alternative *a = &e->alternatives[e->n];
	int err;

	if (e->n == JSON_PATH_ALTERNATIVES)
		return fail(s, "too many alternatives");
	s->steps = 0;
	space(s);
	a->literal = take(s, "'");
	if (a->literal) {
		err = raw_literal(s, &a->value);
	} else if (take(s, "`")) {
		a->literal = true;
		err = json_literal(s, &a->value);
	} else {
		err = chain(s, &a->node);
	}
	e->n++;
	return err;
}

static int parse(struct parser *s, struct path_expression *e)
{
	bool piped = false;
	int err = one_of(s, e);

	while (!err) {
		if (take(s, "||")) {
			if (piped)
				return fail(s, "|| behind a pipe is not supported");
			err = one_of(s, e);
		} else if (take(s, "|")) {
			if (e->n > 1 || e->alternatives[0].literal)
				return fail(s, "a pipe behind || or a literal is not supported");
			piped = true;
			err = chain(s, &e->alternatives[0].node);
		} else if (s->p == s->end) {
			return 0;
		} else {
			return refuse(s);
		}
	}
	return err;
}

int json_paths__add(struct json_paths *p, const char *expression, struct syntax_error *ret_error)
{
	struct parser s = {.paths = p,
			   .start = expression,
			   .p = expression,
			   .end = expression + strlen(expression),
			   .error = ret_error};
	struct path_expression *grown;
	int err;

	grown = reallocarray(p->expressions, p->n_expressions + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	p->expressions = grown;
	grown[p->n_expressions] = (struct path_expression){0};
	err = parse(&s, &grown[p->n_expressions]);
	if (!err)
		p->n_expressions++;
	return err;
}

static void forget(struct json_paths *p, const struct path_node *n)
{
	for (size_t i = n->children; i; i = p->nodes[i].sibling) {
		if (p->nodes[i].seen != p->run)
			continue;
		p->nodes[i].found = 0;
		forget(p, &p->nodes[i]);
	}
}

static const char *walk(struct json_paths *p, struct path_node *n, const char *at);

static struct path_node *find_name(struct json_paths *p, const struct path_node *n, const char *key,
				   size_t len)
{
	for (size_t i = n->children; i; i = p->nodes[i].sibling) {
		struct path_node *child = &p->nodes[i];

		if (child->name && child->name_len == len && memcmp(child->name, key, len) == 0)
			return child;
	}
	return NULL;
}

static struct path_node *find_escaped(struct json_paths *p, const struct path_node *n,
				      const char *key, size_t len)
{
	char plain[6 * NAME_MAX_BYTES]; /* \u0061 */

	if (len > sizeof(plain))
		return NULL;
	len = json_text__unescape(plain, key, len, false);
	return find_name(p, n, plain, len);
}

/* Behind the object whose { is before `at`; as all of these, NULL when it is malformed. */
static const char *walk_object(struct json_paths *p, const struct path_node *n, const char *at)
{
	struct path_node *child;
	const char *key;
	size_t len;
	bool escaped;

	at = json_text__space(at, p->end);
	if (at < p->end && *at == '}')
		return at + 1;
	for (;;) {
		at = json_text__skip_key(at, p->end, &key, &len, &escaped);
		if (!at)
			return NULL;
		child = escaped ? find_escaped(p, n, key, len) : find_name(p, n, key, len);
		at = child ? walk(p, child, at) : json_text__skip(at, p->end);
		if (!at)
			return NULL;
		at = json_text__space(at, p->end);
		if (at == p->end || (*at != ',' && *at != '}'))
			return NULL;
		if (*at++ == '}')
			return at;
	}
}

/* The number of elements, from behind the [; -1: malformed. */
static long count(const struct json_paths *p, const char *at)
{
	long n = 0;

	at = json_text__space(at, p->end);
	if (at < p->end && *at == ']')
		return 0;
	for (;;) {
		at = json_text__skip(at, p->end);
		if (!at)
			return -1;
		n++;
		at = json_text__space(at, p->end);
		if (at == p->end || (*at != ',' && *at != ']'))
			return -1;
		if (*at++ == ']')
			return n;
	}
}

static const char *walk_element(struct json_paths *p, const struct path_node *n, const char *at,
				long index, long from_end)
{
	const char *behind = NULL;

	for (size_t i = n->children; i; i = p->nodes[i].sibling) {
		struct path_node *child = &p->nodes[i];

		if (child->name || (child->index != index && child->index != from_end))
			continue;
		behind = walk(p, child, at);
		if (!behind)
			return NULL;
	}
	return behind ? behind : json_text__skip(at, p->end);
}

static const char *walk_array(struct json_paths *p, const struct path_node *n, const char *at)
{
	long length = n->from_end ? count(p, at) : 0;

	if (length < 0)
		return NULL;
	at = json_text__space(at, p->end);
	if (at < p->end && *at == ']')
		return at + 1;
	for (long i = 0;; i++) {
		at = walk_element(p, n, at, i, length ? i - length : i);
		if (!at)
			return NULL;
		at = json_text__space(at, p->end);
		if (at == p->end || (*at != ',' && *at != ']'))
			return NULL;
		if (*at++ == ']')
			return at;
	}
}

/* Behind the value at `at`, which is the node's. */
static const char *walk(struct json_paths *p, struct path_node *n, const char *at)
{
	const char *behind;

	if (n->seen == p->run)
		forget(p, n);
	n->seen = p->run;
	at = json_text__space(at, p->end);
	if (at == p->end)
		return NULL;
	if (!n->children || (*at != '{' && *at != '['))
		behind = json_text__skip(at, p->end);
	else if (*at == '{')
		behind = walk_object(p, n, at + 1);
	else
		behind = walk_array(p, n, at + 1);
	if (!behind)
		return NULL;
	n->found = p->run;
	n->text = at;
	n->len = (size_t)(behind - at);
	return behind;
}

/* What || goes past: null, false, and whatever is empty. */
static bool is_false(const struct value *v, const char *text)
{
	switch (v->kind) {
	case VALUE_BOOL:
		return !v->boolean;
	case VALUE_STRING:
		return !v->len || (v->len == 2 && (*text == '{' || *text == '['));
	case VALUE_NUMBER:
		return false;
	default:
		return true;
	}
}

static int evaluate(const struct json_paths *p, const struct path_expression *e,
		    struct arena *arena, struct value *ret)
{
	int err = 0;

	for (size_t i = 0; i < e->n; i++) {
		const struct alternative *a = &e->alternatives[i];
		const struct path_node *n = &p->nodes[a->node];
		struct value v = a->literal ? a->value : (struct value){.kind = VALUE_ABSENT};

		if (!a->literal && n->found == p->run)
			err = json_text__value(n->text, n->len, arena, &v);
		if (err == -ENOMEM)
			return err;
		err = 0;
		*ret = v;
		if (!is_false(&v, a->literal ? "" : n->text))
			break;
	}
	return err;
}

int json_paths__find(struct json_paths *p, const char *text, size_t len, struct arena *arena,
		     struct value *ret_values)
{
	const char *behind = NULL;
	int ret = 0;

	for (size_t i = 0; i < p->n_expressions; i++)
		ret_values[i] = (struct value){.kind = VALUE_ABSENT};
	p->end = text + len;
	p->run++;
	text = json_text__space(text, p->end);
	if (text < p->end && (*text == '{' || *text == 'n'))
		behind = walk(p, p->nodes, text);
	if (!behind || json_text__space(behind, p->end) != p->end)
		return -EINVAL;
	for (size_t i = 0; i < p->n_expressions; i++) {
		int err = evaluate(p, &p->expressions[i], arena, &ret_values[i]);

		if (err)
			ret = err;
	}
	return ret;
}
