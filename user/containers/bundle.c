/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A place is a directory in which every container of one runtime has one of its own: the known ones
 * first, then those that were found on the way. What runs says where its runtime's are: a shim of
 * containerd works in its sandbox's bundle, conmon is told its own. The processes are asked when it
 * begins, and again when a bundle is in no place that is known: SCANS times in a row, and then
 * every SCAN_NS.
 *
 * podman's bundles and its storage lie on a disk, written a moment before they are read here.
 *
 * A bundle that contradicts its container's cgroup, which the kubelet made, is not believed, and
 * one that is not root's says nothing of pods: whoever has processes here may call one conmon.
 *
 * Every path is resolved below the host's root, with whatever symbolic links there are: seen from a
 * container, /var/run is another one's. The root is opened once, with the rights of the start.
 */
#include "containers/bundle.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "containers/bundle_json.h"
#include "containers/cgroup.h"
#include "io/loop.h"

#define MAX_CONFIG (4u << 20)
#define MAX_PLACES 64
#define MAX_PATH 1024
#define SCAN_NS (2 * NS_PER_SEC)
#define SCANS 8
#define GROUP 64
#define TASKS "io.containerd.runtime.v2.task"
#define OVERLAY "storage/overlay-containers"

const char *const BUNDLES_RESULT_NAMES[BUNDLES_RESULTS] = {
	[BUNDLES_READ] = "read",
	[BUNDLES_MISSING] = "missing",
	[BUNDLES_BROKEN] = "broken",
};

struct place {
	char *directory; /* below the root, no slash at either end */
	bool userdata;	 /* DIRECTORY/ID/userdata/config.json */
};

static const struct place known[] = {
	{"run/containerd/" TASKS "/k8s.io", false},
	{"run/containers/" OVERLAY, true},
	{"var/lib/containers/" OVERLAY, true},
	{"run/k3s/containerd/" TASKS "/k8s.io", false}, /* rke2's too */
	{"var/snap/microk8s/common/run/containerd/" TASKS "/k8s.io", false},
	{"run/k0s/containerd/" TASKS "/k8s.io", false},
	{"run/containerd/" TASKS "/default", false},
};

struct bundles {
	struct loop *loop;
	struct registry *registry;
	struct pods *pods;
	struct loop_watch *watch;
	struct bundles_state state;
	struct place places[MAX_PLACES];
	size_t n_places;
	uint64_t scans_ns; /* when all SCANS are to be had again */
	int root;
	bool guessed_root; /* the host's was not to be seen */
	bool scanned;	   /* since the containers that are being looked up were asked for */
	bool none;
	bool said_broken;
};

