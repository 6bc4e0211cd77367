/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pass over the bytes; a table says which patterns a byte can begin (or, the @ of an address,
 * give away), and each of them looks at a bounded stretch around it. No regular expressions: these
 * run on every line.
 */
#include "process/redact.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/util.h"

#define EMAIL_LOCAL_MAX 64
#define EMAIL_DOMAIN_MAX 253
#define CARD_MIN 13
#define CARD_MAX 19
#define V6_MAX 45
#define AWS_SECRET 40
#define BEARER_MIN 6
#define BEARER_LONG 20

const char *const redact__names[REDACT_PATTERNS + 1] = {
	[REDACT_EMAIL] = "email",     [REDACT_IPV4] = "ipv4", [REDACT_IPV6] = "ipv6",
	[REDACT_CARD] = "card",	      [REDACT_JWT] = "jwt",   [REDACT_BEARER] = "bearer",
	[REDACT_AWS_KEY] = "aws_key",
};

enum char_class {
	DIGIT = 1,
	ALPHA = 2,
	HEX = 4,
	LOCAL = 8,    /* of an email's local part */
	TOKEN = 16,   /* of a bearer token */
	BASE64U = 32, /* of a JWT */
	BASE64 = 64,  /* of an AWS secret */
};

#define ALNUM (DIGIT | ALPHA)
#define LETTER (ALPHA | LOCAL | TOKEN | BASE64U | BASE64)

static const uint8_t classes[256] = {
	['0' ... '9'] = DIGIT | HEX | LOCAL | TOKEN | BASE64U | BASE64,
	['a' ... 'f'] = LETTER | HEX,
	['g' ... 'z'] = LETTER,
	['A' ... 'F'] = LETTER | HEX,
	['G' ... 'Z'] = LETTER,
	['.'] = LOCAL | TOKEN,
	['_'] = LOCAL | TOKEN | BASE64U,
	['-'] = LOCAL | TOKEN | BASE64U,
	['%'] = LOCAL,
	['+'] = LOCAL | TOKEN | BASE64,
	['/'] = TOKEN | BASE64,
	['='] = TOKEN,
	['~'] = TOKEN,
	[0x80 ... 0xff] = LOCAL,
};

#define BIT(p) (1u << REDACT_##p)

static const uint8_t triggers[256] = {
	['@'] = BIT(EMAIL),
	['0' ... '9'] = BIT(IPV4) | BIT(IPV6) | BIT(CARD),
	[':'] = BIT(IPV6),
	['a'] = BIT(IPV6),
	['b'] = BIT(IPV6) | BIT(BEARER),
	['c' ... 'd'] = BIT(IPV6),
	['e'] = BIT(IPV6) | BIT(JWT),
	['f'] = BIT(IPV6),
	['A'] = BIT(IPV6) | BIT(AWS_KEY),
	['B'] = BIT(IPV6) | BIT(BEARER),
	['C' ... 'F'] = BIT(IPV6),
	['s'] = BIT(AWS_KEY),
	['S'] = BIT(AWS_KEY),
};

/* They begin a word. */
#define WORDS (BIT(IPV4) | BIT(IPV6) | BIT(CARD) | BIT(JWT) | BIT(BEARER))

struct text {
	const char *p;
	size_t len, from;
};

static bool is(const struct text *t, size_t at, unsigned class)
{
	return at < t->len && classes[(uint8_t)t->p[at]] & class;
}

/* As above, of the byte before `at`. */
static bool after(const struct text *t, size_t at, unsigned class)
{
	return at > 0 && is(t, at - 1, class);
}

static bool byte_is(const struct text *t, size_t at, char c)
{
	return at < t->len && t->p[at] == c;
}

/* Behind all that is of the class, at most `max` bytes. */
static size_t run(const struct text *t, size_t at, unsigned class, size_t max)
{
	size_t end = at;

	while (end - at < max && is(t, end, class))
		end++;
	return end;
}

static bool high(const struct text *t, size_t at)
{
	return at < t->len && t->p[at] & 0x80;
}

/* Where the local part of an @ begins; the @ itself: there is none. */
static size_t local_part(const struct text *t, size_t at)
{
	size_t start = at;

	while (start > t->from && at - start < EMAIL_LOCAL_MAX && after(t, start, LOCAL))
		start--;
	/* Not in the middle of a character. */
	while (start < at && (t->p[start] == '.' || ((uint8_t)t->p[start] & 0xc0) == 0x80))
		start++;
	return start;
}

/* A domain has a dot, and its last label begins with a letter. */
static bool email(const struct text *t, size_t at, struct redact_hit *hit)
{
	size_t start = local_part(t, at), end = 0, label = at + 1, p = at + 1;

	if (start == at)
		return false;
	for (; p - at <= EMAIL_DOMAIN_MAX; p++) {
		if (is(t, p, ALNUM) || high(t, p) || (byte_is(t, p, '-') && p > label))
			continue;
		if (label > at + 1 && p - label >= 2 && (is(t, label, ALPHA) || high(t, label)))
			end = p;
		if (!byte_is(t, p, '.') || p == label)
			break;
		label = p + 1;
	}
	while (end && t->p[end - 1] == '-')
		end--;
	*hit = (struct redact_hit){.start = start, .end = end};
	return end;
}

