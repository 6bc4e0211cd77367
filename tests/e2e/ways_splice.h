/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that get into the pipe without a write call: pages are moved or linked. */
#ifndef WAYS_SPLICE_H
#define WAYS_SPLICE_H

#include "ways.h"

static void send_file(int in, size_t size)
{
	while (size > 0) {
		ssize_t n = sendfile(1, in, NULL, size);

		must(n > 0, "sendfile");
		size -= (size_t)n;
	}
}

static void way_sendfile(void)
{
	send_file(file_of(5000), 5000);
}

static void way_sendfile_large(void)
{
	send_file(file_of(3 * MIB), 3 * MIB);
}

static void way_sendfile_offset(void)
{
	int fd = file_of(50000);
	off_t at = 10001;

	while (at < 30001)
		must(sendfile(1, fd, &at, (size_t)(30001 - at)) > 0, "sendfile");
	line(1, "\nafter");
}

static void way_sendfile_memfd(void)
{
	send_file(memfd_of(200000), 200000);
}

static void splice_from(int in, size_t size, unsigned int flags)
{
	while (size > 0) {
		struct pollfd pfd = {.fd = 1, .events = POLLOUT};
		ssize_t n = splice(in, NULL, 1, NULL, size, flags);

		if (n < 0 && errno == EAGAIN) {
			poll(&pfd, 1, 1);
			continue;
		}
		must(n > 0, "splice");
		size -= (size_t)n;
	}
}

static void way_splice_file(void)
{
	splice_from(file_of(5000), 5000, 0);
}

static void way_splice_file_large(void)
{
	splice_from(file_of(3 * MIB), 3 * MIB, SPLICE_F_MORE);
}

static void way_splice_file_offset(void)
{
	int fd = file_of(50000);
	loff_t at = 4097;

	while (at < 14096)
		must(splice(fd, &at, 1, NULL, (size_t)(14096 - at), 0) > 0, "splice");
	line(1, "\nafter");
}

static void way_splice_memfd(void)
{
	splice_from(memfd_of(200000), 200000, 0);
}

static void way_splice_pipe(void)
{
	splice_from(pipe_of(5000), 5000, 0);
}

static void way_splice_pipe_large(void)
{
	splice_from(pipe_of(2 * MIB), 2 * MIB, SPLICE_F_MOVE);
}

static void way_splice_nonblock(void)
{
	splice_from(pipe_of(MIB), MIB, SPLICE_F_NONBLOCK);
}

static void way_splice_socket(void)
{
	int ends[2];

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "socketpair");
	write_all(ends[0], filled(3000), 3000);
	splice_from(ends[1], 3000, 0);
}

static void way_splice_zero(void)
{
	splice_from(reopen("/dev/zero", O_RDONLY), 10000, 0);
	line(1, " after zeros");
}

static void way_tee(void)
{
	int in = pipe_of(5000);
	char data[5000];
	ssize_t n;

	for (size_t done = 0; done < 5000;) {
		n = tee(in, 1, 5000, 0);
		must(n > 0, "tee");
		must(read(in, data, (size_t)n) == n, "read");
		done += (size_t)n;
	}
}

/* The same pages twice: linked, then moved. */
static void way_tee_and_splice(void)
{
	int in = pipe_of(3000);
	ssize_t n;

	for (size_t done = 0; done < 3000;) {
		n = tee(in, 1, 3000, 0);
		must(n > 0, "tee");
		splice_from(in, (size_t)n, 0);
		done += (size_t)n;
	}
}

static void vmsplice_all(char *data, size_t size, unsigned int flags)
{
	while (size > 0) {
		struct iovec iov = {data, size};
		ssize_t n = vmsplice(1, &iov, 1, flags);

		must(n > 0, "vmsplice");
		data += n;
		size -= (size_t)n;
	}
}

static void way_vmsplice(void)
{
	vmsplice_all(filled(10000), 10000, 0);
}

static void way_vmsplice_gift(void)
{
	vmsplice_all(filled(64 * PAGE), 64 * PAGE, SPLICE_F_GIFT);
}

static void way_vmsplice_iovecs(void)
{
	char *data = filled(100 * 41);
	struct iovec iov[100];
	size_t at = 0;
	ssize_t n;

	while (at < 100) {
		for (size_t i = at; i < 100; i++)
			iov[i] = (struct iovec){data + i * 41, 41};
		n = vmsplice(1, iov + at, 100 - at, 0);
		must(n > 0 && n % 41 == 0, "vmsplice");
		at += (size_t)n / 41;
	}
}

/* The pages are the program's own still: what is read is what is there at the read. */
static void way_vmsplice_changed(void)
{
	char *data = filled(8 * PAGE);

	vmsplice_all(data, 8 * PAGE, 0);
	for (size_t i = 0; i < 8 * PAGE; i += 3)
		data[i] = '#';
	line(1, "\nafter");
}

/* The file's pages are read from the disk during the call. */
static void way_sendfile_cold(void)
{
	int fd = file_of(300000);
	off_t at = 0;

	fsync(fd);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	while (at < 300000)
		must(sendfile(1, fd, &at, (size_t)(300000 - at)) > 0, "sendfile");
}

static void way_copy_file_range(void)
{
	must(syscall(SYS_copy_file_range, file_of(100), NULL, 1, NULL, 100, 0) < 0, "an error");
	line(1, "after the error");
}

static void *splice_many(void *arg)
{
	for (int i = 0; i < 20; i++)
		splice_from(file_of(20000), 20000, 0);
	return arg;
}

static void *write_many(void *arg)
{
	for (int i = 0; i < 200; i++)
		line(1, "write beside splice %d", i);
	return arg;
}

static void way_splice_beside_write(void)
{
	pthread_t a = thread(splice_many, NULL);
	pthread_t b = thread(write_many, NULL);

	pthread_join(a, NULL);
	pthread_join(b, NULL);
	line(1, "\nafter");
}

#endif
