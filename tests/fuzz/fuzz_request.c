/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first byte says what the rest is: a payload, or a message to be compressed first, for few
 * changes of compressed bytes get as far as the message. What could be opened is sealed again and
 * says the same; changed, it is as short as it was asked to be.
 */
#include <errno.h>
#include <snappy-c.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "batch/request.h"

#define MAX_RAW (4u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok)
		abort();
}

static bool limit(void *ctx, size_t i, struct request_edit *edit)
{
	(void)ctx;
	edit->line_max = 10;
	edit->pairs_max = i % 3;
	edit->metadata_max = 40;
	edit->gap = i % 5 ? NULL : "refused";
	return i % 7 != 0;
}

static void check_same(const struct request *a, const struct request *b)
{
	check(a->n_entries == b->n_entries);
	for (size_t i = 0; i < a->n_entries; i++) {
		const struct request_entry *x = &a->entries[i], *y = &b->entries[i];

		check(x->time_ns == y->time_ns && x->line_len == y->line_len &&
		      x->body_len == y->body_len && !memcmp(x->body, y->body, x->body_len));
	}
}

static void check_limits(const struct request *r)
{
	struct request_span name, value;

	for (size_t i = 0; i < r->n_entries; i++) {
		size_t cursor = 0, pairs = 0, bytes = 0;

		check(r->entries[i].line_len <= 10);
		while (request_entry__pair(&r->entries[i], &cursor, &name, &value)) {
			pairs++;
			bytes += name.len + value.len;
		}
		check(pairs <= 2 && bytes <= 40);
	}
}

static void seal_again(const struct request *r, request_pick_fn pick)
{
	_request_ struct request again = {0};
	struct request_sealed s;

	check(!request__seal(r, pick, NULL, &s));
	if (s.lines) {
		check(!request__open(&again, s.payload.data, s.payload.len, s.raw_bytes));
		check(again.n_entries == s.lines);
		if (pick)
			check_limits(&again);
		else
			check_same(r, &again);
	}
	buf__free(&s.payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *payload = (const char *)data + 1;
	size_t len = size - 1, packed_len;
	_request_ struct request r = {0};
	_free_ char *packed = NULL;
	int err;

	if (!size)
		return 0;
	if (data[0] & 1) {
		packed_len = snappy_max_compressed_length(len);
		packed = malloc(packed_len);
		check(packed && !snappy_compress(payload, len, packed, &packed_len));
		payload = packed;
		len = packed_len;
	}
	err = request__open(&r, payload, len, MAX_RAW);
	if (err) {
		check(err == -EBADMSG || err == -EFBIG);
		return 0;
	}
	seal_again(&r, NULL);
	seal_again(&r, limit);
	return 0;
}
