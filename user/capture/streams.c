/* SPDX-License-Identifier: Apache-2.0 */
/*
 * User space's hand on the kernel's maps: streams that the user names (--pid, -- CMD), exclusion,
 * what is left of a container that is gone, counters.
 *
 * Maps of streams are walked by key while the kernel inserts and deletes. When the key that the
 * walk stands on is deleted the kernel starts over, so a walk is bounded by a number of steps and
 * its callers can be told of a stream twice.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "capture/internal.h"
#include "capture/maps.h"
#include "capture/names.h"
#include "capture/proc.h"
#include "capture/programs.h"
#include "capture/scan.h"

#define SWEEP_NS NS_PER_SEC
#define MEM_MAJOR 1 /* /dev/null and its like */

/* `count`: the kernel's filter, which must never be behind the map. */
static int insert(int map, const void *key, const void *value, uint32_t *count)
{
	int r;

	__atomic_fetch_add(count, 1, __ATOMIC_SEQ_CST);
	r = map__update(map, key, value, BPF_NOEXIST);
	if (r < 0)
		__atomic_fetch_sub(count, 1, __ATOMIC_SEQ_CST);
	return r;
}

static struct nt_hot *hot_of(struct capture *c, const struct nt_stream_key *key)
{
	return &c->skel->bss->nt_hot[nt_hot_slot(key->ino)];
}

static bool is_hot(const struct nt_hot *hot, const struct nt_stream_key *key)
{
	return hot->ino == key->ino && hot->dev == key->dev;
}

/* See nt_heat. False: there is none. */
static bool heat(struct capture *c, const struct nt_stream_key *key)
{
	struct nt_hot *hot = hot_of(c, key);
	uint64_t none = 0;

	if (programs__legacy(c->skel) || key->type != NT_KEY_INODE ||
	    !__atomic_compare_exchange_n(&hot->ino, &none, key->ino, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_SEQ_CST))
		return false;
	memset(&hot->w, 0, sizeof(hot->w));
	hot->dev = key->dev;
	return true;
}

static void free_hot(struct nt_hot *hot)
{
	hot->counts = 0;
	hot->dev = 0;
	__atomic_store_n(&hot->ino, 0, __ATOMIC_SEQ_CST);
}

/* With what the write tap keeps elsewhere. That is read first: what is seen was written before. */
static int look_up(struct capture *c, const struct nt_stream_key *key, struct nt_stream *ret)
{
	const struct nt_hot *hot = hot_of(c, key);
	bool was_hot = is_hot(hot, key);
	struct nt_writer w = hot->w;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (map__lookup(c->streams_fd, key, ret) < 0)
		return -errno;
	if (!ret->hot)
		return 0;
	if (!was_hot || !is_hot(hot, key))
		return -ENOENT; /* it came or went meanwhile */
	ret->written = w.written;
	ret->foreign_ns = w.foreign_ns;
	ret->writer_from = w.writer_from;
	ret->writer_pid = w.writer_pid;
	memcpy(ret->writer_comm, w.writer_comm, sizeof(ret->writer_comm));
	return 0;
}

int stream__insert(struct capture *c, const struct nt_stream_key *key, const struct nt_stream *s)
{
	uint32_t *count = &c->skel->bss->nt_filter_files[nt_filter_file_slot(key->ino)];
	struct nt_stream stream = *s;
	int r;

	if (heat(c, key))
		stream.hot = nt_hot_slot(key->ino) + 1;
	r = insert(c->streams_fd, key, &stream, count);
	if (r < 0 && stream.hot)
		free_hot(hot_of(c, key));
	else if (stream.hot)
		__atomic_store_n(&hot_of(c, key)->counts, s->tap == NT_TAP_READ, __ATOMIC_SEQ_CST);
	return r;
}

void stream__delete(struct capture *c, const struct nt_stream_key *key)
{
	uint32_t *count = &c->skel->bss->nt_filter_files[nt_filter_file_slot(key->ino)];
	struct nt_hot *hot = hot_of(c, key);
	bool was_hot = is_hot(hot, key);

	if (was_hot)
		__atomic_store_n(&hot->counts, 0, __ATOMIC_SEQ_CST);
	if (map__delete(c->streams_fd, key) < 0)
		return;
	if (was_hot)
		free_hot(hot);
	__atomic_fetch_sub(count, 1, __ATOMIC_SEQ_CST);
}

