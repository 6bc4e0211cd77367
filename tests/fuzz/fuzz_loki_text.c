/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts of a Loki, or of what says that it is one, about a request of six entries in two
 * streams: what is made of them is a part of the request, and what is dropped, taken and kept adds
 * up.
 */
#include <snappy-c.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sink/loki_repair.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok)
		abort();
}

/* A length-delimited field; lengths have two bytes. */
static void put(struct buf *out, unsigned field, const void *data, size_t len)
{
	const char head[] = {(char)(field << 3 | 2), (char)(len | 0x80), (char)(len >> 7)};

	check(len < 1 << 14 && !buf__append(out, head, 3) && !buf__append(out, data, len));
}

/* At 2026-11-14T04:40:08Z and so many seconds (below 8). */
static void put_entry(struct buf *out, unsigned second, size_t len, bool pair)
{
	static const char metadata[] = "\x0a\x01p\x12\x01v";
	char stamp[] = "\x08\xa8\xcc\xdf\xd7\x06", line[2000];
	_buf_ struct buf entry = {0};

	stamp[1] = (char)(stamp[1] + second);
	memset(line, 'x', len);
	put(&entry, 1, stamp, 6);
	put(&entry, 2, line, len);
	if (pair)
		put(&entry, 3, metadata, 6);
	put(out, 2, entry.data, entry.len);
}

static void open_request(struct request *r)
{
	_buf_ struct buf web = {0}, other = {0}, raw = {0}, packed = {0};
	size_t packed_len;

	put(&web, 1, "{container=\"web\"}", 17);
	for (size_t i = 0; i < 4; i++)
		put_entry(&web, 0, i == 3 ? 2000 : i, false);
	put(&other, 1, "{a=\"b\"}", 7);
	for (unsigned i = 0; i < 2; i++)
		put_entry(&other, i + 1, 10, true);
	put(&raw, 1, web.data, web.len);
	put(&raw, 1, other.data, other.len);
	packed_len = snappy_max_compressed_length(raw.len);
	check(!buf__reserve(&packed, packed_len));
	check(!snappy_compress(raw.data, raw.len, packed.data, &packed_len));
	check(!request__open(r, packed.data, packed_len, raw.len));
	check(r->n_entries == 6 && r->n_streams == 2);
}

static size_t lines_of(const struct loki_repair *repair, enum loki_mark mark)
{
	struct loki_part part = {0};
	size_t lines;

	check(!loki_repair__seal(repair, mark, &part));
	lines = part.sealed.lines;
	check(!lines == !part.n_streams);
	loki_part__free(&part);
	return lines;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct request r;
	_loki_repair_ struct loki_repair refused = {0}, limited = {0};
	const char *text = (const char *)data;
	size_t cursor = 0, before = 0, dropped = 0;
	struct loki_complaint c;

	if (!r.n_entries)
		open_request(&r);
	while (loki_text__next(text, size, &cursor, &c)) {
		check(cursor > before && cursor <= size && c.count && c.fault < LOKI_FAULTS);
		check(!c.stream || (c.stream >= text && c.stream + c.stream_len <= text + size));
		before = cursor;
	}
	check(!loki_repair__new(&refused, &r) && !loki_repair__new(&limited, &r));
	loki_repair__refused(&refused, text, size);
	for (int i = 0; i < SINK_REASONS; i++)
		dropped += refused.dropped[i];
	check(dropped <= refused.gone);
	check(lines_of(&refused, LOKI_KEPT) + refused.gone == r.n_entries);
	loki_repair__limited(&limited, text, size);
	check(lines_of(&limited, LOKI_HELD) == limited.held);
	check(lines_of(&limited, LOKI_KEPT) + limited.held == r.n_entries);
	loki_repair__is_page(text, size);
	return 0;
}
