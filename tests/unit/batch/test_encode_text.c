/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "batch_world.h"

/* Lets an allocation fail: over a mebibyte there is no memory. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1:max_allocation_size_mb=1";
}

#define TS "2026-11-21T04:40:08.125461044Z"
#define ID "6c4c4f0e"

static void assert_encoded(struct batch_opts opts, struct label_set *set, struct line line,
			   const char *text)
{
	struct world w;

	setup_opts(&w, opts);
	add(&w, set, line);
	batcher__seal(w.b);
	assert_int_equal(w.n, 1);
	assert_payload(w.sealed[0], text);
	teardown(&w);
}

static const struct batch_opts json = {.encoding = BATCH_JSON};

static void test_json(void **state _unused_)
{
	_label_set_ struct label_set *set = make_set("web", "stdout", ID);

	assert_encoded(json, set, make_line("GET /"),
		       "{\"ts\":\"" TS "\",\"stream\":\"stdout\",\"line\":\"GET /\","
		       "\"labels\":{\"container\":\"web\",\"stream\":\"stdout\"},"
		       "\"metadata\":{\"container_id\":\"" ID
		       "\",\"pid\":\"71\",\"comm\":\"nginx\"}}\n");
}

static void test_json_streams(void **state _unused_)
{
	_label_set_ struct label_set *set = label_set__new();
	struct line line = make_line("");

	assert_int_equal(label_set__seal(set), 0);
	line.pid = 0;
	line.comm[0] = '\0';
	line.stream = LINE_STDERR;
	assert_encoded(json, set, line,
		       "{\"ts\":\"" TS "\",\"stream\":\"stderr\",\"line\":\"\",\"labels\":{},"
		       "\"metadata\":{}}\n");
	line.stream = LINE_TTY;
	line.pid = 4000000000;
	assert_encoded(json, set, line,
		       "{\"ts\":\"" TS "\",\"stream\":\"stdout\",\"line\":\"\",\"labels\":{},"
		       "\"metadata\":{\"pid\":\"4000000000\"}}\n");
}

static void test_json_bytes(void **state _unused_)
{
	_label_set_ struct label_set *set = label_set__new();
	struct line line = make_line("");

	assert_int_equal(label_set__seal(set), 0);
	line.pid = 0;
	line.comm[0] = '\0';
	line.bytes = "\"\\\t\0\33\xc3\xa4";
	line.len = 7;
	assert_encoded(json, set, line,
		       "{\"ts\":\"" TS "\",\"stream\":\"stdout\","
		       "\"line\":\"\\\"\\\\\\t\\u0000\\u001b\xc3\xa4\",\"labels\":{},"
		       "\"metadata\":{}}\n");
	line.bytes = "\"quoted\" and \xff";
	line.len = 14;
	assert_encoded(json, set, line,
		       "{\"ts\":\"" TS "\",\"stream\":\"stdout\","
		       "\"line_base64\":\"InF1b3RlZCIgYW5kIP8=\",\"labels\":{},\"metadata\":{}}\n");
}

static void test_json_marks(void **state _unused_)
{
	_label_set_ struct label_set *set = make_set("web", "stdout", ID);
	_label_set_ struct label_set *bare = label_set__new();
	struct line line = make_line("x");

	assert_int_equal(label_set__seal(bare), 0);
	line.truncated = true;
	assert_encoded(json, set, line,
		       "{\"ts\":\"" TS "\",\"stream\":\"stdout\",\"line\":\"x\","
		       "\"labels\":{\"container\":\"web\",\"stream\":\"stdout\"},"
		       "\"metadata\":{\"container_id\":\"" ID
		       "\",\"pid\":\"71\",\"comm\":\"nginx\",\"truncated\":\"true\"}}\n");
	line.truncated = false;
	line.pid = 0;
	line.comm[0] = '\0';
	line.gap = "ring_full";
	assert_encoded(json, bare, line,
		       "{\"ts\":\"" TS "\",\"stream\":\"stdout\",\"line\":\"x\",\"labels\":{},"
		       "\"metadata\":{\"notail_gap\":\"ring_full\"}}\n");
	line.gap = NULL;
	line.session = true;
	assert_encoded(json, bare, line,
		       "{\"ts\":\"" TS "\",\"stream\":\"stdout\",\"line\":\"x\",\"labels\":{},"
		       "\"metadata\":{\"notail_exec\":\"true\"}}\n");
}

static void test_json_values_are_escaped(void **state _unused_)
{
	_label_set_ struct label_set *set = make_set("a\"b", "std\nout", "\\");
	struct line line = make_line("");

	memcpy(line.comm, "\"\xff\x01", 4);
	assert_encoded(json, set, line,
		       "{\"ts\":\"" TS "\",\"stream\":\"stdout\",\"line\":\"\","
		       "\"labels\":{\"container\":\"a\\\"b\",\"stream\":\"std\\nout\"},"
		       "\"metadata\":{\"container_id\":\"\\\\\",\"pid\":\"71\","
		       "\"comm\":\"\\\"?\\u0001\"}}\n");
}

/* What is kept of a stream must follow its writer. */
static void test_json_writers_change(void **state _unused_)
{
	static const struct {
		uint32_t pid;
		const char *comm, *shown;
		uint32_t tid;
		struct line_trace trace;
	} writers[] = {
		{71, "nginx", "\"pid\":\"71\",\"comm\":\"nginx\"", 0, {{0}, {0}}},
		{71, "nginx", "\"pid\":\"71\",\"comm\":\"nginx\"", 0, {{0}, {0}}},
		{72, "nginx", "\"pid\":\"72\",\"comm\":\"nginx\"", 0, {{0}, {0}}},
		{72, "sh", "\"pid\":\"72\",\"comm\":\"sh\"", 0, {{0}, {0}}},
		{0, "", "", 0, {{0}, {0}}},
		{0, "sh", "\"comm\":\"sh\"", 0, {{0}, {0}}},
		{72, "", "\"pid\":\"72\"", 0, {{0}, {0}}},
		{71, "nginx", "\"pid\":\"71\",\"comm\":\"nginx\"", 0, {{0}, {0}}},
		{71,
		 "nginx",
		 "\"pid\":\"71\",\"comm\":\"nginx\",\"tid\":\"73\","
		 "\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\","
		 "\"span_id\":\"b7ad6b7169203331\"",
		 73,
		 {"\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c",
		  "\xb7\xad\x6b\x71\x69\x20\x33\x31"}},
		{71, "nginx", "\"pid\":\"71\",\"comm\":\"nginx\",\"tid\":\"73\"", 73, {{0}, {0}}},
	};
	_label_set_ struct label_set *set = label_set__new();
	_buf_ struct buf expected = {0};
	struct world w;

	assert_int_equal(label_set__seal(set), 0);
	setup(&w, BATCH_JSON);
	for (size_t i = 0; i < ARRAY_SIZE(writers); i++) {
		struct line line = make_line("x");

		line.pid = writers[i].pid;
		line.tid = writers[i].tid;
		line.trace = writers[i].trace;
		memset(line.comm, 0, sizeof(line.comm));
		memcpy(line.comm, writers[i].comm, strlen(writers[i].comm));
		add(&w, set, line);
		buf__printf(&expected,
			    "{\"ts\":\"" TS "\",\"stream\":\"stdout\",\"line\":\"x\","
			    "\"labels\":{},\"metadata\":{%s}}\n",
			    writers[i].shown);
	}
	batcher__seal(w.b);
	buf__append(&expected, "", 1);
	assert_payload(w.sealed[0], expected.data);
	teardown(&w);
}

