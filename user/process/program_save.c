/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stages hold of a stream, as bytes that another process goes on from: kept for each mark
 * that it may begin at (base/marks.h).
 */
#include "process/program_internal.h"

#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "base/buf.h"

void saved_state__tidy(struct saved_state **list, const struct marks *marks)
{
	struct saved_state **at = list, *old;

	while ((old = *at)) {
		if (marks && marks__between(marks, old->from, old->to)) {
			at = &old->next;
			continue;
		}
		*at = old->next;
		free(old);
	}
}

/* What a stage saved: its place, how much, then that. */
struct saved_op {
	uint32_t at, len;
};

static int save_now(const struct program_stream *s, struct buf *out)
{
	const struct program *p = s->program;
	size_t begin = out->len;
	int err = buf__append(out, &p->signature, sizeof(p->signature));

	for (size_t i = 0; i < p->n_ops && !err; i++) {
		const struct op *op = &p->ops[i];
		struct saved_op head = {.at = (uint32_t)i};
		size_t at = out->len;

		if (!op->type->save)
			continue;
		err = buf__append(out, &head, sizeof(head));
		if (!err)
			err = op->type->save(op->stage, s->states + op->state_offset, out);
		head.len = (uint32_t)(out->len - at - sizeof(head));
		if (!err && head.len)
			memcpy(out->data + at, &head, sizeof(head));
		else
			out->len = at;
	}
	if (err || out->len == begin + sizeof(p->signature))
		out->len = begin;
	return err;
}

/* Once for each mark at most. */
void program_stream__save(struct program_stream *s, uint64_t pos)
{
	const struct marks *marks = s->program->marks;
	uint64_t mark = marks__before(marks, pos);
	_buf_ struct buf out = {0};
	struct saved_state *new;

	if (mark <= s->saved_to)
		return;
	saved_state__tidy(&s->saved, marks);
	if (save_now(s, &out) || !(new = malloc(sizeof(*new) + out.len))) {
		s->program->counters.no_memory++;
		return;
	}
	new->from = s->saved_to;
	new->to = mark;
	new->len = out.len;
	if (out.len)
		memcpy(new->bytes, out.data, out.len);
	LL_PREPEND(s->saved, new);
	s->saved_to = mark;
}

int saved_state__at(const struct saved_state *list, uint64_t mark, struct buf *out)
{
	for (; list; list = list->next)
		if (list->from < mark && mark <= list->to)
			return list->len ? buf__append(out, list->bytes, list->len) : 0;
	return 0;
}

int program_stream__at_mark(const struct program_stream *s, uint64_t mark, struct buf *out)
{
	return mark > s->saved_to ? save_now(s, out) : saved_state__at(s->saved, mark, out);
}

struct saved_state *program_stream__take_saved(struct program_stream *s)
{
	program_stream__save(s, UINT64_MAX);
	return TAKE_PTR(s->saved);
}

void program_stream__restore(struct program_stream *s, struct label_set *set, const char *bytes,
			     size_t len)
{
	struct program *p = s->program;
	struct saved_op head;

	if (len < sizeof(p->signature) || memcmp(bytes, &p->signature, sizeof(p->signature)))
		return;
	for (size_t at = sizeof(p->signature); len - at > sizeof(head); at += head.len) {
		const struct op *op;

		memcpy(&head, bytes + at, sizeof(head));
		at += sizeof(head);
		if (head.len > len - at || head.at >= p->n_ops)
			return;
		op = &p->ops[head.at];
		if (op->type->load)
			op->type->load(op->stage, s->states + op->state_offset, s, set, bytes + at,
				       head.len);
	}
}
