/* SPDX-License-Identifier: Apache-2.0 */
/* Bundles below a root of our own, found on a real loop. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/util.h"
#include "containers/bundle.h"
#include "containers/kubernetes.h"
#include "io/loop.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define UID "ef09fbcd-9f55-44f1-a058-967fb35b0e91"
#define S63 "123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define TASKS "/io.containerd.runtime.v2.task/"
#define BUNDLE(name)                                                            \
	"{\"annotations\":{\"io.kubernetes.cri.container-type\":\"container\"," \
	"\"io.kubernetes.cri.container-name\":\"" name "\","                    \
	"\"io.kubernetes.cri.sandbox-namespace\":\"shop\","                     \
	"\"io.kubernetes.cri.sandbox-name\":\"web-0\","                         \
	"\"io.kubernetes.cri.sandbox-uid\":\"" UID "\"}}"

#define CRIO(name)                                                                            \
	"{\"annotations\":{\"io.kubernetes.cri-o.ContainerType\":\"container\","              \
	"\"io.kubernetes.container.name\":\"" name "\",\"io.kubernetes.pod.name\":\"web-0\"," \
	"\"io.kubernetes.pod.uid\":\"" UID "\"}}"

struct fixture {
	char root[32];
	struct loop *loop;
	struct loop_timer *timer;
	struct registry *registry;
	struct pods *pods;
	struct bundles *bundles;
	uint64_t deadline_ns;
	unsigned served; /* how many are to be */
};

static uint64_t served(struct fixture *f)
{
	struct bundles_state state;

	bundles__state(f->bundles, &state);
	return state.results[BUNDLES_READ] + state.results[BUNDLES_MISSING] +
	       state.results[BUNDLES_BROKEN];
}