static int open_in(int root, const char *path, uint64_t flags)
{
	const struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

/* A path below the root, never out of it. -errno. */
static int open_below(const struct bundles *b, const char *path, uint64_t flags)
{
	return open_in(b->root, path, flags | O_NONBLOCK | O_NOCTTY);
}

/* 0, -EFBIG, -EINVAL (no regular file) or another -errno. `ret_owner` may be NULL. */
static int read_config(const struct bundles *b, const char *path, struct buf *to, uid_t *ret_owner)
{
	_close_ int fd = open_below(b, path, O_RDONLY | O_NOFOLLOW);
	struct stat st;
	ssize_t n;
	int err;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (ret_owner)
		*ret_owner = st.st_uid;
	to->len = 0;
	err = buf__reserve(to, (size_t)MIN(st.st_size, MAX_CONFIG) + 1);
	do {
		if (!err)
			err = buf__reserve(to, 1);
		if (err)
			return err;
		n = read(fd, to->data + to->len, to->size - to->len);
		if (n < 0)
			return -errno;
		to->len += (size_t)n;
		if (to->len > MAX_CONFIG)
			return -EFBIG;
	} while (n);
	return 0;
}

static int read_bundle(const struct bundles *b, const struct place *p, const char *id,
		       struct buf *to, uid_t *ret_owner)
{
	char path[MAX_PATH];
	int n = snprintf(path, sizeof(path), "%s/%s/%sconfig.json", p->directory, id,
			 p->userdata ? "userdata/" : "");

	return n < (int)sizeof(path) ? read_config(b, path, to, ret_owner) : -ENAMETOOLONG;
}

static bool knows(const struct bundles *b, const char *directory, bool userdata)
{
	for (size_t i = 0; i < b->n_places; i++)
		if (b->places[i].userdata == userdata && !strcmp(b->places[i].directory, directory))
			return true;
	return false;
}

/* Without the slashes at both ends; more than there is room for are not looked at. -ENOMEM. */
static int add_place(struct bundles *b, const char *directory, bool userdata)
{
	_free_ char *copy = NULL;
	size_t len;

	directory += strspn(directory, "/");
	copy = strdup(directory);
	if (!copy)
		return -ENOMEM;
	for (len = strlen(copy); len && copy[len - 1] == '/'; len--)
		copy[len - 1] = '\0';
	if (!*copy || b->n_places == MAX_PLACES || knows(b, copy, userdata))
		return 0;
	b->places[b->n_places++] = (struct place){TAKE_PTR(copy), userdata};
	return 0;
}

/* The namespaces of a containerd. */
static void learn_namespaces(struct bundles *b, const char *tasks)
{
	int fd = open_below(b, tasks, O_RDONLY | O_DIRECTORY);
	char path[MAX_PATH];
	struct dirent *e;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d && fd >= 0)
		close(fd);
	while (d && (e = readdir(d))) {
		if (*e->d_name == '.' ||
		    snprintf(path, sizeof(path), "%s/%s", tasks, e->d_name) >= (int)sizeof(path))
			continue;
		add_place(b, path, false);
	}
	if (d)
		closedir(d);
}

/* Takes the last component off. False: there is none. */
static bool cut(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash || slash == path)
		return false;
	*slash = '\0';
	return true;
}

static bool has_directory(int root, const char *path)
{
	_close_ int fd = open_in(root, path, O_PATH | O_DIRECTORY);

	return fd >= 0;
}

/* A shim is the host's, and so is its root: where the init process' may not be looked at, and ours
 * does not have the shim's bundle. */
static void learn_root(struct bundles *b, int pid, const char *bundle)
{
	_close_ int fd = -1;
	char path[64];

	if (!b->guessed_root || has_directory(b->root, bundle))
		return;
	snprintf(path, sizeof(path), "/proc/%d/root", pid);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || !has_directory(fd, bundle))
		return;
	log_debug("bundles are looked for below the root of process %d, a container's shim", pid);
	close(b->root);
	b->root = TAKE_FD(fd);
	b->guessed_root = false;
}

static void learn_shim(struct bundles *b, int pid)
{
	char link[64], path[MAX_PATH];
	ssize_t n;

	snprintf(link, sizeof(link), "proc/%d/cwd", pid);
	n = readlinkat(b->root, link, path, sizeof(path) - 1);
	if (n <= 0)
		return;
	path[n] = '\0';
	if (*path != '/')
		return;
	learn_root(b, pid, path);
	if (cut(path))
		add_place(b, path, false);
}

/* conmon -b /…/ID/userdata. */
static void learn_conmon(struct bundles *b, int pid)
{
	_buf_ struct buf text = {0};
	char path[64];
	char *at, *end;

	snprintf(path, sizeof(path), "proc/%d/cmdline", pid);
	if (read_config(b, path, &text, NULL) != 0 || buf__append(&text, "", 1) != 0)
		return;
	end = text.data + text.len - 1;
	for (at = text.data; at < end; at += strlen(at) + 1) {
		if (strcmp(at, "-b") != 0 || at + 3 >= end)
			continue;
		at += 3;
		if (*at == '/' && strlen(at) < MAX_PATH && cut(at) && cut(at))
			add_place(b, at, true);
		return;
	}
}

