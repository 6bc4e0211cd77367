/* SPDX-License-Identifier: Apache-2.0 */
/*
 * {"events":{"NAMESPACE":{"revision":"505","time":"1795239549000000505"}}}: numbers as strings, for
 * JSON's hold no 64 bits. The file is written beside its old self, and takes its place when it is
 * on the disk.
 */
#include "kube/positions.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_NAME "events.json"
#define MAX_BYTES (1u << 20)

struct positions {
	json_t *all; /* namespace -> {revision, time} */
};

int positions__new(struct positions **ret)
{
	struct positions *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->all = json_object();
	if (!p->all) {
		free(p);
		return -ENOMEM;
	}
	*ret = p;
	return 0;
}

void positions__free(struct positions *p)
{
	if (!p)
		return;
	json_decref(p->all);
	free(p);
}

/* 0 where it is no number. */
static uint64_t number(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));
	uint64_t n;
	char *end;

	if (!s || *s < '0' || *s > '9')
		return 0;
	errno = 0;
	n = strtoull(s, &end, 10);
	return errno || *end ? 0 : n;
}

struct position positions__get(const struct positions *p, const char *namespace)
{
	const json_t *j = json_object_get(p->all, namespace);

	if (!j)
		j = json_object_get(p->all, "");
	return (struct position){.revision = number(j, "revision"), .time_ns = number(j, "time")};
}

static json_t *of_number(uint64_t n)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, n);
	return json_string(text);
}

int positions__set(struct positions *p, const char *namespace, struct position at)
{
	json_t *j = json_object();
	int err = json_object_set_new(j, "revision", of_number(at.revision));

	err |= json_object_set_new(j, "time", of_number(at.time_ns));
	if (err) {
		json_decref(j);
		return -ENOMEM;
	}
	return json_object_set_new(p->all, namespace, j) ? -ENOMEM : 0;
}

int positions__parse(struct positions *p, const char *text, size_t len)
{
	json_t *root =
		len ? json_loadb(text, len, JSON_ALLOW_NUL, NULL) : json_pack("{s:{}}", "events");
	json_t *all = json_object_get(root, "events");

	if (!json_is_object(all)) {
		json_decref(root);
		return -EBADMSG;
	}
	json_decref(p->all);
	p->all = json_incref(all);
	json_decref(root);
	return 0;
}

int positions__merge(struct positions *p, const char *text, size_t len)
{
	json_t *before = json_incref(p->all), *at;
	int err = positions__parse(p, text, len);
	const char *namespace;

	json_object_foreach(before, namespace, at)
	{
		if (err || number(at, "revision") <= positions__get(p, namespace).revision)
			continue;
		if (json_object_set(p->all, namespace, at))
			err = -ENOMEM;
	}
	json_decref(before);
	return err;
}

int positions__text(const struct positions *p, struct buf *out)
{
	json_t *root = json_pack("{s:O}", "events", p->all);
	_free_ char *text = root ? json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

	json_decref(root);
	return text ? buf__append_str(out, text) : -ENOMEM;
}

static int path_of(const char *directory, const char *suffix, struct buf *ret)
{
	int err = buf__printf(ret, "%s/" FILE_NAME "%s", directory, suffix);

	return err ? err : buf__append(ret, "", 1);
}

int positions__load(struct positions *p, const char *directory)
{
	_buf_ struct buf path = {0}, text = {0};
	int err = path_of(directory, "", &path);

	if (!err)
		err = buf__read_file(&text, path.data, MAX_BYTES);
	if (err)
		return err == -ENOENT ? 0 : err;
	return positions__parse(p, text.data, text.len);
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		data += MAX(n, 0);
		len -= (size_t)MAX(n, 0);
	}
	return fsync(fd) ? -errno : 0;
}

int positions__save(const struct positions *p, const char *directory)
{
	_buf_ struct buf path = {0}, beside = {0}, text = {0};
	_close_ int fd = -1;
	int err = path_of(directory, "", &path);

	if (!err)
		err = path_of(directory, ".new", &beside);
	if (!err)
		err = positions__text(p, &text);
	if (err)
		return err;
	fd = open(beside.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	err = fd < 0 ? -errno : write_all(fd, text.data, text.len);
	if (err)
		return err;
	return rename(beside.data, path.data) ? -errno : 0;
}
