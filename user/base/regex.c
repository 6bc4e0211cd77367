/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subjects are matched as Go does: as characters, each byte that is no part of valid UTF-8 being
 * one U+FFFD. PCRE2_MATCH_INVALID_UTF would let nothing match such a byte, not even `.*`, and
 * without PCRE2_UTF a dot would be half a character; so a subject that is not valid UTF-8 is copied
 * with its U+FFFD written out, matched, and the spans are taken back to the subject. It is rare;
 * what is not rare is ASCII, for which a pattern that speaks of ASCII only is compiled a second
 * time without PCRE2_UTF, which is faster.
 *
 * The limit is by count, not by time: the same subject always has the same answer. PCRE2's JIT
 * counts from each start anew, and each count may cost as much as the subject is long, so that long
 * subjects have less.
 */
#define PCRE2_CODE_UNIT_WIDTH 8

#include "base/regex.h"

#include <errno.h>
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "base/regex_syntax.h"
#include "base/util.h"

#define MATCH_LIMIT 100000u
#define MATCH_LIMIT_MIN 10000u
#define FULL_LIMIT_BYTES 8192u /* longer subjects have less */
#define STACK_MIN (32u * 1024)
#define STACK_MAX (1024u * 1024)
#define REPLACEMENT "\xef\xbf\xbd"

enum subject_kind { SUBJECT_NONE, SUBJECT_ASCII, SUBJECT_UTF8, SUBJECT_INVALID };

struct regex {
	struct regex_syntax syntax;
	pcre2_code *utf;
	pcre2_code *ascii; /* NULL: none */
	pcre2_match_data *data;
	pcre2_match_context *context;
	pcre2_jit_stack *stack; /* made when the machine's was not enough */
	struct regex_span *spans;
	uint64_t limited;
	uint32_t limit;

	/* The last subject: matching goes on in it without looking at all of it again. */
	const char *subject;
	size_t len;
	enum subject_kind kind;
	struct buf fixed; /* of an invalid one */
	size_t *places;	  /* in `fixed`, of the bytes that were replaced */
	size_t n_places, room;
};

static int compile(const struct regex *re, uint32_t options, bool anchored, pcre2_code **ret,
		   struct regex_error *ret_error)
{
	pcre2_compile_context *context = pcre2_compile_context_create(NULL);
	_buf_ struct buf text = {0};
	PCRE2_SIZE offset;
	int err, code;

	if (!context)
		return -ENOMEM;
	pcre2_set_newline(context, PCRE2_NEWLINE_LF);
	err = buf__append_str(&text, anchored ? "\\A(?s:" : "");
	if (!err && re->syntax.out.len)
		err = buf__append(&text, re->syntax.out.data, re->syntax.out.len);
	if (!err)
		err = buf__append_str(&text, anchored ? ")\\z" : "");
	if (!err) {
		*ret = pcre2_compile((PCRE2_SPTR)(text.len ? text.data : ""), text.len,
				     options | PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_CIRCUMFLEX |
					     PCRE2_NEVER_BACKSLASH_C,
				     &code, &offset, context);
		if (!*ret) {
			ret_error->offset = 0;
			if (pcre2_get_error_message(code, (PCRE2_UCHAR *)ret_error->text,
						    sizeof(ret_error->text)) < 0)
				snprintf(ret_error->text, sizeof(ret_error->text), "error %d",
					 code);
			err = code == PCRE2_ERROR_HEAP_FAILED ? -ENOMEM : -EINVAL;
		} else {
			/* Where the JIT is not to be had, PCRE2 interprets. */
			pcre2_jit_compile(*ret, PCRE2_JIT_COMPLETE);
		}
	}
	pcre2_compile_context_free(context);
	return err;
}

static int compile_all(struct regex *re, bool anchored, struct regex_error *ret_error)
{
	struct regex_error ignored;
	int err = compile(re, PCRE2_UTF, anchored, &re->utf, ret_error);

	if (err)
		return err;
	if (re->syntax.ascii && compile(re, 0, anchored, &re->ascii, &ignored) != 0)
		re->ascii = NULL;
	re->data = pcre2_match_data_create_from_pattern(re->utf, NULL);
	re->context = pcre2_match_context_create(NULL);
	re->spans = calloc(re->syntax.n_groups + 1, sizeof(*re->spans));
	return re->data && re->context && re->spans ? 0 : -ENOMEM;
}

int regex__new(struct regex **ret, const char *pattern, bool anchored,
	       struct regex_error *ret_error)
{
	struct regex *re = calloc(1, sizeof(*re));
	int err;

	if (!re)
		return -ENOMEM;
	re->limit = MATCH_LIMIT;
	err = regex_syntax__translate(&re->syntax, pattern, ret_error);
	if (!err)
		err = compile_all(re, anchored, ret_error);
	if (err) {
		regex__free(re);
		return err;
	}
	*ret = re;
	return 0;
}

void regex__free(struct regex *re)
{
	if (!re)
		return;
	pcre2_code_free(re->utf);
	pcre2_code_free(re->ascii);
	pcre2_match_data_free(re->data);
	pcre2_match_context_free(re->context);
	pcre2_jit_stack_free(re->stack);
	regex_syntax__free(&re->syntax);
	buf__free(&re->fixed);
	free(re->places);
	free(re->spans);
	free(re);
}

size_t regex__groups(const struct regex *re)
{
	return re->syntax.n_groups;
}

const char *regex__group_name(const struct regex *re, size_t group)
{
	return group && group <= re->syntax.n_groups ? re->syntax.names[group - 1] : "";
}

void regex__limit(struct regex *re, uint32_t limit)
{
	re->limit = limit;
}

