/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access logs have no common form, so this looks for what all of them have: the path, with the
 * method right before it (`GET /health`) or as a value of its own somewhere (`"method":"GET"`,
 * `method=GET`), and the status, behind `HTTP/1.1"` or as the value of a key that ends in status or
 * code.
 */
#include "process/health.h"

#include <string.h>

#include "base/util.h"

struct line {
	const char *p, *end;
};

static const struct {
	const char *path;
	bool below; /* and what is below it */
} paths[] = {
	{"/healthz", true},  {"/health", true},	  {"/readyz", true},
	{"/ready", true},    {"/livez", true},	  {"/-/healthy", false},
	{"/-/ready", false}, {"/metrics", false}, {"/actuator/health", true},
};

static const char *const methods[] = {"GET", "HEAD"};

static bool word_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool stands(const struct line *l, const char *at, const char *text)
{
	size_t len = strlen(text);

	return (size_t)(l->end - at) >= len && memcmp(at, text, len) == 0;
}

/* Before `at` stands the method, and it is all of its word. */
static bool method_before(const struct line *l, const char *at)
{
	while (at > l->p && at[-1] == ' ')
		at--;
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		size_t len = strlen(methods[i]);

		if ((size_t)(at - l->p) >= len && memcmp(at - len, methods[i], len) == 0 &&
		    ((size_t)(at - l->p) == len || !word_char(at[-(ptrdiff_t)len - 1])))
			return true;
	}
	return false;
}

/* Nothing else stands in the quotes, or up to the next pair. */
static bool ends_value(const struct line *l, const char *at, char before)
{
	if (before == '=')
		return at == l->end || !word_char(*at);
	return at < l->end && (*at == '"' || *at == '\\');
}

/* A value: in quotes, or behind =. */
static bool method_is_a_value(const struct line *l)
{
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		size_t len = strlen(methods[i]);
		const char *at = l->p;

		while ((at = memmem(at, (size_t)(l->end - at), methods[i], len))) {
			if (at > l->p && (at[-1] == '"' || at[-1] == '=') &&
			    ends_value(l, at + len, at[-1]))
				return true;
			at += len;
		}
	}
	return false;
}

static bool ends_path(const struct line *l, const char *at, bool below)
{
	return at == l->end || (*at == '/' && below) || strchr(" ?\"'&,;)]}#\t\r\\", *at);
}

static bool path_at(const struct line *l, const char *at)
{
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		if (stands(l, at, paths[i].path) &&
		    ends_path(l, at + strlen(paths[i].path), paths[i].below))
			return true;
	return false;
}

static bool asks_for_health(const struct line *l)
{
	int value = -1; /* not looked for yet */

	for (const char *at = l->p; (at = memchr(at, '/', (size_t)(l->end - at))); at++) {
		if (at == l->p || !path_at(l, at))
			continue;
		if (at[-1] == ' ' && method_before(l, at))
			return true;
		if (at[-1] != '"' && at[-1] != '=')
			continue;
		if (value < 0)
			value = method_is_a_value(l);
		if (value)
			return true;
	}
	return false;
}

/* Three digits at `at`, of an error. */
static bool error_at(const struct line *l, const char *at)
{
	return l->end - at >= 3 && (*at == '4' || *at == '5') && is_digit(at[1]) &&
	       is_digit(at[2]) && (l->end - at == 3 || !word_char(at[3]));
}

/* Behind `HTTP/1.1" `. */
static bool failed_plainly(const struct line *l)
{
	const char *at = memmem(l->p, (size_t)(l->end - l->p), "HTTP/", 5);

	if (!at)
		return false;
	for (at += 5; at < l->end && (is_digit(*at) || *at == '.');)
		at++;
	while (at < l->end && (*at == '"' || *at == ' ' || *at == '\\'))
		at++;
	return error_at(l, at);
}

/* As a value, whose key ends in `name`, in either case. */
static bool failed_by_key(const struct line *l, const char *name)
{
	size_t len = strlen(name);
	const char *at = l->p, *value;

	while ((at = memmem(at, (size_t)(l->end - at), name, len))) {
		at += len;
		for (value = at; value < l->end && strchr("\"\\ :=", *value); value++)
			if (*value == ':' || *value == '=')
				break;
		if (value == l->end || (*value != ':' && *value != '='))
			continue;
		for (value++; value < l->end && (*value == ' ' || *value == '"' || *value == '\\');)
			value++;
		if (error_at(l, value))
			return true;
	}
	return false;
}

static bool failed(const struct line *l)
{
	static const char *const names[] = {"status", "Status", "code", "Code"};

	if (failed_plainly(l))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (failed_by_key(l, names[i]))
			return true;
	return false;
}

bool health__is_check(const char *line, size_t len)
{
	struct line l = {.p = line, .end = line + len};

	return (memmem(line, len, "kube-probe/", 11) || asks_for_health(&l)) && !failed(&l);
}
