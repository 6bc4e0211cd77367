/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <snappy-c.h>

#include "batch/request.h"
#include "batch_world.h"
#include "push.pb-c.h"

/* Lets an allocation fail: over two mebibytes there is no memory. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1:max_allocation_size_mb=2";
}

/* Also that the bytes are those that protobuf-c would have packed. */
static Logproto__PushRequest *unpack(const struct batch *b)
{
	Logproto__PushRequest *request;
	size_t len;
	char *raw;
	uint8_t *again;

	assert_int_equal(snappy_uncompressed_length(b->payload.data, b->payload.len, &len), 0);
	assert_int_equal(len, b->raw_bytes);
	raw = malloc(len);
	assert_int_equal(snappy_uncompress(b->payload.data, b->payload.len, raw, &len), 0);
	request = logproto__push_request__unpack(NULL, len, (uint8_t *)raw);
	assert_non_null(request);
	assert_int_equal(logproto__push_request__get_packed_size(request), len);
	again = malloc(len);
	assert_int_equal(logproto__push_request__pack(request, again), len);
	assert_memory_equal(again, raw, len);
	free(again);
	free(raw);
	return request;
}

static void assert_text(const Logproto__EntryAdapter *entry, const char *text)
{
	assert_int_equal(entry->line.len, strlen(text));
	if (entry->line.len)
		assert_memory_equal(entry->line.data, text, entry->line.len);
}

static void assert_pair(const Logproto__EntryAdapter *entry, size_t i, const char *name,
			const char *value)
{
	assert_true(i < entry->n_structured_metadata);
	assert_string_equal(entry->structured_metadata[i]->name, name);
	assert_string_equal(entry->structured_metadata[i]->value, value);
}

static void test_one_line(void **state _unused_)
{
	_label_set_ struct label_set *set = make_set("web", "stdout", "6c4c");
	Logproto__PushRequest *request;
	Logproto__EntryAdapter *entry;
	struct world w;

	setup(&w, BATCH_LOKI);
	add(&w, set, make_line("GET /"));
	batcher__seal(w.b);
	request = unpack(w.sealed[0]);
	assert_int_equal(request->n_streams, 1);
	assert_string_equal(request->streams[0]->labels, "{container=\"web\", stream=\"stdout\"}");
	assert_int_equal(request->streams[0]->n_entries, 1);
	entry = request->streams[0]->entries[0];
	assert_int_equal(entry->timestamp->seconds, 1795236008);
	assert_int_equal(entry->timestamp->nanos, 125461044);
	assert_text(entry, "GET /");
	assert_int_equal(entry->n_structured_metadata, 3);
	assert_pair(entry, 0, "container_id", "6c4c");
	assert_pair(entry, 1, "pid", "71");
	assert_pair(entry, 2, "comm", "nginx");
	logproto__push_request__free_unpacked(request, NULL);
	teardown(&w);
}

/* Two streams in turn: each has its entries in order, and the larger one is the last. */
static void test_streams_are_grouped(void **state _unused_)
{
	_label_set_ struct label_set *a = make_set("a", "stdout", "aaaa");
	_label_set_ struct label_set *b = make_set("b", "stdout", NULL);
	_label_set_ struct label_set *a2 = make_set("a", "stdout", "cccc"); /* a's replica */
	struct label_set *turn[] = {a, b, a2, a2, b, b, a};
	static const char *const expected[][4] = {{"1", "4", "5", NULL}, {"0", "2", "3", "6"}};
	Logproto__PushRequest *request;
	char text[8];
	struct world w;

	setup(&w, BATCH_LOKI);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(turn); i++) {
			struct line line;

			snprintf(text, sizeof(text), "%zu", i);
			line = make_line(text);
			line.time_ns += i;
			add(&w, turn[i], line);
		}
		batcher__seal(w.b);
		request = unpack(w.sealed[round]);
		assert_int_equal(request->n_streams, 2);
		assert_string_equal(request->streams[1]->labels, a->text);
		assert_string_equal(request->streams[0]->labels, b->text);
		assert_int_equal(request->streams[1]->n_entries, 4);
		assert_int_equal(request->streams[0]->n_entries, 3);
		for (size_t s = 0; s < 2; s++)
			for (size_t i = 0; i < request->streams[s]->n_entries; i++)
				assert_text(request->streams[s]->entries[i], expected[s][i]);
		assert_pair(request->streams[1]->entries[0], 0, "container_id", "aaaa");
		assert_pair(request->streams[1]->entries[1], 0, "container_id", "cccc");
		assert_pair(request->streams[1]->entries[2], 0, "container_id", "cccc");
		assert_pair(request->streams[1]->entries[3], 0, "container_id", "aaaa");
		assert_pair(request->streams[0]->entries[0], 0, "pid", "71");
		logproto__push_request__free_unpacked(request, NULL);
	}
	teardown(&w);
}