static void on_timer(void *ctx)
{
	struct fixture *f = ctx;

	if (served(f) >= f->served || clock__boot_ns() > f->deadline_ns)
		loop__stop(f->loop);
	else
		loop_timer__set(f->timer, NS_PER_MS);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->root, "/tmp/notail-bundle-XXXXXX");
	assert_non_null(mkdtemp(f->root));
	assert_int_equal(registry__new(&f->registry), 0);
	assert_int_equal(pods__new(&f->pods, f->registry), 0);
	assert_int_equal(loop__new(&f->loop), 0);
	assert_int_equal(loop__timer(f->loop, on_timer, f, &f->timer), 0);
	*state = f;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
	(void)st;
	(void)flag;
	(void)at;
	return remove(path);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	bundles__free(f->bundles);
	pods__free(f->pods);
	loop_timer__free(f->timer);
	loop__free(f->loop);
	registry__free(f->registry);
	assert_int_equal(nftw(f->root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
	free(f);
	return 0;
}

static void make_directories(char *path)
{
	for (char *p = path + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
		*p = '/';
	}
}

static void put_file(struct fixture *f, const char *name, const char *text)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s%s", f->root, name);
	make_directories(path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void put(struct fixture *f, const char *directory, const char *id, const char *text)
{
	char name[512];

	snprintf(name, sizeof(name), "%s%s/config.json", directory, id);
	put_file(f, name, text);
}

static void put_shim(struct fixture *f, const char *pid, const char *works_in, const char *cgroup)
{
	char name[512];

	snprintf(name, sizeof(name), "/proc/%s/comm", pid);
	put_file(f, name, "containerd-shim\n");
	snprintf(name, sizeof(name), "/proc/%s/cgroup", pid);
	put_file(f, name, cgroup);
	snprintf(name, sizeof(name), "%s/proc/%s/cwd", f->root, pid);
	assert_int_equal(symlink(works_in, name), 0);
}

static void begin(struct fixture *f, const char *further)
{
	const char *const directories[] = {further};
	const struct bundles_opts opts = {
		.root = f->root,
		.directories = directories,
		.n_directories = further != NULL,
	};

	if (syscall(SYS_openat2, -1, NULL, NULL, 0) < 0 && errno == ENOSYS) { /* valgrind 3.19 */
		print_message("SKIP no openat2 here\n");
		skip();
	}
	assert_int_equal(bundles__new(&f->bundles, f->loop, f->registry, f->pods, &opts), 0);
}

static void ask(struct fixture *f, const char *path)
{
	f->served = (unsigned)served(f) + 1;
	assert_int_equal(registry__cgroup_new(f->registry, f->served, path, strlen(path)), 0);
	f->deadline_ns = clock__boot_ns() + 60 * NS_PER_SEC;
	loop_timer__set(f->timer, 0);
	assert_int_equal(loop__run(f->loop), 0);
	assert_int_equal(served(f), f->served);
}

static void expect(struct fixture *f, const char *name)
{
	_meta_ struct meta *m = NULL;

	assert_int_equal(registry__lookup(f->registry, f->served, &m),
			 name ? REGISTRY_KNOWN : REGISTRY_NEVER);
	if (name)
		assert_string_equal(m->name, name);
	else
		assert_null(m->name);
}

/* Each place, and the containers of each kind of cgroup. */
static void places(void **state)
{
	static const struct {
		const char *directory, *id, *cgroup;
	} rows[] = {
#define NTH(n) n S63
		{"/run/containerd" TASKS "k8s.io/", NTH("1"), "/kubepods/pod" UID "/" NTH("1")},
		{"/run/k3s/containerd" TASKS "k8s.io/", NTH("2"),
		 "/kubepods.slice/kubepods-podef09fbcd_9f55_44f1_a058_967fb35b0e91.slice/"
		 "cri-containerd-" NTH("2") ".scope"},
		{"/var/snap/microk8s/common/run/containerd" TASKS "k8s.io/", NTH("3"),
		 "/k8s.io/" NTH("3")},
		{"/run/containers/storage/overlay-containers/", NTH("4") "/userdata",
		 "/kubepods.slice/crio-" NTH("4") ".scope"},
		{"/run/containerd" TASKS "default/", NTH("5"), "/default/" NTH("5")},
		/* A namespace that somebody made. */
		{"/run/containerd" TASKS "other/", NTH("6"),
		 "/system.slice/nerdctl-" NTH("6") ".scope"},
		{"/further/", NTH("7"), "/kubepods/pod" UID "/" NTH("7")},
		{"/further/", NTH("8") "/userdata", "/kubepods/pod" UID "/" NTH("8")},
	};
	struct fixture *f = *state;

	begin(f, "/further/");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		put(f, rows[i].directory, rows[i].id,
		    strstr(rows[i].id, "/userdata") ? CRIO("web") : BUNDLE("web"));
		ask(f, rows[i].cgroup);
		expect(f, "web");
	}
}

/* A container's process may call itself what it likes. */
static void shims(void **state)
{
	struct fixture *f = *state;

	put_shim(f, "11", "/data/tasks/" ID, "1:cpu:/\n0::/system.slice/containerd.service\n");
	put_shim(f, "12", "/volume/false/" ID, "0::/kubepods/pod" UID "/" ID "\n");
	put(f, "/volume/false/", ID, BUNDLE("false"));
	begin(f, NULL);
	ask(f, "/kubepods/pod" UID "/" ID);
	expect(f, NULL);
	registry__cgroup_gone(f->registry, f->served);
	put(f, "/data/tasks/", ID, BUNDLE("web"));
	ask(f, "/kubepods/pod" UID "/" ID);
	expect(f, "web");
}

/* Many that have none are looked for once: the next is found where its shim says. */
static void many_at_once(void **state)
{
	struct fixture *f = *state;
	char path[128];

	begin(f, NULL);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(path, sizeof(path), "/kubepods/pod" UID "/f%02u%s", i, S63 + 2);
		assert_int_equal(registry__cgroup_new(f->registry, 1000 + i, path, strlen(path)),
				 0);
	}
	f->served = 100;
	f->deadline_ns = clock__boot_ns() + 60 * NS_PER_SEC;
	loop_timer__set(f->timer, 0);
	assert_int_equal(loop__run(f->loop), 0);
	assert_int_equal(served(f), 100);
	put_shim(f, "11", "/data/tasks/" ID, "0::/system.slice/containerd.service\n");
	put(f, "/data/tasks/", ID, BUNDLE("web"));
	ask(f, "/kubepods/pod" UID "/" ID);
	expect(f, "web");
}

static void missing(void **state)
{
	struct bundles_state s;
	struct fixture *f = *state;

	begin(f, NULL);
	ask(f, "/kubepods/pod" UID "/" ID);
	expect(f, NULL);
	bundles__state(f->bundles, &s);
	assert_int_equal(s.results[BUNDLES_MISSING], 1);
}