/* Four numbers up to 255, and no fifth one. */
static bool ipv4(const struct text *t, size_t at, struct redact_hit *hit)
{
	size_t p = at;

	if (after(t, at, ALNUM) || (at && t->p[at - 1] == '.'))
		return false;
	for (int i = 0; i < 4; i++) {
		size_t digits = p;
		unsigned number = 0;

		for (; p - digits < 3 && is(t, p, DIGIT); p++)
			number = number * 10 + (unsigned)(t->p[p] - '0');
		if (p == digits || number > 255)
			return false;
		if (i < 3 && !byte_is(t, p++, '.'))
			return false;
	}
	if (is(t, p, ALNUM) || byte_is(t, p, '@') || (byte_is(t, p, '.') && is(t, p + 1, DIGIT)))
		return false;
	*hit = (struct redact_hit){.start = at, .end = p};
	return true;
}

/* A colon before may be the end of what it is the address of: `peer:2001:db8::1`, but not the
 * middle of one that is none. */
static bool ipv6_starts(const struct text *t, size_t at)
{
	size_t word;

	if (after(t, at, ALNUM) || (at && t->p[at - 1] == '.'))
		return false;
	if (!at || t->p[at - 1] != ':')
		return true;
	for (word = at - 1; word && at - word < 7 && after(t, word, ALNUM); word--)
		if (!after(t, word, HEX))
			return true;
	return false;
}

/* What inet_pton takes and has a decimal digit in it: `std::dec` is none. */
static bool ipv6(const struct text *t, size_t at, struct redact_hit *hit)
{
	char copy[V6_MAX + 1];
	struct in6_addr address;
	bool digit = false;
	int colons = 0;
	size_t p;

	p = run(t, at, HEX, 5);
	if (p - at > 4 || !byte_is(t, p, ':') || (p == at && !byte_is(t, p + 1, ':')))
		return false;
	if (!ipv6_starts(t, at))
		return false;
	for (p = at;
	     p - at <= V6_MAX && (is(t, p, HEX) || byte_is(t, p, ':') || byte_is(t, p, '.')); p++) {
		digit |= is(t, p, DIGIT);
		colons += t->p[p] == ':';
	}
	if (colons < 2 || !digit || p - at > V6_MAX || is(t, p, ALNUM))
		return false;
	/* What ends a clause. */
	if (t->p[p - 1] == '.' || (t->p[p - 1] == ':' && t->p[p - 2] != ':'))
		p--;
	memcpy(copy, t->p + at, p - at);
	copy[p - at] = '\0';
	if (inet_pton(AF_INET6, copy, &address) != 1)
		return false;
	*hit = (struct redact_hit){.start = at, .end = p};
	return true;
}

static bool luhn(const uint8_t *digits, size_t n)
{
	unsigned sum = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned digit = digits[n - 1 - i];

		if (i % 2)
			digit = digit > 4 ? digit * 2 - 9 : digit * 2;
		sum += digit;
	}
	return sum % 10 == 0;
}

/* Somebody issues cards of `n` digits that begin so. */
static bool issued(const uint8_t *d, size_t n)
{
	unsigned two = d[0] * 10u + d[1], four = two * 100 + d[2] * 10u + d[3];

	if (d[0] == 4)
		return n == 13 || n == 16 || n == 19;
	if ((two >= 51 && two <= 55) || (four >= 2221 && four <= 2720))
		return n == 16;
	if (two == 34 || two == 37)
		return n == 15;
	if (two == 36 || two == 38 || two == 39 || (four >= 3000 && four <= 3059))
		return n == 14 || n == 16;
	return n >= 16 && (d[0] == 6 || two == 35 || two == 50 || (two >= 56 && two <= 58));
}

/* 13 to 19 digits, single spaces or hyphens among them, with a known issuer's first digits and
 * length and a right check digit. Not a part of a decimal number. */
static bool card(const struct text *t, size_t at, struct redact_hit *hit)
{
	uint8_t digits[CARD_MAX];
	size_t p = at, end = 0, n = 0;
	char separator = '\0';

	if (after(t, at, ALNUM) || (at && t->p[at - 1] == '.'))
		return false;
	while (n < CARD_MAX && is(t, p, DIGIT)) {
		digits[n++] = (uint8_t)(t->p[p++] - '0');
		if (is(t, p, DIGIT))
			continue;
		if (n >= CARD_MIN && !is(t, p, ALPHA) &&
		    !(byte_is(t, p, '.') && is(t, p + 1, DIGIT)) && issued(digits, n) &&
		    luhn(digits, n))
			end = p;
		if (!byte_is(t, p, ' ') && !byte_is(t, p, '-'))
			break;
		if (separator && t->p[p] != separator)
			break;
		separator = t->p[p++];
	}
	*hit = (struct redact_hit){.start = at, .end = end};
	return end;
}

