/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers of /proc, /sys and the cgroup hierarchy. A process may be gone between any two lines
 * here: that is an error return, never a message.
 *
 * In a container the unified hierarchy and securityfs may not be mounted, or only a part of them;
 * a detached mount (fsopen, fsmount) gives both without touching anybody's mount table.
 */
#include "capture/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/util.h"

#define FDS_MAX 65536 /* looked at */

ssize_t file__read_text(int dir_fd, const char *path, char *buf, size_t size)
{
	_close_ int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;

	if (fd < 0)
		return -errno;
	while (len < size - 1) {
		ssize_t n = read(fd, buf + len, size - 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	if (len && buf[len - 1] == '\n')
		len--;
	buf[len] = '\0';
	return (ssize_t)len;
}

int proc__stat(pid_t pid, struct proc_stat *ret)
{
	char path[64], text[1024];
	unsigned long long start;
	char *open, *close;
	int ppid;
	ssize_t r;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	r = file__read_text(AT_FDCWD, path, text, sizeof(text));
	if (r < 0)
		return (int)r;
	/* A name may hold blanks and parentheses: it ends at the last one. */
	open = strchr(text, '(');
	close = strrchr(text, ')');
	if (!open || !close || close < open)
		return -EBADMSG;
	if (sscanf(close + 1,
		   " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
		   "%llu",
		   &ppid, &start) != 2)
		return -EBADMSG;
	*close = '\0';
	ret->ppid = ppid;
	ret->start_ticks = start;
	snprintf(ret->comm, sizeof(ret->comm), "%.*s", NT_COMM_LEN - 1, open + 1);
	return 0;
}

int proc__mnt_ns(pid_t pid, uint64_t *ret)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", pid);
	if (stat(path, &st) < 0)
		return -errno;
	*ret = st.st_ino;
	return 0;
}

uint32_t stat__kernel_dev(dev_t dev)
{
	return (uint32_t)major(dev) << 20 | (uint32_t)minor(dev);
}

struct nt_stream_key stat__key(const struct stat *st)
{
	return (struct nt_stream_key){
		.ino = st->st_ino, .dev = stat__kernel_dev(st->st_dev), .type = NT_KEY_INODE};
}

bool proc__holds(pid_t pid, const struct nt_stream_key *key)
{
	_closedir_ DIR *dir = NULL;
	struct dirent *entry;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir)
		return errno != ENOENT;
	for (size_t n = 0; (entry = readdir(dir)); n++) {
		struct nt_stream_key of;
		struct stat st;

		if (n == FDS_MAX || key->type != NT_KEY_INODE)
			return true;
		if (fstatat(dirfd(dir), entry->d_name, &st, 0) < 0)
			continue;
		of = stat__key(&st);
		if (of.ino == key->ino && of.dev == key->dev)
			return true;
	}
	return false;
}

int mount__detached(const char *type, int *ret_fd)
{
	_close_ int fs = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
	_close_ int mount = -1;
	int fd;

	if (fs < 0)
		return -errno;
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	mount = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	if (mount < 0)
		return -errno;
	fd = openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

/* Mount points are written with octal escapes for blanks. */
static void unescape_octal(char *s)
{
	char *out = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
			*out++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 3;
		} else {
			*out++ = *s;
		}
	}
	*out = '\0';
}

/* A line of mountinfo: the fourth field is the mounted part of the file system, the fifth where. */
static bool whole_cgroup2(const char *line, char *mount_point, size_t size)
{
	const char *type = strstr(line, " - cgroup2 ");
	char root[8], at[4096];

	if (!type || sscanf(line, "%*s %*s %*s %7s %4095s", root, at) != 2)
		return false;
	if (strcmp(root, "/") != 0 || strlen(at) >= size)
		return false;
	unescape_octal(at);
	memcpy(mount_point, at, strlen(at) + 1);
	return true;
}