/* No JSON, more than there may be, no file. */
static void broken(void **state)
{
	char path[256], *large;
	struct bundles_state s;
	struct fixture *f = *state;

	begin(f, "/x");
	put(f, "/x/", NTH("1"), "{\"annotations\":");
	ask(f, "/kubepods/pod" UID "/" NTH("1"));
	expect(f, NULL);
	large = malloc((4u << 20) + 2);
	memset(large, ' ', (4u << 20) + 1);
	large[(4u << 20) + 1] = '\0';
	put(f, "/x/", NTH("2"), large);
	ask(f, "/kubepods/pod" UID "/" NTH("2"));
	expect(f, NULL);
	put(f, "/x/", NTH("3") "/config.json", "{}");
	ask(f, "/kubepods/pod" UID "/" NTH("3"));
	expect(f, NULL);
	snprintf(path, sizeof(path), "%s/x/" NTH("4") "/config.json", f->root);
	make_directories(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	ask(f, "/kubepods/pod" UID "/" NTH("4"));
	expect(f, NULL);
	bundles__state(f->bundles, &s);
	assert_int_equal(s.results[BUNDLES_BROKEN], 4);
	/* The others are read all the same. */
	put(f, "/x/", NTH("5"), BUNDLE("web"));
	ask(f, "/kubepods/pod" UID "/" NTH("5"));
	expect(f, "web");
	free(large);
}

/* The kubelet made the cgroup; whose annotations a bundle has is another question. */
static void contradiction(void **state)
{
	struct bundles_state s;
	struct fixture *f = *state;

	begin(f, "/x");
	put(f, "/x/", NTH("1"), BUNDLE("web"));
	ask(f, "/kubepods/pod11111111-9f55-44f1-a058-967fb35b0e91/" NTH("1"));
	expect(f, NULL);
	bundles__state(f->bundles, &s);
	assert_int_equal(s.results[BUNDLES_BROKEN], 1);
}

/* Who is not root has a directory, and a process that says it is a shim's. */
static void of_a_user(void **state)
{
	_meta_ struct meta *m = NULL;
	struct fixture *f = *state;
	char path[256];

	if (geteuid() != 0)
		skip();
	begin(f, "/x");
	put(f, "/x/", ID,
	    "{\"annotations\":{\"io.kubernetes.cri.container-type\":\"container\","
	    "\"nerdctl/name\":\"mine\",\"io.kubernetes.cri.sandbox-namespace\":\"shop\"}}");
	snprintf(path, sizeof(path), "%s/x/" ID "/config.json", f->root);
	assert_int_equal(chown(path, 1000, 1000), 0);
	ask(f, "/default/" ID);
	expect(f, "mine");
	assert_int_equal(registry__lookup(f->registry, f->served, &m), REGISTRY_KNOWN);
	assert_null(meta__label(m, META_POD_NAMESPACE_LABEL));
	assert_null(m->pod_uid);
}

/* Endless, and no time of this thread. */
static void devices(void **state)
{
	static const char *const names[] = {"zero", "tty", "full"};
	struct fixture *f = *state;
	struct stat st;
	char path[256];

	begin(f, "/x");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "/dev/%s", names[i]);
		if (stat(path, &st) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/x/%zu" S63 "/config.json", f->root, i);
		make_directories(path);
		if (mknod(path, S_IFCHR | 0600, st.st_rdev) != 0)
			skip();
		snprintf(path, sizeof(path), "/kubepods/pod" UID "/%zu" S63, i);
		ask(f, path);
		expect(f, NULL);
	}
}

/* A link is the host's: what is outside of its root is not to be seen. */
static void links(void **state)
{
	char from[256], to[256];
	struct fixture *f = *state;

	put(f, "/real/", NTH("1"), BUNDLE("inside"));
	snprintf(from, sizeof(from), "%s/linked", f->root);
	assert_int_equal(symlink("/real", from), 0);
	begin(f, "/linked");
	ask(f, "/kubepods/pod" UID "/" NTH("1"));
	expect(f, "inside");
	put(f, "/real/", NTH("2") "/other", BUNDLE("elsewhere"));
	snprintf(from, sizeof(from), "%s/real/" NTH("2") "/config.json", f->root);
	snprintf(to, sizeof(to), "%s/real/" NTH("2") "/other/config.json", f->root);
	assert_int_equal(symlink(to, from), 0);
	ask(f, "/kubepods/pod" UID "/" NTH("2"));
	expect(f, NULL);
}

