/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The evaluator walks the parsed form; its depth is bounded by the parser. Texts that functions
 * make are in the caller's arena, what is printed gathers in a buffer that the template keeps, so
 * that a run mallocs nothing once the longest result was seen. A failure ends the run as in Go.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "process/template.h"
#include "process/template_internal.h"

static int run_list(struct trun *r, const struct stmt *s);

int trun__fail(struct trun *r, const char *why)
{
	r->t->why = why;
	return -EINVAL;
}

bool tvalue__truth(const struct tvalue *v)
{
	switch (v->kind) {
	case T_NONE:
		return false;
	case T_BOOL:
		return v->boolean;
	case T_INT:
		return v->integer;
	case T_FLOAT:
		return v->number != 0;
	case T_STRING:
		return v->len;
	case T_LIST:
		return v->n;
	}
	return false;
}

/* What a value that was extracted is to a template: a text, whatever it is. */
static int text_of(struct trun *r, const struct value *v, struct tvalue *ret)
{
	int err = value__text(v, r->arena, &ret->text, &ret->len);

	ret->kind = err ? T_NONE : T_STRING;
	return err == -ENOENT ? 0 : err;
}

static int eval_slot(struct trun *r, size_t slot, struct tvalue *ret)
{
	ret->kind = T_NONE;
	return slot < r->data->n_values ? text_of(r, &r->data->values[slot], ret) : 0;
}

static int eval_value(struct trun *r, const struct expr *e, struct tvalue *ret)
{
	int err = text_of(r, &r->data->value, ret);

	return err || ret->kind != T_NONE ? err : eval_slot(r, e->slot, ret);
}

static int eval(struct trun *r, const struct expr *e, struct tvalue *ret);

/* The arguments that are not needed are not evaluated. */
static int eval_logic(struct trun *r, const struct expr *e, struct tvalue *ret)
{
	for (size_t i = 0; i < e->n_args; i++) {
		int err = eval(r, e->args[i], ret);

		if (err || tvalue__truth(ret) == (e->kind == EXPR_OR))
			return err;
	}
	return 0;
}

static int check_argument(struct trun *r, char type, struct tvalue *v)
{
	if (type == 's' && v->kind != T_STRING)
		return trun__fail(r, "wrong type for an argument: expected string");
	if (type == 'l' && v->kind != T_LIST)
		return trun__fail(r, "wrong type for an argument: expected a list");
	if (type == 'i' && v->kind == T_FLOAT && v->number == (double)(int32_t)v->number) {
		v->integer = (int64_t)v->number;
		v->kind = T_INT;
	}
	if (type == 'i' && v->kind != T_INT)
		return trun__fail(r, "wrong type for an argument: expected integer");
	return 0;
}

static int eval_call(struct trun *r, const struct expr *e, struct tvalue *ret)
{
	const char *params = e->func->params;
	struct tvalue args[TEMPLATE_ARGS];

	for (size_t i = 0; i < e->n_args; i++) {
		int err = eval(r, e->args[i], &args[i]) ?: check_argument(r, *params, &args[i]);

		if (err)
			return err;
		if (params[1] && !strchr("*+", params[1]))
			params++;
	}
	return e->func->call(r, e, args, e->n_args, ret);
}

/* A field of what is not there is not there either; a text has none. */
static int eval_item(struct trun *r, const struct expr *e, struct tvalue *ret)
{
	struct tvalue of = {.kind = T_STRING};
	int err = e->n_args ? eval(r, e->args[0], &of) : 0;

	if (!err && of.kind != T_NONE && (of.kind != T_LIST || e->kind != EXPR_ITEM))
		err = trun__fail(r, "a text has no fields");
	if (err)
		return err;
	ret->kind = T_NONE;
	if (of.kind == T_LIST && e->slot < of.n)
		*ret = of.items[e->slot];
	return 0;
}

static int eval(struct trun *r, const struct expr *e, struct tvalue *ret)
{
	int err;

	switch (e->kind) {
	case EXPR_LITERAL:
		*ret = e->literal;
		return 0;
	case EXPR_FIELD:
		return eval_slot(r, e->slot, ret);
	case EXPR_HAS:
		err = eval_slot(r, e->slot, ret);
		*ret = (struct tvalue){.kind = T_BOOL, .boolean = ret->kind != T_NONE};
		return err;
	case EXPR_VALUE:
		return eval_value(r, e, ret);
	case EXPR_ENTRY:
		if (!r->data->entry)
			return eval_slot(r, e->slot, ret);
		ret->kind = T_STRING;
		ret->text = r->data->entry;
		ret->len = r->data->entry_len;
		return 0;
	case EXPR_DOT:
		*ret = r->dot;
		return 0;
	case EXPR_VAR:
		*ret = r->vars[e->slot];
		return 0;
	case EXPR_SET:
		err = eval(r, e->args[0], ret);
		r->vars[e->slot] = *ret;
		return err;
	case EXPR_AND:
	case EXPR_OR:
		return eval_logic(r, e, ret);
	case EXPR_CALL:
		return eval_call(r, e, ret);
	case EXPR_ITEM:
	case EXPR_FAIL:
		break;
	}
	return eval_item(r, e, ret);
}

static int run_control(struct trun *r, const struct stmt *s)
{
	struct tvalue v, dot = r->dot;
	int err = eval(r, s->expr, &v);

	if (err)
		return err;
	if (!tvalue__truth(&v))
		return run_list(r, s->otherwise);
	if (s->kind == STMT_WITH)
		r->dot = v;
	err = run_list(r, s->body);
	r->dot = dot;
	return err;
}

static int run_list(struct trun *r, const struct stmt *s)
{
	struct tvalue v;
	int err = 0;

	for (; s && !err; s = s->next) {
		switch (s->kind) {
		case STMT_TEXT:
			err = tbuf__put(&r->t->out, s->text, s->len);
			break;
		case STMT_PRINT:
			err = eval(r, s->expr, &v);
			if (!err && s->expr->kind != EXPR_SET)
				err = tbuf__value(&r->t->out, &v, "<no value>");
			break;
		case STMT_IF:
		case STMT_WITH:
			err = run_control(r, s);
			break;
		}
	}
	return err;
}

int template__run(struct template *t, const struct template_data *data, struct arena *arena,
		  const char **ret, size_t *ret_len)
{
	struct trun r;
	char *copy;
	int err;

	r.t = t;
	r.data = data;
	r.arena = arena;
	r.dot.kind = T_NONE;
	for (size_t i = 0; i < t->n_vars; i++)
		r.vars[i].kind = T_NONE;
	t->out.len = 0;
	err = run_list(&r, t->first);
	if (err)
		return err;
	copy = arena__copy(arena, t->out.data, t->out.len);
	if (!copy)
		return -ENOMEM;
	*ret = copy;
	*ret_len = t->out.len;
	return 0;
}

const char *template__why(const struct template *t)
{
	return t->why ? t->why : "";
}

int template__new(struct template **ret, const char *text, struct slots *slots,
		  struct syntax_error *ret_error)
{
	struct template *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	err = template__parse(t, text, slots, ret_error);
	if (err) {
		template__free(t);
		return err;
	}
	*ret = t;
	return 0;
}

void template__free(struct template *t)
{
	if (!t)
		return;
	for (struct expr *e = t->owners; e; e = e->next_owner) {
		regex__free(e->regex);
		expand__free(e->expand);
		EVP_MD_CTX_free(e->md_ctx);
		EVP_MD_free(e->md);
	}
	arena__free(&t->arena);
	buf__free(&t->out);
	buf__free(&t->scratch);
	free(t);
}
