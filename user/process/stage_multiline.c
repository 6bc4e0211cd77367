/* SPDX-License-Identifier: Apache-2.0 */
/*
 * multiline: lines from one that matches `firstline` up to the next such line are one. A stream's
 * lines that differ in their labels or tenant by now are blocks of their own, as in Promtail. Lines
 * before the first that matches go through as they are.
 *
 * A block ends with the next first line, max_wait_time after its last line, at max_lines, at the
 * size of a line, and at a gap. What comes then and is no first line goes on as a block with the
 * labels and values of the first line, and its own time. The wait is by the records' time: a line
 * that comes too late finds the block ended whether or not a tick came between.
 *
 * The same stage without a pattern is for what containers ask for (process/asked.h): its pattern is
 * the stream's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/regex.h"
#include "process/asked.h"
#include "process/hold.h"
#include "process/stages.h"

#define MAX_BLOCKS 16 /* of a stream */
#define KEEP_BYTES 16384u
#define ASKED_WAIT_NS (3 * NS_PER_SEC)
#define ASKED_MAX_LINES 128

struct multiline_options {
	const char *firstline;
	uint64_t max_wait_time;
	int64_t max_lines;
};

static const struct field multiline_fields[] = {
	FIELD(struct multiline_options, firstline, FIELD_STRING, .flags = FIELD_REQUIRED,
	      .doc = "A regular expression that the first line of each block matches."),
	FIELD(struct multiline_options, max_wait_time, FIELD_DURATION, .dflt = "3s",
	      .doc = "A block ends so long after its last line."),
	FIELD(struct multiline_options, max_lines, FIELD_INT, .dflt = "128", .min = 0,
	      .max = INT32_MAX, .doc = "A block ends with so many lines; 0: any number."),
	{0},
};

static const struct schema multiline_schema = {
	.name = "multiline", .size = sizeof(struct multiline_options), .fields = multiline_fields};

struct multiline {
	struct regex *firstline; /* NULL: the stream's own */
	uint64_t max_wait_ns, max_lines;
	struct held passing;
};

struct block {
	struct label_set *set; /* a reference: the lines' labels */
	char *tenant;	       /* the lines'; NULL: none */
	size_t tenant_len;
	struct held first;
	uint64_t lines; /* 0: ended, its first line's labels are kept */
	uint64_t last_ns;
	size_t reserved; /* bytes */
	bool told; /* a process before has sent it, or will have: its end is all that counts */
};

/* Of a stream. */
struct state {
	struct block *blocks; /* MAX_BLOCKS of them, NULL before the first; the oldest first */
	size_t n;
};

static int compile_multiline(const struct stage_env *env, const void *options,
			     const struct node *node, void **ret)
{
	const struct multiline_options *o = options;
	struct multiline *m = arena__zalloc(env->arena, sizeof(*m));
	struct regex_error why;
	int err;

	if (!o->firstline) {
		diag__error(env->diag, node, "no firstline, expected a regular expression");
		return -EINVAL;
	}
	if (!m)
		return -ENOMEM;
	m->max_wait_ns = o->max_wait_time;
	m->max_lines = (uint64_t)o->max_lines;
	err = regex__new(&m->firstline, o->firstline, false, &why);
	if (err == -EINVAL)
		diag__error(env->diag, node__get(node, "firstline"),
			    "invalid regex at offset %zu: %s", why.offset, why.text);
	if (!err)
		*ret = m;
	return err;
}

