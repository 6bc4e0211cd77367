// SPDX-License-Identifier: Apache-2.0
/*
 * racer PROCESSES LINES LENGTH PAUSE: so many processes write to one stdout, each so many lines of
 * one length, one write(2) a line. All are equal but for ` PID ` in their middle. PAUSE is the
 * microseconds between two lines of a process.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int race(int lines, int length, int pause_us)
{
	char line[65536], name[32];
	int len = snprintf(name, sizeof(name), " %07d ", getpid());

	memset(line, '-', sizeof(line));
	memcpy(line + (length - len) / 2, name, (size_t)len);
	line[length - 1] = '\n';
	for (int i = 0; i < lines; i++) {
		if (write(STDOUT_FILENO, line, (size_t)length) != length)
			return 1;
		if (pause_us)
			usleep((useconds_t)pause_us);
	}
	return 0;
}

int main(int argc, char **argv)
{
	int processes = argc == 5 ? atoi(argv[1]) : 0, failed = 0, status;

	if (processes < 1 || atoi(argv[3]) < 16 || atoi(argv[3]) > 65536) {
		fprintf(stderr, "usage: racer PROCESSES LINES LENGTH PAUSE\n");
		return 2;
	}
	for (int i = 0; i < processes; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return 1;
		if (pid == 0)
			_exit(race(atoi(argv[2]), atoi(argv[3]), atoi(argv[4])));
	}
	while (wait(&status) > 0)
		failed |= status != 0;
	return failed;
}
