/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A state for each place within the outermost object; what is deeper is json_stream's. Commas and
 * the like between members are taken as they come: each item is parsed by whom it is for.
 */
#include "kube/items.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "kube/json_walk.h"

enum {
	START,
	BETWEEN, /* members */
	IN_KEY,
	COLON,
	VALUE,
	IN_STRING, /* a value, as those below */
	IN_SCALAR,
	IN_OTHER,
	IN_METADATA,
	ITEMS, /* between items */
	IN_ITEM,
	END,
};

#define MAX_METADATA 65536

void kube_items__begin(struct kube_items *l, size_t max_item)
{
	kube_items__free(l);
	*l = (struct kube_items){
		.item = {.max_bytes = max_item, .drop_bytes = KUBE_DROP_BYTES},
		.state = START,
	};
}

void kube_items__free(struct kube_items *l)
{
	json_stream__reset(&l->item);
	json_stream__reset(&l->other);
	free(TAKE_PTR(l->next_page));
}

int kube_items__end(const struct kube_items *l)
{
	return l->state == END && l->found ? 0 : -EBADMSG;
}

static bool space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_key(const struct kube_items *l, const char *name)
{
	return strlen(name) == l->key_len && memcmp(l->key, name, l->key_len) == 0;
}

static void take_metadata(void *ctx, const char *json, size_t len)
{
	struct kube_items *l = ctx;
	struct json_span text = {json, len};
	struct json_span version = json_span__member(text, "resourceVersion");
	struct json_span next = json_span__member(text, "continue");

	json_span__copy(version, l->version, sizeof(l->version));
	l->next_page = json_span__string(next);
	if (l->next_page && !*l->next_page)
		free(TAKE_PTR(l->next_page));
}

static void ignore(void *ctx _unused_, const char *json _unused_, size_t len _unused_)
{
}

static int begin_value(struct kube_items *l, char c)
{
	bool items = is_key(l, "items");

	l->found |= items;
	l->other.max_bytes = 0;
	l->other.drop_bytes = KUBE_DROP_BYTES;
	if (items && c != '[' && c != 'n')
		return -EBADMSG;
	if (items && c == '[') {
		l->state = ITEMS;
	} else if (c == '{' && is_key(l, "metadata") && !l->next_page) {
		l->other.max_bytes = MAX_METADATA;
		l->other.drop_bytes = 0;
		l->state = IN_METADATA;
	} else if (c == '{' || c == '[') {
		l->state = IN_OTHER;
	} else {
		l->state = c == '"' ? IN_STRING : IN_SCALAR;
	}
	return 0;
}

/* The byte's place is one where each counts by itself. */
static int step(struct kube_items *l, char c)
{
	if (space(c))
		return 0;
	switch (l->state) {
	case START:
		l->state = BETWEEN;
		return c == '{' ? 0 : -EBADMSG;
	case BETWEEN:
		l->state = c == '"' ? IN_KEY : c == '}' ? END : BETWEEN;
		l->key_len = 0;
		return c == '"' || c == '}' || c == ',' ? 0 : -EBADMSG;
	case COLON:
		l->state = VALUE;
		return c == ':' ? 0 : -EBADMSG;
	case ITEMS:
		l->state = c == ']' ? BETWEEN : ITEMS;
		return c == ']' || c == ',' ? 0 : -EBADMSG;
	default:
		return -EBADMSG;
	}
}

/* In a key, or a string that is read over. */
static void step_string(struct kube_items *l, char c)
{
	if (!l->escaped && c == '"') {
		l->state = l->state == IN_KEY ? COLON : BETWEEN;
		return;
	}
	l->escaped = !l->escaped && c == '\\';
	if (l->key_len < sizeof(l->key))
		l->key[l->key_len++] = c;
}

/* The bytes of an object or array that begins here, or goes on. */
static int step_deep(struct kube_items *l, const char *data, size_t len, size_t *ret_used,
		     void (*fn)(void *ctx, const char *json, size_t len), void *ctx)
{
	int err;

	if (l->state == IN_ITEM) {
		err = json_stream__one(&l->item, data, len, ret_used, fn, ctx);
		l->state = l->item.scan.depth ? IN_ITEM : ITEMS;
		return err;
	}
	if (l->state == IN_METADATA)
		err = json_stream__one(&l->other, data, len, ret_used, take_metadata, l);
	else
		err = json_stream__one(&l->other, data, len, ret_used, ignore, NULL);
	l->state = l->other.scan.depth ? l->state : BETWEEN;
	return err;
}

int kube_items__feed(struct kube_items *l, const char *data, size_t len,
		     void (*fn)(void *ctx, const char *json, size_t len), void *ctx)
{
	size_t at = 0, used;
	int err = 0;

	while (at < len && !err) {
		char c = data[at];

		used = 1;
		if (l->state == ITEMS && c == '{')
			l->state = IN_ITEM;
		if (l->state == VALUE && !space(c)) {
			err = begin_value(l, c);
			used = l->state == IN_STRING || l->state == ITEMS;
		} else if (l->state == IN_KEY || l->state == IN_STRING) {
			step_string(l, c);
		} else if (l->state == IN_SCALAR) {
			used = c != ',' && c != '}' && !space(c);
			l->state = used ? IN_SCALAR : BETWEEN;
		} else if (l->state == IN_ITEM || l->state == IN_METADATA || l->state == IN_OTHER) {
			err = step_deep(l, data + at, len - at, &used, fn, ctx);
		} else {
			err = step(l, c);
		}
		at += used;
	}
	return err;
}