/* With the defaults of Promtail's. */
static int compile_asked(const struct stage_env *env, const void *options _unused_,
			 const struct node *node _unused_, void **ret)
{
	struct multiline *m = arena__zalloc(env->arena, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->max_wait_ns = ASKED_WAIT_NS;
	m->max_lines = ASKED_MAX_LINES;
	*ret = m;
	return 0;
}

static void free_multiline(void *stage)
{
	struct multiline *m = stage;

	regex__free(m->firstline);
	held__free(&m->passing);
}

static void send(struct block *b, struct program_stream *stream)
{
	if (!b->lines)
		return;
	b->lines = 0;
	program_stream__release(stream, b->reserved);
	b->reserved = 0;
	if (!b->told)
		program_stream__emit(stream, &b->first);
	b->told = false;
	b->first.line.len = 0;
	if (b->first.line.size > KEEP_BYTES)
		buf__free(&b->first.line);
}

static void block__free(struct block *b, struct program_stream *stream)
{
	program_stream__release(stream, b->reserved);
	label_set__unref(b->set);
	free(b->tenant);
	held__free(&b->first);
}

static void end_multiline(void *stage _unused_, void *state, struct program_stream *stream)
{
	struct state *s = state;

	for (size_t i = 0; i < s->n; i++)
		block__free(&s->blocks[i], stream);
	free(s->blocks);
	*s = (struct state){0};
}

static bool same_labels(const struct label_set *a, const struct label_set *b)
{
	return a == b || (a->hash == b->hash && !strcmp(a->text, b->text));
}

static bool same_tenant(const struct block *b, const struct entry *e)
{
	if (!b->tenant || !e->tenant)
		return !b->tenant && !e->tenant;
	return b->tenant_len == e->tenant_len && !memcmp(b->tenant, e->tenant, b->tenant_len);
}

/* `set`: the entry's labels. */
static struct block *find(const struct state *s, const struct label_set *set, const struct entry *e)
{
	for (size_t i = 0; i < s->n; i++)
		if (same_labels(s->blocks[i].set, set) && same_tenant(&s->blocks[i], e))
			return &s->blocks[i];
	return NULL;
}

/* There is room for one too many: evict, which emits, comes when the entry is held. NULL: no
 * memory. */
static struct block *add(struct state *s, struct label_set *set, const struct entry *e)
{
	struct block b = {.tenant_len = e->tenant_len};

	if (!s->blocks)
		s->blocks = calloc(MAX_BLOCKS + 1, sizeof(*s->blocks));
	if (!s->blocks)
		return NULL;
	if (e->tenant && !(b.tenant = strndup(e->tenant, e->tenant_len)))
		return NULL;
	b.set = label_set__ref(set);
	s->blocks[s->n] = b;
	return &s->blocks[s->n++];
}

static void evict(struct state *s, struct program_stream *stream)
{
	if (s->n <= MAX_BLOCKS)
		return;
	send(&s->blocks[0], stream);
	block__free(&s->blocks[0], stream);
	s->n--;
	memmove(s->blocks, s->blocks + 1, s->n * sizeof(*s->blocks));
}

/* The block has one line more: that of `e`. */
static void note(struct block *b, struct program_stream *stream, const struct entry *e, size_t len)
{
	struct entry *first = &b->first.entry;
	bool truncated = b->lines && first->record.truncated;

	if (!b->lines) {
		first->record = e->record;
		first->time_ns = e->time_ns;
		first->resolution_ns = e->resolution_ns;
		first->record_ns = e->record_ns;
	}
	first->record.bytes = NULL;
	first->record.ring_pos = MIN(first->record.ring_pos, e->record.ring_pos);
	first->record.truncated = truncated || e->record.truncated;
	first->record.unterminated = e->record.unterminated;
	b->lines++;
	b->last_ns = line__seen_ns(&e->record);
	if (program_stream__reserve(stream, len + 1))
		b->reserved += len + 1;
}

static int append(struct block *b, struct program_stream *stream, const struct entry *e,
		  const char *text, size_t len)
{
	struct buf *line = &b->first.line;

	if (buf__reserve(line, len + 1))
		return -ENOMEM;
	if (b->lines)
		line->data[line->len++] = '\n';
	if (len)
		memcpy(line->data + line->len, text, len);
	line->len += len;
	note(b, stream, e, len);
	return 0;
}

static int begin(struct block *b, struct program_stream *stream, const struct entry *e)
{
	if (held__take(&b->first, e))
		return -ENOMEM;
	note(b, stream, e, e->len);
	return 0;
}

/* The block is sent, and the entry, which that ends, begins or goes on with the next one. */
static int replace(struct multiline *m, struct block *b, struct entry *e, bool first)
{
	struct program_stream *stream = e->stream;
	struct held before;

	if (held__take(&m->passing, e))
		return -ENOMEM;
	send(b, stream);
	if (!first) {
		append(b, stream, &m->passing.entry, m->passing.line.data, m->passing.line.len);
		return 0;
	}
	before = b->first;
	b->first = m->passing;
	m->passing = before;
	note(b, stream, &b->first.entry, b->first.line.len);
	return 0;
}

static bool must_end(const struct multiline *m, const struct block *b, const struct entry *e,
		     bool first)
{
	return b->lines &&
	       (first || line__seen_ns(&e->record) > b->last_ns + m->max_wait_ns ||
		b->first.line.len + 1 + e->len > program_stream__max_line_size(e->stream));
}

/* Or there was no room to let its last line wait. */
static bool is_full(const struct multiline *m, const struct block *b)
{
	return b->lines == m->max_lines || b->reserved <= b->first.line.len;
}

/* A gap ends all blocks, and goes behind them. */
static enum stage_result pass_gap(struct multiline *m, struct state *s, struct entry *e)
{
	struct program_stream *stream = e->stream;
	bool any = false;

	for (size_t i = 0; i < s->n; i++)
		any |= s->blocks[i].lines > 0;
	if (!any || held__take(&m->passing, e))
		return STAGE_CONTINUE;
	for (size_t i = 0; i < s->n; i++)
		send(&s->blocks[i], stream);
	program_stream__emit(stream, &m->passing);
	return STAGE_HOLD;
}

static bool is_first(const struct multiline *m, struct entry *e)
{
	const struct regex_span *spans;
	struct regex *re = m->firstline;
	bool continues = false;
	size_t len = e->len;
	int err;

	if (!re) {
		re = program_stream__asked(e->stream, &continues);
		len = MIN(len, ASKED_MULTILINE_BYTES);
	}
	err = regex__match(re, e->line, len, 0, &spans);
	if (err < 0)
		e->counters->regex_limited++;
	return (err == 1) != continues;
}

static enum stage_result run_multiline(void *stage, struct entry *e)
{
	struct program_stream *stream = e->stream;
	struct state *s = e->state;
	struct multiline *m = stage;
	struct label_set *set;
	struct block *b;
	bool first;
	int err;

	if (e->record.gap)
		return pass_gap(m, s, e);
	if (!m->firstline && !program_stream__asked(stream, &first))
		return STAGE_CONTINUE;
	first = is_first(m, e);
	set = entry__label_set(e);
	b = set ? find(s, set, e) : NULL;
	if (!b && set && first)
		b = add(s, set, e);
	if (!b)
		return STAGE_CONTINUE;
	if (must_end(m, b, e, first))
		err = replace(m, b, e, first);
	else
		err = first ? begin(b, stream, e) : append(b, stream, e, e->line, e->len);
	if (err) {
		e->counters->no_memory++;
		return STAGE_CONTINUE;
	}
	if (is_full(m, b))
		send(b, stream);
	else
		program_stream__due(stream, b->last_ns + m->max_wait_ns + 1);
	evict(s, stream);
	return STAGE_HOLD;
}

static uint64_t tick_multiline(void *stage, void *state, struct program_stream *stream,
			       uint64_t now_ns)
{
	const struct multiline *m = stage;
	uint64_t due_ns = UINT64_MAX;
	struct state *s = state;

	for (size_t i = 0; i < s->n; i++) {
		struct block *b = &s->blocks[i];

		if (b->lines && (now_ns == UINT64_MAX || now_ns > b->last_ns + m->max_wait_ns))
			send(b, stream);
		if (b->lines)
			due_ns = MIN(due_ns, b->last_ns + m->max_wait_ns + 1);
	}
	return due_ns;
}

static uint64_t oldest_multiline(const void *state)
{
	const struct state *s = state;
	uint64_t pos = UINT64_MAX;

	for (size_t i = 0; i < s->n; i++)
		if (s->blocks[i].lines && !s->blocks[i].told)
			pos = MIN(pos, s->blocks[i].first.entry.record.ring_pos);
	return pos;
}

/* A block as bytes: this, the tenant, then its first line's entry. Its lines were sent by whoever
 * saved it before anybody loads it. */
struct saved_block {
	uint64_t lines, last_ns, line_len, reserved;
	uint32_t tenant_len, has_tenant;
	uint64_t entry_len;
};

static int save_block(const struct block *b, struct buf *out)
{
	struct saved_block head = {
		.lines = b->lines,
		.last_ns = b->last_ns,
		.line_len = b->first.line.len,
		.reserved = b->reserved,
		.tenant_len = (uint32_t)b->tenant_len,
		.has_tenant = b->tenant != NULL,
	};
	size_t at = out->len, entry;
	int err = buf__append(out, &head, sizeof(head));

	if (!err && b->tenant)
		err = buf__append(out, b->tenant, b->tenant_len);
	entry = out->len;
	if (!err)
		err = held__save(&b->first, out);
	head.entry_len = out->len - entry;
	if (!err)
		memcpy(out->data + at, &head, sizeof(head));
	return err;
}

static int save_multiline(const void *stage _unused_, const void *state, struct buf *out)
{
	const struct state *s = state;
	int err = 0;

	for (size_t i = 0; i < s->n && !err; i++)
		err = save_block(&s->blocks[i], out);
	return err;
}

static int load_block(struct block *b, const struct saved_block *head, const char *bytes,
		      struct program_stream *stream, struct label_set *base)
{
	size_t tenant_len = head->has_tenant ? head->tenant_len : 0;
	struct label_set *set;
	int err = held__load(&b->first, bytes + tenant_len, head->entry_len,
			     program_stream__n_slots(stream), base);

	if (err)
		return err;
	set = program_stream__label_set(stream, &b->first);
	if (!set || buf__reserve(&b->first.line, head->line_len + 1) ||
	    (head->has_tenant && !(b->tenant = calloc(1, tenant_len + 1))))
		return -ENOMEM;
	b->set = label_set__ref(set);
	if (b->tenant)
		memcpy(b->tenant, bytes, tenant_len);
	b->tenant_len = tenant_len;
	memset(b->first.line.data, 0, head->line_len);
	b->first.line.len = head->line_len;
	b->lines = head->lines;
	b->last_ns = head->last_ns;
	b->told = b->lines > 0;
	if (b->lines && program_stream__reserve(stream, head->reserved))
		b->reserved = head->reserved;
	return 0;
}

static void load_multiline(void *stage _unused_, void *state, struct program_stream *stream,
			   struct label_set *set, const char *bytes, size_t len)
{
	size_t max = program_stream__max_line_size(stream);
	struct state *s = state;
	struct saved_block head;

	if (!s->blocks)
		s->blocks = calloc(MAX_BLOCKS + 1, sizeof(*s->blocks));
	while (s->blocks && s->n < MAX_BLOCKS && len > sizeof(head)) {
		struct block b = {0};

		memcpy(&head, bytes, sizeof(head));
		bytes += sizeof(head);
		len -= sizeof(head);
		if (head.line_len > max || head.reserved > 2 * max || head.has_tenant > 1 ||
		    head.tenant_len > len || head.entry_len > len - head.tenant_len)
			return;
		if (load_block(&b, &head, bytes, stream, set)) {
			block__free(&b, stream);
			return;
		}
		s->blocks[s->n++] = b;
		if (b.lines)
			program_stream__due(stream, b.last_ns);
		bytes += head.tenant_len + head.entry_len;
		len -= head.tenant_len + head.entry_len;
	}
}

const struct stage_type stage_multiline = {
	.options = {.name = "multiline",
		    .type = FIELD_OBJECT,
		    .object = &multiline_schema,
		    .doc = "Joins lines to one, from one first line to the next."},
	.options_size = sizeof(struct multiline_options),
	.compile = compile_multiline,
	.run = run_multiline,
	.free = free_multiline,
	.gaps = true,
	.state_size = sizeof(struct state),
	.tick = tick_multiline,
	.end = end_multiline,
	.oldest = oldest_multiline,
	.save = save_multiline,
	.load = load_multiline,
};

const struct stage_type stage_multiline_asked = {
	.options = {.name = "multiline (asked)"},
	.compile = compile_asked,
	.run = run_multiline,
	.free = free_multiline,
	.gaps = true,
	.state_size = sizeof(struct state),
	.tick = tick_multiline,
	.end = end_multiline,
	.oldest = oldest_multiline,
	.save = save_multiline,
	.load = load_multiline,
};