static void test_any_bytes(void **state _unused_)
{
	static const char bytes[] = "a\0\xff\xfe\n\33[1m";
	_label_set_ struct label_set *set = make_set("web", "stdout", NULL);
	struct line line = make_line("");
	Logproto__PushRequest *request;
	Logproto__EntryAdapter *entry;
	struct world w;

	setup(&w, BATCH_LOKI);
	add(&w, set, line);
	line.bytes = bytes;
	line.len = sizeof(bytes) - 1;
	add(&w, set, line);
	batcher__seal(w.b);
	request = unpack(w.sealed[0]);
	assert_text(request->streams[0]->entries[0], "");
	entry = request->streams[0]->entries[1];
	assert_int_equal(entry->line.len, sizeof(bytes) - 1);
	assert_memory_equal(entry->line.data, bytes, sizeof(bytes) - 1);
	logproto__push_request__free_unpacked(request, NULL);
	teardown(&w);
}

/* Where a length or a number of the entry takes a byte more. */
static void test_every_width(void **state _unused_)
{
	static const size_t lengths[] = {1,   2,     80,    100,   126,	  127,	 128,	129,   130,
					 200, 16300, 16350, 16383, 16384, 16385, 20000, 262144};
	static const uint64_t nanos[] = {0,	  1,	   127,	      128,	 16383,	   16384,
					 2097151, 2097152, 268435455, 268435456, 999999999};
	static char bytes[262144];
	_label_set_ struct label_set *set = make_set("web", "stdout", "6c4c");
	Logproto__PushRequest *request;
	struct world w;

	memset(bytes, 'x', sizeof(bytes));
	for (size_t n = 0; n < ARRAY_SIZE(nanos); n++) {
		setup(&w, BATCH_LOKI);
		for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
			struct line line = make_line("");

			line.time_ns = 8 * NS_PER_SEC + nanos[n];
			line.bytes = bytes;
			line.len = lengths[i];
			add(&w, set, line);
		}
		batcher__seal(w.b);
		request = unpack(w.sealed[0]);
		assert_int_equal(request->streams[0]->n_entries, ARRAY_SIZE(lengths));
		for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
			Logproto__EntryAdapter *entry = request->streams[0]->entries[i];

			assert_int_equal(entry->line.len, lengths[i]);
			assert_int_equal(entry->timestamp->seconds, 1795236008);
			assert_int_equal(entry->timestamp->nanos, nanos[n]);
			assert_int_equal(entry->n_structured_metadata, 3);
		}
		logproto__push_request__free_unpacked(request, NULL);
		teardown(&w);
	}
}

static void test_seconds_change(void **state _unused_)
{
	static const uint64_t seconds[] = {8, 8, 9, 8, 0, 8};
	_label_set_ struct label_set *set = make_set("web", "stdout", NULL);
	Logproto__PushRequest *request;
	struct world w;

	setup(&w, BATCH_LOKI);
	w.anchor.offset_ns = 0;
	for (size_t i = 0; i < ARRAY_SIZE(seconds); i++) {
		struct line line = make_line("x");

		line.time_ns = seconds[i] * NS_PER_SEC + 5;
		add(&w, set, line);
	}
	batcher__seal(w.b);
	request = unpack(w.sealed[0]);
	for (size_t i = 0; i < ARRAY_SIZE(seconds); i++)
		assert_int_equal(request->streams[0]->entries[i]->timestamp->seconds, seconds[i]);
	logproto__push_request__free_unpacked(request, NULL);
	teardown(&w);
}