static void test_times_follow_the_line(void **state _unused_)
{
	_label_set_ struct label_set *set = make_set("web", "stdout", NULL);
	struct line line = make_line("x");
	struct world w;

	setup_opts(&w, (struct batch_opts){.encoding = BATCH_RAW, .times = true});
	add(&w, set, line);
	line.time_ns++;
	add(&w, set, line);
	line.time_ns += NS_PER_SEC;
	add(&w, set, line);
	w.anchor.offset_ns += 3600 * (int64_t)NS_PER_SEC; /* the clock stepped */
	add(&w, set, line);
	batcher__seal(w.b);
	assert_payload(w.sealed[0], TS " x\n"
				       "2026-11-21T04:40:08.125461045Z x\n"
				       "2026-11-21T04:40:09.125461045Z x\n"
				       "2026-11-21T05:40:09.125461045Z x\n");
	teardown(&w);
}

static void test_text(void **state _unused_)
{
	_label_set_ struct label_set *set = make_set("web-1", "stderr", ID);
	struct line line = make_line("\33[1mbold\xff");

	line.stream = LINE_STDERR;
	assert_encoded((struct batch_opts){.encoding = BATCH_TEXT}, set, line,
		       "web-1 stderr | \33[1mbold\xff\n");
	line.stream = LINE_TTY;
	assert_encoded((struct batch_opts){.encoding = BATCH_TEXT, .times = true}, set, line,
		       TS " web-1 stdout | \33[1mbold\xff\n");
}

