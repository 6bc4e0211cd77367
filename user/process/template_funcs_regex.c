/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions of regular expressions, and digests: what they need besides their arguments is made
 * once, when the template is parsed (template_func__prepare).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "process/template_funcs.h"

static int match_from(struct trun *r, const struct expr *e, const struct tvalue *text, size_t start,
		      const struct regex_span **ret_spans)
{
	int found = regex__match(e->regex, text->text, text->len, start, ret_spans);

	return found == -EINVAL ? trun__fail(r, "a regular expression failed") : found;
}

/* Of a replacement that is no constant: it is read for each run. */
static int expand_once(const struct expr *e, const struct tvalue *with,
		       const struct regex_span *spans, struct buf *b)
{
	struct expand *expand;
	_free_ char *text = strndup(with->text, with->len);
	int err;

	if (!text)
		return -ENOMEM;
	err = expand__new(&expand, text, e->regex);
	if (err)
		return err;
	err = expand__append(expand, spans, b);
	expand__free(expand);
	return err;
}

static int put_replacement(const struct expr *e, const struct tvalue *with,
			   const struct regex_span *spans, struct buf *b)
{
	int err;

	if (e->func->number)
		return put_text(b, with);
	err = e->expand ? expand__append(e->expand, spans, b) : expand_once(e, with, spans, b);
	return err || b->len <= TEMPLATE_TEXT_MAX ? err : -E2BIG;
}

/* With number 1 the replacement is taken as it stands. An empty match right behind another is
 * none. */
CALL(call_regex_replace)
{
	const struct tvalue *text = &args[1];
	const struct regex_span *m;
	size_t done = 0, from = 0, last = SIZE_MAX;
	struct buf *b = scratch(r);
	int err = 0, found = 0;

	while (!err && from <= text->len) {
		size_t at, end;

		found = match_from(r, e, text, from, &m);
		if (found <= 0)
			break;
		at = (size_t)(m[0].text - text->text);
		end = at + m[0].len;
		if (m[0].len || end != last) {
			err = tbuf__put(b, text->text + done, at - done);
			if (!err)
				err = put_replacement(e, &args[2], m, b);
			done = end;
		}
		last = end;
		from = end;
		if (!m[0].len)
			from += end < text->len ? MAX(utf8__sequence(text->text + end,
								     text->text + text->len),
						      1)
						: 1;
	}
	if (found < 0)
		return found;
	return give_scratch(r, err ?: tbuf__put(b, text->text + done, text->len - done), ret);
}

CALL(call_regex_match)
{
	const struct regex_span *m;
	int found = match_from(r, e, &args[1], 0, &m);

	return found < 0 ? found : give_bool(ret, found);
}

CALL(call_regex_find)
{
	const struct regex_span *m;
	int found = match_from(r, e, &args[1], 0, &m);

	if (found <= 0)
		return found ?: give_part(ret, "", 0);
	return give_part(ret, m[0].text, m[0].len);
}

CALL(call_quote_meta)
{
	struct buf *b = scratch(r);
	int err = 0;

	for (size_t i = 0; i < args[0].len && !err; i++) {
		char c = args[0].text[i];

		if (c && strchr("\\.+*?()|[]{}^$", c))
			err = tbuf__char(b, '\\', 1);
		if (!err)
			err = tbuf__char(b, c, 1);
	}
	return give_scratch(r, err, ret);
}

enum { HASH_SHA3, HASH_SHA256, HASH_SHA1, HASH_SHA512 };

/* All arguments in a row: the salt of Hash comes first. */
CALL(call_hash)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	char *text;

	if (!EVP_DigestInit_ex2(e->md_ctx, e->md, NULL))
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (!EVP_DigestUpdate(e->md_ctx, args[i].text, args[i].len))
			return -ENOMEM;
	if (!EVP_DigestFinal_ex(e->md_ctx, digest, &len))
		return -ENOMEM;
	text = arena__alloc(r->arena, 2 * len + 1);
	if (!text)
		return -ENOMEM;
	for (unsigned i = 0; i < len; i++)
		snprintf(text + 2 * i, 3, "%02x", digest[i]);
	return give_part(ret, text, 2 * len);
}

const struct tfunc template_funcs_regex[] = {
	{"Hash", "ss", call_hash, HASH_SHA3},
	{"Sha2Hash", "ss", call_hash, HASH_SHA256},
	{"regexReplaceAll", "rss", call_regex_replace, 0},
	{"regexReplaceAllLiteral", "rss", call_regex_replace, 1},
	{"sha1sum", "s", call_hash, HASH_SHA1},
	{"sha256sum", "s", call_hash, HASH_SHA256},
	{"sha512sum", "s", call_hash, HASH_SHA512},
	{"regexMatch", "rs", call_regex_match, 0},
	{"mustRegexMatch", "rs", call_regex_match, 0},
	{"regexFind", "rs", call_regex_find, 0},
	{"mustRegexFind", "rs", call_regex_find, 0},
	{"mustRegexReplaceAll", "rss", call_regex_replace, 0},
	{"mustRegexReplaceAllLiteral", "rss", call_regex_replace, 1},
	{"regexQuoteMeta", "s", call_quote_meta, 0},
	{0},
};

int template_func__prepare(struct expr *e)
{
	static const char *const hashes[] = {
		[HASH_SHA3] = "SHA3-256",
		[HASH_SHA256] = "SHA256",
		[HASH_SHA1] = "SHA1",
		[HASH_SHA512] = "SHA512",
	};

	if (e->func->call == call_regex_replace && e->args[2]->kind == EXPR_LITERAL)
		return expand__new(&e->expand, e->args[2]->literal.text, e->regex);
	if (e->func->call != call_hash)
		return 0;
	e->md = EVP_MD_fetch(NULL, hashes[e->func->number], NULL);
	e->md_ctx = EVP_MD_CTX_new();
	return e->md && e->md_ctx ? 0 : -ENOMEM;
}