static void test_marks(void **state _unused_)
{
	_label_set_ struct label_set *set = make_set("web", "stdout", NULL);
	struct line line = make_line("x");
	Logproto__PushRequest *request;
	struct world w;

	setup(&w, BATCH_LOKI);
	line.pid = 0;
	line.comm[0] = '\0';
	add(&w, set, line);
	line.truncated = true;
	add(&w, set, line);
	line.truncated = false;
	line.gap = "ring_full";
	add(&w, set, line);
	memcpy(line.comm, "\xff\xc3\xa4", 4);
	line.gap = NULL;
	add(&w, set, line);
	line.session = true;
	line.truncated = true;
	add(&w, set, line);
	line = make_line("y");
	line.tid = 72;
	memset(line.trace.trace_id, 0xab, sizeof(line.trace.trace_id));
	line.trace.span_id[7] = 1;
	add(&w, set, line);
	batcher__seal(w.b);
	request = unpack(w.sealed[0]);
	assert_int_equal(request->streams[0]->entries[0]->n_structured_metadata, 0);
	assert_int_equal(request->streams[0]->entries[4]->n_structured_metadata, 3);
	assert_pair(request->streams[0]->entries[4], 1, "truncated", "true");
	assert_pair(request->streams[0]->entries[4], 2, "notail_exec", "true");
	assert_int_equal(request->streams[0]->entries[1]->n_structured_metadata, 1);
	assert_pair(request->streams[0]->entries[1], 0, "truncated", "true");
	assert_int_equal(request->streams[0]->entries[2]->n_structured_metadata, 1);
	assert_pair(request->streams[0]->entries[2], 0, "notail_gap", "ring_full");
	assert_pair(request->streams[0]->entries[3], 0, "comm", "?\xc3\xa4");
	assert_int_equal(request->streams[0]->entries[5]->n_structured_metadata, 5);
	assert_pair(request->streams[0]->entries[5], 2, "tid", "72");
	assert_pair(request->streams[0]->entries[5], 3, "trace_id",
		    "abababababababababababababababab");
	assert_pair(request->streams[0]->entries[5], 4, "span_id", "0000000000000001");
	logproto__push_request__free_unpacked(request, NULL);
	teardown(&w);
}

/* Loki refuses a line with more than 128 pairs, or over 64 KiB of them, or with an empty name. */
/* What stages gave one line: metadata in place of the stream's and the writer's, and a time. */
static void test_line_metadata(void **state _unused_)
{
	_label_set_ struct label_set *set = make_set("web", "stdout", "6c4c");
	static char big[300];
	const struct line_pair pairs[] = {
		{"comm", "worker", 6}, {"user", "\xc3\xbcX", 2}, {"big", big, sizeof(big)}};
	struct line line = make_line("GET /");
	Logproto__PushRequest *request;
	Logproto__EntryAdapter *entry;
	struct world w;

	memset(big, 'b', sizeof(big));
	setup(&w, BATCH_LOKI);
	line.metadata = pairs;
	line.n_metadata = ARRAY_SIZE(pairs);
	line.real_ns = 1795236042 * NS_PER_SEC + 7;
	line.truncated = true;
	add(&w, set, line);
	add(&w, set, make_line("GET /"));
	batcher__seal(w.b);
	request = unpack(w.sealed[0]);
	entry = request->streams[0]->entries[0];
	assert_int_equal(entry->timestamp->seconds, 1795236042);
	assert_int_equal(entry->timestamp->nanos, 7);
	assert_text(entry, "GET /");
	assert_int_equal(entry->n_structured_metadata, 6);
	assert_pair(entry, 0, "container_id", "6c4c");
	assert_pair(entry, 1, "pid", "71");
	assert_pair(entry, 2, "comm", "worker");
	assert_pair(entry, 3, "user", "\xc3\xbc");
	assert_string_equal(entry->structured_metadata[4]->name, "big");
	assert_int_equal(strlen(entry->structured_metadata[4]->value), sizeof(big));
	assert_pair(entry, 5, "truncated", "true");
	entry = request->streams[0]->entries[1];
	assert_int_equal(entry->timestamp->seconds, 1795236008);
	assert_int_equal(entry->n_structured_metadata, 3);
	assert_pair(entry, 2, "comm", "nginx");
	logproto__push_request__free_unpacked(request, NULL);
	teardown(&w);
}