int reader__insert(struct capture *c, pid_t reader)
{
	uint32_t tgid = (uint32_t)reader, one = 1;
	uint32_t *count = &c->skel->bss->nt_filter_readers[nt_filter_reader_slot(tgid)];

	return insert(c->readers_fd, &tgid, &one, count);
}

void reader__delete(struct capture *c, pid_t reader)
{
	uint32_t tgid = (uint32_t)reader;
	uint32_t *count = &c->skel->bss->nt_filter_readers[nt_filter_reader_slot(tgid)];

	if (map__delete(c->readers_fd, &tgid) == 0)
		__atomic_fetch_sub(count, 1, __ATOMIC_SEQ_CST);
}

struct nt_register stream__registration(const struct nt_stream_key *key, const struct nt_stream *s)
{
	return (struct nt_register){
		.hdr = {.kind = NT_KIND_REGISTER,
			.size = sizeof(struct nt_register),
			.time_ns = clock__boot_ns(),
			.cgroup_id = s->cgroup_id},
		.key = *key,
		.init_pid = s->init_pid,
		.reader = s->reader,
		.file = s->file,
		.tap = s->tap,
		.origin = s->origin,
		.pipe = s->pipe != 0,
	};
}

static void announce(struct capture *c, const struct nt_stream_key *key, const struct nt_stream *s)
{
	const struct nt_register rec = stream__registration(key, s);

	if (c->ops.registered)
		c->ops.registered(c->ctx, ring__position(c->ring), &rec);
}

int capture__add_pipe(struct capture *c, int read_fd, pid_t reader, enum nt_file file,
		      uint64_t cgroup_id)
{
	struct nt_stream s = {
		.cgroup_id = cgroup_id,
		.reader = (uint32_t)reader,
		.file = (uint8_t)file,
		.tap = c->opts.tap == TAP_WRITE ? NT_TAP_WRITE : NT_TAP_READ,
		.origin = NT_ORIGIN_USER,
	};
	struct nt_stream_key key;
	struct stat st;
	int r;

	if (fstat(read_fd, &st) < 0)
		return -errno;
	key = stat__key(&st);
	r = reader__insert(c, reader);
	if (r < 0 && r != -EEXIST)
		return r;
	r = stream__insert(c, &key, &s);
	if (r == 0)
		announce(c, &key, &s);
	return r;
}

static bool is_own_stdio(const struct stat *st)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		struct stat own;

		if (fstat(fd, &own) == 0 && own.st_ino == st->st_ino && own.st_dev == st->st_dev)
			return true;
	}
	return false;
}

/* NULL: it can be captured. */
static const char *unusable(pid_t pid, int fd)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
	if (stat(path, &st) < 0)
		return errno == ENOENT ? "is closed" : strerror(errno);
	if (S_ISREG(st.st_mode))
		return "is a regular file";
	if (S_ISCHR(st.st_mode) && major(st.st_rdev) == MEM_MAJOR)
		return "is /dev/null or another device without a reader";
	if (!S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode) && !S_ISCHR(st.st_mode))
		return "is neither a pipe, nor a socket, nor a terminal";
	return is_own_stdio(&st) ? "is notail's own output" : NULL;
}

static int check_stdio(pid_t pid, char *ret_why, size_t size)
{
	const char *out = unusable(pid, STDOUT_FILENO), *err = unusable(pid, STDERR_FILENO);

	if (out && err) {
		snprintf(ret_why, size,
			 "process %d: nothing to capture: its standard output %s, its standard "
			 "error %s",
			 pid, out, err);
		return -ENOTSUP;
	}
	if (out)
		log_warn("process %d: its standard output %s and is not captured", pid, out);
	if (err)
		log_warn("process %d: its standard error %s and is not captured", pid, err);
	return 0;
}

