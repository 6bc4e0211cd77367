/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libyaml's events become a tree, with a stack of open nodes in place of recursion. What is
 * bounded: bytes of the text, nesting, nodes (those that aliases copy are counted, so a bomb ends
 * early) and the memory that variables' values take. A syntax error ends the reading; everything
 * else is told and reading goes on.
 *
 * ${NAME} stays as it is in `replacement` and `target_label` where the regex beside it has a group
 * of that name, or where there is no such variable: relabelling rules write their groups so. Names
 * are as in a shell, so ${1} is never a variable.
 */
#include "config/node.h"

#include <errno.h>
#include <string.h>
#include <yaml.h>

#include "base/arena.h"
#include "base/buf.h"

/* uthash calls this when there is no memory; the entry is then not in the map (hh.tbl NULL). */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define TEXT_MAX_BYTES (4u << 20)
#define NODES_MAX 200000
#define DEPTH_MAX 64
#define ENV_DEPTH_MAX 8
#define ENV_TEXT_MAX (1u << 20)
#define MEMORY_MAX (64u << 20)

struct anchor {
	char *name;
	struct node *node;
	UT_hash_handle hh;
};

/* A collection whose end has not come. */
struct frame {
	struct node *node;
	struct node **items;
	size_t n_items, room;
	const struct node *key; /* of a mapping: read, its value not */
};

struct document {
	struct arena arena;
	struct node *root;
};

