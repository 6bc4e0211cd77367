/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damaged files are kept for whoever wants to know, a few of them and at most a sixteenth of the
 * spool; they are the first to go when it is full. They keep their name, with `.corrupt` behind it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <utlist.h>

#include "base/log.h"
#include "spool/internal.h"

#define SUFFIX ".corrupt"

static int queue_dirfd(const struct store *s, uint64_t hash)
{
	char name[NAME_LEN];

	store__name(name, sizeof(name), hash, "");
	return openat(s->dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int store__drop_aside(struct store *s)
{
	struct aside *a = &s->asides[0];
	_close_ int dirfd = -1;

	if (!s->n_asides)
		return -ENOENT;
	dirfd = queue_dirfd(s, a->hash);
	if (dirfd >= 0)
		unlinkat(dirfd, a->name, 0);
	s->used -= a->size;
	s->n_asides--;
	memmove(a, a + 1, s->n_asides * sizeof(*a));
	return 0;
}

static void add(struct store *s, const struct aside *a)
{
	uint64_t bytes = a->size;
	size_t at;

	s->used += a->size;
	if (s->n_asides == ASIDE_MAX)
		store__drop_aside(s);
	for (at = s->n_asides; at && s->asides[at - 1].time > a->time; at--)
		;
	memmove(&s->asides[at + 1], &s->asides[at], (s->n_asides - at) * sizeof(*a));
	s->asides[at] = *a;
	s->n_asides++;
	for (size_t i = 0; i < s->n_asides; i++)
		bytes += i == at ? 0 : s->asides[i].size;
	while (s->n_asides && bytes > s->opts.max_bytes / 16) {
		bytes -= s->asides[0].size;
		store__drop_aside(s);
	}
}

void store__set_aside(struct store_queue *q, const char *name, uint64_t size)
{
	struct store *s = q->store;
	struct aside a = {.hash = q->hash, .size = size, .time = INT64_MAX};
	struct stat st;

	s->used -= size;
	snprintf(a.name, sizeof(a.name), "%s" SUFFIX, name);
	/* One of that name is replaced; a cursor's is, each time. */
	for (size_t i = 0; i < s->n_asides; i++) {
		if (s->asides[i].hash != q->hash || strcmp(s->asides[i].name, a.name))
			continue;
		s->used -= s->asides[i].size;
		s->n_asides--;
		memmove(&s->asides[i], &s->asides[i + 1], (s->n_asides - i) * sizeof(a));
		break;
	}
	if (renameat(q->dirfd, name, q->dirfd, a.name)) {
		unlinkat(q->dirfd, name, 0);
		return;
	}
	if (!fstatat(q->dirfd, a.name, &st, AT_SYMLINK_NOFOLLOW))
		a.size = (uint64_t)st.st_size;
	log_warn("spool: %s/%s: damaged, moved aside to %s", s->path, q->name, a.name);
	add(s, &a);
}

void store__find_asides(struct store *s, int dirfd, uint64_t hash)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		close_p(&fd);
		return;
	}
	while ((entry = readdir(dir))) {
		size_t len = strlen(entry->d_name), suffix = strlen(SUFFIX);
		struct aside a = {.hash = hash};
		struct stat st;

		if (len <= suffix || strcmp(entry->d_name + len - suffix, SUFFIX) ||
		    len >= sizeof(a.name) ||
		    fstatat(dirfd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		memcpy(a.name, entry->d_name, len + 1);
		a.size = (uint64_t)st.st_size;
		a.time = st.st_mtime;
		add(s, &a);
	}
	closedir(dir);
}
