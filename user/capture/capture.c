/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The room's face: puts the programs, the ring and the scan together.
 *
 * Order at start: notail's own files and cgroup are denied, then the programs are attached, then
 * what runs already is scanned; so nothing of notail's own is ever captured, and no container
 * falls between attach and scan. A hook set that the probe found usable may still fail as a whole
 * (its programs are larger than the probe's): with HOOKS_AUTO the set syscall is then taken.
 *
 * The ring's map is pollable, but with a consumer position that lags it would be readable always:
 * an epoll instance of our own holds it edge-triggered, and is emptied by each read.
 *
 * A program reserves its record, then decides if it wakes us, then submits. One that decided before
 * it could see capture__wake_at_next has its record reserved but not submitted when the ring is
 * looked at thereafter: that is to be seen, and keeps the wake descriptor readable until the record
 * is there. So no record waits for the next one.
 */
#include "capture/capture.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "capture/adopt.h"
#include "capture/host.h"
#include "capture/internal.h"
#include "capture/maps.h"
#include "capture/names.h"
#include "capture/probe.h"
#include "capture/proc.h"
#include "capture/programs.h"
#include "capture/ring.h"
#include "capture/scan.h"

#define RING_MIN_BYTES (1u << 20)
#define RING_MAX_BYTES (1u << 30)
#define CGROUP_ROOT_ID 1 /* of the true root, which no cgroup namespace changes */
#define WAKE_NEVER UINT64_MAX

static const char *const hook_set_names[] = {
	[HOOKS_AUTO] = "auto",
	[HOOKS_FEXIT] = "fexit",
	[HOOKS_MULTI] = "multi",
	[HOOKS_SYSCALL] = "syscall",
};

static const char *const tap_mode_names[] = {
	[TAP_AUTO] = "auto",
	[TAP_READ] = "read",
	[TAP_WRITE] = "write",
};

static const char *const attribution_names[] = {
	[ATTRIBUTION_STREAM] = "stream",
	[ATTRIBUTION_LINE] = "line",
	[ATTRIBUTION_OFF] = "off",
};

static int index_of(const char *name, const char *const names[], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(name, names[i]) == 0)
			return (int)i;
	}
	return -EINVAL;
}

const char *hook_set__name(enum hook_set hooks)
{
	return hook_set_names[hooks];
}

int hook_set__parse(const char *name, enum hook_set *ret)
{
	int i = index_of(name, hook_set_names, ARRAY_SIZE(hook_set_names));

	if (i < 0)
		return i;
	*ret = (enum hook_set)i;
	return 0;
}

int tap_mode__parse(const char *name, enum tap_mode *ret)
{
	int i = index_of(name, tap_mode_names, ARRAY_SIZE(tap_mode_names));

	if (i < 0)
		return i;
	*ret = (enum tap_mode)i;
	return 0;
}

int attribution__parse(const char *name, enum attribution *ret)
{
	int i = index_of(name, attribution_names, ARRAY_SIZE(attribution_names));

	if (i < 0)
		return i;
	*ret = (enum attribution)i;
	return 0;
}

static int check_ring_bytes(size_t bytes, char *ret_why, size_t size)
{
	if (bytes == 0 ||
	    (bytes >= RING_MIN_BYTES && bytes <= RING_MAX_BYTES && !(bytes & (bytes - 1))))
		return 0;
	snprintf(ret_why, size,
		 "ring size %zu is not valid: a power of two from %u (1 MiB) to %u (1 GiB) is",
		 bytes, RING_MIN_BYTES, RING_MAX_BYTES);
	return -EINVAL;
}

/* The programs of a run before may have taken it for a container's by now. */
static void deny_stream(struct capture *c, const struct nt_stream_key *key)
{
	const struct nt_stream denied = {.denied = 1, .origin = NT_ORIGIN_USER};
	struct nt_stream there;

	if (c->adopted && map__lookup(c->streams_fd, key, &there) == 0 && !there.denied)
		stream__delete(c, key);
	if (map__update(c->streams_fd, key, &denied, BPF_ANY) < 0)
		log_warn("notail's own output is not excluded: %s", strerror(errno));
}

