// SPDX-License-Identifier: Apache-2.0
/*
 * One write(2) of a gibibyte on stdout, from 2 MiB of memory that is mapped 512 times:
 *
 *	huge lines	of lines
 *	huge line	one line, and `next` as another
 *
 * Says on stderr what the first call wrote.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define GIB (1ul << 30)
#define PART (1ul << 21)

int main(int argc, char **argv)
{
	int fd = (int)syscall(SYS_memfd_create, "huge", 0);
	int of_lines = argc == 2 && strcmp(argv[1], "lines") == 0;
	char *data = mmap(NULL, GIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ssize_t n;

	if (fd < 0 || data == MAP_FAILED || ftruncate(fd, PART) < 0)
		return 1;
	for (size_t at = 0; at < GIB; at += PART) {
		if (mmap(data + at, PART, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
		    MAP_FAILED)
			return 1;
	}
	memset(data, 'x', PART);
	for (size_t at = 0; of_lines && at + 128 <= PART; at += 128) {
		snprintf(data + at, 17, "%016zx", at);
		data[at + 16] = ' ';
		data[at + 127] = '\n';
	}
	n = write(STDOUT_FILENO, data, GIB);
	if (!of_lines && write(STDOUT_FILENO, "\nnext\n", 6) != 6)
		return 1;
	dprintf(STDERR_FILENO, "%zd\n", n);
	return n == GIB ? 0 : 1;
}
