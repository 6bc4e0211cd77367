/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What waits for clients that the configuration does not have any more. It stays, in case they come
 * back, until the room is needed: then it goes first.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "spool/internal.h"

static int open_list(int dirfd, const char *name, DIR **ret)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	int err = -errno;

	if (!dir) {
		close_p(&fd);
		return err;
	}
	*ret = dir;
	return 0;
}

/* Bytes of all its files but the cursor and such; the least number of a segment, if there is one.
 */
static uint64_t measure(struct store *s, uint64_t hash, uint64_t *ret_oldest, uint64_t *ret_size)
{
	char name[NAME_LEN];
	struct dirent *entry;
	uint64_t bytes = 0, number;
	DIR *dir;

	*ret_oldest = UINT64_MAX;
	store__name(name, sizeof(name), hash, "");
	if (open_list(s->dirfd, name, &dir))
		return 0;
	while ((entry = readdir(dir))) {
		struct stat st;

		if (store__parse_name(entry->d_name, ".seg", &number) ||
		    fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		bytes += (uint64_t)st.st_size;
		if (number < *ret_oldest) {
			*ret_oldest = number;
			*ret_size = (uint64_t)st.st_size;
		}
	}
	closedir(dir);
	return bytes;
}

int store__find_leftovers(struct store *s)
{
	uint64_t hash, oldest, size;
	struct dirent *entry;
	DIR *dir;
	int err = open_list(s->dirfd, ".", &dir);

	if (err)
		return err;
	while (!err && (entry = readdir(dir))) {
		struct leftover *grown;

		if (store__parse_name(entry->d_name, "", &hash))
			continue;
		grown = reallocarray(s->leftovers, s->n_leftovers + 1, sizeof(*grown));
		if (!grown) {
			err = -ENOMEM;
			break;
		}
		s->leftovers = grown;
		grown[s->n_leftovers] = (struct leftover){hash, measure(s, hash, &oldest, &size)};
		s->used += grown[s->n_leftovers++].bytes;
	}
	closedir(dir);
	return err;
}

static void forget(struct store *s, size_t i)
{
	s->used -= s->leftovers[i].bytes;
	s->n_leftovers--;
	memmove(&s->leftovers[i], &s->leftovers[i + 1],
		(s->n_leftovers - i) * sizeof(*s->leftovers));
}

void store__claim_leftover(struct store *s, uint64_t hash)
{
	for (size_t i = 0; i < s->n_leftovers; i++) {
		if (s->leftovers[i].hash == hash) {
			forget(s, i);
			return;
		}
	}
}

int store__drop_leftover(struct store *s)
{
	char name[NAME_LEN], file[2 * NAME_LEN];
	uint64_t oldest, size;
	struct leftover *l;

	while (s->n_leftovers) {
		l = &s->leftovers[s->n_leftovers - 1];
		store__name(name, sizeof(name), l->hash, "");
		measure(s, l->hash, &oldest, &size);
		if (oldest == UINT64_MAX || size > l->bytes) {
			forget(s, s->n_leftovers - 1);
			continue;
		}
		snprintf(file, sizeof(file), "%s/%016llx.seg", name, (unsigned long long)oldest);
		if (unlinkat(s->dirfd, file, 0)) {
			forget(s, s->n_leftovers - 1);
			continue;
		}
		log_warn("spool: full: %s/%s, of a client that is not configured, is dropped",
			 s->path, file);
		l->bytes -= size;
		s->used -= size;
		return 0;
	}
	return -ENOENT;
}
