/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The formats of --stdout: text, json, logfmt, raw. They differ in what stands before and behind a
 * line, so each is a function of its own over the same buffer, which becomes the batch's payload.
 *
 * JSON looks at each byte of a line once: escaping copies it and checks its UTF-8 on the way. A
 * line that fails is taken back and written again as base64.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "batch/encode.h"
#include "batch/writer_pairs.h"

/* All of a JSON line but the line, its stream's bytes and a gap's reason. */
#define JSON_OWN_MAX 256
#define TEXT_OWN_MAX 64
#define HINT_MIN 1024
#define N_COLORS 10
#define COLOR_LEN 5

struct text;
typedef int (*add_line_fn)(struct text *t, const struct stream *s, const struct line *line);

struct text {
	struct encoder encoder;
	add_line_fn add_line;
	bool times;
	bool color;
	const struct clock_anchor *anchor;
	struct buf out;
	size_t hint;		    /* bytes of the last batch */
	size_t width;		    /* columns of the widest name so far; color */
	uint32_t colored[N_COLORS]; /* hash of the name that has the color */
	size_t next_color;
	struct rfc3339_cache clock;
};

/* The caller has reserved. */
static inline void put(struct buf *b, const void *data, size_t len)
{
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
}
#define PUT(b, literal) put((b), (literal), sizeof(literal) - 1)

static void put_time(struct text *t, const struct line *line)
{
	put(&t->out, rfc3339_cache__text(&t->clock, line_real_ns(line, t->anchor)), RFC3339_LEN);
}

static void put_stream(struct text *t, enum line_stream stream)
{
	if (stream == LINE_STDERR)
		PUT(&t->out, "stderr");
	else
		PUT(&t->out, "stdout");
}

static void text__free(struct encoder *e)
{
	struct text *t = (struct text *)e;

	buf__free(&t->out);
	free(t);
}

static size_t text__bytes(const struct encoder *e)
{
	return ((const struct text *)e)->out.len;
}

static void text__seal(struct encoder *e, struct batch *b)
{
	struct text *t = (struct text *)e;

	b->raw_bytes = t->out.len;
	t->hint = t->out.len;
	b->payload = t->out;
	t->out = (struct buf){0};
}

/* Room for a line; a batch's first line reserves what the last batch was long. */
static int reserve(struct text *t, size_t more)
{
	if (!t->out.data && !buf__reserve(&t->out, MAX(t->hint, HINT_MIN) + more))
		return 0;
	return buf__reserve(&t->out, more);
}

/* --stdout=json */

static int append_text_pair(struct buf *b, const char *name, const char *value, size_t value_len)
{
	static const char *const marks[] = {"\"", "\":\"", "\""};
	size_t len = b->len;
	int err = 0;

	if (len && b->data[len - 1] != '{')
		err = buf__append_str(b, ",");
	for (int i = 0; !err && i < 3; i++) {
		err = buf__append_str(b, marks[i]);
		if (!err && i < 2)
			err = buf__append_json(b, i ? value : name, i ? value_len : strlen(name));
	}
	if (err)
		b->len = len;
	return err;
}

static int append_pair(struct buf *b, const char *name, const char *value)
{
	return append_text_pair(b, name, value, strlen(value));
}

static int append_pairs(struct buf *b, const char *head, const struct label *pairs, size_t n)
{
	int err;

	err = buf__append_str(b, head);
	for (size_t i = 0; !err && i < n; i++)
		err = append_pair(b, pairs[i].name, pairs[i].value);
	return err;
}

static int json__stream(struct encoder *e _unused_, struct stream *s)
{
	int err;

	err = append_pairs(&s->encoded, "\",\"labels\":{", s->set->labels, s->set->n_labels);
	if (!err)
		err = append_pairs(&s->encoded, "},\"metadata\":{", s->set->metadata,
				   s->set->n_metadata);
	return err;
}

static int json__writer(struct encoder *e _unused_, struct stream *s)
{
	struct writer_pair pairs[WRITER_PAIRS];
	size_t n = writer_pairs(s, pairs);
	int err = 0;

	for (size_t i = 0; !err && i < n; i++)
		err = append_pair(&s->encoded, pairs[i].name, pairs[i].value);
	return err;
}