int capture__add_pid(struct capture *c, pid_t pid, uint64_t *ret_cgroup_id, char *ret_why,
		     size_t size)
{
	uint64_t cgroup_id = 0;
	uint32_t found = 0;
	char path[4096];
	int r;

	r = cgroup2__path(pid, path, sizeof(path));
	if (r == -ENOENT || r == -ESRCH) {
		snprintf(path, sizeof(path), "/proc/%d", pid);
		if (access(path, F_OK) < 0) {
			snprintf(ret_why, size, "process %d: no such process", pid);
			return -ESRCH;
		}
	}
	if (r == 0)
		r = c->cgroup_root < 0 ? -ENOENT : cgroup2__id(c->cgroup_root, path, &cgroup_id);
	if (r < 0) {
		snprintf(ret_why, size, "process %d: cannot find its cgroup: %s", pid,
			 strerror(-r));
		return r;
	}
	r = check_stdio(pid, ret_why, size);
	if (r < 0)
		return r;
	r = scan__process(c->skel, pid, cgroup_id, &found);
	if (r < 0 || !found) {
		snprintf(ret_why, size, "process %d: its output cannot be registered: %s", pid,
			 r < 0 ? strerror(-r) : "it is captured already, or it has just ended");
		return r < 0 ? r : -EEXIST;
	}
	*ret_cgroup_id = cgroup_id;
	return 0;
}

int streams__each(struct capture *c, stream_fn fn, void *ctx)
{
	size_t steps = 4 * (size_t)bpf_map__max_entries(c->skel->maps.nt_streams);
	struct nt_stream_key key, next;
	struct nt_stream s;
	int r = bpf_map_get_next_key(c->streams_fd, NULL, &next);

	while (r == 0 && steps--) {
		key = next;
		r = bpf_map_get_next_key(c->streams_fd, &key, &next);
		if (look_up(c, &key, &s) == 0)
			fn(ctx, &key, &s);
	}
	if (r == 0)
		return -EAGAIN;
	return r == -ENOENT ? 0 : r;
}

struct of_cgroup {
	struct capture *c;
	uint64_t cgroup_id;
};

static void deny_stream(void *ctx, const struct nt_stream_key *key, const struct nt_stream *s)
{
	const struct of_cgroup *of = ctx;
	struct nt_stream denied = *s;

	if (s->cgroup_id != of->cgroup_id)
		return;
	denied.denied = 1;
	if (s->hot)
		__atomic_store_n(&hot_of(of->c, key)->counts, 0, __ATOMIC_SEQ_CST);
	map__update(of->c->streams_fd, key, &denied, BPF_EXIST);
}

static void delete_denied(void *ctx, const struct nt_stream_key *key, const struct nt_stream *s)
{
	const struct of_cgroup *of = ctx;

	if (s->cgroup_id == of->cgroup_id && s->denied)
		stream__delete(of->c, key);
}

int capture__include(struct capture *c, uint64_t cgroup_id)
{
	int r = streams__each(c, delete_denied, &(struct of_cgroup){c, cgroup_id});

	if (map__delete(c->cgroups_fd, &cgroup_id) < 0 && errno != ENOENT)
		return -errno;
	return r;
}

int capture__exclude(struct capture *c, uint64_t cgroup_id)
{
	struct nt_cgroup cgroup = {};

	map__lookup(c->cgroups_fd, &cgroup_id, &cgroup);
	cgroup.flags |= NT_CGROUP_DENIED;
	/* First the cgroup, so that no exec registers a stream behind the walk. */
	if (map__update(c->cgroups_fd, &cgroup_id, &cgroup, BPF_ANY) < 0)
		return -errno;
	return streams__each(c, deny_stream, &(struct of_cgroup){c, cgroup_id});
}

