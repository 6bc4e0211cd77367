/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Variables in scalars.
 *
 * ${NAME} stays as it is in `replacement` and `target_label` where the regex beside it has a group
 * of that name, or where there is no such variable: relabelling rules write their groups so. Names
 * are as in a shell, so ${1} is never a variable.
 */
#include "config/node_internal.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/util.h"

#define ENV_DEPTH_MAX 8
#define ENV_TEXT_MAX (1u << 20)

static bool is_name_start(char c)
{
	return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static size_t name_length(const char *text)
{
	size_t n = 0;

	if (!is_name_start(*text))
		return 0;
	while (is_name_start(text[n]) || (text[n] >= '0' && text[n] <= '9'))
		n++;
	return n;
}

struct expansion {
	const struct node_env *env;
	const struct node *at;
	const char *groups; /* a regex whose groups' names are no variables; NULL: none */
	struct buf out;
	bool replaced;
};

static bool is_group(const struct expansion *e, const char *name, size_t len)
{
	for (const char *p = e->groups; p && (p = strchr(p, '<')); p++)
		if (!strncmp(p + 1, name, len) && p[1 + len] == '>')
			return true;
	return false;
}

/* The `}` that belongs to what begins at text. */
static const char *closing_brace(const char *text, const char *end)
{
	size_t depth = 1;

	for (const char *p = text; p < end; p++) {
		if (*p == '$' && p + 1 < end && p[1] == '{') {
			depth++;
			p++;
		} else if (*p == '}' && !--depth) {
			return p;
		}
	}
	return NULL;
}

static int expand(struct expansion *e, const char *text, const char *end, unsigned depth);

/* `body` is behind the name: empty, `:-default` or `:?message`, up to `end`. */
static int expand_variable(struct expansion *e, const char *name, size_t name_len, const char *body,
			   const char *end, unsigned depth)
{
	char variable[256];
	const char *value;

	if (name_len >= sizeof(variable))
		return -EINVAL;
	memcpy(variable, name, name_len);
	variable[name_len] = '\0';
	value = e->env->get(e->env->ctx, variable);
	if (body == end) {
		if (!value && e->groups)
			return 1;
		if (!value)
			diag__warn(e->env->diag, e->at,
				   "the environment has no %s, it is empty here; expected it to be "
				   "set, or ${%s:-default}",
				   variable, variable);
		return value ? buf__append_str(&e->out, value) : 0;
	}
	if (value && *value)
		return buf__append_str(&e->out, value);
	if (body[1] == '-')
		return expand(e, body + 2, end, depth + 1);
	if (end - body > 2)
		diag__error(e->env->diag, e->at, "%s: %.*s", variable,
			    (int)MIN(end - body - 2, 200), body + 2);
	else
		diag__error(e->env->diag, e->at,
			    "%s is not set, expected a value in the environment", variable);
	return 0;
}

/* At `${`. Moves *p behind what it has taken. */
static int expand_one(struct expansion *e, const char **p, const char *end, unsigned depth)
{
	const char *name = *p + 2, *close;
	size_t len = name_length(name);
	int err;

	if (!len || is_group(e, name, len)) {
		*p += 2;
		return buf__append(&e->out, "${", 2);
	}
	close = closing_brace(name, end);
	if (!close || depth >= ENV_DEPTH_MAX ||
	    (name + len != close && (close - name < (ptrdiff_t)len + 2 || name[len] != ':' ||
				     !strchr("-?", name[len + 1])))) {
		diag__error(e->env->diag, e->at,
			    "${%.*s: malformed, expected ${NAME}, ${NAME:-default}, "
			    "${NAME:?message} or $${ for a plain ${",
			    (int)MIN(len, 60), name);
		*p = end;
		return 0;
	}
	err = expand_variable(e, name, len, name + len, close, depth);
	if (err == 1) {
		err = buf__append(&e->out, *p, (size_t)(close + 1 - *p));
	} else if (err == -EINVAL) {
		diag__error(e->env->diag, e->at, "the name of a variable is too long");
		err = 0;
	}
	e->replaced = true;
	*p = close + 1;
	return err;
}

static int expand(struct expansion *e, const char *text, const char *end, unsigned depth)
{
	int err = 0;

	for (const char *p = text; !err && p < end;) {
		const char *dollar = memchr(p, '$', (size_t)(end - p));

		if (!dollar || end - dollar < 2)
			return buf__append(&e->out, p, (size_t)(end - p));
		err = buf__append(&e->out, p, (size_t)(dollar - p));
		p = dollar;
		if (err)
			return err;
		if (p[1] == '{') {
			err = expand_one(e, &p, end, depth);
		} else if (p[1] == '$' && end - p > 2 && p[2] == '{') {
			err = buf__append(&e->out, "${", 2);
			p += 3;
		} else {
			err = buf__append(&e->out, p++, 1);
		}
		if (!err && e->out.len > ENV_TEXT_MAX) {
			diag__error(e->env->diag, e->at, "too long with its variables' values");
			return 0;
		}
	}
	return err;
}

bool node__names_groups(const char *key)
{
	return key && (!strcmp(key, "replacement") || !strcmp(key, "target_label"));
}

int node__expand(struct node *n, const char *groups, const struct node_env *env)
{
	struct expansion e = {.env = env, .at = n, .groups = groups};
	int err;

	if (!env->get || n->kind != NODE_SCALAR || !strstr(n->text, "${"))
		return 0;
	err = expand(&e, n->text, n->text + strlen(n->text), 0);
	if (!err) {
		n->text = arena__copy(env->arena, e.out.data, e.out.len);
		if (!n->text)
			err = -ENOMEM;
		else if (!n->quoted && !e.out.len && e.replaced)
			n->kind = NODE_NULL;
	}
	buf__free(&e.out);
	return err;
}
