/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/util.h"
#include "sink/loki_text.h"

#define S "{container=\"web\", service_name=\"web\"}"
#define FAR(time, oldest)                                                          \
	"entry with timestamp " time " +0000 UTC ignored, reason: 'entry too far " \
	"behind, entry timestamp is: 2026-11-22T01:00:00Z, oldest acceptable "     \
	"timestamp is: " oldest "',\n"

struct expected {
	const char *text;
	enum loki_fault fault;
	uint64_t limit, time_s, oldest_s, ignored, of;
	const char *stream;
};

static const struct expected texts[] = {
	{"entry for stream '" S "' has timestamp too old: 2026-11-14T04:40:08Z, oldest acceptable "
	 "timestamp is: 2026-11-15T04:40:09Z",
	 LOKI_TOO_OLD, 0, 1794631208, 1794717609, 0, 0, S},
	{"entry for stream '" S "' has timestamp too new: 2026-11-14T06:40:08.25+02:00",
	 LOKI_TOO_NEW, 0, 1794631208, 0, 0, 0, S},
	{"max entry size '262144' bytes exceeded for stream '" S "' while adding an entry with "
	 "length '262145' bytes",
	 LOKI_LINE_TOO_LONG, 262144, 0, 0, 0, 0, S},
	{FAR("2026-11-22 01:00:00", "2026-11-22T02:00:00Z") "user 'fake', total ignored: 1 out of "
							    "4 for stream: " S,
	 LOKI_TOO_FAR_BEHIND, 0, 0, 1795312800, 1, 4, S},
	{FAR("2026-11-22 01:00:00",
	     "2026-11-22T02:00:00Z") "entry with timestamp 2026-11-22 03:00:00 +0000 UTC ignored, "
				     "reason: 'Per stream rate "
				     "limit exceeded (limit: 10KB/sec) while attempting to ingest "
				     "for stream '" S "' totaling 5B, consider splitting',\nuser "
				     "'fake', total ignored: 2 out of 4 for "
				     "stream: " S,
	 LOKI_STREAM_RATE, 0, 0, 1795312800, 0, 0, S},
	{"entry for stream '" S "' has 16 label names; limit 15", LOKI_LABEL_NAMES, 15, 0, 0, 0, 0,
	 S},
	{"stream '" S "' has label name too long: 'aaa'", LOKI_LABEL_NAME_LENGTH, 0, 0, 0, 0, 0, S},
	{"stream '" S "' has label value too long: 'timestamp too old: '", LOKI_LABEL_VALUE_LENGTH,
	 0, 0, 0, 0, 0, S},
	{"stream '" S "' has duplicate label name: 'a'", LOKI_DUPLICATE_LABEL, 0, 0, 0, 0, 0, S},
	{"stream '" S "' has too many structured metadata labels: '129', limit: '128'. Please see",
	 LOKI_METADATA_PAIRS, 128, 0, 0, 0, 0, S},
	{"stream '" S "' has structured metadata too large: '65537' bytes, limit: '65536' bytes. "
	 "Please see",
	 LOKI_METADATA_BYTES, 65536, 0, 0, 0, 0, S},
	{"stream '" S "' includes structured metadata, but this feature is disallowed. Please see",
	 LOKI_METADATA_DISALLOWED, 0, 0, 0, 0, 0, S},
	{"couldn't parse labels: 1:38: parse error: unexpected", LOKI_BAD_LABELS, 0, 0, 0, 0, 0,
	 NULL},
	{"maximum active stream limit exceeded when trying to create stream " S ", reduce",
	 LOKI_STREAM_LIMIT, 0, 0, 0, 0, 0, S},
	{"ingestion rate limit exceeded for user fake (limit: 4 bytes/sec) while", LOKI_TENANT_RATE,
	 0, 0, 0, 0, 0, NULL},
	{"tenant ID 'a|b' contains unsupported character '|'", LOKI_TENANT_NAME, 0, 0, 0, 0, 0,
	 NULL},
	{"request body too large: received 5 bytes", LOKI_TOO_LARGE, 0, 0, 0, 0, 0, NULL},
	{"snappy: corrupt input", LOKI_UNREADABLE, 0, 0, 0, 0, 0, NULL},
	{"proto: illegal wireType 7", LOKI_UNREADABLE, 0, 0, 0, 0, 0, NULL},
	{"unexpected EOF", LOKI_UNREADABLE, 0, 0, 0, 0, 0, NULL},
	{"a mystery", LOKI_UNKNOWN, 0, 0, 0, 0, 0, NULL},
	/* What stands in labels is nobody's fault. */
	{"entry for stream '{a=\"timestamp too old\", b=\"\\\"}' label name too long\"}' has "
	 "timestamp too new: 2026-11-14T04:40:08Z",
	 LOKI_TOO_NEW, 0, 1794631208, 0, 0, 0,
	 "{a=\"timestamp too old\", b=\"\\\"}' label name too long\"}"},
	/* Cut. */
	{"max entry size '262144' bytes exceeded for stream '{container=\"we", LOKI_LINE_TOO_LONG,
	 262144, 0, 0, 0, 0, NULL},
	{"entry for stream '" S "' has timestamp too old: 2026-11-", LOKI_TOO_OLD, 0, 0, 0, 0, 0,
	 S},
};