static void deny_stdio(struct capture *c)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		struct nt_stream_key key;
		struct stat st;

		if (fstat(fd, &st) < 0 || !(S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)))
			continue;
		key = stat__key(&st);
		deny_stream(c, &key);
	}
}

/* In a cgroup namespace of its own a container sees itself as the root. */
static void deny_cgroup(struct capture *c)
{
	const struct nt_cgroup denied = {.flags = NT_CGROUP_DENIED};
	char path[4096];
	uint64_t id;

	if (c->cgroup_root < 0 || cgroup2__path(getpid(), path, sizeof(path)) < 0 ||
	    cgroup2__id(c->cgroup_root, path, &id) < 0)
		return;
	if (names__container(path) || names__asked(path, c->opts.cgroups, c->opts.n_cgroups) ||
	    (strcmp(path, "/") == 0 && id != CGROUP_ROOT_ID)) {
		map__update(c->cgroups_fd, &id, &denied, BPF_ANY);
		c->own_cgroup = id;
	}
}

static int deny_self(struct capture *c, char *ret_why, size_t size)
{
	int r;

	deny_stdio(c);
	deny_cgroup(c);
	r = programs__iterate(c->skel->progs.nt_deny_self); /* terminals */
	if (r < 0)
		snprintf(ret_why, size, "cannot exclude notail's own terminal: %s", strerror(-r));
	return r;
}

static void unload(struct capture *c)
{
	contexts__free(c->contexts);
	c->contexts = NULL;
	ring__free(c->ring);
	c->ring = NULL;
	for (int i = 0; c->attached && i < c->skel->skeleton->prog_cnt; i++)
		close_p(&c->attached[i]);
	free(c->attached);
	c->attached = NULL;
	if (c->skel)
		capture_bpf__destroy(c->skel);
	c->skel = NULL;
}

static int open_ring(struct capture *c)
{
	struct epoll_event edge = {.events = EPOLLIN | EPOLLET};
	int map = bpf_map__fd(c->skel->maps.nt_ring);
	int r;

	c->ring_bytes = bpf_map__max_entries(c->skel->maps.nt_ring);
	r = ring__new(&c->ring, map, c->ring_bytes);
	if (r < 0)
		return r;
	return epoll_ctl(c->wake_fd, EPOLL_CTL_ADD, map, &edge) < 0 ? -errno : 0;
}

static int open_wake(struct capture *c)
{
	struct epoll_event level = {.events = EPOLLIN};

	c->pending_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	c->wake_fd = epoll_create1(EPOLL_CLOEXEC);
	if (c->pending_fd < 0 || c->wake_fd < 0 ||
	    epoll_ctl(c->wake_fd, EPOLL_CTL_ADD, c->pending_fd, &level) < 0)
		return -errno;
	return 0;
}

static struct copies choose_copies(const struct capture *c, enum hook_set hooks)
{
	bool may = c->opts.second_copy != SECOND_COPY_OFF;
	bool must = c->opts.second_copy == SECOND_COPY_ON;
	struct probe_preempted p = {};

	if (may)
		probe__preempted(hooks == HOOKS_SYSCALL, &p);
	return (struct copies){
		.reads = may && hooks == HOOKS_SYSCALL && p.counts_reads && (must || p.calls),
		.events = may && (must || p.events),
	};
}

static void open_contexts(struct capture *c)
{
	int r = 0;

	if (c->skel->rodata->nt_notes)
		r = contexts__new(&c->contexts, bpf_map__fd(c->skel->maps.nt_contexts));
	if (r < 0)
		log_warn("lines have no trace_id from SDKs: %s", strerror(-r));
}