/* The same as the two above make, for a line that has metadata of its own. */
static int append_line_pairs(struct buf *b, const struct stream *s, const struct line *line)
{
	struct writer_pair writer[WRITER_PAIRS];
	size_t n = writer_pairs(s, writer);
	int err;

	err = append_pairs(b, "\",\"labels\":{", s->set->labels, s->set->n_labels);
	if (!err)
		err = append_pairs(b, "},\"metadata\":{", NULL, 0);
	for (size_t i = 0; !err && i < s->set->n_metadata; i++) {
		const struct label *m = &s->set->metadata[i];

		if (!line_has(line, m->name, strlen(m->name)))
			err = append_pair(b, m->name, m->value);
	}
	for (size_t i = 0; !err && i < n; i++)
		if (!line_has(line, writer[i].name, strlen(writer[i].name))) {
			/* The stream keeps the name as it came. */
			utf8__clean(writer[i].value, strlen(writer[i].value));
			err = append_pair(b, writer[i].name, writer[i].value);
		}
	for (size_t i = 0; !err && i < line->n_metadata; i++)
		err = append_text_pair(b, line->metadata[i].name, line->metadata[i].value,
				       line->metadata[i].len);
	return err;
}

static int append_tenant(struct buf *b, const struct line *line)
{
	int err = buf__append_str(b, ",\"tenant\":\"");

	if (!err)
		err = buf__append_json(b, line->tenant, line->tenant_len);
	return err ? err : buf__append_str(b, "\"");
}

static int append_line_json(struct buf *b, const struct line *line)
{
	size_t len = b->len;
	int err;

	PUT(b, "\",\"line\":\"");
	err = buf__append_json_utf8(b, line->bytes, line->len);
	if (err != -EILSEQ)
		return err;
	b->len = len;
	PUT(b, "\",\"line_base64\":\"");
	return buf__append_base64(b, line->bytes, line->len);
}

static int add_json(struct text *t, const struct stream *s, const struct line *line)
{
	struct buf *b = &t->out;
	int err;

	err = reserve(t, JSON_OWN_MAX + line->len + s->encoded.len);
	if (err)
		return err;
	PUT(b, "{\"ts\":\"");
	put_time(t, line);
	PUT(b, "\",\"stream\":\"");
	put_stream(t, line->stream);
	err = append_line_json(b, line);
	if (!err)
		err = buf__reserve(b, JSON_OWN_MAX + s->encoded.len);
	if (err)
		return err;
	if (line->n_metadata)
		err = append_line_pairs(b, s, line);
	else
		put(b, s->encoded.data, s->encoded.len);
	if (!err && line->truncated)
		err = append_pair(b, "truncated", "true");
	if (!err && line->gap)
		err = append_pair(b, "notail_gap", line->gap);
	if (!err && line->session)
		err = append_pair(b, "notail_exec", "true");
	if (!err)
		err = buf__append(b, "}", 1);
	if (!err && line->tenant)
		err = append_tenant(b, line);
	if (!err)
		err = buf__append(b, "}\n", 2);
	return err;
}

/* --stdout=logfmt */

/* In quotes where the bare value would not be read back as it is. */
static int append_value(struct buf *b, const char *value)
{
	size_t len = strlen(value);
	bool bare = len && utf8__valid(value, len);
	int err;

	for (const char *p = value; bare && *p; p++)
		bare = *p != '"' && *p != '=' && *p != '\\' && *p != 0x7f &&
		       (unsigned char)*p > ' ';
	if (bare)
		return buf__append(b, value, len);
	err = buf__append_str(b, "\"");
	if (!err)
		err = buf__append_json(b, value, len);
	if (!err)
		err = buf__append_str(b, "\"");
	return err;
}

static int logfmt__stream(struct encoder *e _unused_, struct stream *s)
{
	const char *name = NULL;
	int err;

	for (size_t i = 0; !name && i < s->set->n_labels; i++)
		if (!strcmp(s->set->labels[i].name, "container"))
			name = s->set->labels[i].value;
	if (!name)
		name = s->set->display ? s->set->display : "";
	err = buf__append_str(&s->encoded, " container=");
	if (!err)
		err = append_value(&s->encoded, name);
	return err;
}

static int add_logfmt(struct text *t, const struct stream *s, const struct line *line)
{
	struct buf *b = &t->out;
	int err;

	err = reserve(t, TEXT_OWN_MAX + line->len + s->encoded.len);
	if (err)
		return err;
	PUT(b, "ts=");
	put_time(t, line);
	PUT(b, " stream=");
	put_stream(t, line->stream);
	put(b, s->encoded.data, s->encoded.len);
	if (line->truncated)
		err = buf__append_str(b, " truncated=true");
	if (!err && line->gap)
		err = buf__append_str(b, " notail_gap=");
	if (!err && line->gap)
		err = append_value(b, line->gap);
	if (!err && line->session)
		err = buf__append_str(b, " notail_exec=true");
	if (!err)
		err = buf__append_str(b, " line=\"");
	if (!err)
		err = buf__append_json(b, line->bytes, line->len);
	if (!err)
		err = buf__append(b, "\"\n", 2);
	return err;
}

/* --stdout=text and raw */

/* In the order in which names come, so that neighbours differ; both streams of a name have its
 * color. */