struct builder {
	struct document *doc;
	struct diag *diag;
	node_env_fn env;
	void *env_ctx;
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

static bool is_name_start(char c)
{
	return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static size_t name_length(const char *text)
{
	size_t n = 0;

	if (!is_name_start(*text))
		return 0;
	while (is_name_start(text[n]) || (text[n] >= '0' && text[n] <= '9'))
		n++;
	return n;
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

/*
 * Variables
 */

struct expansion {
	struct builder *b;
	const struct node *at;
	const char *groups; /* a regex whose groups' names are no variables; NULL: none */
	struct buf out;
	bool replaced;
};

static bool is_group(const struct expansion *e, const char *name, size_t len)
{
	for (const char *p = e->groups; p && (p = strchr(p, '<')); p++)
		if (!strncmp(p + 1, name, len) && p[1 + len] == '>')
			return true;
	return false;
}

/* The `}` that belongs to what begins at text. */
static const char *closing_brace(const char *text, const char *end)
{
	size_t depth = 1;

	for (const char *p = text; p < end; p++) {
		if (*p == '$' && p + 1 < end && p[1] == '{') {
			depth++;
			p++;
		} else if (*p == '}' && !--depth) {
			return p;
		}
	}
	return NULL;
}

static int expand(struct expansion *e, const char *text, const char *end, unsigned depth);

/* `body` is behind the name: empty, `:-default` or `:?message`, up to `end`. */
static int expand_variable(struct expansion *e, const char *name, size_t name_len, const char *body,
			   const char *end, unsigned depth)
{
	char variable[256];
	const char *value;

	if (name_len >= sizeof(variable))
		return -EINVAL;
	memcpy(variable, name, name_len);
	variable[name_len] = '\0';
	value = e->b->env(e->b->env_ctx, variable);
	if (body == end) {
		if (!value && e->groups)
			return 1;
		if (!value)
			diag__warn(e->b->diag, e->at,
				   "the environment has no %s, it is empty here; expected it to be "
				   "set, or ${%s:-default}",
				   variable, variable);
		return value ? buf__append_str(&e->out, value) : 0;
	}
	if (value && *value)
		return buf__append_str(&e->out, value);
	if (body[1] == '-')
		return expand(e, body + 2, end, depth + 1);
	if (end - body > 2)
		diag__error(e->b->diag, e->at, "%s: %.*s", variable, (int)MIN(end - body - 2, 200),
			    body + 2);
	else
		diag__error(e->b->diag, e->at, "%s is not set, expected a value in the environment",
			    variable);
	return 0;
}

/* At `${`. Moves *p behind what it has taken. */
static int expand_one(struct expansion *e, const char **p, const char *end, unsigned depth)
{
	const char *name = *p + 2, *close;
	size_t len = name_length(name);
	int err;

	if (!len || is_group(e, name, len)) {
		*p += 2;
		return buf__append(&e->out, "${", 2);
	}
	close = closing_brace(name, end);
	if (!close || depth >= ENV_DEPTH_MAX ||
	    (name + len != close && (close - name < (ptrdiff_t)len + 2 || name[len] != ':' ||
				     !strchr("-?", name[len + 1])))) {
		diag__error(e->b->diag, e->at,
			    "${%.*s: malformed, expected ${NAME}, ${NAME:-default}, "
			    "${NAME:?message} or $${ for a plain ${",
			    (int)MIN(len, 60), name);
		*p = end;
		return 0;
	}
	err = expand_variable(e, name, len, name + len, close, depth);
	if (err == 1) {
		err = buf__append(&e->out, *p, (size_t)(close + 1 - *p));
	} else if (err == -EINVAL) {
		diag__error(e->b->diag, e->at, "the name of a variable is too long");
		err = 0;
	}
	e->replaced = true;
	*p = close + 1;
	return err;
}

static int expand(struct expansion *e, const char *text, const char *end, unsigned depth)
{
	int err = 0;

	for (const char *p = text; !err && p < end;) {
		const char *dollar = memchr(p, '$', (size_t)(end - p));

		if (!dollar || end - dollar < 2)
			return buf__append(&e->out, p, (size_t)(end - p));
		err = buf__append(&e->out, p, (size_t)(dollar - p));
		p = dollar;
		if (err)
			return err;
		if (p[1] == '{') {
			err = expand_one(e, &p, end, depth);
		} else if (p[1] == '$' && end - p > 2 && p[2] == '{') {
			err = buf__append(&e->out, "${", 2);
			p += 3;
		} else {
			err = buf__append(&e->out, p++, 1);
		}
		if (!err && e->out.len > ENV_TEXT_MAX) {
			diag__error(e->b->diag, e->at, "too long with its variables' values");
			return 0;
		}
	}
	return err;
}

/* Of a relabelling rule: expanded when its regex is known. */
static bool names_groups(const char *key)
{
	return key && (!strcmp(key, "replacement") || !strcmp(key, "target_label"));
}

/* A plain scalar that is empty afterwards is as if nothing stood there. */
static int expand_node(struct builder *b, struct node *n, const char *groups)
{
	struct expansion e = {.b = b, .at = n, .groups = groups};
	int err;

	if (!b->env || n->kind != NODE_SCALAR || !strstr(n->text, "${"))
		return 0;
	err = expand(&e, n->text, n->text + strlen(n->text), 0);
	if (!err) {
		n->text = arena__copy(&b->doc->arena, e.out.data, e.out.len);
		if (!n->text)
			err = -ENOMEM;
		else if (!n->quoted && !e.out.len && e.replaced)
			n->kind = NODE_NULL;
	}
	buf__free(&e.out);
	return err;
}

/*
 * The tree
 */

static struct frame *top(struct builder *b)
{
	return b->depth ? &b->stack[b->depth - 1] : NULL;
}

static int append_item(struct frame *f, struct node *n)
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
	return append_item(f, n);
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
	else if (!names_groups(n->key))
		err = expand_node(b, n, NULL);
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

/* By name, then by place in the file. */
static int compare_keys(const void *a, const void *b)
{
	const struct node *x = *(struct node *const *)a, *y = *(struct node *const *)b;
	int order = strcmp(x->key, y->key);

	if (order)
		return order;
	return x->index < y->index ? -1 : x->index > y->index;
}

/* A quoted << is a key like any other. */
static bool is_merge(const struct node *n)
{
	return !strcmp(n->key, "<<") && !n->key_node->quoted;
}

/* Values sorted by name; of those that are equal only the first stays, the others are told, unless
 * they come from a merge. `index` says which was first. */
static int drop_duplicates(struct builder *b, struct frame *f, size_t n_own)
{
	struct node **sorted;

	if (f->n_items < 2)
		return 0;
	sorted = reallocarray(NULL, f->n_items, sizeof(struct node *));
	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < f->n_items; i++) {
		f->items[i]->index = i;
		sorted[i] = f->items[i];
	}
	qsort(sorted, f->n_items, sizeof(struct node *), compare_keys);
	for (size_t i = 1, first = 0; i < f->n_items; i++) {
		if (strcmp(sorted[i]->key, sorted[first]->key)) {
			first = i;
			continue;
		}
		if (sorted[i]->index < n_own)
			diag__error(b->diag, sorted[i]->key_node,
				    "duplicate key, expected it once: it stands at line %u already",
				    sorted[first]->key_node->line);
		f->items[sorted[i]->index] = NULL;
	}
	free(sorted);
	return 0;
}

static int merge_mapping(struct builder *b, struct frame *f, const struct node *from)
{
	int err = 0;

	if (from->kind != NODE_MAPPING) {
		diag__error(b->diag, from, "expected a mapping to merge, or a list of them");
		return 0;
	}
	for (size_t i = 0; !err && i < from->n_items; i++) {
		from->items[i]->parent = f->node;
		err = append_item(f, from->items[i]);
	}
	return err;
}

/* What `<<` names goes behind the mapping's own keys. */
static int merge(struct builder *b, struct frame *f, size_t n_own)
{
	int err = 0;

	for (size_t i = 0; !err && i < n_own; i++) {
		const struct node *from = f->items[i];

		if (!from || !is_merge(from))
			continue;
		f->items[i] = NULL;
		if (from->kind != NODE_SEQUENCE) {
			err = merge_mapping(b, f, from);
			continue;
		}
		for (size_t j = 0; !err && j < from->n_items; j++)
			err = merge_mapping(b, f, from->items[j]);
	}
	return err;
}

static void squeeze(struct frame *f)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n_items; i++)
		if (f->items[i])
			f->items[n++] = f->items[i];
	f->n_items = n;
}