static void test_text_names_cannot_reach_the_terminal(void **state _unused_)
{
	_label_set_ struct label_set *set = make_set("a\33[2J\n\x7f", "stdout", NULL);
	_label_set_ struct label_set *nameless = label_set__new();

	assert_encoded((struct batch_opts){.encoding = BATCH_TEXT}, set, make_line("x"),
		       "a?[2J?? stdout | x\n");
	assert_int_equal(label_set__seal(nameless), 0);
	assert_encoded((struct batch_opts){.encoding = BATCH_TEXT}, nameless, make_line("x"),
		       " stdout | x\n");
	assert_encoded((struct batch_opts){.encoding = BATCH_LOGFMT}, nameless, make_line("x"),
		       "ts=" TS " stream=stdout container=\"\" line=\"x\"\n");
}

/* Without its color sequences; checks that there are two. */
static void strip(const struct batch *b, char *out)
{
	size_t sequences = 0;

	for (size_t i = 0; i < b->payload.len; i++) {
		if (b->payload.data[i] != '\33') {
			*out++ = b->payload.data[i];
			continue;
		}
		sequences++;
		while (b->payload.data[i] != 'm')
			i++;
	}
	*out = '\0';
	assert_int_equal(sequences, 2 * b->lines);
}

static void test_text_in_color_is_aligned(void **state _unused_)
{
	_label_set_ struct label_set *narrow = make_set("db", "stdout", NULL);
	_label_set_ struct label_set *wide = make_set("f\xc3\xbcnf5", "stdout", NULL);
	struct line line = make_line("x");
	char text[500];
	struct world w;

	setup_opts(&w, (struct batch_opts){.encoding = BATCH_TEXT, .color = true});
	add(&w, narrow, line);
	add(&w, wide, line);
	add(&w, narrow, line);
	line.stream = LINE_STDERR;
	add(&w, wide, line);
	batcher__seal(w.b);
	strip(w.sealed[0], text);
	assert_string_equal(text, "db stdout | x\n"
				  "f\xc3\xbcnf5 stdout | x\n"
				  "db    stdout | x\n"
				  "f\xc3\xbcnf5 stderr | x\n");
	assert_memory_equal(w.sealed[0]->payload.data, "\33[", 2);
	teardown(&w);
}