/* No more than Loki takes, or the line would be refused. */
static void test_line_metadata_limits(void **state _unused_)
{
	_label_set_ struct label_set *set = make_set("web", "stdout", "6c4c");
	static char big[40000], names[200][8];
	struct line_pair pairs[200];
	struct line line = make_line("GET /");
	Logproto__PushRequest *request;
	struct world w;

	memset(big, 'b', sizeof(big));
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		snprintf(names[i], sizeof(names[i]), "n%zu", i);
		pairs[i] = (struct line_pair){names[i], big, i < 2 ? sizeof(big) : 1};
	}
	setup(&w, BATCH_LOKI);
	line.metadata = pairs;
	line.n_metadata = ARRAY_SIZE(pairs);
	add(&w, set, line);
	batcher__seal(w.b);
	request = unpack(w.sealed[0]);
	assert_in_range(request->streams[0]->entries[0]->n_structured_metadata, 100, 128);
	assert_string_equal(request->streams[0]->entries[0]->structured_metadata[4]->name, "n2");
	logproto__push_request__free_unpacked(request, NULL);
	teardown(&w);
}

static void test_metadata_limits(void **state _unused_)
{
	_label_set_ struct label_set *many = label_set__new(), *large = label_set__new();
	struct line line = make_line("x");
	Logproto__PushRequest *request;
	char name[32], value[2000];
	size_t bytes = 0;
	struct world w;

	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "m%03d", i);
		assert_int_equal(label_set__add_metadata(many, name, "v"), 0);
		if (i < 100)
			assert_int_equal(label_set__add_metadata(large, name, value), 0);
	}
	many->metadata[3].name[0] = '\0';
	assert_int_equal(label_set__add(large, "container", "large"), 0);
	assert_int_equal(label_set__seal(many), 0);
	assert_int_equal(label_set__seal(large), 0);
	line.truncated = true;
	line.gap = "ring_full";
	line.session = true;
	line.tid = UINT32_MAX;
	memset(&line.trace, 0xff, sizeof(line.trace));
	setup(&w, BATCH_LOKI);
	add(&w, many, line);
	add(&w, large, line);
	batcher__seal(w.b);
	request = unpack(w.sealed[0]);
	assert_int_equal(request->n_streams, 2);
	assert_int_equal(request->streams[0]->entries[0]->n_structured_metadata, 128);
	for (size_t i = 0; i < 128; i++)
		assert_true(request->streams[0]->entries[0]->structured_metadata[i]->name[0]);
	for (size_t i = 0; i < request->streams[1]->entries[0]->n_structured_metadata; i++) {
		Logproto__LabelPairAdapter *pair =
			request->streams[1]->entries[0]->structured_metadata[i];

		bytes += strlen(pair->name) + strlen(pair->value);
	}
	assert_in_range(bytes, 60000, 65536);
	logproto__push_request__free_unpacked(request, NULL);
	teardown(&w);
}

/* Many streams, many batches, random order: every line once, in order. */
static void test_many_streams(void **state _unused_)
{
	enum { N = 50, LINES = 20000 };
	struct label_set *sets[N];
	size_t sent[N] = {0}, seen[N] = {0}, lines = 0;
	char text[300];
	uint32_t seed = 7;
	struct world w;

	for (int i = 0; i < N; i++) {
		snprintf(text, sizeof(text), "c%02d", i);
		sets[i] = make_set(text, "stdout", text);
	}
	setup_opts(&w, (struct batch_opts){.encoding = BATCH_LOKI, .max_bytes = 100000});
	for (int i = 0; i < LINES; i++) {
		size_t s;

		seed = seed * 1664525 + 1013904223;
		s = seed >> 29 ? (size_t)i / 37 % N : (seed >> 16) % N;
		snprintf(text, sizeof(text), "%zu %0*d", sent[s]++, (int)(seed >> 20) % 250 + 1, 0);
		add(&w, sets[s], make_line(text));
	}
	batcher__seal(w.b);
	assert_true(w.n > 10);
	for (size_t b = 0; b < w.n; b++) {
		Logproto__PushRequest *request = unpack(w.sealed[b]);

		for (size_t s = 0; s < request->n_streams; s++) {
			Logproto__StreamAdapter *stream = request->streams[s];
			int c = atoi(stream->labels + strlen("{container=\"c"));

			assert_string_equal(stream->labels, sets[c]->text);
			for (size_t i = 0; i < stream->n_entries; i++) {
				snprintf(text, sizeof(text), "%zu ", seen[c]++);
				assert_memory_equal(stream->entries[i]->line.data, text,
						    strlen(text));
			}
			lines += stream->n_entries;
		}
		logproto__push_request__free_unpacked(request, NULL);
	}
	assert_int_equal(lines, LINES);
	teardown(&w);
	for (int i = 0; i < N; i++) {
		assert_int_equal(sent[i], seen[i]);
		label_set__unref(sets[i]);
	}
}