static int finish_mapping(struct builder *b, struct frame *f)
{
	size_t n_own = f->n_items;
	const char *groups = "";
	bool merged;
	int err = drop_duplicates(b, f, n_own);

	if (!err)
		err = merge(b, f, n_own);
	merged = f->n_items > n_own;
	squeeze(f);
	if (!err && merged) {
		err = drop_duplicates(b, f, 0);
		squeeze(f);
	}
	for (size_t i = 0; i < f->n_items; i++)
		if (!strcmp(f->items[i]->key, "regex") && f->items[i]->kind == NODE_SCALAR)
			groups = f->items[i]->text;
	for (size_t i = 0; !err && i < f->n_items; i++)
		if (names_groups(f->items[i]->key))
			err = expand_node(b, f->items[i], groups);
	return err;
}

static int on_end(struct builder *b)
{
	struct frame *f = top(b);
	int err = 0;

	if (f->node->kind == NODE_MAPPING)
		err = finish_mapping(b, f);
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

/*
 * Syntax errors
 */

/* The line `number` (from 0) begins here; the end when there is none. */
static const char *find_line(const char *text, const char *end, size_t number)
{
	for (; number && text < end; text++)
		if (*text == '\n')
			number--;
	return text;
}

static bool indented_by_tab(const char *line, const char *end)
{
	for (; line < end && (*line == ' ' || *line == '\t'); line++)
		if (*line == '\t')
			return true;
	return false;
}

/* Bytes that are no text. */
static void tell_unreadable(struct diag *d, const yaml_parser_t *p, const char *text,
			    const char *end)
{
	const char *at = text, *begin = text;
	unsigned line = 1, column = 1;
	size_t len;

	while (at < end && (len = utf8__sequence(at, end)))
		at += len;
	if (at < end)
		end = at;
	else
		end = text + MIN(p->problem_offset, (size_t)(end - text));
	for (const char *c = text; c < end; c++)
		if (*c == '\n') {
			line++;
			begin = c + 1;
		}
	for (; begin < end; begin++)
		column += (*begin & 0xc0) != 0x80;
	diag__error_at(d, line, column, "%s, expected text in UTF-8",
		       at == end    ? "a byte that is no UTF-8"
		       : p->problem ? p->problem
				    : "unreadable");
}

static void tell_syntax(struct diag *d, const yaml_parser_t *p, const char *text, const char *end)
{
	const yaml_mark_t *mark = &p->problem_mark;
	const char *problem = p->problem ? p->problem : "it cannot be read", *begin;
	char where[40] = "";
	size_t column = 0;

	begin = find_line(text, end, mark->line);
	if (indented_by_tab(begin, end)) {
		while (begin[column] == ' ')
			column++;
		diag__error_at(d, (unsigned)mark->line + 1, (unsigned)column + 1,
			       "a tab, expected spaces to indent with");
		return;
	}
	/* What was not ended is where it began. */
	if (p->context && strstr(problem, "end of stream"))
		mark = &p->context_mark;
	else if (p->context && p->context_mark.line != mark->line)
		snprintf(where, sizeof(where), " from line %zu on", p->context_mark.line + 1);
	diag__error_at(d, (unsigned)mark->line + 1, (unsigned)mark->column + 1,
		       "no YAML: %s%s%s%s, expected another form or quotes here", problem,
		       p->context ? " " : "", p->context ? p->context : "", where);
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
				tell_unreadable(b->diag, &parser, text, text + len);
			else
				tell_syntax(b->diag, &parser, text, text + len);
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
		b->env = env;
		b->env_ctx = env_ctx;
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
