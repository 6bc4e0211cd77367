/* SPDX-License-Identifier: Apache-2.0 */
/* Each length and each text of a record is made wrong once, and nothing may be handed on. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "capture/record.h"

struct seen {
	enum nt_kind kind;
	uint64_t pos;
	const void *rec;
	unsigned calls;
};

static void note(struct seen *s, enum nt_kind kind, uint64_t pos, const void *rec)
{
	s->kind = kind;
	s->pos = pos;
	s->rec = rec;
	s->calls++;
}

static void on_data(void *ctx, uint64_t pos, const struct nt_data *rec)
{
	note(ctx, NT_KIND_DATA, pos, rec);
}

static void on_registered(void *ctx, uint64_t pos, const struct nt_register *rec)
{
	note(ctx, NT_KIND_REGISTER, pos, rec);
}

static void on_tap(void *ctx, uint64_t pos, const struct nt_register *rec)
{
	note(ctx, NT_KIND_TAP, pos, rec);
}

static void on_end(void *ctx, uint64_t pos, const struct nt_end *rec)
{
	note(ctx, NT_KIND_END, pos, rec);
}

static void on_cgroup_new(void *ctx, uint64_t pos, const struct nt_cgroup_event *rec)
{
	note(ctx, NT_KIND_CGROUP_NEW, pos, rec);
}

static void on_cgroup_gone(void *ctx, uint64_t pos, const struct nt_cgroup_event *rec)
{
	note(ctx, NT_KIND_CGROUP_GONE, pos, rec);
}

static void on_note(void *ctx, uint64_t pos, const struct nt_note *rec)
{
	note(ctx, NT_KIND_NOTE, pos, rec);
}

static const struct record_ops ops = {
	.data = on_data,
	.registered = on_registered,
	.tap = on_tap,
	.end = on_end,
	.cgroup_new = on_cgroup_new,
	.cgroup_gone = on_cgroup_gone,
	.note = on_note,
};

/* On the heap and of exactly that size, so that a read behind it is found. */
static int dispatch(const void *data, size_t size, const struct record_ops *o, struct seen *s)
{
	void *copy = malloc(size ? size : 1);
	const char *why = NULL;
	int r;

	assert_non_null(copy);
	memcpy(copy, data, size);
	r = record__dispatch(copy, size, 77, o, s, &why);
	if (r < 0)
		assert_non_null(why);
	else
		assert_null(why);
	free(copy);
	return r;
}

static void good(const void *data, size_t size, enum nt_kind kind)
{
	struct seen s = {0};
	const struct record_ops none = {0};

	assert_int_equal(dispatch(data, size, &ops, &s), 0);
	assert_int_equal(s.calls, 1);
	assert_int_equal(s.kind, kind);
	assert_int_equal(s.pos, 77);
	assert_int_equal(dispatch(data, size, &none, &s), 0);
	assert_int_equal(s.calls, 1);
}

static void bad(const void *data, size_t size)
{
	struct seen s = {0};

	assert_int_equal(dispatch(data, size, &ops, &s), -EBADMSG);
	assert_int_equal(s.calls, 0);
}

/* Every shorter room and every shorter header is refused. */
static void no_shorter(const void *data, size_t size)
{
	uint8_t copy[512];
	struct nt_hdr *hdr = (struct nt_hdr *)copy;

	assert_true(size <= sizeof(copy));
	for (size_t n = 0; n < size; n++) {
		bad(data, n);
		memcpy(copy, data, size);
		hdr->size = (uint32_t)n;
		bad(copy, size);
	}
}

#define TEXT_LEN 5

static union {
	struct nt_data rec;
	uint8_t room[sizeof(struct nt_data) + 64];
} d;

static int make_data(void **state)
{
	(void)state;
	memset(&d, 0, sizeof(d));
	d.rec.hdr.kind = NT_KIND_DATA;
	d.rec.hdr.size = sizeof(d.rec) + TEXT_LEN;
	d.rec.len = TEXT_LEN;
	d.rec.file = NT_FILE_STDERR;
	d.rec.tap = NT_TAP_WRITE;
	memcpy(d.room + sizeof(d.rec), "hello", TEXT_LEN);
	return 0;
}

static void test_data(void **state)
{
	(void)state;
	good(&d, d.rec.hdr.size, NT_KIND_DATA);
	good(&d, sizeof(d), NT_KIND_DATA); /* reserved in a larger size class */
	no_shorter(&d, d.rec.hdr.size);
	d.rec.len = 0; /* a gap alone */
	good(&d, sizeof(d), NT_KIND_DATA);
}

static void test_data_length(void **state)
{
	(void)state;
	d.rec.len = TEXT_LEN + 1; /* the room has it, the header does not */
	bad(&d, sizeof(d));
	d.rec.len = UINT32_MAX;
	bad(&d, sizeof(d));
	d.rec.len = TEXT_LEN;
	d.rec.hdr.size = UINT32_MAX;
	bad(&d, sizeof(d));
}

