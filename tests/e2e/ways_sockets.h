/* SPDX-License-Identifier: Apache-2.0 */
/* With stdio that is a stream socket, as systemd's units have it. */
#ifndef WAYS_SOCKETS_H
#define WAYS_SOCKETS_H

#include "ways.h"
#include "ways_async.h"

static void way_socket_write(void)
{
	struct iovec iov[] = {{"by ", 3}, {NULL, 0}, {"writev\n", 7}};

	for (int i = 0; i < 20; i++)
		line(1 + i % 2, "write %d", i);
	must(writev(1, iov, 3) == 10, "writev");
}

static void way_socket_send(void)
{
	must(send(1, "by send\n", 8, 0) == 8, "send");
	must(send(2, "by send with flags\n", 19, MSG_NOSIGNAL | MSG_MORE) == 19, "send");
}

static void way_socket_sendto(void)
{
	must(sendto(1, "by sendto\n", 10, 0, NULL, 0) == 10, "sendto");
}

static void way_socket_sendmsg(void)
{
	struct iovec iov[] = {{"by ", 3}, {"", 0}, {"sendmsg\n", 8}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 3};

	for (int i = 0; i < 10; i++)
		must(sendmsg(1 + i % 2, &msg, 0) == 11, "sendmsg");
}

static void way_socket_sendmmsg(void)
{
	struct iovec iov[] = {{"one of ", 7}, {"sendmmsg\n", 9}, {"two of sendmmsg\n", 16}};
	struct mmsghdr msgs[] = {
		{.msg_hdr = {.msg_iov = iov, .msg_iovlen = 2}},
		{.msg_hdr = {.msg_iov = iov + 2, .msg_iovlen = 1}},
	};

	for (int i = 0; i < 5; i++)
		must(sendmmsg(1, msgs, 2, 0) == 2, "sendmmsg");
}

static void way_socket_large(void)
{
	write_all(1, filled(2 * MIB), 2 * MIB);
}

static void way_socket_nonblock(void)
{
	char *data = filled(MIB);

	for (size_t at = 0; at < MIB;) {
		struct pollfd pfd = {.fd = 1, .events = POLLOUT};
		ssize_t n = send(1, data + at, MIB - at, MSG_DONTWAIT);

		if (n > 0)
			at += (size_t)n;
		else
			poll(&pfd, 1, 10);
	}
}

static void way_socket_uring(void)
{
	struct uring u = uring_new(0);

	for (int i = 0; i < 10; i++) {
		struct io_uring_sqe sqe = uring_write("by io_uring\n", 12);

		sqe.opcode = i % 2 ? IORING_OP_WRITE : IORING_OP_SEND;
		sqe.off = i % 2 ? (uint64_t)-1 : 0;
		must(uring_run(&u, sqe, 1) == 12, "io_uring");
	}
}

static void way_socket_children(void)
{
	for (int i = 0; i < 20; i++) {
		if (fork() == 0) {
			line(1, "child %d", i);
			_exit(0);
		}
		wait_children();
	}
}

#endif