static void test_colors_of_neighbours_differ(void **state _unused_)
{
	static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "a"};
	char text[4096], *colors[ARRAY_SIZE(names)], *at = text;
	struct world w;

	setup_opts(&w, (struct batch_opts){.encoding = BATCH_TEXT, .color = true});
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_label_set_ struct label_set *set = make_set(names[i], "stdout", NULL);

		add(&w, set, make_line("\33[1mbold"));
	}
	batcher__seal(w.b);
	assert_true(w.sealed[0]->payload.len < sizeof(text));
	memcpy(text, w.sealed[0]->payload.data, w.sealed[0]->payload.len);
	text[w.sealed[0]->payload.len] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		colors[i] = strsep(&at, "\n");
		assert_non_null(strstr(colors[i], "\33[1mbold\33[0m"));
		colors[i][strlen("\33[36m")] = '\0';
		for (size_t j = 0; j < i; j++)
			assert_int_equal(!strcmp(colors[i], colors[j]), j == 0 && i == 10);
	}
	teardown(&w);
}

static void test_logfmt(void **state _unused_)
{
	_label_set_ struct label_set *set = make_set("web", "stdout", ID);
	_label_set_ struct label_set *odd = make_set("a b=\"c\"", "stdout", NULL);
	struct line line = make_line("say \"hi\"\\\t=");

	assert_encoded((struct batch_opts){.encoding = BATCH_LOGFMT}, set, line,
		       "ts=" TS " stream=stdout container=web line=\"say \\\"hi\\\"\\\\\\t=\"\n");
	line = make_line("");
	line.truncated = true;
	line.stream = LINE_STDERR;
	assert_encoded((struct batch_opts){.encoding = BATCH_LOGFMT}, odd, line,
		       "ts=" TS " stream=stderr container=\"a b=\\\"c\\\"\" truncated=true "
		       "line=\"\"\n");
	line.truncated = false;
	line.gap = "ring_full";
	assert_encoded((struct batch_opts){.encoding = BATCH_LOGFMT}, set, line,
		       "ts=" TS " stream=stderr container=web notail_gap=ring_full line=\"\"\n");
	line.gap = NULL;
	line.session = true;
	assert_encoded((struct batch_opts){.encoding = BATCH_LOGFMT}, set, line,
		       "ts=" TS " stream=stderr container=web notail_exec=true line=\"\"\n");
}

static void test_raw_is_the_bytes(void **state _unused_)
{
	static const char bytes[] = "a\0\xff\r\33[1m\"";
	_label_set_ struct label_set *set = make_set("web", "stdout", ID);
	struct line line = make_line("");
	struct world w;

	line.bytes = bytes;
	line.len = sizeof(bytes) - 1;
	setup(&w, BATCH_RAW);
	add(&w, set, line);
	batcher__seal(w.b);
	assert_int_equal(w.sealed[0]->payload.len, sizeof(bytes));
	assert_memory_equal(w.sealed[0]->payload.data, bytes, sizeof(bytes) - 1);
	assert_int_equal(w.sealed[0]->payload.data[sizeof(bytes) - 1], '\n');
	teardown(&w);
}

/* As `docker logs` would have them: no newline that was not written, no words of notail's. */
static void test_raw_adds_nothing(void **state _unused_)
{
	_label_set_ struct label_set *set = make_set("web", "stdout", ID);
	struct line gap = make_line("notail: 5 bytes lost here"), half = make_line("half");
	struct world w;

	gap.gap = "ring_full";
	half.unterminated = true;
	setup(&w, BATCH_RAW);
	add(&w, set, gap);
	batcher__seal(w.b);
	assert_null(w.sealed[0]);
	add(&w, set, half);
	batcher__seal(w.b);
	assert_int_equal(w.sealed[0]->payload.len, 4);
	assert_memory_equal(w.sealed[0]->payload.data, "half", 4);
	teardown(&w);
}