/* One that calls itself a runtime's, and shows directories of its own. */
static bool in_container(const struct bundles *b, int pid)
{
	struct cgroup_identity identity;
	_buf_ struct buf text = {0};
	char path[64], *line, *rest;

	snprintf(path, sizeof(path), "proc/%d/cgroup", pid);
	if (read_config(b, path, &text, NULL) != 0 || buf__append(&text, "", 1) != 0)
		return true;
	/* HIERARCHY:CONTROLLERS:PATH */
	for (line = strtok_r(text.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		line = strchr(line, '/');
		if (line && cgroup__identify(line, strlen(line), &identity) &&
		    *identity.container_id)
			return true;
	}
	return false;
}

static void learn_process(struct bundles *b, int pid)
{
	_buf_ struct buf comm = {0};
	bool shim, conmon;
	char path[64];

	snprintf(path, sizeof(path), "proc/%d/comm", pid);
	if (read_config(b, path, &comm, NULL) != 0)
		return;
	shim = comm.len > 15 && !memcmp(comm.data, "containerd-shim", 15);
	conmon = comm.len == 7 && !memcmp(comm.data, "conmon\n", 7);
	if ((!shim && !conmon) || in_container(b, pid))
		return;
	if (shim)
		learn_shim(b, pid);
	else
		learn_conmon(b, pid);
}

/* What runs, and what of containerd is beside it. */
static void learn(struct bundles *b)
{
	int fd = open_below(b, "proc", O_RDONLY | O_DIRECTORY);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d && fd >= 0)
		close(fd);
	while (d && (e = readdir(d)))
		if (*e->d_name >= '1' && *e->d_name <= '9')
			learn_process(b, atoi(e->d_name));
	if (d)
		closedir(d);
	for (size_t i = 0, n = b->n_places; i < n; i++) {
		char path[MAX_PATH];

		snprintf(path, sizeof(path), "%s", b->places[i].directory);
		if (cut(path) && strlen(path) > strlen(TASKS) &&
		    !strcmp(path + strlen(path) - strlen(TASKS), TASKS))
			learn_namespaces(b, path);
	}
}

static bool is_trusted(uid_t owner)
{
	return owner == 0 || owner == geteuid();
}

/* The last place that had one is the likeliest to have the next. */
static const struct place *prefer(struct bundles *b, size_t i)
{
	const struct place p = b->places[i];

	memmove(b->places + 1, b->places, i * sizeof(p));
	b->places[0] = p;
	return b->places;
}

/* The place where it was; -ENOENT: nowhere. */
static int find(struct bundles *b, const char *id, size_t from, struct buf *to, uid_t *ret_owner,
		const struct place **ret)
{
	int err = -ENOENT;

	for (size_t i = from; i < b->n_places && err == -ENOENT; i++) {
		err = read_bundle(b, &b->places[i], id, to, ret_owner);
		if (err == -ENOTDIR || err == -EACCES || err == -ELOOP)
			err = -ENOENT;
		if (!err)
			*ret = is_trusted(*ret_owner) ? prefer(b, i) : &b->places[i];
	}
	return err;
}

static int find_anywhere(struct bundles *b, const char *id, struct buf *to, uid_t *ret_owner,
			 const struct place **ret)
{
	uint64_t now_ns = clock__boot_ns();
	size_t before = b->n_places;
	bool guessed = b->guessed_root;
	int err = find(b, id, 0, to, ret_owner, ret);

	if (err != -ENOENT || b->scanned || b->scans_ns > now_ns + (SCANS - 1) * SCAN_NS)
		return err;
	b->scans_ns = MAX(b->scans_ns, now_ns) + SCAN_NS;
	b->scanned = true;
	learn(b);
	return find(b, id, b->guessed_root == guessed ? before : 0, to, ret_owner, ret);
}

