/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory of a BPF file system holds nothing but maps, programs and links, so what is to be
 * known of a run is the value of a map. It is written last, and looked at first: all that is not
 * part of a complete generation was left by a notail that was killed meanwhile, and goes.
 *
 * The lock is one of the directory itself (flock), which the kernel gives back when its holder is
 * gone, however it went.
 */
#include "capture/pins.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "capture/digest.h"
#include "capture/holder.h"
#include "capture/proc.h"
#include "capture/unpin.h"

#define MAGIC 0x6e6f7461696c2e31ull
#define RUN "run"
#define STATE "state"
#define MAPS "maps"
#define LOCK_TRIES 8
#define NAME_LEN 96

struct pins {
	char *dir;
	int fd; /* of dir, locked */
	void *state;
	size_t state_size;
};

typedef char path_t[512];

static void layout_path(const struct pins *p, path_t path)
{
	snprintf(path, sizeof(path_t), "%s/v%d", p->dir, NT_LAYOUT);
}

/* generation 0: what they share. */
static void part_path(const struct pins *p, uint64_t generation, path_t path)
{
	if (generation)
		snprintf(path, sizeof(path_t), "%s/v%d/g%" PRIu64, p->dir, NT_LAYOUT, generation);
	else
		snprintf(path, sizeof(path_t), "%s/v%d/" MAPS, p->dir, NT_LAYOUT);
}

/* A name with a dot in it is the kernel's own there. */
static void pin_path(const char *dir, const char *name, path_t path)
{
	int len = snprintf(path, sizeof(path_t), "%s/", dir);

	snprintf(path + len, sizeof(path_t) - (size_t)len, "%s", name);
	for (char *c = path + len; *c; c++)
		if (*c == '.')
			*c = '_';
}

static void parent_of(const char *dir, path_t path)
{
	const char *slash = strrchr(dir, '/');

	snprintf(path, sizeof(path_t), "%.*s", slash > dir ? (int)(slash - dir) : 1, dir);
}

/*
 * A container may have the host's, or one of its own that ends with it. Where that is to be had is
 * known of the default's; another was asked for, by somebody who has looked.
 */
static int check_parent(const char *parent, bool asked, char *ret_why, size_t size)
{
	path_t hosts;
	struct statfs fs;
	struct stat here, there;

	if (statfs(parent, &fs) < 0 || fs.f_type != BPF_FS_MAGIC) {
		snprintf(ret_why, size,
			 "%s is on no BPF file system (mount -t bpf bpf /sys/fs/bpf; in a "
			 "container, "
			 "bind-mount the host's)",
			 parent);
		return -ENOTSUP;
	}
	if (asked)
		return 0;
	snprintf(hosts, sizeof(hosts), "/proc/1/root%.400s", parent);
	/* Who may not look is taken at its word. */
	if (stat(parent, &here) < 0 || stat(hosts, &there) < 0 || here.st_dev == there.st_dev)
		return 0;
	snprintf(ret_why, size, "%s is not the host's BPF file system: bind-mount that one",
		 parent);
	return -EXDEV;
}

int pins__check(const char *dir, char *ret_why, size_t size)
{
	path_t parent;
	int r;

	if (*dir != '/' || strlen(dir) > 200) {
		snprintf(ret_why, size, "%s is no absolute path of up to 200 characters", dir);
		return -EINVAL;
	}
	parent_of(dir, parent);
	r = check_parent(parent, strcmp(dir, CAPTURE_PINS) != 0, ret_why, size);
	if (r == 0 && access(access(dir, F_OK) < 0 ? parent : dir, W_OK) < 0) {
		r = -errno;
		snprintf(ret_why, size, "%s cannot be written to: %s", dir, strerror(-r));
	}
	return r;
}

/* Locked, and still the directory of that name: unpin removes it. */
static int lock(const char *dir, int *ret_fd)
{
	struct stat here, there;

	for (int i = 0; i < LOCK_TRIES; i++) {
		_close_ int fd = -1;

		if (mkdir(dir, 0700) < 0 && errno != EEXIST)
			return -errno;
		fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0)
			return -errno;
		if (flock(fd, LOCK_EX | LOCK_NB) < 0)
			return errno == EWOULDBLOCK ? -EBUSY : -errno;
		if (fstat(fd, &here) == 0 && stat(dir, &there) == 0 &&
		    here.st_ino == there.st_ino) {
			*ret_fd = TAKE_FD(fd);
			return 0;
		}
	}
	return -EAGAIN;
}

