/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <snappy-c.h>

#include "batch/request.h"
#include "batch_world.h"
#include "push.pb-c.h"

#define MAX_RAW (64u << 20)

static void open_batch(struct request *r, const struct batch *b)
{
	/* Of its own size, so that ASAN sees a read beyond it; freed, so that it sees a late one.
	 */
	char *copy = malloc(b->payload.len);

	memcpy(copy, b->payload.data, b->payload.len);
	assert_int_equal(request__open(r, copy, b->payload.len, MAX_RAW), 0);
	free(copy);
}

static void open_sealed(struct request *r, struct request_sealed *s)
{
	struct batch b = {.payload = s->payload};

	open_batch(r, &b);
	assert_int_equal(r->raw.len, s->raw_bytes);
	assert_int_equal(r->n_entries, s->lines);
	buf__free(&s->payload);
}

static void assert_span(struct request_span span, const char *text)
{
	assert_int_equal(span.len, strlen(text));
	assert_memory_equal(span.data, text, span.len);
}

static void assert_line(const struct request *r, size_t i, const char *text)
{
	assert_true(i < r->n_entries);
	assert_span((struct request_span){r->entries[i].line, r->entries[i].line_len}, text);
}

/* "name=value name=value" */
static const char *metadata(const struct request *r, size_t i)
{
	static char text[4096];
	struct request_span name, value;
	size_t len = 0;

	assert_true(i < r->n_entries);
	text[0] = '\0';
	for (size_t cursor = 0; request_entry__pair(&r->entries[i], &cursor, &name, &value);)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%.*s=%.*s",
					len ? " " : "", (int)name.len, name.data, (int)value.len,
					value.data);
	return text;
}

/* Two streams in turn, six lines: 0 2 4 are web's. */
static struct batch *six_lines(struct world *w)
{
	static const char *const texts[] = {"zero",
					    "one",
					    "",
					    "three",
					    "four \xff",
					    "five is the longest of them, so that its stream is "
					    "the larger one, and the last in the request"};
	_label_set_ struct label_set *web = make_set("web", "stdout", "6c4c");
	_label_set_ struct label_set *db = make_set("db", "stderr", NULL);

	setup(w, BATCH_LOKI);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct line line = make_line(texts[i]);

		line.time_ns += i;
		add(w, i % 2 ? db : web, line);
	}
	batcher__seal(w->b);
	return w->sealed[0];
}

static void test_open(void **state _unused_)
{
	_request_ struct request r = {0};
	struct world w;

	open_batch(&r, six_lines(&w));
	assert_int_equal(r.n_streams, 2);
	assert_int_equal(r.n_entries, 6);
	assert_span(r.streams[0].labels, "{container=\"web\", stream=\"stdout\"}");
	assert_span(r.streams[1].labels, "{container=\"db\", stream=\"stderr\"}");
	assert_int_equal(r.streams[0].first, 0);
	assert_int_equal(r.streams[0].n, 3);
	assert_int_equal(r.streams[1].first, 3);
	assert_int_equal(r.streams[1].n, 3);
	assert_line(&r, 0, "zero");
	assert_line(&r, 1, "");
	assert_line(&r, 2, "four \xff");
	assert_line(&r, 3, "one");
	assert_int_equal(r.entries[2].time_ns, 1795236008125461048);
	assert_int_equal(r.entries[2].stream, 0);
	assert_int_equal(r.entries[5].stream, 1);
	assert_string_equal(metadata(&r, 0), "container_id=6c4c pid=71 comm=nginx");
	assert_string_equal(metadata(&r, 5), "pid=71 comm=nginx");
	teardown(&w);
}

static void test_all_is_the_same(void **state _unused_)
{
	_request_ struct request r = {0};
	struct request_sealed s;
	struct batch *b;
	struct world w;

	b = six_lines(&w);
	open_batch(&r, b);
	assert_int_equal(request__seal(&r, NULL, NULL, &s), 0);
	assert_int_equal(s.payload.len, b->payload.len);
	assert_memory_equal(s.payload.data, b->payload.data, s.payload.len);
	assert_int_equal(s.raw_bytes, b->raw_bytes);
	assert_int_equal(s.lines, b->lines);
	assert_int_equal(s.log_bytes, b->log_bytes);
	buf__free(&s.payload);
	teardown(&w);
}

struct picks {
	uint64_t wanted; /* a bit for each */
	struct request_edit edit[64];
	uint64_t edited;
};