static int take_maps(struct capture *c, char *ret_why, size_t size)
{
	int r;

	c->streams_fd = bpf_map__fd(c->skel->maps.nt_streams);
	c->cgroups_fd = bpf_map__fd(c->skel->maps.nt_cgroups);
	c->readers_fd = bpf_map__fd(c->skel->maps.nt_readers);
	r = open_ring(c);
	if (r < 0)
		snprintf(ret_why, size, "cannot map the ring buffer of %zu bytes: %s",
			 c->ring_bytes, strerror(-r));
	c->skel->bss->nt_self_tgid = (uint32_t)getpid();
	if (c->adopted)
		adopt__clean(c);
	return r == 0 ? deny_self(c, ret_why, size) : r;
}

/* Everything that depends on the hook set. On failure all of it is gone again. */
int capture__load(struct capture *c, enum hook_set hooks, const struct programs_from *from,
		  char *ret_why, size_t size)
{
	struct copies copies = choose_copies(c, hooks);
	int r = programs__load(&c->skel, &c->opts, hooks, &copies, from, ret_why, size);

	if (r < 0)
		return r;
	r = take_maps(c, ret_why, size);
	if (r == 0)
		r = programs__attach(c->skel, hooks, ret_why, size);
	if (r == 0)
		open_contexts(c);
	/* A stream of a run before may need them. */
	c->writers_detached = r == 0 && c->opts.attribution == ATTRIBUTION_OFF &&
			      c->opts.tap != TAP_WRITE && hooks != HOOKS_SYSCALL &&
			      !programs__legacy(c->skel) && /* there, they attach only once */
			      !c->skel->bss->nt_write_taps;
	if (c->writers_detached)
		programs__detach_writers(c->skel);
	if (r < 0)
		unload(c);
	else
		c->hooks = hooks;
	if (r == 0 && from) {
		c->run.generation = from->generation;
		c->run.hooks = hooks;
		c->run.reads_copied = copies.reads;
		c->run.events_copied = copies.events;
	}
	return r;
}

/* Those that work are of the same build and settings: only what user space runs is loaded. */
int capture__load_iterators(struct capture *c, const struct programs_from *from, char *ret_why,
			    size_t size)
{
	const struct copies copies = {.reads = c->run.reads_copied, .events = c->run.events_copied};
	enum hook_set hooks = (enum hook_set)c->run.hooks;
	int r = programs__load(&c->skel, &c->opts, hooks, &copies, from, ret_why, size);

	if (r < 0)
		return r;
	r = pins__open_links(c->pins, c->skel, from->generation, &c->attached);
	if (r < 0)
		snprintf(ret_why, size, "the pinned programs cannot be opened: %s", strerror(-r));
	else
		r = take_maps(c, ret_why, size);
	if (r < 0) {
		unload(c);
		return r;
	}
	open_contexts(c);
	c->hooks = hooks;
	snprintf(c->why, sizeof(c->why), "%s", c->run.why);
	return 0;
}

/* Without the hierarchy the kernel side still registers what starts from now on. */
static void open_cgroups(struct capture *c)
{
	int r = cgroup2__open_root(&c->cgroup_root);
	uint64_t id;

	if (r < 0)
		log_warn("the unified cgroup hierarchy cannot be opened (%s): containers that run "
			 "already are not found",
			 strerror(-r));
	else if (cgroup2__id(c->cgroup_root, "/", &id) == 0 && id != CGROUP_ROOT_ID)
		log_warn("notail is in a cgroup namespace of its own: containers that run already "
			 "are not found; start it in the host's (docker: --cgroupns=host)");
}

int capture__load_best(struct capture *c, const struct programs_from *from, char *ret_why,
		       size_t size)
{
	struct probe_choice choice = {};
	int r = probe__choose(c->opts.hooks, &choice);

	if (r < 0) {
		snprintf(ret_why, size, "%s", choice.why);
		return r;
	}
	snprintf(c->why, sizeof(c->why), "%s", choice.why);
	r = capture__load(c, choice.hooks, from, ret_why, size);
	if (r < 0 && c->opts.hooks == HOOKS_AUTO && choice.hooks != HOOKS_SYSCALL) {
		snprintf(c->why, sizeof(c->why), "%s", ret_why);
		r = capture__load(c, HOOKS_SYSCALL, from, ret_why, size);
	}
	return r;
}

