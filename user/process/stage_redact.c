/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stage redact, notail's own: the user's expressions first, each over the whole text, then all
 * the named patterns in one pass. A line that could not be looked through to its end is dropped: it
 * may have what nobody shall see.
 */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/regex.h"
#include "process/redact.h"
#include "process/source.h"
#include "process/stages.h"

struct redact_options {
	struct string_list patterns;
	struct string_map expressions;
	const char *replacement, *source;
};

static const struct field redact_fields[] = {
	FIELD(struct redact_options, patterns, FIELD_STRINGS,
	      .doc = "Of email, ipv4, ipv6, card, jwt, bearer and aws_key those to look for; all "
		     "without this option."),
	FIELD(struct redact_options, expressions, FIELD_MAP,
	      .doc = "Regular expressions by name; of one with groups what these match."),
	FIELD(struct redact_options, replacement, FIELD_STRING,
	      .doc = "What takes its place; without it <redacted:NAME>."),
	FIELD(struct redact_options, source, FIELD_STRING,
	      .doc = "The extracted value to change; without it, the line."),
	{0},
};

static const struct schema redact_schema = {
	.name = "redact", .size = sizeof(struct redact_options), .fields = redact_fields};

struct place {
	const char *text;
	size_t len;
};

struct own {
	struct regex *regex;
	struct place place;
};

struct redact_stage {
	unsigned patterns;
	struct place places[REDACT_PATTERNS];
	struct source source;
	struct buf in, out; /* of one pass */
	size_t n;
	struct own own[];
};

static int make_place(struct place *p, const char *replacement, const char *name,
		      struct arena *arena)
{
	size_t size = sizeof("<redacted:>") + strlen(name);
	char *text;

	if (replacement) {
		*p = (struct place){.text = replacement, .len = strlen(replacement)};
		return 0;
	}
	text = arena__alloc(arena, size);
	if (!text)
		return -ENOMEM;
	p->text = text;
	p->len = (size_t)snprintf(text, size, "<redacted:%s>", name);
	return 0;
}

static int compile_patterns(struct redact_stage *s, const struct redact_options *o,
			    const struct node *node, struct diag *diag)
{
	const struct node *list = node__get(node, "patterns");
	int err = 0;

	if (!list || list->kind == NODE_NULL)
		s->patterns = REDACT_ALL;
	for (size_t i = 0; i < o->patterns.n; i++) {
		const char *name = o->patterns.items[i];
		size_t p = 0;

		while (p < REDACT_PATTERNS && strcmp(redact__names[p], name) != 0)
			p++;
		if (p < REDACT_PATTERNS) {
			s->patterns |= 1u << p;
			continue;
		}
		diag__error(diag, list->kind == NODE_SEQUENCE ? list->items[i] : list,
			    "unknown pattern `%s`, expected email, ipv4, ipv6, card, jwt, bearer "
			    "or aws_key",
			    name);
		err = -EINVAL;
	}
	return err;
}

static int compile_own(struct own *own, const struct string_pair *pair, const char *replacement,
		       const struct stage_env *env)
{
	struct regex_error why;
	int err = regex__new(&own->regex, pair->value, false, &why);

	if (err == -EINVAL)
		diag__error(env->diag, pair->node, "invalid regex at offset %zu: %s", why.offset,
			    why.text);
	return err ? err : make_place(&own->place, replacement, pair->name, env->arena);
}

static int compile_redact(const struct stage_env *env, const void *options, const struct node *node,
			  void **ret)
{
	const struct redact_options *o = options;
	size_t n = o->expressions.n;
	struct redact_stage *s = arena__zalloc(env->arena, sizeof(*s) + n * sizeof(s->own[0]));
	int err;

	if (!s)
		return -ENOMEM;
	*ret = s;
	s->n = n;
	err = compile_patterns(s, o, node, env->diag);
	for (size_t i = 0; i < REDACT_PATTERNS; i++)
		err = source__worse(err, make_place(&s->places[i], o->replacement, redact__names[i],
						    env->arena));
	for (size_t i = 0; i < n; i++)
		err = source__worse(err, compile_own(&s->own[i], &o->expressions.items[i],
						     o->replacement, env));
	return source__worse(err, source__compile(env, o->source, node, &s->source));
}