static bool is_id(const char *s)
{
	size_t len = strlen(s);

	return len && len <= CONTAINER_ID_LEN && *s != '.' && !strchr(s, '/');
}

/* It has what its sandbox's has, or nothing more than it had. */
static int add_sandbox(struct bundles *b, const struct place *p, const char *id, struct meta *m)
{
	_buf_ struct buf text = {0};
	int err = is_id(id) ? read_bundle(b, p, id, &text, NULL) : -EINVAL;

	if (!err)
		err = bundle_json__add_sandbox(text.data, text.len, m);
	return err == -ENOMEM ? err : 0;
}

/* podman's bundles have no names; its storage has. */
static int add_storage(struct bundles *b, const struct place *p, struct meta *m)
{
	const char *const files[][2] = {
		{p->directory, "containers.json"},
		{"run/containers/" OVERLAY, "volatile-containers.json"}, /* of podman run --rm */
	};
	int err = -ENOENT;

	for (size_t i = 0; i < ARRAY_SIZE(files) && err && err != -ENOMEM; i++) {
		_buf_ struct buf text = {0};
		char path[MAX_PATH];

		snprintf(path, sizeof(path), "%s/%s", files[i][0], files[i][1]);
		err = read_config(b, path, &text, NULL);
		if (!err)
			err = bundle_json__add_storage(text.data, text.len, m);
	}
	return err == -ENOMEM ? err : 0;
}

static void count_broken(struct bundles *b, const char *id, int err)
{
	b->state.results[BUNDLES_BROKEN]++;
	if (!b->said_broken)
		log_warn("the bundle of container %.12s %s%s; it is named by what else is known "
			 "(said once)",
			 id,
			 err == -EPERM ? "is of another pod than its cgroup" : "cannot be read: ",
			 err == -EPERM ? "" : strerror(-err));
	b->said_broken = true;
}

/* What its cgroup's path says stands for a bundle's that does not. -EPERM: it is another pod's. */
static int complete(struct bundles *b, struct meta *m)
{
	char uid[POD_UID_LEN + 1] = "";

	if (registry__pod_uid(b->registry, m->id, uid, sizeof(uid)) != 0 || !*uid)
		return 0;
	if (m->pod_uid)
		return strcmp(m->pod_uid, uid) ? -EPERM : 0;
	if (!meta__label(m, META_POD_NAME_LABEL))
		return 0;
	m->pod_uid = strdup(uid);
	return m->pod_uid ? meta__add_label(m, META_POD_UID_LABEL, uid) : -ENOMEM;
}

/* 0: *ret_kind and, of a container, *ret. */
static int look_up(struct bundles *b, const char *id, enum bundle_kind *ret_kind, struct meta **ret)
{
	_free_ char *sandbox = NULL;
	_buf_ struct buf text = {0};
	_meta_ struct meta *m = NULL;
	const struct place *place;
	enum bundle_by by = BUNDLE_BY_ANYBODY;
	uid_t owner;
	int err = find_anywhere(b, id, &text, &owner, &place);

	if (!err && is_trusted(owner))
		by = place->userdata ? BUNDLE_BY_CRIO : BUNDLE_BY_CONTAINERD;
	if (!err)
		err = bundle_json__read(text.data, text.len, id, by, ret_kind, &m, &sandbox);
	if (!err && sandbox)
		err = add_sandbox(b, place, sandbox, m);
	if (!err && m && !strcmp(m->engine, "podman")) {
		err = add_storage(b, place, m);
		*ret_kind = m->name ? BUNDLE_CONTAINER : BUNDLE_UNNAMED;
	}
	if (!err && m)
		err = complete(b, m);
	if (err)
		return err;
	*ret = TAKE_PTR(m);
	return 0;
}