int cgroup2__open_root(int *ret_fd)
{
	_fclose_ FILE *f = fopen("/proc/self/mountinfo", "re");
	_free_ char *line = NULL;
	size_t size = 0;
	int fd;

	while (f && getline(&line, &size, f) > 0) {
		char at[4096];

		if (!whole_cgroup2(line, at, sizeof(at)))
			continue;
		fd = open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0) {
			*ret_fd = fd;
			return 0;
		}
	}
	return mount__detached("cgroup2", ret_fd);
}

int cgroup2__path(pid_t pid, char *path, size_t size)
{
	char file[64], text[8192];
	char *at, *end;
	ssize_t r;

	snprintf(file, sizeof(file), "/proc/%d/cgroup", pid);
	r = file__read_text(AT_FDCWD, file, text, sizeof(text));
	if (r < 0)
		return (int)r;
	at = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
	if (!at)
		return -ENOENT;
	at = strchr(at, '/');
	if (!at)
		return -EBADMSG;
	end = strchrnul(at, '\n');
	if ((size_t)(end - at) >= size)
		return -ENAMETOOLONG;
	memcpy(path, at, (size_t)(end - at));
	path[end - at] = '\0';
	return 0;
}

int cgroup2__id(int root_fd, const char *path, uint64_t *ret)
{
	struct stat st;

	if (fstatat(root_fd, path[1] ? path + 1 : ".", &st, 0) < 0)
		return -errno;
	*ret = st.st_ino;
	return 0;
}

static ssize_t fd__path(int fd, char *path, size_t size)
{
	char link[32];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, size);
	if (len < 0)
		return -errno;
	return (size_t)len < size ? len : -ENAMETOOLONG;
}

/* A cgroup's id is all that a file handle of its file system holds (FILEID_KERNFS). */
int cgroup2__path_of(int root_fd, uint64_t id, char *path, size_t size)
{
	struct {
		struct file_handle head;
		uint64_t id;
	} handle = {{.handle_bytes = sizeof(id), .handle_type = 0xfe}, id};
	char root[PATH_MAX], full[PATH_MAX];
	ssize_t len, root_len;
	_close_ int fd = -1;

	fd = open_by_handle_at(root_fd, &handle.head, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	root_len = fd__path(root_fd, root, sizeof(root));
	len = fd__path(fd, full, sizeof(full));
	if (len < 0 || root_len < 0)
		return (int)MIN(len, root_len);
	if (root_len == 1 || len < root_len || memcmp(root, full, (size_t)root_len))
		root_len = 0;
	len -= root_len;
	if ((size_t)len >= size)
		return -ENAMETOOLONG;
	memcpy(path, full + root_len, (size_t)len);
	path[len] = '\0';
	return 0;
}

bool text__marked_word(const char *text, char *word, size_t size)
{
	const char *open = strpbrk(text, "[("), *close = open ? strpbrk(open, "])") : NULL;

	if (!close || (size_t)(close - open) > size)
		return false;
	snprintf(word, size, "%.*s", (int)(close - open - 1), open + 1);
	return true;
}

const char *kernel__lockdown(void)
{
	static const char *const words[] = {"none", "integrity", "confidentiality"};
	char text[128], word[32];
	_close_ int fs = -1;

	if (file__read_text(AT_FDCWD, "/sys/kernel/security/lockdown", text, sizeof(text)) < 0 &&
	    (mount__detached("securityfs", &fs) < 0 ||
	     file__read_text(fs, "lockdown", text, sizeof(text)) < 0))
		return "unknown";
	if (text__marked_word(text, word, sizeof(word))) {
		for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
			if (strcmp(word, words[i]) == 0)
				return words[i];
		}
	}
	return "unknown";
}

bool kernel__has_symbol(const char *name)
{
	_fclose_ FILE *f = fopen("/proc/kallsyms", "re");
	char line[512], symbol[256];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*s %*s %255s", symbol) == 1 && strcmp(symbol, name) == 0)
			return true;
	}
	return false;
}