static int new_pins(struct pins **ret, const char *dir, char *ret_why, size_t size)
{
	struct pins *p = calloc(1, sizeof(*p));
	int r = -ENOMEM;

	if (p)
		p->dir = strdup(dir);
	if (p && p->dir) {
		p->fd = -1;
		r = lock(dir, &p->fd);
	}
	if (r == -EBUSY)
		holder__say(dir, ret_why, size);
	else if (r < 0)
		snprintf(ret_why, size, "%s cannot be used: %s", dir, strerror(-r));
	if (r < 0)
		pins__free(p);
	else
		*ret = p;
	return r;
}

int pins__new(struct pins **ret, const char *dir, char *ret_why, size_t size)
{
	int r = pins__check(dir, ret_why, size);

	return r < 0 ? r : new_pins(ret, dir, ret_why, size);
}

void pins__free(struct pins *p)
{
	if (!p)
		return;
	if (p->state)
		munmap(p->state, p->state_size);
	close_p(&p->fd);
	free(p->dir);
	free(p);
}

/* ---- removal ---- */

struct removed {
	unsigned maps, links;
};

/* By what its descriptor is called. */
static void count_pin(const char *path, struct removed *count)
{
	_close_ int fd = bpf_obj_get(path);
	char self[64], link[64] = "";

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (fd >= 0 && readlink(self, link, sizeof(link) - 1) > 0 && strstr(link, "bpf-map"))
		count->maps++;
	else
		count->links++;
}

/* A link that nobody else holds is detached by this. `count` may be NULL. */
static void remove_tree(const char *path, struct removed *count)
{
	_closedir_ DIR *dir = opendir(path);
	const struct dirent *d;

	while (dir && (d = readdir(dir))) {
		path_t at;

		if (*d->d_name == '.')
			continue;
		snprintf(at, sizeof(at), "%.250s/%.250s", path, d->d_name);
		if (d->d_type == DT_DIR) {
			remove_tree(at, count);
			continue;
		}
		if (count)
			count_pin(at, count);
		unlink(at);
	}
	rmdir(path);
}

/* v<LAYOUT> or old<TIME>: there may be others' in the directory. */
static bool is_ours(const char *name)
{
	size_t len = *name == 'v' ? 1 : !strncmp(name, "old", 3) ? 3 : 0;

	return len && name[len] && !name[len + strspn(name + len, "0123456789")];
}

static void remove_ours(const char *path, struct removed *count)
{
	_closedir_ DIR *dir = opendir(path);
	const struct dirent *d;

	while (dir && (d = readdir(dir))) {
		path_t at;

		snprintf(at, sizeof(at), "%.250s/%.250s", path, d->d_name);
		if (is_ours(d->d_name))
			remove_tree(at, count);
	}
	rmdir(path);
}

void pins__remove_generation(struct pins *p, uint64_t generation)
{
	path_t path;

	part_path(p, generation, path);
	remove_tree(path, NULL);
}

void pins__remove_all(struct pins *p)
{
	remove_ours(p->dir, NULL);
}

int pins__bury(struct pins *p)
{
	path_t from, to;

	layout_path(p, from);
	snprintf(to, sizeof(to), "%s/old%" PRIu64, p->dir, clock__boot_ns());
	return rename(from, to) < 0 ? -errno : 0;
}

/* What a ring has that nobody read. Its positions are on its first two pages. */
static uint64_t unread_bytes(const char *path)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	_close_ int fd = bpf_obj_get(path);
	uint64_t *consumer, *producer, bytes = 0;

	if (fd < 0)
		return 0;
	consumer = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, 0);
	producer = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, (off_t)page);
	if (consumer != MAP_FAILED && producer != MAP_FAILED)
		bytes = *producer - *consumer;
	if (consumer != MAP_FAILED)
		munmap(consumer, page);
	if (producer != MAP_FAILED)
		munmap(producer, page);
	return bytes;
}

unsigned pins__drop_old(struct pins *p, uint64_t *ret_bytes)
{
	_closedir_ DIR *dir = opendir(p->dir);
	const struct dirent *d;
	char mine[NAME_LEN];
	unsigned n = 0;

	*ret_bytes = 0;
	snprintf(mine, sizeof(mine), "v%d", NT_LAYOUT);
	while (dir && (d = readdir(dir))) {
		path_t path, ring;

		if (!is_ours(d->d_name) || !strcmp(d->d_name, mine))
			continue;
		snprintf(path, sizeof(path), "%s/%.64s", p->dir, d->d_name);
		snprintf(ring, sizeof(ring), "%s/%.64s/" MAPS "/nt_ring", p->dir, d->d_name);
		*ret_bytes += unread_bytes(ring);
		remove_tree(path, NULL);
		n++;
	}
	return n;
}