static void serve(struct bundles *b, const char *id)
{
	char uid[POD_UID_LEN + 1] = "";
	enum bundle_kind kind = BUNDLE_UNNAMED;
	_meta_ struct meta *m = NULL;
	int err = b->none ? -ENOENT : look_up(b, id, &kind, &m);

	if (!err && kind == BUNDLE_CONTAINER) {
		b->state.results[BUNDLES_READ]++;
		log_debug("container %.12s: its bundle names %s", id, m->name ? m->name : "-");
		if (pods__container(b->pods, TAKE_PTR(m)) != 0)
			log_warn("no memory for a container's name");
		return;
	}
	if (!err && kind == BUNDLE_SANDBOX) {
		registry__never(b->registry, id);
		return;
	}
	if (err && err != -ENOENT)
		count_broken(b, id, err);
	else if (!b->none)
		b->state.results[BUNDLES_MISSING]++;
	log_debug("container %.12s: no bundle names it", id);
	registry__pod_uid(b->registry, id, uid, sizeof(uid));
	pods__unnamed(b->pods, id, *uid ? uid : NULL);
}

static void on_wanted(void *ctx, int fd, int what)
{
	char ids[GROUP][CONTAINER_ID_LEN + 1];
	struct bundles *b = ctx;
	const char *engine;
	size_t n;

	(void)fd;
	(void)what;
	/* One scan is enough for all that are there by now. */
	do {
		for (n = 0; n < GROUP; n++)
			if (!registry__next_wanted(b->registry, REGISTRY_BUNDLES, ids[n],
						   sizeof(ids[n]), &engine))
				break;
		b->scanned = false;
		for (size_t i = 0; i < n; i++)
			serve(b, ids[i]);
	} while (n == GROUP);
}

static int open_root(const struct bundles_opts *opts, bool *ret_guessed)
{
	const int flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
	int fd;

	if (opts->root) {
		fd = open(opts->root, flags);
		return fd < 0 ? -errno : fd;
	}
	fd = open("/proc/1/root", flags);
	if (fd < 0) {
		log_debug("/proc/1/root: %s: bundles are looked for below /", strerror(errno));
		fd = open("/", flags);
		*ret_guessed = true;
	}
	return fd < 0 ? -errno : fd;
}

static int add_places(struct bundles *b, const struct bundles_opts *opts)
{
	int err = 0;

	for (size_t i = 0; i < opts->n_directories && !err; i++) {
		err = add_place(b, opts->directories[i], false);
		if (!err)
			err = add_place(b, opts->directories[i], true);
	}
	for (size_t i = 0; i < ARRAY_SIZE(known) && !err; i++)
		err = add_place(b, known[i].directory, known[i].userdata);
	return err;
}

int bundles__new(struct bundles **ret, struct loop *loop, struct registry *registry,
		 struct pods *pods, const struct bundles_opts *opts)
{
	struct bundles *b = calloc(1, sizeof(*b));
	int err;

	if (!b)
		return -ENOMEM;
	b->loop = loop;
	b->registry = registry;
	b->pods = pods;
	b->none = opts->none;
	b->root = open_root(opts, &b->guessed_root);
	err = b->root < 0 ? b->root : add_places(b, opts);
	if (!err)
		err = loop__watch(loop, registry__wanted_fd(registry, REGISTRY_BUNDLES), LOOP_READ,
				  on_wanted, b, &b->watch);
	if (err) {
		bundles__free(b);
		return err;
	}
	if (!b->none)
		learn(b);
	registry__source(registry, REGISTRY_BUNDLES, true);
	*ret = b;
	return 0;
}

void bundles__free(struct bundles *b)
{
	if (!b)
		return;
	loop_watch__free(b->watch);
	for (size_t i = 0; i < b->n_places; i++)
		free(b->places[i].directory);
	if (b->root >= 0)
		close(b->root);
	free(b);
}

void bundles__state(const struct bundles *b, struct bundles_state *ret)
{
	*ret = b->state;
}