int capture__new(struct capture **ret, const struct capture_opts *opts,
		 const struct record_ops *ops, void *ctx, char *ret_why, size_t size)
{
	struct capture *c;
	int r;

	*ret = NULL;
	r = check_ring_bytes(opts->ring_bytes, ret_why, size);
	if (r == 0)
		r = host__check(ret_why, size);
	if (r < 0)
		return r;

	c = calloc(1, sizeof(*c));
	if (!c) {
		snprintf(ret_why, size, "out of memory");
		return -ENOMEM;
	}
	c->opts = *opts;
	c->ops = *ops;
	c->ctx = ctx;
	c->cgroup_root = -1;
	c->wake_fd = -1;
	c->pending_fd = -1;
	r = open_wake(c);
	if (r < 0) {
		snprintf(ret_why, size, "cannot make an epoll instance: %s", strerror(-r));
		goto err_out;
	}
	open_cgroups(c);
	r = c->opts.pins ? adopt__open(c, ret_why, size) : 0;
	if (r == 0)
		r = c->pins ? adopt__load(c, ret_why, size)
			    : capture__load_best(c, NULL, ret_why, size);
	if (r < 0)
		goto err_out;
	if (capture__hooks(c) == HOOKS_MULTI)
		maps__undisturbed();
	if (c->adopted)
		adopt__tell(c);
	if (c->opts.containers && c->cgroup_root >= 0) {
		r = capture__scan(c);
		if (r < 0) {
			snprintf(ret_why, size, "cannot look for running containers: %s",
				 strerror(-r));
			goto err_out;
		}
	}
	*ret = c;
	return 0;

err_out:
	capture__free(c);
	return r;
}

void capture__free(struct capture *c)
{
	if (!c)
		return;
	unload(c);
	if (c->unpins)
		pins__remove_all(c->pins);
	pins__free(c->pins);
	close_p(&c->wake_fd);
	close_p(&c->pending_fd);
	close_p(&c->cgroup_root);
	free(c);
}

int capture__scan(struct capture *c)
{
	if (c->cgroup_root < 0)
		return -ENOENT;
	return scan__containers(c->skel, &c->opts, c->cgroup_root, ring__position(c->ring), &c->ops,
				c->ctx);
}

enum hook_set capture__hooks(const struct capture *c)
{
	return c->hooks;
}

bool capture__legacy(const struct capture *c)
{
	return programs__legacy(c->skel);
}

const char *capture__why(const struct capture *c)
{
	return c->why;
}

/* `rec` was checked. */
static bool copies_at_write(const void *rec)
{
	const struct nt_hdr *hdr = rec;
	const struct nt_register *reg = rec;

	return hdr->kind == NT_KIND_REGISTER && reg->tap == NT_TAP_WRITE;
}

static void attach_writers(struct capture *c)
{
	int r = programs__attach_writers(c->skel);

	c->writers_detached = false;
	if (r == 0 && c->pins)
		adopt__writers(c);
	if (r < 0)
		log_error("what containers write where no reader is known is not captured: %s",
			  strerror(-r));
}

/* `rec` was checked. */
static void look_at_process(struct capture *c, const void *rec)
{
	const struct nt_note *note = rec;

	if (note->hdr.kind == NT_KIND_NOTE && note->image && note->pid && c->contexts)
		contexts__look(c->contexts, note);
}

/* `rec` was checked. */
static void sweep(struct capture *c, const void *rec)
{
	const struct nt_hdr *hdr = rec;
	const struct nt_reader_gone *gone = rec;

	if (hdr->kind == NT_KIND_CGROUP_GONE)
		programs__sweep(c->skel, hdr->cgroup_id, 0);
	else if (hdr->kind == NT_KIND_READER_GONE)
		programs__sweep(c->skel, 0, gone->reader);
}

