/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other user of include/cgroup_names.h: for what runs already, and for what the ring had no
 * room to tell of.
 */
#include "capture/names.h"

#include <string.h>

#include "base/util.h"
#include "cgroup_names.h"

#define CGROUP_MOUNT "/sys/fs/cgroup/"

static bool hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* Behind the last run of exactly as many digits as an id has. NULL: there is none. */
static const char *id_end(const char *path)
{
	const char *end = NULL;
	size_t run = 0;

	for (const char *p = path;; p++) {
		if (hex(*p)) {
			run++;
			continue;
		}
		if (run == NT_ID_DIGITS)
			end = p;
		run = 0;
		if (!*p)
			return end;
	}
}

bool names__container(const char *path)
{
	const char *end = id_end(path);
	char before[sizeof(((struct nt_around *)0)->before)];
	const size_t words = ARRAY_SIZE(((struct nt_around *)0)->before);
	struct nt_around a = {0};
	size_t n;

	if (!end)
		return false;
	/* What a cut path has lost is taken for a component's begin. */
	memset(before, '/', sizeof(before));
	n = MIN((size_t)(end - path) - NT_ID_DIGITS, sizeof(before));
	memcpy(before + sizeof(before) - n, end - NT_ID_DIGITS - n, n);
	for (size_t i = 0; i < words; i++)
		memcpy(&a.before[i], before + sizeof(before) - 8 * (i + 1), 8);
	memcpy(a.after, end, MIN(strlen(end), sizeof(a.after)));
	return nt_names_container(&a);
}

static bool matches(const char *path, const char *pattern)
{
	struct nt_match m = {0};
	int r;

	do
		r = nt_match_step(&m, path[m.at], pattern[m.in]);
	while (!r);
	return r > 0;
}

bool names__asked(const char *path, const char *const *patterns, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (matches(path, patterns[i]))
			return true;
	}
	return false;
}

const char *names__check(const char *pattern)
{
	size_t len = strlen(pattern);

	if (strncmp(pattern, CGROUP_MOUNT, strlen(CGROUP_MOUNT)) == 0)
		return "the path from the hierarchy's root, without " CGROUP_MOUNT;
	if (pattern[0] != '/' || !pattern[1])
		return "a cgroup's path, like /system.slice/foo.service";
	if (pattern[len - 1] == '/' || strstr(pattern, "//"))
		return "a path without empty components";
	if (strstr(pattern, "/../") || strcmp(pattern + len - MIN(len, 3u), "/..") == 0)
		return "the path from the hierarchy's root, without ..";
	if (len >= NT_ASKED_LEN)
		return "at most 255 bytes";
	for (const char *p = pattern; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return "a path without control characters";
	}
	return NULL;
}