/* ---- what is pinned ---- */

static int open_run(const char *dir, struct pinned_run *ret)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info), zero = 0;
	_close_ int fd = -1;
	path_t path;

	pin_path(dir, RUN, path);
	fd = bpf_obj_get(path);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return -errno;
	if (info.type != BPF_MAP_TYPE_ARRAY || info.value_size != sizeof(*ret) ||
	    bpf_map_lookup_elem(fd, &zero, ret) < 0 || ret->magic != MAGIC || !ret->complete)
		return -EINVAL;
	ret->why[sizeof(ret->why) - 1] = '\0';
	return 0;
}

/* The word that says which generation works, of the pinned .bss. */
static int read_charge(struct pins *p, uint64_t *ret)
{
	path_t dir, path;
	size_t at = offsetof(struct capture_bpf__bss, nt_in_charge);
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);
	_close_ int fd = -1;
	uint8_t *bss;

	part_path(p, 0, dir);
	pin_path(dir, "capture_.bss", path);
	fd = bpf_obj_get(path);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return -errno;
	if (info.value_size < at + sizeof(*ret))
		return -EINVAL;
	bss = mmap(NULL, info.value_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (bss == MAP_FAILED)
		return -errno;
	/* Who was to take over never did: those that work now, work on. */
	*ret = *(volatile uint64_t *)(bss + at) & NT_GENERATION_MASK;
	*(volatile uint64_t *)(bss + at) = *ret;
	munmap(bss, info.value_size);
	return 0;
}

static void remove_others(struct pins *p, uint64_t generation)
{
	_closedir_ DIR *dir = NULL;
	char mine[NAME_LEN];
	const struct dirent *d;
	path_t path;

	layout_path(p, path);
	snprintf(mine, sizeof(mine), "g%" PRIu64, generation);
	dir = opendir(path);
	while (dir && (d = readdir(dir))) {
		path_t at;

		if (*d->d_name != 'g' || !strcmp(d->d_name, mine))
			continue;
		snprintf(at, sizeof(at), "%s/v%d/%.64s", p->dir, NT_LAYOUT, d->d_name);
		log_warn("%s: what a notail left that was killed is removed", at);
		remove_tree(at, NULL);
	}
}

int pins__find(struct pins *p, struct pinned_run *ret)
{
	struct pinned_run run;
	uint64_t generation = 0;
	path_t path;
	int r;

	layout_path(p, path);
	if (access(path, F_OK) < 0)
		return -ENOENT;
	r = read_charge(p, &generation);
	if (r == 0) {
		part_path(p, generation, path);
		r = open_run(path, &run);
	}
	if (r == 0 && (run.generation != generation || !generation))
		r = -EINVAL;
	if (r < 0) {
		layout_path(p, path);
		log_warn("%s is not complete: what a notail left that was killed is removed", path);
		remove_tree(path, NULL);
		return -ENOENT;
	}
	remove_others(p, generation);
	*ret = run;
	return 0;
}

/* Not for both generations, while there are two. */
static bool is_own(const struct bpf_map *map)
{
	static const char *const names[] = {"nt_entries", "nt_tails",  "nt_paths",
					    "nt_scratch", "nt_traces", "nt_copies"};
	const char *name = bpf_map__name(map);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(name, names[i]))
			return true;
	return strstr(name, ".rodata") != NULL;
}

static bool is_same(const struct bpf_map *map, int fd)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) == 0 && info.type == bpf_map__type(map) &&
	       info.key_size == bpf_map__key_size(map) &&
	       info.value_size == bpf_map__value_size(map) &&
	       info.max_entries == bpf_map__max_entries(map);
}