static bool pick(void *ctx, size_t i, struct request_edit *edit)
{
	const struct picks *p = ctx;

	assert_null(edit->line);
	assert_true(edit->line_max == SIZE_MAX);
	if (p->edited & 1ull << i)
		*edit = p->edit[i];
	return p->wanted & 1ull << i;
}

static void test_some(void **state _unused_)
{
	_request_ struct request r = {0}, again = {0};
	struct picks p = {.wanted = 0x18};
	struct request_sealed s;
	struct world w;

	open_batch(&r, six_lines(&w));
	assert_int_equal(request__seal(&r, pick, &p, &s), 0);
	assert_int_equal(s.lines, 2);
	assert_int_equal(s.log_bytes, 3 + 5);
	open_sealed(&again, &s);
	assert_int_equal(again.n_streams, 1);
	assert_span(again.streams[0].labels, "{container=\"db\", stream=\"stderr\"}");
	assert_line(&again, 0, "one");
	assert_line(&again, 1, "three");
	p.wanted = 0;
	assert_int_equal(request__seal(&r, pick, &p, &s), 0);
	assert_int_equal(s.lines + s.raw_bytes + s.payload.len, 0);
	assert_null(s.payload.data);
	teardown(&w);
}

static void test_edits(void **state _unused_)
{
	_request_ struct request r = {0}, again = {0};
	struct picks p = {.wanted = 0x3f, .edited = 0x3f};
	struct request_sealed s;
	struct world w;

	for (size_t i = 0; i < 6; i++)
		p.edit[i] = REQUEST_AS_IT_IS;
	p.edit[0].line_max = 3;
	p.edit[1].gap = "refused";
	p.edit[2].metadata_max = 20;
	p.edit[2].line_max = 6; /* as long as it is */
	p.edit[3].line = "1 line \xc3\xa9 was lost";
	p.edit[3].line_len = strlen(p.edit[3].line);
	p.edit[3].line_max = 8;
	p.edit[4].pairs_max = 0;
	p.edit[5].pairs_max = 1;
	p.edit[5].line_max = 0;
	open_batch(&r, six_lines(&w));
	assert_int_equal(request__seal(&r, pick, &p, &s), 0);
	assert_int_equal(s.log_bytes, 3 + 0 + 6 + 7 + 5 + 0);
	open_sealed(&again, &s);
	assert_line(&again, 0, "zer");
	assert_string_equal(metadata(&again, 0),
			    "container_id=6c4c pid=71 comm=nginx truncated=true");
	assert_line(&again, 1, "");
	assert_string_equal(metadata(&again, 1),
			    "container_id=6c4c pid=71 comm=nginx notail_gap=refused");
	assert_line(&again, 2, "four \xff");
	assert_string_equal(metadata(&again, 2), "container_id=6c4c");
	assert_line(&again, 3, "1 line ");
	assert_int_equal(again.entries[3].time_ns, r.entries[3].time_ns);
	assert_string_equal(metadata(&again, 3), "pid=71 comm=nginx truncated=true");
	assert_line(&again, 4, "three");
	assert_string_equal(metadata(&again, 4), "");
	assert_line(&again, 5, "");
	assert_string_equal(metadata(&again, 5), "truncated=true");
	teardown(&w);
}

/* A line that was cut stays one that was; what notail says of it comes before the rest. */
static void test_cut_twice(void **state _unused_)
{
	_label_set_ struct label_set *set = make_set("web", "stdout", "6c4c");
	_request_ struct request r = {0}, again = {0};
	struct picks p = {.wanted = 1, .edited = 1, .edit = {REQUEST_AS_IT_IS}};
	struct line line = make_line("\xf0\x9f\x98\x80\x80\x80\x80\x80");
	struct request_sealed s;
	struct world w;

	setup(&w, BATCH_LOKI);
	line.truncated = true;
	line.session = true;
	add(&w, set, line);
	batcher__seal(w.b);
	open_batch(&r, w.sealed[0]);
	p.edit[0].line_max = 7; /* no character's border is near */
	p.edit[0].pairs_max = 3;
	assert_int_equal(request__seal(&r, pick, &p, &s), 0);
	open_sealed(&again, &s);
	assert_line(&again, 0, "\xf0\x9f\x98\x80\x80\x80\x80");
	assert_string_equal(metadata(&again, 0),
			    "container_id=6c4c truncated=true notail_exec=true");
	request__close(&again);
	p.edit[0].line_max = 3; /* within the character */
	p.edit[0].pairs_max = SIZE_MAX;
	p.edit[0].metadata_max = 14;
	assert_int_equal(request__seal(&r, pick, &p, &s), 0);
	open_sealed(&again, &s);
	assert_line(&again, 0, "");
	assert_string_equal(metadata(&again, 0), "truncated=true");
	teardown(&w);
}

