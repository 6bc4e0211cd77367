/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The programs are attached before this runs, so a container may start meanwhile: the kernel's own
 * registration wins, since everything here is inserted with NOEXIST.
 *
 * Init is the process of the cgroup that started first among those whose parent is outside the
 * cgroup and in another mount namespace; `runc:[...` is the runtime that has yet to exec the
 * program, which the exec will register. A cgroup without an init is told to the kernel all the
 * same (as cgroup_mkdir would have), and is looked at again afterwards: init may have been exec'd
 * between the first look and the insertion, when no exec could know the cgroup.
 */
#include "capture/scan.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "capture/cgroup_tree.h"
#include "capture/fault.h"
#include "capture/maps.h"
#include "capture/names.h"
#include "capture/proc.h"
#include "capture/programs.h"

#define MAX_PROCS 4096 /* of one cgroup that are looked at */

struct scan {
	struct capture_bpf *skel;
	const struct capture_opts *opts;
	uint64_t pos;
	const struct record_ops *ops;
	void *ctx;
	void (*found)(void *ctx, const char *path, pid_t init); /* instead of an insertion */
	uint32_t cgroups;
};

static bool contains(const pid_t *pids, size_t n, pid_t pid)
{
	for (size_t i = 0; i < n; i++) {
		if (pids[i] == pid)
			return true;
	}
	return false;
}

static size_t read_pids(int dir, pid_t *pids, size_t max)
{
	_fclose_ FILE *f = cgroup_tree__open_procs(dir);
	size_t n = 0;
	int pid;

	/* 0: a process outside our pid namespace. */
	while (f && n < max && fscanf(f, "%d", &pid) == 1) {
		if (pid > 0)
			pids[n++] = pid;
	}
	return n;
}

/* 0: none. */
static pid_t find_init(int dir)
{
	_free_ pid_t *pids = calloc(MAX_PROCS, sizeof(*pids));
	uint64_t first = UINT64_MAX, own_ns, parent_ns;
	size_t n = pids ? read_pids(dir, pids, MAX_PROCS) : 0;
	pid_t init = 0;

	for (size_t i = 0; i < n; i++) {
		struct proc_stat st;

		if (proc__stat(pids[i], &st) < 0 || st.start_ticks >= first ||
		    strncmp(st.comm, "runc:[", strlen("runc:[")) == 0 || contains(pids, n, st.ppid))
			continue;
		if (proc__mnt_ns(pids[i], &own_ns) < 0 || proc__mnt_ns(st.ppid, &parent_ns) < 0 ||
		    own_ns == parent_ns)
			continue;
		first = st.start_ticks;
		init = pids[i];
	}
	return init;
}

static void announce(const struct scan *s, const char *path, uint64_t id)
{
	struct nt_cgroup_event event = {
		.hdr = {.kind = NT_KIND_CGROUP_NEW,
			.size = sizeof(event),
			.time_ns = clock__boot_ns(),
			.cgroup_id = id},
	};
	size_t len = strlen(path);
	size_t cut = len >= NT_PATH_LEN ? len - (NT_PATH_LEN - 1) : 0;

	event.path_len = (uint32_t)(len - cut);
	memcpy(event.path, path + cut, len - cut);
	if (s->ops->cgroup_new)
		s->ops->cgroup_new(s->ctx, s->pos, &event);
}

static void look_again(const struct scan *s, int dir, uint64_t id)
{
	struct nt_cgroup now, value = {.flags = NT_CGROUP_SCANNED};
	int map = bpf_map__fd(s->skel->maps.nt_cgroups);

	value.init_pid = (uint32_t)find_init(dir);
	fault__gap(5);
	/* An exec that the kernel saw in between has put its init there. */
	if (value.init_pid && map__lookup(map, &id, &now) == 0 && !now.init_pid &&
	    !(now.flags & NT_CGROUP_DENIED))
		map__update(map, &id, &value, BPF_EXIST);
}

/* One that is asked for and no container's has no init: of all its processes the iterator takes
 * those that were started from outside. */