int pins__reuse(struct pins *p, struct capture_bpf *skel, uint64_t generation, bool own)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, skel->obj)
	{
		_close_ int fd = -1;
		path_t dir, path;
		int r;

		if (!bpf_map__autocreate(map) || (is_own(map) && !own))
			continue;
		part_path(p, is_own(map) ? generation : 0, dir);
		pin_path(dir, bpf_map__name(map), path);
		fd = bpf_obj_get(path);
		if (fd < 0 && errno == ENOENT && !own)
			continue; /* the other generation did without */
		if (fd < 0)
			return -errno;
		if (!is_same(map, fd)) {
			log_debug("%s is another than this notail's", path);
			return -EINVAL;
		}
		r = bpf_map__reuse_fd(map, fd);
		if (r < 0)
			return r;
	}
	return 0;
}

static int program_of(int link_fd)
{
	struct bpf_link_info info = {};
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(link_fd, &info, &len) < 0)
		return -1;
	return bpf_prog_get_fd_by_id(info.prog_id);
}

int pins__open_links(struct pins *p, struct capture_bpf *skel, uint64_t generation, int **ret_progs)
{
	int n = skel->skeleton->prog_cnt, opened = 0;
	int *progs = calloc((size_t)n, sizeof(*progs));
	path_t dir, path;

	if (!progs)
		return -ENOMEM;
	part_path(p, generation, dir);
	for (int i = 0; i < n; i++) {
		const struct bpf_prog_skeleton *s = &skel->skeleton->progs[i];

		progs[i] = -1;
		pin_path(dir, bpf_program__name(*s->prog), path);
		if (access(path, F_OK) < 0)
			continue;
		*s->link = bpf_link__open(path);
		if (!*s->link)
			continue;
		progs[i] = program_of(bpf_link__fd(*s->link));
		opened++;
	}
	*ret_progs = progs;
	return opened ? 0 : -ENOENT;
}

static int make_dirs(struct pins *p, uint64_t generation)
{
	path_t path;

	layout_path(p, path);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	part_path(p, 0, path);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	part_path(p, generation, path);
	return mkdir(path, 0700) < 0 ? -errno : 0;
}

