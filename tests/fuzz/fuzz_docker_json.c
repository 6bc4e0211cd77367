/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte says which answer it is; the events are also cut into pieces. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/util.h"
#include "containers/docker_json.h"
#include "containers/json_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(void *ctx _unused_, struct meta *m)
{
	if (!m->id || strlen(m->id) != 64 || m->refs != 1)
		abort();
	if (m->name && !utf8__valid(m->name, strlen(m->name)))
		abort();
	for (size_t i = 0; i < m->n_labels; i++) {
		if (!utf8__valid(m->labels[i].value, strlen(m->labels[i].value)))
			abort();
	}
	meta__unref(m);
}

static void check_network(void *ctx _unused_, struct meta_network *n)
{
	if (!n->id || n->refs != 1)
		abort();
	meta_network__unref(n);
}

static void event(void *ctx _unused_, const char *object, size_t len)
{
	enum docker_event_action action;
	_free_ char *id = NULL;
	struct meta *m = NULL;

	if (docker_json__event(object, len, &action, &id, &m) == 0 && m)
		check(NULL, m);
}

static void events(const char *text, size_t size)
{
	struct json_stream s = {.max_bytes = 4096};
	size_t piece = size ? (unsigned char)text[0] % 16 + 1 : 1;

	for (size_t at = 0; at < size; at += piece) {
		if (json_stream__feed(&s, text + at, MIN(piece, size - at), event, NULL) != 0)
			break;
	}
	json_stream__reset(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data + 1;
	_free_ char *version = NULL;
	struct meta *m = NULL;

	if (!size)
		return 0;
	size--;
	switch (data[0]) {
	case 'v':
		docker_json__version(text, size, &version);
		break;
	case 'i':
		if (docker_json__inspect(text, size, &m) == 0)
			check(NULL, m);
		break;
	case 'l':
		docker_json__list(text, size, check, NULL);
		break;
	case 'n':
		docker_json__networks(text, size, check_network, NULL);
		break;
	default:
		events(text, size);
	}
	return 0;
}
