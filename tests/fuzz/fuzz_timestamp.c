/* SPDX-License-Identifier: Apache-2.0 */
/* A format, a NUL, a time: it parses twice to the same; RFC 3339's own path says what the general
 * one says. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "process/go_time.h"

#define NOW UINT64_C(1563062400000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int parse(const char *format, const char *text, size_t len, struct go_time_result *ret)
{
	struct go_time *t;
	int err, again;
	struct go_time_result r = {0};

	*ret = r;
	if (go_time__new(&t, format, NULL))
		return 1;
	err = go_time__parse(t, text, len, NOW, ret);
	again = go_time__parse(t, text, len, NOW, &r);
	go_time__free(t);
	if (err != again || r.ns != ret->ns || r.resolution_ns != ret->resolution_ns)
		abort();
	if (err && (r.ns || r.resolution_ns || (err != -EINVAL && err != -ERANGE)))
		abort();
	if (!err && (!r.resolution_ns || r.resolution_ns > UINT64_C(86400000000000)))
		abort();
	return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_free_ char *text = malloc(size + 2);
	struct go_time_result fast, slow;
	size_t len;
	int err;

	if (!text)
		abort();
	memcpy(text, data, size);
	text[size] = text[size + 1] = '\0';
	len = strlen(text);
	if (len < size)
		parse(text, text + len + 1, size - len - 1, &fast);
	err = parse("RFC3339", text, size, &fast);
	memmove(text + 1, text, size);
	*text = '~';
	if (parse("~2006-01-02T15:04:05Z07:00", text, size + 1, &slow) != err ||
	    fast.ns != slow.ns || fast.resolution_ns != slow.resolution_ns)
		abort();
	return 0;
}