static const char *color_of(struct text *t, const char *name)
{
	static const char *const colors[N_COLORS] = {
		"\033[36m", "\033[33m", "\033[32m", "\033[35m", "\033[34m",
		"\033[96m", "\033[93m", "\033[92m", "\033[95m", "\033[94m",
	};
	uint32_t hash = 2166136261u; /* FNV-1a */
	size_t i;

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 16777619u;
	for (i = 0; i < N_COLORS; i++)
		if (t->colored[i] == hash)
			return colors[i];
	i = t->next_color++ % N_COLORS;
	t->colored[i] = hash;
	return colors[i];
}

/* Columns, taking each character for one. */
static size_t columns(const char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += ((uint8_t)text[i] & 0xc0) != 0x80;
	return n;
}

/* The name; `fixed` is its bytes. A process' name may be any bytes, and must not reach a terminal
 * as it is. */
static int text__stream(struct encoder *e, struct stream *s)
{
	struct text *t = (struct text *)e;
	const char *display = s->set->display ? s->set->display : "";
	char *name;
	size_t len = strlen(display);
	int err = 0;

	if (t->color)
		err = buf__append(&s->encoded, color_of(t, display), COLOR_LEN);
	if (!err)
		err = buf__append(&s->encoded, display, len);
	if (err)
		return err;
	if (!len)
		return 0;
	name = s->encoded.data + s->encoded.len - len;
	utf8__clean(name, len);
	for (size_t i = 0; i < len; i++)
		if ((uint8_t)name[i] < ' ' || name[i] == 0x7f)
			name[i] = '?';
	t->width = MAX(t->width, columns(name, len));
	return 0;
}

static int add_text(struct text *t, const struct stream *s, const struct line *line)
{
	struct buf *b = &t->out;
	size_t pad = 0;
	int err;

	err = reserve(t, TEXT_OWN_MAX + t->width + line->len + s->encoded.len);
	if (err)
		return err;
	if (t->times) {
		put_time(t, line);
		PUT(b, " ");
	}
	put(b, s->encoded.data, s->encoded.len);
	if (t->color) {
		pad = t->width - columns(s->encoded.data + COLOR_LEN, s->encoded.len - COLOR_LEN);
		memset(b->data + b->len, ' ', pad);
		b->len += pad;
	}
	PUT(b, " ");
	put_stream(t, line->stream);
	PUT(b, " |");
	if (t->color)
		PUT(b, "\033[0m");
	PUT(b, " ");
	put(b, line->bytes, line->len);
	/* What the line switches on must not run into the next name. */
	if (t->color && line->len && memchr(line->bytes, '\033', line->len))
		PUT(b, "\033[0m");
	PUT(b, "\n");
	return 0;
}

static int raw__stream(struct encoder *e _unused_, struct stream *s _unused_)
{
	return 0;
}

static int add_raw(struct text *t, const struct stream *s _unused_, const struct line *line)
{
	int err;

	err = reserve(t, TEXT_OWN_MAX + line->len);
	if (err)
		return err;
	if (t->times) {
		put_time(t, line);
		PUT(&t->out, " ");
	}
	put(&t->out, line->bytes, line->len);
	if (!line->unterminated)
		PUT(&t->out, "\n");
	return 0;
}

/* A line that could not be written whole is taken back. */
static int text__add(struct encoder *e, struct stream *s, const struct line *line)
{
	struct text *t = (struct text *)e;
	size_t len = t->out.len;
	int err;

	err = t->add_line(t, s, line);
	if (err)
		t->out.len = len;
	return err;
}

#define OPS(stream_fn, writer_fn)                                                 \
	{                                                                         \
		.free = text__free, .stream = (stream_fn), .writer = (writer_fn), \
		.add = text__add, .bytes = text__bytes, .seal = text__seal,       \
	}

static const struct {
	struct encoder_ops ops;
	add_line_fn add_line;
} formats[] = {
	[BATCH_TEXT] = {OPS(text__stream, NULL), add_text},
	[BATCH_JSON] = {OPS(json__stream, json__writer), add_json},
	[BATCH_LOGFMT] = {OPS(logfmt__stream, NULL), add_logfmt},
	[BATCH_RAW] = {OPS(raw__stream, NULL), add_raw},
};

int encode_text__new(struct encoder **ret, const struct batch_opts *opts)
{
	struct text *t;

	if (opts->encoding >= ARRAY_SIZE(formats) || !formats[opts->encoding].add_line)
		return -EINVAL;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->encoder.ops = &formats[opts->encoding].ops;
	t->add_line = formats[opts->encoding].add_line;
	t->times = opts->times;
	t->color = opts->color;
	t->anchor = opts->anchor;
	*ret = &t->encoder;
	return 0;
}