static void free_redact(void *stage)
{
	struct redact_stage *s = stage;

	for (size_t i = 0; i < s->n; i++)
		regex__free(s->own[i].regex);
	buf__free(&s->in);
	buf__free(&s->out);
}

/* Text up to the secret, which goes to `end`, and what takes its place. */
static int put(struct buf *out, const char *text, size_t *done, size_t start, size_t end,
	       const struct place *place)
{
	int err = buf__append(out, text + *done, start - *done);

	if (!err)
		err = buf__append(out, place->text, place->len);
	*done = end;
	return err;
}

/* The groups, or the whole match if there are none. */
static int put_match(struct redact_stage *s, const struct own *own, const char *text, size_t *done,
		     const struct regex_span *spans)
{
	size_t n = regex__groups(own->regex);
	int err = 0;

	for (size_t i = n ? 1 : 0; i <= n && !err; i++) {
		size_t start = (size_t)(spans[i].text - text);

		if (spans[i].text && spans[i].len && start >= *done)
			err = put(&s->out, text, done, start, start + spans[i].len, &own->place);
	}
	return err;
}

/* Both: 1: s->out is the new text; 0: there is nothing to change. */
static int own_pass(struct redact_stage *s, const struct own *own, const char *text, size_t len)
{
	const struct regex_span *spans;
	size_t at = 0, done = 0;
	int result = 0;

	s->out.len = 0;
	while (at <= len && (result = regex__match(own->regex, text, len, at, &spans)) == 1) {
		size_t end = (size_t)(spans[0].text - text) + spans[0].len;

		result = put_match(s, own, text, &done, spans);
		if (result)
			return result;
		at = end > at ? end : at + 1;
	}
	if (result < 0 || !done)
		return result;
	result = buf__append(&s->out, text + done, len - done);
	return result ? result : 1;
}

static int named_pass(struct redact_stage *s, const char *text, size_t len)
{
	struct redact_hit hit;
	size_t done = 0;
	int err = 0;

	s->out.len = 0;
	while (!err && redact__find(s->patterns, text, len, done, &hit))
		err = put(&s->out, text, &done, hit.start, hit.end, &s->places[hit.pattern]);
	if (err || !done)
		return err;
	err = buf__append(&s->out, text + done, len - done);
	return err ? err : 1;
}

static enum stage_result drop(struct entry *e, int err)
{
	if (err == -EOVERFLOW)
		e->counters->regex_limited++;
	else
		e->counters->no_memory++;
	e->dropped = "redact_failed";
	return STAGE_DROP;
}

static enum stage_result run_redact(void *stage, struct entry *e)
{
	struct redact_stage *s = stage;
	bool changed = false;
	const char *text;
	size_t len;
	char *copy;

	if (!source__text(&s->source, e, &text, &len))
		return STAGE_CONTINUE;
	for (size_t i = 0; i <= s->n; i++) {
		int result =
			i < s->n ? own_pass(s, &s->own[i], text, len) : named_pass(s, text, len);
		struct buf passed = s->in;

		if (result < 0)
			return drop(e, result);
		if (result != 1)
			continue;
		s->in = s->out;
		s->out = passed;
		text = s->in.data;
		len = s->in.len;
		changed = true;
	}
	if (!changed)
		return STAGE_CONTINUE;
	copy = arena__copy(e->arena, text, len);
	if (!copy)
		return drop(e, -ENOMEM);
	source__set(&s->source, e, copy, len);
	return STAGE_CONTINUE;
}

const struct stage_type stage_redact = {
	.options = {.name = "redact",
		    .type = FIELD_OBJECT,
		    .object = &redact_schema,
		    .doc = "Takes addresses, card numbers, keys and tokens out."},
	.options_size = sizeof(struct redact_options),
	.compile = compile_redact,
	.run = run_redact,
	.free = free_redact,
};
