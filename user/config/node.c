/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libyaml's events become a tree, with a stack of open nodes in place of recursion. What is
 * bounded: bytes of the text, nesting, nodes (those that aliases copy are counted, so a bomb ends
 * early) and the memory that variables' values take. A syntax error ends the reading; everything
 * else is told and reading goes on.
 */
#include "config/node.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/util.h"
#include "config/node_internal.h"

/* uthash calls this when there is no memory; the entry is then not in the map (hh.tbl NULL). */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define TEXT_MAX_BYTES (4u << 20)
#define NODES_MAX 200000
#define DEPTH_MAX 64
#define MEMORY_MAX (64u << 20)

struct anchor {
	char *name;
	struct node *node;
	UT_hash_handle hh;
};

struct document {
	struct arena arena;
	struct node *root;
};

struct builder {
	struct document *doc;
	struct diag *diag;
	struct node_env env;
	struct anchor *anchors;
	struct frame stack[DEPTH_MAX];
	size_t depth;
	size_t n_nodes;
	bool ended; /* too much of something: told already */
};

static bool is_null(const char *text)
{
	return !*text || !strcmp(text, "~") || !strcmp(text, "null") || !strcmp(text, "Null") ||
	       !strcmp(text, "NULL");
}

/* NULL: told already. */
static struct node *new_node(struct builder *b, const yaml_mark_t *at)
{
	struct node *n;

	if (b->n_nodes++ >= NODES_MAX) {
		if (!b->ended)
			diag__error_at(b->diag, (unsigned)at->line + 1, (unsigned)at->column + 1,
				       "too much, aliases included; expected at most %d values",
				       NODES_MAX);
		b->ended = true;
		return NULL;
	}
	n = arena__zalloc(&b->doc->arena, sizeof(*n));
	if (!n)
		return NULL;
	n->line = (unsigned)at->line + 1;
	n->column = (unsigned)at->column + 1;
	return n;
}

static struct frame *top(struct builder *b)
{
	return b->depth ? &b->stack[b->depth - 1] : NULL;
}

int frame__append(struct frame *f, struct node *n)
{
	if (f->n_items == f->room) {
		size_t room = f->room ? f->room * 2 : 8;
		struct node **items = reallocarray(f->items, room, sizeof(struct node *));

		if (!items)
			return -ENOMEM;
		f->items = items;
		f->room = room;
	}
	f->items[f->n_items++] = n;
	return 0;
}

/* Gives a node that is to stand next its parent and its name. */
static void place(struct builder *b, struct node *n)
{
	struct frame *f = top(b);

	if (!f)
		return;
	n->parent = f->node;
	if (f->node->kind == NODE_SEQUENCE) {
		n->index = f->n_items;
	} else if (f->key) {
		n->key = f->key->text;
		n->key_node = f->key;
	}
}

static bool wants_key(struct builder *b)
{
	const struct frame *f = top(b);

	return f && f->node->kind == NODE_MAPPING && !f->key;
}

/* A node that is complete, or a collection that has just begun. */
static int attach(struct builder *b, struct node *n)
{
	struct frame *f = top(b);

	if (!f) {
		b->doc->root = n;
		return 0;
	}
	f->key = NULL;
	return frame__append(f, n);
}

static int remember(struct builder *b, const yaml_char_t *name, struct node *n)
{
	struct anchor *a;

	if (!name)
		return 0;
	HASH_FIND_STR(b->anchors, (const char *)name, a);
	if (!a) {
		a = calloc(1, sizeof(*a));
		if (!a)
			return -ENOMEM;
		a->name = strdup((const char *)name);
		if (!a->name) {
			free(a);
			return -ENOMEM;
		}
		HASH_ADD_KEYPTR(hh, b->anchors, a->name, strlen(a->name), a);
		if (!a->hh.tbl) {
			free(a->name);
			free(a);
			return -ENOMEM;
		}
	}
	a->node = n;
	return 0;
}

/* A copy of all below `from`, whose own name is set by the caller. The places stay where they are:
 * there it has to be mended. The depth was bounded when it was read, and is again here. */
static int copy_node(struct builder *b, const struct node *from, size_t depth,
		     const yaml_mark_t *at, struct node **ret)
{
	struct node *n = new_node(b, at);

	if (!n)
		return b->ended ? 0 : -ENOMEM;
	if (depth >= DEPTH_MAX) {
		diag__error_at(b->diag, (unsigned)at->line + 1, (unsigned)at->column + 1,
			       "nested too deeply, expected at most %d levels", DEPTH_MAX);
		b->ended = true;
		return 0;
	}
	n->kind = from->kind;
	n->quoted = from->quoted;
	n->line = from->line;
	n->column = from->column;
	n->text = from->text;
	if (from->n_items) {
		n->items = arena__zalloc(&b->doc->arena, from->n_items * sizeof(struct node *));
		if (!n->items)
			return -ENOMEM;
	}
	for (size_t i = 0; i < from->n_items; i++) {
		struct node *item = NULL;
		int err = copy_node(b, from->items[i], depth + 1, at, &item);

		if (err || !item)
			return err;
		item->parent = n;
		item->key = from->items[i]->key;
		item->key_node = from->items[i]->key_node;
		item->index = i;
		n->items[n->n_items++] = item;
	}
	*ret = n;
	return 0;
}