/* CRI-O: what the sandbox's bundle says is the pod's. */
static void sandbox(void **state)
{
	_meta_ struct meta *m = NULL, *pause = NULL;
	struct fixture *f = *state;

	begin(f, NULL);
	put(f, "/run/containers/storage/overlay-containers/", ID "/userdata", CRIO_BUNDLE);
	put(f, "/run/containers/storage/overlay-containers/", CRIO_SANDBOX "/userdata",
	    CRIO_SANDBOX_BUNDLE);
	assert_int_equal(registry__cgroup_new(f->registry, 100, "/kubepods/crio-" CRIO_SANDBOX,
					      strlen("/kubepods/crio-" CRIO_SANDBOX)),
			 0);
	ask(f, "/kubepods/crio-" ID);
	assert_int_equal(registry__lookup(f->registry, f->served, &m), REGISTRY_KNOWN);
	assert_string_equal(m->engine, "cri-o");
	assert_string_equal(pod__label(m->pod, "app"), "shop-web");
	/* A sandbox is no container. */
	assert_int_equal(registry__lookup(f->registry, 100, &pause), REGISTRY_NEVER);
	assert_null(pause->name);
}

/* podman without its socket. */
static void podman(void **state)
{
	_meta_ struct meta *m = NULL;
	struct fixture *f = *state;
	char path[256];
	FILE *list;

	begin(f, NULL);
	put(f, "/var/lib/containers/storage/overlay-containers/", ID "/userdata",
	    "{\"annotations\":{\"io.container.manager\":\"libpod\"}}");
	ask(f, "/libpod_parent/libpod-" ID);
	expect(f, NULL);
	registry__cgroup_gone(f->registry, f->served);
	snprintf(path, sizeof(path),
		 "%s/var/lib/containers/storage/overlay-containers/containers.json", f->root);
	list = fopen(path, "we");
	assert_non_null(list);
	fprintf(list, "[{\"id\":\"" ID "\",\"names\":[\"web\"]}]");
	fclose(list);
	ask(f, "/libpod_parent/libpod-" ID);
	expect(f, "web");
	assert_int_equal(registry__lookup(f->registry, f->served, &m), REGISTRY_KNOWN);
	assert_string_equal(m->engine, "podman");
}

/* A bundle that says a pod's name and not its uid: the cgroup has it. */
static void uid_of_the_cgroup(void **state)
{
	_meta_ struct meta *m = NULL;
	struct fixture *f = *state;

	begin(f, "/x");
	put(f, "/x/", ID,
	    "{\"annotations\":{\"io.kubernetes.cri.container-type\":\"container\","
	    "\"io.kubernetes.cri.sandbox-name\":\"web-0\"}}");
	ask(f, "/kubepods/pod" UID "/" ID);
	assert_int_equal(registry__lookup(f->registry, f->served, &m), REGISTRY_KNOWN);
	assert_string_equal(meta__label(m, META_POD_UID_LABEL), UID);
}

/* A container that starts again has a bundle that may say something else. */
static void again(void **state)
{
	struct fixture *f = *state;

	begin(f, "/x");
	put(f, "/x/", ID, BUNDLE("first"));
	ask(f, "/kubepods/pod" UID "/" ID);
	expect(f, "first");
	registry__cgroup_gone(f->registry, f->served);
	put(f, "/x/", ID, BUNDLE("second"));
	ask(f, "/kubepods/pod" UID "/" ID);
	expect(f, "second");
}

static void no_root(void **state)
{
	const struct bundles_opts opts = {.root = "/nonexistent"};
	struct fixture *f = *state;

	assert_int_equal(bundles__new(&f->bundles, f->loop, f->registry, f->pods, &opts), -ENOENT);
	bundles__free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(places),  TEST(shims),   TEST(many_at_once),  TEST(missing),
		TEST(broken),  TEST(links),   TEST(contradiction), TEST(of_a_user),
		TEST(devices), TEST(sandbox), TEST(podman),	   TEST(uid_of_the_cgroup),
		TEST(again),   TEST(no_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
