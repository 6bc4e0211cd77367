/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of an API server, whatever they are: first byte of a line the request, second the status,
 * then the body. A lease that is not ours is never taken for ours, and what is sent back is always
 * JSON. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "kube/lease.h"
#include "kube/positions.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_body(struct lease *l)
{
	_buf_ struct buf body = {0};
	json_t *json;

	if (lease__body(l, 1795239549 * NS_PER_SEC, false, &body))
		abort();
	json = json_loadb(body.data, body.len, JSON_ALLOW_NUL, NULL);
	if (!json)
		abort();
	json_decref(json);
}

static void check_note(const struct lease *l)
{
	const char *note = lease__note(l);
	struct positions *p;

	if (positions__new(&p))
		abort();
	positions__parse(p, note, strlen(note));
	positions__get(p, "demo");
	positions__free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const long statuses[] = {0, 200, 201, 404, 409, 500};
	const struct lease_opts opts = {
		.namespace = "a", .name = "b", .identity = "c", .duration_ns = 15 * NS_PER_SEC};
	const char *text = (const char *)data, *end = text + size;
	uint64_t now_ns = NS_PER_SEC, due_ns;
	struct lease *l;

	if (lease__new(&l, &opts))
		abort();
	while (end - text > 2) {
		const char *newline = memchr(text + 2, '\n', (size_t)(end - text - 2));
		size_t len = (size_t)((newline ? newline : end) - text - 2);
		enum lease_do what = lease__next(l, now_ns, &due_ns);

		if (what == LEASE_WAIT) {
			now_ns = due_ns;
			what = lease__next(l, now_ns, &due_ns);
		}
		if (text[0] & 1)
			lease__set_note(l, "note");
		lease__answer(l, what, now_ns, now_ns + 1, statuses[(uint8_t)text[1] % 6], text + 2,
			      len);
		if (lease__leads(l, now_ns + 1) && strcmp(lease__holder(l), "c"))
			abort();
		check_body(l);
		check_note(l);
		text = newline ? newline + 1 : end;
	}
	lease__free(l);
	return 0;
}
