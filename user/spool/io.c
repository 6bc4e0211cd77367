/* SPDX-License-Identifier: Apache-2.0 */
/* A signal interrupts nothing, and what is done in part is gone on with. */
#include "spool/io.h"

#include <errno.h>
#include <stdint.h>
#include <unistd.h>

const struct spool_io spool_io_system = {
	.pwritev = pwritev,
	.pread = pread,
	.fdatasync = fdatasync,
};

int spool_io__write(const struct spool_io *io, int fd, struct iovec *iov, int n, uint64_t offset)
{
	while (n) {
		ssize_t done = io->pwritev(fd, iov, n, (off_t)offset);
		size_t left;

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done < 0 ? -errno : -EIO;
		offset += (uint64_t)done;
		left = (size_t)done;
		while (n && left >= iov->iov_len) {
			left -= iov->iov_len;
			iov++;
			n--;
		}
		if (n) {
			iov->iov_base = (char *)iov->iov_base + left;
			iov->iov_len -= left;
		}
	}
	return 0;
}

ssize_t spool_io__read(const struct spool_io *io, int fd, void *data, size_t len, uint64_t offset)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = io->pread(fd, (char *)data + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}