static void insert(struct scan *s, int dir, const char *path, uint64_t id, bool container)
{
	struct nt_cgroup value = {.flags = NT_CGROUP_SCANNED | (container ? 0 : NT_CGROUP_ASKED)};
	int map = bpf_map__fd(s->skel->maps.nt_cgroups);
	struct stat st;

	if (container)
		value.init_pid = (uint32_t)find_init(dir);
	fault__gap(5);
	if (map__update(map, &id, &value, BPF_NOEXIST) < 0) {
		if (errno != EEXIST)
			log_warn("%s is not captured: %s", path, strerror(errno));
		return;
	}
	fault__gap(5);
	/* Removed before the insertion: no event will take the entry away. */
	if (fstatat(dir, "cgroup.procs", &st, 0) < 0) {
		map__delete(map, &id);
		return;
	}
	if (container && !value.init_pid)
		look_again(s, dir, id);
	s->cgroups++;
	fault__gap(5);
	announce(s, path, id);
}

static void look_at(void *ctx, int dir, const char *path)
{
	struct scan *s = ctx;
	bool container = names__container(path);
	struct stat st;

	if ((!container && !names__asked(path, s->opts->cgroups, s->opts->n_cgroups)) ||
	    fstat(dir, &st) < 0)
		return;
	if (s->found)
		s->found(s->ctx, path, find_init(dir));
	else
		insert(s, dir, path, st.st_ino, container);
}

static int run_step(struct capture_bpf *skel, struct nt_scan *scan, enum nt_scan_step step,
		    uint32_t *ret_found)
{
	int map = bpf_map__fd(skel->maps.nt_scan), r;
	struct nt_scan result;
	uint32_t zero = 0;

	scan->step = step;
	r = map__update(map, &zero, scan, BPF_ANY);
	if (r == 0)
		r = programs__iterate(skel->progs.nt_scan_files);
	if (r == 0 && map__lookup(map, &zero, &result) == 0)
		*ret_found = result.found;
	return r;
}

/* The three steps must all run: a stream whose reader is not decided is touched by no tap. */
static int run_steps(struct capture_bpf *skel, struct nt_scan *scan, uint32_t *ret_found)
{
	int r = 0;

	for (uint32_t step = NT_SCAN_FILES; step <= NT_SCAN_FINISH; step++) {
		uint32_t found = 0;
		int step_r;

		fault__gap(300);
		step_r = run_step(skel, scan, step, &found);
		if (step_r < 0)
			r = step_r;
		else if (step == NT_SCAN_FILES)
			*ret_found = found;
	}
	return r;
}

int scan__holders(struct capture_bpf *skel, uint32_t *ret_found)
{
	struct nt_scan scan = {};

	return run_step(skel, &scan, NT_SCAN_HOLDERS, ret_found);
}

int scan__containers(struct capture_bpf *skel, const struct capture_opts *opts, int cgroup_root,
		     uint64_t pos, const struct record_ops *ops, void *ctx)
{
	struct scan s = {.skel = skel, .opts = opts, .pos = pos, .ops = ops, .ctx = ctx};
	struct nt_scan scan = {};
	uint32_t found = 0;
	int r;

	fault__gap(300);
	r = cgroup_tree__walk(cgroup_root, look_at, &s);
	if (r < 0)
		return r;
	r = run_steps(skel, &scan, &found);
	log_debug("scan: %u cgroups, %u streams", s.cgroups, found);
	return r;
}

int scan__inits(int cgroup_root, void (*found)(void *ctx, const char *path, pid_t init), void *ctx)
{
	const struct capture_opts none = {};
	struct scan s = {.opts = &none, .found = found, .ctx = ctx};

	return cgroup_tree__walk(cgroup_root, look_at, &s);
}

int scan__process(struct capture_bpf *skel, pid_t pid, uint64_t cgroup_id, uint32_t *ret_found)
{
	struct nt_scan scan = {
		.cgroup_id = cgroup_id, .pid = (uint32_t)pid, .origin = NT_ORIGIN_USER};

	return run_steps(skel, &scan, ret_found);
}
