/* SPDX-License-Identifier: Apache-2.0 */
/* The write calls: sizes, errors in the middle, signals, buffers of every kind. */
#ifndef WAYS_CALLS_H
#define WAYS_CALLS_H

#include "ways.h"

static void way_write(void)
{
	for (int i = 0; i < 50; i++)
		line(1, "write %d", i);
}

static void way_write_single_bytes(void)
{
	for (const char *p = "one byte a call\nand again\n"; *p; p++)
		write_all(1, p, 1);
}

static void way_write_nothing(void)
{
	must(write(1, "", 0) == 0, "write of 0");
	must(write(1, NULL, 0) == 0, "write of NULL");
	line(1, "between nothing");
	must(write(1, "", 0) == 0, "write of 0");
}

static void way_write_sizes(void)
{
	static const size_t sizes[] = {
		63,    64,    65,    127,   128,   129,	  255,	 256,	 257,	 511,	512,  513,
		1023,  1024,  1025,  2047,  2048,  2049,  4095,	 4096,	 4097,	 8191,	8192, 8193,
		16383, 16384, 16385, 32768, 65535, 65536, 65537, 131071, 131072, 131073};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		write_all(1, filled(sizes[i]), sizes[i]);
}

static void way_write_16m(void)
{
	size_t size = 14 * MIB;

	must(write(1, filled(size), size) == (ssize_t)size, "write of 16 MiB");
}

/* Short writes and EAGAIN: what does not fit is offered again when there is room. */
static void write_patiently(int fd, const char *data, size_t size)
{
	while (size > 0) {
		struct pollfd pfd = {.fd = fd, .events = POLLOUT};
		ssize_t n = write(fd, data, size);

		if (n < 0) {
			must(errno == EAGAIN, "write");
			poll(&pfd, 1, -1);
			continue;
		}
		data += n;
		size -= (size_t)n;
	}
}

static void way_write_nonblock(void)
{
	int fd = reopen("/proc/self/fd/1", O_WRONLY | O_NONBLOCK);

	write_patiently(fd, filled(2 * MIB), 2 * MIB);
}

static void way_write_nonblock_same_file(void)
{
	int flags = fcntl(1, F_GETFL);

	must(fcntl(1, F_SETFL, flags | O_NONBLOCK) == 0, "F_SETFL");
	write_patiently(1, filled(2 * MIB), 2 * MIB);
	must(fcntl(1, F_SETFL, flags) == 0, "F_SETFL");
}

/* Two pages that are there and one that is not. */
static char *broken_memory(void)
{
	char *data = memory(3 * PAGE);

	fill(data, 2 * PAGE, 100);
	munmap(data + 2 * PAGE, PAGE);
	return data;
}

static void way_write_fault_in_the_middle(void)
{
	char *data = broken_memory();
	ssize_t n = write(1, data, 3 * PAGE);

	must(n > 0 && n <= 2 * PAGE, "short write");
	line(1, "\nafter the fault");
	n = write(1, data + PAGE + 100, 2 * PAGE);
	must(n <= PAGE - 100, "short write or EFAULT"); /* a pipe takes whole pages or the rest */
	line(1, "\nafter the second");
}

static void way_write_fault(void)
{
	const char *volatile nowhere = (const char *)16; /* volatile: compilers know better */

	must(write(1, nowhere, 100) < 0 && errno == EFAULT, "EFAULT");
	line(1, "after EFAULT");
}

static void way_write_no_access(void)
{
	char *data = filled(2 * PAGE);
	ssize_t n;

	must(mprotect(data + PAGE, PAGE, PROT_NONE) == 0, "mprotect");
	n = write(1, data, 2 * PAGE);
	must(n > 0 && n <= PAGE, "short write");
	line(1, "\nafter");
}

static void on_signal(int signo)
{
	(void)signo;
}

static void handle(int signo, int flags)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};

	sigaction(signo, &action, NULL);
}

