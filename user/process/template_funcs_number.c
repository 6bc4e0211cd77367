/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of numbers, as sprig has them: what is no number counts as 0. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "process/template_funcs.h"

/* A text as a number: digits with a sign, what is behind a point is cut; 0x, 0o and 0b. Nothing of
 * the kind is 0. Leading zeros do not make it octal, unlike in sprig. */
static int64_t text_to_int(const struct tvalue *v, bool plain)
{
	char text[72], *end;
	long long value;
	int base = 10;
	char *p = text;

	if (v->len >= sizeof(text))
		return 0;
	memcpy(text, v->text, v->len);
	text[v->len] = '\0';
	p += *p == '-' || *p == '+';
	if (!plain && p[0] == '0' && p[1] && strchr("xXoObB", p[1])) {
		base = strchr("xX", p[1]) ? 16 : strchr("oO", p[1]) ? 8 : 2;
		p += 2;
	}
	if (!isxdigit((unsigned char)*p))
		return 0;
	errno = 0;
	value = strtoll(p, &end, base);
	if (!plain && base == 10 && *end == '.')
		end += 1 + strspn(end + 1, "0123456789");
	if (errno || *end || end != text + v->len)
		return 0;
	return *text == '-' ? -value : value;
}

static int64_t to_int(const struct tvalue *v)
{
	switch (v->kind) {
	case T_BOOL:
		return v->boolean;
	case T_INT:
		return v->integer;
	case T_FLOAT:
		return fabs(v->number) < 9.2e18 ? (int64_t)v->number : INT64_MIN;
	case T_STRING:
		return text_to_int(v, false);
	case T_NONE:
	case T_LIST:
		break;
	}
	return 0;
}

static double to_float(const struct tvalue *v)
{
	char text[400], *end;
	double value;

	if (v->kind == T_FLOAT)
		return v->number;
	if (v->kind != T_STRING)
		return (double)to_int(v);
	if (!v->len || v->len >= sizeof(text) || isspace((unsigned char)*v->text))
		return 0;
	memcpy(text, v->text, v->len);
	text[v->len] = '\0';
	value = strtod(text, &end);
	return end == text + v->len ? value : 0;
}

CALL(call_int)
{
	return give_int(ret, to_int(&args[0]));
}

CALL(call_float)
{
	return give_float(ret, to_float(&args[0]));
}

CALL(call_atoi)
{
	return give_int(ret, text_to_int(&args[0], true));
}

enum { ADD, SUB, MUL, DIV, MOD, MAXIMUM, MINIMUM, ADD_ONE };

static int64_t compute(int64_t a, int64_t b, int how)
{
	switch (how) {
	case ADD:
		return (int64_t)((uint64_t)a + (uint64_t)b);
	case SUB:
		return (int64_t)((uint64_t)a - (uint64_t)b);
	case MUL:
		return (int64_t)((uint64_t)a * (uint64_t)b);
	case DIV:
		return b == -1 ? (int64_t) - (uint64_t)a : a / b;
	case MOD:
		return b == -1 ? 0 : a % b;
	case MAXIMUM:
		return MAX(a, b);
	default:
		return MIN(a, b);
	}
}

CALL(call_integers)
{
	int how = e->func->number;
	int64_t value = n ? to_int(&args[0]) : 0;

	if (how == ADD_ONE)
		return give_int(ret, compute(value, 1, ADD));
	for (size_t i = 1; i < n; i++) {
		int64_t b = to_int(&args[i]);

		if (!b && (how == DIV || how == MOD))
			return trun__fail(r, "division by zero");
		value = compute(value, b, how);
	}
	return give_int(ret, value);
}

/* sprig computes with decimals: what doubles add behind the 15th digit goes. */
static double as_decimal(double value)
{
	char text[40];

	snprintf(text, sizeof(text), "%.15g", value);
	return strtod(text, NULL);
}

CALL(call_floats)
{
	int how = e->func->number;
	double value = n ? to_float(&args[0]) : 0;

	if (how == ADD_ONE)
		return give_float(ret, as_decimal(value + 1));
	for (size_t i = 1; i < n; i++) {
		double b = to_float(&args[i]);

		if (b == 0 && how == DIV)
			return trun__fail(r, "division by zero");
		value = how == ADD	 ? as_decimal(value + b)
			: how == SUB	 ? as_decimal(value - b)
			: how == MUL	 ? as_decimal(value * b)
			: how == DIV	 ? as_decimal(value / b)
			: how == MAXIMUM ? fmax(value, b)
					 : fmin(value, b);
	}
	return give_float(ret, value);
}

enum { FLOOR, CEIL, ROUND };

CALL(call_round)
{
	double value = to_float(&args[0]), power, whole;

	if (e->func->number != ROUND)
		return give_float(ret, e->func->number == FLOOR ? floor(value) : ceil(value));
	power = pow(10, (double)args[1].integer);
	value *= power;
	value = modf(value, &whole) >= (n > 2 ? to_float(&args[2]) : .5) ? ceil(value)
									 : floor(value);
	return give_float(ret, value / power);
}

const struct tfunc template_funcs_number[] = {
	{"atoi", "s", call_atoi, 0},
	{"int", "a", call_int, 0},
	{"int64", "a", call_int, 0},
	{"float64", "a", call_float, 0},
	{"add", "a*", call_integers, ADD},
	{"add1", "a", call_integers, ADD_ONE},
	{"sub", "aa", call_integers, SUB},
	{"mul", "aa*", call_integers, MUL},
	{"div", "aa", call_integers, DIV},
	{"mod", "aa", call_integers, MOD},
	{"max", "aa*", call_integers, MAXIMUM},
	{"biggest", "aa*", call_integers, MAXIMUM},
	{"min", "aa*", call_integers, MINIMUM},
	{"addf", "a*", call_floats, ADD},
	{"add1f", "a", call_floats, ADD_ONE},
	{"subf", "aa*", call_floats, SUB},
	{"mulf", "aa*", call_floats, MUL},
	{"divf", "aa*", call_floats, DIV},
	{"maxf", "aa*", call_floats, MAXIMUM},
	{"minf", "aa*", call_floats, MINIMUM},
	{"floor", "a", call_round, FLOOR},
	{"ceil", "a", call_round, CEIL},
	{"round", "aia*", call_round, ROUND},
	{0},
};