uint64_t capture__own_cgroup(const struct capture *c)
{
	return c->own_cgroup;
}

/* What notail's own container wrote before it was denied: programs of a run before had it. */
static bool is_own(const struct capture *c, const void *data, size_t size)
{
	const struct nt_hdr *hdr = data;

	return c->own_cgroup && size >= sizeof(*hdr) && hdr->kind == NT_KIND_DATA &&
	       hdr->cgroup_id == c->own_cgroup;
}

static void on_record(void *ctx, uint64_t pos, uint64_t next, const void *data, size_t size)
{
	struct capture *c = ctx;
	const char *why;

	c->counters.records++;
	if (is_own(c, data, size))
		return;
	if (record__dispatch(data, size, pos, &c->ops, c->ctx, &why) == 0) {
		if (programs__legacy(c->skel))
			sweep(c, data);
		look_at_process(c, data);
		if (c->writers_detached && copies_at_write(data))
			attach_writers(c);
		return;
	}
	if (!c->counters.corrupt++)
		log_warn("a corrupt record was skipped: %s", why);
	c->counters.corrupt_bytes += next - pos;
}

static void set_wake_pos(struct capture *c, uint64_t pos)
{
	__atomic_store_n(&c->skel->bss->nt_wake_pos, pos, __ATOMIC_SEQ_CST);
}

static void set_pending(struct capture *c, bool pending)
{
	uint64_t one = 1;
	ssize_t n;

	if (pending == c->pending)
		return;
	n = pending ? write(c->pending_fd, &one, sizeof(one))
		    : read(c->pending_fd, &one, sizeof(one));
	if (n == sizeof(one))
		c->pending = pending;
}

uint64_t capture__due_ns(const struct capture *c)
{
	uint64_t due_ns = c->n_forgotten ? c->sweep_ns : UINT64_MAX;

	if (c->pins)
		due_ns = MIN(due_ns, adopt__due_ns(c));
	return c->search_due_ns ? MIN(due_ns, c->search_due_ns) : due_ns;
}

size_t capture__read(struct capture *c, size_t max_bytes, uint64_t *ret_position)
{
	uint64_t before = ring__position(c->ring), skipped = 0;
	struct epoll_event events[2];

	epoll_wait(c->wake_fd, events, ARRAY_SIZE(events), 0); /* resets the edge */
	if (max_bytes && ring__read(c->ring, max_bytes, on_record, c, &skipped) < 0) {
		log_error("the ring is corrupt: %llu bytes skipped", (unsigned long long)skipped);
		c->counters.corrupt++;
		c->counters.corrupt_bytes += skipped;
	}
	if (c->pins)
		adopt__beat(c);
	readers__search(c);
	if (c->n_forgotten && clock__boot_ns() >= c->sweep_ns)
		streams__sweep(c);
	*ret_position = ring__position(c->ring);
	if (*ret_position != before) {
		c->wake_at_next = false;
		set_wake_pos(c, *ret_position + c->ring_bytes / 4);
	} else if (!max_bytes) {
		set_wake_pos(c, WAKE_NEVER);
	}
	set_pending(c, max_bytes && c->wake_at_next && ring__producer(c->ring) != *ret_position);
	return (size_t)(*ret_position - before);
}

void capture__commit(struct capture *c, uint64_t pos)
{
	ring__commit(c->ring, pos);
}

int capture__seek(struct capture *c, uint64_t pos)
{
	return ring__seek(c->ring, pos);
}

uint64_t capture__committed(const struct capture *c)
{
	return ring__committed(c->ring);
}

int capture__wake_fd(const struct capture *c)
{
	return c->wake_fd;
}

void capture__wake_at_next(struct capture *c)
{
	c->wake_at_next = true;
	set_wake_pos(c, 0);
}
