/* SPDX-License-Identifier: Apache-2.0 */
/* A container's config.json, which is also taken for podman's list, and its sandbox's, with a NUL
 * between them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/util.h"
#include "containers/bundle_json.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct meta *m)
{
	if (strcmp(m->id, ID) != 0 || m->refs != 1 || m->n_labels > 128)
		abort();
	if (m->name && !utf8__valid(m->name, strlen(m->name)))
		abort();
	for (size_t i = 0; i < m->n_labels; i++)
		if (!utf8__valid(m->labels[i].value, strlen(m->labels[i].value)) ||
		    strlen(m->labels[i].value) > 2048)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data, *sandbox = size ? memchr(text, '\0', size) : NULL;
	size_t len = sandbox ? (size_t)(sandbox - text) : size;
	_free_ char *sandbox_id = NULL;
	_meta_ struct meta *m = NULL;
	_meta_ struct meta *stored = meta__new();
	enum bundle_kind kind;

	stored->id = strdup(ID);
	bundle_json__add_storage(text, len, stored);
	check(stored);
	if (bundle_json__read(text, len, ID, size % 3, &kind, &m, &sandbox_id) != 0)
		return 0;
	if ((kind == BUNDLE_SANDBOX) != !m)
		abort();
	if (m && size % 3 == BUNDLE_BY_ANYBODY && m->pod_uid)
		abort();
	if (!m)
		return 0;
	check(m);
	if (sandbox)
		bundle_json__add_sandbox(sandbox + 1, size - len - 1, m);
	check(m);
	return 0;
}
