/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 64 bytes at a time, a bit for each: where the quotes are that no backslash precedes, from which
 * follows what is inside strings, and the brackets that are not. Brackets are only counted unless
 * the object may end among these bytes. As simdjson's first stage, but with what every processor
 * has. A backslash outside strings, where none may be, counts as one within.
 */
#include "base/json_scan.h"

#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define BLOCK 64

struct block {
	uint64_t quotes, backslashes, opening, closing;
};

#ifdef __SSE2__

static uint64_t where(const __m128i bytes[4], char c)
{
	const __m128i wanted = _mm_set1_epi8(c);

#define PART(i) (uint64_t)(uint16_t) _mm_movemask_epi8(_mm_cmpeq_epi8(bytes[i], wanted)) << i * 16
	return PART(0) | PART(1) | PART(2) | PART(3);
#undef PART
}

static void classify(const char *p, struct block *b)
{
	const __m128i fold = _mm_set1_epi8(0x20);
	const __m128i *at = (const __m128i *)(const void *)p;
	__m128i bytes[4] = {_mm_loadu_si128(at), _mm_loadu_si128(at + 1), _mm_loadu_si128(at + 2),
			    _mm_loadu_si128(at + 3)};

	b->quotes = where(bytes, '"');
	b->backslashes = where(bytes, '\\');
	/* [ and ] become { and }, and no other byte does. */
	for (int i = 0; i < 4; i++)
		bytes[i] = _mm_or_si128(bytes[i], fold);
	b->opening = where(bytes, '{');
	b->closing = where(bytes, '}');
}

#else

#define EACH 0x0101010101010101ull
#define LOW7 0x7f7f7f7f7f7f7f7full

/* A bit for each of 8 bytes, the first byte's the lowest. */
static uint64_t where(uint64_t bytes, char c)
{
	uint64_t other = bytes ^ EACH * (unsigned char)c;
	uint64_t equal = ~((((other & LOW7) + LOW7) | other) | LOW7);

	return ((equal >> 7) * 0x0102040810204080ull) >> 56;
}

static void classify(const char *p, struct block *b)
{
	*b = (struct block){0};
	for (int i = 0; i < BLOCK; i += 8) {
		uint64_t bytes;

		memcpy(&bytes, p + i, sizeof(bytes));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
		bytes = __builtin_bswap64(bytes);
#endif
		b->quotes |= where(bytes, '"') << i;
		b->backslashes |= where(bytes, '\\') << i;
		b->opening |= where(bytes | EACH * 0x20, '{') << i;
		b->closing |= where(bytes | EACH * 0x20, '}') << i;
	}
}

#endif

/* The bytes that a backslash precedes which none precedes itself. */
static uint64_t find_escaped(uint64_t backslashes, bool *escaped)
{
	const uint64_t even = 0x5555555555555555ull;
	uint64_t first = *escaped, after, odd_starts, carried;

	if (!backslashes) {
		*escaped = false;
		return first;
	}
	backslashes &= ~first;
	after = backslashes << 1 | first;
	odd_starts = backslashes & ~even & ~after;
	*escaped = __builtin_add_overflow(odd_starts, backslashes, &carried);
	return (even ^ carried << 1) & after;
}

/* Each bit: whether there is an odd number of them up to it. */
static uint64_t parity(uint64_t bits)
{
	for (int shift = 1; shift < 64; shift *= 2)
		bits ^= bits << shift;
	return bits;
}

/* The processors that have an instruction for it are not all. */
static unsigned population(uint64_t bits)
{
	bits -= bits >> 1 & 0x5555555555555555ull;
	bits = (bits & 0x3333333333333333ull) + (bits >> 2 & 0x3333333333333333ull);
	bits = (bits + (bits >> 4)) & 0x0f0f0f0f0f0f0f0full;
	return (unsigned)(bits * 0x0101010101010101ull >> 56);
}

/* The length up to the bracket that closes the last; 0: none does. */
static size_t count(struct json_scan *s, uint64_t opening, uint64_t closing)
{
	unsigned n = population(closing);

	if (n < s->depth) {
		s->depth += population(opening) - n;
		return 0;
	}
	for (uint64_t all = opening | closing; all; all &= all - 1) {
		s->depth += opening & all & -all ? 1 : -1;
		if (s->depth == 0)
			return (size_t)__builtin_ctzll(all) + 1;
	}
	return 0;
}

/* `len` bytes of a block count. As json_scan__feed, but 0: it does not end here. */
static size_t scan_block(struct json_scan *s, const char *p, size_t len)
{
	bool was_in_string = s->in_string, escaped = s->escaped;
	uint64_t escapes, inside;
	struct block b;
	size_t end;

	classify(p, &b);
	escapes = find_escaped(b.backslashes, &escaped);
	inside = parity(b.quotes & ~escapes) ^ (was_in_string ? UINT64_MAX : 0);
	end = count(s, b.opening & ~inside, b.closing & ~inside);
	if (end) {
		s->in_string = s->escaped = false;
		return end;
	}
	s->in_string = inside >> (len < BLOCK ? len : BLOCK - 1) & 1;
	s->escaped = len < BLOCK ? escapes >> len & 1 : escaped;
	return 0;
}

size_t json_scan__feed(struct json_scan *s, const char *data, size_t len)
{
	char last[BLOCK];
	size_t at, end;

	for (at = 0; len - at >= BLOCK; at += BLOCK) {
		end = scan_block(s, data + at, BLOCK);
		if (end)
			return at + end;
	}
	if (at == len)
		return len;
	memset(last, ' ', sizeof(last));
	memcpy(last, data + at, len - at);
	end = scan_block(s, last, len - at);
	return end ? at + end : len;
}
