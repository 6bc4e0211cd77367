/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel side outlives the process: what it does when the next one comes.
 *
 * - The same build with the same settings: the programs stay as they are, attached once. Only the
 *   iterators, which user space runs, are loaded again, for the same maps.
 * - The same layout, other programs: they are loaded for the same maps and attached beside the old
 *   ones; then what takes a call is changed in steps, so that none is taken twice or by nobody
 *   (bpf/generation.bpf.h), and the old ones go. Between the steps there is time for the calls that
 *   are under way. Who runs first at a call depends on the kernel: a read of a pipe's end says it.
 * - Another layout, or maps of another size: it is put aside and works until the new ones do. What
 *   its ring has left is lost, and counted.
 */
#include "capture/adopt.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "capture/maps.h"
#include "capture/proc.h"

#define DEFAULT_ORPHAN_NS (600 * NS_PER_SEC)
#define BEAT_NS NS_PER_SEC
#define GRACE_MS 100 /* calls that are under way reach the end of their programs */
#define MARKS_MAX 65536

int adopt__open(struct capture *c, char *ret_why, size_t size)
{
	int r = pins__new(&c->pins, c->opts.pins, c->not_durable, sizeof(c->not_durable));

	if (r == -EBUSY) {
		snprintf(ret_why, size, "%s", c->not_durable);
		return r;
	}
	if (r < 0)
		log_warn("not durable: what containers write while notail is away will be lost: %s",
			 c->not_durable);
	return 0;
}

/* Pins are gone for this run, which goes on without. */
static void give_up(struct capture *c, int error)
{
	snprintf(c->not_durable, sizeof(c->not_durable), "%s: nothing can be pinned: %s",
		 c->opts.pins, strerror(-error));
	log_warn("not durable: what containers write while notail is away will be lost: %s",
		 c->not_durable);
	pins__free(c->pins);
	c->pins = NULL;
}

static void start_beat(struct capture *c)
{
	c->heartbeat_ns = 0;
	adopt__beat(c);
}

static int pin(struct capture *c)
{
	c->run.legacy = programs__legacy(c->skel);
	c->run.layout = pins__layout(c->skel);
	c->run.identity = pins__identity(&c->opts);
	c->run.writers_attached = !c->writers_detached;
	snprintf(c->run.why, sizeof(c->run.why), "%s", c->why);
	return pins__pin(c->pins, c->skel, &c->run);
}

void adopt__writers(struct capture *c)
{
	int r;

	c->run.writers_attached = true;
	r = pins__pin_writers(c->pins, c->skel, &c->run);
	if (r < 0)
		log_warn("links are not pinned: %s", strerror(-r));
}

static void drop_old(struct capture *c)
{
	uint64_t bytes;
	unsigned n = pins__drop_old(c->pins, &bytes);

	c->counters.unread_bytes += bytes;
	if (n)
		log_warn("what an older notail had pinned was removed; %lu bytes of its ring had "
			 "not been delivered",
			 (unsigned long)bytes);
}

static int load_fresh(struct capture *c, char *ret_why, size_t size)
{
	const struct programs_from from = {.generation = 1};
	int r;

	c->adopted = false;
	memset(&c->run, 0, sizeof(c->run));
	r = capture__load_best(c, &from, ret_why, size);
	if (r < 0)
		return r;
	start_beat(c);
	r = pin(c);
	if (r < 0)
		give_up(c, r);
	else
		drop_old(c);
	return 0;
}

static int take_pinned(struct capture *c, struct capture_bpf *skel, bool own)
{
	int r = -EINVAL;

	if (pins__layout(skel) == c->run.layout)
		r = pins__reuse(c->pins, skel, c->run.generation, own);
	c->foreign = r < 0;
	return r;
}

/* ---- the same programs ---- */

static int take_all_maps(void *ctx, struct capture_bpf *skel)
{
	return take_pinned(ctx, skel, true);
}

static int adopt(struct capture *c, char *ret_why, size_t size)
{
	const struct programs_from from = {
		.maps = take_all_maps,
		.ctx = c,
		.generation = c->run.generation,
		.iterators = true,
		.legacy = c->run.legacy,
	};
	int r = capture__load_iterators(c, &from, ret_why, size);

	if (r == 0)
		log_debug("what is pinned is taken over: generation %lu",
			  (unsigned long)c->run.generation);
	return r;
}

/* ---- others for the same maps ---- */

static int take_shared_maps(void *ctx, struct capture_bpf *skel)
{
	return take_pinned(ctx, skel, false);
}

static void set_charge(struct capture *c, uint64_t word)
{
	__atomic_store_n(&c->skel->bss->nt_in_charge, word, __ATOMIC_SEQ_CST);
	poll(NULL, 0, GRACE_MS);
}