/* Three parts of base64url, five when it is encrypted. The first one is an object: {" */
static bool jwt(const struct text *t, size_t at, struct redact_hit *hit)
{
	size_t p = at, end = 0;

	if (after(t, at, BASE64U) || t->len - at < 3 || memcmp(t->p + at, "eyJ", 3) != 0)
		return false;
	for (int part = 0; part < 5; part++) {
		size_t start = p;

		p = run(t, p, BASE64U, SIZE_MAX);
		if (part < 2 && p - start < 8)
			return false;
		/* An unsigned one ends in a point. */
		if (part == 2 || (part == 4 && p > start))
			end = p;
		if (!byte_is(t, p, '.'))
			break;
		p++;
	}
	*hit = (struct redact_hit){.start = at, .end = end};
	return end;
}

/* `Authorization`, and what stands between it and what it holds, ends at `at`. */
static bool authorization_before(const struct text *t, size_t at)
{
	static const char word[] = "authorization";
	size_t len = sizeof(word) - 1, gap = 0;

	while (at && gap++ < 8 && memchr(" \t\"':=\\", t->p[at - 1], 7))
		at--;
	return at >= len && strncasecmp(t->p + at - len, word, len) == 0;
}

/* The token behind the word: with a digit, or too long for a word, unless it is said that it is
 * one. */
static bool bearer(const struct text *t, size_t at, struct redact_hit *hit)
{
	size_t start = at + 6, end;
	bool plain = true;

	if (after(t, at, ALNUM) || t->len - at < 8 || strncasecmp(t->p + at, "bearer", 6) != 0 ||
	    t->p[start] != ' ')
		return false;
	while (byte_is(t, start, ' '))
		start++;
	end = run(t, start, TOKEN, SIZE_MAX);
	while (end > start && t->p[end - 1] == '.')
		end--;
	for (size_t i = start; i < end && plain; i++)
		plain = !is(t, i, DIGIT);
	if (end == start || (!authorization_before(t, at) &&
			     (end - start < BEARER_MIN || (plain && end - start < BEARER_LONG))))
		return false;
	*hit = (struct redact_hit){.start = start, .end = end};
	return true;
}

/* An access key's id. */
static bool aws_id(const struct text *t, size_t at, struct redact_hit *hit)
{
	static const char ids[][5] = {"AKIA", "ASIA", "ABIA", "ACCA"};
	bool known = false;

	if (after(t, at, ALNUM) || t->len - at < 20)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(ids) && !known; i++)
		known = memcmp(t->p + at, ids[i], 4) == 0;
	if (!known || is(t, at + 20, ALNUM))
		return false;
	for (size_t p = at + 4; p < at + 20; p++)
		if (!is(t, p, ALNUM) || (t->p[p] >= 'a' && t->p[p] <= 'z'))
			return false;
	*hit = (struct redact_hit){.start = at, .end = at + 20};
	return true;
}

/* The key of an id has no form of its own, only a name: `secret_access_key: "…"`,
 * `SecretAccessKey=…`. */
static bool aws_secret(const struct text *t, size_t at, struct redact_hit *hit)
{
	static const char *const words[] = {"secret", "access", "key"};
	size_t p = at, start;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		size_t len = strlen(words[i]);

		if (i && (byte_is(t, p, '_') || byte_is(t, p, '-') || byte_is(t, p, ' ')))
			p++;
		if (t->len - p < len || strncasecmp(t->p + p, words[i], len) != 0)
			return false;
		p += len;
	}
	for (start = p; p < t->len && p - start < 8 && memchr(" \t\"':=\\", t->p[p], 7);)
		p++;
	start = p;
	p = run(t, start, BASE64, AWS_SECRET + 1);
	if (p - start != AWS_SECRET)
		return false;
	*hit = (struct redact_hit){.start = start, .end = p};
	return true;
}

static bool aws_key(const struct text *t, size_t at, struct redact_hit *hit)
{
	return t->p[at] == 'A' ? aws_id(t, at, hit) : aws_secret(t, at, hit);
}

bool redact__find(unsigned patterns, const char *text, size_t len, size_t from,
		  struct redact_hit *ret)
{
	static bool (*const finders[REDACT_PATTERNS])(const struct text *, size_t,
						      struct redact_hit *) = {
		[REDACT_EMAIL] = email,	    [REDACT_IPV4] = ipv4, [REDACT_IPV6] = ipv6,
		[REDACT_CARD] = card,	    [REDACT_JWT] = jwt,	  [REDACT_BEARER] = bearer,
		[REDACT_AWS_KEY] = aws_key,
	};
	struct text t = {.p = text, .len = len, .from = from};

	for (size_t at = from; at < len; at++) {
		unsigned candidates = triggers[(uint8_t)text[at]] & patterns;

		/* Most bytes of a line are in the middle of a word. */
		if (candidates & WORDS && after(&t, at, ALNUM))
			candidates &= ~WORDS;
		for (; candidates; candidates &= candidates - 1) {
			int pattern = __builtin_ctz(candidates);

			if (!finders[pattern](&t, at, ret))
				continue;
			ret->pattern = (enum redact_pattern)pattern;
			return true;
		}
	}
	return false;
}
