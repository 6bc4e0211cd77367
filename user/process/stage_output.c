/* SPDX-License-Identifier: Apache-2.0 */
/* The stages that change the line or where it goes: output, pack, tenant. */
#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"
#include "process/stages.h"

/* output */

struct output_options {
	const char *source;
};

static const struct field output_fields[] = {
	FIELD(struct output_options, source, FIELD_STRING, .flags = FIELD_REQUIRED,
	      .doc = "The extracted value that becomes the line."),
	{0},
};

static const struct schema output_schema = {
	.name = "output", .size = sizeof(struct output_options), .fields = output_fields};

static int compile_output(const struct stage_env *env, const void *options, const struct node *node,
			  void **ret)
{
	const struct output_options *o = options;
	size_t *slot = arena__alloc(env->arena, sizeof(*slot));

	if (!o->source || !*o->source) {
		diag__error(env->diag, node, "no source, expected the name of an extracted value");
		return -EINVAL;
	}
	if (!slot)
		return -ENOMEM;
	*ret = slot;
	return stage_env__slot(env, o->source, slot);
}

static enum stage_result run_output(void *stage, struct entry *e)
{
	const size_t *slot = stage;

	entry__text(e, *slot, &e->line, &e->len);
	return STAGE_CONTINUE;
}

const struct stage_type stage_output = {
	.options = {.name = "output",
		    .type = FIELD_OBJECT,
		    .object = &output_schema,
		    .doc = "Makes an extracted value the line."},
	.options_size = sizeof(struct output_options),
	.compile = compile_output,
	.run = run_output,
};

/* tenant */

struct tenant_options {
	const char *label, *source, *value;
};

static const struct field tenant_fields[] = {
	FIELD(struct tenant_options, label, FIELD_STRING,
	      .doc = "The label that names the tenant."),
	FIELD(struct tenant_options, source, FIELD_STRING,
	      .doc = "The extracted value that names the tenant."),
	FIELD(struct tenant_options, value, FIELD_STRING, .doc = "The tenant itself."),
	{0},
};

static const struct schema tenant_schema = {
	.name = "tenant", .size = sizeof(struct tenant_options), .fields = tenant_fields};

struct tenant {
	const char *value; /* NULL: by label or source */
	bool by_label;
	size_t slot;
};

static int compile_tenant(const struct stage_env *env, const void *options, const struct node *node,
			  void **ret)
{
	const struct tenant_options *o = options;
	struct tenant *t = arena__zalloc(env->arena, sizeof(*t));
	const char *label = o->label && *o->label ? o->label : NULL;
	const char *source = o->source && *o->source ? o->source : NULL;
	const char *value = o->value && *o->value ? o->value : NULL;

	if (!t)
		return -ENOMEM;
	if (!!label + !!source + !!value != 1) {
		diag__error(env->diag, node, "%s, expected one of `label`, `source` and `value`",
			    label || source || value ? "more than one" : "no tenant");
		return -EINVAL;
	}
	t->value = value;
	t->by_label = label;
	*ret = t;
	return value ? 0 : stage_env__slot(env, label ? label : source, &t->slot);
}

static enum stage_result run_tenant(void *stage, struct entry *e)
{
	const struct tenant *t = stage;
	const char *text = t->value;
	size_t len = text ? strlen(text) : 0;
	bool is_there = text || (t->by_label ? entry__label(e, t->slot, &text, &len)
					     : entry__text(e, t->slot, &text, &len));

	if (is_there && len) {
		e->tenant = text;
		e->tenant_len = len;
	}
	return STAGE_CONTINUE;
}

const struct stage_type stage_tenant = {
	.options = {.name = "tenant",
		    .type = FIELD_OBJECT,
		    .object = &tenant_schema,
		    .doc = "Sends the line as a tenant of Loki's."},
	.options_size = sizeof(struct tenant_options),
	.compile = compile_tenant,
	.run = run_tenant,
	.gaps = true,
};

/* pack */

struct pack_options {
	struct string_list labels;
	bool ingest_timestamp;
};

static const struct field pack_fields[] = {
	FIELD(struct pack_options, labels, FIELD_STRINGS,
	      .doc = "Labels and extracted values that go into the line."),
	FIELD(struct pack_options, ingest_timestamp, FIELD_BOOL, .dflt = "true",
	      .doc = "Gives the line the time when it was read."),
	{0},
};

