/* SPDX-License-Identifier: Apache-2.0 */
/* Sandboxes and cgroups, in directories that look like the kernel's. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/util.h"
#include "capture/others.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static char base[64];

static int set_up(void **state _unused_)
{
	strcpy(base, "/tmp/notail-others-XXXXXX");
	return mkdtemp(base) ? 0 : -1;
}

static int take_away(const char *path, const struct stat *st _unused_, int type _unused_,
		     struct FTW *at _unused_)
{
	return remove(path);
}

static int tear_down(void **state _unused_)
{
	return nftw(base, take_away, 16, FTW_DEPTH | FTW_PHYS);
}

static void make(const char *dir, const char *file, const char *text, size_t len)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s%s", base, dir);
	assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
	if (!file)
		return;
	snprintf(path, sizeof(path), "%s%s/%s", base, dir, file);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	close(fd);
}

#define PROCESS(pid, ...)                                      \
	do {                                                   \
		const char argv[] = __VA_ARGS__;               \
		make("/" #pid, "cmdline", argv, sizeof(argv)); \
	} while (0)

static void sandboxes(void **state _unused_)
{
	struct sandboxes found;

	PROCESS(1, "/sbin/init");
	PROCESS(20, "/opt/kata/bin/containerd-shim-kata-v2\0-namespace\0k8s.io");
	PROCESS(21, "containerd-shim-kata-v2\0-id\0x");
	PROCESS(22, "/usr/bin/containerd-shim-runc-v2\0containerd-shim-kata-v2");
	PROCESS(23, "runsc-sandbox\0--root=/run\0boot");
	PROCESS(24, "runsc-gofer\0--root=/run\0gofer");
	PROCESS(25, "qemu-system-x86_64\0-name\0sandbox");
	make("/26", "cmdline", "", 0);
	make("/27", NULL, NULL, 0);
	make("/self", "cmdline", "runsc-sandbox", 14);
	assert_int_equal(sandboxes__count(base, &found), 0);
	assert_int_equal(found.kata, 2);
	assert_int_equal(found.gvisor, 1);
	assert_int_equal(sandboxes__count("/nowhere", &found), -ENOENT);
}

struct seen {
	char text[1024];
};

static void see(void *ctx, const char *path, unsigned processes)
{
	struct seen *s = ctx;
	size_t len = strlen(s->text);

	snprintf(s->text + len, sizeof(s->text) - len, "%s=%u ", path, processes);
}

static void cgroups(void **state _unused_)
{
	struct seen seen = {""};
	int root;

	make("", "cgroup.procs", "1\n2\n", 4);
	make("/system.slice", "cgroup.procs", "", 0);
	make("/system.slice/foo.service", "cgroup.procs", "7\n9\n", 4);
	make("/system.slice/foo.service/sub", "cgroup.procs", "10\n", 3);
	make("/docker", NULL, NULL, 0);
	make("/docker/" ID, "cgroup.procs", "11\n", 3);
	root = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(root >= 0);
	assert_int_equal(cgroups__each_other(root, see, &seen), 0);
	assert_string_equal(seen.text,
			    "/system.slice/foo.service=2 /system.slice/foo.service/sub=1 ");
	close(root);
	assert_true(cgroups__each_other(-1, see, &seen) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sandboxes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(cgroups, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("others", tests, NULL, NULL);
}
