/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the functions of templates share. Texts are made in the template's scratch buffer and copied
 * to the arena at their final size; what is only a part of its argument borrows it.
 */
#ifndef NOTAIL_PROCESS_TEMPLATE_FUNCS_H
#define NOTAIL_PROCESS_TEMPLATE_FUNCS_H

#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "process/template_internal.h"

/* Each ends with a row without a name. */
extern const struct tfunc template_funcs_text[], template_funcs_regex[], template_funcs_logic[],
	template_funcs_number[], template_funcs_list[], template_funcs_print[];

/* `n` arguments of the kinds that its row says. 0, or a negative error: what *ret is then does not
 * matter. */
#define CALL(name)                                                              \
	static int name(struct trun *r _unused_, const struct expr *e _unused_, \
			struct tvalue *args _unused_, size_t n _unused_,        \
			struct tvalue *ret _unused_)

static inline int give_bool(struct tvalue *ret, bool value)
{
	*ret = (struct tvalue){.kind = T_BOOL, .boolean = value};
	return 0;
}

static inline int give_int(struct tvalue *ret, int64_t value)
{
	*ret = (struct tvalue){.kind = T_INT, .integer = value};
	return 0;
}

static inline int give_float(struct tvalue *ret, double value)
{
	*ret = (struct tvalue){.kind = T_FLOAT, .number = value};
	return 0;
}

static inline int give_part(struct tvalue *ret, const char *text, size_t len)
{
	ret->kind = T_STRING;
	ret->text = text;
	ret->len = len;
	return 0;
}

static inline struct buf *scratch(struct trun *r)
{
	r->t->scratch.len = 0;
	return &r->t->scratch;
}

/* What is in the scratch buffer, unless `err`. */
static inline int give_scratch(struct trun *r, int err, struct tvalue *ret)
{
	const char *copy;

	if (err)
		return err;
	copy = arena__copy(r->arena, r->t->scratch.data, r->t->scratch.len);
	return copy ? give_part(ret, copy, r->t->scratch.len) : -ENOMEM;
}

static inline int put_text(struct buf *b, const struct tvalue *v)
{
	return tbuf__put(b, v->text, v->len);
}

static inline const char *find(const char *p, const char *end, const struct tvalue *what)
{
	return memmem(p, (size_t)(end - p), what->text, what->len);
}

/* As `eq`; fails when they cannot be compared. */
int trun__equal(struct trun *r, const struct tvalue *a, const struct tvalue *b, bool *ret);

#endif