static int pin_maps(struct pins *p, struct capture_bpf *skel, uint64_t generation)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, skel->obj)
	{
		path_t dir, path;

		if (bpf_map__fd(map) < 0 || !bpf_map__autocreate(map))
			continue;
		part_path(p, is_own(map) ? generation : 0, dir);
		pin_path(dir, bpf_map__name(map), path);
		if (bpf_obj_pin(bpf_map__fd(map), path) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

static int pin_links(struct pins *p, struct capture_bpf *skel, uint64_t generation)
{
	path_t dir, path;

	part_path(p, generation, dir);
	for (int i = 0; i < skel->skeleton->prog_cnt; i++) {
		const struct bpf_prog_skeleton *s = &skel->skeleton->progs[i];

		if (!*s->link)
			continue;
		pin_path(dir, bpf_program__name(*s->prog), path);
		if (bpf_obj_pin(bpf_link__fd(*s->link), path) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

/* As complete, in the map. */
static int write_run(int fd, const struct pinned_run *run)
{
	struct pinned_run complete = *run;
	uint32_t zero = 0;

	complete.magic = MAGIC;
	complete.complete = 1;
	return bpf_map_update_elem(fd, &zero, &complete, BPF_ANY) < 0 ? -errno : 0;
}

static int pin_run(struct pins *p, const struct pinned_run *run)
{
	_close_ int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "nt_run", sizeof(uint32_t),
					sizeof(*run), 1, NULL);
	path_t dir, path;
	int r = fd < 0 ? -errno : write_run(fd, run);

	part_path(p, run->generation, dir);
	pin_path(dir, RUN, path);
	return r == 0 && bpf_obj_pin(fd, path) < 0 ? -errno : r;
}

int pins__pin(struct pins *p, struct capture_bpf *skel, const struct pinned_run *run)
{
	path_t path;
	int r = make_dirs(p, run->generation);

	if (r == 0)
		r = pin_maps(p, skel, run->generation);
	if (r == 0)
		r = pin_links(p, skel, run->generation);
	if (r == 0)
		r = pin_run(p, run);
	if (r == 0)
		return 0;
	if (run->generation == 1)
		layout_path(p, path);
	else
		part_path(p, run->generation, path);
	remove_tree(path, NULL);
	return r;
}

int pins__pin_writers(struct pins *p, struct capture_bpf *skel, const struct pinned_run *run)
{
	_close_ int fd = -1;
	path_t dir, path;
	int r = pin_links(p, skel, run->generation);

	if (r < 0)
		return r;
	part_path(p, run->generation, dir);
	pin_path(dir, RUN, path);
	fd = bpf_obj_get(path);
	return fd < 0 ? -errno : write_run(fd, run);
}

/* ---- memory ---- */

static int open_state(const char *path, size_t size)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);
	_close_ int fd = bpf_obj_get(path);

	if (fd < 0)
		return -errno;
	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return -errno;
	if (info.type != BPF_MAP_TYPE_ARRAY || info.value_size != size ||
	    !(info.map_flags & BPF_F_MMAPABLE)) {
		log_warn("%s has another size than this notail's: it begins anew", path);
		unlink(path);
		return -ENOENT;
	}
	return TAKE_FD(fd);
}

static int make_state(const char *path, size_t size)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	_close_ int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "nt_state", sizeof(uint32_t),
					(uint32_t)size, 1, &opts);

	if (fd < 0 || bpf_obj_pin(fd, path) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int pins__state(struct pins *p, size_t bytes, void **ret, size_t *ret_size, bool *ret_adopted)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = (bytes + page - 1) & ~(page - 1);
	path_t dir, path;
	bool adopted = true;
	_close_ int fd = -1;
	void *memory;

	layout_path(p, dir);
	pin_path(dir, STATE, path);
	fd = open_state(path, size);
	if (fd == -ENOENT) {
		adopted = false;
		fd = make_state(path, size);
	}
	if (fd < 0)
		return fd;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return -errno;
	p->state = memory;
	p->state_size = size;
	*ret = memory;
	*ret_size = size;
	*ret_adopted = adopted;
	return 0;
}

/* ---- identity ---- */

static uint64_t add_variables(uint64_t digest, const struct btf *btf)
{
	int id = btf__find_by_name_kind(btf, ".bss", BTF_KIND_DATASEC);
	const struct btf_type *section = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;
	const struct btf_var_secinfo *var = section ? btf_var_secinfos(section) : NULL;

	for (int i = 0; section && i < btf_vlen(section); i++, var++) {
		const struct btf_type *type = btf__type_by_id(btf, var->type);

		digest = digest__text(digest, btf__name_by_offset(btf, type->name_off));
		digest = digest__number(digest, var->offset);
		digest = digest__number(digest, var->size);
	}
	return digest;
}

uint64_t pins__layout(const struct capture_bpf *skel)
{
	uint64_t digest = digest__number(DIGEST_NONE, NT_LAYOUT);
	struct bpf_map *map;

	bpf_object__for_each_map(map, skel->obj)
	{
		if (is_own(map))
			continue;
		digest = digest__text(digest, bpf_map__name(map));
		digest = digest__number(digest, bpf_map__type(map));
		digest = digest__number(digest, bpf_map__key_size(map));
		digest = digest__number(digest, bpf_map__value_size(map));
	}
	return add_variables(digest, bpf_object__btf(skel->obj));
}

uint64_t pins__identity(const struct capture_opts *opts)
{
	uint64_t digest = programs__digest(DIGEST_NONE);

	digest = digest__number(digest, opts->hooks);
	digest = digest__number(digest, opts->tap);
	digest = digest__number(digest, opts->ring_bytes);
	digest = digest__number(digest, opts->containers);
	digest = digest__number(digest, opts->max_streams);
	digest = digest__number(digest, opts->exec_sessions);
	digest = digest__number(digest, opts->attribution);
	digest = digest__text(digest, opts->traces);
	digest = digest__number(digest, opts->rate_limit);
	digest = digest__number(digest, opts->rate_burst);
	digest = digest__number(digest, opts->second_copy);
	for (size_t i = 0; i < opts->n_cgroups; i++)
		digest = digest__text(digest, opts->cgroups[i]);
	return digest;
}

/* ---- notail unpin ---- */

int pins__unpin(const char *dir, bool force, FILE *out, char *ret_why, size_t size)
{
	struct removed n = {};
	struct pins *p = NULL;
	struct stat st;
	int r;

	if (stat(dir, &st) < 0) {
		if (errno == ENOENT) {
			fprintf(out, "%s: nothing is pinned\n", dir);
			return 0;
		}
		r = -errno;
		snprintf(ret_why, size, "%s: %s", dir, strerror(-r));
		return r;
	}
	r = new_pins(&p, dir, ret_why, size);
	if (r < 0 && !(r == -EBUSY && force))
		return r;
	remove_ours(dir, &n);
	pins__free(p);
	fprintf(out, "%s: %u maps and %u links removed\n", dir, n.maps, n.links);
	return 0;
}