static void test_data_chunk_max(void **state)
{
	size_t size = sizeof(struct nt_data) + NT_CHUNK_MAX + 1;
	struct nt_data *rec = calloc(1, size);

	(void)state;
	assert_non_null(rec);
	*rec = d.rec;
	rec->hdr.size = (uint32_t)size;
	rec->len = NT_CHUNK_MAX;
	good(rec, size, NT_KIND_DATA);
	rec->len = NT_CHUNK_MAX + 1;
	bad(rec, size);
	free(rec);
}

static void test_data_fields(void **state)
{
	(void)state;
	memset(d.rec.comm, 'x', sizeof(d.rec.comm));
	bad(&d, sizeof(d));
	make_data(NULL);
	d.rec.file = 0;
	bad(&d, sizeof(d));
	d.rec.file = NT_FILE_TTY + 1;
	bad(&d, sizeof(d));
	make_data(NULL);
	d.rec.tap = 0;
	bad(&d, sizeof(d));
	d.rec.tap = NT_TAP_WRITE + 1;
	bad(&d, sizeof(d));
	make_data(NULL);
	d.rec.key.type = NT_KEY_TTY + 1;
	bad(&d, sizeof(d));
}

static void test_register(void **state)
{
	struct nt_register rec = {
		.hdr = {.kind = NT_KIND_REGISTER, .size = sizeof(rec)},
		.file = NT_FILE_TTY,
		.tap = NT_TAP_READ,
	};

	(void)state;
	good(&rec, sizeof(rec), NT_KIND_REGISTER);
	no_shorter(&rec, sizeof(rec));
	rec.hdr.kind = NT_KIND_TAP;
	good(&rec, sizeof(rec), NT_KIND_TAP);
	no_shorter(&rec, sizeof(rec));
	rec.file = 0;
	bad(&rec, sizeof(rec));
	rec.file = NT_FILE_TTY;
	memset(rec.comm, 'x', sizeof(rec.comm));
	bad(&rec, sizeof(rec));
}

static void test_end(void **state)
{
	struct nt_end rec = {
		.hdr = {.kind = NT_KIND_END, .size = sizeof(rec)},
		.file = NT_FILE_STDOUT,
		.tap = NT_TAP_READ,
	};

	(void)state;
	good(&rec, sizeof(rec), NT_KIND_END);
	no_shorter(&rec, sizeof(rec));
	rec.file = 9;
	bad(&rec, sizeof(rec));
}

static void test_cgroup(void **state)
{
	struct nt_cgroup_event rec = {
		.hdr = {.kind = NT_KIND_CGROUP_NEW, .size = sizeof(rec)},
		.path_len = 4,
		.path = "/a/b",
	};

	(void)state;
	good(&rec, sizeof(rec), NT_KIND_CGROUP_NEW);
	no_shorter(&rec, sizeof(rec));
	rec.hdr.kind = NT_KIND_CGROUP_GONE;
	good(&rec, sizeof(rec), NT_KIND_CGROUP_GONE);
	rec.path_len = 3; /* not where the NUL is */
	bad(&rec, sizeof(rec));
	rec.path_len = NT_PATH_LEN;
	bad(&rec, sizeof(rec));
	rec.path_len = UINT32_MAX;
	bad(&rec, sizeof(rec));
}

static void test_note(void **state)
{
	const struct nt_note rec = {
		.hdr = {.kind = NT_KIND_NOTE, .size = sizeof(rec)},
		.count = 5,
		.file = NT_FILE_STDOUT,
		.tap = NT_TAP_READ,
	};
	struct nt_note other = rec;

	(void)state;
	good(&rec, sizeof(rec), NT_KIND_NOTE);
	no_shorter(&rec, sizeof(rec));
	other.count = 0;
	bad(&other, sizeof(other));
	other.count = 1;
	other.at = UINT64_MAX; /* it would end before it begins */
	bad(&other, sizeof(other));
	other = rec;
	other.file = 0;
	bad(&other, sizeof(other));
	other = rec;
	memset(other.comm, 'x', sizeof(other.comm));
	bad(&other, sizeof(other));
}

static void test_unknown_kind(void **state)
{
	(void)state;
	d.rec.hdr.kind = 0;
	bad(&d, sizeof(d));
	d.rec.hdr.kind = NT_KIND_READER_GONE + 1;
	bad(&d, sizeof(d));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_data, make_data),
		cmocka_unit_test_setup(test_data_length, make_data),
		cmocka_unit_test_setup(test_data_chunk_max, make_data),
		cmocka_unit_test_setup(test_data_fields, make_data),
		cmocka_unit_test(test_register),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_cgroup),
		cmocka_unit_test(test_note),
		cmocka_unit_test_setup(test_unknown_kind, make_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
