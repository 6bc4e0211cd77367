/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The growing buffer, and the two loops over every byte of log at --stdout: JSON escaping and the
 * check for UTF-8. Both go by blocks: a block without a byte that matters costs one load, one test
 * and one store, 16 bytes at a time with SSE2, then 8 in a register. Escaping resumes with a block
 * right behind the escaped byte, so that a line of many quotes stays fast.
 *
 * The block loops store a whole block before they know how much of it counts. That is why the
 * output always has room for all that is left of the input and one block more.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/buf.h"

#define MIN_SIZE 64
#define WORD 8
#define READ_BYTES 4096
#define ESCAPE_MAX 6 /* \u00XX */
#define SLACK (16 + ESCAPE_MAX)

#define ONES 0x0101010101010101ull
#define HIGHS 0x8080808080808080ull

void buf__free(struct buf *b)
{
	free(b->data);
	*b = (struct buf){0};
}

/* The rare part of buf__reserve, which every appended byte goes through. */
int buf__grow(struct buf *b, size_t more)
{
	size_t need, size;
	char *data;

	if (__builtin_add_overflow(b->len, more, &need) || need > PTRDIFF_MAX)
		return -ENOMEM;
	size = MAX(b->size, MIN_SIZE);
	while (size < need)
		size = size > PTRDIFF_MAX / 2 ? need : size * 2;
	data = realloc(b->data, size);
	if (!data)
		return -ENOMEM;
	b->data = data;
	b->size = size;
	return 0;
}

int buf__append(struct buf *b, const void *data, size_t len)
{
	int err;

	if (!len)
		return 0;
	err = buf__reserve(b, len);
	if (err)
		return err;
	memcpy(b->data + b->len, data, len);
	b->len += len;
	return 0;
}

int buf__append_str(struct buf *b, const char *s)
{
	return buf__append(b, s, strlen(s));
}

int buf__printf(struct buf *b, const char *fmt, ...)
{
	va_list args;
	int len, err;

	va_start(args, fmt);
	len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (len < 0)
		return -ENOMEM;
	err = buf__reserve(b, (size_t)len + 1);
	if (err)
		return err;
	va_start(args, fmt);
	vsnprintf(b->data + b->len, (size_t)len + 1, fmt, args);
	va_end(args);
	b->len += (size_t)len;
	return 0;
}

/* 0: plain; 'u': \u00XX; else the letter behind the backslash. */
static const char escapes[256] = {
	['\b'] = 'b',  ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r', ['"'] = '"',
	['\\'] = '\\', [0] = 'u',    [1] = 'u',	   [2] = 'u',	 [3] = 'u',    [4] = 'u',
	[5] = 'u',     [6] = 'u',    [7] = 'u',	   [11] = 'u',	 [14] = 'u',   [15] = 'u',
	[16] = 'u',    [17] = 'u',   [18] = 'u',   [19] = 'u',	 [20] = 'u',   [21] = 'u',
	[22] = 'u',    [23] = 'u',   [24] = 'u',   [25] = 'u',	 [26] = 'u',   [27] = 'u',
	[28] = 'u',    [29] = 'u',   [30] = 'u',   [31] = 'u',
};

static uint64_t load_word(const char *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	word = __builtin_bswap64(word);
#endif
	return word;
}

/* The top bit of each byte that is zero. A borrow may mark a byte above a true one, never the
 * lowest mark. */
static uint64_t zero_bytes(uint64_t word)
{
	return (word - ONES) & ~word & HIGHS;
}

/* Lowest mark: the first byte to escape, or (high) over 0x7f. */
static uint64_t word_marks(uint64_t word, bool high)
{
	uint64_t marks = zero_bytes(word ^ (ONES * '"')) | zero_bytes(word ^ (ONES * '\\')) |
			 ((word - ONES * 0x20) & ~word & HIGHS);

	return high ? marks | (word & HIGHS) : marks;
}

/* Copies the plain bytes at the front of [p, end) and returns how many they are. */
static inline size_t copy_plain(char *out, const char *p, const char *end, bool high)
{
	const char *start = p;

#ifdef __SSE2__
	const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
	const __m128i control = _mm_set1_epi8(0x1f);

	while (end - p >= 16) {
		__m128i block = _mm_loadu_si128((const __m128i *)p);
		__m128i hit =
			_mm_or_si128(_mm_cmpeq_epi8(block, quote), _mm_cmpeq_epi8(block, slash));
		unsigned mask;

		hit = _mm_or_si128(hit, _mm_cmpeq_epi8(_mm_min_epu8(block, control), block));
		if (high)
			hit = _mm_or_si128(hit, block);
		mask = (unsigned)_mm_movemask_epi8(hit);
		_mm_storeu_si128((__m128i *)out, block);
		if (mask)
			return (size_t)(p - start) + (size_t)__builtin_ctz(mask);
		p += 16;
		out += 16;
	}
#endif
	while (end - p >= WORD) {
		uint64_t marks = word_marks(load_word(p), high);

		memcpy(out, p, WORD);
		if (marks)
			return (size_t)(p - start) + (size_t)__builtin_ctzll(marks) / 8;
		p += WORD;
		out += WORD;
	}
	while (p < end && !escapes[(uint8_t)*p] && !(high && *p & 0x80))
		*out++ = *p++;
	return (size_t)(p - start);
}