static void clear_marks(struct capture *c)
{
	int fd = bpf_map__fd(c->skel->maps.nt_handing);
	uint64_t key;

	for (int i = 0; i < MARKS_MAX && bpf_map_get_next_key(fd, NULL, &key) == 0; i++)
		map__delete(fd, &key);
}

/* At a call: when the programs in charge come first, the stream is gone before the others look. */
static bool new_comes_first(struct capture *c)
{
	const struct nt_stream s = {.reader = (uint32_t)getpid(),
				    .file = NT_FILE_STDOUT,
				    .tap = NT_TAP_READ,
				    .origin = NT_ORIGIN_USER};
	struct nt_stream_key key;
	struct stat st;
	int fds[2];
	char byte;
	bool known;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return false;
	close(fds[1]);
	if (fstat(fds[0], &st) == 0) {
		key = stat__key(&st);
		known = reader__insert(c, getpid()) < 0;
		c->skel->bss->nt_probe_seen = 0;
		c->skel->bss->nt_probe_thread = (uint64_t)getpid() << 32 | (uint32_t)gettid();
		stream__insert(c, &key, &s);
		if (read(fds[0], &byte, 1) != 0)
			log_debug("a pipe without a writer has no end");
		c->skel->bss->nt_probe_thread = 0;
		stream__delete(c, &key);
		if (!known)
			reader__delete(c, getpid());
	}
	close(fds[0]);
	return c->skel->bss->nt_probe_seen;
}

static void hand_over(struct capture *c, uint64_t from, bool in_steps)
{
	uint64_t handing = from | NT_HANDING;

	if (in_steps) {
		if (new_comes_first(c))
			handing |= NT_NEW_FIRST;
		clear_marks(c);
		set_charge(c, handing);
		set_charge(c, handing | NT_HANDED);
	}
	set_charge(c, c->run.generation);
	pins__remove_generation(c->pins, from);
	clear_marks(c);
}

static int upgrade(struct capture *c, char *ret_why, size_t size)
{
	const struct pinned_run old = c->run;
	const struct programs_from from = {
		.maps = take_shared_maps,
		.ctx = c,
		.generation = old.generation + 1,
	};
	int r = capture__load_best(c, &from, ret_why, size);

	if (r < 0)
		return r;
	if (c->opts.tap == TAP_WRITE)
		c->skel->bss->nt_write_taps = 1;
	r = pin(c);
	hand_over(c, old.generation, old.hooks == c->run.hooks);
	log_info("this notail's programs took over from those that were pinned");
	if (r < 0) {
		pins__remove_all(c->pins);
		give_up(c, r);
	}
	return 0;
}

int adopt__load(struct capture *c, char *ret_why, size_t size)
{
	int r = pins__find(c->pins, &c->run);
	bool found = r == 0;

	c->adopted = found;
	if (r == 0 && c->run.identity == pins__identity(&c->opts) &&
	    (c->run.writers_attached || c->opts.attribution != ATTRIBUTION_OFF))
		r = adopt(c, ret_why, size);
	else if (r == 0)
		r = upgrade(c, ret_why, size);
	if (r == 0) {
		start_beat(c);
		if (c->pins)
			drop_old(c);
		return 0;
	}
	if (found) {
		log_warn("what is pinned cannot be taken over: %s",
			 c->foreign ? "its maps are not those of this notail, or of its settings"
				    : ret_why);
		*ret_why = '\0';
		r = pins__bury(c->pins);
		if (r < 0)
			pins__remove_all(c->pins);
	}
	return load_fresh(c, ret_why, size);
}

/* ---- what the kernel side knows ---- */

static void clean_stream(void *ctx, const struct nt_stream_key *key, const struct nt_stream *s)
{
	struct capture *c = ctx;

	if (s->cgroup_id)
		return;
	if (s->denied)
		map__delete(c->streams_fd, key);
	else
		stream__delete(c, key);
}

void adopt__clean(struct capture *c)
{
	streams__each(c, clean_stream, c);
}

static void tell_stream(void *ctx, const struct nt_stream_key *key, const struct nt_stream *s)
{
	struct capture *c = ctx;
	const struct nt_register rec = stream__registration(key, s);

	if (!s->denied && s->tap && s->origin != NT_ORIGIN_USER && c->ops.known)
		c->ops.known(c->ctx, ring__position(c->ring), &rec);
}

