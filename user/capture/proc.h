/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What capture reads of the running system: processes, the unified cgroup hierarchy, the kernel's
 * settings. Every read is bounded; nothing is kept.
 */
#ifndef NOTAIL_CAPTURE_PROC_H
#define NOTAIL_CAPTURE_PROC_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/util.h"

#include "event.h"

/* The file's first size - 1 bytes, NUL-terminated, a last newline cut. Returns the length. */
ssize_t file__read_text(int dir_fd, const char *path, char *buf, size_t size);

struct proc_stat {
	pid_t ppid;
	uint64_t start_ticks;
	char comm[NT_COMM_LEN];
};
int proc__stat(pid_t pid, struct proc_stat *ret);
/* An id of its mount namespace, to compare. */
int proc__mnt_ns(pid_t pid, uint64_t *ret);
/* stat's device number as the kernel keeps it in s_dev. */
uint32_t stat__kernel_dev(dev_t dev);
struct nt_stream_key stat__key(const struct stat *st);
/* A descriptor of the process is the stream's file. True where that cannot be seen. */
bool proc__holds(pid_t pid, const struct nt_stream_key *key);

/* A directory descriptor of the unified hierarchy's root; one of our own where none is mounted. */
int cgroup2__open_root(int *ret_fd);
/* The path of a process in the unified hierarchy ("/..."). */
int cgroup2__path(pid_t pid, char *path, size_t size);
/* `path` begins with a slash. */
int cgroup2__id(int root_fd, const char *path, uint64_t *ret);
/* The other way round. -ESTALE: it is gone. */
int cgroup2__path_of(int root_fd, uint64_t id, char *path, size_t size);

/* The root of a new instance of a file system that is in no mount table. */
int mount__detached(const char *type, int *ret_fd);
/* The word in brackets, as files with a choice mark the one in force. */
bool text__marked_word(const char *text, char *word, size_t size);
/* The word of the kernel's lockdown: none, integrity, confidentiality; unknown. */
const char *kernel__lockdown(void);
/* False also where the symbols cannot be read. */
bool kernel__has_symbol(const char *name);

static inline void closedir_p(DIR **d)
{
	if (*d)
		closedir(*d);
}
#define _closedir_ _cleanup_(closedir_p)

#endif
