/* SPDX-License-Identifier: Apache-2.0 */
/* Functions that compare and choose, and those that say what something is. */
#include <math.h>
#include <string.h>

#include "process/template_funcs.h"

static bool same_text(const struct tvalue *a, const struct tvalue *b)
{
	return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

int trun__equal(struct trun *r, const struct tvalue *a, const struct tvalue *b, bool *ret)
{
	if (a->kind == T_LIST || b->kind == T_LIST)
		return trun__fail(r, "lists cannot be compared");
	if (a->kind != b->kind && a->kind != T_NONE && b->kind != T_NONE)
		return trun__fail(r, "incompatible types for comparison");
	*ret = a->kind == b->kind &&
	       (a->kind == T_NONE || (a->kind == T_BOOL && a->boolean == b->boolean) ||
		(a->kind == T_INT && a->integer == b->integer) ||
		(a->kind == T_FLOAT && a->number == b->number) ||
		(a->kind == T_STRING && same_text(a, b)));
	return 0;
}

CALL(call_eq)
{
	bool same = false;

	for (size_t i = 1; i < n && !same; i++) {
		int err = trun__equal(r, &args[0], &args[i], &same);

		if (err)
			return err;
	}
	return give_bool(ret, same != (e->func->number != 0));
}

enum { LESS, LESS_EQUAL, GREATER, GREATER_EQUAL };

CALL(call_order)
{
	const struct tvalue *a = &args[0], *b = &args[1];
	int order, which = e->func->number;

	if (a->kind != b->kind || (a->kind != T_INT && a->kind != T_FLOAT && a->kind != T_STRING))
		return trun__fail(r, "incompatible types for comparison");
	if (a->kind == T_FLOAT && (isnan(a->number) || isnan(b->number)))
		return give_bool(ret, which == GREATER || which == GREATER_EQUAL);
	if (a->kind == T_INT) {
		order = (a->integer > b->integer) - (a->integer < b->integer);
	} else if (a->kind == T_FLOAT) {
		order = (a->number > b->number) - (a->number < b->number);
	} else {
		order = memcmp(a->text, b->text, MIN(a->len, b->len));
		if (!order)
			order = (a->len > b->len) - (a->len < b->len);
	}
	return give_bool(ret, which == LESS	    ? order < 0
			      : which == LESS_EQUAL ? order <= 0
			      : which == GREATER    ? order > 0
						    : order >= 0);
}

CALL(call_not)
{
	return give_bool(ret, !tvalue__truth(&args[0]));
}

CALL(call_empty)
{
	return give_bool(ret, !tvalue__truth(&args[0]));
}

CALL(call_default)
{
	*ret = n > 1 && tvalue__truth(&args[1]) ? args[1] : args[0];
	return 0;
}

CALL(call_coalesce)
{
	ret->kind = T_NONE;
	for (size_t i = 0; i < n; i++) {
		if (tvalue__truth(&args[i])) {
			*ret = args[i];
			break;
		}
	}
	return 0;
}

/* all, and with number 1 any */
CALL(call_all)
{
	for (size_t i = 0; i < n; i++)
		if (tvalue__truth(&args[i]) == (e->func->number == 1))
			return give_bool(ret, e->func->number == 1);
	return give_bool(ret, e->func->number != 1);
}

CALL(call_ternary)
{
	if (args[2].kind != T_BOOL)
		return trun__fail(r, "wrong type for an argument: expected bool");
	*ret = args[2].boolean ? args[0] : args[1];
	return 0;
}

CALL(call_kind)
{
	static const char *const names[] = {
		[T_NONE] = "invalid",  [T_BOOL] = "bool",     [T_INT] = "int",
		[T_FLOAT] = "float64", [T_STRING] = "string", [T_LIST] = "slice",
	};
	const char *name = names[args[n - 1].kind];

	if (n == 1)
		return give_part(ret, name, strlen(name));
	return give_bool(ret, args[0].len == strlen(name) &&
				      memcmp(args[0].text, name, args[0].len) == 0);
}

CALL(call_fail)
{
	return trun__fail(r, "the template called fail");
}

const struct tfunc template_funcs_logic[] = {
	{"eq", "aa+", call_eq, 0},
	{"ne", "aa", call_eq, 1},
	{"lt", "aa", call_order, LESS},
	{"le", "aa", call_order, LESS_EQUAL},
	{"gt", "aa", call_order, GREATER},
	{"ge", "aa", call_order, GREATER_EQUAL},
	{"not", "a", call_not, 0},
	{"default", "aa*", call_default, 0},
	{"empty", "a", call_empty, 0},
	{"coalesce", "a*", call_coalesce, 0},
	{"all", "a*", call_all, 0},
	{"any", "a*", call_all, 1},
	{"ternary", "aaa", call_ternary, 0},
	{"kindOf", "a", call_kind, 0},
	{"kindIs", "sa", call_kind, 0},
	{"fail", "s", call_fail, 0},
	{0},
};
