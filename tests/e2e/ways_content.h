/* SPDX-License-Identifier: Apache-2.0 */
/* What is written: bytes of every kind, lines in pieces, the C library's buffers. */
#ifndef WAYS_CONTENT_H
#define WAYS_CONTENT_H

#include <syslog.h>

#include "ways.h"

static void way_nul_bytes(void)
{
	write_all(1, "a\0b\0\0c\n\0\n\0", 10);
	line(1, "after");
}

static void way_all_bytes(void)
{
	char data[512];

	for (int i = 0; i < 512; i++)
		data[i] = (char)i;
	write_all(1, data, sizeof(data));
	line(1, " after");
}

static void way_random_bytes(void)
{
	int fd = reopen("/dev/urandom", O_RDONLY);
	char *data = memory(200000);

	for (size_t at = 0; at < 200000;) {
		ssize_t n = read(fd, data + at, 200000 - at);

		must(n > 0, "read");
		at += (size_t)n;
	}
	write_all(1, data, 200000);
	line(1, " after");
}

static void way_invalid_utf8(void)
{
	line(1, "\xff\xfe \xc0\x80 \xed\xa0\x80 \xf4\x90\x80\x80 cut: \xe2\x82");
	line(1, "valid: \xe2\x82\xac \xf0\x9f\x98\x80 \xe2\x80\xa8 \xef\xbb\xbf");
}

static void way_carriage_returns(void)
{
	line(1, "dos\r");
	line(1, "10 %%\r20 %%\r30 %%");
	line(1, "\r");
}

static void way_ansi(void)
{
	line(1, "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b[2J");
}

static void way_json(void)
{
	line(1, "{\"quoted\": \"\\\"\\\\\\u0000\", \"tab\": \"\t\"}");
}

static void way_empty_lines(void)
{
	char data[300];

	memset(data, '\n', sizeof(data));
	write_all(1, data, sizeof(data));
	for (int i = 0; i < 20; i++)
		write_all(1, "\n", 1);
	line(1, "after");
}

static void long_line(size_t size, size_t piece)
{
	char *data = filled(size);

	for (size_t i = 0; i < size - 1; i++) {
		if (data[i] == '\n')
			data[i] = ' ';
	}
	for (size_t at = 0; at < size; at += piece)
		write_all(1, data + at, size - at < piece ? size - at : piece);
}

static void way_long_line(void)
{
	long_line(200000, 200000);
}

static void way_long_line_in_pieces(void)
{
	long_line(200000, 1999);
}

/* The sizes at which runtimes cut their messages. */
static void way_lines_of_16k(void)
{
	for (size_t size = 16382; size <= 16387; size++)
		long_line(size, size);
	for (size_t size = 32767; size <= 32770; size++)
		long_line(size, 4096);
}

static void way_line_in_pieces(void)
{
	for (int i = 0; i < 20; i++) {
		for (const char *word = "one line in pieces "; *word; word++)
			write_all(1, word, 1);
		line(1, "%d", i);
	}
}

static void way_lines_in_one_write(void)
{
	write_all(1, filled(60000), 60000);
}

static void way_halves_of_both(void)
{
	for (int i = 0; i < 50; i++) {
		write_all(1, "out ", 4);
		write_all(2, "err ", 4);
		line(1, "%d", i);
		line(2, "%d", i);
	}
}

static void way_equal_lines(void)
{
	for (int i = 0; i < 1000; i++)
		line(1, "the same");
}

static void way_stdio_buffered(void)
{
	char buffer[8192];

	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	for (int i = 0; i < 3000; i++)
		printf("buffered %d\n", i);
	fflush(stdout);
}

static void way_stdio_line_buffered(void)
{
	char buffer[4096];

	setvbuf(stdout, buffer, _IOLBF, sizeof(buffer));
	for (int i = 0; i < 200; i++)
		printf("line buffered %d\n", i);
	fflush(stdout);
}

static void way_stdio_unbuffered(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	for (int i = 0; i < 50; i++)
		printf("unbuffered %d of %s\n", i, "stdio");
}

static void way_dprintf(void)
{
	for (int i = 0; i < 20; i++)
		dprintf(1 + i % 2, "dprintf %d\n", i);
}

static void way_perror(void)
{
	errno = ENOENT;
	perror("perror");
	fprintf(stderr, "and fprintf to stderr\n");
}

static void way_syslog_perror(void)
{
	openlog("ways", LOG_PERROR, LOG_USER);
	syslog(LOG_INFO, "by syslog with LOG_PERROR");
	closelog();
}

static void way_no_newline_at_end(void)
{
	line(1, "whole");
	write_all(1, "half", 4);
	write_all(2, "half of stderr", 14);
}

#endif