/* A line that there is no memory for is not in the batch; the ones before and after it are. */
static void test_no_memory(void **state _unused_)
{
	static char big[400000];
	_label_set_ struct label_set *set = NULL;
	struct line line = make_line("a");
	void *probe = malloc(2 << 20);
	struct world w;

	free(probe);
	if (probe) {
		print_message("SKIP no_memory: only with AddressSanitizer an allocation can be "
			      "refused\n");
		skip();
	}
	memset(big, 1, sizeof(big)); /* six times as long when escaped */
	set = make_set("web", "stdout", NULL);
	setup(&w, BATCH_LOGFMT);
	line.bytes = big;
	line.len = sizeof(big);
	assert_int_equal(batcher__add(w.b, set, &line), -ENOMEM);
	assert_int_equal(batcher__oldest(w.b), UINT64_MAX);
	batcher__seal(w.b);
	assert_int_equal(w.n, 0);
	add(&w, set, make_line("a"));
	assert_int_equal(batcher__add(w.b, set, &line), -ENOMEM);
	add(&w, set, make_line("b"));
	batcher__seal(w.b);
	assert_int_equal(w.n, 1);
	assert_int_equal(w.sealed[0]->lines, 2);
	assert_payload(w.sealed[0], "ts=" TS " stream=stdout container=web line=\"a\"\n"
				    "ts=" TS " stream=stdout container=web line=\"b\"\n");
	teardown(&w);
}

static void test_unknown_encoding(void **state _unused_)
{
	struct batch_opts opts = {.encoding = (enum batch_encoding)99};
	struct batcher *b = NULL;

	assert_int_equal(batcher__new(&b, &opts, on_sealed, NULL), -EINVAL);
	assert_null(b);
}

/* What stages gave a line. */
static void test_json_of_stages(void **state _unused_)
{
	_label_set_ struct label_set *set = make_set("web", "stdout", "6c4c");
	const struct line_pair pairs[] = {{"pid", "9", 1}, {"user", "\"X", 2}};
	struct line line = make_line("GET /");
	struct world w;

	setup(&w, BATCH_JSON);
	line.real_ns = 42 * NS_PER_SEC + 7;
	line.tenant = "t\"x";
	line.tenant_len = 3;
	add(&w, set, line);
	line.metadata = pairs;
	line.n_metadata = ARRAY_SIZE(pairs);
	line.comm[0] = (char)0xff;
	line.tenant_len = 1;
	add(&w, set, line);
	batcher__seal(w.b);
	assert_payload(w.sealed[0],
		       "{\"ts\":\"1970-01-01T00:00:42.000000007Z\",\"stream\":\"stdout\",\"line\":"
		       "\"GET /\",\"labels\":{\"container\":\"web\",\"stream\":\"stdout\"},"
		       "\"metadata\":{\"container_id\":\"6c4c\",\"pid\":\"71\",\"comm\":\"nginx\"},"
		       "\"tenant\":\"t\\\"x\"}\n"
		       "{\"ts\":\"1970-01-01T00:00:42.000000007Z\",\"stream\":\"stdout\",\"line\":"
		       "\"GET /\",\"labels\":{\"container\":\"web\",\"stream\":\"stdout\"},"
		       "\"metadata\":{\"container_id\":\"6c4c\",\"comm\":\"?ginx\",\"pid\":\"9\","
		       "\"user\":\"\\\"X\"},\"tenant\":\"t\"}\n");
	teardown(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_of_stages),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_json_streams),
		cmocka_unit_test(test_json_bytes),
		cmocka_unit_test(test_json_marks),
		cmocka_unit_test(test_json_values_are_escaped),
		cmocka_unit_test(test_json_writers_change),
		cmocka_unit_test(test_times_follow_the_line),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_text_names_cannot_reach_the_terminal),
		cmocka_unit_test(test_text_in_color_is_aligned),
		cmocka_unit_test(test_colors_of_neighbours_differ),
		cmocka_unit_test(test_logfmt),
		cmocka_unit_test(test_raw_is_the_bytes),
		cmocka_unit_test(test_raw_adds_nothing),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_unknown_encoding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