static void assert_complaint(const struct loki_complaint *c, const struct expected *e)
{
	assert_int_equal(c->fault, e->fault);
	assert_int_equal(c->limit, e->limit);
	assert_int_equal(c->time_s, e->time_s);
	assert_int_equal(c->oldest_s, e->oldest_s);
	assert_int_equal(c->ignored, e->ignored);
	assert_int_equal(c->of, e->of);
	assert_int_equal(c->stream_len, e->stream ? strlen(e->stream) : 0);
	if (e->stream)
		assert_memory_equal(c->stream, e->stream, c->stream_len);
}

static void test_each(void **state _unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		size_t len = strlen(texts[i].text), cursor = 0;
		/* Of its own size, so that ASAN sees a read beyond it. */
		char *copy = malloc(len);
		struct loki_complaint c;

		memcpy(copy, texts[i].text, len);
		print_message("%s\n", texts[i].text);
		assert_true(loki_text__next(copy, len, &cursor, &c));
		assert_complaint(&c, &texts[i]);
		assert_int_equal(c.count, 1);
		assert_false(loki_text__next(copy, len, &cursor, &c));
		free(copy);
	}
}

static void test_joined(void **state _unused_)
{
	static const char hostile[] = "; 1 errors like: ; 2 errors like: ";
	static const uint64_t counts[] = {3, 1, 12};
	struct loki_complaint c;
	size_t cursor = 0;
	char text[4096];

	snprintf(text, sizeof(text), "3 errors like: %s; 1 errors like: %s; 12 errors like: %s",
		 texts[0].text, texts[2].text, texts[9].text);
	for (size_t i = 0; i < 3; i++) {
		assert_true(loki_text__next(text, strlen(text), &cursor, &c));
		assert_int_equal(c.count, counts[i]);
		assert_complaint(&c, &texts[(size_t[]){0, 2, 9}[i]]);
	}
	assert_false(loki_text__next(text, strlen(text), &cursor, &c));
	cursor = 0;
	assert_false(loki_text__next("", 0, &cursor, &c));
	/* It gets on, whatever comes. */
	for (size_t i = cursor = 0; loki_text__next(hostile, strlen(hostile), &cursor, &c); i++)
		assert_true(i < 3);
}

static bool is_stream(const char *theirs, const char *ours)
{
	const struct loki_complaint c = {.stream = theirs, .stream_len = strlen(theirs)};

	return loki_text__is_stream(&c, ours, strlen(ours));
}

static void test_streams(void **state _unused_)
{
	const struct loki_complaint none = {0};

	assert_true(is_stream(S, "{container=\"web\"}"));
	assert_true(is_stream(S, S));
	assert_true(is_stream("{service_name=\"unknown_service\"}", "{}"));
	assert_true(is_stream("{a=\"b, c}\\\"\", service_name=\"x\", z=\"1\"}",
			      "{a=\"b, c}\\\"\", z=\"1\"}"));
	assert_false(is_stream(S, "{container=\"webb\"}"));
	assert_false(is_stream(S, "{container=\"web\", stream=\"stdout\"}"));
	assert_false(is_stream("{container=\"web\", z=\"1\"}", "{container=\"web\"}"));
	assert_false(is_stream(S, "{}"));
	assert_false(loki_text__is_stream(&none, "{}", 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each),
		cmocka_unit_test(test_joined),
		cmocka_unit_test(test_streams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