static void *send_signals(void *target)
{
	for (int i = 0; i < 30; i++) {
		pause_ms(1);
		pthread_kill(*(pthread_t *)target, SIGUSR1);
	}
	return NULL;
}

static void interrupted_write(int flags)
{
	pthread_t self = pthread_self();
	pthread_t other;

	handle(SIGUSR1, flags);
	other = thread(send_signals, &self);
	write_all(1, filled(3 * MIB), 3 * MIB);
	pthread_join(other, NULL);
}

static void way_write_signal(void)
{
	interrupted_write(0);
}

static void way_write_signal_restart(void)
{
	interrupted_write(SA_RESTART);
}

static void write_from_handler(int signo)
{
	(void)signo;
	line(1, "from the signal handler");
}

static void way_write_in_handler(void)
{
	struct sigaction action = {.sa_handler = write_from_handler};

	sigaction(SIGUSR1, &action, NULL);
	for (int i = 0; i < 10; i++) {
		raise(SIGUSR1);
		line(1, "from main %d", i);
	}
}

static void way_write_killed(void)
{
	pid_t pid = fork();

	must(pid >= 0, "fork");
	if (pid == 0) {
		for (;;)
			write_all(1, filled(MIB), MIB);
	}
	pause_ms(20);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	line(1, "\nafter the kill");
}

static void *exit_soon(void *arg)
{
	(void)arg;
	pause_ms(20);
	_exit(0);
}

static void way_write_exit_of_another_thread(void)
{
	thread(exit_soon, NULL);
	for (;;)
		write_all(1, filled(MIB), MIB);
}

static void way_write_closed(void)
{
	close(1);
	must(write(1, "lost\n", 5) < 0 && errno == EBADF, "EBADF");
	line(2, "to stderr, stdout is closed");
}

static void way_write_both_closed(void)
{
	close(1);
	close(2);
	must(write(1, "lost\n", 5) < 0 && errno == EBADF, "EBADF");
	must(write(2, "lost\n", 5) < 0 && errno == EBADF, "EBADF");
}

static void way_write_rodata(void)
{
	static const char text[] = "from read-only memory\n";

	write_all(1, text, sizeof(text) - 1);
}

static void way_write_file_map(void)
{
	int fd = file_of(100000);
	char *data = mmap(NULL, 100000, PROT_READ, MAP_PRIVATE, fd, 0);

	must(data != MAP_FAILED, "mmap");
	write_all(1, data, 100000);
}

/* Its pages are not in memory: they come from the file during the write. */
static void way_write_cold_file_map(void)
{
	int fd = file_of(300000);
	char *data;

	fsync(fd);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	data = mmap(NULL, 300000, PROT_READ, MAP_PRIVATE, fd, 0);
	must(data != MAP_FAILED, "mmap");
	write_all(1, data, 300000);
}

