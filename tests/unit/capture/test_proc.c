/* SPDX-License-Identifier: Apache-2.0 */
/* What is read of the system: names, numbers and words as the kernel writes them. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "capture/capture.h"
#include "capture/proc.h"

static void test_path_of_id(void **state)
{
	char path[256], again[256];
	int root, err;
	uint64_t id;

	(void)state;
	if (cgroup2__open_root(&root) || cgroup2__path(getpid(), path, sizeof(path)) ||
	    cgroup2__id(root, path, &id))
		skip();
	err = cgroup2__path_of(root, id, again, sizeof(again));
	if (err == 0) {
		assert_string_equal(*again ? again : "/", path);
		assert_int_equal(cgroup2__path_of(root, 1ull << 60, again, sizeof(again)), -ESTALE);
	}
	close(root);
	if (err == -EPERM)
		skip();
	assert_int_equal(err, 0);
}

static void test_marked_word(void **state)
{
	char word[16];

	(void)state;
	assert_true(text__marked_word("none [integrity] confidentiality", word, sizeof(word)));
	assert_string_equal(word, "integrity");
	assert_true(text__marked_word("none voluntary (full) lazy", word, sizeof(word)));
	assert_string_equal(word, "full");
	assert_false(text__marked_word("none", word, sizeof(word)));
	assert_false(text__marked_word("[none", word, sizeof(word)));
	assert_false(text__marked_word("[a word that has no room]", word, sizeof(word)));
}

/* The kernel has 20 bits of minor, whatever the C library's dev_t looks like. */
static void test_kernel_dev(void **state)
{
	struct stat st = {.st_dev = makedev(8, 0x12345), .st_ino = 42};
	struct nt_stream_key key = stat__key(&st);

	(void)state;
	assert_int_equal(stat__kernel_dev(makedev(0, 13)), 13);
	assert_int_equal(key.dev, 8 << 20 | 0x12345);
	assert_int_equal(key.ino, 42);
	assert_int_equal(key.type, NT_KEY_INODE);
}

/* A process' name may look like what follows it. */
static void test_stat(void **state)
{
	struct proc_stat st;
	char name[NT_COMM_LEN] = {0};

	(void)state;
	assert_return_code(prctl(PR_GET_NAME, name), errno);
	assert_return_code(prctl(PR_SET_NAME, "x) R 1 (y"), errno);
	assert_int_equal(proc__stat(getpid(), &st), 0);
	assert_int_equal(st.ppid, getppid());
	assert_true(st.start_ticks > 0);
	assert_string_equal(st.comm, "x) R 1 (y");
	assert_return_code(prctl(PR_SET_NAME, name), errno);
	assert_int_equal(proc__stat(-1, &st), -ENOENT);
}

static void test_read_text(void **state)
{
	char path[] = "/tmp/test_proc.XXXXXX", text[8];
	int fd = mkstemp(path);

	(void)state;
	assert_return_code(fd, errno);
	assert_int_equal(write(fd, "line\n", 5), 5);
	assert_int_equal(file__read_text(AT_FDCWD, path, text, sizeof(text)), 4);
	assert_string_equal(text, "line");
	assert_int_equal(write(fd, "and more", 8), 8);
	assert_int_equal(file__read_text(AT_FDCWD, path, text, sizeof(text)), 7);
	assert_string_equal(text, "line\nan");
	close(fd);
	unlink(path);
	assert_int_equal(file__read_text(AT_FDCWD, path, text, sizeof(text)), -ENOENT);
}

static void test_names_of_settings(void **state)
{
	enum hook_set hooks;
	enum tap_mode tap;

	(void)state;
	for (enum hook_set h = HOOKS_AUTO; h <= HOOKS_SYSCALL; h++) {
		assert_int_equal(hook_set__parse(hook_set__name(h), &hooks), 0);
		assert_int_equal(hooks, h);
	}
	assert_int_equal(hook_set__parse("kprobe", &hooks), -EINVAL);
	assert_int_equal(hooks, HOOKS_SYSCALL);
	assert_int_equal(tap_mode__parse("write", &tap), 0);
	assert_int_equal(tap, TAP_WRITE);
	assert_int_equal(tap_mode__parse("", &tap), -EINVAL);
	assert_int_equal(tap, TAP_WRITE);
}

static void test_files_held(void **state)
{
	struct nt_stream_key key;
	struct stat st;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(fstat(fds[0], &st), 0);
	key = stat__key(&st);
	assert_true(proc__holds(getpid(), &key));
	close(fds[0]);
	assert_true(proc__holds(getpid(), &key));
	close(fds[1]);
	assert_false(proc__holds(getpid(), &key));
	assert_false(proc__holds(-1, &key));
	key.type = NT_KEY_INODE + 1;
	assert_true(proc__holds(getpid(), &key));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_path_of_id), cmocka_unit_test(test_marked_word),
		cmocka_unit_test(test_kernel_dev), cmocka_unit_test(test_stat),
		cmocka_unit_test(test_read_text),  cmocka_unit_test(test_names_of_settings),
		cmocka_unit_test(test_files_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
