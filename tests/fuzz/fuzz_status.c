/* SPDX-License-Identifier: Apache-2.0 */
/* A name that nobody chose well, on the page, in the JSON and the metrics; and as a Host header. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/status/a_view.h"
#include "status/openmetrics.h"
#include "status/origin.h"
#include "status/page.h"
#include "status/targets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_escape(const char *text)
{
	_buf_ struct buf out = {0};

	if (page__escape(&out, text) || !utf8__valid(out.data ? out.data : "", out.len))
		abort();
	for (size_t i = 0; i < out.len; i++)
		if (strchr("<>\"'", out.data[i]) || (unsigned char)out.data[i] < ' ')
			abort();
}

static void check_samples(const char *text)
{
	_samples_ struct samples s = {0};
	_buf_ struct buf out = {0};
	size_t lines = 0;

	samples__add_labelled(&s, SAMPLE_GAUGE, "a", "b", text, "c", 1);
	if (samples__text(&s, &out) || !utf8__valid(out.data, out.len))
		abort();
	for (size_t i = 0; i < out.len; i++)
		lines += out.data[i] == '\n';
	if (lines != 3)
		abort();
}

/* Whatever stands there, the end is told, and no line is broken. */
static void check_openmetrics(const char *text, size_t len)
{
	_buf_ struct buf out = {0};

	if (openmetrics__from_text(text, len, &out) || out.len < 6 ||
	    memcmp(out.data + out.len - 6, "# EOF\n", 6))
		abort();
	openmetrics__wanted(text);
}

static void check_view(const char *text)
{
	struct snapshot *s = a_snapshot(text, 10, 100, 3), *before = a_snapshot(text, 5, 10, 1);
	_samples_ struct samples samples = {0};
	struct view v = a_view(s, &samples);
	_buf_ struct buf json = {0}, html = {0};
	json_t *root;

	v.before = before;
	v.engine.problem = v.clients[0].url = v.clients[0].spool.problem = v.durable.why = text;
	if (targets__json(&v, &json) || page__html(&v, &html))
		abort();
	root = json_loadb(json.data, json.len, JSON_REJECT_DUPLICATES, NULL);
	if (!root || !utf8__valid(html.data, html.len))
		abort();
	json_decref(root);
	snapshot__free(s);
	snapshot__free(before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_free_ char *text = strndup((const char *)data, size);

	origin__is_our_host(text, "127.0.0.1:9464");
	origin__is_our_host(text, "[::]:9464");
	origin__is_foreign(text, text, NULL, false);
	check_escape(text);
	check_samples(text);
	check_view(text);
	check_openmetrics(text, strlen(text));
	return 0;
}