static const struct schema pack_schema = {
	.name = "pack", .size = sizeof(struct pack_options), .fields = pack_fields};

struct packed {
	const char *name;
	size_t slot;
};

struct pack {
	bool ingest_timestamp;
	size_t n;
	struct packed names[]; /* in order */
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct packed *)a)->name, ((const struct packed *)b)->name);
}

static int compile_pack(const struct stage_env *env, const void *options,
			const struct node *node _unused_, void **ret)
{
	const struct pack_options *o = options;
	struct pack *p = arena__zalloc(env->arena, sizeof(*p) + o->labels.n * sizeof(p->names[0]));
	size_t n = 0;
	int err = 0;

	if (!p)
		return -ENOMEM;
	p->ingest_timestamp = o->ingest_timestamp;
	for (size_t i = 0; i < o->labels.n && !err; i++) {
		p->names[i].name = o->labels.items[i];
		err = stage_env__slot(env, o->labels.items[i], &p->names[i].slot);
	}
	if (o->labels.n)
		qsort(p->names, o->labels.n, sizeof(p->names[0]), by_name);
	for (size_t i = 0; i < o->labels.n; i++)
		if (!n || p->names[n - 1].slot != p->names[i].slot)
			p->names[n++] = p->names[i];
	p->n = n;
	*ret = p;
	return err;
}

#define ESCAPE_MAX 6

/* As Go's encoders write a string: what HTML would read is escaped too. The caller has room. */
static char *put_string(char *out, const char *text, size_t len)
{
	const char *end = text + len;

	*out++ = '"';
	while (text < end) {
		unsigned char c = (unsigned char)*text;
		size_t n = utf8__sequence(text, end);

		if (!n) {
			memcpy(out, "\\ufffd", 6);
			out += 6;
			n = 1;
		} else if (c == '"' || c == '\\') {
			*out++ = '\\';
			*out++ = (char)c;
		} else if (c == '\n' || c == '\r' || c == '\t') {
			*out++ = '\\';
			*out++ = c == '\n' ? 'n' : c == '\r' ? 'r' : 't';
		} else if (c < ' ' || c == '<' || c == '>' || c == '&') {
			memcpy(out, "\\u00", 4);
			out[4] = "0123456789abcdef"[c >> 4];
			out[5] = "0123456789abcdef"[c & 15];
			out += 6;
		} else if (n == 3 && !memcmp(text, "\xe2\x80", 2) &&
			   ((unsigned char)text[2] & 0xfe) == 0xa8) {
			memcpy(out, text[2] & 1 ? "\\u2029" : "\\u2028", 6);
			out += 6;
		} else {
			memcpy(out, text, n);
			out += n;
		}
		text += n;
	}
	*out++ = '"';
	return out;
}

static size_t string_max(size_t len)
{
	return ESCAPE_MAX * len + 4; /* quotes, and what stands behind it */
}

static enum stage_result run_pack(void *stage, struct entry *e)
{
	const struct pack *p = stage;
	size_t size = sizeof("{\"_entry\":}") + string_max(e->len), len;
	const char *text;
	char *line, *out;

	for (size_t i = 0; i < p->n; i++)
		if (entry__text(e, p->names[i].slot, &text, &len))
			size += string_max(strlen(p->names[i].name)) + string_max(len);
	line = arena__alloc(e->arena, size);
	if (!line) {
		e->counters->no_memory++;
		return STAGE_CONTINUE;
	}
	out = line;
	*out++ = '{';
	for (size_t i = 0; i < p->n; i++) {
		if (!entry__text(e, p->names[i].slot, &text, &len))
			continue;
		out = put_string(out, p->names[i].name, strlen(p->names[i].name));
		*out++ = ':';
		out = put_string(out, text, len);
		*out++ = ',';
		entry__remove_label(e, p->names[i].slot);
	}
	memcpy(out, "\"_entry\":", 9);
	out = put_string(out + 9, e->line, e->len);
	*out++ = '}';
	e->line = line;
	e->len = (size_t)(out - line);
	if (p->ingest_timestamp)
		e->resolution_ns = 0;
	return STAGE_CONTINUE;
}

const struct stage_type stage_pack = {
	.options = {.name = "pack",
		    .type = FIELD_OBJECT,
		    .object = &pack_schema,
		    .doc = "Makes the line a JSON object with labels in it, for LogQL's unpack."},
	.options_size = sizeof(struct pack_options),
	.compile = compile_pack,
	.run = run_pack,
};
