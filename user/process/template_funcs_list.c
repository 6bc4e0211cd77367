/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of lists: what makes them, and what takes them apart. */
#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "process/template_funcs.h"

#define LIST_MAX 65536

static int give_list(struct tvalue *ret, const struct tvalue *items, size_t n)
{
	ret->kind = T_LIST;
	ret->items = items;
	ret->n = n;
	return 0;
}

CALL(call_list)
{
	struct tvalue *items = arena__alloc(r->arena, n * sizeof(*items));

	if (!items)
		return -ENOMEM;
	memcpy(items, args, n * sizeof(*items));
	return give_list(ret, items, n);
}

/* What separates stands first. Nothing separates characters. */
CALL(call_split)
{
	const char *p = args[1].text, *end = p + args[1].len, *at;
	const struct tvalue *by = &args[0];
	struct tvalue *items;
	size_t count = 1;

	for (at = p; by->len && (at = find(at, end, by)); at += by->len)
		count++;
	if (!by->len)
		for (count = 0, at = p; at < end; count++)
			at += MAX(utf8__sequence(at, end), 1);
	if (count > LIST_MAX)
		return -E2BIG;
	items = arena__alloc(r->arena, count * sizeof(*items));
	if (!items)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		at = by->len ? find(p, end, by) : p + MAX(utf8__sequence(p, end), 1);
		give_part(&items[i], p, (size_t)((at ?: end) - p));
		p = (at ?: end) + (at ? by->len : 0);
	}
	return give_list(ret, items, count);
}

CALL(call_join)
{
	const struct tvalue *list = &args[1];
	struct buf *b = scratch(r);
	bool any = false;
	int err = 0;

	if (list->kind != T_LIST)
		return give_scratch(r, tbuf__value(b, list, ""), ret);
	for (size_t i = 0; i < list->n && !err; i++) {
		if (list->items[i].kind == T_NONE)
			continue;
		if (any)
			err = put_text(b, &args[0]);
		any = true;
		if (!err)
			err = tbuf__value(b, &list->items[i], "");
	}
	return give_scratch(r, err, ret);
}

enum { FIRST, LAST, REST, INITIAL };

CALL(call_ends)
{
	size_t n_items = args[0].n;
	const struct tvalue *items = args[0].items;

	if (e->func->number == REST || e->func->number == INITIAL)
		return give_list(ret, items + (n_items && e->func->number == REST),
				 n_items ? n_items - 1 : 0);
	ret->kind = T_NONE;
	if (n_items)
		*ret = items[e->func->number == FIRST ? 0 : n_items - 1];
	return 0;
}

CALL(call_reverse)
{
	struct tvalue *items = arena__alloc(r->arena, args[0].n * sizeof(*items));

	if (!items)
		return -ENOMEM;
	for (size_t i = 0; i < args[0].n; i++)
		items[i] = args[0].items[args[0].n - 1 - i];
	return give_list(ret, items, args[0].n);
}

CALL(call_has)
{
	bool same = false;

	for (size_t i = 0; i < args[1].n && !same; i++)
		same = args[0].kind == args[1].items[i].kind && args[0].kind != T_LIST &&
		       trun__equal(r, &args[0], &args[1].items[i], &same) == 0 && same;
	return give_bool(ret, same);
}

CALL(call_len)
{
	if (args[0].kind != T_STRING && args[0].kind != T_LIST)
		return trun__fail(r, "len of what has none");
	return give_int(ret, (int64_t)(args[0].kind == T_LIST ? args[0].n : args[0].len));
}

/* An item of a list, a byte of a text. */
CALL(call_index)
{
	struct tvalue v = args[0];

	for (size_t i = 1; i < n; i++) {
		if (args[i].kind != T_INT || (v.kind != T_LIST && v.kind != T_STRING))
			return trun__fail(r, "cannot index that with that");
		if (args[i].integer < 0 ||
		    (uint64_t)args[i].integer >= (v.kind == T_LIST ? v.n : v.len))
			return trun__fail(r, "index out of range");
		if (v.kind == T_LIST)
			v = v.items[args[i].integer];
		else
			give_int(&v, (unsigned char)v.text[args[i].integer]);
	}
	*ret = v;
	return 0;
}

/* get and hasKey are of all fields only: the parser makes fields of them. */
CALL(call_no_map)
{
	ret->kind = T_NONE;
	return trun__fail(r, "no map");
}

const struct tfunc template_funcs_list[] = {
	{"len", "a", call_len, 0},
	{"index", "aa*", call_index, 0},
	{"get", "aa", call_no_map, 0},
	{"hasKey", "aa", call_no_map, 0},
	{"list", "a*", call_list, 0},
	{"tuple", "a*", call_list, 0},
	{"split", "ss", call_split, 0},
	{"splitList", "ss", call_split, 0},
	{"join", "sa", call_join, 0},
	{"first", "l", call_ends, FIRST},
	{"last", "l", call_ends, LAST},
	{"rest", "l", call_ends, REST},
	{"initial", "l", call_ends, INITIAL},
	{"reverse", "l", call_reverse, 0},
	{"has", "al", call_has, 0},
	{0},
};