static int on_alias(struct builder *b, const yaml_event_t *event)
{
	const char *name = (const char *)event->data.alias.anchor;
	unsigned line = (unsigned)event->start_mark.line + 1;
	unsigned column = (unsigned)event->start_mark.column + 1;
	struct node *n = NULL;
	struct anchor *a;
	int err;

	HASH_FIND_STR(b->anchors, name, a);
	for (size_t i = 0; a && i < b->depth; i++) {
		if (b->stack[i].node != a->node)
			continue;
		diag__error_at(b->diag, line, column,
			       "*%.60s stands within what it names, expected no circle", name);
		b->ended = true;
		return 0;
	}
	if (!a) {
		diag__error_at(b->diag, line, column,
			       "*%.60s: no such anchor, expected &%.60s before it", name, name);
		b->ended = true;
		return 0;
	}
	err = copy_node(b, a->node, b->depth, &event->start_mark, &n);
	if (err || !n)
		return err;
	if (wants_key(b)) {
		if (n->kind != NODE_SCALAR) {
			diag__error_at(b->diag, line, column,
				       "a key that is no name, expected a string");
			b->ended = true;
			return 0;
		}
		n->parent = top(b)->node;
		n->key = n->text;
		top(b)->key = n;
		return 0;
	}
	place(b, n);
	return attach(b, n);
}

/* Tags that say no more than the form does, or that it is a string. */
static bool known_tag(const yaml_char_t *tag)
{
	static const char *const KNOWN[] = {"str", "int", "float", "bool", "null", "map", "seq"};
	static const char PREFIX[] = "tag:yaml.org,2002:";

	if (!tag || !strcmp((const char *)tag, "!"))
		return true;
	if (strncmp((const char *)tag, PREFIX, sizeof(PREFIX) - 1))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(KNOWN); i++)
		if (!strcmp((const char *)tag + sizeof(PREFIX) - 1, KNOWN[i]))
			return true;
	return false;
}

static bool is_string_tag(const yaml_char_t *tag)
{
	return tag && (!strcmp((const char *)tag, "!") ||
		       !strcmp((const char *)tag, "tag:yaml.org,2002:str"));
}

static int on_scalar(struct builder *b, const yaml_event_t *event)
{
	const char *value = (const char *)event->data.scalar.value;
	size_t len = event->data.scalar.length;
	struct node *n = new_node(b, &event->start_mark);
	int err;

	if (!n)
		return b->ended ? 0 : -ENOMEM;
	n->kind = NODE_SCALAR;
	n->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE ||
		    is_string_tag(event->data.scalar.tag);
	n->text = arena__copy(&b->doc->arena, value, len);
	if (!n->text)
		return -ENOMEM;
	if (wants_key(b)) {
		n->parent = top(b)->node;
		n->key = n->text;
		top(b)->key = n;
	} else {
		place(b, n);
	}
	if (strlen(n->text) != len)
		diag__error(b->diag, n, "a NUL character, expected text");
	if (!known_tag(event->data.scalar.tag))
		diag__error(b->diag, n, "unknown tag %.60s, expected none",
			    (const char *)event->data.scalar.tag);
	err = remember(b, event->data.scalar.anchor, n);
	if (err || n->key == n->text)
		return err;
	if (!n->quoted && is_null(n->text))
		n->kind = NODE_NULL;
	else if (!node__names_groups(n->key))
		err = node__expand(n, NULL, &b->env);
	return err ? err : attach(b, n);
}

static int on_start(struct builder *b, const yaml_event_t *event, enum node_kind kind)
{
	bool mapping = kind == NODE_MAPPING;
	const yaml_char_t *anchor =
		mapping ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
	const yaml_char_t *tag =
		mapping ? event->data.mapping_start.tag : event->data.sequence_start.tag;
	struct node *n;
	int err;

	if (b->depth == DEPTH_MAX || wants_key(b)) {
		diag__error_at(b->diag, (unsigned)event->start_mark.line + 1,
			       (unsigned)event->start_mark.column + 1,
			       b->depth == DEPTH_MAX
				       ? "nested too deeply, expected at most 64 levels"
				       : "a key that is no name, expected a string (quotes around "
					 "{{ }} or [ ] make one)");
		b->ended = true;
		return 0;
	}
	n = new_node(b, &event->start_mark);
	if (!n)
		return b->ended ? 0 : -ENOMEM;
	n->kind = kind;
	place(b, n);
	if (!known_tag(tag))
		diag__error(b->diag, n, "unknown tag %.60s, expected none", (const char *)tag);
	err = remember(b, anchor, n);
	if (!err)
		err = attach(b, n);
	if (!err)
		b->stack[b->depth++] = (struct frame){.node = n};
	return err;
}

