/* SPDX-License-Identifier: Apache-2.0 */
/* A List whole, and in pieces of as many bytes as the first byte says: the same items. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/util.h"
#include "kube/items.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void collect(void *ctx, const char *json, size_t len)
{
	if (!len || len > 1024 || json[0] != '{' || buf__append(ctx, json, len) ||
	    buf__append(ctx, "", 1))
		abort();
}

static int feed(const char *text, size_t size, size_t piece, struct kube_items *l, struct buf *out)
{
	int err = 0;

	kube_items__begin(l, 1024);
	for (size_t at = 0; at < size && !err; at += piece)
		err = kube_items__feed(l, text + at, MIN(piece, size - at), collect, out);
	return err ? err : kube_items__end(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data + 1;
	struct kube_items whole = {0}, pieces = {0};
	_buf_ struct buf a = {0}, b = {0};

	if (!size)
		return 0;
	if (feed(text, size - 1, size, &whole, &a) !=
	    feed(text, size - 1, data[0] % 16 + 1, &pieces, &b))
		abort();
	if (a.len != b.len || (a.len && memcmp(a.data, b.data, a.len)) ||
	    strcmp(whole.version, pieces.version) || !whole.next_page != !pieces.next_page)
		abort();
	kube_items__free(&whole);
	kube_items__free(&pieces);
	return 0;
}