static int id__cmp(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void delete_forgotten(void *ctx, const struct nt_stream_key *key, const struct nt_stream *s)
{
	struct capture *c = ctx;

	if (bsearch(&s->cgroup_id, c->forgotten, c->n_forgotten, sizeof(*c->forgotten), id__cmp))
		stream__delete(c, key);
}

void streams__sweep(struct capture *c)
{
	if (!c->n_forgotten)
		return;
	qsort(c->forgotten, c->n_forgotten, sizeof(*c->forgotten), id__cmp);
	streams__each(c, delete_forgotten, c);
	c->n_forgotten = 0;
}

/* A walk over all streams for each container that ends would be too much where many end at once. */
void capture__forget(struct capture *c, uint64_t cgroup_id)
{
	if (!cgroup_id)
		return; /* notail's own denied files are kept under 0 */
	map__delete(c->cgroups_fd, &cgroup_id);
	if (!c->n_forgotten)
		c->sweep_ns = clock__boot_ns() + SWEEP_NS;
	c->forgotten[c->n_forgotten++] = cgroup_id;
	if (c->n_forgotten == ARRAY_SIZE(c->forgotten))
		streams__sweep(c);
}

bool capture__cgroup_lives(struct capture *c, uint64_t cgroup_id)
{
	struct nt_cgroup cgroup;

	return !c->opts.containers || map__lookup(c->cgroups_fd, &cgroup_id, &cgroup) == 0 ||
	       errno != ENOENT;
}

bool capture__reads(struct capture *c, uint32_t tgid)
{
	uint32_t one;

	return map__lookup(c->readers_fd, &tgid, &one) == 0;
}

bool capture__holds(uint32_t tgid, const struct nt_stream_key *key)
{
	return proc__holds((pid_t)tgid, key);
}

void capture__positions(const struct capture *c, uint64_t *ret_read, uint64_t *ret_written)
{
	*ret_read = ring__position(c->ring);
	*ret_written = ring__producer(c->ring);
}

bool capture__ring_is_full(const struct capture *c)
{
	return ring__used(c->ring) > c->ring_bytes - c->ring_bytes / 16;
}

struct orphans {
	struct capture *c;
	stream_fn fn;
	void *arg;
};

static void tell_orphan(void *ctx, const struct nt_stream_key *key, const struct nt_stream *s)
{
	const struct orphans *o = ctx;

	if (s->denied || s->origin == NT_ORIGIN_USER || !s->tap ||
	    capture__cgroup_lives(o->c, s->cgroup_id) ||
	    (s->reader && capture__reads(o->c, s->reader)))
		return;
	o->fn(o->arg, key, s);
}

void capture__orphans(struct capture *c, stream_fn fn, void *arg)
{
	streams__sweep(c); /* what is forgotten is nobody's orphan */
	streams__each(c, tell_orphan, &(struct orphans){c, fn, arg});
}

int capture__cgroup_path(struct capture *c, uint64_t cgroup_id, char *ret_path, size_t size)
{
	int r;

	if (!c->opts.containers || c->cgroup_root < 0)
		return -ENOENT;
	r = cgroup2__path_of(c->cgroup_root, cgroup_id, ret_path, size);
	if (r)
		return r;
	return names__container(ret_path) ||
			       names__asked(ret_path, c->opts.cgroups, c->opts.n_cgroups)
		       ? 0
		       : -ENOENT;
}

int capture__stream(struct capture *c, const struct nt_stream_key *key, struct nt_stream *ret)
{
	struct nt_stream s;

	int r = look_up(c, key, &s);

	if (r < 0)
		return r;
	*ret = s;
	return 0;
}

static void add_stats(struct capture *c, struct capture_counters *sum)
{
	int cpus = libbpf_num_possible_cpus();
	_free_ struct nt_stats *per_cpu = cpus > 0 ? calloc((size_t)cpus, sizeof(*per_cpu)) : NULL;
	uint32_t zero = 0;

	if (!per_cpu || map__lookup(bpf_map__fd(c->skel->maps.nt_stats), &zero, per_cpu) < 0)
		return;
	for (int i = 0; i < cpus; i++) {
		sum->events_lost += per_cpu[i].events_lost;
		sum->data_lost += per_cpu[i].data_lost;
		sum->notes_lost += per_cpu[i].notes_lost;
		sum->streams_full += per_cpu[i].streams_full;
		sum->cgroups_full += per_cpu[i].cgroups_full;
	}
}

void capture__counters(struct capture *c, struct capture_counters *ret)
{
	struct capture_counters sum = c->counters;

	add_stats(c, &sum);
	sum.recursion_misses = programs__recursion_misses(c->skel, c->attached);
	sum.ring_used_bytes = ring__used(c->ring);
	sum.ring_bytes = c->ring_bytes;
	*ret = sum;
}

uint64_t capture__events_lost(struct capture *c)
{
	struct capture_counters sum = {};

	add_stats(c, &sum);
	return sum.events_lost;
}

uint64_t capture__misses(struct capture *c, enum nt_tap tap)
{
	/* What writes has one copy only. */
	return tap == NT_TAP_WRITE ? programs__recursion_misses(c->skel, c->attached)
				   : programs__misses(c->skel, c->attached);
}