static void tell_cgroup(struct capture *c, uint64_t id)
{
	struct nt_cgroup_event event = {
		.hdr = {.kind = NT_KIND_CGROUP_NEW,
			.size = sizeof(event),
			.time_ns = clock__boot_ns(),
			.cgroup_id = id},
	};
	char path[4096];
	size_t len, cut;

	if (!c->ops.cgroup_new || cgroup2__path_of(c->cgroup_root, id, path, sizeof(path)) < 0)
		return;
	len = strlen(path);
	cut = len >= NT_PATH_LEN ? len - (NT_PATH_LEN - 1) : 0;
	event.path_len = (uint32_t)(len - cut);
	memcpy(event.path, path + cut, len - cut);
	c->ops.cgroup_new(c->ctx, ring__position(c->ring), &event);
}

/* What the rules of the run before did not want may be wanted now; it is looked at again. */
static void tell_cgroups(struct capture *c)
{
	uint64_t id, *denied = NULL;
	size_t n = 0, room = 0;
	struct nt_cgroup cg;
	int r = bpf_map_get_next_key(c->cgroups_fd, NULL, &id);

	for (int i = 0; r == 0 && i < MARKS_MAX; i++) {
		if (map__lookup(c->cgroups_fd, &id, &cg) == 0 && id != c->own_cgroup) {
			if (!(cg.flags & NT_CGROUP_DENIED)) {
				tell_cgroup(c, id);
			} else {
				if (n == room) {
					uint64_t *grown =
						reallocarray(denied, room + 64, sizeof(id));

					if (!grown)
						break;
					denied = grown;
					room += 64;
				}
				denied[n++] = id;
			}
		}
		r = bpf_map_get_next_key(c->cgroups_fd, &id, &id);
	}
	for (size_t i = 0; i < n; i++)
		capture__include(c, denied[i]);
	free(denied);
}

/* A container that went meanwhile is known by its path alone, which its last record has. */
static void tell_gone(void *ctx, uint64_t pos, const struct nt_cgroup_event *gone)
{
	struct nt_cgroup_event event = *gone;
	struct capture *c = ctx;

	(void)pos;
	event.hdr.kind = NT_KIND_CGROUP_NEW;
	c->ops.cgroup_new(c->ctx, ring__position(c->ring), &event);
}

static void on_ahead(void *ctx, uint64_t pos, uint64_t next, const void *data, size_t size)
{
	static const struct record_ops ops = {.cgroup_gone = tell_gone};
	const char *why;

	(void)next;
	record__dispatch(data, size, pos, &ops, ctx,
			 &why); /* a corrupt one is told when it is read */
}

static void look_ahead(struct capture *c)
{
	uint64_t skipped;
	struct ring *ahead;

	if (!c->ops.cgroup_new ||
	    ring__new(&ahead, bpf_map__fd(c->skel->maps.nt_ring), c->ring_bytes) < 0)
		return;
	if (ring__read(ahead, SIZE_MAX, on_ahead, c, &skipped) < 0)
		log_debug("the ring that is taken over is corrupt");
	ring__free(ahead);
}

void adopt__tell(struct capture *c)
{
	look_ahead(c);
	if (c->cgroup_root >= 0)
		tell_cgroups(c);
	streams__each(c, tell_stream, c);
}

/* ---- somebody reads ---- */

static uint64_t timeout_ns(const struct capture *c)
{
	return c->opts.orphan_timeout_ns ? c->opts.orphan_timeout_ns : DEFAULT_ORPHAN_NS;
}

static uint64_t pause_ns(const struct capture *c)
{
	return MIN(BEAT_NS, timeout_ns(c) / 4);
}

uint64_t adopt__due_ns(const struct capture *c)
{
	/* A sleeper's beat has time until a quarter of the timeout is over. */
	return c->heartbeat_ns + timeout_ns(c) / 4;
}

void adopt__beat(struct capture *c)
{
	uint64_t now_ns = clock__boot_ns();
	struct timespec mono;

	if (now_ns - c->heartbeat_ns < pause_ns(c) && c->heartbeat_ns)
		return;
	c->heartbeat_ns = now_ns;
	clock_gettime(CLOCK_MONOTONIC, &mono);
	c->skel->bss->nt_orphan_boot_ns = now_ns + timeout_ns(c);
	c->skel->bss->nt_orphan_mono_ns =
		(uint64_t)mono.tv_sec * NS_PER_SEC + (uint64_t)mono.tv_nsec + timeout_ns(c);
}

/* ---- the room's face ---- */

bool capture__durable(const struct capture *c, const char **ret_why)
{
	*ret_why = c->not_durable;
	return c->pins != NULL;
}

bool capture__adopted(const struct capture *c)
{
	return c->adopted;
}

void capture__unpin(struct capture *c)
{
	c->unpins = c->pins != NULL;
}

int capture__state(struct capture *c, void **ret_memory, size_t *ret_size, bool *ret_adopted)
{
	if (!c->pins || !c->opts.state_bytes)
		return -ENOENT;
	return pins__state(c->pins, c->opts.state_bytes, ret_memory, ret_size, ret_adopted);
}