static size_t code_size(const pcre2_code *code)
{
	size_t size = 0, jit = 0;

	if (!code)
		return 0;
	pcre2_pattern_info(code, PCRE2_INFO_SIZE, &size);
	pcre2_pattern_info(code, PCRE2_INFO_JITSIZE, &jit);
	return size + jit;
}

size_t regex__size(const struct regex *re)
{
	return sizeof(*re) + code_size(re->utf) + code_size(re->ascii);
}

uint64_t regex__limited(const struct regex *re)
{
	return re->limited;
}

static bool ascii(const char *data, size_t len)
{
	uint64_t word, all = 0;
	unsigned char rest = 0;
	size_t i = 0;

	for (; i + sizeof(word) <= len; i += sizeof(word)) {
		memcpy(&word, data + i, sizeof(word));
		all |= word;
	}
	for (; i < len; i++)
		rest |= (unsigned char)data[i];
	return !(all & 0x8080808080808080) && rest < 0x80;
}

static int add_place(struct regex *re, size_t place)
{
	if (re->n_places == re->room) {
		size_t room = MAX(2 * re->room, 16);
		size_t *grown = reallocarray(re->places, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		re->places = grown;
		re->room = room;
	}
	re->places[re->n_places++] = place;
	return 0;
}

static int fix(struct regex *re, const char *subject, size_t len)
{
	const char *end = subject + len;
	int err = 0;

	re->fixed.len = 0;
	re->n_places = 0;
	for (const char *p = subject; p < end && !err;) {
		size_t n = utf8__sequence(p, end);

		if (n) {
			err = buf__append(&re->fixed, p, n);
		} else {
			err = add_place(re, re->fixed.len);
			if (!err)
				err = buf__append_str(&re->fixed, REPLACEMENT);
		}
		p += MAX(n, 1);
	}
	return err;
}

/* From an offset in `fixed` to one in the subject, and back. */
static size_t to_subject(const struct regex *re, size_t offset)
{
	size_t low = 0, high = re->n_places;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (re->places[mid] < offset)
			low = mid + 1;
		else
			high = mid;
	}
	return offset - 2 * low;
}

static size_t to_fixed(const struct regex *re, size_t offset)
{
	size_t low = 0, high = re->n_places;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (re->places[mid] - 2 * mid < offset)
			low = mid + 1;
		else
			high = mid;
	}
	return offset + 2 * low;
}

static int look_at(struct regex *re, const char *subject, size_t len)
{
	int err = 0;

	re->subject = subject;
	re->len = len;
	if (ascii(subject, len))
		re->kind = SUBJECT_ASCII;
	else if (utf8__valid(subject, len))
		re->kind = SUBJECT_UTF8;
	else
		re->kind = SUBJECT_INVALID;
	if (re->kind == SUBJECT_INVALID)
		err = fix(re, subject, len);
	if (err)
		re->kind = SUBJECT_NONE;
	return err;
}

static int match(struct regex *re, const pcre2_code *code, const char *text, size_t len,
		 size_t start)
{
	uint64_t limit = re->limit;
	int n;

	if (len > FULL_LIMIT_BYTES)
		limit = MIN(limit, MAX(limit * FULL_LIMIT_BYTES / len, MATCH_LIMIT_MIN));
	pcre2_set_match_limit(re->context, (uint32_t)limit);
	/* Where text is valid, and start at a character. */
	n = pcre2_match(code, (PCRE2_SPTR)text, len, start, PCRE2_NO_UTF_CHECK, re->data,
			re->context);
	if (n == PCRE2_ERROR_JIT_STACKLIMIT && !re->stack) {
		re->stack = pcre2_jit_stack_create(STACK_MIN, STACK_MAX, NULL);
		if (re->stack) {
			pcre2_jit_stack_assign(re->context, NULL, re->stack);
			n = pcre2_match(code, (PCRE2_SPTR)text, len, start, PCRE2_NO_UTF_CHECK,
					re->data, re->context);
		}
	}
	return n;
}

static void take_spans(struct regex *re, size_t n)
{
	const PCRE2_SIZE *at = pcre2_get_ovector_pointer(re->data);

	for (size_t i = 0; i <= re->syntax.n_groups; i++) {
		size_t from, to;

		if (i >= n || at[2 * i] == PCRE2_UNSET) {
			re->spans[i] = (struct regex_span){0};
			continue;
		}
		from = at[2 * i];
		to = at[2 * i + 1];
		if (re->kind == SUBJECT_INVALID) {
			from = to_subject(re, from);
			to = to_subject(re, to);
		}
		re->spans[i] = (struct regex_span){.text = re->subject + from, .len = to - from};
	}
}

int regex__match(struct regex *re, const char *subject, size_t len, size_t start,
		 const struct regex_span **ret_spans)
{
	const pcre2_code *code = re->utf;
	const char *text = subject;
	int n;

	if (start > len)
		return 0;
	if (!subject)
		subject = text = ""; /* a span's NULL is another thing */
	if (!start || re->kind == SUBJECT_NONE || subject != re->subject || len != re->len) {
		if (look_at(re, subject, len) != 0)
			return -ENOMEM;
	}
	if (re->kind == SUBJECT_ASCII && re->ascii)
		code = re->ascii;
	if (re->kind == SUBJECT_INVALID) {
		text = re->fixed.data;
		len = re->fixed.len;
		start = to_fixed(re, start);
	}
	while (start < len && ((unsigned char)text[start] & 0xc0) == 0x80)
		start++;
	n = match(re, code, text, len, start);
	if (n == PCRE2_ERROR_NOMATCH)
		return 0;
	if (n <= 0) {
		re->limited++;
		return -EOVERFLOW;
	}
	take_spans(re, (size_t)n);
	*ret_spans = re->spans;
	return 1;
}
