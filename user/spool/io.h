/* SPDX-License-Identifier: Apache-2.0 */
/* The calls that a disk makes fail, so that tests can. */
#ifndef NOTAIL_SPOOL_IO_H
#define NOTAIL_SPOOL_IO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct spool_io {
	/* As the system calls: -1 and errno. */
	ssize_t (*pwritev)(int fd, const struct iovec *iov, int n, off_t offset);
	ssize_t (*pread)(int fd, void *data, size_t len, off_t offset);
	int (*fdatasync)(int fd);
};

extern const struct spool_io spool_io_system;

/* All of it, or -errno; -EIO: a write of nothing. `iov` is used up. */
int spool_io__write(const struct spool_io *io, int fd, struct iovec *iov, int n, uint64_t offset);
/* How many bytes there are, at most `len`; or -errno. */
ssize_t spool_io__read(const struct spool_io *io, int fd, void *data, size_t len, uint64_t offset);

#endif
