/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory itself. Everything below it is reached from its descriptor and no symlink is
 * followed, so that who may write beside it cannot lead a privileged process elsewhere. The lock is
 * flock's: it ends with its process, however that ends.
 */
#include "spool/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <utlist.h>

#include "base/log.h"
#include "spool/internal.h"

#define LOCK_NAME "lock"

void store__name(char *out, size_t size, uint64_t number, const char *suffix)
{
	snprintf(out, size, "%016" PRIx64 "%s", number, suffix);
}

int store__parse_name(const char *name, const char *suffix, uint64_t *ret_number)
{
	uint64_t number;
	char *end;

	if (strspn(name, "0123456789abcdef") != 16 || strcmp(name + 16, suffix))
		return -EINVAL;
	number = strtoull(name, &end, 16);
	*ret_number = number;
	return 0;
}

int store__failed(struct store *s, int err, const char *fmt, ...)
{
	size_t len;
	va_list args;

	s->errors++;
	va_start(args, fmt);
	vsnprintf(s->last_error, sizeof(s->last_error), fmt, args);
	va_end(args);
	len = strlen(s->last_error);
	snprintf(s->last_error + len, sizeof(s->last_error) - len, ": %s", strerror(-err));
	return err;
}

void spool_count__add(struct spool_count *a, const struct spool_count *b)
{
	a->batches += b->batches;
	a->lines += b->lines;
	a->bytes += b->bytes;
}

void spool_count__sub(struct spool_count *a, const struct spool_count *b)
{
	a->batches -= b->batches;
	a->lines -= b->lines;
	a->bytes -= b->bytes;
}

struct spool_count spool_count__of(const struct spool_record *r)
{
	return (struct spool_count){.batches = 1, .lines = r->lines, .bytes = r->len};
}

static int make_parents(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		int err = 0;

		*slash = '\0';
		if (mkdir(path, 0755) && errno != EEXIST)
			err = -errno;
		*slash = '/';
		/* One that cannot be made may be there all the same. */
		if (err && err != -EROFS && err != -EACCES && err != -EPERM)
			return err;
	}
	return 0;
}

static bool is_empty(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	bool empty = dir;

	if (!dir) {
		close_p(&fd);
		return false;
	}
	while (empty && (entry = readdir(dir)))
		empty = !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..");
	closedir(dir);
	return empty;
}

/* 0, or -EPERM and why. */
static int check_directory(int fd, char *why, size_t size)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (st.st_uid != geteuid()) {
		snprintf(why, size, "it belongs to user %u", (unsigned)st.st_uid);
		return -EPERM;
	}
	if (st.st_mode & (S_IWGRP | S_IWOTH)) {
		snprintf(why, size, "others may write to it (mode %04o)",
			 (unsigned)st.st_mode & 07777);
		return -EPERM;
	}
	/* What somebody made for it; of one with files in it nobody knows what else they are for.
	 */
	if (st.st_mode & 077 && is_empty(fd))
		(void)!fchmod(fd, 0700);
	return 0;
}

static int open_directory(struct store *s, char *why, size_t size)
{
	struct stat st;
	int err = make_parents(s->path);

	if (!err && mkdir(s->path, 0700) && errno != EEXIST)
		err = -errno;
	if (err)
		return err;
	s->dirfd = open(s->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (s->dirfd < 0) {
		err = -errno;
		if (!lstat(s->path, &st) && S_ISLNK(st.st_mode)) {
			snprintf(why, size, "it is a symlink");
			err = -EPERM;
		}
		return err;
	}
	return check_directory(s->dirfd, why, size);
}

static int lock(struct store *s, char *why, size_t size)
{
	char text[32] = "";
	ssize_t n;

	s->lock_fd = openat(s->dirfd, LOCK_NAME,
			    O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (s->lock_fd < 0)
		return -errno;
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK)
			return -errno;
		n = pread(s->lock_fd, text, sizeof(text) - 1, 0);
		text[n > 0 ? n : 0] = '\0';
		text[strspn(text, "0123456789")] = '\0';
		snprintf(why, size, "process %s has it", *text ? text : "?");
		return -EBUSY;
	}
	n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(s->lock_fd, 0) || pwrite(s->lock_fd, text, (size_t)n, 0) != n)
		log_debug("spool: %s/" LOCK_NAME ": %s", s->path, strerror(errno));
	return 0;
}

static struct store *make(const struct store_opts *opts)
{
	struct store *s = calloc(1, sizeof(*s));
	size_t len = strlen(opts->directory);

	if (!s)
		return NULL;
	s->dirfd = s->lock_fd = -1;
	s->opts = *opts;
	/* Behind a slash a symlink would be followed. */
	while (len > 1 && opts->directory[len - 1] == '/')
		len--;
	s->path = strndup(opts->directory, len);
	s->opts.directory = s->path;
	if (!s->path) {
		free(s);
		return NULL;
	}
	return s;
}

int store__open(struct store **ret, const struct store_opts *opts, char *why, size_t size)
{
	struct store *s = make(opts);
	int err;

	if (size)
		*why = '\0';
	if (!s)
		return -ENOMEM;
	err = open_directory(s, why, size);
	if (!err)
		err = lock(s, why, size);
	if (!err)
		err = store__find_leftovers(s);
	if (err) {
		store__close(s);
		return err;
	}
	*ret = s;
	return 0;
}

void store__close(struct store *s)
{
	if (!s)
		return;
	close_p(&s->lock_fd);
	close_p(&s->dirfd);
	free(s->leftovers);
	free(s->path);
	free(s);
}

bool store__is_there(const struct store *s)
{
	struct stat st;

	return !fstat(s->dirfd, &st) && st.st_nlink;
}

int store__tick(struct store *s, bool sync)
{
	struct store_queue *q;
	int err = 0, r;

	DL_FOREACH (s->queues, q) {
		r = sync && s->opts.fsync == SPOOL_FSYNC_INTERVAL ? store_queue__sync(q) : 0;
		err = err ? err : r;
		store_queue__persist_cursor(q);
	}
	return err;
}

void store__sync_failed(struct store *s, int err)
{
	struct store_queue *q;

	store__failed(s, err, "fsync");
	DL_FOREACH (s->queues, q) {
		q->dirty = false;
		store_queue__close_active(q);
	}
}

void store__stats(const struct store *s, struct spool_stats *ret)
{
	*ret = (struct spool_stats){
		.bytes = s->used,
		.corrupt_files = s->n_asides,
		.corrupt_found = s->corrupt_found,
		.leftover_queues = s->n_leftovers,
		.errors = s->errors,
	};
	for (size_t i = 0; i < s->n_asides; i++)
		ret->corrupt_bytes += s->asides[i].size;
	for (size_t i = 0; i < s->n_leftovers; i++)
		ret->leftover_bytes += s->leftovers[i].bytes;
	memcpy(ret->last_error, s->last_error, sizeof(ret->last_error));
}