static int on_end(struct builder *b)
{
	struct frame *f = top(b);
	int err = 0;

	if (f->node->kind == NODE_MAPPING)
		err = frame__finish_mapping(f, &b->env);
	if (!err && f->n_items) {
		f->node->items = arena__alloc(&b->doc->arena, f->n_items * sizeof(struct node *));
		if (!f->node->items)
			err = -ENOMEM;
		else
			memcpy(f->node->items, f->items, f->n_items * sizeof(struct node *));
	}
	f->node->n_items = err ? 0 : f->n_items;
	free(f->items);
	b->depth--;
	return err;
}

static int on_event(struct builder *b, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (b->doc->root) {
			diag__error_at(b->diag, (unsigned)event->start_mark.line + 1,
				       (unsigned)event->start_mark.column + 1,
				       "a second document, expected one");
			b->ended = true;
		}
		return 0;
	case YAML_ALIAS_EVENT:
		return on_alias(b, event);
	case YAML_SCALAR_EVENT:
		return on_scalar(b, event);
	case YAML_SEQUENCE_START_EVENT:
		return on_start(b, event, NODE_SEQUENCE);
	case YAML_MAPPING_START_EVENT:
		return on_start(b, event, NODE_MAPPING);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return on_end(b);
	default:
		return 0;
	}
}

static int read_events(struct builder *b, const char *text, size_t len)
{
	yaml_parser_t parser;
	yaml_event_t event;
	bool end = false;
	int err = 0;

	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	while (!err && !end && !b->ended) {
		if (!yaml_parser_parse(&parser, &event)) {
			if (parser.error == YAML_MEMORY_ERROR)
				err = -ENOMEM;
			else if (parser.error == YAML_READER_ERROR)
				node__tell_unreadable(b->diag, &parser, text, text + len);
			else
				node__tell_syntax(b->diag, &parser, text, text + len);
			break;
		}
		end = event.type == YAML_STREAM_END_EVENT;
		err = on_event(b, &event);
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	return err;
}

static void builder__free(struct builder *b)
{
	struct anchor *a, *next;

	HASH_ITER (hh, b->anchors, a, next) {
		HASH_DEL(b->anchors, a);
		free(a->name);
		free(a);
	}
	while (b->depth)
		free(b->stack[--b->depth].items);
	free(b);
}

/* A mark of the encoding: 0 bytes to skip, or 3; -EINVAL for those of others. */
static int skip_mark(const char *text, size_t len, struct diag *diag)
{
	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		return 3;
	if (len >= 2 && (!memcmp(text, "\xff\xfe", 2) || !memcmp(text, "\xfe\xff", 2))) {
		diag__error_at(diag, 1, 1, "UTF-16, expected UTF-8");
		return -EINVAL;
	}
	return 0;
}

static int build(struct builder *b, const char *text, size_t len)
{
	static const yaml_mark_t START;
	int skip = skip_mark(text, len, b->diag), err;

	if (skip < 0)
		return skip;
	if (len > TEXT_MAX_BYTES) {
		diag__error_at(b->diag, 0, 0, "%zu bytes, expected at most %u", len,
			       TEXT_MAX_BYTES);
		return -EINVAL;
	}
	err = read_events(b, text + skip, len - (size_t)skip);
	if (!err && !b->doc->root)
		b->doc->root = new_node(b, &START);
	return err || b->doc->root ? err : -ENOMEM;
}

int document__parse(struct document **ret, const char *text, size_t len, node_env_fn env,
		    void *env_ctx, struct diag *diag)
{
	size_t errors = diag__errors(diag);
	struct document *doc = calloc(1, sizeof(*doc));
	struct builder *b = calloc(1, sizeof(*b));
	int err = -ENOMEM;

	if (doc && b) {
		doc->arena.max = MEMORY_MAX;
		b->doc = doc;
		b->diag = diag;
		b->env = (struct node_env){env, env_ctx, &doc->arena, diag};
		err = build(b, text, len);
	}
	if (b)
		builder__free(b);
	if (!err && diag__errors(diag) != errors)
		err = -EINVAL;
	if (err) {
		document__free(doc);
		return err;
	}
	*ret = doc;
	return 0;
}

void document__free(struct document *d)
{
	if (!d)
		return;
	arena__free(&d->arena);
	free(d);
}

const struct node *document__root(const struct document *d)
{
	return d->root;
}

const struct node *node__get(const struct node *mapping, const char *key)
{
	if (!mapping || mapping->kind != NODE_MAPPING)
		return NULL;
	for (size_t i = 0; i < mapping->n_items; i++)
		if (!strcmp(mapping->items[i]->key, key))
			return mapping->items[i];
	return NULL;
}

const struct node *node__item(const struct node *mapping, const char *key, size_t i)
{
	const struct node *list = node__get(mapping, key);

	return list && list->kind == NODE_SEQUENCE && i < list->n_items ? list->items[i] : list;
}