static char *put_escape(char *out, uint8_t c)
{
	static const char hex[] = "0123456789abcdef";

	*out++ = '\\';
	*out++ = escapes[c];
	if (escapes[c] == 'u') {
		*out++ = '0';
		*out++ = '0';
		*out++ = hex[c >> 4];
		*out++ = hex[c & 15];
	}
	return out;
}

/*
 * Bytes of the sequence at p, 0 when it is none: RFC 3629's table. Only the second byte's range
 * depends on the first; that is where overlong forms, surrogates and what lies over U+10FFFF fall
 * out.
 */
static inline size_t utf8_sequence(const char *p, const char *end)
{
	const uint8_t *s = (const uint8_t *)p;
	size_t left = (size_t)(end - p);
	uint8_t low = 0x80, high = 0xbf;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xe0)
		return s[0] >= 0xc2 && left >= 2 && (s[1] & 0xc0) == 0x80 ? 2 : 0;
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	if (left < 3 || s[1] < low || s[1] > high || (s[2] & 0xc0) != 0x80)
		return 0;
	if (s[0] < 0xf0)
		return 3;
	return s[0] <= 0xf4 && left >= 4 && (s[3] & 0xc0) == 0x80 ? 4 : 0;
}

static inline int append_json(struct buf *b, const char *p, size_t len, bool check)
{
	size_t at = b->len, n; /* b->len moves when all of it is there */
	const char *end;
	int err;

	if (!len)
		return 0; /* of nothing, p may be NULL */
	end = p + len;
	err = buf__reserve(b, len + SLACK);
	while (!err) {
		n = copy_plain(b->data + at, p, end, check);
		at += n;
		p += n;
		if (p == end) {
			b->len = at;
			return 0;
		}
		while (check && p < end && *p & 0x80) {
			n = utf8_sequence(p, end);
			if (!n)
				return -EILSEQ;
			for (; n; n--)
				b->data[at++] = *p++;
		}
		if (p < end && escapes[(uint8_t)*p]) {
			at = (size_t)(put_escape(b->data + at, (uint8_t)*p++) - b->data);
			if (b->size - at < (size_t)(end - p) + SLACK)
				err = buf__reserve(b, at - b->len + (size_t)(end - p) + SLACK);
		}
	}
	return err;
}

int buf__append_json(struct buf *b, const char *data, size_t len)
{
	return append_json(b, data, len, false);
}

int buf__append_json_utf8(struct buf *b, const char *data, size_t len)
{
	return append_json(b, data, len, true);
}

size_t utf8__sequence(const char *p, const char *end)
{
	return utf8_sequence(p, end);
}

size_t utf8__encode(uint32_t code, char *ret)
{
	size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	static const uint8_t first[] = {0, 0, 0xc0, 0xe0, 0xf0};

	for (size_t i = n - 1; i; i--, code >>= 6)
		ret[i] = (char)(0x80 | (code & 0x3f));
	ret[0] = (char)(first[n] | code);
	return n;
}

bool utf8__valid(const char *data, size_t len)
{
	const char *p = data, *end = data + len;
	size_t n;

	while (p < end) {
		while (end - p >= 2 * WORD && !((load_word(p) | load_word(p + WORD)) & HIGHS))
			p += 2 * WORD;
		/* A block's worth by hand, so that text of another script does not try for a block
		 * at each character. */
		for (const char *stop = p + MIN(end - p, 2 * WORD); p < stop; p += n) {
			n = utf8_sequence(p, end);
			if (!n)
				return false;
		}
	}
	return true;
}

void utf8__clean(char *data, size_t len)
{
	char *end = data + len;
	size_t n;

	for (char *p = data; p < end; p += n) {
		n = utf8_sequence(p, end);
		if (!n) {
			*p = '?';
			n = 1;
		}
	}
}

int buf__read_file(struct buf *b, const char *path, size_t max_bytes)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	size_t begin = b->len;
	ssize_t n;
	int err;

	if (fd < 0)
		return -errno;
	do {
		err = buf__reserve(b, READ_BYTES);
		if (err)
			return err;
		n = read(fd, b->data + b->len, b->size - b->len);
		if (n < 0)
			return -errno;
		b->len += (size_t)n;
		if (b->len - begin > max_bytes)
			return -EFBIG;
	} while (n);
	return 0;
}

int buf__append_base64(struct buf *b, const void *data, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *p = data;
	char *out;
	int err;

	err = buf__reserve(b, len / 3 * 4 + 4);
	if (err)
		return err;
	out = b->data + b->len;
	for (; len >= 3; p += 3, len -= 3) {
		*out++ = digits[p[0] >> 2];
		*out++ = digits[(p[0] & 3) << 4 | p[1] >> 4];
		*out++ = digits[(p[1] & 15) << 2 | p[2] >> 6];
		*out++ = digits[p[2] & 63];
	}
	if (len) {
		uint8_t second = len == 2 ? p[1] : 0;

		*out++ = digits[p[0] >> 2];
		*out++ = digits[(p[0] & 3) << 4 | second >> 4];
		*out++ = len == 2 ? digits[(second & 15) << 2] : '=';
		*out++ = '=';
	}
	b->len = (size_t)(out - b->data);
	return 0;
}