static void test_no_memory(void **state _unused_)
{
	static char big[3 << 20];
	_label_set_ struct label_set *set = NULL;
	struct line line = make_line("a");
	Logproto__PushRequest *request;
	void *probe = malloc(sizeof(big));
	struct world w;

	free(probe);
	if (probe) {
		print_message("SKIP no_memory: only with AddressSanitizer an allocation can be "
			      "refused\n");
		skip();
	}
	set = make_set("web", "stdout", NULL);
	setup(&w, BATCH_LOKI);
	line.bytes = big;
	line.len = sizeof(big);
	assert_int_equal(batcher__add(w.b, set, &line), -ENOMEM);
	assert_int_equal(batcher__oldest(w.b), UINT64_MAX);
	add(&w, set, make_line("a"));
	assert_int_equal(batcher__add(w.b, set, &line), -ENOMEM);
	line.len = 1900000; /* the arena has room, the rest has not */
	assert_int_equal(batcher__add(w.b, set, &line), -ENOMEM);
	add(&w, set, make_line("b"));
	batcher__seal(w.b);
	assert_int_equal(w.n, 1);
	request = unpack(w.sealed[0]);
	assert_int_equal(request->streams[0]->n_entries, 2);
	assert_text(request->streams[0]->entries[1], "b");
	logproto__push_request__free_unpacked(request, NULL);
	teardown(&w);
}

/* As the request has it, to the byte: a batch is never larger unless one line is. */
static void test_exact_size(void **state _unused_)
{
	static char bytes[70000];
	struct label_set *sets[3];
	struct world w;
	size_t i;

	memset(bytes, 'x', sizeof(bytes));
	for (i = 0; i < ARRAY_SIZE(sets); i++) {
		char name[300];

		snprintf(name, sizeof(name), "%0*zu", i ? (int)i * 100 : 1, i);
		sets[i] = make_set(name, "stdout", "6c4c");
	}
	setup_opts(&w, (struct batch_opts){.encoding = BATCH_LOKI, .max_bytes = 50000});
	for (i = 0; i < 3000; i++) {
		struct line line = make_line("");

		line.bytes = bytes;
		line.len = i % 7 ? (i * i) % 1500 : (i * 40) % 66000;
		line.time_ns += i;
		add(&w, sets[(i / 3) % ARRAY_SIZE(sets)], line);
		assert_true(batcher__open_bytes(w.b) <= 50000);
		if (w.n && w.sealed[w.n - 1]->lines > 1)
			assert_true(w.sealed[w.n - 1]->raw_bytes <= 50000);
	}
	i = batcher__open_bytes(w.b);
	batcher__seal(w.b);
	assert_int_equal(w.sealed[w.n - 1]->raw_bytes, i);
	for (i = 0; i < w.n; i++) {
		struct request r;

		assert_int_equal(request__open(&r, w.sealed[i]->payload.data,
					       w.sealed[i]->payload.len, 1 << 20),
				 0);
		assert_int_equal(r.raw.len, w.sealed[i]->raw_bytes);
		assert_int_equal(r.n_entries, w.sealed[i]->lines);
		request__close(&r);
	}
	teardown(&w);
	for (i = 0; i < ARRAY_SIZE(sets); i++)
		label_set__unref(sets[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_line),	cmocka_unit_test(test_streams_are_grouped),
		cmocka_unit_test(test_any_bytes),	cmocka_unit_test(test_every_width),
		cmocka_unit_test(test_seconds_change),	cmocka_unit_test(test_marks),
		cmocka_unit_test(test_line_metadata),	cmocka_unit_test(test_line_metadata_limits),
		cmocka_unit_test(test_metadata_limits), cmocka_unit_test(test_many_streams),
		cmocka_unit_test(test_no_memory),	cmocka_unit_test(test_exact_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
