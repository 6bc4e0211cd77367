/* SPDX-License-Identifier: Apache-2.0 */
/* What the parser, the evaluator and the functions of templates share. */
#ifndef NOTAIL_PROCESS_TEMPLATE_INTERNAL_H
#define NOTAIL_PROCESS_TEMPLATE_INTERNAL_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/expand.h"
#include "base/regex.h"
#include "process/template.h"

#define TEMPLATE_DEPTH 64 /* of parentheses, pipes and ifs, each */
#define TEMPLATE_ARGS 24
#define TEMPLATE_VARS 32

enum tkind { T_NONE, T_BOOL, T_INT, T_FLOAT, T_STRING, T_LIST };

struct tvalue {
	enum tkind kind;
	union {
		bool boolean;
		int64_t integer;
		double number;
		struct {
			const char *text;
			size_t len;
		};
		struct {
			const struct tvalue *items;
			size_t n;
		};
	};
};

enum expr_kind {
	EXPR_LITERAL,
	EXPR_FIELD, /* of what was extracted */
	EXPR_HAS,   /* whether it was */
	EXPR_VALUE,
	EXPR_ENTRY,
	EXPR_DOT, /* the value of the `with` around it */
	EXPR_VAR,
	EXPR_SET,
	EXPR_AND,
	EXPR_OR,
	EXPR_CALL,
	EXPR_ITEM, /* `_N` of a list: sprig's split gives a map of such names */
	EXPR_FAIL, /* another field of something: Go refuses it when that is a text */
};

struct trun;
struct expr;

struct tfunc {
	const char *name;
	/* One letter for each parameter: s a text, i an integer, a anything, l a list, r a regex
	 * (a literal). `*` behind the last one: none or more of it, `+`: one or more. */
	const char *params;
	int (*call)(struct trun *r, const struct expr *e, struct tvalue *args, size_t n,
		    struct tvalue *ret);
	int number; /* what the function makes of it: several share their code */
};

struct expr {
	enum expr_kind kind;
	size_t offset;
	struct tvalue literal;
	size_t slot; /* of a field or a variable; of an item its number */
	const struct tfunc *func;
	struct expr **args;
	size_t n_args;
	struct regex *regex;   /* of a call whose first argument is one */
	struct expand *expand; /* of a replacement that is a constant */
	EVP_MD *md;	       /* of a call that hashes */
	EVP_MD_CTX *md_ctx;
	struct expr *next_owner; /* the expressions that own one of these */
};

enum stmt_kind { STMT_TEXT, STMT_PRINT, STMT_IF, STMT_WITH };

struct stmt {
	enum stmt_kind kind;
	const char *text;
	size_t len;
	struct expr *expr;
	struct stmt *body, *otherwise, *next;
};

struct template
{
	struct arena arena; /* the parsed form */
	struct stmt *first;
	struct expr *owners;
	size_t n_vars;
	struct buf out;
	struct buf scratch; /* where a function makes its text */
	const char *why;
};

struct trun {
	struct template *t;
	const struct template_data *data;
	struct arena *arena;
	struct tvalue dot;
	struct tvalue vars[TEMPLATE_VARS];
};

int template__parse(struct template *t, const char *text, struct slots *slots,
		    struct syntax_error *ret_error);

/* NULL: not known. */
const struct tfunc *template_func__find(const char *name, size_t len);
/* Bounds of the number of arguments. */
void template_func__arity(const struct tfunc *f, size_t *ret_min, size_t *ret_max);
/* What a call of it needs besides its arguments and the regex: 0 or -ENOMEM. */
int template_func__prepare(struct expr *e);

/* Failing as Go would: always -EINVAL. `why` is static. */
int trun__fail(struct trun *r, const char *why);
bool tvalue__truth(const struct tvalue *v);

/* Appends; -E2BIG over TEMPLATE_TEXT_MAX. */
int tbuf__put(struct buf *b, const void *data, size_t len);
int tbuf__char(struct buf *b, char c, size_t times);
/* As Go's %v. `none` is what stands for no value. */
int tbuf__value(struct buf *b, const struct tvalue *v, const char *none);
/* As strconv's FormatFloat(number, format, precision, 64): format one of efgEFG, precision -1 the
 * shortest that reads back the same. */
int tbuf__float(struct buf *b, double number, char format, int precision);
/* As strconv.Quote. */
int tbuf__quote(struct buf *b, const char *text, size_t len);
/* As fmt.Sprintf. */
int tbuf__format(struct buf *b, const char *format, size_t len, const struct tvalue *args,
		 size_t n_args);

#endif