static int open_raw(const void *raw, size_t len, size_t max_raw)
{
	size_t packed_len = snappy_max_compressed_length(len);
	char *packed = malloc(packed_len);
	struct request r = {0};
	int err;

	assert_int_equal(snappy_compress(raw, len, packed, &packed_len), 0);
	err = request__open(&r, packed, packed_len, max_raw);
	free(packed);
	request__close(&r);
	return err;
}

#define RAW(bytes) open_raw(bytes, sizeof(bytes) - 1, MAX_RAW)

static void test_hostile(void **state _unused_)
{
	struct request r = {0};

	assert_int_equal(RAW(""), 0);
	assert_int_equal(RAW("\x0a\x00"), 0);
	assert_int_equal(RAW("\x0a\x04\x12\x02\x0a\x00"), 0);
	assert_int_equal(RAW("\x0a\x05\x12\x02\x0a\x00"), -EBADMSG);	     /* cut */
	assert_int_equal(RAW("\x0a\x02\x12\x00"), -EBADMSG);		     /* no time */
	assert_int_equal(RAW("\x0a\x06\x12\x04\x0a\x00\x0a\x00"), -EBADMSG); /* two */
	assert_int_equal(RAW("\x0a\x02\x18\x07"), -EBADMSG);		     /* a hash */
	assert_int_equal(RAW("\x0a\x04\x0a\x00\x0a\x00"), -EBADMSG);	     /* labels twice */
	assert_int_equal(RAW("\x12\x00"), -EBADMSG);			     /* no stream */
	assert_int_equal(RAW("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), -EBADMSG);
	assert_int_equal(RAW("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), -EBADMSG);
	assert_int_equal(RAW("\x0a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"), -EBADMSG);
	assert_int_equal(open_raw("\x0a\x04\x12\x02\x0a\x00", 6, 5), -EFBIG);
	assert_int_equal(request__open(&r, "", 0, MAX_RAW), -EBADMSG);
	assert_int_equal(request__open(&r, "\xff\xff\xff\xff\x0f", 5, SIZE_MAX), -EBADMSG);
	assert_int_equal(request__open(&r, "\x04\x0cno", 4, MAX_RAW), -EBADMSG);
	assert_null(r.raw.data);
}

static void test_streams_in_common(void **state _unused_)
{
	_label_set_ struct label_set *db = make_set("db", "stderr", "another id");
	_label_set_ struct label_set *mq = make_set("mq", "stderr", NULL);
	struct batch *six, none = {0};
	struct world w;

	six = six_lines(&w);
	assert_int_equal(six->n_streams, 2);
	assert_true(six->streams[0] < six->streams[1]);
	add(&w, mq, make_line("other"));
	batcher__seal(w.b);
	assert_int_equal(w.sealed[1]->n_streams, 1);
	assert_true(w.sealed[1]->streams[0] == request__labels_hash(mq->text, strlen(mq->text)));
	add(&w, mq, make_line("other"));
	add(&w, db, make_line("same"));
	batcher__seal(w.b);
	assert_false(batch__shares_stream(six, w.sealed[1]));
	assert_false(batch__shares_stream(w.sealed[1], six));
	assert_true(batch__shares_stream(six, w.sealed[2]));
	assert_true(batch__shares_stream(w.sealed[2], w.sealed[1]));
	assert_true(batch__shares_stream(six, &none));
	assert_true(batch__shares_stream(&none, six));
	teardown(&w);
}

static void test_hash(void **state _unused_)
{
	assert_true(request__labels_hash("{a=\"b\"}", 7) != request__labels_hash("{a=\"c\"}", 7));
	/* It is kept on disk. */
	assert_true(request__labels_hash("{a=\"b\"}", 7) == 0x7dc13f6a36802487);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_all_is_the_same),
		cmocka_unit_test(test_some),
		cmocka_unit_test(test_edits),
		cmocka_unit_test(test_cut_twice),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_streams_in_common),
		cmocka_unit_test(test_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
