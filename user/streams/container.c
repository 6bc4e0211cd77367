/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of a container: its metadata, whether anything of it is wanted, and the lines that
 * wait for that.
 *
 * A container of which rules want nothing is told to the kernel side when its metadata is there,
 * before it wrote if it can be, and what the ring still has of it is skipped. A container is kept
 * until its cgroup is gone and its streams have ended, in either order: a runtime under load
 * removes the cgroup before it has read the last bytes.
 */
#include "streams/internal.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

struct container *container__find(struct streams *s, uint64_t cgroup_id)
{
	struct container *c;

	HASH_FIND(hh, s->by_cgroup, &cgroup_id, sizeof(cgroup_id), c);
	return c;
}

struct container *container__get(struct streams *s, uint64_t cgroup_id)
{
	struct container *c = container__find(s, cgroup_id);

	if (c)
		return c;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->cgroup_id = cgroup_id;
	c->pending = true;
	s->decided_at = 0;
	HASH_ADD(hh, s->by_cgroup, cgroup_id, sizeof(cgroup_id), c);
	if (!c->hh.tbl) {
		free(c);
		return NULL;
	}
	container__reopen(s, c);
	return c;
}

void container__reopen(struct streams *s, struct container *c)
{
	if (!c->open)
		DL_APPEND2(s->open, c, open_prev, open_next);
	c->open = true;
}

struct container *container__untold(struct streams *s, uint64_t cgroup_id)
{
	char path[NT_PATH_LEN];

	if (s->opts.cgroup_path &&
	    s->opts.cgroup_path(s->opts.ctx, cgroup_id, path, sizeof(path)) == 0 &&
	    registry__cgroup_new(s->opts.registry, cgroup_id, path, strlen(path)))
		log_error("cgroup %s has no name: out of memory", path);
	return container__get(s, cgroup_id);
}

void container__look_up(struct streams *s, struct container *c)
{
	uint64_t version = registry__version(s->opts.registry);
	struct meta *m = NULL;

	if (c->meta && c->looked_up == version)
		return;
	c->pending = registry__lookup(s->opts.registry, c->cgroup_id, &m) == REGISTRY_PENDING &&
		     !c->waited;
	if (!m)
		return;
	meta__unref(c->meta);
	c->meta = m;
	c->looked_up = version;
}

static void container__drop_parked(struct streams *s, struct container *c)
{
	struct parked *p, *next;

	for (p = c->park_head; p; p = next) {
		next = p->next;
		free(p);
	}
	s->parked_bytes -= c->parked_bytes;
	c->park_head = c->park_tail = NULL;
	c->parked_bytes = 0;
	if (c->listed)
		DL_DELETE(s->parked, c);
	c->listed = false;
}

void container__decide(struct streams *s, struct container *c, const struct line *line)
{
	bool excluded;

	if (c->pending || !c->meta || c->decided == c->meta->version || !s->opts.exclude ||
	    container__is_decided(s, c))
		return;
	c->decided = c->meta->version;
	excluded = routing__excludes(s->routing, c->meta);
	if (excluded == c->excluded)
		return;
	log_debug("%s is %s",
		  c->meta->name ? c->meta->name
		  : c->meta->id ? c->meta->id
				: "-",
		  excluded ? "excluded: no rule keeps it, or its label says so" : "captured again");
	c->excluded = excluded;
	container__reopen(s, c);
	s->opts.exclude(s->opts.ctx, c->cgroup_id, excluded);
	container__tell_excluded(s, c, line);
	if (!excluded)
		return;
	s->newly_excluded = true;
	for (struct parked *p = c->park_head; p; p = p->next)
		counters__add(s->opts.counters, excluded, p->line.len);
	container__drop_parked(s, c);
}

int container__park(struct streams *s, struct container *c, const struct line *line)
{
	struct parked *p;

	if (s->parked_bytes + line->len + sizeof(*p) > s->opts.park_max_bytes)
		return -ENOSPC;
	p = malloc(sizeof(*p) + line->len);
	if (!p)
		return -ENOMEM;
	p->line = *line;
	p->line.bytes = memcpy(p + 1, line->bytes, line->len);
	p->next = NULL;
	c->parked_pos = c->park_head ? MIN(c->parked_pos, line->ring_pos) : line->ring_pos;
	if (c->park_tail)
		c->park_tail->next = p;
	else
		c->park_head = p;
	c->park_tail = p;
	c->parked_bytes += sizeof(*p) + line->len;
	s->parked_bytes += sizeof(*p) + line->len;
	if (!c->listed) {
		c->parked_since_ns = clock__boot_ns();
		DL_APPEND(s->parked, c);
		c->listed = true;
	}
	counters__add(s->opts.counters, parked, 1);
	return 0;
}

void container__unpark(struct streams *s, struct container *c)
{
	for (struct parked *p = c->park_head; p; p = p->next)
		container__send(s, c, &p->line);
	container__drop_parked(s, c);
}

void container__stop_waiting(struct streams *s, struct container *c)
{
	c->waited = true;
	c->pending = false;
	for (struct parked *p = c->park_head; p; p = p->next)
		counters__add(s->opts.counters, park_expired, 1);
}

void container__free(struct streams *s, struct container *c)
{
	container__drop_parked(s, c);
	container__leave_relics(s, c);
	HASH_DEL(s->by_cgroup, c);
	if (c->open)
		DL_DELETE2(s->open, c, open_prev, open_next);
	for (size_t i = 0; i < ARRAY_SIZE(c->by_file); i++)
		labelled__clear(&c->by_file[i]);
	meta__unref(c->meta);
	free(c);
}

void container__try_free(struct streams *s, struct container *c)
{
	if (!c->gone || c->n_streams || c->listed)
		return;
	registry__cgroup_gone(s->opts.registry, c->cgroup_id);
	s->opts.forget(s->opts.ctx, c->cgroup_id);
	container__tell_gone(s, c);
	container__free(s, c);
	routing__release_guard(s->routing);
}