/* A page of a mapping past the file's end: SIGBUS for a program, a short write here. */
static void way_write_file_map_past_end(void)
{
	int fd = file_of(PAGE);
	char *data = mmap(NULL, 3 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	ssize_t n;

	must(data != MAP_FAILED, "mmap");
	n = write(1, data, 3 * PAGE);
	must(n > 0 && n <= PAGE, "short write");
	line(1, "\nafter");
}

static void way_write_untouched_memory(void)
{
	write_all(1, memory(2 * PAGE), 2 * PAGE);
	line(1, " after the zero page");
}

static void way_write_shared_memory(void)
{
	char *data = mmap(NULL, 70000, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	must(data != MAP_FAILED, "mmap");
	fill(data, 70000, 100);
	write_all(1, data, 70000);
}

static void way_write_huge_pages(void)
{
	char *data = memory(4 * MIB);

	madvise(data, 4 * MIB, MADV_HUGEPAGE);
	fill(data, 4 * MIB, 3000);
	write_all(1, data, 4 * MIB);
}

struct scribble {
	char *data;
	size_t size;
	_Atomic bool done;
};

static void *scribble(void *arg)
{
	struct scribble *s = arg;

	for (char c = 'a'; !s->done; c = c == 'z' ? 'a' : (char)(c + 1)) {
		for (size_t i = 0; i < s->size; i += 97)
			s->data[i] = c;
	}
	return NULL;
}

/* What a reader gets is neither the old nor the new buffer. */
static void way_write_changed_buffer(void)
{
	struct scribble s = {.data = filled(200000), .size = 200000};
	pthread_t other = thread(scribble, &s);

	for (int i = 0; i < 5; i++)
		write_all(1, s.data, s.size);
	s.done = true;
	pthread_join(other, NULL);
	line(1, "\nafter");
}

static void *unmap_tail(void *arg)
{
	pause_ms(1);
	munmap((char *)arg + 2 * MIB, 2 * MIB);
	return NULL;
}

static void way_write_unmapped_meanwhile(void)
{
	char *data = filled(4 * MIB);
	pthread_t other = thread(unmap_tail, data);

	must(write(1, data, 4 * MIB) > 0, "write");
	pthread_join(other, NULL);
	line(1, "\nafter");
}

static void way_writev(void)
{
	struct iovec iov[] = {{"writev ", 7}, {"of ", 3}, {"three\n", 6}};

	for (int i = 0; i < 10; i++)
		must(writev(1, iov, 3) == 16, "writev");
}

static void way_writev_none(void)
{
	struct iovec iov = {"x", 0};

	must(writev(1, &iov, 0) == 0, "writev of 0");
	must(writev(1, NULL, 0) == 0, "writev of NULL");
	must(writev(1, &iov, 1) == 0, "writev of 1 empty");
	line(1, "after none");
}

static void way_writev_one(void)
{
	struct iovec iov = {"a single iovec\n", 15};

	must(writev(1, &iov, 1) == 15, "writev");
}

static void way_writev_empty_between(void)
{
	struct iovec iov[] = {{NULL, 0},      {"with ", 5},   {NULL, 0},
			      {(void *)8, 0}, {"holes\n", 6}, {NULL, 0}};

	must(writev(1, iov, 6) == 11, "writev");
}

static void way_writev_1024(void)
{
	struct iovec iov[1024];
	char *data = filled(1024 * 37);

	for (size_t i = 0; i < 1024; i++)
		iov[i] = (struct iovec){data + i * 37, 37};
	must(writev(1, iov, 1024) == 1024 * 37, "writev of 1024");
	for (size_t i = 0; i < 1024; i++)
		iov[i] = (struct iovec){data + i, 1};
	must(writev(1, iov, 1024) == 1024, "writev of 1024 bytes");
	line(1, "\nafter");
}

static void way_writev_too_many(void)
{
	static struct iovec iov[1025];

	for (size_t i = 0; i < 1025; i++)
		iov[i] = (struct iovec){"x", 1};
	must(writev(1, iov, 1025) < 0 && errno == EINVAL, "EINVAL");
	line(1, "after EINVAL");
}

static void way_writev_counts(void)
{
	static const int counts[] = {2,	 7,  8,	 9,   15,  16,	17,  31,  32,  33,
				     63, 64, 65, 127, 128, 129, 255, 256, 257, 512};
	struct iovec iov[512];
	char *data = filled(512 * 11);

	for (size_t i = 0; i < 512; i++)
		iov[i] = (struct iovec){data + i * 11, 11};
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		must(writev(1, iov, counts[i]) == counts[i] * 11, "writev");
	line(1, "\nafter");
}

static void way_writev_fault(void)
{
	char *data = broken_memory();
	struct iovec iov[] = {{"before\n", 7}, {data + PAGE, 2 * PAGE}, {"never\n", 6}};
	ssize_t n = writev(1, iov, 3);

	must(n > 0 && n <= 7 + PAGE, "short writev");
	line(1, "\nafter");
}

static void way_writev_large(void)
{
	char *data = filled(MIB);
	struct iovec iov[] = {{data, 300000}, {data + 300000, 1}, {data + 300001, MIB - 300001}};

	must(writev(1, iov, 3) == (ssize_t)MIB, "writev");
}

static void way_writev_nonblock(void)
{
	int fd = reopen("/proc/self/fd/1", O_WRONLY | O_NONBLOCK);
	char *data = filled(MIB);

	for (size_t at = 0; at < MIB;) {
		struct iovec iov[] = {{data + at, (MIB - at) / 3},
				      {data + at + (MIB - at) / 3, MIB - at - (MIB - at) / 3}};
		struct pollfd pfd = {.fd = fd, .events = POLLOUT};
		ssize_t n = writev(fd, iov, 2);

		if (n > 0)
			at += (size_t)n;
		else
			poll(&pfd, 1, -1);
	}
}

#ifndef __GLIBC__
static ssize_t pwritev2(int fd, const struct iovec *iov, int n, off_t at, int flags)
{
	return syscall(SYS_pwritev2, fd, iov, n, (long)at, (long)(at >> 31 >> 1), flags);
}
#endif

static void way_pwritev2(void)
{
	struct iovec iov[] = {{"pwritev2 ", 9}, {"at -1\n", 6}};

	must(pwritev2(1, iov, 2, -1, 0) == 15, "pwritev2");
	if (pwritev2(1, iov, 2, -1, RWF_NOWAIT) < 0)
		line(1, "no RWF_NOWAIT here");
}

/* A pipe has no positions: nothing is written. */
static void way_pwrite(void)
{
	struct iovec iov = {"lost\n", 5};

	must(pwrite(1, "lost\n", 5, 0) < 0 && errno == ESPIPE, "ESPIPE");
	must(pwritev(1, &iov, 1, 0) < 0 && errno == ESPIPE, "ESPIPE");
	line(1, "after ESPIPE");
}

static void way_send(void)
{
	struct iovec iov = {"lost\n", 5};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	must(send(1, "lost\n", 5, 0) < 0 && errno == ENOTSOCK, "ENOTSOCK");
	must(sendmsg(1, &msg, 0) < 0 && errno == ENOTSOCK, "ENOTSOCK");
	line(1, "after ENOTSOCK");
}

#if defined(__x86_64__)
/* The 32-bit system call of a 64-bit program: other numbers, pointers of 32 bits. */
static void way_int80(void)
{
	char *data = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	long n;

	must(data != MAP_FAILED, "mmap");
	strcpy(data, "int 0x80\n");
	for (int i = 0; i < 10; i++) {
		__asm__ volatile("int $0x80"
				 : "=a"(n)
				 : "a"(4L), "b"(1L), "c"(data), "d"(9L)
				 : "memory", "r8", "r9", "r10", "r11");
		if (n < 0) {
			errno = (int)-n;
			impossible("int 0x80");
		}
		must(n == 9, "int 0x80");
	}
}
#else
static void way_int80(void)
{
	way_write();
}
#endif

/* Larger and smaller pipes than the default of 64 KiB, and packets. */
static void way_pipe_sizes(void)
{
	static const int sizes[] = {1 << 20, 4096, 65536};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		while (fcntl(1, F_SETPIPE_SZ, sizes[i]) < 0) {
			must(errno == EBUSY, "F_SETPIPE_SZ"); /* it holds more than that */
			pause_ms(1);
		}
		write_all(1, filled(300000), 300000);
	}
}

/* What does not fit into the read that meets a packet is dropped by the kernel: a read must begin
 * at one, not behind older bytes. */
static void way_pipe_packets(void)
{
	int flags = fcntl(1, F_GETFL);

	wait_until_read();
	must(fcntl(1, F_SETFL, flags | O_DIRECT) == 0, "O_DIRECT");
	for (int i = 0; i < 50; i++)
		line(1, "packet %d", i);
	write_all(1, filled(50000), 50000);
	wait_until_read();
	must(fcntl(1, F_SETFL, flags) == 0, "F_SETFL");
}

#endif
